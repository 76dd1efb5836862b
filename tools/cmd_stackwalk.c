/*
 * salvage stackwalk: a minidump and its symbols -> the stackwalk document, for programs (JSON) or
 * people. Options are those of minidump-stackwalk where both have them: salvage-stackwalk(1).
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "analysis/stackwalk.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"

enum { MAX_EXTRA = 16 << 20, MODULE_LINE = 4096 };

typedef struct {
    bool json, human, pretty, brief, help;
    const char *cyborg; /* JSON goes there, the human form to standard output */
    const char *cache, *output, *extra, *dump;
    apr_array_header_t *symbols; /* const char * */
    int64_t max_frames;
} options_t;

#define USAGE                                                                                      \
    "stackwalk [--json | --human | --cyborg FILE] [--pretty] [--brief]\n"                          \
    "       [--symbols DIR|FILE]... [--symbols-cache DIR] [--features NAME]\n"                     \
    "       [--max-frames N] [--evil-json FILE] [--output-file FILE] DUMP [DIR|FILE]..."

enum {
    OPT_JSON = 256,
    OPT_HUMAN,
    OPT_CYBORG,
    OPT_PRETTY,
    OPT_BRIEF,
    OPT_SYMBOLS,
    OPT_CACHE,
    OPT_FEATURES,
    OPT_MAX_FRAMES,
    OPT_EXTRA,
    OPT_OUTPUT,
    OPT_LOG_FILE,
    OPT_VERBOSE,
    OPT_IGNORED,
    OPT_IGNORED_VALUE
};

static const apr_getopt_option_t known_options[] = {
    { "json", OPT_JSON, 0, "JSON, for programs" },
    { "human", OPT_HUMAN, 0, "text, for people: the default" },
    { "cyborg", OPT_CYBORG, 1, "text on standard output, JSON to this file" },
    { "pretty", OPT_PRETTY, 0, "JSON with line breaks" },
    { "brief", OPT_BRIEF, 0, "text of the crashing thread only" },
    { "symbols", OPT_SYMBOLS, 1, "directory of symbols in Breakpad layout, or one symbol file" },
    { "symbols-path", OPT_SYMBOLS, 1, "the same" },
    { "symbols-url", OPT_SYMBOLS, 1, "not yet" },
    { "symbols-cache", OPT_CACHE, 1, "where built symcaches are kept" },
    { "features", OPT_FEATURES, 1, "stable-basic, stable-all, unstable-all: all are on" },
    { "max-frames", OPT_MAX_FRAMES, 1, "most frames of a thread" },
    { "evil-json", OPT_EXTRA, 1, "annotations of the crash, a JSON object" },
    { "output-file", OPT_OUTPUT, 1, "instead of standard output" },
    { "log-file", OPT_LOG_FILE, 1, "instead of standard error" },
    { "verbose", OPT_VERBOSE, 1, "off, error, warn, info, debug, trace" },
    /* of minidump-stackwalk; they change nothing here */
    { "no-color", OPT_IGNORED, 0, "accepted, no effect" },
    { "no-interactive", OPT_IGNORED, 0, "accepted, no effect" },
    { "symbols-tmp", OPT_IGNORED_VALUE, 1, "accepted, no effect" },
    { "symbols-download-timeout-secs", OPT_IGNORED_VALUE, 1, "accepted, no effect" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "ERROR %s - %s\n", what, why);
    return CMD_FAILED;
}

static bool known_feature(const char *name)
{
    return !strcmp(name, "stable-basic") || !strcmp(name, "stable-all") ||
           !strcmp(name, "unstable-all");
}

static bool set_level(const char *name)
{
    static const struct {
        const char *name;
        sal_log_level_t level;
    } levels[] = { { "off", SAL_LOG_ERROR },    { "error", SAL_LOG_ERROR },
                   { "warn", SAL_LOG_WARNING }, { "info", SAL_LOG_INFO },
                   { "debug", SAL_LOG_DEBUG },  { "trace", SAL_LOG_DEBUG } };

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i].name, name) == 0) {
            sal_log_threshold(levels[i].level);
            return true;
        }
    }
    return false;
}

static bool take_option(options_t *o, int option, const char *value)
{
    switch (option) {
    case OPT_JSON:
        o->json = true;
        return true;
    case OPT_HUMAN:
        o->human = true;
        return true;
    case OPT_CYBORG:
        o->cyborg = value;
        return true;
    case OPT_PRETTY:
        o->pretty = true;
        return true;
    case OPT_BRIEF:
        o->brief = true;
        return true;
    case OPT_SYMBOLS:
        APR_ARRAY_PUSH(o->symbols, const char *) = value;
        return true;
    case OPT_CACHE:
        o->cache = value;
        return true;
    case OPT_FEATURES: /* all of them are always on; unknown names are mistakes */
        return known_feature(value);
    case OPT_MAX_FRAMES:
        return sal_parse_int(value, 1, 1 << 20, &o->max_frames);
    case OPT_EXTRA:
        o->extra = value;
        return true;
    case OPT_OUTPUT:
        o->output = value;
        return true;
    case OPT_LOG_FILE:
        return freopen(value, "w", stderr) != NULL;
    case OPT_VERBOSE:
        return set_level(value);
    case OPT_IGNORED:
    case OPT_IGNORED_VALUE:
        return true;
    default:
        return false;
    }
}

