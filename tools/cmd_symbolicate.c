/*
 * salvage symbolicate: what mod_symbolicate answers, on the command line. A request on standard
 * input, or addresses as arguments: NAME/ID:OFFSET.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/text.h"
#include "input.h"
#include "stackwalk.h"
#include "symbolicate/symbolicate.h"

#define USAGE                                                                                      \
    "symbolicate [--symbols DIR|URL]... [--symbols-cache DIR] [--v4] [--debug]\n"                  \
    "       [--strict] [--line-gaps none|extend] < request.json\n"                                 \
    "       salvage symbolicate [--symbols DIR|URL]... [--json] NAME/ID:OFFSET..."

enum { INPUT_MAX = 1 << 30, JOBS_MAX = 10000 };

enum { OPT_SYMBOLS = 256, OPT_URL, OPT_CACHE, OPT_JSON, OPT_V4, OPT_DEBUG, OPT_STRICT, OPT_GAPS };

typedef struct {
    stackwalk_options_t symbols;
    sal_supplier_t *supplier;
    bool json, v4, debug, strict, extend, wrong;
    const char *const *args;
    int nargs;
} request_t;

static const apr_getopt_option_t options[] = {
    { "symbols", OPT_SYMBOLS, 1, "directory in Breakpad layout, symbol file or server" },
    { "symbols-path", OPT_SYMBOLS, 1, "the same" },
    { "symbols-url", OPT_URL, 1, "server that is asked last" },
    { "symbols-cache", OPT_CACHE, 1, "where built symcaches and downloads are kept" },
    { "json", OPT_JSON, 0, "answer addresses as JSON too" },
    { "v4", OPT_V4, 0, "the older form of request and answer" },
    { "debug", OPT_DEBUG, 0, "times and sizes in the answer" },
    { "strict", OPT_STRICT, 0, "refuse names and ids of a wrong form" },
    { "line-gaps", OPT_GAPS, 1, "between line records: none, or extend, the line before" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- the request ---- */

static bool to_stdout(void *baton, const char *data, apr_size_t size, bool whole)
{
    (void)baton;
    (void)whole;
    return fwrite(data, 1, size, stdout) == size;
}

static int answer(const request_t *req, const char *body, size_t size, apr_pool_t *p)
{
    sal_symbolicate_request_t r = { .version = req->v4 ? 4 : 5 };
    sal_symbolicate_limits_t limits = { JOBS_MAX, req->strict };
    sal_symbolicate_style_t style = { .extensions = !req->strict,
                                      .debug = req->debug,
                                      .extend_lines = req->extend,
                                      .begun = apr_time_now() };
    const char *title = sal_symbolicate_read(&r, body, size, &limits, p);

    if (title) {
        return cmd_fail("%s", title);
    }
    sal_symbolicate_fetch(&r, req->supplier, 0, p);
    sal_symbolicate_write(&r, &style, to_stdout, NULL, p);
    sal_symbolicate_release(&r, req->supplier);
    putchar('\n');
    return CMD_OK;
}

static int from_stdin(const request_t *req, apr_pool_t *p)
{
    size_t size;
    char *body;
    int code = tool_read_input(&body, &size, INPUT_MAX);

    if (code == CMD_OK) {
        code = answer(req, body, size, p);
        free(body);
    }
    return code;
}

/* ---- addresses ---- */

typedef struct {
    const char *name, *id;
    uint64_t offset;
} address_t;

/* NAME/ID:OFFSET, the offset decimal or with 0x hexadecimal. */
static bool parse_address(address_t *a, const char *text, apr_pool_t *p)
{
    const char *colon = strrchr(text, ':'), *slash = NULL;
    char *end;

    for (const char *c = text; colon && c < colon; c++) {
        slash = *c == '/' ? c : slash;
    }
    if (!slash || slash == text || slash + 1 == colon || !colon[1] || colon[1] == '-') {
        return false;
    }
    a->name = apr_pstrmemdup(p, text, (size_t)(slash - text));
    a->id = apr_pstrmemdup(p, slash + 1, (size_t)(colon - slash - 1));
    a->offset = strtoull(colon + 1, &end, strncmp(colon + 1, "0x", 2) ? 10 : 16);
    return *end == '\0' && a->offset <= INT64_MAX;
}

