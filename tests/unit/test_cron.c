/* Periodic jobs: schedules, and the engine on a database (docs/jobs.md). */
#include "db_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "db/schema.h"
#include "jobs/cron.h"

#define DAY apr_time_from_sec(86400)
#define HOUR apr_time_from_sec(3600)
#define MINUTE apr_time_from_sec(60)
/* 2026-03-01T00:00:00Z */
#define MIDNIGHT apr_time_from_sec(INT64_C(1772323200))

static apr_pool_t *pool;
static sal_db_t *keeper, *work;
static sal_cron_env_t env = { .host = "here" };

/* ---- schedules ---- */

static void test_frequency(void **state)
{
    static const struct {
        const char *text;
        int seconds; /* 0: refused */
    } cases[] = { { "1d", 86400 }, { "2h", 7200 }, { "30m", 1800 },   { "007m", 420 },
                  { "0m", 0 },     { "", 0 },      { "1", 0 },        { "d", 0 },
                  { "1w", 0 },     { "1d ", 0 },   { " 1d", 0 },      { "-1d", 0 },
                  { "1.5h", 0 },   { "1dd", 0 },   { "9999999d", 0 }, { "3651d", 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int n = 0;

        assert_int_equal(sal_cron_every(cases[i].text, &n), cases[i].seconds != 0);
        assert_int_equal(n, cases[i].seconds);
    }
}

static void test_clock(void **state)
{
    static const struct {
        const char *text;
        int minute; /* -2: refused */
    } cases[] = { { "00:00", 0 }, { "05:30", 330 }, { "23:59", 1439 },
                  { "", -1 },     { "24:00", -2 },  { "05:60", -2 },
                  { "5:00", -2 }, { "05-00", -2 },  { "05:0", -2 } };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int n = -2;
        bool ok = sal_cron_clock(cases[i].text, &n);

        assert_int_equal(ok, cases[i].minute != -2);
        assert_true(!ok || n == cases[i].minute);
    }
}

static void test_due(void **state)
{
    sal_cron_plan_t any = { .every = 86400, .minute = -1, .enabled = true }, five = any, off = any;

    (void)state;
    five.minute = 300;
    off.enabled = false;
    /* never planned: at once, or from today's time on */
    assert_true(sal_cron_due(&any, 0, MIDNIGHT));
    assert_false(sal_cron_due(&five, 0, MIDNIGHT + 5 * HOUR - 1));
    assert_true(sal_cron_due(&five, 0, MIDNIGHT + 5 * HOUR));
    assert_true(sal_cron_due(&five, 0, MIDNIGHT + 23 * HOUR));
    /* planned: once that is over */
    assert_false(sal_cron_due(&any, MIDNIGHT, MIDNIGHT));
    assert_true(sal_cron_due(&any, MIDNIGHT, MIDNIGHT + 1));
    assert_true(sal_cron_due(&five, MIDNIGHT, MIDNIGHT + HOUR));
    assert_false(sal_cron_due(&off, 0, MIDNIGHT));
    assert_false(sal_cron_due(&off, MIDNIGHT - DAY, MIDNIGHT));
}

static void test_next(void **state)
{
    sal_cron_plan_t plan = { .every = 86400, .minute = -1 };

    (void)state;
    assert_int_equal(sal_cron_next(&plan, MIDNIGHT + HOUR), MIDNIGHT + HOUR + DAY);
    plan.minute = 300;
    assert_int_equal(sal_cron_next(&plan, MIDNIGHT + 7 * HOUR + 12345), MIDNIGHT + DAY + 5 * HOUR);
    assert_int_equal(sal_cron_next(&plan, MIDNIGHT + HOUR), MIDNIGHT + DAY + 5 * HOUR);
    plan.every = 7 * 86400;
    assert_int_equal(sal_cron_next(&plan, MIDNIGHT + 7 * HOUR), MIDNIGHT + 7 * DAY + 5 * HOUR);
    plan.every = 3600; /* a time of day that is over is never next */
    assert_int_equal(sal_cron_next(&plan, MIDNIGHT + 7 * HOUR), MIDNIGHT + DAY + 5 * HOUR);
}

