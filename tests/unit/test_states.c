/*
 * The life of signatures against a real server: who changed what, what is fixed and came back.
 * What is expected was worked out by hand.
 */
#include "db_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"
#include "db/schema.h"
#include "hint/hint.h"
#include "search/fields.h"
#include "search/index.h"
#include "triage/rollup.h"
#include "triage/states.h"
#include "triage/versions.h"

static apr_pool_t *root, *pool;
static sal_db_t *db;
static sal_error_t err;

static void must(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
}

static apr_time_t at(const char *text)
{
    apr_time_t t;

    assert_true(sal_time_parse(text, &t));
    return t;
}

static const char *sql(const char *text)
{
    return fixture_sql(db, pool, text);
}

static sal_state_t state_in(const char *signature, const char *product)
{
    sal_state_t *out;

    must(sal_states_of(&out, &signature, 1, product, db, pool, &err));
    return out[0];
}

static sal_state_t state_of(const char *signature)
{
    return state_in(signature, NULL);
}

/* "actor action detail" of the newest entry about a signature. */
static const char *logged(const char *signature)
{
    sal_rows_t *rows;

    must(sal_state_history(&rows, signature, 1, db, pool, &err));
    return sal_rows_count(rows) ? apr_psprintf(pool, "%s %s %s", sal_rows_text(rows, 0, 1),
                                               sal_rows_text(rows, 0, 2), sal_rows_text(rows, 0, 3))
                                : "";
}

/* ---- what people do ---- */

static void test_open_and_ignored(void **state)
{
    apr_time_t past = apr_time_now() - apr_time_from_sec(60);
    apr_time_t later = at("2199-01-01T00:00:00+00:00");
    sal_state_t s = state_of("new");

    (void)state;
    assert_int_equal(s.kind, SAL_STATE_OPEN);
    assert_string_equal(s.assignee, "");
    assert_true(!s.version && !s.product && !s.regressed && !s.notes && !s.until);
    must(sal_state_ignore("new", 0, "ann", db, pool, &err));
    s = state_of("new");
    assert_true(s.kind == SAL_STATE_IGNORED && s.until == 0);
    assert_string_equal(logged("new"), "ann signature.ignore for good");
    must(sal_state_ignore("new", later, "ann", db, pool, &err));
    s = state_of("new");
    assert_true(s.kind == SAL_STATE_IGNORED && s.until == later);
    assert_string_equal(logged("new"), "ann signature.ignore until 2199-01-01T00:00:00+00:00");
    must(sal_state_ignore("new", past, "ann", db, pool, &err));
    s = state_of("new");
    assert_true(s.kind == SAL_STATE_OPEN && s.until == 0);
    must(sal_state_ignore("new", 0, "ann", db, pool, &err));
    must(sal_state_open("new", "bob", db, pool, &err));
    assert_int_equal(state_of("new").kind, SAL_STATE_OPEN);
    assert_string_equal(logged("new"), "bob signature.open ");
    assert_string_equal(sal_state_name(SAL_STATE_IGNORED), "ignored");
}

static void test_assignee(void **state)
{
    (void)state;
    must(sal_state_assign("who", "carla", "ann", db, pool, &err));
    assert_string_equal(state_of("who").assignee, "carla");
    assert_int_equal(state_of("who").kind, SAL_STATE_OPEN);
    must(sal_state_assign("who", "", "ann", db, pool, &err));
    assert_string_equal(state_of("who").assignee, "");
    assert_string_equal(logged("who"), "ann signature.assign nobody");
    /* who looks after it is no matter of its state */
    must(sal_state_assign("who", "carla", "ann", db, pool, &err));
    must(sal_state_open("who", "ann", db, pool, &err));
    assert_string_equal(state_of("who").assignee, "carla");
}

/* One truth: what is said here is what clients are answered from, and the other way round. */
static void test_fixes(void **state)
{
    sal_rows_t *rows;
    sal_state_t s;

    (void)state;
    must(sal_state_fix("fix", "Fox", "2.0", "Update to {version}.", "ann", db, pool, &err));
    assert_string_equal(logged("fix"), "ann signature.fix Fox 2.0");
    must(sal_hint_fixed_list(&rows, db, pool, &err));
    assert_int_equal(sal_rows_count(rows), 1);
    assert_string_equal(sal_rows_text(rows, 0, 2), "2.0");
    assert_string_equal(sal_rows_text(rows, 0, 3), "Update to {version}.");
    s = state_of("fix");
    assert_int_equal(s.kind, SAL_STATE_FIXED);
    assert_string_equal(s.product, "Fox");
    assert_string_equal(s.version, "2.0");
    assert_int_equal(state_in("fix", "Bird").kind, SAL_STATE_OPEN);
    must(sal_hint_fixed_put("", "fix", "3.0", "", db, pool, &err));
    s = state_in("fix", "Bird");
    assert_int_equal(s.kind, SAL_STATE_FIXED);
    assert_string_equal(s.version, "3.0");
    s = state_in("fix", "Fox"); /* the product's own before any */
    assert_string_equal(s.version, "2.0");
    must(sal_state_fixes(&rows, "fix", db, pool, &err));
    assert_int_equal(sal_rows_count(rows), 2);
    /* ignored stands before fixed, and opening takes both */
    must(sal_state_ignore("fix", 0, "ann", db, pool, &err));
    assert_int_equal(state_of("fix").kind, SAL_STATE_IGNORED);
    must(sal_state_open("fix", "ann", db, pool, &err));
    assert_int_equal(state_of("fix").kind, SAL_STATE_OPEN);
    must(sal_hint_fixed_list(&rows, db, pool, &err));
    assert_int_equal(sal_rows_count(rows), 0);
    assert_true(APR_STATUS_IS_ENOENT(sal_state_unfix("fix", "Fox", "ann", db, pool, &err)));
    assert_string_equal(logged("fix"), "ann signature.open "); /* what failed is not logged */
}

