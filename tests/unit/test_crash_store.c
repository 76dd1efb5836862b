/*
 * The crash store: containers, damage, ids that exist, admission, processed documents. What needs
 * a database is in test_pending.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "crash/crash_id.h"
#include "crash/store_private.h"
#include "temp_dir.h"

#define SHA256_ABC                                                                                 \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* FIPS 180-2 */

static apr_pool_t *pool;
static sal_crash_store_t *store;
static sal_error_t err;

static void ok(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%d: %s", rv, err.message);
    }
}

static const char *path_of(const char *id)
{
    char day[9];

    sal_crash_id_day(day, id);
    return apr_psprintf(pool, "%s/store/crash/%s/%.2s/%s.zip", temp_dir, day, id, id);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static const char *pending_of(const char *id)
{
    return apr_pstrcat(pool, temp_dir, "/store/pending/", id, NULL);
}

/* A crash with one dump; id NULL: the proposed one. Returns the id, *rv the commit's status. */
static const char *put_crash(const char *id, const char *dump, apr_size_t size, apr_status_t *rv)
{
    sal_crash_writer_t *w;
    json_t *raw = json_pack("{s:s, s:s}", "ProductName", "Demo", "submitted_timestamp",
                            "2026-01-31T10:20:30.123456+00:00");

    ok(sal_crash_begin(&w, store, apr_time_now(), pool, &err));
    id = id ? id : apr_pstrdup(pool, sal_crash_proposed_id(w));
    ok(sal_crash_dump_begin(w, "upload_file_minidump", &err));
    for (apr_size_t at = 0; at < size; at += 70000) {
        ok(sal_crash_dump_data(w, dump + at, size - at < 70000 ? size - at : 70000, &err));
    }
    ok(sal_crash_dump_end(w, NULL, NULL, &err));
    *rv = sal_crash_commit(w, id, raw, &err);
    json_decref(raw);
    return id;
}

static void test_round_trip(void **state)
{
    sal_crash_writer_t *w;
    sal_crash_reader_t *r;
    sal_span_t data;
    apr_uint64_t size;
    char sha[65];
    json_t *raw = json_pack("{s:s}", "key", "v\xc3\xa4lue"), *got;
    const char *const *names;
    const char *id;

    (void)state;
    ok(sal_crash_begin(&w, store, apr_time_now(), pool, &err));
    id = apr_pstrdup(pool, sal_crash_proposed_id(w));
    assert_true(sal_crash_id_valid(id));
    ok(sal_crash_dump_begin(w, "zz", &err));
    ok(sal_crash_dump_data(w, "a", 1, &err));
    ok(sal_crash_dump_data(w, "bc", 2, &err));
    ok(sal_crash_dump_end(w, sha, &size, &err));
    assert_string_equal(sha, SHA256_ABC);
    assert_int_equal(size, 3);
    ok(sal_crash_dump_begin(w, "dropped", &err));
    ok(sal_crash_dump_data(w, "abc", 3, &err));
    ok(sal_crash_dump_drop(w, &err));
    ok(sal_crash_dump_begin(w, "aa", &err));
    ok(sal_crash_dump_end(w, NULL, &size, &err));
    assert_int_equal(size, 0);
    assert_false(sal_crash_exists(store, id));
    ok(sal_crash_commit(w, id, raw, &err));

    assert_true(sal_crash_exists(store, id));
    assert_true(exists(pending_of(id)));
    ok(sal_crash_open(&r, store, id, pool, &err));
    names = sal_crash_dump_names(r);
    assert_string_equal(names[0], "aa");
    assert_string_equal(names[1], "zz");
    assert_null(names[2]);
    ok(sal_crash_raw(&got, r, &err));
    assert_true(json_equal(got, raw));
    ok(sal_crash_dump(&data, r, "zz", 3, pool, &err));
    assert_int_equal(data.size, 3);
    assert_memory_equal(data.data, "abc", 3);
    assert_int_equal(sal_crash_dump(&data, r, "zz", 2, pool, &err), SAL_E_TOOBIG);
    assert_int_equal(sal_crash_dump(&data, r, "dropped", 9, pool, &err), APR_ENOENT);
    json_decref(raw);
}

/* What an operator does by hand works with the tools there are. */
static void test_foreign_readers(void **state)
{
    char *dump = apr_palloc(pool, 3000000), command[1000];
    apr_status_t rv;
    const char *id;

    (void)state;
    if (system("command -v unzip zstd >/dev/null 2>&1") != 0) {
        print_message("SKIPPED LOUDLY: unzip or zstd is not installed\n");
        skip();
    }
    for (int i = 0; i < 3000000; i++) { /* half noise, so that the container is large too */
        dump[i] = i % 2 ? (char)(rand() >> 7) : 'x';
    }
    id = put_crash(NULL, dump, 3000000, &rv);
    ok(rv);
    snprintf(command, sizeof(command),
             "unzip -tqq %s && unzip -p %s upload_file_minidump.zst | zstd -dq >%s/got",
             path_of(id), path_of(id), temp_dir);
    assert_int_equal(system(command), 0);
    FILE *f = fopen(temp_path("got", pool), "rb");
    char *got = apr_palloc(pool, 3000001);
    assert_int_equal(fread(got, 1, 3000001, f), 3000000);
    fclose(f);
    assert_memory_equal(got, dump, 3000000);
}

/* A dump that was dropped after it had been flushed leaves no trace. */
static void test_drop_large(void **state)
{
    char *noise = apr_palloc(pool, 500000);
    sal_crash_writer_t *w;
    sal_crash_reader_t *r;
    sal_span_t data;
    json_t *raw = json_object();
    const char *id;

    (void)state;
    for (int i = 0; i < 500000; i++) {
        noise[i] = (char)(rand() >> 7);
    }
    ok(sal_crash_begin(&w, store, apr_time_now(), pool, &err));
    id = apr_pstrdup(pool, sal_crash_proposed_id(w));
    ok(sal_crash_dump_begin(w, "gone", &err));
    ok(sal_crash_dump_data(w, noise, 500000, &err));
    ok(sal_crash_dump_drop(w, &err));
    ok(sal_crash_dump_begin(w, "kept", &err));
    ok(sal_crash_dump_data(w, noise, 1000, &err));
    ok(sal_crash_dump_end(w, NULL, NULL, &err));
    ok(sal_crash_commit(w, id, raw, &err));
    json_decref(raw);
    ok(sal_crash_open(&r, store, id, pool, &err));
    ok(sal_crash_dump(&data, r, "kept", 1000, pool, &err));
    assert_memory_equal(data.data, noise, 1000);
    struct stat st;
    assert_int_equal(stat(path_of(id), &st), 0);
    assert_true(st.st_size < 5000);
}

/* One bit anywhere in the container: the answer is damage, or the right bytes, never wrong ones. */
static void test_damage(void **state)
{
    char dump[2000], byte;
    int found = 0;
    apr_status_t rv;
    struct stat st;
    const char *id;
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof(dump); i++) {
        dump[i] = (char)(rand() >> 7);
    }
    id = put_crash(NULL, dump, sizeof(dump), &rv);
    ok(rv);
    fd = open(path_of(id), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 0; at < st.st_size; at++) {
        sal_crash_reader_t *r;
        sal_span_t data;
        apr_pool_t *p;
        json_t *raw;

        apr_pool_create(&p, pool);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        rv = sal_crash_open(&r, store, id, p, &err);
        if (rv == APR_SUCCESS) {
            rv = sal_crash_raw(&raw, r, &err);
        }
        if (rv == APR_SUCCESS) {
            assert_string_equal(sal_json_str(raw, "ProductName"), "Demo");
            rv = sal_crash_dump(&data, r, "upload_file_minidump", 1 << 20, p, &err);
        }
        if (rv == APR_SUCCESS) {
            assert_int_equal(data.size, sizeof(dump));
            assert_memory_equal(data.data, dump, sizeof(dump));
        } else {
            assert_int_equal(rv, SAL_E_MALFORMED);
            found++;
        }
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        apr_pool_destroy(p);
    }
    /* All but times, attributes and version fields of the headers. */
    assert_true(found > st.st_size * 9 / 10);
    for (off_t size = st.st_size - 1; size > 0; size -= 97) {
        sal_crash_reader_t *r;

        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(sal_crash_open(&r, store, id, pool, &err), SAL_E_MALFORMED);
    }
    close(fd);
    assert_int_equal(unlink(path_of(id)), 0);
}

