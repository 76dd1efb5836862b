/*
 * The S3 client against a real server that verifies signatures (tests/lib/s3swift.py, on Debian's
 * python3-swift). Without that package the program is skipped (77), and says so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "store/s3_private.h"
#include "temp_dir.h"

static apr_pool_t *pool;
static sal_error_t err;
static sal_s3_t *s3;
static const char *endpoint;
static pid_t server;

/* ---- the server ---- */

static void start_server(void)
{
    const char *srcdir = getenv("srcdir");
    const char *script = apr_pstrcat(pool, srcdir ? srcdir : "..", "/tests/lib/s3swift.py", NULL);
    int fds[2], port = 0;
    FILE *says;

    if (system("/usr/bin/python3 -c 'import swift, eventlet' 2>/dev/null") != 0) {
        puts("SKIPPED LOUDLY: no S3 server: apt-get install python3-swift");
        exit(77);
    }
    assert_int_equal(pipe(fds), 0);
    server = fork();
    if (server == 0) {
        dup2(fds[1], 1);
        freopen("/dev/null", "w", stderr);
        execl("/usr/bin/python3", "python3", script, temp_path("s3", pool), (char *)NULL);
        _exit(99);
    }
    close(fds[1]);
    says = fdopen(fds[0], "r");
    if (fscanf(says, "READY port=%d", &port) != 1) {
        puts("SKIPPED LOUDLY: the S3 server did not start");
        exit(77);
    }
    endpoint = apr_psprintf(pool, "http://127.0.0.1:%d", port);
}

static sal_s3_t *client(const char *secret, const char *bucket, int tries)
{
    sal_s3_opts_t o = { .endpoint = endpoint,
                        .bucket = bucket,
                        .key = "TESTKEY",
                        .secret = secret,
                        .tries = tries,
                        .stall_seconds = 5 };
    sal_s3_t *made;

    assert_int_equal(sal_s3_make(&made, &o, pool, &err), APR_SUCCESS);
    return made;
}

static void make_bucket(sal_s3_t *of)
{
    s3_call_t c = { .s3 = of, .method = "PUT", .path = "", .data = "", .most = 65536, .fd = -1 };

    if (s3_perform(&c, "bucket", &err) != APR_SUCCESS) {
        fail_msg("no bucket: %s", err.message);
    }
    free(c.reply);
}

/* The next requests go wrong. */
static void fault(const char *what)
{
    temp_write("s3/fault", what, pool);
}

/* ---- tests ---- */

static void assert_bytes(sal_span_t got, const void *want, size_t size)
{
    assert_int_equal(got.size, size);
    assert_memory_equal(got.data, want, size);
}

/* Keys whose bytes need care in paths and signatures. */
static const char *const keys[] = {
    "plain",      "a/b/c.json", "with blank", "plus+and&what=?#", "\xc3\xa4\xe2\x82\xac",
    "per%20cent", "dots/../x",  "(')*!~_-."
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static void test_put_get_head_delete(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        const char *text = apr_psprintf(pool, "bytes of %zu", i);
        sal_s3_info_t info;
        sal_span_t got;

        if (sal_s3_put(s3, keys[i], text, strlen(text), "text/plain", NULL, &err) != APR_SUCCESS) {
            fail_msg("\"%s\": %s", keys[i], err.message);
        }
        assert_int_equal(sal_s3_get(&got, &info, s3, keys[i], 1000, pool, &err), APR_SUCCESS);
        assert_bytes(got, text, strlen(text));
        assert_int_equal(strlen(info.sha256), 64);
        assert_int_equal(sal_s3_head(&info, s3, keys[i], &err), APR_SUCCESS);
        assert_int_equal(info.size, strlen(text));
        assert_true(info.changed > apr_time_now() - apr_time_from_sec(600));
        assert_int_equal(sal_s3_delete(s3, keys[i], &err), APR_SUCCESS);
        assert_int_equal(sal_s3_get(&got, NULL, s3, keys[i], 1000, pool, &err), APR_ENOENT);
        assert_int_equal(sal_s3_head(&info, s3, keys[i], &err), APR_ENOENT);
        assert_int_equal(sal_s3_delete(s3, keys[i], &err), APR_SUCCESS); /* gone already */
    }
}

