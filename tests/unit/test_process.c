/*
 * The pipeline: cases of tests/unit/process_cases.json (raw crash, dumps, what the walker says ->
 * fields, notes), then what needs code: history, overlay, truncation, gzip, reduction, stubs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <zlib.h>
#include "base/json.h"
#include "base/log.h"
#include "process/process.h"

#define ID "11111111-2222-4333-8444-555550260102"
#define NOW APR_TIME_C(1767400000000000)

static apr_pool_t *pool;
static sal_siglists_t *lists;
static sal_process_opts_t opts;

/* ---- a crash in memory and a walker that says what the case says ---- */

typedef struct fake_t {
    const json_t *test;
    json_t *seen; /* raw crash the walker got */
} fake_t;

static apr_status_t fake_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                              apr_pool_t *p, sal_error_t *err)
{
    const fake_t *fake = baton;
    const json_t *text = json_object_get(json_object_get(fake->test, "dumps"), name);

    (void)max, (void)p;
    if (!strcmp(json_string_value(text), "?damaged")) {
        return sal_fail(err, SAL_E_MALFORMED, "checksum differs");
    }
    *out = (sal_span_t){ (const uint8_t *)json_string_value(text), json_string_length(text), 0 };
    return APR_SUCCESS;
}

static apr_status_t fake_walk(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    fake_t *fake = baton;
    const json_t *walk = json_object_get(fake->test, "walk");
    const char *log = sal_json_str(walk, "log"), *status = sal_json_str(walk, "status");

    (void)p;
    assert_true(dump.size > 0);
    assert_non_null(walk);
    if (json_is_true(json_object_get(walk, "error"))) {
        return sal_fail(err, SAL_E_FENCED, "lease lost");
    }
    json_decref(fake->seen);
    fake->seen = json_deep_copy(raw);
    *out = (sal_walk_result_t){
        .doc = json_deep_copy(json_object_get(walk, "doc")),
        .exit_code = (int)json_integer_value(json_object_get(walk, "exit_code")),
        .timed_out = (int)json_integer_value(json_object_get(walk, "timed_out")),
        .status = status ? status : "unknown error",
        .log = log ? log : "",
    };
    return APR_SUCCESS;
}

static const char *fake_version(const char *product, const char *channel, const char *build,
                                void *baton, apr_pool_t *p)
{
    (void)baton;
    if (!strcmp(build, "known")) {
        return "3.0b7";
    }
    return strcmp(product, "DevEdition") ? NULL
                                         : apr_pstrcat(p, product, " ", channel, " ", build, NULL);
}

static apr_status_t run_fake(json_t **doc, fake_t *fake, const char *ruleset,
                             const json_t *previous)
{
    const json_t *dumps = json_object_get(fake->test, "dumps");
    sal_process_source_t source = { .dump = fake_dump, .baton = fake };
    const char **names = apr_pcalloc(pool, (json_object_size(dumps) + 1) * sizeof(*names));
    sal_process_opts_t mine = opts;
    json_t *raw = json_pack("{s:s,s:s}", "uuid", ID, "submitted_timestamp",
                            "2026-01-02T03:04:06.500000+00:00");
    const char *key;
    json_t *value;
    apr_status_t rv;
    size_t n = 0;

    json_object_update(raw, json_object_get(fake->test, "raw"));
    json_object_foreach((json_t *)dumps, key, value)
    {
        names[n++] = key;
    }
    source.raw = raw;
    source.dumps = names;
    mine.walk_baton = fake;
    mine.safe_mode = json_is_true(json_object_get(fake->test, "safe_mode"));
    rv = sal_process_source(doc, &source, ruleset, previous, &mine, pool, NULL);
    json_decref(raw);
    return rv;
}

static json_t *run(const json_t *test)
{
    fake_t fake = { .test = test };
    json_t *doc = NULL, *want;
    const char *key;

    assert_int_equal(run_fake(&doc, &fake, "default", NULL), APR_SUCCESS);
    json_object_foreach(json_object_get(test, "walker_sees"), key, want)
    {
        assert_true(json_equal(json_object_get(fake.seen, key), want));
    }
    json_decref(fake.seen);
    return sal_json_own(doc, pool);
}

static json_t *parse(const char *text)
{
    json_t *v = json_loads(text, JSON_ALLOW_NUL, NULL);

    assert_non_null(v);
    return sal_json_own(v, pool);
}

/* ---- the cases ---- */

static bool has_note(const json_t *doc, const char *note)
{
    const char *at = strstr(sal_json_str(doc, "processor_notes"), note);
    size_t len = strlen(note);

    return at && (at[len] == '\n' || !at[len]) && at[-1] == '\n';
}

