/*
 * An incremental multipart/form-data parser: bytes are pushed in, events come out.
 *
 * Constant memory (9 KiB), one pass, no look-back. What it takes and refuses
 * stands in docs/collector.md; in short, the grammar of Mozilla's collector, and a delimiter
 * without a line break before it (Breakpad on Windows and macOS) where the boundary is long enough
 * to be no accident. The same input gives the same events however it is cut into pieces, except
 * for where `data` is cut.
 */
#ifndef SAL_CRASH_MULTIPART_H
#define SAL_CRASH_MULTIPART_H

#include <stdbool.h>
#include "base/error.h"

#define SAL_MULTIPART_BOUNDARY_MAX 70

/* Strings are valid UTF-8 (type and charset ASCII) and live until the callback returns. */
typedef struct sal_part_t {
    const char *name;     /* NULL if there is none */
    const char *filename; /* NULL if there is none; may be "" */
    const char *type;     /* the header's text, "text/plain" if there is none */
    const char *charset;  /* parameter of type, "utf-8" if there is none */
    bool nul;             /* NULs were removed from name or filename */
} sal_part_t;

/* A callback that fails ends the parse; its status is what feed returns. */
typedef struct sal_multipart_events_t {
    apr_status_t (*part_begin)(void *baton, const sal_part_t *part, sal_error_t *err);
    apr_status_t (*part_data)(void *baton, const char *data, apr_size_t size, sal_error_t *err);
    apr_status_t (*part_end)(void *baton, sal_error_t *err);
    /* The part just ended had no line break before its delimiter; called before part_end. */
    void (*lax_delimiter)(void *baton);
} sal_multipart_events_t;

typedef struct sal_multipart_t sal_multipart_t;

/* boundary: 1..70 bytes, copied. SAL_E_MALFORMED for another length. events must outlive it. */
SAL_API apr_status_t sal_multipart_make(sal_multipart_t **out, const char *boundary, int max_parts,
                                        const sal_multipart_events_t *events, void *baton,
                                        apr_pool_t *p, sal_error_t *err);

/* SAL_E_MALFORMED, SAL_E_TOOBIG (too many parts), or what a callback returned; then it is over. */
SAL_API apr_status_t sal_multipart_feed(sal_multipart_t *m, const char *data, apr_size_t size,
                                        sal_error_t *err);

/* End of input: SAL_E_MALFORMED unless the closing delimiter was seen. */
SAL_API apr_status_t sal_multipart_finish(sal_multipart_t *m, sal_error_t *err);

#endif
