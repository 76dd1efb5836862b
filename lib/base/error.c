/*
 * Errors: filling a sal_error_t. Called by every room; knows none of them.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

static const struct {
    apr_status_t code;
    const char *text;
} own_codes[] = {
    { SAL_E_MALFORMED, "malformed input" },   { SAL_E_TOOBIG, "over a limit" },
    { SAL_E_UNSUPPORTED, "not supported" },   { SAL_E_EXISTS, "exists already" },
    { SAL_E_NODB, "no database connection" }, { SAL_E_DB, "database error" },
    { SAL_E_FENCED, "lease lost" },           { SAL_E_SICK, "store is sick" },
    { SAL_E_DENIED, "not allowed" },          { SAL_E_BUSY, "under way" },
};

static void fill(sal_error_t *err, apr_status_t code, apr_uint64_t offset, const char *fmt,
                 va_list args)
{
    if (err) {
        err->code = code;
        err->offset = offset;
        err->sqlstate[0] = '\0';
        vsnprintf(err->message, sizeof(err->message), fmt, args);
    }
}

apr_status_t sal_fail(sal_error_t *err, apr_status_t code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fill(err, code, 0, fmt, args);
    va_end(args);
    return code;
}

apr_status_t sal_fail_at(sal_error_t *err, apr_status_t code, apr_uint64_t offset, const char *fmt,
                         ...)
{
    va_list args;

    va_start(args, fmt);
    fill(err, code, offset, fmt, args);
    va_end(args);
    return code;
}

apr_status_t sal_fail_os(sal_error_t *err, apr_status_t code, const char *fmt, ...)
{
    va_list args;
    apr_size_t used;

    va_start(args, fmt);
    fill(err, code, 0, fmt, args);
    va_end(args);
    if (err) {
        char text[120];

        used = strlen(err->message);
        snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                 sal_strstatus(code, text, sizeof(text)));
    }
    return code;
}

const char *sal_strstatus(apr_status_t code, char *buf, apr_size_t size)
{
    for (apr_size_t i = 0; i < sizeof(own_codes) / sizeof(own_codes[0]); i++) {
        if (own_codes[i].code == code) {
            apr_cpystrn(buf, own_codes[i].text, size);
            return buf;
        }
    }
    return apr_strerror(code, buf, size);
}
