/*
 * What a processed crash says in each search field, cleaned for storing. Private to the room.
 *
 * No database here: documents in, typed values out, so that a unit test needs none.
 */
#ifndef SAL_SEARCH_VALUES_H
#define SAL_SEARCH_VALUES_H

#include <jansson.h>
#include <apr_time.h>
#include "search/fields.h"

enum {
    SAL_VALUE_MAX_TERM = 1000,     /* bytes of a dictionary value; longer goes to overflow */
    SAL_VALUE_MAX_KEYWORD = 10000, /* characters of a keyword */
    SAL_VALUE_MAX_TEXT = 32766,    /* bytes of a text */
    SAL_VALUE_MAX_LIST = 2000      /* elements of a list */
};

/* One value of one field. */
typedef struct sal_value_t {
    const sal_search_field_t *field;
    int n;               /* texts of a TERM (1), TERMS or TEXT (1) field */
    const char **text;   /* valid UTF-8; what is over the dictionary's limit is not here */
    const json_t *whole; /* of a TERMS field: all of it, in the form of column overflow */
    apr_int64_t i;       /* INT, BOOL, TIME */
    double d;            /* DOUBLE */
} sal_value_t;

typedef struct sal_values_t {
    const char *uuid;
    apr_time_t date;
    int n;
    sal_value_t *value; /* only fields that have one */
    json_t *overflow;   /* {field: [texts]} or NULL: whole values, of a ';' list and of a
                           stack as one text; owned by the pool */
    int n_removed;
    int *removed; /* numbers of fields whose value was not usable */
} sal_values_t;

/* SAL_E_MALFORMED if the document has no usable uuid or date_processed: it can have no row. */
apr_status_t sal_values_collect(sal_values_t **out, const json_t *processed, apr_pool_t *p,
                                sal_error_t *err);

#endif
