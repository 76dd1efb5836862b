/*
 * salvage reprocess: have crashes processed again, by id, list, search, signature or module; look
 * at such requests, pause and cancel them.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/file.h"
#include "base/text.h"
#include "input.h"
#include "reprocess/reprocess.h"

#define USAGE                                                                                      \
    "reprocess ID[:RULESET]... | --file F | --search PARAMS | --signature S | --module "           \
    "FILE[/DEBUGID]  [--ruleset R] [--rate N] [--max-running N] [--reason TEXT] [--wait] | list "  \
    "[--open] [-n MAX] | show N | pause N | resume N | cancel N  [-c FILE]"
#define INPUT_MAX (256 << 20)
#define LIST_DEFAULT 20

typedef struct request_t {
    const char *conf;
    const char **args;
    int nargs;
    const char *file, *search, *signature, *module;
    sal_reprocess_new_t opts;
    int64_t rate, max_running, max; /* -1: as configured */
    bool wait, open;
} request_t;

enum { OPT_SIGNATURE = 256, OPT_MODULE, OPT_RATE, OPT_RUNNING, OPT_REASON, OPT_OPEN };

static const apr_getopt_option_t options[] = {
    { "file", 'f', 1, "crash ids, one a line; - is standard input" },
    { "search", 's', 1, "Super Search parameters, as in the address of a search" },
    { "signature", OPT_SIGNATURE, 1, "all crashes of a signature" },
    { "module", OPT_MODULE, 1, "all crashes that go through a module, or lack its symbols" },
    { "ruleset", 'r', 1, "default or regenerate_signature" },
    { "rate", OPT_RATE, 1, "jobs a second at most, 0: no limit" },
    { "max-running", OPT_RUNNING, 1, "jobs at work at once, 0: no limit" },
    { "reason", OPT_REASON, 1, "for the list of requests" },
    { "wait", 'w', 0, "until all of them are processed" },
    { "open", OPT_OPEN, 0, "list what runs or is paused" },
    { "max", 'n', 1, "how many to list" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- looking ---- */

static void print_row(const sal_reprocess_t *r, apr_pool_t *p)
{
    printf("%lld\t%s\t%s\t%lld\t%lld\t%lld\t%lld\t%lld\t%lld\t%s\t%s\t%s\t%s\n", (long long)r->id,
           r->state, r->kind, (long long)r->total, (long long)r->queued, (long long)r->done,
           (long long)(r->waiting + r->running), (long long)r->failed, (long long)r->dead,
           r->ruleset, sal_time_iso(r->created, p), r->requester, r->reason);
}

static int list(const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_reprocess_t *rows;
    sal_error_t err;
    int n;

    if (sal_reprocess_list(&rows, &n, 0, req->open, (int)req->max, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("id\tstate\tkind\ttotal\tqueued\tdone\tin-queue\tfailed\tdead\truleset\tcreated\t"
         "requester\treason");
    for (int i = 0; i < n; i++) {
        print_row(&rows[i], p);
    }
    return CMD_OK;
}

static const char *or_none(int n, apr_pool_t *p)
{
    return n ? apr_itoa(p, n) : "no limit";
}

static int show_one(const sal_reprocess_t *r, apr_pool_t *p)
{
    printf("id %lld\nstate %s\nkind %s\nquery %s\nruleset %s\nrequester %s\nreason %s\nrate %s\n"
           "max-running %s\ntotal %lld\nqueued %lld\ndone %lld\nwaiting %lld\nrunning %lld\n"
           "failed %lld\ndead %lld\ncreated %s\n",
           (long long)r->id, r->state, r->kind, r->query, r->ruleset, r->requester, r->reason,
           or_none(r->rate, p), or_none(r->max_running, p), (long long)r->total,
           (long long)r->queued, (long long)r->done, (long long)r->waiting, (long long)r->running,
           (long long)r->failed, (long long)r->dead, sal_time_iso(r->created, p));
    if (r->finished) {
        printf("finished %s\n", sal_time_iso(r->finished, p));
    }
    if (*r->error) {
        printf("error %s\n", r->error);
    }
    return CMD_OK;
}

static int get(sal_reprocess_t *out, int64_t id, sal_db_t *db, apr_pool_t *p)
{
    sal_reprocess_t *rows;
    sal_error_t err;
    int n;

    if (sal_reprocess_list(&rows, &n, id, false, 1, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    *out = rows[0];
    return CMD_OK;
}

static int show(int64_t id, sal_db_t *db, apr_pool_t *p)
{
    sal_reprocess_t r;
    int rc = get(&r, id, db, p);

    return rc == CMD_OK ? show_one(&r, p) : rc;
}

/*
 * Dead jobs have ended, too: a request that waits for them would never end. Whoever waits lends a
 * hand: steps may be made by anybody.
 */
static int wait_for(int64_t id, sal_db_t *db, apr_pool_t *parent)
{
    bool line = isatty(STDERR_FILENO);
    int rc = CMD_OK;

    for (bool over = false; !over && rc == CMD_OK;) {
        sal_reprocess_t r;
        sal_error_t err;
        int64_t queued;
        apr_pool_t *p;

        apr_pool_create(&p, parent);
        if (sal_reprocess_step(&queued, 0, db, p, &err) != APR_SUCCESS) {
            rc = cmd_fail_err(&err);
        } else if ((rc = get(&r, id, db, p)) == CMD_OK) {
            over = !strcmp(r.state, "done") || !strcmp(r.state, "cancelled");
            if (line) {
                fprintf(stderr, "\r%lld of %lld done, %lld given up, %s   ", (long long)r.done,
                        (long long)r.total, (long long)r.dead, r.state);
            }
        }
        if (over) {
            fprintf(stderr, "%srequest %lld is %s: %lld processed, %lld given up\n",
                    line ? "\r" : "", (long long)id, r.state, (long long)r.done, (long long)r.dead);
            rc = r.dead || strcmp(r.state, "done") ? CMD_FAILED : CMD_OK;
        }
        apr_pool_destroy(p);
        if (!over && rc == CMD_OK) {
            apr_sleep(apr_time_from_msec(200));
        }
    }
    return rc;
}

/* ---- making ---- */

/* What people have at hand: an id, bp-ID, the address of a report; each with or without :RULESET.
 */
static const char *bare(const char *text, apr_pool_t *p)
{
    const char *at = strstr(text, "/report/index/");

    at = at ? at + strlen("/report/index/") : text;
    at += !strncmp(at, "bp-", 3) ? 3 : 0;
    return apr_pstrmemdup(p, at, strcspn(at, "/?#"));
}

static int add_id(apr_array_header_t *ids, const char *text, apr_pool_t *p)
{
    sal_reprocess_id_t *id = apr_array_push(ids);
    sal_error_t err;

    return sal_reprocess_id(id, bare(text, p), p, &err) == APR_SUCCESS ? CMD_OK
                                                                       : cmd_fail_err(&err);
}

static int read_lines(apr_array_header_t *ids, char *text, apr_pool_t *p)
{
    char *state;
    int rc = CMD_OK;

    for (char *word = apr_strtok(text, " \t\r\n", &state); word && rc == CMD_OK;
         word = apr_strtok(NULL, " \t\r\n", &state)) {
        rc = add_id(ids, word, p);
    }
    return rc;
}

static int read_file(apr_array_header_t *ids, const char *path, apr_pool_t *p)
{
    char *text;
    size_t size;
    sal_error_t err;
    int rc;

    if (strcmp(path, "-") != 0) {
        apr_size_t len;

        return sal_file_read(&text, &len, path, INPUT_MAX, p, &err) == APR_SUCCESS
                   ? read_lines(ids, text, p)
                   : cmd_fail_err(&err);
    }
    if ((rc = tool_read_input(&text, &size, INPUT_MAX)) == CMD_OK) {
        rc = read_lines(ids, text, p);
        free(text);
    }
    return rc;
}

/* "a=b&c=d" as addresses have it. */
static int read_params(apr_table_t *out, const char *text, apr_pool_t *p)
{
    char *state, *copy = apr_pstrdup(p, *text == '?' ? text + 1 : text);

    for (char *pair = apr_strtok(copy, "&", &state); pair; pair = apr_strtok(NULL, "&", &state)) {
        char *value = strchr(pair, '=');
        const char *name, *clean;

        if (!value) {
            return cmd_usage(USAGE, "--search: \"%s\" is not NAME=VALUE", pair);
        }
        *value++ = '\0';
        name = apr_punescape_url(p, pair, NULL, NULL, 1);
        clean = apr_punescape_url(p, value, NULL, NULL, 1);
        if (!name || !clean) {
            return cmd_usage(USAGE, "--search: \"%s\" has a %% that begins no byte", pair);
        }
        apr_table_add(out, name, clean);
    }
    return CMD_OK;
}

static apr_status_t ask_module(int64_t *id, int64_t *total, const request_t *req, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    const char *slash = strchr(req->module, '/');
    const char *file =
        slash ? apr_pstrmemdup(p, req->module, (apr_size_t)(slash - req->module)) : req->module;

    return sal_reprocess_module(id, total, file, slash && slash[1] ? slash + 1 : NULL, &req->opts,
                                db, p, err);
}

static int ask_search(int64_t *id, int64_t *total, const request_t *req, sal_db_t *db,
                      apr_pool_t *p)
{
    apr_table_t *params = apr_table_make(p, 8);
    sal_error_t err;
    int rc = req->search ? read_params(params, req->search, p) : CMD_OK;

    if (rc != CMD_OK) {
        return rc;
    }
    if (req->signature) {
        apr_table_add(params, "signature", apr_pstrcat(p, "=", req->signature, NULL));
        if (!apr_table_get(params, "date")) { /* as far back as a search goes */
            apr_table_add(
                params, "date",
                apr_pstrcat(p,
                            ">=", sal_time_iso(apr_time_now() - apr_time_from_sec(86400 * 364), p),
                            NULL));
        }
    }
    return sal_reprocess_search(id, total, params, &req->opts, db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int ask_ids(int64_t *id, int64_t *total, const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    apr_array_header_t *ids = apr_array_make(p, 64, sizeof(sal_reprocess_id_t));
    sal_error_t err;
    int rc = req->file ? read_file(ids, req->file, p) : CMD_OK;

    for (int i = 0; i < req->nargs && rc == CMD_OK; i++) {
        rc = add_id(ids, req->args[i], p);
    }
    if (rc != CMD_OK) {
        return rc;
    }
    return sal_reprocess_ids(id, total, (const sal_reprocess_id_t *)ids->elts, ids->nelts, false,
                             &req->opts, db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int ask(int64_t *id, int64_t *total, const request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_error_t err;

    if (req->search || req->signature) {
        return ask_search(id, total, req, db, p);
    }
    if (!req->module) {
        return ask_ids(id, total, req, db, p);
    }
    return ask_module(id, total, req, db, p, &err) == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
}

static const char *who(void)
{
    const char *name = getenv("SUDO_USER");

    name = name && *name ? name : getenv("USER");
    return name && *name ? name : "root";
}

/* Administrators have no quota. */
static int make(request_t *req, sal_db_t *db, apr_pool_t *p)
{
    sal_reprocess_limits_t limits;
    int64_t id, total, queued;
    sal_error_t err;
    int rc;

    sal_reprocess_limits(&limits, cmd_conf(req->conf, p));
    req->opts.rate = req->rate < 0 ? limits.rate : (int)req->rate;
    req->opts.max_running = req->max_running < 0 ? limits.max_running : (int)req->max_running;
    req->opts.requester = who();
    if ((rc = ask(&id, &total, req, db, p)) != CMD_OK) {
        return rc;
    }
    if (!id) {
        puts("no crash to process");
        return CMD_OK;
    }
    /* its first crashes at once: the daemon goes on */
    if (sal_reprocess_step(&queued, 0, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("request %lld: %lld crash%s\n", (long long)id, (long long)total, total == 1 ? "" : "es");
    fflush(stdout);
    return req->wait ? wait_for(id, db, p) : CMD_OK;
}

/* ---- the way in ---- */

static int control(const char *verb, int64_t id, sal_db_t *db, apr_pool_t *p)
{
    apr_status_t (*fn)(int64_t, sal_db_t *, apr_pool_t *, sal_error_t *) =
        !strcmp(verb, "pause")    ? sal_reprocess_pause
        : !strcmp(verb, "resume") ? sal_reprocess_resume
                                  : sal_reprocess_cancel;
    sal_error_t err;

    return fn(id, db, p, &err) == APR_SUCCESS ? show(id, db, p) : cmd_fail_err(&err);
}

static bool is_verb(const char *text)
{
    static const char *const verbs[] = { "show", "pause", "resume", "cancel" };

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!strcmp(text, verbs[i])) {
            return true;
        }
    }
    return false;
}

static int run(request_t *req, apr_pool_t *p)
{
    int ways = (req->file || req->nargs > 0) + (req->search || req->signature) + !!req->module;
    const char *verb = req->nargs > 0 ? req->args[0] : "";
    bool lists = !strcmp(verb, "list") && req->nargs == 1;
    int64_t id = 0;
    sal_db_t *db;

    if (is_verb(verb) && (req->nargs != 2 || !sal_parse_int(req->args[1], 1, INT64_MAX, &id))) {
        return cmd_usage(USAGE, "%s needs the number of a request (`salvage reprocess list`)",
                         verb);
    }
    if (!lists && !id && ways != 1) {
        return cmd_usage(USAGE, ways ? "say which crashes in one way, not in several"
                                     : "say which crashes, or list, show, pause, resume, cancel");
    }
    if (!(db = cmd_db_open(req->conf, p))) {
        return CMD_FAILED;
    }
    if (lists) {
        return list(req, db, p);
    }
    if (id) {
        return !strcmp(verb, "show") ? show(id, db, p) : control(verb, id, db, p);
    }
    return make(req, db, p);
}

static int read_number(int64_t *out, const char *option, const char *value, int64_t min)
{
    return sal_parse_int(value, min, 100000, out)
               ? CMD_OK
               : cmd_usage(USAGE, "%s \"%s\" is not a number from %d to 100000", option, value,
                           (int)min);
}

/* CMD_OK to go on. */
static int read_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'f':
        req->file = value;
        break;
    case 's':
        req->search = value;
        break;
    case OPT_SIGNATURE:
        req->signature = value;
        break;
    case OPT_MODULE:
        req->module = value;
        break;
    case 'r':
        req->opts.ruleset = value;
        break;
    case OPT_RATE:
        return read_number(&req->rate, "--rate", value, 0);
    case OPT_RUNNING:
        return read_number(&req->max_running, "--max-running", value, 0);
    case 'n':
        return read_number(&req->max, "-n", value, 1);
    case OPT_REASON:
        req->opts.reason = value;
        break;
    case 'w':
        req->wait = true;
        break;
    case OPT_OPEN:
        req->open = true;
        break;
    case 'c':
        req->conf = value;
        break;
    }
    return CMD_OK;
}

int cmd_reprocess(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .rate = -1, .max_running = -1, .max = LIST_DEFAULT };
    const char *value;
    apr_status_t rv;
    int c, rc;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
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
    req.args = os->argv + os->ind;
    req.nargs = argc - os->ind;
    return run(&req, p);
}
