/*
 * Requests on a real server: steps, rates and bounds, a death between steps, pauses, quotas; what
 * crashes lack and which of them are chosen when symbols come.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/conf.h"
#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "db/schema.h"
#include "queue/queue.h"
#include "reprocess/missing.h"
#include "search/fields.h"

#define GUID "0123456789ABCDEF0123456789ABCDEF0"

static apr_pool_t *pool, *db_pool;
static sal_db_t *db;
static sal_error_t err;
static const sal_reprocess_new_t nobody = { .requester = "unit", .reason = "" };

static int64_t number(const char *sql)
{
    int64_t n = -1;

    sal_parse_int(fixture_sql(db, pool, sql), INT64_MIN, INT64_MAX, &n);
    return n;
}

static void run(const char *sql)
{
    fixture_sql(db, pool, sql);
}

/* The nth crash of the tests: a valid id. */
static const char *nth(int n)
{
    return apr_psprintf(pool, "%08x-0000-4000-8000-000000260101", (unsigned)n);
}

static sal_reprocess_id_t *ids_from(int first, int n)
{
    sal_reprocess_id_t *ids = apr_pcalloc(pool, (apr_size_t)n * sizeof(*ids));

    for (int i = 0; i < n; i++) {
        ids[i].crash_id = nth(first + i);
    }
    return ids;
}

static int64_t ask(int first, int n, int rate)
{
    sal_reprocess_new_t opts = nobody;
    int64_t id, total;

    opts.rate = rate;
    assert_int_equal(
        sal_reprocess_ids(&id, &total, ids_from(first, n), n, false, &opts, db, pool, &err), 0);
    assert_int_equal(total, n);
    return id;
}

