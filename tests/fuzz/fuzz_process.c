/*
 * The rule engine on input that a stranger shaped: annotations, what a walker that was taken over
 * may have printed, the document of an earlier pass, a memory report. One JSON object holds them:
 * {"raw": {}, "walk": any, "previous": any, "rc": n, "log": text, "report": text, "second": true}.
 *
 * Whatever it is: a pass ends, its document agrees with the field list, the reduction to what is
 * public agrees with itself, and a second pass over the result does not fall over it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <zlib.h>

#include "base/json.h"
#include "base/log.h"
#include "process/process.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

static apr_pool_t *root;
static sal_siglists_t *lists;
static sal_process_data_t *files;

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

/* Compiled expressions are kept by pools, where LeakSanitizer does not look. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* The lists of the tree, wherever this is started from; without them rules have less to do. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *src = getenv("srcdir");

    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&root, NULL);
    sal_log_sink(silent, NULL);
    if (sal_process_data_read(&files, NULL, root, NULL) != APR_SUCCESS) {
        abort();
    }
    if (sal_siglists_load(&lists, apr_pstrcat(root, src ? src : ".", "/conf/siglists", NULL), root,
                          NULL) != APR_SUCCESS &&
        sal_siglists_load(&lists, "/var/empty", root, NULL) != APR_SUCCESS &&
        sal_siglists_load(&lists, "/tmp", root, NULL) != APR_SUCCESS) {
        abort();
    }
    return 0;
}

static apr_status_t fake_walk(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    const json_t *in = baton;
    json_t *doc = json_object_get(in, "walk");
    const char *log = sal_json_str(in, "log");

    (void)dump, (void)raw, (void)p, (void)err;
    *out = (sal_walk_result_t){
        .doc = doc ? json_deep_copy(doc) : NULL,
        .exit_code = (int)(json_integer_value(json_object_get(in, "rc")) % 128),
        .log = log ? log : "",
    };
    return APR_SUCCESS;
}

static apr_status_t fake_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                              apr_pool_t *p, sal_error_t *err)
{
    const json_t *in = baton, *report = json_object_get(in, "report");
    const char *text =
        json_is_string(report) ? json_string_value(report) : sal_json_text(report, p);
    uLongf cap = text ? compressBound(strlen(text)) + 32 : 1;
    Bytef *packed = apr_palloc(p, cap);
    z_stream z = { .next_out = packed, .avail_out = (uInt)cap };

    (void)max, (void)err;
    *out = (sal_span_t){ (const uint8_t *)"x", 1, 0 };
    if (!strcmp(name, "memory_report") && text) {
        z.next_in = (Bytef *)text;
        z.avail_in = (uInt)strlen(text);
        deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
        deflate(&z, Z_FINISH);
        deflateEnd(&z);
        *out = (sal_span_t){ packed, z.total_out, 0 };
    }
    return APR_SUCCESS;
}

static json_t *pass(json_t *in, const json_t *previous, apr_pool_t *p)
{
    static const char *const one[] = { "upload_file_minidump", "memory_report", NULL };
    static const char *const all[] = { "upload_file_minidump", "upload_file_minidump_browser",
                                       "upload_file_minidump_x", "memory_report", NULL };
    sal_process_source_t source = { .raw = json_object_get(in, "raw"),
                                    .dumps = json_object_get(in, "second") ? all : one,
                                    .dump = fake_dump,
                                    .baton = in };
    sal_process_opts_t opts = { .siglists = lists,
                                .walk = fake_walk,
                                .walk_baton = in,
                                .fields = files->processed,
                                .tables = files->tables,
                                .now = apr_time_from_sec(1767400000) };
    json_t *doc = NULL;

    if (sal_process_source(&doc, &source, "default", previous, &opts, p, NULL) != APR_SUCCESS) {
        abort();
    }
    return sal_json_own(doc, p);
}

static void check(const json_t *doc, apr_pool_t *p)
{
    json_t *strict, *shown;

    if (sal_fields_check(files->processed, doc, NULL, NULL, p) != 0 ||
        sal_fields_reduce(&strict, files->processed, doc, NULL) != APR_SUCCESS) {
        abort();
    }
    shown = sal_fields_public(files->processed, doc);
    if (!json_equal(strict, shown) || json_object_get(shown, "url") ||
        json_object_get(shown, "memory_report") || json_object_get(shown, "signature_debug")) {
        abort();
    }
    json_decref(strict);
    json_decref(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    json_t *in, *doc;

    if (size > 1 << 18 || apr_pool_create(&p, root) != APR_SUCCESS) {
        return 0;
    }
    in = sal_json_own(json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL), p);
    if (json_is_object(json_object_get(in, "raw"))) {
        doc = pass(in, json_object_get(in, "previous"), p);
        check(doc, p);
        check(pass(in, doc, p), p);
    }
    apr_pool_destroy(p);
    return 0;
}
