/*
 * R12: walking the dumps. Every outcome of a walk becomes fields and notes; nothing a dump does
 * ends the pass.
 */
#include "config.h"
#include "crash/unpack.h"
#include "process/rule.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"

#define MAIN_DUMP "upload_file_minidump"
#define BROWSER_DUMP "upload_file_minidump_browser"
#define LOG_LINES 10
#define OUTPUT_DEPTH 64
#define OUTPUT_SHOWN 200
#define DUMP_MAX (APR_UINT64_C(2) << 30)

/* Names of errors that a walker's log may begin with and that then become the status. */
static const char *const error_names[] = {
    "FileNotFound",
    "IoError",
    "MissingHeader",
    "HeaderMismatch",
    "VersionMismatch",
    "MissingDirectory",
    "StreamReadFailure",
    "StreamSizeMismatch",
    "StreamNotFound",
    "ModuleReadFailure",
    "MemoryReadFailure",
    "DataError",
    "CodeViewReadFailure",
    "UnknownElementType",
    "MinidumpReadError",
    "UnknownError",
    "MissingSystemInfo",
    "MissingThreadList",
    "Panic",
};

/* The last lines of a log that is longer than that. */
static const char *tail_of(const char *log, apr_pool_t *p)
{
    const char *at = log + strlen(log);
    int lines = 0;

    for (const char *c = log; *c; c++) {
        lines += *c == '\n';
    }
    if (lines <= LOG_LINES) {
        return log;
    }
    lines = at > log && at[-1] == '\n' ? LOG_LINES + 1 : LOG_LINES;
    while (at > log) {
        if (*--at == '\n' && --lines == 0) {
            size_t len = strlen(at);

            return apr_pstrcat(p, "...", apr_pstrmemdup(p, at, len - (at[len - 1] == '\n')), NULL);
        }
    }
    return log;
}

/* The second word of a log that begins with ERROR, if it is one of the names; else NULL. */
static const char *logged_error(const char *log, apr_pool_t *p)
{
    char *rest, *word;

    log = rule_trim(log, p);
    if (!rule_starts(log, "ERROR")) {
        return NULL;
    }
    if (!apr_strtok(apr_pstrdup(p, log), " \t\n", &rest) ||
        !(word = apr_strtok(NULL, " \t\n", &rest))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++) {
        if (!strcmp(word, error_names[i])) {
            return error_names[i];
        }
    }
    return NULL;
}

/* What a walk that did not end well is called. */
static void note_failure(pass_t *pass, const sal_walk_result_t *walk, const char *status)
{
    if (walk->timed_out) {
        rule_note(pass, "MinidumpStackwalkRule: minidump-stackwalk: timeout (SIGKILL)");
    } else if (walk->exit_code == -6) {
        rule_note(pass, "MinidumpStackwalkRule: minidump-stackwalk: timeout (SIGABRT)");
    } else {
        rule_note(pass, "MinidumpStackwalkRule: minidump-stackwalk: failed: %d: %s",
                  walk->exit_code, status);
    }
}

/* The document of a walk that has one: a new reference. */
static json_t *walk_document(pass_t *pass, const sal_walk_result_t *walk)
{
    if (walk->exit_code || walk->timed_out) {
        return json_object();
    }
    if (walk->not_json) {
        rule_note(pass, "salvaged: non-json output: %s", walk->not_json);
        return json_object();
    }
    if (walk->doc && (!json_is_object(walk->doc) || rule_deep(walk->doc, OUTPUT_DEPTH))) {
        rule_note(pass, "MinidumpStackwalkRule: minidump-stackwalk produced unexpected output: %s",
                  rule_shown(sal_json_text(walk->doc, pass->p), OUTPUT_SHOWN, pass->p));
        return json_object();
    }
    return walk->doc ? json_incref(walk->doc) : json_object();
}

/* What a walk leaves in the document, in `out`: the document itself or one of a second dump. */
static void store_walk(pass_t *pass, json_t *out, const char *name, const sal_walk_result_t *walk)
{
    const char *log = tail_of(walk->log ? walk->log : "", pass->p);
    json_t *doc = walk_document(pass, walk);
    const char *status = sal_json_str(doc, "status");
    const char *logged = logged_error(log, pass->p);
    bool good = status && !strcmp(status, "OK");

    status = status ? apr_pstrdup(pass->p, status) : "unknown error";
    if (!good) {
        note_failure(pass, walk, status);
    }
    json_object_set_new(out, "json_dump", doc);
    json_object_set_new(out, "mdsw_return_code",
                        json_integer(walk->timed_out ? -9 : walk->exit_code));
    if (logged && (!strcmp(status, "OK") || !strcmp(status, "unknown error"))) {
        rule_note(pass,
                  "MinidumpStackwalkRule: processing %s had error; stomped on "
                  "mdsw_status_string",
                  name);
        status = logged;
    }
    json_object_set_new(out, "mdsw_status_string", json_string(status));
    json_object_set_new(out, "mdsw_stderr", json_string(log));
    rule_count(pass, "minidumpstackwalk.run",
               apr_psprintf(pass->p, "outcome:%s,exitcode:%d", good ? "success" : "fail",
                            walk->timed_out ? -9 : walk->exit_code));
    json_object_set_new(out, "success", json_boolean(good));
    json_object_set_new(out, "stackwalk_version", json_string("salvage " PACKAGE_VERSION));
}

