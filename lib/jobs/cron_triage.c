/*
 * Jobs about signatures, versions and bugs. What they do stands in lib/triage.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "triage/bugs.h"
#include "triage/rollup.h"
#include "triage/signatures.h"
#include "triage/version_fetch.h"

#define OVERLAP apr_time_from_sec(10 * 60)
#define BUGS_WINDOW apr_time_from_sec(24 * 3600)

/*
 * The transaction that completes a crash has noted it already. This finds what came in otherwise:
 * rows that were loaded, signatures of before the table was there. Never run: all rows.
 */
apr_status_t cron_signatures(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t from = run->last_success ? run->last_success - OVERLAP : 0;

    return sal_triage_mend(&run->done, from, run->run_time, run->deadline, run->db, run->p, err);
}

apr_status_t cron_rollups(sal_cron_run_t *run, sal_error_t *err)
{
    return sal_rollup_run(&run->done, run->deadline, run->db, run->p, err);
}

/* Counts first: the tables of versions are made of them. */
apr_status_t cron_versions(sal_cron_run_t *run, sal_error_t *err)
{
    apr_int64_t days;
    apr_status_t rv = sal_rollup_run(&days, run->deadline, run->db, run->p, err);

    return rv == APR_SUCCESS ? sal_versions_learn(&run->done, run->run_time, run->db, run->p, err)
                             : rv;
}

/* Without product-version-url there is nothing to do. */
apr_status_t cron_productversions(sal_cron_run_t *run, sal_error_t *err)
{
    return sal_versions_fetch(&run->done, run->env->conf, run->deadline, run->db, run->p, err);
}

/* Nor without bugzilla-url. */
apr_status_t cron_bugassociations(sal_cron_run_t *run, sal_error_t *err)
{
    apr_time_t since = run->last_success ? run->last_success : run->run_time - BUGS_WINDOW;
    sal_bugs_changed_t changed;
    sal_bugzilla_t bugzilla;
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
    return rv;
}
