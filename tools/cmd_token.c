/*
 * salvage token: makes, lists, changes and revokes API tokens. The text of a new token is the only
 * thing on standard output, so that a script can keep it.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"
#include "db/token.h"

#define USAGE_CREATE                                                                               \
    "token create USER --permission NAME... [--expires 90d|never] [--notes TEXT]"                  \
    " [--upload-api 1|2] [-c FILE]"
#define USAGE_LIST "token list [USER] [-c FILE]"
#define USAGE_SET "token set ID --upload-api 1|2 [-c FILE]"
#define USAGE_REVOKE "token revoke ID [-c FILE]"
#define DEFAULT_DAYS 365
#define ACTOR "salvage" /* in the audit log */

typedef struct request_t {
    const char *conf, *notes;
    int permissions;
    int upload_api;    /* 0: not said */
    int64_t expires;   /* seconds from now; 0 for never */
    const char **args; /* behind the verb */
    int nargs;
} request_t;

static const apr_getopt_option_t options[] = {
    { "permission", 'p', 1, "a permission the token gives; may be repeated" },
    { "expires", 'e', 1, "life time, e.g. 90d, or never" },
    { "notes", 'n', 1, "what the token is for" },
    { "upload-api", 'u', 1, "version of the upload API that its clients are told to use, 1 or 2" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print_help(apr_pool_t *p)
{
    printf("usage: salvage %s\n       salvage %s\n       salvage %s\n       salvage %s\n\n"
           "permissions: %s\n",
           USAGE_CREATE, USAGE_LIST, USAGE_SET, USAGE_REVOKE, sal_permission_names(~0, p));
}

static int take_permission(request_t *req, const char *value, apr_pool_t *p)
{
    int bit = sal_permission_bit(value);

    if (!bit) {
        return cmd_usage(USAGE_CREATE, "\"%s\" is not a permission; they are %s", value,
                         sal_permission_names(~0, p));
    }
    req->permissions |= bit;
    return CMD_OK;
}

static int take_expires(request_t *req, const char *value)
{
    if (!strcmp(value, "never")) {
        req->expires = 0;
        return CMD_OK;
    }
    if (!sal_parse_duration(value, &req->expires) || req->expires < 1 ||
        req->expires > INT64_C(86400) * 36525) {
        return cmd_usage(USAGE_CREATE,
                         "--expires \"%s\" is not a time such as 12h or 90d, "
                         "nor never",
                         value);
    }
    return CMD_OK;
}

static int take_upload_api(request_t *req, const char *value)
{
    int64_t version;

    if (!sal_parse_int(value, 1, 2, &version)) {
        return cmd_usage(USAGE_SET, "--upload-api \"%s\" is neither 1 nor 2", value);
    }
    req->upload_api = (int)version;
    return CMD_OK;
}

static int create(const request_t *req, apr_pool_t *p)
{
    apr_time_t expires = req->expires ? apr_time_now() + apr_time_from_sec(req->expires) : 0;
    const char *plain;
    sal_error_t err;
    sal_db_t *db;
    int64_t id;

    if (req->nargs != 1 || !*req->args[0]) {
        return cmd_usage(USAGE_CREATE, "name the user that the token is for");
    }
    if (!req->permissions) {
        return cmd_usage(USAGE_CREATE, "give the token at least one --permission");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    if (sal_token_create_by(&plain, &id, ACTOR, req->args[0], req->permissions, expires, req->notes,
                            db, p, &err) != APR_SUCCESS ||
        /* If only this fails, nobody has seen the token: it opens nothing. */
        (req->upload_api &&
         sal_token_upload_api_by(id, req->upload_api, ACTOR, db, p, &err) != APR_SUCCESS)) {
        return cmd_fail_err(&err);
    }
    puts(plain);
    return CMD_OK;
}

static int set(const request_t *req, apr_pool_t *p)
{
    sal_error_t err;
    sal_db_t *db;
    int64_t id;

    if (req->nargs != 1 || !sal_parse_int(req->args[0], 1, INT64_MAX, &id)) {
        return cmd_usage(USAGE_SET, "name the token by its id (`salvage token list` shows it)");
    }
    if (!req->upload_api) {
        return cmd_usage(USAGE_SET, "say what to change: --upload-api");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    return sal_token_upload_api_by(id, req->upload_api, ACTOR, db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static const char *state_name(sal_token_state_t state)
{
    return state == SAL_TOKEN_OK ? "valid" : state == SAL_TOKEN_EXPIRED ? "expired" : "inactive";
}

static const char *day(apr_time_t t, apr_pool_t *p)
{
    return t ? apr_pstrmemdup(p, sal_time_iso(t, p), 10) : "never";
}

/* Tab-separated, a token a line, so that cut and awk can read it. */
static int list(const request_t *req, apr_pool_t *p)
{
    sal_token_t *tokens;
    sal_error_t err;
    sal_db_t *db;
    int n;

    if (req->nargs > 1) {
        return cmd_usage(USAGE_LIST, "one user at most");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    if (sal_token_list(&tokens, &n, req->nargs ? req->args[0] : NULL, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("id\ttoken\tuser\tstate\texpires\tlast used\tpermissions\tnotes\tupload API");
    for (int i = 0; i < n; i++) {
        const sal_token_t *t = &tokens[i];

        printf("%lld\t%s...\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", (long long)t->id, t->prefix, t->user,
               state_name(t->state), day(t->expires, p), day(t->last_used, p),
               sal_permission_names(t->permissions, p), t->notes, t->upload_api);
    }
    return CMD_OK;
}

static int revoke_one(const request_t *req, apr_pool_t *p)
{
    sal_error_t err;
    sal_db_t *db;
    int64_t id;

    if (req->nargs != 1 || !sal_parse_int(req->args[0], 1, INT64_MAX, &id)) {
        return cmd_usage(USAGE_REVOKE, "name the token by its id (`salvage token list` shows it)");
    }
    if ((db = cmd_db_open(req->conf, p)) == NULL) {
        return CMD_FAILED;
    }
    return sal_token_revoke(id, db, p, &err) == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
}

static int dispatch(const char *verb, const request_t *req, apr_pool_t *p)
{
    if (!strcmp(verb, "create")) {
        return create(req, p);
    }
    if (!strcmp(verb, "list")) {
        return list(req, p);
    }
    if (!strcmp(verb, "set")) {
        return set(req, p);
    }
    if (!strcmp(verb, "revoke")) {
        return revoke_one(req, p);
    }
    return cmd_usage("token create|list|set|revoke ...", "say create, list, set or revoke");
}

int cmd_token(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .expires = INT64_C(86400) * DEFAULT_DAYS };
    const char *value;
    apr_status_t rv;
    int c, code = CMD_OK;

    while (code == CMD_OK && (rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        switch (c) {
        case 'h':
            print_help(p);
            return CMD_OK;
        case 'p':
            code = take_permission(&req, value, p);
            break;
        case 'e':
            code = take_expires(&req, value);
            break;
        case 'u':
            code = take_upload_api(&req, value);
            break;
        case 'n':
            req.notes = value;
            break;
        default:
            req.conf = value;
        }
    }
    if (code != CMD_OK || rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    return dispatch(os->ind < argc ? os->argv[os->ind] : "", &req, p);
}
