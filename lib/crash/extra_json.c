/*
 * The annotations of a JSON part. Two passes over the text: the first checks all of it, the second
 * walks the members of the outermost object, which by then cannot fail.
 */
#include "crash/extra_json.h"

#include <string.h>
#include "base/text.h"

#define DIGITS_MAX 4300 /* of an integer; where Python draws the line */

typedef struct scan_t {
    const unsigned char *text, *at, *end;
    const char *fault;
} scan_t;

static bool fail(scan_t *s, const char *what)
{
    if (!s->fault) {
        s->fault = what;
    }
    return false;
}

static void skip_blanks(scan_t *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) {
        s->at++;
    }
}

static bool peek(const scan_t *s, char c)
{
    return s->at < s->end && *s->at == (unsigned char)c;
}

static bool take(scan_t *s, char c)
{
    if (!peek(s, c)) {
        return false;
    }
    s->at++;
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at `at`, or -1. */
static int hex4(const unsigned char *at, const unsigned char *end)
{
    int v = 0;

    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(at[i]);

        if (d < 0) {
            return -1;
        }
        v = v << 4 | d;
    }
    return v;
}

/* ---- first pass: is it JSON? ---- */

static bool check_string(scan_t *s)
{
    if (!take(s, '"')) {
        return fail(s, "a string is missing");
    }
    while (s->at < s->end && *s->at != '"') {
        unsigned char c = *s->at++;

        if (c < 0x20) {
            return fail(s, "a control character in a string");
        }
        if (c != '\\') {
            continue;
        }
        if (s->at >= s->end || !memchr("\"\\/bfnrtu", *s->at, 9)) {
            return fail(s, "an unknown escape");
        }
        if (*s->at++ == 'u') {
            if (hex4(s->at, s->end) < 0) {
                return fail(s, "a bad \\u escape");
            }
            s->at += 4;
        }
    }
    return take(s, '"') || fail(s, "a string without end");
}

static apr_size_t skip_digits(scan_t *s)
{
    const unsigned char *from = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return (apr_size_t)(s->at - from);
}

static bool check_number(scan_t *s)
{
    bool integer = true, leading_zero;
    apr_size_t digits;

    take(s, '-');
    leading_zero = peek(s, '0');
    digits = skip_digits(s);
    if (digits == 0 || (leading_zero && digits > 1)) {
        return fail(s, "no value");
    }
    if (take(s, '.')) {
        integer = false;
        if (!skip_digits(s)) {
            return fail(s, "a bad number");
        }
    }
    if (take(s, 'e') || take(s, 'E')) {
        integer = false;
        if (!take(s, '+')) {
            take(s, '-');
        }
        if (!skip_digits(s)) {
            return fail(s, "a bad number");
        }
    }
    return !integer || digits <= DIGITS_MAX || fail(s, "an integer of too many digits");
}

static bool check_word(scan_t *s, const char *word)
{
    apr_size_t len = strlen(word);

    if ((apr_size_t)(s->end - s->at) < len || memcmp(s->at, word, len)) {
        return fail(s, "no value");
    }
    s->at += len;
    return true;
}

static bool check_value(scan_t *s, int depth);

/* The items of an array or object, after its opening bracket. */
static bool check_items(scan_t *s, char close, int depth)
{
    if (depth >= SAL_EXTRA_DEPTH_MAX) {
        return fail(s, "nested too deeply");
    }
    skip_blanks(s);
    if (take(s, close)) {
        return true;
    }
    do {
        if (close == '}') {
            skip_blanks(s);
            if (!check_string(s)) {
                return false;
            }
            skip_blanks(s);
            if (!take(s, ':')) {
                return fail(s, "a colon is missing");
            }
        }
        if (!check_value(s, depth + 1)) {
            return false;
        }
        skip_blanks(s);
    } while (take(s, ','));
    return take(s, close) || fail(s, "a bracket or comma is missing");
}

static bool check_value(scan_t *s, int depth)
{
    skip_blanks(s);
    if (s->at >= s->end) {
        return fail(s, "it ends too early");
    }
    switch (*s->at) {
    case '{':
        s->at++;
        return check_items(s, '}', depth);
    case '[':
        s->at++;
        return check_items(s, ']', depth);
    case '"':
        return check_string(s);
    case 't':
        return check_word(s, "true");
    case 'f':
        return check_word(s, "false");
    case 'n':
        return check_word(s, "null");
    default:
        return check_number(s);
    }
}

/* ---- second pass: the members ---- */

/* The code point of a \u escape whose digits are at s->at; takes the second half of a pair too. */
static unsigned take_u(scan_t *s)
{
    int c = hex4(s->at, s->end), low;

    s->at += 4;
    if (c < 0xd800 || c > 0xdfff) {
        return (unsigned)c;
    }
    if (c <= 0xdbff && s->end - s->at >= 6 && s->at[0] == '\\' && s->at[1] == 'u') {
        low = hex4(s->at + 2, s->end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            s->at += 6;
            return 0x10000u + ((unsigned)(c - 0xd800) << 10) + (unsigned)(low - 0xdc00);
        }
    }
    return 0xfffd;
}

