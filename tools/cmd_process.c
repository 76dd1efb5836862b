/*
 * salvage process: the pipeline in the foreground, explaining itself, on crashes of the store or on
 * dumps that are in none.
 */
#include "store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "analysis/stackwalk.h"
#include "base/file.h"
#include "base/json.h"
#include "crash/crash_id.h"
#include "crash/stored.h"
#include "jobs/complete.h"
#include "process_trace.h"
#include "reprocess/foreground.h"
#include "symbols/supplier.h"
#include "upstream/pipe.h"

#define USAGE                                                                                      \
    "process [--ruleset R] [--json] [--symbols DIR]... [--symbols-cache DIR] [-c FILE] "           \
    "[--write] CRASH_ID... | [--annotations FILE] [NAME=]DUMP..."
#define ANNOTATIONS_MAX (64 << 20)
#define MAIN_DUMP "upload_file_minidump"

typedef struct request_t {
    const char *conf_path, *ruleset, *annotations, *cache;
    apr_array_header_t *symbols; /* const char *, ends in NULL */
    bool json, write;
    sal_conf_t *conf; /* NULL: none, and none is needed */
    const char *host;
    sal_siglists_t *lists;
    sal_process_data_t *data;
    sal_supplier_t *supplier;
    sal_crash_store_t *store;
    sal_db_t *db;
} request_t;

enum { OPT_SYMBOLS = 256, OPT_CACHE };

