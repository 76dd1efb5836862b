/*
 * Retention: which files go, and the order in which they do. Rules are in keep_rules.c.
 */
#include "books/retention.h"

#include <string.h>

#include <apr_strings.h>

#include "books/query.h"

enum { BATCH = 500, BLOB_AGE = 86400 };

/* In the order in which found_row reads them. */
#define COLUMNS                                                                                    \
    "f.id, coalesce(f.upload_id, 0), f.size, f.stored_size, f.hits, f.debug_file, f.debug_id, "    \
    "f.leaf, coalesce(f.product, ''), coalesce(f.version, ''), coalesce(f.channel, ''), "          \
    "coalesce(f.build, ''), f.is_try, EXISTS (SELECT 1 FROM symbol_key k WHERE k.file_id = "       \
    "f.id), "                                                                                      \
    "f.created_at, f.keep_until, f.last_access"

static void found_row(sal_symbols_found_t *out, const sal_rows_t *r, int i, apr_pool_t *p)
{
    *out = (sal_symbols_found_t){ .id = sal_rows_int(r, i, 0),
                                  .upload = sal_rows_int(r, i, 1),
                                  .size = sal_rows_int(r, i, 2),
                                  .stored = sal_rows_int(r, i, 3),
                                  .hits = sal_rows_int(r, i, 4),
                                  .key = apr_pstrcat(p, sal_rows_text(r, i, 5), "/",
                                                     sal_rows_text(r, i, 6), "/",
                                                     sal_rows_text(r, i, 7), NULL),
                                  .product = sal_rows_text(r, i, 8),
                                  .version = sal_rows_text(r, i, 9),
                                  .channel = sal_rows_text(r, i, 10),
                                  .build = sal_rows_text(r, i, 11),
                                  .is_try = sal_rows_bool(r, i, 12) != 0,
                                  .current = sal_rows_bool(r, i, 13) != 0,
                                  .created = sal_rows_time(r, i, 14),
                                  .keep_until = sal_rows_time(r, i, 15),
                                  .last_access = sal_rows_time(r, i, 16) };
}

/* ---- choosing ---- */

/* How the next files are found: behind the id `after`, in the order of ids. */
typedef struct {
    const sal_symbols_which_t *which; /* or: */
    const apr_array_header_t *rules;
    int64_t after;
    apr_time_t now;
} choice_t;

static void equals(books_sql_t *q, const char *column, const char *value)
{
    if (value) {
        books_sql_and(q, apr_pstrcat(q->p, "lower(", column, ") = lower(",
                                     books_sql_bind(q, SAL_V_TEXT(value)), "::text)", NULL));
    }
}

static void number(books_sql_t *q, const char *before, int64_t value, const char *behind)
{
    books_sql_and(q, apr_pstrcat(q->p, before, books_sql_bind(q, SAL_V_INT(value)), behind, NULL));
}

static void which_filters(books_sql_t *q, const sal_symbols_which_t *w, int64_t after)
{
    number(q, "f.id > ", after, "::bigint");
    equals(q, "f.product", w->product);
    equals(q, "f.version", w->version);
    equals(q, "f.channel", w->channel);
    equals(q, "f.build", w->build);
    if (w->key) {
        books_sql_part(q, "lower(f.debug_file || '/' || f.debug_id || '/' || f.leaf)", w->key,
                       false);
    }
    if (w->file) {
        number(q, "f.id = ", w->file, "::bigint");
    }
    if (w->upload) {
        number(q, "f.upload_id = ", w->upload, "::bigint");
    }
    if (w->kind >= 0) {
        books_sql_and(q, w->kind ? "f.is_try" : "NOT f.is_try");
    }
    if (w->older) {
        number(q, "coalesce(f.renewed_at, f.created_at) < now() - ", w->older,
               "::bigint * interval '1 second'");
    }
}

/*
 * A build is what INFO lines call one; files that say nothing belong to the build of their upload.
 * A rule with `newest` keeps the files of the N builds that were sent last.
 */
