/*
 * Rows of the outbox and the parcels they travel in.
 */
#include "export/outbox.h"

#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/text.h"

#define LOST_MOST 3
#define PAUSE_MOST 3600

const char *sal_export_kind_name(sal_export_kind_t kind)
{
    static const char *const names[] = { "telemetry", "stage", "webhook" };

    return (unsigned)kind < 3 ? names[kind] : "?";
}

int sal_export_draw(const char *crash_id)
{
    unsigned char sum[32];

    sal_sha256(crash_id, strlen(crash_id), sum);
    return (int)(((apr_uint32_t)sum[0] << 24 | (apr_uint32_t)sum[1] << 16 |
                  (apr_uint32_t)sum[2] << 8 | sum[3]) %
                 100);
}

/* ---- putting in ---- */

typedef struct registering_t {
    const sal_outbox_dest_t *dest;
    int n;
} registering_t;

static apr_status_t register_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const registering_t *r = baton;
    apr_size_t n = (apr_size_t)r->n;
    int64_t *kind = apr_pcalloc(p, (n + 1) * sizeof(*kind));
    int64_t *sample = apr_pcalloc(p, (n + 1) * sizeof(*sample));
    int64_t *deferred = apr_pcalloc(p, (n + 1) * sizeof(*deferred));
    const char **name = apr_pcalloc(p, (n + 1) * sizeof(*name));
    apr_status_t rv;

    for (apr_size_t i = 0; i < n; i++) {
        kind[i] = r->dest[i].kind;
        name[i] = r->dest[i].name;
        sample[i] = r->dest[i].sample;
        deferred[i] = r->dest[i].deferred;
    }
    rv = sal_db_exec(db, &sal_s_export_register, NULL, p, err, SAL_V_INTS(kind, n),
                     SAL_V_TEXTS(name, n), SAL_V_INTS(sample, n), SAL_V_INTS(deferred, n));
    return rv == APR_SUCCESS ? sal_db_exec(db, &sal_s_export_retire, NULL, p, err,
                                           SAL_V_INTS(kind, n), SAL_V_TEXTS(name, n))
                             : rv;
}

apr_status_t sal_outbox_register(const sal_outbox_dest_t *dest, int n, sal_db_t *db, apr_pool_t *p,
                                 sal_error_t *err)
{
    registering_t r = { dest, n };

    return sal_db_txn(db, register_txn, &r, p, err);
}

apr_status_t sal_outbox_note(const char *crash_id, bool shown, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_export_note, NULL, p, err, SAL_V_TEXT(crash_id),
                       SAL_V_BOOL(shown), SAL_V_INT(sal_export_draw(crash_id)));
}

static apr_status_t counted(int *n, apr_status_t rv, const sal_rows_t *rows)
{
    if (n) {
        *n = rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    }
    return rv;
}

apr_status_t sal_outbox_put(int *n, const char *name, const char *subject, int pass,
                            const char *body, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_put, &rows, p, err, SAL_V_TEXT(name),
                                  SAL_V_TEXT(subject), SAL_V_INT(pass), SAL_V_JSON(body));

    return counted(n, rv, rows);
}

apr_status_t sal_outbox_adopt(int *n, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_run(db, &sal_s_export_adopt, NULL, 0, &rows, p, err);

    return counted(n, rv, rows);
}

apr_status_t sal_outbox_backfill(apr_int64_t *n, const char *name, apr_time_t from, apr_time_t to,
                                 bool again, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t last = 0;
    char last_id[40] = "";
    apr_pool_t *page;
    apr_status_t rv;
    bool more = true;

    *n = 0;
    apr_pool_create(&page, p);
    do {
        sal_rows_t *rows;

        apr_pool_clear(page);
        rv = sal_db_exec(db, &sal_s_export_backfill, &rows, page, err, SAL_V_TEXT(name),
                         SAL_V_TIME(from), SAL_V_TIME(to), SAL_V_TIME(last), SAL_V_TEXT(last_id),
                         SAL_V_BOOL(again));
        if (rv != APR_SUCCESS) {
            break;
        }
        more = sal_rows_int(rows, 0, 0) > 0;
        *n += sal_rows_int(rows, 0, 1);
        last = sal_rows_time(rows, 0, 2);
        apr_cpystrn(last_id, sal_rows_text(rows, 0, 3), sizeof(last_id));
    } while (more);
    apr_pool_destroy(page);
    return rv;
}

