/*
 * Periodic jobs in children of the housekeeper: a child runs one job and ends, so that a job that
 * is stuck can be killed and chores go on meanwhile. Which job is due, locks and books are
 * lib/jobs' business (jobs/cron.h).
 */
#include "salvaged.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"

/* What the library tells the housekeeper by the code with which a child ends. */
enum { CHILD_DONE = 0, CHILD_NO_DATABASE = 3 };

static void fill_env(sal_cron_env_t *env, const settings_t *s)
{
    *env = (sal_cron_env_t){
        .conf = s->conf, .crashes = s->store, .symbols = s->symbols, .host = s->host
    };
}

/* ---- the child ---- */

static void child_main(const settings_t *s, const sal_cron_job_t *job)
{
    sal_cron_ask_t ask = { .if_due = true, .alarm = true };
    sal_cron_result_t result;
    sal_db_t *keeper, *work;
    sal_cron_env_t env;
    sal_error_t err;
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, NULL);
    fill_env(&env, s);
    rv = sal_db_connect(&keeper, s->conninfo, p, &err);
    rv = rv == APR_SUCCESS ? sal_db_connect(&work, s->conninfo, p, &err) : rv;
    rv = rv == APR_SUCCESS ? sal_cron_perform(&result, job, &ask, &env, keeper, work, p, &err) : rv;
    if (rv == APR_SUCCESS && result.end == SAL_CRON_RAN && result.ok && result.note) {
        sal_log(SAL_LOG_NOTICE, 5111, "job %s: %s", job->name, result.note);
    } else if (rv != APR_SUCCESS && rv != SAL_E_NODB) {
        sal_log(SAL_LOG_ERROR, 5112, "job %s could not be run: %s", job->name, err.message);
    }
    apr_pool_destroy(p); /* ends both sessions in order, the lock's last */
    _exit(rv == SAL_E_NODB ? CHILD_NO_DATABASE : CHILD_DONE);
}

static bool start(crons_t *c, const sal_cron_job_t *job, sal_db_t *db)
{
    pid_t parent = getpid(), pid;
    cron_child_t *child = NULL;

    for (int i = 0; i < CRON_CHILDREN && !child; i++) {
        child = c->child[i].pid ? NULL : &c->child[i];
    }
    if (!child) {
        return false;
    }
    pid = fork();
    if (pid == 0) {
        signals_default();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(EXIT_FAILED);
        }
        close(PQsocket(sal_db_conn(db))); /* or the server never sees the parent's end */
        child_main(c->settings, job);
    }
    if (pid < 0) {
        sal_log(SAL_LOG_ERROR, 5113, "no child for job %s: %s", job->name, strerror(errno));
        return false;
    }
    *child = (cron_child_t){ .pid = pid, .job = job };
    return true;
}

/* ---- the housekeeper's side ---- */

static bool is_running(const crons_t *c, const sal_cron_job_t *job)
{
    for (int i = 0; i < CRON_CHILDREN; i++) {
        if (c->child[i].pid && c->child[i].job == job) {
            return true;
        }
    }
    return false;
}

bool crons_busy(const crons_t *c)
{
    for (int i = 0; i < CRON_CHILDREN; i++) {
        if (c->child[i].pid) {
            return true;
        }
    }
    return false;
}

apr_status_t crons_look(crons_t *c, int *started, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_cron_state_t *states;
    sal_cron_env_t env;
    apr_time_t now;
    apr_status_t rv;
    int n;

    *started = 0;
    c->more = false;
    fill_env(&env, c->settings);
    rv = sal_cron_states(&states, &n, &now, &env, db, p, err);
    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        /* from where the last look ended, or late rows starve behind early ones */
        const sal_cron_state_t *s = &states[(i + c->first) % n];

        if (!s->due || s->running || is_running(c, s->job)) {
            continue;
        }
        if (!start(c, s->job, db)) {
            c->first = (i + c->first) % n;
            c->more = true;
            break;
        }
        ++*started;
    }
    return rv;
}

/* What became of a child, for the books; NULL if it has kept them itself. */
static const char *how_it_died(int status, const cron_child_t *child, apr_pool_t *p)
{
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) == SIGALRM
                   ? "killed: it was far over its time limit"
                   : apr_psprintf(p, "its process was killed by signal %d", WTERMSIG(status));
    }
    if (WEXITSTATUS(status) == CHILD_DONE) {
        return NULL;
    }
    (void)child;
    return WEXITSTATUS(status) == CHILD_NO_DATABASE
               ? "the database went away"
               : apr_psprintf(p, "its process ended with code %d", WEXITSTATUS(status));
}

static void child_ended(crons_t *c, cron_child_t *child, int status, sal_db_t *db, apr_pool_t *p)
{
    const char *why = how_it_died(status, child, p);
    sal_error_t err = { .message = "" };

    if (why && !c->stopping) {
        sal_log(SAL_LOG_ERROR, 5114, "job %s: %s", child->job->name, why);
    }
    /* without a database the next runner finds the trace of this one */
    if (why && db) {
        sal_cron_died(sal_cron_runner(c->settings->host, (long)child->pid, p),
                      c->stopping ? NULL : why, db, p, &err);
    }
    child->pid = 0;
}

bool crons_reap(crons_t *c, sal_db_t *db, apr_pool_t *p)
{
    bool any = false;

    for (int i = 0; i < CRON_CHILDREN; i++) {
        cron_child_t *child = &c->child[i];
        int status;

        if (child->pid && waitpid(child->pid, &status, WNOHANG) == child->pid) {
            child_ended(c, child, status, db, p);
            any = true;
        }
    }
    return any;
}

/* Kills all before anything is written: a database that hangs holds up the books alone. */
void crons_stop(crons_t *c, sal_db_t *db, apr_pool_t *p)
{
    c->stopping = true;
    for (int i = 0; i < CRON_CHILDREN; i++) {
        if (c->child[i].pid) {
            kill(c->child[i].pid, SIGKILL); /* every job may be killed anywhere */
        }
    }
    for (int i = 0; i < CRON_CHILDREN; i++) {
        cron_child_t *child = &c->child[i];
        int status;

        if (child->pid && waitpid(child->pid, &status, 0) == child->pid) {
            child_ended(c, child, status, db, p);
        }
    }
}
