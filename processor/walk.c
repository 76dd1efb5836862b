/*
 * The worker's side of a walk: runs the walker in a watched child and says how it ended.
 */
#include "salvaged.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/json_pack.h"
#include "board.h"

static void no_result(sal_walk_result_t *out, const char *error, apr_pool_t *p)
{
    out->exit_code = out->exit_code ? out->exit_code : 1;
    out->log = apr_pstrcat(p, "ERROR ", error, NULL);
}

/* What the child is to walk, and what it made of it. */
typedef struct walk_job_t {
    sal_span_t dump;
    const json_t *raw;
    json_t *result; /* NULL: none that could be read, see why */
    char why[200];
} walk_job_t;

/* A child_output_fn. A walker that was taken over may have written anything. */
static void parse(const child_end_t *end, void *job)
{
    walk_job_t *j = job;
    json_error_t where;
    sal_error_t err;

    j->why[0] = '\0';
    if (end->size >= PACKED_HEAD && end->out[0] == PACKED) {
        if (sal_json_unpack(&j->result, end->out + PACKED_HEAD, end->size - PACKED_HEAD, &err) !=
            APR_SUCCESS) {
            apr_cpystrn(j->why, err.message, sizeof(j->why));
        }
        return;
    }
    j->result = json_loadb(end->out, end->size, JSON_ALLOW_NUL, &where);
    if (!j->result) {
        apr_snprintf(j->why, sizeof(j->why), "line %d column %d", where.line, where.column);
    }
}

/* A document of a dump that was read from one end to the other. */
static bool is_good(const void *job)
{
    const json_t *doc = json_object_get(((const walk_job_t *)job)->result, "doc");
    const char *status = sal_json_str(doc, "status");

    return status && !strcmp(status, "OK");
}

static void read_result(sal_walk_result_t *out, const child_end_t *end, const walk_job_t *job,
                        apr_pool_t *p)
{
    const char *error = sal_json_str(job->result, "error");

    if (error) {
        no_result(out, error, p);
    } else if (out->exit_code == 0 && !job->result && end->size) {
        out->not_json = apr_pstrdup(p, job->why);
    } else if (out->exit_code == 0) {
        out->doc = json_incref(json_object_get(job->result, "doc"));
        board_timing("job.phase", "phase:stackwalk",
                     json_integer_value(json_object_get(job->result, "us")));
    }
}

static void run_walker(const settings_t *s, void *job, const int fds[3])
{
    const walk_job_t *d = job;

    walker_main(s, d->dump, d->raw, fds);
}

apr_status_t walk_in_child(sal_walk_result_t *out, sal_span_t dump, const json_t *raw, void *baton,
                           apr_pool_t *p, sal_error_t *err)
{
    walk_job_t job = { .dump = dump, .raw = raw };
    apr_time_t start = board_now();
    child_end_t end;
    apr_status_t rv = APR_SUCCESS;

    *out = (sal_walk_result_t){ .log = "" };
    if (!kept_walk(&end, baton, dump, raw, parse, is_good, &job)) {
        free(end.out);
        json_decref(job.result);
        job.result = NULL;
        if ((rv = child_run(&end, baton, run_walker, parse, &job, err)) != APR_SUCCESS) {
            return rv;
        }
    }
    out->exit_code = end.exit_code;
    out->timed_out = end.timed_out;
    if (end.stopped != APR_SUCCESS) {
        rv = sal_fail(err, end.stopped, "the walk was stopped");
    } else if (end.too_big) {
        no_result(out, "UnknownError - the walker's output is over its limit", p);
    } else if (!end.timed_out) {
        read_result(out, &end, &job, p);
    }
    json_decref(job.result);
    free(end.out);
    board_phase("walk", &start); /* "stackwalk" and what it costs to have it done by a child */
    return rv;
}
