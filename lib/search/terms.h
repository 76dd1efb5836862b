/*
 * Ids of dictionary values, found or made. Private to the room.
 */
#ifndef SAL_SEARCH_TERMS_H
#define SAL_SEARCH_TERMS_H

#include "db/db.h"
#include "search/fields.h"

typedef struct sal_term_want_t {
    const sal_search_field_t *field;
    const char *value;
    int32_t id; /* out; 0: the field is full, keep the value elsewhere */
} sal_term_want_t;

/* Tells databases apart in the cache: ids belong to one. */
uint64_t sal_terms_database(sal_db_t *db);

/*
 * Fills in the ids of n wants: cache, then one look-up of the misses, then one insert of what is
 * new in a transaction of its own (the connection must be idle), then one more look-up.
 */
apr_status_t sal_terms_resolve(sal_term_want_t *want, int n, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err);

#endif
