/*
 * mod_auth_crash_token: API tokens as an AuthType, and permissions as a Require provider.
 *
 *   AuthType CrashToken
 *   Require crash-permission upload_symbols upload_try_symbols      (any of them)
 *
 * A token that is sent is checked before anything else, wherever AuthType is CrashToken or
 * CrashTokenOptional or CrashLoginOnly is on; the texts and their order are Tecken's
 * (docs/symbols.md, "Authentication"), and Crash Stats' where its pages are. People: login.c,
 * docs/access.md. Other modules learn the identity from r->user and r->notes (common/web.h).
 */
#include "common/web.h"

#include <apr_base64.h>
#include <ap_expr.h>
#include <apr_strings.h>
#include <mod_auth.h>

#include "auth_crash_token/login.h"
#include "auth_crash_token/token_cache.h"
#include "base/text.h"
#include "common/drain.h"
#include "common/page.h"
#include "common/person.h"
#include "db/token.h"

module AP_MODULE_DECLARE_DATA auth_crash_token_module;

#define AUTH_TYPE "CrashToken"
#define FORBIDDEN_NOTE "crash-token-forbidden"
#define FORBIDDEN_FILTER "CRASH_TOKEN_FORBIDDEN"

typedef struct {
    int optional;        /* -1: unset */
    const char *methods; /* "GET, HEAD", or NULL for any */
    int sources;         /* enum source bits; 0: unset */
    int open;            /* for everybody, whatever CrashLoginOnly says; -1: unset */
} dir_conf_t;

/* Where a token may stand. */
enum source { FROM_HEADER = 1, FROM_KEY = 2, FROM_BASIC = 4 };

static token_cache_t *cache; /* of this child; NULL before child_init */

/* ---- refusing ---- */

static int refuse(request_rec *r, int status, const char *text)
{
    int rc = web_reply_error(r, status, "%s", text);

    return rc == OK ? DONE : rc;
}

/* Is this a place of Crash Stats? */
static int is_crashstats(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *handler = core->handler, *err = NULL;

    if (core->expr_handler) { /* SetHandler has an expression for a plain name too */
        handler = ap_expr_str_exec(r, core->expr_handler, &err);
    }
    return handler && !err && !strcmp(handler, "crashstats");
}

static int refuse_token(request_rec *r, sal_token_state_t state)
{
    static const char *const texts[] = { [SAL_TOKEN_UNKNOWN] = "API Token not matched",
                                         [SAL_TOKEN_EXPIRED] = "API Token found but expired",
                                         [SAL_TOKEN_INACTIVE_USER] =
                                             "API Token matched but user not active" };

    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2001: refused: %s", texts[state]);
    web_drain(r, WEB_DRAIN_MAX);
    if (is_crashstats(r)) {
        const char *body = apr_pstrcat(
            r->pool, "{\"error\": \"",
            state == SAL_TOKEN_INACTIVE_USER ? "User of API token not active" : texts[state],
            "\"}\n", NULL);

        web_page_headers(r);
        web_reply(r, HTTP_FORBIDDEN, "application/json; charset=UTF-8", body, strlen(body));
        return DONE;
    }
    return refuse(r, HTTP_FORBIDDEN, texts[state]);
}

static int refuse_without_database(request_rec *r, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL2002: token cannot be checked: %s",
                  err->message);
    web_drain(r, WEB_DRAIN_MAX);
    apr_table_setn(r->err_headers_out, "Retry-After", "15");
    return refuse(r, HTTP_SERVICE_UNAVAILABLE, "API Token cannot be checked now, try again later");
}

/* ---- a token ---- */

typedef struct {
    const char *sent;
    sal_token_t token;
} lookup_t;

static apr_status_t find_token(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    lookup_t *l = baton;

    return sal_token_find(&l->token, l->sent, db, p, err);
}

