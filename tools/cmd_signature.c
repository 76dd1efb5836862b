/*
 * salvage signature: crash data in on standard input, signature and notes out.
 *
 * Takes crash data, a whole processed crash (it has the member json_dump), or a crash ping. With
 * --lines there is one object a line, in and out, and a bad line is reported in place so that the
 * rest still comes.
 */
#include "cmd.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/json.h"
#include "input.h"
#include "signature/ping.h"
#include "signature_cmd.h"
#include "stackwalk.h"

enum { INPUT_MAX = 1 << 30 };

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

/* Prints the signature of a JSON object: a ping, crash data, or a processed crash to convert. */
static int sign(const signature_cmd_t *req, const json_t *crash, apr_pool_t *p)
{
    bool table = req->style.format == PRINT_CSV || req->style.format == PRINT_MARKDOWN;
    const char *id = table ? sal_json_str(crash, "uuid") : NULL;
    const char *old = table ? sal_json_str(crash, "signature") : NULL;
    json_t *data;
    sal_error_t err;

    if (req->ping) {
        if (sal_ping_crash_data(&data, crash, req->supplier, p, &err) != APR_SUCCESS) {
            return cmd_fail_err(&err);
        }
    } else if (json_object_get(crash, "json_dump")) {
        data = sal_crash_data_of(crash);
    } else {
        data = json_incref((json_t *)crash);
    }
    signature_cmd_print(req, id, old, data, p);
    json_decref(data);
    return CMD_OK;
}

static int one(const signature_cmd_t *req, char *text, size_t size, apr_pool_t *p)
{
    json_error_t why;
    json_t *crash;
    int code;

    mend_surrogates(text, size);
    crash = json_loadb(text, size, JSON_ALLOW_NUL, &why);
    if (!json_is_object(crash)) {
        json_decref(crash);
        return cmd_fail("input is no JSON object: line %d: %s", crash ? 1 : why.line,
                        crash ? "a list" : why.text);
    }
    code = sign(req, crash, p);
    json_decref(crash);
    return code;
}

static int each_line(const signature_cmd_t *req, apr_pool_t *p)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t size;
    int code = CMD_OK;

    while ((size = getline(&line, &cap, stdin)) > 0) {
        apr_pool_t *scratch;

        apr_pool_create(&scratch, p);
        if (one(req, line, (size_t)size, scratch) != CMD_OK) {
            puts(req->style.format == PRINT_JSON
                     ? "{}"
                     : "signature: "); /* line n out answers line n in */
            code = CMD_FAILED;
        }
        apr_pool_destroy(scratch);
    }
    free(line);
    return code;
}

static int whole_input(const signature_cmd_t *req, apr_pool_t *p)
{
    size_t size;
    char *text;
    int code = tool_read_input(&text, &size, INPUT_MAX);

    if (code == CMD_OK) {
        code = one(req, text, size, p);
        free(text);
    }
    return code;
}

/* Symbols of pings are found as those of dumps are. */
static int make_supplier(signature_cmd_t *req, apr_pool_t *p)
{
    stackwalk_options_t o = { .symbols = req->symbols,
                              .urls = apr_array_make(p, 1, sizeof(const char *)),
                              .cache = req->cache,
                              .download_seconds = STACKWALK_DOWNLOAD_SECONDS };
    sal_error_t err;

    if (stackwalk_supplier(&req->supplier, &o, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return CMD_OK;
}

int cmd_signature(int argc, const char **argv, apr_pool_t *p)
{
    signature_cmd_t req = { .server = NULL };
    int code = signature_cmd_options(&req, argc, argv, p);

    if (code != CMD_OK) {
        return code < 0 ? CMD_OK : code;
    }
    if (req.server) {
        return cmd_give_way(CMD_SERVER);
    }
    if ((code = signature_cmd_lists(&req, p)) != CMD_OK ||
        (req.ping && (code = make_supplier(&req, p)) != CMD_OK)) {
        return code;
    }
    print_begin(&req.style);
    return req.style.lines ? each_line(&req, p) : whole_input(&req, p);
}