static int64_t step(void)
{
    int64_t queued;

    if (sal_reprocess_step(&queued, 0, db, pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return queued;
}

static sal_reprocess_t look(int64_t id)
{
    sal_reprocess_t *rows;
    int n;

    assert_int_equal(sal_reprocess_list(&rows, &n, id, false, 1, db, pool, &err), 0);
    return rows[0];
}

/* Does what waits, at most max jobs. */
static int work(int max)
{
    sal_job_t *jobs;
    int n, done = 0;

    while (done < max && sal_queue_claim(&jobs, &n, 1, "unit", 60, db, pool, &err) == 0 && n) {
        assert_int_equal(sal_queue_done(jobs, db, pool, &err), 0);
        done++;
    }
    return done;
}

static int empty(void **state)
{
    (void)state;
    run("TRUNCATE reprocess_request, reprocess_item, crash_job, crash_missing_symbol, "
        "symbol_arrival, processed_crash, crash, term RESTART IDENTITY CASCADE");
    return 0;
}

/* ---- ids ---- */

static void test_ids_are_read(void **state)
{
    const char *good = nth(1);
    sal_reprocess_id_t id;

    (void)state;
    assert_int_equal(sal_reprocess_id(&id, good, pool, &err), 0);
    assert_string_equal(id.crash_id, good);
    assert_null(id.ruleset);
    assert_int_equal(
        sal_reprocess_id(&id, apr_pstrcat(pool, good, ":regenerate_signature", NULL), pool, &err),
        0);
    assert_string_equal(id.ruleset, "regenerate_signature");
    assert_int_equal(sal_reprocess_id(&id, "a:b:c", pool, &err), SAL_E_MALFORMED);
    assert_string_equal(err.message, "Crash id 'a' is not valid.");
    assert_int_equal(sal_reprocess_id(&id, apr_pstrcat(pool, good, ":b:c", NULL), pool, &err),
                     SAL_E_MALFORMED);
    assert_string_equal(err.message, "Ruleset 'b:c' is not valid.");
}

/* ---- steps ---- */

static void test_a_request_runs_to_its_end(void **state)
{
    int64_t id = ask(1, 3, 0);
    sal_reprocess_t r;

    (void)state;
    assert_int_equal(step(), 3);
    r = look(id);
    assert_string_equal(r.state, "running");
    assert_int_equal(r.queued, 3);
    assert_int_equal(r.waiting, 3);
    assert_int_equal(r.done, 0);
    assert_int_equal(work(2), 2);
    r = look(id);
    assert_int_equal(r.done, 2);
    assert_int_equal(r.waiting, 1);
    step();
    assert_string_equal(look(id).state, "running");
    assert_int_equal(work(5), 1);
    step();
    r = look(id);
    assert_string_equal(r.state, "done");
    assert_int_equal(r.done, 3);
    assert_true(r.finished > 0);
    assert_int_equal(number("SELECT count(*) FROM reprocess_item"), 0);
}

static void test_jobs_are_of_the_last_lane_in_order(void **state)
{
    sal_job_t *jobs;
    int n;

    (void)state;
    ask(1, 3, 0);
    step();
    assert_int_equal(sal_queue_put(db, nth(9), "default", SAL_LANE_STANDARD, 0, pool, &err), 0);
    assert_int_equal(number("SELECT count(*) FROM crash_job WHERE queue = 2 AND request_id = 1"),
                     3);
    assert_int_equal(
        number("SELECT count(*) FROM (SELECT crash_id < lead(crash_id) OVER (ORDER BY id) AS up "
               "FROM crash_job WHERE queue = 2) x WHERE NOT up"),
        0);
    /* a live crash is the first but for every eighth claim */
    for (int i = 0; i < 7; i++) {
        assert_int_equal(sal_queue_claim(&jobs, &n, 1, "unit", 60, db, pool, &err), 0);
        if (!strcmp(jobs->crash_id, nth(9))) {
            return;
        }
    }
    fail_msg("the live crash waits");
}

static void test_the_rate_holds(void **state)
{
    int64_t id = ask(1, 500, 10);

    (void)state;
    assert_int_equal(step(), 100); /* ten seconds' worth to begin with */
    assert_int_equal(step(), 0);
    run("UPDATE reprocess_request SET stepped = now() - interval '3 s'");
    assert_in_range(step(), 30, 31);
    run("UPDATE reprocess_request SET stepped = now() - interval '1 hour'");
    assert_int_equal(step(), 100); /* and no more is made up for */
    assert_in_range(look(id).queued, 230, 231);
}

static void test_the_queue_stays_small(void **state)
{
    int64_t id = ask(1, 12000, 0);

    (void)state;
    for (int i = 0; i < 20; i++) {
        step();
        assert_in_range(number("SELECT count(*) FROM crash_job"), 1, 5000);
    }
    assert_int_equal(look(id).queued, 5000);
    run("DELETE FROM crash_job WHERE id IN (SELECT id FROM crash_job ORDER BY id LIMIT 4000)");
    for (int i = 0; i < 20; i++) {
        step();
    }
    assert_int_equal(look(id).queued, 9000);
    for (int i = 0; i < 30; i++) {
        run("DELETE FROM crash_job");
        step();
    }
    assert_string_equal(look(id).state, "done");
    assert_int_equal(look(id).done, 12000);
}

/* The daemon's connection ends in the middle: jobs and cursor are those of whole steps. */
static void test_a_death_repeats_and_loses_nothing(void **state)
{
    int64_t id = ask(1, 3500, 0), queued;
    sal_db_t *other;

    (void)state;
    assert_int_equal(step(), 1000);
    other = fixture_connect(db_pool);
    run("BEGIN");
    run("SELECT FROM reprocess_request FOR UPDATE"); /* a step of ours is under way */
    assert_int_equal(sal_reprocess_step(&queued, 0, other, pool, &err), 0);
    assert_int_equal(queued, 0); /* others pass over it */
    fixture_sql(other, pool, "SELECT 1");
    run("ROLLBACK");
    fixture_kill(other, db_pool);
    for (int i = 0; i < 5; i++) {
        step();
    }
    assert_int_equal(look(id).queued, 3500);
    assert_int_equal(number("SELECT count(DISTINCT crash_id) FROM crash_job"), 3500);
}

static void test_dead_jobs_have_ended(void **state)
{
    int64_t id = ask(1, 2, 0);
    sal_job_t *jobs;
    int n;

    (void)state;
    step();
    assert_int_equal(sal_queue_claim(&jobs, &n, 1, "unit", 60, db, pool, &err), 0);
    assert_int_equal(sal_queue_bury(jobs, "hopeless", db, pool, &err), 0);
    assert_int_equal(sal_queue_claim(&jobs, &n, 1, "unit", 60, db, pool, &err), 0);
    assert_int_equal(sal_queue_retry(jobs, "not now", db, pool, &err), 0);
    step();
    assert_int_equal(look(id).failed, 1);
    assert_string_equal(look(id).state, "running");
    run("UPDATE crash_job SET run_after = now()");
    assert_int_equal(work(5), 1);
    step();
    assert_string_equal(look(id).state, "done");
    run("DELETE FROM crash_job"); /* the dead letter is forgotten later: the figure stays */
    assert_int_equal(look(id).dead, 1);
    assert_int_equal(look(id).done, 1);
}

/* ---- what waits already ---- */

static void test_what_waits_is_not_doubled(void **state)
{
    int64_t id;

    (void)state;
    assert_int_equal(sal_queue_put(db, nth(1), "default", SAL_LANE_STANDARD, 0, pool, &err), 0);
    run(apr_psprintf(pool, "INSERT INTO crash_job (crash_id, queue, state) VALUES ('%s', 1, 3)",
                     nth(2)));
    id = ask(1, 3, 0);
    step();
    assert_int_equal(number("SELECT count(*) FROM crash_job"), 3);
    assert_int_equal(number("SELECT count(*) FROM crash_job WHERE state = 3"), 0);
    assert_int_equal(number("SELECT count(*) FROM crash_job WHERE queue = 1"), 1);
    assert_int_equal(look(id).waiting, 2);
}

static void test_a_paused_request_holds_nothing_of_others(void **state)
{
    int64_t first = ask(1, 3, 0), second;

    (void)state;
    step();
    assert_int_equal(sal_reprocess_pause(first, db, pool, &err), 0);
    assert_int_equal(work(9), 0);
    second = ask(2, 1, 0);
    step();
    assert_int_equal(work(9), 1);
    step();
    assert_string_equal(look(second).state, "done");
    assert_int_equal(look(first).waiting, 2);
    assert_int_equal(sal_reprocess_pause(first, db, pool, &err), APR_ENOENT);
    assert_int_equal(sal_reprocess_resume(first, db, pool, &err), 0);
    assert_int_equal(work(9), 2);
    step();
    assert_string_equal(look(first).state, "done");
    assert_int_equal(sal_reprocess_cancel(first, db, pool, &err), APR_ENOENT);
}

static void test_cancelling_leaves_what_somebody_wants(void **state)
{
    int64_t id = ask(1, 1200, 0);
    sal_reprocess_t r;

    (void)state;
    step();
    assert_int_equal(sal_queue_put(db, nth(5), "default", SAL_LANE_PRIORITY, 0, pool, &err), 0);
    assert_int_equal(sal_reprocess_cancel(id, db, pool, &err), 0);
    r = look(id);
    assert_string_equal(r.state, "cancelled");
    assert_int_equal(r.queued, 1);
    assert_int_equal(number("SELECT count(*) FROM crash_job"), 1);
    step();
    assert_int_equal(number("SELECT count(*) FROM crash_job"), 1);
}

/* ---- quotas, and growing ---- */

static void test_quota_and_growth(void **state)
{
    sal_reprocess_new_t opts = nobody;
    int64_t id, total, first;

    (void)state;
    opts.quota = 5;
    assert_int_equal(
        sal_reprocess_ids(&first, &total, ids_from(1, 3), 3, true, &opts, db, pool, &err), 0);
    assert_int_equal(sal_reprocess_ids(&id, &total, ids_from(9, 3), 3, true, &opts, db, pool, &err),
                     SAL_E_TOOBIG);
    step();
    assert_int_equal(work(9), 3);
    assert_int_equal(sal_reprocess_ids(&id, &total, ids_from(9, 2), 2, true, &opts, db, pool, &err),
                     0);
    assert_int_equal(id, first);
    step();
    assert_int_equal(work(9), 2);
    step();
    assert_int_equal(look(id).done, 5);
    assert_string_equal(look(id).state, "done");
    opts.requester = "somebody else";
    assert_int_equal(sal_reprocess_ids(&id, &total, ids_from(9, 2), 2, true, &opts, db, pool, &err),
                     0);
    assert_int_not_equal(id, first);
    opts.ruleset = "nonsense";
    assert_int_equal(sal_reprocess_ids(&id, &total, ids_from(9, 2), 2, true, &opts, db, pool, &err),
                     APR_EINVAL);
}

/* ---- searches ---- */

/* n rows of one moment each three, so that the cursor has to tell equal dates apart. */
static void fill_search(int n)
{
    run("SELECT crash_make_partition(now()), crash_make_partition(now() - interval '7 days')");
    run("INSERT INTO term (id, field, value) VALUES (1, 1, 'x')");
    run(apr_psprintf(pool,
                     "INSERT INTO crash (date, uuid, install_time) SELECT now() - interval '1 h' - "
                     "(i / 3) * interval '1 s', (lpad(to_hex(i), 8, '0') || "
                     "'-0000-4000-8000-000000260101')::uuid, i %% 2 FROM generate_series(1, %d) i",
                     n));
}

static void test_a_search_is_gone_through_once(void **state)
{
    apr_table_t *params = apr_table_make(pool, 2);
    sal_reprocess_new_t opts = nobody;
    int64_t id, total, sum = 0;

    (void)state;
    fill_search(2500);
    apr_table_add(params, "install_time", "1");
    assert_int_equal(sal_reprocess_search(&id, &total, params, &opts, db, pool, &err), 0);
    assert_int_equal(total, 1250);
    /* what comes meanwhile is none of its business */
    run("INSERT INTO crash (date, uuid, install_time) VALUES (now(), "
        "'ffffffff-0000-4000-8000-000000260101', 1)");
    for (int i = 0; i < 4; i++) {
        sum += step();
    }
    assert_int_equal(sum, 1250);
    assert_int_equal(number("SELECT count(DISTINCT crash_id) FROM crash_job"), 1250);
    assert_int_equal(
        number("SELECT count(*) FROM (SELECT j.id, lag(c.date) OVER (ORDER BY j.id) < c.date AS up "
               "FROM crash_job j JOIN crash c ON c.uuid = j.crash_id::uuid) x WHERE up"),
        0);
    work(2000);
    step();
    assert_string_equal(look(id).state, "done");
}

static void test_what_cannot_be_searched(void **state)
{
    apr_table_t *params = apr_table_make(pool, 2);
    sal_reprocess_new_t opts = nobody;
    int64_t id, total;

    (void)state;
    apr_table_set(params, "colour", "red");
    assert_int_equal(sal_reprocess_search(&id, &total, params, &opts, db, pool, &err),
                     SAL_E_MALFORMED);
    assert_string_equal(err.message, "Unknown field 'colour'");
    apr_table_clear(params);
    apr_table_set(params, "date", ">=2001-01-01");
    assert_int_equal(sal_reprocess_search(&id, &total, params, &opts, db, pool, &err),
                     SAL_E_MALFORMED);
    apr_table_clear(params);
    apr_table_set(params, "install_time", "12345");
    assert_int_equal(sal_reprocess_search(&id, &total, params, &opts, db, pool, &err), 0);
    assert_int_equal(id, 0);
    /* one that was good when it was made stops alone */
    run("INSERT INTO reprocess_request (kind, query, requester, rate, total) VALUES "
        "('search', '{\"from\": \"2026-01-01\", \"to\": \"2026-01-02T00:00:00+00:00\", "
        "\"params\": [[\"colour\", \"red\"]]}', 'unit', 0, 7)");
    id = ask(1, 2, 0);
    assert_int_equal(step(), 2);
    assert_string_equal(look(1).state, "cancelled");
    assert_non_null(strstr(look(1).error, "colour"));
    assert_string_equal(look(id).state, "running");
}

/* ---- missing symbols ---- */

static json_t *lacking(const char *file, bool missing)
{
    return sal_json_own(
        json_pack("{s:s, s:{s:[{s:s, s:s, s:b}, {s:s, s:s, s:b}, {s:s, s:s, s:b}, {s:n}]}}",
                  "date_processed", "2026-01-01T10:00:00+00:00", "json_dump", "modules",
                  "debug_file", file, "debug_id", "0123456789abcdef0123456789abcdef0",
                  "missing_symbols", missing, "debug_file", "C:\\build\\Other.PDB", "debug_id",
                  GUID, "missing_symbols", 1, "debug_file", "fine.so", "debug_id", GUID,
                  "missing_symbols", 0, "debug_file"),
        pool);
}

static void test_what_a_crash_lacks_is_replaced(void **state)
{
    (void)state;
    assert_int_equal(sal_reprocess_note(db, nth(1), lacking("libX.so", true), pool, &err), 0);
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT string_agg(debug_file || '/' || debug_id, ' ' "
                                    "ORDER BY debug_file) FROM crash_missing_symbol"),
                        "libx.so/" GUID " other.pdb/" GUID);
    run("UPDATE crash_missing_symbol SET tries = 2");
    assert_int_equal(sal_reprocess_note(db, nth(1), lacking("libX.so", false), pool, &err), 0);
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT string_agg(debug_file || tries, ' ') FROM "
                                    "crash_missing_symbol"),
                        "other.pdb2");
    assert_int_equal(sal_reprocess_note(db, nth(1), sal_json_own(json_object(), pool), pool, &err),
                     0);
    assert_int_equal(number("SELECT count(*) FROM crash_missing_symbol"), 0);
}

