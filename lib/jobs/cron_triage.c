/*
 * Jobs about signatures, versions and bugs. What they do stands in lib/triage.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "triage/bug_info.h"
#include "triage/bugs.h"
#include "triage/correlate.h"
#include "triage/products.h"
#include "triage/rollup.h"
#include "triage/signatures.h"
#include "triage/states.h"
#include "triage/version_fetch.h"

#define CORRELATION_DAYS 30
#define OVERLAP apr_time_from_sec(10 * 60)
#define BUGS_WINDOW apr_time_from_sec(24 * 3600)

static int in_range(apr_int64_t value, int min, int max)
{
    return value < min ? min : value > max ? max : (int)value;
}

/*
 * The transaction that completes a crash has noted it already. This finds what came in otherwise:
 * rows that were loaded, signatures of before the table was there. Never run: all rows.
 */
apr_status_t cron_signatures(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t from = run->last_success ? run->last_success - OVERLAP : 0;

    return sal_triage_mend(&run->done, from, run->run_time, run->deadline, run->db, run->p, err);
}

/* Fresh counts show, too, which fixed signatures have come back. */
apr_status_t cron_rollups(sal_cron_run_t *run, sal_error_t *err)
{
    int64_t back;
    apr_status_t rv = sal_rollup_run(&run->done, run->deadline, run->db, run->p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_states_check(&back, run->db, run->p, err);
    }
    if (rv == APR_SUCCESS && back) {
        run->note =
            apr_psprintf(run->p, "%" APR_INT64_T_FMT " signatures came back", (apr_int64_t)back);
    }
    return rv;
}

/* Counts first: the tables of versions are made of them. */
apr_status_t cron_versions(sal_cron_run_t *run, sal_error_t *err)
{
    apr_int64_t days;
    apr_status_t rv = sal_rollup_run(&days, run->deadline, run->db, run->p, err);

    return rv == APR_SUCCESS ? sal_versions_learn(&run->done, run->run_time, run->db, run->p, err)
                             : rv;
}

/* Builds of product-version-url, and the files that products name their versions by. */
apr_status_t cron_productversions(sal_cron_run_t *run, sal_error_t *err)
{
    apr_status_t rv =
        sal_versions_fetch(&run->done, run->env->conf, run->deadline, run->db, run->p, err);
    sal_error_t why = { 0 };
    apr_int64_t files;
    apr_status_t second =
        sal_product_files_fetch(&files, run->run_time, run->deadline, run->db, run->p, &why);

    run->done += files;
    if (rv == APR_SUCCESS && second != APR_SUCCESS && err) {
        *err = why;
    }
    return rv == APR_SUCCESS ? second : rv;
}

/* Nor without bugzilla-url. */
apr_status_t cron_bugassociations(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t since = run->last_success ? run->last_success : run->run_time - BUGS_WINDOW;
    sal_bugs_changed_t changed;
    sal_bugzilla_t bugzilla;
    int64_t renewed;
    apr_status_t rv = sal_bugzilla_conf(&bugzilla, run->env->conf, run->p, err);

    if (rv != APR_SUCCESS || !bugzilla.url) {
        return rv;
    }
    rv = sal_bugzilla_update(&run->done, &changed, &bugzilla, since, run->db, run->p, err);
    if (rv == APR_SUCCESS && (changed.added || changed.removed)) {
        run->note =
            apr_psprintf(run->p,
                         "%" APR_INT64_T_FMT " bugs, %" APR_INT64_T_FMT
                         " signatures added, %" APR_INT64_T_FMT " removed",
                         run->done, (apr_int64_t)changed.added, (apr_int64_t)changed.removed);
    }
    return rv == APR_SUCCESS
               ? sal_bugzilla_renew(&renewed, &bugzilla, run->run_time, run->db, run->p, err)
               : rv;
}

/* Counts and versions as long as the rows they are made of; correlations for a month. */
apr_status_t cron_triageexpiry(sal_cron_run_t *run, sal_error_t *err)
{
    const apr_time_t day = apr_time_from_sec(24 * 3600);
    apr_time_t before = run->run_time - day * cron_days_of(run, "search-keep", SEARCH_DAYS);
    apr_int64_t days, builds, runs = 0;
    apr_status_t rv = sal_rollup_expire(&days, before, run->db, run->p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_versions_expire(&builds, before, run->db, run->p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_correlate_expire(&runs, run->run_time - CORRELATION_DAYS * day, run->db, run->p,
                                  err);
    }
    run->done = rv == APR_SUCCESS ? days + builds + runs : 0;
    return rv;
}

/* Of whole days, so that a late run for a day finds what one in time would have found. */
apr_status_t cron_correlations(sal_cron_run_t *run, sal_error_t *err)
{
    const sal_correlate_opts_t opts = {
        .now = run->run_time,
        .days = in_range(sal_conf_int(run->env->conf, "correlation-days", 7), 1, 60),
        .signatures =
            in_range(sal_conf_int(run->env->conf, "correlation-signatures", 200), 1, 2000),
        .deadline = run->deadline
    };

    return sal_correlate_run(&run->done, &opts, run->db, run->p, err);
}