static void test_steps(void **state)
{
    sal_cron_plan_t plan = { .every = 86400, .minute = 240 };
    apr_time_t last = MIDNIGHT + 6 * HOUR, now = MIDNIGHT + 3 * DAY + 5 * HOUR;

    (void)state;
    assert_int_equal(sal_cron_step(&plan, 0, now), now); /* never: one, now */
    for (int day = 1; day <= 3; day++) {
        last = sal_cron_step(&plan, last, now);
        assert_int_equal(last, MIDNIGHT + day * DAY + 4 * HOUR);
    }
    assert_int_equal(sal_cron_step(&plan, last, now), 0);
    assert_int_equal(sal_cron_step(&plan, last, last + DAY), last + DAY);
}

static void test_configured(void **state)
{
    static const struct {
        const char *line;
        int every, minute, limit;
        bool enabled, ok;
    } cases[] = { { "job stuck off", 600, -1, 120, false, true },
                  { "job stuck every 2h at 05:10 limit 5min", 7200, 310, 300, true, true },
                  { "job deadletter off", 600, -1, 120, true, true },
                  { "job stuck off\njob stuck on", 600, -1, 120, true, true },
                  { "job stuck at 05:10\njob stuck at any", 600, -1, 120, true, true },
                  { "job stuck every", 0, 0, 0, false, false },
                  { "job stuck sometimes", 0, 0, 0, false, false },
                  { "job stuck at 25:00", 0, 0, 0, false, false },
                  { "job stuck limit 8d", 0, 0, 0, false, false },
                  { "job nonesuch off", 0, 0, 0, false, false } };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = apr_pstrcat(pool, cases[i].line, "\n", NULL);
        sal_cron_plan_t plan;
        sal_conf_t *conf;
        sal_error_t err;

        assert_int_equal(sal_conf_parse(&conf, text, strlen(text), "/x", pool, &err), APR_SUCCESS);
        assert_int_equal(sal_cron_check(conf, pool, &err) == APR_SUCCESS, cases[i].ok);
        if (!cases[i].ok) {
            assert_non_null(strstr(err.message, "job "));
            continue;
        }
        assert_int_equal(sal_cron_plan(&plan, sal_cron_find("stuck"), conf, pool, &err),
                         APR_SUCCESS);
        assert_int_equal(plan.every, cases[i].every);
        assert_int_equal(plan.minute, cases[i].minute);
        assert_int_equal(plan.limit, cases[i].limit);
        assert_int_equal(plan.enabled, cases[i].enabled);
    }
}

/* ---- the engine ---- */

static int calls, fail_from;
static apr_time_t asked[20];
static apr_time_t told_last;

static apr_status_t deed(sal_cron_run_t *run, sal_error_t *err)
{
    asked[calls++] = run->run_time;
    told_last = run->last_success;
    run->done = 7;
    run->note = "done well";
    return fail_from && calls >= fail_from ? sal_fail(err, APR_EACCES, "no way") : APR_SUCCESS;
}

static const sal_cron_job_t plain = { "t_plain", "1h", "", 60, 0, "a test", deed };
static const sal_cron_job_t steps = { "t_steps", "1d", "", 60, SAL_CRON_BACKFILL, "a test", deed };

static sal_cron_result_t perform(const sal_cron_job_t *job, sal_cron_ask_t ask)
{
    sal_cron_result_t r;
    sal_error_t err = { .message = "" };

    assert_int_equal(sal_cron_perform(&r, job, &ask, &env, keeper, work, pool, &err), APR_SUCCESS);
    return r;
}

static const char *sql(const char *text)
{
    return fixture_sql(work, pool, text);
}

static int forget(void **state)
{
    (void)state;
    calls = fail_from = 0;
    sql("DELETE FROM cron_job");
    sql("DELETE FROM cron_log");
    return 0;
}