static const char expired_sql[] =
    "WITH rule AS (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], "
    "$5::bigint[]) WITH ORDINALITY r(kind, product, channel, age, newest, n)), "
    "build AS (SELECT is_try, product, channel, release, dense_rank() OVER (PARTITION BY is_try, "
    "product, channel ORDER BY max(sent) DESC) AS place FROM (SELECT is_try, "
    "lower(coalesce(product, '')) AS product, lower(coalesce(channel, '')) AS channel, "
    "coalesce(nullif(build, ''), nullif(version, ''), 'upload ' || upload_id, '') AS release, "
    "coalesce(renewed_at, created_at) AS sent FROM symbol_file "
    "WHERE EXISTS (SELECT 1 FROM rule WHERE newest > 0)) s GROUP BY is_try, product, channel, "
    "release) "
    "SELECT " COLUMNS " FROM symbol_file f CROSS JOIN LATERAL (SELECT * FROM rule r WHERE "
    "(r.kind < 0 OR (r.kind = 1) = f.is_try) "
    "AND (r.product = '' OR lower(r.product) = lower(coalesce(f.product, ''))) "
    "AND (r.channel = '' OR lower(r.channel) = lower(coalesce(f.channel, ''))) ORDER BY r.n "
    "LIMIT 1) r WHERE f.id > $6::bigint AND r.age >= 0 "
    "AND coalesce(f.renewed_at, f.created_at) < $7::timestamptz - r.age * interval '1 second' "
    "AND (f.keep_until IS NULL OR f.keep_until < $7::timestamptz) "
    "AND (r.newest = 0 OR NOT EXISTS (SELECT 1 FROM build b WHERE b.is_try = f.is_try "
    "AND b.product = lower(coalesce(f.product, '')) AND b.channel = lower(coalesce(f.channel, '')) "
    "AND b.release = coalesce(nullif(f.build, ''), nullif(f.version, ''), "
    "'upload ' || f.upload_id, '') AND b.place <= r.newest)) ORDER BY f.id LIMIT 500";

static apr_status_t choose_expired(sal_rows_t **rows, const choice_t *c, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err)
{
    int n = c->rules->nelts;
    const char **texts = apr_palloc(p, 2 * ((apr_size_t)n + 1) * sizeof(*texts));
    int64_t *numbers = apr_palloc(p, 3 * ((apr_size_t)n + 1) * sizeof(*numbers));
    apr_size_t len = (apr_size_t)n;

    for (int i = 0; i < n; i++) {
        const sal_keep_rule_t *r = &APR_ARRAY_IDX(c->rules, i, sal_keep_rule_t);

        numbers[i] = r->kind;
        texts[i] = r->product;
        texts[n + i] = r->channel;
        numbers[n + i] = r->age;
        numbers[2 * n + i] = r->newest;
    }
    return sal_db_run_text(db, expired_sql,
                           (const sal_val_t[]){ SAL_V_INTS(numbers, len), SAL_V_TEXTS(texts, len),
                                                SAL_V_TEXTS(texts + n, len),
                                                SAL_V_INTS(numbers + n, len),
                                                SAL_V_INTS(numbers + 2 * (apr_size_t)n, len),
                                                SAL_V_INT(c->after), SAL_V_TIME(c->now) },
                           7, rows, p, err);
}

static apr_status_t choose(sal_rows_t **rows, const choice_t *c, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    books_sql_t *q;

    if (c->rules) {
        return choose_expired(rows, c, db, p, err);
    }
    q = books_sql_make(p);
    which_filters(q, c->which, c->after);
    return books_sql_run(q,
                         apr_pstrcat(p, "SELECT " COLUMNS " FROM symbol_file f", q->where,
                                     " ORDER BY f.id LIMIT 500", NULL),
                         rows, db, err);
}

/* ---- deleting a batch ---- */

typedef struct {
    sal_symbol_store_t *store;
    const int64_t *ids;
    apr_size_t n;
    apr_time_t now; /* when they were chosen */
    sal_rows_t *locked;
} batch_t;

/*
 * Under the locks of the rows: who sends the same content meanwhile waits (the trigger of
 * symbol_upload), and then finds that the row is gone.
 */
static apr_status_t delete_rows(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    batch_t *b = baton;
    apr_status_t rv = sal_db_exec(db, &sal_s_symbol_files_lock, &b->locked, p, err,
                                  SAL_V_INTS(b->ids, b->n), SAL_V_TIME(b->now));
    int n = rv == APR_SUCCESS ? sal_rows_count(b->locked) : 0;
    int64_t *ids = apr_palloc(p, ((apr_size_t)n + 1) * sizeof(*ids));

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        const sal_symbol_key_t key = { sal_rows_text(b->locked, i, 2),
                                       sal_rows_text(b->locked, i, 3),
                                       sal_rows_text(b->locked, i, 4) };

        ids[i] = sal_rows_int(b->locked, i, 0);
        if (sal_rows_bool(b->locked, i, 7)) {
            rv = sal_symbol_store_unlink(b->store, &key, sal_rows_bool(b->locked, i, 1) != 0,
                                         sal_rows_text(b->locked, i, 5), p, err);
        }
    }
    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_symbol_files_drop, NULL, p, err,
                                           SAL_V_INTS(ids, (apr_size_t)n))
                             : rv;
}

