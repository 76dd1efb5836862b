/*
 * Sizes and dates as people write them into filters. Everything here is bounded by the length of
 * its text; numbers are checked before they become integers.
 */
#include "books/filter.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "upload/zip.h"

#define DAY apr_time_from_sec(86400)

/* ---- items of a list ---- */

static char *trim(char *s)
{
    char *end;

    while (isspace((unsigned char)*s)) {
        s++;
    }
    for (end = s + strlen(s); end > s && isspace((unsigned char)end[-1]); end--) {
        end[-1] = '\0';
    }
    return s;
}

/* Takes the operator off the front; what follows is trimmed. */
static char *take_operator(char *s, sal_cmp_t *cmp)
{
    static const struct {
        const char *text;
        sal_cmp_t cmp;
    } all[] = { { "<=", SAL_CMP_LE },
                { ">=", SAL_CMP_GE },
                { "<", SAL_CMP_LT },
                { ">", SAL_CMP_GT },
                { "=", SAL_CMP_EQ } };

    *cmp = SAL_CMP_EQ;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        size_t n = strlen(all[i].text);

        if (!strncmp(s, all[i].text, n)) {
            *cmp = all[i].cmp;
            return trim(s + n);
        }
    }
    return s;
}

typedef apr_status_t (*item_fn)(apr_array_header_t *out, char *item, sal_cmp_t cmp, apr_time_t now,
                                sal_error_t *err);

static apr_status_t each_item(apr_array_header_t **out, const char *text, item_fn item,
                              apr_time_t now, apr_pool_t *p, sal_error_t *err)
{
    char *rest = apr_pstrdup(p, text ? text : ""), *next;
    apr_status_t rv = APR_SUCCESS;

    *out = apr_array_make(p, 4, sizeof(sal_books_cond_t));
    for (; rest && rv == APR_SUCCESS; rest = next) {
        sal_cmp_t cmp;

        next = strchr(rest, ',');
        if (next) {
            *next++ = '\0';
        }
        rest = trim(rest);
        if (*rest) {
            rest = take_operator(rest, &cmp);
            rv = item(*out, rest, cmp, now, err);
        }
        if ((*out)->nelts > SAL_BOOKS_CONDS_MAX) {
            rv = sal_fail(err, SAL_E_MALFORMED, "Too many conditions");
        }
    }
    return rv;
}

static void push(apr_array_header_t *out, sal_cmp_t cmp, int64_t value)
{
    APR_ARRAY_PUSH(out, sal_books_cond_t) = (sal_books_cond_t){ .cmp = cmp, .value = value };
}

/* ---- sizes ---- */

/* Digits with at most one point; strtod alone would take "inf", hex and exponents too. */
static bool parse_number(const char *s, const char **end, double *v)
{
    size_t whole = strspn(s, "0123456789"), part = 0;
    char copy[64];

    if (s[whole] == '.') {
        part = 1 + strspn(s + whole + 1, "0123456789");
    }
    if (whole + part < 1 || (whole == 0 && part < 2) || whole + part >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, s, whole + part);
    copy[whole + part] = '\0';
    *v = strtod(copy, NULL);
    *end = s + whole + part;
    return true;
}

static apr_status_t size_item(apr_array_header_t *out, char *item, sal_cmp_t cmp, apr_time_t now,
                              sal_error_t *err)
{
    static const struct {
        const char *name;
        int shift;
    } units[] = { { "", 0 },   { "b", 0 },   { "k", 10 }, { "kb", 10 },
                  { "m", 20 }, { "mb", 20 }, { "g", 30 }, { "gb", 30 } };
    const char *end;
    double v;

    (void)now;
    if (parse_number(item, &end, &v)) {
        while (isspace((unsigned char)*end)) {
            end++;
        }
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            double bytes = ldexp(v, units[i].shift);

            if (!strcasecmp(end, units[i].name) && bytes < 9e18) {
                push(out, cmp, (int64_t)bytes);
                return APR_SUCCESS;
            }
        }
    }
    return sal_fail(err, SAL_E_MALFORMED, "%s is not a valid size",
                    sal_upload_repr(item, out->pool));
}

