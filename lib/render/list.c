/*
 * Facets and pagers.
 */
#include "render/list.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"

static void put(json_t *row, const char *key, const char *text)
{
    if (text && *text) {
        json_object_set_new(row, key, json_string(text));
    }
}

json_t *sal_list_facet(const json_t *facet, const char *title, int code, const char *prefix,
                       apr_int64_t total, apr_pool_t *p)
{
    json_t *items = json_array(), *one;
    size_t i;

    json_array_foreach(facet, i, one)
    {
        const char *term = sal_json_str(one, "term");
        apr_int64_t n = json_integer_value(json_object_get(one, "count"));
        json_t *item = json_object();
        double share = total > 0 ? 100.0 * (double)n / (double)total : 0;

        json_object_set_new(item, "parts", sal_format_signature(term && *term ? term : "empty"));
        put(item, "link", apr_pstrcat(p, prefix, sal_format_urlencode(term ? term : "", p), NULL));
        put(item, "count", sal_format_count(n, p));
        put(item, "share", apr_psprintf(p, "%.1f", share));
        json_array_append_new(items, item);
    }
    if (json_array_size(items) == 0) {
        json_decref(items);
        return NULL;
    }
    return json_pack("{s:s, s:b, s:o}", "title", title, "code", code, "items", items);
}

static void page_link(json_t *list, int page, int here, const char *prefix, apr_pool_t *p)
{
    json_array_append_new(list,
                          json_pack("{s:i, s:s, s:b}", "number", page, "link",
                                    apr_psprintf(p, "%s%d", prefix, page), "here", page == here));
}

json_t *sal_list_pager(int page, int pages, apr_int64_t from, apr_int64_t to, apr_int64_t total,
                       const char *prefix, apr_pool_t *p)
{
    json_t *links = json_array(), *out;
    const char *info = apr_psprintf(p, "%s to %s of %s", sal_format_count(from, p),
                                    sal_format_count(to, p), sal_format_count(total, p));

    for (int i = page - 4 < 1 ? 1 : page - 4; i <= pages && i <= page + 4; i++) {
        page_link(links, i, page, prefix, p);
    }
    out = json_pack("{s:s, s:o}", "info", info, "links", links);
    if (page > 1) {
        put(out, "prev", apr_psprintf(p, "%s%d", prefix, page - 1));
    }
    if (page < pages) {
        put(out, "next", apr_psprintf(p, "%s%d", prefix, page + 1));
    }
    return out;
}