/* Decodes the string at s->at to `to`, which has room for its raw length. Returns the end. */
static char *decode_string(scan_t *s, char *to)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";

    s->at++;
    while (*s->at != '"') {
        unsigned char c = *s->at++;
        const char *letter;

        if (c != '\\') {
            *to++ = (char)c;
            continue;
        }
        c = *s->at++;
        letter = memchr(letters, c, 5);
        if (c == 'u') {
            to = sal_utf8_put(to, take_u(s));
        } else {
            *to++ = letter ? values[letter - letters] : (char)c;
        }
    }
    s->at++;
    return to;
}

/* A \u escape inside a container: kept as text, but no lone surrogate and no NUL may remain. */
static char *copy_u(scan_t *s, char *to)
{
    const unsigned char *from = s->at - 2;
    unsigned c = take_u(s);

    if (c == 0) {
        return to;
    }
    if (c == 0xfffd) {
        memcpy(to, "\\ufffd", 6);
        return to + 6;
    }
    memcpy(to, from, (apr_size_t)(s->at - from));
    return to + (s->at - from);
}

/* Copies the value at s->at without blanks between its tokens. Returns the end of the copy. */
static char *copy_compact(scan_t *s, const unsigned char *stop, char *to)
{
    bool in_string = false;

    while (s->at < stop) {
        unsigned char c = *s->at++;

        if (in_string && c == '\\') {
            if (*s->at++ == 'u') {
                to = copy_u(s, to);
                continue;
            }
            *to++ = (char)c;
            c = s->at[-1];
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            continue;
        }
        *to++ = (char)c;
    }
    return to;
}

static apr_size_t drop_nuls(char *s, apr_size_t len)
{
    apr_size_t n = 0;

    for (apr_size_t i = 0; i < len; i++) {
        if (s[i]) {
            s[n++] = s[i];
        }
    }
    return n;
}

/* One `"key": value` at s->at; scratch has room for the rest of the text. */
static apr_status_t read_member(scan_t *s, char *scratch, sal_extra_member_fn member, void *baton)
{
    char *key = scratch, *value, *end;
    apr_size_t raw_len, key_len;
    const unsigned char *from;

    skip_blanks(s);
    value = decode_string(s, key);
    raw_len = (apr_size_t)(value - key);
    key_len = drop_nuls(key, raw_len);
    skip_blanks(s);
    s->at++; /* the colon */
    skip_blanks(s);
    from = s->at;
    if (*from == '"') {
        end = decode_string(s, value);
    } else {
        check_value(s, 0);
        scan_t v = { s->text, from, s->at, NULL };

        end = copy_compact(&v, s->at, value);
    }
    return member(baton, key, key_len, *from == 'n' ? NULL : value, (apr_size_t)(end - value),
                  (char)*from, key_len < raw_len);
}

/* Surrogates in UTF-8 form (ED A0..BF xx), which some clients send, become U+FFFD. */
static void mend_surrogates(char *text, apr_size_t size)
{
    char *at = text, *end = text + size;

    while ((at = memchr(at, 0xed, (apr_size_t)(end - at))) != NULL) {
        if (end - at >= 3 && (unsigned char)at[1] >= 0xa0 && (unsigned char)at[1] <= 0xbf &&
            ((unsigned char)at[2] & 0xc0) == 0x80) {
            memcpy(at, "\xef\xbf\xbd", 3);
        }
        at++;
    }
}

apr_status_t sal_extra_json_read(char *text, apr_size_t size, sal_extra_member_fn member,
                                 void *baton, apr_pool_t *p, sal_error_t *err)
{
    scan_t s;
    char *scratch;
    apr_status_t rv = APR_SUCCESS;

    mend_surrogates(text, size);
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        size -= 3;
    }
    s.text = s.at = (unsigned char *)text;
    s.end = s.text + size;
    s.fault = NULL;
    if (check_value(&s, 0)) {
        skip_blanks(&s);
        if (s.at < s.end) {
            fail(&s, "text after the value");
        }
    }
    if (!s.fault && !sal_utf8_valid(text, size)) {
        fail(&s, "it is not UTF-8");
    }
    if (s.fault) {
        return sal_fail_at(err, SAL_E_MALFORMED, (apr_uint64_t)(s.at - s.text), "JSON part: %s",
                           s.fault);
    }
    s.at = s.text;
    skip_blanks(&s);
    if (!take(&s, '{')) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "JSON part: not an object");
    }
    skip_blanks(&s);
    scratch = apr_palloc(p, size + 1);
    if (!peek(&s, '}')) {
        do {
            rv = read_member(&s, scratch, member, baton);
            skip_blanks(&s);
        } while (rv == APR_SUCCESS && take(&s, ','));
    }
    return rv;
}
