/*
 * People, groups and what they may. Knows no request: who somebody is, httpd has found out.
 */
#include "db/people.h"

#include <string.h>
#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/text.h"
#include "db/token.h"

static apr_status_t find_person(sal_person_t *out, const char *name, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_person_find, &rows, p, err, SAL_V_TEXT(name));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no user %s (salvage grant list shows all)",
                        name);
    }
    out->id = sal_rows_int(rows, 0, 0);
    out->name = sal_rows_text(rows, 0, 1);
    out->active = sal_rows_bool(rows, 0, 2) != 0;
    out->permissions = (int)sal_rows_int(rows, 0, 3);
    out->seen = !sal_rows_bool(rows, 0, 4);
    if (out->permissions & SAL_PERM_ADMIN) {
        sal_permission_t each;

        for (int i = 0; sal_permission_at(&each, i); i++) {
            out->permissions |= each.bit;
        }
    }
    return APR_SUCCESS;
}

apr_status_t sal_person_find(sal_person_t *out, const char *name, bool make, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = find_person(out, name, db, p, err);

    if (APR_STATUS_IS_ENOENT(rv) && make) {
        rv = sal_db_exec(db, &sal_s_auth_user_put, NULL, p, err, SAL_V_TEXT(name));
        rv = rv == APR_SUCCESS ? find_person(out, name, db, p, err) : rv;
    }
    if (rv == APR_SUCCESS && make && !out->seen) {
        rv = sal_db_exec(db, &sal_s_auth_person_seen, NULL, p, err, SAL_V_INT(out->id));
    }
    return rv;
}

/* ---- groups ---- */

typedef struct {
    const char *name, *group;
    int permissions;
    bool join;
    const char *actor, *why; /* for the audit log, of who has to leave; NULL: a command */
    sal_rows_t *found;       /* the row of the group */
} grant_t;

static apr_status_t audit(sal_db_t *db, const char *action, const char *target, const char *detail,
                          apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT("salvage"),
                       SAL_V_TEXT(action), SAL_V_TEXT(target), SAL_V_TEXT(detail));
}

static apr_status_t no_group(const char *name, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *names = "";
    sal_rows_t *rows;
    apr_status_t rv = sal_groups_list(&rows, db, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        names = apr_pstrcat(p, names, i ? ", " : "", sal_rows_text(rows, i, 0), NULL);
    }
    return sal_fail(err, APR_ENOENT, "there is no group \"%s\"; there are: %s", name, names);
}

static apr_status_t find_group(grant_t *g, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv =
        sal_db_exec(db, &sal_s_auth_group_find, &g->found, p, err, SAL_V_TEXT(g->group));

    return rv == APR_SUCCESS && sal_rows_count(g->found) == 0 ? no_group(g->group, db, p, err) : rv;
}

static apr_status_t strip_tokens(const int64_t *users, apr_size_t n, int bits, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_auth_tokens_strip, NULL, p, err, SAL_V_INTS(users, n),
                       SAL_V_INT(bits));
}

static apr_status_t change_member(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    grant_t *g = baton;
    sal_person_t who;
    apr_status_t rv = find_group(g, db, p, err);

    if (rv != APR_SUCCESS ||
        (rv = sal_person_find(&who, g->name, g->join, db, p, err)) != APR_SUCCESS ||
        (rv = sal_db_exec(db, g->join ? &sal_s_auth_member_put : &sal_s_auth_member_drop, NULL, p,
                          err, SAL_V_INT(sal_rows_int(g->found, 0, 0)), SAL_V_INT(who.id))) !=
            APR_SUCCESS) {
        return rv;
    }
    if (!g->join) {
        rv = strip_tokens(&who.id, 1, (int)sal_rows_int(g->found, 0, 2), db, p, err);
    }
    if (rv == APR_SUCCESS && g->actor) {
        return sal_db_exec(
            db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(g->actor),
            SAL_V_TEXT("group.leave"), SAL_V_TEXT(g->name),
            SAL_V_TEXT(apr_pstrcat(p, sal_rows_text(g->found, 0, 1), ": ", g->why, NULL)));
    }
    return rv == APR_SUCCESS ? audit(db, g->join ? "group.join" : "group.leave", g->name,
                                     sal_rows_text(g->found, 0, 1), p, err)
                             : rv;
}

apr_status_t sal_person_join(const char *name, const char *group, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    grant_t g = { .name = name, .group = group, .join = true };

    return sal_db_txn(db, change_member, &g, p, err);
}

apr_status_t sal_person_leave(const char *name, const char *group, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    grant_t g = { .name = name, .group = group };

    return sal_db_txn(db, change_member, &g, p, err);
}

apr_status_t sal_person_expel(const char *name, const char *group, const char *actor,
                              const char *why, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    grant_t g = { .name = name, .group = group, .actor = actor, .why = why };

    return sal_db_txn(db, change_member, &g, p, err);
}

/* ---- groups that the sign-in tells ---- */

typedef struct {
    sal_person_t *who;
    const char *const *groups; /* lower case */
    int n;
    bool exact;
    const char *actor;
    int changed;
} follow_t;

