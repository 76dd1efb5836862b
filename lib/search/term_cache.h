/*
 * Ids of terms this process has met, so that most values of a crash cost no query. Private to the
 * room.
 *
 * One cache a process, bounded (about 200,000 terms), made on first use, guarded by one lock. It
 * keeps a keyed hash of (database, field, value) and not the text. Entries live a day, shorter
 * than the time after which the weekly clean-up may delete a term that is not used.
 */
#ifndef SAL_SEARCH_TERM_CACHE_H
#define SAL_SEARCH_TERM_CACHE_H

#include <stdint.h>
#include <apr_time.h>
#include "base/error.h"

typedef struct sal_term_key_t {
    uint64_t high, low;
} sal_term_key_t;

/* In place of a field, for what is kept here besides terms. */
enum { SAL_TERM_NO_FIELD = -1 };

/* database: hash of what tells one database from another. */
void sal_term_key(sal_term_key_t *out, uint64_t database, int field, const char *value);

/* 0 if it is not known. */
int32_t sal_term_cache_get(const sal_term_key_t *key, apr_time_t now);
void sal_term_cache_put(const sal_term_key_t *key, int32_t id, apr_time_t now);

#endif