static void store_empty(pass_t *pass, json_t *out, const char *name)
{
    json_object_set_new(out, "mdsw_status_string", json_string("EmptyMinidump"));
    json_object_set_new(out, "mdsw_stderr", json_string("Shortcut for 0-bytes minidump."));
    rule_note(pass, "MinidumpStackwalkRule: %s is empty--skipping minidump processing", name);
}

/* Reads a dump, and unpacks one that its client had compressed. */
static apr_status_t read_dump(sal_span_t *dump, pass_t *pass, const char *name, apr_pool_t *p,
                              sal_error_t *err)
{
    apr_uint64_t max = pass->opts->max_dump ? pass->opts->max_dump : DUMP_MAX;
    apr_status_t rv = pass->source->dump(dump, name, max, pass->source->baton, p, err);
    const char *with = rv == APR_SUCCESS ? sal_packed_with(dump->data, dump->size) : NULL;

    if (!with) {
        return rv;
    }
    rv = sal_unpack(dump, *dump, max, p, err);
    if (rv == APR_SUCCESS) {
        rule_note(pass, "MinidumpStackwalkRule: %s was compressed with %s", name, with);
    }
    return rv;
}

/* Reads and walks one dump. False: the pass must not go on (pass->fatal). */
static bool walk_dump(pass_t *pass, json_t *out, const char *name)
{
    sal_walk_result_t walk = { .log = "" };
    sal_error_t err = { .message = "" };
    sal_span_t dump;
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, pass->p);
    rv = read_dump(&dump, pass, name, p, &err);
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG || APR_STATUS_IS_ENOENT(rv)) {
        /* the crash report itself is damaged: say so, as the walker would of such a file */
        walk.exit_code = 1;
        walk.log = apr_psprintf(p, "ERROR IoError - Error reading dump: %s", err.message);
        rv = APR_SUCCESS;
    } else if (rv == APR_SUCCESS && dump.size == 0) {
        store_empty(pass, out, name);
        apr_pool_destroy(p);
        return true;
    } else if (rv == APR_SUCCESS) {
        rv = pass->opts->walk(&walk, dump, pass->raw, pass->opts->walk_baton, p, &err);
    }
    if (rv == APR_SUCCESS) {
        store_walk(pass, out, name, &walk);
    } else {
        pass->fatal = sal_fail(pass->err, rv, "%s", err.message);
    }
    json_decref(walk.doc);
    apr_pool_destroy(p);
    return rv == APR_SUCCESS;
}

/* Where the fields of a second dump go. */
static void store_second(pass_t *pass, const char *name, json_t *walked)
{
    json_t *others;

    json_array_append_new(json_object_get(pass->doc, "additional_minidumps"), json_string(name));
    if (!strcmp(name, BROWSER_DUMP)) {
        rule_set(pass, name, walked);
        return;
    }
    if (!(others = json_object_get(pass->doc, "additional_dumps"))) {
        rule_set(pass, "additional_dumps", json_object());
        others = json_object_get(pass->doc, "additional_dumps");
    }
    json_object_set_new(others, name, walked);
}

/* Names come from clients; the collector lets others pass, but nothing is made of them. */
static bool walkable(const char *name)
{
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c > '~' || (!apr_isalnum(*c) && *c != '_' && *c != '-')) {
            return false;
        }
    }
    return rule_starts(name, MAIN_DUMP);
}

/*
 * Dumps may be kept for a shorter time than documents (docs/jobs.md). What they said is in the
 * document of the last pass, and stays: a crash that is processed again must not get poorer.
 */
static bool keep_former_walks(pass_t *pass)
{
    static const char *const fields[] = { "json_dump",          "mdsw_return_code",
                                          "mdsw_status_string", "mdsw_stderr",
                                          "stackwalk_version",  "additional_minidumps",
                                          BROWSER_DUMP,         "additional_dumps" };
    const json_t *sums = sal_json_path(pass->raw, "metadata.dump_checksums");
    bool had = false;

    for (void *at = json_object_iter((json_t *)sums); at && !had;
         at = json_object_iter_next((json_t *)sums, at)) {
        had = walkable(json_object_iter_key(at));
    }
    if (!had || !json_is_object(json_object_get(pass->previous, "json_dump"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        json_t *v = json_object_get(pass->previous, fields[i]);

        if (v) {
            rule_set(pass, fields[i], json_deep_copy(v));
        }
    }
    rule_note(pass, "MinidumpStackwalkRule: the dumps are kept no longer--their last walk is used");
    return true;
}

const char *rule_MinidumpStackwalkRule(pass_t *pass)
{
    bool any = false;

    rule_set(pass, "additional_minidumps", json_array());
    if (pass->opts->safe_mode) {
        rule_note(pass, "Processor: lost 2 times; stackwalker skipped");
        return NULL;
    }
    for (const char *const *name = pass->source->dumps; *name; name++) {
        json_t *walked;

        if (!walkable(*name)) {
            continue;
        }
        any = true;
        walked = strcmp(*name, MAIN_DUMP) ? json_object() : json_incref(pass->doc);
        if (!walk_dump(pass, walked, *name)) {
            json_decref(walked);
            return "WalkAbandoned";
        }
        if (walked != pass->doc) {
            store_second(pass, *name, walked);
        } else {
            json_decref(walked);
        }
    }
    if (!any && !keep_former_walks(pass)) {
        rule_client_stacks(pass);
    }
    return NULL;
}
