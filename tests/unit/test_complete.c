/*
 * The end of a job on a real server and store: result and job change together, a lost lease keeps
 * nothing, a stub replaces nothing, and a COMMIT whose answer was lost is settled by looking.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <glob.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "crash/crash_id.h"
#include "db/schema.h"
#include "jobs/complete.h"
#include "search/index.h"
#include "temp_dir.h"

static apr_pool_t *pool;
static sal_db_t *db;
static sal_crash_store_t *store;
static sal_error_t err;
static sal_process_opts_t opts;

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

/* A crash id of today, queued and claimed. */
static sal_job_t *job_for(const char *id)
{
    sal_job_t *jobs;
    int n;

    assert_int_equal(sal_queue_put(db, id, "default", SAL_LANE_STANDARD, 0, pool, &err), 0);
    assert_int_equal(sal_queue_claim(&jobs, &n, 1, "unit", 60, db, pool, &err), 0);
    assert_int_equal(n, 1);
    assert_string_equal(jobs->crash_id, id);
    return jobs;
}

static const char *new_id(void)
{
    char *id = apr_palloc(pool, SAL_CRASH_ID_LEN + 1);

    sal_crash_id_make(id, apr_time_now(), 0);
    return id;
}

static json_t *document(const char *signature)
{
    return sal_json_own(
        json_pack("{s:s,s:b,s:s}", "signature", signature, "success", 1, "product", "Demo"), pool);
}

/* The rest of a query: what of the crash's row in a table. */
static const char *sql(const char *what, const char *id)
{
    return fixture_sql(db, pool,
                       apr_pstrcat(pool, "SELECT ", what, " WHERE crash_id = '", id, "'", NULL));
}

static int blobs(const char *id)
{
    glob_t found;
    int n = 0;

    if (glob(apr_pstrcat(pool, temp_path("store/processed/*/*/", pool), id, ".*", NULL), 0, NULL,
             &found) == 0) {
        n = (int)found.gl_pathc;
    }
    globfree(&found);
    return n;
}

static void assert_stored(const char *id, const char *signature, const char *pass)
{
    json_t *doc;
    bool has;

    assert_string_equal(sql("signature FROM processed_crash", id), signature);
    assert_string_equal(sql("pass FROM processed_crash", id), pass);
    assert_int_equal(sal_search_has(&has, id, db, pool, &err), 0);
    assert_true(has);
    assert_int_equal(sal_job_previous(&doc, id, store, db, pool, &err), 0);
    assert_string_equal(sal_json_str(doc, "signature"), signature);
    assert_string_equal(sal_json_str(doc, "crash_id"), id);
    assert_int_equal(blobs(id), 1);
}

static void test_complete(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);

    (void)state;
    assert_int_equal(sal_job_complete(job, document("first"), store, db, pool, &err), 0);
    assert_string_equal(sql("count(*) FROM crash_job", id), "0");
    assert_stored(id, "first", "1");
    /* calling again with the same job is what a worker does after an outage */
    assert_int_equal(sal_job_complete(job, document("first"), store, db, pool, &err), 0);
    assert_stored(id, "first", "1");
    job = job_for(id);
    assert_int_equal(sal_job_complete(job, document("second"), store, db, pool, &err), 0);
    assert_stored(id, "second", "2");
}

static void test_fenced(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id), late = *job;

    (void)state;
    late.fence--;
    assert_int_equal(sal_job_complete(&late, document("late"), store, db, pool, &err),
                     SAL_E_FENCED);
    assert_string_equal(sql("count(*) FROM processed_crash", id), "0");
    assert_int_equal(blobs(id), 0);
    assert_int_equal(sal_job_complete(job, document("own"), store, db, pool, &err), 0);
    assert_stored(id, "own", "1");
    /* the other one comes late a second time: the row stays, its blob goes */
    assert_int_equal(sal_job_complete(&late, document("late"), store, db, pool, &err),
                     SAL_E_FENCED);
    assert_stored(id, "own", "1");
}

enum { MANY = 5 };

