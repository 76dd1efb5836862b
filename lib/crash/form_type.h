/*
 * The Content-Type of a report's body: is it a form, and what is its boundary? Knows no request.
 */
#ifndef SAL_CRASH_FORM_TYPE_H
#define SAL_CRASH_FORM_TYPE_H

#include "crash/multipart.h"

typedef enum {
    SAL_FORM_GOOD,
    SAL_FORM_NO_TYPE,    /* no header, or an empty one */
    SAL_FORM_WRONG_TYPE, /* neither multipart/form-data nor multipart/mixed */
    SAL_FORM_NO_BOUNDARY /* none, or not of 1..70 bytes after trimming its end */
} sal_form_type_t;

/*
 * Case of the type and of parameter names does not matter, parameters may come in any order,
 * values may be quoted. boundary is raw bytes: clients do not agree on a charset. header may be
 * NULL.
 */
SAL_API sal_form_type_t sal_form_type_read(const char *header,
                                           char boundary[SAL_MULTIPART_BOUNDARY_MAX + 1]);

/* True if the media type of a header, without its parameters, is `type`, in any case. */
SAL_API bool sal_form_type_is(const char *header, const char *type);

#endif
