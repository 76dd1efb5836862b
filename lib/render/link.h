/*
 * Links made out of templates that an operator writes: "%(key)s" stands for a value, "%%" for a
 * percent sign. Values are encoded for the place they stand in, and what comes out is a link only
 * if it leads to http, https or this host.
 */
#ifndef SAL_RENDER_LINK_H
#define SAL_RENDER_LINK_H

#include <stdbool.h>
#include "base/error.h"

typedef enum {
    SAL_LINK_PART, /* percent encoding of all but unreserved characters */
    SAL_LINK_PATH, /* the same, but '/' stays */
    SAL_LINK_FORM  /* as a form sends it: '+' for a blank */
} sal_link_how_t;

typedef struct sal_link_value_t {
    const char *key, *value; /* value NULL: as if there were no such key */
    sal_link_how_t how;
} sal_link_value_t;

/*
 * The link, or NULL if the template names a key that is not among values (ended by one with key
 * NULL) or leads somewhere else.
 */
SAL_API const char *sal_link_fill(const char *pattern, const sal_link_value_t *values,
                                  apr_pool_t *p);

/* What is wrong with a template, for whoever wrote it, or NULL. keys: NULL-terminated. */
SAL_API const char *sal_link_fault(const char *pattern, const char *const *keys, apr_pool_t *p);

/* "https://...", "http://..." or "/..." but not "//...", without blanks and control characters. */
SAL_API bool sal_link_safe(const char *url);

/* Encoded, in p. */
SAL_API const char *sal_link_encode(const char *text, sal_link_how_t how, apr_pool_t *p);

/* The first word of *at, which moves behind it and the blanks that follow; NULL at the end. */
SAL_API const char *sal_link_word(const char **at, apr_pool_t *p);

/* A tracker's address of bugs with the number in the place of its "%d"; NULL if it makes no safe
   link, or pattern is NULL or has no such place. */
SAL_API const char *sal_link_bug(const char *pattern, const char *number, apr_pool_t *p);

#endif
