/*
 * salvage ping: search crash pings, see the sample, have pings signed again.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"
#include "ping/ping_search.h"

#define USAGE                                                                                      \
    "ping search [FIELD=VALUE]... | signatures [FIELD=VALUE]... | stats | again "                  \
    "SIGNATURE|--all  [-d DAYS] [-c FILE]"
#define DAY apr_time_from_sec(86400)

typedef struct request_t {
    const char *conf;
    const char **args; /* behind the verb */
    int nargs;
    bool all;
    int64_t days, min_pings, max_reports, max;
} request_t;

static const apr_getopt_option_t options[] = {
    { "all", 'a', 0, "sign all pings again" },
    { "days", 'd', 1, "of how many days (7)" },
    { "max", 'n', 1, "how many signatures to list (100)" },
    { "max-reports", 'r', 1, "signatures: at most so many reports (10)" },
    { "min-pings", 'p', 1, "signatures: at least so many pings (10)" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- search ---- */

typedef struct question_t {
    sal_ping_query_t *query;
    int64_t limit, offset, facet_size;
} question_t;

static apr_status_t take(question_t *s, const char *name, const char *value, sal_error_t *err)
{
    int64_t *number = !strcmp(name, "_results_number")   ? &s->limit
                      : !strcmp(name, "_results_offset") ? &s->offset
                      : !strcmp(name, "_facets_size")    ? &s->facet_size
                                                         : NULL;

    if (number) {
        return sal_parse_int(value, 0, 1000000, number)
                   ? APR_SUCCESS
                   : sal_fail(err, SAL_E_MALFORMED, "%s is not a number", name);
    }
    if (!strcmp(name, "_columns")) {
        return sal_ping_query_column(s->query, value, err);
    }
    if (!strcmp(name, "_facets")) {
        return sal_ping_query_facet(s->query, value, err);
    }
    return !strcmp(name, "_sort") ? sal_ping_query_sort(s->query, value, err)
                                  : sal_ping_query_filter(s->query, name, value, err);
}

static int search(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    question_t s = { .limit = 100, .facet_size = 50 };
    sal_error_t err = { .message = "" };
    apr_status_t rv = APR_SUCCESS;
    json_t *out;

    s.query = sal_ping_query_make(apr_time_now(), true, p);
    for (int i = 0; rv == APR_SUCCESS && i < req->nargs; i++) {
        const char *equals = strchr(req->args[i], '=');

        rv = take(&s, apr_pstrmemdup(p, req->args[i], (apr_size_t)(equals - req->args[i])),
                  equals + 1, &err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_ping_query_page(s.query, s.limit, s.offset, s.facet_size, &err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_ping_query_run(&out, s.query, db, p, &err);
    }
    if (rv != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    json_dumpf(out, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(out);
    return CMD_OK;
}

/* ---- signatures ---- */

static bool gap_filter(sal_ping_gap_t *g, const char *arg)
{
    const char *equals = strchr(arg, '=');
    const struct {
        const char *name;
        const char **to;
    } names[] = { { "product", &g->product },
                  { "channel", &g->channel },
                  { "version", &g->version },
                  { "os", &g->os },
                  { "process_type", &g->process_type } };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == (size_t)(equals - arg) &&
            !strncmp(arg, names[i].name, (size_t)(equals - arg))) {
            *names[i].to = equals + 1;
            return true;
        }
    }
    return false;
}

static int signatures(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_ping_gap_t g = { .from = apr_time_now() - (req->days - 1) * DAY,
                         .to = apr_time_now() + DAY,
                         .min_pings = req->min_pings,
                         .max_reports = req->max_reports,
                         .limit = req->max };
    sal_error_t err;
    json_t *out;

    for (int i = 0; i < req->nargs; i++) {
        if (!gap_filter(&g, req->args[i])) {
            return cmd_usage(USAGE, "\"%s\" is none of product, channel, version, os, process_type",
                             req->args[i]);
        }
    }
    if (sal_ping_gaps(&out, &g, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("pings\treports\tsignature");
    for (size_t i = 0; i < json_array_size(out); i++) {
        const json_t *one = json_array_get(out, i);

        printf("%lld\t%lld\t%s\n", (long long)json_integer_value(json_object_get(one, "pings")),
               (long long)json_integer_value(json_object_get(one, "reports")),
               json_string_value(json_object_get(one, "signature")));
    }
    json_decref(out);
    return CMD_OK;
}

/* ---- stats ---- */

static void print_rows(const sal_rows_t *rows, const char *head, int columns)
{
    puts(head);
    for (int i = 0; i < sal_rows_count(rows); i++) {
        for (int k = 0; k < columns; k++) {
            printf("%s%s", k ? "\t" : "", sal_rows_text(rows, i, k));
        }
        putchar('\n');
    }
}

static int stats(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    if (sal_ping_states(&rows, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    print_rows(rows, "state\tpings\toldest", 3);
    if (sal_ping_strata(&rows, (int)req->days, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    print_rows(rows, "\nday\tos\tchannel\tprocess\tactor\treceived\ttaken", 7);
    return CMD_OK;
}

/* ---- again ---- */

static int again(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;
    int n;

    if (sal_ping_again(&n, req->all ? NULL : req->args[0], (int)req->days, db, p, &err) !=
        APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d ping%s will be signed again\n", n, n == 1 ? "" : "s");
    return CMD_OK;
}

typedef int (*verb_fn)(const request_t *req, sal_db_t *db, apr_pool_t *p);

static verb_fn find_verb(const char *verb, const request_t *req)
{
    bool pairs = true;

    for (int i = 0; i < req->nargs; i++) {
        const char *equals = strchr(req->args[i], '=');

        pairs = pairs && equals && equals > req->args[i];
    }
    if (!strcmp(verb, "search") && pairs) {
        return search;
    }
    if (!strcmp(verb, "signatures") && pairs) {
        return signatures;
    }
    if (!strcmp(verb, "again")) {
        return req->nargs == (req->all ? 0 : 1) ? again : NULL;
    }
    return !strcmp(verb, "stats") && req->nargs == 0 ? stats : NULL;
}

/* False: not a number of the option's range. */
static bool set_number(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'd':
        return sal_parse_int(value, 1, 366, &req->days);
    case 'n':
        return sal_parse_int(value, 1, 1000, &req->max);
    case 'p':
        return sal_parse_int(value, 1, INT64_C(1) << 40, &req->min_pings);
    default:
        return sal_parse_int(value, 0, INT64_C(1) << 40, &req->max_reports);
    }
}

int cmd_ping(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .days = 7, .min_pings = 10, .max_reports = 10, .max = 100 };
    const char *value;
    apr_status_t rv;
    verb_fn verb;
    sal_db_t *db;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        } else if (c == 'a') {
            req.all = true;
        } else if (c == 'c') {
            req.conf = value;
        } else if (!set_number(&req, c, value)) {
            return cmd_usage(USAGE, "\"%s\" is no number that -%c takes", value, c);
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    verb = os->ind < argc ? find_verb(os->argv[os->ind], &req) : NULL;
    if (!verb) {
        return cmd_usage(USAGE, "say search, signatures, stats or again");
    }
    db = cmd_db_open(req.conf, p);
    return db ? verb(&req, db, p) : CMD_FAILED;
}
