/*
 * What exports are made of, without a server: the reduction to telemetry and its schema, names and
 * forms as Python writes them, the reports of the stage submitter, draws; and with a database
 * (SALVAGE_TEST_DB) the outbox: parcels, fences, leases that run out, what is put in once.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "db/schema.h"
#include "export/form.h"
#include "export/outbox.h"
#include "export/stage.h"
#include "export/telemetry.h"

static apr_pool_t *pool;
static sal_db_t *db;
static sal_error_t err;

/* ---- telemetry ---- */

static json_t *parse(const char *text)
{
    json_t *v;

    assert_int_equal(sal_json_parse(&v, text, strlen(text), pool, &err), APR_SUCCESS);
    return v;
}

static const char *reduced(const char *text, int *dropped)
{
    json_t *out = sal_telemetry_reduce(sal_telemetry_builtin(pool), sal_fields_processed(pool),
                                       parse(text), dropped);

    assert_non_null(out);
    return sal_json_sorted(sal_json_own(out, pool), pool);
}

static void test_reduction(void **state)
{
    /* rename, conversion, an object; protected and unknown members go */
    static const char *const cases[][2] = {
        { "{\"uuid\":\"u\",\"build\":\"2026\",\"os_name\":\"Linux\",\"os_version\":\"6\","
          "\"os_pretty_version\":\"Linux\",\"date_processed\":\"now\"}",
          "{\"build_id\":\"2026\",\"date\":\"now\",\"platform\":\"Linux\","
          "\"platform_pretty_version\":\"Linux\",\"platform_version\":\"6\",\"uuid\":\"u\"}" },
        { "{\"uuid\":\"u\",\"accessibility\":true,\"safe_mode\":false,\"ipc_system_error\":-5,"
          "\"oom_allocation_size\":9007199254740993}",
          "{\"accessibility\":\"1\",\"ipc_system_error\":\"-5\","
          "\"oom_allocation_size\":\"9007199254740993\",\"safe_mode\":\"0\",\"uuid\":\"u\"}" },
        { "{\"uuid\":\"u\",\"url\":\"secret\",\"user_comments\":\"secret\",\"unknown\":1,"
          "\"memory_report\":{\"version\":1},\"submitted_from_infobar\":true}",
          "{\"uuid\":\"u\"}" },
        { "{\"uuid\":\"u\",\"addons_checked\":null,\"last_crash\":null,\"reason\":null}",
          "{\"addons_checked\":null,\"last_crash\":null,\"reason\":null,\"uuid\":\"u\"}" },
        { "{\"uuid\":\"u\",\"memory_measures\":{\"explicit\":5,\"other\":6}}",
          "{\"memory_measures\":{\"explicit\":5},\"uuid\":\"u\"}" },
        { "{\"uuid\":\"u\",\"signature\":7,\"install_age\":\"x\",\"uptime\":1.5,\"json_dump\":[]}",
          "{\"uuid\":\"u\"}" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(reduced(cases[i][0], NULL), cases[i][1]);
    }
    assert_null(sal_telemetry_reduce(sal_telemetry_builtin(pool), sal_fields_processed(pool),
                                     parse("{\"signature\":\"x\"}"), NULL));
}

static void test_modules_without_ids(void **state)
{
    (void)state;
    assert_string_equal(
        reduced("{\"uuid\":\"u\",\"json_dump\":{\"modules\":["
                "{\"filename\":\"a\",\"code_id\":null,\"version\":null,\"cert_subject\":\"c\"}],"
                "\"threads\":[null,{\"frame_count\":1,\"frames\":[{\"frame\":0,\"registers\":{}}]}"
                "],\"handles\":[1]}}",
                NULL),
        "{\"json_dump\":{\"modules\":[{\"filename\":\"a\",\"version\":null}],\"threads\":[{},"
        "{\"frame_count\":1,\"frames\":[{\"frame\":0}]}]},\"uuid\":\"u\"}");
}

static void test_schema(void **state)
{
    json_t *schema = sal_json_own(
        sal_telemetry_schema(sal_telemetry_builtin(pool), sal_fields_processed(pool)), pool);

    (void)state;
    assert_int_equal(json_object_size(json_object_get(schema, "properties")), 84);
    assert_int_equal(json_integer_value(json_object_get(schema, "$target_version")), 2);
    assert_string_equal(sal_json_sorted(sal_json_path(schema, "properties.uptime.type"), pool),
                        "[\"integer\",\"null\"]");
    assert_string_equal(
        json_string_value(sal_json_path(
            schema, "properties.json_dump.properties.modules.items.properties.code_id.type")),
        "string");
}

/* ---- forms ---- */

static void test_words(void **state)
{
    /* what Python 3.11's email.header.Header(name).encode() gives */
    static const char *const cases[][2] = {
        { "ProductName", "ProductName" },
        { "with blank", "with blank" },
        { "\xc3\xbc", "=?utf-8?b?w7w=?=" },
        { "\xc3\xbcml\xc3\xa4ut", "=?utf-8?b?w7xtbMOkdXQ=?=" },
        { "a long name with one \xc3\xbc", "=?utf-8?q?a_long_name_with_one_=C3=BC?=" },
        { "x=y_z?\xc3\xbc", "=?utf-8?b?eD15X3o/w7w=?=" },
        { "\xe4\xb8\x96\xe7\x95\x8c", "=?utf-8?b?5LiW55WM?=" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(sal_form_word(cases[i][0], pool), cases[i][1]);
    }
    /* what would end the header is wrapped up, and no word is broken over lines */
    assert_null(strpbrk(sal_form_word("a\"b\r\nc", pool), "\"\r\n"));
    assert_null(strpbrk(sal_form_word("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
                                      pool),
                        "\r\n"));
}

static const char *body_of(const sal_stage_report_t *r)
{
    char *text = apr_pcalloc(pool, (apr_size_t)r->size + 1);

    rewind(r->body);
    assert_int_equal(fread(text, 1, (size_t)r->size, r->body), r->size);
    return text;
}

#define B "--" SAL_STAGE_BOUNDARY "\r\n"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n\r\n"

static void test_report(void **state)
{
    static const uint8_t bytes[] = "MDMP";
    const sal_stage_dump_t dumps[] = { { "upload_file_minidump_browser", { bytes, 4, false } },
                                       { "dump", { bytes, 2, false } } };
    sal_stage_report_t r;

    (void)state;
    assert_int_equal(
        sal_stage_form(&r,
                       parse("{\"uuid\":\"id\",\"b\":\"2\",\"a\":1,\"metadata\":{\"user_agent\":"
                             "\"\"},\"version\":2,\"submitted_timestamp\":\"now\"}"),
                       dumps, 2, 0, sal_fields_raw(pool), pool, &err),
        APR_SUCCESS);
    assert_string_equal(
        body_of(&r),
        B "Content-Disposition: form-data; name=\"a\"\r\n" TEXT "1\r\n" B
          "Content-Disposition: form-data; name=\"b\"\r\n" TEXT "2\r\n" B
          "Content-Disposition: form-data; name=\"uuid\"\r\n" TEXT "id\r\n" B
          "Content-Disposition: form-data; name=\"upload_file_minidump\"; filename=\"file.dump\""
          "\r\nContent-Type: application/octet-stream\r\n\r\nMD\r\n" B
          "Content-Disposition: form-data; name=\"upload_file_minidump_browser\"; "
          "filename=\"file.dump\"\r\nContent-Type: application/octet-stream\r\n\r\nMDMP\r\n"
          "--" SAL_STAGE_BOUNDARY "--\r\n");
    assert_string_equal(r.agent, SAL_STAGE_AGENT);
    assert_false(r.gzip);
}

static void test_report_as_json(void **state)
{
    sal_stage_report_t r;

    (void)state;
    assert_int_equal(
        sal_stage_form(&r,
                       parse("{\"uuid\":\"id\",\"b\":\"\xc3\xbc\",\"a\":1,\"URL\":\"secret\","
                             "\"ProductName\":\"Demo\",\"metadata\":{\"payload\":\"json\","
                             "\"user_agent\":\"evil\\r\\nX: y\"}}"),
                       NULL, 0, SAL_STAGE_STRIP_PROTECTED, sal_fields_raw(pool), pool, &err),
        APR_SUCCESS);
    assert_string_equal(body_of(&r), B "Content-Disposition: form-data; name=\"extra\"\r\n"
                                       "Content-Type: application/json\r\n\r\n"
                                       "{\"ProductName\":\"Demo\",\"uuid\":\"id\"}\r\n"
                                       "--" SAL_STAGE_BOUNDARY "--\r\n");
    assert_string_equal(r.agent, SAL_STAGE_AGENT);
}

/* ---- draws ---- */

static void test_draws(void **state)
{
    int below = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        const char *id = apr_psprintf(pool, "00000000-0000-4000-8000-%06d260131", i);
        int draw = sal_export_draw(id);

        assert_in_range(draw, 0, 99);
        below += draw < 10;
    }
    assert_in_range(below, 140, 260); /* 200, give or take four deviations and more */
}

/* ---- the outbox ---- */

static const char *sql(const char *text)
{
    return fixture_sql(db, pool, text);
}

static void need_database(void)
{
    if (!db) {
        skip();
    }
}

static void put_rows(const char *name, int n)
{
    sql(apr_psprintf(pool,
                     "INSERT INTO outbox (kind, destination, subject, pass) SELECT 0, '%s', "
                     "'00000000-0000-4000-8000-' || lpad(i::text, 6, '0') || '260131', 1 "
                     "FROM generate_series(1, %d) i",
                     name, n));
}

static bool claim(sal_parcel_t *out, const char *name, int most, int patience)
{
    sal_parcel_claim_t c = { SAL_EXPORT_TELEMETRY, name, most, patience, 60, "unit" };
    bool found;

    assert_int_equal(sal_parcel_claim(out, &found, &c, db, pool, &err), APR_SUCCESS);
    return found;
}

static void lapse(void)
{
    sql("UPDATE outbox_parcel SET lease_until = now() - interval '1 s'");
}

static void test_parcels(void **state)
{
    sal_parcel_t a, b, late;
    sal_parcel_row_t *rows;
    int n;

    (void)state;
    need_database();
    put_rows("one", 5);
    assert_false(claim(&a, "one", 100, 3600)); /* it waits to be full */
    assert_true(claim(&a, "one", 3, 3600));    /* which it is */
    assert_int_equal(a.size, 3);
    assert_true(claim(&b, "one", 3, 0));
    assert_int_equal(b.size, 2);
    assert_false(claim(&late, "one", 3, 0));
    assert_int_equal(sal_parcel_rows(&rows, &n, &a, db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 3);
    assert_null(rows[0].blob); /* there is no such crash */

    /* whoever loses the lease can do nothing; the next one has the same rows */
    lapse();
    assert_true(claim(&late, "one", 1, 0));
    assert_int_equal(late.id, a.id);
    assert_int_equal(late.size, 3);
    assert_int_equal(late.attempts, 2);
    assert_int_equal(sal_parcel_sent(&a, NULL, db, pool, &err), SAL_E_FENCED);
    assert_int_equal(sal_parcel_failed(&a, "x", db, pool, &err), SAL_E_FENCED);
    assert_int_equal(sal_parcel_retry(&a, "x", 1, db, pool, &err), SAL_E_FENCED);
    assert_int_equal(sal_parcel_renew(&a, 60, db, pool, &err), SAL_E_FENCED);
    assert_int_equal(sal_parcel_retry(&late, "busy", 3600, db, pool, &err), APR_SUCCESS);
    assert_true(claim(&b, "one", 3, 0)); /* the other one, whose lease ran out, too */
    assert_int_equal(b.size, 2);
    assert_false(claim(&a, "one", 3, 0));
    assert_int_equal(sal_outbox_hurry("one", db, pool, &err), APR_SUCCESS);
    assert_true(claim(&a, "one", 3, 0));
    assert_int_equal(a.id, late.id);
    assert_int_equal(sal_parcel_sent(&a, NULL, db, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_parcel_failed(&b, "no", db, pool, &err), APR_SUCCESS);
    assert_string_equal(sql("SELECT string_agg(state::text, '' ORDER BY id) FROM outbox WHERE "
                            "destination = 'one'"),
                        "33322");
    assert_int_equal(sal_outbox_revive(&n, 0, "one", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(sal_outbox_drop(&n, "one", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 2);
}

static void test_poison_is_found(void **state)
{
    sal_parcel_t a;

    (void)state;
    need_database();
    put_rows("poison", 3);
    for (int i = 0; i < 3; i++) { /* the first loss is the second claim */
        assert_true(claim(&a, "poison", 10, 0));
        assert_int_equal(a.size, 3);
        lapse();
    }
    for (int left = 3; left > 0; left--) { /* taken apart: one by one */
        for (int i = 0; i < 3; i++) {
            assert_true(claim(&a, "poison", 10, 0));
            assert_int_equal(a.size, 1);
            lapse();
        }
    }
    assert_false(claim(&a, "poison", 10, 0));
    assert_string_equal(sql("SELECT count(*) FROM outbox WHERE destination = 'poison' AND "
                            "state = 2 AND last_error LIKE '%died%'"),
                        "3");
}

static void test_seen(void **state)
{
    const char *ids[] = { "00000000-0000-4000-8000-000001260131" };
    int64_t passes[] = { 2 };
    sal_parcel_seen_t seen = { ids, passes, 1, NULL, NULL, 0 };
    sal_parcel_t a;

    (void)state;
    need_database();
    put_rows("seen", 1);
    assert_true(claim(&a, "seen", 10, 0));
    assert_int_equal(sal_parcel_seen(&a, &seen, db, pool, &err), APR_SUCCESS);
    assert_string_equal(sql("SELECT last_pass FROM telemetry_state WHERE destination = 'seen'"),
                        "2");
    assert_string_equal(sql("SELECT count(*) FROM outbox WHERE destination = 'seen'"), "0");
    assert_int_equal(sal_parcel_seen(&a, &seen, db, pool, &err), SAL_E_FENCED);
    /* one that is overtaken puts the crash in again */
    passes[0] = 1;
    put_rows("seen", 1);
    assert_true(claim(&a, "seen", 10, 0));
    assert_int_equal(sal_parcel_seen(&a, &seen, db, pool, &err), APR_SUCCESS);
    assert_string_equal(sql("SELECT last_pass FROM telemetry_state WHERE destination = 'seen'"),
                        "2");
    assert_string_equal(sql("SELECT pass FROM outbox WHERE destination = 'seen'"), "0");
}

/* The draw in SQL is the draw in C. */
static void test_adoption(void **state)
{
    sal_outbox_dest_t dests[] = { { SAL_EXPORT_STAGE, "http://half/", 50, true },
                                  { SAL_EXPORT_STAGE, "http://none/", 0, true },
                                  { SAL_EXPORT_STAGE, "http://usual/", 100, false } };
    int n, expected = 0;

    (void)state;
    need_database();
    assert_int_equal(sal_outbox_register(dests, 3, db, pool, &err), APR_SUCCESS);
    for (int i = 0; i < 40; i++) {
        const char *id = apr_psprintf(pool, "11111111-0000-4000-8000-%06d260131", i);

        sql(apr_psprintf(pool,
                         "INSERT INTO crash_job (crash_id, queue, state) VALUES "
                         "('%s', 1, 3)",
                         id));
        expected += sal_export_draw(id) < 50;
    }
    assert_int_equal(sal_outbox_adopt(&n, db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, expected);
    for (int i = 0; i < 40; i++) {
        const char *id = apr_psprintf(pool, "11111111-0000-4000-8000-%06d260131", i);

        assert_string_equal(sql(apr_psprintf(pool,
                                             "SELECT count(*) FROM outbox WHERE subject = "
                                             "'%s' AND destination = 'http://half/'",
                                             id)),
                            sal_export_draw(id) < 50 ? "1" : "0");
    }
    assert_int_equal(sal_outbox_adopt(&n, db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 0);
    sql("DELETE FROM crash_job");
}

static void test_hooks_are_put_once(void **state)
{
    sal_outbox_dest_t dests[] = { { SAL_EXPORT_WEBHOOK, "a", 100, false },
                                  { SAL_EXPORT_WEBHOOK, "b", 100, false } };
    int n;

    (void)state;
    need_database();
    assert_int_equal(sal_outbox_register(dests, 2, db, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_outbox_put(&n, "a", "x", 1, "{}", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 1);
    assert_int_equal(sal_outbox_put(&n, NULL, "x", 1, "{}", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 1); /* b's */
    assert_int_equal(sal_outbox_put(&n, NULL, "x", 2, "{}", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 2);
    assert_int_equal(sal_outbox_register(dests, 1, db, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_outbox_put(&n, "b", "y", 1, "{}", db, pool, &err), APR_SUCCESS);
    assert_int_equal(n, 0); /* no longer configured */
    assert_int_equal(sal_outbox_put(&n, "a", "z", 1, "{", db, pool, &err), SAL_E_DB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduction),       cmocka_unit_test(test_modules_without_ids),
        cmocka_unit_test(test_schema),          cmocka_unit_test(test_words),
        cmocka_unit_test(test_report),          cmocka_unit_test(test_report_as_json),
        cmocka_unit_test(test_draws),           cmocka_unit_test(test_parcels),
        cmocka_unit_test(test_poison_is_found), cmocka_unit_test(test_seen),
        cmocka_unit_test(test_adoption),        cmocka_unit_test(test_hooks_are_put_once),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    if (getenv("SALVAGE_TEST_DB") && *getenv("SALVAGE_TEST_DB")) {
        int applied;

        fixture_database(pool);
        db = fixture_connect(pool);
        assert_int_equal(sal_schema_migrate(&applied, db, pool, &err), APR_SUCCESS);
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    if (getenv("SALVAGE_TEST_DB") && *getenv("SALVAGE_TEST_DB")) {
        fixture_drop();
    }
    return failed;
}
