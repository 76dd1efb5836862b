/*
 * Taking in one report: body bytes -> (inflate) -> parts -> annotations and dumps in the store.
 *
 * The whole of collecting that needs no request. Dumps stream straight into the container; memory
 * is bounded by the limits on annotations, whatever the size of the body.
 *
 *   make, feed..., finish, then look at the annotations, then commit, or just let the pool go.
 */
#ifndef SAL_CRASH_INTAKE_H
#define SAL_CRASH_INTAKE_H

#include "crash/annotations.h"
#include "crash/crash_store.h"

typedef struct sal_intake_limits_t {
    apr_uint64_t inflated;      /* bytes of a gzip body after inflating */
    apr_uint64_t dump;          /* bytes of one file part */
    apr_size_t annotation;      /* bytes of one text part */
    apr_size_t long_annotation; /* of TelemetryEnvironment and its like */
    apr_size_t json;            /* of a JSON part */
    apr_size_t total;           /* of all annotations */
    int parts;
} sal_intake_limits_t;

#define SAL_INTAKE_LIMITS                                                                          \
    {                                                                                              \
        .inflated = (apr_uint64_t)200 << 20, .dump = (apr_uint64_t)200 << 20,                      \
        .annotation = 1 << 20, .long_annotation = 20 << 20, .json = 20 << 20, .total = 40 << 20,   \
        .parts = 4096                                                                              \
    }

/* What was wrong with a report; the host turns it into its protocol's words. */
typedef enum {
    SAL_FAULT_NONE,
    SAL_FAULT_BAD_GZIP,
    SAL_FAULT_STRUCTURE,  /* of the form */
    SAL_FAULT_JSON,       /* no JSON */
    SAL_FAULT_JSON_VALUE, /* JSON, but no object */
    SAL_FAULT_DUMP_NAME,
    SAL_FAULT_NO_ANNOTATIONS,
    SAL_FAULT_TOO_LARGE,
    SAL_FAULT_STORE /* not the client's: err says what the store said */
} sal_fault_t;

typedef struct sal_intake_t sal_intake_t;

/* boundary as sal_multipart_make. limits is copied. */
SAL_API apr_status_t sal_intake_make(sal_intake_t **out, sal_crash_store_t *store,
                                     const char *boundary, bool gzip, apr_time_t now,
                                     const sal_intake_limits_t *limits, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * Bodies that are no form: the whole body one dump, or one of Sentry's envelopes. These
 * need no annotations; an envelope need not even hold a dump.
 */
typedef enum { SAL_BODY_DUMP, SAL_BODY_ENVELOPE } sal_body_t;
SAL_API apr_status_t sal_intake_make_other(sal_intake_t **out, sal_crash_store_t *store,
                                           sal_body_t body, bool gzip, apr_time_t now,
                                           const sal_intake_limits_t *limits, apr_pool_t *p,
                                           sal_error_t *err);

/* Bytes of the body. After a failure sal_intake_fault tells what it was. */
SAL_API apr_status_t sal_intake_feed(sal_intake_t *in, const char *data, apr_size_t size,
                                     sal_error_t *err);
SAL_API apr_status_t sal_intake_finish(sal_intake_t *in, sal_error_t *err);
SAL_API sal_fault_t sal_intake_fault(const sal_intake_t *in);

SAL_API sal_annotations_t *sal_intake_annotations(sal_intake_t *in);
/* True if a dump of this (sanitised) name came. */
SAL_API bool sal_intake_has_dump(const sal_intake_t *in, const char *name);
/* Maps Sentry's dialect (crash/sentry.h), the file __sentry-event included. */
SAL_API void sal_intake_map_sentry(const char **event_id, sal_intake_t *in, const char *project);

/* Of a gzip body: bytes after inflating, and the time that inflating took. False if it is none. */
SAL_API bool sal_intake_inflated(const sal_intake_t *in, apr_uint64_t *size,
                                 apr_interval_time_t *time);

/* An id of today whose file is already open; NULL only if the store failed (err says how). */
SAL_API const char *sal_intake_id(sal_intake_t *in, sal_error_t *err);

/* Builds the raw crash and makes all of it durable under id; returns as sal_crash_commit. */
SAL_API apr_status_t sal_intake_commit(sal_intake_t *in, const char *id, sal_raw_meta_t *meta,
                                       sal_error_t *err);

#endif
