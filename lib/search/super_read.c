/*
 * Reading the parameters of a Super Search. What the reader may not see is taken out here and
 * nowhere else, before anything is asked of the database.
 */
#include "search/super_private.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "base/text.h"

enum { MAX_PARAMS = 1000, MAX_FACETS_SIZE = 10000 };

sal_super_t *sal_super_make(const sal_super_reader_t *reader, apr_time_t now, apr_pool_t *p)
{
    sal_super_t *s = apr_pcalloc(p, sizeof *s);

    s->p = p;
    s->reader = *reader;
    s->params = apr_array_make(p, 16, sizeof(sal_super_pair_t));
    s->denied = apr_array_make(p, 2, sizeof(const char *));
    s->columns = apr_array_make(p, 8, sizeof(const sal_search_field_t *));
    s->query = sal_query_make(now, reader->pii, p);
    return s;
}

void sal_super_param(sal_super_t *s, const char *name, const char *value)
{
    if (s->params->nelts == MAX_PARAMS) {
        s->too_many = true;
    } else if (*value) {
        /* an empty value says nothing: forms send them */
        APR_ARRAY_PUSH(s->params, sal_super_pair_t) =
            (sal_super_pair_t){ .name = apr_pstrdup(s->p, name),
                                .value = apr_pstrdup(s->p, value) };
    }
}

void sal_super_is(sal_super_t *s, const char *name, const char *value)
{
    int n = s->params->nelts;

    sal_super_param(s, name, value);
    if (s->params->nelts > n) {
        APR_ARRAY_IDX(s->params, n, sal_super_pair_t).is = true;
    }
}

const char *sal_super_value(const sal_super_t *s, const char *name)
{
    for (int i = 0; i < s->params->nelts; i++) {
        const sal_super_pair_t *pair = &APR_ARRAY_IDX(s->params, i, sal_super_pair_t);

        if (strcmp(pair->name, name) == 0) {
            return pair->value;
        }
    }
    return NULL;
}

/* ---- who may see what ---- */

static void deny(sal_super_t *s, const char *name)
{
    for (int i = 0; i < s->denied->nelts; i++) {
        if (strcmp(APR_ARRAY_IDX(s->denied, i, const char *), name) == 0) {
            return;
        }
    }
    APR_ARRAY_PUSH(s->denied, const char *) = name;
}

bool sal_super_may(sal_super_t *s, const sal_search_field_t *f)
{
    if (f->is_protected && !s->reader.pii) {
        deny(s, f->name);
        return false;
    }
    return true;
}

static apr_status_t unknown(sal_error_t *err, const char *name)
{
    return sal_fail(err, SAL_E_MALFORMED, "Unknown field '%s'",
                    sal_utf8_valid(name, strlen(name)) ? name : "?");
}

apr_status_t sal_super_field(const sal_search_field_t **f, sal_super_t *s, const char *name,
                             sal_error_t *err)
{
    *f = sal_search_field(name);
    if (!*f) {
        return s->reader.strict ? unknown(err, name) : APR_SUCCESS;
    }
    if (!sal_super_may(s, *f)) {
        *f = NULL;
    }
    return APR_SUCCESS;
}

/* ---- values ---- */

static apr_status_t read_int(int64_t *out, const sal_super_t *s, const char *name,
                             int64_t otherwise, sal_error_t *err)
{
    const char *value = sal_super_value(s, name), *end;

    *out = otherwise;
    if (!value) {
        return APR_SUCCESS;
    }
    while (isspace((unsigned char)*value)) {
        value++;
    }
    value += *value == '+';
    for (end = value + strlen(value); end > value && isspace((unsigned char)end[-1]); end--) {
    }
    /* anything a user can mean is far within these bounds; the caller has tighter ones */
    if (!sal_parse_int(apr_pstrmemdup(s->p, value, (apr_size_t)(end - value)), INT32_MIN, INT32_MAX,
                       out)) {
        return sal_fail(err, SAL_E_MALFORMED, "Bad value for parameter %s: not a valid int", name);
    }
    return APR_SUCCESS;
}

