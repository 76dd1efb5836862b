/*
 * What the protocols of uploads in several requests share: sessions in the database, bodies.
 */
#ifndef MODULES_SYMBOLS_SYMBOLS_SESSION_H
#define MODULES_SYMBOLS_SYMBOLS_SESSION_H

#include "upload/session.h"
#include "symbols_upload_private.h"

/* The last segment of the request's path. */
const char *symbols_last_segment(request_rec *r);

/*
 * DECLINED with *s filled, or the answer: 404, 410 once its time is over, 503. kind: which sessions
 * the protocol knows.
 */
int symbols_find_session(sal_session_t *s, request_rec *r, const char *secret, const char *kind);

/* Who began the session, as far as its row tells. */
void symbols_session_opts(sal_upload_opts_t *opts, sal_upload_limits_t *limits, request_rec *r,
                          const sal_session_t *s);

apr_status_t symbols_add_session(request_rec *r, sal_session_t *s, int lifetime, sal_error_t *err);
void symbols_note_session(request_rec *r, const sal_session_t *s, uint64_t received);

/* An archive's session has ended well: its row says so, its files go. */
void symbols_complete_session(request_rec *r, sal_session_t *s, uint64_t received);

/* Row and files. */
void symbols_drop_session(request_rec *r, const sal_session_t *s);

/*
 * Reads the request's body into the session, passing over its first `skip` bytes; max: what may
 * come at most. OK, or a status with *err filled unless the client went away.
 */
int symbols_receive(request_rec *r, sal_session_body_t *b, uint64_t skip, uint64_t max,
                    sal_error_t *err);

/*
 * Publishes a single file: key s->name, bytes in b. The session's size and MD5, where it has them,
 * must be those of the original. Ends the session's row. A failure of SAL_E_MALFORMED is final.
 */
apr_status_t symbols_store_file(request_rec *r, sal_session_t *s, sal_session_body_t *b,
                                sal_packed_t packed, bool *skipped, sal_error_t *err);

/* gzip, if the body begins so and the key is that of a .sym. */
sal_packed_t symbols_packing(const sal_session_t *s, sal_session_body_t *b);

#endif