/* ---- taking out ---- */

static apr_status_t fenced(apr_status_t rv, const sal_rows_t *rows, const sal_parcel_t *parcel,
                           sal_error_t *err)
{
    if (rv == APR_SUCCESS && sal_rows_affected(rows) == 0) {
        return sal_fail(err, SAL_E_FENCED, "parcel %" APR_INT64_T_FMT " is another's now",
                        parcel->id);
    }
    return rv;
}

static apr_status_t settle(const sal_parcel_t *parcel, int state, const char *text, sal_db_t *db,
                           apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_settle, &rows, p, err, SAL_V_INT(parcel->id),
                                  SAL_V_INT(parcel->fence), SAL_V_INT(state), SAL_V_TEXT(text));

    return fenced(rv, rows, parcel, err);
}

apr_status_t sal_parcel_sent(const sal_parcel_t *parcel, const char *note, sal_db_t *db,
                             apr_pool_t *p, sal_error_t *err)
{
    return settle(parcel, 3, note, db, p, err);
}

apr_status_t sal_parcel_failed(const sal_parcel_t *parcel, const char *why, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    return settle(parcel, 2, why, db, p, err);
}

static apr_status_t take_apart(const sal_parcel_t *parcel, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    if (parcel->size == 1) {
        return sal_parcel_failed(parcel, "who worked on it died, three times", db, p, err);
    }
    return sal_db_exec(db, &sal_s_export_split, NULL, p, err, SAL_V_INT(parcel->id),
                       SAL_V_INT(parcel->fence));
}

static apr_status_t claim_one(sal_rows_t **rows, const sal_parcel_claim_t *c, sal_db_t *db,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv =
        sal_db_exec(db, &sal_s_export_claim, rows, p, err, SAL_V_INT(c->kind),
                    SAL_V_TEXT(c->destination), SAL_V_INT(c->lease), SAL_V_TEXT(c->who));

    if (rv != APR_SUCCESS || sal_rows_count(*rows) > 0) {
        return rv;
    }
    return sal_db_exec(db, &sal_s_export_gather, rows, p, err, SAL_V_INT(c->kind),
                       SAL_V_TEXT(c->destination), SAL_V_INT(c->most), SAL_V_INT(c->lease),
                       SAL_V_TEXT(c->who), SAL_V_INT(c->patience));
}

apr_status_t sal_parcel_claim(sal_parcel_t *out, bool *found, const sal_parcel_claim_t *claim,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    for (;;) {
        sal_rows_t *rows;
        apr_status_t rv = claim_one(&rows, claim, db, p, err);

        *found = rv == APR_SUCCESS && sal_rows_count(rows) > 0;
        if (!*found) {
            return rv;
        }
        *out = (sal_parcel_t){ .id = sal_rows_int(rows, 0, 0),
                               .fence = sal_rows_int(rows, 0, 1),
                               .kind = claim->kind,
                               .destination = claim->destination,
                               .attempts = (int)sal_rows_int(rows, 0, 2),
                               .size = (int)sal_rows_int(rows, 0, 4) };
        if (sal_rows_int(rows, 0, 3) < LOST_MOST) {
            return APR_SUCCESS;
        }
        rv = take_apart(out, db, p, err);
        if (rv != APR_SUCCESS && rv != SAL_E_FENCED) {
            return rv;
        }
    }
}

static void read_docs(sal_parcel_row_t *row, const sal_rows_t *rows, int i)
{
    row->blob = sal_rows_null(rows, i, 3) ? NULL : sal_rows_text(rows, i, 3);
    row->doc_pass = (int)sal_rows_int(rows, i, 4);
    row->seen_pass = (int)sal_rows_int(rows, i, 5);
}

