/*
 * salvage symcache: makes, describes and queries symcache files. A .sym may stand wherever a
 * symcache may: it is indexed to a temporary file first.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "symbols/symcache.h"

#define USAGE_BUILD "symcache build SYM [-o FILE]"
#define USAGE_INFO "symcache info FILE [--json]"
#define USAGE_LOOKUP "symcache lookup FILE OFFSET... [--json]"

typedef struct request_t {
    const char *out;
    bool json;
    const char **args; /* behind the verb */
    int nargs;
} request_t;

enum { OPT_JSON = 256 };

static const apr_getopt_option_t options[] = {
    { "output", 'o', 1, "where the symcache goes; default: SYM with .symx for its ending" },
    { "json", OPT_JSON, 0, "JSON instead of text" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print_help(void)
{
    printf("usage: salvage %s\n       salvage %s\n       salvage %s\n\n"
           "SYM is a Breakpad symbol file, plain or gzip or zstd. FILE is a symcache or such a\n"
           "symbol file. OFFSET is a hexadecimal address relative to the module's start.\n",
           USAGE_BUILD, USAGE_INFO, USAGE_LOOKUP);
}

/* "x.sym", "x.sym.gz" -> "x.symx"; anything else gets .symx appended. */
static const char *default_output(const char *sym, apr_pool_t *p)
{
    static const char *const endings[] = { ".sym.gz", ".sym.zst", ".sym" };
    size_t len = strlen(sym);

    for (int i = 0; i < 3; i++) {
        size_t n = strlen(endings[i]);

        if (len > n && strcmp(sym + len - n, endings[i]) == 0) {
            return apr_pstrcat(p, apr_pstrmemdup(p, sym, len - n), ".symx", NULL);
        }
    }
    return apr_pstrcat(p, sym, ".symx", NULL);
}

static int build(const request_t *req, apr_pool_t *p)
{
    sal_error_t err;
    const char *out;

    if (req->nargs != 1) {
        return cmd_usage(USAGE_BUILD, "name one symbol file");
    }
    out = req->out ? req->out : default_output(req->args[0], p);
    if (sal_symcache_build(out, req->args[0], p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%s\n", out);
    return CMD_OK;
}

static bool is_symcache(const char *path)
{
    char magic[4] = "";
    FILE *f = fopen(path, "rb");
    bool is = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "SYMX", 4) == 0;

    if (f) {
        fclose(f);
    }
    return is;
}

static apr_status_t open_temporary(sal_symcache_t **c, const char *sym, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = apr_pstrcat(p, tmp && *tmp ? tmp : "/tmp", "/salvage-symcache.XXXXXX", NULL);
    const char *path;
    apr_status_t rv;

    if (!mkdtemp(dir)) {
        return sal_fail_os(err, errno, "cannot make a temporary directory %s", dir);
    }
    path = apr_pstrcat(p, dir, "/symx", NULL);
    rv = sal_symcache_build(path, sym, p, err);
    rv = rv == APR_SUCCESS ? sal_symcache_open(c, path, p, err) : rv;
    unlink(path); /* the mapping stays */
    rmdir(dir);
    return rv;
}

static apr_status_t open_any(sal_symcache_t **c, const char *path, apr_pool_t *p, sal_error_t *err)
{
    return is_symcache(path) ? sal_symcache_open(c, path, p, err) : open_temporary(c, path, p, err);
}

static int print_json(json_t *v)
{
    char *text = json_dumps(v, JSON_INDENT(2));

    json_decref(v);
    if (!text) {
        return cmd_fail("no memory for the answer");
    }
    puts(text);
    free(text);
    return CMD_OK;
}

static const char *clean(sal_str_t s, apr_pool_t *p)
{
    return sal_utf8_clean(s.s, s.len, p);
}

static const char *clean_text(const char *s, apr_pool_t *p)
{
    return sal_utf8_clean(s, strlen(s), p);
}

static json_t *info_json(const sal_symcache_info_t *i, apr_pool_t *p)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,"
                     "s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}",
                     "os", clean_text(i->os, p), "arch", clean_text(i->arch, p), "debug_id",
                     clean_text(i->debug_id, p), "debug_file", clean_text(i->debug_file, p),
                     "code_id", clean_text(i->code_id, p), "code_file", clean_text(i->code_file, p),
                     "url", clean_text(i->url, p), "generator", clean_text(i->generator, p),
                     "source_size", (json_int_t)i->source_size, "file_size",
                     (json_int_t)i->file_size, "functions", (json_int_t)i->functions, "lines",
                     (json_int_t)i->lines, "inlines", (json_int_t)i->inlines, "publics",
                     (json_int_t)i->publics, "cfi", (json_int_t)i->cfi, "win", (json_int_t)i->win,
                     "files", (json_int_t)i->files, "ranges", (json_int_t)i->ranges,
                     "skipped_lines", (json_int_t)i->skipped_lines);
}

static void print_info(const sal_symcache_info_t *i)
{
    printf("module      %s %s\n", i->debug_file, i->debug_id);
    printf("system      %s %s\n", i->os, i->arch);
    printf("code        %s %s\n", i->code_file, i->code_id);
    printf("generator   %s\n", i->generator);
    printf("url         %s\n", i->url);
    printf("size        %llu bytes from %llu bytes of text\n", (unsigned long long)i->file_size,
           (unsigned long long)i->source_size);
    printf("functions   %u, %u lines, %u inlined calls, %u publics\n", i->functions, i->lines,
           i->inlines, i->publics);
    printf("unwinding   %u CFI, %u WIN\n", i->cfi, i->win);
    printf("index       %u ranges, %u files\n", i->ranges, i->files);
    printf("damaged     %u lines\n", i->skipped_lines);
}

static int info(const request_t *req, apr_pool_t *p)
{
    sal_symcache_info_t i;
    sal_symcache_t *c;
    sal_error_t err;

    if (req->nargs != 1) {
        return cmd_usage(USAGE_INFO, "name one file");
    }
    if (open_any(&c, req->args[0], p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    sal_symcache_info(c, &i);
    if (req->json) {
        return print_json(info_json(&i, p));
    }
    print_info(&i);
    return CMD_OK;
}

static void print_frame(const char *indent, const sal_sym_frame_t *f, apr_pool_t *p)
{
    printf("%s%s", indent, clean(f->function, p));
    if (f->file.len) {
        printf(" (%s:%u)", clean(f->file, p), f->line);
    }
}

static void print_hit(uint64_t address, const sal_sym_hit_t *hit, const sal_sym_frame_t *inlines,
                      apr_pool_t *p)
{
    printf("0x%llx:", (unsigned long long)address);
    for (uint32_t i = 0; i < hit->n_inlines; i++) {
        print_frame(i ? "\n  in inlined " : " inlined ", &inlines[i], p);
    }
    print_frame(hit->n_inlines ? "\n  in " : " ", &hit->outer, p);
    printf(" + 0x%llx%s%s\n", (unsigned long long)(address - hit->function_offset),
           hit->is_public ? " public" : "", hit->is_multiple ? " folded" : "");
}

static json_t *frame_json(const sal_sym_frame_t *f, apr_pool_t *p)
{
    json_t *o = json_pack("{s:s}", "function", clean(f->function, p));

    if (f->file.len) {
        json_object_set_new(o, "file", json_string(clean(f->file, p)));
    }
    if (f->line) {
        json_object_set_new(o, "line", json_integer(f->line));
    }
    return o;
}

static json_t *hit_json(uint64_t address, const sal_sym_hit_t *hit, const sal_sym_frame_t *inlines,
                        apr_pool_t *p)
{
    json_t *o = frame_json(&hit->outer, p);
    json_t *list = json_array();

    json_object_set_new(o, "offset", json_integer((json_int_t)address));
    json_object_set_new(o, "function_offset", json_integer(hit->function_offset));
    json_object_set_new(o, "function_size", json_integer(hit->function_size));
    json_object_set_new(o, "parameter_size", json_integer(hit->parameter_size));
    json_object_set_new(o, "public", json_boolean(hit->is_public));
    json_object_set_new(o, "multiple", json_boolean(hit->is_multiple));
    for (uint32_t i = 0; i < hit->n_inlines; i++) {
        json_array_append_new(list, frame_json(&inlines[i], p));
    }
    json_object_set_new(o, "inlines", list);
    return o;
}

static bool parse_offset(const char *s, uint64_t *v)
{
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        s += 2;
    }
    return sal_parse_hex(s, strlen(s), v);
}

static int lookup_one(const sal_symcache_t *c, uint64_t address, json_t *list, apr_pool_t *p)
{
    sal_sym_frame_t *inlines = apr_palloc(p, SAL_SYM_MAX_INLINES * sizeof(*inlines));
    sal_sym_hit_t hit;
    bool found = sal_symcache_lookup(c, address, &hit, inlines, SAL_SYM_MAX_INLINES);

    if (list) {
        json_array_append_new(list, found ? hit_json(address, &hit, inlines, p)
                                          : json_pack("{s:I}", "offset", (json_int_t)address));
    } else if (found) {
        print_hit(address, &hit, inlines, p);
    } else {
        printf("0x%llx: nothing is known\n", (unsigned long long)address);
    }
    return found;
}

/* 0 also if nothing is known of an offset: that is an answer. */
static int lookup(const request_t *req, apr_pool_t *p)
{
    json_t *list = req->json ? json_array() : NULL;
    sal_symcache_t *c;
    sal_error_t err;
    apr_pool_t *scratch;

    if (req->nargs < 2) {
        return cmd_usage(USAGE_LOOKUP, "name a file and at least one offset");
    }
    if (open_any(&c, req->args[0], p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    apr_pool_create(&scratch, p);
    for (int i = 1; i < req->nargs; i++) {
        uint64_t address;

        if (!parse_offset(req->args[i], &address)) {
            return cmd_usage(USAGE_LOOKUP, "\"%s\" is not a hexadecimal offset", req->args[i]);
        }
        lookup_one(c, address, list, scratch);
        apr_pool_clear(scratch);
    }
    return list ? print_json(list) : CMD_OK;
}

int cmd_symcache(int argc, const char **argv, apr_pool_t *p)
{
    static const struct {
        const char *verb;
        int (*run)(const request_t *req, apr_pool_t *p);
    } verbs[] = { { "build", build }, { "info", info }, { "lookup", lookup } };
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { 0 };
    const char *value;
    apr_status_t rv;
    int c;

    sal_log_threshold(SAL_LOG_WARNING);
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            print_help();
            return CMD_OK;
        }
        req.json = req.json || c == OPT_JSON;
        req.out = c == 'o' ? value : req.out;
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = (const char **)os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    for (int i = 0; i < 3 && req.nargs >= 0; i++) {
        if (strcmp(os->argv[os->ind], verbs[i].verb) == 0) {
            return verbs[i].run(&req, p);
        }
    }
    return cmd_usage("symcache build|info|lookup ...", "say what to do: build, info or lookup");
}
