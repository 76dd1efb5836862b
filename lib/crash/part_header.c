/*
 * The header block of one part. Lenient where clients are sloppy (unknown headers, backslashes in
 * quoted names), strict where a guess would store something under a wrong name.
 */
#include "crash/part_header.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/text.h"

typedef struct piece_t {
    const char *s;
    apr_size_t len;
} piece_t;

static bool is_word(piece_t p, const char *word)
{
    return p.len == strlen(word) && !strncasecmp(p.s, word, p.len);
}

static piece_t trim(piece_t p)
{
    while (p.len && isspace((unsigned char)*p.s)) {
        p.s++;
        p.len--;
    }
    while (p.len && isspace((unsigned char)p.s[p.len - 1])) {
        p.len--;
    }
    return p;
}

static bool is_ascii(piece_t p)
{
    for (apr_size_t i = 0; i < p.len; i++) {
        if ((unsigned char)p.s[i] >= 0x80 || p.s[i] == '\0') {
            return false;
        }
    }
    return true;
}

/*
 * Copies a quoted value. Only \" and \\ unescape: Breakpad on Windows sends bare paths. Returns
 * what follows the closing quote; without one the value runs to the end.
 */
static const char *copy_quoted(char *out, const char *s, const char *end)
{
    while (s < end && *s != '"') {
        if (*s == '\\' && s + 1 < end && (s[1] == '"' || s[1] == '\\')) {
            s++;
        }
        *out++ = *s++;
    }
    *out = '\0';
    return s < end ? s + 1 : s;
}

static const char *copy_bare(char *out, const char *s, const char *end)
{
    const char *stop = memchr(s, ';', (apr_size_t)(end - s));
    piece_t value;

    stop = stop ? stop : end;
    value = trim((piece_t){ s, (apr_size_t)(stop - s) });
    memcpy(out, value.s, value.len);
    out[value.len] = '\0';
    return stop;
}

/* Reads the next `; key=value` from *at. False at the end. The value is left in out. */
static bool next_param(const char **at, const char *end, piece_t *key, char *out)
{
    const char *s = *at, *start;

    while (s < end && (*s == ';' || isspace((unsigned char)*s))) {
        s++;
    }
    if (s >= end) {
        return false;
    }
    start = s;
    while (s < end && *s != '=' && *s != ';') {
        s++;
    }
    *key = trim((piece_t){ start, (apr_size_t)(s - start) });
    out[0] = '\0';
    if (s < end && *s == '=') {
        s++;
        while (s < end && (*s == ' ' || *s == '\t')) {
            s++;
        }
        if (s < end && *s == '"') {
            s = copy_quoted(out, s + 1, end);
            s = memchr(s, ';', (apr_size_t)(end - s));
            s = s ? s : end;
        } else {
            s = copy_bare(out, s, end);
        }
    }
    *at = s;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Latin-1 in place is not possible (it grows), but only the file's name is meant: keep ASCII. */
static void latin1_to_ascii(char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s >= 0x80) {
            *s = '_';
        }
    }
}

/* RFC 5987: charset'language'percent-encoded, decoded in place. False for a bad one. */
static bool decode_extended(char *value)
{
    char *quote = strchr(value, '\''), *second, *to = value;
    const char *s;
    bool latin1;
    piece_t charset;

    second = quote ? strchr(quote + 1, '\'') : NULL;
    if (!second) {
        return false;
    }
    charset = (piece_t){ value, (apr_size_t)(quote - value) };
    latin1 = is_word(charset, "iso-8859-1");
    if (!latin1 && !is_word(charset, "utf-8") && !is_word(charset, "us-ascii")) {
        return false;
    }
    for (s = second + 1; *s; s++) {
        if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
            *to = (char)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
            s += 2;
        } else {
            *to = *s;
        }
        to += *to != '\0';
    }
    *to = '\0';
    if (latin1) {
        latin1_to_ascii(value);
    }
    return sal_utf8_valid(value, strlen(value));
}

