/*
 * Crashes of a product and channel as lists of items. Terms become items by their text, so that
 * two versions of an add-on, or two builds of a module, are one.
 */
#include "triage/correlate_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>

/* The columns of triage_correlate_crashes behind the signature, in its order. */
typedef enum { TERM, TRUTH, ADDONS, MODULES } kind_t;
static const struct {
    const char *name;
    kind_t kind;
} columns[] = {
    { "platform_pretty_version", TERM },
    { "version", TERM },
    { "cpu_arch", TERM },
    { "cpu_info", TERM },
    { "cpu_microcode_version", TERM },
    { "adapter_vendor_id", TERM },
    { "adapter_device_id", TERM },
    { "adapter_driver_version", TERM },
    { "process_type", TERM },
    { "report_type", TERM },
    { "reason", TERM },
    { "moz_crash_reason", TERM },
    { "useragent_locale", TERM },
    { "distribution_id", TERM },
    { "android_manufacturer", TERM },
    { "android_model", TERM },
    { "android_version", TERM },
    { "startup_crash", TRUTH },
    { "is_garbage_collecting", TRUTH },
    { "dom_fission_enabled", TRUTH },
    { "safe_mode", TRUTH },
    { "accessibility", TRUTH },
    { "Addon", ADDONS },
    { "Module", MODULES },
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), LOOK_UP = 10000 };

/* A term in a column; truths are term 1. */
typedef struct key_t {
    int column, term;
} key_pair_t;

typedef struct loader_t {
    crashes_t *out;
    apr_hash_t *seen;          /* key_pair_t -> its number + 1 */
    apr_array_header_t *pairs; /* of key_pair_t */
    apr_array_header_t *row;   /* of int: numbers of pairs of the crash at hand */
    sal_db_t *db;
    apr_pool_t *p; /* until all is loaded */
} loader_t;

static void note(loader_t *l, int column, int term)
{
    key_pair_t key = { column, term }, *kept;
    void *number = apr_hash_get(l->seen, &key, sizeof(key));

    if (!number) {
        kept = apr_pmemdup(l->p, &key, sizeof(key));
        APR_ARRAY_PUSH(l->pairs, key_pair_t) = key;
        number = (void *)(intptr_t)l->pairs->nelts;
        apr_hash_set(l->seen, kept, sizeof(key), number);
    }
    APR_ARRAY_PUSH(l->row, int) = (int)(intptr_t)number - 1;
}

/* "{12,7}", or a single number. */
static void note_list(loader_t *l, int column, const char *text)
{
    while (*text) {
        char *end;
        long term = strtol(text, &end, 10);

        if (end == text) {
            text++;
            continue;
        }
        note(l, column, (int)term);
        text = end;
    }
}

static void take_row(loader_t *l, const sal_rows_t *rows, int r)
{
    crash_t *crash;

    apr_array_clear(l->row);
    for (int c = 0; c < COLUMNS; c++) {
        if (sal_rows_null(rows, r, c + 1)) {
            continue;
        }
        if (columns[c].kind != TRUTH) {
            note_list(l, c, sal_rows_text(rows, r, c + 1));
        } else if (sal_rows_bool(rows, r, c + 1)) {
            note(l, c, 1);
        }
    }
    crash = apr_array_push(l->out->list);
    crash->signature = (int)sal_rows_int(rows, r, 0);
    crash->n = l->row->nelts;
    crash->items =
        apr_pmemdup(l->out->pool, l->row->elts, sizeof(int) * (apr_size_t)l->row->nelts + 1);
}

/* A day at a time: so that the answers of the database stay small. */
static apr_status_t take_day(loader_t *l, const channel_t *channel, int day, sal_error_t *err)
{
    apr_pool_t *p;
    sal_rows_t *rows;
    apr_status_t rv;

    apr_pool_create(&p, l->p);
    rv = sal_db_exec(l->db, &sal_s_triage_correlate_crashes, &rows, p, err,
                     SAL_V_TEXT(channel->from), SAL_V_INT(day), SAL_V_INT(channel->product),
                     SAL_V_INT(channel->channel), SAL_V_INT((int64_t)(l->out->share * 1048576)));
    for (int r = 0; rv == APR_SUCCESS && r < sal_rows_count(rows); r++) {
        take_row(l, rows, r);
    }
    apr_pool_destroy(p);
    return rv;
}

/* ---- texts ---- */

/* Without the version of an add-on, the id of a module. */
static const char *plain(kind_t kind, const char *text, apr_pool_t *p)
{
    const char *cut = kind == ADDONS    ? strrchr(text, ':')
                      : kind == MODULES ? strchr(text, '/')
                                        : NULL;

    return apr_pstrmemdup(p, text, cut ? (apr_size_t)(cut - text) : strlen(text));
}

