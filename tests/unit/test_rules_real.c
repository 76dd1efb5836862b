/*
 * Documents of real dumps: each dump of tests/data/crashes and of the shared data goes through the
 * walker and the pipeline, as main dump, as second dumps, and with annotations; the document must
 * hold what the field list names, of the types it says, and nothing else.
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
#include "analysis/stackwalk.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "process/process.h"

#define ID "11111111-2222-4333-8444-555550260102"

static apr_pool_t *pool, *p; /* p: of one dump */
static sal_siglists_t *lists;
static sal_process_data_t *data;
static const char *dump_name;
static int bad, walked, stacks;

static apr_status_t map_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                             apr_pool_t *pp, sal_error_t *err)
{
    (void)name, (void)max;
    return sal_file_map(out, baton, pp, err);
}

static apr_status_t walk_here(sal_walk_result_t *out, sal_span_t dump, const json_t *raw,
                              void *baton, apr_pool_t *pp, sal_error_t *err)
{
    sal_stackwalk_opts_t opts = { .extra = raw };
    sal_error_t why = { .message = "" };

    (void)baton, (void)err;
    *out = (sal_walk_result_t){ .log = "" };
    if (sal_stackwalk_bytes(&out->doc, dump, &opts, pp, &why) != APR_SUCCESS) {
        out->exit_code = 1;
        out->log = apr_pstrcat(pp, "ERROR ", why.message, NULL);
    }
    return APR_SUCCESS;
}

static void tell(const char *path, const char *what, void *baton)
{
    (void)baton;
    bad++;
    fprintf(stderr, "%s: %s %s\n", dump_name, path, what);
}

static json_t *process(const char *path)
{
    static const char *const names[] = { "upload_file_minidump", "upload_file_minidump_browser",
                                         "upload_file_minidump_gpu", NULL };
    json_t *raw = json_pack("{s:s,s:s,s:s,s:s,s:{s:[s]}}", "uuid", ID, "submitted_timestamp",
                            "2026-01-02T03:04:06+00:00", "ProductName", "Firefox", "Version", "1.0",
                            "ModuleSignatureInfo", "Somebody", "test.exe");
    sal_process_source_t source = {
        .raw = sal_json_own(raw, p), .dumps = names, .dump = map_dump, .baton = (void *)path
    };
    sal_process_opts_t opts = { .siglists = lists,
                                .walk = walk_here,
                                .host = "unit",
                                .fields = data->processed,
                                .tables = data->tables,
                                .now = apr_time_from_sec(1767400000) };
    json_t *doc = NULL;

    assert_int_equal(sal_process_source(&doc, &source, "default", NULL, &opts, p, NULL),
                     APR_SUCCESS);
    return sal_json_own(doc, p);
}

static bool holds(const json_t *v, const char *name)
{
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach((json_t *)v, key, member)
    {
        if (!strcmp(key, name) || holds(member, name)) {
            return true;
        }
    }
    json_array_foreach(v, i, member)
    {
        if (holds(member, name)) {
            return true;
        }
    }
    return false;
}

/* What the reduction must have taken, wherever it was. */
static void check_public(const json_t *doc)
{
    static const char *const secret[] = {
        "registers",   "is_likely_guard_page", "mac_boot_args",   "soft_errors",       "handles",
        "mdsw_stderr", "mdsw_return_code",     "signature_debug", "collector_metadata"
    };
    sal_error_t err = { .message = "" };
    json_t *shown;

    if (sal_fields_reduce(&shown, data->processed, doc, &err) != APR_SUCCESS) {
        tell("reduction", err.message, NULL);
        return;
    }
    sal_json_own(shown, p);
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        if (holds(shown, secret[i])) {
            tell(secret[i], "is shown to everybody", NULL);
        }
    }
    /* the rest is still there */
    if (json_array_size(sal_json_path(doc, "json_dump.threads")) !=
        json_array_size(sal_json_path(shown, "json_dump.threads"))) {
        tell("json_dump.threads", "lost in the reduction", NULL);
    }
}

static void check_dump(const char *path)
{
    json_t *doc;

    apr_pool_create(&p, pool);
    dump_name = path;
    doc = process(path);
    walked++;
    stacks += json_array_size(sal_json_path(doc, "json_dump.threads")) > 0;
    sal_fields_check(data->processed, doc, tell, NULL, p);
    if (strstr(sal_json_str(doc, "processor_notes"), "Processor: left out")) {
        tell("notes", sal_json_str(doc, "processor_notes"), NULL);
    }
    check_public(doc);
    apr_pool_destroy(p);
}

static void check_folder(const char *folder, int depth)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        const char *path = apr_pstrcat(pool, folder, "/", entry->d_name, NULL);
        size_t len = strlen(path);

        if (entry->d_name[0] == '.') {
            continue;
        }
        if (depth && entry->d_type == DT_DIR) {
            check_folder(path, depth - 1);
        } else if (len > 4 && !strcmp(path + len - 4, ".dmp")) {
            check_dump(path);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

static void test_own_dumps(void **state)
{
    const char *src = getenv("srcdir");

    (void)state;
    walked = stacks = bad = 0;
    check_folder(apr_pstrcat(pool, src ? src : ".", "/tests/data/crashes", NULL), 0);
    printf("%d dumps, %d with stacks\n", walked, stacks);
    assert_true(stacks >= 3);
    assert_int_equal(bad, 0);
}

static void test_shared_dumps(void **state)
{
    const char *shared = getenv("SALVAGE_SHARED"), *src = getenv("srcdir");

    (void)state;
    if (!shared) {
        shared = apr_pstrcat(pool, src ? src : ".", "/../shared", NULL);
    }
    walked = stacks = bad = 0;
    check_folder(apr_pstrcat(pool, shared, "/data/minidumps", NULL), 3);
    if (!walked) {
        fprintf(stderr, "SKIPPED LOUDLY: no minidumps at %s/data; set SALVAGE_SHARED\n", shared);
        skip();
    }
    printf("%d dumps, %d with stacks\n", walked, stacks);
    assert_true(stacks > walked / 2);
    assert_int_equal(bad, 0);
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

static int setup(void **state)
{
    const char *src = getenv("srcdir");

    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(silent, NULL);
    return sal_siglists_load(&lists, apr_pstrcat(pool, src ? src : ".", "/conf/siglists", NULL),
                             pool, NULL) ||
           sal_process_data_read(&data, NULL, pool, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_dumps),
        cmocka_unit_test(test_shared_dumps),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