static void test_success(void **state)
{
    sal_cron_ask_t due = { .if_due = true };
    sal_cron_result_t r = perform(&plain, due);

    (void)state;
    assert_int_equal(r.end, SAL_CRON_RAN);
    assert_true(r.ok);
    assert_int_equal(r.done, 7);
    assert_string_equal(sql("SELECT (next_run - last_success = interval '1 hour') AND "
                            "error_count = 0 AND last_error = '{}' AND ongoing IS NULL AND "
                            "first_run = last_run FROM cron_job WHERE app_name = 't_plain'"),
                        "t");
    assert_string_equal(
        sql("SELECT success AND done = 7 AND note = 'done well' AND exc_type IS NULL "
            "AND duration >= 0 FROM cron_log WHERE app_name = 't_plain'"),
        "t");
    r = perform(&plain, due); /* not due for an hour */
    assert_int_equal(r.end, SAL_CRON_NOT_DUE);
    assert_int_equal(calls, 1);
    r = perform(&plain, (sal_cron_ask_t){ .if_due = false });
    assert_int_equal(r.end, SAL_CRON_RAN);
    assert_int_equal(told_last, asked[0]);
}

/* A failure moves neither what was good nor the window that a later run starts from. */
static void test_failure(void **state)
{
    const char *good;

    (void)state;
    perform(&plain, (sal_cron_ask_t){ .if_due = true });
    good = sql("SELECT last_success::text FROM cron_job");
    fail_from = 2;
    for (int i = 1; i <= 2; i++) {
        sal_cron_result_t r;

        sql("UPDATE cron_job SET next_run = now() - interval '1 s'");
        r = perform(&plain, (sal_cron_ask_t){ .if_due = true });
        assert_int_equal(r.end, SAL_CRON_RAN);
        assert_false(r.ok);
        assert_string_equal(r.note, "no way");
        assert_string_equal(
            sql(apr_psprintf(pool,
                             "SELECT error_count = %d AND ongoing IS NULL AND last_error->>'value' "
                             "= 'no way' AND abs(extract(epoch FROM next_run - now()) - 60) < 10 "
                             "FROM cron_job",
                             i)),
            "t");
    }
    assert_string_equal(sql("SELECT last_success::text FROM cron_job"), good);
    assert_string_equal(sql("SELECT count(*) FROM cron_log WHERE NOT success AND exc_value = "
                            "'no way' AND exc_type <> ''"),
                        "2");
    fail_from = 0;
    sql("UPDATE cron_job SET next_run = now() - interval '1 s'");
    assert_true(perform(&plain, (sal_cron_ask_t){ .if_due = true }).ok);
    assert_string_equal(sql("SELECT error_count = 0 AND last_error = '{}' FROM cron_job"), "t");
}

static void test_backfill(void **state)
{
    (void)state;
    perform(&steps, (sal_cron_ask_t){ .if_due = true });
    assert_int_equal(calls, 1); /* never before: one, for now */
    sql("UPDATE cron_job SET last_success = now() - interval '4 days 1 hour', "
        "next_run = now() - interval '3 days'");
    sql("DELETE FROM cron_log");
    fail_from = 4; /* the third of the four that were missed */
    assert_false(perform(&steps, (sal_cron_ask_t){ .if_due = true }).ok);
    assert_int_equal(calls, 4);
    assert_int_equal(asked[2] - asked[1], DAY);
    assert_int_equal(asked[3] - asked[2], DAY);
    assert_string_equal(
        sql("SELECT count(*) FILTER (WHERE success) || ' ' || count(*) FROM cron_log"), "2 3");
    fail_from = 0;
    sql("UPDATE cron_job SET next_run = now() - interval '1 s'");
    assert_true(perform(&steps, (sal_cron_ask_t){ .if_due = true }).ok);
    assert_int_equal(calls, 6); /* the one that failed, and the one behind it */
    assert_int_equal(asked[4], asked[3]);
    assert_string_equal(sql("SELECT next_run > now() AND last_success < now() - interval '30 min' "
                            "FROM cron_job"),
                        "t");
}

