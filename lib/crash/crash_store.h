/*
 * The crash store: one zip container a crash, made durable by the thread that received it.
 *
 *   STORE/crash/YYYYMMDD/xx/ID.zip     the container
 *   STORE/pending/ID                   hard link: durable, not known to be in the database yet
 *   STORE/processed/YYYYMMDD/xx/ID.JOB.FENCE.json.zst
 *
 * A container holds stored (method 0) entries: NAME.zst a dump, raw_crash.json, dump_names.json,
 * meta.json (size and SHA-256 of each original dump). Order of calls and what a crash at each
 * leaves behind: docs/durability.md.
 *
 * Thread rule: a sal_crash_store_t is shared; a writer or reader belongs to one thread.
 */
#ifndef SAL_CRASH_CRASH_STORE_H
#define SAL_CRASH_CRASH_STORE_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"
#include "base/reader.h"
#include "store/blob.h"

typedef struct sal_crash_store_t sal_crash_store_t;

/*
 * Opens or makes the store and proves that it keeps its promises (O_TMPFILE, linkat, fsync, a
 * known file system). allow_unsafe accepts a file system that is not known to keep them.
 */
SAL_API apr_status_t sal_crash_store_open(sal_crash_store_t **out, const char *root,
                                          bool allow_unsafe, apr_pool_t *p, sal_error_t *err);

SAL_API const char *sal_crash_store_root(const sal_crash_store_t *store);
/* NULL, or why this store may lose crashes in a power cut (it was opened with allow_unsafe). */
SAL_API const char *sal_crash_store_doubt(const sal_crash_store_t *store);

/* Below this much free space nothing is admitted; -1: the larger of 1 GiB and 2 %. */
SAL_API void sal_crash_store_min_free(sal_crash_store_t *store, apr_int64_t bytes);

/*
 * May a new crash be taken in? Cheap; call it before reading a body. SAL_E_SICK: a write was lost
 * and a probe still fails; APR_ENOSPC: no space or no inodes; APR_TIMEUP: a commit has been
 * waiting for the disk for over 10 seconds.
 */
SAL_API apr_status_t sal_crash_store_admit(sal_crash_store_t *store, sal_error_t *err);

/* Writes, syncs, links and removes a file: the heartbeat's question. */
SAL_API apr_status_t sal_crash_store_probe(sal_crash_store_t *store, sal_error_t *err);

/* ---- writing: the collector ---- */
typedef struct sal_crash_writer_t sal_crash_writer_t;

/* SAL_E_SICK, APR_ENOSPC or another errno. */
SAL_API apr_status_t sal_crash_begin(sal_crash_writer_t **out, sal_crash_store_t *store,
                                     apr_time_t now, apr_pool_t *p, sal_error_t *err);
/* The id to commit under, unless the client is allowed to bring its own: its directory is open. */
SAL_API const char *sal_crash_proposed_id(const sal_crash_writer_t *w);
/* Lets the commit replace a crash that has its id; it then returns APR_SUCCESS. */
SAL_API void sal_crash_allow_overwrite(sal_crash_writer_t *w);
/* Dumps stream in one after the other; each is compressed and hashed as it comes. */
SAL_API apr_status_t sal_crash_dump_begin(sal_crash_writer_t *w, const char *name,
                                          sal_error_t *err);
SAL_API apr_status_t sal_crash_dump_data(sal_crash_writer_t *w, const void *data, apr_size_t size,
                                         sal_error_t *err);
/* *sha256_hex (65 bytes, may be NULL) and *size describe the original dump. */
SAL_API apr_status_t sal_crash_dump_end(sal_crash_writer_t *w, char *sha256_hex, apr_uint64_t *size,
                                        sal_error_t *err);
/* Takes back the dump that was begun last and not ended. */
SAL_API apr_status_t sal_crash_dump_drop(sal_crash_writer_t *w, sal_error_t *err);
/*
 * Writes the raw crash document and makes the crash durable under id: fsync, both links, fsync of
 * the directory. When this returns APR_SUCCESS the crash survives a power cut and may be
 * acknowledged. SAL_E_EXISTS: the id was there before, nothing was overwritten.
 */
