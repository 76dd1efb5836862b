/*
 * Top crashers of two versions side by side, and from one version to the next.
 */
#include "triage/top.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "triage/correlate.h"
#include "triage/products.h"
#include "triage/versions.h"

enum { LEAST = 2 }; /* crashes of a regression: one alone is none */

static double percent(int64_t n, int64_t total)
{
    return total ? 100.0 * (double)n / (double)total : 0;
}

static apr_status_t read_version(sal_board_t *out, const sal_board_filter_t *filter,
                                 const char *version, const sal_super_reader_t *reader,
                                 sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char **versions = apr_pcalloc(p, 2 * sizeof(char *));
    sal_board_filter_t f = *filter;

    versions[0] = version;
    f.versions = versions;
    return sal_board_read(out, &f, false, reader, db, p, err);
}

/* ---- side by side ---- */

static const sal_board_count_t *in(const sal_board_t *board, const char *signature)
{
    return apr_hash_get(board->by_signature, signature, APR_HASH_KEY_STRING);
}

static int moved_most_first(const void *a, const void *b)
{
    const sal_top_pair_t *x = a, *y = b;
    double p = x->moved < 0 ? -x->moved : x->moved, q = y->moved < 0 ? -y->moved : y->moved;

    return p < q ? 1 : p > q ? -1 : strcmp(x->signature, y->signature);
}

apr_status_t sal_top_compare(sal_top_compare_t *out, const sal_board_filter_t *filter,
                             const char *a, const char *b, const sal_super_reader_t *reader,
                             sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = read_version(&out->a, filter, a, reader, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = read_version(&out->b, filter, b, reader, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->n_only_a = out->n_only_b = out->n_both = 0;
    out->only_a = apr_pcalloc(p, sizeof(*out->only_a) * ((apr_size_t)out->a.n + 1));
    out->only_b = apr_pcalloc(p, sizeof(*out->only_b) * ((apr_size_t)out->b.n + 1));
    out->both = apr_pcalloc(p, sizeof(*out->both) * ((apr_size_t)out->a.n + 1));
    for (int i = 0; i < out->a.n; i++) {
        const sal_board_count_t *x = &out->a.list[i], *y = in(&out->b, x->signature);
        sal_top_pair_t pair = { x->signature, x, y, 0 };

        if (y) {
            pair.moved = percent(y->n, out->b.total) - percent(x->n, out->a.total);
            out->both[out->n_both++] = pair;
        } else {
            out->only_a[out->n_only_a++] = pair;
        }
    }
    for (int i = 0; i < out->b.n; i++) {
        const sal_board_count_t *y = &out->b.list[i];

        if (!in(&out->a, y->signature)) {
            out->only_b[out->n_only_b++] = (sal_top_pair_t){ y->signature, NULL, y, 0 };
        }
    }
    qsort(out->both, (size_t)out->n_both, sizeof(*out->both), moved_most_first);
    return APR_SUCCESS;
}

/* ---- from one version to the next ---- */

/* Older, of the same channel; "X.Yb" is no version of its own. */
static bool is_earlier(const char *other, const char *version, const char *key)
{
    char its[SAL_VERSION_KEY];
    apr_size_t len = strlen(other);

    return sal_version_key(its, other) && strcmp(its, key) < 0 &&
           !strcmp(sal_version_channel(other), sal_version_channel(version)) &&
           !(len && other[len - 1] == 'b');
}

const char *sal_top_before(const char *version, const char *const *versions, int n)
{
    char key[SAL_VERSION_KEY], best[SAL_VERSION_KEY] = "", its[SAL_VERSION_KEY];
    const char *found = NULL;

    if (!sal_version_key(key, version)) {
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        if (is_earlier(versions[i], version, key) && sal_version_key(its, versions[i]) &&
            (!found || strcmp(its, best) > 0)) {
            found = versions[i];
            memcpy(best, its, sizeof(best));
        }
    }
    return found;
}

static int worst_first(const void *a, const void *b)
{
    const sal_top_regression_t *x = a, *y = b;

    return x->kind != y->kind ? (int)x->kind - (int)y->kind
           : x->n != y->n     ? (x->n < y->n ? 1 : -1)
                              : strcmp(x->signature, y->signature);
}

/* False: it is none. */
static bool judge(sal_top_regression_t *r, int64_t total, int64_t total_before)
{
    r->share = percent(r->n, total);
    r->share_before = percent(r->before, total_before);
    if (r->n < LEAST) {
        return false;
    }
    r->kind = r->before ? SAL_TOP_MORE : r->earlier ? SAL_TOP_BACK : SAL_TOP_NEW;
    return r->kind != SAL_TOP_MORE || (r->share >= 1.5 * r->share_before &&
                                       sal_correlate_low(r->n, total, r->before, total_before) > 0);
}

/* All crashes of versions before the one before. */
static apr_status_t read_earlier(sal_board_t *board, sal_top_regressions_t *out,
                                 const sal_board_filter_t *filter, const char *const *versions,
                                 int n, const sal_super_reader_t *reader, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    const char **list = apr_pcalloc(p, sizeof(char *) * ((apr_size_t)n + 1));
    sal_board_filter_t f = *filter;
    char key[SAL_VERSION_KEY];

    *board = (sal_board_t){ .by_signature = apr_hash_make(p) };
    (void)sal_version_key(key, out->before);
    for (int i = 0; i < n; i++) {
        if (is_earlier(versions[i], out->before, key)) {
            list[out->earlier++] = versions[i];
        }
    }
    f.versions = list;
    return out->earlier ? sal_board_read(board, &f, false, reader, db, p, err) : APR_SUCCESS;
}

apr_status_t sal_top_regressions(sal_top_regressions_t *out, const sal_board_filter_t *filter,
                                 const char *version, const char *const *versions, int n_versions,
                                 apr_time_t since, const sal_super_reader_t *reader, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    sal_board_t now, before, earlier;
    sal_board_filter_t f = *filter;
    apr_status_t rv = read_version(&now, filter, version, reader, db, p, err);

    *out = (sal_top_regressions_t){ .before = sal_top_before(version, versions, n_versions) };
    if (rv != APR_SUCCESS || !out->before) {
        out->total = rv == APR_SUCCESS ? now.total : 0;
        return rv;
    }
    f.from = since < f.from ? since : f.from;
    rv = read_version(&before, &f, out->before, reader, db, p, err);
    if (rv == APR_SUCCESS) {
        rv = read_earlier(&earlier, out, &f, versions, n_versions, reader, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->total = now.total;
    out->total_before = before.total;
    out->list = apr_pcalloc(p, sizeof(*out->list) * ((apr_size_t)now.n + 1));
    for (int i = 0; i < now.n; i++) {
        const char *signature = now.list[i].signature;
        const sal_board_count_t *x = in(&before, signature), *y = in(&earlier, signature);
        sal_top_regression_t r = { .signature = signature,
                                   .n = now.list[i].n,
                                   .before = x ? x->n : 0,
                                   .earlier = y ? y->n : 0 };

        if (judge(&r, now.total, before.total)) {
            out->list[out->n++] = r;
        }
    }
    qsort(out->list, (size_t)out->n, sizeof(*out->list), worst_first);
    return APR_SUCCESS;
}
