/*
 * How versions are ordered. A semantic version counts as one; anything else is read as
 * "108.0.1", "108.0b3", "108.0a1", "102.3esr", each perhaps with "rc2" behind.
 *
 * The key is made of fixed-width numbers and letters: "000108.000000.000001-...". Behind the dash
 * stand the identifiers of a pre-release, numbers before words, as semantic versions order them.
 */
#include "triage/versions.h"

#include <stdio.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

enum { DIGITS = 18, PARTS = 3, PARTS_MAX = 6 };

typedef struct key_t {
    char *out;
    size_t n;
    bool full;
} version_key_t;

static void put(version_key_t *k, const char *text, size_t len)
{
    if (k->n + len >= SAL_VERSION_KEY) {
        k->full = true;
        return;
    }
    memcpy(k->out + k->n, text, len);
    k->n += len;
    k->out[k->n] = '\0';
}

/* Digits as they sort: how many there are, then themselves. */
static bool put_number(version_key_t *k, const char *digits, size_t len)
{
    while (len > 1 && *digits == '0') {
        digits++;
        len--;
    }
    if (len == 0 || len > DIGITS || strspn(digits, "0123456789") < len) {
        return false;
    }
    put(k, (char[]){ (char)('a' + len) }, 1);
    put(k, digits, len);
    return true;
}

/* Numbers come before words, and fewer identifiers before more. */
static bool put_identifiers(version_key_t *k, const char *text, size_t len)
{
    while (true) {
        const char *dot = memchr(text, '.', len);
        size_t one = dot ? (size_t)(dot - text) : len;

        if (one == 0) {
            return false;
        }
        put(k, "\x02", 1);
        if (strspn(text, "0123456789") >= one) {
            put(k, "\x01", 1);
            if (!put_number(k, text, one)) {
                return false;
            }
        } else {
            put(k, "\x02", 1);
            put(k, text, one);
        }
        if (!dot) {
            return true;
        }
        text += one + 1;
        len -= one + 1;
    }
}

static bool is_semver_number(const char *s, size_t len)
{
    return len > 0 && strspn(s, "0123456789") >= len && (len == 1 || *s != '0');
}

/* "1.2.3", "1.2.3-alpha.1", "1.2.3+build". */
static bool semver(version_key_t *k, const char *version)
{
    const char *s = version;
    size_t len;

    for (int i = 0; i < PARTS; i++) {
        len = strspn(s, "0123456789");
        if (!is_semver_number(s, len) || (i < PARTS - 1 && s[len] != '.') ||
            !put_number(k, s, len)) {
            return false;
        }
        s += len + (i < PARTS - 1);
    }
    len = strcspn(s, "+");
    for (const char *c = s; *c; c++) {
        if (!apr_isalnum(*c) && !strchr("-.+", *c)) {
            return false;
        }
    }
    if (s[len] == '+' && (!s[len + 1] || strchr(s + len + 1, '+'))) {
        return false;
    }
    put(k, "-", 1);
    if (len == 0) {
        return put_identifiers(k, "release.rc.999", 14);
    }
    return *s == '-' && put_identifiers(k, s + 1, len - 1);
}

/* Exactly one of them in the text: what stands before and behind it. */
static bool split(const char **behind, char *text, const char *mark)
{
    char *at = strstr(text, mark);

    if (!at || strstr(at + strlen(mark), mark)) {
        return false;
    }
    *at = '\0';
    *behind = at + strlen(mark);
    return true;
}

/* What follows the numbers, as identifiers of a pre-release; false: no version. */
static bool suffix_of(char out[64], char *text)
{
    const char *rc = "999", *number;
    const char *channel = "release";

    if (strstr(text, "rc") && !split(&rc, text, "rc")) {
        return false;
    }
    if (strchr(text, 'a')) {
        channel = "alpha.1";
        if (!split(&number, text, "a")) {
            return false;
        }
    } else if (strchr(text, 'b')) {
        if (!split(&number, text, "b") || strlen(number) > DIGITS) {
            return false;
        }
        apr_snprintf(out, 64, *number ? "beta.%s.rc.%s" : "beta%s.rc.%s", number, rc);
        return strlen(rc) <= DIGITS;
    } else if (strstr(text, "esr")) {
        channel = "xsr";
        if (!split(&number, text, "esr") || *number) {
            return false;
        }
    }
    apr_snprintf(out, 64, "%s.rc.%s", channel, rc);
    return strlen(rc) <= DIGITS;
}

/* Numbers between dots: the first three, 0 where they are missing, then what else there is. */
static bool put_numbers(version_key_t *k, const char *text)
{
    for (int i = 0; i < PARTS_MAX && (i < PARTS || *text); i++) {
        size_t len = strspn(text, "0123456789");

        if (!put_number(k, len || i == 0 ? text : "0", len || i == 0 ? len : 1)) {
            return false;
        }
        text += len;
        if (*text == '.' && apr_isdigit(text[1])) {
            text++;
        } else if (*text) {
            return false;
        }
    }
    return !*text;
}

static bool product_version(version_key_t *k, const char *version)
{
    char text[SAL_VERSION_KEY], suffix[64];

    if (strlen(version) >= sizeof(text)) {
        return false;
    }
    apr_cpystrn(text, version, sizeof(text));
    if (!suffix_of(suffix, text) || !put_numbers(k, text)) {
        return false;
    }
    put(k, "-", 1);
    return put_identifiers(k, suffix, strlen(suffix));
}

bool sal_version_key(char out[SAL_VERSION_KEY], const char *version)
{
    version_key_t k = { .out = out };

    out[0] = '\0';
    if (semver(&k, version) && !k.full) {
        return true;
    }
    k = (version_key_t){ .out = out };
    out[0] = '\0';
    return product_version(&k, version) && !k.full;
}
