/*
 * Files that describe a product. Strict: what nobody would look at is an error, so that a typing
 * mistake is found when the file is imported.
 */
#include "triage/products.h"

#include <limits.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "triage/versions.h"

typedef struct reader_t {
    const char *path;
    sal_product_page_t *out;
    apr_pool_t *p;
    sal_error_t *err;
} reader_t;

static apr_status_t wrong(const reader_t *r, const char *key, const char *what)
{
    return sal_fail(r->err, SAL_E_MALFORMED, "%s: %s %s", r->path, key, what);
}

/* A text without control characters; the parser lets no bad UTF-8 through. */
static bool plain(const char *text)
{
    for (const char *c = text; text && *c; c++) {
        if (apr_iscntrl(*c)) {
            return false;
        }
    }
    return text && strlen(text) <= SAL_PRODUCT_TEXT_MAX;
}

static apr_status_t read_name(reader_t *r, const char *key, const json_t *v)
{
    const char *text = json_string_value(v);

    r->out->name = text;
    return plain(text) && *text && strlen(text) <= 255
               ? APR_SUCCESS
               : wrong(r, key, "must be a text of 1 to 255 bytes");
}

static apr_status_t read_description(reader_t *r, const char *key, const json_t *v)
{
    r->out->description = json_string_value(v);
    return plain(r->out->description) ? APR_SUCCESS : wrong(r, key, "must be a text of one line");
}

static apr_status_t read_sort(reader_t *r, const char *key, const json_t *v)
{
    json_int_t n = json_integer_value(v);

    r->out->sort = (int)n;
    return json_is_integer(v) && n >= INT_MIN && n <= INT_MAX ? APR_SUCCESS
                                                              : wrong(r, key, "must be an integer");
}

static apr_status_t read_featured(reader_t *r, const char *key, const json_t *v)
{
    const char **list = apr_pcalloc(r->p, sizeof(char *) * (json_array_size(v) + 1));
    const json_t *one;
    size_t i;

    if (!json_is_array(v) || json_array_size(v) > SAL_PRODUCT_LISTS_MAX) {
        return wrong(r, key, "must be a list of at most 100 versions");
    }
    json_array_foreach(v, i, one)
    {
        list[i] = json_string_value(one);
        if (!plain(list[i]) || !*list[i] || strlen(list[i]) > SAL_VERSION_TEXT_MAX) {
            return wrong(r, key, "must be a list of versions, \"auto\" or \"KEY.PATH\"");
        }
    }
    r->out->featured = list;
    return APR_SUCCESS;
}

