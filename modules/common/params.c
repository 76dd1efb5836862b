/*
 * Methods, query and form parameters, and who is asking.
 */
#include "common/web.h"

#include <ctype.h>
#include <apr_strings.h>
#include "base/text.h"

int web_allow(request_rec *r, const char *allow)
{
    const char *rest = allow;
    char *name;

    while (*(name = ap_getword(r->pool, &rest, ','))) {
        apr_collapse_spaces(name, name);
        if (!strcmp(name, r->method)) {
            return OK;
        }
    }
    /* Both: the core writes its own Allow from r->allowed when it makes the error page. */
    ap_allow_standard_methods(r, REPLACE_ALLOW, -1);
    rest = allow;
    while (*(name = ap_getword(r->pool, &rest, ','))) {
        apr_collapse_spaces(name, name);
        ap_allow_methods(r, MERGE_ALLOW, name, NULL);
    }
    apr_table_setn(r->headers_out, "Allow", allow);
    return HTTP_METHOD_NOT_ALLOWED;
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10;
}

/* Decodes [s, s+len) of a query; NULs are dropped, a stray percent sign stays. */
static char *decode(const char *s, apr_size_t len, apr_pool_t *p)
{
    char *out = apr_palloc(p, len + 1), *to = out;

    for (apr_size_t i = 0; i < len; i++) {
        char c = s[i];

        if (c == '+') {
            c = ' ';
        } else if (c == '%' && len - i > 2 && isxdigit((unsigned char)s[i + 1]) &&
                   isxdigit((unsigned char)s[i + 2])) {
            c = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
            i += 2;
        }
        if (c) {
            *to++ = c;
        }
    }
    *to = '\0';
    return sal_utf8_valid(out, (apr_size_t)(to - out))
               ? out
               : (char *)sal_utf8_clean(out, (apr_size_t)(to - out), p);
}

apr_table_t *web_pairs(const char *s, apr_pool_t *p)
{
    apr_table_t *t = apr_table_make(p, 8);

    while (s && *s) {
        const char *end = strchr(s, '&'), *eq;
        apr_size_t len = end ? (apr_size_t)(end - s) : strlen(s);

        eq = memchr(s, '=', len);
        if (len) {
            apr_size_t key = eq ? (apr_size_t)(eq - s) : len;

            apr_table_addn(t, decode(s, key, p), eq ? decode(eq + 1, len - key - 1, p) : "");
        }
        s = end ? end + 1 : NULL;
    }
    return t;
}

bool web_pair_has_nul(const char *s, const char *name, apr_pool_t *p)
{
    while (s && *s) {
        const char *end = strchr(s, '&'), *eq, *nul = strstr(s, "%00");
        apr_size_t len = end ? (apr_size_t)(end - s) : strlen(s);

        if (!nul) {
            return false;
        }
        eq = memchr(s, '=', len);
        if (eq && nul > eq && nul < s + len && !strcmp(decode(s, (apr_size_t)(eq - s), p), name)) {
            return true;
        }
        s = end ? end + 1 : NULL;
    }
    return false;
}

apr_table_t *web_query(request_rec *r)
{
    return web_pairs(r->args, r->pool);
}

bool web_type_is(request_rec *r, const char *wanted)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t n = strlen(wanted);

    return type && !strncasecmp(type, wanted, n) && (!type[n] || strchr("; ", type[n]));
}

static const char *read_form(request_rec *r, apr_size_t max)
{
    apr_size_t size;
    char *body;

    return web_type_is(r, "application/x-www-form-urlencoded") &&
                   web_body_text(r, (apr_off_t)max, &body, &size) == OK
               ? body
               : "";
}

const char *web_form_text(request_rec *r, apr_size_t max)
{
    void *text = NULL;

    apr_pool_userdata_get(&text, "salvage-form", r->pool);
    if (!text) {
        text = (void *)read_form(r, max);
        apr_pool_userdata_setn(text, "salvage-form", NULL, r->pool);
    }
    return text;
}

apr_table_t *web_form(request_rec *r, apr_size_t max)
{
    return web_pairs(web_form_text(r, max), r->pool);
}

const char *web_param(apr_table_t *params, const char *name)
{
    const apr_array_header_t *a = apr_table_elts(params);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;

    for (int i = 0; i < a->nelts; i++) {
        if (!strcmp(e[i].key, name)) { /* apr_table_get would not see the case */
            return e[i].val;
        }
    }
    return NULL;
}

apr_array_header_t *web_param_all(apr_table_t *params, const char *name, apr_pool_t *p)
{
    const apr_array_header_t *a = apr_table_elts(params);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_array_header_t *all = apr_array_make(p, 4, sizeof(const char *));

    for (int i = 0; i < a->nelts; i++) {
        if (!strcmp(e[i].key, name)) {
            APR_ARRAY_PUSH(all, const char *) = e[i].val;
        }
    }
    return all;
}

static apr_int64_t note_int(request_rec *r, const char *name)
{
    const char *text = apr_table_get(r->notes, name);
    int64_t v = 0;

    return text && sal_parse_int(text, INT64_MIN, INT64_MAX, &v) ? v : 0;
}

void web_identity(request_rec *r, web_identity_t *out)
{
    memset(out, 0, sizeof(*out));
    out->user = r->user;
    out->by_token = apr_table_get(r->notes, "crash-token-id") != NULL;
    if (out->by_token) {
        out->token_id = note_int(r, "crash-token-id");
        out->user_id = note_int(r, "crash-token-user-id");
        out->permissions = (int)note_int(r, "crash-token-permissions");
    } else if (out->user) {
        out->user_id = note_int(r, WEB_PERSON_NOTE); /* of web_person, if it was asked */
        out->permissions = (int)note_int(r, WEB_PERSON_PERMISSIONS_NOTE);
    }
}
