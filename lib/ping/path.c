/*
 * Paths of crash pings. Knows no body.
 */
#include "ping/ping.h"

#include <ctype.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"

enum { MAX_SEGMENTS = 7, APP_MAX = 64, SEGMENT_MAX = 100 };

static bool is_uuid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i])) {
            return false;
        }
    }
    return s[36] == '\0';
}

static const char *lower(const char *s, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, s);

    for (char *c = out; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return out;
}

static bool is_app(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n >= 1 && n <= APP_MAX && !s[n] && s[0] != '.';
}

static bool is_schema_version(const char *s)
{
    size_t n = strspn(s, "0123456789");

    return n >= 1 && n <= 9 && !s[n];
}

/* Versions, channels and builds hold what products like: only their length and kind are bounded. */
static bool is_word(const char *s)
{
    size_t n = strlen(s);

    if (n < 1 || n > SEGMENT_MAX || !sal_utf8_valid(s, n)) {
        return false;
    }
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f) {
            return false;
        }
    }
    return true;
}

/* The segments of a path; a '/' at its end is no segment. -1: too many. */
static int split(const char *segments[MAX_SEGMENTS], const char *path, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, path), *end;
    size_t len = strlen(s);
    int n = 0;

    if (len && s[len - 1] == '/') {
        s[len - 1] = '\0';
    }
    for (; s; s = end ? end + 1 : NULL) {
        end = strchr(s, '/');
        if (end) {
            *end = '\0';
        }
        if (n == MAX_SEGMENTS) {
            return -1;
        }
        segments[n++] = s;
    }
    return n;
}

apr_status_t sal_ping_path(sal_ping_path_t *out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    const char *s[MAX_SEGMENTS];
    int n;

    if (strlen(path) > SAL_PING_PATH_MAX) {
        return sal_fail(err, SAL_E_TOOBIG, "the path has more than %d bytes", SAL_PING_PATH_MAX);
    }
    n = split(s, path, p);
    *out = (sal_ping_path_t){ .version = "", .channel = "", .build = "" };
    if (n == 4 && is_app(s[0]) && !strcmp(s[1], "crash") && is_schema_version(s[2]) &&
        is_uuid(s[3])) {
        out->dialect = SAL_PING_GLEAN;
        out->app = s[0];
        out->document_id = lower(s[3], p);
        return APR_SUCCESS;
    }
    if (n == 7 && !strcmp(s[0], "telemetry") && is_uuid(s[1]) && !strcmp(s[2], "crash") &&
        is_app(s[3]) && is_word(s[4]) && is_word(s[5]) && is_word(s[6])) {
        *out = (sal_ping_path_t){ SAL_PING_TELEMETRY, lower(s[1], p), s[3], s[4], s[5], s[6] };
        return APR_SUCCESS;
    }
    return sal_fail(err, APR_ENOENT, "the path is none of a crash ping");
}
