/*
 * salvage signature: crash data in on standard input, signature and notes out.
 *
 * Takes crash data or a whole processed crash (it has the member json_dump). With --lines there is
 * one object a line, in and out, and a bad line is reported in place so that the rest still comes.
 */
#include "cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <jansson.h>

#include "signature/signature.h"

#define USAGE "signature [--lists DIR] [--format json|text] [--lines] [-c FILE] < crash_data.json"
#define INPUT_MAX ((size_t)1 << 30)

enum { OPT_LISTS = 256, OPT_FORMAT, OPT_LINES };

typedef struct request_t {
    const char *conf, *lists;
    bool text, lines;
    sal_siglists_t *siglists;
} request_t;

static const apr_getopt_option_t options[] = {
    { "lists", OPT_LISTS, 1, "directory of signature lists" },
    { "format", OPT_FORMAT, 1, "json or text" },
    { "lines", OPT_LINES, 0, "one object a line, in and out" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* Four hex digits behind "\u", or -1. */
static long escape_at(const char *s, const char *end)
{
    char digits[5];
    char *stop;
    long v;

    if (end - s < 6 || s[0] != '\\' || s[1] != 'u') {
        return -1;
    }
    memcpy(digits, s + 2, 4);
    digits[4] = '\0';
    v = strtol(digits, &stop, 16);
    return *stop ? -1 : v;
}

/* Half a surrogate pair is legal JSON that no UTF-8 text can hold: it becomes U+FFFD. */
static void mend_surrogates(char *text, size_t size)
{
    char *end = text + size;

    for (char *s = text; s < end; s++) {
        long v, next;

        if (*s != '\\') {
            continue;
        }
        v = escape_at(s, end);
        next = v >= 0xD800 && v < 0xDC00 ? escape_at(s + 6, end) : -1;
        if (next >= 0xDC00 && next < 0xE000) {
            s += 11;
        } else if (v >= 0xD800 && v < 0xE000) {
            memcpy(s + 2, "fffd", 4);
            s += 5;
        } else {
            s++; /* an escaped backslash does not begin an escape */
        }
    }
}

static void print_text(const sal_signature_t *sig)
{
    printf("signature: %s\nproto: %s\n", sig->signature,
           sig->proto_signature ? sig->proto_signature : "");
    for (size_t i = 0; i < json_array_size(sig->notes); i++) {
        printf("note: %s\n", json_string_value(json_array_get(sig->notes, i)));
    }
}

static void print_json(const sal_signature_t *sig, bool line)
{
    const char *proto = sig->proto_signature ? sig->proto_signature : "";
    json_t *out = json_object();

    json_object_set_new(out, "signature", json_string(sig->signature));
    json_object_set_new(out, "proto_signature", json_stringn_nocheck(proto, sig->proto_size));
    json_object_set(out, "notes", sig->notes);
    json_dumpf(out, stdout, line ? JSON_COMPACT : JSON_INDENT(2));
    putchar('\n');
    json_decref(out);
}

static int one(const request_t *req, char *text, size_t size, apr_pool_t *p)
{
    sal_signature_t sig;
    json_error_t why;
    json_t *data, *crash;

    mend_surrogates(text, size);
    crash = json_loadb(text, size, JSON_ALLOW_NUL, &why);
    if (!json_is_object(crash)) {
        json_decref(crash);
        return cmd_fail("input is no JSON object: line %d: %s", crash ? 1 : why.line,
                        crash ? "a list" : why.text);
    }
    data = json_object_get(crash, "json_dump") ? sal_crash_data_of(crash) : json_incref(crash);
    sal_signature_make(&sig, data, req->siglists, p);
    if (req->text) {
        print_text(&sig);
    } else {
        print_json(&sig, req->lines);
    }
    json_decref(data);
    json_decref(crash);
    return CMD_OK;
}

static int each_line(const request_t *req, apr_pool_t *p)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t size;
    int code = CMD_OK;

    while ((size = getline(&line, &cap, stdin)) > 0) {
        apr_pool_t *scratch;

        apr_pool_create(&scratch, p);
        if (one(req, line, (size_t)size, scratch) != CMD_OK) {
            puts(req->text ? "signature: " : "{}"); /* line n out answers line n in */
            code = CMD_FAILED;
        }
        apr_pool_destroy(scratch);
    }
    free(line);
    return code;
}

static int whole_input(const request_t *req, apr_pool_t *p)
{
    size_t cap = 64 * 1024, size = 0, n;
    char *text = malloc(cap);
    int code;

    while (text && (n = fread(text + size, 1, cap - size, stdin)) > 0) {
        size += n;
        if (size == cap) {
            char *more = cap < INPUT_MAX ? realloc(text, cap * 2) : NULL;

            if (!more) {
                free(text);
                return cmd_fail("the input is too large");
            }
            text = more;
            cap *= 2;
        }
    }
    code = text ? one(req, text, size, p) : cmd_fail("out of memory");
    free(text);
    return code;
}

static int read_options(request_t *req, int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == OPT_LISTS) {
            req->lists = value;
        } else if (c == 'c') {
            req->conf = value;
        } else if (c == OPT_LINES) {
            req->lines = true;
        } else if (c == OPT_FORMAT && (!strcmp(value, "text") || !strcmp(value, "json"))) {
            req->text = !strcmp(value, "text");
        } else if (c == OPT_FORMAT) {
            return cmd_usage(USAGE, "--format is json or text, not %s", value);
        } else {
            printf("usage: salvage %s\n", USAGE);
            return -1;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    return os->ind < argc ? cmd_usage(USAGE, "unexpected argument %s", argv[os->ind]) : CMD_OK;
}

int cmd_signature(int argc, const char **argv, apr_pool_t *p)
{
    request_t req = { .text = false };
    sal_error_t err;
    int code = read_options(&req, argc, argv, p);

    if (code != CMD_OK) {
        return code < 0 ? CMD_OK : code;
    }
    if (!req.lists) {
        sal_conf_t *conf = req.conf || getenv("SALVAGE_CONF") ? cmd_conf(req.conf, p) : NULL;

        if (!conf && (req.conf || getenv("SALVAGE_CONF"))) {
            return CMD_FAILED;
        }
        req.lists = conf ? sal_conf_get(conf, "siglists", NULL) : NULL;
        req.lists = req.lists ? req.lists : SAL_SIGLISTS_DIR;
    }
    if (sal_siglists_load(&req.siglists, req.lists, p, &err) != APR_SUCCESS) {
        return cmd_fail("%s; name a directory with --lists DIR", err.message);
    }
    return req.lines ? each_line(&req, p) : whole_input(&req, p);
}
