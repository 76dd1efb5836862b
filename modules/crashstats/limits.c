/*
 * Fixed windows in shared memory. No lock: a client's state is one word, changed by
 * compare-and-swap. Places are few and fixed; when all where a client may stand are taken, the one
 * with the fewest calls is given away, so that many addresses make limits more generous, never
 * the memory larger.
 */
#include "crashstats/limits.h"

#include <apr_general.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <xxhash.h>

enum { WINDOW = 60, PLACES = 65536, PROBES = 8, COUNT_BITS = 24, WINDOW_BITS = 16 };

#define COUNT_MAX ((UINT64_C(1) << COUNT_BITS) - 1)

typedef struct limits_t {
    apr_uint64_t secret;        /* so that nobody can choose whom they share a place with */
    apr_uint64_t place[PLACES]; /* tag, window, count; 0: free */
} limits_t;

static limits_t *limits; /* of this generation of children; NULL: nothing is counted */

void crashstats_limits_make(apr_pool_t *p, server_rec *s)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof(*limits), NULL, p);

    limits = NULL;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, rv, s,
                     "SAL4040: no shared memory: calls of the API are not limited");
        return;
    }
    limits = apr_shm_baseaddr_get(shm);
    memset(limits, 0, sizeof(*limits));
    (void)apr_generate_random_bytes((unsigned char *)&limits->secret, sizeof(limits->secret));
}

/* ---- a word ---- */

typedef struct slot_t {
    apr_uint64_t hash, tag; /* tag: what a word keeps of the hash, not 0 */
    unsigned window;        /* its low bits */
} slot_t;

static apr_uint64_t word_of(const slot_t *key, apr_uint64_t count)
{
    return key->tag << (WINDOW_BITS + COUNT_BITS) | (apr_uint64_t)key->window << COUNT_BITS | count;
}

static bool is_of(apr_uint64_t word, const slot_t *key)
{
    return word >> COUNT_BITS == word_of(key, 0) >> COUNT_BITS;
}

/* Of another minute; clients' minutes differ by less than one. */
static bool is_over(apr_uint64_t word, const slot_t *key)
{
    unsigned window = (unsigned)(word >> COUNT_BITS) & 0xffffu;
    unsigned age = (key->window - window) & 0xffffu;

    return word == 0 || (age > 1 && age < 0xffffu) ||
           (age == 1 && word >> (WINDOW_BITS + COUNT_BITS) == key->tag);
}

/* Where the client's word is, or is to be. */
static apr_uint64_t *place_of(const slot_t *key)
{
    apr_uint64_t *best = NULL, rank = UINT64_MAX;

    for (unsigned i = 0; i < PROBES; i++) {
        apr_uint64_t *at = &limits->place[(key->hash + i) % PLACES];
        apr_uint64_t word = __atomic_load_n(at, __ATOMIC_RELAXED), r;

        if (is_of(word, key)) {
            return at;
        }
        r = is_over(word, key) ? 0 : 1 + (word & COUNT_MAX);
        if (r < rank) {
            best = at;
            rank = r;
        }
    }
    return best;
}

static apr_uint64_t count(const slot_t *key)
{
    apr_uint64_t *at = place_of(key), old = __atomic_load_n(at, __ATOMIC_RELAXED), n;

    do {
        n = is_of(old, key) ? old & COUNT_MAX : 0;
        n += n < COUNT_MAX;
    } while (!__atomic_compare_exchange_n(at, &old, word_of(key, n), false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return n;
}

int crashstats_limit(request_rec *r, crashstats_bucket_t bucket, const crashstats_rate_t *rate,
                     bool known)
{
    apr_int64_t most = known ? rate->known : rate->anonymous, now;
    unsigned char text[WEB_CLIENT_KEY + 2];
    apr_size_t n;
    slot_t key;

    if (!limits || most <= 0) {
        return 0;
    }
    n = web_client_key(r, text);
    text[n++] = (unsigned char)bucket;
    text[n++] = known;
    key.hash = XXH64(text, n, limits->secret);
    key.tag = (key.hash >> 40 & 0xffffff) | 1;
    now = (apr_int64_t)apr_time_sec(r->request_time) + (apr_int64_t)(key.hash >> 16) % WINDOW;
    key.window = (unsigned)(now / WINDOW) & 0xffffu;
    return count(&key) > (apr_uint64_t)most ? WINDOW - (int)(now % WINDOW) : 0;
}

/* ---- configuration ---- */

static const char *one_rate(cmd_parms *cmd, const char *text, apr_int64_t *out)
{
    const char *slash = strchr(text, '/');

    if (!strcasecmp(text, "off")) {
        *out = -1;
        return NULL;
    }
    if (slash && strcmp(slash, "/min") != 0 && strcmp(slash, "/m") != 0) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a rate; expected e.g. 100/min, or off",
                            cmd->cmd->name, text);
    }
    return web_arg_int(cmd, slash ? apr_pstrndup(cmd->pool, text, slash - text) : text, 1,
                       (apr_int64_t)COUNT_MAX - 1, out);
}

const char *crashstats_rate_set(cmd_parms *cmd, crashstats_rate_t *out, const char *anonymous,
                                const char *known)
{
    const char *wrong = one_rate(cmd, anonymous, &out->anonymous);

    return wrong ? wrong : one_rate(cmd, known ? known : anonymous, &out->known);
}