static void test_empty_and_large(void **state)
{
    size_t size = 3 << 20;
    char *data = apr_palloc(pool, size);
    sal_span_t got;
    int fd;

    (void)state;
    for (size_t i = 0; i < size; i++) {
        data[i] = (char)(i * 2654435761u >> 13);
    }
    assert_int_equal(sal_s3_put(s3, "empty", NULL, 0, NULL, NULL, &err), APR_SUCCESS);
    assert_int_equal(sal_s3_get(&got, NULL, s3, "empty", 10, pool, &err), APR_SUCCESS);
    assert_int_equal(got.size, 0);
    fd = open(temp_path("large", pool), O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    assert_int_equal(sal_s3_put_fd(s3, "large", fd, "application/octet-stream", NULL, &err),
                     APR_SUCCESS);
    close(fd);
    assert_int_equal(sal_s3_get(&got, NULL, s3, "large", size, pool, &err), APR_SUCCESS);
    assert_bytes(got, data, size);
    assert_int_equal(sal_s3_get(&got, NULL, s3, "large", size - 1, pool, &err), SAL_E_TOOBIG);
}

typedef struct seen_t {
    int n;
    char last[200];
    bool ordered;
} seen_t;

static apr_status_t count(void *baton, const sal_s3_entry_t *entry, sal_error_t *e)
{
    seen_t *s = baton;

    (void)e;
    s->ordered = s->ordered && strcmp(s->last, entry->key) < 0;
    apr_cpystrn(s->last, entry->key, sizeof(s->last));
    s->n++;
    return APR_SUCCESS;
}

static apr_status_t stop_at_once(void *baton, const sal_s3_entry_t *entry, sal_error_t *e)
{
    (void)baton, (void)entry, (void)e;
    return APR_EOF;
}

static void test_list(void **state)
{
    const char *odd[] = { "list/a&b", "list/a<b>", "list/blank here", "list/\xc3\xa4", "other/x" };
    seen_t seen = { .ordered = true };

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sal_s3_put(s3, odd[i], "x", 1, NULL, NULL, &err), APR_SUCCESS);
    }
    assert_int_equal(sal_s3_list(s3, "list/", count, &seen, pool, &err), APR_SUCCESS);
    assert_int_equal(seen.n, 4);
    assert_true(seen.ordered);
    assert_string_equal(seen.last, "list/\xc3\xa4");
    seen.n = 0;
    assert_int_equal(sal_s3_list(s3, "nothing/", count, &seen, pool, &err), APR_SUCCESS);
    assert_int_equal(seen.n, 0);
    assert_int_equal(sal_s3_list(s3, "list/", stop_at_once, NULL, pool, &err), APR_EOF);
}

static void test_faults_are_outlived(void **state)
{
    sal_span_t got;

    (void)state;
    fault("503 2");
    assert_int_equal(sal_s3_put(s3, "again", "abc", 3, NULL, NULL, &err), APR_SUCCESS);
    fault("0 1 PUT"); /* the connection drops */
    assert_int_equal(sal_s3_put(s3, "again", "abcd", 4, NULL, NULL, &err), APR_SUCCESS);
    fault("500 1 GET");
    assert_int_equal(sal_s3_get(&got, NULL, s3, "again", 10, pool, &err), APR_SUCCESS);
    assert_bytes(got, "abcd", 4);
    fault("503 100");
    assert_int_equal(
        sal_s3_get(&got, NULL, client("testsecret", "bucket", 2), "again", 10, pool, &err),
        APR_EGENERAL);
    assert_non_null(strstr(err.message, "503 SlowDown"));
    fault("400 100");
    assert_int_equal(sal_s3_put(s3, "again", "x", 1, NULL, NULL, &err), APR_EINVAL);
    fault("503 0");
    assert_int_equal(sal_s3_get(&got, NULL, s3, "again", 10, pool, &err), APR_SUCCESS);
    assert_bytes(got, "abcd", 4);
}

