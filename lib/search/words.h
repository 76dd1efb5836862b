/*
 * Words of a text: what a bare value of a text field is compared by. Private to the room; no
 * database here.
 *
 * A word is a run of letters, digits and '_'; '.' and ''' between two letters, '.' and ',' between
 * two digits stay inside it. Case is folded.
 */
#ifndef SAL_SEARCH_WORDS_H
#define SAL_SEARCH_WORDS_H

#include "base/error.h"

/*
 * *out: a pattern (advanced regular expression, to be matched without regard to case) that finds
 * any of the words of text as a whole word; NULL if there is no word. SAL_E_MALFORMED if there are
 * too many.
 */
SAL_API apr_status_t sal_words_pattern(const char **out, const char *text, apr_pool_t *p,
                                       sal_error_t *err);

#endif
