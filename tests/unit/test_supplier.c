/*
 * The supplier: one build for many threads and processes, what happens when a builder is killed,
 * when symbols come, change and go, and that nothing in use is unmapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_time.h>
#include "base/file.h"
#include "base/log.h"
#include "supplier_room.h"
#include "symbols/supplier.h"

static apr_pool_t *pool;
static const char *dir;

typedef struct asker_t {
    sal_supplier_t *s;
    pthread_barrier_t *start;
    const char *name;
    bool good;
} asker_t;

static void *ask(void *data)
{
    asker_t *a = data;
    apr_pool_t *p;
    sal_sym_ref_t ref;
    sal_sym_hit_t hit;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    pthread_barrier_wait(a->start);
    sal_supplier_get(&ref, a->s, a->name, ID, p);
    a->good = ref.state == SAL_SYM_FOUND && sal_symcache_lookup(ref.cache, 0x1009, &hit, NULL, 0) &&
              hit.outer.line == 2;
    sal_supplier_release(a->s, &ref);
    apr_pool_destroy(p);
    return NULL;
}

enum { THREADS = 64 };

static unsigned ask_from_threads(sal_supplier_t *s, const char *name)
{
    pthread_t threads[THREADS];
    asker_t askers[THREADS];
    pthread_barrier_t start;
    unsigned good = 0;

    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (asker_t){ s, &start, name, false };
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        good += askers[i].good;
    }
    pthread_barrier_destroy(&start);
    return good;
}

static void many_threads_one_build(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_supplier_stats_t stats;

    (void)state;
    put_symbols("threads.so", ID, "f", 20000);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache1"), 0, p);
    assert_int_equal(ask_from_threads(s, "threads.so"), THREADS);
    sal_supplier_stats(s, &stats);
    assert_int_equal(stats.builds, 1);
    assert_int_equal(stats.entries, 1);
    apr_pool_destroy(p);
}

/* Each process reports through its exit code whether it was the builder. */
static void many_processes_one_build(void **state)
{
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];
    int builds = 0;
    int gate[2];

    (void)state;
    put_symbols("processes.so", ID, "f", 40000);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            sal_supplier_stats_t stats;
            sal_supplier_t *s = make(in_dir("cache2"), 0, pool);
            char go;

            close(gate[1]);
            (void)!read(gate[0], &go, 1); /* ends when the parent closes */
            if (ask_from_threads(s, "processes.so") != THREADS) {
                _exit(100);
            }
            sal_supplier_stats(s, &stats);
            _exit((int)stats.builds);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        waitpid(pids[i], &status, 0);
        assert_true(WIFEXITED(status));
        builds += WEXITSTATUS(status);
    }
    assert_int_equal(builds, 1);
}

/* Killed at many points of its work, a builder leaves a state from which the next one succeeds. */
static void killed_builders(void **state)
{
    unsigned cut_short = 0;

    (void)state;
    put_symbols("killed.so", ID, "f", 60000);
    for (int round = 0; round < 40; round++) {
        const char *cache = apr_psprintf(pool, "%s/cache3.%d", dir, round);
        pid_t pid = fork();
        sal_sym_ref_t ref;
        sal_supplier_t *s;
        apr_pool_t *p;

        if (pid == 0) {
            s = make(cache, 0, pool);
            sal_supplier_get(&ref, s, "killed.so", ID, pool);
            _exit(0);
        }
        usleep((useconds_t)(round * 1500));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cut_short += count_files(apr_psprintf(pool, "cache3.%d/v*/*/*/*.symx", round)) == 0;
        apr_pool_create(&p, pool);
        s = make(cache, 0, p);
        sal_supplier_get(&ref, s, "killed.so", ID, p);
        assert_int_equal(ref.state, SAL_SYM_FOUND);
        assert_string_equal(first_function(&ref), "f_0");
        sal_supplier_release(s, &ref);
        apr_pool_destroy(p);
    }
    assert_in_range(cut_short, 1, 40); /* some were killed before they were done */
}

