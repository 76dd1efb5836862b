/*
 * Jobs about symbols: what rules let go, what uploads left, what nobody asks for any more, and
 * caches on this host's disk.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "books/books.h"
#include "books/retention.h"
#include "symbols/supplier.h"
#include "upload/session.h"
#include "upstream/upstream.h"

#define MISSING_DAYS 90
#define SYMCACHE_SIZE (APR_INT64_C(20) << 30)

/* What the rules of symbols-keep let go. */
apr_status_t cron_symbolexpiry(sal_cron_run_t *run, sal_error_t *err)
{
    sal_symbols_gone_t gone = { 0 };
    apr_array_header_t *keep;
    apr_status_t rv = sal_keep_rules(&keep, run->env->conf, run->p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_symbols_expire(&gone, keep, false, NULL, NULL, run->env->symbols, run->db, run->p,
                                err);
    }
    run->done = gone.files;
    if (gone.files > 0) {
        run->note = apr_psprintf(run->p,
                                 "%" APR_INT64_T_FMT " symbol files have expired, %" APR_INT64_T_FMT
                                 " bytes are free",
                                 (apr_int64_t)gone.files, (apr_int64_t)gone.freed);
    }
    return rv;
}

apr_status_t cron_symboltidy(sal_cron_run_t *run, sal_error_t *err)
{
    sal_symbols_gone_t loose = { 0 };
    apr_status_t rv = sal_symbols_tidy(&loose, run->env->symbols, run->db, run->p, err);

    run->done = loose.files;
    return rv;
}

apr_status_t cron_missingsymbols(sal_cron_run_t *run, sal_error_t *err)
{
    int n = 0;
    apr_status_t rv = sal_books_missing_expire(&n, MISSING_DAYS, run->db, run->p, err);

    run->done = n;
    return rv;
}

/* The cache of symcaches on this host; those of upstream servers trim theirs after downloads. */
apr_status_t cron_symcache(sal_cron_run_t *run, sal_error_t *err)
{
    const char *dir = sal_conf_get(run->env->conf, "symcache", NULL);
    apr_int64_t max = sal_conf_int(run->env->conf, "symcache-size", SYMCACHE_SIZE);

    return dir ? sal_symcaches_trim(dir, (apr_uint64_t)max, run->p, err) : APR_SUCCESS;
}
