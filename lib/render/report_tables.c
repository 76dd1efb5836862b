/*
 * The tables of a report: modules, annotations, extensions, breadcrumbs.
 */
#include "render/report_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"

/* ---- modules ---- */

static const char *safe_url(const json_t *module)
{
    const char *url = sal_json_str(module, "symbol_url");

    return url && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) ? url
                                                                                        : NULL;
}

/* Where the page of missing symbols says what to upload; NULL if it has none to name. */
const char *sal_report_missing(const json_t *module, apr_pool_t *p)
{
    const char *file = sal_json_str(module, "debug_file"), *id = sal_json_str(module, "debug_id");

    if (!json_is_true(json_object_get(module, "missing_symbols")) || !file || !*file) {
        return NULL;
    }
    return apr_pstrcat(p, "/uploads/missing/?symbol=", sal_format_urlencode(file, p),
                       id && *id ? "&debugid=" : "", id ? sal_format_urlencode(id, p) : "", NULL);
}

json_t *sal_report_modules(const sal_report_t *r)
{
    json_t *out = json_array(), *m;
    size_t i;

    json_array_foreach(json_object_get(r->dump, "modules"), i, m)
    {
        const char *name = sal_json_str(m, "filename");
        json_t *row;

        if (i == SAL_REPORT_MAX_MODULES) {
            break;
        }
        row = json_pack("{s:s, s:b, s:b, s:b}", "name", name && *name ? name : "unnamed", "lacking",
                        json_is_true(json_object_get(m, "missing_symbols")), "loaded",
                        json_is_true(json_object_get(m, "loaded_symbols")), "corrupt",
                        json_is_true(json_object_get(m, "corrupt_symbols")));
        sal_report_put(row, "version", sal_json_str(m, "version"));
        sal_report_put(row, "debug_id", sal_json_str(m, "debug_id"));
        sal_report_put(row, "debug_file", sal_json_str(m, "debug_file"));
        sal_report_put(row, "base", sal_json_str(m, "base_addr"));
        sal_report_put(row, "signer", sal_json_str(m, "cert_subject"));
        sal_report_put(row, "url", safe_url(m));
        sal_report_put(row, "missing", sal_report_missing(m, r->p));
        json_array_append_new(out, row);
    }
    return out;
}

json_t *sal_report_unloaded(const sal_report_t *r, bool *any_signer)
{
    json_t *out = json_array(), *m;
    size_t i;

    json_array_foreach(json_object_get(r->dump, "unloaded_modules"), i, m)
    {
        const char *name = sal_json_str(m, "filename");
        json_t *row;

        if (i == SAL_REPORT_MAX_MODULES) {
            break;
        }
        row = json_pack("{s:s}", "name", name && *name ? name : "unnamed");
        sal_report_put(row, "code_id", sal_json_str(m, "code_id"));
        sal_report_put(row, "signer", sal_json_str(m, "cert_subject"));
        *any_signer |= sal_json_str(m, "cert_subject") != NULL;
        json_array_append_new(out, row);
    }
    return out;
}

/* ---- annotations ---- */

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int c = strcasecmp(x, y);

    return c ? c : strcmp(x, y);
}

static bool collectors_own(const char *key)
{
    return strcmp(key, "metadata") == 0 || strcmp(key, "uuid") == 0 ||
           strcmp(key, "submitted_timestamp") == 0 || strcmp(key, "version") == 0;
}

json_t *sal_report_annotations(const json_t *annotations, apr_pool_t *p)
{
    json_t *out = json_array(), *v;
    apr_array_header_t *keys = apr_array_make(p, 64, sizeof(const char *));
    const char *key;

    json_object_foreach((json_t *)annotations, key, v)
    {
        if (!collectors_own(key)) {
            APR_ARRAY_PUSH(keys, const char *) = key;
        }
    }
    qsort(keys->elts, (size_t)keys->nelts, sizeof(const char *), by_name);
    for (int i = 0; i < keys->nelts; i++) {
        json_t *row = json_object();

        key = APR_ARRAY_IDX(keys, i, const char *);
        sal_report_put(row, "key", key);
        sal_report_put(row, "value", sal_report_plain(json_object_get(annotations, key), p));
        json_array_append_new(out, row);
    }
    return out;
}

