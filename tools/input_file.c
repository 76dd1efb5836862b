/*
 * A file that people name, or standard input; see input.h.
 */
#include "input.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/file.h"
#include "cmd.h"

enum { MOST = 256 << 20 };

#define STDIN "/dev/stdin"

const char **tool_stdin_args(int argc, const char **argv, apr_pool_t *p)
{
    const char **out = apr_pmemdup(p, argv, ((apr_size_t)argc + 1) * sizeof(*argv));

    for (int i = 0; i < argc; i++) {
        out[i] = strcmp(out[i], "-") ? out[i] : STDIN;
    }
    return out;
}

int tool_read_file(char **text, size_t *size, const char *path, apr_pool_t *p)
{
    sal_error_t err;
    char *all;

    if (strcmp(path, STDIN)) {
        return sal_file_read(text, size, path, MOST, p, &err) == APR_SUCCESS ? CMD_OK
                                                                             : cmd_fail_err(&err);
    }
    if (tool_read_input(&all, size, MOST) != CMD_OK) {
        return CMD_FAILED;
    }
    *text = apr_pstrmemdup(p, all, *size);
    free(all);
    return CMD_OK;
}
