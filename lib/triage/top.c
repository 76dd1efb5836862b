/*
 * The board with all that stands beside a signature.
 */
#include "triage/top.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "triage/bugs.h"
#include "triage/signatures.h"
#include "triage/versions.h"

#define DAY apr_time_from_sec(24 * 3600)
enum { WEEK = 7, LEAST = 20, AWAY = 7 };

typedef struct reading_t {
    sal_top_t *out;
    const sal_board_filter_t *filter;
    const char **signatures;
    apr_time_t now;
    const sal_super_reader_t *reader;
    sal_db_t *db;
    apr_pool_t *p;
    sal_error_t *err;
} reading_t;

static sal_top_row_t *row_of(const reading_t *r, const char *signature)
{
    for (int i = 0; i < r->out->n; i++) {
        if (!strcmp(r->signatures[i], signature)) {
            return &r->out->rows[i];
        }
    }
    return NULL;
}

/* The window of equal length just before; of build ids, crashes of both windows count. */
static apr_status_t read_before(reading_t *r)
{
    sal_board_filter_t f = *r->filter;
    apr_time_t length = f.to - f.from;
    sal_board_t board;
    apr_status_t rv;

    f.from -= length;
    if (f.build_to) {
        f.build_to = f.build_from;
        f.build_from -= length;
    } else {
        f.to -= length;
    }
    r->out->before_from = r->filter->from - length;
    r->out->before_to = r->filter->from;
    rv = sal_board_read(&board, &f, false, r->reader, r->db, r->p, r->err);
    for (int i = 0; rv == APR_SUCCESS && i < r->out->n; i++) {
        const sal_board_count_t *c =
            apr_hash_get(board.by_signature, r->signatures[i], APR_HASH_KEY_STRING);

        r->out->rows[i].before = c ? c->n : 0;
        r->out->rows[i].rank_before = c ? c->rank : 0;
    }
    r->out->before = rv == APR_SUCCESS ? board.total : 0;
    return rv;
}

static apr_status_t read_installs(reading_t *r)
{
    int64_t *each = apr_pcalloc(r->p, sizeof(*each) * ((apr_size_t)r->out->n + 1));
    apr_status_t rv = sal_board_installs(&r->out->installs, each, r->filter, r->signatures,
                                         r->out->n, r->reader, r->db, r->p, r->err);

    for (int i = 0; rv == APR_SUCCESS && i < r->out->n; i++) {
        r->out->rows[i].installs = each[i];
    }
    return rv;
}

static apr_status_t read_days(reading_t *r)
{
    int64_t *days = apr_palloc(r->p, sizeof(*days) * SAL_BOARD_DAYS * ((apr_size_t)r->out->n + 1));
    sal_board_filter_t f = *r->filter;
    apr_status_t rv;

    f.versions = NULL;
    rv = sal_board_days(days, &f, r->signatures, r->out->n, r->now, r->reader, r->db, r->p, r->err);
    for (int i = 0; rv == APR_SUCCESS && i < r->out->n; i++) {
        memcpy(r->out->rows[i].days, days + i * SAL_BOARD_DAYS, sizeof(r->out->rows[i].days));
    }
    return rv;
}

static apr_status_t read_first(reading_t *r)
{
    sal_first_t *first;
    int n;
    apr_status_t rv =
        sal_triage_first(&first, &n, r->signatures, r->out->n, false, r->db, r->p, r->err);

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        sal_top_row_t *row = row_of(r, first[i].signature);

        if (row) {
            row->first = first[i].date ? first[i].date : first[i].seen;
            row->is_new = row->first >= r->filter->from && row->first < r->filter->to;
        }
    }
    return rv;
}

static apr_status_t read_states(reading_t *r)
{
    sal_state_t *states;
    apr_status_t rv =
        sal_states_of(&states, r->signatures, r->out->n, r->filter->product, r->db, r->p, r->err);

    for (int i = 0; rv == APR_SUCCESS && i < r->out->n; i++) {
        r->out->rows[i].state = states[i];
    }
    return rv;
}