/* Blobs of these digests, unless a row still names them. */
static apr_status_t drop_blobs(int64_t *freed, const char **digests, apr_size_t n, int min_age,
                               sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        n ? sal_db_exec(db, &sal_s_symbol_blobs_loose, &rows, p, err, SAL_V_TEXTS(digests, n))
          : APR_SUCCESS;

    for (int i = 0; n && rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        int64_t bytes = 0;

        rv = sal_symbol_store_blob_drop(&bytes, store, sal_rows_text(rows, i, 0), min_age, p, err);
        *freed += bytes;
    }
    return rv;
}

static apr_status_t delete_batch(sal_symbols_gone_t *out, batch_t *b, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    apr_status_t rv = sal_db_txn(db, delete_rows, b, p, err);
    const char **digests;
    int n;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    n = sal_rows_count(b->locked);
    digests = apr_palloc(p, ((apr_size_t)n + 1) * sizeof(*digests));
    for (int i = 0; i < n; i++) {
        digests[i] = sal_rows_text(b->locked, i, 5);
        out->stored += sal_rows_int(b->locked, i, 6);
    }
    out->files += n;
    return drop_blobs(&out->freed, digests, (apr_size_t)n, 0, b->store, db, p, err);
}

/* ---- going through all ---- */

typedef struct {
    sal_symbols_gone_t *gone; /* NULL: only list */
    bool dry;
    sal_symbols_found_fn fn;
    void *baton;
    sal_symbol_store_t *store;
} work_t;

static apr_status_t one_batch(choice_t *c, const work_t *w, const sal_rows_t *rows, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    int n = sal_rows_count(rows);
    int64_t *ids = apr_palloc(p, ((apr_size_t)n + 1) * sizeof(*ids));
    batch_t b = { w->store, ids, (apr_size_t)n, c->now, NULL };

    for (int i = 0; i < n; i++) {
        sal_symbols_found_t found;
        apr_status_t rv;

        found_row(&found, rows, i, p);
        ids[i] = c->after = found.id;
        if (w->fn && (rv = w->fn(w->baton, &found)) != APR_SUCCESS) {
            return sal_fail(err, rv, "stopped");
        }
        if (w->gone && w->dry) {
            w->gone->files++;
            w->gone->stored += found.stored;
        }
    }
    return w->gone && !w->dry ? delete_batch(w->gone, &b, db, p, err) : APR_SUCCESS;
}

static apr_status_t go_through(choice_t *c, const work_t *w, sal_db_t *db, apr_pool_t *parent,
                               sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;
    int n = BATCH;

    apr_pool_create(&p, parent);
    c->now = apr_time_now();
    while (rv == APR_SUCCESS && n == BATCH) {
        sal_rows_t *rows;

        apr_pool_clear(p);
        rv = choose(&rows, c, db, p, err);
        if (rv == APR_SUCCESS) {
            n = sal_rows_count(rows);
            rv = one_batch(c, w, rows, db, p, err);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sal_symbols_list(const sal_symbols_which_t *which, sal_symbols_found_fn fn,
                              void *baton, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    choice_t c = { .which = which };
    const work_t w = { .fn = fn, .baton = baton };

    return go_through(&c, &w, db, p, err);
}

apr_status_t sal_symbols_delete(sal_symbols_gone_t *out, const sal_symbols_which_t *which, bool dry,
                                sal_symbols_found_fn fn, void *baton, sal_symbol_store_t *store,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    choice_t c = { .which = which };
    const work_t w = { out, dry, fn, baton, store };

    *out = (sal_symbols_gone_t){ 0 };
    return go_through(&c, &w, db, p, err);
}

/* What is meant, as one would write it: "product=Demo version=1.0". */
static const char *which_text(const sal_symbols_which_t *w, apr_pool_t *p)
{
    const struct {
        const char *name, *value;
    } texts[] = { { "product=", w->product },
                  { "version=", w->version },
                  { "channel=", w->channel },
                  { "build=", w->build },
                  { "key=", w->key },
                  { "upload=", w->upload ? apr_psprintf(p, "%" APR_INT64_T_FMT, w->upload) : NULL },
                  { "file=", w->file ? apr_psprintf(p, "%" APR_INT64_T_FMT, w->file) : NULL },
                  { "kind=", w->kind < 0 ? NULL
                             : w->kind   ? "try"
                                         : "regular" },
                  { "older=", w->older ? apr_psprintf(p, "%" APR_INT64_T_FMT, w->older) : NULL } };
    const char *out = "";

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].value) {
            out = apr_pstrcat(p, out, *out ? " " : "", texts[i].name, texts[i].value, NULL);
        }
    }
    return *out ? out : "all";
}

