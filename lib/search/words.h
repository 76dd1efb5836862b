/*
 * Words of a text: what a bare value of a text field is compared by. Private to the room; no
 * database here.
 *
 * A word is a run of letters, digits and '_'; '.' and ''' between two letters, '.' and ',' between
 * two digits stay inside it. Case is folded.
 */
#ifndef SAL_SEARCH_WORDS_H
#define SAL_SEARCH_WORDS_H

#include <stdbool.h>
#include "base/error.h"

/*
 * *out: a pattern (advanced regular expression, to be matched without regard to case) that finds
 * any of the words of text as a whole word; NULL if there is no word. SAL_E_MALFORMED if there are
 * too many.
 */
SAL_API apr_status_t sal_words_pattern(const char **out, const char *text, apr_pool_t *p,
                                       sal_error_t *err);

/*
 * The words of text for sal_words_in, folded, NULL-terminated; NULL if one of them has a letter
 * beyond ASCII, or there is none, or too many: then the pattern says what matches.
 */
SAL_API const char *const *sal_words_plain(const char *text, apr_pool_t *p);

/* Whether one of these words is a word of a value, as the pattern would find it. */
SAL_API bool sal_words_in(const char *value, const char *const *words, apr_pool_t *p);

#endif
