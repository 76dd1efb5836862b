/*
 * Files: maps, capped reads, and writes that leave the old content when they fail.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <apr_general.h>

#include "base/file.h"
#include "temp_dir.h"

static apr_pool_t *pool;

static const char *content(const char *name)
{
    apr_size_t size;
    char *text = NULL;
    sal_error_t err = { 0 };

    if (sal_file_read(&text, &size, temp_path(name, pool), 1 << 20, pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return text;
}

/* Number of entries, so that a forgotten temporary file is seen. */
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = -2; /* . and .. */

    assert_non_null(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static void test_map(void **state)
{
    apr_pool_t *p;
    sal_span_t span;
    sal_error_t err = { 0 };

    (void)state;
    temp_write("f", "hello", pool);
    temp_write("empty", "", pool);
    apr_pool_create(&p, pool);
    assert_int_equal(sal_file_map(&span, temp_path("f", pool), p, &err), APR_SUCCESS);
    assert_int_equal(span.size, 5);
    assert_memory_equal(span.data, "hello", 5);
    assert_int_equal(sal_file_map(&span, temp_path("empty", pool), p, &err), APR_SUCCESS);
    assert_int_equal(span.size, 0);
    assert_non_null(span.data);
    assert_int_equal(sal_file_map(&span, temp_path("none", pool), p, &err), APR_ENOENT);
    assert_non_null(strstr(err.message, "/none"));
    assert_int_equal(sal_file_map(&span, temp_dir, p, &err), APR_EINVAL);
    apr_pool_destroy(p);
}

/* A pipe must not block the opener, a device must not be read for ever. */
static void test_only_regular_files(void **state)
{
    sal_span_t span;
    apr_size_t size;
    char *text;

    (void)state;
    assert_int_equal(mkfifo(temp_path("fifo", pool), 0600), 0);
    assert_int_equal(sal_file_map(&span, temp_path("fifo", pool), pool, NULL), APR_EINVAL);
    assert_int_equal(sal_file_read(&text, &size, "/dev/zero", 10, pool, NULL), APR_EINVAL);
}

static void test_read_cap(void **state)
{
    sal_error_t err = { 0 };
    apr_size_t size;
    char *text;

    (void)state;
    temp_write("five", "12345", pool);
    assert_int_equal(sal_file_read(&text, &size, temp_path("five", pool), 5, pool, &err),
                     APR_SUCCESS);
    assert_int_equal(size, 5);
    assert_string_equal(text, "12345");
    assert_int_equal(sal_file_read(&text, &size, temp_path("five", pool), 4, pool, &err),
                     SAL_E_TOOBIG);
    assert_non_null(strstr(err.message, "limit is 4"));
    assert_int_equal(sal_file_read(&text, &size, temp_path("none", pool), 4, pool, &err),
                     APR_ENOENT);
}

/* Files of /proc say that their size is 0. */
static void test_read_without_a_size(void **state)
{
    apr_size_t size;
    char *text;

    (void)state;
    assert_int_equal(sal_file_read(&text, &size, "/proc/self/status", 1 << 20, pool, NULL),
                     APR_SUCCESS);
    assert_non_null(strstr(text, "Name:"));
    assert_int_equal(strlen(text), size);
    assert_int_equal(sal_file_read(&text, &size, "/proc/self/status", 100, pool, NULL),
                     SAL_E_TOOBIG);
    /* many reads, and more room than was asked for at first */
    assert_int_equal(sal_file_read(&text, &size, "/proc/self/maps", 1 << 20, pool, NULL),
                     APR_SUCCESS);
    assert_in_range(size, 4097, 1 << 20);
    assert_int_equal(strlen(text), size);
    assert_int_equal(sal_file_read(&text, &size, "/proc/self/maps", 4097, pool, NULL),
                     SAL_E_TOOBIG);
}

static void test_publish(void **state)
{
    const char *path;
    struct stat st;

    (void)state;
    assert_int_equal(mkdir(temp_path("pub", pool), 0700), 0);
    path = temp_path("pub/file", pool);
    assert_int_equal(sal_file_publish(path, "old", 3, 0640, pool, NULL), APR_SUCCESS);
    assert_string_equal(content("pub/file"), "old");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640); /* whatever the umask is */
    assert_int_equal(sal_file_publish(path, "newer", 5, 0600, pool, NULL), APR_SUCCESS);
    assert_string_equal(content("pub/file"), "newer");
    assert_int_equal(entries(temp_path("pub", pool)), 1);
}

