/*
 * Changes of people, groups and tokens, by the rules of lib/db/people: what somebody loses, their
 * tokens lose. And the crash that is to be processed.
 */
#include "admin/site_private.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"
#include "db/people.h"
#include "db/token.h"
#include "queue/queue.h"

enum { NAME_MAX_BYTES = 255 };

static apr_status_t no_row(sal_error_t *err)
{
    return sal_fail(err, APR_ENOENT, "There is no such row");
}

static apr_status_t number_of(int64_t *out, const char *id, sal_error_t *err)
{
    return sal_parse_int(id, 1, INT64_MAX, out) ? APR_SUCCESS : no_row(err);
}

static apr_status_t get(sal_rows_t **rows, const sal_stmt_t *stmt, const char *id, sal_db_t *db,
                        apr_pool_t *p, sal_error_t *err)
{
    int64_t number;
    apr_status_t rv = number_of(&number, id, err);

    rv = rv == APR_SUCCESS ? sal_db_exec(db, stmt, rows, p, err, SAL_V_TEXT(id)) : rv;
    return rv == APR_SUCCESS && sal_rows_count(*rows) == 0 ? no_row(err) : rv;
}

static bool good_name(const char *name)
{
    return *name && strlen(name) <= NAME_MAX_BYTES && !strpbrk(name, "\r\n\t,");
}

/* "a, b" -> names */
static const char **split(const char *text, int *n, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(const char *));
    char *state, *rest = apr_pstrdup(p, text);

    for (char *one = apr_strtok(rest, ",", &state); one; one = apr_strtok(NULL, ",", &state)) {
        while (*one == ' ') {
            one++;
        }
        if (*one) {
            APR_ARRAY_PUSH(out, const char *) = one;
        }
    }
    *n = out->nelts;
    return (const char **)out->elts;
}

/* Values: name, active, groups. The name of an account stays. */
apr_status_t site_put_user(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    const char *name = c->values[0], **groups;
    bool active = !strcmp(c->values[1], "t");
    sal_person_t who;
    sal_rows_t *rows;
    apr_status_t rv;
    int n;

    if (!c->id && !good_name(name)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "A name is needed, without commas, of at most 255 bytes");
    }
    if (c->id) {
        rv = get(&rows, &sal_s_site_users_get, c->id, db, p, err);
        name = rv == APR_SUCCESS ? sal_rows_text(rows, 0, 0) : name;
    } else {
        rv = sal_person_find(&who, name, false, db, p, err);
        rv = rv == APR_SUCCESS
                 ? sal_fail(err, SAL_E_EXISTS, "There is an account %s already", who.name)
             : APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS
                                        : rv;
    }
    if (rv != APR_SUCCESS ||
        (rv = sal_person_find(&who, name, !c->id, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!strcasecmp(who.name, c->actor) && (!active || !strstr(c->values[2], "Administrators"))) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Nobody shuts themselves out: ask another administrator");
    }
    groups = split(c->values[2], &n, p);
    rv = sal_person_follow(&who, groups, n, true, c->actor, db, p, err);
    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_site_users_active, NULL, p, err,
                                           SAL_V_INT(who.id), SAL_V_BOOL(active))
                             : rv;
}

/* Values: name, rights. The name of a group stays. */
apr_status_t site_put_group(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    const char *name = c->values[0];
    apr_status_t rv = APR_SUCCESS;
    sal_rows_t *rows;
    int64_t rights = 0;

    if (c->id) {
        rv = get(&rows, &sal_s_site_groups_get, c->id, db, p, err);
        name = rv == APR_SUCCESS ? sal_rows_text(rows, 0, 0) : name;
    } else if (!good_name(name)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "A name is needed, without commas");
    }
    if (rv == APR_SUCCESS && !sal_parse_int(c->values[1], 0, 1 << 30, &rights)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "There is no such right");
    }
    return rv == APR_SUCCESS ? sal_group_put(name, (int)rights, db, p, err) : rv;
}

/* Its rights go first, from its members' tokens too. */
apr_status_t site_drop_group(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = get(&rows, &sal_s_site_groups_get, c->id, db, p, err);

    rv = rv == APR_SUCCESS ? sal_group_put(sal_rows_text(rows, 0, 0), 0, db, p, err) : rv;
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_site_groups_delete, NULL, p, err, SAL_V_TEXT(c->id))
               : rv;
}

apr_status_t site_drop_token(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    int64_t id;
    apr_status_t rv = number_of(&id, c->id, err);

    return rv == APR_SUCCESS ? sal_token_revoke_by(id, 0, c->actor, db, p, err) : rv;
}

apr_status_t site_process_missing(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_site_missing_known, &rows, p, err, SAL_V_TEXT(c->id));

    if (rv != APR_SUCCESS || sal_rows_count(rows) == 0) {
        return rv == APR_SUCCESS ? no_row(err) : rv;
    }
    return sal_queue_put(db, c->id, "default", SAL_LANE_PRIORITY, 1, p, err);
}
