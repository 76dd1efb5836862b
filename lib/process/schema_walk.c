/*
 * Walks a document and its field list together: to see whether they agree, to take out what does
 * not, to leave out what is not for everybody.
 */
#include "process/schema_private.h"

#include <stdio.h>
#include <apr_strings.h>

#define ANY (1u << SAL_FIELD_ANY)

/* Where a walk is; the path is only written when it is wanted. */
typedef struct at_t {
    const struct at_t *up;
    const char *name; /* NULL: the item number index */
    size_t index;
    int depth;
} at_t;

typedef struct walk_t {
    apr_pool_t *p;
    sal_fields_fault_fn fault;
    void *baton;
    size_t faults;
    bool open;   /* members that have no line are no fault */
    bool strict; /* the reduction fails at a part of another type */
    sal_error_t *err;
} walk_t;

static const char *path_of(const at_t *at, apr_pool_t *p)
{
    const char *above;

    if (!at || !at->up) {
        return "";
    }
    above = path_of(at->up, p);
    return at->name ? apr_pstrcat(p, above, *above ? "." : "", at->name, NULL)
                    : apr_psprintf(p, "%s[%" APR_SIZE_T_FMT "]", above, at->index);
}

static const char *type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_NULL:
        return "null";
    default:
        return "boolean";
    }
}

static const char *wanted(const field_node_t *node, apr_pool_t *p)
{
    const char *text = "";

    for (int i = 0; i <= SAL_FIELD_ANY; i++) {
        if (node->types & (1u << i)) {
            text = apr_pstrcat(p, text, *text ? " or " : "",
                               sal_field_type_name((sal_field_type_t)i), NULL);
        }
    }
    return text;
}

static bool fits(const field_node_t *node, const json_t *v)
{
    unsigned types = node->types;

    if (types & ANY) {
        return true;
    }
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return types & (1u << SAL_FIELD_OBJECT);
    case JSON_ARRAY:
        return types & (1u << SAL_FIELD_ARRAY);
    case JSON_STRING:
        return types & (1u << SAL_FIELD_STRING);
    case JSON_INTEGER: /* a number may be whole */
        return types & (1u << SAL_FIELD_INTEGER | 1u << SAL_FIELD_NUMBER);
    case JSON_REAL:
        return types & (1u << SAL_FIELD_NUMBER);
    case JSON_NULL:
        return node->nullable;
    default:
        return types & (1u << SAL_FIELD_BOOLEAN);
    }
}

static const char *mismatch(const field_node_t *node, const json_t *v, apr_pool_t *p)
{
    return apr_psprintf(p, "is %s, not %s", type_of(v), wanted(node, p));
}

static bool complain(walk_t *w, const at_t *at, const char *what)
{
    w->faults++;
    if (w->fault) {
        w->fault(path_of(at, w->p), what, w->baton);
    }
    return false;
}

/* ---- checking and conforming ---- */

