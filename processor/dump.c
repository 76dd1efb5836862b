/*
 * The worker's side of raw symbol files: claims one, sees what it is, lets a dumper make symbols of
 * it and its other half, publishes them. Which row becomes what: lib/symbols/symbol_jobs.h.
 */
#include "salvaged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <zlib.h>
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "symbols/symbol_jobs.h"

#define ATTEMPTS 4
#define INFLATED_MAX (INT64_C(16) << 30)

typedef struct dump_job_t {
    const settings_t *settings;
    sal_symbol_job_t *job;
    sal_symbol_sources_t sources;
    const walk_t *watch;
    int out_fd;
} dump_job_t;

/* ---- a debug file that was stored as gzip ---- */

static apr_status_t inflate_to(int fd, gzFile in, const char *path, sal_error_t *err)
{
    char buf[65536];
    int64_t total = 0;
    int n;

    while ((n = gzread(in, buf, sizeof(buf))) > 0) {
        apr_status_t rv = sal_fd_write_all(fd, buf, (size_t)n);

        total += n;
        if (rv != APR_SUCCESS) {
            return sal_fail_os(err, rv, "cannot write to the symbol store");
        }
        if (total > INFLATED_MAX) {
            return sal_fail(err, SAL_E_TOOBIG, "%s holds more than 16 GiB", path);
        }
    }
    return n < 0 ? sal_fail(err, SAL_E_MALFORMED, "%s is no whole gzip file", path) : APR_SUCCESS;
}

static apr_status_t inflate_debug(int *fd, const dump_job_t *d, apr_pool_t *p, sal_error_t *err)
{
    const char *path = d->sources.debug;
    apr_status_t rv;
    gzFile in;

    if ((*fd = sal_symbol_store_spool(d->settings->symbols, p, err)) < 0) {
        return APR_EGENERAL;
    }
    if (!(in = gzopen(path, "rbe"))) {
        return sal_fail_os(err, errno, "cannot open %s", path);
    }
    rv = inflate_to(*fd, in, path, err);
    gzclose(in);
    return rv;
}

/* ---- the dump ---- */

static apr_status_t outcome(const child_end_t *end, int timeout, sal_error_t *err)
{
    json_t *result = end->size ? json_loadb(end->out, end->size, 0, NULL) : NULL;
    const char *why = sal_json_str(result, "error");
    apr_status_t rv = APR_SUCCESS;

    if (end->stopped != APR_SUCCESS) {
        rv = sal_fail(err, end->stopped, "the dump was stopped");
    } else if (end->timed_out) {
        rv = sal_fail(err, SAL_E_TOOBIG, "it takes more than %d s (dump-timeout)", timeout);
    } else if (why) {
        rv = (apr_status_t)json_integer_value(json_object_get(result, "code"));
        rv = sal_fail(err, rv ? rv : APR_EGENERAL, "%s", why);
    } else if (end->exit_code != 0 || !json_is_object(result)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "the dumper ended with %d", end->exit_code);
    }
    json_decref(result);
    return rv;
}

