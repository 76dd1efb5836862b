/*
 * salvage throttle: which throttle rule decides a report, and why. The rules are httpd's
 * configuration and their conditions httpd's expressions, so httpd itself is asked: it reads its
 * configuration as for `httpd -t`, and the collector's module decides what comes on standard input.
 */
#include "cmd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <jansson.h>

#include "base/file.h"
#include "base/json.h"

#define USAGE_TEST                                                                                 \
    "throttle test [--config FILE] [--define NAME]... [--httpd PROGRAM] [--server NAME]"           \
    " [--location PATH] [--draw N] [--json] FILE.json|NAME=VALUE..."
#define USAGE_LIST                                                                                 \
    "throttle list [--config FILE] [--define NAME]... [--httpd PROGRAM] [--server NAME]"           \
    " [--location PATH] [--json]"
#define TRIAL "SALVAGE_THROTTLE_TEST"
#define MARK "salvage-throttle: "
#define INPUT_MAX (20 << 20)
#define OUTPUT_MAX (16 << 20)

typedef struct request_t {
    const char *config, *httpd;
    apr_array_header_t *defines; /* of const char * */
    json_t *asked;               /* what the module is told */
    const char **args;           /* behind the verb */
    int nargs, as_json;
} request_t;

static const apr_getopt_option_t options[] = {
    { "config", 'f', 1, "httpd's configuration; default: that of the system's httpd" },
    { "define", 'D', 1, "a definition that httpd is started with; may be repeated" },
    { "httpd", 'x', 1, "httpd, or its control program" },
    { "server", 's', 1, "ServerName of the virtual host" },
    { "location", 'l', 1, "path of the collector, e.g. /submit" },
    { "draw", 'd', 1, "number from 0 to 100 that chance draws for every percentage" },
    { "json", 'j', 0, "print what httpd said, as JSON" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- asking httpd ---- */

/* The first of the usual places; with its own configuration httpd needs its control program. */
static const char *find_httpd(const request_t *req)
{
    static const char *const controls[] = { "/usr/sbin/apache2ctl", "/usr/sbin/apachectl",
                                            "/usr/local/apache2/bin/apachectl", NULL };
    static const char *const servers[] = { "/usr/sbin/apache2", "/usr/sbin/httpd",
                                           "/usr/local/apache2/bin/httpd", NULL };

    if (req->httpd) {
        return req->httpd;
    }
    for (const char *const *at = req->config ? servers : controls; *at; at++) {
        if (access(*at, X_OK) == 0) {
            return *at;
        }
    }
    return NULL;
}

static const char **arguments(const request_t *req, const char *program, apr_pool_t *p)
{
    apr_array_header_t *args = apr_array_make(p, 10, sizeof(const char *));

    APR_ARRAY_PUSH(args, const char *) = program;
    if (req->config) {
        APR_ARRAY_PUSH(args, const char *) = "-f";
        APR_ARRAY_PUSH(args, const char *) = req->config;
    }
    for (int i = 0; i < req->defines->nelts; i++) {
        APR_ARRAY_PUSH(args, const char *) = "-D";
        APR_ARRAY_PUSH(args, const char *) = APR_ARRAY_IDX(req->defines, i, const char *);
    }
    APR_ARRAY_PUSH(args, const char *) = "-t";
    APR_ARRAY_PUSH(args, const char *) = "-D";
    APR_ARRAY_PUSH(args, const char *) = TRIAL;
    APR_ARRAY_PUSH(args, const char *) = NULL;
    return (const char **)args->elts;
}

/* Runs a program with files as its input and outputs; its exit status, -1 if it did not run. */
static int run(const char **args, FILE *const files[3])
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        for (int i = 0; i < 3; i++) {
            dup2(fileno(files[i]), i);
        }
        execvp(args[0], (char *const *)args);
        fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *text_of(FILE *f, apr_pool_t *p)
{
    long size;
    char *text;

    if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || size > OUTPUT_MAX) {
        return apr_pstrdup(p, "");
    }
    rewind(f);
    text = apr_palloc(p, (apr_size_t)size + 1);
    text[fread(text, 1, (size_t)size, f)] = '\0';
    return text;
}

/* What httpd complained about, on one line. */
static const char *complaint(char *text)
{
    char *end = text + strlen(text);

    while (end > text && (end[-1] == '\n' || end[-1] == ' ')) {
        *--end = '\0';
    }
    for (char *at = text; (at = strchr(at, '\n')) != NULL;) {
        *at = ' ';
    }
    return *text ? text : "it said nothing";
}

static json_t *answer_in(const char *out)
{
    const char *line = strstr(out, MARK);

    return line ? json_loads(line + strlen(MARK), JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

/* What the module says of the annotations; NULL after printing why there is nothing. */
static json_t *ask(const request_t *req, const json_t *annotations, apr_pool_t *p)
{
    const char *program = find_httpd(req);
    FILE *files[3] = { tmpfile(), tmpfile(), tmpfile() };
    json_t *answer = NULL;
    int status;

    if (!program || !files[0] || !files[1] || !files[2]) {
        cmd_fail(program ? "no temporary files" : "no httpd found; name it with --httpd");
        return NULL;
    }
    json_dumpf(req->asked, files[0], JSON_COMPACT);
    fputc('\n', files[0]);
    json_dumpf(annotations, files[0], JSON_COMPACT);
    fflush(files[0]);
    rewind(files[0]);
    status = run(arguments(req, program, p), files);
    answer = status == 0 ? answer_in(text_of(files[1], p)) : NULL;
    if (status != 0) {
        cmd_fail("%s -t: %s", program, complaint(text_of(files[2], p)));
    } else if (!answer) {
        cmd_fail("%s read its configuration but loads no mod_crash_collect there", program);
    } else if (json_object_get(answer, "error")) {
        cmd_fail("%s", json_string_value(json_object_get(answer, "error")));
        json_decref(answer);
        answer = NULL;
    }
    for (int i = 0; i < 3; i++) {
        fclose(files[i]);
    }
    return answer ? sal_json_own(answer, p) : NULL;
}

/* ---- annotations ---- */

/* NAME=VALUE, or a file with an object. False after printing what is wrong. */
static int read_argument(json_t *into, const char *arg, apr_pool_t *p)
{
    const char *sign = strchr(arg, '=');
    json_error_t why;
    sal_error_t err;
    apr_size_t size;
    json_t *doc;
    char *text;

    if (sign && sign > arg) {
        doc = json_string(sign + 1);
        if (!doc ||
            json_object_set_new(into, apr_pstrmemdup(p, arg, (apr_size_t)(sign - arg)), doc) != 0) {
            cmd_fail("\"%s\" is not UTF-8", arg);
            return 0;
        }
        return 1;
    }
    if (sal_file_read(&text, &size, arg, INPUT_MAX, p, &err) != APR_SUCCESS) {
        cmd_fail_err(&err);
        return 0;
    }
    doc = json_loadb(text, size, 0, &why);
    if (!json_is_object(doc)) {
        cmd_fail("%s: %s", arg, doc ? "not a JSON object" : why.text);
        json_decref(doc);
        return 0;
    }
    json_object_update(into, doc);
    json_decref(doc);
    return 1;
}

/* ---- printing ---- */

static const char *word(const json_t *rule, const char *key)
{
    const char *text = json_string_value(json_object_get(rule, key));

    return text ? text : "";
}

/* "ACCEPT", or "10 % ACCEPT, else REJECT". */
static const char *outcome_of(const json_t *rule, apr_pool_t *p)
{
    double percent = json_number_value(json_object_get(rule, "percent"));

    return percent >= 100 ? word(rule, "result")
                          : apr_psprintf(p, "%g %% %s, else %s", percent, word(rule, "result"),
                                         word(rule, "otherwise"));
}

static void print_tried(const json_t *rule, apr_pool_t *p)
{
    const json_t *matched = json_object_get(rule, "matched"), *drawn;

    if (!json_is_true(matched)) {
        printf("%-13s%s\n", matched ? "no" : "not asked", word(rule, "name"));
        return;
    }
    drawn = json_object_get(rule, "drawn");
    printf("%-13s%s: %s", "yes", word(rule, "name"), outcome_of(rule, p));
    if (drawn) {
        printf("; drew %.4g: %s", json_number_value(drawn), word(rule, "outcome"));
    }
    printf("\n%-13s  %s\n%-13s  %s line %d\n", "", word(rule, "expr"), "", word(rule, "file"),
           (int)json_integer_value(json_object_get(rule, "line")));
}

static void print_place(const json_t *answer)
{
    const char *problem = json_string_value(json_object_get(answer, "products_error"));

    printf("%s of %s", word(answer, "path"), word(answer, "server"));
    if (problem) {
        printf("; products could not be read: %s\n", problem);
    } else {
        int n = (int)json_integer_value(json_object_get(answer, "products"));

        printf(n ? "; %d products\n" : "; any product\n", n);
    }
}

static int test(const request_t *req, apr_pool_t *p)
{
    json_t *annotations = json_object(), *answer = NULL, *rule;
    size_t i;
    int good = 1;

    sal_json_own(annotations, p);
    for (int n = 0; n < req->nargs && good; n++) {
        good = read_argument(annotations, req->args[n], p);
    }
    if (!good || !(answer = ask(req, annotations, p))) {
        return CMD_FAILED;
    }
    if (req->as_json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
        return CMD_OK;
    }
    print_place(answer);
    json_array_foreach(json_object_get(answer, "rules"), i, rule)
    {
        print_tried(rule, p);
    }
    if (json_object_get(answer, "failed")) {
        printf("failed       %s\n", word(answer, "failed"));
    }
    printf("%s by %s, %g %%\n", word(answer, "result"), word(answer, "rule"),
           json_number_value(json_object_get(answer, "percent")));
    return CMD_OK;
}

static int list(const request_t *req, apr_pool_t *p)
{
    json_t *none = json_object(), *answer = ask(req, sal_json_own(none, p), p), *rule, *rules;
    size_t i;

    if (!answer) {
        return CMD_FAILED;
    }
    rules = json_object_get(answer, "rules");
    json_array_foreach(rules, i, rule) /* what became of no report at all is of no interest */
    {
        json_object_del(rule, "matched");
        json_object_del(rule, "outcome");
        json_object_del(rule, "drawn");
    }
    if (req->as_json) {
        json_dumpf(rules, stdout, JSON_INDENT(2));
        putchar('\n');
        return CMD_OK;
    }
    puts("rule\tresult\tcondition");
    json_array_foreach(rules, i, rule)
    {
        printf("%s\t%s\t%s\n", word(rule, "name"), outcome_of(rule, p), word(rule, "expr"));
    }
    return CMD_OK;
}

/* ---- options ---- */

static int take_draw(request_t *req, const char *value)
{
    char *end;
    double number = strtod(value, &end);

    if (end == value || *end || !(number >= 0 && number <= 100)) {
        return 0;
    }
    json_object_set_new(req->asked, "draw", json_real(number));
    return 1;
}

/* CMD_OK, or what the command returns. */
static int take_option(request_t *req, int c, const char *value, apr_pool_t *p)
{
    char *path;

    switch (c) {
    case 'f':
        path = realpath(value, NULL);
        if (!path) {
            return cmd_fail("%s: %s", value, strerror(errno));
        }
        req->config = apr_pstrdup(p, path);
        free(path);
        break;
    case 'D':
        APR_ARRAY_PUSH(req->defines, const char *) = value;
        break;
    case 'x':
        req->httpd = value;
        break;
    case 's':
        json_object_set_new(req->asked, "server", json_string(value));
        break;
    case 'l':
        json_object_set_new(req->asked, "path", json_string(value));
        break;
    case 'j':
        req->as_json = 1;
        break;
    default:
        return take_draw(req, value)
                   ? CMD_OK
                   : cmd_usage(USAGE_TEST, "--draw \"%s\" is not a number from 0 to 100", value);
    }
    return CMD_OK;
}

int cmd_throttle(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { 0 };
    const char *value, *verb;
    apr_status_t rv;
    int c, code;

    req.defines = apr_array_make(p, 4, sizeof(const char *));
    req.asked = sal_json_own(json_object(), p);
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE_TEST "\n       salvage " USAGE_LIST);
            return CMD_OK;
        }
        if ((code = take_option(&req, c, value, p)) != CMD_OK) {
            return code;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    verb = os->ind < argc ? os->argv[os->ind] : "";
    if (!strcmp(verb, "test") && req.nargs > 0) {
        return test(&req, p);
    }
    if (!strcmp(verb, "list") && req.nargs == 0) {
        return list(&req, p);
    }
    return cmd_usage(USAGE_TEST, "say list, or test with annotations");
}