/* A client's own id: another day's directory, and no overwriting. */
static void test_existing(void **state)
{
    static const char *const id = "de1bb258-cbbf-4589-a673-34f800160918";
    sal_crash_reader_t *r;
    sal_span_t data;
    apr_status_t rv;

    (void)state;
    put_crash(id, "first", 5, &rv);
    ok(rv);
    assert_true(exists(path_of(id)));
    put_crash(id, "second", 6, &rv);
    assert_int_equal(rv, SAL_E_EXISTS);
    ok(sal_crash_open(&r, store, id, pool, &err));
    ok(sal_crash_dump(&data, r, "upload_file_minidump", 100, pool, &err));
    assert_memory_equal(data.data, "first", 5);
    assert_true(exists(pending_of(id)));
    put_crash("../../../../tmp/x", "x", 1, &rv);
    assert_int_equal(rv, APR_EINVAL);
}

static void test_absent(void **state)
{
    sal_crash_reader_t *r;

    (void)state;
    assert_int_equal(sal_crash_open(&r, store, "00000000-0000-4000-8000-000000160918", pool, &err),
                     APR_ENOENT);
    assert_int_equal(sal_crash_open(&r, store, "../format", pool, &err), APR_ENOENT);
    assert_false(sal_crash_exists(store, "../format"));
}

