/*
 * Dictionary look-ups for the indexer (docs/search.md, "New terms").
 *
 * The insert is sorted and commits by itself, so two workers cannot deadlock, and nobody waits
 * for the end of another's crash. Terms of a crash that then fails stay unused: harmless.
 */
#include "search/terms.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>
#include <xxhash.h>

#include "search/term_cache.h"

enum {
    MAX_NUMBER = 1024, /* of a field */
    RECOUNT_SECONDS = 3600
};

/* Strangers feed the dictionary: a field that is full takes no new values. */
static int64_t cap_of(const sal_search_field_t *f)
{
    if (strcmp(f->name, "signature") == 0 || strcmp(f->name, "proto_signature") == 0) {
        return 5000000;
    }
    return 200000;
}

/* How full fields were when this process last asked; a guess between two counts is enough. */
static struct {
    pthread_mutex_t lock;
    int64_t count[MAX_NUMBER];
    apr_time_t counted[MAX_NUMBER];
} fill = { .lock = PTHREAD_MUTEX_INITIALIZER };

static apr_status_t field_full(bool *full, const sal_search_field_t *f, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    apr_time_t now = apr_time_now(), counted;
    int64_t count;
    sal_rows_t *rows;
    apr_status_t rv;

    pthread_mutex_lock(&fill.lock);
    count = ++fill.count[f->number % MAX_NUMBER];
    counted = fill.counted[f->number % MAX_NUMBER];
    pthread_mutex_unlock(&fill.lock);
    if (now - counted > apr_time_from_sec(RECOUNT_SECONDS)) {
        rv = sal_db_exec(db, &sal_s_search_term_count, &rows, p, err, SAL_V_INT(f->number),
                         SAL_V_INT(cap_of(f)));
        if (rv != APR_SUCCESS) {
            return rv;
        }
        count = sal_rows_int(rows, 0, 0);
        pthread_mutex_lock(&fill.lock);
        fill.count[f->number % MAX_NUMBER] = count;
        fill.counted[f->number % MAX_NUMBER] = now;
        pthread_mutex_unlock(&fill.lock);
    }
    *full = count >= cap_of(f);
    return APR_SUCCESS;
}

uint64_t sal_terms_database(sal_db_t *db)
{
    PGconn *conn = sal_db_conn(db);
    const char *part[3] = { PQhost(conn), PQport(conn), PQdb(conn) };
    uint64_t h = 0;

    for (int i = 0; i < 3; i++) {
        if (part[i]) {
            h = XXH64(part[i], strlen(part[i]), h + 1);
        }
    }
    return h;
}

typedef struct {
    sal_term_want_t **miss;
    sal_term_key_t *key;
    int n;
    apr_time_t now;
} misses_t;

static void from_cache(misses_t *m, sal_term_want_t *want, int n, sal_db_t *db, apr_pool_t *p)
{
    uint64_t database = sal_terms_database(db);

    m->miss = apr_palloc(p, sizeof *m->miss * (apr_size_t)n);
    m->key = apr_palloc(p, sizeof *m->key * (apr_size_t)n);
    m->n = 0;
    m->now = apr_time_now();
    for (int i = 0; i < n; i++) {
        sal_term_key_t key;

        sal_term_key(&key, database, want[i].field->number, want[i].value);
        want[i].id = sal_term_cache_get(&key, m->now);
        if (!want[i].id) {
            m->miss[m->n] = &want[i];
            m->key[m->n++] = key;
        }
    }
}

/* The parallel arrays of fields and values of what still has no id; index[] points back. */
typedef struct {
    int64_t *field;
    const char **value;
    int *index;
    int n;
} lists_t;

static void make_lists(lists_t *l, const misses_t *m, apr_pool_t *p)
{
    l->field = apr_palloc(p, sizeof *l->field * (apr_size_t)m->n);
    l->value = apr_palloc(p, sizeof *l->value * (apr_size_t)m->n);
    l->index = apr_palloc(p, sizeof *l->index * (apr_size_t)m->n);
    l->n = 0;
    for (int i = 0; i < m->n; i++) {
        if (!m->miss[i]->id) {
            l->field[l->n] = m->miss[i]->field->number;
            l->value[l->n] = m->miss[i]->value;
            l->index[l->n++] = i;
        }
    }
}

/* Terms in use keep the weekly clean-up off. A failure here costs nothing. */
static void mark_seen(const int64_t *ids, int n, sal_db_t *db, apr_pool_t *p)
{
    if (n > 0) {
        (void)sal_db_exec(db, &sal_s_search_term_seen, NULL, p, NULL,
                          SAL_V_INTS(ids, (apr_size_t)n));
    }
}

static apr_status_t look_up(misses_t *m, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    lists_t l;
    sal_rows_t *rows;
    int64_t *old;
    int n_old = 0;
    apr_status_t rv;

    make_lists(&l, m, p);
    if (l.n == 0) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_search_term_find, &rows, p, err,
                     SAL_V_INTS(l.field, (apr_size_t)l.n), SAL_V_TEXTS(l.value, (apr_size_t)l.n));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    old = apr_palloc(p, sizeof *old * (apr_size_t)(sal_rows_count(rows) + 1));
    for (int r = 0; r < sal_rows_count(rows); r++) {
        int64_t o = sal_rows_int(rows, r, 0) - 1;

        if (o >= 0 && o < l.n) {
            int i = l.index[o];

            m->miss[i]->id = (int32_t)sal_rows_int(rows, r, 1);
            sal_term_cache_put(&m->key[i], m->miss[i]->id, m->now);
            if (sal_rows_bool(rows, r, 2)) {
                old[n_old++] = m->miss[i]->id;
            }
        }
    }
    mark_seen(old, n_old, db, p);
    return APR_SUCCESS;
}

static apr_status_t add_new(misses_t *m, int *added, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    lists_t l;
    int n = 0;
    apr_status_t rv;

    make_lists(&l, m, p);
    for (int i = 0; i < l.n; i++) {
        bool full;

        rv = field_full(&full, m->miss[l.index[i]]->field, db, p, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (!full) {
            l.field[n] = l.field[i];
            l.value[n++] = l.value[i];
        }
    }
    *added = n;
    if (n == 0) {
        return APR_SUCCESS;
    }
    return sal_db_exec(db, &sal_s_search_term_add, NULL, p, err, SAL_V_INTS(l.field, (apr_size_t)n),
                       SAL_V_TEXTS(l.value, (apr_size_t)n));
}

apr_status_t sal_terms_resolve(sal_term_want_t *want, int n, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    misses_t m;
    int added = 0;
    apr_status_t rv;

    from_cache(&m, want, n, db, p);
    rv = look_up(&m, db, p, err);
    if (rv == APR_SUCCESS) {
        rv = add_new(&m, &added, db, p, err);
    }
    if (rv == APR_SUCCESS && added > 0) {
        rv = look_up(&m, db, p, err);
    }
    return rv;
}
