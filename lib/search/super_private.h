/*
 * A Super Search between its parameters (super_read.c, super_aggs.c) and its run (super.c).
 */
#ifndef SAL_SEARCH_SUPER_PRIVATE_H
#define SAL_SEARCH_SUPER_PRIVATE_H

#include "search/agg.h"
#include "search/super.h"

typedef struct sal_super_pair_t {
    const char *name, *value;
    bool is; /* the value has no operator, and is all of it */
} sal_super_pair_t;

struct sal_super_t {
    apr_pool_t *p;
    sal_super_reader_t reader;
    apr_array_header_t *params; /* sal_super_pair_t */
    bool too_many;              /* parameters: what came after is not there */

    /* what they say; made by sal_super_read */
    bool is_read;
    apr_status_t status;
    sal_error_t err;
    sal_query_t *query;
    apr_array_header_t *columns; /* const sal_search_field_t * */
    sal_aggs_t aggs;
    int n_aggs;
    apr_array_header_t *denied; /* const char *: names the reader may not use */
    bool return_query;
};

/* Reads the parameters, once. SAL_E_MALFORMED: the message is for the user. */
apr_status_t sal_super_read(sal_super_t *s, sal_error_t *err);

/* Whether the reader may use the field; if not, that is noted for the result's errors. */
bool sal_super_may(sal_super_t *s, const sal_search_field_t *f);

/*
 * A field by name for facets, sorts and such. *f is NULL where it is to be left out: unknown, or
 * not for this reader. A strict reader is told of unknown ones: SAL_E_MALFORMED.
 */
apr_status_t sal_super_field(const sal_search_field_t **f, sal_super_t *s, const char *name,
                             sal_error_t *err);

/* The value of the first parameter of that name that is not empty, or NULL. */
const char *sal_super_value(const sal_super_t *s, const char *name);

/* _facets, _aggs.*, _histogram.* into s->aggs. */
apr_status_t sal_super_read_aggs(sal_super_t *s, sal_error_t *err);

#endif
