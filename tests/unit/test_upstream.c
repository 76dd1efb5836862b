/*
 * Upstream servers without a network: how they are written down, what counts as a question, what a
 * supplier asks, in which order, and what the cache gives up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "temp_dir.h"
#include "upstream/pipe.h"

#define ID "C3B913878AFB017237A4A08B325905C70"

static apr_pool_t *pool;

/* ---- servers as text ---- */

static void lines_of_servers(void **state)
{
    static const struct {
        const char *text, *url;
        sal_upstream_layout_t layout;
        unsigned ask;
    } good[] = {
        { "https://a.example/try/", "https://a.example/try", SAL_UPSTREAM_TECKEN,
          SAL_UPSTREAM_SYM },
        { "http://a layout=symstore", "http://a", SAL_UPSTREAM_SYMSTORE,
          SAL_UPSTREAM_PDB | SAL_UPSTREAM_PE },
        { "http://a:80\tlayout=debuginfod", "http://a:80", SAL_UPSTREAM_DEBUGINFOD,
          SAL_UPSTREAM_ELF },
        { "http://a ask=sym,pdb layout=breakpad", "http://a", SAL_UPSTREAM_TECKEN,
          SAL_UPSTREAM_SYM | SAL_UPSTREAM_PDB },
        { "http://a ask=all", "http://a", SAL_UPSTREAM_TECKEN, SAL_UPSTREAM_ALL },
    };
    static const char *const bad[] = { "",
                                       "a.example",
                                       "ftp://a",
                                       "http://",
                                       "http:///x",
                                       "http://a/?b",
                                       "http://a/#b",
                                       "http://a/\xc3\xa4",
                                       "http://a layout=",
                                       "http://a ask=",
                                       "http://a ask=,",
                                       "http://a ask=sym;pdb",
                                       "http://a header-file=/nonexistent",
                                       "http://a b" };
    sal_upstream_server_t s;
    sal_error_t err;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(sal_upstream_server_parse(&s, good[i].text, pool, &err), APR_SUCCESS);
        assert_string_equal(s.url, good[i].url);
        assert_int_equal(s.layout, good[i].layout);
        assert_int_equal(s.ask, good[i].ask);
        assert_null(s.header);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.message[0] = '\0';
        assert_int_not_equal(sal_upstream_server_parse(&s, bad[i], pool, &err), APR_SUCCESS);
        assert_true(err.message[0]);
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void headers(void **state)
{
    const char *path = apr_pstrcat(pool, temp_dir, "/header", NULL);
    const char *line = apr_pstrcat(pool, "https://a header-file=", path, NULL);
    sal_upstream_server_t s;

    (void)state;
    write_file(path, "Auth-Token: 0123\r\nmore\n");
    assert_int_equal(sal_upstream_server_parse(&s, line, pool, NULL), APR_SUCCESS);
    assert_string_equal(s.header, "Auth-Token: 0123");
    write_file(path, "0123\n");
    assert_int_equal(sal_upstream_server_parse(&s, line, pool, NULL), APR_EINVAL);
    write_file(path, "Auth Token: 0123\n");
    assert_int_equal(sal_upstream_server_parse(&s, line, pool, NULL), APR_EINVAL);
}

static void kinds_of_leaves(void **state)
{
    (void)state;
    assert_int_equal(sal_upstream_kind_of("xul.sym"), SAL_UPSTREAM_SYM);
    assert_int_equal(sal_upstream_kind_of("xul.PDB"), SAL_UPSTREAM_PDB);
    assert_int_equal(sal_upstream_kind_of("xul.pd_"), SAL_UPSTREAM_PDB);
    assert_int_equal(sal_upstream_kind_of("xul.dll"), SAL_UPSTREAM_PE);
    assert_int_equal(sal_upstream_kind_of("a.so.dbg.gz"), SAL_UPSTREAM_OTHER);
    assert_int_equal(sal_upstream_kind_of("sym"), SAL_UPSTREAM_OTHER);
}

/* ---- questions ---- */

static bool ok(const char *line, bool with_server)
{
    return sal_upstream_question_ok(line, strlen(line), with_server);
}

static void questions(void **state)
{
    static const char *const bad[] = {
        "",
        "sym",
        "sym\t\ta.so\t" ID "\t",
        "sym\t\ta.so\t" ID "\t\t\t",
        "sym\t\t\t" ID "\t\t",
        "sym\t\ta.so\t\t\t",
        "sym\t\t..\t" ID "\t\t",
        "sym\t\ta/b\t" ID "\t\t",
        "sym\t\ta\\b\t" ID "\t\t",
        "sym\t\ta\nb\t" ID "\t\t",
        "sym\t\ta.so\t../x\t\t",
        "sym\t\ta.so\t" ID "\ta/b\t",
        "sym\t\ta.so\t" ID "\t\tx",
        "id\t\t\t\ta.exe\t",
        "id\t\t\t\t\tabc",
        "get\t\ta.so\t" ID "\t\t",
        "symx\t\ta.so\t" ID "\t\t",
        "sym\t\ta\xff.so\t" ID "\t\t",
    };
    char *long_name = apr_pcalloc(pool, 6000);

    (void)state;
    assert_true(ok("sym\t\ta.so\t" ID "\t\t", false));
    assert_true(ok("sym\t\ta b+c.so\t" ID "\tA.EXE\t0aF", false));
    assert_true(ok("id\t\t\t\ta.exe\t45D35F6C2D000", false));
    assert_true(ok("sym\thttp://a\ta.so\t" ID "\t\t", true));
    assert_false(
        ok("sym\thttp://a\ta.so\t" ID "\t\t", false)); /* whom to ask is not theirs to say */
    assert_false(ok("sym\thttp://a\x01\ta.so\t" ID "\t\t", true));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(ok(bad[i], false));
        assert_false(ok(bad[i], true));
    }
    assert_false(sal_upstream_question_ok("sym\t\ta\0b\t" ID "\t\t", 40, false));
    memset(long_name, 'a', 5999);
    assert_false(ok(apr_pstrcat(pool, "sym\t\t", long_name, "\t" ID "\t\t", NULL), false));
}