static int complain(const json_t *test, const char *what, const char *name, const json_t *got)
{
    fprintf(stderr, "%s: %s %s, got %s\n", sal_json_str(test, "name"), what, name,
            got ? json_dumps(got, JSON_ENCODE_ANY) : "nothing");
    return 1;
}

static int check_case(const json_t *test)
{
    json_t *doc = run(test), *want, *v;
    const char *name;
    int bad = 0;
    size_t i;

    json_object_foreach(json_object_get(test, "set"), name, want)
    {
        const json_t *got = sal_json_path(doc, name);

        bad += json_equal(got, want) ? 0 : complain(test, "field", name, got);
    }
    json_array_foreach(json_object_get(test, "absent"), i, v)
    {
        const json_t *got = json_object_get(doc, json_string_value(v));

        bad += got ? complain(test, "unwanted field", json_string_value(v), got) : 0;
    }
    json_array_foreach(json_object_get(test, "notes"), i, v)
    {
        bad += has_note(doc, json_string_value(v))
                   ? 0
                   : complain(test, "note", json_string_value(v),
                              json_object_get(doc, "processor_notes"));
    }
    json_array_foreach(json_object_get(test, "no_notes"), i, v)
    {
        bad += strstr(sal_json_str(doc, "processor_notes"), json_string_value(v))
                   ? complain(test, "unwanted note", json_string_value(v), NULL)
                   : 0;
    }
    return bad;
}

static void test_cases(void **state)
{
    const char *srcdir = getenv("srcdir");
    json_error_t why;
    json_t *cases = json_load_file(
               apr_pstrcat(pool, srcdir ? srcdir : ".", "/tests/unit/process_cases.json", NULL),
               JSON_ALLOW_NUL, &why),
           *test;
    int bad = 0;
    size_t i;

    (void)state;
    if (!cases) {
        fail_msg("%s line %d: %s", why.source, why.line, why.text);
    }
    json_array_foreach(cases, i, test)
    {
        bad += check_case(test);
    }
    printf("%zu cases\n", i);
    json_decref(cases);
    assert_int_equal(bad, 0);
}

/* ---- what needs code ---- */

/* A reprocess keeps history only; a partial ruleset overlays. */
static void test_passes(void **state)
{
    fake_t fake = { .test = parse("{\"raw\":{\"Vendor\":\"v\"}}") };
    json_t *first, *second, *third;

    (void)state;
    assert_int_equal(run_fake(&first, &fake, "default", NULL), APR_SUCCESS);
    assert_int_equal(json_array_size(json_object_get(first, "processor_history")), 0);
    json_object_set_new(first, "stale", json_true());
    assert_int_equal(run_fake(&second, &fake, "default", first), APR_SUCCESS);
    assert_null(json_object_get(second, "stale"));
    assert_int_equal(json_array_size(json_object_get(second, "processor_history")), 1);
    assert_true(json_equal(json_array_get(json_object_get(second, "processor_history"), 0),
                           json_object_get(first, "processor_notes")));
    json_object_set_new(second, "stale", json_true());
    json_object_set_new(second, "mdsw_status_string", json_string("Odd"));
    assert_int_equal(run_fake(&third, &fake, "regenerate_signature", second), APR_SUCCESS);
    assert_non_null(json_object_get(third, "stale"));
    assert_string_equal(sal_json_str(third, "vendor"), "v");
    assert_string_equal(sal_json_str(third, "signature"), "EMPTY: no frame data available; Odd");
    assert_int_equal(json_array_size(json_object_get(third, "processor_history")), 2);
    assert_true(strncmp(sal_json_str(third, "processor_notes"),
                        ">>> Start processing: 2026-01-03 00:26:40.000000+00:00 (unit)", 60) == 0);
    json_decref(first);
    json_decref(second);
    json_decref(third);
}

static void test_refusals(void **state)
{
    fake_t fake = { .test = parse("{\"dumps\":{\"upload_file_minidump\":\"x\"},"
                                  "\"walk\":{\"error\":true}}") };
    json_t *doc;

    (void)state;
    assert_int_equal(run_fake(&doc, &fake, "no such", NULL), APR_EINVAL);
    assert_null(doc);
    /* the walk's own failure is not the crash's: the pass is not completed */
    assert_int_equal(run_fake(&doc, &fake, "default", NULL), SAL_E_FENCED);
    assert_null(doc);
    assert_true(sal_process_ruleset("regenerate_signature"));
    assert_false(sal_process_ruleset("x"));
}

