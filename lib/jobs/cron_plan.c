/*
 * Schedules: the table of jobs, what salvage.conf says about them, and when a job is due.
 * Arithmetic on times that are given; knows no clock and no database.
 */
#include "jobs/cron_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

#define DAY 86400
#define EVERY_MAX (3650 * DAY)
#define LIMIT_MAX (7 * DAY)

static const sal_cron_job_t jobs[] = {
#define CRON(name, every, at, limit, flags, purpose)                                               \
    { #name, every, at, limit, flags, purpose, cron_##name },
#include "jobs/jobs.def"
#undef CRON
    { 0 }
};

const sal_cron_job_t *sal_cron_jobs(void)
{
    return jobs;
}

const sal_cron_job_t *sal_cron_find(const char *name)
{
    for (const sal_cron_job_t *job = jobs; job->name; job++) {
        if (!strcmp(job->name, name)) {
            return job;
        }
    }
    return NULL;
}

/* ---- texts ---- */

bool sal_cron_every(const char *text, int *seconds)
{
    size_t digits = strspn(text, "0123456789");
    int64_t n, unit;
    char number[8];

    if (digits == 0 || digits >= sizeof(number) || !text[digits] || text[digits + 1]) {
        return false;
    }
    switch (text[digits]) {
    case 'd':
        unit = DAY;
        break;
    case 'h':
        unit = 3600;
        break;
    case 'm':
        unit = 60;
        break;
    default:
        return false;
    }
    apr_cpystrn(number, text, digits + 1);
    if (!sal_parse_int(number, 1, EVERY_MAX / unit, &n)) {
        return false;
    }
    *seconds = (int)(n * unit);
    return true;
}

static int two_digits(const char *s)
{
    return s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9' ? (s[0] - '0') * 10 + s[1] - '0'
                                                                    : -1;
}

bool sal_cron_clock(const char *text, int *minute)
{
    int h, m;

    if (!*text) {
        *minute = -1;
        return true;
    }
    if (strlen(text) != 5 || text[2] != ':') {
        return false;
    }
    h = two_digits(text);
    m = two_digits(text + 3);
    *minute = h * 60 + m;
    return h >= 0 && h < 24 && m >= 0 && m < 60;
}

/* ---- salvage.conf ---- */

/* One word with what belongs to it. NULL, or what is wrong with it. */
static const char *read_word(sal_cron_plan_t *plan, const char *word, char **rest)
{
    const char *value;
    int64_t n;

    if (!strcmp(word, "on") || !strcmp(word, "off")) {
        plan->enabled = word[1] == 'n';
        return NULL;
    }
    if (strcmp(word, "every") && strcmp(word, "at") && strcmp(word, "limit")) {
        return "what is known is: on, off, every N(d|h|m), at HH:MM or at any, limit TIME";
    }
    value = apr_strtok(NULL, " \t", rest);
    if (word[0] == 'e') {
        return value && sal_cron_every(value, &plan->every) ? NULL
                                                            : "every takes a time such as 2h";
    }
    if (word[0] == 'a') {
        value = value && !strcmp(value, "any") ? "" : value;
        return value && sal_cron_clock(value, &plan->minute) ? NULL : "at takes HH:MM, or any";
    }
    if (!value || !sal_parse_duration(value, &n) || n < 1 || n > LIMIT_MAX) {
        return "limit takes a time of at most 7d";
    }
    plan->limit = (int)n;
    return NULL;
}

/* Applies a line if it is about the job. */
static apr_status_t read_line(sal_cron_plan_t *plan, const sal_cron_job_t *job, const char *line,
                              apr_pool_t *p, sal_error_t *err)
{
    char *rest, *word = apr_strtok(apr_pstrdup(p, line), " \t", &rest);

    if (!word || strcmp(word, job->name)) {
        return APR_SUCCESS;
    }
    while ((word = apr_strtok(NULL, " \t", &rest)) != NULL) {
        const char *wrong = read_word(plan, word, &rest);

        if (wrong) {
            return sal_fail(err, SAL_E_MALFORMED, "job %s, \"%s\": %s", job->name, word, wrong);
        }
    }
    return APR_SUCCESS;
}

apr_status_t sal_cron_plan(sal_cron_plan_t *out, const sal_cron_job_t *job, const sal_conf_t *conf,
                           apr_pool_t *p, sal_error_t *err)
{
    const char *const *line = conf ? sal_conf_list(conf, "job") : NULL;
    apr_status_t rv = APR_SUCCESS;

    *out = (sal_cron_plan_t){ .limit = job->limit, .enabled = !(job->flags & SAL_CRON_OFF) };
    if (!sal_cron_every(job->every, &out->every) || !sal_cron_clock(job->at, &out->minute)) {
        return sal_fail(err, APR_EINVAL, "job %s: its row of jobs.def has no schedule", job->name);
    }
    for (; line && *line && rv == APR_SUCCESS; line++) {
        rv = read_line(out, job, *line, p, err);
    }
    return rv;
}

apr_status_t sal_cron_check(const sal_conf_t *conf, apr_pool_t *p, sal_error_t *err)
{
    sal_cron_plan_t plan;
    apr_status_t rv = APR_SUCCESS;

    for (const char *const *line = sal_conf_list(conf, "job"); *line; line++) {
        const char *name = apr_pstrndup(p, *line, strcspn(*line, " \t"));

        if (!sal_cron_find(name)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "job %s: there is no such job (`salvage jobs` lists them)", name);
        }
    }
    for (const sal_cron_job_t *job = jobs; job->name && rv == APR_SUCCESS; job++) {
        rv = sal_cron_plan(&plan, job, conf, p, err);
    }
    return rv;
}

/* ---- when ---- */

/* The minute of the day that t belongs to. Days of UTC have 86400 seconds here as in POSIX. */
static apr_time_t at_minute(apr_time_t t, int minute)
{
    apr_int64_t seconds = apr_time_sec(t);

    return apr_time_from_sec(seconds - seconds % DAY + minute * 60);
}

bool sal_cron_due(const sal_cron_plan_t *plan, apr_time_t next, apr_time_t now)
{
    if (!plan->enabled) {
        return false;
    }
    if (next) {
        return next < now;
    }
    return plan->minute < 0 || now >= at_minute(now, plan->minute);
}

apr_time_t sal_cron_next(const sal_cron_plan_t *plan, apr_time_t now)
{
    apr_time_t next = now + apr_time_from_sec(plan->every);

    if (plan->minute >= 0) {
        next = at_minute(next, plan->minute);
        /* every few hours at a time of day is once a day */
        next = next <= now ? next + apr_time_from_sec(DAY) : next;
    }
    return next;
}

apr_time_t sal_cron_step(const sal_cron_plan_t *plan, apr_time_t last, apr_time_t now)
{
    apr_time_t next;

    if (!last) {
        return now;
    }
    last = plan->minute >= 0 ? at_minute(last, plan->minute) : last;
    next = last + apr_time_from_sec(plan->every);
    return next <= now ? next : 0;
}
