/*
 * The tree of a field list: lines are put where their names say, references are tied to their
 * definitions, and it is worked out which branches show anything at all.
 */
#include "process/schema_private.h"

#include <string.h>
#include <apr_strings.h>

#define OBJECT (1u << SAL_FIELD_OBJECT)
#define ARRAY (1u << SAL_FIELD_ARRAY)

typedef struct building_t {
    field_node_t *defs; /* definitions are its members, by "@name" */
    apr_pool_t *p;
    sal_error_t *err;
} building_t;

static apr_status_t fault(building_t *b, const sal_field_t *f, const char *what)
{
    return sal_fail(b->err, SAL_E_MALFORMED, "field list %s line %d: %s: %s", f->origin, f->line,
                    f->name, what);
}

/* A node between two that have lines: an object or a list of the kind its place says. */
static field_node_t *make_node(building_t *b, unsigned types)
{
    field_node_t *node = apr_pcalloc(b->p, sizeof(*node));

    node->types = types;
    node->is_public = true; /* what is below it decides */
    return node;
}

static apr_status_t free_code(void *code)
{
    pcre2_code_free(code);
    return APR_SUCCESS;
}

static apr_status_t pattern_node(field_node_t **out, field_node_t *parent, const char *text,
                                 const sal_field_t *f, building_t *b)
{
    field_pattern_t **at = &parent->patterns;
    PCRE2_SIZE where;
    pcre2_code *code;
    int rc;

    for (; *at; at = &(*at)->next) {
        if (!strcmp((*at)->text, text)) {
            *out = (*at)->node;
            return APR_SUCCESS;
        }
    }
    code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &rc, &where, NULL);
    if (!code) {
        return fault(b, f, "the pattern in its name is no regular expression");
    }
    apr_pool_cleanup_register(b->p, code, free_code, apr_pool_cleanup_null);
    *at = apr_pcalloc(b->p, sizeof(**at));
    (*at)->text = text;
    (*at)->code = code;
    (*at)->node = *out = make_node(b, OBJECT);
    return APR_SUCCESS;
}

static field_node_t *member_node(field_node_t *parent, const char *name, building_t *b)
{
    field_node_t *node;

    if (!strcmp(name, "*")) {
        return parent->any ? parent->any : (parent->any = make_node(b, OBJECT));
    }
    if (!parent->members) {
        parent->members = apr_hash_make(b->p);
    }
    if (!(node = apr_hash_get(parent->members, name, APR_HASH_KEY_STRING))) {
        node = make_node(b, OBJECT);
        apr_hash_set(parent->members, name, APR_HASH_KEY_STRING, node);
    }
    return node;
}

/* The part of a name up to its next dot, brackets or end; a pattern is one part. */
static size_t part_length(const char *at)
{
    const char *end = *at == '/' ? strstr(at + 1, "/.") : NULL;

    if (*at == '/') {
        return end ? (size_t)(end - at) + 1 : strlen(at);
    }
    return strcspn(at, ".[");
}

static apr_status_t find_place(field_node_t **out, field_node_t *root, const sal_field_t *f,
                               building_t *b)
{
    field_node_t *node = root;
    const char *at = f->name;
    apr_status_t rv;

    while (*at) {
        size_t len = part_length(at);
        char *part = apr_pstrmemdup(b->p, at, len);

        at += len;
        if (len > 2 && part[0] == '/' && part[len - 1] == '/') {
            part[len - 1] = '\0';
            rv = pattern_node(&node, node, part + 1, f, b);
            if (rv != APR_SUCCESS) {
                return rv;
            }
        } else if (len == 0) {
            return fault(b, f, "its name has an empty part");
        } else {
            node = member_node(node, part, b);
        }
        while (at[0] == '[' && at[1] == ']') {
            if (!node->items) {
                node->types |= node->field ? 0 : ARRAY;
                node->items = make_node(b, OBJECT);
            }
            node = node->items;
            at += 2;
        }
        if (*at && *at++ != '.') {
            return fault(b, f, "its name is none");
        }
    }
    *out = node;
    return APR_SUCCESS;
}

static apr_status_t add_line(field_node_t *root, const sal_field_t *f, building_t *b)
{
    field_node_t *node = NULL;
    apr_status_t rv = find_place(&node, root, f, b);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    node->field = f;
    node->types = f->types;
    node->nullable = f->nullable;
    node->is_public = f->is_public;
    if (f->ref && f->name[0] == '@' && !strpbrk(f->name, ".[")) {
        return fault(b, f, "a definition needs a type of its own");
    }
    return APR_SUCCESS;
}