static void test_exclusion(void **state)
{
    sal_db_t *other = fixture_connect(pool);

    (void)state;
    fixture_sql(other, pool, "SELECT pg_advisory_lock(541703, hashtext('t_plain'))");
    assert_int_equal(perform(&plain, (sal_cron_ask_t){ .if_due = true }).end, SAL_CRON_ELSEWHERE);
    assert_int_equal(calls, 0);
    assert_int_equal(perform(&plain, (sal_cron_ask_t){ .force = true }).end, SAL_CRON_RAN);
    assert_string_equal(sql("SELECT count(*) FROM cron_job"), "0"); /* forced: no books */
    fixture_kill(other, pool); /* the lock dies with its session */
    assert_int_equal(perform(&plain, (sal_cron_ask_t){ .if_due = true }).end, SAL_CRON_RAN);
}

/* Whoever dies in a run leaves a trace that the next one ends. */
static void test_death(void **state)
{
    (void)state;
    sql("INSERT INTO cron_job (app_name, ongoing, runner, last_success, next_run) VALUES "
        "('t_plain', "
        "now() - interval '5 s', 'there:99', now() - interval '2 h', now() - interval '1 h')");
    assert_int_equal(perform(&plain, (sal_cron_ask_t){ .if_due = true }).end, SAL_CRON_NOT_DUE);
    assert_string_equal(sql("SELECT error_count = 1 AND ongoing IS NULL AND next_run > now() "
                            "FROM cron_job"),
                        "t");
    assert_string_equal(sql("SELECT exc_type || ' ' || runner FROM cron_log"), "died there:99");
    sql("UPDATE cron_job SET next_run = now() - interval '1 s'");
    assert_true(perform(&plain, (sal_cron_ask_t){ .if_due = true }).ok);
}

/* A run that has lost its job to another one writes nothing of its own. */
static apr_status_t taken_over(sal_cron_run_t *run, sal_error_t *err)
{
    (void)err;
    sql("UPDATE cron_job SET ongoing = now() + interval '1 s', runner = 'there:1'");
    run->done = 1;
    return APR_SUCCESS;
}

static void test_fence(void **state)
{
    const sal_cron_job_t job = { "t_plain", "1h", "", 60, 0, "a test", taken_over };

    (void)state;
    perform(&job, (sal_cron_ask_t){ .if_due = true });
    assert_string_equal(sql("SELECT runner FROM cron_job"), "there:1");
    assert_string_equal(sql("SELECT count(*) FROM cron_log"), "0");
}

static apr_status_t sleeper(sal_cron_run_t *run, sal_error_t *err)
{
    (void)err;
    return sal_db_run_text(run->db, "SELECT pg_sleep(30)", NULL, 0, NULL, run->p, err);
}

static void test_limits(void **state)
{
    const sal_cron_job_t job = { "t_plain", "1h", "", 1, 0, "a test", sleeper };
    sal_cron_run_t run = { .deadline = apr_time_now() - 1 };
    sal_error_t err;

    (void)state;
    assert_false(perform(&job, (sal_cron_ask_t){ .if_due = true }).ok);
    assert_string_equal(sql("SELECT exc_type FROM cron_log"), "database 57014");
    sql("SET statement_timeout = 0");
    assert_int_equal(sal_cron_in_time(&run, &err), APR_TIMEUP);
    run.deadline = apr_time_now() + HOUR;
    assert_int_equal(sal_cron_in_time(&run, &err), APR_SUCCESS);
}

static apr_status_t stand_still(sal_cron_run_t *run, sal_error_t *err)
{
    (void)err;
    alarm(1); /* as the engine's, which is later */
    while (run) {
        pause();
    }
    return APR_SUCCESS;
}

/* What asks no clock is ended by its alarm, and its lock with it. */
static void test_alarm(void **state)
{
    const sal_cron_job_t job = { "t_plain", "1h", "", 1, 0, "a test", stand_still };
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        apr_pool_t *p;

        apr_pool_create(&p, NULL);
        keeper = fixture_connect(p);
        work = fixture_connect(p);
        perform(&job, (sal_cron_ask_t){ .if_due = true, .alarm = true });
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    assert_string_equal(sql("SELECT ongoing IS NOT NULL FROM cron_job"), "t");
    while (strcmp(sql("SELECT pg_try_advisory_lock(541703, hashtext('t_plain'))"), "t")) {
        usleep(20000); /* until the server has seen it */
    }
    sql("SELECT pg_advisory_unlock(541703, hashtext('t_plain'))");
    assert_int_equal(
        sal_cron_died(sal_cron_runner("here", pid, pool), "was killed", work, pool, NULL),
        APR_SUCCESS);
    assert_string_equal(sql("SELECT exc_value FROM cron_log"), "was killed");
}

