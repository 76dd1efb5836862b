/*
 * Why a search finds nothing: each condition left out in turn, with what is found then.
 */
#include "crashstats/search.h"

#include <ctype.h>
#include <strings.h>

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"

enum { MOST_CONDITIONS = 12, KEPT_DAYS = 182 };

static json_t *run(crashstats_req_t *q, const sal_ask_t *ask, const char *facet, apr_time_t now,
                   sal_db_t *db, apr_pool_t *p)
{
    sal_super_t *s = crashstats_super(q, ask, now, p);
    json_t *result = NULL;
    sal_error_t err = { 0 };

    sal_super_param(s, "_results_number", "0");
    sal_super_param(s, "_facets_size", facet ? "1000" : "0");
    if (facet) {
        sal_super_param(s, "_facets", facet);
    }
    return sal_super_run(&result, s, db, p, &err) == APR_SUCCESS ? result : NULL;
}

static apr_int64_t total_of(json_t *steals)
{
    apr_int64_t n = steals ? json_integer_value(json_object_get(steals, "total")) : -1;

    json_decref(steals);
    return n;
}

apr_int64_t crashstats_count(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now,
                             sal_db_t *db, apr_pool_t *p)
{
    return total_of(run(q, ask, NULL, now, db, p));
}

/* ---- hints ---- */

/* The part of text that is part, but for upper and lower case of ASCII; NULL: none, or the same. */
static const char *otherwise_written(const char *text, const char *part, apr_pool_t *p)
{
    apr_size_t len = strlen(part);

    for (; len && *text; text++) {
        if (strncasecmp(text, part, len) == 0) {
            return strncmp(text, part, len) ? apr_pstrndup(p, text, len) : NULL;
        }
    }
    return NULL;
}

/* Does the term hold the value as the operator wants it, letter case aside? */
static const char *near_miss(const sal_ask_term_t *t, const char *term, apr_pool_t *p)
{
    const char *code = t->op->code;
    apr_size_t len = strlen(t->value), all = strlen(term);

    if (*code == '~') {
        return otherwise_written(term, t->value, p);
    }
    if (*code == '^' || *code == '$') {
        const char *at = all < len ? NULL : *code == '^' ? term : term + all - len;

        return at && strncasecmp(at, t->value, len) == 0 ? apr_pstrndup(p, at, len) : NULL;
    }
    return (*code == '=' || !*code) && strcasecmp(term, t->value) == 0 ? term : NULL;
}

static void put_hint(crashstats_req_t *q, const sal_ask_t *relaxed, const sal_ask_term_t *t,
                     const json_t *terms, json_t *row, apr_time_t now, sal_db_t *db, apr_pool_t *p)
{
    const char *found = NULL;
    sal_ask_t *mended;
    apr_int64_t n;
    json_t *one;
    size_t i;

    json_array_foreach(terms, i, one)
    {
        const char *term = sal_json_str(one, "term");

        if (term && (found = near_miss(t, term, p))) {
            break;
        }
    }
    if (!found) {
        return;
    }
    mended = sal_ask_read(sal_ask_query(relaxed), q->pii, p);
    sal_ask_add(mended, t->field->name, apr_pstrcat(p, t->op->code, found, NULL));
    n = crashstats_count(q, mended, now, db, p);
    if (n > 0) {
        json_object_set_new(row, "hint",
                            json_pack("{s:s, s:s, s:s, s:s}", "operator", t->op->words, "value",
                                      found, "link", sal_ask_query(mended), "count",
                                      sal_format_count(n, p)));
    }
}

/* ---- rows ---- */

static json_t *row_of(const char *words, apr_int64_t n, const sal_ask_t *without, apr_pool_t *p)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "words", words, "count",
                     n < 0 ? "?" : sal_format_count(n, p), "some", n > 0, "link",
                     sal_ask_query(without));
}

/* Texts whose letter case may be wrong; what is negated found too much, not too little. */
static bool may_be_misspelt(const sal_ask_term_t *t)
{
    bool text = t->field->match == SAL_MATCH_TEXT || t->field->match == SAL_MATCH_KEYWORD;

    return text && !t->negated && *t->op->code != '@' && *t->op->code != '_' && *t->value;
}

static void add_date_row(crashstats_req_t *q, const sal_ask_t *ask, json_t *out, apr_time_t now,
                         sal_db_t *db, apr_pool_t *p)
{
    sal_ask_t *kept = sal_ask_between(ask, now - apr_time_from_sec(KEPT_DAYS * 86400), now);
    apr_int64_t n = crashstats_count(q, kept, now, db, p);
    json_t *row = row_of("the date", n, kept, p);

    json_object_set_new(row, "note", json_string("over the last 26 weeks"));
    json_array_append_new(out, row);
}

json_t *crashstats_why(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now, sal_db_t *db,
                       apr_pool_t *p)
{
    json_t *out = json_array();
    sal_ask_term_t t;
    sal_ask_t *relaxed;
    const char *words;

    for (int i = 0; i < MOST_CONDITIONS && (relaxed = sal_ask_relaxed(ask, i, &words, &t)); i++) {
        json_t *found = run(q, relaxed, may_be_misspelt(&t) ? t.field->name : NULL, now, db, p);
        apr_int64_t n = found ? json_integer_value(json_object_get(found, "total")) : -1;
        json_t *row = row_of(words, n, relaxed, p);

        if (n > 0 && may_be_misspelt(&t)) {
            put_hint(q, relaxed, &t,
                     json_object_get(json_object_get(found, "facets"), t.field->name), row, now, db,
                     p);
        }
        json_decref(found);
        json_array_append_new(out, row);
    }
    add_date_row(q, ask, out, now, db, p);
    return out;
}