/* The referring line keeps its own permission; types and members come from the definition. */
static apr_status_t tie(field_node_t *node, building_t *b)
{
    const char *ref = node->field ? node->field->ref : NULL;
    const field_node_t *def =
        ref && b->defs->members ? apr_hash_get(b->defs->members, ref, APR_HASH_KEY_STRING) : NULL;

    if (ref && (!def || !def->field)) {
        return fault(b, node->field, "there is no definition of that name");
    }
    if (def) {
        node->def = def;
        node->types = def->types;
        node->nullable = node->nullable || def->nullable;
    }
    return APR_SUCCESS;
}

typedef apr_status_t (*node_fn)(field_node_t *node, building_t *b);

/* Every node below one; names bound the depth. */
static apr_status_t each_node(field_node_t *node, node_fn fn, building_t *b)
{
    apr_status_t rv = fn(node, b);

    for (apr_hash_index_t *i = node->members ? apr_hash_first(b->p, node->members) : NULL;
         i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        rv = each_node(apr_hash_this_val(i), fn, b);
    }
    for (field_pattern_t *at = node->patterns; at && rv == APR_SUCCESS; at = at->next) {
        rv = each_node(at->node, fn, b);
    }
    if (rv == APR_SUCCESS && node->any) {
        rv = each_node(node->any, fn, b);
    }
    return rv == APR_SUCCESS && node->items ? each_node(node->items, fn, b) : rv;
}

/* ---- what shows ---- */

static bool shows(field_node_t *node, apr_pool_t *p);

static bool any_member_shows(const field_node_t *node, apr_pool_t *p)
{
    bool found = node->any && shows(node->any, p);

    for (field_pattern_t *at = node->patterns; at && !found; at = at->next) {
        found = shows(at->node, p);
    }
    for (apr_hash_index_t *i = node->members ? apr_hash_first(p, node->members) : NULL; i && !found;
         i = apr_hash_next(i)) {
        found = shows(apr_hash_this_val(i), p);
    }
    return found;
}

/* Objects show if a member does, lists if their items do, everything else by its permission. */
static bool branch_shows(field_node_t *node, apr_pool_t *p)
{
    const field_node_t *items = field_items(node);

    if (!node->is_public) {
        return false;
    }
    if (node->types & ~(OBJECT | ARRAY)) {
        return true;
    }
    if ((node->types & ARRAY) && (!items || shows((field_node_t *)items, p))) {
        return true;
    }
    return (node->types & OBJECT) &&
           (any_member_shows(node, p) || (node->def && any_member_shows(node->def, p)));
}

static bool shows(field_node_t *node, apr_pool_t *p)
{
    if (node->shown == NOT_LOOKED) {
        node->shown = LOOKING; /* a definition that refers to itself shows nothing by that */
        node->shown = branch_shows(node, p) ? SHOWN : HIDDEN;
    }
    return node->shown == SHOWN;
}

static apr_status_t look(field_node_t *node, building_t *b)
{
    shows(node, b->p);
    return APR_SUCCESS;
}

apr_status_t field_tree_make(sal_fields_t *fields, apr_pool_t *p, sal_error_t *err)
{
    building_t b = { .p = p, .err = err };
    field_node_t *root = make_node(&b, OBJECT);
    apr_status_t rv = APR_SUCCESS;

    b.defs = make_node(&b, OBJECT);
    for (size_t i = 0; i < fields->n && rv == APR_SUCCESS; i++) {
        const sal_field_t *f = &fields->field[i];

        rv = add_line(f->name[0] == '@' ? b.defs : root, f, &b);
    }
    rv = rv == APR_SUCCESS ? each_node(b.defs, tie, &b) : rv;
    rv = rv == APR_SUCCESS ? each_node(root, tie, &b) : rv;
    rv = rv == APR_SUCCESS ? each_node(b.defs, look, &b) : rv;
    rv = rv == APR_SUCCESS ? each_node(root, look, &b) : rv;
    fields->root = root;
    return rv;
}

/* ---- finding the way ---- */

static const field_node_t *own_member(const field_node_t *node, const char *name)
{
    const field_node_t *found =
        node->members ? apr_hash_get(node->members, name, APR_HASH_KEY_STRING) : NULL;

    for (const field_pattern_t *at = node->patterns; at && !found; at = at->next) {
        pcre2_match_data *match = pcre2_match_data_create(1, NULL);

        if (match && pcre2_match(at->code, (PCRE2_SPTR)name, PCRE2_ZERO_TERMINATED, 0, 0, match,
                                 NULL) >= 0) {
            found = at->node;
        }
        pcre2_match_data_free(match);
    }
    return found;
}

const field_node_t *field_member(const field_node_t *node, const char *name)
{
    const field_node_t *found = own_member(node, name);

    if (!found && node->def) {
        found = own_member(node->def, name);
    }
    if (!found) {
        found = node->any ? node->any : node->def ? node->def->any : NULL;
    }
    return found;
}

const field_node_t *field_items(const field_node_t *node)
{
    return node->items ? node->items : node->def ? node->def->items : NULL;
}
