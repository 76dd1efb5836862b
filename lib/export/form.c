/*
 * multipart/form-data, written part by part.
 */
#include "export/form.h"

#include <ctype.h>
#include <string.h>
#include <apr_base64.h>
#include <apr_strings.h>
#include <zlib.h>
#include "base/text.h"

/* Of an encoded word, with what stands around its text: "=?utf-8?b?" and "?=". */
#define AROUND 12
#define FIRST_MAX 76
#define NEXT_MAX 75

void sal_form_part(FILE *f, const char *boundary, const char *name, const char *filename,
                   const char *type)
{
    fprintf(f, "--%s\r\nContent-Disposition: form-data; name=\"%s\"", boundary, name);
    if (filename) {
        fprintf(f, "; filename=\"%s\"", filename);
    }
    fputs("\r\n", f);
    if (type) {
        fprintf(f, "Content-Type: %s\r\n", type);
    }
    fputs("\r\n", f);
}

void sal_form_end(FILE *f, const char *boundary)
{
    fprintf(f, "--%s--\r\n", boundary);
}

/* ---- names ---- */

static bool plain(const char *name)
{
    for (; *name; name++) {
        if ((unsigned char)*name < 0x20 || (unsigned char)*name >= 0x7f || strchr("\"\\", *name)) {
            return false;
        }
    }
    return true;
}

static bool q_safe(unsigned char c)
{
    return c < 128 && (isalnum(c) || strchr("-!*+/", c));
}

static size_t q_length(const char *s, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        len += q_safe((unsigned char)s[i]) || s[i] == ' ' ? 1 : 3;
    }
    return len;
}

static size_t b_length(size_t n)
{
    return (n + 2) / 3 * 4;
}

static const char *q_word(const char *s, size_t n, apr_pool_t *p)
{
    char *out = apr_palloc(p, n * 3 + 1), *to = out;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == ' ') {
            *to++ = '_';
        } else if (q_safe(c)) {
            *to++ = (char)c;
        } else {
            to += apr_snprintf(to, 4, "=%02X", c);
        }
    }
    *to = '\0';
    return apr_pstrcat(p, "=?utf-8?q?", out, "?=", NULL);
}

static const char *b_word(const char *s, size_t n, apr_pool_t *p)
{
    char *out = apr_palloc(p, (apr_size_t)apr_base64_encode_len((int)n) + 1);

    apr_base64_encode_binary(out, (const unsigned char *)s, (int)n);
    return apr_pstrcat(p, "=?utf-8?b?", out, "?=", NULL);
}

/* Bytes of the character at s. */
static size_t char_length(const char *s)
{
    size_t n = 1;

    while (((unsigned char)s[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

const char *sal_form_word(const char *name, apr_pool_t *p)
{
    size_t len = strlen(name);
    bool base64 = b_length(len) < q_length(name, len);
    const char *out = "", *from = name;
    size_t room = FIRST_MAX - AROUND;

    if (plain(name)) {
        return name;
    }
    while (*from) {
        size_t n = 0;

        while (from[n]) {
            size_t more = n + char_length(from + n);

            if ((base64 ? b_length(more) : q_length(from, more)) > room) {
                break;
            }
            n = more;
        }
        n = n ? n : char_length(from);
        out = apr_pstrcat(p, out, *out ? " " : "", base64 ? b_word(from, n, p) : q_word(from, n, p),
                          NULL);
        from += n;
        room = NEXT_MAX - AROUND;
    }
    return out;
}

/* ---- compression ---- */

FILE *sal_form_gzip(FILE *in)
{
    char piece[65536], packed[65536];
    FILE *out = tmpfile();
    z_stream z = { 0 };
    int flush;

    if (!out || deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        if (out) {
            fclose(out);
        }
        return NULL;
    }
    rewind(in);
    do {
        z.avail_in = (uInt)fread(piece, 1, sizeof(piece), in);
        z.next_in = (Bytef *)piece;
        flush = feof(in) || ferror(in) ? Z_FINISH : Z_NO_FLUSH;
        do {
            z.next_out = (Bytef *)packed;
            z.avail_out = sizeof(packed);
            deflate(&z, flush);
            fwrite(packed, 1, sizeof(packed) - z.avail_out, out);
        } while (z.avail_out == 0);
    } while (flush != Z_FINISH);
    deflateEnd(&z);
    if (ferror(in) || fflush(out) != 0 || ferror(out)) {
        fclose(out);
        return NULL;
    }
    return out;
}
