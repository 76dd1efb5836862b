/*
 * SuperSearchFields: the table of search fields in the words that clients know.
 */
#include "crashstats/api.h"

#include <apr_strings.h>

#include "search/fields.h"

static const char *query_type(const sal_search_field_t *f)
{
    static const char *const names[] = { "string", "enum", "bool", "integer", "float", "date" };

    return names[f->type];
}

/* Operators go by this one. */
static const char *data_type(const sal_search_field_t *f)
{
    switch (f->match) {
    case SAL_MATCH_NUMBER:
        return f->type == SAL_TYPE_FLOAT ? "float" : "int";
    case SAL_MATCH_BOOL:
        return "bool";
    case SAL_MATCH_DATE:
        return "datetime";
    default:
        return f->type == SAL_TYPE_ENUM ? "enum" : "str";
    }
}

/* In the words of the mapping that clients know, which says how values compare. */
static json_t *mapping(const sal_search_field_t *f)
{
    switch (f->match) {
    case SAL_MATCH_TEXT:
        return json_pack("{s:s, s:{s:{s:s}}}", "type", "text", "fields", "full", "type", "keyword");
    case SAL_MATCH_LIST:
        return json_pack("{s:s, s:s, s:b}", "type", "text", "analyzer", "semicolon_keywords",
                         "fielddata", 1);
    case SAL_MATCH_NUMBER:
        return json_pack("{s:s}", "type",
                         f->store == SAL_STORE_DOUBLE ? "double"
                         : f->bits > 31               ? "long"
                         : f->bits > 15               ? "integer"
                                                      : "short");
    case SAL_MATCH_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case SAL_MATCH_DATE:
        return json_pack("{s:s}", "type", "date");
    default:
        return json_pack("{s:s}", "type", "keyword");
    }
}

static json_t *choices(const char *name)
{
    if (strcmp(name, "process_type") == 0) {
        return json_pack("[s, [s, s], s, s, [s, s], s, s]", "content", "gpu", "GPU", "parent",
                         "plugin", "rdd", "RDD", "socket", "utility");
    }
    if (strcmp(name, "mac_memory_pressure") == 0) {
        return json_pack("[s, s, s, s, s]", "Normal", "Unset", "Warning", "Critical", "Unexpected");
    }
    return json_array();
}

/* Where the value stands in the processed crash; two fields are stored flat besides. */
static void put_place(json_t *out, const sal_search_field_t *f, apr_pool_t *p)
{
    const char *dot = strrchr(f->source, '.');
    bool flat = strcmp(f->name, "cpu_count") == 0 || strcmp(f->name, "collector_notes") == 0;

    json_object_set_new(out, "in_database_name",
                        json_string(dot && !flat ? dot + 1
                                    : flat       ? f->name
                                                 : f->source));
    json_object_set_new(out, "namespace",
                        dot && !flat ? json_string(apr_psprintf(p, "processed_crash.%.*s",
                                                                (int)(dot - f->source), f->source))
                                     : json_string("processed_crash"));
    if (flat) {
        json_object_set_new(out, "source_key", json_sprintf("processed_crash.%s", f->source));
    }
    if (strcmp(f->name, "cpu_count") == 0) {
        json_object_set_new(out, "destination_keys",
                            json_pack("[o, s]", json_sprintf("processed_crash.%s", f->source),
                                      "processed_crash.cpu_count"));
    }
}

/* What the field list says of the value, or of what it is a part of. */
static const char *meaning(const sal_search_field_t *f, const sal_fields_t *fields, apr_pool_t *p)
{
    char *path = apr_pstrdup(p, f->source), *dot;
    const sal_field_t *field;

    while (!((field = sal_fields_find(fields, path)) && *field->meaning) &&
           (dot = strrchr(path, '.'))) {
        *dot = '\0';
    }
    return field ? field->meaning : "";
}

static json_t *describe(const sal_search_field_t *f, const sal_fields_t *fields, apr_pool_t *p)
{
    json_t *out = json_pack(
        "{s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:o, s:o, s:o, s:s}", "name", f->name, "query_type",
        query_type(f), "data_validation_type", data_type(f), "form_field_choices", choices(f->name),
        "has_full_version", f->match == SAL_MATCH_TEXT, "is_exposed", 1, "is_returned", 1,
        "storage_mapping", mapping(f), "permissions_needed",
        f->is_protected ? json_pack("[s, s]", "public", "protected") : json_pack("[s]", "public"),
        "webapp_permissions_needed",
        f->is_protected ? json_pack("[s]", "crashstats.view_pii") : json_array(), "description",
        meaning(f, fields, p));

    put_place(out, f, p);
    return out;
}

int api_super_search_fields(api_call_t *c)
{
    const sal_search_field_t *all;
    json_t *out = json_object();
    int n;

    all = sal_search_fields(&n);
    for (int i = 0; i < n; i++) {
        json_object_set_new(out, all[i].name,
                            describe(&all[i], c->q->conf->data->processed, c->q->r->pool));
    }
    return crashstats_api_reply(c->q, HTTP_OK, out);
}
