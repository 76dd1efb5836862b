/*
 * The Content-Type of a report's body.
 */
#include "crash/form_type.h"

#include <string.h>
#include <strings.h>

#define BLANKS " \t"

/* Start and length of the media type, without blanks around it. */
static const char *media_type(const char *header, apr_size_t *len)
{
    header += strspn(header, BLANKS);
    *len = strcspn(header, ";");
    while (*len && strchr(BLANKS, header[*len - 1])) {
        *len -= 1;
    }
    return header;
}

bool sal_form_type_is(const char *header, const char *type)
{
    apr_size_t len;

    header = media_type(header, &len);
    return len == strlen(type) && !strncasecmp(header, type, len);
}

/* The value at s, of a quoted or a bare parameter: its length, and whether it fits. */
static bool copy_boundary(const char *s, char *out)
{
    bool quoted = *s == '"';
    apr_size_t len;

    s += quoted;
    len = strcspn(s, quoted ? "\"" : ";");
    while (len && strchr(BLANKS, s[len - 1])) {
        len--;
    }
    if (len < 1 || len > SAL_MULTIPART_BOUNDARY_MAX) {
        return false;
    }
    memcpy(out, s, len);
    out[len] = '\0';
    return true;
}

/* Steps over a parameter, to the semicolon behind it or to the end. */
static const char *skip_param(const char *s)
{
    bool quoted = false;

    for (; *s && (quoted || *s != ';'); s++) {
        quoted ^= *s == '"';
    }
    return s;
}

sal_form_type_t sal_form_type_read(const char *header,
                                   char boundary[SAL_MULTIPART_BOUNDARY_MAX + 1])
{
    apr_size_t len;
    const char *s;

    if (!header || !header[strspn(header, BLANKS)]) {
        return SAL_FORM_NO_TYPE;
    }
    if (!sal_form_type_is(header, "multipart/form-data") &&
        !sal_form_type_is(header, "multipart/mixed")) {
        return SAL_FORM_WRONG_TYPE;
    }
    s = media_type(header, &len);
    for (s += strcspn(s, ";"); *s == ';'; s = skip_param(s)) {
        s++;
        s += strspn(s, BLANKS);
        if (!strncasecmp(s, "boundary=", 9)) {
            return copy_boundary(s + 9, boundary) ? SAL_FORM_GOOD : SAL_FORM_NO_BOUNDARY;
        }
    }
    return SAL_FORM_NO_BOUNDARY;
}
