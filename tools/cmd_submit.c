/*
 * salvage submit: sends a crash report as crash reporters do, for tests, scripts and load. Prints
 * the line that names the crash.
 */
#include "cmd.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"
#include "submit.h"

#define USAGE                                                                                      \
    "submit --server URL [--dialect NAME] [--annotation NAME=VALUE]... [--dump [NAME=]FILE]..."    \
    " [--gzip] [--chunked] [--json] [--uuid ID] [--token TOKEN] [--count N] [--jobs N]"
#define COUNT_MAX 10000000
#define JOBS_MAX 256

static const apr_getopt_option_t options[] = {
    { "server", 's', 1, "collector, e.g. https://crash.example.com; the dialect's path is added" },
    { "dialect", 'D', 1, "speak as this sender does" },
    { "annotation", 'a', 1, "NAME=VALUE; may be repeated" },
    { "dump", 'd', 1, "FILE or NAME=FILE; may be repeated" },
    { "gzip", 'z', 0, "compress the body" },
    { "chunked", 'k', 0, "send without Content-Length, as Crashpad does" },
    { "json", 'j', 0, "annotations as one JSON part, as Firefox does" },
    { "uuid", 'u', 1, "crash id of your own; needs the token" },
    { "token", 't', 1, "bearer token, for an id of your own" },
    { "count", 'n', 1, "send it N times" },
    { "jobs", 'J', 1, "over so many connections at the same time" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* A name goes into a header: no quotes, no line breaks. */
static int name_ok(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == '"' || s[i] == '\\') {
            return 0;
        }
    }
    return len > 0;
}

static int add_annotation(submit_t *s, const char *arg)
{
    const char *eq = strchr(arg, '=');

    if (!eq || !name_ok(arg, (size_t)(eq - arg)) || !sal_utf8_valid(arg, strlen(arg))) {
        return cmd_usage(USAGE, "--annotation \"%s\" is not NAME=VALUE", arg);
    }
    APR_ARRAY_PUSH(s->annotations, submit_pair_t) =
        (submit_pair_t){ apr_pstrmemdup(s->pool, arg, (apr_size_t)(eq - arg)), eq + 1 };
    return CMD_OK;
}

/* NAME=FILE if what stands before the = looks like a dump's name, else FILE. */
static int add_dump(submit_t *s, const char *arg)
{
    const char *end = arg;

    while (isalnum((unsigned char)*end) || *end == '_') {
        end++;
    }
    if (*end == '=' && end > arg) {
        APR_ARRAY_PUSH(s->dumps, submit_pair_t) =
            (submit_pair_t){ apr_pstrmemdup(s->pool, arg, (apr_size_t)(end - arg)), end + 1 };
    } else {
        APR_ARRAY_PUSH(s->dumps, submit_pair_t) = (submit_pair_t){ SUBMIT_MAIN_DUMP, arg };
    }
    return CMD_OK;
}

static int set_dialect(submit_t *s, const char *name)
{
    s->dialect = submit_find_dialect(name);
    if (!s->dialect) {
        return cmd_usage(USAGE, "--dialect \"%s\" is none of %s", name,
                         submit_dialect_names(s->pool));
    }
    s->gzip |= s->dialect->gzip;
    s->chunked |= s->dialect->chunked;
    if (s->shape == SUBMIT_FORM) {
        s->shape = s->dialect->shape;
    }
    return CMD_OK;
}

static int set_number(int *out, const char *name, const char *text, int max)
{
    int64_t v;

    if (!sal_parse_int(text, 1, max, &v)) {
        return cmd_usage(USAGE, "--%s \"%s\" is not a number in 1..%d", name, text, max);
    }
    *out = (int)v;
    return CMD_OK;
}

static int take_option(submit_t *s, int c, const char *value)
{
    switch (c) {
    case 's':
        s->server = value;
        break;
    case 'D':
        return set_dialect(s, value);
    case 'd':
        return add_dump(s, value);
    case 'a':
        return add_annotation(s, value);
    case 'u':
        return add_annotation(s, apr_pstrcat(s->pool, "uuid=", value, NULL));
    case 'n':
        return set_number(&s->count, "count", value, COUNT_MAX);
    case 'J':
        return set_number(&s->jobs, "jobs", value, JOBS_MAX);
    case 'z':
        s->gzip = true;
        break;
    case 'k':
        s->chunked = true;
        break;
    case 'j':
        s->shape = SUBMIT_FORM_JSON;
        break;
    case 't':
        s->token = value;
        break;
    }
    return CMD_OK;
}

static int check(const submit_t *s)
{
    if (!s->server) {
        return cmd_usage(USAGE, "--server is missing");
    }
    if (s->annotations->nelts == 0) {
        return cmd_usage(USAGE, "a report needs at least one --annotation");
    }
    if (s->count > 1 && submit_value(s, "uuid")) {
        return cmd_usage(USAGE, "a report with an id of its own is sent once");
    }
    return CMD_OK;
}

static int run(submit_t *s)
{
    FILE *body;
    int rc;

    if (submit_make_names(s) != CMD_OK || !(body = submit_body(s))) {
        return CMD_FAILED;
    }
    rc = submit_send(s, body);
    fclose(body);
    return rc;
}

int cmd_submit(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    submit_t s = { .dialect = submit_find_dialect(NULL),
                   .annotations = apr_array_make(p, 8, sizeof(submit_pair_t)),
                   .dumps = apr_array_make(p, 2, sizeof(submit_pair_t)),
                   .count = 1,
                   .jobs = 1,
                   .pool = p };
    const char *value;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            printf("usage: salvage %s\ndialects: %s\n", USAGE, submit_dialect_names(p));
            return CMD_OK;
        }
        if (take_option(&s, c, value) != CMD_OK) {
            return CMD_USAGE;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (os->ind < argc) {
        return cmd_usage(USAGE, "\"%s\" is not an option", os->argv[os->ind]);
    }
    return check(&s) == CMD_OK ? run(&s) : CMD_USAGE;
}