/* Nothing visible, and no file left, when a report is given up. */
static void test_abandoned(void **state)
{
    sal_crash_writer_t *w;
    apr_pool_t *p;
    const char *id;
    char command[300];

    (void)state;
    apr_pool_create(&p, pool);
    ok(sal_crash_begin(&w, store, apr_time_now(), p, &err));
    id = apr_pstrdup(pool, sal_crash_proposed_id(w));
    ok(sal_crash_dump_begin(w, "d", &err));
    ok(sal_crash_dump_data(w, "x", 1, &err));
    apr_pool_destroy(p);
    assert_false(sal_crash_exists(store, id));
    assert_false(exists(pending_of(id)));
    snprintf(command, sizeof(command), "[ -z \"$(find %s/store -name '.*' -type f)\" ]", temp_dir);
    assert_int_equal(system(command), 0);
}

/* Where files cannot be unnamed: the same promises with a name that is held under a lock. */
static void test_named_files(void **state)
{
    static const char *const id = "ab1bb258-cbbf-4589-a673-34f800160918";
    sal_crash_writer_t *w;
    sal_crash_reader_t *r;
    sal_span_t data;
    struct stat pending, final;
    apr_status_t rv;
    apr_pool_t *p;
    char command[300];

    (void)state;
    store->fs.unnamed = false;
    ok(sal_crash_store_probe(store, &err));
    put_crash(id, "first", 5, &rv);
    ok(rv);
    assert_int_equal(stat(path_of(id), &final), 0);
    assert_int_equal(stat(pending_of(id), &pending), 0);
    assert_int_equal(pending.st_ino, final.st_ino);
    assert_int_equal(final.st_nlink, 2);
    put_crash(id, "second", 6, &rv);
    assert_int_equal(rv, SAL_E_EXISTS);
    ok(sal_crash_open(&r, store, id, pool, &err));
    ok(sal_crash_dump(&data, r, "upload_file_minidump", 100, pool, &err));
    assert_memory_equal(data.data, "first", 5);
    apr_pool_create(&p, pool);
    ok(sal_crash_begin(&w, store, apr_time_now(), p, &err));
    apr_pool_destroy(p);
    store->fs.unnamed = true;
    snprintf(command, sizeof(command), "[ -z \"$(find %s/store -name '.*' -type f)\" ]", temp_dir);
    assert_int_equal(system(command), 0);
}

static void test_opening(void **state)
{
    sal_crash_store_t *other;
    const char *root = temp_path("other", pool);

    (void)state;
    assert_int_equal(mkdir(root, 0750), 0);
    temp_write("other/somebody's file", "x", pool);
    assert_int_equal(sal_crash_store_open(&other, root, true, pool, &err), SAL_E_UNSUPPORTED);
    assert_int_equal(unlink(temp_path("other/somebody's file", pool)), 0);
    ok(sal_crash_store_open(&other, root, true, pool, &err));
    ok(sal_crash_store_open(&other, root, true, pool, &err)); /* again */
    temp_write("other/format", "salvage-store 2\n", pool);
    assert_int_equal(sal_crash_store_open(&other, root, true, pool, &err), SAL_E_UNSUPPORTED);
}

