/*
 * Parameters of the API: kinds, and what is said of those that are wrong.
 */
#include "crashstats/api.h"

#include <ctype.h>

#include <apr_strings.h>

static void add_error(json_t *errors, const char *name, const char *text)
{
    if (!json_object_get(errors, name)) {
        json_object_set_new(errors, name, json_pack("[s]", text));
    }
}

/* Of several values the last counts. */
static const char *last(const api_call_t *c, const char *name)
{
    apr_array_header_t *all = api_list(c, name);

    return all->nelts ? APR_ARRAY_IDX(all, all->nelts - 1, const char *) : NULL;
}

const char *api_string(const api_call_t *c, const char *name)
{
    return crashstats_trimmed(last(c, name), c->q->r->pool);
}

apr_array_header_t *api_list(const api_call_t *c, const char *name)
{
    return web_param_all(c->given, name, c->q->r->pool);
}

/* Digits with a sign; ".0" behind them does no harm. */
const char *api_whole(const char *text, apr_pool_t *p)
{
    const char *digits, *end;

    text = crashstats_trimmed(text, p);
    digits = text + (*text == '-' || *text == '+');
    for (end = digits; isdigit((unsigned char)*end); end++) {
    }
    if (end == digits || (*end == '.' && end[1 + strspn(end + 1, "0")]) || (*end && *end != '.')) {
        return NULL;
    }
    return apr_pstrmemdup(p, *text == '+' ? digits : text,
                          (apr_size_t)(end - (*text == '+' ? digits : text)));
}

static void check_one(const api_call_t *c, const api_param_t *x, json_t *errors)
{
    const char *text = api_string(c, x->name);

    if (web_pair_has_nul(c->source, x->name, c->q->r->pool)) {
        add_error(errors, x->name, "Null characters are not allowed.");
    } else if (x->required && !(x->kind == API_LIST ? last(c, x->name) != NULL : *text)) {
        add_error(errors, x->name, "This field is required.");
    } else if (x->kind == API_INT && *text && !api_whole(text, c->q->r->pool)) {
        add_error(errors, x->name, "Enter a whole number.");
    }
}

json_t *api_check(api_call_t *c)
{
    json_t *errors = json_object();

    for (const api_param_t *x = c->endpoint->params; x->name; x++) {
        check_one(c, x, errors);
    }
    if (c->endpoint->flags & API_SEARCH) {
        api_search_check(c, errors);
    }
    if (json_object_size(errors) > 0) {
        return errors;
    }
    json_decref(errors);
    return NULL;
}
