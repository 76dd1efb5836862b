/*
 * Reading _facets, _aggs.* and _histogram.* into one tree: what has the same place is one thing,
 * counted once.
 */
#include "search/super_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "base/text.h"

enum { MAX_AGGS = 100, MAX_PATH = 3 };

/* ---- intervals ---- */

static const struct {
    const char *name, *letter; /* months are M, minutes m */
    int64_t seconds;           /* 0: calendar alone */
} units[] = { { "minute", "m", 60 },      { "hour", "h", 3600 }, { "day", "d", 86400 },
              { "week", "w", 7 * 86400 }, { "month", "M", 0 },   { "quarter", "q", 0 },
              { "year", "y", 0 } };

static apr_status_t bad_interval(const sal_search_field_t *f, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter(s) '_histogram_interval.%s'",
                    f->name);
}

/* "day", "1d": calendar units; "15m", "2w": so many of a unit of fixed length. */
static apr_status_t date_interval(sal_agg_t *agg, const char *value, sal_error_t *err)
{
    apr_size_t digits = strspn(value, "0123456789");
    int64_t n = 1;

    if (digits > 0 && (digits > 4 || (n = strtoll(value, NULL, 10)) < 1)) {
        return bad_interval(agg->field, err);
    }
    for (apr_size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(value + digits, digits ? units[i].letter : units[i].name) != 0) {
            continue;
        }
        if (n > 1 && units[i].seconds == 0) {
            return bad_interval(agg->field, err);
        }
        agg->unit = n == 1 ? units[i].name : NULL;
        agg->seconds = n * units[i].seconds;
        return APR_SUCCESS;
    }
    return bad_interval(agg->field, err);
}

static apr_status_t number_interval(sal_agg_t *agg, const char *value, sal_error_t *err)
{
    char *end;

    agg->interval = strtod(value, &end);
    if (end == value || *end || strspn(value, "0123456789.+-eE") != strlen(value) ||
        !isfinite(agg->interval)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Bad value for parameter _histogram_interval.%s: not a valid %s",
                        agg->field->name, agg->field->type == SAL_TYPE_FLOAT ? "float" : "int");
    }
    return agg->interval > 0 ? APR_SUCCESS : bad_interval(agg->field, err);
}

static apr_status_t set_interval(sal_agg_t *agg, const sal_super_t *s, sal_error_t *err)
{
    const char *name = apr_pstrcat(s->p, "_histogram_interval.", agg->field->name, NULL);
    const char *value = sal_super_value(s, name);

    return agg->field->match == SAL_MATCH_DATE ? date_interval(agg, value ? value : "day", err)
                                               : number_interval(agg, value ? value : "1", err);
}

/* ---- the tree ---- */

static bool can_have_histogram(const sal_search_field_t *f)
{
    return f->match == SAL_MATCH_DATE || f->match == SAL_MATCH_NUMBER;
}

static sal_agg_t *find(const apr_array_header_t *list, const char *name)
{
    for (int i = 0; i < list->nelts; i++) {
        sal_agg_t *agg = APR_ARRAY_IDX(list, i, sal_agg_t *);

        if (strcmp(agg->name, name) == 0) {
            return agg;
        }
    }
    return NULL;
}

/* The one of that kind and field in the list, made if it is not there. */
static apr_status_t have(sal_agg_t **out, apr_array_header_t *list, sal_agg_kind_t kind,
                         const sal_search_field_t *f, sal_super_t *s, sal_error_t *err)
{
    static const char *const prefix[] = { "", "histogram_", "cardinality_" };
    const char *name = apr_pstrcat(s->p, prefix[kind], f->name, NULL);
    sal_agg_t *agg = find(list, name);

    *out = agg;
    if (agg) {
        return APR_SUCCESS;
    }
    if (s->n_aggs++ == MAX_AGGS) {
        return sal_fail(err, SAL_E_MALFORMED, "More than %d aggregations", MAX_AGGS);
    }
    *out = agg = apr_pcalloc(s->p, sizeof *agg);
    agg->kind = kind;
    agg->field = f;
    agg->name = name;
    agg->children = apr_array_make(s->p, 4, sizeof(sal_agg_t *));
    APR_ARRAY_PUSH(list, sal_agg_t *) = agg;
    return kind == SAL_AGG_HISTOGRAM ? set_interval(agg, s, err) : APR_SUCCESS;
}

