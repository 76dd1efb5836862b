/*
 * Conditions as users write them: "[!]<operator><rest>". Private to the room.
 */
#ifndef SAL_SEARCH_CONDITION_H
#define SAL_SEARCH_CONDITION_H

#include <stdbool.h>
#include <stdint.h>
#include <apr_time.h>
#include "search/fields.h"

typedef enum {
    SAL_OP_BARE,
    SAL_OP_IS,
    SAL_OP_CONTAINS,
    SAL_OP_STARTS,
    SAL_OP_ENDS,
    SAL_OP_REGEX,
    SAL_OP_NULL,
    SAL_OP_TRUE,
    SAL_OP_GE,
    SAL_OP_LE,
    SAL_OP_GT,
    SAL_OP_LT
} sal_op_t;

enum { SAL_CONDITION_MAX = 32768 }; /* bytes of a value */

typedef struct sal_condition_t {
    const sal_search_field_t *field;
    sal_op_t op;
    bool negated;
    const char *text;    /* what follows the operator */
    const char *pattern; /* of a REGEX: in the server's syntax */
    int64_t i;           /* of a whole number; of a bare truth value 0, 1 */
    int beyond;          /* -1, +1: the number is below, above every int64_t */
    double d;            /* of a DOUBLE */
    apr_time_t t;        /* of a date, whole seconds */
} sal_condition_t;

/*
 * Reads one value of a field; everything lives in p. SAL_E_MALFORMED: err->message is for the
 * user. A date comes back with its range operator.
 */
apr_status_t sal_condition_read(sal_condition_t *c, const sal_search_field_t *f, const char *value,
                                apr_pool_t *p, sal_error_t *err);

/* >= <= > < */
bool sal_op_is_range(sal_op_t op);

#endif
