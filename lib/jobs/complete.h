/*
 * The end of a job: the result becomes visible and the job goes, both or neither.
 *
 * The document is written to the crash store first; then one transaction ends the job under its
 * fence, puts the row and the search row; then the former document is removed. A lease that was
 * lost rolls everything back. A commit whose outcome is unknown is settled by looking. Which death
 * leaves what behind: docs/processor.md.
 */
#ifndef SAL_JOBS_COMPLETE_H
#define SAL_JOBS_COMPLETE_H

#include <jansson.h>
#include "crash/crash_store.h"
#include "process/process.h"
#include "queue/queue.h"

/*
 * Stores doc as the result of the job. doc gains its crash id and date if it lacks them.
 * SAL_E_FENCED: another worker owns the job, nothing was kept. SAL_E_NODB: still unknown, the
 * database is away; call again with the same arguments once it is back (pass 1 has the effect of
 * pass n).
 */
SAL_API apr_status_t sal_job_complete(const sal_job_t *job, json_t *doc, sal_crash_store_t *store,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Told of each step that is behind: "document" (written), "terms", "durable"; in the transaction
   "job", "row", "search", "signatures", "symbols", "outbox"; "commit"; "former" (the document
   before is gone). */
typedef struct sal_job_steps_t {
    void (*done)(const char *step, void *baton);
    void *baton;
} sal_job_steps_t;

/* The same, watched: how long steps take, what a death between them leaves behind. */
SAL_API apr_status_t sal_job_complete_steps(const sal_job_t *job, json_t *doc,
                                            const sal_job_steps_t *steps, sal_crash_store_t *store,
                                            sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * The same in two steps, so that several results can be stored by one transaction and one flush of
 * the disk. The first writes the document and finds its terms, the second does the rest and may be
 * called again after SAL_E_NODB. job, doc and steps must live as long as *out, which is in p.
 */
typedef struct sal_ending_t sal_ending_t;
SAL_API apr_status_t sal_job_write(sal_ending_t **out, const sal_job_t *job, json_t *doc,
                                   const sal_job_steps_t *steps, sal_crash_store_t *crashes,
                                   sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_job_store(sal_ending_t *e, sal_crash_store_t *crashes, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err);
/*
 * All of them in one transaction, or none: then, whatever the error is, what became of each is
 * found by sal_job_store. Jobs of different crashes only.
 */
SAL_API apr_status_t sal_job_store_all(sal_ending_t **endings, int n, sal_crash_store_t *crashes,
                                       sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Dead letter with a stub document, if the crash has none yet. SAL_E_FENCED as above. */
SAL_API apr_status_t sal_job_bury(const sal_job_t *job, const char *reason,
                                  const sal_process_opts_t *opts, sal_crash_store_t *store,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The stub of a crash whose job has died already. *made (may be NULL): 0 if it has a document. */
SAL_API apr_status_t sal_job_stub(int *made, const char *crash_id, const char *reason,
                                  const sal_process_opts_t *opts, sal_crash_store_t *store,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The document of the last pass, owned by p; NULL if there is none (or its blob has gone). */
SAL_API apr_status_t sal_job_previous(json_t **doc, const char *crash_id, sal_crash_store_t *store,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);
/* The same of a claimed job, which knows the name of the document. */
SAL_API apr_status_t sal_job_former(json_t **doc, const sal_job_t *job, sal_crash_store_t *crashes,
                                    sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