/* "field", "_histogram.field" or "_cardinality.field", as the innermost of its place. */
static apr_status_t add_item(apr_array_header_t *list, const char *value, sal_super_t *s,
                             sal_error_t *err)
{
    static const char histogram[] = "_histogram.", cardinality[] = "_cardinality.";
    sal_agg_kind_t kind = SAL_AGG_TERMS;
    const sal_search_field_t *f;
    sal_agg_t *agg;
    apr_status_t rv;

    if (strncmp(value, histogram, sizeof histogram - 1) == 0) {
        kind = SAL_AGG_HISTOGRAM;
        value += sizeof histogram - 1;
    } else if (strncmp(value, cardinality, sizeof cardinality - 1) == 0) {
        kind = SAL_AGG_CARDINALITY;
        value += sizeof cardinality - 1;
    }
    rv = sal_super_field(&f, s, value, err);
    if (rv != APR_SUCCESS || !f || (kind == SAL_AGG_HISTOGRAM && !can_have_histogram(f))) {
        return rv;
    }
    return have(&agg, list, kind, f, s, err);
}

/* The names of "_aggs.A.B.C"; *n 0 if one of them is to be left out, and so all of it. */
static apr_status_t read_path(const sal_search_field_t **path, int *n, const char *name,
                              sal_super_t *s, sal_error_t *err)
{
    char *last, *copy = apr_pstrdup(s->p, name), *one;
    bool drop = false;

    *n = 0;
    for (one = apr_strtok(copy, ".", &last); one; one = apr_strtok(NULL, ".", &last)) {
        apr_status_t rv;

        if (*n == MAX_PATH) {
            return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter(s) '_aggs.%.200s'",
                            name);
        }
        rv = sal_super_field(&path[*n], s, one, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        drop = drop || !path[*n];
        (*n)++;
    }
    *n = drop ? 0 : *n;
    return APR_SUCCESS;
}

static apr_status_t add_nested(const char *name, const char *value, sal_super_t *s,
                               sal_error_t *err)
{
    const sal_search_field_t *path[MAX_PATH];
    apr_array_header_t *list = s->aggs.roots;
    sal_agg_t *agg;
    int n;
    apr_status_t rv = read_path(path, &n, name, s, err);

    for (int i = 0; rv == APR_SUCCESS && i < n; i++) {
        rv = have(&agg, list, SAL_AGG_TERMS, path[i], s, err);
        list = agg ? agg->children : list;
    }
    return rv == APR_SUCCESS && n > 0 ? add_item(list, value, s, err) : rv;
}

static apr_status_t add_in_histogram(const char *name, const char *value, sal_super_t *s,
                                     sal_error_t *err)
{
    const sal_search_field_t *f;
    sal_agg_t *agg;
    apr_status_t rv = sal_super_field(&f, s, name, err);

    if (rv != APR_SUCCESS || !f || !can_have_histogram(f)) {
        return rv;
    }
    rv = have(&agg, s->aggs.roots, SAL_AGG_HISTOGRAM, f, s, err);
    return rv == APR_SUCCESS ? add_item(agg->children, value, s, err) : rv;
}

static apr_status_t read_pair(const sal_super_pair_t *pair, sal_super_t *s, sal_error_t *err)
{
    static const char aggs[] = "_aggs.", histogram[] = "_histogram.";

    if (strcmp(pair->name, "_facets") == 0) {
        return add_item(s->aggs.roots, pair->value, s, err);
    }
    if (strncmp(pair->name, aggs, sizeof aggs - 1) == 0) {
        return add_nested(pair->name + sizeof aggs - 1, pair->value, s, err);
    }
    if (strncmp(pair->name, histogram, sizeof histogram - 1) == 0) {
        return add_in_histogram(pair->name + sizeof histogram - 1, pair->value, s, err);
    }
    return APR_SUCCESS;
}

/* Without a facet that may be run, there is the one by signature. */
static apr_status_t add_default(int n_facets, sal_super_t *s, sal_error_t *err)
{
    return n_facets > 0 ? APR_SUCCESS : add_item(s->aggs.roots, "signature", s, err);
}

apr_status_t sal_super_read_aggs(sal_super_t *s, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int facets = 0;

    s->aggs.roots = apr_array_make(s->p, 4, sizeof(sal_agg_t *));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; rv == APR_SUCCESS && i < s->params->nelts; i++) {
            const sal_super_pair_t *pair = &APR_ARRAY_IDX(s->params, i, sal_super_pair_t);

            if ((strcmp(pair->name, "_facets") == 0) == (pass == 0)) {
                rv = read_pair(pair, s, err);
            }
        }
        facets = pass == 0 ? s->aggs.roots->nelts : facets;
        if (rv == APR_SUCCESS && pass == 0) {
            rv = add_default(facets, s, err);
        }
    }
    if (s->aggs.size == 0) {
        s->aggs.roots = apr_array_make(s->p, 1, sizeof(sal_agg_t *));
    }
    return rv;
}
