/*
 * What the ways of uploading share: refusals, who asks for try symbols, storing what was staged.
 */
#ifndef MODULES_SYMBOLS_SYMBOLS_UPLOAD_PRIVATE_H
#define MODULES_SYMBOLS_SYMBOLS_UPLOAD_PRIVATE_H

#include "symbols_private.h"

/* {"error": text} after draining the body within bounds; Retry-After with 503 and 429. */
int symbols_fail(request_rec *r, int status, const char *text);

/* What the client did wrong it reads; what we did wrong stands in the log. */
int symbols_fail_with(request_rec *r, int status, const sal_error_t *err);

/* DECLINED, or the answer to a caller who may not upload, or not with this method. */
int symbols_check_caller(request_rec *r, const web_identity_t *who, const char *methods);

/* True unless text is "", "0", "false" or "no"; with NULL what the permissions imply. */
bool symbols_wants_try(const char *text, int permissions);

/* DECLINED, or the 403 of a caller who lacks the right that is_try asks for. */
int symbols_check_try(request_rec *r, const web_identity_t *who, bool is_try);

/* DECLINED, or the 429 of a token that has its fill of uploads running, until pool p ends. */
int symbols_take_slot(request_rec *r, int64_t token_id, apr_pool_t *p);

/* The options that request and configuration give. */
void symbols_upload_opts(sal_upload_opts_t *opts, sal_upload_limits_t *limits, request_rec *r,
                         const web_identity_t *who);

/* Compares, publishes and records. */
apr_status_t symbols_store_upload(request_rec *r, sal_upload_t *up, sal_error_t *err);

/* The boundary of a multipart/form-data body ("" without one), or NULL for another type. */
const char *symbols_boundary(request_rec *r);

/* Upload by download: fetches, stores and answers. */
int symbols_upload_url(request_rec *r, const char *url, const sal_upload_opts_t *opts);

/* 201 with the upload's answer. */
int symbols_answer_upload(request_rec *r, sal_upload_t *up);

#endif