/* Rows: id, name, permissions, is a member: of groups where what is differs from what is told. */
static apr_status_t follow(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    follow_t *f = baton;
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_auth_person_differs, &rows, p, err, SAL_V_INT(f->who->id),
                    SAL_V_TEXTS(f->groups, (apr_size_t)f->n), SAL_V_BOOL(f->exact));

    f->changed = rv == APR_SUCCESS ? sal_rows_count(rows) : 0;
    for (int i = 0; i < f->changed && rv == APR_SUCCESS; i++) {
        bool leaves = sal_rows_bool(rows, i, 3) != 0;

        rv = sal_db_exec(db, leaves ? &sal_s_auth_member_drop : &sal_s_auth_member_put, NULL, p,
                         err, SAL_V_INT(sal_rows_int(rows, i, 0)), SAL_V_INT(f->who->id));
        if (rv == APR_SUCCESS && leaves) {
            rv = strip_tokens(&f->who->id, 1, (int)sal_rows_int(rows, i, 2), db, p, err);
        }
        if (rv == APR_SUCCESS) {
            rv = sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(f->actor),
                             SAL_V_TEXT(leaves ? "group.leave" : "group.join"),
                             SAL_V_TEXT(f->who->name), SAL_V_TEXT(sal_rows_text(rows, i, 1)));
        }
    }
    return rv;
}

apr_status_t sal_person_follow(sal_person_t *out, const char *const *groups, int n, bool exact,
                               const char *actor, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char **lower = apr_pcalloc(p, ((apr_size_t)n + 1) * sizeof(*lower));
    follow_t f = { .who = out, .groups = lower, .n = n, .exact = exact, .actor = actor };
    sal_rows_t *rows;
    apr_status_t rv;

    for (int i = 0; i < n; i++) {
        char *name = apr_pstrdup(p, groups[i]);

        for (char *c = name; *c; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
        }
        lower[i] = name;
    }
    /* Mostly nothing has changed: one look, no transaction. */
    rv = sal_db_exec(db, &sal_s_auth_person_differs, &rows, p, err, SAL_V_INT(out->id),
                     SAL_V_TEXTS(lower, (apr_size_t)n), SAL_V_BOOL(exact));
    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv;
    }
    rv = sal_db_txn(db, follow, &f, p, err);
    return rv == APR_SUCCESS ? find_person(out, out->name, db, p, err) : rv;
}

/* Members of a group that has lost rights. */
static apr_status_t strip_members(const grant_t *g, int lost, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_group_members, &rows, p, err,
                                  SAL_V_INT(sal_rows_int(g->found, 0, 0)));
    int64_t *ids;
    int n;

    if (rv != APR_SUCCESS || (n = sal_rows_count(rows)) == 0) {
        return rv;
    }
    ids = apr_palloc(p, (apr_size_t)n * sizeof(*ids));
    for (int i = 0; i < n; i++) {
        ids[i] = sal_rows_int(rows, i, 0);
    }
    return strip_tokens(ids, (apr_size_t)n, lost, db, p, err);
}

static apr_status_t put_group(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    grant_t *g = baton;
    int before = 0;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_auth_group_find, &g->found, p, err, SAL_V_TEXT(g->group));

    if (rv == APR_SUCCESS && sal_rows_count(g->found)) {
        before = (int)sal_rows_int(g->found, 0, 2);
        g->group = sal_rows_text(g->found, 0, 1);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_auth_group_put, NULL, p, err, SAL_V_TEXT(g->group),
                         SAL_V_INT(g->permissions));
    }
    if (rv == APR_SUCCESS && (before & ~g->permissions)) {
        rv = strip_members(g, before & ~g->permissions, db, p, err);
    }
    return rv == APR_SUCCESS
               ? audit(db, "group.put", g->group, sal_permission_names(g->permissions, p), p, err)
               : rv;
}

apr_status_t sal_group_put(const char *name, int permissions, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    grant_t g = { .group = name, .permissions = permissions };

    return sal_db_txn(db, put_group, &g, p, err);
}

apr_status_t sal_person_activate(const char *name, bool active, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_auth_person_active, &rows, p, err, SAL_V_TEXT(name),
                                  SAL_V_BOOL(active));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_ENOENT, "there is no user %s (salvage grant list shows all)",
                        name);
    }
    return audit(db, active ? "user.activate" : "user.deactivate", name, "", p, err);
}

apr_status_t sal_people_list(sal_rows_t **out, const char *name, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_auth_person_list, out, p, err, SAL_V_TEXT(name));
}

apr_status_t sal_groups_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_auth_group_list, NULL, 0, out, p, err);
}

apr_status_t sal_web_secret(unsigned char out[32], sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, &sal_s_auth_web_secret, NULL, 0, &rows, p, err);
    const void *secret;
    apr_size_t size;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (sal_rows_count(rows) == 0) {
        return sal_fail(err, APR_EGENERAL, "the table web_secret is empty");
    }
    secret = sal_rows_bytes(rows, 0, 0, &size, p);
    if (size != 32) {
        return sal_fail(err, APR_EGENERAL, "the secret in web_secret is not of 32 bytes");
    }
    memcpy(out, secret, 32);
    return APR_SUCCESS;
}

void sal_web_sign(char out[SAL_SIGNATURE_HEX + 1], const unsigned char secret[32], const char *text)
{
    unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };
    unsigned len = 0;

    HMAC(EVP_sha256(), secret, 32, (const unsigned char *)text, strlen(text), mac, &len);
    sal_hex(out, mac, 32);
}