SAL_API apr_status_t sal_crash_commit(sal_crash_writer_t *w, const char *id, const json_t *raw,
                                      sal_error_t *err);

/* ---- reading: processor, pages, API ---- */
typedef struct sal_crash_reader_t sal_crash_reader_t;

/* APR_ENOENT if there is no such crash; SAL_E_MALFORMED if its container is damaged. */
SAL_API apr_status_t sal_crash_open(sal_crash_reader_t **out, sal_crash_store_t *store,
                                    const char *id, apr_pool_t *p, sal_error_t *err);
SAL_API bool sal_crash_exists(sal_crash_store_t *store, const char *id);
/* The raw crash document; owned by the reader's pool. */
SAL_API apr_status_t sal_crash_raw(json_t **out, sal_crash_reader_t *r, sal_error_t *err);
/* Names of dumps as submitted ("upload_file_minidump"), NULL-terminated. */
SAL_API const char *const *sal_crash_dump_names(sal_crash_reader_t *r);
/* Inflated bytes of a dump, at most max, checked against the stored SHA-256. In the pool. */
SAL_API apr_status_t sal_crash_dump(sal_span_t *out, sal_crash_reader_t *r, const char *name,
                                    apr_uint64_t max, apr_pool_t *p, sal_error_t *err);

/* ---- days, and throwing away ---- */

/* Makes the directories of today and tomorrow, durably, so that no request has to. Idempotent. */
SAL_API apr_status_t sal_crash_days_ahead(sal_crash_store_t *store, apr_time_t now,
                                          sal_error_t *err);
/* Called for each id; another status than APR_SUCCESS ends the listing and is returned. */
typedef apr_status_t (*sal_crash_id_fn)(void *baton, const char *id, sal_error_t *err);
/* The crashes of a day (YYYYMMDD); none if there is no such day. */
SAL_API apr_status_t sal_crash_list_day(sal_crash_store_t *store, const char *day,
                                        sal_crash_id_fn fn, void *baton, sal_error_t *err);
/*
 * Removes a crash: pending/ID, then its container, durably. One that is not there is no error.
 * Its rows are to be deleted after this, never before: a sweep would bring it back.
 */
SAL_API apr_status_t sal_crash_remove(sal_crash_store_t *store, const char *id, sal_error_t *err);
/*
 * Removes all crashes of a day that has been over for at least two days (APR_EINVAL for others, to
 * which somebody may be writing). As with one crash, rows go afterwards.
 */
SAL_API apr_status_t sal_crash_remove_day(sal_crash_store_t *store, const char *day,
                                          sal_error_t *err);
/* What an interrupted sal_crash_remove_day has left in trash/. */
SAL_API apr_status_t sal_crash_empty_trash(sal_crash_store_t *store, sal_error_t *err);

/*
 * Takes the dumps out of a crash's container and leaves the rest, durably; *dropped: 0 if it had
 * none. APR_ENOENT if there is no such crash.
 */
SAL_API apr_status_t sal_crash_drop_dumps(int *dropped, sal_crash_store_t *store, const char *id,
                                          apr_pool_t *p, sal_error_t *err);
/*
 * A file of ours in the folder of a day, for whoever works through days: a few lines that say what
 * is left to do. *text is NULL if there is none (or the day is not).
 */
SAL_API apr_status_t sal_crash_day_note(const char **text, sal_crash_store_t *store,
                                        const char *day, const char *name, apr_pool_t *p,
                                        sal_error_t *err);
SAL_API apr_status_t sal_crash_set_day_note(sal_crash_store_t *store, const char *day,
                                            const char *name, const char *text, sal_error_t *err);
/* Days (YYYYMMDD) of crash/ or, processed, of processed/, oldest first; NULL-terminated, in p. */
SAL_API apr_status_t sal_crash_days(const char *const **out, sal_crash_store_t *store,
                                    bool processed, apr_pool_t *p, sal_error_t *err);

