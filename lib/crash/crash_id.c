/*
 * Crash ids: making, checking, cleaning. Knows no store and no request.
 */
#include "crash/crash_id.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_general.h>
#include "base/text.h"

#define THROTTLE_AT 29 /* 0-based place of the throttle digit */
#define DATE_AT 30

static void random_bytes(unsigned char *buf, apr_size_t size)
{
    /* Cannot fail on Linux for 16 bytes once the pool is seeded; a fixed id would be worse than
     * stopping, as ids are names of files. */
    if (apr_generate_random_bytes(buf, size) != APR_SUCCESS) {
        abort();
    }
}

void sal_crash_id_make(char out[SAL_CRASH_ID_LEN + 1], apr_time_t now, int throttle)
{
    unsigned char b[16];
    char hex[33];
    apr_time_exp_t t;

    random_bytes(b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    sal_hex(hex, b, sizeof(b));
    apr_time_exp_gmt(&t, now);
    snprintf(out, SAL_CRASH_ID_LEN + 1, "%.8s-%.4s-%.4s-%.4s-%.5s%u%02u%02u%02u", hex, hex + 8,
             hex + 12, hex + 16, hex + 20, (unsigned)throttle % 10, (unsigned)t.tm_year % 100,
             (unsigned)(t.tm_mon + 1) % 100, (unsigned)t.tm_mday % 100);
}

static bool grammar_ok(const char *id)
{
    for (int i = 0; i < SAL_CRASH_ID_LEN; i++) {
        char c = id[i];

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (c != '-') {
                return false;
            }
        } else if (!(c >= '0' && c <= '9') && (i >= DATE_AT || c < 'a' || c > 'f')) {
            return false;
        }
    }
    return id[SAL_CRASH_ID_LEN] == '\0';
}

static int two_digits(const char *s)
{
    return (s[0] - '0') * 10 + (s[1] - '0');
}

static bool date_ok(const char *yymmdd)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int y = two_digits(yymmdd), m = two_digits(yymmdd + 2), d = two_digits(yymmdd + 4);

    if (m < 1 || m > 12 || d < 1) {
        return false;
    }
    /* 2000..2099: every fourth year is a leap year. */
    return d <= days[m - 1] + (m == 2 && y % 4 == 0);
}

bool sal_crash_id_valid(const char *id)
{
    if (!id || !grammar_ok(id)) {
        return false;
    }
    return (id[THROTTLE_AT] == '0' || id[THROTTLE_AT] == '1') && date_ok(id + DATE_AT);
}

const char *sal_crash_id_clean(const char *text, apr_pool_t *p)
{
    apr_size_t len;
    char *id;

    if (!text) {
        return NULL;
    }
    while (isspace((unsigned char)*text)) {
        text++;
    }
    len = strlen(text);
    while (len && isspace((unsigned char)text[len - 1])) {
        len--;
    }
    if (len > 3 && !strncmp(text, "bp-", 3)) {
        text += 3;
        len -= 3;
    }
    if (len != SAL_CRASH_ID_LEN) {
        return NULL;
    }
    id = apr_pstrmemdup(p, text, len);
    for (apr_size_t i = 0; i < len; i++) {
        id[i] = (char)tolower((unsigned char)id[i]); /* people paste what they see in mails */
    }
    return sal_crash_id_valid(id) ? id : NULL;
}

void sal_crash_id_day(char out[9], const char *id)
{
    memcpy(out, "20", 2);
    memcpy(out + 2, id + DATE_AT, 6);
    out[8] = '\0';
}