static apr_status_t ask(token_answer_t *out, request_rec *r, const char *sent, sal_error_t *err)
{
    unsigned char digest[32];
    lookup_t l = { .sent = sent };
    apr_status_t rv;

    sal_sha256(sent, strlen(sent), digest);
    if (token_cache_get(out, cache, digest, r->request_time)) {
        return APR_SUCCESS;
    }
    rv = web_with_db(r, find_token, &l, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    memset(out, 0, sizeof(*out));
    out->state = l.token.state;
    if (l.token.state != SAL_TOKEN_UNKNOWN) {
        out->id = l.token.id;
        out->user_id = l.token.user_id;
        out->permissions = l.token.permissions;
        out->expires = l.token.expires;
        apr_cpystrn(out->user, l.token.user ? l.token.user : "", sizeof(out->user));
    }
    token_cache_put(cache, digest, out, r->request_time);
    return APR_SUCCESS;
}

static void accept_token(request_rec *r, const token_answer_t *a)
{
    r->user = apr_pstrdup(r->pool, a->user);
    r->ap_auth_type = (char *)AUTH_TYPE;
    apr_table_setn(r->notes, "crash-token-id", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, a->id));
    apr_table_setn(r->notes, "crash-token-user-id",
                   apr_psprintf(r->pool, "%" APR_INT64_T_FMT, a->user_id));
    apr_table_setn(r->notes, "crash-token-permissions",
                   apr_psprintf(r->pool, "%d", a->permissions));
    apr_table_mergen(r->err_headers_out, "Vary", "Auth-Token");
}

static int check_token(request_rec *r, const char *header)
{
    const char *sent = apr_pstrmemdup(r->pool, header, strcspn(header, "-"));
    token_answer_t answer;
    sal_error_t err = { 0 };

    if (ask(&answer, r, sent, &err) != APR_SUCCESS) {
        return refuse_without_database(r, &err);
    }
    if (answer.state == SAL_TOKEN_OK && answer.expires && answer.expires < r->request_time) {
        answer.state = SAL_TOKEN_EXPIRED; /* since the answer was remembered */
    }
    if (answer.state != SAL_TOKEN_OK) {
        return refuse_token(r, answer.state);
    }
    accept_token(r, &answer);
    return OK;
}

static int by_token(request_rec *r)
{
    return apr_table_get(r->notes, "crash-token-id") != NULL;
}

/* ---- hooks ---- */

static int is_ours(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && !strcasecmp(type, AUTH_TYPE);
}

static int method_allowed(request_rec *r, const char *methods)
{
    const char *one;

    while (methods && *(one = ap_getword_white(r->pool, &methods))) {
        apr_size_t n = strlen(one);

        if (one[n - 1] == ',') {
            n--;
        }
        if (strlen(r->method) == n && !strncmp(one, r->method, n)) {
            return 1;
        }
    }
    return 0;
}

static int refuse_method(request_rec *r, const char *methods)
{
    const char *uri = sal_utf8_clean(r->uri, strlen(r->uri), r->pool);
    const char *method = sal_utf8_clean(r->method, strlen(r->method), r->pool);

    apr_table_setn(r->headers_out, "Allow", methods);
    web_drain(r, WEB_DRAIN_MAX);
    return refuse(r, HTTP_METHOD_NOT_ALLOWED,
                  apr_psprintf(r->pool, "Method Not Allowed (%s): %s", method, uri));
}

/* The password of HTTP Basic authentication; the user's name is a label. */
static const char *basic_password(request_rec *r)
{
    const char *header = apr_table_get(r->headers_in, "Authorization"), *colon;
    char *text;
    int n;

    if (!header || strncasecmp(header, "Basic ", 6) || strlen(header) > 8192) {
        return NULL;
    }
    text = apr_palloc(r->pool, (apr_size_t)apr_base64_decode_len(header + 6) + 1);
    n = apr_base64_decode(text, header + 6);
    text[n > 0 ? n : 0] = '\0';
    colon = strchr(text, ':');
    return colon ? colon + 1 : NULL;
}

/* What the client sent as its token, from the first place that is allowed and has one. */
static const char *sent_token(request_rec *r, const dir_conf_t *dc)
{
    int sources = dc->sources ? dc->sources : FROM_HEADER;
    const char *sent = NULL;

    if (sources & FROM_HEADER) {
        sent = apr_table_get(r->headers_in, "Auth-Token");
    }
    if (!(sent && *sent) && (sources & FROM_KEY)) {
        sent = web_param(web_query(r), "key");
    }
    if (!(sent && *sent) && (sources & FROM_BASIC)) {
        sent = basic_password(r);
    }
    return sent;
}