static apr_status_t run_dumper(dump_job_t *d, int debug_fd, apr_pool_t *p, sal_error_t *err)
{
    const sal_symbol_sources_t *s = &d->sources;
    dump_files_t files = {
        .program = s->program, .debug = s->debug, .out_fd = d->out_fd, .debug_fd = debug_fd
    };
    child_end_t end;
    apr_status_t rv;

    if (!s->program) {
        files.name = sal_symbol_module_name(s->debug_file, p);
    }
    if ((rv = child_run(&end, d->watch, dumper_main, NULL, &files, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = outcome(&end, d->settings->dump_timeout, err);
    free(end.out);
    return rv;
}

static apr_status_t dump(dump_job_t *d, apr_pool_t *p, sal_error_t *err)
{
    int debug_fd = -1;
    apr_status_t rv = APR_SUCCESS;

    if ((d->out_fd = sal_symbol_store_spool(d->settings->symbols, p, err)) < 0) {
        return APR_EGENERAL;
    }
    if (d->sources.debug && d->sources.debug_gzipped) {
        rv = inflate_debug(&debug_fd, d, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = run_dumper(d, debug_fd, p, err);
    }
    if (debug_fd >= 0) {
        close(debug_fd);
    }
    return rv;
}

/* ---- one job ---- */

/* Sees what the file is; *wanted: symbols are to be made. */
static apr_status_t look(bool *wanted, dump_job_t *d, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_symbol_job_sources(&d->sources, d->job, d->settings->symbols, p, err);
    bool known = false;

    *wanted = false;
    if (rv == APR_SUCCESS) {
        rv = sal_symbol_job_note(d->job, &d->sources.object, db, p, err);
    }
    if (rv != APR_SUCCESS || d->sources.object.format != SAL_OBJECT_ELF) {
        return rv;
    }
    rv = sal_symbol_made_known(&known, d->job, &d->sources, db, p, err);
    *wanted = rv == APR_SUCCESS && !known;
    return rv;
}

static const char *key_text(const sal_symbol_job_t *job, apr_pool_t *p)
{
    return apr_pstrcat(p, job->key.debug_file, "/", job->key.debug_id, "/", job->key.leaf, NULL);
}

/* A file that has nothing to make symbols of, or breaks its format, will be no better next time. */
static bool is_final(apr_status_t rv, const sal_symbol_job_t *job)
{
    return rv == APR_EINVAL || rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG ||
           rv == SAL_E_UNSUPPORTED || job->attempts >= ATTEMPTS;
}

/* The end of a job that did not publish. */
static apr_status_t end_failed(const dump_job_t *d, apr_status_t rv, const char *why, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    const char *key = key_text(d->job, p);

    if (rv == SAL_E_FENCED) {
        sal_log(SAL_LOG_WARNING, 5051, "%s: the lease was lost, the symbols are discarded", key);
        return APR_SUCCESS;
    }
    if (rv == APR_EINTR || rv == APR_EAGAIN) {
        return sal_symbol_job_back(d->job, NULL, db, p, err);
    }
    if (APR_STATUS_IS_ENOENT(rv) || rv == APR_NOTFOUND) {
        sal_log(SAL_LOG_INFO, 5052, "%s: no symbols: %s", key, why);
        return sal_symbol_job_done(d->job, db, p, err);
    }
    if (is_final(rv, d->job)) {
        sal_log(SAL_LOG_WARNING, 5053, "%s: no symbols can be made: %s", key, why);
        return sal_symbol_job_bury(d->job, why, db, p, err);
    }
    sal_log(SAL_LOG_WARNING, 5054, "%s: attempt %d failed, will be tried again: %s", key,
            d->job->attempts, why);
    return sal_symbol_job_back(d->job, why, db, p, err);
}

static apr_status_t make_symbols(dump_job_t *d, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t start = apr_time_now();
    apr_status_t rv = dump(d, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_symbol_made_publish(d->out_fd, d->job, &d->sources, d->settings->symbols, db, p,
                                     err);
    }
    if (d->out_fd >= 0) {
        close(d->out_fd);
    }
    if (rv == APR_SUCCESS) {
        sal_log(SAL_LOG_INFO, 5050, "%s: symbols made in %d ms", key_text(d->job, p),
                (int)apr_time_as_msec(apr_time_now() - start));
    }
    return rv == SAL_E_EXISTS ? APR_SUCCESS : rv;
}

apr_status_t dump_job_run(const settings_t *s, sal_symbol_job_t *job, const walk_t *watch,
                          sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    dump_job_t d = { .settings = s, .job = job, .watch = watch, .out_fd = -1 };
    bool wanted = false;
    apr_status_t rv;

    if (job->attempts > ATTEMPTS) { /* it has taken workers along */
        return sal_symbol_job_bury(job, "it has ended too many workers", db, p, err);
    }
    rv = look(&wanted, &d, db, p, err);
    if (rv == APR_SUCCESS && !wanted) {
        return sal_symbol_job_done(job, db, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = make_symbols(&d, db, p, err);
    }
    if (rv == APR_SUCCESS || rv == SAL_E_NODB) {
        return rv;
    }
    return end_failed(&d, rv, apr_pstrdup(p, err->message), db, p, err);
}
