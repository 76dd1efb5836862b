/*
 * What stands around every page: messages of the administrators, products, versions of one. Read
 * from small tables in one statement; periodic jobs keep them.
 */
#ifndef SAL_ADMIN_FRAME_H
#define SAL_ADMIN_FRAME_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/db.h"

typedef struct sal_frame_message_t {
    const char *severity; /* info, warning, critical */
    const char *text;
    apr_time_t created;
} sal_frame_message_t;

typedef struct sal_frame_product_t {
    const char *name, *note; /* a few words on it, "" for none */
} sal_frame_product_t;

typedef struct sal_frame_version_t {
    const char *name;
    bool featured;
} sal_frame_version_t;

typedef struct sal_frame_t {
    sal_frame_message_t *messages; /* at most 10, newest first */
    sal_frame_product_t *products; /* at most 100 */
    sal_frame_version_t *versions; /* of the product: featured ones, then others; at most 70 */
    int n_messages, n_products, n_versions;
} sal_frame_t;

/* product NULL: no versions are asked for. All of it lives in p. */
SAL_API apr_status_t sal_frame_read(sal_frame_t *out, const char *product, sal_db_t *db,
                                    apr_pool_t *p, sal_error_t *err);

#endif