static const apr_getopt_option_t options[] = {
    { "ruleset", 'r', 1, "default or regenerate_signature" },
    { "json", 'j', 0, "as JSON, the processed crash included" },
    { "write", 'w', 0, "store the result, as the daemon would" },
    { "annotations", 'a', 1, "raw crash of the dumps: a JSON object" },
    { "symbols", OPT_SYMBOLS, 1, "another tree of symbols" },
    { "symbols-cache", OPT_CACHE, 1, "where symbols are kept for mapping" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- what a walk needs ---- */

typedef struct walking_t {
    const request_t *req;
    process_trace_t *trace;
} walking_t;

/* In this process: a dump that is the end of its walker is the end of this command. */
static apr_status_t walk(sal_walk_result_t *out, sal_span_t dump, const json_t *raw, void *baton,
                         apr_pool_t *p, sal_error_t *err)
{
    const walking_t *w = baton;
    const sal_stackwalk_opts_t opts = { .supplier = w->req->supplier, .extra = raw };
    apr_time_t start = apr_time_now();
    sal_error_t why = { .message = "" };

    (void)err;
    *out = (sal_walk_result_t){ .log = "" };
    if (sal_stackwalk_bytes(&out->doc, dump, &opts, p, &why) != APR_SUCCESS) {
        out->exit_code = 1;
        out->log = apr_pstrcat(p, "ERROR ", why.message, NULL);
    }
    process_trace_walk(w->trace, out, apr_time_now() - start);
    return APR_SUCCESS;
}

/* Where the daemon keeps them, if we may write there: what is built now it need not build. */
static const char *cache_of(const request_t *req)
{
    const char *dir = req->conf ? sal_conf_get(req->conf, "symcache", NULL) : NULL;

    if (req->cache) {
        return req->cache;
    }
    return dir && access(dir, W_OK) == 0 ? dir : NULL;
}

static int open_symbols(request_t *req, apr_pool_t *p)
{
    sal_supplier_opts_t opts = { .symcache_dir = cache_of(req) };
    sal_upstream_t *servers = NULL;
    sal_error_t err;

    if (req->conf) {
        const char *const *more = sal_conf_list(req->conf, "symbols-path");

        opts.symbol_store = sal_conf_get(req->conf, "symbol-store", NULL);
        for (; *more; more++) {
            APR_ARRAY_PUSH(req->symbols, const char *) = *more;
        }
    }
    if (!opts.symcache_dir) {
        fprintf(stderr, "salvage process: without symbols: the symcache is not writable for you; "
                        "name a directory with --symbols-cache\n");
        return CMD_OK;
    }
    APR_ARRAY_PUSH(req->symbols, const char *) = NULL;
    opts.paths = (const char *const *)req->symbols->elts;
    if (req->conf && sal_upstream_from_conf(&servers, req->conf, NULL, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    opts.upstream = servers ? sal_upstream_source(servers, 0, p) : NULL;
    return sal_supplier_make(&req->supplier, &opts, p, &err) == APR_SUCCESS ? CMD_OK
                                                                            : cmd_fail_err(&err);
}

static int open_lists(request_t *req, apr_pool_t *p)
{
    const char *dir =
        req->conf ? sal_conf_get(req->conf, "siglists", SAL_SIGLISTS_DIR) : SAL_SIGLISTS_DIR;
    sal_error_t err;

    return sal_siglists_load(&req->lists, dir, p, &err) == APR_SUCCESS &&
                   sal_process_data_read(&req->data, req->conf, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int open_store(request_t *req, apr_pool_t *p)
{
    req->store = cmd_store_open(req->conf, p);
    return req->store ? CMD_OK : CMD_FAILED;
}

/* ---- a pass ---- */

static void pipeline_opts(sal_process_opts_t *opts, const request_t *req, walking_t *w)
{
    *opts = (sal_process_opts_t){ .siglists = req->lists,
                                  .fields = req->data->processed,
                                  .tables = req->data->tables,
                                  .walk = walk,
                                  .walk_baton = w,
                                  .host = req->host,
                                  .now = apr_time_now(),
                                  .rule = process_trace_rule,
                                  .rule_baton = w->trace };
    opts->beta_products = req->conf ? sal_conf_get(req->conf, "beta-version-products", NULL) : NULL;
}

static int report(process_trace_t *t, const request_t *req, const char *what, json_t *doc)
{
    t->what = what;
    t->ruleset = req->ruleset;
    t->lists = req->lists;
    t->doc = doc;
    if (!req->json) {
        process_trace_print(t);
        return CMD_OK;
    }
    return process_trace_json(t) ? CMD_OK : cmd_fail("standard output cannot be written");
}

/* ---- crashes of the store ---- */

/* Without the database the store tells which document is the newest. */
static apr_status_t former(json_t **doc, const request_t *req, const char *id, apr_pool_t *p,
                           sal_error_t *err)
{
    sal_stored_t crash;
    const char *key;
    apr_status_t rv;

    *doc = NULL;
    if (req->db) {
        return sal_job_previous(doc, id, req->store, req->db, p, err);
    }
    if (!sal_stored_find(&crash, req->store, id, p)) {
        return sal_fail(err, APR_ENOENT, "crash %s is not in the store", id);
    }
    rv = sal_stored_document(doc, &key, NULL, &crash, req->store, p, err);
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
}

static apr_status_t run_stored(json_t **doc, const request_t *req, const char *id,
                               process_trace_t *trace, apr_pool_t *p, sal_error_t *err)
{
    walking_t walking = { req, trace };
    sal_crash_reader_t *reader;
    sal_process_opts_t opts;
    json_t *previous;
    bool stored_only;
    apr_status_t rv = former(&previous, req, id, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    stored_only = previous && sal_process_stored_only(req->ruleset);
    process_trace_begin(trace, stored_only ? previous : NULL, p);
    trace->pass = previous ? sal_stored_passes(previous) + 1 : 1;
    pipeline_opts(&opts, req, &walking);
    if (stored_only) {
        rv = sal_process_stored(doc, req->ruleset, previous, &opts, p, err);
    } else if ((rv = sal_crash_open(&reader, req->store, id, p, err)) == APR_SUCCESS) {
        rv = sal_process_crash(doc, reader, previous ? req->ruleset : "default", previous, &opts, p,
                               err);
    }
    trace->took = apr_time_now() - trace->began;
    return rv;
}

/* With --write the crash is ours until the document is stored: no worker takes it meanwhile. */
static int process_stored(const request_t *req, const char *id, apr_pool_t *p)
{
    process_trace_t trace;
    sal_error_t err = { .message = "" };
    json_t *doc = NULL;
    sal_job_t job;
    apr_status_t rv = APR_SUCCESS;
    int rc;

    if (req->write) {
        rv = sal_foreground_take(&job, id, req->ruleset, req->host, req->db, p, &err);
        if (rv != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    }
    rv = run_stored(&doc, req, id, &trace, p, &err);
    if (rv == APR_SUCCESS && req->write) {
        rv = sal_job_complete(&job, doc, req->store, req->db, p, &err);
        trace.written = rv == APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        if (req->write) {
            sal_foreground_leave(&job, req->db, p, NULL);
        }
        json_decref(doc);
        return cmd_fail_err(&err);
    }
    rc = report(&trace, req, id, sal_json_own(doc, p));
    return rc;
}

static int process_ids(request_t *req, const char **args, int nargs, apr_pool_t *parent)
{
    int rc = CMD_OK;

    for (int i = 0; i < nargs; i++) {
        const char *id = sal_crash_id_clean(args[i], parent);
        apr_pool_t *p;
        int one;

        if (!id) {
            rc = cmd_fail("\"%s\" is not a crash id; dumps and ids do not mix", args[i]);
            continue;
        }
        apr_pool_create(&p, parent);
        one = process_stored(req, id, p);
        apr_pool_destroy(p);
        rc = one == CMD_OK ? rc : one;
    }
    return rc;
}

/* ---- dumps that are in no store ---- */

typedef struct files_t {
    apr_array_header_t *names; /* const char *, ends in NULL */
    apr_array_header_t *paths;
} files_t;

static apr_status_t file_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                              apr_pool_t *p, sal_error_t *err)
{
    const files_t *f = baton;

    for (int i = 0; i < f->paths->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(f->names, i, const char *), name)) {
            apr_status_t rv = sal_file_map(out, APR_ARRAY_IDX(f->paths, i, const char *), p, err);

            return rv == APR_SUCCESS && out->size > max
                       ? sal_fail(err, SAL_E_TOOBIG, "%s is too large", name)
                       : rv;
        }
    }
    return sal_fail(err, APR_ENOENT, "there is no dump %s", name);
}

static void read_names(files_t *f, const char **args, int nargs, apr_pool_t *p)
{
    f->names = apr_array_make(p, nargs + 1, sizeof(const char *));
    f->paths = apr_array_make(p, nargs, sizeof(const char *));
    for (int i = 0; i < nargs; i++) {
        const char *equal = strchr(args[i], '='), *slash = strchr(args[i], '/');
        bool named = equal && (!slash || equal < slash);

        APR_ARRAY_PUSH(f->names, const char *) =
            named ? apr_pstrmemdup(p, args[i], (apr_size_t)(equal - args[i])) : MAIN_DUMP;
        APR_ARRAY_PUSH(f->paths, const char *) = named ? equal + 1 : args[i];
    }
    APR_ARRAY_PUSH(f->names, const char *) = NULL;
}

static int read_annotations(json_t **out, const char *path, apr_pool_t *p)
{
    apr_size_t size;
    sal_error_t err;
    char *text;

    *out = sal_json_own(json_object(), p);
    if (path && (sal_file_read(&text, &size, path, ANNOTATIONS_MAX, p, &err) != APR_SUCCESS ||
                 sal_json_parse(out, text, size, p, &err) != APR_SUCCESS)) {
        return cmd_fail_err(&err);
    }
    return json_is_object(*out) ? CMD_OK : cmd_fail("%s is not a JSON object", path);
}

static int process_files(request_t *req, const char **args, int nargs, apr_pool_t *p)
{
    process_trace_t trace;
    walking_t walking = { req, &trace };
    sal_process_source_t source = { .dump = file_dump };
    sal_error_t err = { .message = "" };
    sal_process_opts_t opts;
    json_t *raw, *doc;
    files_t files;
    int rc = read_annotations(&raw, req->annotations, p);

    if (rc != CMD_OK) {
        return rc;
    }
    for (int i = 0; i < nargs; i++) { /* a name that is mistyped is no crash without a dump */
        read_names(&files, args, nargs, p);
        if (access(APR_ARRAY_IDX(files.paths, i, const char *), R_OK) != 0) {
            return cmd_fail("%s cannot be read", APR_ARRAY_IDX(files.paths, i, const char *));
        }
    }
    source.raw = raw;
    source.dumps = (const char *const *)files.names->elts;
    source.baton = &files;
    process_trace_begin(&trace, NULL, p);
    pipeline_opts(&opts, req, &walking);
    if (sal_process_source(&doc, &source, req->ruleset, NULL, &opts, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    trace.took = apr_time_now() - trace.began;
    return report(&trace, req, args[0], sal_json_own(doc, p));
}

/* ---- the way in ---- */

/* Dumps alone need no configuration; one that is named or lies where it is looked for counts. */
static bool wants_conf(const request_t *req)
{
    const char *path = getenv("SALVAGE_CONF");

    return req->conf_path || access(path ? path : "/etc/salvage/salvage.conf", R_OK) == 0;
}

static int run(request_t *req, const char **args, int nargs, apr_pool_t *p)
{
    bool stored = sal_crash_id_clean(args[0], p) != NULL;
    char host[256] = "localhost";
    int rc;

    if (req->write && !stored) {
        return cmd_usage(USAGE, "--write needs crashes of the store");
    }
    if (req->annotations && stored) {
        return cmd_usage(USAGE, "--annotations is for dumps that are in no store");
    }
    gethostname(host, sizeof(host) - 1);
    req->host = apr_pstrdup(p, host);
    if ((stored || wants_conf(req)) && !(req->conf = cmd_conf(req->conf_path, p))) {
        return CMD_FAILED;
    }
    if ((rc = open_lists(req, p)) != CMD_OK || (rc = open_symbols(req, p)) != CMD_OK) {
        return rc;
    }
    if (!stored) {
        return process_files(req, args, nargs, p);
    }
    if ((rc = open_store(req, p)) != CMD_OK ||
        (req->write && !(req->db = cmd_db_open(req->conf_path, p)))) {
        return rc != CMD_OK ? rc : CMD_FAILED;
    }
    return process_ids(req, args, nargs, p);
}

static void read_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'r':
        req->ruleset = value;
        break;
    case 'j':
        req->json = true;
        break;
    case 'w':
        req->write = true;
        break;
    case 'a':
        req->annotations = value;
        break;
    case OPT_SYMBOLS:
        APR_ARRAY_PUSH(req->symbols, const char *) = value;
        break;
    case OPT_CACHE:
        req->cache = value;
        break;
    case 'c':
        req->conf_path = value;
        break;
    }
}

int cmd_process(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .ruleset = "default" };
    const char *value;
    apr_status_t rv;
    int c;

    req.symbols = apr_array_make(p, 4, sizeof(const char *));
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        }
        read_option(&req, c, value);
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (os->ind == argc) {
        return cmd_usage(USAGE, "name a crash id or a dump");
    }
    if (!sal_process_ruleset(req.ruleset)) {
        return cmd_fail("Ruleset '%s' is not valid.", req.ruleset);
    }
    return run(&req, os->argv + os->ind, argc - os->ind, p);
}