/* Values of no known shape may still not be bottomless. */
static bool shallow(const json_t *v, int depth)
{
    const char *key;
    json_t *member;
    size_t i;

    if (depth >= FIELD_DEPTH) {
        return false;
    }
    json_object_foreach((json_t *)v, key, member)
    {
        if (!shallow(member, depth + 1)) {
            return false;
        }
    }
    json_array_foreach(v, i, member)
    {
        if (!shallow(member, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool good(walk_t *w, const field_node_t *node, json_t *v, const at_t *at, bool mend);

static void check_members(walk_t *w, const field_node_t *node, json_t *v, const at_t *at, bool mend)
{
    const char *key;
    json_t *member;
    void *next;

    json_object_foreach_safe(v, next, key, member)
    {
        const field_node_t *below = field_member(node, key);
        at_t here = { at, key, 0, at->depth + 1 };
        bool ok = below ? good(w, below, member, &here, mend)
                        : w->open || complain(w, &here, "is in no list");

        if (!ok && mend) {
            json_object_del(v, key);
        }
    }
}

/* In a list null takes the place of what does not fit, if it may. */
static void check_items(walk_t *w, const field_node_t *node, json_t *v, const at_t *at, bool mend)
{
    const field_node_t *items = field_items(node);

    for (size_t i = 0; items && i < json_array_size(v); i++) {
        at_t here = { at, NULL, i, at->depth + 1 };

        if (good(w, items, json_array_get(v, i), &here, mend) || !mend) {
            continue;
        }
        if (items->nullable) {
            json_array_set_new(v, i, json_null());
        } else {
            json_array_remove(v, i--);
        }
    }
}

/* False if v itself does not fit; what is wrong below it has been said and, with mend, has gone. */
static bool good(walk_t *w, const field_node_t *node, json_t *v, const at_t *at, bool mend)
{
    bool nested = json_is_object(v) || json_is_array(v);

    if (!fits(node, v)) {
        return complain(w, at, mismatch(node, v, w->p));
    }
    if (nested && ((node->types & ANY) || (json_is_array(v) && !field_items(node)) ||
                   at->depth >= FIELD_DEPTH)) {
        return shallow(v, at->depth) || complain(w, at, "is nested too deep");
    }
    if (json_is_object(v)) {
        check_members(w, node, v, at, mend);
    } else if (json_is_array(v)) {
        check_items(w, node, v, at, mend);
    }
    return true;
}

size_t sal_fields_check(const sal_fields_t *fields, const json_t *doc, sal_fields_fault_fn fault,
                        void *baton, apr_pool_t *p)
{
    walk_t w = { .p = p, .fault = fault, .baton = baton };
    at_t top = { NULL, NULL, 0, 0 };

    good(&w, fields->root, (json_t *)doc, &top, false);
    return w.faults;
}

size_t sal_fields_check_value(const sal_fields_t *fields, const char *name, const json_t *value,
                              apr_pool_t *p)
{
    const field_node_t *node = field_member(fields->root, name);
    walk_t w = { .p = p, .open = true };
    at_t root = { NULL, NULL, 0, 0 }, top = { &root, name, 0, 1 };

    if (!node) {
        return 1;
    }
    good(&w, node, (json_t *)value, &top, false);
    return w.faults;
}

size_t sal_fields_conform(const sal_fields_t *fields, json_t *doc, apr_pool_t *p)
{
    walk_t w = { .p = p };
    at_t top = { NULL, NULL, 0, 0 };

    good(&w, fields->root, doc, &top, true);
    return w.faults;
}

/* ---- the reduction ---- */

static json_t *reduce(walk_t *w, const field_node_t *node, const json_t *v, const at_t *at);

static json_t *reduce_object(walk_t *w, const field_node_t *node, const json_t *v, const at_t *at)
{
    json_t *out = json_object(), *member, *kept;
    const char *key;

    json_object_foreach((json_t *)v, key, member)
    {
        const field_node_t *below = field_member(node, key);
        at_t here = { at, key, 0, at->depth + 1 };

        if (below && below->shown == SHOWN && (kept = reduce(w, below, member, &here))) {
            json_object_set_new(out, key, kept);
        }
        if (w->faults && w->strict) {
            break;
        }
    }
    return out;
}

static json_t *reduce_array(walk_t *w, const field_node_t *node, const json_t *v, const at_t *at)
{
    const field_node_t *items = field_items(node);
    json_t *out = json_array();

    for (size_t i = 0; i < json_array_size(v) && !(w->faults && w->strict); i++) {
        at_t here = { at, NULL, i, at->depth + 1 };
        json_t *kept = reduce(w, items, json_array_get(v, i), &here);

        json_array_append_new(out, kept ? kept : json_null());
    }
    return out;
}

/* NULL if it does not fit. */
static json_t *reduce(walk_t *w, const field_node_t *node, const json_t *v, const at_t *at)
{
    if (!fits(node, v) || at->depth > FIELD_DEPTH) {
        if (w->faults++ == 0 && w->strict) {
            sal_fail(w->err, SAL_E_MALFORMED, "%s %s", path_of(at, w->p),
                     fits(node, v) ? "is nested too deep" : mismatch(node, v, w->p));
        }
        return NULL;
    }
    if (node->types & ANY) {
        return json_incref((json_t *)v);
    }
    if (json_is_object(v)) {
        return reduce_object(w, node, v, at);
    }
    if (json_is_array(v) && field_items(node)) {
        return reduce_array(w, node, v, at);
    }
    return json_incref((json_t *)v);
}

json_t *sal_fields_public(const sal_fields_t *fields, const json_t *doc)
{
    walk_t w = { .p = NULL };
    at_t top = { NULL, NULL, 0, 0 };

    return reduce_object(&w, fields->root, doc, &top);
}

apr_status_t sal_fields_reduce(json_t **out, const sal_fields_t *fields, const json_t *doc,
                               sal_error_t *err)
{
    walk_t w = { .strict = true, .err = err };
    at_t top = { NULL, NULL, 0, 0 };
    apr_pool_t *p;

    if (apr_pool_create(&p, NULL) != APR_SUCCESS) {
        *out = NULL;
        return APR_ENOMEM;
    }
    w.p = p;
    *out = reduce(&w, fields->root, doc, &top);
    apr_pool_destroy(p);
    if (w.faults) {
        json_decref(*out);
        *out = NULL;
        return SAL_E_MALFORMED;
    }
    return APR_SUCCESS;
}
