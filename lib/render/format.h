/*
 * How things are written on pages: numbers, durations, sizes, times, ids, frames, signatures.
 *
 * Text in, text out, in the caller's pool; nothing here escapes for HTML (templates do).
 */
#ifndef SAL_RENDER_FORMAT_H
#define SAL_RENDER_FORMAT_H

#include <jansson.h>
#include <apr_time.h>
#include "base/error.h"

/* "5,641", "-3". */
SAL_API const char *sal_format_count(apr_int64_t n, apr_pool_t *p);

/* Seconds as the two largest units: "1 h 34 min", "12 d 3 h", "45 s". */
SAL_API const char *sal_format_duration(apr_int64_t seconds, apr_pool_t *p);

/* Decimal units, three digits: "1.20 GB", "512 B". */
SAL_API const char *sal_format_bytes(apr_int64_t bytes, apr_pool_t *p);

/* "2026-11-22 12:49:26", UTC; without seconds if brief. */
SAL_API const char *sal_format_time(apr_time_t t, int brief, apr_pool_t *p);

/* "2026-11-22T12:49:26Z", for <time datetime>. */
SAL_API const char *sal_format_datetime(apr_time_t t, apr_pool_t *p);

/* "6b1f0c52-9d4e…261122"; other text as it is. */
SAL_API const char *sal_format_short_id(const char *id, apr_pool_t *p);

/* YYYYMMDDhhmmss of a build id as "4 Nov 2026"; NULL if it is no such date. */
SAL_API const char *sal_format_build_date(const char *build, apr_pool_t *p);

/* A function as shown: no blanks before '*', '&' and ',', one after each comma. */
SAL_API const char *sal_format_function(const char *function, apr_pool_t *p);

/*
 * The text of a frame: function, else file#line, else module@offset, else
 * (unloaded module@offset), else @offset. Leading zeros of offsets are dropped.
 */
SAL_API const char *sal_format_frame(const json_t *frame, apr_pool_t *p);

/* A source file by the built-in templates alone (render/vcs.h). *url: a link to the line, or NULL.
 */
SAL_API const char *sal_format_source(const char *file, apr_int64_t line, const char **url,
                                      apr_pool_t *p);

/*
 * Pieces between which a line may break, as an array of strings (new reference): after "::", '/',
 * '.', '_' in long words, and after blanks.
 */
SAL_API json_t *sal_format_pieces(const char *text);

/* A signature: its parts at " | ", each {"parts": [pieces], "bar": is not the first}. */
SAL_API json_t *sal_format_signature(const char *signature);

/* Percent encoding of everything but unreserved characters. */
SAL_API const char *sal_format_urlencode(const char *text, apr_pool_t *p);

#endif