static int highest_first(const void *a, const void *b)
{
    const sal_top_bug_t *x = a, *y = b;

    return x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

static apr_status_t read_bugs(reading_t *r)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(r->db, &sal_s_top_bugs, &rows, r->p, r->err,
                                  SAL_V_TEXTS(r->signatures, (apr_size_t)r->out->n));

    for (int i = 0, n = rv == APR_SUCCESS ? sal_rows_count(rows) : 0, k; i < n; i = k) {
        sal_top_row_t *row = row_of(r, sal_rows_text(rows, i, 0));
        sal_top_bug_t *bugs = apr_palloc(r->p, sizeof(*bugs) * (apr_size_t)(n - i));

        for (k = i; k < n && !strcmp(sal_rows_text(rows, i, 0), sal_rows_text(rows, k, 0)); k++) {
            bugs[k - i] = (sal_top_bug_t){ sal_rows_int(rows, k, 1), sal_rows_text(rows, k, 2),
                                           sal_rows_text(rows, k, 3), sal_rows_text(rows, k, 4) };
        }
        qsort(bugs, (size_t)(k - i), sizeof(*bugs), highest_first);
        if (row) {
            row->bugs = bugs;
            row->n_bugs = k - i;
        }
    }
    return rv;
}

/* A signature of these days came with the lowest version that it crashes. */
static apr_status_t read_new_in(reading_t *r)
{
    char lowest[SAL_VERSION_KEY] = "", key[SAL_VERSION_KEY];
    sal_rows_t *rows;
    apr_status_t rv = sal_board_versions(&rows, r->filter->product, r->signatures, r->out->n,
                                         r->now, r->db, r->p, r->err);
    const char *last = "";

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        sal_top_row_t *row = row_of(r, sal_rows_text(rows, i, 0));

        if (strcmp(last, sal_rows_text(rows, i, 0))) {
            last = sal_rows_text(rows, i, 0);
            lowest[0] = '\0';
        }
        if (row && row->first > r->now - SAL_BOARD_DAYS * DAY &&
            sal_version_key(key, sal_rows_text(rows, i, 1)) &&
            (!*lowest || strcmp(key, lowest) < 0)) {
            memcpy(lowest, key, sizeof(lowest));
            row->new_in = sal_rows_text(rows, i, 1);
        }
    }
    return rv;
}

apr_status_t sal_top_read(sal_top_t *out, const sal_board_filter_t *filter, int size,
                          apr_time_t now, const sal_super_reader_t *reader, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    static apr_status_t (*const steps[])(reading_t *) = { read_before, read_installs, read_days,
                                                          read_first,  read_states,   read_bugs,
                                                          read_new_in };
    reading_t r = { out, filter, NULL, now, reader, db, p, err };
    sal_board_t board;
    apr_status_t rv = sal_board_read(&board, filter, true, reader, db, p, err);

    *out = (sal_top_t){ 0 };
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->total = board.total;
    out->signatures = board.n;
    out->n = board.n < size ? board.n : size;
    out->rows = apr_pcalloc(p, sizeof(*out->rows) * ((apr_size_t)out->n + 1));
    r.signatures = apr_pcalloc(p, sizeof(char *) * ((apr_size_t)out->n + 1));
    memcpy(out->platforms, board.platforms, sizeof(out->platforms));
    for (int i = 0; i < out->n; i++) {
        out->rows[i].now = board.list[i];
        out->shown += board.list[i].n;
        r.signatures[i] = board.list[i].signature;
    }
    for (apr_size_t i = 0; out->total && rv == APR_SUCCESS && i < sizeof steps / sizeof steps[0];
         i++) {
        rv = steps[i](&r);
    }
    return rv;
}

/* ---- what days tell ---- */

static int64_t sum_of(const int64_t *days, int n)
{
    int64_t sum = 0;

    while (n > 0) {
        sum += days[--n];
    }
    return sum;
}

double sal_top_rise(const int64_t days[SAL_BOARD_DAYS])
{
    int64_t week = sum_of(days + SAL_BOARD_DAYS - 1 - WEEK, WEEK);
    int64_t before = sum_of(days + SAL_BOARD_DAYS - 1 - 2 * WEEK, WEEK);

    return week >= LEAST && before > 0 && 2 * week >= 3 * before ? (double)week / (double)before
                                                                 : 0;
}

int sal_top_gap(const int64_t days[SAL_BOARD_DAYS])
{
    int at = SAL_BOARD_DAYS - 1, gap = 0;

    while (at >= SAL_BOARD_DAYS - 1 - WEEK && days[at] == 0) {
        at--; /* the last days may be quiet */
    }
    while (at >= SAL_BOARD_DAYS - 1 - WEEK && days[at] > 0) {
        at--;
    }
    for (; at >= 0 && days[at] == 0; at--) {
        gap++;
    }
    return at >= 0 && gap >= AWAY && at < SAL_BOARD_DAYS - 1 - AWAY ? gap : 0;
}
