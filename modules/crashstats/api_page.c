/*
 * /api/: every endpoint that the reader may call, with a form to try it. The forms lead back to
 * this page, which makes the call as the API itself would and shows its answer; it needs no script.
 */
#include "crashstats/api.h"

#include <apr_strings.h>

#include "common/person.h"
#include "render/format.h"
#include "render/wire.h"

enum { FORM_MAX = 1024 * 1024, SHOWN = 200 * 1000 };

typedef struct {
    crashstats_req_t *q;
    const api_endpoint_t *called; /* NULL: none */
    apr_table_t *given;           /* what the form held */
    crashstats_answer_t answer;
    apr_interval_time_t took;
    const char *csrf, *base;
} page_t;

/* ---- the call ---- */

/* A form sends its empty fields too. */
static apr_table_t *filled(apr_table_t *form, apr_pool_t *p)
{
    const apr_array_header_t *a = apr_table_elts(form);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_table_t *out = apr_table_make(p, a->nelts + 1);

    for (int i = 0; i < a->nelts; i++) {
        if (*e[i].val && strcmp(e[i].key, "call") != 0) {
            apr_table_addn(out, e[i].key, e[i].val);
        }
    }
    return out;
}

static int call(page_t *g)
{
    request_rec *r = g->q->r;
    bool post = r->method_number == M_POST;
    const char *source = post ? web_form_text(r, FORM_MAX) : r->args;
    apr_table_t *form = post ? web_pairs(source, r->pool) : g->q->query;
    const char *name = web_param(form, "call");
    apr_time_t begin = apr_time_now();
    int rc = OK;

    g->given = filled(form, r->pool);
    g->called = name ? api_find(name) : NULL;
    if (g->called && (strstr(g->called->methods, "GET") == NULL) == post) {
        g->q->answer = &g->answer;
        rc = api_serve(g->q, g->called, g->given, source, post ? "POST" : "GET");
        g->q->answer = NULL;
        g->took = apr_time_now() - begin;
        r->status = HTTP_OK;
    }
    return rc;
}

/* ---- views ---- */

/* Names with a placeholder are for programs. */
static bool in_form(const api_param_t *x)
{
    return strstr(x->name, "FIELD") == NULL;
}

static const char *kind_text(const api_param_t *x)
{
    static const char *const texts[] = { "text", "list", "whole number", "JSON" };

    return texts[x->kind];
}

static json_t *param_view(const api_param_t *x)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "param", x->name, "kind", kind_text(x), "default",
                     x->required ? "required" : x->initial, "meaning", x->meaning);
}

/* The message beside a field, NULL if there is none. */
static const char *fault(const page_t *g, const api_param_t *x)
{
    return json_string_value(
        json_array_get(json_object_get(json_object_get(g->answer.doc, "errors"), x->name), 0));
}

static json_t *field_view(const page_t *g, const api_endpoint_t *e, const api_param_t *x)
{
    const char *value = e == g->called ? web_param(g->given, x->name) : NULL;
    const char *wrong = e == g->called ? fault(g, x) : NULL;

    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:s}", "id",
                     apr_pstrcat(g->q->r->pool, e->name, "-", x->name, NULL), "field", x->name,
                     "value", value ? value : "", "area", x->kind == API_TEXT, "wrong",
                     wrong != NULL, "fault", wrong ? wrong : "", "hint", x->initial);
}

/* What a program would send. */
static const char *curl_text(const page_t *g, const api_endpoint_t *e)
{
    apr_pool_t *p = g->q->r->pool;
    bool get = strstr(e->methods, "GET") != NULL;
    const char *args = "";

    for (const api_param_t *x = e->params; x->name; x++) {
        const char *value = e == g->called ? web_param(g->given, x->name) : NULL;

        if (value || x->required) {
            args = apr_pstrcat(p, args, *args ? "&" : "", x->name, "=",
                               value ? sal_format_urlencode(value, p) : "...", NULL);
        }
    }
    if (e->flags & API_BODY) {
        return apr_psprintf(p, "curl -H 'Content-Type: application/json' -d @jobs.json %s/api/%s/",
                            g->base, e->name);
    }
    return get ? apr_psprintf(p, "curl -H \"Auth-Token: $TOKEN\" \"%s/api/%s/%s%s\"", g->base,
                              e->name, *args ? "?" : "", args)
               : apr_psprintf(p, "curl -H \"Auth-Token: $TOKEN\" -d \"%s\" %s/api/%s/", args,
                              g->base, e->name);
}

