/*
 * Text helpers: hex, numbers with range, times, UTF-8, basenames.
 */
#ifndef SAL_BASE_TEXT_H
#define SAL_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <apr_time.h>
#include "base/error.h"

/* Lower-case hex of size bytes; out holds 2*size+1. */
SAL_API void sal_hex(char *out, const void *data, apr_size_t size);

/* Unsigned hex of 1..16 digits, no prefix, to end of [s, s+len). */
SAL_API bool sal_parse_hex(const char *s, apr_size_t len, uint64_t *v);

/* Decimal integer, whole string, within [min, max]. */
SAL_API bool sal_parse_int(const char *s, int64_t min, int64_t max, int64_t *v);

/* "25M", "64k", "4G", plain bytes. */
SAL_API bool sal_parse_size(const char *s, uint64_t *v);

/* "30", "30s", "5min", "2h", "7d" -> seconds. */
SAL_API bool sal_parse_duration(const char *s, int64_t *seconds);

/* Text after the last '/' or '\'. Points into s. */
SAL_API const char *sal_basename(const char *s);

/* ISO 8601 UTC "2026-01-31T10:20:30.123456+00:00"; the fraction is left out when it is 0. */
SAL_API const char *sal_time_iso(apr_time_t t, apr_pool_t *p);

/* Reads what sal_time_iso writes, also "...Z" and a blank for the T. */
SAL_API bool sal_time_parse(const char *s, apr_time_t *t);

/* Valid UTF-8 of [s, s+len) in p: bad bytes and NUL become U+FFFD. */
SAL_API const char *sal_utf8_clean(const char *s, apr_size_t len, apr_pool_t *p);
/* True if sal_utf8_clean would change nothing (so NUL is not valid). */
SAL_API bool sal_utf8_valid(const char *s, apr_size_t len);

/* Writes a code point (at most 0x10ffff) as 1 to 4 bytes; returns the byte after them. */
SAL_API char *sal_utf8_put(char *to, unsigned c);

/* Cuts s in place so that at most max bytes remain and no code point is split. */
SAL_API void sal_utf8_cut(char *s, apr_size_t max);

/* SHA-256, 32 bytes. */
SAL_API void sal_sha256(const void *data, apr_size_t size, unsigned char out[32]);

#endif
