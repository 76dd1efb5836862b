/*
 * salvage search: the search tables from the command line: ask them, and put documents into them.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "base/json.h"
#include "base/text.h"
#include "input.h"
#include "search/index.h"
#include "search/super.h"

#define USAGE                                                                                      \
    "search [--protected] [--strict] [--explain] NAME=VALUE... | --lines | --index  [-c FILE]"

typedef struct {
    sal_super_reader_t reader;
    bool lines, index;
    const char *conf;
} request_t;

static const apr_getopt_option_t options[] = {
    { "protected", 'p', 0, "protected fields, too" },
    { "strict", 's', 0, "unknown names of fields are errors" },
    { "explain", 'e', 0, "the statements and what they took, in place of the result" },
    { "lines", 'l', 0, "requests from standard input, a JSON object on each line" },
    { "index", 'i', 0, "processed crashes from standard input into the search tables" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print_json(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    puts(text ? text : "null");
    free(text);
    json_decref(value);
}

/* ---- one search ---- */

static int search(const request_t *req, const char *const *args, int n, apr_pool_t *p)
{
    sal_super_t *s = sal_super_make(&req->reader, apr_time_now(), p);
    sal_db_t *db;
    sal_error_t err;
    json_t *out;

    for (int i = 0; i < n; i++) {
        const char *sign = strchr(args[i], '=');

        if (!sign) {
            return cmd_usage(USAGE, "'%s' is not NAME=VALUE", args[i]);
        }
        sal_super_param(s, apr_pstrmemdup(p, args[i], (apr_size_t)(sign - args[i])), sign + 1);
    }
    if (req->reader.explain) {
        sal_super_param(s, "_return_query", "true");
    }
    db = cmd_db_open(req->conf, p);
    if (!db) {
        return CMD_FAILED;
    }
    if (sal_super_run(&out, s, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    print_json(out);
    return CMD_OK;
}

/* ---- many searches ---- */

static void take_params(sal_super_t *s, const json_t *params)
{
    json_t *pair;
    size_t i;

    json_array_foreach(params, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));

        if (name && value) {
            sal_super_param(s, name, value);
        }
    }
}

static bool flag(const json_t *request, const char *name)
{
    return json_is_true(json_object_get(request, name));
}

static json_t *answer(const json_t *request, sal_db_t *db, apr_pool_t *p)
{
    sal_super_reader_t reader = { .pii = flag(request, "protected"),
                                  .strict = flag(request, "strict"),
                                  .explain = flag(request, "explain"),
                                  .known = true };
    const char *now = sal_json_str(request, "now");
    apr_time_t moment = apr_time_now();
    sal_error_t err = { 0 };
    sal_super_t *s;
    json_t *out;

    if (now && !sal_time_parse(now, &moment)) {
        return json_pack("{s:s}", "error", "now: not a time");
    }
    s = sal_super_make(&reader, moment, p);
    take_params(s, json_object_get(request, "params"));
    if (sal_super_run(&out, s, db, p, &err) != APR_SUCCESS) {
        return json_pack("{s:s}", "error", err.message);
    }
    return out;
}

typedef int (*line_fn)(const json_t *line, sal_db_t *db, apr_pool_t *p);

static int answer_line(const json_t *line, sal_db_t *db, apr_pool_t *p)
{
    print_json(answer(line, db, p));
    fflush(stdout);
    return CMD_OK;
}

/* ---- documents ---- */

static apr_status_t store(sal_db_t *db, void *row, apr_pool_t *p, sal_error_t *err)
{
    return sal_search_store(row, db, p, err);
}

static int index_line(const json_t *line, sal_db_t *db, apr_pool_t *p)
{
    sal_search_row_t *row;
    sal_error_t err;

    if (sal_search_prepare(&row, line, db, p, &err) != APR_SUCCESS ||
        sal_db_txn(db, store, row, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return CMD_OK;
}

static int each_line(line_fn fn, const request_t *req, apr_pool_t *p)
{
    sal_db_t *db = cmd_db_open(req->conf, p);
    apr_pool_t *scratch;
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    int rc = db ? CMD_OK : CMD_FAILED;

    apr_pool_create(&scratch, p);
    while (rc == CMD_OK && (len = getline(&text, &room, stdin)) > 0) {
        sal_error_t err;
        json_t *line;

        rc = sal_json_parse(&line, text, (apr_size_t)len, scratch, &err) == APR_SUCCESS
                 ? fn(line, db, scratch)
                 : cmd_fail_err(&err);
        apr_pool_clear(scratch);
    }
    free(text);
    return rc;
}

int cmd_search(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .reader = { .known = true, .long_run = true } };
    const char *value;
    apr_status_t rv;
    int c, n;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        req.reader.pii = req.reader.pii || c == 'p';
        req.reader.strict = req.reader.strict || c == 's';
        req.reader.explain = req.reader.explain || c == 'e';
        req.lines = req.lines || c == 'l';
        req.index = req.index || c == 'i';
        req.conf = c == 'c' ? value : req.conf;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    n = argc - os->ind;
    if ((req.lines || req.index) && (n > 0 || (req.lines && req.index))) {
        return cmd_usage(USAGE, "--lines and --index read standard input and nothing else");
    }
    if (req.lines || req.index) {
        return each_line(req.lines ? answer_line : index_line, &req, p);
    }
    return search(&req, (const char *const *)os->argv + os->ind, n, p);
}
