/*
 * ISO 8601 times in UTC. Own calendar arithmetic: no locale, no time zone database, and the same
 * answer for years before 1970 (broken clocks send them). Proleptic Gregorian, years 1 to 9999.
 */
#include "base/text.h"

#include <apr_strings.h>

typedef struct civil_t {
    int year, month, day, hour, minute, second, usec;
    int offset; /* seconds east of UTC */
} civil_t;

static bool is_leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int days_in_month(int y, int m)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    return m == 2 && is_leap(y) ? 29 : days[m - 1];
}

/* Days since 1970-01-01; a year is counted from March so that the leap day is its last. */
static int64_t days_from_civil(int y, int m, int d)
{
    int64_t year = m <= 2 ? y - 1 : y;
    int64_t era = year / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_from_days(int64_t days, civil_t *c)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c->year = (int)(yoe + era * 400 + (c->month <= 2));
}

#define TIME_MIN (INT64_C(-62135596800) * APR_USEC_PER_SEC)     /* 0001-01-01 */
#define TIME_MAX (INT64_C(253402300800) * APR_USEC_PER_SEC - 1) /* end of 9999 */

const char *sal_time_iso(apr_time_t t, apr_pool_t *p)
{
    civil_t c;
    int64_t seconds, days;
    int rest;

    t = t < TIME_MIN ? TIME_MIN : t > TIME_MAX ? TIME_MAX : t;
    seconds = t / APR_USEC_PER_SEC;
    c.usec = (int)(t % APR_USEC_PER_SEC);
    if (c.usec < 0) {
        c.usec += APR_USEC_PER_SEC;
        seconds--;
    }
    days = seconds / 86400;
    rest = (int)(seconds % 86400);
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    civil_from_days(days, &c);
    if (c.usec) {
        return apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00", c.year, c.month, c.day,
                            rest / 3600, rest / 60 % 60, rest % 60, c.usec);
    }
    return apr_psprintf(p, "%04d-%02d-%02dT%02d:%02d:%02d+00:00", c.year, c.month, c.day,
                        rest / 3600, rest / 60 % 60, rest % 60);
}

/* Exactly n digits at *s. */
static bool take_digits(const char **s, int n, int min, int max, int *v)
{
    int value = 0;

    for (int i = 0; i < n; i++) {
        char ch = (*s)[i];

        if (ch < '0' || ch > '9') {
            return false;
        }
        value = value * 10 + (ch - '0');
    }
    *s += n;
    *v = value;
    return value >= min && value <= max;
}

static bool take_char(const char **s, char c)
{
    if (**s != c) {
        return false;
    }
    ++*s;
    return true;
}

/* ".1" to ".123456789"; what is finer than a microsecond is dropped. */
static bool take_fraction(const char **s, int *usec)
{
    int scale = 100000;

    *usec = 0;
    if (!take_char(s, '.')) {
        return true;
    }
    if (**s < '0' || **s > '9') {
        return false;
    }
    for (; **s >= '0' && **s <= '9'; ++*s, scale /= 10) {
        *usec += (**s - '0') * scale;
    }
    return true;
}

/* Nothing, "Z", "+00", "+0000", "+00:00", and PostgreSQL's "+00:00:00" of old local times. */
static bool take_zone(const char **s, int *offset)
{
    int sign, h, m = 0, sec = 0;

    *offset = 0;
    if (!**s || take_char(s, 'Z')) {
        return true;
    }
    sign = **s == '-' ? -1 : 1;
    if (!take_char(s, sign < 0 ? '-' : '+') || !take_digits(s, 2, 0, 15, &h)) {
        return false;
    }
    if (**s && (take_char(s, ':') || true) && !take_digits(s, 2, 0, 59, &m)) {
        return false;
    }
    if (**s && (!take_char(s, ':') || !take_digits(s, 2, 0, 59, &sec))) {
        return false;
    }
    *offset = sign * (h * 3600 + m * 60 + sec);
    return true;
}

static bool take_date(const char **s, civil_t *c)
{
    return take_digits(s, 4, 1, 9999, &c->year) && take_char(s, '-') &&
           take_digits(s, 2, 1, 12, &c->month) && take_char(s, '-') &&
           take_digits(s, 2, 1, days_in_month(c->year, c->month), &c->day);
}

bool sal_time_parse(const char *s, apr_time_t *t)
{
    civil_t c;
    int64_t seconds;

    if (!take_date(&s, &c) || (!take_char(&s, 'T') && !take_char(&s, ' '))) {
        return false;
    }
    if (!take_digits(&s, 2, 0, 23, &c.hour) || !take_char(&s, ':') ||
        !take_digits(&s, 2, 0, 59, &c.minute) || !take_char(&s, ':') ||
        !take_digits(&s, 2, 0, 60, &c.second)) {
        return false;
    }
    if (!take_fraction(&s, &c.usec) || !take_zone(&s, &c.offset) || *s) {
        return false;
    }
    seconds = days_from_civil(c.year, c.month, c.day) * 86400 + c.hour * 3600 + c.minute * 60 +
              c.second - c.offset;
    *t = seconds * APR_USEC_PER_SEC + c.usec;
    return true;
}
