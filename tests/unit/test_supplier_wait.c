/*
 * The supplier for who cannot wait: builds in threads, their turns, what is ready at once, and
 * symcaches of few addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_time.h>
#include "supplier_room.h"
#include "symbols/supplier.h"

static apr_pool_t *pool;

/* Takes the lock that builders of a module's symcache take, in `cache`; a descriptor. */
static int hold_builders(const char *cache, const char *name)
{
    glob_t g = { 0 };
    sal_supplier_t *s;
    sal_sym_ref_t ref;
    apr_pool_t *p;
    int fd;

    apr_pool_create(&p, pool);
    s = make(cache, 0, p); /* builds once, so that the lock is there */
    sal_supplier_get(&ref, s, name, ID, p);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
    assert_int_equal(glob(apr_psprintf(pool, "%s/v*/*/%s/*.symx.lock", cache, name), 0, NULL, &g),
                     0);
    fd = open(g.gl_pathv[0], O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    *strrchr(g.gl_pathv[0], '.') = '\0';
    assert_int_equal(unlink(g.gl_pathv[0]), 0);
    globfree(&g);
    return fd;
}

/* Waiting ends when it shall; the build goes on, and one call is told of it. */
static void waiting_has_an_end(void **state)
{
    sal_sym_module_t module = { .debug_file = "slow.so", .debug_id = ID };
    apr_time_t begun;
    sal_sym_ref_t ref;
    sal_supplier_t *s;
    apr_pool_t *p;
    int fd;

    (void)state;
    put_symbols("slow.so", ID, "slow", 100);
    fd = hold_builders(in_dir("cache11"), "slow.so");
    apr_pool_create(&p, pool);
    s = make(in_dir("cache11"), 0, p);
    for (int ms = 0; ms <= 200; ms += 100) {
        begun = apr_time_now();
        sal_supplier_get_until(&ref, s, &module, begun + apr_time_from_msec(ms) + 1, p);
        assert_int_equal(ref.state, SAL_SYM_MISSING);
        assert_true(ref.pending);
        assert_false(ref.unreachable);
        assert_non_null(ref.reason);
        assert_in_range(apr_time_now() - begun, ms * 1000, ms * 1000 + 2000000);
        sal_supplier_release(s, &ref);
    }
    flock(fd, LOCK_UN);
    sal_supplier_get_until(&ref, s, &module, apr_time_now() + apr_time_from_sec(30), p);
    assert_string_equal(first_function(&ref), "slow_0");
    assert_true(ref.built);
    assert_true(ref.parsing >= apr_time_from_msec(200));
    assert_false(ref.pending || ref.part);
    sal_supplier_release(s, &ref);
    sal_supplier_get_until(&ref, s, &module, apr_time_now() + 1,
                           p); /* mapped: nothing to wait for */
    assert_string_equal(first_function(&ref), "slow_0");
    assert_false(ref.built);
    assert_int_equal(ref.parsing, 0);
    sal_supplier_release(s, &ref);
    module.debug_file = "absent.so"; /* not being there is soon known */
    sal_supplier_get_until(&ref, s, &module, apr_time_now() + apr_time_from_sec(30), p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_false(ref.pending);
    apr_pool_destroy(p);
    close(fd);
}

static void same_answers(const sal_sym_ref_t *part, const sal_sym_ref_t *whole, uint64_t offset)
{
    sal_sym_hit_t a = { 0 }, b = { 0 };
    bool found = sal_symcache_lookup(whole->cache, offset, &b, NULL, 0);

    assert_int_equal(sal_symcache_lookup(part->cache, offset, &a, NULL, 0), found);
    assert_int_equal(a.outer.function.len, b.outer.function.len);
    assert_memory_equal(a.outer.function.s ? a.outer.function.s : "",
                        b.outer.function.s ? b.outer.function.s : "", a.outer.function.len);
    assert_int_equal(a.outer.line, b.outer.line);
    assert_int_equal(a.function_offset, b.function_offset);
    assert_int_equal(a.function_size, b.function_size);
}

/* Few addresses of a module that another builds: the same answers, of a file that nobody sees. */
static void part_of_a_module(void **state)
{
    static const uint64_t offsets[] = { 0,      0xfff,  0x1000, 0x1009,
                                        0x1010, 0x163f, 0x1640, UINT64_C(0x100001000) };
    enum { N = sizeof(offsets) / sizeof(offsets[0]) };
    sal_sym_module_t module = { .debug_file = "part.so", .debug_id = ID };
    sal_supplier_stats_t stats, after;
    sal_sym_ref_t part, whole;
    sal_supplier_t *s;
    apr_pool_t *p;
    int fd;

    (void)state;
    put_symbols("part.so", ID, "part", 100);
    fd = hold_builders(in_dir("cache12"), "part.so");
    apr_pool_create(&p, pool);
    s = make(in_dir("cache12"), 0, p);
    sal_supplier_get_until(&part, s, &module, apr_time_now() + 1, p);
    assert_true(part.pending);
    sal_supplier_get_part(&part, s, &module, offsets, N, p);
    assert_int_equal(part.state, SAL_SYM_FOUND);
    assert_true(part.part);
    assert_false(part.pending || part.built);
    assert_true(part.parsing > 0);
    assert_string_equal(first_function(&part), "part_0");
    assert_int_equal(count_files("cache12/part.*"), 0);
    assert_int_equal(count_files("cache12/v*/*/*/*.symx"), 0);
    flock(fd, LOCK_UN);
    sal_supplier_get_until(&whole, s, &module, apr_time_now() + apr_time_from_sec(30), p);
    assert_int_equal(whole.state, SAL_SYM_FOUND);
    for (size_t i = 0; i < N; i++) {
        same_answers(&part, &whole, offsets[i]);
    }
    sal_supplier_release(s, &whole);
    sal_supplier_stats(s, &stats);
    assert_int_equal(stats.entries, 1); /* a part is none of them, but it counts as mapped */
    sal_supplier_release(s, &part);
    sal_supplier_stats(s, &after);
    assert_in_range(after.mapped_bytes, 1, stats.mapped_bytes - 1);
    apr_pool_destroy(p);
    close(fd);
}

/* What a part cannot be made of: no text leaves things as they were, a bad one is told. */
static void part_of_nothing(void **state)
{
    static const uint64_t offset = 0x1000;
    sal_sym_module_t module = { .debug_file = "nothing.so", .debug_id = ID };
    sal_sym_ref_t ref = { .state = SAL_SYM_MISSING, .pending = true, .reason = "as it was" };
    sal_supplier_t *s;
    apr_pool_t *p;
    FILE *f;

    (void)state;
    apr_pool_create(&p, pool);
    s = make(in_dir("cache13"), 0, p);
    sal_supplier_get_part(&ref, s, &module, &offset, 1, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_true(ref.pending);
    assert_string_equal(ref.reason, "as it was");
    f = fopen(put_symbols("nothing.so", ID, "f", 1), "w");
    fprintf(f, "<html>no symbols today</html>\n");
    fclose(f);
    sal_supplier_get_part(&ref, s, &module, &offset, 1, p);
    assert_int_equal(ref.state, SAL_SYM_CORRUPT);
    assert_false(ref.pending);
    assert_null(ref.cache);
    assert_int_equal(count_files("cache13/part.*"), 0);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
}

/* Takes every turn that threads take for a build, in `cache`; how many. */
static int hold_turns(int *fds, int max, const char *cache)
{
    long turns = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    int n = 0;

    for (turns = turns > 1 ? turns : 1; n < turns && n < max; n++) {
        fds[n] = open(apr_psprintf(pool, "%s/build.%d.lock", cache, n),
                      O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fds[n] >= 0);
        assert_int_equal(flock(fds[n], LOCK_EX), 0);
    }
    return n;
}

/*
 * Threads of all processes build in turns. What is built already needs none, nor does who waits as
 * long as it takes.
 */
static void builds_in_threads_take_turns(void **state)
{
    sal_sym_module_t there = { .debug_file = "there.so", .debug_id = ID };
    sal_sym_module_t fresh = { .debug_file = "fresh.so", .debug_id = ID };
    sal_sym_ref_t ref;
    sal_supplier_t *s;
    apr_pool_t *p;
    int fds[512], n;

    (void)state;
    put_symbols("there.so", ID, "there", 100);
    put_symbols("fresh.so", ID, "fresh", 100);
    put_symbols("patient.so", ID, "patient", 100);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache15"), 0, p);
    sal_supplier_get(&ref, s, "there.so", ID, p);
    assert_true(ref.built);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);

    n = hold_turns(fds, 512, in_dir("cache15"));
    apr_pool_create(&p, pool);
    s = make(in_dir("cache15"), 0, p);
    sal_supplier_get_until(&ref, s, &fresh, apr_time_now() + apr_time_from_msec(100), p);
    assert_true(ref.pending);
    assert_int_equal(count_files("cache15/v*/*/fresh.so/*.symx"), 0);
    sal_supplier_get_until(&ref, s, &there, 1, p); /* a time long ago: not a moment */
    assert_string_equal(first_function(&ref), "there_0");
    assert_false(ref.built);
    sal_supplier_release(s, &ref);
    there.debug_file = "absent.so"; /* nobody else to ask: known at once */
    sal_supplier_get_until(&ref, s, &there, 1, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_false(ref.pending);
    sal_supplier_get(&ref, s, "patient.so", ID, p);
    assert_string_equal(first_function(&ref), "patient_0");
    sal_supplier_release(s, &ref);
    while (n > 0) {
        close(fds[--n]);
    }
    sal_supplier_get_until(&ref, s, &fresh, apr_time_now() + apr_time_from_sec(30), p);
    assert_string_equal(first_function(&ref), "fresh_0");
    assert_true(ref.built);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
}

static int set_up(void **state)
{
    (void)state;
    pool = room_open();
    return pool ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return room_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(part_of_a_module),
        cmocka_unit_test(part_of_nothing),
        cmocka_unit_test(builds_in_threads_take_turns),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