static const char *named(int column, const char *text, apr_pool_t *p)
{
    return columns[column].kind == ADDONS || columns[column].kind == MODULES
               ? apr_pstrcat(p, columns[column].name, " \"", text, "\"", NULL)
               : columns[column].name;
}

/* The item of a pair, found or made. */
static int intern(loader_t *l, apr_hash_t *known, int column, const char *text)
{
    apr_pool_t *pool = l->out->pool;
    const char *key, *name;
    item_t *item;
    void *number;

    text = plain(columns[column].kind, text, l->p);
    name = named(column, text, l->p);
    key = apr_pstrcat(l->p, name, "\x1f", text, NULL);
    number = apr_hash_get(known, key, APR_HASH_KEY_STRING);
    if (!number) {
        item = apr_array_push(l->out->items);
        *item = (item_t){ apr_pstrdup(pool, name),
                          columns[column].kind == TERM ? apr_pstrdup(pool, text) : NULL };
        number = (void *)(intptr_t)l->out->items->nelts;
        apr_hash_set(known, key, APR_HASH_KEY_STRING, number);
    }
    return (int)(intptr_t)number - 1;
}

static apr_status_t name_some(loader_t *l, int *item_of, apr_hash_t *known, int first, int n,
                              sal_error_t *err)
{
    const key_pair_t *pairs = (const key_pair_t *)l->pairs->elts + first;
    apr_hash_t *texts;
    int64_t *terms;
    apr_pool_t *p;
    sal_rows_t *rows;
    apr_status_t rv;

    apr_pool_create(&p, l->p);
    texts = apr_hash_make(p);
    terms = apr_palloc(p, sizeof(*terms) * (apr_size_t)(n + 1));
    for (int i = 0; i < n; i++) {
        terms[i] = pairs[i].term;
    }
    rv = sal_db_exec(l->db, &sal_s_triage_terms, &rows, p, err, SAL_V_INTS(terms, (apr_size_t)n));
    for (int r = 0; rv == APR_SUCCESS && r < sal_rows_count(rows); r++) {
        int *term = apr_palloc(p, sizeof(int));

        *term = (int)sal_rows_int(rows, r, 0);
        apr_hash_set(texts, term, sizeof(*term), sal_rows_text(rows, r, 1));
    }
    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        const char *text = columns[pairs[i].column].kind == TRUTH
                               ? "true"
                               : apr_hash_get(texts, &pairs[i].term, sizeof(int));

        item_of[first + i] = text ? intern(l, known, pairs[i].column, text) : -1;
    }
    apr_pool_destroy(p);
    return rv;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Numbers of pairs become items, each once. */
static void rename_items(crash_t *crash, const int *item_of)
{
    int *items = (int *)crash->items, n = 0, kept = 0;

    for (int i = 0; i < crash->n; i++) {
        if (item_of[items[i]] >= 0) {
            items[n++] = item_of[items[i]];
        }
    }
    qsort(items, (size_t)n, sizeof(int), ascending);
    for (int i = 0; i < n; i++) {
        if (kept == 0 || items[i] != items[kept - 1]) {
            items[kept++] = items[i];
        }
    }
    crash->n = kept;
}

static apr_status_t name_all(loader_t *l, sal_error_t *err)
{
    int *item_of = apr_palloc(l->p, sizeof(int) * (apr_size_t)(l->pairs->nelts + 1));
    apr_hash_t *known = apr_hash_make(l->p);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < l->pairs->nelts && rv == APR_SUCCESS; i += LOOK_UP) {
        int n = l->pairs->nelts - i;

        rv = name_some(l, item_of, known, i, n < LOOK_UP ? n : LOOK_UP, err);
    }
    for (int i = 0; i < l->out->list->nelts && rv == APR_SUCCESS; i++) {
        rename_items((crash_t *)l->out->list->elts + i, item_of);
    }
    return rv;
}

apr_status_t correlate_load(crashes_t *out, const channel_t *channel, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    loader_t l = { .out = out, .db = db };
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&l.p, p);
    out->pool = p;
    out->items = apr_array_make(p, 1000, sizeof(item_t));
    out->list = apr_array_make(p, 1000, sizeof(crash_t));
    out->share =
        channel->total <= CORRELATE_CRASHES ? 1 : (double)CORRELATE_CRASHES / channel->total;
    l.seen = apr_hash_make(l.p);
    l.pairs = apr_array_make(l.p, 1000, sizeof(key_pair_t));
    l.row = apr_array_make(l.p, 100, sizeof(int));
    for (int day = 0; day < channel->days && rv == APR_SUCCESS; day++) {
        rv = take_day(&l, channel, day, err);
    }
    if (rv == APR_SUCCESS) {
        rv = name_all(&l, err);
    }
    apr_pool_destroy(l.p);
    return rv;
}
