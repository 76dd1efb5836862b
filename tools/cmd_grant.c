/*
 * salvage grant: puts people into groups, and says what groups may. People are names that httpd's
 * authentication knows; what they may is the union of their groups.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "db/people.h"
#include "db/token.h"

#define USAGE_ADD "grant add|remove USER GROUP... [-c FILE]"
#define USAGE_LIST "grant list [USER] [-c FILE]"
#define USAGE_GROUP "grant group NAME [PERMISSION...] [-c FILE]"
#define USAGE_ACTIVE "grant activate|deactivate USER [-c FILE]"

typedef struct request_t {
    const char *conf;
    const char **args; /* behind the verb */
    int nargs;
} request_t;

static const apr_getopt_option_t options[] = {
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print_help(apr_pool_t *p)
{
    printf("usage: salvage %s\n       salvage %s\n       salvage %s\n       salvage %s\n\n"
           "permissions: %s\n",
           USAGE_ADD, USAGE_LIST, USAGE_GROUP, USAGE_ACTIVE, sal_permission_names(~0, p));
}

static int change(const request_t *req, int join, apr_pool_t *p)
{
    sal_error_t err;
    sal_db_t *db;

    if (req->nargs < 2 || !*req->args[0]) {
        return cmd_usage(USAGE_ADD, "name a user and at least one group");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    for (int i = 1; i < req->nargs; i++) {
        apr_status_t rv = join ? sal_person_join(req->args[0], req->args[i], db, p, &err)
                               : sal_person_leave(req->args[0], req->args[i], db, p, &err);

        if (rv != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    return CMD_OK;
}

static int list(const request_t *req, apr_pool_t *p)
{
    sal_rows_t *people, *groups;
    sal_error_t err;
    sal_db_t *db;

    if (req->nargs > 1) {
        return cmd_usage(USAGE_LIST, "one user at most");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    if (sal_people_list(&people, req->nargs ? req->args[0] : NULL, db, p, &err) != APR_SUCCESS ||
        sal_groups_list(&groups, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (req->nargs && sal_rows_count(people) == 0) {
        return cmd_fail("there is no user %s (salvage grant list shows all)", req->args[0]);
    }
    puts("user\tstate\tgroups\tpermissions");
    for (int i = 0; i < sal_rows_count(people); i++) {
        printf("%s\t%s\t%s\t%s\n", sal_rows_text(people, i, 0),
               sal_rows_bool(people, i, 1) ? "active" : "inactive", sal_rows_text(people, i, 3),
               sal_permission_names((int)sal_rows_int(people, i, 2), p));
    }
    if (req->nargs == 0) {
        puts("\ngroup\tmembers\tpermissions");
        for (int i = 0; i < sal_rows_count(groups); i++) {
            printf("%s\t%s\t%s\n", sal_rows_text(groups, i, 0), sal_rows_text(groups, i, 2),
                   sal_permission_names((int)sal_rows_int(groups, i, 1), p));
        }
    }
    return CMD_OK;
}

static int put_group(const request_t *req, apr_pool_t *p)
{
    sal_error_t err;
    sal_db_t *db;
    int bits = 0;

    if (req->nargs < 1 || !*req->args[0]) {
        return cmd_usage(USAGE_GROUP, "name the group");
    }
    for (int i = 1; i < req->nargs; i++) {
        int bit = sal_permission_bit(req->args[i]);

        if (!bit) {
            return cmd_usage(USAGE_GROUP, "\"%s\" is not a permission; they are %s", req->args[i],
                             sal_permission_names(~0, p));
        }
        bits |= bit;
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    return sal_group_put(req->args[0], bits, db, p, &err) == APR_SUCCESS ? CMD_OK
                                                                         : cmd_fail_err(&err);
}

static int activate(const request_t *req, int active, apr_pool_t *p)
{
    sal_error_t err;
    sal_db_t *db;

    if (req->nargs != 1) {
        return cmd_usage(USAGE_ACTIVE, "name one user");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    return sal_person_activate(req->args[0], active != 0, db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int dispatch(const char *verb, const request_t *req, apr_pool_t *p)
{
    if (!strcmp(verb, "add") || !strcmp(verb, "remove")) {
        return change(req, !strcmp(verb, "add"), p);
    }
    if (!strcmp(verb, "list")) {
        return list(req, p);
    }
    if (!strcmp(verb, "group")) {
        return put_group(req, p);
    }
    if (!strcmp(verb, "activate") || !strcmp(verb, "deactivate")) {
        return activate(req, !strcmp(verb, "activate"), p);
    }
    return cmd_usage("grant add|remove|list|group|activate|deactivate ...",
                     "say add, remove, list, group, activate or deactivate");
}

int cmd_grant(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { 0 };
    const char *value;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            print_help(p);
            return CMD_OK;
        }
        req.conf = value;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    return dispatch(os->ind < argc ? os->argv[os->ind] : "", &req, p);
}
