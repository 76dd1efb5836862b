/*
 * Opening the crash store, reading days.
 */
#include "store.h"

#include <apr_strings.h>
#include "base/text.h"

sal_crash_store_t *cmd_store_open(const sal_conf_t *conf, apr_pool_t *p)
{
    const char *root = conf ? sal_conf_get(conf, "crash-store", NULL) : NULL;
    sal_crash_store_t *store;
    sal_error_t err;

    if (!root) {
        if (conf) {
            cmd_fail("the configuration has no line `crash-store DIRECTORY`");
        }
        return NULL;
    }
    if (sal_crash_store_open(&store, root, sal_conf_on(conf, "store-unsafe-fs", 0), p, &err) !=
        APR_SUCCESS) {
        cmd_fail_err(&err);
        return NULL;
    }
    return store;
}

const char *cmd_day_of(apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    return apr_psprintf(p, "%04d%02d%02d", e.tm_year + 1900, e.tm_mon + 1, e.tm_mday);
}

/* Eight digits with dashes anywhere, or NULL. */
static const char *digits(const char *text, apr_pool_t *p)
{
    char day[8];
    int n = 0;

    for (const char *s = text; *s; s++) {
        if (*s >= '0' && *s <= '9' && n < 8) {
            day[n++] = *s;
        } else if (*s != '-') {
            return NULL;
        }
    }
    return n == 8 ? apr_pstrmemdup(p, day, 8) : NULL;
}

const char *cmd_day(const char *text, apr_pool_t *p)
{
    const char *day = digits(text, p);
    int64_t ago;

    if (!day && sal_parse_duration(text, &ago) && ago >= 0) {
        day = cmd_day_of(apr_time_now() - apr_time_from_sec(ago), p);
    }
    return day;
}
