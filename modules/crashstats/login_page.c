/*
 * /login/: why a page is not shown, and the way on. /profile/: who somebody is and what they may.
 * Signing in itself is httpd's.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "common/person.h"
#include "db/people.h"
#include "db/token.h"
#include "render/format.h"

typedef struct {
    sal_rows_t *groups, *person;
    const char *user;
} look_t;

static apr_status_t look_at_groups(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_groups_list(&((look_t *)baton)->groups, db, p, err);
}

/* The titles of some rights, as upstream's texts name them. */
static const char *titles(int bits, apr_pool_t *p)
{
    const char *out = "";
    sal_permission_t each;

    for (int i = 0; sal_permission_at(&each, i); i++) {
        if (bits & each.bit) {
            out = apr_pstrcat(p, out, *out ? " or " : "", each.title, NULL);
        }
    }
    return out;
}

int crashstats_require(crashstats_req_t *q, int permissions)
{
    request_rec *r = q->r;
    const char *here, *need;

    if (q->who.user && (!permissions || (q->who.permissions & permissions))) {
        return DECLINED;
    }
    if (q->who.by_token || web_is_xhr(r) || !web_wants_html(r) || r->method_number != M_GET) {
        return crashstats_message(q, HTTP_FORBIDDEN, NULL,
                                  permissions ? apr_pstrcat(r->pool, "This needs ",
                                                            titles(permissions, r->pool), ".", NULL)
                                              : "This needs a sign-in.");
    }
    here = apr_pstrcat(r->pool, r->uri, r->args ? "?" : "", r->args, NULL);
    need =
        permissions
            ? apr_pstrcat(r->pool,
                          "&need=", sal_permission_names(permissions & -permissions, r->pool), NULL)
            : "";
    return web_redirect(
        r, HTTP_MOVED_TEMPORARILY,
        apr_pstrcat(r->pool, "/login/?next=", sal_format_urlencode(here, r->pool), need, NULL));
}

/* Groups that give a right: "Hackers, Hackers Plus". */
static const char *groups_with(const sal_rows_t *groups, int bits, apr_pool_t *p)
{
    const char *out = "";

    for (int i = 0; groups && i < sal_rows_count(groups); i++) {
        if (sal_rows_int(groups, i, 1) & (bits | SAL_PERM_ADMIN)) {
            out = apr_pstrcat(p, out, *out ? ", " : "", sal_rows_text(groups, i, 0), NULL);
        }
    }
    return out;
}

/* The address to sign in at, coming back to next; NULL: nobody can sign in. */
static const char *sign_in(crashstats_req_t *q, const char *next)
{
    const char *in = sal_conf_get(q->conf->shared, "sign-in-url", NULL);

    return in ? apr_pstrcat(q->r->pool, in, strchr(in, '?') ? "&next=" : "?next=",
                            sal_format_urlencode(next, q->r->pool), NULL)
              : NULL;
}

static const char *contact(request_rec *r)
{
    const char *admin = r->server->server_admin;

    return admin && strchr(admin, '@') && *admin != '[' ? admin : NULL;
}

int crashstats_login(crashstats_req_t *q, const char *rest)
{
    const char *next = web_param(q->query, "next"), *need = web_param(q->query, "need");
    int bit = need ? sal_permission_bit(need) : 0;
    apr_pool_t *p = q->r->pool;
    sal_error_t err = { 0 };
    look_t l = { 0 };
    json_t *data;

    (void)rest;
    next = web_is_own_path(next) ? next : "/";
    if (q->who.user && strcmp(next, "/") && !bit) { /* nothing is missing any more */
        return web_redirect(q->r, HTTP_MOVED_TEMPORARILY, next);
    }
    if (bit && q->who.user && web_with_db(q->r, look_at_groups, &l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    data = json_pack("{s:s, s:b, s:s, s:b, s:s, s:s}", "title",
                     q->who.user ? "Insufficient Privileges" : "Login Required", "plain_title", 1,
                     "next", next, "signed_in", q->who.user != NULL, "right", titles(bit, p),
                     "holders", groups_with(l.groups, bit, p));
    json_object_set_new(data, "anonymous", json_boolean(!q->who.user));
    if (!q->who.user && sign_in(q, next)) {
        json_object_set_new(data, "enter", json_string(sign_in(q, next)));
    }
    if (contact(q->r)) {
        json_object_set_new(data, "contact", json_string(contact(q->r)));
    }
    return crashstats_page(q, HTTP_OK, "login", NULL, data);
}

/* ---- profile ---- */

static apr_status_t look_at_person(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    look_t *l = baton;

    return sal_people_list(&l->person, l->user, db, p, err);
}

static json_t *rights(int held)
{
    static const int protects = SAL_PERM_VIEW_PII | SAL_PERM_VIEW_RAWDUMP;
    json_t *out = json_array();
    sal_permission_t each;

    for (int i = 0; sal_permission_at(&each, i); i++) {
        json_array_append_new(out, json_pack("{s:s, s:s, s:b, s:b}", "title", each.title, "name",
                                             each.codename, "held", (held & each.bit) != 0, "lock",
                                             (protects & each.bit) != 0));
    }
    return out;
}

int crashstats_profile(crashstats_req_t *q, const char *rest)
{
    look_t l = { .user = q->who.user };
    sal_error_t err = { 0 };
    const char *groups;
    json_t *data;
    int rc = crashstats_require(q, 0);

    (void)rest;
    if (rc != DECLINED) {
        return rc;
    }
    if (web_with_db(q->r, look_at_person, &l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    groups = sal_rows_count(l.person) ? sal_rows_text(l.person, 0, 3) : "";
    data = json_pack("{s:s, s:b, s:s, s:s, s:o, s:b, s:b}", "title", "Profile and rights",
                     "plain_title", 1, "email", q->who.user, "groups", *groups ? groups : "none",
                     "rights", rights(q->who.permissions), "by_token", q->who.by_token, "superuser",
                     (q->who.permissions & SAL_PERM_ADMIN) != 0);
    return crashstats_page(q, HTTP_OK, "profile", NULL, data);
}

/* Older addresses of it. */
int crashstats_profile_moved(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return web_redirect(q->r, HTTP_MOVED_PERMANENTLY, "/profile/");
}
