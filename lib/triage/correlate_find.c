/*
 * The arithmetic of correlations: no database.
 */
#include "triage/correlate_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

typedef struct pair_t {
    int group, reference; /* crashes that have both */
} both_t;

typedef struct found_t {
    int item, second; /* second -1: a single item */
    int count, reference;
    int prior; /* of a pair: the one that it is seen with */
    int prior_group, prior_reference;
    double low;
} found_t;

typedef struct search_t {
    const crashes_t *all;
    const int *reference; /* by item */
    const int *group;
    const crash_t *first;
    int n, total;
    apr_array_header_t *singles; /* of found_t: with support, sure or not */
    apr_array_header_t *results; /* of found_t */
    apr_pool_t *p;
} search_t;

/* Of 0 to 1, by Newton's steps from above; the library does without libm. */
static double root(double x)
{
    double r = 1, next;

    for (int i = 0; i < 100 && (next = (r + x / r) / 2) < r; i++) {
        r = next;
    }
    return r;
}

double sal_correlate_low(int64_t a, int64_t n, int64_t b, int64_t m)
{
    double p, q;

    if (n <= 0 || m <= 0) {
        return -1;
    }
    p = (double)a / (double)n;
    q = (double)b / (double)m;
    return p - q - 1.96 * root(p * (1 - p) / (double)n + q * (1 - q) / (double)m) -
           0.5 * (1 / (double)n + 1 / (double)m);
}

int *correlate_count(const crash_t *list, int n, int items, apr_pool_t *p)
{
    int *count = apr_pcalloc(p, sizeof(int) * ((apr_size_t)items + 1));

    for (int i = 0; i < n; i++) {
        for (int k = 0; k < list[i].n; k++) {
            count[list[i].items[k]]++;
        }
    }
    return count;
}

/* ---- order ---- */

static const item_t *item_at(const crashes_t *all, int i)
{
    return (const item_t *)all->items->elts + i;
}

static int by_text(const item_t *a, const item_t *b)
{
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->value ? a->value : "", b->value ? b->value : "");
}

/* Single items first, then the surest; the text decides between equals. */
static int compare(const search_t *s, const found_t *x, const found_t *y)
{
    int c = (x->second >= 0) - (y->second >= 0);

    if (c || x->low != y->low) {
        return c ? c : x->low > y->low ? -1 : 1;
    }
    c = by_text(item_at(s->all, x->item), item_at(s->all, y->item));
    return c || x->second < 0 ? c : by_text(item_at(s->all, x->second), item_at(s->all, y->second));
}

static int order(const void *a, const void *b, void *baton)
{
    return compare(baton, a, b);
}

static void sort(const search_t *s, apr_array_header_t *list)
{
    qsort_r(list->elts, (size_t)list->nelts, sizeof(found_t), order, (void *)s);
}

/* ---- items ---- */

static bool has_support(const search_t *s, int count)
{
    return count >= CORRELATE_SUPPORT && count * 100LL >= (long long)s->n * CORRELATE_SHARE;
}

static bool is_sure(double low)
{
    return low * 100 >= CORRELATE_LOW;
}

static void find_singles(search_t *s)
{
    for (int i = 0; i < s->all->items->nelts; i++) {
        if (has_support(s, s->group[i])) {
            APR_ARRAY_PUSH(s->singles, found_t) =
                (found_t){ .item = i,
                           .second = -1,
                           .count = s->group[i],
                           .reference = s->reference[i],
                           .low = sal_correlate_low(s->group[i], s->n, s->reference[i], s->total) };
        }
    }
    sort(s, s->singles);
    for (int i = 0; i < s->singles->nelts && i < CORRELATE_RESULTS; i++) {
        const found_t *f = &((found_t *)s->singles->elts)[i];

        if (!is_sure(f->low)) {
            break;
        }
        APR_ARRAY_PUSH(s->results, found_t) = *f;
    }
}

/* ---- pairs ---- */

/* Which of the paired items a crash has, as bits. */
static unsigned mask_of(const crash_t *crash, const signed char *bit)
{
    unsigned mask = 0;

    for (int k = 0; k < crash->n; k++) {
        if (bit[crash->items[k]] >= 0) {
            mask |= 1u << bit[crash->items[k]];
        }
    }
    return mask;
}

