/*
 * People of this server.
 *
 *   CrashLoginOnly on                                     nothing without a sign-in or a token
 *   CrashGroupsFrom %{reqenv:OIDC_CLAIM_groups} ","       groups come from the sign-in
 *   CrashGroupMap crash-admins Administrators             what its values mean here
 *   CrashGroupsExact on                                   and nobody is in any other group
 *
 * Who somebody is, other modules of httpd have found out by now; their rights are web_person's.
 */
#include "auth_crash_token/login.h"

#include <apr_strings.h>
#include <ap_expr.h>

#include "common/page.h"
#include "common/person.h"
#include "render/format.h"

extern module AP_MODULE_DECLARE_DATA auth_crash_token_module;

enum { MAX_CLAIM = 65536 };

static login_conf_t *conf_of(server_rec *s)
{
    return ap_get_module_config(s->module_config, &auth_crash_token_module);
}

void *login_make_conf(apr_pool_t *p, server_rec *s)
{
    login_conf_t *c = apr_pcalloc(p, sizeof(*c));

    (void)s;
    c->only = c->exact = -1;
    return c;
}

void *login_merge_conf(apr_pool_t *p, void *outer, void *inner)
{
    const login_conf_t *o = outer, *i = inner;
    login_conf_t *c = apr_pmemdup(p, o, sizeof(*c));

    c->only = i->only >= 0 ? i->only : o->only;
    c->exact = i->exact >= 0 ? i->exact : o->exact;
    c->map = i->map ? i->map : o->map;
    if (i->groups) {
        c->groups = i->groups;
        c->separator = i->separator;
    }
    return c;
}

const char *login_set_only(cmd_parms *cmd, void *conf, int on)
{
    (void)conf;
    conf_of(cmd->server)->only = on;
    return NULL;
}

const char *login_set_groups(cmd_parms *cmd, void *conf, const char *expr, const char *separator)
{
    login_conf_t *c = conf_of(cmd->server);
    const char *fault = NULL;

    (void)conf;
    if (separator && strlen(separator) != 1) {
        return apr_psprintf(
            cmd->pool, "CrashGroupsFrom: the separator is one character, not \"%s\"", separator);
    }
    c->groups = ap_expr_parse_cmd(cmd, expr, AP_EXPR_FLAG_STRING_RESULT, &fault, NULL);
    c->separator = separator ? separator : ",";
    return fault ? apr_pstrcat(cmd->pool, "CrashGroupsFrom: ", fault, NULL) : NULL;
}

const char *login_add_map(cmd_parms *cmd, void *conf, const char *value, const char *group)
{
    login_conf_t *c = conf_of(cmd->server);

    (void)conf;
    if (!*value || !*group) {
        return "CrashGroupMap: name a value of the claim and a group";
    }
    c->map = c->map ? c->map : apr_table_make(cmd->pool, 4);
    apr_table_addn(c->map, value, group);
    return NULL;
}

const char *login_set_exact(cmd_parms *cmd, void *conf, int on)
{
    (void)conf;
    conf_of(cmd->server)->exact = on;
    return NULL;
}

/* ---- groups ---- */

typedef struct {
    request_rec *r;
    const char *value;
    apr_array_header_t *out; /* const char *: names, each with a line's end */
} mapped_t;

static void add_group(mapped_t *m, const char *name)
{
    APR_ARRAY_PUSH(m->out, const char *) = apr_pstrcat(m->r->pool, name, "\n", NULL);
}

/* Values are compared as they are: apr_table's own look-up would pass over letter case. */
static int add_if_meant(void *baton, const char *value, const char *group)
{
    mapped_t *m = baton;

    if (!strcmp(m->value, value)) {
        add_group(m, group);
    }
    return 1;
}

/* "a, b" -> lines of the groups that they mean; without a map a name means itself. */
static const char *groups_of(request_rec *r, const login_conf_t *c, const char *claim)
{
    mapped_t m = { .r = r, .out = apr_array_make(r->pool, 8, sizeof(const char *)) };
    char *state, *rest = apr_pstrmemdup(r->pool, claim, strnlen(claim, MAX_CLAIM));

    for (char *one = apr_strtok(rest, c->separator, &state); one;
         one = apr_strtok(NULL, c->separator, &state)) {
        apr_size_t n;

        one += strspn(one, " \t\r\n");
        for (n = strlen(one); n && strchr(" \t\r\n", one[n - 1]); n--) {
        }
        one[n] = '\0';
        m.value = one;
        if (c->map) {
            apr_table_do(add_if_meant, &m, c->map, NULL);
        } else if (n) {
            add_group(&m, one);
        }
    }
    return apr_array_pstrcat(r->pool, m.out, 0);
}

void login_note_groups(request_rec *r)
{
    const login_conf_t *c = conf_of(r->server);
    const char *claim, *fault = NULL;

    if (!c->groups || !r->user || apr_table_get(r->notes, WEB_CLAIM_NOTE)) {
        return;
    }
    claim = ap_expr_str_exec(r, c->groups, &fault);
    if (fault) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "SAL2060: CrashGroupsFrom cannot be worked out, %s keeps no group of it: %s",
                      r->user, fault);
        claim = "";
    }
    apr_table_setn(r->notes, WEB_CLAIM_NOTE, groups_of(r, c, claim ? claim : ""));
    if (c->exact == 1) {
        apr_table_setn(r->notes, WEB_CLAIM_EXACT_NOTE, "1");
    }
}

/* ---- nothing without signing in ---- */

int login_is_only(request_rec *r)
{
    return conf_of(r->server)->only == 1;
}

/* For people the page that says so, for programs JSON. */
static int send_away(request_rec *r, int status, const char *text)
{
    int rc;

    web_page_headers(r);
    if (web_wants_html(r) && !web_is_xhr(r) && r->method_number == M_GET) {
        const char *here = apr_pstrcat(r->pool, r->uri, r->args ? "?" : "", r->args, NULL);

        rc = web_redirect(
            r, HTTP_MOVED_TEMPORARILY,
            apr_pstrcat(r->pool, "/login/?next=", sal_format_urlencode(here, r->pool), NULL));
        return rc == OK ? DONE : rc;
    }
    if (status == HTTP_UNAUTHORIZED) { /* a scheme that no browser asks for a password for */
        apr_table_setn(r->err_headers_out, "WWW-Authenticate", "CrashToken realm=\"Salvage\"");
    }
    apr_table_setn(r->err_headers_out, "Cache-Control", "private, no-store");
    rc = web_reply_error(r, status, "%s", text);
    return rc == OK ? DONE : rc;
}

int login_admit(request_rec *r, int open)
{
    web_identity_t who;
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!login_is_only(r)) {
        return OK;
    }
    apr_table_setn(r->notes, WEB_CLOSED_NOTE, "1");
    if (open) {
        return OK;
    }
    rv = web_person(r, &who, &err);
    if (rv == SAL_E_DENIED) {
        return send_away(r, HTTP_FORBIDDEN, "This account is not active");
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL2061: nobody can be let in: %s",
                      err.message);
        apr_table_setn(r->err_headers_out, "Retry-After", "15");
        return HTTP_SERVICE_UNAVAILABLE;
    }
    return who.user ? OK : send_away(r, HTTP_UNAUTHORIZED, "Sign in, or send an API token");
}
