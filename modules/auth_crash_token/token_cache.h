/*
 * Answers of the token table, believed for half a minute in this child: known and unknown tokens.
 *
 * Keyed by the SHA-256 of what the client sent, so no token stands in memory. Knows nothing of
 * requests. Thread-safe after token_cache_make.
 */
#ifndef MODULES_AUTH_CRASH_TOKEN_TOKEN_CACHE_H
#define MODULES_AUTH_CRASH_TOKEN_TOKEN_CACHE_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/token.h"

enum { TOKEN_CACHE_SECONDS = 30, TOKEN_USER_MAX = 255 };

typedef struct token_answer_t {
    sal_token_state_t state;
    int64_t id, user_id;
    int permissions;
    apr_time_t expires;
    char user[TOKEN_USER_MAX + 1];
} token_answer_t;

typedef struct token_cache_t token_cache_t;

/* NULL if there is no memory or lock to be had: then nothing is remembered. */
token_cache_t *token_cache_make(apr_pool_t *p);

/* False if nothing fresh is known of the token. */
bool token_cache_get(token_answer_t *out, token_cache_t *cache, const unsigned char digest[32],
                     apr_time_t now);
void token_cache_put(token_cache_t *cache, const unsigned char digest[32],
                     const token_answer_t *answer, apr_time_t now);

#endif