static int parse(options_t *o, int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value;
    apr_status_t rv;
    int option;

    memset(o, 0, sizeof(*o));
    sal_log_threshold(SAL_LOG_ERROR);
    o->symbols = apr_array_make(p, 4, sizeof(const char *));
    while ((rv = apr_getopt_long(os, known_options, &option, &value)) == APR_SUCCESS) {
        if (option == 'h') {
            o->help = true;
        } else if (!take_option(o, option, value)) {
            return cmd_usage(USAGE, "\"%s\" is not a value of that option", value);
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (o->help) {
        return CMD_OK;
    }
    if (os->ind >= argc) {
        return cmd_usage(USAGE, "name the minidump");
    }
    if (o->json + o->human + (o->cyborg != NULL) > 1) {
        return cmd_usage(USAGE, "one form at a time: --json, --human or --cyborg");
    }
    o->dump = os->argv[os->ind];
    for (int i = os->ind + 1; i < argc; i++) {
        APR_ARRAY_PUSH(o->symbols, const char *) = os->argv[i];
    }
    return CMD_OK;
}

/* Where built symcaches are kept when nobody says so. */
static const char *default_cache(apr_pool_t *p)
{
    const char *dir = getenv("XDG_CACHE_HOME");

    if (dir && *dir == '/') {
        return apr_pstrcat(p, dir, "/salvage/symcache", NULL);
    }
    dir = getenv("HOME");
    if (dir && *dir == '/' && access(dir, W_OK) == 0) {
        return apr_pstrcat(p, dir, "/.cache/salvage/symcache", NULL);
    }
    return apr_psprintf(p, "/tmp/salvage-symcache-%u", (unsigned)getuid());
}

/* In a directory that others may write to, somebody could have left symcaches for us. */
static apr_status_t make_cache(const char *path, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_dir_make(path, 0700, 0, p, err);
    struct stat st;

    if (rv == APR_SUCCESS && (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
                              (st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & S_IWOTH)) {
        return sal_fail(err, APR_EACCES,
                        "%s is not a directory of yours that others cannot write "
                        "to; name another with --symbols-cache",
                        path);
    }
    return rv;
}

/* Plain symbol files named on the command line, found by the id in their MODULE line. */
typedef struct {
    const char *path, *debug_id;
} sym_file_t;

static const char *id_of_file(const char *path, apr_pool_t *p)
{
    char line[MODULE_LINE], *last = NULL, *word = line;
    FILE *f = fopen(path, "r");

    if (!f) {
        return NULL;
    }
    if (!fgets(line, sizeof(line), f)) {
        line[0] = '\0';
    }
    fclose(f);
    for (int i = 0; i < 4; i++) {
        word = apr_strtok(i ? NULL : line, " \t\r\n", &last);
        if (!word || (i == 0 && strcmp(word, "MODULE") != 0)) {
            return NULL;
        }
    }
    return apr_pstrdup(p, word);
}

static apr_status_t find_file(const char **path, const char *debug_file, const char *debug_id,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    const apr_array_header_t *files = baton;

    for (int i = 0; i < files->nelts; i++) {
        const sym_file_t *f = &APR_ARRAY_IDX(files, i, sym_file_t);

        if (strcasecmp(f->debug_id, debug_id) == 0) {
            *path = apr_pstrdup(p, f->path);
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_ENOENT, "no symbol file given has id %s of %s", debug_id, debug_file);
}

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

/* Directories are trees in Breakpad layout, files stand for one module each. */
static apr_status_t make_supplier(sal_supplier_t **out, const options_t *o, apr_pool_t *p,
                                  sal_error_t *err)
{
    apr_array_header_t *trees = apr_array_make(p, 4, sizeof(const char *));
    apr_array_header_t *files = apr_array_make(p, 4, sizeof(sym_file_t));
    sal_supplier_opts_t opts = { .symcache_dir = o->cache ? o->cache : default_cache(p) };
    apr_finfo_t info;
    apr_status_t rv;

    for (int i = 0; i < o->symbols->nelts; i++) {
        const char *path = APR_ARRAY_IDX(o->symbols, i, const char *);
        sym_file_t file = { path, NULL };

        if (is_url(path)) {
            return sal_fail(err, SAL_E_UNSUPPORTED,
                            "%s: symbols are not fetched from servers yet; "
                            "download them and name the directory",
                            path);
        }
        if (apr_stat(&info, path, APR_FINFO_TYPE, p) == APR_SUCCESS && info.filetype == APR_REG) {
            file.debug_id = id_of_file(path, p);
            if (!file.debug_id) {
                return sal_fail(err, SAL_E_MALFORMED,
                                "%s: not a symbol file: its first line is "
                                "no MODULE record",
                                path);
            }
            APR_ARRAY_PUSH(files, sym_file_t) = file;
        } else {
            APR_ARRAY_PUSH(trees, const char *) = path;
        }
    }
    APR_ARRAY_PUSH(trees, const char *) = NULL;
    opts.paths = (const char *const *)trees->elts;
    opts.find = files->nelts ? find_file : NULL;
    opts.find_baton = files;
    rv = make_cache(opts.symcache_dir, p, err);
    return rv == APR_SUCCESS ? sal_supplier_make(out, &opts, p, err) : rv;
}

/* Annotations from outside the dump; a bad file costs a line in the log, not the report. */
static const json_t *read_extra(const char *path, apr_pool_t *p)
{
    sal_error_t err;
    apr_size_t size;
    json_t *v = NULL;
    char *text;

    if (path && (sal_file_read(&text, &size, path, MAX_EXTRA, p, &err) != APR_SUCCESS ||
                 sal_json_parse(&v, text, size, p, &err) != APR_SUCCESS)) {
        fail("evil-json", err.message);
        return NULL;
    }
    return v;
}

static int write_text(const char *path, const char *text)
{
    FILE *f = path ? fopen(path, "w") : stdout;
    bool ok;

    if (!f) {
        return fail(path, "cannot be written");
    }
    ok = fputs(text, f) >= 0;
    ok = (path ? fclose(f) : fflush(f)) == 0 && ok;
    return ok ? 0 : fail(path ? path : "standard output", "cannot be written");
}

static int write_json(const char *path, const json_t *doc, bool pretty, apr_pool_t *p)
{
    size_t flags = JSON_SORT_KEYS | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    char *text = json_dumps(doc, flags);
    int status;

    if (!text) {
        return fail("JSON", "the document could not be written");
    }
    status = write_text(path, apr_pstrdup(p, text));
    free(text);
    return status;
}

/* The library's message is the line that scripts around minidump-stackwalk know. */
static int dump_failed(const sal_error_t *err)
{
    fprintf(stderr, "ERROR %s\n", err->message);
    return CMD_FAILED;
}

static int open_dump(sal_minidump_t **md, const char *path, apr_pool_t *p)
{
    sal_error_t err;
    sal_span_t bytes;
    apr_status_t rv = sal_file_map(&bytes, path, p, &err);

    if (rv != APR_SUCCESS || bytes.size == 0) {
        return APR_STATUS_IS_ENOENT(rv) ? fail("FileNotFound", "Error reading dump: File not found")
                                        : fail("IoError", "Error reading dump: I/O error");
    }
    if (sal_minidump_open(md, bytes, p, &err) != APR_SUCCESS) {
        return dump_failed(&err);
    }
    return 0;
}

static int report(const options_t *o, const sal_minidump_t *md, sal_stackwalk_opts_t *opts,
                  apr_pool_t *p)
{
    bool human = !o->json;
    sal_error_t err;
    json_t *doc;

    opts->details = human;
    if (sal_stackwalk(&doc, md, opts, p, &err) != APR_SUCCESS) {
        return dump_failed(&err);
    }
    sal_json_own(doc, p);
    if (!human) {
        return write_json(o->output, doc, o->pretty, p);
    }
    if (write_text(o->output, sal_stackwalk_human(doc, o->brief, p)) != 0) {
        return 1;
    }
    if (!o->cyborg) {
        return 0;
    }
    opts->details = false;
    if (sal_stackwalk(&doc, md, opts, p, &err) != APR_SUCCESS) {
        return dump_failed(&err);
    }
    return write_json(o->cyborg, sal_json_own(doc, p), o->pretty, p);
}

int cmd_stackwalk(int argc, const char **argv, apr_pool_t *p)
{
    sal_stackwalk_opts_t opts = { .supplier = NULL };
    sal_minidump_t *md;
    sal_error_t err;
    options_t o;
    int code = parse(&o, argc, argv, p);

    if (code != CMD_OK) {
        return code;
    }
    if (o.help) {
        puts("usage: salvage " USAGE);
        return CMD_OK;
    }
    if (o.pretty && !o.json && !o.cyborg) {
        return fail("--pretty", "only JSON can be pretty: add --json");
    }
    if (o.brief && o.json) {
        return fail("--brief", "only the human form can be brief: leave --json out");
    }
    if (open_dump(&md, o.dump, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (o.symbols->nelts && make_supplier(&opts.supplier, &o, p, &err) != APR_SUCCESS) {
        return fail("symbols", err.message);
    }
    opts.extra = read_extra(o.extra, p);
    opts.max_frames = (size_t)o.max_frames;
    return report(&o, md, &opts, p);
}
