/*
 * Real minidumps against what others read in them: rust-minidump's JSON snapshots and the output of
 * Breakpad's minidump_stackwalk, both beside the dumps in the shared data.
 */
#include "md_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

static apr_pool_t *pool;
static const char *minidumps; /* the folder; NULL: no shared data */

static int setup(void **state)
{
    (void)state;
    return apr_pool_create(&pool, NULL);
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static sal_span_t map(const char *name)
{
    sal_error_t err = { 0 };
    sal_span_t s;

    if (sal_file_map(&s, apr_pstrcat(pool, minidumps, "/", name, NULL), pool, &err)) {
        fail_msg("%s", err.message);
    }
    return s;
}

static sal_minidump_t *open_dump(const char *name)
{
    return md_open_guarded(map(name), pool);
}

/* ---- rust-minidump ---- */

static json_t *snapshot(const char *name)
{
    sal_span_t s = map(apr_pstrcat(pool, "rust-minidump/snapshots/test_minidump_stackwalk__", name,
                                   ".snap", NULL));
    const char *text = apr_pstrmemdup(pool, (const char *)s.data, s.size);
    sal_error_t err = { 0 };
    json_t *doc;

    text = strstr(text + 3, "---\n"); /* behind the header of the snapshot */
    assert_non_null(text);
    if (sal_json_parse(&doc, text + 4, strlen(text + 4), pool, &err)) {
        fail_msg("%s: %s", name, err.message);
    }
    return doc;
}

static uint64_t hex_of(const json_t *obj, const char *key)
{
    const char *text = sal_json_str(obj, key);
    uint64_t v = 0;

    assert_non_null(text);
    assert_true(sal_parse_hex(text + 2, strlen(text + 2), &v));
    return v;
}

static void assert_text(const char *ours, const char *theirs)
{
    assert_int_equal(ours == NULL, theirs == NULL);
    if (theirs) {
        assert_string_equal(ours, theirs);
    }
}

static void same_modules(const sal_minidump_t *md, const json_t *modules)
{
    static const char none[] = "000000000000000000000000000000000";

    assert_int_equal(md->n_modules, json_array_size(modules));
    for (size_t i = 0; i < md->n_modules; i++) {
        const sal_md_module_t *m = &md->modules[i];
        const json_t *o = json_array_get(modules, i);

        assert_true(m->base == hex_of(o, "base_addr"));
        assert_true(m->base + m->size == hex_of(o, "end_addr"));
        assert_string_equal(sal_basename(m->name), sal_json_str(o, "filename"));
        assert_string_equal(m->debug_file ? sal_basename(m->debug_file) : "",
                            sal_json_str(o, "debug_file"));
        assert_string_equal(*m->debug_id ? m->debug_id : none, sal_json_str(o, "debug_id"));
        assert_string_equal(m->code_id, sal_json_str(o, "code_id"));
        assert_text(m->version, sal_json_str(o, "version"));
    }
}

static void same_threads(const sal_minidump_t *md, const json_t *doc)
{
    const json_t *threads = json_object_get(doc, "threads");
    const json_t *crashing = sal_json_path(doc, "crash_info.crashing_thread");

    assert_int_equal(md->n_threads, json_array_size(threads));
    for (size_t i = 0; i < md->n_threads; i++) {
        const json_t *o = json_array_get(threads, i);

        assert_int_equal(md->threads[i].id, json_integer_value(json_object_get(o, "thread_id")));
        assert_text(md->threads[i].name, sal_json_str(o, "thread_name"));
    }
    assert_true(json_is_integer(crashing));
    assert_int_equal(md->threads[json_integer_value(crashing)].id, md->exception.thread_id);
}

/* The registers of the crashing thread's first frame are those of the exception's context. */
static void same_registers(const sal_minidump_t *md, const json_t *doc)
{
    const json_t *frame = json_array_get(sal_json_path(doc, "crashing_thread.frames"), 0);
    json_t *regs = json_object_get(frame, "registers"), *value;
    const sal_cpu_desc_t *cpu = sal_cpu_desc(md->system.cpu);
    sal_regs_t ours;
    const char *name;
    int n = 0;

    assert_int_equal(sal_context_read(&ours, &md->exception.context, md->system.cpu, NULL), 0);
    json_object_foreach(regs, name, value)
    {
        int i = sal_reg_index(cpu, name, strlen(name));

        assert_true(i >= 0);
        assert_true(ours.value[i] == hex_of(regs, name));
        n++;
    }
    assert_int_equal(n, cpu->n_regs);
}

static void check_snapshot(const char *dump, const char *name)
{
    sal_minidump_t *md = open_dump(dump);
    json_t *doc = snapshot(name);
    const json_t *system = json_object_get(doc, "system_info");
    const json_t *maps = json_object_get(doc, "linux_memory_map_count");

    same_modules(md, json_object_get(doc, "modules"));
    same_threads(md, doc);
    same_registers(md, doc);
    assert_int_equal(md->misc.pid, json_integer_value(json_object_get(doc, "pid")));
    assert_string_equal(md->system.os_name, sal_json_str(system, "os"));
    assert_text(md->system.os_version, sal_json_str(system, "os_ver"));
    assert_string_equal(md->system.cpu_name, sal_json_str(system, "cpu_arch"));
    assert_text(md->system.cpu_info, sal_json_str(system, "cpu_info"));
    assert_text(md->system.microcode, sal_json_str(system, "cpu_microcode_version"));
    assert_int_equal(md->system.cpu_count,
                     json_integer_value(json_object_get(system, "cpu_count")));
    assert_int_equal(md->n_unloaded, json_array_size(json_object_get(doc, "unloaded_modules")));
    assert_int_equal(md->has_handles, json_is_array(json_object_get(doc, "handles")));
    assert_int_equal(md->has_linux_maps, json_is_integer(maps));
    assert_int_equal(md->linux_map_count, json_integer_value(maps));
    assert_int_equal(md->bad_records, 0);
    if (md->misc.has_times) {
        assert_int_equal(md->time_date_stamp - md->misc.create_time,
                         json_integer_value(json_object_get(doc, "process_uptime")));
    }
}

static void test_rust_minidump(void **state)
{
    (void)state;
    check_snapshot("rust-minidump/test.dmp", "json-pretty");
    check_snapshot("rust-minidump/linux-mini.dmp", "linux_json_pretty");
    check_snapshot("rust-minidump/pipeline-inlines-macos-segv.dmp", "macos_inlines_json_pretty");
}

/* ---- Breakpad ---- */

enum { FIELDS = 8 };

/* Splits a line at '|'; missing fields are "". */
static void split(char *line, const char *fields[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        char *bar = strchr(line, '|');

        fields[i] = line;
        line = bar ? bar + 1 : line + strlen(line);
        if (bar) {
            *bar = '\0';
        }
    }
}

/* Module|file|version|debug file|debug id|base|last address|main */
static void same_breakpad_module(const sal_minidump_t *md, const char *const f[FIELDS])
{
    uint64_t base, last;
    const sal_md_module_t *m;

    assert_true(sal_parse_hex(f[5] + 2, strlen(f[5] + 2), &base));
    assert_true(sal_parse_hex(f[6] + 2, strlen(f[6] + 2), &last));
    m = sal_minidump_module_at(md, base);
    assert_non_null(m);
    assert_true(m->base == base && m->base + m->size - 1 == last);
    assert_string_equal(sal_basename(m->name), f[1]);
    assert_string_equal(m->version ? m->version : "", f[2]);
    assert_string_equal(m->debug_file ? sal_basename(m->debug_file) : "", f[3]);
    assert_string_equal(m->debug_id, f[4]);
}

static void same_breakpad_line(const sal_minidump_t *md, char *line, size_t *modules)
{
    const char *f[FIELDS];
    int64_t n;

    split(line, f);
    if (!strcmp(f[0], "OS")) {
        assert_string_equal(md->system.os_name, f[1]);
        if (md->system.os != SAL_OS_LINUX || md->system.major) { /* it leaves uname as it is */
            assert_int_equal(strncmp(md->system.os_version, f[2], strlen(md->system.os_version)),
                             0);
        }
    } else if (!strcmp(f[0], "CPU")) {
        assert_string_equal(md->system.cpu_name, f[1]);
        assert_string_equal(md->system.cpu_info, f[2]);
        assert_true(sal_parse_int(f[3], 0, 255, &n) && md->system.cpu_count == n);
    } else if (!strcmp(f[0], "Crash") && *f[3]) {
        assert_true(sal_parse_int(f[3], 0, (int64_t)md->n_threads - 1, &n));
        assert_true(md->exception.present);
        assert_int_equal(md->threads[n].id, md->exception.thread_id);
    } else if (!strcmp(f[0], "Module")) {
        same_breakpad_module(md, f);
        (*modules)++;
    }
}

static void check_breakpad(const char *name)
{
    sal_minidump_t *md = open_dump(apr_pstrcat(pool, "breakpad/", name, ".dmp", NULL));
    sal_span_t s = map(apr_pstrcat(pool, "breakpad/expected/", name, ".machine.out", NULL));
    char *text = apr_pstrmemdup(pool, (const char *)s.data, s.size);
    size_t modules = 0;

    while (*text && *text != '\n') { /* an empty line ends what is not stacks */
        char *end = strchr(text, '\n');

        assert_non_null(end);
        *end = '\0';
        same_breakpad_line(md, text, &modules);
        text = end + 1;
    }
    assert_int_equal(modules, md->n_module_order);
    assert_true(modules > 0);
}

static void test_breakpad(void **state)
{
    static const char ending[] = ".machine.out";
    const char *path = apr_pstrcat(pool, minidumps, "/breakpad/expected", NULL);
    DIR *dir = opendir(path);
    struct dirent *e;
    int n = 0;

    (void)state;
    assert_non_null(dir);
    while ((e = readdir(dir))) {
        size_t len = strlen(e->d_name), tail = sizeof(ending) - 1;

        if (len > tail && !strcmp(e->d_name + len - tail, ending)) {
            check_breakpad(apr_pstrmemdup(pool, e->d_name, len - tail));
            n++;
        }
    }
    closedir(dir);
    assert_true(n >= 20);
}

/* No peer's output beside the dump has them: read off its bytes by hand. */
static void test_thread_names(void **state)
{
    static const struct {
        uint32_t id;
        const char *name;
    } names[] = { { 6564, "main thread" }, { 8820, "sleep thread" }, { 10976, "overflow thread" } };
    sal_minidump_t *md = open_dump("breakpad/thread_name_list.dmp");
    size_t named = 0, found = 0;

    (void)state;
    for (size_t i = 0; i < md->n_threads; i++) {
        named += md->threads[i].name != NULL;
        for (size_t k = 0; k < 3; k++) {
            if (md->threads[i].id == names[k].id) {
                assert_string_equal(md->threads[i].name, names[k].name);
                found++;
            }
        }
    }
    assert_int_equal(found, 3);
    assert_int_equal(named, 3);
}

/* ---- the rest ---- */

static void test_odd_ones(void **state)
{
    sal_minidump_t *md;
    const char *texts[] = { "breakpad/microdump-arm.dmp", "breakpad/microdump-mips64.dmp",
                            "breakpad/microdump-withcrashreason.dmp" };

    (void)state;
    for (int i = 0; i < 3; i++) { /* text */
        md = open_dump(texts[i]);
        assert_true(md->microdump.present && md->n_threads == 1 && md->n_streams == 0);
    }
    md = open_dump("rust-minidump/invalid-range.dmp");
    assert_false(md->system.present && md->has_thread_list);
    md = open_dump("rust-minidump/invalid-record-count.dmp");
    assert_false(md->system.present && md->has_thread_list);
    md = open_dump("rust-minidump/invalid-parameter.dmp");
    assert_true(md->assertion.present);
    assert_int_equal(md->assertion.type, 1);
    md = open_dump("rust-minidump/simple-crashpad.dmp");
    assert_true(md->crashpad.present);
    assert_int_equal(md->bad_records, 0);
    assert_true(md->crashpad.n_simple + md->crashpad.n_modules > 0);
}

static const char *shared_data(apr_pool_t *p)
{
    const char *shared = getenv("SALVAGE_SHARED"), *src = getenv("srcdir");

    shared = shared ? shared : apr_pstrcat(p, src ? src : ".", "/../shared", NULL);
    return apr_pstrcat(p, shared, "/data/minidumps", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rust_minidump, setup, teardown),
        cmocka_unit_test_setup_teardown(test_breakpad, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_ones, setup, teardown),
    };
    apr_pool_t *p;
    DIR *dir;

    apr_initialize();
    apr_pool_create(&p, NULL);
    minidumps = shared_data(p);
    dir = opendir(minidumps);
    if (!dir) {
        fprintf(stderr, "SKIPPED LOUDLY: no minidumps at %s; set SALVAGE_SHARED\n", minidumps);
        return 77;
    }
    closedir(dir);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
