/*
 * salvage signature --server: fetches processed crashes from a Crash Stats API and shows the
 * signature each has beside the one it would get with these lists. Warnings and their texts are
 * those of Socorro's command.
 */
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <curl/curl.h>

#include "reply.h"
#include "signature_cmd.h"

enum { REPLY_MAX = 256 << 20, CRASH_ID = 36, ID_LINE_MAX = 4096, SILENT_SECONDS = 60 };

typedef struct {
    tool_reply_t body;
    long status;
} reply_t;

typedef enum { FETCH_NEXT, FETCH_STOP } fetch_t; /* after a crash: go on, or give up */

/* ---- crash ids ---- */

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_crash_id(const char *s)
{
    for (int i = 0; i < CRASH_ID; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : i >= 30 ? !apr_isdigit(s[i]) : !is_lower_hex(s[i])) {
            return false;
        }
    }
    return s[CRASH_ID] == '\0';
}

/* ID, bp-ID, or the URL of a report page; NULL if it is none of these. */
static const char *crash_id_of(const char *text, apr_pool_t *p)
{
    const char *path, *slash;

    if (!strncmp(text, "http", 4)) {
        char *url = apr_pstrdup(p, text);

        url[strcspn(url, "?#")] = '\0';
        path = strstr(url, "://");
        path = path ? strchr(path + 3, '/') : NULL;
        if (!path || strncmp(path, "/report/index", 13)) {
            return NULL;
        }
        slash = strrchr(path, '/');
        text = slash + 1;
    } else if (!strncmp(text, "bp-", 3)) {
        text += 3;
    }
    return is_crash_id(text) ? text : NULL;
}

/* ---- one request ---- */

