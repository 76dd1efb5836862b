/*
 * What the files of the exporter share: config.c reads salvage.conf, exporter.c takes turns,
 * deliver.c posts, segments.c writes telemetry, target.c is where files go.
 */
#ifndef SAL_EXPORT_PRIVATE_H
#define SAL_EXPORT_PRIVATE_H

#include <apr_tables.h>
#include "export/exporter.h"
#include "export/post.h"
#include "export/telemetry.h"
#include "process/schema.h"
#include "store/blob.h"
#include "store/s3.h"

/* Forms of telemetry. */
enum { FORM_LINES = 1, FORM_OBJECTS = 2 };

enum { COUNTERS = 10 };
typedef struct counter_t {
    const char *metric; /* NULL: unused */
    apr_int64_t n;
} counter_t;

typedef struct dest_t {
    sal_outbox_dest_t row;

    /* telemetry */
    int forms;
    const char *folder; /* absolute; NULL: s3 */
    const char *prefix; /* of keys in the bucket, "" or with a final slash */
    sal_s3_opts_t s3_opts;
    sal_store_t *store; /* opened when first used, as s3 is */
    sal_s3_t *s3;
    bool schema_there;
    apr_time_t marked; /* when the watermark was written last */

    /* stage, webhook */
    const char *url;
    const char *token;  /* stage: of the other collector, or NULL */
    const char *secret; /* webhook: signs bodies, or NULL */
    int strip;

    int failures; /* in a row, without an answer */
    apr_time_t again_at;
    counter_t count[COUNTERS]; /* not in the database yet */
} dest_t;

struct sal_exporter_t {
    apr_pool_t *pool;
    sal_crash_store_t *crashes;
    sal_fields_t *fields, *raw_fields;
    sal_telemetry_t *telemetry;
    apr_array_header_t *dests; /* of dest_t */
    int interval, batch;       /* of telemetry: seconds, rows */
    int timeout, attempts;     /* of posts */
    bool hurry;
    const char *who; /* host:pid */
    sal_poster_t *poster;
    apr_time_t adopted; /* when deferred crashes were looked for last */
    bool (*stopping)(void *baton);
    void *baton;
};

/* ---- config.c ---- */
apr_status_t export_read_conf(sal_exporter_t *e, const sal_conf_t *conf, sal_error_t *err);

/* ---- exporter.c ---- */
bool export_stops(const sal_exporter_t *e);
/* Adds to a counter of d; the name is a constant. */
void export_count(dest_t *d, const char *metric, apr_int64_t n);
/* The destination does not answer, or takes nothing: nobody tries for a while. */
void export_leave_alone(dest_t *d);
void export_works(dest_t *d);

/* ---- deliver.c ---- */
/* Sends a parcel of one row and settles it. An error is one of the database. */
apr_status_t export_deliver(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err);

/* ---- segments.c ---- */
apr_status_t export_segments(sal_exporter_t *e, dest_t *d, const sal_parcel_t *parcel, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err);
/* The schema, if this exporter has not put it there, and the watermark, now and then. */
apr_status_t export_put_schema(sal_exporter_t *e, dest_t *d, apr_pool_t *p, sal_error_t *err);
apr_status_t export_put_watermark(sal_exporter_t *e, dest_t *d, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err);

/* ---- target.c ---- */

/* A file on its way to a destination of telemetry: nobody sees it before it is whole. */
typedef struct target_file_t target_file_t;

apr_status_t target_begin(target_file_t **out, sal_exporter_t *e, dest_t *d, apr_pool_t *p,
                          sal_error_t *err);
apr_status_t target_write(target_file_t *f, const void *data, apr_size_t size, sal_error_t *err);
/* Durable under key when this returns; one that was there is replaced. */
apr_status_t target_commit(target_file_t *f, const char *key, const char *content_type,
                           const char *const *headers, sal_error_t *err);
/* The three in one. */
apr_status_t target_put(sal_exporter_t *e, dest_t *d, const char *key, const void *data,
                        apr_size_t size, const char *content_type, const char *const *headers,
                        apr_pool_t *p, sal_error_t *err);

#endif
