/*
 * Containers as somebody else's zip reader sees them: libzip, and unzip where it is installed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/container.h"
#include "temp_dir.h"

#define BIG 300000

static apr_pool_t *pool;
static char noise[BIG];

static void ok(apr_status_t rv)
{
    assert_int_equal(rv, APR_SUCCESS);
}

static apr_status_t put(sal_container_t *c, const char *name, const char *data, apr_size_t size)
{
    sal_piece_t pieces[2] = { { data, size / 3 }, { data + size / 3, size - size / 3 } };

    return sal_container_put(c, name, pieces, 2);
}

static apr_status_t add(sal_container_t *c, const char *data, apr_size_t size)
{
    sal_piece_t pieces[2] = { { data, size / 5 }, { data + size / 5, size - size / 5 } };

    return sal_container_write(c, pieces, 2);
}

static apr_size_t room;

static const char *start(sal_container_t *c, const char *name)
{
    const char *path = temp_path(name, pool);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);

    if (fd < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    /* A small buffer, a large one, and both in turn, as a writer of crashes has them. */
    room = room == 8192 ? 512 : 8192;
    sal_container_init(c, fd, apr_time_now(), apr_palloc(pool, room), room, pool);
    return path;
}

/* The entry is there with this content; libzip compares the check sum at its end. */
static void expect_entry(const char *path, const char *name, const char *data, size_t size)
{
    int code;
    zip_t *z = zip_open(path, ZIP_CHECKCONS | ZIP_RDONLY, &code);
    zip_file_t *f;
    char *got = apr_palloc(pool, size + 1);
    size_t n = 0;
    zip_int64_t k;

    assert_non_null(z);
    f = zip_fopen(z, name, 0);
    assert_non_null(f);
    while (n <= size && (k = zip_fread(f, got + n, size + 1 - n)) > 0) {
        n += (size_t)k;
    }
    assert_int_equal(n, size);
    assert_memory_equal(got, data, size);
    assert_int_equal(zip_fclose(f), 0);
    zip_discard(z);
}

static void expect_entries(const char *path, int n)
{
    zip_t *z = zip_open(path, ZIP_CHECKCONS | ZIP_RDONLY, NULL);

    assert_non_null(z);
    assert_int_equal(zip_get_num_entries(z, 0), n);
    zip_discard(z);
    if (system("command -v unzip >/dev/null") == 0) {
        assert_int_equal(system(apr_pstrcat(pool, "unzip -tq ", path, " >/dev/null", NULL)), 0);
    }
}

/* Sizes around the buffer's, streamed and whole, so that a header lies before, in and over it. */
static void test_sizes(void **state)
{
    static const size_t sizes[] = { 0,     1,     16000, 16333, 16340, 16350, 16354,
                                    16360, 16383, 16384, 16385, 20000, 65536, BIG };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            sal_container_t c;
            const char *path = start(&c, apr_psprintf(pool, "s%d.%d.zip", (int)i, (int)j));

            ok(put(&c, "first", noise, sizes[i]));
            ok(sal_container_begin(&c, "second"));
            ok(add(&c, noise, sizes[j] / 2));
            ok(add(&c, noise + sizes[j] / 2, sizes[j] - sizes[j] / 2));
            ok(sal_container_end(&c));
            sal_container_move(&c, apr_palloc(pool, 9000), 9000);
            ok(put(&c, "last", "{}", 2));
            ok(sal_container_finish(&c));
            close(c.fd);
            expect_entry(path, "first", noise, sizes[i]);
            expect_entry(path, "second", noise, sizes[j]);
            expect_entry(path, "last", "{}", 2);
            unlink(path);
        }
    }
}

/* An entry taken back leaves nothing, wherever its bytes were by then. */
static void test_drop(void **state)
{
    static const size_t sizes[] = { 0, 10, 16384, BIG };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            sal_container_t c;
            const char *path = start(&c, apr_psprintf(pool, "d%d.%d.zip", (int)i, (int)j));

            ok(put(&c, "kept", noise, sizes[i]));
            ok(sal_container_begin(&c, "dropped"));
            ok(add(&c, noise, sizes[j]));
            ok(sal_container_drop(&c));
            ok(put(&c, "after", noise + 7, 20000));
            ok(sal_container_finish(&c));
            close(c.fd);
            expect_entries(path, 2);
            expect_entry(path, "kept", noise, sizes[i]);
            expect_entry(path, "after", noise + 7, 20000);
        }
    }
}

/* As many entries as a form may have parts. */
static void test_many(void **state)
{
    sal_container_t c;
    const char *path = start(&c, "many.zip");

    (void)state;
    for (int i = 0; i < 4100; i++) {
        ok(put(&c, apr_psprintf(pool, "e%d", i), noise + i, (size_t)(i % 97)));
    }
    ok(sal_container_finish(&c));
    close(c.fd);
    expect_entries(path, 4100);
    expect_entry(path, "e4099", noise + 4099, 4099 % 97);
}

/* Over 4 GiB, the format's limit: refused before it is written. */
static void test_limit(void **state)
{
    sal_container_t c;
    const char *path = start(&c, "limit.zip");

    (void)state;
    c.offset = UINT64_C(0xffffffff) - (1 << 20) - 100;
    ok(sal_container_begin(&c, "x"));
    assert_int_equal(add(&c, noise, 1000), SAL_E_TOOBIG);
    assert_int_equal(put(&c, "y", noise, 1000), SAL_E_TOOBIG);
    close(c.fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_limit),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    srand(20261122);
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (char)(rand() >> 7);
    }
    temp_make(pool);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_remove(pool);
    return failed;
}
