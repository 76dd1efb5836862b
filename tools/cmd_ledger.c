/*
 * salvage ledger: what became of POSTs to the collector, or of one crash id.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "crash/ledger.h"

#define USAGE                                                                                      \
    "ledger [--refused] [--sum] [--outcome NAME] [--since TIME] [-n MAX] [-c FILE] [CRASH_ID]"

typedef struct request_t {
    const char *conf;
    int sum;
    sal_ledger_filter_t filter;
} request_t;

static const apr_getopt_option_t options[] = {
    { "refused", 'r', 0, "only what was not kept" },
    { "sum", 's', 0, "count by outcome, reason and agent" },
    { "outcome", 'o', 1, "accepted, deferred, rejected, faked, malformed, busy, ..." },
    { "since", 't', 1, "not older than this, e.g. 2h or 7d" },
    { "max", 'n', 1, "how many to list (100)" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print(const sal_rows_t *rows, const char *heads, int columns)
{
    puts(heads);
    for (int i = 0; i < sal_rows_count(rows); i++) {
        for (int c = 0; c < columns; c++) {
            printf("%s%c", sal_rows_text(rows, i, c), c + 1 < columns ? '\t' : '\n');
        }
    }
}

static int run(const request_t *req, apr_pool_t *p)
{
    sal_db_t *db = cmd_db_open(req->conf, p);
    sal_rows_t *rows;
    sal_error_t err;
    apr_status_t rv;

    if (!db) {
        return CMD_FAILED;
    }
    rv = req->sum ? sal_ledger_sums(&rows, &req->filter, db, p, &err)
                  : sal_ledger_list(&rows, &req->filter, db, p, &err);
    if (rv != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (req->sum) {
        print(rows, "outcome\treason\tagent\tcount\tlargest", 5);
    } else {
        print(rows, "received\toutcome\treason\tstatus\tsize\tagent\tcrash", 7);
    }
    if (req->filter.crash_id && !sal_rows_count(rows)) {
        return cmd_fail("no POST got the id \"%s\" in the time that the ledger is kept",
                        req->filter.crash_id);
    }
    return CMD_OK;
}

/* CMD_OK to go on. */
static int read_option(request_t *req, int c, const char *value)
{
    int64_t n;

    switch (c) {
    case 'r':
        req->filter.refused = true;
        break;
    case 's':
        req->sum = 1;
        break;
    case 'o':
        req->filter.outcome = value;
        break;
    case 'c':
        req->conf = value;
        break;
    case 't':
        if (!sal_parse_duration(value, &n) || n < 1) {
            return cmd_usage(USAGE, "--since \"%s\" is not a time such as 2h", value);
        }
        req->filter.since = n;
        break;
    case 'n':
        if (!sal_parse_int(value, 1, 1000000, &n)) {
            return cmd_usage(USAGE, "-n \"%s\" is not a number from 1 to 1000000", value);
        }
        req->filter.limit = (int)n;
        break;
    }
    return CMD_OK;
}

int cmd_ledger(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .filter.limit = 100 };
    const char *value;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        int rc;

        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        if ((rc = read_option(&req, c, value)) != CMD_OK) {
            return rc;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (argc - os->ind > 1) {
        return cmd_usage(USAGE, "one crash id at a time");
    }
    req.filter.crash_id = os->ind < argc ? os->argv[os->ind] : NULL;
    return run(&req, p);
}
