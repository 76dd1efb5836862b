/*
 * From the store to the database: enqueueing, both sweeps, the row thread. Needs SALVAGE_TEST_DB.
 */
#include "db_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/log.h"
#include "crash/crash_id.h"
#include "crash/row_thread.h"
#include "db/schema.h"
#include "temp_dir.h"

static apr_pool_t *pool;
static sal_crash_store_t *store;
static sal_db_t *db;
static const char *conninfo;
static sal_error_t err;

static void ok(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%d: %s", rv, err.message);
    }
}

static const char *pending_of(const char *id)
{
    return apr_pstrcat(pool, temp_dir, "/store/pending/", id, NULL);
}

static const char *final_of(const char *id)
{
    char day[9];

    sal_crash_id_day(day, id);
    return apr_psprintf(pool, "%s/store/crash/%s/%.2s/%s.zip", temp_dir, day, id, id);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static const char *put_crash_at(const char *submitted, int throttle)
{
    sal_crash_writer_t *w;
    json_t *raw = submitted ? json_pack("{s:s}", "submitted_timestamp", submitted) : json_object();
    char *id = apr_palloc(pool, SAL_CRASH_ID_LEN + 1);

    ok(sal_crash_begin(&w, store, apr_time_now(), pool, &err));
    sal_crash_id_make(id, apr_time_now(), throttle);
    ok(sal_crash_commit(w, id, raw, &err));
    json_decref(raw);
    return id;
}

static const char *put_crash(void)
{
    return put_crash_at("2026-01-31T10:20:30.123456+00:00", 0);
}

static int rows_of(const char *table, const char *id)
{
    return (int)strtol(fixture_sql(db, pool,
                                   apr_psprintf(pool,
                                                "SELECT count(*) FROM %s WHERE "
                                                "crash_id = '%s'",
                                                table, id)),
                       NULL, 10);
}

static void expect_rows(const char *id, int raw, int jobs)
{
    assert_int_equal(rows_of("raw_crash", id), raw);
    assert_int_equal(rows_of("crash_job", id), jobs);
}

static void test_enqueue(void **state)
{
    const char *ids[3] = { put_crash(), put_crash(), put_crash_at(NULL, 1) };
    const char *day;

    (void)state;
    ok(sal_pending_enqueue(store, ids, 3, true, db, pool, &err));
    expect_rows(ids[0], 1, 1);
    expect_rows(ids[1], 1, 1);
    expect_rows(ids[2], 1, 1);
    /* The deferred one waits in a state of its own, which no worker takes. */
    assert_string_equal(fixture_sql(db, pool,
                                    apr_psprintf(pool,
                                                 "SELECT queue || ' ' || state FROM crash_job "
                                                 "WHERE crash_id = '%s'",
                                                 ids[2])),
                        "1 3");
    for (int i = 0; i < 3; i++) {
        assert_false(exists(pending_of(ids[i])));
        assert_true(exists(final_of(ids[i])));
    }
    assert_string_equal(fixture_sql(db, pool,
                                    apr_psprintf(pool,
                                                 "SELECT submitted AT TIME ZONE "
                                                 "'UTC' FROM raw_crash WHERE crash_id = '%s'",
                                                 ids[0])),
                        "2026-01-31 10:20:30.123456");
    /* Without a time of receipt the day of the id stands for it. */
    day = fixture_sql(db, pool,
                      apr_psprintf(pool,
                                   "SELECT to_char(submitted AT TIME ZONE 'UTC', "
                                   "'YYMMDD') FROM raw_crash WHERE crash_id = '%s'",
                                   ids[2]));
    assert_string_equal(day, ids[2] + 30);
    /* Twice has the effect of once, also when the job has been done meanwhile. */
    fixture_sql(db, pool,
                apr_psprintf(pool, "DELETE FROM crash_job WHERE crash_id = '%s'", ids[0]));
    ok(sal_pending_enqueue(store, ids, 2, false, db, pool, &err));
    expect_rows(ids[0], 1, 0);
    expect_rows(ids[1], 1, 1);
}

/* The states that a kill leaves behind (docs/durability.md), and the sweep that mends each. */
static void test_sweep(void **state)
{
    const char *only_pending = put_crash(), *both = put_crash(), *known = put_crash();
    const char *torn = put_crash();
    int queued, bad;

    (void)state;
    assert_int_equal(unlink(final_of(only_pending)), 0);
    ok(sal_pending_enqueue(store, &known, 1, false, db, pool, &err));
    assert_int_equal(link(final_of(known), pending_of(known)), 0); /* COMMIT, then killed */
    assert_int_equal(truncate(final_of(torn), 100), 0);
    temp_write("store/pending/not-an-id", "x", pool);
    temp_write("store/pending/.stale.tmp", "x", pool);

    ok(sal_pending_sweep(&queued, &bad, store, 3600, db, pool, &err));
    assert_int_equal(queued, 0); /* too young */
    assert_int_equal(bad, 0);
    expect_rows(both, 0, 0);

    ok(sal_pending_sweep(&queued, &bad, store, 0, db, pool, &err));
    assert_int_equal(queued, 3);
    assert_int_equal(bad, 2);
    expect_rows(only_pending, 1, 1);
    expect_rows(both, 1, 1);
    expect_rows(known, 1, 1);
    expect_rows(torn, 0, 0);
    assert_true(exists(final_of(only_pending)));
    assert_false(exists(pending_of(both)));
    assert_true(exists(apr_pstrcat(pool, temp_dir, "/store/bad/", torn, NULL)));
    assert_true(exists(apr_pstrcat(pool, temp_dir, "/store/bad/not-an-id", NULL)));
    assert_false(exists(temp_path("store/pending/.stale.tmp", pool)));

    ok(sal_pending_sweep(&queued, &bad, store, 0, db, pool, &err));
    assert_int_equal(queued + bad, 0);
    assert_int_equal(unlink(final_of(torn)), 0);
}

/* A crash that neither pending/ nor the database knows: a restored database. */
static void test_sweep_days(void **state)
{
    const char *ids[510], *day, *coming;
    int queued, all = 510, waiting, oldest, left;

    (void)state;
    for (int i = 0; i < all; i++) {
        ids[i] = put_crash();
        assert_int_equal(unlink(pending_of(ids[i])), 0);
    }
    ok(sal_pending_enqueue(store, ids, 1, false, db, pool, &err));
    day = apr_pstrcat(pool, "20", ids[0] + 30, NULL);
    coming = put_crash(); /* is on its way: its row thread has it */
    ok(sal_crash_sweep_days(&queued, store, "20000101", "20000102", db, pool, &err));
    assert_int_equal(queued, 0);
    ok(sal_crash_sweep_days(&queued, store, day, day, db, pool, &err));
    assert_int_equal(queued, all - 1);
    for (int i = 0; i < all; i++) {
        expect_rows(ids[i], 1, 1);
    }
    ok(sal_crash_sweep_days(&queued, store, day, day, db, pool, &err));
    assert_int_equal(queued, 0);
    expect_rows(coming, 0, 0);
    ok(sal_pending_count(&waiting, &oldest, store, 1000, &err));
    assert_int_equal(waiting, 1);
    ok(sal_pending_sweep(&queued, &left, store, 0, db, pool, &err));
    expect_rows(coming, 1, 1);
}

/* Killed between its two names where files cannot be unnamed: the sweep goes on there. */
static void test_sweep_named(void **state)
{
    const char *id = put_crash(), *other = put_crash();
    int queued, bad;

    (void)state;
    assert_int_equal(rename(pending_of(id), pending_of(apr_pstrcat(pool, ".", id, ".tmp", NULL))),
                     0);
    /* Its final name stands for another file (a client's own id): only a leftover. */
    assert_int_equal(unlink(pending_of(other)), 0);
    temp_write(apr_pstrcat(pool, "store/pending/.", other, ".tmp", NULL), "x", pool);
    assert_int_equal(
        link(pending_of(apr_pstrcat(pool, ".", other, ".tmp", NULL)), temp_path("elsewhere", pool)),
        0);
    ok(sal_pending_sweep(&queued, &bad, store, 0, db, pool, &err));
    assert_int_equal(queued, 1);
    assert_int_equal(bad, 0);
    expect_rows(id, 1, 1);
    expect_rows(other, 0, 0);
    assert_false(exists(pending_of(id)));
    assert_false(exists(pending_of(other)));
    assert_false(exists(pending_of(apr_pstrcat(pool, ".", id, ".tmp", NULL))));
    assert_false(exists(pending_of(apr_pstrcat(pool, ".", other, ".tmp", NULL))));
}

/* An entry that cannot be opened keeps nobody else waiting, and is tried again. */
static void test_sweep_passes_over(void **state)
{
    const char *first = put_crash(), *stuck = "00000000-0000-4000-8000-000000260131";
    const char *second = put_crash();
    int queued, bad;

    (void)state;
    assert_int_equal(symlink("/nonexistent", pending_of(stuck)), 0);
    assert_int_equal(sal_pending_sweep(&queued, &bad, store, 0, db, pool, &err), ELOOP);
    assert_int_equal(queued, 2);
    expect_rows(first, 1, 1);
    expect_rows(second, 1, 1);
    assert_int_equal(unlink(pending_of(stuck)), 0);
    ok(sal_pending_sweep(&queued, &bad, store, 0, db, pool, &err));
}

/* What nobody remembers is found once a day, by whoever looks first. */
static void test_sweep_daily(void **state)
{
    const char *id = put_crash(), *later;
    const struct timespec long_ago[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    int queued;

    (void)state;
    assert_int_equal(unlink(pending_of(id)), 0);
    assert_true(sal_crash_sweep_due(store));
    ok(sal_crash_sweep_daily(&queued, store, db, pool, &err));
    assert_in_range(queued, 1, 100);
    expect_rows(id, 1, 1);
    later = put_crash();
    assert_int_equal(unlink(pending_of(later)), 0);
    assert_false(sal_crash_sweep_due(store));
    ok(sal_crash_sweep_daily(&queued, store, db, pool, &err));
    assert_int_equal(queued, 0);
    assert_int_equal(utimensat(AT_FDCWD, temp_path("store/full.lock", pool), long_ago, 0), 0);
    assert_true(sal_crash_sweep_due(store));
    ok(sal_crash_sweep_daily(&queued, store, db, pool, &err));
    expect_rows(later, 1, 1);
}

/* One row that the database refuses must not hold up the others. */
static void test_poisoned(void **state)
{
    sal_pending_row_t rows[7];
    int refused = 0;

    (void)state;
    for (int i = 0; i < 7; i++) {
        apr_cpystrn(rows[i].id, put_crash(), sizeof(rows[i].id));
        rows[i].submitted = apr_time_now();
    }
    fixture_sql(db, pool,
                apr_psprintf(pool,
                             "ALTER TABLE raw_crash ADD CONSTRAINT poison CHECK "
                             "(crash_id <> '%s')",
                             rows[4].id));
    ok(sal_pending_insert(store, rows, 7, false, &refused, db, pool, &err));
    fixture_sql(db, pool, "ALTER TABLE raw_crash DROP CONSTRAINT poison");
    assert_int_equal(refused, 1);
    for (int i = 0; i < 7; i++) {
        expect_rows(rows[i].id, i != 4, i != 4);
        assert_int_equal(exists(pending_of(rows[i].id)), i == 4);
    }
    ok(sal_pending_insert(store, rows + 4, 1, false, &refused, db, pool, &err));
}

/* ---- the row thread ---- */

static bool wait_rows(const char *id, int ms)
{
    for (; ms > 0 && !rows_of("raw_crash", id); ms -= 20) {
        usleep(20000);
    }
    return ms > 0;
}

static void test_row_thread(void **state)
{
    const char *ids[50];
    sal_row_thread_t *t;
    sal_row_stats_t stats;
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, pool);
    ok(sal_row_thread_start(&t, conninfo, store, p, &err));
    for (int i = 0; i < 50; i++) {
        ids[i] = put_crash();
        sal_row_thread_add(t, ids[i], apr_time_now());
    }
    apr_pool_destroy(p); /* drains */
    for (int i = 0; i < 50; i++) {
        expect_rows(ids[i], 1, 1);
        assert_false(exists(pending_of(ids[i])));
    }
    apr_pool_create(&p, pool);
    ok(sal_row_thread_start(&t, conninfo, store, p, &err));
    ids[0] = put_crash();
    sal_row_thread_add(t, ids[0], apr_time_now());
    assert_true(wait_rows(ids[0], 5000));
    for (int ms = 2000; ms > 0; ms -= 10) { /* the count follows the commit */
        sal_row_thread_stats(t, &stats);
        if (stats.written) {
            break;
        }
        usleep(10000);
    }
    assert_int_equal(stats.written, 1);
    assert_true(stats.connected);
    apr_pool_destroy(p);
}

/* No database: adding never waits, ending is quick, and pending/ has everything. */
static void test_row_thread_alone(void **state)
{
    const char *id = put_crash();
    sal_row_thread_t *t;
    sal_row_stats_t stats;
    apr_time_t began = apr_time_now();
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, pool);
    ok(sal_row_thread_start(&t, "host=/nonexistent dbname=x", store, p, &err));
    for (int i = 0; i < 10010; i++) {
        sal_row_thread_add(t, id, began);
    }
    sal_row_thread_stats(t, &stats);
    assert_int_equal(stats.waiting, 10000);
    assert_int_equal(stats.dropped, 10);
    assert_false(stats.connected);
    apr_pool_destroy(p);
    assert_true(apr_time_now() - began < apr_time_from_sec(4));
    expect_rows(id, 0, 0);
    assert_true(exists(pending_of(id)));
}

