/*
 * The list of the telemetry export as a tree, the reduction of a document by it, and its schema.
 */
#include "export/telemetry.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "export/telemetry_gen.h"

#define LIST_MAX (1 << 20)
#define COLUMNS 5

typedef struct node_t node_t;
struct node_t {
    const char *name;   /* the last part of its path */
    const char *source; /* member of the processed crash; NULL: never filled */
    const char *meaning;
    sal_field_type_t type;
    bool nullable, to_text;
    node_t *first, *last; /* members of an object */
    node_t *item;         /* of a list; NULL: any */
    node_t *next;
};

struct sal_telemetry_t {
    node_t root;
};

/* ---- reading the list ---- */

static bool read_type(node_t *node, const char *text)
{
    size_t len = strlen(text);

    node->nullable = len && text[len - 1] == '?';
    len -= node->nullable;
    for (int t = SAL_FIELD_STRING; t <= SAL_FIELD_ANY; t++) {
        const char *name = sal_field_type_name((sal_field_type_t)t);

        if (strlen(name) == len && !strncmp(name, text, len)) {
            node->type = (sal_field_type_t)t;
            return true;
        }
    }
    return false;
}

static node_t *member(const node_t *of, const char *name, size_t len)
{
    for (node_t *n = of->first; n; n = n->next) {
        if (!strncmp(n->name, name, len) && !n->name[len]) {
            return n;
        }
    }
    return NULL;
}

/* Hangs node where path says; what stands above must be there. */
static bool place(node_t *root, node_t *node, char *path)
{
    node_t *at = root;

    for (;;) {
        size_t len = strcspn(path, ".[");
        node_t *next = member(at, path, len);

        if (!path[len] && !next) {
            node->name = path;
            *(at->first ? &at->last->next : &at->first) = node;
            at->last = node;
            return true;
        }
        path += len;
        if (next && !strcmp(path, "[]")) {
            next->item = node;
            node->name = "[]";
            return true;
        }
        if (next && !strncmp(path, "[].", 3)) {
            next = next->item;
            path += 2;
        }
        if (!next || *path != '.') {
            return false;
        }
        at = next;
        path++;
    }
}

/* line is cut up in place. */
static bool read_node(sal_telemetry_t *t, char *line, apr_pool_t *p)
{
    node_t *node = apr_pcalloc(p, sizeof(*node));
    char *column[COLUMNS];
    int n = 0;

    for (char *at = line; at && n < COLUMNS; n++) {
        column[n] = at;
        if ((at = strchr(at, '\t')) != NULL) {
            *at++ = '\0';
        }
    }
    if (n < COLUMNS || !*column[0] || !read_type(node, column[1]) ||
        (strcmp(column[3], "-") && strcmp(column[3], "text")) ||
        !place(&t->root, node, column[0])) {
        return false;
    }
    node->source = !strcmp(column[2], "-") ? node->name : strcmp(column[2], "!") ? column[2] : NULL;
    node->to_text = !strcmp(column[3], "text");
    node->meaning = strcmp(column[4], "-") ? column[4] : NULL;
    return true;
}

static apr_status_t read_list(sal_telemetry_t **out, char *text, const char *path, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_telemetry_t *t = apr_pcalloc(p, sizeof(*t));
    int number = 1;

    t->root.type = SAL_FIELD_OBJECT;
    for (char *line = text, *next; line; line = next, number++) {
        if ((next = strchr(line, '\n')) != NULL) {
            *next++ = '\0';
        }
        if (*line && *line != '#' && !read_node(t, line, p)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "telemetry list %s line %d: expected name, type, field, conversion and "
                            "meaning, TAB between them, below a line of what the name is in",
                            path, number);
        }
    }
    *out = t;
    return APR_SUCCESS;
}

apr_status_t sal_telemetry_load(sal_telemetry_t **out, const char *path, apr_pool_t *p,
                                sal_error_t *err)
{
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, LIST_MAX, p, err);

    return rv == APR_SUCCESS ? read_list(out, text, path, p, err) : rv;
}

sal_telemetry_t *sal_telemetry_builtin(apr_pool_t *p)
{
    sal_telemetry_t *t = NULL;

    read_list(&t, apr_pstrdup(p, sal_telemetry_text), "(built in)", p, NULL);
    return t;
}

/* ---- reduction ---- */

static bool type_fits(const node_t *node, const json_t *v)
{
    switch (node->type) {
    case SAL_FIELD_STRING:
        return json_is_string(v);
    case SAL_FIELD_INTEGER:
        return json_is_integer(v);
    case SAL_FIELD_NUMBER:
        return json_is_number(v);
    case SAL_FIELD_BOOLEAN:
        return json_is_boolean(v);
    case SAL_FIELD_OBJECT:
        return json_is_object(v);
    case SAL_FIELD_ARRAY:
        return json_is_array(v);
    default:
        return true;
    }
}

