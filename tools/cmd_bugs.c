/*
 * salvage bugs: which bugs of a tracker name which signatures.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include "input.h"
#include "triage/bugs.h"

#define USAGE "bugs import [--replace] FILE|- | list [SIGNATURE]...  [-c FILE]"

static const apr_getopt_option_t options[] = {
    { "replace", 'r', 0, "each bug of the file names no other signatures from now on" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int import(const char *file, bool replace, sal_db_t *db, apr_pool_t *p)
{
    sal_bugs_changed_t changed;
    sal_bug_t *list;
    sal_error_t err;
    char *text;
    size_t size;
    int n;

    if (tool_read_file(&text, &size, file, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (sal_bugs_read(&list, &n, text, size, p, &err) != APR_SUCCESS ||
        sal_bugs_put(&changed, list, n, replace, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%lld added, %lld removed\n", (long long)changed.added, (long long)changed.removed);
    return CMD_OK;
}

static int list(const char **signatures, int n, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    if ((n ? sal_bugs_of(&rows, signatures, n, db, p, &err) : sal_bugs_list(&rows, db, p, &err)) !=
        APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("bug\tsignature");
    for (int i = 0; i < sal_rows_count(rows); i++) {
        printf("%s\t%s\n", sal_rows_text(rows, i, 0), sal_rows_text(rows, i, 1));
    }
    return CMD_OK;
}

int cmd_bugs(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, tool_stdin_args(argc, argv, p), p);
    const char *conf = NULL, *value, *verb;
    bool replace = false, imports;
    apr_status_t rv;
    sal_db_t *db;
    int c, n;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        replace = replace || c == 'r';
        conf = c == 'c' ? value : conf;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    n = argc - os->ind - 1;
    verb = n >= 0 ? os->argv[os->ind] : "";
    imports = !strcmp(verb, "import");
    if (imports ? n != 1 : strcmp(verb, "list") || replace) {
        return cmd_usage(USAGE, "say import with one file, or list");
    }
    db = cmd_db_open(conf, p);
    if (!db) {
        return CMD_FAILED;
    }
    return imports ? import(os->argv[os->ind + 1], replace, db, p)
                   : list(os->argv + os->ind + 1, n, db, p);
}
