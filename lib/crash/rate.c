/*
 * Rates by the generic cell rate algorithm: the state of a key is the time at which it will have
 * paid for what it took. Day counts keep the day and the count in the same word.
 */
#include "crash/rate.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/text.h"

#define WAYS 8
#define DAY apr_time_from_sec(86400)
#define COUNT_BITS 40 /* of a day count; above it stands the day */

typedef struct place_t {
    uint64_t key; /* 0: free */
    int64_t state;
    unsigned refused;
} place_t;

struct sal_rates_t {
    uint64_t secret; /* 0: not a table yet */
    int mask;        /* places - 1 */
    place_t places[];
};

/* ---- reading ---- */

static apr_interval_time_t unit_of(const char *text)
{
    static const struct {
        const char *name;
        int seconds;
    } units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };

    for (int i = 0; i < 4; i++) {
        if (!strcmp(text, units[i].name)) {
            return apr_time_from_sec(units[i].seconds);
        }
    }
    return 0;
}

bool sal_rate_parse(sal_rate_t *out, const char *rate, const char *burst)
{
    const char *slash = strchr(rate, '/');
    apr_interval_time_t unit;
    char digits[16];
    int64_t n, b;

    *out = (sal_rate_t){ 0, 1 };
    if (!strcmp(rate, "none")) {
        return !burst;
    }
    if (!slash || slash == rate || slash - rate >= (ptrdiff_t)sizeof(digits)) {
        return false;
    }
    memcpy(digits, rate, (size_t)(slash - rate));
    digits[slash - rate] = '\0';
    unit = unit_of(slash + 1);
    if (!unit || !sal_parse_int(digits, 1, 1000000, &n)) {
        return false;
    }
    b = n * APR_USEC_PER_SEC / unit;
    b = b < 1 ? 1 : b;
    if (burst && !sal_parse_int(burst, 1, 1000000, &b)) {
        return false;
    }
    *out = (sal_rate_t){ unit / n, (int)b };
    return out->every > 0;
}

/* ---- the table ---- */

static int round_up(int places)
{
    int n = WAYS;

    while (n < places && n < 1 << 24) {
        n *= 2;
    }
    return n;
}

apr_size_t sal_rates_size(int places)
{
    return sizeof(sal_rates_t) + (apr_size_t)round_up(places) * sizeof(place_t);
}

sal_rates_t *sal_rates_open(void *memory, int places)
{
    sal_rates_t *t = memory;

    if (!t->secret) {
        unsigned char random[8];

        t->mask = round_up(places) - 1;
        if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
            memset(random, 0x55, sizeof(random));
        }
        memcpy(&t->secret, random, sizeof(random));
        t->secret |= 1;
    }
    return t;
}

/* How busy a place is: what has the least to remember is given away first. */
static int64_t busy_until(const place_t *place)
{
    return __atomic_load_n(&place->state, __ATOMIC_RELAXED);
}

/* The place of a key; it is made over to it if it has none. */
static place_t *find(sal_rates_t *t, const void *key, apr_size_t size)
{
    uint64_t hash = XXH3_64bits_withSeed(key, size, t->secret);
    place_t *set = &t->places[hash & (uint64_t)t->mask & ~(uint64_t)(WAYS - 1)], *least = set;
    uint64_t was;

    hash = hash ? hash : 1;
    for (int i = 0; i < WAYS; i++) {
        if (__atomic_load_n(&set[i].key, __ATOMIC_RELAXED) == hash) {
            return &set[i];
        }
        if (busy_until(&set[i]) < busy_until(least)) {
            least = &set[i];
        }
    }
    was = __atomic_load_n(&least->key, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&least->key, &was, hash, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
        __atomic_store_n(&least->state, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&least->refused, 0, __ATOMIC_RELAXED);
    }
    return least; /* lost to another key at this instant: the two share one turn */
}

static bool refuse(place_t *place, apr_interval_time_t wait, apr_interval_time_t *out)
{
    __atomic_fetch_add(&place->refused, 1, __ATOMIC_RELAXED);
    if (out) {
        *out = wait;
    }
    return false;
}

bool sal_rate_take(sal_rates_t *t, const void *key, apr_size_t size, const sal_rate_t *rate,
                   apr_time_t now, apr_interval_time_t *wait, unsigned *held)
{
    place_t *place = find(t, key, size);
    int64_t was = __atomic_load_n(&place->state, __ATOMIC_RELAXED), paid;
    apr_interval_time_t ahead = (rate->burst - 1) * rate->every;

    do {
        paid = was > now ? was : now;
        /* A clock that was set back must not shut anybody out for as long as it was. */
        paid = paid > now + ahead + rate->every ? now + ahead + rate->every : paid;
        if (paid - now > ahead) {
            return refuse(place, paid - now - ahead, wait);
        }
    } while (!__atomic_compare_exchange_n(&place->state, &was, paid + rate->every, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (held) {
        *held = __atomic_exchange_n(&place->refused, 0, __ATOMIC_RELAXED);
    }
    return true;
}

bool sal_rate_take_daily(sal_rates_t *t, const void *key, apr_size_t size, int64_t most,
                         apr_time_t now, apr_interval_time_t *wait)
{
    place_t *place = find(t, key, size);
    int64_t day = now / DAY, was = __atomic_load_n(&place->state, __ATOMIC_RELAXED), count;

    do {
        count = was >> COUNT_BITS == day ? was & ((INT64_C(1) << COUNT_BITS) - 1) : 0;
        if (count >= most) {
            return refuse(place, (day + 1) * DAY - now, wait);
        }
    } while (!__atomic_compare_exchange_n(&place->state, &was, (day << COUNT_BITS) + count + 1, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}
