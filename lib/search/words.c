/*
 * Words, and the pattern that finds them. The columns compare bytes (COLLATE "C"), where the
 * server knows ASCII letters only: what else is a letter is written down here, in C for the words
 * asked for and as a bracket expression for the texts they are looked for in.
 */
#include "search/words.h"

#include <ctype.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"

enum { MAX_WORDS = 200, MAX_PLAIN = 20 };

/* Letters beyond ASCII: everything but the blocks of punctuation, signs and pictures. */
static const struct {
    unsigned low, high;
} letters[] = { { 0xaa, 0xaa },      { 0xb5, 0xb5 },     { 0xba, 0xba },     { 0xc0, 0xd6 },
                { 0xd8, 0xf6 },      { 0xf8, 0x1fff },   { 0x2c00, 0x2dff }, { 0x3040, 0xd7ff },
                { 0xf900, 0xfdff },  { 0xfe70, 0xfefe }, { 0xff10, 0xffdc }, { 0x10000, 0x1efff },
                { 0x20000, 0x3ffff } };
#define LETTERS                                                                                    \
    "A-Za-z\\u00aa\\u00b5\\u00ba\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u1fff\\u2c00-\\u2dff"      \
    "\\u3040-\\ud7ff\\uf900-\\ufdff\\ufe70-\\ufefe\\uff10-\\uffdc\\U00010000-\\U0001efff"          \
    "\\U00020000-\\U0003ffff"

static bool is_digit(unsigned c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(unsigned c)
{
    if (c < 0x80) {
        return isalpha((int)c) != 0;
    }
    for (apr_size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (c >= letters[i].low && c <= letters[i].high) {
            return true;
        }
    }
    return false;
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
    return is_letter(first)  ? "(?<![0-9_" LETTERS "])(?<![" LETTERS "][.'])"
           : is_digit(first) ? "(?<![0-9_" LETTERS "])(?<![0-9][.,])"
                             : "(?<![0-9_" LETTERS "])";
}

static const char *after_word(unsigned last)
{
    return is_letter(last)  ? "(?![0-9_" LETTERS "])(?![.'][" LETTERS "])"
           : is_digit(last) ? "(?![0-9_" LETTERS "])(?![.,][0-9])"
                            : "(?![0-9_" LETTERS "])";
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

/* The next word from *c on, which moves to its first character; its length, 0 at the end. */
static int next_word(const unsigned **c)
{
    int n = 0;

    while (**c && !is_word(**c)) {
        (*c)++;
    }
    while (is_word((*c)[n]) || (n && (*c)[n] && joins((*c)[n - 1], (*c)[n], (*c)[n + 1]))) {
        n++;
    }
    return n;
}

const char *const *sal_words_plain(const char *text, apr_pool_t *p)
{
    const unsigned *c = code_points(text, p);
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(const char *));

    for (int n; (n = next_word(&c)) > 0; c += n) {
        char *word = apr_palloc(p, (apr_size_t)n + 1);

        for (int i = 0; i < n; i++) {
            if (c[i] >= 0x80) {
                return NULL;
            }
            word[i] = (char)tolower((int)c[i]);
        }
        word[n] = '\0';
        APR_ARRAY_PUSH(words, const char *) = word;
    }
    if (words->nelts == 0 || words->nelts > MAX_PLAIN) {
        return NULL;
    }
    APR_ARRAY_PUSH(words, const char *) = NULL;
    return (const char *const *)words->elts;
}

static bool same(const unsigned *c, int n, const char *word)
{
    for (int i = 0; i < n; i++) {
        if (c[i] >= 0x80 || tolower((int)c[i]) != (unsigned char)word[i]) {
            return false;
        }
    }
    return word[n] == '\0';
}

bool sal_words_in(const char *value, const char *const *words, apr_pool_t *p)
{
    const unsigned *c = code_points(value, p);

    for (int n; (n = next_word(&c)) > 0; c += n) {
        for (const char *const *w = words; *w; w++) {
            if (same(c, n, *w)) {
                return true;
            }
        }
    }
    return false;
}

apr_status_t sal_words_pattern(const char **out, const char *text, apr_pool_t *p, sal_error_t *err)
{
    const unsigned *c = code_points(text, p);
    apr_array_header_t *words = apr_array_make(p, 8, sizeof(const char *));

    *out = NULL;
    for (int n; (n = next_word(&c)) > 0; c += n) {
        if (words->nelts == MAX_WORDS) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "Search query is too complex to execute. Simplify the search pattern "
                            "and try again.");
        }
        APR_ARRAY_PUSH(words, const char *) = word_pattern(c, n, p);
    }
    if (words->nelts > 0) {
        *out = apr_array_pstrcat(p, words, '|');
    }
    return APR_SUCCESS;
}
