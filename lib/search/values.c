/*
 * Cleaning of values before they are indexed (docs/search.md, "What is stored").
 *
 * A value that cannot be stored never refuses the crash: its field is named in removed_fields.
 */
#include "search/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"

typedef struct {
    sal_values_t *out;
    apr_pool_t *p;
} collect_t;

static const char bad_data[] = "BAD DATA";

static void removed(collect_t *c, const sal_search_field_t *f)
{
    if (c->out->n_removed == 0 || c->out->removed[c->out->n_removed - 1] != f->number) {
        c->out->removed[c->out->n_removed++] = f->number;
    }
}

static sal_value_t *add(collect_t *c, const sal_search_field_t *f)
{
    sal_value_t *v = &c->out->value[c->out->n++];

    v->field = f;
    return v;
}

/* Refused by the dictionary, kept beside it, whole. */
static void overflow(collect_t *c, const sal_search_field_t *f, json_t *whole)
{
    if (!c->out->overflow) {
        c->out->overflow = sal_json_own(json_object(), c->p);
    }
    json_object_set(c->out->overflow, f->name, whole);
}

/* Cuts after max characters; the text is valid UTF-8. */
static void cut_characters(char *s, int max)
{
    int n = 0;

    for (; *s; s++) {
        if (((unsigned char)*s & 0xc0) != 0x80 && ++n > max) {
            *s = '\0';
            return;
        }
    }
}

static const char *clean(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    char *s;

    if (!json_is_string(j)) {
        return bad_data;
    }
    s = apr_pstrdup(c->p, sal_utf8_clean(json_string_value(j), json_string_length(j), c->p));
    if (f->match == SAL_MATCH_KEYWORD) {
        cut_characters(s, SAL_VALUE_MAX_KEYWORD);
    } else {
        sal_utf8_cut(s, SAL_VALUE_MAX_TEXT);
    }
    return s;
}

static void put_text(collect_t *c, const sal_search_field_t *f, const char *text)
{
    sal_value_t *v;

    if (f->store == SAL_STORE_TERM && strlen(text) > SAL_VALUE_MAX_TERM) {
        overflow(c, f, sal_json_own(json_pack("[s]", text), c->p));
        return;
    }
    v = add(c, f);
    v->n = 1;
    v->text = apr_palloc(c->p, sizeof *v->text);
    v->text[0] = text;
}

/*
 * Elements of a list, from a JSON array or from text with a separator. An element that was there
 * already (in a ';' list: in whatever case) is not taken again, so that facets count a crash once.
 */
typedef struct {
    const char *text[SAL_VALUE_MAX_LIST];
    const char *all[SAL_VALUE_MAX_LIST]; /* repeated and refused ones, too */
    int n, n_all;
    bool cut;
    apr_hash_t *seen; /* NULL: repetitions matter */
} elements_t;

static bool seen_before(collect_t *c, const sal_search_field_t *f, elements_t *e, const char *text)
{
    char *key = apr_pstrdup(c->p, text);

    if (!e->seen) {
        return false;
    }
    for (char *s = key; f->match == SAL_MATCH_LIST && *s; s++) {
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s);
    }
    if (apr_hash_get(e->seen, key, APR_HASH_KEY_STRING)) {
        return true;
    }
    apr_hash_set(e->seen, key, APR_HASH_KEY_STRING, "");
    return false;
}

static void element(collect_t *c, const sal_search_field_t *f, elements_t *e, const char *text)
{
    if (e->n_all == SAL_VALUE_MAX_LIST) {
        e->cut = true;
        return;
    }
    e->all[e->n_all++] = text;
    if (strlen(text) <= SAL_VALUE_MAX_TERM && !seen_before(c, f, e, text)) {
        e->text[e->n++] = text;
    }
}

/* In the form of column overflow: lists of texts, but one text for ';' lists and stacks. */
static json_t *whole(collect_t *c, const sal_search_field_t *f, const elements_t *e)
{
    json_t *list = sal_json_own(json_array(), c->p);
    const char *between = f->match == SAL_MATCH_LIST ? ";" : " | ";
    apr_array_header_t *parts = apr_array_make(c->p, e->n_all * 2 + 1, sizeof(const char *));

    for (int i = 0; i < e->n_all; i++) {
        APR_ARRAY_PUSH(parts, const char *) = i ? between : "";
        APR_ARRAY_PUSH(parts, const char *) = e->all[i];
        if (f->match != SAL_MATCH_LIST && !sal_field_is_stack(f)) {
            json_array_append_new(list, json_string(e->all[i]));
        }
    }
    if (f->match == SAL_MATCH_LIST || sal_field_is_stack(f)) {
        json_array_append_new(list, json_string(apr_array_pstrcat(c->p, parts, 0)));
    }
    return list;
}

static void split(collect_t *c, const sal_search_field_t *f, elements_t *e, const char *text,
                  const char *separator)
{
    apr_size_t len = strlen(separator);

    while (*text) {
        const char *end = strstr(text, separator);
        apr_size_t n = end ? (apr_size_t)(end - text) : strlen(text);

        if (n > 0) {
            element(c, f, e, apr_pstrmemdup(c->p, text, n));
        }
        if (!end) {
            break;
        }
        text = end + len;
    }
}

static void collect_array(collect_t *c, const sal_search_field_t *f, const json_t *j, elements_t *e)
{
    size_t i;
    json_t *item;

    if (json_array_size(j) && !json_is_string(json_array_get(j, 0))) {
        element(c, f, e, bad_data);
        removed(c, f);
        return;
    }
    json_array_foreach(j, i, item)
    {
        element(c, f, e, clean(c, f, item));
    }
}

