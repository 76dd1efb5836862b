/*
 * Signatures that moved: of those that crashed in the last 24 hours, what is new, what has come
 * back, and what there is much more of than on the seven whole days before.
 */
#include "triage/overview_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "search/fields.h"
#include "triage/signatures.h"
#include "triage/top.h"
#include "triage/versions.h"

enum { CANDIDATES = 200, WEEK = 7, LEAST = 10, NEW_LEAST = 3, AWAY = 7 };

typedef struct candidate_t {
    sal_overview_move_t move;
    apr_time_t first;
    double score;
} candidate_t;

static int most_first(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;

    return x->move.day != y->move.day ? (x->move.day < y->move.day ? 1 : -1)
                                      : strcmp(x->move.signature, y->move.signature);
}

static int score_first(const void *a, const void *b)
{
    const candidate_t *x = a, *y = b;

    return x->score != y->score ? (x->score < y->score ? 1 : -1) : most_first(a, b);
}

static candidate_t *candidates(const overview_t *o, int *n)
{
    apr_array_header_t *list = apr_array_make(o->p, CANDIDATES, sizeof(candidate_t));
    const json_t *row, *signature;
    size_t i, k;

    json_array_foreach(o->today, i, row)
    {
        json_array_foreach(board_facet(row, "signature"), k, signature)
        {
            if (board_n(signature) >= NEW_LEAST && *board_term(signature)) {
                APR_ARRAY_PUSH(list, candidate_t) =
                    (candidate_t){ .move = { .product = board_term(row),
                                             .signature = board_term(signature),
                                             .day = board_n(signature) } };
            }
        }
    }
    qsort(list->elts, (size_t)list->nelts, sizeof(candidate_t), most_first);
    *n = list->nelts < CANDIDATES ? list->nelts : CANDIDATES;
    return (candidate_t *)list->elts;
}

static candidate_t *find(candidate_t *list, int n, const char *product, const char *signature)
{
    for (int i = 0; i < n; i++) {
        if (!strcmp(list[i].move.signature, signature) && !strcmp(list[i].move.product, product)) {
            return &list[i];
        }
    }
    return NULL;
}

/* Each signature once: two products may share one. */
static const char **signatures_of(const candidate_t *list, int n, int *count, apr_pool_t *p)
{
    const char **out = apr_palloc(p, sizeof(char *) * ((apr_size_t)n + 1));

    *count = 0;
    for (int i = 0; i < n; i++) {
        bool known = false;

        for (int k = 0; k < *count && !known; k++) {
            known = !strcmp(out[k], list[i].move.signature);
        }
        if (!known) {
            out[(*count)++] = list[i].move.signature;
        }
    }
    return out;
}

static void add_day(candidate_t *c, int day, int64_t n)
{
    if (c && day >= 0) {
        c->move.days[day] += n;
    }
}

static apr_status_t live_days(overview_t *o, candidate_t *list, int n, const char **signatures,
                              int count, board_range_t range)
{
    static const char *const extra[] = { "_aggs.product.signature", "_histogram.date", NULL };
    json_t *rows, *row, *signature, *day;
    apr_status_t rv = overview_ask(&rows, o, range, extra, CANDIDATES, signatures, count);
    size_t i, k, m;

    json_array_foreach(rv == APR_SUCCESS ? rows : NULL, i, row)
    {
        json_array_foreach(board_facet(row, "signature"), k, signature)
        {
            candidate_t *c = find(list, n, board_term(row), board_term(signature));

            json_array_foreach(board_facet(signature, "histogram_date"), m, day)
            {
                add_day(c, overview_day(o, board_term(day)), board_n(day));
            }
        }
    }
    return rv;
}

static apr_status_t counted_days(overview_t *o, candidate_t *list, int n, const char **signatures,
                                 int count)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(o->db, &sal_s_overview_signature_days, &rows, o->p, o->err,
                                  SAL_V_TEXTS(o->parts.days, (apr_size_t)o->parts.n_days),
                                  SAL_V_TEXTS(signatures, (apr_size_t)count),
                                  SAL_V_INT(sal_search_field("signature")->number));

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        add_day(find(list, n, sal_rows_text(rows, i, 0), sal_rows_text(rows, i, 1)),
                overview_day(o, sal_rows_text(rows, i, 2)), sal_rows_int(rows, i, 3));
    }
    return rv;
}

