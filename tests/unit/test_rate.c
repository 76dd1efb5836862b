/* Rates and day counts in shared memory; families of clients. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <apr_general.h>
#include "crash/agent.h"
#include "crash/rate.h"

#define SECOND APR_USEC_PER_SEC
#define NOON (INT64_C(20000) * 86400 * SECOND + INT64_C(43200) * SECOND)

static sal_rates_t *table(int places)
{
    return sal_rates_open(calloc(1, sal_rates_size(places)), places);
}

static void test_parse(void **state)
{
    static const char *const bad[] = { "",     "10",     "/s",      "10/",      "10/sec",
                                       "-1/s", "0/min",  "1/ s",    "1.5/s",    "10/s ",
                                       "x/s",  "none/s", "1/min/s", "9999999/s" };
    sal_rate_t rate;

    (void)state;
    assert_true(sal_rate_parse(&rate, "10/s", NULL));
    assert_int_equal(rate.every, SECOND / 10);
    assert_int_equal(rate.burst, 10);
    assert_true(sal_rate_parse(&rate, "60/min", "5"));
    assert_int_equal(rate.every, SECOND);
    assert_int_equal(rate.burst, 5);
    assert_true(sal_rate_parse(&rate, "24/d", NULL));
    assert_int_equal(rate.every, 3600 * SECOND);
    assert_int_equal(rate.burst, 1);
    assert_true(sal_rate_parse(&rate, "none", NULL));
    assert_int_equal(rate.every, 0);
    assert_false(sal_rate_parse(&rate, "none", "5"));
    assert_false(sal_rate_parse(&rate, "1/s", "0"));
    assert_false(sal_rate_parse(&rate, "1/s", "x"));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(sal_rate_parse(&rate, bad[i], NULL));
    }
}

static int take_all(sal_rates_t *t, const char *key, const sal_rate_t *rate, apr_time_t now)
{
    int n = 0;

    while (n < 1000 && sal_rate_take(t, key, strlen(key), rate, now, NULL, NULL)) {
        n++;
    }
    return n;
}

static void test_bucket(void **state)
{
    sal_rates_t *t = table(64);
    sal_rate_t rate = { SECOND, 5 };
    apr_interval_time_t wait;
    unsigned held;

    (void)state;
    assert_int_equal(take_all(t, "a", &rate, NOON), 5);
    assert_int_equal(take_all(t, "b", &rate, NOON), 5); /* its own bucket */
    assert_false(sal_rate_take(t, "a", 1, &rate, NOON, &wait, NULL));
    assert_int_equal(wait, SECOND);
    assert_false(sal_rate_take(t, "a", 1, &rate, NOON + SECOND - 1, &wait, NULL));
    assert_int_equal(wait, 1);
    /* take_all refused one, and so did we twice. */
    assert_true(sal_rate_take(t, "a", 1, &rate, NOON + SECOND, NULL, &held));
    assert_int_equal(held, 3);
    assert_int_equal(take_all(t, "a", &rate, NOON + 3 * SECOND), 2);
    /* Long silence fills the bucket and no more. */
    assert_int_equal(take_all(t, "a", &rate, NOON + 1000 * SECOND), 5);
    free(t);
}

static void test_clock_set_back(void **state)
{
    sal_rates_t *t = table(64);
    sal_rate_t rate = { SECOND, 5 };

    (void)state;
    assert_int_equal(take_all(t, "a", &rate, NOON), 5);
    assert_int_equal(take_all(t, "a", &rate, NOON - 3600 * SECOND), 0);
    /* Not an hour later, but as soon as an empty bucket would let it. */
    assert_false(sal_rate_take(t, "a", 1, &rate, NOON - 3600 * SECOND, NULL, NULL));
    free(t);
}

static void test_daily(void **state)
{
    sal_rates_t *t = table(64);
    apr_interval_time_t wait;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(sal_rate_take_daily(t, "a", 1, 3, NOON + i, NULL));
    }
    assert_false(sal_rate_take_daily(t, "a", 1, 3, NOON, &wait));
    assert_int_equal(wait, INT64_C(43200) * SECOND);
    assert_true(sal_rate_take_daily(t, "b", 1, 3, NOON, NULL));
    assert_true(sal_rate_take_daily(t, "a", 1, 3, NOON + INT64_C(43200) * SECOND, NULL));
    assert_false(sal_rate_take_daily(t, "a", 1, 0, NOON, NULL));
    free(t);
}

/* More keys than places: memory does not grow, nobody is shut out, and who floods stays known. */
static void test_many_keys(void **state)
{
    sal_rates_t *t = table(64);
    sal_rate_t rate = { SECOND, 2 };

    (void)state;
    assert_int_equal(take_all(t, "flood", &rate, NOON), 2);
    for (int i = 0; i < 30; i++) {
        sal_rate_take(t, &i, sizeof(i), &rate, NOON, NULL, NULL);
    }
    assert_int_equal(take_all(t, "flood", &rate, NOON), 0);
    for (int i = 0; i < 100000; i++) {
        assert_true(sal_rate_take(t, &i, sizeof(i), &rate, NOON + i * SECOND, NULL, NULL));
    }
    free(t);
}

/* Processes that share the table take no more than there is, however they interleave. */
static void test_processes(void **state)
{
    apr_size_t size = sal_rates_size(64);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sal_rates_t *t = sal_rates_open(memory, 64);
    sal_rate_t rate = { 3600 * SECOND, 1000 };
    int total = 0;

    (void)state;
    assert_ptr_equal(sal_rates_open(memory, 64), t);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            int n = 0;

            for (int k = 0; k < 600; k++) {
                n += sal_rate_take(t, "a", 1, &rate, NOON, NULL, NULL);
            }
            _exit(n / 10);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;

        wait(&status);
        assert_true(WIFEXITED(status));
        total += WEXITSTATUS(status) * 10;
    }
    assert_in_range(total, 960, 1000); /* each rounds down by less than 10 */
    assert_false(sal_rate_take(t, "a", 1, &rate, NOON, NULL, NULL));
    munmap(memory, size);
}

static void test_agents(void **state)
{
    static const char *const cases[][2] = {
        { "Crashpad/1.2 libcurl/7", "crashpad" },
        { "Breakpad/1.0 (Windows)", "breakpad" },
        { "crashreporter/1.0.0", "firefox" },
        { "Mozilla/5.0 (X11; rv:120.0) Gecko/20100101 Firefox/120.0", "firefox" },
        { "Mozilla/5.0 (compatible; secret-canary)", "browser" },
        { "curl/8.0", "curl" },
        { "sentry.native/0.7.0 Crashpad/1", "sentry" },
        { "Glean/60.0.0 (Rust on Linux)", "glean" },
        { "my own private tool", "other" },
    };

    (void)state;
    assert_string_equal(sal_agent_family(NULL), "none");
    assert_string_equal(sal_agent_family(""), "none");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(sal_agent_family(cases[i][0]), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),          cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_clock_set_back), cmocka_unit_test(test_daily),
        cmocka_unit_test(test_many_keys),      cmocka_unit_test(test_processes),
        cmocka_unit_test(test_agents),
    };

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
