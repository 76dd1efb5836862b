/*
 * salvage retention: which crashes stay, whatever their age.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "crash/crash_id.h"
#include "jobs/pins.h"

#define USAGE                                                                                      \
    "retention [list [CRASH_ID] | pin CRASH_ID... [--why TEXT] | unpin CRASH_ID...] [-c FILE]"

typedef struct request_t {
    const char *conf, *why;
    const char **args; /* behind the verb */
    int nargs;
} request_t;

static const apr_getopt_option_t options[] = {
    { "why", 'w', 1, "pin: for those who look" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static const char *who(void)
{
    const char *name = getenv("SUDO_USER");

    name = name && *name ? name : getenv("USER");
    return name && *name ? name : "salvage";
}

static int pin(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    for (int i = 0; i < req->nargs; i++) {
        if (sal_pin_put(req->args[i], who(), req->why, db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    return CMD_OK;
}

static int unpin(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    int rc = CMD_OK;
    sal_error_t err;
    bool was;

    for (int i = 0; i < req->nargs; i++) {
        if (sal_pin_remove(&was, req->args[i], db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
        rc = was ? rc : cmd_fail("%s is not pinned", req->args[i]);
    }
    return rc;
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    if (sal_pin_list(&rows, req->nargs ? req->args[0] : NULL, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("crash\tpinned\tby\twhy");
    for (int i = 0; i < sal_rows_count(rows); i++) {
        apr_time_t t = sal_rows_time(rows, i, 3);

        printf("%s\t%s\t%s\t%s\n", sal_rows_text(rows, i, 0),
               sal_time_iso(apr_time_from_sec(apr_time_sec(t)), p), sal_rows_text(rows, i, 1),
               sal_rows_text(rows, i, 2));
    }
    return CMD_OK;
}

typedef int (*verb_fn)(const request_t *req, sal_db_t *db, apr_pool_t *p);

/* The verb, if its arguments are as many as it wants. */
static verb_fn find_verb(const char *name, int nargs)
{
    if (!strcmp(name, "list")) {
        return nargs <= 1 ? list : NULL;
    }
    return nargs < 1 ? NULL : !strcmp(name, "pin") ? pin : !strcmp(name, "unpin") ? unpin : NULL;
}

/* Crash ids, as people paste them, in their one form. */
static bool clean_ids(request_t *req, apr_pool_t *p)
{
    for (int i = 0; i < req->nargs; i++) {
        const char *id = sal_crash_id_clean(req->args[i], p);

        if (!id) {
            cmd_usage(USAGE, "\"%s\" is not a crash id", req->args[i]);
            return false;
        }
        req->args[i] = id;
    }
    return true;
}

int cmd_retention(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .why = "" };
    const char *value;
    verb_fn verb;
    sal_db_t *db;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        switch (c) {
        case 'w':
            req.why = value;
            break;
        case 'c':
            req.conf = value;
            break;
        case 'h':
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.nargs = argc - os->ind > 0 ? argc - os->ind - 1 : 0;
    req.args = os->argv + os->ind + 1;
    verb = find_verb(os->ind < argc ? os->argv[os->ind] : "list", req.nargs);
    if (!verb) {
        return cmd_usage(USAGE, "say list, pin CRASH_ID or unpin CRASH_ID");
    }
    if (!sal_utf8_valid(req.why, strlen(req.why))) {
        return cmd_usage(USAGE, "--why is no UTF-8");
    }
    if (!clean_ids(&req, p)) {
        return CMD_USAGE;
    }
    db = cmd_db_open(req.conf, p);
    return db ? verb(&req, db, p) : CMD_FAILED;
}