static json_t *deep_stack(int n)
{
    json_t *frames = json_array();

    for (int i = 0; i < n; i++) {
        json_array_append_new(frames, json_pack("{s:i}", "frame", i));
    }
    return json_pack("{s:{s:s},s:{s:{s:[{s:O}],s:{s:o}},s:s}}", "dumps", "upload_file_minidump",
                     "x", "walk", "doc", "threads", "frames", frames, "crashing_thread", "frames",
                     frames, "status", "OK");
}

static void test_truncation(void **state)
{
    json_t *doc = run(sal_json_own(deep_stack(500), pool));

    (void)state;
    assert_int_equal(json_array_size(sal_json_path(doc, "json_dump.threads.0.frames")), 500);
    assert_null(sal_json_path(doc, "json_dump.threads.0.truncated"));
    doc = run(sal_json_own(deep_stack(2001), pool));
    assert_int_equal(json_array_size(sal_json_path(doc, "json_dump.threads.0.frames")), 500);
    assert_string_equal(
        json_string_value(sal_json_path(doc, "json_dump.threads.0.frames.250.truncated.msg")),
        "1,501 frames truncated");
    assert_int_equal(json_integer_value(sal_json_path(doc, "json_dump.threads.0.frames.249.frame")),
                     249);
    assert_int_equal(json_integer_value(sal_json_path(doc, "json_dump.threads.0.frames.251.frame")),
                     2001 - 249);
    assert_true(json_is_true(sal_json_path(doc, "json_dump.crashing_thread.truncated")));
    assert_true(has_note(doc, "TruncateStacksRule: truncated json_dump.crashing_thread.frames: "
                              "2001 -> 500"));
    assert_true(has_note(doc, "TruncateStacksRule: truncated json_dump.threads[0].frames: "
                              "2001 > 500"));
}

/* The gzipped text as the "dump" memory_report, with a walk whose pid is 7. */
static json_t *with_report(const char *text, size_t size)
{
    size_t cap = size / 500 + 1000 + size;
    unsigned char *out = malloc(cap);
    z_stream z = {
        .next_in = (Bytef *)text, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)cap
    };
    json_t *test;

    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    test = json_pack("{s:{s:s,s:o},s:{s:s,s:{s:i}}}", "dumps", "upload_file_minidump", "x",
                     "memory_report", json_stringn_nocheck((char *)out, z.total_out), "walk",
                     "status", "OK", "doc", "pid", 7);
    free(out);
    return sal_json_own(test, pool);
}

static void test_memory_report(void **state)
{
    static const char good[] =
        "{\"version\":1,\"hasMozMallocUsableSize\":true,\"reports\":["
        "{\"process\":\"Main (pid "
        "7)\",\"path\":\"explicit/a\",\"kind\":1,\"units\":0,\"amount\":10},"
        "{\"process\":\"Main (pid 7)\",\"path\":\"explicit/images/b\",\"kind\":0,\"units\":0,"
        "\"amount\":5},"
        "{\"process\":\"Main (pid 7)\",\"path\":\"heap-allocated\",\"kind\":2,\"units\":0,"
        "\"amount\":100},"
        "{\"process\":\"Main (pid 7)\",\"path\":\"vsize\",\"kind\":2,\"units\":0,\"amount\":3},"
        "{\"process\":\"Other (pid 70)\",\"path\":\"vsize\",\"kind\":2,\"units\":0,\"amount\":9}]}";
    size_t size = 20971521;
    char *bomb = malloc(size);
    json_t *doc = run(with_report(good, sizeof(good) - 1));
    json_t *measures = json_object_get(doc, "memory_measures");

    (void)state;
    assert_int_equal(json_object_size(measures), 16);
    assert_int_equal(json_integer_value(json_object_get(measures, "explicit")), 105);
    assert_int_equal(json_integer_value(json_object_get(measures, "heap_unclassified")), 90);
    assert_int_equal(json_integer_value(json_object_get(measures, "images")), 5);
    assert_int_equal(json_integer_value(json_object_get(measures, "vsize")), 3);
    memset(bomb, ' ', size);
    doc = run(with_report(bomb, size));
    assert_null(json_object_get(doc, "memory_report"));
    assert_true(rindex(sal_json_str(doc, "memory_report_error"), '(') &&
                !strncmp(sal_json_str(doc, "memory_report_error"),
                         "Uncompressed memory info too large ", 35));
    free(bomb);
    doc = run(with_report("[1", 2));
    assert_true(!strncmp(sal_json_str(doc, "memory_report_error"),
                         "error in json for memory_report: ", 33));
}