/* What the export's readers were promised as text, long ago. New reference or NULL. */
static json_t *as_text(const json_t *v)
{
    char number[40];

    if (json_is_boolean(v)) {
        return json_string(json_is_true(v) ? "1" : "0");
    }
    if (json_is_integer(v)) {
        apr_snprintf(number, sizeof(number), "%" APR_INT64_T_FMT,
                     (apr_int64_t)json_integer_value(v));
        return json_string(number);
    }
    if (json_is_real(v)) {
        size_t len =
            json_dumpb(v, number, sizeof(number) - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

        return len < sizeof(number) ? json_stringn(number, len) : NULL;
    }
    return NULL;
}

static json_t *reduce(const node_t *node, json_t *v, int *dropped);

/* Recursion is as deep as the list, never as the document. */
static json_t *reduce_members(const node_t *node, json_t *v, int *dropped)
{
    json_t *out = json_object();

    for (const node_t *n = node->first; n; n = n->next) {
        json_t *value = n->source ? json_object_get(v, n->source) : NULL;

        if (value && (value = reduce(n, value, dropped)) != NULL) {
            json_object_set_new(out, n->name, value);
        }
    }
    return out;
}

static json_t *reduce_items(const node_t *node, json_t *v, int *dropped)
{
    json_t *out = json_array();

    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *item = reduce(node->item, json_array_get(v, i), dropped);

        if (!item && node->item->type == SAL_FIELD_OBJECT) {
            item = json_object();
        }
        if (item) {
            json_array_append_new(out, item);
        }
    }
    return out;
}

/* New reference; NULL: it does not fit, and is left out. */
static json_t *reduce(const node_t *node, json_t *v, int *dropped)
{
    json_t *text = node->to_text ? as_text(v) : NULL;

    if (text) {
        return text;
    }
    if (json_is_null(v) && node->nullable) {
        return json_incref(v);
    }
    if (!type_fits(node, v)) {
        ++*dropped;
        return NULL;
    }
    if (node->type == SAL_FIELD_OBJECT) {
        return reduce_members(node, v, dropped);
    }
    return node->type == SAL_FIELD_ARRAY && node->item ? reduce_items(node, v, dropped)
                                                       : json_incref(v);
}

json_t *sal_telemetry_reduce(const sal_telemetry_t *t, const sal_fields_t *fields,
                             const json_t *doc, int *dropped)
{
    json_t *visible, *out;
    int unused = 0;

    if (!json_is_string(json_object_get(doc, "uuid"))) {
        return NULL;
    }
    visible = sal_fields_public(fields, doc);
    out = reduce_members(&t->root, visible, dropped ? dropped : &unused);
    json_decref(visible);
    return out;
}

/* ---- the schema ---- */

static json_t *schema_of(const node_t *node, const sal_fields_t *fields);

static json_t *members_of(const node_t *node, const sal_fields_t *fields)
{
    json_t *out = json_object();

    for (const node_t *n = node->first; n; n = n->next) {
        json_object_set_new(out, n->name, schema_of(n, fields));
    }
    return out;
}

static json_t *schema_of(const node_t *node, const sal_fields_t *fields)
{
    const char *type = sal_field_type_name(node->type), *meaning = node->meaning;
    json_t *out = json_object();

    if (!meaning && node->source) {
        const sal_field_t *f = sal_fields_find(fields, node->source);

        meaning = f ? f->meaning : NULL;
    }
    json_object_set_new(out, "type",
                        node->nullable ? json_pack("[s,s]", type, "null") : json_string(type));
    if (meaning) {
        json_object_set_new(out, "description", json_string(meaning));
    }
    if (node->first) {
        json_object_set_new(out, "properties", members_of(node, fields));
    }
    if (node->item) {
        json_object_set_new(out, "items", schema_of(node->item, fields));
    }
    return out;
}

json_t *sal_telemetry_schema(const sal_telemetry_t *t, const sal_fields_t *fields)
{
    json_t *out = json_object();

    json_object_set_new(out, "$schema", json_string("http://json-schema.org/draft-04/schema#"));
    json_object_set_new(out, "$target_version", json_integer(SAL_TELEMETRY_VERSION));
    json_object_set_new(out, "type", json_string("object"));
    json_object_set_new(out, "description",
                        json_string("A crash as Salvage publishes it: public members only."));
    json_object_set_new(out, "properties", members_of(&t->root, fields));
    return out;
}
