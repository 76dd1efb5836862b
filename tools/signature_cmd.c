/*
 * salvage signature, what both programs need: the options, the lists, a result on its way out.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "signature_cmd.h"

#define USAGE                                                                                      \
    "signature [--lists DIR] [--format json|text|csv|markdown] [--lines] [--explain] [-v]\n"       \
    "       [--ping [--symbols DIR]... [--symbols-cache DIR]] [-c FILE] < crash_data.json\n"       \
    "       salvage signature --server URL [--token T] [--different-only] ... [CRASH-ID...]"

enum {
    OPT_LISTS = 256,
    OPT_FORMAT,
    OPT_LINES,
    OPT_EXPLAIN,
    OPT_SERVER,
    OPT_TOKEN,
    OPT_CRASH_ID,
    OPT_DIFFERENT,
    OPT_PING,
    OPT_SYMBOLS,
    OPT_CACHE
};

static const apr_getopt_option_t options[] = {
    { "lists", OPT_LISTS, 1, "directory of signature lists" },
    { "signature-list-dir", OPT_LISTS, 1, "the same" },
    { "format", OPT_FORMAT, 1, "json, text, csv or markdown" },
    { "lines", OPT_LINES, 0, "one object a line, in and out" },
    { "explain", OPT_EXPLAIN, 0, "say which list and rule decided what" },
    { "verbose", 'v', 0, "print the debug log too" },
    { "server", OPT_SERVER, 1, "fetch crashes from the Crash Stats at this URL" },
    { "token", OPT_TOKEN, 1, "API token for it; or $SALVAGE_API_TOKEN" },
    { "crash-id", OPT_CRASH_ID, 1, "a crash to fetch" },
    { "different-only", OPT_DIFFERENT, 0, "print crashes only whose signature would change" },
    { "ping", OPT_PING, 0, "input is crash pings: modules and addresses, to be looked up" },
    { "symbols", OPT_SYMBOLS, 1, "of pings: directory of symbols in Breakpad layout, or one file" },
    { "symbols-cache", OPT_CACHE, 1, "of pings: where built symcaches are kept" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

void signature_cmd_help(void)
{
    printf("usage: salvage %s\n", USAGE);
}

static int set_option(signature_cmd_t *req, int c, const char *value)
{
    switch (c) {
    case OPT_LISTS:
        req->lists = value;
        return CMD_OK;
    case OPT_LINES:
        req->style.lines = true;
        return CMD_OK;
    case OPT_EXPLAIN:
        req->style.explain = true;
        return CMD_OK;
    case OPT_DIFFERENT:
        req->different_only = true;
        return CMD_OK;
    case OPT_SERVER:
        req->server = value;
        return CMD_OK;
    case OPT_TOKEN:
        req->token = value;
        return CMD_OK;
    case OPT_CRASH_ID:
        APR_ARRAY_PUSH(req->ids, const char *) = value;
        return CMD_OK;
    case OPT_PING:
        req->ping = true;
        return CMD_OK;
    case OPT_SYMBOLS:
        APR_ARRAY_PUSH(req->symbols, const char *) = value;
        return CMD_OK;
    case OPT_CACHE:
        req->cache = value;
        return CMD_OK;
    case 'v':
        req->style.verbose = true;
        return CMD_OK;
    case 'c':
        req->conf = value;
        return CMD_OK;
    case OPT_FORMAT:
        req->format_given = true;
        return print_format_of(&req->style.format, value)
                   ? CMD_OK
                   : cmd_usage(USAGE, "--format is json, text, csv or markdown, not %s", value);
    default:
        signature_cmd_help();
        return -1;
    }
}

int signature_cmd_options(signature_cmd_t *req, int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value;
    apr_status_t rv;
    int c, code;

    req->ids = apr_array_make(p, 8, sizeof(const char *));
    req->symbols = apr_array_make(p, 4, sizeof(const char *));
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if ((code = set_option(req, c, value)) != CMD_OK) {
            return code;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    for (; os->ind < argc; os->ind++) {
        APR_ARRAY_PUSH(req->ids, const char *) = os->argv[os->ind];
    }
    if (req->ids->nelts && !req->server) {
        return cmd_usage(USAGE, "crash %s: fetched from where? name it with --server URL",
                         APR_ARRAY_IDX(req->ids, 0, const char *));
    }
    if (req->different_only && !req->server) {
        return cmd_usage(USAGE, "--different-only compares with what a --server has");
    }
    if (req->ping && req->server) {
        return cmd_usage(USAGE, "--ping reads standard input, --server crashes of a server");
    }
    return CMD_OK;
}

int signature_cmd_lists(signature_cmd_t *req, apr_pool_t *p)
{
    bool named = req->conf || getenv("SALVAGE_CONF");
    sal_error_t err;

    if (!req->lists) {
        sal_conf_t *conf = named ? cmd_conf(req->conf, p) : NULL;

        if (!conf && named) {
            return CMD_FAILED;
        }
        req->lists = conf ? sal_conf_get(conf, "siglists", NULL) : NULL;
        req->lists = req->lists ? req->lists : SAL_SIGLISTS_DIR;
    }
    if (sal_siglists_load(&req->siglists, req->lists, p, &err) != APR_SUCCESS) {
        return cmd_fail("%s; name a directory with --lists DIR", err.message);
    }
    return CMD_OK;
}

void signature_cmd_print(const signature_cmd_t *req, const char *crash_id, const char *old,
                         const json_t *data, apr_pool_t *p)
{
    bool explain = req->style.verbose || req->style.explain;
    sal_signature_t sig;
    print_record_t record = { crash_id, old, &sig, NULL };
    json_t *why = NULL;

    if (explain) {
        why = sal_signature_explain(&sig, data, req->siglists, p);
    } else {
        sal_signature_make(&sig, data, req->siglists, p);
    }
    record.why = why;
    if (!req->different_only || !old || strcmp(old, sig.signature)) {
        print_record(&req->style, &record, p);
    }
    json_decref(why);
}
