/*
 * Values of the document in the forms that its consumers expect.
 */
#include <stdio.h>
#include "analysis/analysis_private.h"

#include "base/text.h"

enum { SHORT_NAME = 256 };

json_t *sal_analysis_hex(const sal_analysis_t *r, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "0x%0*llx", r->pointer_size * 2, (unsigned long long)v);
    return json_string(text);
}

json_t *sal_analysis_text_n(const sal_analysis_t *r, const char *s, size_t len)
{
    return json_string(sal_utf8_clean(s, len, r->pool));
}

json_t *sal_analysis_text(const sal_analysis_t *r, const char *s)
{
    json_t *v = s ? json_string(s) : json_null();

    return v ? v : sal_analysis_text_n(r, s, strlen(s));
}

json_t *sal_analysis_name(sal_analysis_t *r, const char *s, size_t len)
{
    json_t *v;

    if (len > SHORT_NAME) {
        if (len > r->text_left) {
            len = SHORT_NAME;
            while (len > SHORT_NAME - 4 && ((unsigned char)s[len] & 0xc0) == 0x80) {
                len--; /* not in the middle of a character */
            }
        } else {
            r->text_left -= len;
        }
    }
    v = json_stringn(s, len);
    return v ? v : sal_analysis_text_n(r, s, len);
}

json_t *sal_analysis_u64(uint64_t v)
{
    return v <= INT64_MAX ? json_integer((json_int_t)v) : json_real((double)v);
}
