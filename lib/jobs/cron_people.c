/*
 * Jobs about people: who may see protected data no longer, sessions and tokens that are over.
 */
#include "jobs/cron_private.h"

#include <apr_strings.h>
#include "db/people.h"
#include "db/token.h"

#define YEAR apr_time_from_sec(INT64_C(365) * 86400)

/* The domains of `audit-domains` in lower case; none: any will do. */
static const char **allowed_domains(const sal_cron_run_t *run, apr_size_t *n)
{
    const char *const *list = sal_conf_list(run->env->conf, "audit-domains");
    const char **out;

    for (*n = 0; list[*n]; (*n)++) {
    }
    out = apr_pcalloc(run->p, (*n + 1) * sizeof(*out));
    for (apr_size_t i = 0; i < *n; i++) {
        char *domain = apr_pstrdup(run->p, list[i]);

        for (char *c = domain; *c; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
        }
        out[i] = domain;
    }
    return out;
}

/*
 * Out of every group that shows protected data: accounts that are not active, people who were not
 * here for a year and hold no token that lives, and those whose address is of none of the allowed
 * domains and who are no exception. Each leaves an entry in the audit log.
 */
apr_status_t cron_auditgroups(sal_cron_run_t *run, sal_error_t *err)
{
    apr_size_t domains;
    const char **allowed = allowed_domains(run, &domains);
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(run->db, &sal_s_people_audit, &rows, run->p, err, SAL_V_INT(SAL_PERM_VIEW_PII),
                    SAL_V_TIME(run->run_time - YEAR), SAL_V_TEXTS(allowed, domains));
    int n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;

    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        const char *who = sal_rows_text(rows, i, 0), *group = sal_rows_text(rows, i, 1);

        rv = sal_person_expel(who, group, "job auditgroups", sal_rows_text(rows, i, 2), run->db,
                              run->p, err);
        run->done += rv == APR_SUCCESS;
    }
    if (run->done) {
        run->note = apr_psprintf(run->p, "%d memberships were ended", (int)run->done);
    }
    return rv;
}

/* Upload sessions that are over for a day, tokens that are for a year, accesses of a year ago. */
apr_status_t cron_clearsessions(sal_cron_run_t *run, sal_error_t *err)
{
    sal_rows_t *sessions, *tokens, *accesses;
    apr_status_t rv =
        sal_db_run(run->db, &sal_s_upload_session_expire, NULL, 0, &sessions, run->p, err);

    rv = rv == APR_SUCCESS ? sal_db_exec(run->db, &sal_s_people_tokens_purge, &tokens, run->p, err,
                                         SAL_V_TIME(run->run_time - YEAR))
                           : rv;
    rv = rv == APR_SUCCESS ? sal_db_exec(run->db, &sal_s_access_purge, &accesses, run->p, err,
                                         SAL_V_TIME(run->run_time - YEAR))
                           : rv;
    run->done = rv == APR_SUCCESS ? sal_rows_affected(sessions) + sal_rows_affected(tokens) +
                                        sal_rows_affected(accesses)
                                  : 0;
    return rv;
}
