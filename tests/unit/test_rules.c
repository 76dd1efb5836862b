/*
 * The acceptance cases of the rules: tests/data/rules/NAME.json, one file a rule or a class of
 * cases; their form stands in tests/data/rules/README.md. Besides what a case expects, every
 * document must agree with the field list, and its public part hold nothing protected.
 *
 * RULES_OUT names a folder that gets the document of each case, for tests/peers/compare_rules.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <zlib.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "process/process.h"

#define ID "11111111-2222-4333-8444-555550260102"
#define SUBMITTED "2026-01-02T03:04:06.500000+00:00"
#define NOW "2026-01-03T00:26:40Z"
#define FILES_MAX 100

static apr_pool_t *pool, *p; /* p: of one case */
static sal_siglists_t *lists;
static sal_process_data_t *data;
static const char *folder, *out_folder;
static const char *file_name, *case_name;
static int bad;

static void complain(const char *what, const char *name, const json_t *got)
{
    char *text = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

    bad++;
    fprintf(stderr, "%s: %s: %s %s%s%.600s\n", file_name, case_name, what, name,
            text ? ", got " : "", text ? text : "");
    free(text);
}

/* ---- what a case may abbreviate ---- */

/* {"$frames": N}: a stack of N frames. {"$spaces": N}: a text of N blanks. {"$x": N}: of x. */
static json_t *abbreviated(const char *key, json_int_t n)
{
    json_t *out = json_array();
    char *text;

    if (!strcmp(key, "$frames")) {
        for (json_int_t i = 0; i < n; i++) {
            json_array_append_new(out, json_pack("{s:I}", "frame", i));
        }
        return out;
    }
    json_decref(out);
    if (strcmp(key, "$spaces") && strcmp(key, "$x")) {
        return NULL;
    }
    text = malloc((size_t)n);
    memset(text, key[1] == 'x' ? 'x' : ' ', (size_t)n);
    out = json_stringn_nocheck(text, (size_t)n);
    free(text);
    return out;
}

/* A copy of a value with abbreviations written out. */
static json_t *expand(const json_t *v)
{
    json_t *out, *member;
    const char *key;
    size_t i;

    if (json_is_array(v)) {
        out = json_array();
        json_array_foreach((json_t *)v, i, member)
        {
            json_array_append_new(out, expand(member));
        }
        return out;
    }
    if (!json_is_object(v)) {
        return json_deep_copy(v);
    }
    out = json_object();
    json_object_foreach((json_t *)v, key, member)
    {
        json_t *full = *key == '$' ? abbreviated(key, json_integer_value(member)) : NULL;

        if (full) {
            json_decref(out);
            return full;
        }
        json_object_set_new(out, key, expand(member));
    }
    return out;
}

static const json_t *member_of(const json_t *v, const char *name)
{
    return sal_json_own(expand(json_object_get(v, name)), p);
}

/* ---- a crash in memory, a walker and a server that say what the case says ---- */

typedef struct fake_t {
    const json_t *test, *dumps;
    json_t *seen; /* raw crash the walker got */
    sal_metrics_t *metrics;
} fake_t;

static sal_span_t gzip(const char *text, size_t size)
{
    size_t cap = compressBound(size) + 100;
    unsigned char *out = apr_palloc(p, cap);
    z_stream z = {
        .next_in = (Bytef *)text, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)cap
    };

    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return (sal_span_t){ out, z.total_out, 0 };
}

/* A dump is a text, {"gzip": text or JSON}, the same cut ("cut": bytes left), or damaged. */
static apr_status_t fake_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                              apr_pool_t *pp, sal_error_t *err)
{
    const json_t *dump = json_object_get(((fake_t *)baton)->dumps, name), *in;
    const json_t *cut = json_object_get(dump, "cut");
    const char *text;

    (void)max, (void)pp;
    if (json_object_get(dump, "damaged")) {
        return sal_fail(err, SAL_E_MALFORMED, "checksum differs");
    }
    if ((in = json_object_get(dump, "gzip"))) {
        text = json_is_string(in) ? json_string_value(in) : sal_json_text(in, p);
        *out = gzip(text, json_is_string(in) ? json_string_length(in) : strlen(text));
        out->size = cut ? (size_t)json_integer_value(cut) : out->size;
        return APR_SUCCESS;
    }
    *out = (sal_span_t){ (const uint8_t *)json_string_value(dump), json_string_length(dump), 0 };
    return APR_SUCCESS;
}