static apr_status_t read_first(overview_t *o, candidate_t *list, int n, const char **signatures,
                               int count)
{
    sal_first_t *first;
    int known;
    apr_status_t rv =
        sal_triage_first(&first, &known, signatures, count, false, o->db, o->p, o->err);

    for (int i = 0; rv == APR_SUCCESS && i < known; i++) {
        for (int k = 0; k < n; k++) {
            if (!strcmp(list[k].move.signature, first[i].signature)) {
                list[k].first = first[i].date ? first[i].date : first[i].seen;
            }
        }
    }
    return rv;
}

/* Days without a crash before the last two, which the 24 hours lie in. */
static int away(const int64_t *days)
{
    int at = SAL_BOARD_DAYS - 3, gap = 0;

    for (; at >= 0 && days[at] == 0; at--) {
        gap++;
    }
    return at >= 0 ? gap : 0;
}

static bool has_moved(candidate_t *c, apr_time_t now)
{
    const int64_t *days = c->move.days;
    int64_t sum = 0;

    /* the seven whole days that ended before the 24 hours began */
    for (int i = SAL_BOARD_DAYS - 2 - WEEK; i < SAL_BOARD_DAYS - 2; i++) {
        sum += days[i];
    }
    c->move.average = (double)sum / WEEK;
    c->score = (double)c->move.day - c->move.average;
    c->move.gap = away(days);
    if (c->first > now - WEEK * DAY) {
        c->move.kind = SAL_MOVE_NEW;
        return true;
    }
    if (c->move.gap >= AWAY) {
        c->move.kind = SAL_MOVE_BACK;
        return true;
    }
    c->move.kind = SAL_MOVE_RISING;
    return c->move.day >= LEAST && sum > 0 && (double)c->move.day >= 1.5 * c->move.average;
}

/* Of what is new the lowest version; else the one with most crashes. */
static apr_status_t read_version(overview_t *o, sal_overview_move_t *move)
{
    char lowest[SAL_VERSION_KEY] = "", key[SAL_VERSION_KEY];
    sal_rows_t *rows;
    int64_t most = 0;
    apr_status_t rv = sal_board_versions(&rows, move->product, &move->signature, 1, o->out->now,
                                         o->db, o->p, o->err);

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        const char *version = sal_rows_text(rows, i, 1);

        if (move->kind == SAL_MOVE_NEW) {
            if (sal_version_key(key, version) && (!*lowest || strcmp(key, lowest) < 0)) {
                memcpy(lowest, key, sizeof(lowest));
                move->version = version;
            }
        } else if (sal_rows_int(rows, i, 2) > most) {
            most = sal_rows_int(rows, i, 2);
            move->version = version;
        }
    }
    return rv;
}

static apr_status_t choose(overview_t *o, candidate_t *list, int n)
{
    sal_overview_t *out = o->out;
    apr_status_t rv = APR_SUCCESS;
    int moved = 0;

    for (int i = 0; i < n; i++) {
        if (has_moved(&list[i], out->now)) {
            list[moved++] = list[i];
        }
    }
    qsort(list, (size_t)moved, sizeof(*list), score_first);
    out->moves = apr_pcalloc(o->p, sizeof(*out->moves) * (SAL_OVERVIEW_MOVES + 1));
    for (int i = 0; rv == APR_SUCCESS && i < moved && i < SAL_OVERVIEW_MOVES; i++) {
        out->moves[i] = list[i].move;
        rv = read_version(o, &out->moves[i]);
        out->n_moves++;
    }
    return rv;
}

apr_status_t overview_moves(overview_t *o)
{
    int n, count;
    candidate_t *list = candidates(o, &n);
    const char **signatures = signatures_of(list, n, &count, o->p);
    apr_status_t rv = n ? counted_days(o, list, n, signatures, count) : APR_SUCCESS;

    for (int i = 0; n && rv == APR_SUCCESS && i < o->parts.live->nelts; i++) {
        rv = live_days(o, list, n, signatures, count,
                       APR_ARRAY_IDX(o->parts.live, i, board_range_t));
    }
    if (n && rv == APR_SUCCESS) {
        rv = read_first(o, list, n, signatures, count);
    }
    return rv == APR_SUCCESS ? choose(o, list, n) : rv;
}