/* ---- a supplier with servers ---- */

typedef struct fake_t {
    int asked[2], identified;
    apr_status_t answer; /* of the first server */
    const char *path;
    sal_sym_module_t last;
} fake_t;

static apr_status_t fake_get(const char **path, const char *server, const sal_sym_module_t *m,
                             void *baton, apr_pool_t *p, sal_error_t *err)
{
    fake_t *f = baton;
    int second = server && strstr(server, "second") != NULL;

    (void)p;
    f->asked[second]++;
    f->last = *m;
    if (!second && f->answer != APR_SUCCESS) {
        return sal_fail(err, f->answer, "a reason");
    }
    *path = f->path;
    return f->path ? APR_SUCCESS : sal_fail(err, APR_ENOENT, "not found");
}

static apr_status_t fake_identify(const char **debug_file, const char **debug_id,
                                  const char *server, const sal_sym_module_t *m, void *baton,
                                  apr_pool_t *p, sal_error_t *err)
{
    fake_t *f = baton;

    (void)server;
    (void)p;
    f->identified++;
    if (strcmp(m->code_id, "45d35f6c2d000") != 0) {
        return sal_fail(err, APR_ENOENT, "not found");
    }
    *debug_file = "far.pdb";
    *debug_id = ID;
    return APR_SUCCESS;
}

static const char *put_text(const char *name, const char *id, bool of_server)
{
    const char *path = apr_psprintf(pool, "%s/%s.text", temp_dir, name);

    write_file(path, apr_psprintf(pool, "MODULE Linux x86_64 %s %s\nFUNC 10 10 0 f\n%s", id, name,
                                  of_server ? "INFO URL http://a/x\n" : ""));
    return path;
}

static sal_supplier_t *make(const char *symcache, fake_t *f, const char *const *paths)
{
    sal_sym_upstream_t *up = apr_palloc(pool, sizeof(*up));
    sal_supplier_opts_t opts = { .symcache_dir = apr_pstrcat(pool, temp_dir, "/", symcache, NULL),
                                 .paths = paths,
                                 .upstream = up };
    sal_supplier_t *s;

    *up = (sal_sym_upstream_t){ fake_get, fake_identify, f };
    assert_int_equal(sal_supplier_make(&s, &opts, pool, NULL), APR_SUCCESS);
    return s;
}

static sal_sym_ref_t get(sal_supplier_t *s, const char *name, const char *id)
{
    sal_sym_ref_t ref;

    sal_supplier_get(&ref, s, name, id, pool);
    if (ref.entry) {
        sal_supplier_release(s, &ref);
    }
    return ref;
}