/* stub.stackwalker: {"json": output, "rc", "timeout", "log", "not_json"}. */
static apr_status_t fake_walk(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                              void *baton, apr_pool_t *pp, sal_error_t *err)
{
    fake_t *fake = baton;
    const json_t *walk = sal_json_path(fake->test, "stub.stackwalker");
    json_t *doc = json_object_get(walk, "json");

    (void)pp, (void)err;
    assert_true(dump.size > 0);
    json_decref(fake->seen);
    fake->seen = json_deep_copy(raw);
    *out = (sal_walk_result_t){
        .doc = doc ? expand(doc) : NULL,
        .not_json = sal_json_str(walk, "not_json"),
        .exit_code = (int)json_integer_value(json_object_get(walk, "rc")),
        .timed_out = json_is_true(json_object_get(walk, "timeout")),
        .log = sal_json_str(walk, "log") ? sal_json_str(walk, "log") : "",
    };
    if (json_is_object(out->doc) && !json_object_get(out->doc, "status")) {
        json_object_set_new(out->doc, "status", json_string("OK"));
    }
    return APR_SUCCESS;
}

/* stub.versions: {"PRODUCT:CHANNEL:BUILD": version}. */
static const char *fake_version(const char *product, const char *channel, const char *build,
                                void *baton, apr_pool_t *pp)
{
    const json_t *versions = sal_json_path(((fake_t *)baton)->test, "stub.versions");

    return sal_json_str(versions, apr_pstrcat(pp, product, ":", channel, ":", build, NULL));
}

static json_t *raw_of(const json_t *test)
{
    const char *base = sal_json_str(test, "base"), *key;
    json_t *raw = base && !strcmp(base, "none")
                      ? json_object()
                      : json_pack("{s:s,s:s}", "uuid", ID, "submitted_timestamp", SUBMITTED);
    json_t *given = (json_t *)member_of(test, "raw_crash"), *value;

    json_object_foreach(given, key, value)
    {
        json_object_setn(raw, key, strlen(key), value);
    }
    /* names that hold U+0000 are lists of codes: [[65, 0], value] */
    for (size_t i = 0; i < json_array_size(json_object_get(test, "nul_keys")); i++) {
        const json_t *pair = json_array_get(json_object_get(test, "nul_keys"), i);
        const json_t *name = json_array_get(pair, 0);

        json_object_setn_nocheck(raw, json_string_value(name), json_string_length(name),
                                 json_array_get(pair, 1));
    }
    return sal_json_own(raw, p);
}

static json_t *run(fake_t *fake, apr_status_t *rv)
{
    const char *ruleset = sal_json_str(fake->test, "ruleset");
    const char *when = sal_json_str(fake->test, "now");
    const char **names = apr_pcalloc(p, (json_object_size(fake->dumps) + 1) * sizeof(*names));
    sal_process_source_t source = { .dump = fake_dump, .baton = fake, .dumps = names };
    sal_process_opts_t opts = { .siglists = lists,
                                .walk = fake_walk,
                                .walk_baton = fake,
                                .host = "unit",
                                .fields = data->processed,
                                .tables = data->tables,
                                .version = fake_version,
                                .version_baton = fake,
                                .metric = sal_metrics_add,
                                .metric_baton = fake->metrics };
    sal_error_t err = { .message = "" };
    json_t *doc = NULL, *value;
    const char *key;
    size_t n = 0;

    json_object_foreach((json_t *)fake->dumps, key, value)
    {
        names[n++] = key;
    }
    assert_true(sal_time_parse(when ? when : NOW, &opts.now));
    opts.safe_mode = json_is_true(json_object_get(fake->test, "safe_mode"));
    source.raw = raw_of(fake->test);
    *rv = sal_process_source(&doc, &source, ruleset ? ruleset : "default",
                             member_of(fake->test, "processed_crash"), &opts, p, &err);
    return sal_json_own(doc, p);
}

