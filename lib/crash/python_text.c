/*
 * JSON text -> Python's text. Goes over the text once, without a tree: what clients send may be
 * 20 MiB of brackets.
 */
#include "crash/python_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

/* The value of four hex digits. */
static unsigned hex4(const char *s)
{
    char digits[5] = { 0 };

    memcpy(digits, s, 4);
    return (unsigned)strtoul(digits, NULL, 16);
}

/* One character of a JSON string at *s, UTF-8 in c (at most 4 bytes); returns its length. */
static size_t take_char(const char **s, char c[4])
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *from = *s, *letter;
    unsigned u, low;

    if (from[0] != '\\') {
        c[0] = *from;
        *s = from + 1;
        return 1;
    }
    *s = from + 2;
    if (from[1] != 'u') {
        letter = strchr(letters, from[1]);
        c[0] = letter ? values[letter - letters] : from[1];
        return 1;
    }
    u = hex4(from + 2);
    *s = from + 6;
    if (u >= 0xd800 && u <= 0xdbff && from[6] == '\\' && from[7] == 'u') {
        low = hex4(from + 8);
        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
        *s = from + 12;
    }
    return (size_t)(sal_utf8_put(c, u) - c);
}

static char *put_char(char *to, const char *c, size_t len, char quote)
{
    static const char letters[] = "nrt", values[] = "\n\r\t";
    const char *special = len == 1 && *c ? strchr(values, *c) : NULL;

    if (special) {
        *to++ = '\\';
        *to++ = letters[special - values];
    } else if (len == 1 && (*c == '\\' || *c == quote)) {
        *to++ = '\\';
        *to++ = *c;
    } else if (len == 1 && ((unsigned char)*c < 0x20 || *c == 0x7f)) {
        to += snprintf(to, 5, "\\x%02x", (unsigned char)*c);
    } else {
        memcpy(to, c, len);
        to += len;
    }
    return to;
}

/* The JSON string behind the quote at *s; *s ends behind its last quote. */
static char *put_string(char *to, const char **s, const char *end)
{
    bool single = false, dbl = false;
    const char *at = *s;
    char quote, c[4];

    while (at < end && *at != '"') {
        size_t len = take_char(&at, c);

        single |= len == 1 && *c == '\'';
        dbl |= len == 1 && *c == '"';
    }
    quote = single && !dbl ? '"' : '\'';
    *to++ = quote;
    while (*s < end && **s != '"') {
        size_t len = take_char(s, c);

        to = put_char(to, c, len, quote);
    }
    *to++ = quote;
    *s += *s < end;
    return to;
}

static const char *container(const char *json, apr_pool_t *p)
{
    static const struct {
        const char *json, *python;
    } words[] = { { "true", "True" }, { "false", "False" }, { "null", "None" } };
    size_t size = strnlen(json, SAL_PYTHON_TEXT_MAX);
    const char *s = json, *end = json + size;
    char *out = apr_palloc(p, 4 * size + 8), *to = out;

    while (s < end) {
        char c = *s++;

        *to++ = c;
        if (c == '"') {
            to = put_string(to - 1, &s, end);
        } else if (c == ',' || c == ':') {
            *to++ = ' ';
        } else if (c == 't' || c == 'f' || c == 'n') {
            const char *word = words[c == 't' ? 0 : c == 'f' ? 1 : 2].python;

            memcpy(to - 1, word, strlen(word));
            to += strlen(word) - 1;
            s += strlen(words[c == 't' ? 0 : c == 'f' ? 1 : 2].json) - 1;
        }
    }
    *to = '\0';
    return out;
}

/* A number with a fraction or exponent, in the fewest digits that read back as the same. */
static const char *real(const char *json, apr_pool_t *p)
{
    double value = strtod(json, NULL);
    char text[40];

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    if (strchr(text, 'e') || strpbrk(text, "in")) {
        /* Python writes exponents from 1e16 on; below that, %g did so for want of digits. */
        if (value < 1e16 && value > -1e16 && !strstr(text, "e-")) {
            return apr_psprintf(p, "%.1f", value);
        }
        return apr_pstrdup(p, text);
    }
    return apr_pstrcat(p, text, strchr(text, '.') ? "" : ".0", NULL);
}

const char *sal_python_text(char kind, const char *json, apr_pool_t *p)
{
    switch (kind) {
    case 'n':
        return "None";
    case 't':
        return "True";
    case 'f':
        return "False";
    case '{':
    case '[':
        return json ? container(json, p) : NULL;
    default:
        return json && strpbrk(json, ".eE") ? real(json, p) : json;
    }
}
