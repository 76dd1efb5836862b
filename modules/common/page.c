/*
 * The frame of pages, as every module that has pages writes it.
 */
#include "common/page.h"

#include <apr_strings.h>
#include <xxhash.h>

#include "common/frame.h"
#include "db/token.h"

int web_redirect(request_rec *r, int status, const char *to)
{
    apr_table_setn(r->err_headers_out, "Location", to);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-cache");
    return web_reply(r, status, "text/plain; charset=UTF-8", "", 0);
}

bool web_is_own_path(const char *path)
{
    if (!path || path[0] != '/' || path[1] == '/' || strlen(path) > 4000) {
        return false;
    }
    for (; *path; path++) { /* browsers drop some control characters, and take '\\' for '/' */
        if ((unsigned char)*path <= ' ' || *path == '\\' || *path == 0x7f) {
            return false;
        }
    }
    return true;
}

int web_wants_html(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept && ap_strcasestr(accept, "text/html") &&
           !ap_strcasestr(accept, "application/json");
}

void web_page_headers(request_rec *r)
{
    static const char *const headers[][2] = {
        { "Content-Security-Policy",
          "default-src 'self'; object-src 'none'; script-src 'self'; style-src 'self'; "
          "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
          "form-action 'self'" },
        { "X-Frame-Options", "DENY" },
        { "X-Content-Type-Options", "nosniff" },
        { "Referrer-Policy", "same-origin" },
        { "Cross-Origin-Opener-Policy", "same-origin" }
    };

    for (apr_size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        apr_table_setn(r->err_headers_out, headers[i][0], headers[i][1]);
    }
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
    static const char *const all[][2] = {
        { "Overview", "/" },      { "Top crashers", "/topcrashers/" },
        { "Search", "/search/" }, { "Symbols", "/uploads/" },
        { "Queue", "/status/" },  { "API", "/api/" }
    };
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

/* Whether a place to sign in is configured, and who has been there. */
static void put_account(const web_page_t *page, json_t *data)
{
    put_text(data, "user", page->user);
    json_object_set_new(data, "staff",
                        json_boolean(page->permissions & (SAL_PERM_STAFF | SAL_PERM_ADMIN)));
    if (page->shared) {
        put_text(data, page->user ? "sign_out" : "sign_in",
                 sal_conf_get(page->shared, page->user ? "sign-out-url" : "sign-in-url", NULL));
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
static int conditional(const web_page_t *page, const char *body, apr_size_t size)
{
    request_rec *r = page->r;

    apr_table_setn(r->headers_out, "Vary", "Auth-Token, Cookie, Authorization");
    if (page->secret || page->user) {
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

int web_page(const web_page_t *page, int status, const char *name, json_t *data)
{
    request_rec *r = page->r;
    sal_error_t err = { 0 };
    char *body;
    apr_size_t size;
    apr_status_t rv;
    bool closed;
    int rc;

    json_object_set_new(data, "places", places(page->place));
    put_text(data, "theme", theme(r));
    put_account(page, data);
    closed = !page->user && apr_table_get(r->notes, WEB_CLOSED_NOTE);
    json_object_set_new(data, "closed", json_boolean(closed));
    if (!closed && status != HTTP_SERVICE_UNAVAILABLE) { /* the database has just not answered */
        web_frame_put(page, data);
    }
    put_text(data, "version_text", SALVAGE_VERSION);
    rv = sal_template_render(&body, &size, page->templates, name, data, r->pool, &err);
    json_decref(data);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "SAL4004: %s", err.message);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    r->status = status;
    if ((rc = conditional(page, body, size)) != OK) {
        return rc;
    }
    return web_reply(r, status, "text/html; charset=UTF-8", body, size);
}

/* ---- what went wrong ---- */

static const struct usual_t {
    int status;
    const char *heading, *text;
} usual[] = {
    { HTTP_BAD_REQUEST, "This request cannot be understood",
      "A part of the address or of the form is not what it must be." },
    { HTTP_UNAUTHORIZED, "Sign in to see this page",
      "The name or the password was not accepted, or none was sent." },
    { HTTP_FORBIDDEN, "This is not for everybody", "It needs a right that you do not have." },
    { HTTP_NOT_FOUND, "There is no such page",
      "The address may be mistyped, or from an older version." },
    { HTTP_METHOD_NOT_ALLOWED, "This address does not take that",
      "It can be looked at, or written to, but not in this way." },
    { HTTP_REQUEST_ENTITY_TOO_LARGE, "That is too much", "What was sent is over a limit." },
    { HTTP_REQUEST_URI_TOO_LARGE, "The address is too long", "Leave out some of its parameters." },
    { HTTP_TOO_MANY_REQUESTS, "Too many requests", "Wait a minute, then try again." },
    { HTTP_INTERNAL_SERVER_ERROR, "Something broke here",
      "It is in the error log. Crash reports are still accepted and kept." },
    { HTTP_SERVICE_UNAVAILABLE, "Not now",
      "Something that this page needs does not answer. Crash reports are still accepted and kept. "
      "Try again soon." },
};

static const struct usual_t *usual_of(int status)
{
    for (apr_size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (usual[i].status == status) {
            return &usual[i];
        }
    }
    return &usual[status >= 500 ? sizeof usual / sizeof usual[0] - 2 : 0];
}

int web_is_xhr(request_rec *r)
{
    const char *with = apr_table_get(r->headers_in, "X-Requested-With");

    return with && !strcasecmp(with, "XMLHttpRequest");
}

int web_problem(const web_page_t *page, int status, const char *heading, const char *text)
{
    const struct usual_t *known = usual_of(status);
    request_rec *r = page->r;

    heading = heading ? heading : known->heading;
    text = text ? text : known->text;
    if (web_is_xhr(r)) {
        const char *body =
            apr_pstrcat(r->pool, "<ul><li>", ap_escape_html(r->pool, *text ? text : heading),
                        "</li></ul>", NULL);

        apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
        return web_reply(r, status, "text/html; charset=UTF-8", body, strlen(body));
    }
    return web_page(page, status, "message",
                    json_pack("{s:s, s:b, s:s, s:s, s:i}", "title", heading, "plain_title", 1,
                              "heading", heading, "text", text, "code", status));
}
