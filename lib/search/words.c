/*
 * Words, and the pattern that finds them. The columns compare bytes (COLLATE "C"), where the
 * server knows ASCII letters only: what else is a letter is written down here, in C for the words
 * asked for and as a bracket expression for the texts they are looked for in.
 */
#include "search/words.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"

enum { MAX_WORDS = 200 };

/*
 * Beyond ASCII everything is a letter but these signs and punctuation. In patterns words are what
 * these are not: a class of few characters, since the server looks for the other case of each.
 */
static const struct {
    unsigned low, high;
} signs[] = { { 0x80, 0xa9 }, { 0xab, 0xb4 }, { 0xb6, 0xb9 },     { 0xbb, 0xbf },
              { 0xd7, 0xd7 }, { 0xf7, 0xf7 }, { 0x2000, 0x206f }, { 0x3000, 0x303f } };
#define NO_WORD                                                                                    \
    "\\u0001-/:-@\\[-\\^`{-\\u007f\\u0080-\\u00a9\\u00ab-\\u00b4\\u00b6-\\u00b9\\u00bb-\\u00bf"    \
    "\\u00d7\\u00f7\\u2000-\\u206f\\u3000-\\u303f"
#define WORD "[^" NO_WORD "]"
#define LETTER "[^" NO_WORD "0-9_]"

static bool is_digit(unsigned c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(unsigned c)
{
    if (c < 0x80) {
        return isalpha((int)c) != 0;
    }
    for (apr_size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (c >= signs[i].low && c <= signs[i].high) {
            return false;
        }
    }
    return true;
}

static bool is_word(unsigned c)
{
    return is_digit(c) || is_letter(c) || c == '_';
}

/* The other case of a letter beyond ASCII; 0 if it has none, or none of the common scripts. */
static unsigned other_case(unsigned c)
{
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f)) {
        return c + 0x20;
    }
    if ((c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) ||
        (c >= 0x430 && c <= 0x44f)) {
        return c - 0x20;
    }
    if (c >= 0x400 && c <= 0x40f) {
        return c + 0x50;
    }
    if (c >= 0x450 && c <= 0x45f) {
        return c - 0x50;
    }
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177)) {
        return c ^ 1;
    }
    return 0;
}

/* Code points of valid UTF-8, 0 at the end. */
static unsigned *code_points(const char *s, apr_pool_t *p)
{
    unsigned *out = apr_palloc(p, sizeof *out * (strlen(s) + 1));
    int n = 0;

    while (*s) {
        unsigned char c = (unsigned char)*s++;
        unsigned v = c < 0x80 ? c : c < 0xe0 ? c & 0x1f : c < 0xf0 ? c & 0x0f : c & 0x07;

        while (((unsigned char)*s & 0xc0) == 0x80) {
            v = v << 6 | ((unsigned char)*s++ & 0x3f);
        }
        out[n++] = v;
    }
    out[n] = 0;
    return out;
}

static bool joins(unsigned before, unsigned c, unsigned after)
{
    return ((c == '.' || c == '\'') && is_letter(before) && is_letter(after)) ||
           ((c == '.' || c == ',') && is_digit(before) && is_digit(after));
}

static const char *before_word(unsigned first)
{
    return is_letter(first)  ? "(?<!" WORD ")(?<!" LETTER "[.'])"
           : is_digit(first) ? "(?<!" WORD ")(?<![0-9][.,])"
                             : "(?<!" WORD ")";
}

static const char *after_word(unsigned last)
{
    return is_letter(last)  ? "(?!" WORD ")(?![.']" LETTER ")"
           : is_digit(last) ? "(?!" WORD ")(?![.,][0-9])"
                            : "(?!" WORD ")";
}

/* n code points as a pattern; words hold no other special character than '.'. */
static const char *word_pattern(const unsigned *w, int n, apr_pool_t *p)
{
    char *out = apr_palloc(p, (apr_size_t)n * 12 + 1), *o = out;

    for (int i = 0; i < n; i++) {
        unsigned other = other_case(w[i]);

        if (other) {
            *o++ = '[';
            o = sal_utf8_put(o, w[i]);
            o = sal_utf8_put(o, other);
            *o++ = ']';
            continue;
        }
        if (w[i] == '.') {
            *o++ = '\\';
        }
        o = sal_utf8_put(o, w[i]);
    }
    *o = '\0';
    return apr_pstrcat(p, before_word(w[0]), out, after_word(w[n - 1]), NULL);
}

apr_status_t sal_words_pattern(const char **out, const char *text, apr_pool_t *p, sal_error_t *err)
{
    const unsigned *c = code_points(text, p);
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(const char *));

    *out = NULL;
    while (*c) {
        int n = 0;

        if (!is_word(*c)) {
            c++;
            continue;
        }
        while (is_word(c[n]) || (c[n] && joins(c[n - 1], c[n], c[n + 1]))) {
            n++;
        }
        if (words->nelts == MAX_WORDS) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "Search query is too complex to execute. Simplify the search pattern "
                            "and try again.");
        }
        APR_ARRAY_PUSH(words, const char *) = word_pattern(c, n, p);
        c += n;
    }
    if (words->nelts > 0) {
        *out = apr_array_pstrcat(p, words, '|');
    }
    return APR_SUCCESS;
}