/* ---- extensions ---- */

enum { ADDONS_MAX = 500 };

/* What the client's check of a signature came to. */
static const char *signed_state(const json_t *addon)
{
    static const char *const name[] = { "broken", "unknown", "missing",   "preliminary",
                                        "signed", "system",  "privileged" };
    const json_t *state = json_object_get(addon, "signedState");

    if (!json_is_integer(state)) {
        return "not required";
    }
    return json_integer_value(state) >= -2 && json_integer_value(state) <= 4
               ? name[json_integer_value(state) + 2]
               : NULL;
}

/* A row; known: what the client's environment says of it, or NULL. */
static json_t *addon_row(const char *id, const char *version, const json_t *known, apr_pool_t *p)
{
    json_t *row = json_object();
    const json_t *v = json_object_get(known, "version");

    sal_report_put(row, "id", sal_report_cut(id, p));
    sal_report_put(row, "version",
                   version ? sal_report_cut(version, p)
                   : v     ? sal_report_plain(v, p)
                           : NULL);
    if (known) {
        const char *name = sal_json_str(known, "name"), *state = signed_state(known);
        const json_t *system = json_object_get(known, "isSystem");

        sal_report_put(row, "name", name ? sal_report_cut(name, p) : NULL);
        sal_report_put(row, "system",
                       json_is_boolean(system) ? json_is_true(system) ? "yes" : "no" : NULL);
        sal_report_put(row, "state",
                       state ? state : sal_report_plain(json_object_get(known, "signedState"), p));
        json_object_set_new(
            row, "doubt",
            json_boolean(state && (strcmp(state, "broken") == 0 || strcmp(state, "unknown") == 0 ||
                                   strcmp(state, "missing") == 0)));
    }
    return row;
}

/* Those of the report, then those that only the client's environment names. */
json_t *sal_report_addons(const sal_report_t *r)
{
    json_t *out = json_array(), *item;
    const json_t *active = sal_json_path(r->doc, "telemetry_environment.addons.activeAddons");
    apr_hash_t *seen = apr_hash_make(r->p);
    const char *id;
    size_t i;

    json_array_foreach(json_object_get(r->doc, "addons"), i, item)
    {
        const char *s = json_string_value(item), *colon = s ? strrchr(s, ':') : NULL;

        if (!s || i >= ADDONS_MAX) {
            continue;
        }
        id = colon ? apr_pstrmemdup(r->p, s, colon - s) : s;
        apr_hash_set(seen, id, APR_HASH_KEY_STRING, id);
        json_array_append_new(
            out, addon_row(id, colon && strcmp(colon, ":NO_VERSION") != 0 ? colon + 1 : NULL,
                           json_object_get(active, id), r->p));
    }
    json_object_foreach((json_t *)active, id, item)
    {
        if (!apr_hash_get(seen, id, APR_HASH_KEY_STRING) && json_array_size(out) < ADDONS_MAX) {
            json_array_append_new(out, addon_row(id, NULL, item, r->p));
        }
    }
    return out;
}

/* ---- breadcrumbs ---- */

/* The last ten of the trail; a document without view_pii has none. */
json_t *sal_report_breadcrumbs(const sal_report_t *r)
{
    const json_t *all = json_object_get(r->doc, "breadcrumbs");
    size_t n = json_array_size(all);
    json_t *out = json_array();

    for (size_t i = n > 10 ? n - 10 : 0; i < n; i++) {
        const json_t *one = json_array_get(all, i);
        const json_t *data = json_object_get(one, "data");
        const char *message = sal_json_str(one, "message");
        json_t *row = json_object();

        sal_report_put(row, "when", sal_json_str(one, "timestamp"));
        sal_report_put(row, "category", sal_json_str(one, "category"));
        sal_report_put(row, "level", sal_json_str(one, "level"));
        sal_report_put(row, "type", sal_json_str(one, "type"));
        sal_report_put(row, "message", message ? sal_report_cut(message, r->p) : NULL);
        if (!message && data) {
            sal_report_put(row, "message", sal_report_plain(data, r->p));
        }
        json_array_append_new(out, row);
    }
    return out;
}
