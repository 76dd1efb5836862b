/*
 * Stored raw files that a worker looks at, and the symbols that it makes from them.
 *
 * A row of symbol_file whose kind is elf, elf_debug or other puts itself into the queue (migration
 * 0007). A worker claims it under a lease and a fence, tells by content what it is, finds the other
 * half of a program that came in two files, makes a .sym of both and publishes it. A .sym that
 * somebody uploaded is never replaced by one that was made here.
 *
 * This file knows rows and files; who runs the dump, and in which cage, is the daemon's business.
 */
#ifndef SAL_SYMBOLS_SYMBOL_JOBS_H
#define SAL_SYMBOLS_SYMBOL_JOBS_H

#include <stdint.h>
#include "db/db.h"
#include "symbols/object_id.h"
#include "symbols/symbol_store.h"

typedef struct sal_symbol_job_t {
    int64_t id, fence, file_id;
    int attempts; /* this one included */
    bool is_try;
    sal_symbol_key_t key;
    const char *kind;
} sal_symbol_job_t;

/* The next job for this worker; *found false if there is none. */
SAL_API apr_status_t sal_symbol_job_claim(sal_symbol_job_t *job, bool *found, const char *worker,
                                          int lease_seconds, sal_db_t *db, apr_pool_t *p,
                                          sal_error_t *err);

/* Each SAL_E_FENCED if the lease has been lost. error NULL: at once, the attempt does not count. */
SAL_API apr_status_t sal_symbol_job_renew(const sal_symbol_job_t *job, int lease_seconds,
                                          sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_symbol_job_done(const sal_symbol_job_t *job, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);
SAL_API apr_status_t sal_symbol_job_back(const sal_symbol_job_t *job, const char *error,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_symbol_job_bury(const sal_symbol_job_t *job, const char *reason,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* The files that symbols are made of. Paths are NULL where there is none. */
typedef struct sal_symbol_sources_t {
    sal_object_t object; /* of the job's own file; format OTHER if it is gone or nothing known */
    const char *program, *debug; /* program: has code; debug: DWARF, another file than program */
    bool debug_gzipped;
    const char *program_file; /* names of the keys */
    const char *debug_file;
    const char *digests; /* of both, for symbol_file.made_from */
} sal_symbol_sources_t;

/* Looks at the job's file and for its other half. No error if the file is gone. */
SAL_API apr_status_t sal_symbol_job_sources(sal_symbol_sources_t *out, const sal_symbol_job_t *job,
                                            sal_symbol_store_t *store, apr_pool_t *p,
                                            sal_error_t *err);

/* Writes to the row of the job's file what its content says. */
SAL_API apr_status_t sal_symbol_job_note(const sal_symbol_job_t *job, const sal_object_t *object,
                                         sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Name of the module a debug file belongs to: without a final .gz, .debug, .dbg. */
SAL_API const char *sal_symbol_module_name(const char *debug_file, apr_pool_t *p);

/* True if symbols of exactly these sources, or uploaded ones, are there already. */
SAL_API apr_status_t sal_symbol_made_known(bool *yes, const sal_symbol_job_t *job,
                                           const sal_symbol_sources_t *sources, sal_db_t *db,
                                           apr_pool_t *p, sal_error_t *err);

/*
 * Publishes the text in fd (from its beginning) as the .sym of the module, under its MODULE name
 * and, where they differ, the name of the program's key; records it; ends the job. SAL_E_EXISTS: an
 * uploaded .sym is there, the job has ended. APR_EAGAIN: the other half has come meanwhile, do it
 * again.
 */
SAL_API apr_status_t sal_symbol_made_publish(int fd, const sal_symbol_job_t *job,
                                             const sal_symbol_sources_t *sources,
                                             sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                             sal_error_t *err);

#endif
