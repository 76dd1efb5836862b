/*
 * salvage export: what is to be sent out, what could not be, and telemetry of days gone by.
 */
#include "export_cmd.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "export/telemetry.h"
#include "jobs/complete.h"

#define USAGE                                                                                      \
    "export status [--metrics] | failed [-n MAX] | retry ID...|DESTINATION...|--all |\n"           \
    "       export run [--from DAY --to DAY [--again]] [--to-destination NAME] |\n"                \
    "       export show CRASH_ID | schema | drop DESTINATION   [-c FILE]"
#define FAILED_DEFAULT 100
#define DAY_SECONDS 86400

typedef struct request_t {
    const char *conf, *from, *to, *destination;
    const char **args; /* behind the verb */
    int nargs;
    bool all, metrics, again;
    int64_t max;
} request_t;

enum { OPT_FROM = 256, OPT_TO, OPT_DESTINATION, OPT_AGAIN };

static const apr_getopt_option_t options[] = {
    { "metrics", 'm', 0, "status: counters, as Prometheus reads them" },
    { "max", 'n', 1, "failed: how many to list" },
    { "all", 'a', 0, "retry: everything" },
    { "from", OPT_FROM, 1, "run: crashes received from this day on, e.g. 2026-01-31" },
    { "to", OPT_TO, 1, "run: to this day, included" },
    { "again", OPT_AGAIN, 0, "run: also what was exported before" },
    { "to-destination", OPT_DESTINATION, 1, "run: this destination only" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- status ---- */

/* "processor.telemetry.exported" as "salvage_processor_telemetry_exported". */
static const char *metric_name(const char *name, apr_pool_t *p)
{
    char *out = apr_pstrcat(p, "salvage_", name, NULL);

    for (char *c = out; *c; c++) {
        *c = *c == '.' ? '_' : *c;
    }
    return out;
}

/* A label's value in quotes. */
static const char *quoted(const char *text, apr_pool_t *p)
{
    return sal_json_text(sal_json_own(json_string(text), p), p);
}

static void print_gauges(const sal_outbox_stats_t *stats, int n, apr_pool_t *p)
{
    puts("# TYPE salvage_outbox_rows gauge");
    for (int i = 0; i < n; i++) {
        const sal_outbox_stats_t *s = &stats[i];
        const char *of = apr_psprintf(p, "kind=\"%s\",destination=%s",
                                      sal_export_kind_name(s->kind), quoted(s->name, p));

        printf("salvage_outbox_rows{%s,state=\"waiting\"} %lld\n", of, (long long)s->waiting);
        printf("salvage_outbox_rows{%s,state=\"travelling\"} %lld\n", of, (long long)s->travelling);
        printf("salvage_outbox_rows{%s,state=\"failed\"} %lld\n", of, (long long)s->failed);
    }
    puts("# TYPE salvage_outbox_oldest_seconds gauge");
    for (int i = 0; i < n; i++) {
        printf("salvage_outbox_oldest_seconds{kind=\"%s\",destination=%s} %lld\n",
               sal_export_kind_name(stats[i].kind), quoted(stats[i].name, p),
               (long long)stats[i].oldest_seconds);
    }
}

static int print_counters(sal_db_t *db, apr_pool_t *p)
{
    sal_outbox_counter_t *c;
    sal_error_t err;
    const char *last = "";
    int n;

    if (sal_outbox_counters(&c, &n, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    for (int i = 0; i < n; last = c[i++].metric) {
        if (strcmp(c[i].metric, last)) {
            printf("# TYPE %s counter\n", metric_name(c[i].metric, p));
        }
        printf("%s{destination=%s} %lld\n", metric_name(c[i].metric, p),
               quoted(c[i].destination, p), (long long)c[i].n);
    }
    return CMD_OK;
}

static int status(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    sal_outbox_stats_t *stats;
    sal_error_t err;
    int n;

    if (sal_outbox_stats(&stats, &n, x->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (req->metrics) {
        print_gauges(stats, n, p);
        return print_counters(x->db, p);
    }
    puts("kind\tdestination\tconfigured\twaiting\ttravelling\tfailed\tsent\toldest\tlast error");
    for (int i = 0; i < n; i++) {
        const sal_outbox_stats_t *s = &stats[i];

        printf("%s\t%s\t%s\t%lld\t%lld\t%lld\t%lld\t%lld\t%s\n", sal_export_kind_name(s->kind),
               s->name, s->active ? "yes" : "no", (long long)s->waiting, (long long)s->travelling,
               (long long)s->failed, (long long)s->sent, (long long)s->oldest_seconds,
               s->last_error);
    }
    return CMD_OK;
}

static int failed(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    sal_outbox_failed_t *rows;
    sal_error_t err;
    int n;

    if (sal_outbox_failed(&rows, &n, (int)req->max, x->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("id\tkind\tdestination\tsubject\tpass\tattempts\tfailed\treason");
    for (int i = 0; i < n; i++) {
        printf("%lld\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", (long long)rows[i].id,
               sal_export_kind_name(rows[i].kind), rows[i].name, rows[i].subject, rows[i].pass,
               rows[i].attempts, sal_time_iso(rows[i].ended, p), rows[i].why);
    }
    return CMD_OK;
}

/* ---- retry, drop ---- */

static int retry(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    int count = req->all ? 1 : req->nargs, sum = 0, missing = 0;
    sal_error_t err;

    for (int i = 0; i < count; i++) {
        const char *of = req->all ? NULL : req->args[i];
        int64_t id = 0;
        int n;

        if (of && sal_parse_int(of, 1, INT64_MAX, &id)) {
            of = NULL;
        }
        if (sal_outbox_revive(&n, id, of, x->db, p, &err) != APR_SUCCESS ||
            (!id && sal_outbox_hurry(of, x->db, p, &err) != APR_SUCCESS)) {
            return cmd_fail_err(&err);
        }
        sum += n;
        if (!n && !req->all) {
            missing = 1;
            cmd_fail("nothing has failed of \"%s\" (`salvage export failed` lists all)",
                     req->args[i]);
        }
    }
    printf("%d row%s wait%s again\n", sum, sum == 1 ? "" : "s", sum == 1 ? "s" : "");
    return missing ? CMD_FAILED : CMD_OK;
}

static int drop(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    sal_error_t err;
    int n;

    if (sal_outbox_drop(&n, req->args[0], x->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d row%s forgotten\n", n, n == 1 ? "" : "s");
    return CMD_OK;
}

/* ---- run ---- */

static bool day_of(apr_time_t *out, const char *text, apr_pool_t *p)
{
    return strlen(text) == 10 && strspn(text, "0123456789-") == 10 &&
           sal_time_parse(apr_pstrcat(p, text, "T00:00:00+00:00", NULL), out);
}

static int backfill(const request_t *req, export_cmd_t *x, apr_time_t from, apr_time_t to,
                    apr_pool_t *p)
{
    const char *name;
    sal_error_t err;
    bool any = false;

    for (int i = 0; (name = sal_exporter_name(x->exporter, 1 << SAL_EXPORT_TELEMETRY, i)); i++) {
        apr_int64_t n;

        if (req->destination && strcmp(req->destination, name)) {
            continue;
        }
        any = true;
        if (sal_outbox_backfill(&n, name, from, to, req->again, x->db, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
        printf("%s\t%lld put in\n", name, (long long)n);
    }
    return any ? CMD_OK
               : cmd_fail("the configuration has no line `telemetry %s`",
                          req->destination ? req->destination : "DESTINATION");
}

static int run(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    apr_time_t from = 0, to = 0;
    apr_int64_t sent;
    int rc;

    if (!req->from != !req->to ||
        (req->from && (!day_of(&from, req->from, p) || !day_of(&to, req->to, p)))) {
        return cmd_usage(USAGE, "--from and --to are days such as 2026-01-31");
    }
    if (req->from &&
        (rc = backfill(req, x, from, to + apr_time_from_sec(DAY_SECONDS), p)) != CMD_OK) {
        return rc;
    }
    sal_exporter_hurry(x->exporter);
    export_catch_signals(x->exporter);
    rc = export_send(&sent, x, SAL_EXPORT_ALL, true, p);
    printf("%lld settled\n", (long long)sent);
    if (rc == CMD_OK && sal_exporter_troubled(x->exporter, SAL_EXPORT_ALL)) {
        return cmd_fail("a destination does not take what is sent (`salvage export status`)");
    }
    return rc;
}

/* ---- show ---- */

static void print_json(json_t *v)
{
    json_dumpf(v, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(v);
}

static int show(const request_t *req, export_cmd_t *x, apr_pool_t *p)
{
    const char *id = sal_crash_id_clean(req->args[0], p);
    json_t *doc, *out;
    sal_error_t err;

    if (!id) {
        return cmd_fail("\"%s\" is not a crash id", req->args[0]);
    }
    if (sal_job_previous(&doc, id, x->store, x->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    out = doc ? sal_telemetry_reduce(sal_telemetry_builtin(p), sal_fields_processed(p), doc, NULL)
              : NULL;
    if (!out) {
        return cmd_fail("crash %s is not processed", id);
    }
    print_json(out);
    return CMD_OK;
}

static int schema(apr_pool_t *p)
{
    print_json(sal_telemetry_schema(sal_telemetry_builtin(p), sal_fields_processed(p)));
    return CMD_OK;
}

/* ---- which ---- */

typedef int (*verb_fn)(const request_t *req, export_cmd_t *x, apr_pool_t *p);

typedef struct verb_t {
    const char *name;
    verb_fn run;
    int min, max; /* arguments */
    bool sends;   /* needs the stores and the destinations */
} verb_t;

static const verb_t verbs[] = {
    { "status", status, 0, 0, false },    { "failed", failed, 0, 0, false },
    { "retry", retry, 0, 100000, false }, { "run", run, 0, 0, true },
    { "show", show, 1, 1, true },         { "drop", drop, 1, 1, false },
};

static const verb_t *find_verb(const char *name, const request_t *req)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const verb_t *v = &verbs[i];

        if (!strcmp(name, v->name) && req->nargs >= v->min && req->nargs <= v->max) {
            return v->run == retry && req->all == (req->nargs > 0) ? NULL : v;
        }
    }
    return NULL;
}

static int take_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'm':
        req->metrics = true;
        break;
    case 'a':
        req->all = true;
        break;
    case OPT_FROM:
        req->from = value;
        break;
    case OPT_TO:
        req->to = value;
        break;
    case OPT_AGAIN:
        req->again = true;
        break;
    case OPT_DESTINATION:
        req->destination = value;
        break;
    case 'c':
        req->conf = value;
        break;
    default:
        if (!sal_parse_int(value, 1, 1000000, &req->max)) {
            return cmd_usage(USAGE, "-n \"%s\" is not a number from 1 to 1000000", value);
        }
    }
    return CMD_OK;
}

int cmd_export(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .max = FAILED_DEFAULT };
    const char *value, *name;
    const verb_t *verb;
    apr_status_t rv;
    export_cmd_t x;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        if (take_option(&req, c, value) != CMD_OK) {
            return CMD_USAGE;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    name = os->ind < argc ? os->argv[os->ind] : "";
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    if (!strcmp(name, "schema") && req.nargs == 0) {
        return schema(p);
    }
    verb = find_verb(name, &req);
    if (!verb) {
        return cmd_usage(USAGE, "status, failed, retry, run, show, schema or drop is wanted");
    }
    if ((verb->sends ? export_open : export_look)(&x, req.conf, p) != CMD_OK) {
        return CMD_FAILED;
    }
    return verb->run(&req, &x, p);
}