static void take_elements(collect_t *c, const sal_search_field_t *f, const json_t *j, elements_t *e)
{
    if (json_is_array(j)) {
        collect_array(c, f, j, e);
    } else if (!json_is_string(j)) {
        element(c, f, e, bad_data);
        removed(c, f);
    } else if (f->match == SAL_MATCH_LIST) {
        split(c, f, e, clean(c, f, j), ";");
    } else if (sal_field_is_stack(f)) {
        split(c, f, e, clean(c, f, j), " | ");
    } else {
        element(c, f, e, clean(c, f, j));
    }
}

static void collect_terms(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    elements_t *e = apr_pcalloc(c->p, sizeof *e);
    sal_value_t *v;

    e->seen = sal_field_is_stack(f) ? NULL : apr_hash_make(c->p);
    take_elements(c, f, j, e);
    if (e->cut) {
        removed(c, f);
    }
    /* an empty list is missing, an empty text is a value */
    if (e->n_all == 0 && json_is_array(j)) {
        return;
    }
    if (e->n < e->n_all) {
        overflow(c, f, whole(c, f, e));
    }
    v = add(c, f);
    v->n = e->n;
    v->text = apr_pmemdup(c->p, e->text, sizeof *e->text * (apr_size_t)e->n);
    v->whole = whole(c, f, e);
}

static void collect_text(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    if (!json_is_string(j)) {
        removed(c, f);
    }
    put_text(c, f, clean(c, f, j));
}

static void collect_int(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    int64_t max = f->bits == 63 ? INT64_MAX : (INT64_C(1) << f->bits) - 1;
    int64_t v;

    if (json_is_integer(j)) {
        v = json_integer_value(j);
    } else if (json_is_real(j) && fabs(json_real_value(j)) < 9e15) {
        v = (int64_t)json_real_value(j);
    } else if (!json_is_string(j) ||
               !sal_parse_int(json_string_value(j), INT64_MIN, INT64_MAX, &v)) {
        removed(c, f);
        return;
    }
    if (v > max || v < -max - 1) {
        removed(c, f);
        return;
    }
    add(c, f)->i = v;
}

static void collect_double(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    double d = json_number_value(j);

    if (json_is_string(j)) {
        const char *s = json_string_value(j);
        char *end;

        d = strtod(s, &end);
        if (end == s || *end) {
            d = NAN;
        }
    } else if (!json_is_number(j)) {
        d = NAN;
    }
    if (!isfinite(d)) {
        removed(c, f);
        return;
    }
    add(c, f)->d = d;
}

static void collect_bool(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    const char *s = json_string_value(j);

    add(c, f)->i = json_is_true(j) || (json_is_integer(j) && json_integer_value(j) == 1) ||
                   (s && (strcmp(s, "1") == 0 || strcmp(s, "true") == 0));
}

static void collect_field(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    switch (f->store) {
    case SAL_STORE_TERM:
    case SAL_STORE_TEXT:
        collect_text(c, f, j);
        break;
    case SAL_STORE_TERMS:
        collect_terms(c, f, j);
        break;
    case SAL_STORE_INT:
        collect_int(c, f, j);
        break;
    case SAL_STORE_DOUBLE:
        collect_double(c, f, j);
        break;
    case SAL_STORE_BOOL:
        collect_bool(c, f, j);
        break;
    case SAL_STORE_TIME:
    case SAL_STORE_UUID:
        break; /* the key of the row, taken apart */
    }
}

/* The row's key. A date far away would make partitions that nothing ever drops. */
static apr_status_t collect_key(sal_values_t *out, const json_t *processed, sal_error_t *err)
{
    static const apr_time_t first = APR_INT64_C(946684800) * APR_USEC_PER_SEC; /* 2000 */
    static const apr_time_t last = APR_INT64_C(4102444800) * APR_USEC_PER_SEC; /* 2100 */
    const char *date = sal_json_str(processed, "date_processed");

    out->uuid = sal_json_str(processed, "uuid");
    if (!out->uuid || strlen(out->uuid) != 36) {
        return sal_fail(err, SAL_E_MALFORMED, "search: the processed crash has no uuid");
    }
    if (!date || !sal_time_parse(date, &out->date) || out->date < first || out->date >= last) {
        return sal_fail(err, SAL_E_MALFORMED, "search: crash %s has no usable date_processed",
                        out->uuid);
    }
    return APR_SUCCESS;
}

apr_status_t sal_values_collect(sal_values_t **out, const json_t *processed, apr_pool_t *p,
                                sal_error_t *err)
{
    collect_t c = { apr_pcalloc(p, sizeof(sal_values_t)), p };
    const sal_search_field_t *f;
    apr_status_t rv;
    int n;

    rv = collect_key(c.out, processed, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    f = sal_search_fields(&n);
    c.out->value = apr_pcalloc(p, sizeof *c.out->value * (apr_size_t)n);
    c.out->removed = apr_pcalloc(p, sizeof *c.out->removed * (apr_size_t)n);
    for (int i = 0; i < n; i++) {
        const json_t *j = sal_json_path(processed, f[i].source);

        if (j && !json_is_null(j)) {
            collect_field(&c, &f[i], j);
        }
    }
    *out = c.out;
    return APR_SUCCESS;
}
