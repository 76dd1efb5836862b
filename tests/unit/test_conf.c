/*
 * salvage.conf: values, lists, relative paths, and mistakes that are named with their line.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/conf.h"
#include "temp_dir.h"

static apr_pool_t *pool;

static sal_conf_t *read_text(const char *text)
{
    sal_error_t err = { 0 };
    sal_conf_t *conf = NULL;

    temp_write("salvage.conf", text, pool);
    if (sal_conf_read(&conf, temp_path("salvage.conf", pool), pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return conf;
}

/* The message for a file that must be refused. */
static const char *refused(const char *text)
{
    sal_error_t err = { 0 };
    sal_conf_t *conf = NULL;

    temp_write("salvage.conf", text, pool);
    assert_int_equal(sal_conf_read(&conf, temp_path("salvage.conf", pool), pool, &err), APR_EINVAL);
    return apr_pstrdup(pool, err.message);
}

static void expect_in(const char *message, const char *part)
{
    if (!strstr(message, part)) {
        fail_msg("\"%s\" does not say \"%s\"", message, part);
    }
}

static void test_values(void **state)
{
    sal_conf_t *conf = read_text("# comment\n"
                                 "\n"
                                 "  database\t host=/run dbname='a b'  # no comment here \r\n"
                                 "workers 3\nworkers 4\n"
                                 "lease 3min\n"
                                 "symcache-size 20G\n"
                                 "store-unsafe-fs On\n"
                                 "crash-store /var/lib/a b");

    (void)state;
    assert_string_equal(sal_conf_get(conf, "database", NULL),
                        "host=/run dbname='a b'  # no comment here");
    assert_int_equal(sal_conf_int(conf, "workers", 9), 4); /* a later line wins */
    assert_int_equal(sal_conf_int(conf, "lease", 9), 180);
    assert_true(sal_conf_int(conf, "symcache-size", 9) == INT64_C(21474836480));
    assert_true(sal_conf_on(conf, "store-unsafe-fs", 0));
    assert_string_equal(sal_conf_get(conf, "crash-store", NULL), "/var/lib/a b");
}

static void test_fallbacks(void **state)
{
    sal_conf_t *conf = read_text("");

    (void)state;
    assert_string_equal(sal_conf_get(conf, "templates", "t"), "t");
    assert_null(sal_conf_get(conf, "no-such-key", NULL));
    assert_int_equal(sal_conf_int(conf, "workers", 7), 7);
    assert_int_equal(sal_conf_on(conf, "store-unsafe-fs", 1), 1);
    assert_null(sal_conf_list(conf, "symbols-path")[0]);
    assert_null(sal_conf_list(conf, "templates")[0]);
}

static void test_relative_paths(void **state)
{
    sal_conf_t *conf;
    const char *const *list;

    (void)state;
    assert_int_equal(chdir("/"), 0); /* where a program is started must not matter */
    conf = read_text("crash-store crashes\nsymbol-store ../up/./sym\nsymbols-path one\n"
                     "symbols-path /two\nsymbols-path three/\n");
    assert_string_equal(sal_conf_get(conf, "crash-store", NULL), temp_path("crashes", pool));
    assert_string_equal(sal_conf_get(conf, "symbol-store", NULL), "/tmp/up/sym");
    list = sal_conf_list(conf, "symbols-path");
    assert_string_equal(list[0], temp_path("one", pool));
    assert_string_equal(list[1], "/two");
    assert_string_equal(list[2], temp_path("three/", pool));
    assert_null(list[3]);
}

static void test_file_named_relatively(void **state)
{
    sal_error_t err = { 0 };
    sal_conf_t *conf;

    (void)state;
    temp_write("salvage.conf", "templates t\n", pool);
    assert_int_equal(chdir(temp_dir), 0);
    assert_int_equal(sal_conf_read(&conf, "salvage.conf", pool, &err), APR_SUCCESS);
    assert_int_equal(chdir("/"), 0);
    assert_string_equal(sal_conf_get(conf, "templates", NULL), temp_path("t", pool));
}

static void test_unknown_key_names_the_nearest(void **state)
{
    const char *message;

    (void)state;
    message = refused("workers 3\n\ncrash-stroe /x\n");
    expect_in(message, "line 3");
    expect_in(message, "\"crash-stroe\"");
    expect_in(message, "did you mean crash-store");
    assert_null(strstr(message, "symbol-store"));
    message = refused("symcaches-path x\n");
    expect_in(message, "symbols-path");
    message = refused("completely-different x\n"); /* near to none: all are named */
    expect_in(message, "database");
    expect_in(message, "workers");
    message = refused("Workers 3\n");
    expect_in(message, "did you mean workers");
}

static void test_bad_values(void **state)
{
    (void)state;
    expect_in(refused("workers many\n"), "workers: \"many\" is not a number");
    expect_in(refused("workers -1\n"), "line 1");
    expect_in(refused("\nlease 3 min\n"), "line 2: lease: \"3 min\" is not a duration");
    expect_in(refused("symcache-size 20GB\n"), "20G");
    expect_in(refused("store-unsafe-fs maybe\n"), "on or off");
    expect_in(refused("workers\n"), "workers has no value");
    expect_in(refused("templates   \n"), "templates has no value");
    expect_in(refused("database \xff\n"), "UTF-8");
}

static void test_missing_file(void **state)
{
    sal_error_t err = { 0 };
    sal_conf_t *conf;

    (void)state;
    assert_int_equal(sal_conf_read(&conf, temp_path("none.conf", pool), pool, &err), APR_ENOENT);
    expect_in(err.message, "none.conf");
    assert_int_not_equal(sal_conf_read(&conf, temp_dir, pool, &err), APR_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_file_named_relatively),
        cmocka_unit_test(test_unknown_key_names_the_nearest),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_missing_file),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    unsetenv("TMPDIR"); /* test_relative_paths looks one level up */
    temp_make(pool);
    failed = cmocka_run_group_tests_name("conf", tests, NULL, NULL);
    temp_remove(pool);
    apr_terminate();
    return failed;
}