/* NOTIFY reaches a listener, at most about once a second. */
static void test_notify(void **state)
{
    sal_db_t *listener;
    sal_row_thread_t *t;
    PGnotify *n;
    apr_pool_t *p, *listening;
    int heard = 0;

    (void)state;
    apr_pool_create(&listening, pool);
    listener = fixture_connect(listening);
    fixture_sql(listener, pool, "LISTEN crash_job");
    apr_pool_create(&p, pool);
    ok(sal_row_thread_start(&t, conninfo, store, p, &err));
    for (int i = 0; i < 15; i++) {
        sal_row_thread_add(t, put_crash(), apr_time_now());
        usleep(100000);
    }
    apr_pool_destroy(p);
    PQconsumeInput(sal_db_conn(listener));
    while ((n = PQnotifies(sal_db_conn(listener))) != NULL) {
        assert_string_equal(n->relname, "crash_job");
        PQfreemem(n);
        heard++;
    }
    apr_pool_destroy(listening);
    assert_in_range(heard, 2, 4);
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    (void)line;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enqueue),          cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_sweep_named),      cmocka_unit_test(test_sweep_passes_over),
        cmocka_unit_test(test_sweep_daily),      cmocka_unit_test(test_sweep_days),
        cmocka_unit_test(test_poisoned),         cmocka_unit_test(test_row_thread),
        cmocka_unit_test(test_row_thread_alone), cmocka_unit_test(test_notify),
    };
    int failed, applied;
    apr_pool_t *db_pool;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&db_pool, NULL);
    conninfo = fixture_database(pool);
    sal_log_sink(silent, NULL);
    temp_make(pool);
    db = fixture_connect(db_pool);
    if (sal_schema_migrate(&applied, db, pool, &err) != APR_SUCCESS ||
        sal_crash_store_open(&store, temp_path("store", pool), true, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(db_pool);
    temp_remove(pool);
    fixture_drop();
    return failed;
}