static CURLcode get(CURL *curl, const char *url, const char *token, reply_t *reply, apr_pool_t *p)
{
    struct curl_slist *headers = NULL;
    CURLcode rc;

    if (token && *token) {
        headers = curl_slist_append(NULL, apr_pstrcat(p, "Auth-Token: ", token, NULL));
    }
    tool_request(curl, url, "salvage-signature", SILENT_SECONDS, &reply->body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- one crash ---- */

static void warn(const char *text)
{
    fflush(stdout);
    fprintf(stderr, "WARNING: %s\n", text);
}

static json_t *object_of(const reply_t *reply)
{
    json_t *crash =
        json_loadb(tool_reply_text(&reply->body), reply->body.size, JSON_ALLOW_NUL, NULL);

    if (!json_is_object(crash)) {
        json_decref(crash);
        return NULL;
    }
    return crash;
}

/* {"error": TEXT} is mostly about the token; the next crash would get the same. */
static bool is_error(const json_t *crash, apr_pool_t *p)
{
    const json_t *error = json_object_get(crash, "error");
    const char *text = json_is_string(error) ? json_string_value(error) : "";

    if (error) {
        warn(apr_pstrcat(p, "Error fetching processed crash: ", text, NULL));
    }
    return error != NULL;
}

static bool says_error(const reply_t *reply, apr_pool_t *p)
{
    json_t *answer = object_of(reply);
    bool yes = answer && is_error(answer, p);

    json_decref(answer);
    return yes;
}

static fetch_t show(const signature_cmd_t *req, const char *id, const reply_t *reply, apr_pool_t *p)
{
    json_t *crash = object_of(reply), *data;

    if (!crash) {
        warn(apr_psprintf(p, "Error fetching processed crash: %s: the answer is no JSON object",
                          id));
        return FETCH_STOP;
    }
    if (is_error(crash, p)) {
        json_decref(crash);
        return FETCH_STOP;
    }
    data = sal_crash_data_of(crash);
    signature_cmd_print(req, id, json_string_value(json_object_get(crash, "signature")), data, p);
    json_decref(data);
    json_decref(crash);
    return FETCH_NEXT;
}

static fetch_t judge(const signature_cmd_t *req, const char *id, const reply_t *reply,
                     apr_pool_t *p)
{
    const char *body = tool_reply_text(&reply->body);

    switch (reply->status) {
    case 200:
        return show(req, id, reply, p);
    case 404:
        warn(apr_pstrcat(p, id, ": does not have processed crash.", NULL));
        return FETCH_NEXT;
    case 429:
        warn(apr_pstrcat(p, "API rate limit reached. ", body, NULL));
        return FETCH_STOP;
    default:
        if (reply->status < 500 && says_error(reply, p)) {
            return FETCH_STOP;
        }
        warn(apr_psprintf(p, "HTTP %ld: %s", reply->status, body));
        return reply->status >= 500 ? FETCH_NEXT : FETCH_STOP;
    }
}

static fetch_t fetch_one(const signature_cmd_t *req, CURL *curl, const char *text, apr_pool_t *p)
{
    const char *id = crash_id_of(text, p);
    reply_t reply = { .body.most = REPLY_MAX };
    fetch_t next;
    CURLcode rc;

    if (!id) {
        warn(apr_psprintf(p, "Error: %s is not a valid crash id", text));
        return FETCH_NEXT;
    }
    rc = get(curl, apr_pstrcat(p, req->server, "/api/ProcessedCrash/?crash_id=", id, NULL),
             req->token, &reply, p);
    if (rc != CURLE_OK) {
        warn(apr_psprintf(p, "%s: %s", req->server, curl_easy_strerror(rc)));
        next = FETCH_STOP;
    } else {
        next = judge(req, id, &reply, p);
    }
    tool_reply_clear(&reply.body);
    return next;
}

/* ---- all crashes ---- */

/* The next id: of the arguments, else of standard input; NULL at the end. */
static const char *next_id(const signature_cmd_t *req, int *i, char *line, size_t size)
{
    if (req->ids->nelts) {
        return *i < req->ids->nelts ? APR_ARRAY_IDX(req->ids, (*i)++, const char *) : NULL;
    }
    while (!isatty(STDIN_FILENO) && fgets(line, (int)size, stdin)) {
        size_t n = strlen(line);

        while (n && apr_isspace(line[n - 1])) {
            line[--n] = '\0';
        }
        line += strspn(line, " \t");
        if (*line) {
            return line;
        }
    }
    return NULL;
}

static const char *api_token(const char *given)
{
    given = given ? given : getenv("SALVAGE_API_TOKEN");
    return given ? given : getenv("SOCORRO_API_TOKEN");
}

/* Fills in what was left out. */
static void complete(signature_cmd_t *req, apr_pool_t *p)
{
    size_t n = strlen(req->server);

    req->server = apr_pstrmemdup(p, req->server, n - (n && req->server[n - 1] == '/'));
    req->token = api_token(req->token);
    req->style.server = req->server;
    req->style.format = req->format_given ? req->style.format : PRINT_TEXT;
    req->style.lines = true;
}

static int fetch_all(const signature_cmd_t *req, CURL *curl, apr_pool_t *p)
{
    bool spaced = req->style.format == PRINT_TEXT || req->style.format == PRINT_MARKDOWN;
    fetch_t next = FETCH_NEXT;
    char line[ID_LINE_MAX];
    int i = 0;
    const char *id = next_id(req, &i, line, sizeof(line));

    if (!id) {
        signature_cmd_help();
        return CMD_OK;
    }
    print_begin(&req->style);
    while (id && next == FETCH_NEXT) {
        apr_pool_t *scratch;

        apr_pool_create(&scratch, p);
        next = fetch_one(req, curl, id, scratch);
        apr_pool_destroy(scratch);
        id = next == FETCH_NEXT ? next_id(req, &i, line, sizeof(line)) : NULL;
        if (id && spaced) {
            putchar('\n');
        }
    }
    return next == FETCH_NEXT ? CMD_OK : CMD_FAILED;
}

int cmd_signature(int argc, const char **argv, apr_pool_t *p)
{
    signature_cmd_t req = { .server = NULL };
    int code = signature_cmd_options(&req, argc, argv, p);
    CURL *curl;

    if (code != CMD_OK) {
        return code < 0 ? CMD_OK : code;
    }
    if (!req.server) {
        return cmd_fail("this program serves --server only: run `salvage signature`");
    }
    complete(&req, p);
    if ((code = signature_cmd_lists(&req, p)) != CMD_OK) {
        return code;
    }
    curl = curl_easy_init();
    code = curl ? fetch_all(&req, curl, p) : cmd_fail("out of memory");
    curl_easy_cleanup(curl);
    return code;
}