static bool is_true(const char *s)
{
    static const char *const words[] = { "true", "t", "1", "y", "yes" };

    for (apr_size_t i = 0; s && i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(s, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static apr_status_t read_page(sal_super_t *s, sal_error_t *err)
{
    int64_t number, offset, size;
    apr_status_t rv = read_int(&number, s, "_results_number", 100, err);

    if (rv == APR_SUCCESS) {
        rv = read_int(&offset, s, "_results_offset", 0, err);
    }
    if (rv == APR_SUCCESS) {
        rv = read_int(&size, s, "_facets_size", 50, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_query_page(s->query, (int)number, (int)offset, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (size > MAX_FACETS_SIZE) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Bad value for parameter(s) '_facets_size greater than 10,000'");
    }
    if (size < 0) {
        return sal_fail(err, SAL_E_MALFORMED, "_facets_size cannot be negative");
    }
    s->aggs.size = (int)size;
    return APR_SUCCESS;
}

static apr_status_t add_column(sal_super_t *s, const char *name, sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(name);

    if (!f) {
        return unknown(err, name);
    }
    if (!sal_super_may(s, f)) {
        return APR_SUCCESS;
    }
    for (int i = 0; i < s->columns->nelts; i++) {
        if (APR_ARRAY_IDX(s->columns, i, const sal_search_field_t *) == f) {
            return APR_SUCCESS;
        }
    }
    APR_ARRAY_PUSH(s->columns, const sal_search_field_t *) = f;
    return APR_SUCCESS;
}

static apr_status_t default_columns(sal_super_t *s)
{
    static const char *const names[] = { "uuid", "date", "signature", "product", "version" };

    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)add_column(s, names[i], NULL);
    }
    return APR_SUCCESS;
}

static apr_status_t add_sort(sal_super_t *s, const char *value, sal_error_t *err)
{
    const sal_search_field_t *f;
    apr_status_t rv = sal_super_field(&f, s, value + (*value == '-'), err);

    if (rv == APR_SUCCESS && f) {
        sal_query_sort(s->query, value);
    }
    return rv;
}

static apr_status_t add_filter(sal_super_t *s, const char *name, const char *value,
                               sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(name);

    return f && sal_super_may(s, f) ? sal_query_filter(s->query, name, value, err) : APR_SUCCESS;
}

/* "_after=<date>,<uuid>": the date and id of the last row of the page before. */
static apr_status_t read_after(sal_super_t *s, sal_error_t *err)
{
    const char *value = sal_super_value(s, "_after"), *comma = value ? strchr(value, ',') : NULL;
    const sal_sort_t *first = (const sal_sort_t *)s->query->sort->elts;

    if (!value) {
        return APR_SUCCESS;
    }
    if (!comma ||
        !sal_time_parse(apr_pstrmemdup(s->p, value, (apr_size_t)(comma - value)),
                        &s->query->after) ||
        strlen(comma + 1) != 36 || strspn(comma + 1, "0123456789abcdef-") != 36) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Bad value for parameter _after: not a date and an "
                        "id with a comma between them");
    }
    if (s->query->sort->nelts > 0 && first->field->match != SAL_MATCH_DATE) {
        return sal_fail(err, SAL_E_MALFORMED, "_after needs results sorted by date");
    }
    s->query->after_uuid = comma + 1;
    return APR_SUCCESS;
}

/* Exactly the value, whatever operators the field has. */
static apr_status_t add_is(sal_super_t *s, const char *name, const char *value, sal_error_t *err)
{
    const sal_search_field_t *f = sal_search_field(name);

    return f && sal_super_may(s, f) ? sal_query_is(s->query, name, value, err) : APR_SUCCESS;
}

static apr_status_t read_pairs(sal_super_t *s, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; rv == APR_SUCCESS && i < s->params->nelts; i++) {
        const sal_super_pair_t *pair = &APR_ARRAY_IDX(s->params, i, sal_super_pair_t);

        if (strcmp(pair->name, "_columns") == 0) {
            rv = add_column(s, pair->value, err);
        } else if (strcmp(pair->name, "_sort") == 0) {
            rv = add_sort(s, pair->value, err);
        } else if (*pair->name != '_') {
            rv = pair->is ? add_is(s, pair->name, pair->value, err)
                          : add_filter(s, pair->name, pair->value, err);
        }
    }
    return rv;
}

static apr_status_t read_all(sal_super_t *s, sal_error_t *err)
{
    const char *neg = sal_super_value(s, "_neg");
    apr_status_t rv;

    if (s->too_many) {
        return sal_fail(err, SAL_E_MALFORMED, "More than %d parameters", MAX_PARAMS);
    }
    s->query->neg_and = neg && strcmp(neg, "and") == 0;
    s->return_query = is_true(sal_super_value(s, "_return_query"));
    if (s->return_query && !s->reader.explain) {
        s->return_query = false;
        deny(s, "_return_query");
    }
    rv = read_pairs(s, err);
    if (rv == APR_SUCCESS && !sal_super_value(s, "_columns")) {
        rv = default_columns(s);
    }
    if (rv == APR_SUCCESS) {
        rv = read_page(s, err);
    }
    if (rv == APR_SUCCESS) {
        rv = read_after(s, err);
    }
    return rv == APR_SUCCESS ? sal_super_read_aggs(s, err) : rv;
}

apr_status_t sal_super_read(sal_super_t *s, sal_error_t *err)
{
    if (!s->is_read) {
        s->is_read = true;
        s->status = read_all(s, &s->err);
    }
    if (s->status != APR_SUCCESS && err) {
        *err = s->err;
    }
    return s->status;
}

apr_status_t sal_super_window(sal_super_t *s, apr_time_t *from, apr_time_t *to, sal_error_t *err)
{
    apr_status_t rv = sal_super_read(s, err);

    return rv == APR_SUCCESS ? sal_query_window(s->query, from, to, err) : rv;
}

json_t *sal_super_conditions(sal_super_t *s)
{
    (void)sal_super_read(s, NULL);
    return sal_query_conditions(s->query);
}