static void test_notes(void **state)
{
    sal_rows_t *rows;
    int64_t one, two;

    (void)state;
    must(sal_state_note(&one, "note", "first", "ann", db, pool, &err));
    must(sal_state_note(&two, "note", "second\nline", "bob", db, pool, &err));
    assert_int_equal(state_of("note").notes, 2);
    must(sal_state_notes(&rows, "note", db, pool, &err));
    assert_string_equal(sal_rows_text(rows, 0, 3), "second\nline");
    assert_string_equal(sal_rows_text(rows, 1, 2), "ann");
    assert_int_equal(sal_state_note_remove("note", one, "bob", false, db, pool, &err),
                     SAL_E_DENIED);
    assert_true(
        APR_STATUS_IS_ENOENT(sal_state_note_remove("other", one, "ann", true, db, pool, &err)));
    must(sal_state_note_remove("note", one, "ann", false, db, pool, &err));
    must(sal_state_note_remove("note", two, "root", true, db, pool, &err));
    assert_string_equal(logged("note"),
                        apr_psprintf(pool, "root signature.note-remove note %d of bob", (int)two));
    assert_int_equal(state_of("note").notes, 0);
    sql("INSERT INTO signature_note (signature, who, note)"
        " SELECT 'many', 'ann', 'x' FROM generate_series(1, 500)");
    assert_int_equal(sal_state_note(NULL, "many", "x", "ann", db, pool, &err), SAL_E_TOOBIG);
}