static void count_pairs(both_t both[][CORRELATE_PAIRED], const search_t *s, int n)
{
    signed char *bit = apr_palloc(s->p, (apr_size_t)s->all->items->nelts + 1);
    const crash_t *list = (const crash_t *)s->all->list->elts;

    memset(bit, -1, (size_t)s->all->items->nelts);
    for (int i = 0; i < n; i++) {
        bit[((found_t *)s->singles->elts)[i].item] = (signed char)i;
    }
    for (int i = 0; i < s->all->list->nelts; i++) {
        unsigned mask = mask_of(&list[i], bit);
        bool in = &list[i] >= s->first && &list[i] < s->first + s->n;

        for (unsigned a = mask; a; a &= a - 1) {
            for (unsigned b = a & (a - 1); b; b &= b - 1) {
                both_t *c = &both[__builtin_ctz(a)][__builtin_ctz(b)];

                c->group += in;
                c->reference++;
            }
        }
    }
}

/* A pair tells something if each item does where the other one is. */
static void try_pair(search_t *s, const found_t *x, const found_t *y, const both_t *both)
{
    double given_x = sal_correlate_low(both->group, x->count, both->reference, x->reference);
    double given_y = sal_correlate_low(both->group, y->count, both->reference, y->reference);
    double low = sal_correlate_low(both->group, s->n, both->reference, s->total);

    if (has_support(s, both->group) && is_sure(low) && is_sure(given_x) && is_sure(given_y)) {
        APR_ARRAY_PUSH(s->results, found_t) = (found_t){ .item = x->item,
                                                         .second = y->item,
                                                         .count = both->group,
                                                         .reference = both->reference,
                                                         .prior = x->item,
                                                         .prior_group = x->count,
                                                         .prior_reference = x->reference,
                                                         .low = given_x };
    }
}

/* Of the surest items, which are sorted: the first of a pair is its prior. */
static void find_pairs(search_t *s)
{
    const found_t *f = (const found_t *)s->singles->elts;
    int n = s->singles->nelts < CORRELATE_PAIRED ? s->singles->nelts : CORRELATE_PAIRED;
    both_t both[CORRELATE_PAIRED][CORRELATE_PAIRED];

    memset(both, 0, sizeof(both));
    count_pairs(both, s, n);
    for (int a = 0; a < n; a++) {
        for (int b = a + 1; b < n; b++) {
            try_pair(s, &f[a], &f[b], &both[a][b]);
        }
    }
}

/* ---- the result ---- */

static void set_item(json_t *to, const item_t *item)
{
    json_object_set_new(to, item->name, item->value ? json_string(item->value) : json_true());
}

static json_t *result_of(const search_t *s, const found_t *f)
{
    json_t *result = json_object(), *item = json_object(), *prior;

    set_item(item, item_at(s->all, f->item));
    if (f->second >= 0) {
        set_item(item, item_at(s->all, f->second));
    }
    json_object_set_new(result, "item", item);
    json_object_set_new(result, "count_group", json_integer(f->count));
    json_object_set_new(result, "count_reference", json_integer(f->reference));
    if (f->second >= 0) {
        prior = json_object();
        item = json_object();
        set_item(item, item_at(s->all, f->prior));
        json_object_set_new(prior, "item", item);
        json_object_set_new(prior, "count_group", json_integer(f->count));
        json_object_set_new(prior, "total_group", json_integer(f->prior_group));
        json_object_set_new(prior, "count_reference", json_integer(f->reference));
        json_object_set_new(prior, "total_reference", json_integer(f->prior_reference));
        json_object_set_new(result, "prior", prior);
    }
    return result;
}

json_t *correlate_find(const crashes_t *all, const int *reference, int first, int n, apr_pool_t *p)
{
    search_t s = { .all = all, .reference = reference, .n = n, .total = all->list->nelts, .p = p };
    json_t *out = json_array();

    s.first = (const crash_t *)all->list->elts + first;
    s.group = correlate_count(s.first, n, all->items->nelts, p);
    s.singles = apr_array_make(p, 100, sizeof(found_t));
    s.results = apr_array_make(p, 100, sizeof(found_t));
    find_singles(&s);
    find_pairs(&s);
    sort(&s, s.results);
    for (int i = 0; i < s.results->nelts && i < 2 * CORRELATE_RESULTS; i++) {
        json_array_append_new(out, result_of(&s, &((found_t *)s.results->elts)[i]));
    }
    return out;
}
