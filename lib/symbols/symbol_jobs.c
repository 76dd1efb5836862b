/*
 * The queue of raw files, and what a claimed one belongs to. Publishing is in symbol_made.c.
 */
#include "symbols/symbol_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_strings.h>

#include "symbols/symbol_index.h"

apr_status_t sal_symbol_job_claim(sal_symbol_job_t *job, bool *found, const char *worker,
                                  int lease_seconds, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_symbol_job_claim, &rows, p, err,
                                  SAL_V_INT(lease_seconds), SAL_V_TEXT(worker));

    *found = rv == APR_SUCCESS && sal_rows_count(rows) > 0;
    if (*found) {
        *job = (sal_symbol_job_t){ .id = sal_rows_int(rows, 0, 0),
                                   .fence = sal_rows_int(rows, 0, 1),
                                   .file_id = sal_rows_int(rows, 0, 2),
                                   .attempts = (int)sal_rows_int(rows, 0, 3),
                                   .is_try = sal_rows_bool(rows, 0, 4),
                                   .key = { sal_rows_text(rows, 0, 5), sal_rows_text(rows, 0, 6),
                                            sal_rows_text(rows, 0, 7) },
                                   .kind = sal_rows_text(rows, 0, 8) };
    }
    return rv;
}

/* A statement that changes exactly the leased row of this fence, or nothing. */
static apr_status_t on_lease(const sal_symbol_job_t *job, const sal_stmt_t *stmt,
                             const sal_val_t *more, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t params[3] = { SAL_V_INT(job->id), SAL_V_INT(job->fence),
                                  more ? *more : SAL_V_NULL(SAL_T_TEXT) };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, stmt, params, more ? 3 : 2, &rows, p, err);

    if (rv == APR_SUCCESS && sal_rows_affected(rows) == 0) {
        return sal_fail(err, SAL_E_FENCED, "the lease of symbol job %lld is no longer ours",
                        (long long)job->id);
    }
    return rv;
}

apr_status_t sal_symbol_job_renew(const sal_symbol_job_t *job, int lease_seconds, sal_db_t *db,
                                  apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t seconds = SAL_V_INT(lease_seconds);

    return on_lease(job, &sal_s_symbol_job_renew, &seconds, db, p, err);
}

apr_status_t sal_symbol_job_done(const sal_symbol_job_t *job, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    return on_lease(job, &sal_s_symbol_job_done, NULL, db, p, err);
}

apr_status_t sal_symbol_job_back(const sal_symbol_job_t *job, const char *error, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t why = SAL_V_TEXT(error);

    return on_lease(job, &sal_s_symbol_job_back, &why, db, p, err);
}

apr_status_t sal_symbol_job_bury(const sal_symbol_job_t *job, const char *reason, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    const sal_val_t why = SAL_V_TEXT(reason);

    return on_lease(job, &sal_s_symbol_job_bury, &why, db, p, err);
}

apr_status_t sal_symbol_job_note(const sal_symbol_job_t *job, const sal_object_t *object,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *kind = sal_object_kind(object);
    const char *code = *object->code_id ? object->code_id : NULL;

    if (!kind) {
        return APR_SUCCESS;
    }
    return sal_db_exec(db, &sal_s_symbol_job_kind, NULL, p, err, SAL_V_INT(job->file_id),
                       SAL_V_TEXT(kind),
                       object->format == SAL_OBJECT_ELF ? SAL_V_TEXT(code) : SAL_V_NULL(SAL_T_TEXT),
                       SAL_V_TEXT(code));
}

/* ---- the two halves ---- */

static apr_status_t identify(sal_object_t *o, const char **digest, const char *path, apr_pool_t *p,
                             sal_error_t *err)
{
    char mark[SAL_SHA256_HEX + 1];
    apr_status_t rv;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    memset(o, 0, sizeof(*o));
    *digest = "";
    if (fd < 0) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "cannot open %s", path);
    }
    rv = sal_object_identify(o, fd, p, err);
    if (sal_symbol_store_digest(mark, fd)) {
        *digest = apr_pstrdup(p, mark);
    }
    close(fd);
    return rv;
}

/* A part by build id: its path, the name of its key, what it is. NULL: none. */
static const char *find_part(const char **name, sal_object_t *o, const char **digest,
                             const sal_symbol_job_t *job, const char *build_id,
                             sal_build_part_t part, sal_symbol_store_t *store, apr_pool_t *p)
{
    sal_symbol_key_t key;
    const char *path;

    if (sal_symbol_store_by_build(&path, &key, store, build_id, part, job->is_try, p, NULL) !=
            APR_SUCCESS ||
        identify(o, digest, path, p, NULL) != APR_SUCCESS || o->format != SAL_OBJECT_ELF) {
        return NULL;
    }
    *name = key.debug_file;
    return path;
}

static void find_halves(sal_symbol_sources_t *s, const sal_symbol_job_t *job,
                        sal_symbol_store_t *store, apr_pool_t *p)
{
    const char *program_digest = "", *debug_digest = "", *id = s->object.build_id;
    sal_object_t o;

    s->program =
        find_part(&s->program_file, &o, &program_digest, job, id, SAL_BUILD_EXECUTABLE, store, p);
    s->debug = find_part(&s->debug_file, &o, &debug_digest, job, id, SAL_BUILD_DEBUGINFO, store, p);
    s->debug_gzipped = s->debug && o.gzipped;
    if (s->debug && s->program && !strcmp(s->debug, s->program)) {
        s->debug = NULL;
        debug_digest = "";
    }
    s->digests = apr_pstrcat(p, program_digest, " ", debug_digest, NULL);
}

apr_status_t sal_symbol_job_sources(sal_symbol_sources_t *out, const sal_symbol_job_t *job,
                                    sal_symbol_store_t *store, apr_pool_t *p, sal_error_t *err)
{
    const char *path = sal_symbol_store_path(store, &job->key, job->is_try, p), *digest;
    apr_status_t rv;

    memset(out, 0, sizeof(*out));
    out->digests = " ";
    rv = identify(&out->object, &digest, path, p, err);
    if (rv != APR_SUCCESS || out->object.format != SAL_OBJECT_ELF) {
        return rv;
    }
    if (sal_build_id_valid(out->object.build_id)) {
        find_halves(out, job, store, p);
    }
    if (!out->program && !out->debug) { /* no build id: nothing says what belongs to it */
        out->debug_gzipped = out->object.gzipped;
        out->digests = apr_pstrcat(p, digest, " ", NULL);
        if (out->object.has_code && !out->object.gzipped) {
            out->program = path;
            out->program_file = job->key.debug_file;
        } else {
            out->debug = path;
            out->debug_file = job->key.debug_file;
        }
    }
    return APR_SUCCESS;
}

const char *sal_symbol_module_name(const char *debug_file, apr_pool_t *p)
{
    static const char *const suffixes[] = { ".gz", ".debug", ".dbg" };
    char *name = apr_pstrdup(p, debug_file);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t n = strlen(name), m = strlen(suffixes[i]);

        if (n > m && !strcasecmp(name + n - m, suffixes[i])) {
            name[n - m] = '\0';
        }
    }
    return name;
}
