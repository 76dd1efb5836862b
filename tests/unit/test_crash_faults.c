/*
 * The crash store when calls fail: each row of the failure table in docs/durability.md, and the
 * order of calls on which everything rests. The calls are this program's own: it stands before the
 * C library, records them and fails those that a test chose.
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
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/log.h"
#include "crash/crash_id.h"
#include "crash/store_private.h"
#include "temp_dir.h"

static apr_pool_t *pool;
static sal_crash_store_t *store;
static sal_error_t err;

/* ---- the calls ---- */

typedef enum { NONE, SYNC_FILE, SYNC_DIR, LINK_PENDING, LINK_FINAL, WRITE, RANGE } call_t;

static char calls[256]; /* what was called since reset(), a letter each */
static call_t failing;
static int failing_with;
static ino_t failed_file;  /* the file whose sync failed */
static int synced_again;   /* syncs of it afterwards */
static int inodes_percent; /* 0: as they are */

static void reset(void)
{
    calls[0] = '\0';
    failing = NONE;
    synced_again = 0;
    failed_file = 0;
}

static int fails(call_t call, char letter)
{
    size_t n = strlen(calls);

    if (n + 1 < sizeof(calls)) {
        calls[n] = letter;
        calls[n + 1] = '\0';
    }
    if (failing != call) {
        return 0;
    }
    errno = failing_with;
    return 1;
}

int fsync(int fd)
{
    struct stat st;

    fstat(fd, &st);
    synced_again += failed_file && st.st_ino == failed_file;
    if (S_ISDIR(st.st_mode) ? fails(SYNC_DIR, 'D') : fails(SYNC_FILE, 'F')) {
        failed_file = st.st_ino;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    int final = strlen(to) > 4 && !strcmp(to + strlen(to) - 4, ".zip");

    if (final ? fails(LINK_FINAL, 'Z') : fails(LINK_PENDING, 'P')) {
        return -1;
    }
    return (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
    return fails(WRITE, 'w') ? -1 : syscall(SYS_pwritev, fd, v, n, (long)at, 0L);
}

int sync_file_range(int fd, off_t at, off_t n, unsigned flags)
{
    fails(RANGE, 's');
    return (int)syscall(SYS_sync_file_range, fd, at, n, flags);
}

int fstatvfs(int fd, struct statvfs *out)
{
    (void)fd;
    memset(out, 0, sizeof(*out));
    out->f_frsize = 4096;
    out->f_blocks = out->f_bavail = 1 << 24;
    out->f_files = 1000;
    out->f_favail = inodes_percent ? (fsfilcnt_t)(10 * inodes_percent - 5) : 900;
    return 0;
}

/* ---- a crash ---- */

static int names_in(const char *dir)
{
    DIR *d = opendir(apr_pstrcat(pool, temp_dir, "/store/", dir, NULL));
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)) != NULL) {
        n += e->d_name[0] != '.';
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static bool has_final(const char *id)
{
    return sal_crash_exists(store, id);
}

static bool has_pending(const char *id)
{
    return access(apr_pstrcat(pool, temp_dir, "/store/pending/", id, NULL), F_OK) == 0;
}

static char noise[1 << 20];

/* Sends a crash with a dump of so many MiB; with `fail` from the commit on. */
static apr_status_t send_crash(char id[SAL_CRASH_ID_LEN + 1], int mib, call_t fail, int with)
{
    sal_crash_writer_t *w;
    json_t *raw = json_pack("{s:s}", "ProductName", "Demo");
    apr_status_t rv;

    rv = sal_crash_begin(&w, store, apr_time_now(), pool, &err);
    assert_int_equal(rv, APR_SUCCESS);
    memcpy(id, sal_crash_proposed_id(w), SAL_CRASH_ID_LEN + 1);
    reset();
    if (mib) {
        rv = sal_crash_dump_begin(w, "upload_file_minidump", &err);
        for (int i = 0; i < mib && rv == APR_SUCCESS; i++) {
            rv = sal_crash_dump_data(w, noise, sizeof(noise), &err);
        }
        assert_int_equal(rv, APR_SUCCESS);
        rv = sal_crash_dump_end(w, NULL, NULL, &err);
        assert_int_equal(rv, APR_SUCCESS);
    }
    failing = fail;
    failing_with = with;
    rv = sal_crash_commit(w, id, raw, &err);
    failing = NONE;
    json_decref(raw);
    return rv;
}

/* As a second later: the store may try again. */
static apr_status_t admit_later(void)
{
    atomic_store(&store->probed, 0);
    atomic_store(&store->space_checked, 0);
    return sal_crash_store_admit(store, &err);
}

static void expect_well(void)
{
    char id[SAL_CRASH_ID_LEN + 1];

    reset();
    assert_int_equal(admit_later(), APR_SUCCESS);
    assert_int_equal(send_crash(id, 0, NONE, 0), APR_SUCCESS);
    assert_true(has_final(id) && has_pending(id));
}

/* ---- order ---- */

static void test_order(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];
    int ranges = 0;

    (void)state;
    assert_int_equal(send_crash(id, 0, NONE, 0), APR_SUCCESS);
    assert_string_equal(calls, "wFPZD"); /* write, sync, both links, sync of the directory */
    assert_int_equal(send_crash(id, 5, NONE, 0), APR_SUCCESS);
    assert_string_equal(calls + strlen(calls) - 5, "wFPZD");
    for (const char *s = calls; *s; s++) {
        ranges += *s == 's';
    }
    assert_in_range(ranges, 4, 5); /* one each MiB */
}

