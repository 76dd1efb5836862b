/*
 * People and their rights: a person is a name that httpd has authenticated; rights are the union of
 * the groups in the database. Also the secret that forms are signed with.
 */
#ifndef SAL_DB_PEOPLE_H
#define SAL_DB_PEOPLE_H

#include <stdbool.h>
#include "db/db.h"

typedef struct sal_person_t {
    int64_t id;
    const char *name;
    bool active;
    int permissions; /* enum sal_permission bits; all of them for an administrator */
    bool seen;       /* within the last day */
} sal_person_t;

/*
 * The person of this name (letter case does not matter). make: they are here themselves, which is
 * remembered to the day; an account without rights is made on the first sign-in. Without it
 * APR_ENOENT.
 */
SAL_API apr_status_t sal_person_find(sal_person_t *out, const char *name, bool make, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);

/*
 * Puts a person into a group or takes them out; the account is made if need be. APR_ENOENT names
 * the groups there are. What a person loses is taken from their tokens.
 */
SAL_API apr_status_t sal_person_join(const char *name, const char *group, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_person_leave(const char *name, const char *group, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

/*
 * Brings a person into those of the named groups that there are (letter case does not matter);
 * exact: and out of all others. *out is read again if something changed. Each change leaves an
 * entry of actor in the audit log ("sign-in" where the sign-in tells groups).
 */
SAL_API apr_status_t sal_person_follow(sal_person_t *out, const char *const *groups, int n,
                                       bool exact, const char *actor, sal_db_t *db, apr_pool_t *p,
                                       sal_error_t *err);

/* As sal_person_leave, on behalf of somebody else, with the reason in the audit log. */
SAL_API apr_status_t sal_person_expel(const char *name, const char *group, const char *actor,
                                      const char *why, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/* An inactive person's tokens are refused, and so are they. */
SAL_API apr_status_t sal_person_activate(const char *name, bool active, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

/* Makes a group or changes its rights. */
SAL_API apr_status_t sal_group_put(const char *name, int permissions, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* Rows: name, active, permissions, "group, group"; of one person or (NULL) of all. */
SAL_API apr_status_t sal_people_list(sal_rows_t **out, const char *name, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);
/* Rows: name, permissions, number of members. */
SAL_API apr_status_t sal_groups_list(sal_rows_t **out, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* 32 bytes, the same on every host of the installation. */
SAL_API apr_status_t sal_web_secret(unsigned char out[32], sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

enum { SAL_SIGNATURE_HEX = 64 };

/* HMAC-SHA-256 of a text as hex. */
SAL_API void sal_web_sign(char out[SAL_SIGNATURE_HEX + 1], const unsigned char secret[32],
                          const char *text);

#endif
