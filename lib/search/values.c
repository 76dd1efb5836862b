/*
 * Cleaning of values before they are indexed (docs/search.md, "What is stored").
 *
 * A value that cannot be stored never refuses the crash: its field is named in removed_fields.
 */
#include "search/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

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

/* Refused by the dictionary, kept beside it. */
static void overflow(collect_t *c, const sal_search_field_t *f, const char *text)
{
    json_t *list;

    if (!c->out->overflow) {
        c->out->overflow = sal_json_own(json_object(), c->p);
    }
    list = json_object_get(c->out->overflow, f->name);
    if (!list) {
        list = json_array();
        json_object_set_new(c->out->overflow, f->name, list);
    }
    json_array_append_new(list, json_string(text));
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
        overflow(c, f, text);
        return;
    }
    v = add(c, f);
    v->n = 1;
    v->text = apr_palloc(c->p, sizeof *v->text);
    v->text[0] = text;
}

/* Elements of a list, from a JSON array or from text with a separator. */
typedef struct {
    const char *text[SAL_VALUE_MAX_LIST];
    int n;
    bool cut;
} elements_t;

static void element(collect_t *c, const sal_search_field_t *f, elements_t *e, const char *text)
{
    if (e->n == SAL_VALUE_MAX_LIST) {
        e->cut = true;
    } else if (strlen(text) > SAL_VALUE_MAX_TERM) {
        overflow(c, f, text);
    } else {
        e->text[e->n++] = text;
    }
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

static void collect_terms(collect_t *c, const sal_search_field_t *f, const json_t *j)
{
    elements_t *e = apr_pcalloc(c->p, sizeof *e);
    sal_value_t *v;

    if (json_is_array(j)) {
        collect_array(c, f, j, e);
    } else if (!json_is_string(j)) {
        element(c, f, e, bad_data);
        removed(c, f);
    } else if (f->match == SAL_MATCH_LIST) {
        split(c, f, e, clean(c, f, j), ";");
    } else if (strcmp(f->name, "proto_signature") == 0) {
        split(c, f, e, clean(c, f, j), " | ");
    } else {
        element(c, f, e, clean(c, f, j));
    }
    if (e->cut) {
        removed(c, f);
    }
    if (e->n > 0) {
        v = add(c, f);
        v->n = e->n;
        v->text = apr_pmemdup(c->p, e->text, sizeof *e->text * (apr_size_t)e->n);
    }
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
