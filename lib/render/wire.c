/*
 * The wire form of JSON answers.
 */
#include "render/wire.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "base/json.h"

static const char *close_tags(const char *text, apr_pool_t *p)
{
    apr_size_t n = 0, len = strlen(text);
    char *out, *o;

    for (const char *s = strstr(text, "</"); s; s = strstr(s + 2, "</")) {
        n++;
    }
    if (n == 0) {
        return text;
    }
    o = out = apr_palloc(p, len + n + 1);
    for (const char *s = text; *s; s++) {
        *o++ = *s;
        if (s[0] == '<' && s[1] == '/') {
            *o++ = '\\';
        }
    }
    *o = '\0';
    return out;
}

const char *sal_wire_json(const json_t *v, bool pretty, apr_pool_t *p)
{
    char *text;
    const char *out;

    if (!pretty) {
        return close_tags(sal_json_python(v, p), p);
    }
    text = json_dumps(v, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    out = close_tags(apr_pstrdup(p, text ? text : "null"), p);
    free(text);
    return out;
}
