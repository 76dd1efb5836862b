/*
 * Standard input as a whole; see input.h.
 */
#include "input.h"

#include <stdio.h>
#include <stdlib.h>

#include "cmd.h"

enum { START = 64 * 1024 };

static int failed(char *text, const char *why)
{
    free(text);
    return cmd_fail("%s", why);
}

int tool_read_input(char **text, size_t *size, size_t most)
{
    size_t cap = START, n;
    char *all = malloc(cap + 1);

    *size = 0;
    while (all && (n = fread(all + *size, 1, cap - *size, stdin)) > 0) {
        *size += n;
        if (*size > most) {
            return failed(all, "the input is too large");
        }
        if (*size == cap) {
            char *more = realloc(all, cap * 2 + 1);

            if (!more) {
                return failed(all, "out of memory");
            }
            all = more;
            cap *= 2;
        }
    }
    if (!all) {
        return failed(all, "out of memory");
    }
    if (ferror(stdin)) {
        return failed(all, "standard input cannot be read");
    }
    all[*size] = '\0';
    *text = all;
    return CMD_OK;
}