static void test_admission(void **state)
{
    (void)state;
    sal_crash_store_min_free(store, 0);
    ok(sal_crash_store_admit(store, &err));
    sal_crash_store_min_free(store, INT64_C(1) << 60);
    assert_int_equal(sal_crash_store_admit(store, &err), APR_ENOSPC);
    sal_crash_store_min_free(store, 0);
    ok(sal_crash_store_admit(store, &err));
    ok(sal_crash_store_probe(store, &err));
}

/* ---- days ---- */

static int count_dirs(const char *day)
{
    char xx[4];
    int n = 0;

    for (unsigned i = 0; i < 256; i++) {
        snprintf(xx, sizeof(xx), "%02x", i);
        n += exists(apr_psprintf(pool, "%s/store/crash/%s/%s", temp_dir, day, xx));
    }
    return n;
}

/* Today's and tomorrow's directories are made ahead; a crash of tomorrow makes none. */
static void test_days_ahead(void **state)
{
    apr_time_t now = apr_time_now() + apr_time_from_sec(40 * 86400);
    sal_crash_writer_t *w;
    struct stat before, after;
    char today[9], tomorrow[9];
    const char *path;

    (void)state;
    sal_crash_day_of(today, now);
    sal_crash_day_of(tomorrow, now + apr_time_from_sec(86400));
    assert_int_equal(count_dirs(today) + count_dirs(tomorrow), 0);
    ok(sal_crash_days_ahead(store, now, &err));
    assert_int_equal(count_dirs(today), 256);
    assert_int_equal(count_dirs(tomorrow), 256);
    ok(sal_crash_days_ahead(store, now, &err)); /* again */
    path = apr_pstrcat(pool, temp_dir, "/store/crash/", tomorrow, NULL);
    assert_int_equal(stat(path, &before), 0);
    ok(sal_crash_begin(&w, store, now + apr_time_from_sec(86400), pool, &err));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_nlink, after.st_nlink);
}

static apr_status_t count_id(void *baton, const char *id, sal_error_t *e)
{
    (void)e;
    assert_true(sal_crash_id_valid(id));
    *(int *)baton += 1;
    return *(int *)baton == 1000 ? APR_EGENERAL : APR_SUCCESS;
}

static int count_day(const char *day)
{
    int n = 0;

    ok(sal_crash_list_day(store, day, count_id, &n, &err));
    return n;
}

static void test_remove(void **state)
{
    apr_status_t rv;
    const char *id = put_crash(NULL, "abc", 3, &rv), *other = put_crash(NULL, "abc", 3, &rv);
    const char *day = apr_pstrcat(pool, "20", id + 30, NULL);
    int n = count_day(day);

    (void)state;
    ok(sal_crash_remove(store, id, &err));
    assert_false(exists(path_of(id)) || exists(pending_of(id)));
    assert_true(exists(path_of(other)) && exists(pending_of(other)));
    assert_int_equal(count_day(day), n - 1);
    ok(sal_crash_remove(store, id, &err)); /* twice is once */
    assert_int_equal(sal_crash_remove(store, "../../etc/passwd", &err), APR_ENOENT);
}