static void test_refused(void **state)
{
    char *big = apr_pcalloc(pool, 20002);

    (void)state;
    memset(big, 'x', 20001);
    assert_int_equal(sal_state_note(NULL, "s", "", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_note(NULL, "", "x", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_note(NULL, "s", big, "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_note(NULL, big, "x", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_note(NULL, "s", "\xff", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_fix("s", "Fox", "", "", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_fix("s", big, "1", "", "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_fix("s", "Fox", "1", big, "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_int_equal(sal_state_assign("s", big, "ann", db, pool, &err), SAL_E_MALFORMED);
    assert_string_equal(logged("s"), "");
    big[9000] = '\0'; /* longer than a btree holds */
    must(sal_state_fix(big, "Fox", "1", "", "ann", db, pool, &err));
    must(sal_state_unfix(big, "Fox", "ann", db, pool, &err));
}

static void test_several(void **state)
{
    const char *const names[] = { "b", "nobody knows this", "a" };
    sal_state_t *out;

    (void)state;
    must(sal_state_fix("a", "", "1.0", "", "ann", db, pool, &err));
    must(sal_state_ignore("b", 0, "ann", db, pool, &err));
    must(sal_states_of(&out, names, 3, NULL, db, pool, &err));
    assert_string_equal(out[1].signature, "nobody knows this");
    assert_true(out[0].kind == SAL_STATE_IGNORED && out[1].kind == SAL_STATE_OPEN &&
                out[2].kind == SAL_STATE_FIXED);
    must(sal_state_open("a", "ann", db, pool, &err));
}

/* ---- what came back ---- */

static void test_reaches(void **state)
{
    static const struct {
        const char *version, *fixed;
        bool reaches;
    } cases[] = { { "2.0", "2.0", true },
                  { "2.0.1", "2.0", true },
                  { "1.9.9", "2.0", false },
                  { "10.0", "9.0", true },
                  { "2.0b3", "2.0", false },
                  { "2.0b10", "2.0b9", true },
                  { "102.1esr", "102.1", true },
                  { "3.0a1", "2.0", true },
                  { "3.0a1", "3.0", false },
                  { "1.2.3-rc.1", "1.2.3", false },
                  { "nightly-9", "nightly-10", false } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sal_state_reaches(cases[i].version, cases[i].fixed) != cases[i].reaches) {
            fail_msg("%s, fixed in %s", cases[i].version, cases[i].fixed);
        }
    }
}

enum { SIG = 101, OTHER, FOX, BIRD, V19, V20, V21, V21B };

static void make_term(int id, const char *field, const char *value)
{
    sql(apr_psprintf(pool, "INSERT INTO term (id, field, value) VALUES (%d, %d, '%s')", id,
                     sal_search_field(field)->number, value));
}

/* A crash so many seconds from now. */
static void crash(const char *uuid_end, int signature, int product, int version, int seconds)
{
    sql(apr_psprintf(
        pool,
        "INSERT INTO crash (uuid, date, product, signature, version) VALUES"
        " ('00000000-0000-4000-8000-%s', now() + %d * interval '1 second', %d, %d, %d)",
        uuid_end, seconds, product, signature, version));
}

static int64_t check(void)
{
    int64_t n;

    must(sal_rollup_run(&n, 0, db, pool, &err));
    must(sal_states_check(&n, db, pool, &err));
    return n;
}

static void test_regression(void **state)
{
    sal_state_t s;

    (void)state;
    must(sal_search_partitions(db, apr_time_now(), 2, pool, &err));
    make_term(SIG, "signature", "back");
    make_term(OTHER, "signature", "other");
    make_term(FOX, "product", "Fox");
    make_term(BIRD, "product", "Bird");
    make_term(V19, "version", "1.9");
    make_term(V20, "version", "2.0");
    make_term(V21, "version", "2.1");
    make_term(V21B, "version", "2.1b2");
    crash("000000000001", SIG, FOX, V20, -60); /* before the fix was noted: the same day */
    must(sal_state_fix("back", "Fox", "2.0", "", "ann", db, pool, &err));
    assert_int_equal(check(), 0);
    crash("000000000002", SIG, FOX, V19, 5);   /* has not the fix */
    crash("000000000003", SIG, BIRD, V21, 5);  /* another product */
    crash("000000000004", OTHER, FOX, V21, 5); /* another signature */
    assert_int_equal(check(), 0);
    assert_int_equal(state_of("back").kind, SAL_STATE_FIXED);
    crash("000000000005", SIG, FOX, V21, 20);
    crash("000000000006", SIG, FOX, V21B, 10); /* this one was the first */
    assert_int_equal(check(), 1);
    s = state_of("back");
    assert_int_equal(s.kind, SAL_STATE_REGRESSED);
    assert_string_equal(s.version, "2.0");
    assert_string_equal(s.regressed_version, "2.1b2");
    assert_string_equal(s.regressed_crash, "00000000-0000-4000-8000-000000000006");
    assert_true(s.regressed > apr_time_now() - apr_time_from_sec(60));
    assert_string_equal(logged("back"), "salvage signature.regress 2.1b2, fixed in Fox 2.0:"
                                        " 00000000-0000-4000-8000-000000000006");
    assert_int_equal(check(), 0); /* once */
    assert_int_equal(state_in("back", "Bird").kind, SAL_STATE_OPEN);
    /* the next fix begins anew; what crashed before it does not count */
    must(sal_state_fix("back", "Fox", "2.2", "", "ann", db, pool, &err));
    assert_int_equal(state_of("back").kind, SAL_STATE_FIXED);
    assert_int_equal(check(), 0);
    must(sal_state_fix("back", "", "2.1", "", "ann", db, pool, &err)); /* any product */
    crash("000000000007", SIG, BIRD, V21, 30);
    assert_int_equal(check(), 1);
    s = state_of("back"); /* what came back stands before what did not */
    assert_int_equal(s.kind, SAL_STATE_REGRESSED);
    assert_string_equal(s.product, "");
    must(sal_state_ignore("back", 0, "ann", db, pool, &err));
    assert_int_equal(state_of("back").kind, SAL_STATE_IGNORED);
}

/* ---- beside ---- */

static void test_began(void **state)
{
    const char *const versions[] = { "1.0", "2.0", "9.9" };
    sal_rows_t *rows;

    (void)state;
    sql("INSERT INTO version_seen VALUES"
        " ('Fox', '2.0', 'beta', 2, '2026-11-03Z', '2026-11-09Z', 1),"
        " ('Fox', '2.0', 'release', 3, '2026-11-05Z', '2026-11-09Z', 1),"
        " ('Fox', '1.0', 'release', 1, '2026-11-04Z', '2026-11-09Z', 1),"
        " ('Bird', '9.9', 'release', 1, '2026-11-01Z', '2026-11-09Z', 1)");
    must(sal_versions_began(&rows, "Fox", versions, 3, db, pool, &err));
    assert_int_equal(sal_rows_count(rows), 2);
    assert_string_equal(sal_rows_text(rows, 0, 0), "2.0");
    assert_true(sal_rows_time(rows, 0, 1) == at("2026-11-03T00:00:00+00:00"));
}

static int setup(void **state)
{
    (void)state;
    apr_pool_create(&pool, root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static int open_group(void **state)
{
    int applied;

    (void)state;
    apr_pool_create(&root, NULL);
    (void)fixture_database(root);
    db = fixture_connect(root);
    if (sal_schema_migrate(&applied, db, root, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return -1;
    }
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    apr_pool_destroy(root);
    fixture_drop();
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(test_open_and_ignored),
                                        CASE(test_assignee),
                                        CASE(test_fixes),
                                        CASE(test_notes),
                                        CASE(test_refused),
                                        CASE(test_several),
                                        CASE(test_reaches),
                                        CASE(test_regression),
                                        CASE(test_began) };

    apr_initialize();
    return cmocka_run_group_tests(tests, open_group, close_group);
}
