/*
 * The wire form of JSON answers.
 */
#include "render/wire.h"

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
    const char *text = sal_json_dumps(v, pretty, p);

    return close_tags(text ? text : "null", p);
}