/* Crash n of a signature, so many minutes old, lacks lib.so. */
static void lacks(int n, const char *signature, int minutes)
{
    run(apr_psprintf(pool,
                     "INSERT INTO processed_crash (crash_id, fence, job_id, blob, success, "
                     "signature) VALUES ('%s', 1, 1, '', true, '%s')",
                     nth(n), signature));
    run(apr_psprintf(pool,
                     "INSERT INTO crash_missing_symbol (crash_id, debug_id, debug_file, date) "
                     "VALUES ('%s', '" GUID "', 'lib.so', now() - interval '%d min')",
                     nth(n), minutes));
}

static int64_t arrive(const sal_reprocess_limits_t *limits, int64_t *chosen, int64_t *all)
{
    int64_t id;

    if (sal_reprocess_arrivals(&id, chosen, all, limits, db, pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return id;
}

/* What an upload does. */
static void upload(const char *file, const char *kind, bool is_try)
{
    run(apr_psprintf(pool,
                     "INSERT INTO symbol_file (is_try, debug_file, debug_id, leaf, kind, replaced, "
                     "size, stored_size, md5, sha256, stored_sha256) VALUES (%s, '%s', '" GUID
                     "', 'x', '%s', false, 1, 1, '', '', '')",
                     is_try ? "true" : "false", file, kind));
}

static void test_the_newest_of_each_signature(void **state)
{
    const sal_reprocess_limits_t limits = { .newest = 2, .most = 5, .tries = 1 };
    int64_t chosen, all, id;

    (void)state;
    for (int i = 0; i < 5; i++) {
        lacks(i, "a", 10 + i);
        lacks(10 + i, "b", 20 + i);
        lacks(20 + i, apr_psprintf(pool, "c%d", i), 30 + i);
    }
    upload("other.so", "sym", false);
    upload("lib.so", "pdb", false);
    upload("lib.so", "sym", true);
    assert_int_equal(arrive(&limits, &chosen, &all), 0);
    assert_int_equal(all, 0);
    upload("LIB.so", "sym", false);
    id = arrive(&limits, &chosen, &all);
    assert_true(id > 0);
    assert_int_equal(all, 15);
    assert_int_equal(chosen, 5);
    step();
    assert_string_equal(fixture_sql(db, pool,
                                    "SELECT string_agg(left(crash_id, 8), ' ' ORDER BY id) "
                                    "FROM crash_job"),
                        "00000000 00000001 0000000a 0000000b 00000014");
    assert_string_equal(look(id).requester, "symbols");
    assert_non_null(strstr(look(id).query, "lib.so/" GUID));
    /* those were tried once: now the others have their turn, then nobody */
    upload("lib.so", "sym", false);
    arrive(&limits, &chosen, &all);
    assert_int_equal(all, 10);
    assert_int_equal(chosen, 5);
    for (int i = 0; i < 3; i++) {
        upload("lib.so", "sym", false);
        arrive(&limits, &chosen, &all);
    }
    upload("lib.so", "sym", false);
    assert_int_equal(arrive(&limits, &chosen, &all), 0);
}

static void test_it_waits_for_silence_but_not_for_ever(void **state)
{
    const sal_reprocess_limits_t limits = { .newest = 2, .most = 5, .tries = 3, .debounce = 600 };
    int64_t chosen, all;

    (void)state;
    lacks(1, "a", 1);
    upload("lib.so", "sym", false);
    assert_int_equal(arrive(&limits, &chosen, &all), 0);
    run("UPDATE symbol_arrival SET at = now() - interval '9 min'");
    assert_int_equal(arrive(&limits, &chosen, &all), 0);
    run("UPDATE symbol_arrival SET at = now() - interval '11 min'");
    assert_true(arrive(&limits, &chosen, &all) > 0);
    assert_int_equal(number("SELECT count(*) FROM symbol_arrival"), 0);
    upload("lib.so", "sym", false);
    run("UPDATE symbol_arrival SET at = now() - interval '61 min'");
    upload("more.so", "sym", false); /* they keep coming */
    assert_true(arrive(&limits, &chosen, &all) > 0);
}

static void test_a_module_by_either_name(void **state)
{
    sal_reprocess_new_t opts = nobody;
    int64_t id, total;

    (void)state;
    fill_search(6);
    run(apr_psprintf(pool,
                     "INSERT INTO term (id, field, value) VALUES (7, %d, 'XUL%%.dll/" GUID "')",
                     sal_search_field("modules_in_stack")->number));
    run("UPDATE crash SET modules_in_stack = '{7}' WHERE uuid IN "
        "('00000002-0000-4000-8000-000000260101', '00000004-0000-4000-8000-000000260101')");
    lacks(3, "a", 1); /* crash 3 lacks lib.so */
    assert_int_equal(sal_reprocess_module(&id, &total, "xul%.DLL", NULL, &opts, db, pool, &err), 0);
    assert_int_equal(total, 2);
    assert_int_equal(step(), 2);
    assert_int_equal(sal_reprocess_module(&id, &total, "xul%.dll", "0", &opts, db, pool, &err), 0);
    assert_int_equal(total, 0);
    assert_int_equal(sal_reprocess_module(&id, &total, "xul_.dll", NULL, &opts, db, pool, &err), 0);
    assert_int_equal(total, 0);
    assert_int_equal(sal_reprocess_module(&id, &total, "LIB.so",
                                          "0123456789abcdef0123456789abcdef0", &opts, db, pool,
                                          &err),
                     0);
    assert_int_equal(total, 1);
    assert_int_equal(step(), 1);
    assert_int_equal(number("SELECT count(*) FROM crash_job WHERE crash_id LIKE '00000003%'"), 1);
}

/* ---- forgetting ---- */

static void test_forgetting(void **state)
{
    int n;

    (void)state;
    lacks(1, "a", 1);
    lacks(2, "a", 60 * 24 * 91);
    assert_int_equal(sal_reprocess_missing_expire(&n, 90, db, pool, &err), 0);
    assert_int_equal(n, 1);
    ask(1, 1, 0);
    run("UPDATE reprocess_request SET state = 'done', finished = now() - interval '91 days'");
    ask(2, 1, 0);
    assert_int_equal(sal_reprocess_purge(&n, 90, db, pool, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(number("SELECT count(*) FROM reprocess_item"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_read),
        cmocka_unit_test_setup(test_a_request_runs_to_its_end, empty),
        cmocka_unit_test_setup(test_jobs_are_of_the_last_lane_in_order, empty),
        cmocka_unit_test_setup(test_the_rate_holds, empty),
        cmocka_unit_test_setup(test_the_queue_stays_small, empty),
        cmocka_unit_test_setup(test_a_death_repeats_and_loses_nothing, empty),
        cmocka_unit_test_setup(test_dead_jobs_have_ended, empty),
        cmocka_unit_test_setup(test_what_waits_is_not_doubled, empty),
        cmocka_unit_test_setup(test_a_paused_request_holds_nothing_of_others, empty),
        cmocka_unit_test_setup(test_cancelling_leaves_what_somebody_wants, empty),
        cmocka_unit_test_setup(test_quota_and_growth, empty),
        cmocka_unit_test_setup(test_a_search_is_gone_through_once, empty),
        cmocka_unit_test_setup(test_what_cannot_be_searched, empty),
        cmocka_unit_test_setup(test_what_a_crash_lacks_is_replaced, empty),
        cmocka_unit_test_setup(test_the_newest_of_each_signature, empty),
        cmocka_unit_test_setup(test_it_waits_for_silence_but_not_for_ever, empty),
        cmocka_unit_test_setup(test_a_module_by_either_name, empty),
        cmocka_unit_test_setup(test_forgetting, empty),
    };
    int rc, applied;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    fixture_database(pool);
    apr_pool_create(&db_pool, pool);
    db = fixture_connect(db_pool);
    if (sal_schema_migrate(&applied, db, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(db_pool);
    fixture_drop();
    return rc;
}
