/*
 * The frame of every page, messages, redirects, and the reduction of documents.
 */
#include "crashstats/crashstats.h"

#include <ctype.h>

#include <apr_strings.h>
#include <apr_time.h>
#include <xxhash.h>

#include "base/json.h"
#include "process/schema.h"

json_t *crashstats_processed(crashstats_req_t *q, const json_t *doc)
{
    return q->pii ? json_incref((json_t *)doc)
                  : sal_fields_public(sal_fields_processed(q->r->pool), doc);
}

json_t *crashstats_raw(crashstats_req_t *q, const json_t *raw)
{
    return q->pii ? json_incref((json_t *)raw) : sal_fields_public(sal_fields_raw(q->r->pool), raw);
}

json_t *crashstats_raw_protected(crashstats_req_t *q, const json_t *raw)
{
    json_t *open, *out, *value;
    const char *key;

    if (!q->pii) {
        return NULL;
    }
    open = sal_fields_public(sal_fields_raw(q->r->pool), raw);
    out = json_object();
    json_object_foreach((json_t *)raw, key, value)
    {
        if (!json_object_get(open, key)) {
            json_object_set(out, key, value);
        }
    }
    json_decref(open);
    return out;
}

/* 8-4-4-4-12 lower-case hex, then a real date in the last six. */
crashstats_id_t crashstats_id(const char *text)
{
    int prefixed = strncmp(text, "bp-", 3) == 0;
    const char *id = text + (prefixed ? 3 : 0);
    apr_time_exp_t x = { 0 }, back;
    apr_time_t t;

    if (strlen(id) != 36) {
        return CRASHSTATS_ID_NONE;
    }
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = isdigit((unsigned char)id[i]) || (id[i] >= 'a' && id[i] <= 'f');

        if (dash ? id[i] != '-' : !hex) {
            return CRASHSTATS_ID_NONE;
        }
    }
    for (int i = 30; i < 36; i++) {
        if (!isdigit((unsigned char)id[i])) {
            return CRASHSTATS_ID_BAD_DATE;
        }
    }
    x.tm_year = 100 + (id[30] - '0') * 10 + id[31] - '0';
    x.tm_mon = (id[32] - '0') * 10 + id[33] - '0' - 1;
    x.tm_mday = (id[34] - '0') * 10 + id[35] - '0';
    if (x.tm_mon < 0 || x.tm_mon > 11 || x.tm_mday < 1 ||
        apr_time_exp_gmt_get(&t, &x) != APR_SUCCESS || apr_time_exp_gmt(&back, t) != APR_SUCCESS ||
        back.tm_mday != x.tm_mday || back.tm_mon != x.tm_mon) {
        return CRASHSTATS_ID_BAD_DATE;
    }
    return prefixed ? CRASHSTATS_ID_PREFIXED : CRASHSTATS_ID_OK;
}

int crashstats_redirect(request_rec *r, int status, const char *to)
{
    apr_table_setn(r->err_headers_out, "Location", to);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-cache");
    return web_reply(r, status, "text/plain; charset=UTF-8", "", 0);
}

/* The reader's choice, from the cookie that the script sets; nothing else may pass. */
static const char *theme(request_rec *r)
{
    const char *cookies = apr_table_get(r->headers_in, "Cookie");

    for (const char *at = cookies; at && *at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
        while (*at == ' ') {
            at++;
        }
        if (strncmp(at, "theme=light", 11) == 0 || strncmp(at, "theme=dark", 10) == 0) {
            return at[6] == 'l' ? "light" : "dark";
        }
    }
    return NULL;
}

static json_t *places(const char *here)
{
    static const char *const all[][2] = { { "Overview", "/" },
                                          { "Search", "/search/" },
                                          { "API", "/api/" } };
    json_t *out = json_array();

    for (apr_size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:b}", "name", all[i][0], "href", all[i][1],
                                        "here", here && strcmp(here, all[i][0]) == 0));
    }
    return out;
}

static void put_text(json_t *data, const char *key, const char *text)
{
    if (text) {
        json_object_set_new(data, key, json_string(text));
    }
}

/*
 * mod_deflate marks the tags it sends with "-gzip"; what comes back must be compared without it.
 */
static void plain_tags(request_rec *r)
{
    const char *asked = apr_table_get(r->headers_in, "If-None-Match"), *mark;
    const char *out = "";

    if (!asked || !strstr(asked, "-gzip\"")) {
        return;
    }
    while ((mark = strstr(asked, "-gzip\""))) {
        out = apr_pstrcat(r->pool, out, apr_pstrmemdup(r->pool, asked, mark - asked), NULL);
        asked = mark + 5;
    }
    apr_table_setn(r->headers_in, "If-None-Match", apr_pstrcat(r->pool, out, asked, NULL));
}

/* An answer that anybody may see can be asked for again by its tag. */
static int conditional(crashstats_req_t *q, const char *body, apr_size_t size)
{
    request_rec *r = q->r;

    apr_table_setn(r->headers_out, "Vary", "Auth-Token, Cookie");
    if (q->pii || q->who.user) {
        apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
        return OK;
    }
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache");
    if (r->status != HTTP_OK) {
        return OK;
    }
    apr_table_setn(r->headers_out, "ETag",
                   apr_psprintf(r->pool, "\"%016" APR_UINT64_T_HEX_FMT "\"",
                                (apr_uint64_t)XXH64(body, size, 0)));
    plain_tags(r);
    return ap_meets_conditions(r);
}

int crashstats_page(crashstats_req_t *q, int status, const char *name, const char *place,
                    json_t *data)
{
    request_rec *r = q->r;
    sal_error_t err = { 0 };
    char *body;
    apr_size_t size;
    apr_status_t rv;
    int rc;

    json_object_set_new(data, "places", places(place));
    put_text(data, "theme", theme(r));
    put_text(data, "user", q->who.user);
    put_text(data, "version_text", SALVAGE_VERSION);
    rv = sal_template_render(&body, &size, q->conf->templates, name, data, r->pool, &err);
    json_decref(data);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL4004: %s", err.message);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    r->status = status;
    if ((rc = conditional(q, body, size)) != OK) {
        return rc;
    }
    return web_reply(r, status, "text/html; charset=UTF-8", body, size);
}

int crashstats_message(crashstats_req_t *q, int status, const char *title, const char *text)
{
    json_t *data = json_pack("{s:s, s:b, s:s, s:s, s:i}", "title", title, "plain_title", 1,
                             "heading", title, "text", text, "code", status);

    return crashstats_page(q, status, "message", NULL, data);
}

int crashstats_sick(crashstats_req_t *q, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL4005: %s", err->message);
    apr_table_setn(q->r->err_headers_out, "Retry-After", "10");
    return crashstats_message(q, HTTP_SERVICE_UNAVAILABLE, "The database does not answer",
                              "Crash reports are still accepted and kept. Try again soon.");
}