/* ---- processed documents ---- */
/* Stores zstd-compressed JSON; *key names it (for processed_crash.blob and reading back). */
SAL_API apr_status_t sal_processed_put(const char **key, sal_crash_store_t *store, const char *id,
                                       apr_int64_t job, apr_int64_t fence, const json_t *doc,
                                       apr_pool_t *p, sal_error_t *err);
/* The same, but not durable before sal_blob_sync(*w): other work may be done between. *w is in p.
 */
SAL_API apr_status_t sal_processed_begin(sal_blob_writer_t **w, const char **key,
                                         sal_crash_store_t *store, const char *id, apr_int64_t job,
                                         apr_int64_t fence, const json_t *doc, apr_pool_t *p,
                                         sal_error_t *err);
SAL_API apr_status_t sal_processed_get(json_t **out, sal_crash_store_t *store, const char *key,
                                       apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_processed_remove(sal_crash_store_t *store, const char *key,
                                          sal_error_t *err);
SAL_API bool sal_processed_exists(sal_crash_store_t *store, const char *key);
/* All documents of a day, as sal_crash_remove_day. */
SAL_API apr_status_t sal_processed_remove_day(sal_crash_store_t *store, const char *day,
                                              sal_error_t *err);
/*
 * The keys of a day's documents that were written before `before`, in the folders of the day that
 * have changed since `since` (0: all of them).
 */
SAL_API apr_status_t sal_processed_list_day(sal_crash_store_t *store, const char *day,
                                            apr_time_t before, apr_time_t since, sal_crash_id_fn fn,
                                            void *baton, sal_error_t *err);

/* ---- pending: the row thread and the sweep ---- */
struct sal_db_t;

typedef struct sal_pending_row_t {
    char id[37];
    apr_time_t submitted;
} sal_pending_row_t;

/* Reads the row of a crash from its container; without a time in it, the day of the id. */
SAL_API apr_status_t sal_pending_row(sal_pending_row_t *row, const char *id,
                                     sal_crash_store_t *store, apr_pool_t *p, sal_error_t *err);

/*
 * Inserts raw_crash and crash_job rows in one statement, then unlinks pending/ID of each. A batch
 * that the database refuses for its content is halved until the bad row is alone; that row stays
 * in pending/ and is counted in *refused (may be NULL).
 */
SAL_API apr_status_t sal_pending_insert(sal_crash_store_t *store, const sal_pending_row_t *rows,
                                        int n, bool notify, int *refused, struct sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);

/* The same for ids whose containers are in place; the time of receipt is read from them. */
SAL_API apr_status_t sal_pending_enqueue(sal_crash_store_t *store, const char *const *ids, int n,
                                         bool notify, struct sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);
/*
 * Sweeps pending/: entries older than min_age seconds get their final name and their rows.
 * *queued counts, *bad counts what was moved to STORE/bad. Safe beside others doing the same.
 */
SAL_API apr_status_t sal_pending_sweep(int *queued, int *bad, sal_crash_store_t *store, int min_age,
                                       struct sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* Full sweep: compares the containers of [from, to] (YYYYMMDD) with raw_crash. */
SAL_API apr_status_t sal_crash_sweep_days(int *queued, sal_crash_store_t *store, const char *from,
                                          const char *to, struct sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);
/*
 * The same for yesterday to tomorrow, if nobody has done so within 24 hours; else *queued is 0.
 * Who did it last is written to STORE/full.lock.
 */
SAL_API apr_status_t sal_crash_sweep_daily(int *queued, sal_crash_store_t *store,
                                           struct sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* True if nobody has done so within 24 hours. */
SAL_API bool sal_crash_sweep_due(sal_crash_store_t *store);
/* When the last sweep of pending/ began, by whomever; 0 for never. */
SAL_API apr_time_t sal_pending_swept(sal_crash_store_t *store);
/* Entries waiting in pending/ and the age of the oldest in seconds (0 for none); counts to max. */
SAL_API apr_status_t sal_pending_count(int *n, int *oldest, sal_crash_store_t *store, int max,
                                       sal_error_t *err);

#endif