/* Closes up over NULs; they must not cut a name short nor get into the database. */
static apr_size_t drop_nuls(char *out, piece_t in)
{
    apr_size_t n = 0;

    for (apr_size_t i = 0; i < in.len; i++) {
        if (in.s[i]) {
            out[n++] = in.s[i];
        }
    }
    return n;
}

static apr_status_t read_disposition(sal_part_header_t *h, piece_t raw, sal_error_t *err)
{
    piece_t value = { h->disposition, drop_nuls(h->disposition, raw) }, key;
    const char *end = value.s + value.len, *at = memchr(value.s, ';', value.len);
    bool extended = false;

    h->part.nul = value.len < raw.len;
    if (!sal_utf8_valid(value.s, value.len)) {
        return sal_fail(err, SAL_E_MALFORMED, "a part's Content-Disposition is not UTF-8");
    }
    while (at && next_param(&at, end, &key, h->value)) {
        if (is_word(key, "name")) {
            apr_cpystrn(h->name, h->value, h->each);
            h->part.name = h->name;
        } else if (is_word(key, "filename") && !extended) {
            apr_cpystrn(h->filename, h->value, h->each);
            h->part.filename = h->filename;
        } else if (is_word(key, "filename*")) {
            if (!decode_extended(h->value)) {
                return sal_fail(err, SAL_E_MALFORMED, "a part's filename* cannot be read");
            }
            apr_cpystrn(h->filename, h->value, h->each);
            h->part.filename = h->filename;
            extended = true;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_type(sal_part_header_t *h, piece_t value, sal_error_t *err)
{
    const char *end = value.s + value.len, *at = memchr(value.s, ';', value.len);
    piece_t key;

    if (!is_ascii(value)) {
        return sal_fail(err, SAL_E_MALFORMED, "a part's Content-Type is not ASCII");
    }
    memcpy(h->type, value.s, value.len);
    h->type[value.len] = '\0';
    h->part.type = h->type;
    while (at && next_param(&at, end, &key, h->value)) {
        if (is_word(key, "charset") && h->value[0]) {
            apr_cpystrn(h->charset, h->value, sizeof(h->charset));
            h->part.charset = h->charset;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_line(sal_part_header_t *h, const char *line, apr_size_t len,
                              sal_error_t *err)
{
    const char *colon = memmem(line, len, ": ", 2);
    piece_t name, value;

    if (!colon) {
        return APR_SUCCESS;
    }
    name = (piece_t){ line, (apr_size_t)(colon - line) };
    value = trim((piece_t){ colon + 2, len - name.len - 2 });
    if (is_word(name, "content-disposition")) {
        return read_disposition(h, value, err);
    }
    if (is_word(name, "content-type")) {
        return read_type(h, value, err);
    }
    if (is_word(name, "content-transfer-encoding") && !is_word(value, "binary")) {
        return sal_fail(err, SAL_E_MALFORMED, "a part's Content-Transfer-Encoding is not binary");
    }
    return APR_SUCCESS;
}

static void divide_room(sal_part_header_t *h, char *room, apr_size_t size)
{
    char **strings[] = { &h->name, &h->filename, &h->type, &h->disposition, &h->value };

    h->each = size + 1;
    for (int i = 0; i < 5; i++) {
        *strings[i] = room + (apr_size_t)i * h->each;
    }
}

apr_status_t sal_part_header_read(sal_part_header_t *h, char *room, const char *block,
                                  apr_size_t size, sal_error_t *err)
{
    const char *end = block + size;

    divide_room(h, room, size);
    h->part = (sal_part_t){ NULL, NULL, "text/plain", "utf-8", false };
    while (block < end) {
        const char *stop = memmem(block, (apr_size_t)(end - block), "\r\n", 2);
        apr_size_t len = (apr_size_t)((stop ? stop : end) - block);
        apr_status_t rv = read_line(h, block, len, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
        block += len + 2 <= (apr_size_t)(end - block) ? len + 2 : (apr_size_t)(end - block);
    }
    return APR_SUCCESS;
}