static int count_files(const char *dir)
{
    DIR *d = opendir(apr_pstrcat(pool, temp_dir, "/store/", dir, NULL));
    struct dirent *e;
    int n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void test_remove_day(void **state)
{
    static const char *const old = "de1bb258-cbbf-4589-a673-34f800160817";
    static const char *const other = "de1bb258-cbbf-4589-a673-34f800160818";
    apr_status_t rv;
    char today[9];

    (void)state;
    put_crash(old, "abc", 3, &rv);
    ok(rv);
    put_crash(other, "abc", 3, &rv);
    ok(rv);
    assert_int_equal(count_day("20160817"), 1);
    sal_crash_day_of(today, apr_time_now());
    assert_int_equal(sal_crash_remove_day(store, today, &err), APR_EINVAL); /* in use */
    assert_int_equal(sal_crash_remove_day(store, "../../x", &err), APR_EINVAL);
    ok(sal_crash_remove_day(store, "20160817", &err));
    assert_int_equal(count_day("20160817"), 0);
    assert_false(exists(pending_of(old)));
    assert_false(exists(apr_pstrcat(pool, temp_dir, "/store/crash/20160817", NULL)));
    assert_int_equal(count_files("trash"), 0);
    assert_true(exists(pending_of(other)));
    ok(sal_crash_remove_day(store, "20160817", &err)); /* a day that is not there */
    put_crash(old, "abc", 3, &rv);                     /* the day can come back */
    ok(rv);
    assert_int_equal(count_day("20160817"), 1);
}

static void test_processed(void **state)
{
    static const char *const id = "de1bb258-cbbf-4589-a673-34f800160918";
    json_t *doc = json_pack("{s:s, s:[i,i]}", "signature", "f | g", "list", 1, 2), *got;
    const char *key;

    (void)state;
    ok(sal_processed_put(&key, store, id, 12, 3, doc, pool, &err));
    assert_string_equal(key, "processed/20160918/de/de1bb258-cbbf-4589-a673-34f800160918.12.3"
                             ".json.zst");
    ok(sal_processed_get(&got, store, key, pool, &err));
    assert_true(json_equal(got, doc));
    ok(sal_processed_remove(store, key, &err));
    assert_int_equal(sal_processed_get(&got, store, key, pool, &err), APR_ENOENT);
    assert_int_equal(sal_processed_get(&got, store, "processed/../format", pool, &err), APR_EINVAL);
    assert_int_equal(sal_processed_get(&got, store, "format", pool, &err), APR_EINVAL);
    json_decref(doc);
}

/* A full disk: the writer says so, nothing is named, and space freed makes it work again. */
static void test_full(void **state)
{
    const char *root = temp_path("small", pool);
    sal_crash_store_t *small;
    sal_crash_writer_t *w;
    char *noise = apr_palloc(pool, 1 << 20);
    apr_status_t rv = APR_SUCCESS;
    json_t *raw = json_object();
    char command[300];
    apr_pool_t *p;

    (void)state;
    assert_int_equal(mkdir(root, 0750), 0);
    if (mount("tmpfs", root, "tmpfs", 0, "size=1m") != 0) {
        print_message("SKIPPED LOUDLY: a tmpfs cannot be mounted (not root?)\n");
        skip();
    }
    for (int i = 0; i < 1 << 20; i++) {
        noise[i] = (char)(rand() >> 7);
    }
    apr_pool_create(&p, pool);
    ok(sal_crash_store_open(&small, root, true, p, &err));
    assert_non_null(sal_crash_store_doubt(small));
    ok(sal_crash_begin(&w, small, apr_time_now(), p, &err));
    ok(sal_crash_dump_begin(w, "d", &err));
    for (int i = 0; i < 2 && rv == APR_SUCCESS; i++) {
        rv = sal_crash_dump_data(w, noise, 1 << 20, &err);
    }
    assert_int_equal(rv, ENOSPC);
    apr_pool_destroy(p);
    snprintf(command, sizeof(command), "[ -z \"$(find %s/pending %s/crash -type f)\" ]", root,
             root);
    assert_int_equal(system(command), 0);

    apr_pool_create(&p, pool);
    ok(sal_crash_store_open(&small, root, true, p, &err));
    ok(sal_crash_begin(&w, small, apr_time_now(), p, &err));
    ok(sal_crash_commit(w, sal_crash_proposed_id(w), raw, &err));
    apr_pool_destroy(p);
    json_decref(raw);
    assert_int_equal(umount(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_foreign_readers),
        cmocka_unit_test(test_drop_large),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_existing),    cmocka_unit_test(test_absent),
        cmocka_unit_test(test_abandoned),   cmocka_unit_test(test_opening),
        cmocka_unit_test(test_named_files), cmocka_unit_test(test_admission),
        cmocka_unit_test(test_days_ahead),  cmocka_unit_test(test_remove),
        cmocka_unit_test(test_remove_day),  cmocka_unit_test(test_processed),
        cmocka_unit_test(test_full),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    srand(20261122);
    temp_make(pool);
    if (sal_crash_store_open(&store, temp_path("store", pool), true, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount2(temp_path("small", pool), MNT_DETACH); /* if its test failed half-way */
    temp_remove(pool);
    return failed;
}
