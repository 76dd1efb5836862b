/*
 * /signature/: the whole report in one page, and each of its tabs at an address of its own. To
 * scripts a tab answers with its part alone.
 */
#include "crashstats/signature.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/format.h"

typedef struct tab_t {
    const char *name, *title;
    int want;
    void (*put)(signature_t *s, json_t *data);
} tab_t;

static const tab_t tabs[] = {
    { "summary", "Summary", SIGNATURE_SUMMARY, signature_put_summary },
    { "reports", "Reports", SIGNATURE_REPORTS, signature_put_reports },
    { "aggregation", "Aggregations", SIGNATURE_AGGREGATIONS, signature_put_aggregations },
    { "graphs", "Graphs", SIGNATURE_GRAPHS, signature_put_graph },
    { "bugzilla", "Bugs", SIGNATURE_BUGS, signature_put_bugs },
    { "comments", "Comments", SIGNATURE_COMMENTS, signature_put_comments },
    { "correlations", "Correlations", SIGNATURE_CORRELATIONS, signature_put_correlations },
    { "notes", "Notes", SIGNATURE_NOTES, signature_put_life }
};
enum { TABS = sizeof tabs / sizeof tabs[0] };

/* The conditions of the address as they were sent: the date only if there was one. */
static const char *conditions(const signature_t *s)
{
    static const char *const added[] = { "date", "page", NULL };

    return sal_ask_query(sal_ask_without(s->ask, s->dated ? added + 1 : added));
}

static const char *address_of(const signature_t *s, const char *tab)
{
    const char *query = conditions(s);

    return apr_pstrcat(s->p, "/signature/", tab, *tab ? "/" : "",
                       "?signature=", sal_format_urlencode(s->signature, s->p), *query ? "&" : "",
                       query, NULL);
}

/* Numbers beside the tabs' names. */
static const char *number_of(const signature_t *s, const tab_t *tab)
{
    if (tab->want == SIGNATURE_REPORTS) {
        return sal_format_count(s->total, s->p);
    }
    if (tab->want == SIGNATURE_COMMENTS && s->comments) {
        return sal_format_count(json_integer_value(json_object_get(s->comments, "total")), s->p);
    }
    return tab->want == SIGNATURE_NOTES && s->state->notes ? sal_format_count(s->state->notes, s->p)
                                                           : NULL;
}

/* On the whole page they lead down; on a tab's page, to the others. */
static void put_tabs(signature_t *s, json_t *data, const tab_t *only)
{
    json_t *out = json_array();

    for (int i = 0; i < TABS; i++) {
        const tab_t *tab = &tabs[i];
        const char *number = number_of(s, tab);
        const char *href = !only ? apr_pstrcat(s->p, "#", tab->name, NULL)
                           : tab->want == SIGNATURE_AGGREGATIONS || tab->want == SIGNATURE_GRAPHS
                               ? apr_pstrcat(s->p, address_of(s, ""), "#", tab->name, NULL)
                               : address_of(s, i ? tab->name : "");
        json_t *one = json_pack("{s:s, s:s, s:b, s:b}", "name", tab->title, "href", href, "here",
                                only ? tab == only : i == 0, "page", only != NULL);

        if (number) {
            json_object_set_new(one, "number", json_string(number));
        }
        json_array_append_new(out, one);
    }
    json_object_set_new(data, "tabs", out);
}

static json_t *frame_of(signature_t *s)
{
    json_t *data =
        json_pack("{s:s, s:b, s:o, s:s, s:s, s:s, s:s}", "title",
                  apr_pstrcat(s->p, s->signature, ": signature", NULL), "plain_title", 1,
                  "signature", sal_format_signature(s->signature), "signature_text", s->signature,
                  "self", s->self, "whole", address_of(s, ""), "reports_self",
                  apr_pstrcat(s->p, "/signature/reports/", s->self + strlen("/signature/"), NULL));

    json_object_set_new(data, "pii", json_boolean(s->q->pii));
    return data;
}

static void put_part(signature_t *s, json_t *data, const tab_t *tab)
{
    tab->put(s, data);
    json_object_set_new(data, apr_pstrcat(s->p, "show_", tab->name, NULL), json_true());
}

static void log_protected(const signature_t *s)
{
    if (s->comments) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, s->q->r,
                      "SAL4085: comments of a signature shown to %s",
                      s->q->who.user ? s->q->who.user : "a token");
    }
}