static void test_refusals(void **state)
{
    sal_span_t got;
    sal_s3_opts_t o = {
        .endpoint = "http://127.0.0.1:1", .bucket = "bucket", .key = "k", .secret = "s", .tries = 1
    };
    sal_s3_t *nobody;

    (void)state;
    assert_int_equal(sal_s3_put(client("wrong", "bucket", 1), "x", "y", 1, NULL, NULL, &err),
                     SAL_E_DENIED);
    assert_null(strstr(err.message, "wrong"));
    assert_int_equal(
        sal_s3_get(&got, NULL, client("testsecret", "no-such-bucket", 1), "x", 9, pool, &err),
        APR_ENOENT);
    assert_int_equal(sal_s3_make(&nobody, &o, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_s3_get(&got, NULL, nobody, "x", 9, pool, &err), APR_ECONNREFUSED);
    assert_int_equal(sal_s3_put(s3, "", "x", 1, NULL, NULL, &err), APR_EINVAL);
    assert_int_equal(sal_s3_put(s3, "line\nbreak", "x", 1, NULL, NULL, &err), APR_EINVAL);
    assert_int_equal(sal_s3_put(s3, "\xff", "x", 1, NULL, NULL, &err), APR_EINVAL);
}

/* What lies in the bucket was changed behind our back. */
static void test_damage_is_found(void **state)
{
    const char *sum = "0000000000000000000000000000000000000000000000000000000000000000";
    sal_span_t got;
    s3_call_t c = { .s3 = s3,
                    .method = "PUT",
                    .path = "/damaged",
                    .data = "abc",
                    .size = 3,
                    .most = 65536,
                    .fd = -1 };
    const char *headers[] = { apr_pstrcat(pool, "x-amz-meta-sha256: ", sum, NULL), NULL };

    (void)state;
    c.headers = headers;
    assert_int_equal(s3_perform(&c, "damage", &err), APR_SUCCESS);
    free(c.reply);
    assert_int_equal(sal_s3_get(&got, NULL, s3, "damaged", 10, pool, &err), SAL_E_MALFORMED);
    /* and what is damaged on its way there is refused by the server */
    c = (s3_call_t){ .s3 = s3,
                     .method = "PUT",
                     .path = "/way",
                     .data = "abc",
                     .size = 3,
                     .sha256 = sum,
                     .most = 65536,
                     .fd = -1 };
    assert_int_not_equal(s3_perform(&c, "way", &err), APR_SUCCESS);
    free(c.reply);
    assert_int_equal(sal_s3_get(&got, NULL, s3, "way", 10, pool, &err), APR_ENOENT);
}

static bool ends(void *baton)
{
    return *(bool *)baton;
}

static void test_stops(void **state)
{
    bool stop = true;
    sal_span_t got;
    sal_s3_t *one = client("testsecret", "bucket", 5);

    (void)state;
    sal_s3_stops_if(one, ends, &stop);
    assert_int_equal(sal_s3_get(&got, NULL, one, "again", 10, pool, &err), APR_EINTR);
    stop = false;
    assert_int_equal(sal_s3_get(&got, NULL, one, "again", 10, pool, &err), APR_SUCCESS);
}

static void test_options(void **state)
{
    sal_s3_opts_t good = {
        .endpoint = "https://s3.example.com", .bucket = "bucket", .key = "k", .secret = "s"
    };
    const char *endpoints[] = { "",         "s3.example.com", "ftp://x",
                                "https://", "https://h/path", "https://u@h" };
    const char *buckets[] = { "", "ab", "UPPER", "a/b", "..", "-abc" };

    (void)state;
    assert_int_equal(sal_s3_check(&good, &err), APR_SUCCESS);
    for (size_t i = 0; i < 6; i++) {
        sal_s3_opts_t bad = good;

        bad.endpoint = endpoints[i];
        assert_int_equal(sal_s3_check(&bad, &err), APR_EINVAL);
        bad = good;
        bad.bucket = buckets[i];
        assert_int_equal(sal_s3_check(&bad, &err), APR_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_put_get_head_delete),
        cmocka_unit_test(test_empty_and_large),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_faults_are_outlived),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_stops),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    temp_make(pool);
    start_server();
    s3 = client("testsecret", "bucket", 5);
    make_bucket(s3);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    temp_remove(pool);
    apr_pool_destroy(pool);
    return failed;
}