/* First of all checks: a token that is sent must be good, even where none is needed. */
static int token_access(request_rec *r)
{
    const dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &auth_crash_token_module);
    const char *sent = sent_token(r, dc);
    int rc = OK, ours = is_ours(r);

    if (dc->optional != 1 && !ours && (dc->open == 1 || !login_is_only(r))) {
        return DECLINED;
    }
    if (sent && *sent && !by_token(r)) {
        rc = check_token(r, sent);
    }
    if (rc == OK && ours && dc->methods && !method_allowed(r, dc->methods)) {
        rc = refuse_method(r, dc->methods);
    }
    return rc == OK ? DECLINED : rc;
}

static int token_authn(request_rec *r)
{
    if (by_token(r)) {
        return OK;
    }
    if (!is_ours(r)) {
        return DECLINED;
    }
    return refuse(r, HTTP_FORBIDDEN, "This requires an Auth-Token to authenticate the request");
}

static authz_status check_permission(request_rec *r, const char *line, const void *parsed)
{
    const int *wanted = parsed;
    web_identity_t who;
    sal_error_t err = { 0 };

    (void)line;
    login_note_groups(r);
    /* Asked first without a user; a person's rights are looked up once there is one. */
    if (web_person(r, &who, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL2046: no rights of %s: %s", r->user,
                      err.message);
    }
    if (who.permissions & *wanted) {
        return AUTHZ_GRANTED;
    }
    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    apr_table_setn(r->notes, FORBIDDEN_NOTE, "1");
    /* An ErrorDocument must not take the place of the API's answer. */
    ap_custom_response(r, HTTP_FORBIDDEN, "\"Forbidden");
    ap_custom_response(r, HTTP_UNAUTHORIZED, "\"Forbidden");
    return AUTHZ_DENIED;
}

static const char *parse_permissions(cmd_parms *cmd, const char *line, const void **parsed)
{
    int *bits = apr_pcalloc(cmd->pool, sizeof(*bits));
    const char *name;

    while (*(name = ap_getword_conf(cmd->pool, &line))) {
        int bit = sal_permission_bit(name);

        if (!bit) {
            return apr_psprintf(cmd->pool,
                                "Require crash-permission: \"%s\" is no permission; "
                                "there are: %s",
                                name, sal_permission_names(~0, cmd->pool));
        }
        *bits |= bit;
    }
    if (!*bits) {
        return "Require crash-permission: name at least one permission";
    }
    *parsed = bits;
    return NULL;
}

static const authz_provider permission_provider = { check_permission, parse_permissions };

/*
 * mod_authz_core refuses with a page of HTML, and as 401 in some configurations; clients know 403
 * and JSON. The last chance to say so is when the error page is about to be written.
 */
static void insert_forbidden(request_rec *r)
{
    if (apr_table_get(r->notes, FORBIDDEN_NOTE) &&
        (r->status == HTTP_FORBIDDEN || r->status == HTTP_UNAUTHORIZED)) {
        r->status = HTTP_FORBIDDEN;
        r->status_line = NULL;
        ap_add_output_filter(FORBIDDEN_FILTER, NULL, r, r->connection);
    }
}

static apr_status_t forbidden_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    static const char body[] = "{\"error\":\"Forbidden\"}";
    request_rec *r = f->r;
    apr_bucket_brigade *out;

    apr_brigade_cleanup(in);
    if (f->ctx) {
        return APR_SUCCESS; /* said it; this is the rest of the page */
    }
    f->ctx = r;
    out = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    ap_set_content_type(r, "application/json");
    ap_set_content_length(r, sizeof(body) - 1);
    APR_BRIGADE_INSERT_TAIL(out,
                            apr_bucket_immortal_create(body, sizeof(body) - 1, out->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(out->bucket_alloc));
    return ap_pass_brigade(f->next, out);
}

/* Authentication is over: everybody is known who ever will be. */
static int admit(request_rec *r)
{
    const dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &auth_crash_token_module);
    int rc;

    if (!by_token(r)) {
        login_note_groups(r);
    }
    rc = ap_is_initial_req(r) || r->prev ? login_admit(r, dc->open == 1) : OK;
    return rc == OK ? DECLINED : rc;
}

static void token_child_init(apr_pool_t *p, server_rec *s)
{
    cache = token_cache_make(p);
    if (!cache) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "SAL2003: no memory to remember tokens; "
                     "each request asks the database");
    }
}

/* ---- configuration ---- */

