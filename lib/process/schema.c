/*
 * Field lists: the reader of the TSV files and the reduction of a document to its public part.
 */
#include "process/schema.h"

#include <string.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "process/fields_gen.h"

#define FIELDS_MAX (1 << 20)
#define COLUMNS 7

static const char *const type_names[] = { "string", "integer", "number", "boolean",
                                          "object", "array",   "any" };
#define TYPES (sizeof(type_names) / sizeof(type_names[0]))

const char *sal_field_type_name(sal_field_type_t type)
{
    return (size_t)type < TYPES ? type_names[type] : "?";
}

static bool read_type(sal_field_t *f, const char *text)
{
    size_t len = strlen(text);

    f->nullable = len && text[len - 1] == '?';
    len -= f->nullable;
    for (size_t i = 0; i < TYPES; i++) {
        if (strlen(type_names[i]) == len && strncmp(type_names[i], text, len) == 0) {
            f->type = (sal_field_type_t)i;
            return true;
        }
    }
    return false;
}

static const char *or_null(const char *column)
{
    return strcmp(column, "-") ? column : NULL;
}

/* line is cut up in place. */
static bool read_field(sal_field_t *f, char *line)
{
    char *column[COLUMNS];
    int n = 0;

    for (char *at = line; at && n < COLUMNS; n++) {
        column[n] = at;
        if ((at = strchr(at, '\t')) != NULL) {
            *at++ = '\0';
        }
    }
    if (n < COLUMNS || !*column[0] || !read_type(f, column[1]) ||
        (strcmp(column[2], "public") && strcmp(column[2], "protected"))) {
        return false;
    }
    f->name = column[0];
    f->is_public = !strcmp(column[2], "public");
    f->source = or_null(column[3]);
    f->rule = or_null(column[4]);
    f->initial = or_null(column[5]);
    f->meaning = or_null(column[6]) ? column[6] : "";
    return true;
}

static apr_status_t read_fields(sal_fields_t **out, char *text, const char *path, apr_pool_t *p,
                                sal_error_t *err)
{
    apr_array_header_t *list = apr_array_make(p, 200, sizeof(sal_field_t));
    sal_fields_t *fields = apr_pcalloc(p, sizeof(*fields));
    int number = 1;

    for (char *line = text, *next; line; line = next, number++) {
        if ((next = strchr(line, '\n')) != NULL) {
            *next++ = '\0';
        }
        if (*line && *line != '#' && !read_field(apr_array_push(list), line)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "field list %s line %d: expected name, type, public or protected, "
                            "annotation, rule, default and meaning, TAB between them",
                            path, number);
        }
    }
    fields->field = (const sal_field_t *)list->elts;
    fields->n = (size_t)list->nelts;
    fields->by_name = apr_hash_make(p);
    for (size_t i = 0; i < fields->n; i++) {
        apr_hash_set(fields->by_name, fields->field[i].name, APR_HASH_KEY_STRING,
                     &fields->field[i]);
    }
    *out = fields;
    return APR_SUCCESS;
}

apr_status_t sal_fields_load(sal_fields_t **out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, FIELDS_MAX, p, err);

    return rv == APR_SUCCESS ? read_fields(out, text, path, p, err) : rv;
}

/* Compiled in, so a mistake in it is one of ours: the unit tests load both. */
static sal_fields_t *builtin(const char *text, apr_pool_t *p)
{
    sal_fields_t *fields = NULL;

    read_fields(&fields, apr_pstrdup(p, text), "(built in)", p, NULL);
    return fields;
}

sal_fields_t *sal_fields_processed(apr_pool_t *p)
{
    return builtin(sal_fields_processed_text, p);
}

sal_fields_t *sal_fields_raw(apr_pool_t *p)
{
    return builtin(sal_fields_raw_text, p);
}

const sal_field_t *sal_fields_find(const sal_fields_t *fields, const char *name)
{
    return apr_hash_get(fields->by_name, name, APR_HASH_KEY_STRING);
}

/* ---- reduction ---- */

/*
 * Deletes what path names below v: segments joined by dots, "*" each member, "name[]" each item of
 * the list. It recurses on the depth of a path of ours, never on the document's.
 */
static void drop_path(json_t *v, const char *path)
{
    size_t len = strcspn(path, ".");
    const char *rest = path[len] ? path + len + 1 : NULL;
    bool list = len > 2 && path[len - 1] == ']' && path[len - 2] == '[';
    char name[128];
    json_t *member;

    if (!json_is_object(v)) {
        return;
    }
    if (len == 1 && path[0] == '*') {
        const char *key;

        json_object_foreach(v, key, member)
        {
            if (rest) {
                drop_path(member, rest);
            }
        }
        return;
    }
    apr_cpystrn(name, path,
                len - (list ? 2 : 0) < sizeof(name) ? len - (list ? 2 : 0) + 1 : sizeof(name));
    if (!rest) {
        json_object_del(v, name);
        return;
    }
    member = json_object_get(v, name);
    if (!list) {
        drop_path(member, rest);
        return;
    }
    for (size_t i = 0; i < json_array_size(member); i++) {
        drop_path(json_array_get(member, i), rest);
    }
}

static bool has_members(const sal_fields_t *fields, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < fields->n; i++) {
        if (!strncmp(fields->field[i].name, name, len) && fields->field[i].name[len] == '.') {
            return true;
        }
    }
    return false;
}

json_t *sal_fields_public(const sal_fields_t *fields, const json_t *doc)
{
    json_t *out = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)doc, key, value)
    {
        const sal_field_t *f = sal_fields_find(fields, key);

        if (!f || !f->is_public) {
            continue;
        }
        if (has_members(fields, key)) {
            json_object_set_new(out, key, json_deep_copy(value));
        } else {
            json_object_set(out, key, value);
        }
    }
    for (size_t i = 0; i < fields->n; i++) {
        const sal_field_t *f = &fields->field[i];

        if (!f->is_public && strchr(f->name, '.')) {
            drop_path(out, f->name);
        }
    }
    return out;
}
