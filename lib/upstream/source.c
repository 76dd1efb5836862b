/*
 * Upstream servers for a supplier in the same process, whose threads are scarce: they wait a while
 * for a download and leave it to a thread of its own. Several that want the same wait for one.
 */
#include "upstream/upstream_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "upstream/pipe.h"
#include "base/thread.h"

enum { MAX_DOWNLOADS = 8, STOP_SECONDS = 5, TURN_MS = 200 };

typedef struct source_t source_t;

/* A question under way. Belongs to its thread and to those who wait: the last one frees it. */
typedef struct job_t {
    struct job_t *next;
    source_t *source;
    apr_pool_t *pool;
    sal_upstream_want_t want;
    bool identify, done;
    int users;
    apr_status_t rv;
    sal_error_t err;
    const char *answer[2]; /* path; or debug file and debug id */
} job_t;

struct source_t {
    sal_sym_upstream_t functions;
    sal_upstream_t *u;
    int wait_seconds;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job_t *jobs;
    int running;
    bool stopping;
};

static void ask(job_t *job)
{
    sal_upstream_got_t got = { NULL, NULL };

    job->err.message[0] = '\0';
    if (job->identify) {
        job->rv = sal_upstream_identify(&job->answer[0], &job->answer[1], job->source->u,
                                        &job->want, job->pool, &job->err);
    } else {
        job->rv = sal_upstream_get(&got, job->source->u, &job->want, job->pool, &job->err);
        job->answer[0] = got.path;
    }
}

/* Under the lock. */
static void leave(job_t *job)
{
    job_t **at = &job->source->jobs;

    if (--job->users > 0) {
        return;
    }
    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    apr_pool_destroy(job->pool);
}

static void *run(void *data)
{
    job_t *job = data;
    source_t *s = job->source;

    ask(job);
    pthread_mutex_lock(&s->lock);
    job->done = true;
    s->running--;
    leave(job);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool same(const char *a, const char *b)
{
    return (!a || !b) ? a == b : !strcmp(a, b);
}

static job_t *find(source_t *s, const sal_upstream_want_t *want, bool identify)
{
    job_t *job = s->jobs;

    while (job && (job->identify != identify || !same(job->want.file, want->file) ||
                   !same(job->want.id, want->id) || !same(job->want.server, want->server) ||
                   !same(job->want.code_file, want->code_file) ||
                   !same(job->want.code_id, want->code_id))) {
        job = job->next;
    }
    return job;
}

static bool start_thread(job_t *job)
{
    pthread_t thread;

    if (sal_thread_start(&thread, run, job) != 0) {
        return false;
    }
    pthread_detach(thread);
    return true;
}

static job_t *start(source_t *s, const sal_upstream_want_t *want, bool identify)
{
    apr_pool_t *pool = NULL;
    job_t *job;

    if (s->running >= MAX_DOWNLOADS || s->stopping ||
        apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) {
        return NULL;
    }
    job = apr_pcalloc(pool, sizeof(*job));
    job->pool = pool;
    job->source = s;
    job->identify = identify;
    job->users = 1; /* the thread */
    job->want = *want;
    job->want.file = apr_pstrdup(pool, want->file);
    job->want.id = apr_pstrdup(pool, want->id);
    job->want.code_file = apr_pstrdup(pool, want->code_file);
    job->want.code_id = apr_pstrdup(pool, want->code_id);
    job->want.server = apr_pstrdup(pool, want->server);
    if (!start_thread(job)) {
        apr_pool_destroy(pool);
        return NULL;
    }
    s->running++;
    job->next = s->jobs;
    s->jobs = job;
    return job;
}

/* Waits for the answer as long as callers do; under the lock. */
static void wait_for(source_t *s, const job_t *job)
{
    apr_time_t end = apr_time_now() + apr_time_from_sec(s->wait_seconds);

    while (!job->done && apr_time_now() < end && !upstream_ends(s->u)) {
        struct timespec turn;

        clock_gettime(CLOCK_REALTIME, &turn);
        turn.tv_nsec += TURN_MS * 1000000;
        turn.tv_sec += turn.tv_nsec / 1000000000;
        turn.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->changed, &s->lock, &turn);
    }
}

static apr_status_t ask_aside(const char *answer[2], source_t *s, const sal_upstream_want_t *want,
                              bool identify, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = SAL_E_BUSY;
    job_t *job;

    pthread_mutex_lock(&s->lock);
    job = find(s, want, identify);
    job = job ? job : start(s, want, identify);
    if (job) {
        job->users++;
        wait_for(s, job);
        if (job->done) {
            rv = job->rv;
            answer[0] = apr_pstrdup(p, job->answer[0]);
            answer[1] = apr_pstrdup(p, job->answer[1]);
            if (rv != APR_SUCCESS && err) {
                *err = job->err;
            }
        }
        leave(job);
    }
    pthread_mutex_unlock(&s->lock);
    return rv != SAL_E_BUSY ? rv : sal_fail(err, rv, "still being downloaded");
}

static apr_status_t ask_either(const char *answer[2], source_t *s, const sal_upstream_want_t *want,
                               bool identify, apr_pool_t *p, sal_error_t *err)
{
    job_t job = { .source = s, .want = *want, .identify = identify, .pool = p };

    if (s->wait_seconds > 0) {
        return ask_aside(answer, s, want, identify, p, err);
    }
    ask(&job);
    answer[0] = job.answer[0];
    answer[1] = job.answer[1];
    if (job.rv != APR_SUCCESS && err) {
        *err = job.err;
    }
    return job.rv;
}

static sal_upstream_want_t want_of(const char *server, const sal_sym_module_t *m)
{
    return (sal_upstream_want_t){ .kind = SAL_UPSTREAM_SYM,
                                  .file = m->debug_file,
                                  .id = m->debug_id,
                                  .code_file = m->code_file,
                                  .code_id = m->code_id,
                                  .server = server };
}

static apr_status_t get(const char **path, const char *server, const sal_sym_module_t *module,
                        void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upstream_want_t want = want_of(server, module);
    const char *answer[2] = { NULL, NULL };
    apr_status_t rv = ask_either(answer, baton, &want, false, p, err);

    *path = answer[0];
    return rv;
}

static apr_status_t identify(const char **debug_file, const char **debug_id, const char *server,
                             const sal_sym_module_t *module, void *baton, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_upstream_want_t want = want_of(server, module);
    const char *answer[2] = { NULL, NULL };
    apr_status_t rv = ask_either(answer, baton, &want, true, p, err);

    if (rv == APR_SUCCESS) {
        *debug_file = answer[0];
        *debug_id = answer[1];
    }
    return rv;
}

/* Downloads notice within a second; what does not end then is left to the end of the process. */
static apr_status_t source_stop(void *data)
{
    source_t *s = data;
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += STOP_SECONDS;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    s->u->stop = true;
    while (s->running > 0 && pthread_cond_timedwait(&s->changed, &s->lock, &end) == 0) {
        continue;
    }
    pthread_mutex_unlock(&s->lock);
    return APR_SUCCESS;
}

const sal_sym_upstream_t *sal_upstream_source(sal_upstream_t *u, int wait_seconds, apr_pool_t *p)
{
    source_t *s = calloc(1, sizeof(*s)); /* threads may outlive the pool by a moment */

    if (!s) {
        return NULL;
    }
    s->functions = (sal_sym_upstream_t){ get, identify, s };
    s->u = u;
    s->wait_seconds = wait_seconds;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    apr_pool_cleanup_register(p, s, source_stop, apr_pool_cleanup_null);
    return &s->functions;
}