apr_status_t sal_parcel_rows(sal_parcel_row_t **out, int *n, const sal_parcel_t *parcel,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    bool docs = parcel->kind == SAL_EXPORT_TELEMETRY;
    const sal_val_t of[] = { SAL_V_INT(parcel->id), SAL_V_TEXT(parcel->destination) };
    sal_rows_t *rows;
    apr_status_t rv = sal_db_run(db, docs ? &sal_s_export_docs : &sal_s_export_rows, of,
                                 docs ? 2 : 1, &rows, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *n = sal_rows_count(rows);
    *out = apr_pcalloc(p, sizeof(**out) * (apr_size_t)(*n + 1));
    for (int i = 0; i < *n; i++) {
        sal_parcel_row_t *row = &(*out)[i];

        row->id = sal_rows_int(rows, i, 0);
        row->subject = sal_rows_text(rows, i, 1);
        row->pass = (int)sal_rows_int(rows, i, 2);
        if (docs) {
            read_docs(row, rows, i);
        } else {
            row->body = sal_rows_null(rows, i, 3) ? NULL : sal_rows_text(rows, i, 3);
        }
    }
    return APR_SUCCESS;
}

apr_status_t sal_parcel_renew(const sal_parcel_t *parcel, int lease, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_renew, &rows, p, err, SAL_V_INT(parcel->id),
                                  SAL_V_INT(parcel->fence), SAL_V_INT(lease));

    return fenced(rv, rows, parcel, err);
}

apr_status_t sal_parcel_retry(const sal_parcel_t *parcel, const char *why, int seconds,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_export_retry_later, &rows, p, err, SAL_V_INT(parcel->id),
                    SAL_V_INT(parcel->fence), SAL_V_TEXT(why), SAL_V_INT(seconds));

    return fenced(rv, rows, parcel, err);
}

apr_status_t sal_parcel_return(const sal_parcel_t *parcel, sal_db_t *db, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_give_back, &rows, p, err, SAL_V_INT(parcel->id),
                                  SAL_V_INT(parcel->fence));

    return fenced(rv, rows, parcel, err);
}

typedef struct seeing_t {
    const sal_parcel_t *parcel;
    const sal_parcel_seen_t *seen;
} seeing_t;

static apr_status_t seen_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    const sal_parcel_t *parcel = ((seeing_t *)baton)->parcel;
    const sal_parcel_seen_t *s = ((seeing_t *)baton)->seen;
    sal_rows_t *rows = NULL;
    apr_status_t rv = sal_db_exec(db, &sal_s_export_end, &rows, p, err, SAL_V_INT(parcel->id),
                                  SAL_V_INT(parcel->fence));

    rv = fenced(rv, rows, parcel, err);
    for (int i = 0; i < s->n_failed && rv == APR_SUCCESS; i++) {
        rv = sal_db_exec(db, &sal_s_export_row_failed, NULL, p, err, SAL_V_INT(s->failed[i]),
                         SAL_V_TEXT(s->why[i]));
    }
    if (rv == APR_SUCCESS && s->n) {
        rv = sal_db_exec(db, &sal_s_export_seen, NULL, p, err, SAL_V_TEXT(parcel->destination),
                         SAL_V_TEXTS(s->crash_id, (apr_size_t)s->n),
                         SAL_V_INTS(s->pass, (apr_size_t)s->n));
    }
    return rv == APR_SUCCESS
               ? sal_db_exec(db, &sal_s_export_rows_gone, NULL, p, err, SAL_V_INT(parcel->id))
               : rv;
}

apr_status_t sal_parcel_seen(const sal_parcel_t *parcel, const sal_parcel_seen_t *seen,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    seeing_t s = { parcel, seen };

    return sal_db_txn(db, seen_txn, &s, p, err);
}

int sal_parcel_pause(int attempts, int first)
{
    unsigned char noise = 0;
    int pause = first;

    for (int i = 1; i < attempts && pause < PAUSE_MOST; i++) {
        pause *= 2;
    }
    pause = pause > PAUSE_MOST ? PAUSE_MOST : pause;
    apr_generate_random_bytes(&noise, 1);
    return pause + pause / 4 * noise / 255;
}