static void *make_dir_conf(apr_pool_t *p, char *dir)
{
    dir_conf_t *dc = apr_pcalloc(p, sizeof(*dc));

    (void)dir;
    dc->optional = dc->open = -1;
    return dc;
}

static void *merge_dir_conf(apr_pool_t *p, void *outer, void *inner)
{
    const dir_conf_t *o = outer, *i = inner;
    dir_conf_t *dc = apr_pcalloc(p, sizeof(*dc));

    dc->optional = i->optional >= 0 ? i->optional : o->optional;
    dc->methods = i->methods ? i->methods : o->methods;
    dc->sources = i->sources ? i->sources : o->sources;
    dc->open = i->open >= 0 ? i->open : o->open;
    return dc;
}

static const char *add_method(cmd_parms *cmd, void *conf, const char *arg)
{
    dir_conf_t *dc = conf;

    dc->methods = dc->methods ? apr_pstrcat(cmd->pool, dc->methods, ", ", arg, NULL) : arg;
    return NULL;
}

static const char *add_source(cmd_parms *cmd, void *conf, const char *arg)
{
    dir_conf_t *dc = conf;
    int source = !strcasecmp(arg, "header")  ? FROM_HEADER
                 : !strcasecmp(arg, "key")   ? FROM_KEY
                 : !strcasecmp(arg, "basic") ? FROM_BASIC
                                             : 0;

    if (!source) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is none of header, key and basic",
                            cmd->cmd->name, arg);
    }
    dc->sources |= source;
    return NULL;
}

static const command_rec token_cmds[] = {
    AP_INIT_FLAG("CrashTokenOptional", ap_set_flag_slot, (void *)APR_OFFSETOF(dir_conf_t, optional),
                 RSRC_CONF | ACCESS_CONF,
                 "on: a token that is sent is checked, a request without one stays anonymous"),
    AP_INIT_ITERATE("CrashTokenMethods", add_method, NULL, RSRC_CONF | ACCESS_CONF,
                    "methods allowed where AuthType is CrashToken; others are answered with 405 "
                    "before a missing token is"),
    AP_INIT_ITERATE("CrashTokenFrom", add_source, NULL, RSRC_CONF | ACCESS_CONF,
                    "where a token may stand: header (Auth-Token, the default), key (?key=), "
                    "basic (the password of HTTP Basic)"),
    AP_INIT_FLAG("CrashLoginOnly", login_set_only, NULL, RSRC_CONF,
                 "on: nothing of this server without a sign-in or a token, but for what "
                 "CrashLoginOpen says"),
    AP_INIT_FLAG("CrashLoginOpen", ap_set_flag_slot, (void *)APR_OFFSETOF(dir_conf_t, open),
                 RSRC_CONF | ACCESS_CONF, "on: for everybody, whatever CrashLoginOnly says"),
    AP_INIT_TAKE12("CrashGroupsFrom", login_set_groups, NULL, RSRC_CONF,
                   "an expression that names the groups of who has signed in, e.g. "
                   "%{reqenv:OIDC_CLAIM_groups}, and the character between them (a comma)"),
    AP_INIT_TAKE2("CrashGroupMap", login_add_map, NULL, RSRC_CONF,
                  "a value of CrashGroupsFrom and the group that it means; without any, values are "
                  "names of groups"),
    AP_INIT_FLAG("CrashGroupsExact", login_set_exact, NULL, RSRC_CONF,
                 "on: people are in the groups of CrashGroupsFrom and in no other"),
    { NULL }
};

static void token_hooks(apr_pool_t *p)
{
    ap_hook_child_init(token_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_access(token_access, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    /* Before other AuthTypes: a request with a good token is not sent to a login page. */
    ap_hook_check_authn(token_authn, NULL, NULL, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(admit, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_insert_error_filter(insert_forbidden, NULL, NULL, APR_HOOK_LAST);
    ap_register_output_filter(FORBIDDEN_FILTER, forbidden_filter, NULL, AP_FTYPE_RESOURCE);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "crash-permission", AUTHZ_PROVIDER_VERSION,
                              &permission_provider, AP_AUTH_INTERNAL_PER_CONF);
}

AP_DECLARE_MODULE(auth_crash_token) = {
    STANDARD20_MODULE_STUFF, make_dir_conf, merge_dir_conf, login_make_conf,
    login_merge_conf,        token_cmds,    token_hooks,    AP_MODULE_FLAG_NONE
};