/* ---- what a case expects ---- */

static void check_set(const json_t *doc, const json_t *set)
{
    json_t *want;
    const char *name;

    json_object_foreach((json_t *)set, name, want)
    {
        const json_t *got = sal_json_path(doc, name);

        if (!json_equal(got, want)) {
            complain("field", name, got);
        }
    }
}

static void check_absent(const json_t *doc, const json_t *absent)
{
    json_t *v;
    size_t i;

    json_array_foreach(absent, i, v)
    {
        const json_t *got = sal_json_path(doc, json_string_value(v));

        if (got) {
            complain("unwanted field", json_string_value(v), got);
        }
    }
}

/* Each note is a whole line (or more); they come in this order. */
static void check_notes(const json_t *doc, const json_t *notes)
{
    const char *all = sal_json_str(doc, "processor_notes"), *from = all;
    json_t *v;
    size_t i;

    json_array_foreach(notes, i, v)
    {
        const char *note = json_string_value(v), *at = strstr(from, note);
        size_t len = strlen(note);

        while (at && ((at > all && at[-1] != '\n') || (at[len] && at[len] != '\n'))) {
            at = strstr(at + 1, note);
        }
        if (!at) {
            complain("note", note, json_object_get(doc, "processor_notes"));
        } else {
            from = at + len;
        }
    }
}

static void check_no_notes(const json_t *doc, const json_t *notes)
{
    json_t *v;
    size_t i;

    json_array_foreach(notes, i, v)
    {
        if (strstr(sal_json_str(doc, "processor_notes"), json_string_value(v))) {
            complain("unwanted note", json_string_value(v),
                     json_object_get(doc, "processor_notes"));
        }
    }
}

/* "name", "name label", with " = N" behind it for the last or summed value. */
static bool has_metric(const sal_metrics_t *table, const char *want)
{
    sal_metric_t m;

    for (size_t i = 0; sal_metrics_get(table, i, &m); i++) {
        const char *name = apr_pstrcat(p, m.name, *m.label ? " " : "", m.label, NULL);

        if (!strcmp(name, want) ||
            !strcmp(want,
                    apr_psprintf(p, "%s = %" APR_INT64_T_FMT, name,
                                 (apr_int64_t)(m.kind == SAL_METRIC_GAUGE ? m.last : m.sum)))) {
            return true;
        }
    }
    return false;
}

static void check_metrics(const sal_metrics_t *table, const json_t *expect)
{
    json_t *v;
    size_t i;

    json_array_foreach(json_object_get(expect, "metrics"), i, v)
    {
        if (!has_metric(table, json_string_value(v))) {
            complain("metric", json_string_value(v), NULL);
        }
    }
    json_array_foreach(json_object_get(expect, "no_metrics"), i, v)
    {
        if (has_metric(table, json_string_value(v))) {
            complain("unwanted metric", json_string_value(v), NULL);
        }
    }
}

/* ---- what every document must be ---- */

static void tell_fault(const char *path, const char *what, void *baton)
{
    (void)baton;
    complain("schema", apr_pstrcat(p, path, " ", what, NULL), NULL);
}

static void check_schema(const json_t *doc)
{
    sal_error_t err = { .message = "" };
    json_t *public, *kept = NULL, *value;
    const char *key;

    sal_fields_check(data->processed, doc, tell_fault, NULL, p);
    if (strstr(sal_json_str(doc, "processor_notes"), "Processor: left out ") &&
        !strstr(case_name, "hostile")) {
        complain("the pipeline had to mend", "its document",
                 json_object_get(doc, "processor_notes"));
    }
    if (sal_fields_reduce(&kept, data->processed, doc, &err) != APR_SUCCESS) {
        complain("reduction", err.message, NULL);
        return;
    }
    public = sal_fields_public(data->processed, doc);
    if (!json_equal(kept, public)) {
        complain("the two reductions", "differ", NULL);
    }
    json_object_foreach(public, key, value)
    {
        if (!sal_fields_find(data->processed, key)->is_public) {
            complain("protected field is shown:", key, value);
        }
    }
    json_decref(public);
    json_decref(kept);
}

