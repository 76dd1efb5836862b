/*
 * /search/fields/: what a form can be built of, as JSON.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/text.h"
#include "render/wire.h"

static json_t *choices(const char *name)
{
    static const char *const process[] = { "parent", "content", "gpu",     "plugin",
                                           "rdd",    "socket",  "utility", NULL };
    static const char *const pressure[] = { "Normal",   "Unset",      "Warning",
                                            "Critical", "Unexpected", NULL };
    const char *const *list = strcmp(name, "process_type") == 0          ? process
                              : strcmp(name, "mac_memory_pressure") == 0 ? pressure
                                                                         : NULL;
    json_t *out = json_array();

    for (; list && *list; list++) {
        json_array_append_new(out, json_string(*list));
    }
    return out;
}

static const char *type_name(const sal_search_field_t *f)
{
    static const char *const names[] = { "string", "enum", "bool", "int", "float", "date" };

    return names[f->type];
}

int crashstats_search_fields(crashstats_req_t *q, const char *rest)
{
    apr_array_header_t *excluded = web_param_all(q->query, "exclude", q->r->pool);
    const char *pretty = web_param(q->query, "pretty"), *text;
    json_t *out = json_object();
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    (void)rest;
    for (int i = 0; i < n; i++) {
        bool left_out = f[i].is_protected && !q->pii;

        for (int k = 0; k < excluded->nelts && !left_out; k++) {
            left_out = strcmp(APR_ARRAY_IDX(excluded, k, const char *), f[i].name) == 0;
        }
        if (!left_out) {
            json_object_set_new(out, f[i].name,
                                json_pack("{s:s, s:s, s:o, s:b, s:b}", "name",
                                          sal_ask_label(f[i].name, q->r->pool), "valueType",
                                          type_name(&f[i]), "values", choices(f[i].name),
                                          "multiple", 1, "extensible", 1));
        }
    }
    text = sal_wire_json(out, pretty && strcmp(pretty, "print") == 0, q->r->pool);
    json_decref(out);
    apr_table_setn(q->r->headers_out, "Vary", "Auth-Token, Cookie, Authorization");
    apr_table_setn(q->r->headers_out, "Cache-Control", "private, max-age=300");
    return web_reply(q->r, HTTP_OK, "application/json; charset=UTF-8", text, strlen(text));
}