int crashstats_signature(crashstats_req_t *q, const char *rest)
{
    signature_t s;
    json_t *data;
    int rc = OK;

    (void)rest;
    if (!signature_read(&s, q, SIGNATURE_ALL, &rc) || !signature_find(&s, &rc)) {
        return rc;
    }
    data = frame_of(&s);
    q->product = s.product;
    signature_put_head(&s, data);
    for (int i = 0; i < TABS; i++) {
        put_part(&s, data, &tabs[i]);
    }
    put_tabs(&s, data, NULL);
    log_protected(&s);
    return crashstats_page(q, HTTP_OK, "signature-page", "Top crashers", data);
}

/* ---- tabs at their own addresses ---- */

static int fragment(crashstats_req_t *q, const char *name, json_t *data)
{
    sal_error_t err = { 0 };
    apr_status_t rv;
    char *body;
    apr_size_t size;

    rv = sal_template_render(&body, &size, q->conf->templates,
                             apr_pstrcat(q->r->pool, "signature-", name, NULL), data, q->r->pool,
                             &err);
    json_decref(data);
    if (rv != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    apr_table_setn(q->r->headers_out, "Cache-Control",
                   q->pii || q->who.user ? "private, no-store" : "no-cache");
    apr_table_setn(q->r->headers_out, "Vary",
                   "Auth-Token, Cookie, Authorization, X-Requested-With");
    return web_reply(q->r, HTTP_OK, "text/html; charset=UTF-8", body, size);
}

static int tab_page(crashstats_req_t *q, const tab_t *tab, const char *aggregated)
{
    bool script = web_is_xhr(q->r);
    int want = tab->want | (tab->want == SIGNATURE_NOTES ? SIGNATURE_HEAD : 0);
    signature_t s;
    json_t *data;
    int rc = OK;

    if (!signature_read(&s, q, script ? want : want | SIGNATURE_HEAD, &rc)) {
        return rc;
    }
    if (tab->want == SIGNATURE_COMMENTS && !q->pii) {
        return signature_error(q, HTTP_FORBIDDEN,
                               "Comments need the permission View Personal Identifiable "
                               "Information");
    }
    if (aggregated) {
        s.fields[0] = aggregated;
        s.fields[1] = NULL;
    }
    if (!signature_find(&s, &rc)) {
        return rc;
    }
    data = frame_of(&s);
    put_part(&s, data, tab);
    log_protected(&s);
    if (script) {
        return fragment(q, tab->name, data);
    }
    if (tab->want != SIGNATURE_BUGS) {
        signature_put_bugs(&s, data); /* the head has their numbers */
    }
    q->product = s.product;
    signature_put_head(&s, data);
    put_tabs(&s, data, tab);
    return crashstats_page(q, HTTP_OK, "signature-page", "Top crashers", data);
}

/* "platform/" of "aggregation/platform/": the field, or NULL. */
static const char *field_in(const char *rest, const char *tab, apr_pool_t *p)
{
    apr_size_t n = strlen(tab), m;

    if (strncmp(rest, tab, n) != 0 || rest[n] != '/') {
        return NULL;
    }
    m = strlen(rest + n + 1);
    return m > 1 && m <= 100 && rest[n + m] == '/' && !memchr(rest + n + 1, '/', m - 1)
               ? apr_pstrmemdup(p, rest + n + 1, m - 1)
               : NULL;
}

static int moved_with_slash(crashstats_req_t *q)
{
    request_rec *r = q->r;

    return web_redirect(r, HTTP_MOVED_PERMANENTLY,
                        apr_pstrcat(r->pool, ap_os_escape_path(r->pool, r->uri, 0), "/",
                                    r->args ? "?" : "", r->args ? r->args : "", NULL));
}

int crashstats_signature_tab(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    const char *path = apr_pstrcat(p, rest, "/", NULL);
    apr_size_t n = strlen(rest);
    bool slash = n && rest[n - 1] == '/';
    const char *with = slash ? rest : path, *field;

    for (int i = 0; i < TABS; i++) {
        const tab_t *tab = &tabs[i];
        bool fields = tab->want == SIGNATURE_AGGREGATIONS || tab->want == SIGNATURE_GRAPHS;

        if (fields && (field = field_in(with, tab->name, p))) {
            if (!slash) {
                return moved_with_slash(q);
            }
            if (tab->want == SIGNATURE_GRAPHS) {
                return signature_graph(q, field);
            }
            return signature_may_use(q, field) ? tab_page(q, tab, field)
                                               : signature_not_allowed(q, "aggregate on", field);
        }
        if (!fields && strncmp(with, tab->name, strlen(tab->name)) == 0 &&
            !strcmp(with + strlen(tab->name), "/")) {
            return slash ? tab_page(q, tab, NULL) : moved_with_slash(q);
        }
    }
    return crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                              "The address may be mistyped, or from an older version.");
}
