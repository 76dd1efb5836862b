/*
 * Which days of a window the counts by day answer, and the ids that they are kept by.
 */
#include "triage/board_private.h"

#include <string.h>
#include <apr_strings.h>
#include "search/fields.h"

#define DAY apr_time_from_sec(24 * 3600)

const char *const board_known_types[] = { "content", "gpu",    "parent",  "plugin",
                                          "rdd",     "socket", "utility", NULL };
enum { NAMES = 80 }; /* texts that are looked up */

/* ---- days ---- */

static const char *day_text(apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t x;

    apr_time_exp_gmt(&x, t);
    return apr_psprintf(p, "%04d-%02d-%02d", x.tm_year + 1900, x.tm_mon + 1, x.tm_mday);
}

static void add_live(board_parts_t *parts, apr_time_t from, apr_time_t to)
{
    board_range_t *last = parts->live->nelts
                              ? &APR_ARRAY_IDX(parts->live, parts->live->nelts - 1, board_range_t)
                              : NULL;

    if (from >= to) {
        return;
    }
    if (last && last->to == from) {
        last->to = to;
        return;
    }
    APR_ARRAY_PUSH(parts->live, board_range_t) = (board_range_t){ from, to };
}

static bool is_in(const sal_rows_t *rows, const char *day)
{
    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (!strcmp(sal_rows_text(rows, i, 0), day)) {
            return true;
        }
    }
    return false;
}

apr_status_t board_cut(board_parts_t *out, apr_time_t from, apr_time_t to, bool counts,
                       sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t first = from % DAY ? from - from % DAY + DAY : from, last = to - to % DAY;
    sal_rows_t *touched;
    apr_status_t rv;

    *out = (board_parts_t){ .live = apr_array_make(p, 4, sizeof(board_range_t)) };
    if (!counts || first >= last) {
        add_live(out, from, to);
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_board_touched, &touched, p, err, SAL_V_TEXT(day_text(first, p)),
                     SAL_V_TEXT(day_text(last, p)));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->days = apr_pcalloc(p, sizeof(char *) * (apr_size_t)((last - first) / DAY + 1));
    add_live(out, from, first);
    for (apr_time_t day = first; day < last; day += DAY) {
        const char *text = day_text(day, p);

        if (is_in(touched, text)) {
            add_live(out, day, day + DAY);
        } else {
            out->days[out->n_days++] = text;
        }
    }
    add_live(out, last, to);
    return APR_SUCCESS;
}

/* ---- ids ---- */

typedef struct lookup_t {
    int64_t fields[NAMES];
    const char *texts[NAMES];
    int64_t prefixes[NAMES]; /* 1: the text begins so */
    apr_size_t n;
} lookup_t;

static int64_t number_of(const char *field)
{
    return sal_search_field(field)->number;
}

static void want(lookup_t *l, const char *field, const char *text, bool prefix)
{
    if (text && l->n < sizeof l->texts / sizeof l->texts[0]) {
        l->fields[l->n] = number_of(field);
        l->prefixes[l->n] = prefix;
        l->texts[l->n++] = text;
    }
}

/* The text as a LIKE pattern that it begins with. */
static const char *beginning(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * strlen(text) + 2), *to = out;

    for (; *text; text++) {
        if (strchr("\\%_", *text)) {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to++ = '%';
    *to = '\0';
    return out;
}

static void want_versions(lookup_t *l, const char *const *versions, apr_pool_t *p)
{
    for (int i = 0; versions && versions[i] && l->n < NAMES; i++) {
        apr_size_t len = strlen(versions[i]);
        bool all = len && versions[i][len - 1] == 'b';

        want(l, "version", all ? beginning(versions[i], p) : versions[i], all);
    }
}

/* Ids of a field among the rows found; NULL where nothing of it was asked for. */
static sal_val_t found(const sal_rows_t *rows, const char *field, bool asked, apr_pool_t *p)
{
    int64_t *ids = apr_palloc(p, sizeof(int64_t) * ((apr_size_t)sal_rows_count(rows) + 1));
    apr_size_t n = 0;

    if (!asked) {
        return SAL_V_NULL(SAL_T_INT_ARRAY);
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        if (sal_rows_int(rows, i, 0) == number_of(field)) {
            ids[n++] = sal_rows_int(rows, i, 1);
        }
    }
    return SAL_V_INTS(ids, n);
}

apr_status_t board_ids(board_ids_t *out, const sal_board_filter_t *f, sal_db_t *db, apr_pool_t *p,
                       sal_error_t *err)
{
    bool versions = f->versions && *f->versions;
    lookup_t l = { .n = 0 };
    sal_rows_t *rows;
    apr_status_t rv;

    *out = (board_ids_t){ .other = f->process_type && !strcmp(f->process_type, "other") };
    want(&l, "product", f->product, false);
    want(&l, "platform", f->platform, false);
    want(&l, "report_type", f->report_type, false);
    want(&l, "process_type", out->other ? NULL : f->process_type, false);
    for (int i = 0; out->other && board_known_types[i]; i++) {
        want(&l, "process_type", board_known_types[i], false);
    }
    want_versions(&l, f->versions, p);
    rv = sal_db_exec(db, &sal_s_board_terms, &rows, p, err, SAL_V_INTS(l.fields, l.n),
                     SAL_V_TEXTS(l.texts, l.n), SAL_V_INTS(l.prefixes, l.n));
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->product = found(rows, "product", true, p);
    out->versions = found(rows, "version", versions, p);
    out->platform = found(rows, "platform", f->platform != NULL, p);
    out->report_type = found(rows, "report_type", f->report_type != NULL, p);
    out->process_types = found(rows, "process_type", f->process_type != NULL, p);
    out->none = !out->product.len || (versions && !out->versions.len);
    return APR_SUCCESS;
}
