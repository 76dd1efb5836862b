/*
 * salvage stackwalk: a minidump and its symbols -> the stackwalk document, for programs (JSON) or
 * people. Options are those of minidump-stackwalk where both have them: salvage-stackwalk(1).
 */
#include "config.h"
#include "stackwalk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "analysis/stackwalk.h"
#include "base/file.h"
#include "base/json.h"
#include "minidump/print.h"

enum { MAX_EXTRA = 16 << 20 };

/* Annotations from outside the dump; a bad file costs a line in the log, not the report. */
static const json_t *read_extra(const char *path, apr_pool_t *p)
{
    sal_error_t err;
    apr_size_t size;
    json_t *v = NULL;
    char *text;

    if (path && (sal_file_read(&text, &size, path, MAX_EXTRA, p, &err) != APR_SUCCESS ||
                 sal_json_parse(&v, text, size, p, &err) != APR_SUCCESS)) {
        stackwalk_fail("evil-json", err.message);
        return NULL;
    }
    return v;
}

/* Opens where a report goes; NULL after saying why it cannot. */
static FILE *open_report(const char *path)
{
    FILE *f = path ? fopen(path, "w") : stdout;

    if (!f) {
        stackwalk_fail(path, "cannot be written");
    }
    return f;
}

static int close_report(FILE *f, const char *path)
{
    bool ok = !ferror(f);

    ok = (path ? fclose(f) : fflush(f)) == 0 && ok;
    return ok ? CMD_OK : stackwalk_fail(path ? path : "standard output", "cannot be written");
}

/* Reports are written as they are made: a text of its own would double what they cost. */
static int write_json(const char *path, const json_t *doc, bool pretty)
{
    size_t flags = JSON_SORT_KEYS | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    FILE *f = open_report(path);
    int rv;

    if (!f) {
        return CMD_FAILED;
    }
    rv = json_dumpf(doc, f, flags);
    return close_report(f, path) || rv ? CMD_FAILED : CMD_OK;
}

static int write_human(const char *path, const json_t *doc, bool brief, apr_pool_t *p)
{
    FILE *f = open_report(path);

    if (!f) {
        return CMD_FAILED;
    }
    sal_stackwalk_print(f, doc, brief, p);
    return close_report(f, path);
}

static int open_dump(sal_minidump_t **md, const char *path, apr_pool_t *p)
{
    sal_error_t err;
    sal_span_t bytes;
    apr_status_t rv = sal_file_map(&bytes, path, p, &err);

    if (rv != APR_SUCCESS || bytes.size == 0) {
        return APR_STATUS_IS_ENOENT(rv)
                   ? stackwalk_fail("FileNotFound", "Error reading dump: File not found")
                   : stackwalk_fail("IoError", "Error reading dump: I/O error");
    }
    if (sal_minidump_open(md, bytes, p, &err) != APR_SUCCESS) {
        return stackwalk_fail(err.message, NULL);
    }
    return 0;
}

static int report(const stackwalk_options_t *o, const sal_minidump_t *md,
                  sal_stackwalk_opts_t *opts, apr_pool_t *p)
{
    bool human = !o->json;
    apr_status_t rv;
    sal_error_t err;
    json_t *doc;

    opts->details = human;
    rv = sal_stackwalk(&doc, md, opts, p, &err);
    stackwalk_progress_end();
    if (rv != APR_SUCCESS) {
        return stackwalk_fail(err.message, NULL);
    }
    sal_json_own(doc, p);
    if (!human) {
        return write_json(o->output, doc, o->pretty);
    }
    if (write_human(o->output, doc, o->brief, p) != CMD_OK) {
        return 1;
    }
    if (!o->cyborg) {
        return 0;
    }
    opts->details = false;
    opts->progress = NULL;
    if (sal_stackwalk(&doc, md, opts, p, &err) != APR_SUCCESS) {
        return stackwalk_fail(err.message, NULL);
    }
    return write_json(o->cyborg, sal_json_own(doc, p), o->pretty);
}

static int print_raw(const stackwalk_options_t *o, sal_minidump_t *md)
{
    FILE *f = open_report(o->output);

    if (!f) {
        return CMD_FAILED;
    }
    sal_minidump_print(f, md, o->brief);
    return close_report(f, o->output);
}

int cmd_stackwalk(int argc, const char **argv, apr_pool_t *p)
{
    sal_stackwalk_opts_t opts = { .supplier = NULL };
    sal_minidump_t *md;
    sal_error_t err;
    stackwalk_options_t o;
    int code = stackwalk_parse(&o, argc, argv, p);

    if (code != CMD_OK) {
        return code;
    }
    if (o.help) {
        puts("usage: salvage " STACKWALK_USAGE);
        return CMD_OK;
    }
    if (o.version) {
        puts(PACKAGE_NAME " " PACKAGE_VERSION);
        return CMD_OK;
    }
    if (o.pretty && !o.json && !o.cyborg) {
        return stackwalk_fail("--pretty", "only JSON can be pretty: add --json");
    }
    if (o.brief && o.json) {
        return stackwalk_fail("--brief", "only the human form can be brief: leave --json out");
    }
    if (open_dump(&md, o.dump, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (o.raw) {
        return print_raw(&o, md);
    }
    if ((o.symbols->nelts || o.urls->nelts || o.local) &&
        stackwalk_supplier(&opts.supplier, &o, p, &err) != APR_SUCCESS) {
        return stackwalk_fail("symbols", err.message);
    }
    opts.extra = read_extra(o.extra, p);
    opts.max_frames = (size_t)o.max_frames;
    opts.arguments = o.arguments;
    stackwalk_progress_start(&opts, &o);
    return report(&o, md, &opts, p);
}
