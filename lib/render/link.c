/*
 * Filling templates of links.
 */
#include "render/link.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

const char *sal_link_encode(const char *text, sal_link_how_t how, apr_pool_t *p)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(text) * 3 + 1), *o = out;

    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        if (apr_isalnum(*s) || strchr("-_.~", *s) || (how == SAL_LINK_PATH && *s == '/')) {
            *o++ = (char)*s;
        } else if (how == SAL_LINK_FORM && *s == ' ') {
            *o++ = '+';
        } else {
            *o++ = '%';
            *o++ = hex[*s >> 4];
            *o++ = hex[*s & 15];
        }
    }
    *o = '\0';
    return out;
}

bool sal_link_safe(const char *url)
{
    for (const unsigned char *s = (const unsigned char *)url; *s; s++) {
        if (*s <= ' ' || *s == 127 || *s == '\\') {
            return false;
        }
    }
    return strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0 ||
           (url[0] == '/' && url[1] != '/');
}

/* What a template consists of. */
typedef struct {
    const char *text; /* as it stands, or the name of a key */
    apr_size_t len;
    bool key;
} piece_t;

/* The next piece of *at, which moves behind it. False at the end. */
static bool next_piece(piece_t *out, const char **at)
{
    const char *s = *at, *end;

    if (!*s) {
        return false;
    }
    if (s[0] == '%' && s[1] == '(' && (end = strstr(s + 2, ")s"))) {
        *out = (piece_t){ s + 2, (apr_size_t)(end - s - 2), true };
        *at = end + 2;
        return true;
    }
    if (s[0] == '%' && s[1] == '%') {
        *out = (piece_t){ s, 1, false };
        *at = s + 2;
        return true;
    }
    end = strchr(s + 1, '%');
    end = end ? end : s + strlen(s);
    *out = (piece_t){ s, (apr_size_t)(end - s), false };
    *at = end;
    return true;
}

static bool names(const piece_t *piece, const char *key)
{
    return strlen(key) == piece->len && memcmp(piece->text, key, piece->len) == 0;
}

static const char *value_of(const piece_t *piece, const sal_link_value_t *values, apr_pool_t *p)
{
    for (; values->key; values++) {
        if (names(piece, values->key)) {
            return values->value ? sal_link_encode(values->value, values->how, p) : NULL;
        }
    }
    return NULL;
}

const char *sal_link_fill(const char *pattern, const sal_link_value_t *values, apr_pool_t *p)
{
    const char *out = "";
    piece_t piece;

    while (next_piece(&piece, &pattern)) {
        const char *text =
            piece.key ? value_of(&piece, values, p) : apr_pstrmemdup(p, piece.text, piece.len);

        if (!text) {
            return NULL;
        }
        out = apr_pstrcat(p, out, text, NULL);
    }
    return sal_link_safe(out) ? out : NULL;
}

const char *sal_link_fault(const char *pattern, const char *const *keys, apr_pool_t *p)
{
    const char *whole = pattern, *plain = "";
    piece_t piece;

    while (next_piece(&piece, &pattern)) {
        bool known = !piece.key;

        for (int i = 0; !known && keys[i]; i++) {
            known = names(&piece, keys[i]);
        }
        if (!known) {
            return apr_psprintf(p, "%%(%.*s)s is not known here", (int)(piece.len & 0xff),
                                piece.text);
        }
        plain =
            apr_pstrcat(p, plain, piece.key ? "x" : apr_pstrmemdup(p, piece.text, piece.len), NULL);
    }
    return sal_link_safe(plain)
               ? NULL
               : apr_psprintf(p, "\"%.60s\" begins with neither http://, https:// nor /", whole);
}

const char *sal_link_word(const char **at, apr_pool_t *p)
{
    const char *from = *at + strspn(*at, " \t");
    apr_size_t len = strcspn(from, " \t");

    *at = from + len + strspn(from + len, " \t");
    return len ? apr_pstrmemdup(p, from, len) : NULL;
}

const char *sal_link_bug(const char *pattern, const char *number, apr_pool_t *p)
{
    const char *hole = pattern ? strstr(pattern, "%d") : NULL, *url;

    if (!hole) {
        return NULL;
    }
    url = apr_pstrcat(p, apr_pstrmemdup(p, pattern, (apr_size_t)(hole - pattern)), number, hole + 2,
                      NULL);
    return sal_link_safe(url) ? url : NULL;
}
