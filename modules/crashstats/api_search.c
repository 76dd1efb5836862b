/*
 * SuperSearch and SuperSearchUnredacted: lib/search for programs.
 *
 * Which parameters are numbers is said here, as of all endpoints; everything else about values is
 * said by the search itself.
 */
#include "crashstats/api.h"

#include <math.h>
#include <stdlib.h>

#include <apr_strings.h>

#include "db/token.h"
#include "search/super.h"

/* ---- parameters ---- */

static bool is_number(const char *name)
{
    static const char *const names[] = { "_facets_size", "_results_number", "_results_offset" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL, or what is wrong with an interval of a histogram. */
static const char *bad_interval(const char *name, const char *value, apr_pool_t *p)
{
    static const char prefix[] = "_histogram_interval.";
    const sal_search_field_t *f;
    char *end;

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 || !*crashstats_trimmed(value, p) ||
        !(f = sal_search_field(name + sizeof(prefix) - 1))) {
        return NULL;
    }
    if (f->type == SAL_TYPE_INTEGER) {
        return api_whole(value, p) ? NULL : "Enter a whole number.";
    }
    value = crashstats_trimmed(value, p);
    return f->type != SAL_TYPE_FLOAT || (isfinite(strtod(value, &end)) && !*end)
               ? NULL
               : "Enter a number.";
}

static const char *bad_value(const api_call_t *c, const char *name, const char *value)
{
    apr_pool_t *p = c->q->r->pool;

    if (web_pair_has_nul(c->source, name, p)) {
        return "Null characters are not allowed.";
    }
    if (is_number(name) && *crashstats_trimmed(value, p) && !api_whole(value, p)) {
        return "Enter a whole number.";
    }
    return bad_interval(name, value, p);
}

/* What no search reads is nobody's parameter. */
static bool is_declared(const char *name)
{
    return *name == '_' || sal_search_field(name) != NULL;
}

void api_search_check(const api_call_t *c, json_t *errors)
{
    const apr_array_header_t *a = apr_table_elts(c->given);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;

    for (int i = 0; i < a->nelts; i++) {
        const char *wrong = is_declared(e[i].key) ? bad_value(c, e[i].key, e[i].val) : NULL;

        if (wrong && !json_object_get(errors, e[i].key)) {
            json_object_set_new(errors, e[i].key, json_pack("[s]", wrong));
        }
    }
}

/* ---- SuperSearch ---- */

typedef struct {
    sal_super_t *search;
    json_t *out;
} search_t;

static void take_params(search_t *s, api_call_t *c)
{
    const apr_array_header_t *a = apr_table_elts(c->given);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_pool_t *p = c->q->r->pool;

    for (int i = 0; i < a->nelts; i++) {
        const char *value = e[i].val;

        if (is_number(e[i].key)) {
            value = crashstats_trimmed(value, p);
            value = *value ? api_whole(value, p) : NULL;
        }
        if (value) {
            sal_super_param(s->search, e[i].key, value);
        }
    }
}

static apr_status_t run(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    search_t *s = baton;

    return sal_super_run(&s->out, s->search, db, p, err);
}

/* The last sieve before the world: a row has public fields, whatever the search has made of it. */
static void clean(json_t *result)
{
    json_t *hit, *value;
    const char *key;
    size_t i;
    void *next;

    json_array_foreach(json_object_get(result, "hits"), i, hit)
    {
        json_object_foreach_safe(hit, next, key, value)
        {
            const sal_search_field_t *f = sal_search_field(key);

            if (!f || f->is_protected) {
                json_object_del(hit, key);
            }
        }
    }
}

static int refused(api_call_t *c, apr_status_t rv, const sal_error_t *err)
{
    if (rv == SAL_E_MALFORMED || rv == APR_TIMEUP) {
        return api_bad_request(c, err->message);
    }
    if (rv == SAL_E_BUSY) {
        apr_table_setn(c->q->r->headers_out, "Retry-After", "5");
        return crashstats_api_error(c->q, HTTP_SERVICE_UNAVAILABLE,
                                    "Too many searches are running. Try again in a few seconds.");
    }
    return crashstats_api_failed(c->q, rv, err);
}

static int search(api_call_t *c, bool strict)
{
    crashstats_req_t *q = c->q;
    sal_super_reader_t reader = {
        .pii = q->pii,
        .strict = strict,
        .long_run = (q->who.permissions & SAL_PERM_RUN_LONG_QUERIES) != 0,
        .known = q->who.user != NULL,
        .explain = true,
    };
    search_t s = { .search = sal_super_make(&reader, apr_time_now(), q->r->pool) };
    sal_error_t err = { 0 };
    apr_status_t rv;

    take_params(&s, c);
    rv = web_with_db(q->r, run, &s, &err);
    if (rv != APR_SUCCESS) {
        return refused(c, rv, &err);
    }
    if (!q->pii) {
        clean(s.out);
    }
    return crashstats_api_reply(q, HTTP_OK, s.out);
}

int api_super_search(api_call_t *c)
{
    return search(c, false);
}

int api_super_search_unredacted(api_call_t *c)
{
    return search(c, true);
}