static void test_fields(void **state)
{
    sal_fields_t *processed = sal_fields_processed(pool), *raw = sal_fields_raw(pool);
    size_t fields = 0, hidden = 0, copied = 0;

    (void)state;
    for (size_t i = 0; i < processed->n; i++) {
        const sal_field_t *f = &processed->field[i];

        if (!strpbrk(f->name, ".[@") && strcmp(f->name, "additional_dumps")) {
            fields++;
            hidden += !f->is_public;
            copied += f->source != NULL;
        }
        assert_true(!f->source || sal_fields_find(raw, f->source));
    }
    /* the figures of the specification */
    assert_int_equal(fields, 166);
    assert_int_equal(hidden, 24);
    assert_int_equal(copied, 90);
    assert_int_equal(raw->n, 123 + 1); /* metadata.* */
    assert_false(sal_fields_find(raw, "URL")->is_public);
    assert_true(sal_fields_find(processed, "last_crash")->nullable);
    assert_null(sal_fields_find(processed, "nope"));
}

static void test_bad_fields(void **state)
{
    char path[] = "/tmp/fields.XXXXXX";
    int fd = mkstemp(path);
    sal_fields_t *fields;
    sal_error_t err;

    (void)state;
    assert_int_equal(
        write(fd, "# x\na\tstring?\tpublic\t-\t-\t-\t-\nb\ttext\tpublic\t-\t-\t-\t-\n", 52), 52);
    close(fd);
    assert_int_equal(sal_fields_load(&fields, path, pool, &err), SAL_E_MALFORMED);
    assert_non_null(strstr(err.message, "line 3"));
    unlink(path);
}

static void test_public(void **state)
{
    json_t *doc = parse(
        "{\"product\":\"p\",\"url\":\"secret\",\"unknown\":\"secret\",\"json_dump\":{\"status\":"
        "\"OK\","
        "\"handles\":[\"secret\"],\"mac_boot_args\":\"secret\",\"crash_info\":{\"memory_accesses\":"
        "[{\"is_likely_guard_page\":true,\"size\":4},5]},\"threads\":[{\"frames\":[{\"function\":"
        "\"f\",\"registers\":{\"rax\":\"secret\"}},null]}]},\"java_exception\":{\"exception\":"
        "{\"values\":[{\"stacktrace\":{\"type\":\"t\",\"value\":\"secret\"}}]}},"
        "\"additional_dumps\":{\"upload_file_minidump_gpu\":{\"mdsw_stderr\":\"secret\","
        "\"json_dump\":{\"handles\":\"secret\",\"status\":\"OK\"}}}}");
    json_t *shown = sal_fields_public(sal_fields_processed(pool), doc);
    char *text = json_dumps(shown, JSON_COMPACT | JSON_SORT_KEYS);

    (void)state;
    assert_string_equal(
        text,
        "{\"additional_dumps\":{\"upload_file_minidump_gpu\":{\"json_dump\":{\"status\":\"OK\"}}},"
        "\"java_exception\":{\"exception\":{\"values\":[{\"stacktrace\":{\"type\":\"t\"}}]}},"
        "\"json_dump\":{\"crash_info\":{\"memory_accesses\":[{\"size\":4},null]},\"status\":\"OK\","
        "\"threads\":[{\"frames\":[{\"function\":\"f\"},null]}]},\"product\":\"p\"}");
    /* the document itself is untouched */
    assert_non_null(sal_json_path(doc, "json_dump.threads.0.frames.0.registers.rax"));
    free(text);
    json_decref(shown);
}

static void test_stub(void **state)
{
    json_t *stub = sal_process_stub(ID, "raw crash not found", 0, &opts, pool);

    (void)state;
    assert_string_equal(sal_json_str(stub, "signature"), "EMPTY: crash failed to process");
    assert_string_equal(sal_json_str(stub, "uuid"), ID);
    assert_string_equal(sal_json_str(stub, "date_processed"), "2026-01-02T00:00:00+00:00");
    assert_true(json_is_false(json_object_get(stub, "success")));
    assert_non_null(strstr(sal_json_str(stub, "processor_notes"), "raw crash not found"));
    json_decref(stub);
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

static int setup(void **state)
{
    const char *srcdir = getenv("srcdir");
    sal_error_t err;

    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(silent, NULL);
    if (sal_siglists_load(&lists, apr_pstrcat(pool, srcdir ? srcdir : ".", "/conf/siglists", NULL),
                          pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    opts = (sal_process_opts_t){
        .siglists = lists, .walk = fake_walk, .host = "unit", .now = NOW, .version = fake_version
    };
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_passes),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_memory_report), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_bad_fields),    cmocka_unit_test(test_public),
        cmocka_unit_test(test_stub),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
