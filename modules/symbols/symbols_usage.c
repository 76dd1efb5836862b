/*
 * Which files are downloaded, how often: counted in memory by request threads, written by the
 * watchdog's thread. A download must cost no database round trip; what is not written when a child
 * dies is lost, and nobody minds.
 */
#include "symbols_private.h"

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "base/text.h"
#include "books/books.h"

APLOG_USE_MODULE(symbols);

enum { FILES = 1024, KEY_ROOM = SAL_SYMBOL_KEY_MAX * 4 + 1 };

typedef struct {
    char key[KEY_ROOM]; /* <debug_file>/<DEBUG_ID>/<leaf> */
    int is_try;
    int64_t hits;
} use_t;

typedef struct {
    use_t *uses;
    int n;
} batch_t;

struct symbols_usage_t {
    apr_thread_mutex_t *lock; /* guards all below; held for copying only */
    server_rec *server;       /* whose database takes the numbers */
    int n;
    uint64_t hash[FILES]; /* of the keys: looked through at each download */
    use_t *uses;          /* FILES of them */
};

symbols_usage_t *symbols_usage_make(apr_pool_t *p)
{
    symbols_usage_t *u = apr_pcalloc(p, sizeof(*u));

    u->uses = apr_pcalloc(p, FILES * sizeof(*u->uses));
    return apr_thread_mutex_create(&u->lock, APR_THREAD_MUTEX_UNNESTED, p) == APR_SUCCESS ? u
                                                                                          : NULL;
}

/* The last three parts of a path in the store. */
static const char *key_of(const char *path)
{
    const char *at = path + strlen(path);

    for (int slashes = 0; at > path; at--) {
        if (at[-1] == '/' && ++slashes == 3) {
            return at;
        }
    }
    return NULL;
}

/* ".../try/key/<key>" */
static int is_try_path(const char *path, const char *key)
{
    static const char mark[] = "/try/key/";
    size_t n = sizeof(mark) - 1;

    return (size_t)(key - path) >= n && !strncmp(key - n, mark, n);
}

/* Eight bytes at a time: each download pays for it. Keys are compared where hashes agree. */
static uint64_t hash_key(const char *key, size_t n, int is_try)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) + (uint64_t)is_try, piece;

    for (; n >= sizeof(piece); n -= sizeof(piece), key += sizeof(piece)) {
        memcpy(&piece, key, sizeof(piece));
        h = (h ^ piece) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    for (; n > 0; n--, key++) {
        h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    }
    return h;
}

static void count(symbols_usage_t *u, const char *key, int is_try, uint64_t hash)
{
    for (int i = 0; i < u->n; i++) {
        if (u->hash[i] == hash && u->uses[i].is_try == is_try && !strcmp(u->uses[i].key, key)) {
            u->uses[i].hits++;
            return;
        }
    }
    if (u->n < FILES) {
        use_t *use = &u->uses[u->n];

        u->hash[u->n++] = hash;
        apr_cpystrn(use->key, key, sizeof(use->key));
        use->is_try = is_try;
        use->hits = 1;
    }
}

void symbols_usage_note(symbols_usage_t *u, const char *path, server_rec *s)
{
    const char *key = path ? key_of(path) : NULL;
    uint64_t hash;
    size_t n;
    int is_try;

    if (!u || !key || (n = strlen(key)) >= KEY_ROOM) {
        return;
    }
    is_try = is_try_path(path, key);
    hash = hash_key(key, n, is_try);
    apr_thread_mutex_lock(u->lock);
    count(u, key, is_try, hash);
    u->server = s;
    apr_thread_mutex_unlock(u->lock);
}

/* ---- the watchdog's part ---- */

static void take_apart(sal_books_usage_t *out, use_t *uses, int n, apr_pool_t *p)
{
    const char **texts = apr_palloc(p, 3 * (apr_size_t)n * sizeof(*texts));
    int64_t *numbers = apr_palloc(p, 2 * (apr_size_t)n * sizeof(*numbers));

    *out =
        (sal_books_usage_t){ (apr_size_t)n, texts, texts + n, texts + 2 * n, numbers, numbers + n };
    for (int i = 0; i < n; i++) {
        char *id = strchr(uses[i].key, '/'), *leaf = id ? strchr(id + 1, '/') : NULL;

        if (id && leaf) {
            *id++ = '\0';
            *leaf++ = '\0';
        }
        texts[i] = uses[i].key;
        texts[n + i] = id && leaf ? id : "";
        texts[2 * n + i] = id && leaf ? leaf : "";
        numbers[i] = uses[i].is_try;
        numbers[n + i] = uses[i].hits;
    }
}

static apr_status_t write_uses(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const batch_t *b = baton;
    sal_books_usage_t columns;

    take_apart(&columns, b->uses, b->n, p);
    return sal_books_used(&columns, db, p, err);
}

/* Texts in a database are UTF-8; names in the store's tree may be anything. */
static int keep_valid(use_t *uses, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++) {
        if (sal_utf8_valid(uses[i].key, strlen(uses[i].key))) {
            uses[kept++] = uses[i];
        }
    }
    return kept;
}

void symbols_usage_flush(symbols_usage_t *u, apr_pool_t *p)
{
    sal_error_t err = { 0 };
    use_t *uses = NULL;
    server_rec *s;
    int n;

    if (!u) {
        return;
    }
    apr_thread_mutex_lock(u->lock);
    n = u->n;
    s = u->server;
    if (n) {
        uses = apr_pmemdup(p, u->uses, (apr_size_t)n * sizeof(*uses));
        u->n = 0;
    }
    apr_thread_mutex_unlock(u->lock);
    n = n ? keep_valid(uses, n) : 0;
    if (n && symbols_with_server_db(s, write_uses, &(batch_t){ uses, n }, p, &err) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "SAL2042: downloads of %d files not counted: %s",
                     n, err.message);
    }
}
