/*
 * salvage alerts: what watches saved searches, for administrators.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"
#include "jobs/alerts.h"

#define USAGE "alerts list | show ID | test ID | pause ID | resume ID | delete ID | run  [-c FILE]"

static const apr_getopt_option_t options[] = { CMD_OPT_CONFIG, CMD_OPT_HELP, CMD_OPT_END };

typedef struct tool_t {
    const sal_conf_t *conf;
    sal_db_t *db;
    apr_pool_t *p;
    int64_t id;
} tool_t;

static const char *time_text(apr_time_t t, apr_pool_t *p)
{
    return t ? sal_time_iso(t, p) : "-";
}

static int list(const tool_t *t)
{
    sal_alert_t *list;
    sal_error_t err;
    int n;

    if (sal_alert_list(&list, &n, 0, 0, t->db, t->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("id\tstate\tname\towner\tsearch\tcondition\tto\tvalue\tlast alarm");
    for (int i = 0; i < n; i++) {
        const sal_alert_t *a = &list[i];

        printf("%lld\t%s\t%s\t%s\t%s\t%s\t%s %s\t", (long long)a->id,
               a->paused  ? "paused"
               : a->error ? "failing"
                          : "on",
               a->name, a->owner_name, a->search_name, sal_alert_words(a, t->p),
               a->way ? "mail" : "hook", a->target);
        printf("%s\t%s\n", a->valued ? apr_psprintf(t->p, "%.15g", a->value) : "-",
               time_text(a->last_alarm, t->p));
    }
    return CMD_OK;
}

static int find(sal_alert_t **out, const tool_t *t)
{
    sal_error_t err;
    int n;

    if (sal_alert_list(out, &n, 0, t->id, t->db, t->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return n ? CMD_OK : cmd_fail("there is no alert %lld", (long long)t->id);
}

static int show(const tool_t *t)
{
    static const char *const states[] = { "waits", "handed over", "failed" };
    sal_alert_event_t *events;
    sal_alert_t *a;
    sal_error_t err;
    int n, rc = find(&a, t);

    if (rc != CMD_OK) {
        return rc;
    }
    if (sal_alert_events(&events, &n, t->id, t->db, t->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%s: %s\nsearch: %s (%s)\nlooked: %s\n", a->name, sal_alert_words(a, t->p),
           a->search_name, a->query, time_text(a->looked, t->p));
    if (a->error) {
        printf("error: %s\n", a->error);
    }
    for (int i = 0; i < n; i++) {
        printf("%s\t%s\t%s\t%s%s%s\n", time_text(events[i].at, t->p),
               events[i].test ? "test" : "alarm", events[i].target, states[events[i].state % 3],
               events[i].error ? ": " : "", events[i].error ? events[i].error : "");
    }
    return CMD_OK;
}

static int test(const tool_t *t)
{
    sal_alerts_t run = { .conf = t->conf, .now = apr_time_now() };
    sal_error_t err;
    sal_alert_t *a;
    int rc = find(&a, t);

    if (rc != CMD_OK) {
        return rc;
    }
    if (sal_alerts_test(&run, a, t->db, t->p, &err) != APR_SUCCESS ||
        sal_alerts_mail(NULL, &run, t->db, t->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("told %s\n", a->target);
    return CMD_OK;
}

static int change(const tool_t *t, const char *verb)
{
    sal_error_t err;
    apr_status_t rv = !strcmp(verb, "delete")
                          ? sal_alert_drop(0, t->id, t->db, t->p, &err)
                          : sal_alert_pause(0, t->id, !strcmp(verb, "pause"), t->db, t->p, &err);

    return rv == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
}

static int run_all(const tool_t *t)
{
    sal_alerts_t run = { .conf = t->conf, .now = apr_time_now() };
    sal_error_t err;
    int mails = 0;

    if (sal_alerts_look(&run, t->db, t->p, &err) != APR_SUCCESS ||
        sal_alerts_mail(&mails, &run, t->db, t->p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d looked at, %d alarms, %d could not look, %d mails\n", run.looked, run.told,
           run.failed, mails);
    return CMD_OK;
}

static int act(tool_t *t, const char *verb, const char *id)
{
    static const char *const of_one[] = { "show", "test", "pause", "resume", "delete", NULL };
    const char *const *known = of_one;

    if (!strcmp(verb, "list") || !strcmp(verb, "run")) {
        return id             ? cmd_usage(USAGE, "%s takes no argument", verb)
               : *verb == 'l' ? list(t)
                              : run_all(t);
    }
    while (*known && strcmp(*known, verb)) {
        known++;
    }
    if (!*known || !id || !sal_parse_int(id, 1, INT64_MAX, &t->id)) {
        return cmd_usage(USAGE, "say list, run, or what to do with which alert");
    }
    return !strcmp(verb, "show") ? show(t) : !strcmp(verb, "test") ? test(t) : change(t, verb);
}

int cmd_alerts(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *conf = NULL, *value;
    tool_t t = { .p = p };
    apr_status_t rv;
    int c, n;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        conf = c == 'c' ? value : conf;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    n = argc - os->ind;
    if (n < 1 || n > 2) {
        return cmd_usage(USAGE, "say list, run, or what to do with which alert");
    }
    if (!(t.conf = cmd_conf(conf, p)) || !(t.db = cmd_db_open(conf, p))) {
        return CMD_FAILED;
    }
    return act(&t, os->argv[os->ind], n == 2 ? os->argv[os->ind + 1] : NULL);
}