static void write_many(sal_ending_t **endings, sal_job_t **jobs, const char **ids)
{
    for (int i = 0; i < MANY; i++) {
        ids[i] = new_id();
        jobs[i] = job_for(ids[i]);
        assert_int_equal(sal_job_write(&endings[i], jobs[i],
                                       document(apr_psprintf(pool, "signature %d", (i * 3) % MANY)),
                                       NULL, store, db, pool, &err),
                         0);
        assert_string_equal(sql("count(*) FROM processed_crash", ids[i]), "0");
    }
}

static void test_together(void **state)
{
    const char *ids[MANY];
    sal_ending_t *endings[MANY];
    sal_job_t *jobs[MANY];

    (void)state;
    write_many(endings, jobs, ids);
    assert_int_equal(sal_job_store_all(endings, MANY, store, db, pool, &err), 0);
    for (int i = 0; i < MANY; i++) {
        assert_stored(ids[i], apr_psprintf(pool, "signature %d", (i * 3) % MANY), "1");
        assert_string_equal(sql("count(*) FROM crash_job", ids[i]), "0");
        /* as after a COMMIT whose answer was lost */
        assert_int_equal(sal_job_store(endings[i], store, db, pool, &err), 0);
        assert_stored(ids[i], apr_psprintf(pool, "signature %d", (i * 3) % MANY), "1");
    }
}

/* One lease that was lost: nobody's result is stored, then each by itself. */
static void test_together_fenced(void **state)
{
    const char *ids[MANY];
    sal_ending_t *endings[MANY];
    sal_job_t *jobs[MANY];

    (void)state;
    write_many(endings, jobs, ids);
    fixture_sql(db, pool,
                apr_pstrcat(pool,
                            "UPDATE crash_job SET fence = fence + 1 WHERE "
                            "crash_id = '",
                            ids[2], "'", NULL));
    assert_int_equal(sal_job_store_all(endings, MANY, store, db, pool, &err), SAL_E_FENCED);
    for (int i = 0; i < MANY; i++) {
        assert_string_equal(sql("count(*) FROM processed_crash", ids[i]), "0");
        assert_int_equal(sal_job_store(endings[i], store, db, pool, &err),
                         i == 2 ? SAL_E_FENCED : 0);
        assert_string_equal(sql("count(*) FROM processed_crash", ids[i]), i == 2 ? "0" : "1");
        assert_int_equal(blobs(ids[i]), i != 2);
    }
    fixture_sql(db, pool,
                apr_pstrcat(pool, "DELETE FROM crash_job WHERE crash_id = '", ids[2], "'", NULL));
}

/* Of this week, dropped while the process believes it to be there. */
static void test_partition_dropped(void **state)
{
    const char *id = new_id(), *name;
    sal_job_t *job = job_for(id);

    (void)state;
    assert_int_equal(sal_job_complete(job, document("before"), store, db, pool, &err), 0);
    name = fixture_sql(db, pool,
                       apr_pstrcat(pool,
                                   "SELECT tableoid::regclass::text FROM crash "
                                   "WHERE uuid = '",
                                   id, "'", NULL));
    fixture_sql(db, pool, apr_pstrcat(pool, "DROP TABLE ", name, NULL));
    job = job_for(id);
    assert_int_equal(sal_job_complete(job, document("after"), store, db, pool, &err), 0);
    assert_stored(id, "after", "2");
}

/* What was claimed knows the document of the last pass. */
static void test_former(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);
    json_t *doc;

    (void)state;
    assert_int_equal(sal_job_former(&doc, job, store, db, pool, &err), 0);
    assert_null(doc);
    assert_int_equal(sal_job_complete(job, document("one"), store, db, pool, &err), 0);
    job = job_for(id);
    assert_int_equal(sal_job_former(&doc, job, store, db, pool, &err), 0);
    assert_string_equal(sal_json_str(doc, "signature"), "one");
    job->former = "processed/20000101/00/gone.1.1.json.zst"; /* another pass has replaced it */
    assert_int_equal(sal_job_former(&doc, job, store, db, pool, &err), 0);
    assert_string_equal(sal_json_str(doc, "signature"), "one");
    assert_int_equal(sal_job_complete(job, document("two"), store, db, pool, &err), 0);
}