apr_status_t sal_books_sizes(apr_array_header_t **out, const char *text, apr_pool_t *p,
                             sal_error_t *err)
{
    return each_item(out, text, size_item, 0, p, err);
}

/* ---- dates ---- */

/* What has been read of a date; -1: not yet. */
typedef struct {
    int year, month, day;
    int hour, min, sec, usec;
    int offset; /* seconds east of UTC */
    bool zone;
} date_t;

static int month_of(const char *s, size_t n)
{
    static const char *const names[] = { "january",   "february", "march",    "april",
                                         "may",       "june",     "july",     "august",
                                         "september", "october",  "november", "december" };

    for (int i = 0; n >= 3 && i < 12; i++) {
        if (n <= strlen(names[i]) && !strncasecmp(s, names[i], n)) {
            return i + 1;
        }
    }
    return 0;
}

static int digits(const char *s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

/* Exactly n digits that no further digit follows. */
static bool is_digits(const char *s, size_t n)
{
    return strspn(s, "0123456789") == n;
}

/* hh:mm[:ss[.ffffff]] */
static const char *take_clock(date_t *d, const char *s)
{
    size_t n = strspn(s, "0123456789");

    if (n < 1 || n > 2 || s[n] != ':' || !is_digits(s + n + 1, 2) || d->hour >= 0) {
        return NULL;
    }
    d->hour = digits(s, (int)n);
    d->min = digits(s + n + 1, 2);
    s += n + 3;
    if (s[0] != ':') {
        return s;
    }
    if (!is_digits(s + 1, 2)) {
        return NULL;
    }
    d->sec = digits(s + 1, 2);
    s += 3;
    if (s[0] == '.') {
        int scale = 100000;

        for (s++; isdigit((unsigned char)*s); s++, scale /= 10) {
            d->usec += (*s - '0') * scale;
        }
    }
    return s;
}

/* Z, UTC, +hh, +hhmm, +hh:mm; only after a time. */
static const char *take_zone(date_t *d, const char *s)
{
    int sign = *s == '-' ? -1 : 1;
    size_t n;

    if (d->hour < 0 || d->zone) {
        return NULL;
    }
    d->zone = true;
    if (!strncasecmp(s, "utc", 3) || !strncasecmp(s, "gmt", 3)) {
        return s + 3;
    }
    if (*s == 'Z' || *s == 'z') {
        return s + 1;
    }
    n = strspn(s + 1, "0123456789");
    if (n != 2 && n != 4) {
        return NULL;
    }
    d->offset = digits(s + 1, 2) * 3600 + (n == 4 ? digits(s + 3, 2) * 60 : 0);
    if (n == 2 && s[3] == ':' && is_digits(s + 4, 2)) {
        d->offset += digits(s + 4, 2) * 60;
        n += 3;
    }
    d->offset *= sign;
    return s + 1 + n;
}

/* 2026-01-31, 2026/1/31 and 20260131; a year alone, or a day, beside the name of a month. */
static const char *take_numbers(date_t *d, const char *s)
{
    size_t n = strspn(s, "0123456789");

    if (n == 8 && d->year < 0) {
        d->year = digits(s, 4);
        d->month = digits(s + 4, 2);
        d->day = digits(s + 6, 2);
        return s + 8;
    }
    if (n == 4 && (s[4] == '-' || s[4] == '/') && d->year < 0) {
        char mark = s[4];
        size_t m = strspn(s + 5, "0123456789"), k;

        d->year = digits(s, 4);
        if (m < 1 || m > 2) {
            return NULL;
        }
        d->month = digits(s + 5, (int)m);
        s += 5 + m;
        if (*s != mark) {
            d->day = 1;
            return s;
        }
        k = strspn(s + 1, "0123456789");
        d->day = k == 1 || k == 2 ? digits(s + 1, (int)k) : 0;
        return s + 1 + k;
    }
    if (n == 4 && d->year < 0) {
        d->year = digits(s, 4);
        return s + 4;
    }
    if ((n == 1 || n == 2) && d->day < 0) {
        d->day = digits(s, (int)n);
        s += n;
        return !strncasecmp(s, "st", 2) || !strncasecmp(s, "nd", 2) || !strncasecmp(s, "rd", 2) ||
                       !strncasecmp(s, "th", 2)
                   ? s + 2
                   : s;
    }
    return NULL;
}

static const char *take_word(date_t *d, const char *s)
{
    size_t n = 0;

    while (isalpha((unsigned char)s[n])) {
        n++;
    }
    if (n == 1 && (*s == 'T' || *s == 't')) {
        return s + 1;
    }
    if (n >= 3 && d->month < 0 && (d->month = month_of(s, n)) > 0) {
        return s[n] == '.' ? s + n + 1 : s + n;
    }
    return take_zone(d, s);
}

static const char *take_token(date_t *d, const char *s)
{
    if (isdigit((unsigned char)*s)) {
        const char *colon = s + strspn(s, "0123456789");

        return *colon == ':' ? take_clock(d, s) : take_numbers(d, s);
    }
    return *s == '+' || *s == '-' ? take_zone(d, s) : take_word(d, s);
}

static bool to_time(apr_time_t *out, const date_t *d)
{
    apr_time_exp_t x = { 0 }, back;

    if (d->year < 1 || d->month < 1 || d->month > 12 || d->day < 1 || d->day > 31 || d->hour > 23 ||
        d->min > 59 || d->sec > 59 || d->offset > 50400 || d->offset < -50400) {
        return false;
    }
    x.tm_year = d->year - 1900;
    x.tm_mon = d->month - 1;
    x.tm_mday = d->day;
    x.tm_hour = d->hour < 0 ? 0 : d->hour;
    x.tm_min = d->min;
    x.tm_sec = d->sec;
    x.tm_usec = d->usec;
    /* APR's calendar begins in 1970; no row is older. */
    if (d->year < 1970) {
        *out = 0;
        return true;
    }
    if (apr_time_exp_gmt_get(out, &x) != APR_SUCCESS ||
        apr_time_exp_gmt(&back, *out) != APR_SUCCESS || back.tm_mday != d->day) {
        return false;
    }
    *out -= apr_time_from_sec(d->offset);
    return true;
}

static bool parse_date(apr_time_t *out, const char *s)
{
    date_t d = { .year = -1, .month = -1, .day = -1, .hour = -1 };

    while (s && *s) {
        s = isspace((unsigned char)*s) ? s + 1 : take_token(&d, s);
    }
    if (d.year > 0 && d.month > 0 && d.day < 0) {
        d.day = 1;
    }
    return s && to_time(out, &d);
}

static apr_status_t date_item(apr_array_header_t *out, char *item, sal_cmp_t cmp, apr_time_t now,
                              sal_error_t *err)
{
    apr_time_t t, midnight = now - now % DAY;

    if (!strcasecmp(item, "null") || !strcasecmp(item, "incomplete")) {
        APR_ARRAY_PUSH(out, sal_books_cond_t) = (sal_books_cond_t){ .null = true };
        return APR_SUCCESS;
    }
    if (!strcasecmp(item, "today")) {
        t = midnight;
    } else if (!strcasecmp(item, "yesterday")) {
        t = midnight - DAY;
    } else if (!parse_date(&t, item)) {
        return sal_fail(err, SAL_E_MALFORMED, "Unable to parse %s",
                        sal_upload_repr(item, out->pool));
    }
    if (cmp == SAL_CMP_EQ && t % DAY == 0) {
        push(out, SAL_CMP_GE, t);
        push(out, SAL_CMP_LT, t + DAY);
    } else {
        push(out, cmp, cmp == SAL_CMP_GT ? t + apr_time_from_sec(1) : t);
    }
    return APR_SUCCESS;
}

apr_status_t sal_books_dates(apr_array_header_t **out, const char *text, apr_time_t now,
                             apr_pool_t *p, sal_error_t *err)
{
    return each_item(out, text, date_item, now, p, err);
}
