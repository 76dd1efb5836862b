/*
 * The pipeline and its data files, as far as that needs code: overlay, refusals, field lists,
 * reduction, tables, stubs. What rules do is in tests/data/rules (test_rules.c).
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
#include <apr_tables.h>
#include "base/json.h"
#include "base/log.h"
#include "process/process.h"

#define ID "11111111-2222-4333-8444-555550260102"
#define NOW APR_TIME_C(1767400000000000)

static apr_pool_t *pool;
static sal_siglists_t *lists;
static sal_process_opts_t opts;
static apr_array_header_t *made; /* files */

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
    const char *log = sal_json_str(walk, "log");

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

static json_t *parse(const char *text)
{
    json_t *v = json_loads(text, JSON_ALLOW_NUL, NULL);

    assert_non_null(v);
    return sal_json_own(v, pool);
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
    json_object_set_new(first, "has_guard_page_access", json_true());
    assert_int_equal(run_fake(&second, &fake, "default", first), APR_SUCCESS);
    assert_null(json_object_get(second, "has_guard_page_access"));
    assert_int_equal(json_array_size(json_object_get(second, "processor_history")), 1);
    assert_true(json_equal(json_array_get(json_object_get(second, "processor_history"), 0),
                           json_object_get(first, "processor_notes")));
    json_object_set_new(second, "has_guard_page_access", json_true());
    json_object_set_new(second, "mdsw_status_string", json_string("Odd"));
    assert_int_equal(run_fake(&third, &fake, "regenerate_signature", second), APR_SUCCESS);
    assert_non_null(json_object_get(third, "has_guard_page_access"));
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
    assert_int_equal(raw->n, 123 + 2); /* metadata.*, and StackTraces of ours */
    assert_false(sal_fields_find(raw, "URL")->is_public);
    assert_true(sal_fields_find(processed, "last_crash")->nullable);
    assert_null(sal_fields_find(processed, "nope"));
}

/* A file of its own in the temporary folder; removed at the end of the group. */
static const char *file_with(const char *text)
{
    char *path = apr_pstrdup(pool, "/tmp/salvage-process.XXXXXX");
    int fd = mkstemp(path);
    ssize_t len = (ssize_t)strlen(text);

    assert_int_equal(write(fd, text, (size_t)len), len);
    close(fd);
    APR_ARRAY_PUSH(made, const char *) = path;
    return path;
}

#define ROW(name, type) name "\t" type "\tpublic\t-\t-\t-\t-\n"

static void refused(const char *text, const char *why)
{
    sal_fields_t *fields;
    sal_error_t err = { .message = "" };

    assert_int_equal(sal_fields_load(&fields, file_with(text), pool, &err), SAL_E_MALFORMED);
    if (!strstr(err.message, why)) {
        fail_msg("%s", err.message);
    }
}

static void test_bad_fields(void **state)
{
    (void)state;
    refused("# x\n" ROW("a", "string?") ROW("b", "text"), "line 3: its type");
    refused(ROW("a", "string|"
                     "text"),
            "line 1: its type");
    refused("a\tstring\topen\t-\t-\t-\t-\n", "line 1: its permission");
    refused("a\tstring\tpublic\n", "line 1: expected name");
    refused("a\tstring\tpublic\t-\t-\t{\t-\n", "line 1: its default");
    refused(ROW("a", "string") ROW("a", "integer"), "line 2: a is there already");
    refused(ROW("a", "@none"), "no definition");
    refused(ROW("@d", "object") ROW("@e", "@d"), "type of its own");
    refused(ROW("a./(/", "string"), "no regular expression");
    refused(ROW("a..b", "string"), "empty part");
    refused(ROW("a[x", "string"), "its name is none");
}

