/*
 * Leases of processes that are dead: a worker that was killed may have held jobs that it had not
 * begun, and a claim of its may still be on its way in the server. The supervisor tells who died
 * (the board); the housekeeper cleans up, and at the end of the daemon a process of its own.
 */
#include "salvaged.h"

#include <apr_strings.h>
#include "base/log.h"
#include "board.h"

enum { AT_ONCE = 64 };

apr_status_t abandoned_return(const settings_t *s, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *names[AT_ONCE];
    int64_t begun[AT_ONCE * JOBS_MOST];
    board_dead_t dead[AT_ONCE];
    int n = 0, jobs = 0, returned;
    apr_status_t rv;

    while (n < AT_ONCE && board_dead(&dead[n], n)) {
        names[n] = worker_name(s, dead[n].pid, p);
        for (int i = 0; i < dead[n].n; i++) {
            begun[jobs++] = dead[n].jobs[i];
        }
        n++;
    }
    if (n == 0) {
        return APR_SUCCESS;
    }
    rv = sal_queue_abandoned(&returned, names, n, begun, jobs, db, p, err);
    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        board_buried(dead[i].pid);
    }
    if (rv == APR_SUCCESS && returned > 0) {
        sal_log(SAL_LOG_NOTICE, 5038, "%d jobs of processes that died are ready again", returned);
    }
    return rv;
}

int abandoned_run(const settings_t *s)
{
    link_t link = { .conninfo = s->conninfo };
    sal_error_t err;
    sal_db_t *db;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    db = link_get(&link, p);
    return db && abandoned_return(s, db, p, &err) == APR_SUCCESS ? EXIT_DONE : EXIT_FAILED;
}
