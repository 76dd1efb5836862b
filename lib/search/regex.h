/*
 * Patterns of operator @: Lucene's regular expressions, read into a tree and written again in the
 * server's syntax. Private to the room; no database here.
 */
#ifndef SAL_SEARCH_REGEX_H
#define SAL_SEARCH_REGEX_H

#include "base/error.h"

enum {
    SAL_REGEX_MAX = 1000,      /* bytes of a pattern */
    SAL_REGEX_MAX_NODES = 200, /* literals, classes, groups ... */
    SAL_REGEX_MAX_REPEAT = 255,
    SAL_REGEX_MAX_DEPTH = 50 /* of parentheses */
};

/*
 * *out: an advanced regular expression for the whole value, "^(?:...)$". A literal stands for
 * itself, so that nothing of PostgreSQL's syntax (back references, directives) can be reached.
 * text: valid UTF-8. SAL_E_MALFORMED: too complex, or not a pattern; the message is for the user.
 */
SAL_API apr_status_t sal_regex_translate(const char **out, const char *text, apr_pool_t *p,
                                         sal_error_t *err);

#endif
