/*
 * The outbox: what is to be sent out, put there by the transaction that makes it known, and sent
 * later by whoever has time (docs/export.md).
 *
 * A row is a crash (or, of a web hook, a subject) for a destination. Rows are claimed as parcels
 * under a lease with a fence, as jobs of the queue are. A parcel stays what it is until it has
 * arrived, so that sending it again has the effect of sending it once. Knows rows; not what is
 * sent, nor how.
 */
#ifndef SAL_EXPORT_OUTBOX_H
#define SAL_EXPORT_OUTBOX_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/db.h"

typedef enum {
    SAL_EXPORT_TELEMETRY = 0,
    SAL_EXPORT_STAGE = 1,
    SAL_EXPORT_WEBHOOK = 2
} sal_export_kind_t;

/* "telemetry", "stage", "webhook". */
SAL_API const char *sal_export_kind_name(sal_export_kind_t kind);

/* 0..99, always the same for a crash id: a destination of SAMPLE takes those below SAMPLE. */
SAL_API int sal_export_draw(const char *crash_id);

/* ---- putting in ---- */

typedef struct sal_outbox_dest_t {
    sal_export_kind_t kind;
    const char *name;
    int sample;    /* of a hundred crashes; stage only */
    bool deferred; /* stage only: crashes that wait to be looked at, too */
} sal_outbox_dest_t;

/*
 * Says what destinations there are; from now on crashes that end get rows for them, and for no
 * others. Idempotent. Rows of a destination that is no longer named stay until they are dropped.
 */
SAL_API apr_status_t sal_outbox_register(const sal_outbox_dest_t *dest, int n, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/*
 * Inside the transaction that stores a processed crash, once its row is there: a row for each
 * destination that wants it. shown: the document may go into telemetry (it was processed, not
 * given up).
 */
SAL_API apr_status_t sal_outbox_note(const char *crash_id, bool shown, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/*
 * A web hook, inside any transaction: body (JSON text) is posted to the destination of that name
 * (NULL: all of them). The same subject and pass is sent once. *n (may be NULL) counts the rows.
 */
SAL_API apr_status_t sal_outbox_put(int *n, const char *name, const char *subject, int pass,
                                    const char *body, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Rows for deferred crashes, for destinations that want them. Cheap; every minute or so. */
SAL_API apr_status_t sal_outbox_adopt(int *n, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Rows of telemetry for crashes received in [from, to): those whose present state the destination
 * has not seen, or with again all of them. Goes through them in short transactions, *n counts.
 */
SAL_API apr_status_t sal_outbox_backfill(apr_int64_t *n, const char *name, apr_time_t from,
                                         apr_time_t to, bool again, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

/* ---- taking out ---- */

typedef struct sal_parcel_t {
    apr_int64_t id, fence;
    sal_export_kind_t kind;
    const char *destination;
    int attempts; /* this one included */
    int size;
} sal_parcel_t;

typedef struct sal_parcel_claim_t {
    sal_export_kind_t kind;
    const char *destination;
    int most;        /* rows of a new parcel */
    int patience;    /* seconds that rows wait for the parcel to fill */
    int lease;       /* seconds */
    const char *who; /* for the reader */
} sal_parcel_claim_t;

/*
 * One that is due again, or a new one; *found is false if there is none. One that was lost three
 * times is taken apart on the way, and a single row that was lost three times has failed.
 */
SAL_API apr_status_t sal_parcel_claim(sal_parcel_t *out, bool *found,
                                      const sal_parcel_claim_t *claim, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

typedef struct sal_parcel_row_t {
    apr_int64_t id;
    const char *subject;
    int pass;         /* as put; 0: export whatever there is, even if it was seen */
    const char *body; /* web hook: JSON; else NULL */
    /* telemetry: */
    const char *blob; /* of the document now; NULL: the crash is gone */
    int doc_pass;     /* of that document */
    int seen_pass;    /* last one that the destination has seen; 0: none */
} sal_parcel_row_t;

SAL_API apr_status_t sal_parcel_rows(sal_parcel_row_t **rows, int *n, const sal_parcel_t *parcel,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* All of these: SAL_E_FENCED if the lease is no longer ours; nothing was changed then. */
SAL_API apr_status_t sal_parcel_renew(const sal_parcel_t *parcel, int lease, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);
/* All rows arrived; they are remembered for a while. note may be NULL. */
SAL_API apr_status_t sal_parcel_sent(const sal_parcel_t *parcel, const char *note, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);
/* Never again, unless somebody says so. */
SAL_API apr_status_t sal_parcel_failed(const sal_parcel_t *parcel, const char *why, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);
/* Again in so many seconds. */
SAL_API apr_status_t sal_parcel_retry(const sal_parcel_t *parcel, const char *why, int seconds,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* Unfinished, at shutdown: the attempt does not count. */
SAL_API apr_status_t sal_parcel_return(const sal_parcel_t *parcel, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

/* What became of the rows of a parcel of telemetry. */
typedef struct sal_parcel_seen_t {
    const char **crash_id; /* exported */
    int64_t *pass;         /* of each */
    int n;
    const apr_int64_t *failed; /* rows */
    const char **why;          /* of each */
    int n_failed;
} sal_parcel_seen_t;
SAL_API apr_status_t sal_parcel_seen(const sal_parcel_t *parcel, const sal_parcel_seen_t *seen,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Seconds until the next try: first, doubled each time, at most an hour, with jitter. */
SAL_API int sal_parcel_pause(int attempts, int first);

/* ---- looking ---- */

typedef struct sal_outbox_stats_t {
    sal_export_kind_t kind;
    const char *name;
    bool active; /* configured */
    apr_int64_t waiting, travelling, failed, sent, oldest_seconds;
    const char *last_error; /* of what is tried again, "" if none */
} sal_outbox_stats_t;
SAL_API apr_status_t sal_outbox_stats(sal_outbox_stats_t **out, int *n, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

typedef struct sal_outbox_failed_t {
    apr_int64_t id;
    sal_export_kind_t kind;
    const char *name, *subject, *why;
    int pass, attempts;
    apr_time_t ended;
} sal_outbox_failed_t;
/* The newest first. */
SAL_API apr_status_t sal_outbox_failed(sal_outbox_failed_t **out, int *n, int most, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/* Failed rows wait again: one by its id, those of a destination or a subject, or (0, NULL) all. */
SAL_API apr_status_t sal_outbox_revive(int *n, apr_int64_t id, const char *of, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);
/* What waits for its next try is due now; NULL: of all destinations. */
SAL_API apr_status_t sal_outbox_hurry(const char *destination, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);
/* Forgets what waits for a destination, and the destination if it is no longer configured. */
SAL_API apr_status_t sal_outbox_drop(int *n, const char *destination, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* Everything that ended before this time was exported to the destination. */
SAL_API apr_status_t sal_outbox_watermark(apr_time_t *out, const char *destination, sal_db_t *db,
                                          apr_pool_t *p, sal_error_t *err);

/* Counts a metric ("submitter.sent"). */
SAL_API apr_status_t sal_outbox_count(const char *metric, const char *destination, apr_int64_t n,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

typedef struct sal_outbox_counter_t {
    const char *metric, *destination;
    apr_int64_t n;
} sal_outbox_counter_t;
/* All counters, by metric, then destination. */
SAL_API apr_status_t sal_outbox_counters(sal_outbox_counter_t **out, int *n, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/* Deletes what failed or arrived so many days ago, and what is known of crashes that are gone. */
SAL_API apr_status_t sal_outbox_purge(apr_int64_t *n, int failed_days, int sent_days, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

#endif