static void asked_last(void **state)
{
    fake_t f = { .path = put_text("last.so", ID, true) };
    sal_supplier_t *s = make("c1", &f, NULL);

    (void)state;
    assert_int_equal(get(s, "last.so", ID).state, SAL_SYM_FOUND);
    assert_int_equal(get(s, "last.so", ID).state, SAL_SYM_FOUND);
    assert_int_equal(f.asked[0], 1);
    assert_string_equal(f.last.debug_id, ID);
    unlink(f.path); /* a symcache of a server's text needs neither text nor server */
    s = make("c1", &f, NULL);
    assert_int_equal(get(s, "last.so", ID).state, SAL_SYM_FOUND);
    assert_int_equal(f.asked[0], 1);
}

static void in_their_turn(void **state)
{
    const char *const paths[] = { "http://first", temp_dir, "http://second", NULL };
    fake_t f = { .answer = APR_ENOENT, .path = put_text("turn.so", ID, false) };
    sal_supplier_t *s = make("c2", &f, paths);

    (void)state;
    assert_int_equal(get(s, "turn.so", ID).state, SAL_SYM_FOUND);
    assert_int_equal(f.asked[0], 1);
    assert_int_equal(f.asked[1], 1);
}

static void failures_are_told(void **state)
{
    fake_t f = { .answer = APR_TIMEUP };
    sal_supplier_t *s = make("c3", &f, NULL);
    sal_sym_ref_t ref = get(s, "a.so", ID);

    (void)state;
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_true(ref.unreachable);
    assert_false(ref.pending);
    assert_string_equal(ref.reason, "a reason");
    f.answer = SAL_E_BUSY;
    ref = get(s, "b.so", ID);
    assert_true(ref.unreachable && ref.pending);
    f.answer = APR_ENOENT;
    ref = get(s, "c.so", ID);
    assert_false(ref.unreachable || ref.pending);
    assert_string_equal(ref.reason, "not found");
}

static void other_ids_are_not_used(void **state)
{
    fake_t f = { .path = put_text("wrong.so", "D3B913878AFB017237A4A08B325905C70", true) };
    sal_supplier_t *s = make("c4", &f, NULL);

    (void)state;
    assert_int_equal(get(s, "wrong.so", ID).state, SAL_SYM_CORRUPT);
}

static void known_by_code_id(void **state)
{
    fake_t f = { .path = put_text("far.pdb", ID, true) };
    sal_supplier_t *s = make("c5", &f, NULL);
    sal_sym_module_t m = { .debug_id = "", .code_file = "far.dll", .code_id = "45d35f6c2d000" };
    sal_sym_ref_t ref;

    (void)state;
    sal_supplier_get_module(&ref, s, &m, pool);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    assert_string_equal(ref.debug_file, "far.pdb");
    assert_string_equal(ref.debug_id, ID);
    assert_string_equal(f.last.code_file, "far.dll");
    sal_supplier_release(s, &ref);
    m.code_id = "1";
    sal_supplier_get_module(&ref, s, &m, pool);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_null(ref.debug_id);
    m.debug_file = "far.pdb";
    m.debug_id = ID;
    f.identified = 0;
    sal_supplier_get_module(&ref, s, &m, pool);
    assert_int_equal(f.identified, 0); /* it is known already */
    sal_supplier_release(s, &ref);
}

/* ---- the cache ---- */

static const char *age(const char *cache, const char *name, size_t size, int days)
{
    const char *folder = apr_psprintf(pool, "%s/%s/%s", cache, name, ID);
    const char *path = apr_psprintf(pool, "%s/%s.sym", folder, name);
    struct timespec times[2] = { { .tv_sec = time(NULL) - days * 86400 },
                                 { .tv_sec = time(NULL) - 30 * 86400 } };
    char *text = apr_pcalloc(pool, size + 1);

    memset(text, 'x', size);
    assert_int_equal(sal_dir_make(folder, 0755, 0, pool, NULL), APR_SUCCESS);
    write_file(path, text);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return path;
}