apr_status_t sal_symbols_delete_by(sal_symbols_gone_t *out, const sal_symbols_which_t *which,
                                   bool dry, const char *actor, sal_symbols_found_fn fn,
                                   void *baton, sal_symbol_store_t *store, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_symbols_delete(out, which, true, fn, baton, store, db, p, err);
    const char *detail;

    if (rv != APR_SUCCESS || dry || !out->files) {
        return rv;
    }
    detail = apr_psprintf(p, "%" APR_INT64_T_FMT " files, %" APR_INT64_T_FMT " bytes",
                          (apr_int64_t)out->files, (apr_int64_t)out->stored);
    rv = sal_db_exec(db, &sal_s_auth_audit_put, NULL, p, err, SAL_V_TEXT(actor),
                     SAL_V_TEXT("symbols.delete"), SAL_V_TEXT(which_text(which, p)),
                     SAL_V_TEXT(detail));
    return rv == APR_SUCCESS ? sal_symbols_delete(out, which, false, NULL, NULL, store, db, p, err)
                             : rv;
}

apr_status_t sal_symbols_expire(sal_symbols_gone_t *out, const apr_array_header_t *rules, bool dry,
                                sal_symbols_found_fn fn, void *baton, sal_symbol_store_t *store,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    choice_t c = { .rules = rules };
    const work_t w = { out, dry, fn, baton, store };

    *out = (sal_symbols_gone_t){ 0 };
    return go_through(&c, &w, db, p, err);
}

apr_status_t sal_symbols_keep(int64_t *n, const sal_symbols_which_t *which, apr_time_t until,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    books_sql_t *q = books_sql_make(p);
    sal_rows_t *rows;
    const char *value =
        until ? apr_pstrcat(p, books_sql_bind(q, SAL_V_TIME(until)), "::timestamptz", NULL)
              : "NULL";
    apr_status_t rv;

    which_filters(q, which, 0);
    rv = books_sql_run(
        q, apr_pstrcat(p, "UPDATE symbol_file f SET keep_until = ", value, q->where, NULL), &rows,
        db, err);
    *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    return rv;
}

/* ---- leftovers ---- */

typedef struct {
    sal_symbols_gone_t *gone;
    sal_symbol_store_t *store;
    sal_db_t *db;
    const char *digests[BATCH];
    apr_size_t n;
    apr_pool_t *p;
} tidy_t;

static apr_status_t tidy_batch(tidy_t *t, sal_error_t *err)
{
    apr_status_t rv =
        drop_blobs(&t->gone->freed, t->digests, t->n, BLOB_AGE, t->store, t->db, t->p, err);

    t->n = 0;
    apr_pool_clear(t->p);
    return rv;
}

static apr_status_t tidy_blob(void *baton, const char *sha256, sal_error_t *err)
{
    tidy_t *t = baton;

    t->digests[t->n++] = apr_pstrdup(t->p, sha256);
    return t->n == BATCH ? tidy_batch(t, err) : APR_SUCCESS;
}

apr_status_t sal_symbols_tidy(sal_symbols_gone_t *out, sal_symbol_store_t *store, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    tidy_t *t = apr_pcalloc(p, sizeof(*t));
    apr_pool_t *walk;
    apr_status_t rv;

    *out = (sal_symbols_gone_t){ 0 };
    t->gone = out;
    t->store = store;
    t->db = db;
    apr_pool_create(&t->p, p);
    apr_pool_create(&walk, p);
    rv = sal_symbol_store_loose_blobs(store, BLOB_AGE, tidy_blob, t, walk, err);
    if (rv == APR_SUCCESS) {
        rv = tidy_batch(t, err);
    }
    apr_pool_destroy(walk);
    apr_pool_destroy(t->p);
    return rv == APR_SUCCESS ? sal_db_run(db, &sal_s_symbol_uploads_tidy, NULL, 0, NULL, p, err)
                             : rv;
}
