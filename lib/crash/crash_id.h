/*
 * Crash ids: a lower-case UUIDv4 whose 30th character is the throttle digit and whose last six
 * are the UTC date of receipt, YYMMDD. "bp-" is a display prefix and never stored.
 */
#ifndef SAL_CRASH_CRASH_ID_H
#define SAL_CRASH_CRASH_ID_H

#include <stdbool.h>
#include <apr_time.h>
#include "base/error.h"

#define SAL_CRASH_ID_LEN 36

SAL_API void sal_crash_id_make(char out[SAL_CRASH_ID_LEN + 1], apr_time_t now, int throttle);
/* Strict: grammar, throttle digit 0 or 1, a real date. */
SAL_API bool sal_crash_id_valid(const char *id);
/* Strips blanks and "bp-", checks; NULL if it is no crash id. */
SAL_API const char *sal_crash_id_clean(const char *text, apr_pool_t *p);
/* "YYYYMMDD" of a valid id. */
SAL_API void sal_crash_id_day(char out[9], const char *id);

#endif
