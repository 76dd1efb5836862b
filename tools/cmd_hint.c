/*
 * salvage hint: which crashes are fixed, and in which version.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "hint/hint.h"
#include "triage/states.h"

#define USAGE                                                                                      \
    "hint fixed add SIGNATURE VERSION [-p PRODUCT] [-t TEXT] | fixed list | "                      \
    "fixed remove SIGNATURE [-p PRODUCT]  [-c FILE]"

#define WHO "salvage" /* in the audit log */

typedef struct request_t {
    const char *conf, *product, *text;
    const char **args; /* behind the verbs */
    int nargs;
} request_t;

static const apr_getopt_option_t options[] = {
    { "product", 'p', 1, "of one product only" },
    { "text", 't', 1, "what its clients are told; {version} stands for the version" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int add(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    return sal_state_fix(req->args[0], req->product, req->args[1], req->text, WHO, db, p, &err) ==
                   APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int drop(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    return sal_state_unfix(req->args[0], req->product, WHO, db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    (void)req;
    if (sal_hint_fixed_list(&rows, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("product\tsignature\tversion\ttext");
    for (int i = 0; i < sal_rows_count(rows); i++) {
        const char *product = sal_rows_text(rows, i, 0);

        printf("%s\t%s\t%s\t%s\n", *product ? product : "*", sal_rows_text(rows, i, 1),
               sal_rows_text(rows, i, 2), sal_rows_text(rows, i, 3));
    }
    return CMD_OK;
}

typedef int (*verb_fn)(const request_t *req, sal_db_t *db, apr_pool_t *p);

static verb_fn find_verb(const char **argv, int n, request_t *req)
{
    if (n < 2 || strcmp(argv[0], "fixed")) {
        return NULL;
    }
    req->args = argv + 2;
    req->nargs = n - 2;
    if (!strcmp(argv[1], "add") && req->nargs == 2 && *req->args[0] && *req->args[1]) {
        return add;
    }
    if (!strcmp(argv[1], "remove") && req->nargs == 1) {
        return drop;
    }
    return !strcmp(argv[1], "list") && req->nargs == 0 ? list : NULL;
}

int cmd_hint(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .product = "", .text = "" };
    const char *value;
    apr_status_t rv;
    verb_fn verb;
    sal_db_t *db;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        *(c == 'c' ? &req.conf : c == 'p' ? &req.product : &req.text) = value;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    verb = find_verb(os->argv + os->ind, argc - os->ind, &req);
    if (!verb) {
        return cmd_usage(USAGE, "say fixed add, fixed list or fixed remove");
    }
    db = cmd_db_open(req.conf, p);
    return db ? verb(&req, db, p) : CMD_FAILED;
}