static void the_cache_is_trimmed(void **state)
{
    sal_upstream_server_t server = { "http://127.0.0.1:9", SAL_UPSTREAM_TECKEN, SAL_UPSTREAM_SYM,
                                     NULL };
    const char *cache = apr_pstrcat(pool, temp_dir, "/cache", NULL);
    sal_upstream_opts_t opts = {
        .servers = &server, .n_servers = 1, .cache_dir = cache, .max_disk = 300000
    };
    const char *old = age(cache, "old.so", 120000, 20), *used = age(cache, "used.so", 120000, 1);
    const char *fresh = age(cache, "fresh.so", 120000, 0);
    sal_upstream_t *u;

    (void)state;
    assert_int_equal(sal_upstream_make(&u, &opts, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_upstream_trim(u, pool, NULL), APR_SUCCESS);
    assert_int_not_equal(access(old, F_OK), 0);
    assert_int_equal(access(used, F_OK), 0);
    assert_int_equal(access(fresh, F_OK), 0);
    assert_true(sal_upstream_asks(u, SAL_UPSTREAM_SYM | SAL_UPSTREAM_ELF));
    assert_false(sal_upstream_asks(u, SAL_UPSTREAM_ELF));
    assert_false(sal_upstream_asks(NULL, SAL_UPSTREAM_ALL));
}

/* Made of this host's files: the same order, and locks stay whatever they take. */
static void the_texts_of_this_host_are_trimmed(void **state)
{
    const char *cache = apr_pstrcat(pool, temp_dir, "/local", NULL);
    const char *old = age(cache, "old.so", 120000, 20), *used = age(cache, "used.so", 120000, 1);
    const char *lock = apr_pstrcat(pool, age(cache, "lock.so", 120000, 30), ".lock", NULL);
    const char *fresh = age(cache, "fresh.so", 120000, 0);

    (void)state;
    assert_int_equal(rename(age(cache, "lock.so", 120000, 30), lock), 0);
    assert_int_equal(sal_local_trim(cache, 0, pool, NULL), APR_SUCCESS);
    assert_int_equal(access(old, F_OK), 0);
    assert_int_equal(sal_local_trim(cache, 300000, pool, NULL), APR_SUCCESS);
    assert_int_not_equal(access(old, F_OK), 0);
    assert_int_equal(access(used, F_OK), 0);
    assert_int_equal(access(fresh, F_OK), 0);
    assert_int_equal(sal_local_trim(cache, 1, pool, NULL), APR_SUCCESS);
    assert_int_not_equal(access(used, F_OK), 0);
    assert_int_equal(access(fresh, F_OK), 0); /* in use a moment ago */
    assert_int_equal(access(lock, F_OK), 0);
}

static void names_that_are_never_sent(void **state)
{
    sal_upstream_server_t server = { "http://127.0.0.1:9", SAL_UPSTREAM_TECKEN, SAL_UPSTREAM_ALL,
                                     NULL };
    sal_upstream_opts_t opts = { .servers = &server,
                                 .n_servers = 1,
                                 .cache_dir = apr_pstrcat(pool, temp_dir, "/never", NULL) };
    static const char *const names[] = { "..", "", "a/b", "a\\b", ".salvage", "a\x01", "<x>" };
    static const char *const ids[] = { "", "0", "000000000000000000000000000000000", "xyz",
                                       "../a" };
    sal_upstream_want_t want = { .kind = SAL_UPSTREAM_SYM, .id = ID };
    sal_upstream_got_t got;
    sal_upstream_t *u;

    (void)state;
    assert_int_equal(sal_upstream_make(&u, &opts, pool, NULL), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        want.file = names[i];
        assert_int_equal(sal_upstream_get(&got, u, &want, pool, NULL), APR_EINVAL);
    }
    want.file = "a.so";
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        want.id = ids[i];
        assert_int_equal(sal_upstream_get(&got, u, &want, pool, NULL), APR_EINVAL);
    }
    want.id = ID;
    want.via = "1, 2, 3";
    assert_int_equal(sal_upstream_get(&got, u, &want, pool, NULL), SAL_E_DENIED);
}

static void quiet(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    (void)line;
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(quiet, NULL);
    temp_make(pool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_remove(pool);
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_servers),
        cmocka_unit_test(headers),
        cmocka_unit_test(kinds_of_leaves),
        cmocka_unit_test(questions),
        cmocka_unit_test(asked_last),
        cmocka_unit_test(in_their_turn),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(other_ids_are_not_used),
        cmocka_unit_test(known_by_code_id),
        cmocka_unit_test(the_cache_is_trimmed),
        cmocka_unit_test(the_texts_of_this_host_are_trimmed),
        cmocka_unit_test(names_that_are_never_sent),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