static sal_fields_t *list_of(const char *text)
{
    sal_fields_t *fields = NULL;
    sal_error_t err = { .message = "" };

    if (sal_fields_load(&fields, file_with(text), pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return fields;
}

static void public_is(const sal_fields_t *fields, const char *doc, const char *want)
{
    json_t *shown = sal_fields_public(fields, parse(doc));
    char *text = json_dumps(shown, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, want);
    free(text);
    json_decref(shown);
}

static void strict_is(const sal_fields_t *fields, const char *doc, const char *why)
{
    sal_error_t err = { .message = "" };
    json_t *out;
    apr_status_t rv = sal_fields_reduce(&out, fields, parse(doc), &err);

    assert_int_equal(rv, why ? SAL_E_MALFORMED : APR_SUCCESS);
    assert_true(why ? !out : out != NULL);
    if (why) {
        assert_string_equal(err.message, why);
    }
    json_decref(out);
}

static const char grammar[] = ROW("s", "string") ROW("n", "number?") ROW("i", "integer")
    ROW("b", "boolean") ROW("any", "any") ROW("u", "string|integer?") ROW("list[]", "integer?") ROW(
        "list", "array") ROW("free", "array") ROW("o", "object") ROW("o./^x[0-9.]+$/", "integer")
        ROW("o./^y/", "object") "o./^y/.p\tstring\tprotected\t-\t-\t-\t-\n" ROW(
            "o./^y/.q",
            "string") "secret\tany\tprotected\t-\t-\t-\t-\n"
                      "closed\tobject\tpublic\t-\t-\t-\t-\nclosed.a\tstring\tprotected\t-\t-\t-\t-"
                      "\n"
                      "hidden\t@def\tprotected\t-\t-\t-\t-\n" ROW("shown", "@def?")
                          ROW("@def", "object")
                              ROW("@def.a", "string") "@def.r\tstring\tprotected\t-\t-\t-\t-\n" ROW(
                                  "@def.again", "@def") ROW("map", "object") ROW("map.*", "@def");

static void test_grammar(void **state)
{
    sal_fields_t *f = list_of(grammar);

    (void)state;
    public_is(f, "{\"s\":\"t\",\"n\":1,\"i\":2,\"b\":true,\"any\":{\"x\":[null]},\"u\":null}",
              "{\"any\":{\"x\":[null]},\"b\":true,\"i\":2,\"n\":1,\"s\":\"t\",\"u\":null}");
    /* exact types: what does not fit goes */
    public_is(f, "{\"s\":1,\"n\":true,\"i\":1.0,\"b\":0,\"u\":1.5}", "{}");
    public_is(f, "{\"n\":1.5,\"u\":7,\"i\":true,\"s\":null}", "{\"n\":1.5,\"u\":7}");
    public_is(f, "{\"list\":[1,\"x\",null],\"free\":[1,\"x\"]}",
              "{\"free\":[1,\"x\"],\"list\":[1,null,null]}");
    /* patterns, in the order of the file; members of what they match */
    public_is(f, "{\"o\":{\"x1.2\":3,\"x\":4,\"y\":{\"p\":\"s\",\"q\":\"t\",\"z\":1},\"z\":5}}",
              "{\"o\":{\"x1.2\":3,\"y\":{\"q\":\"t\"}}}");
    /* an object of which nothing may be shown is not there; an empty one that might, is */
    public_is(f, "{\"closed\":{\"a\":\"s\"},\"secret\":1,\"o\":{}}", "{\"o\":{}}");
    /* a reference keeps its own permission; a definition may hold itself */
    public_is(f,
              "{\"hidden\":{\"a\":\"s\"},\"shown\":{\"a\":\"t\",\"r\":\"s\",\"again\":{\"a\":\"u\","
              "\"r\":\"s\"}},\"map\":{\"k\":{\"a\":\"v\",\"r\":\"s\"}}}",
              "{\"map\":{\"k\":{\"a\":\"v\"}},\"shown\":{\"a\":\"t\",\"again\":{\"a\":\"u\"}}}");
    public_is(f, "{\"shown\":null,\"hidden\":null,\"@def\":{\"a\":\"x\"}}", "{\"shown\":null}");
    strict_is(f, "{\"s\":\"t\",\"unknown\":{},\"secret\":5,\"hidden\":7}", NULL);
    strict_is(f, "{\"shown\":{\"again\":{\"a\":5}}}", "shown.again.a is integer, not string");
    strict_is(f, "{\"list\":[1,true]}", "list[1] is boolean, not integer");
    strict_is(f, "{\"shown\":{\"a\":\"x\",\"r\":5}}", NULL);
    strict_is(f, "{\"s\":null}", "s is null, not string");
    strict_is(f, "{\"u\":[]}", "u is array, not string or integer");
}

static void test_conform(void **state)
{
    sal_fields_t *f = list_of(grammar);
    json_t *doc = parse("{\"s\":1,\"i\":2,\"new\":3,\"list\":[1,\"x\"],\"secret\":{\"a\":1},"
                        "\"hidden\":{\"a\":5,\"r\":\"ok\"},\"@def\":{}}");
    json_t *deep = json_object();
    char *text;

    (void)state;
    assert_int_equal(sal_fields_check(f, doc, NULL, NULL, pool), 5);
    assert_int_equal(sal_fields_conform(f, doc, pool), 5);
    assert_int_equal(sal_fields_check(f, doc, NULL, NULL, pool), 0);
    text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text, "{\"hidden\":{\"r\":\"ok\"},\"i\":2,\"list\":[1,null],\"secret\":{\"a\":1}}");
    free(text);
    for (int i = 0; i < 100; i++) {
        deep = json_pack("{s:o}", "again", deep);
    }
    doc = sal_json_own(json_pack("{s:o,s:o}", "shown", json_deep_copy(deep), "secret", deep), pool);
    assert_int_equal(sal_fields_conform(f, doc, pool), 2);
    assert_int_equal(sal_fields_check(f, doc, NULL, NULL, pool), 0);
    assert_null(json_object_get(doc, "secret"));
}

/* ---- data files that salvage.conf names ---- */

static sal_conf_t *conf_of(const char *text)
{
    sal_conf_t *conf;
    sal_error_t err;

    assert_int_equal(sal_conf_read(&conf, file_with(text), pool, &err), APR_SUCCESS);
    return conf;
}

static json_t *processed_with(const sal_process_data_t *data, const char *raw)
{
    fake_t fake = { .test = sal_json_own(json_pack("{s:O}", "raw", parse(raw)), pool) };
    sal_process_opts_t was = opts;
    json_t *doc;

    opts.fields = data->processed;
    opts.tables = data->tables;
    assert_int_equal(run_fake(&doc, &fake, "default", NULL), APR_SUCCESS);
    opts = was;
    return sal_json_own(doc, pool);
}

/* New annotations and fields need no other program: a copied and edited file, or a small one. */
static void test_new_fields(void **state)
{
    const char *extra = file_with("# ours\nShaderCache\tshader_cache\tinteger\tpublic\tbytes\n"
                                  "last-level\tlast_level\tstring\tprotected\t-\r\n"
                                  "World\tworld\tobject\tpublic\t-\n");
    const char *conf = apr_pstrcat(pool, "fields-extra ", extra, "\n", NULL);
    sal_process_data_t *data;
    sal_error_t err = { .message = "" };
    json_t *doc;

    (void)state;
    assert_int_equal(sal_process_data_read(&data, conf_of(conf), pool, &err), APR_SUCCESS);
    doc = processed_with(data, "{\"ShaderCache\":\"123\",\"last-level\":\"7\","
                               "\"World\":\"{\\\"seed\\\":[1]}\",\"Vendor\":\"v\"}");
    assert_int_equal(json_integer_value(json_object_get(doc, "shader_cache")), 123);
    assert_string_equal(sal_json_str(doc, "last_level"), "7");
    assert_string_equal(sal_json_str(doc, "vendor"), "v");
    assert_int_equal(json_array_size(sal_json_path(doc, "world.seed")), 1);
    doc = sal_json_own(sal_fields_public(data->processed, doc), pool);
    assert_non_null(json_object_get(doc, "shader_cache"));
    assert_non_null(sal_json_path(doc, "world.seed"));
    assert_null(json_object_get(doc, "last_level"));
    assert_true(sal_fields_find(data->raw, "ShaderCache")->is_public);
    assert_false(sal_fields_find(data->raw, "last-level")->is_public);
    assert_string_equal(sal_fields_find(data->processed, "shader_cache")->meaning, "bytes");
}

static void extra_refused(const char *text, const char *why)
{
    const char *conf = apr_pstrcat(pool, "fields-extra ", file_with(text), "\n", NULL);
    sal_process_data_t *data;
    sal_error_t err = { .message = "" };

    assert_int_equal(sal_process_data_read(&data, conf_of(conf), pool, &err), SAL_E_MALFORMED);
    assert_null(data);
    if (!strstr(err.message, why)) {
        fail_msg("%s", err.message);
    }
}

static void test_bad_extra(void **state)
{
    (void)state;
    extra_refused("A\ta\tinteger\tpublic\n", "line 1: expected annotation");
    extra_refused("\nA\ta\ttext\tpublic\t-\n", "line 2: its type");
    extra_refused("A\ta\tarray\tpublic\t-\n", "line 1: its type");
    extra_refused("A\ta\tstring\tsecret\t-\n", "line 1: its permission");
    extra_refused("A\ta.b\tstring\tpublic\t-\n", "line 1: its field");
    extra_refused("A.b\ta\tstring\tpublic\t-\n", "line 1: its annotation");
    extra_refused("A\tproduct\tstring\tpublic\t-\n",
                  "line 1: product is there already: (built in)");
    extra_refused("URL\tsite\tstring\tpublic\t-\n", "line 1: URL is there already");
    extra_refused("A\ta\tstring\tpublic\t-\nA\tb\tstring\tpublic\t-\n", "line 2: A is there");
}

/* The installed files are the compiled-in ones; a folder of own ones takes their place. */
static void test_schema_folder(void **state)
{
    const char *srcdir = getenv("srcdir"), *conf;
    sal_process_data_t *data, *builtin;
    sal_error_t err = { .message = "" };

    (void)state;
    conf = apr_pstrcat(pool, "schema ", srcdir && *srcdir == '/' ? "" : getenv("PWD"), "/",
                       srcdir ? srcdir : ".", "/conf/schema\n", "process-tables ",
                       srcdir && *srcdir == '/' ? "" : getenv("PWD"), "/", srcdir ? srcdir : ".",
                       "/conf/process-tables.tsv\n", NULL);
    if (sal_process_data_read(&data, conf_of(conf), pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(sal_process_data_read(&builtin, NULL, pool, &err), APR_SUCCESS);
    assert_int_equal(data->processed->n, builtin->processed->n);
    for (size_t i = 0; i < data->processed->n; i++) {
        const sal_field_t *a = &data->processed->field[i], *b = &builtin->processed->field[i];

        assert_string_equal(a->name, b->name);
        assert_string_equal(a->meaning, b->meaning);
        assert_int_equal(a->types, b->types);
    }
    conf = "schema /nonexistent\n";
    assert_int_equal(sal_process_data_read(&data, conf_of(conf), pool, &err), APR_ENOENT);
}

static void test_tables(void **state)
{
    const char *tables = file_with("windows\t10.0.99999\tWindows 99\nandroid-abi\t-\t-\n"
                                   "distribution\tdefault\tus\ntheme\tid@x\tdark\n"
                                   "crash-reason\tpassword\tprivate\n"
                                   "beta-product\tGame\tpreview\n"
                                   "macos\t12+\tmac MAJOR MINOR\n");
    const char *conf = apr_pstrcat(pool, "process-tables ", tables, "\n", NULL);
    sal_process_data_t *data;
    sal_error_t err = { .message = "" };
    json_t *doc;

    (void)state;
    assert_int_equal(sal_process_data_read(&data, conf_of(conf), pool, &err), APR_SUCCESS);
    doc = processed_with(data,
                         "{\"OS\":\"Windows NT\",\"OSVersion\":\"10.0.100000\",\"Android_CPU_ABI\":"
                         "\"arm64-v8a\",\"DistributionID\":\"\",\"TelemetryEnvironment\":"
                         "\"{\\\"partner\\\":{\\\"distributionId\\\":null}}\",\"Add-ons\":"
                         "\"id@x:1\",\"MozCrashReason\":\"password 123\",\"ProductName\":\"Game\","
                         "\"ReleaseChannel\":\"Preview\",\"BuildID\":\"known\",\"Version\":\"1\"}");
    assert_string_equal(sal_json_str(doc, "os_pretty_version"), "Windows 99");
    assert_string_equal(sal_json_str(doc, "cpu_arch"), "arm64-v8a");
    assert_string_equal(sal_json_str(doc, "distribution_id"), "us");
    assert_string_equal(json_string_value(sal_json_path(doc, "addons.0")), "id@x (dark):1");
    assert_string_equal(sal_json_str(doc, "moz_crash_reason"),
                        "sanitized--see moz_crash_reason_raw");
    assert_string_equal(sal_json_str(doc, "version"), "3.0b7");
    doc = processed_with(data, "{\"OS\":\"Mac OS X\",\"OSVersion\":\"13.5\"}");
    assert_string_equal(sal_json_str(doc, "os_pretty_version"), "mac 13 5");
    doc = processed_with(data, "{\"OS\":\"Windows NT\",\"OSVersion\":\"6.1\"}");
    assert_string_equal(sal_json_str(doc, "os_pretty_version"), "Windows NT");
}

static void tables_refused(const char *text, const char *why)
{
    sal_process_tables_t *tables;
    sal_error_t err = { .message = "" };

    assert_int_equal(sal_process_tables_load(&tables, file_with(text), pool, &err),
                     SAL_E_MALFORMED);
    if (!strstr(err.message, why)) {
        fail_msg("%s", err.message);
    }
}

static void test_bad_tables(void **state)
{
    (void)state;
    tables_refused("windowz\t1.0\tx\n", "line 1: no such table; tables are windows");
    tables_refused("# x\nwindows\t1.x\ty\n", "line 2: expected windows, MAJOR.MINOR");
    tables_refused("windows\t1.0\n", "line 1: expected");
    tables_refused("symbol-host\texample.com\tyes\n", "line 1: expected symbol-host");
    tables_refused("beta-rename\ta:b\tc\n", "line 1: expected beta-rename");
    tables_refused("distribution\tother\tc\n", "line 1: expected distribution");
    tables_refused("theme\ta\tb\ntheme\ta\tc\n", "line 2: a is there already");
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
    assert_int_equal(sal_fields_check(sal_fields_processed(pool), stub, NULL, NULL, pool), 0);
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
    made = apr_array_make(pool, 64, sizeof(const char *));
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

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < made->nelts; i++) {
        unlink(APR_ARRAY_IDX(made, i, const char *));
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_bad_fields),
        cmocka_unit_test(test_grammar),       cmocka_unit_test(test_conform),
        cmocka_unit_test(test_new_fields),    cmocka_unit_test(test_bad_extra),
        cmocka_unit_test(test_schema_folder), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_bad_tables),    cmocka_unit_test(test_public),
        cmocka_unit_test(test_stub),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