static void what_killed_builders_left_goes(void **state)
{
    const char *leftover;
    struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    apr_pool_t *p;
    sal_sym_ref_t ref;
    sal_supplier_t *s;
    glob_t g = { 0 };

    (void)state;
    put_symbols("left.so", ID, "f", 1);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache4"), 0, p);
    sal_supplier_get(&ref, s, "left.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
    assert_int_equal(glob(in_dir("cache4/v*/*/left.so/*.symx"), 0, NULL, &g), 0);
    leftover = apr_pstrcat(pool, g.gl_pathv[0], ".tmp.abcdef", NULL);
    fclose(fopen(leftover, "w"));
    assert_int_equal(utimensat(AT_FDCWD, leftover, old, 0), 0);
    assert_int_equal(truncate(g.gl_pathv[0], 100), 0); /* and what a power cut tore */
    globfree(&g);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache4"), 0, p);
    sal_supplier_get(&ref, s, "left.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    assert_true(ref.built);
    sal_supplier_release(s, &ref);
    assert_int_not_equal(access(leftover, F_OK), 0);
    apr_pool_destroy(p);
}

static void kinds_of_no(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t ref;
    FILE *f;

    (void)state;
    apr_pool_create(&p, pool);
    s = make(in_dir("cache5"), 0, p);
    sal_supplier_get(&ref, s, "absent.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    assert_string_equal(ref.reason, "not found");
    sal_supplier_get(&ref, s, "..", ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    sal_supplier_get(&ref, s, NULL, ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    sal_supplier_get(&ref, s, "x.so", "../../etc", p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    sal_supplier_get(&ref, s, "x.so", "000000000000000000000000000000000", p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);

    f = fopen(put_symbols("corrupt.so", ID, "f", 1), "w");
    fprintf(f, "<html>no symbols today</html>\n");
    fclose(f);
    for (int i = 0; i < 2; i++) { /* the same when looked at again */
        sal_supplier_get(&ref, s, "corrupt.so", ID, p);
        assert_int_equal(ref.state, SAL_SYM_CORRUPT);
        assert_non_null(strstr(ref.reason, "MODULE"));
        sal_supplier_release(s, &ref); /* harmless without a map */
        apr_sleep(apr_time_from_msec(1100));
    }
    put_symbols("corrupt.so", ID, "mended", 1);
    sal_supplier_get(&ref, s, "corrupt.so", ID, p);
    assert_string_equal(first_function(&ref), "mended_0");
    sal_supplier_release(s, &ref);

    f = fopen(put_symbols("other.so", ID, "f", 1), "w");
    fprintf(f, "MODULE Linux x86_64 AAB913878AFB017237A4A08B325905C70 other.so\n");
    fclose(f);
    sal_supplier_get(&ref, s, "other.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_CORRUPT);
    apr_pool_destroy(p);
}

/* A miss is believed for a while (here a second), not for ever. */
static void symbols_that_come_later(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t ref;

    (void)state;
    apr_pool_create(&p, pool);
    s = make(in_dir("cache6"), 0, p);
    sal_supplier_get(&ref, s, "later.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    put_symbols("later.so", ID, "f", 1);
    sal_supplier_get(&ref, s, "later.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    apr_sleep(apr_time_from_msec(1100));
    sal_supplier_get(&ref, s, "later.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
}

/* For who walks one dump after the other a miss, or a map, ends with the dump. */
static void looking_again(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t ref;

    (void)state;
    apr_pool_create(&p, pool);
    s = make(in_dir("cache6b"), 0, p);
    sal_supplier_get(&ref, s, "again.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    put_symbols("again.so", ID, "f", 1);
    sal_supplier_recheck(s);
    sal_supplier_get(&ref, s, "again.so", ID, p);
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    assert_string_equal(first_function(&ref), "f_0");
    sal_supplier_release(s, &ref);
    apr_sleep(apr_time_from_msec(20)); /* so that its time of change differs */
    put_symbols("again.so", ID, "g", 1);
    sal_supplier_get(&ref, s, "again.so", ID, p);
    assert_string_equal(first_function(&ref), "f_0");
    sal_supplier_release(s, &ref);
    sal_supplier_recheck(s);
    sal_supplier_get(&ref, s, "again.so", ID, p);
    assert_string_equal(first_function(&ref), "g_0");
    sal_supplier_release(s, &ref);
    apr_pool_destroy(p);
}

/* The path a caller gives, ids in other spellings, compressed files, files as paths. */
static void ways_to_the_text(void **state)
{
    const char *plain = put_symbols("zipped.so", ID, "z", 3);
    const char *lower = "c3b913878afb017237a4a08b325905c7";
    gzFile gz = gzopen(apr_pstrcat(pool, plain, ".gz", NULL), "wb");
    char *text;
    apr_size_t size;
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t ref;
    sal_supplier_opts_t opts = { .symcache_dir = in_dir("cache7b") };
    const char *paths[] = { in_dir("nonexistent"), in_dir("single.sym"), NULL };

    (void)state;
    assert_int_equal(sal_file_read(&text, &size, plain, 1 << 20, pool, NULL), APR_SUCCESS);
    gzwrite(gz, text, (unsigned)size);
    gzclose(gz);
    assert_int_equal(rename(plain, in_dir("single.sym")), 0);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache7"), 0, p);
    sal_supplier_get(&ref, s, "C:\\build\\zipped.so", lower, p);
    assert_string_equal(first_function(&ref), "z_0");
    sal_supplier_release(s, &ref);
    opts.paths = paths;
    assert_int_equal(sal_supplier_make(&s, &opts, p, NULL), APR_SUCCESS);
    sal_supplier_get(&ref, s, "/usr/lib/zipped.so", ID, p);
    assert_string_equal(first_function(&ref), "z_0");
    sal_supplier_release(s, &ref);
    sal_supplier_get(&ref, s, "zipped.so", "C3B913878AFB017237A4A08B325905C71", p);
    assert_int_equal(ref.state, SAL_SYM_MISSING);
    apr_pool_destroy(p);
}

/* Replaced symbols are noticed after at most 5 s; who holds the old map goes on reading it. */
static void replaced_symbols(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t old;
    sal_sym_ref_t ref;
    sal_supplier_stats_t stats;

    (void)state;
    put_symbols("replaced.so", ID, "old", 3);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache8"), 0, p);
    sal_supplier_get(&old, s, "replaced.so", ID, p);
    assert_string_equal(first_function(&old), "old_0");
    put_symbols("replaced.so", ID, "new", 3);
    apr_sleep(apr_time_from_msec(5200));
    sal_supplier_get(&ref, s, "replaced.so", ID, p);
    assert_string_equal(first_function(&ref), "new_0");
    assert_string_equal(first_function(&old), "old_0");
    sal_supplier_release(s, &old);
    sal_supplier_release(s, &ref);
    sal_supplier_stats(s, &stats);
    assert_int_equal(stats.builds, 2);
    apr_pool_destroy(p);
}

static void the_bound_holds(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t held;
    sal_sym_ref_t ref;
    sal_supplier_stats_t stats;

    (void)state;
    apr_pool_create(&p, pool);
    s = make(in_dir("cache9"), 100000, p);
    put_symbols("held.so", ID, "held", 500);
    sal_supplier_get(&held, s, "held.so", ID, p);
    for (int i = 0; i < 20; i++) {
        const char *name = apr_psprintf(pool, "many%d.so", i);

        put_symbols(name, ID, "f", 500);
        sal_supplier_get(&ref, s, name, ID, p);
        assert_string_equal(first_function(&ref), "f_0");
        sal_supplier_release(s, &ref);
        sal_supplier_stats(s, &stats);
        assert_in_range(stats.mapped_bytes, 1, 100000);
        assert_string_equal(first_function(&held), "held_0");
    }
    assert_in_range(stats.evictions, 10, 20);
    sal_supplier_get(&ref, s, "many0.so", ID, p); /* evicted, so mapped again: not built again */
    assert_int_equal(ref.state, SAL_SYM_FOUND);
    assert_false(ref.built);
    sal_supplier_release(s, &ref);
    sal_supplier_release(s, &held);
    apr_pool_destroy(p);
}

/* No room for symcaches, here because a file stands in the way: symbols all the same. */
static void a_folder_that_cannot_be_written(void **state)
{
    apr_pool_t *p;
    sal_supplier_t *s;
    sal_sym_ref_t ref;
    struct stat st;

    (void)state;
    put_symbols("aside.so", ID, "aside", 1);
    apr_pool_create(&p, pool);
    s = make(in_dir("cache10"), 0, p);
    fclose(fopen(in_dir("cache10/v4"), "w"));
    sal_supplier_get(&ref, s, "aside.so", ID, p);
    assert_string_equal(first_function(&ref), "aside_0");
    sal_supplier_release(s, &ref);

    /* A folder for a group: so is what is made in it, whatever the umask. */
    assert_int_equal(unlink(in_dir("cache10/v4")), 0);
    assert_int_equal(chmod(in_dir("cache10"), 02775), 0);
    umask(077);
    put_symbols("group.so", ID, "group", 1);
    sal_supplier_get(&ref, s, "group.so", ID, p);
    umask(022);
    assert_string_equal(first_function(&ref), "group_0");
    sal_supplier_release(s, &ref);
    assert_int_equal(count_files("cache10/v4/*/group.so/*.symx"), 1);
    assert_int_equal(stat(in_dir("cache10/v4"), &st), 0);
    assert_int_equal(st.st_mode & 02777, 02775);
    apr_pool_destroy(p);
}

/* A folder over its bound loses what was used longest ago, other versions first, nothing new. */
static void the_folder_is_trimmed(void **state)
{
    static const struct {
        const char *name;
        int age;
        bool stays;
    } files[] = {
        { "v0/aa/x/NEW.symx", 1, false },
        { "v4/aa/x/OLDEST.symx", 90000, false },
        { "v4/aa/x/OLDER.symx", 80000, false },
        { "v4/bb/y/USED.symx", 7000, true },
        { "v4/bb/y/FRESH.symx", 1, true },
        { "v4/bb/y/FRESH.symx.lock", 90000, true },
        { "v4/bb/y/GONE.symx.tmp.abcdef", 90000, false },
        { "v4/bb/y/NEW.symx.tmp.abcdef", 1, true },
        { "part.1.1", 90000, false },
        { "part.1.2", 1, true },
    };
    const char *root = in_dir("trim");
    char block[65536] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *path = apr_pstrcat(pool, root, "/", files[i].name, NULL);
        struct timespec when[2] = { { .tv_sec = time(NULL) - files[i].age },
                                    { .tv_sec = time(NULL) - files[i].age } };
        FILE *f;

        assert_int_equal(
            sal_dir_make(apr_pstrmemdup(pool, path, (apr_size_t)(strrchr(path, '/') - path)), 0755,
                         0, pool, NULL),
            APR_SUCCESS);
        f = fopen(path, "w");
        assert_int_equal(fwrite(block, 1, sizeof(block), f), sizeof(block));
        fclose(f);
        assert_int_equal(utimensat(AT_FDCWD, path, when, 0), 0);
    }
    /* Five symcaches of 64 KiB; room for three, which is made for two and a half. */
    assert_int_equal(sal_symcaches_trim(root, 3 * 65536, pool, NULL), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        bool there = access(apr_pstrcat(pool, root, "/", files[i].name, NULL), F_OK) == 0;

        if (there != files[i].stays) {
            fail_msg("%s %s", files[i].name, there ? "stayed" : "went");
        }
    }
    assert_int_equal(sal_symcaches_trim(root, 1, pool, NULL), APR_SUCCESS);
    assert_int_equal(access(apr_pstrcat(pool, root, "/v4/bb/y/FRESH.symx", NULL), F_OK), 0);
    assert_int_not_equal(access(apr_pstrcat(pool, root, "/v4/bb/y/USED.symx", NULL), F_OK), 0);
}

typedef struct reader_t {
    sal_supplier_t *s;
    int first;
    unsigned good;
} reader_t;

enum { CROWD = 12, READS = 300 };

static void *read_all(void *data)
{
    reader_t *r = data;
    apr_pool_t *p;

    apr_pool_create_unmanaged_ex(&p, NULL, NULL);
    for (int i = 0; i < READS; i++) {
        sal_sym_ref_t ref;
        sal_sym_hit_t hit;
        int n = (r->first + i) % CROWD;
        char name[32], wanted[32];

        snprintf(name, sizeof(name), "crowd%d.so", n);
        snprintf(wanted, sizeof(wanted), "crowd%d_499", n);
        sal_supplier_get(&ref, r->s, name, ID, p);
        for (int k = 0; k < 20; k++) { /* others come and go meanwhile */
            r->good += ref.cache &&
                       sal_symcache_lookup(ref.cache, 0x1000 + 499 * 16, &hit, NULL, 0) &&
                       hit.outer.function.len == strlen(wanted) &&
                       memcmp(hit.outer.function.s, wanted, strlen(wanted)) == 0;
        }
        sal_supplier_release(r->s, &ref);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

/* What nobody asks for goes, but not from under who holds it. */
static void unused_maps_go(void **state)
{
    const char *paths[] = { in_dir("tree"), NULL };
    sal_supplier_opts_t opts = { .symcache_dir = in_dir("cache16"), .paths = paths, .map_idle = 1 };
    sal_sym_ref_t held, ref;
    sal_supplier_stats_t stats;
    sal_supplier_t *s;
    apr_pool_t *p;

    (void)state;
    put_symbols("held.so", ID, "held", 100);
    put_symbols("idle.so", ID, "idle", 100);
    put_symbols("asked.so", ID, "asked", 100);
    apr_pool_create(&p, pool);
    assert_int_equal(sal_supplier_make(&s, &opts, p, NULL), APR_SUCCESS);
    sal_supplier_get(&held, s, "held.so", ID, p);
    sal_supplier_get(&ref, s, "idle.so", ID, p);
    sal_supplier_release(s, &ref);
    apr_sleep(apr_time_from_msec(1200));
    sal_supplier_get(&ref, s, "asked.so", ID, p);
    sal_supplier_release(s, &ref);
    sal_supplier_stats(s, &stats);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.evictions, 1);
    assert_string_equal(first_function(&held), "held_0");
    sal_supplier_release(s, &held);
    sal_supplier_get(&ref, s, "idle.so", ID, p); /* mapped again, not built */
    assert_string_equal(first_function(&ref), "idle_0");
    assert_false(ref.built);
    sal_supplier_release(s, &ref);
    sal_supplier_stats(s, &stats);
    assert_int_equal(stats.builds, 3);
    apr_pool_destroy(p);
}

/* Room for few maps, and many readers of twelve modules: what is read is never taken away. */
static void eviction_while_reading(void **state)
{
    pthread_t threads[THREADS];
    reader_t readers[THREADS];
    sal_supplier_stats_t stats;
    sal_supplier_t *s;
    apr_pool_t *p;

    (void)state;
    for (int i = 0; i < CROWD; i++) {
        put_symbols(apr_psprintf(pool, "crowd%d.so", i), ID, apr_psprintf(pool, "crowd%d", i), 500);
    }
    apr_pool_create(&p, pool);
    s = make(in_dir("cache14"), 50000, p);
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (reader_t){ s, i * 5, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].good, READS * 20);
    }
    sal_supplier_stats(s, &stats);
    assert_true(stats.evictions > 100);
    assert_in_range(stats.mapped_bytes, 0, 50000);
    apr_pool_destroy(p);
}

static int set_up(void **state)
{
    (void)state;
    pool = room_open();
    dir = in_dir("");
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
        cmocka_unit_test(many_threads_one_build),
        cmocka_unit_test(many_processes_one_build),
        cmocka_unit_test(killed_builders),
        cmocka_unit_test(what_killed_builders_left_goes),
        cmocka_unit_test(kinds_of_no),
        cmocka_unit_test(symbols_that_come_later),
        cmocka_unit_test(looking_again),
        cmocka_unit_test(ways_to_the_text),
        cmocka_unit_test(replaced_symbols),
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(a_folder_that_cannot_be_written),
        cmocka_unit_test(the_folder_is_trimmed),
        cmocka_unit_test(unused_maps_go),
        cmocka_unit_test(eviction_while_reading),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
