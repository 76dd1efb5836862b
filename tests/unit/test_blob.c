/* Blobs: whole or absent, replaced as a whole, and no key leaves the store. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "store/blob.h"
#include "temp_dir.h"

static apr_pool_t *pool;
static sal_store_t *store;
static sal_error_t err;

static void ok(apr_status_t rv)
{
    if (rv != APR_SUCCESS) {
        fail_msg("%d: %s", rv, err.message);
    }
}

static void put(const char *key, const char *text)
{
    sal_blob_writer_t *w;

    ok(sal_blob_begin(&w, store, pool, &err));
    ok(sal_blob_write(w, text, strlen(text), &err));
    ok(sal_blob_commit(w, key, &err));
}

static void expect(const char *key, const char *text)
{
    sal_span_t data;

    ok(sal_blob_map(&data, store, key, pool, &err));
    assert_int_equal(data.size, strlen(text));
    assert_memory_equal(data.data, text, data.size);
}

/* Files of the store, one a line, for comparing. */
static int files(void)
{
    char command[300];
    FILE *f;
    int n = 0, c;

    snprintf(command, sizeof(command), "find %s/store -type f", temp_dir);
    f = popen(command, "r");
    while ((c = fgetc(f)) != EOF) {
        n += c == '\n';
    }
    pclose(f);
    return n;
}

static void test_life(void **state)
{
    sal_span_t data, old;
    sal_blob_writer_t *w;
    apr_pool_t *p;
    int before = files();

    (void)state;
    put("a/b-c/D_e.f", "one");
    put("top", "");
    expect("a/b-c/D_e.f", "one");
    expect("top", "");
    ok(sal_blob_map(&old, store, "a/b-c/D_e.f", pool, &err));
    put("a/b-c/D_e.f", "another");
    expect("a/b-c/D_e.f", "another");
    assert_memory_equal(old.data, "one", 3); /* a reader keeps what it mapped */
    assert_int_equal(files(), before + 2);

    apr_pool_create(&p, pool);
    ok(sal_blob_begin(&w, store, p, &err));
    ok(sal_blob_write(w, "x", 1, &err));
    apr_pool_destroy(p); /* given up: nothing is left */
    assert_int_equal(files(), before + 2);

    ok(sal_blob_remove(store, "a/b-c/D_e.f", pool, &err));
    assert_int_equal(sal_blob_map(&data, store, "a/b-c/D_e.f", pool, &err), APR_ENOENT);
    assert_int_equal(sal_blob_remove(store, "a/b-c/D_e.f", pool, &err), APR_ENOENT);
    ok(sal_blob_remove(store, "top", pool, &err));
}

static void test_keys(void **state)
{
    static const char *const bad[] = { "",     "/a",    "a/",     "a//b",     ".",
                                       "..",   "../a",  "a/../b", "a/.",      "a b",
                                       "a\\b", "a%2fb", "a\n",    "\xc3\xa4", NULL };
    sal_blob_writer_t *w;
    int before = files();

    (void)state;
    for (int i = 0; bad[i]; i++) {
        assert_null(sal_blob_path(store, bad[i], pool));
        ok(sal_blob_begin(&w, store, pool, &err));
        assert_int_equal(sal_blob_commit(w, bad[i], &err), APR_EINVAL);
    }
    assert_null(sal_blob_path(store, NULL, pool));
    assert_null(sal_blob_path(store, memset(apr_pcalloc(pool, 300), 'k', 256), pool));
    assert_non_null(sal_blob_path(store, "...", pool)); /* an odd name, but only a name */
    assert_int_equal(files(), before);
}

/* New directories take the mode of the root, whatever the umask. */
static void test_modes(void **state)
{
    struct stat st;
    mode_t before = umask(077);

    (void)state;
    assert_int_equal(chmod(temp_path("store", pool), 02770), 0);
    ok(sal_store_open(&store, temp_path("store", pool), pool, &err));
    put("x/y/z", "1");
    umask(before);
    assert_int_equal(stat(temp_path("store/x/y", pool), &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
}

static void test_owner(void **state)
{
    struct stat st;

    (void)state;
    if (geteuid() != 0) {
        print_message("SKIPPED LOUDLY: only root can give files away\n");
        skip();
    }
    assert_int_equal(chown(temp_path("store", pool), 33, 33), 0);
    ok(sal_store_open(&store, temp_path("store", pool), pool, &err));
    put("owned/by/them", "1");
    assert_int_equal(stat(temp_path("store/owned/by", pool), &st), 0);
    assert_int_equal(st.st_uid, 33);
    assert_int_equal(stat(temp_path("store/owned/by/them", pool), &st), 0);
    assert_int_equal(st.st_uid, 33);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_owner),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    temp_make(pool);
    if (sal_store_open(&store, temp_path("store", pool), pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_remove(pool);
    return failed;
}
