/*
 * JSON: jansson with pool lifetimes. The two textual forms are in json_text.c.
 */
#include "base/json.h"

#include <limits.h>
#include <string.h>

static apr_status_t release(void *v)
{
    json_decref(v);
    return APR_SUCCESS;
}

json_t *sal_json_own(json_t *v, apr_pool_t *p)
{
    if (v) {
        apr_pool_cleanup_register(p, v, release, apr_pool_cleanup_null);
    }
    return v;
}

apr_status_t sal_json_parse(json_t **out, const char *text, apr_size_t len, apr_pool_t *p,
                            sal_error_t *err)
{
    json_error_t why;

    /* \u0000 in a value is legal JSON and clients send it; the rules remove it later. */
    *out = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!*out) {
        return sal_fail_at(err, SAL_E_MALFORMED, why.position > 0 ? (apr_uint64_t)why.position : 0,
                           "not JSON: line %d column %d: %s", why.line, why.column, why.text);
    }
    sal_json_own(*out, p);
    return APR_SUCCESS;
}

const char *sal_json_str(const json_t *obj, const char *key)
{
    return json_string_value(json_object_get(obj, key));
}

/* A decimal index of an array, or NULL. */
static json_t *array_item(const json_t *v, const char *name, size_t len)
{
    size_t index = 0;

    if (!len || len > 9) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return NULL;
        }
        index = index * 10 + (size_t)(name[i] - '0');
    }
    return json_array_get(v, index);
}

json_t *sal_json_path(const json_t *v, const char *path)
{
    while (v) {
        size_t len = strcspn(path, ".");

        v = json_is_array(v) ? array_item(v, path, len) : json_object_getn(v, path, len);
        if (!path[len]) {
            break;
        }
        path += len + 1;
    }
    return (json_t *)v;
}