static bool starts(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_url(const char *text, bool local)
{
    if (!plain(text) || strpbrk(text, " \"<>\\")) {
        return false;
    }
    return ((starts(text, "https://") || starts(text, "http://")) && strstr(text, "//")[2]) ||
           (local && *text == '/' && text[1] != '/');
}

static apr_status_t read_urls(reader_t *r, const char *key, json_t *v)
{
    const char *name;
    json_t *url;

    if (!json_is_object(v) || json_object_size(v) > SAL_PRODUCT_LISTS_MAX) {
        return wrong(r, key, "must be an object of at most 100 addresses");
    }
    json_object_foreach(v, name, url)
    {
        if (!is_url(json_string_value(url), false)) {
            return wrong(r, key, "must have http or https addresses as values");
        }
        if (!*name || strchr(name, '.')) {
            return wrong(r, key, "must have names without dots");
        }
    }
    r->out->version_urls = v;
    return APR_SUCCESS;
}

static apr_status_t read_buildhub(reader_t *r, const char *key, const json_t *v)
{
    r->out->in_buildhub = json_is_true(v);
    return json_is_boolean(v) ? APR_SUCCESS : wrong(r, key, "must be true or false");
}

/* "%(signature)s", "%%"; nothing else may stand behind a percent sign but two hex digits. */
static bool template_ok(const char *text)
{
    static const char *const keys[] = { "bug_type",  "op_sys", "rep_platform",
                                        "signature", "title",  "description" };

    for (const char *c = strchr(text, '%'); c; c = strchr(c, '%')) {
        bool known = c[1] == '%' || (apr_isxdigit(c[1]) && apr_isxdigit(c[2]));
        size_t skip = c[1] == '%' ? 2 : 3;

        for (size_t i = 0; !known && i < sizeof keys / sizeof keys[0]; i++) {
            size_t len = strlen(keys[i]);

            known = c[1] == '(' && starts(c + 2, keys[i]) && starts(c + 2 + len, ")s");
            skip = known ? len + 4 : skip;
        }
        if (!known) {
            return false;
        }
        c += skip;
    }
    return true;
}

/* [[text, address]]. */
static apr_status_t check_links(const reader_t *r, const char *key, const json_t *v, bool template)
{
    const json_t *one;
    size_t i;

    if (!json_is_array(v) || json_array_size(v) > SAL_PRODUCT_LISTS_MAX) {
        return wrong(r, key, "must be a list of at most 100 pairs of text and address");
    }
    json_array_foreach(v, i, one)
    {
        const char *text = json_string_value(json_array_get(one, 0));
        const char *url = json_string_value(json_array_get(one, 1));

        if (json_array_size(one) != 2 || !plain(text) || !*text || !is_url(url, !template)) {
            return wrong(r, key, "must be a list of pairs of text and address");
        }
        if (template && !template_ok(url)) {
            return wrong(r, key,
                         "may have %(bug_type)s, op_sys, rep_platform, signature, title and "
                         "description in its templates");
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_bug_links(reader_t *r, const char *key, json_t *v)
{
    r->out->bug_links = v;
    return check_links(r, key, v, true);
}

static apr_status_t read_home_links(reader_t *r, const char *key, json_t *v)
{
    r->out->home_links = v;
    return check_links(r, key, v, false);
}

static apr_status_t read_member(reader_t *r, const char *key, json_t *v)
{
    if (*key == '_') {
        return APR_SUCCESS;
    } else if (!strcmp(key, "name")) {
        return read_name(r, key, v);
    } else if (!strcmp(key, "description")) {
        return read_description(r, key, v);
    } else if (!strcmp(key, "home_page_sort")) {
        return read_sort(r, key, v);
    } else if (!strcmp(key, "featured_versions")) {
        return read_featured(r, key, v);
    } else if (!strcmp(key, "version_json_urls")) {
        return read_urls(r, key, v);
    } else if (!strcmp(key, "in_buildhub")) {
        return read_buildhub(r, key, v);
    } else if (!strcmp(key, "bug_links")) {
        return read_bug_links(r, key, v);
    } else if (!strcmp(key, "product_home_links")) {
        return read_home_links(r, key, v);
    }
    return wrong(r, key, "is no key of a product file");
}

apr_status_t sal_product_page_parse(sal_product_page_t *out, const char *text, size_t len,
                                    const char *path, apr_pool_t *p, sal_error_t *err)
{
    static const char *const required[] = { "name", "description", "home_page_sort" };
    reader_t r = { path, out, p, err };
    sal_error_t why = { 0 };
    apr_status_t rv;
    const char *key;
    json_t *doc, *v;

    *out = (sal_product_page_t){ .listed = true,
                                 .featured = apr_pcalloc(p, sizeof(char *)),
                                 .version_urls = sal_json_own(json_object(), p),
                                 .bug_links = sal_json_own(json_array(), p),
                                 .home_links = sal_json_own(json_array(), p) };
    if ((rv = sal_json_parse(&doc, text, len, p, &why)) != APR_SUCCESS) {
        return sal_fail(err, rv, "%s: %s", path, why.message);
    }
    if (!json_is_object(doc)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: is no JSON object", path);
    }
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (!json_object_get(doc, required[i])) {
            return wrong(&r, required[i], "is missing");
        }
    }
    json_object_foreach(doc, key, v)
    {
        if ((rv = read_member(&r, key, v)) != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

json_t *sal_product_page_json(const sal_product_page_t *page)
{
    json_t *featured = json_array();

    for (int i = 0; page->featured[i]; i++) {
        json_array_append_new(featured, json_string(page->featured[i]));
    }
    return json_pack("{s:s, s:s, s:i, s:o, s:O, s:b, s:O, s:O}", "name", page->name, "description",
                     page->description, "home_page_sort", page->sort, "featured_versions", featured,
                     "version_json_urls", page->version_urls, "in_buildhub", page->in_buildhub,
                     "bug_links", page->bug_links, "product_home_links", page->home_links);
}