static int answer_json(const request_t *req, const address_t *a, apr_pool_t *p)
{
    json_t *map = json_array(), *stack = json_array(), *doc;
    char *body;
    int code;

    for (int i = 0; i < req->nargs; i++) {
        json_array_append_new(map, json_pack("[s,s]", a[i].name, a[i].id));
        json_array_append_new(stack, json_pack("[i,I]", i, (json_int_t)a[i].offset));
    }
    doc = json_pack("{s:o,s:[o]}", "memoryMap", map, "stacks", stack);
    body = json_dumps(doc, JSON_COMPACT);
    code = body ? answer(req, body, strlen(body), p) : cmd_fail("a name is not UTF-8");
    free(body);
    json_decref(doc);
    return code;
}

static void print_place(const char *lead, const sal_sym_frame_t *f)
{
    printf("%s%.*s", lead, (int)f->function.len, f->function.s);
    if (f->file.len) {
        printf(" at %.*s", (int)f->file.len, f->file.s);
        if (f->line) {
            printf(":%u", f->line);
        }
    }
    putchar('\n');
}

/* False: nothing is known of the address. */
static bool print_address(const request_t *req, const address_t *a, const char *text, apr_pool_t *p)
{
    static sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_sym_look_t look;
    sal_sym_hit_t hit;
    sal_sym_ref_t ref;
    bool found;

    puts(text);
    sal_supplier_get(&ref, req->supplier, a->name, a->id, p);
    look = (sal_sym_look_t){ .cache = ref.cache, .address = a->offset };
    sal_symcache_look(&look, 1);
    if (req->extend) {
        sal_symcache_extend(&look);
    }
    found = sal_symcache_see(&look, &hit, inlines, SAL_SYM_MAX_INLINES);
    if (found) {
        uint32_t n = hit.n_inlines < SAL_SYM_MAX_INLINES ? hit.n_inlines : SAL_SYM_MAX_INLINES;

        for (uint32_t i = 0; i < n; i++) {
            print_place(i ? "  inlined by " : "  ", &inlines[i]);
        }
        print_place(n ? "  inlined by " : "  ", &hit.outer);
    } else {
        printf("  ?? (%s)\n", ref.cache    ? "no symbol at this offset"
                              : ref.reason ? ref.reason
                                           : "no symbols of this module");
    }
    sal_supplier_release(req->supplier, &ref);
    return found;
}

static int from_arguments(const request_t *req, apr_pool_t *p)
{
    address_t *a = apr_palloc(p, (apr_size_t)req->nargs * sizeof(*a));
    int code = CMD_OK;

    for (int i = 0; i < req->nargs; i++) {
        if (!parse_address(&a[i], req->args[i], p)) {
            return cmd_usage(USAGE,
                             "\"%s\" is no address: NAME/ID:OFFSET, as in "
                             "libc.so.6/C3B913878AFB017237A4A08B325905C70:0x2724a",
                             req->args[i]);
        }
    }
    if (req->json) {
        return answer_json(req, a, p);
    }
    for (int i = 0; i < req->nargs; i++) {
        code = print_address(req, &a[i], req->args[i], p) ? code : CMD_FAILED;
    }
    return code;
}

/* ---- the command ---- */

static bool set_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case OPT_SYMBOLS:
        APR_ARRAY_PUSH(req->symbols.symbols, const char *) = value;
        return true;
    case OPT_URL:
        APR_ARRAY_PUSH(req->symbols.urls, const char *) = value;
        return true;
    case OPT_CACHE:
        req->symbols.cache = value;
        return true;
    case OPT_JSON:
        return req->json = true;
    case OPT_V4:
        return req->v4 = true;
    case OPT_DEBUG:
        return req->debug = true;
    case OPT_STRICT:
        return req->strict = true;
    case OPT_GAPS:
        req->extend = strcmp(value, "extend") == 0;
        req->wrong = !req->extend && strcmp(value, "none") != 0;
        return true;
    default:
        return false;
    }
}

int cmd_symbolicate(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .symbols = { .download_seconds = STACKWALK_DOWNLOAD_SECONDS } };
    const char *value;
    apr_status_t rv;
    sal_error_t err;
    int c;

    req.symbols.symbols = apr_array_make(p, 4, sizeof(const char *));
    req.symbols.urls = apr_array_make(p, 4, sizeof(const char *));
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (!set_option(&req, c, value)) {
            printf("usage: salvage %s\n", USAGE);
            return CMD_OK;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (req.wrong) {
        return cmd_usage(USAGE, "--line-gaps is none or extend");
    }
    req.args = (const char *const *)os->argv + os->ind;
    req.nargs = argc - os->ind;
    if (req.nargs == 0 && isatty(STDIN_FILENO)) {
        return cmd_usage(USAGE, "nothing to look up");
    }
    if (stackwalk_supplier(&req.supplier, &req.symbols, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return req.nargs ? from_arguments(&req, p) : from_stdin(&req, p);
}
