/*
 * Changes that are more than a statement: people, groups, tokens, crashes. Private to the room.
 */
#ifndef LIB_ADMIN_SITE_PRIVATE_H
#define LIB_ADMIN_SITE_PRIVATE_H

#include "admin/site.h"

apr_status_t site_put_user(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err);
apr_status_t site_put_group(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err);
apr_status_t site_drop_group(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err);
apr_status_t site_drop_token(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err);
apr_status_t site_process_missing(const sal_site_change_t *c, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err);

#endif