/* An id that is there: nothing is overwritten, but its directory is synced all the same. */
static void test_existing_is_synced(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];
    sal_crash_writer_t *w;
    json_t *raw = json_object();

    (void)state;
    assert_int_equal(send_crash(id, 0, NONE, 0), APR_SUCCESS);
    assert_int_equal(sal_crash_begin(&w, store, apr_time_now(), pool, &err), APR_SUCCESS);
    reset();
    assert_int_equal(sal_crash_commit(w, id, raw, &err), SAL_E_EXISTS);
    assert_string_equal(calls, "wFPZD");
    json_decref(raw);
}

/* ---- the failure table ---- */

static void test_sync_of_file_fails(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];

    (void)state;
    assert_int_equal(send_crash(id, 1, SYNC_FILE, EIO), EIO);
    assert_int_equal(synced_again, 0); /* the second sync would say yes */
    assert_null(strpbrk(calls, "PZD"));
    assert_false(has_final(id) || has_pending(id));
    failing = SYNC_FILE; /* the disk stays bad: so does the probe */
    assert_int_equal(admit_later(), SAL_E_SICK);
    assert_int_equal(admit_later(), SAL_E_SICK);
    assert_int_equal(sal_crash_store_admit(store, &err), SAL_E_SICK); /* without a probe */
    expect_well();
}

static void test_sync_of_directory_fails(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];

    (void)state;
    assert_int_equal(send_crash(id, 0, SYNC_DIR, EIO), EIO);
    assert_int_equal(synced_again, 0);
    assert_true(has_final(id) && has_pending(id)); /* unacknowledged, but kept */
    failing = SYNC_DIR;
    assert_int_equal(admit_later(), SAL_E_SICK);
    expect_well();
}

static void test_no_space(void **state)
{
    static const int errors[] = { ENOSPC, EDQUOT };
    static const call_t where[] = { WRITE, SYNC_FILE, LINK_PENDING, LINK_FINAL };
    char id[SAL_CRASH_ID_LEN + 1];

    (void)state;
    for (int e = 0; e < 2; e++) {
        for (int i = 0; i < 4; i++) {
            int before = names_in("pending");

            assert_int_equal(send_crash(id, 1, where[i], errors[e]), errors[e]);
            assert_int_equal(synced_again, 0);
            assert_false(has_final(id));
            /* After the first link pending/ has a whole crash, which a sweep queues. */
            assert_int_equal(names_in("pending") - before, where[i] == LINK_FINAL);
            assert_int_equal(admit_later(), APR_SUCCESS); /* full is not sick */
        }
    }
}

static void test_read_only(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];

    (void)state;
    assert_int_equal(send_crash(id, 0, LINK_PENDING, EROFS), EROFS);
    assert_false(has_final(id) || has_pending(id));
    expect_well();
}

static void test_input_output_error_of_a_link(void **state)
{
    char id[SAL_CRASH_ID_LEN + 1];

    (void)state;
    assert_int_equal(send_crash(id, 0, LINK_FINAL, EIO), EIO);
    assert_true(has_pending(id));
    failing = LINK_PENDING; /* the probe links too */
    failing_with = EIO;
    assert_int_equal(admit_later(), SAL_E_SICK);
    expect_well();
}

/* ---- backpressure ---- */

static void test_commit_that_waits(void **state)
{
    (void)state;
    atomic_store(&store->commits[7], apr_time_now() - apr_time_from_sec(9));
    assert_int_equal(admit_later(), APR_SUCCESS);
    atomic_store(&store->commits[7], apr_time_now() - apr_time_from_sec(11));
    assert_int_equal(admit_later(), APR_TIMEUP);
    atomic_store(&store->commits[7], 0);
    assert_int_equal(admit_later(), APR_SUCCESS);
}

static void test_inodes(void **state)
{
    (void)state;
    inodes_percent = 1; /* half a percent, in fact */
    assert_int_equal(admit_later(), APR_ENOSPC);
    inodes_percent = 2;
    assert_int_equal(admit_later(), APR_SUCCESS);
    inodes_percent = 0;
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    (void)line;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_existing_is_synced),
        cmocka_unit_test(test_sync_of_file_fails),
        cmocka_unit_test(test_sync_of_directory_fails),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_input_output_error_of_a_link),
        cmocka_unit_test(test_commit_that_waits),
        cmocka_unit_test(test_inodes),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    srand(20261122);
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (char)(rand() >> 7);
    }
    sal_log_sink(silent, NULL);
    temp_make(pool);
    if (sal_crash_store_open(&store, temp_path("store", pool), true, pool, &err) != APR_SUCCESS ||
        sal_crash_days_ahead(store, apr_time_now(), &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_remove(pool);
    return failed;
}