/* A mapping of the old content stays whole: the file is replaced, not rewritten. */
static void test_publish_does_not_touch_readers(void **state)
{
    const char *path = temp_path("mapped", pool);
    sal_span_t span;

    (void)state;
    assert_int_equal(sal_file_publish(path, "first", 5, 0600, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_file_map(&span, path, pool, NULL), APR_SUCCESS);
    assert_int_equal(sal_file_publish(path, "x", 1, 0600, pool, NULL), APR_SUCCESS);
    assert_memory_equal(span.data, "first", 5);
}

/* Writing fails in the middle (file size limit): old content stays, nothing is left behind. */
static void test_failed_publish_leaves_the_old(void **state)
{
    struct rlimit before, small = { 1000, 1000 };
    const char *path;
    char *data = apr_pcalloc(pool, 5000);
    sal_error_t err = { 0 };
    apr_status_t rv;

    (void)state;
    assert_int_equal(mkdir(temp_path("full", pool), 0700), 0);
    path = temp_path("full/file", pool);
    assert_int_equal(sal_file_publish(path, "old", 3, 0600, pool, NULL), APR_SUCCESS);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    rv = sal_file_publish(path, data, 5000, 0600, pool, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rv, EFBIG);
    assert_non_null(strstr(err.message, "full/file"));
    assert_string_equal(content("full/file"), "old");
    assert_int_equal(entries(temp_path("full", pool)), 1);
}

static void test_publish_over_a_directory(void **state)
{
    (void)state;
    assert_int_equal(sal_dir_make(temp_path("over/dir/inner", pool), 0700, 0, pool, NULL),
                     APR_SUCCESS);
    assert_int_not_equal(sal_file_publish(temp_path("over/dir", pool), "x", 1, 0600, pool, NULL),
                         APR_SUCCESS);
    assert_int_equal(entries(temp_path("over", pool)), 1);
    assert_int_equal(sal_file_publish(temp_path("none/file", pool), "x", 1, 0600, pool, NULL),
                     APR_ENOENT);
}

/* What an administrator's command makes in a server's folder is the server's. */
static void test_dir_of_server(void **state)
{
    const char *top = temp_path("server", pool), *inner = temp_path("server/a/b", pool);
    struct stat st;

    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED: needs root\n");
        skip();
    }
    assert_int_equal(sal_dir_make(top, 0755, 0, pool, NULL), APR_SUCCESS);
    assert_int_equal(chown(top, 65534, 65534), 0);
    assert_int_equal(sal_dir_make(inner, 0755, 0, pool, NULL), APR_SUCCESS);
    assert_int_equal(stat(inner, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(stat(temp_path("server/a", pool), &st), 0);
    assert_int_equal(st.st_gid, 65534);
}

static void test_dir_make(void **state)
{
    sal_error_t err = { 0 };
    struct stat st;

    (void)state;
    assert_int_equal(sal_dir_make(temp_path("a/b//c/d/", pool), 0750, 1, pool, &err), APR_SUCCESS);
    assert_int_equal(stat(temp_path("a/b/c/d", pool), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(sal_dir_make(temp_path("a/b/c", pool), 0750, 1, pool, &err), APR_SUCCESS);
    temp_write("plain", "", pool);
    assert_int_equal(sal_dir_make(temp_path("plain", pool), 0750, 0, pool, &err), ENOTDIR);
    assert_int_equal(sal_dir_make(temp_path("plain/x", pool), 0750, 0, pool, &err), ENOTDIR);
    assert_int_equal(sal_dir_make("/", 0750, 0, pool, &err), APR_SUCCESS);
    assert_int_equal(chdir(temp_dir), 0);
    assert_int_equal(sal_dir_make("rel/x", 0750, 1, pool, &err), APR_SUCCESS);
    assert_int_equal(stat(temp_path("rel/x", pool), &st), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(sal_dir_sync(temp_dir, &err), APR_SUCCESS);
    assert_int_equal(sal_dir_sync(temp_path("gone", pool), &err), APR_ENOENT);
}

/* A pipe takes what fits: writing must go on where the kernel stopped. */
static void test_write_all(void **state)
{
    int fds[2];
    apr_size_t size = 1 << 20, got = 0;
    char *data = apr_palloc(pool, size), *back = apr_palloc(pool, size);
    pid_t child;

    (void)state;
    for (apr_size_t i = 0; i < size; i++) {
        data[i] = (char)(i * 7 + i / 256);
    }
    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        _exit(sal_fd_write_all(fds[1], data, size) == APR_SUCCESS ? 0 : 1);
    }
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], back + got, size - got)) > 0;) {
        got += (apr_size_t)n;
    }
    close(fds[0]);
    assert_int_equal(got, size);
    assert_memory_equal(back, data, size);
    assert_int_equal(sal_fd_write_all(-1, "x", 1), EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_only_regular_files),
        cmocka_unit_test(test_read_cap),
        cmocka_unit_test(test_read_without_a_size),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_publish_does_not_touch_readers),
        cmocka_unit_test(test_failed_publish_leaves_the_old),
        cmocka_unit_test(test_publish_over_a_directory),
        cmocka_unit_test(test_dir_make),
        cmocka_unit_test(test_dir_of_server),
        cmocka_unit_test(test_write_all),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    temp_make(pool);
    failed = cmocka_run_group_tests_name("file", tests, NULL, NULL);
    temp_remove(pool);
    apr_terminate();
    return failed;
}