static void test_bury(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);

    (void)state;
    assert_int_equal(sal_job_bury(job, "raw crash not found", &opts, store, db, pool, &err), 0);
    assert_string_equal(sql("state || last_error FROM crash_job", id), "2raw crash not found");
    assert_stored(id, "EMPTY: crash failed to process", "1");
    assert_string_equal(sql("success FROM processed_crash", id), "f");
}

static void test_stub_replaces_nothing(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);
    int made;

    (void)state;
    assert_int_equal(sal_job_complete(job, document("good"), store, db, pool, &err), 0);
    assert_int_equal(sal_job_stub(&made, id, "died", &opts, store, db, pool, &err), 0);
    assert_int_equal(made, 0);
    assert_stored(id, "good", "1");
    job = job_for(id);
    assert_int_equal(sal_job_bury(job, "died", &opts, store, db, pool, &err), 0);
    assert_stored(id, "good", "1");
    id = new_id();
    assert_int_equal(sal_job_stub(&made, id, "died", &opts, store, db, pool, &err), 0);
    assert_int_equal(made, 1);
    assert_stored(id, "EMPTY: crash failed to process", "1");
}

/* The backend is gone: what is asked next works on a new one, and is done once. */
static void test_backend_killed(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);
    apr_pool_t *p;

    (void)state;
    apr_pool_create(&p, pool);
    fixture_kill(db, p); /* through a connection of p */
    apr_pool_destroy(p);
    assert_int_equal(sal_job_complete(job, document("after"), store, db, pool, &err), 0);
    assert_stored(id, "after", "1");
}

/* A refused statement inside the transaction leaves the job and the former document. */
static void test_refused(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);

    (void)state;
    assert_int_equal(sal_job_complete(job, document("first"), store, db, pool, &err), 0);
    job = job_for(id);
    fixture_sql(db, pool, "ALTER TABLE processed_crash ADD CHECK (signature <> 'refused')");
    assert_int_equal(sal_job_complete(job, document("refused"), store, db, pool, &err), SAL_E_DB);
    assert_string_equal(sql("state FROM crash_job", id), "1");
    assert_string_equal(sql("signature FROM processed_crash", id), "first");
    assert_int_equal(sal_job_complete(job, document("second"), store, db, pool, &err), 0);
    assert_stored(id, "second", "2");
}

static void test_previous_gone(void **state)
{
    const char *id = new_id();
    sal_job_t *job = job_for(id);
    json_t *doc;

    (void)state;
    assert_int_equal(sal_job_previous(&doc, id, store, db, pool, &err), 0);
    assert_null(doc);
    assert_int_equal(sal_job_complete(job, document("x"), store, db, pool, &err), 0);
    assert_int_equal(sal_processed_remove(store, sql("blob FROM processed_crash", id), &err), 0);
    assert_int_equal(sal_job_previous(&doc, id, store, db, pool, &err), 0);
    assert_null(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together),       cmocka_unit_test(test_together_fenced),
        cmocka_unit_test(test_former),         cmocka_unit_test(test_partition_dropped),
        cmocka_unit_test(test_complete),       cmocka_unit_test(test_fenced),
        cmocka_unit_test(test_bury),           cmocka_unit_test(test_stub_replaces_nothing),
        cmocka_unit_test(test_backend_killed), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_previous_gone),
    };
    apr_pool_t *db_pool;
    int failed, applied;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    apr_pool_create(&db_pool, NULL);
    fixture_database(pool);
    sal_log_sink(silent, NULL);
    temp_make(pool);
    db = fixture_connect(db_pool);
    opts = (sal_process_opts_t){ .host = "unit", .now = apr_time_now() };
    if (sal_schema_migrate(&applied, db, pool, &err) != APR_SUCCESS ||
        sal_search_partitions(db, apr_time_now(), 1, pool, &err) != APR_SUCCESS ||
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