static json_t *answer_view(const page_t *g)
{
    apr_pool_t *p = g->q->r->pool;
    const char *text = sal_wire_json(g->answer.doc, true, p);
    bool cut = strlen(text) > SHOWN; /* ASCII: any place is good to cut */

    return json_pack("{s:i, s:s, s:s, s:b}", "status", g->answer.status, "took",
                     apr_psprintf(p, "%.2f s", (double)g->took / APR_USEC_PER_SEC), "text",
                     cut ? apr_pstrmemdup(p, text, SHOWN) : text, "cut", cut);
}

static json_t *endpoint_view(const page_t *g, const api_endpoint_t *e)
{
    bool post = strstr(e->methods, "GET") == NULL;
    json_t *params = json_array(), *fields = json_array();
    json_t *out =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:b, s:s, s:b}", "name", e->name,
                  "method", e->methods, "answers", e->answers, "result", e->result, "right",
                  e->right, "open", !*e->right, "curl", curl_text(g, e), "form_method",
                  post ? "post" : "get", "super", (e->flags & API_SEARCH) != 0, "csrf",
                  post ? g->csrf : "", "any_params", e->params->name != NULL);

    for (const api_param_t *x = e->params; x->name; x++) {
        json_array_append_new(params, param_view(x));
        if (in_form(x)) {
            json_array_append_new(fields, field_view(g, e, x));
        }
    }
    json_object_set_new(out, "params", params);
    json_object_set_new(out, "fields", fields);
    if (e == g->called && g->answer.doc) {
        json_object_set_new(out, "answer", answer_view(g));
    }
    return out;
}

static bool shown(const page_t *g, const api_endpoint_t *e)
{
    return !e->needs || (g->q->who.permissions & e->needs) != 0;
}

static json_t *list_view(const page_t *g, json_t *groups)
{
    json_t *list = json_array(), *links = NULL;
    const char *group = "";

    for (int i = 0; i < api_endpoints_n; i++) {
        const api_endpoint_t *e = &api_endpoints[i];

        if (!shown(g, e)) {
            continue;
        }
        if (strcmp(group, e->group) != 0) {
            group = e->group;
            links = json_array();
            json_array_append_new(groups, json_pack("{s:s, s:o}", "group", group, "links", links));
        }
        json_array_append_new(links, json_pack("{s:s, s:s, s:b}", "name", e->name, "method",
                                               e->methods, "here", e == g->called));
        json_array_append_new(list, endpoint_view(g, e));
    }
    return list;
}

static const char *rate_text(const page_t *g)
{
    apr_int64_t most = g->q->who.user ? g->q->conf->api_rate.known : g->q->conf->api_rate.anonymous;

    return most < 0 ? ""
                    : apr_psprintf(g->q->r->pool, "%s requests a minute%s",
                                   sal_format_count(most, g->q->r->pool),
                                   g->q->who.user ? "" : " without a token");
}

int api_page(crashstats_req_t *q)
{
    page_t g = { .q = q, .csrf = "" };
    json_t *groups, *list, *data;
    sal_error_t err = { 0 };
    int rc = web_allow(q->r, "GET, HEAD, POST");

    if (rc != OK || (rc = call(&g)) != OK) {
        return rc;
    }
    if (q->who.user && !q->who.by_token) {
        g.csrf = web_form_token(q->r, &q->who, &err);
        g.csrf = g.csrf ? g.csrf : "";
    }
    g.base = ap_construct_url(q->r->pool, "", q->r);
    groups = json_array();
    list = list_view(&g, groups);
    data = json_pack("{s:s, s:b, s:o, s:o, s:s}", "title", "API", "plain_title", 1, "groups",
                     groups, "endpoints", list, "rate", rate_text(&g));
    json_decref(g.answer.doc);
    return crashstats_page(q, HTTP_OK, "api", "API", data);
}