static void write_out(const json_t *doc, size_t number)
{
    json_t *test = NULL;

    if (out_folder) {
        test = json_pack("{s:s,s:O}", "name", case_name, "doc", doc);
        json_dump_file(
            test, apr_psprintf(p, "%s/%s.%" APR_SIZE_T_FMT ".json", out_folder, file_name, number),
            JSON_SORT_KEYS);
        json_decref(test);
    }
}

static void run_case(const json_t *test, size_t number)
{
    const json_t *expect = json_object_get(test, "expect");
    fake_t fake = { .test = test,
                    .dumps = member_of(test, "dumps"),
                    .metrics = sal_metrics_at(apr_pcalloc(p, sal_metrics_size())) };
    apr_status_t rv;
    json_t *doc = run(&fake, &rv), *want;
    const char *key;

    if (rv != APR_SUCCESS) {
        complain("the pass", "failed", NULL);
        return;
    }
    check_set(doc, json_object_get(expect, "set"));
    check_absent(doc, json_object_get(expect, "absent"));
    check_notes(doc, json_object_get(expect, "notes"));
    check_no_notes(doc, json_object_get(expect, "no_notes"));
    check_metrics(fake.metrics, expect);
    json_object_foreach(json_object_get(expect, "raw_crash"), key, want)
    {
        if (!json_equal(json_object_get(fake.seen, key), want)) {
            complain("the walker saw", key, json_object_get(fake.seen, key));
        }
    }
    check_schema(doc);
    write_out(doc, number);
    json_decref(fake.seen);
}

/* ---- files ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t list_files(const char **files)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t n = 0;

    while (dir && (entry = readdir(dir)) && n < FILES_MAX) {
        size_t len = strlen(entry->d_name);

        if (len > 5 && !strcmp(entry->d_name + len - 5, ".json")) {
            files[n++] = apr_pstrmemdup(pool, entry->d_name, len - 5);
        }
    }
    if (dir) {
        closedir(dir);
    }
    qsort(files, n, sizeof(*files), by_name);
    return n;
}

static size_t run_file(const char *name)
{
    json_error_t why;
    json_t *file = json_load_file(apr_pstrcat(pool, folder, "/", name, ".json", NULL),
                                  JSON_ALLOW_NUL, &why),
           *test;
    size_t i = 0;

    if (!file) {
        fail_msg("%s line %d: %s", why.source, why.line, why.text);
    }
    file_name = name;
    json_array_foreach(json_object_get(file, "cases"), i, test)
    {
        case_name = sal_json_str(test, "name");
        apr_pool_create(&p, pool);
        run_case(test, i);
        apr_pool_destroy(p);
    }
    printf("%-44s %4zu\n", sal_json_str(file, "rule"), i);
    json_decref(file);
    return i;
}

static void test_cases(void **state)
{
    const char *files[FILES_MAX];
    size_t n = list_files(files), total = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        total += run_file(files[i]);
    }
    printf("%-44s %4zu\n", "all", total);
    assert_true(total >= 300);
    assert_int_equal(bad, 0);
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
    srcdir = srcdir ? srcdir : ".";
    folder = apr_pstrcat(pool, srcdir, "/tests/data/rules", NULL);
    out_folder = getenv("RULES_OUT");
    sal_log_sink(silent, NULL);
    if (sal_siglists_load(&lists, apr_pstrcat(pool, srcdir, "/conf/siglists", NULL), pool, &err) ||
        sal_process_data_read(&data, NULL, pool, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

    return cmocka_run_group_tests(tests, setup, NULL);
}
