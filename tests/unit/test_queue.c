/*
 * The queue on a real server. Expectations come from the rules of docs/queue.md: order of lanes,
 * leases with fences, back-off, safe mode, death, and that nothing is ever done twice.
 */
#include "db_fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "db/schema.h"
#include "queue/queue.h"

static apr_pool_t *root;
static sal_db_t *db;

static int start_test(void **state)
{
    apr_pool_t *p;

    apr_pool_create(&p, root);
    fixture_sql(db, p,
                "TRUNCATE crash_job, queue_pause, reprocess_request RESTART IDENTITY CASCADE");
    *state = p;
    return 0;
}

static int end_test(void **state)
{
    apr_pool_destroy(*state);
    return 0;
}

static apr_pool_t *pool(void **state)
{
    return *state;
}

static const char *crash_id(int n, apr_pool_t *p)
{
    return apr_psprintf(p, "%08x-0000-4000-8000-000000260101", (unsigned)n);
}

static void put(int n, sal_lane_t lane, apr_pool_t *p)
{
    assert_int_equal(sal_queue_put(db, crash_id(n, p), "default", lane, 0, p, NULL), APR_SUCCESS);
}

/* Claims one; NULL if there is none. */
static sal_job_t *claim(sal_db_t *d, apr_pool_t *p)
{
    sal_error_t err = { 0 };
    sal_job_t *jobs;
    int n;

    if (sal_queue_claim(&jobs, &n, 1, "test", 60, d, p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return n ? jobs : NULL;
}

static void expect_crash(const sal_job_t *job, int n, apr_pool_t *p)
{
    assert_non_null(job);
    assert_string_equal(job->crash_id, crash_id(n, p));
}

static int number(apr_pool_t *p, const char *sql)
{
    return (int)strtol(fixture_sql(db, p, sql), NULL, 10);
}

/* Seconds until the only ready job is due. */
static int due_in(apr_pool_t *p)
{
    return number(p, "SELECT round(extract(epoch FROM run_after - now())) FROM crash_job "
                     "WHERE state = 0");
}

static void make_due(apr_pool_t *p)
{
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() WHERE state = 0");
}

static int expire_all(int *died, apr_pool_t *p)
{
    sal_error_t err = { 0 };
    int n;

    fixture_sql(db, p, "UPDATE crash_job SET lease_until = now() - interval '1 s' WHERE state = 1");
    if (sal_queue_expire(&n, died, db, p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return n;
}

/* ---- order ---- */

static void test_lanes_in_order(void **state)
{
    static const int expected[] = { 4, 5, 2, 3, 1 };
    apr_pool_t *p = pool(state);
    sal_db_t *mine = fixture_connect(p);

    put(1, SAL_LANE_REPROCESS, p);
    put(2, SAL_LANE_STANDARD, p);
    put(3, SAL_LANE_STANDARD, p);
    put(4, SAL_LANE_PRIORITY, p);
    put(5, SAL_LANE_PRIORITY, p);
    for (int i = 0; i < 5; i++) {
        expect_crash(claim(mine, p), expected[i], p);
    }
    assert_null(claim(mine, p));
}

static void test_every_eighth_claim_reprocesses(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *mine = fixture_connect(p);
    int reprocessed = 0;

    for (int i = 0; i < 20; i++) {
        put(i, SAL_LANE_PRIORITY, p);
        put(100 + i, SAL_LANE_REPROCESS, p);
    }
    for (int i = 1; i <= 16; i++) {
        sal_job_t *job = claim(mine, p);

        assert_int_equal(job->lane, i % 8 ? SAL_LANE_PRIORITY : SAL_LANE_REPROCESS);
        reprocessed += job->lane == SAL_LANE_REPROCESS;
    }
    assert_int_equal(reprocessed, 2);
}

static void test_a_batch_is_in_order(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *jobs;
    int n;

    for (int i = 0; i < 6; i++) {
        put(i, i < 4 ? SAL_LANE_STANDARD : SAL_LANE_REPROCESS, p);
    }
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() - interval '1 min' WHERE id = 3");
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() + interval '1 min' WHERE id = 1");
    assert_int_equal(sal_queue_claim(&jobs, &n, 10, "w", 60, fixture_connect(p), p, NULL),
                     APR_SUCCESS);
    assert_int_equal(n, 5); /* what is left over goes to the next lane */
    expect_crash(&jobs[0], 2, p);
    expect_crash(&jobs[1], 1, p);
    expect_crash(&jobs[2], 3, p);
    expect_crash(&jobs[3], 4, p);
    expect_crash(&jobs[4], 5, p);
    assert_int_equal(jobs[0].attempts, 1);
    assert_int_equal(jobs[0].lost, 0);
    assert_false(jobs[0].safe_mode);
    assert_string_equal(jobs[0].ruleset, "default");
}

/*
 * A plan that was made, and kept, when the table was tiny may loop: it must not take more than it
 * was asked for when the table has grown.
 */
static void test_a_claim_takes_no_more_than_it_may(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *jobs;
    int n;

    put(0, SAL_LANE_STANDARD, p);
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() + interval '1 day'");
    fixture_sql(db, p, "VACUUM ANALYZE crash_job");
    for (int i = 0; i < 10; i++) { /* the server settles on a generic plan after five */
        assert_null(claim(db, p));
    }
    fixture_sql(db, p,
                "INSERT INTO crash_job (crash_id, queue) SELECT "
                "lpad(to_hex(i), 8, '0') || '-0000-4000-8000-000000260101', 1 "
                "FROM generate_series(1, 1500) i");
    for (int i = 1; i <= 12; i++) {
        assert_int_equal(sal_queue_claim(&jobs, &n, 1, "test", 60, db, p, NULL), APR_SUCCESS);
        assert_int_equal(n, 1);
    }
    assert_string_equal(fixture_sql(db, p, "SELECT count(*) FROM crash_job WHERE state = 1"), "12");
}

static void test_put_again_only_raises(void **state)
{
    apr_pool_t *p = pool(state);

    put(1, SAL_LANE_STANDARD, p);
    put(1, SAL_LANE_REPROCESS, p);
    assert_int_equal(number(p, "SELECT queue FROM crash_job"), SAL_LANE_STANDARD);
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() + interval '1 h'");
    put(1, SAL_LANE_PRIORITY, p);
    assert_int_equal(number(p, "SELECT queue FROM crash_job"), SAL_LANE_PRIORITY);
    assert_in_range(due_in(p) + 5, 0, 5);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 1);
    assert_int_equal(sal_queue_put(db, crash_id(1, p), "default", (sal_lane_t)3, 0, p, NULL),
                     APR_EINVAL);
}

static void test_one_pass_a_crash_at_a_time(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *jobs, *second;
    int n;

    put(1, SAL_LANE_STANDARD, p);
    assert_int_equal(
        sal_queue_put(db, crash_id(1, p), "regenerate_signature", SAL_LANE_STANDARD, 0, p, NULL),
        APR_SUCCESS);
    assert_int_equal(sal_queue_claim(&jobs, &n, 10, "w", 60, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    put(1, SAL_LANE_STANDARD, p); /* queued again while it runs: waits */
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_done(&jobs[0], db, p, NULL), APR_SUCCESS);
    second = claim(db, p);
    assert_string_equal(second->ruleset, "regenerate_signature");
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_done(second, db, p, NULL), APR_SUCCESS);
    assert_string_equal(claim(db, p)->ruleset, "default");
}

/* What is not a rule set of the pipeline is refused here, not found out by a worker. */
static void test_unknown_rule_sets_are_refused(void **state)
{
    apr_pool_t *p = pool(state);
    sal_error_t err = { 0 };

    assert_int_equal(sal_queue_put(db, crash_id(1, p), "defualt", SAL_LANE_STANDARD, 0, p, &err),
                     APR_EINVAL);
    assert_non_null(strstr(err.message, "defualt"));
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 0);
    assert_int_equal(
        sal_queue_put(db, crash_id(1, p), SAL_QUEUE_TEST, SAL_LANE_PRIORITY, 0, p, NULL),
        APR_SUCCESS);
}

static void test_pausing(void **state)
{
    apr_pool_t *p = pool(state);
    sal_queue_pause_t pauses[3];
    sal_db_t *other = fixture_connect(p);

    put(1, SAL_LANE_STANDARD, p);
    put(2, SAL_LANE_REPROCESS, p);
    assert_int_equal(sal_queue_pause(SAL_LANE_STANDARD, "disk", db, p, NULL), APR_SUCCESS);
    expect_crash(claim(other, p), 2, p);
    assert_null(claim(other, p));
    assert_int_equal(sal_queue_pauses(pauses, db, p, NULL), APR_SUCCESS);
    assert_true(pauses[SAL_LANE_STANDARD].paused);
    assert_string_equal(pauses[SAL_LANE_STANDARD].reason, "disk");
    assert_false(pauses[SAL_LANE_PRIORITY].paused);
    assert_int_equal(sal_queue_resume(SAL_LANE_STANDARD, db, p, NULL), APR_SUCCESS);
    expect_crash(claim(other, p), 1, p);
}

static void test_when_the_next_is_due(void **state)
{
    apr_pool_t *p = pool(state);
    int ms;

    assert_int_equal(sal_queue_next_due(&ms, db, p, NULL), APR_SUCCESS);
    assert_int_equal(ms, -1);
    put(1, SAL_LANE_STANDARD, p);
    put(2, SAL_LANE_REPROCESS, p);
    assert_int_equal(sal_queue_next_due(&ms, db, p, NULL), APR_SUCCESS);
    assert_int_equal(ms, -1); /* what is due needs no timer */
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() + id * interval '3 s'");
    assert_int_equal(sal_queue_next_due(&ms, db, p, NULL), APR_SUCCESS);
    assert_in_range(ms, 1000, 3000);
}

/* A bulk request with a bound never has more at work; others pass it by. */
static void test_requests_have_bounds(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *jobs, *third;
    int n;

    fixture_sql(db, p,
                "INSERT INTO reprocess_request (id, kind, query, requester, rate, max_running, "
                "total) OVERRIDING SYSTEM VALUE VALUES (1, 'ids', '{}', 'x', 0, 2, 4), "
                "(2, 'ids', '{}', 'x', 0, NULL, 4)");
    for (int i = 1; i <= 5; i++) {
        put(i, SAL_LANE_REPROCESS, p);
    }
    fixture_sql(db, p, "UPDATE crash_job SET request_id = 1 WHERE id <= 4");
    fixture_sql(db, p, "UPDATE crash_job SET request_id = 2 WHERE id = 5");
    /* one claim of many, which sees room for all */
    assert_int_equal(sal_queue_claim(&jobs, &n, 4, "w", 60, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(jobs[0].request_id, 1);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job WHERE state = 1"), 2);
    expect_crash(claim(db, p), 5, p);
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_done(&jobs[0], db, p, NULL), APR_SUCCESS);
    third = claim(db, p);
    assert_int_equal(third->request_id, 1);
    assert_int_equal(third->attempts, 1); /* what was given back was no attempt */
    assert_null(claim(db, p));
    fixture_sql(db, p, "UPDATE reprocess_request SET max_running = NULL, state = 'paused'");
    assert_null(claim(db, p));
    fixture_sql(db, p, "UPDATE reprocess_request SET state = 'running'");
    assert_non_null(claim(db, p));
}

/* ---- leases and fences ---- */

static void test_renew_prolongs(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *job;

    put(1, SAL_LANE_STANDARD, p);
    job = claim(db, p);
    assert_int_equal(sal_queue_renew(job, 1000, db, p, NULL), APR_SUCCESS);
    assert_in_range(number(p, "SELECT round(extract(epoch FROM lease_until - now())) "
                              "FROM crash_job"),
                    990, 1000);
}

static void test_fence_rejects_the_late_one(void **state)
{
    apr_pool_t *p = pool(state);
    int died;
    sal_job_t *late, *now;
    sal_error_t err = { 0 };

    put(1, SAL_LANE_STANDARD, p);
    late = claim(db, p);
    assert_int_equal(expire_all(&died, p), 1);
    make_due(p);
    now = claim(db, p);
    assert_int_equal(now->id, late->id);
    assert_int_equal(now->fence, late->fence + 1);
    assert_int_equal(now->attempts, 2);
    assert_int_equal(sal_queue_renew(late, 60, db, p, &err), SAL_E_FENCED);
    assert_non_null(strstr(err.message, late->crash_id));
    assert_int_equal(sal_queue_done(late, db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_retry(late, "x", db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_return(late, db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_bury(late, "x", db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_done(now, db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_queue_done(now, db, p, NULL), SAL_E_FENCED);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 0);
}

static void test_two_claimers_never_share(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *a = fixture_connect(p), *b = fixture_connect(p);

    put(1, SAL_LANE_STANDARD, p);
    put(2, SAL_LANE_STANDARD, p);
    fixture_sql(a, p, "BEGIN");
    expect_crash(claim(a, p), 1, p);
    expect_crash(claim(b, p), 2, p); /* skips the locked row, does not wait */
    assert_null(claim(b, p));
    fixture_sql(a, p, "COMMIT");
}

typedef struct racer_t {
    pthread_t thread;
    apr_pool_t *p;
    sal_db_t *db;
    apr_status_t rv;
    int n;
} racer_t;

static void *race_claim(void *data)
{
    racer_t *r = data;
    sal_job_t *jobs;

    r->rv = sal_queue_claim(&jobs, &r->n, 1, "racer", 60, r->db, r->p, NULL);
    return NULL;
}

/*
 * Two rule sets of one crash in the same moment. a's lease is not committed, so the racer sees no
 * busy row, takes the older row, waits at crash_job_busy, and must come back with nothing.
 */
static void test_race_for_one_crash(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *a = fixture_connect(p);
    racer_t r = { .db = fixture_connect(p), .rv = -1, .n = -1 };

    apr_pool_create(&r.p, NULL);
    put(1, SAL_LANE_STANDARD, p);
    fixture_sql(a, p, "BEGIN");
    expect_crash(claim(a, p), 1, p);
    fixture_sql(db, p,
                apr_psprintf(p,
                             "INSERT INTO crash_job (id, crash_id, ruleset, queue) "
                             "OVERRIDING SYSTEM VALUE VALUES (0, '%s', 'regenerate_signature', 1)",
                             crash_id(1, p)));
    pthread_create(&r.thread, NULL, race_claim, &r);
    apr_sleep(200000);
    fixture_sql(a, p, "COMMIT");
    pthread_join(r.thread, NULL);
    assert_int_equal(r.rv, APR_SUCCESS);
    assert_int_equal(r.n, 0);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job WHERE state = 1"), 1);
    apr_pool_destroy(r.p);
}

typedef struct finish_t {
    const sal_job_t *job;
    apr_status_t fail_with;
} finish_t;

static apr_status_t finish_unit(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const finish_t *f = baton;
    apr_status_t rv = sal_queue_done(f->job, d, p, err);

    return rv != APR_SUCCESS ? rv : f->fail_with;
}

static void test_done_belongs_to_its_transaction(void **state)
{
    apr_pool_t *p = pool(state);
    finish_t f = { NULL, APR_EGENERAL };

    put(1, SAL_LANE_STANDARD, p);
    f.job = claim(db, p);
    assert_int_equal(sal_db_txn(db, finish_unit, &f, p, NULL), APR_EGENERAL);
    assert_int_equal(sal_queue_renew(f.job, 60, db, p, NULL), APR_SUCCESS); /* still ours */
    f.fail_with = APR_SUCCESS;
    assert_int_equal(sal_db_txn(db, finish_unit, &f, p, NULL), APR_SUCCESS);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 0);
}

/* ---- back to ready ---- */

static void test_backoff_doubles_to_half_an_hour(void **state)
{
    /* least(2^attempts * 15 s, 30 min), and at most a tenth more */
    static const int delay[] = { 30, 60, 120, 240, 480, 960, 1800, 1800, 1800 };
    apr_pool_t *p = pool(state);

    put(1, SAL_LANE_STANDARD, p);
    for (int i = 0; i < 9; i++) {
        sal_job_t *job = claim(db, p);

        assert_int_equal(job->attempts, i + 1);
        assert_int_equal(sal_queue_retry(job, "disk full", db, p, NULL), APR_SUCCESS);
        assert_in_range(due_in(p), delay[i] - 1, delay[i] * 11 / 10);
        assert_null(claim(db, p));
        make_due(p);
    }
    fixture_sql(db, p, "UPDATE crash_job SET attempts = 32000"); /* no overflow, no end */
    assert_int_equal(sal_queue_retry(claim(db, p), "x", db, p, NULL), APR_SUCCESS);
    assert_in_range(due_in(p), 1799, 1980);
    assert_string_equal(fixture_sql(db, p, "SELECT last_error FROM crash_job"), "x");
}

static void test_return_does_not_count(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *job;

    put(1, SAL_LANE_STANDARD, p);
    assert_int_equal(sal_queue_return(claim(db, p), db, p, NULL), APR_SUCCESS);
    job = claim(db, p);
    assert_non_null(job);
    assert_int_equal(job->attempts, 1);
    assert_int_equal(job->fence, 2);
}

static void test_retry_gives_way_to_a_new_job(void **state)
{
    apr_pool_t *p = pool(state);
    sal_job_t *job;

    for (int by_return = 0; by_return < 2; by_return++) {
        put(1, SAL_LANE_STANDARD, p);
        fixture_sql(db, p, "UPDATE crash_job SET lost = 1");
        job = claim(db, p);
        put(1, SAL_LANE_PRIORITY, p);
        assert_int_equal(by_return ? sal_queue_return(job, db, p, NULL)
                                   : sal_queue_retry(job, "x", db, p, NULL),
                         APR_SUCCESS);
        assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 1);
        job = claim(db, p);
        assert_int_equal(job->lane, SAL_LANE_PRIORITY);
        assert_int_equal(job->attempts, 1);
        assert_int_equal(job->lost, 1); /* what is known of the crash is not forgotten */
        assert_int_equal(sal_queue_done(job, db, p, NULL), APR_SUCCESS);
    }
}

/* ---- expiry ---- */

static void test_expiry_to_safe_mode_and_death(void **state)
{
    apr_pool_t *p = pool(state);
    int died;
    sal_job_t *job;

    put(1, SAL_LANE_STANDARD, p);
    assert_false(claim(db, p)->safe_mode);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(died, 0);
    assert_in_range(due_in(p), 29, 33);
    make_due(p);

    job = claim(db, p);
    assert_int_equal(job->lost, 1);
    assert_false(job->safe_mode);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(died, 0);

    job = claim(db, p);
    assert_int_equal(job->lost, 2);
    assert_true(job->safe_mode);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(died, 1);
    assert_null(claim(db, p));
    assert_int_equal(number(p, "SELECT state FROM crash_job"), 2);
    assert_int_equal(expire_all(&died, p), 0);
}

static void test_running_leases_do_not_expire(void **state)
{
    apr_pool_t *p = pool(state);
    int died;
    int n;

    put(1, SAL_LANE_STANDARD, p);
    assert_non_null(claim(db, p));
    assert_int_equal(sal_queue_expire(&n, &died, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 0);
    assert_int_equal(number(p, "SELECT state FROM crash_job"), 1);
}

static void test_expiry_gives_way_to_a_new_job(void **state)
{
    apr_pool_t *p = pool(state);
    int died;
    sal_job_t *job;

    put(1, SAL_LANE_STANDARD, p);
    fixture_sql(db, p, "UPDATE crash_job SET lost = 1");
    assert_non_null(claim(db, p));
    put(1, SAL_LANE_STANDARD, p);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 1);
    job = claim(db, p);
    assert_int_equal(job->lost, 2);
    assert_true(job->safe_mode);
}

/* Death with a successor waiting: the dead letter is kept, the successor starts suspect. */
static void test_death_marks_the_successor(void **state)
{
    apr_pool_t *p = pool(state);
    int died;
    sal_job_t *job;

    put(1, SAL_LANE_STANDARD, p);
    fixture_sql(db, p, "UPDATE crash_job SET lost = 2");
    assert_true(claim(db, p)->safe_mode);
    put(1, SAL_LANE_STANDARD, p);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(died, 1);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job WHERE state = 2"), 1);
    job = claim(db, p);
    assert_true(job->safe_mode);
    assert_int_equal(expire_all(&died, p), 1);
    assert_int_equal(died, 1);
}

/* ---- the dead letter ---- */

static void test_bury_list_revive(void **state)
{
    apr_pool_t *p = pool(state);
    sal_queue_row_t *dead;
    sal_job_t *job;
    int n;

    put(1, SAL_LANE_STANDARD, p);
    put(2, SAL_LANE_PRIORITY, p);
    assert_int_equal(sal_queue_bury(claim(db, p), "raw crash not found", db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_queue_bury(claim(db, p), "other", db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_queue_list(&dead, &n, SAL_QUEUE_DEAD, 10, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_string_equal(dead[0].crash_id, crash_id(1, p)); /* the last to die comes first */
    assert_string_equal(dead[1].reason, "raw crash not found");
    assert_int_equal(dead[1].attempts, 1);
    assert_true(apr_time_now() - dead[0].at < apr_time_from_sec(60));
    assert_int_equal(sal_queue_list(&dead, &n, SAL_QUEUE_DEAD, 1, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);

    assert_int_equal(sal_queue_revive(&n, crash_id(3, p), db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 0);
    assert_int_equal(sal_queue_revive(&n, crash_id(2, p), db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    job = claim(db, p);
    expect_crash(job, 2, p);
    assert_int_equal(job->attempts, 1);
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_revive(&n, NULL, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    expect_crash(claim(db, p), 1, p);
}

static void test_revive_never_makes_two_ready(void **state)
{
    apr_pool_t *p = pool(state);
    int n;

    for (int i = 0; i < 2; i++) {
        put(1, SAL_LANE_STANDARD, p);
        assert_int_equal(sal_queue_bury(claim(db, p), "x", db, p, NULL), APR_SUCCESS);
    }
    assert_int_equal(sal_queue_revive(&n, NULL, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 1);
    assert_int_equal(sal_queue_bury(claim(db, p), "x", db, p, NULL), APR_SUCCESS);
    put(1, SAL_LANE_STANDARD, p);
    assert_int_equal(sal_queue_revive(&n, crash_id(1, p), db, p, NULL), APR_SUCCESS);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 1);
}

/* By hand: what runs is fenced off, what died can be deleted. */
static void test_kill_and_forget(void **state)
{
    apr_pool_t *p = pool(state);
    sal_queue_row_t *rows;
    sal_rows_t *untold;
    sal_job_t *job;
    int n;

    put(1, SAL_LANE_STANDARD, p);
    job = claim(db, p);
    put(1, SAL_LANE_STANDARD, p);
    put(2, SAL_LANE_STANDARD, p);
    assert_int_equal(sal_queue_kill(&n, crash_id(1, p), "by hand", db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(sal_queue_renew(job, 60, db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_done(job, db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_untold(&untold, db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_rows_count(untold), 2);
    assert_string_equal(sal_rows_text(untold, 0, 1), "by hand");
    expect_crash(claim(db, p), 2, p);
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_forget(&n, crash_id(3, p), db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 0);
    assert_int_equal(sal_queue_forget(&n, NULL, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(sal_queue_list(&rows, &n, SAL_QUEUE_LEASED, 10, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].worker, "test");
    assert_in_range(rows[0].age, 0, 30);
    assert_true(rows[0].lease_until > rows[0].at);
}

static void test_purge_keeps_the_young(void **state)
{
    apr_pool_t *p = pool(state);
    int n;

    for (int i = 1; i <= 2; i++) {
        put(i, SAL_LANE_STANDARD, p);
        assert_int_equal(sal_queue_bury(claim(db, p), "x", db, p, NULL), APR_SUCCESS);
    }
    put(3, SAL_LANE_STANDARD, p);
    fixture_sql(db, p, "UPDATE crash_job SET run_after = now() - interval '31 days' WHERE id <> 2");
    assert_int_equal(sal_queue_purge(&n, 30, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 1);
    assert_string_equal(fixture_sql(db, p,
                                    "SELECT string_agg(id::text, ' ' ORDER BY id) "
                                    "FROM crash_job"),
                        "2 3");
}

/* ---- numbers and wake-up ---- */

static void test_stats(void **state)
{
    apr_pool_t *p = pool(state);
    sal_queue_stats_t s;

    assert_int_equal(sal_queue_stats(&s, db, p, NULL), APR_SUCCESS);
    assert_int_equal(s.all.ready + s.all.leased + s.all.dead, 0);
    assert_int_equal(s.all.oldest_ready_seconds, 0);
    for (int i = 0; i < 9; i++) {
        put(i, i < 3 ? SAL_LANE_PRIORITY : i < 8 ? SAL_LANE_STANDARD : SAL_LANE_REPROCESS, p);
    }
    assert_non_null(claim(fixture_connect(p), p));
    assert_int_equal(sal_queue_bury(claim(fixture_connect(p), p), "x", db, p, NULL), APR_SUCCESS);
    fixture_sql(db, p, "UPDATE crash_job SET enqueued_at = now() - interval '90 s' WHERE id = 9");
    assert_int_equal(sal_queue_stats(&s, db, p, NULL), APR_SUCCESS);
    assert_int_equal(s.lane[0].ready, 1);
    assert_int_equal(s.lane[1].ready, 5);
    assert_int_equal(s.lane[2].ready, 1);
    assert_int_equal(s.all.leased, 1);
    assert_int_equal(s.all.dead, 1);
    assert_in_range(s.all.oldest_ready_seconds, 90, 95);
}

/* A deferred job is for nobody until its crash is queued; then one job is left, in that lane. */
static void test_deferred(void **state)
{
    apr_pool_t *p = pool(state);
    sal_queue_stats_t s;

    fixture_sql(db, p,
                "INSERT INTO crash_job (crash_id, queue, state) VALUES "
                "('00000001-0000-4000-8000-000001260101', 1, 3), "
                "('00000002-0000-4000-8000-000001260101', 1, 3)");
    assert_null(claim(db, p));
    assert_int_equal(sal_queue_stats(&s, db, p, NULL), APR_SUCCESS);
    assert_int_equal(s.all.deferred, 2);
    assert_int_equal(s.all.ready + s.all.leased + s.all.dead, 0);
    assert_int_equal(sal_queue_put(db, "00000002-0000-4000-8000-000001260101", "default",
                                   SAL_LANE_PRIORITY, 0, p, NULL),
                     APR_SUCCESS);
    assert_int_equal(sal_queue_stats(&s, db, p, NULL), APR_SUCCESS);
    assert_int_equal(s.all.deferred, 1);
    assert_int_equal(s.lane[0].ready, 1);
    assert_string_equal(claim(db, p)->crash_id, "00000002-0000-4000-8000-000001260101");
}

/* The payload of the next notification, or NULL after two seconds. */
static const char *next_notice(sal_db_t *d, apr_pool_t *p)
{
    PGconn *conn = sal_db_conn(d);
    struct pollfd fd = { PQsocket(conn), POLLIN, 0 };
    PGnotify *notice;
    const char *extra;

    PQconsumeInput(conn);
    while ((notice = PQnotifies(conn)) == NULL) {
        if (poll(&fd, 1, 2000) <= 0) {
            return NULL;
        }
        PQconsumeInput(conn);
    }
    extra = apr_pstrdup(p, notice->extra);
    PQfreemem(notice);
    return extra;
}

static void test_notify_carries_the_lane(void **state)
{
    apr_pool_t *p = pool(state);
    sal_db_t *listener = fixture_connect(p);
    const char *payload;

    fixture_sql(listener, p, "LISTEN crash_job");
    put(1, SAL_LANE_STANDARD, p); /* without notify */
    assert_int_equal(sal_queue_put(db, crash_id(2, p), NULL, SAL_LANE_REPROCESS, 1, p, NULL),
                     APR_SUCCESS);
    payload = next_notice(listener, p);
    assert_non_null(payload);
    assert_string_equal(payload, "2");
}

/* ---- many at once ---- */

#define JOBS 10000
#define WORKERS 8

typedef struct worker_t {
    pthread_t thread;
    apr_pool_t *p;
    sal_db_t *db;
    int done, failed;
} worker_t;

/* The completing transaction: the job goes, the result comes; a second result breaks the key. */
static apr_status_t complete(sal_db_t *d, void *baton, apr_pool_t *p, sal_error_t *err)
{
    static const sal_stmt_t result = { "test_result", "INSERT INTO test_result VALUES ($1)" };
    const sal_job_t *job = baton;
    apr_status_t rv = sal_queue_done(job, d, p, err);

    return rv != APR_SUCCESS ? rv
                             : sal_db_exec(d, &result, NULL, p, err, SAL_V_TEXT(job->crash_id));
}

static void *work(void *data)
{
    worker_t *w = data;
    sal_job_t *jobs;
    int n = 1;

    while (n && !w->failed) {
        apr_pool_t *p;

        apr_pool_create(&p, w->p);
        w->failed = sal_queue_claim(&jobs, &n, 1 + w->done % 3, "w", 60, w->db, p, NULL) != 0;
        for (int i = 0; i < n && !w->failed; i++) {
            w->failed = sal_db_txn(w->db, complete, &jobs[i], p, NULL) != APR_SUCCESS;
            w->done++;
        }
        apr_pool_destroy(p);
    }
    return NULL;
}

static void test_many_workers_do_each_job_once(void **state)
{
    apr_pool_t *p = pool(state);
    worker_t workers[WORKERS] = { 0 };
    int done = 0;

    fixture_sql(db, p, "CREATE TABLE test_result (crash_id text PRIMARY KEY)");
    fixture_sql(db, p,
                "INSERT INTO crash_job (crash_id, queue) "
                "SELECT lpad(to_hex(i), 8, '0') || '-0000-4000-8000-000000260101', i % 3 "
                "FROM generate_series(1, 10000) i");
    for (int i = 0; i < WORKERS; i++) {
        apr_pool_create(&workers[i].p, NULL);
        workers[i].db = fixture_connect(workers[i].p);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_false(workers[i].failed);
        done += workers[i].done;
        apr_pool_destroy(workers[i].p);
    }
    assert_int_equal(done, JOBS);
    assert_int_equal(number(p, "SELECT count(*) FROM test_result"), JOBS);
    assert_int_equal(number(p, "SELECT count(*) FROM crash_job"), 0);
}

/* Of what a dead process held, what it had begun stays leased; the rest is ready, and not to blame.
 */
static void test_abandoned(void **state)
{
    static const char *const dead[] = { "host:1", "host:2" };
    apr_pool_t *p = pool(state);
    sal_job_t *jobs, *others;
    int64_t begun;
    int n, returned;

    for (int i = 1; i <= 5; i++) {
        put(i, SAL_LANE_STANDARD, p);
    }
    assert_int_equal(sal_queue_claim(&jobs, &n, 3, "host:1", 60, db, p, NULL), APR_SUCCESS);
    assert_int_equal(n, 3);
    assert_int_equal(sal_queue_claim(&others, &n, 2, "host:3", 60, db, p, NULL), APR_SUCCESS);
    put(2, SAL_LANE_PRIORITY, p); /* was queued again meanwhile */
    begun = jobs[0].id;
    assert_int_equal(sal_queue_abandoned(&returned, dead, 2, &begun, 1, db, p, NULL), APR_SUCCESS);
    assert_int_equal(returned, 2);
    assert_string_equal(
        fixture_sql(db, p,
                    "SELECT string_agg(state || ':' || attempts || ':' || lost, ' ' ORDER BY "
                    "crash_id) FROM crash_job"),
        "1:1:0 0:0:0 0:0:0 1:1:0 1:1:0");
    assert_int_equal(sal_queue_done(&jobs[2], db, p, NULL), SAL_E_FENCED);
    assert_int_equal(sal_queue_done(&jobs[0], db, p, NULL), APR_SUCCESS);
    assert_int_equal(sal_queue_abandoned(&returned, dead, 2, &begun, 0, db, p, NULL), APR_SUCCESS);
    assert_int_equal(returned, 0);
}

/* The session of a dead process is ended, so that nothing comes of it any more. */
static void test_sessions_of_the_dead(void **state)
{
    static const char *const dead[] = { "host:77" };
    apr_pool_t *p = pool(state);
    sal_db_t *late;
    int returned;

    setenv("PGAPPNAME", "salvaged host:77", 1);
    late = fixture_connect(p);
    unsetenv("PGAPPNAME");
    assert_int_equal(sal_queue_abandoned(&returned, dead, 1, NULL, 0, db, p, NULL), APR_SUCCESS);
    assert_int_equal(PQresultStatus(PQexec(sal_db_conn(late), "SELECT 1")), PGRES_FATAL_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_test, end_test)

static const struct CMUnitTest tests[] = {
    TEST(test_abandoned),
    TEST(test_sessions_of_the_dead),
    TEST(test_lanes_in_order),
    TEST(test_every_eighth_claim_reprocesses),
    TEST(test_a_batch_is_in_order),
    TEST(test_a_claim_takes_no_more_than_it_may),
    TEST(test_put_again_only_raises),
    TEST(test_one_pass_a_crash_at_a_time),
    TEST(test_unknown_rule_sets_are_refused),
    TEST(test_pausing),
    TEST(test_when_the_next_is_due),
    TEST(test_requests_have_bounds),
    TEST(test_renew_prolongs),
    TEST(test_fence_rejects_the_late_one),
    TEST(test_two_claimers_never_share),
    TEST(test_race_for_one_crash),
    TEST(test_done_belongs_to_its_transaction),
    TEST(test_backoff_doubles_to_half_an_hour),
    TEST(test_return_does_not_count),
    TEST(test_retry_gives_way_to_a_new_job),
    TEST(test_expiry_to_safe_mode_and_death),
    TEST(test_running_leases_do_not_expire),
    TEST(test_expiry_gives_way_to_a_new_job),
    TEST(test_death_marks_the_successor),
    TEST(test_bury_list_revive),
    TEST(test_revive_never_makes_two_ready),
    TEST(test_kill_and_forget),
    TEST(test_purge_keeps_the_young),
    TEST(test_stats),
    TEST(test_deferred),
    TEST(test_notify_carries_the_lane),
    TEST(test_many_workers_do_each_job_once),
};

static int migrate(void **state)
{
    sal_error_t err = { 0 };
    int applied;

    (void)state;
    db = fixture_connect(root);
    if (sal_schema_migrate(&applied, db, root, &err) != APR_SUCCESS) {
        fprintf(stderr, "migrate: %s\n", err.message);
        return -1;
    }
    return 0;
}

int main(void)
{
    int failed;

    apr_initialize();
    apr_pool_create(&root, NULL);
    fixture_database(root);
    failed = cmocka_run_group_tests_name("queue", tests, migrate, NULL);
    apr_pool_destroy(root);
    fixture_drop();
    apr_terminate();
    return failed;
}