/* ---- what people do ---- */

static void test_people(void **state)
{
    sal_cron_state_t *states, *stuck = NULL;
    sal_cron_plan_t plan = { .every = 600, .minute = -1 };
    apr_time_t now;
    int n, found;

    (void)state;
    assert_int_equal(sal_cron_enable("stuck", 0, work, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_cron_schedule("stuck", "3h", "04:30", work, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_cron_schedule("stuck", "3w", NULL, work, pool, NULL), APR_EINVAL);
    assert_int_equal(sal_cron_schedule("stuck", "3h", "24:30", work, pool, NULL), APR_EINVAL);
    sql("INSERT INTO cron_job (app_name, error_count) VALUES ('symcache@elsewhere', 3)");
    assert_int_equal(sal_cron_states(&states, &n, &now, &env, work, pool, NULL), APR_SUCCESS);
    for (int i = 0; i < n; i++) {
        stuck = strcmp(states[i].app_name, "stuck") ? stuck : &states[i];
    }
    assert_non_null(stuck);
    assert_false(stuck->plan.enabled || stuck->due);
    assert_int_equal(stuck->plan.every, 10800);
    assert_int_equal(stuck->plan.minute, 270);
    assert_string_equal(states[n - 1].app_name, "symcache@elsewhere");
    assert_int_equal(states[n - 1].error_count, 3);
    assert_false(states[n - 1].due);
    assert_int_equal(sal_cron_mark("stuck", &plan, work, pool, NULL), APR_SUCCESS);
    assert_string_equal(sql("SELECT next_run > now() AND last_success <= clock_timestamp() FROM "
                            "cron_job WHERE app_name = 'stuck'"),
                        "t");
    assert_int_equal(sal_cron_reset(&found, "stuck", work, pool, NULL), APR_SUCCESS);
    assert_int_equal(found, 1);
    assert_int_equal(sal_cron_reset(&found, "stuck", work, pool, NULL), APR_SUCCESS);
    assert_int_equal(found, 0);
}

/* Every row of jobs.def has a schedule that can be read. */
static void test_table(void **state)
{
    (void)state;
    for (const sal_cron_job_t *job = sal_cron_jobs(); job->name; job++) {
        sal_cron_plan_t plan;

        assert_int_equal(sal_cron_plan(&plan, job, env.conf, pool, NULL), APR_SUCCESS);
        assert_true(job->limit > 0 && job->purpose[0] && job->run);
        assert_ptr_equal(sal_cron_find(job->name), job);
    }
    assert_null(sal_cron_find("nonesuch"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequency),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_configured),
        cmocka_unit_test(test_table),
        cmocka_unit_test_setup(test_success, forget),
        cmocka_unit_test_setup(test_failure, forget),
        cmocka_unit_test_setup(test_backfill, forget),
        cmocka_unit_test_setup(test_exclusion, forget),
        cmocka_unit_test_setup(test_death, forget),
        cmocka_unit_test_setup(test_fence, forget),
        cmocka_unit_test_setup(test_limits, forget),
        cmocka_unit_test_setup(test_alarm, forget),
        cmocka_unit_test_setup(test_people, forget),
    };
    char nothing[] = "\n";
    sal_conf_t *conf;
    int applied, failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    fixture_database(pool);
    keeper = fixture_connect(pool);
    work = fixture_connect(pool);
    sal_schema_migrate(&applied, work, pool, NULL);
    sal_conf_parse(&conf, nothing, 1, "/x", pool, NULL);
    env.conf = conf;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    fixture_drop();
    return failed;
}
