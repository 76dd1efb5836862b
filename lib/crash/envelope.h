/*
 * Sentry's envelope: a header line, then items, each a header line and a payload. Pushed in as
 * bytes; what comes out looks like the parts of a form, so that both are taken in alike:
 *
 *   event                          text part "sentry"
 *   attachment, event.minidump     file part "upload_file_minidump"
 *   another attachment             file part of its file name, without folders
 *   event_id of the header         text part "sentry[event_id]"
 *
 * Other items (sessions, client reports) are read over. Constant memory (9 KiB).
 */
#ifndef SAL_CRASH_ENVELOPE_H
#define SAL_CRASH_ENVELOPE_H

#include "crash/multipart.h"

#define SAL_ENVELOPE_HEADER_MAX 8192

typedef struct sal_envelope_t sal_envelope_t;

/* events as for sal_multipart_make; lax_delimiter is never called. */
SAL_API apr_status_t sal_envelope_make(sal_envelope_t **out, int max_items,
                                       const sal_multipart_events_t *events, void *baton,
                                       apr_pool_t *p, sal_error_t *err);
/* SAL_E_MALFORMED, SAL_E_TOOBIG (too many items), or what a callback returned; then it is over. */
SAL_API apr_status_t sal_envelope_feed(sal_envelope_t *e, const char *data, apr_size_t size,
                                       sal_error_t *err);
/* End of input: SAL_E_MALFORMED in the middle of a header or of a payload of known length. */
SAL_API apr_status_t sal_envelope_finish(sal_envelope_t *e, sal_error_t *err);

#endif
