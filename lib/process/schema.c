/*
 * Field lists: the reader of the TSV files. What a list means is in schema_tree.c.
 */
#include "process/schema_private.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/file.h"
#include "process/fields_gen.h"

#define FIELDS_MAX (1 << 20)
#define COLUMNS 7
#define EXTRA_COLUMNS 5

static const char *const type_names[] = { "string", "integer", "number", "boolean",
                                          "object", "array",   "any" };
#define TYPES (sizeof(type_names) / sizeof(type_names[0]))

const char *sal_field_type_name(sal_field_type_t type)
{
    return (size_t)type < TYPES ? type_names[type] : "?";
}

/* ---- lines ---- */

typedef struct reading_t {
    apr_array_header_t *list; /* of sal_field_t */
    apr_hash_t *seen;         /* name -> the line that has it, as text */
    const char *path;
    int line;
    apr_pool_t *p;
    sal_error_t *err;
} reading_t;

static apr_status_t fault(const reading_t *r, const char *what)
{
    return sal_fail(r->err, SAL_E_MALFORMED, "field list %s line %d: %s", r->path, r->line, what);
}

static bool read_type(sal_field_t *f, const char *text, apr_pool_t *p)
{
    char *names = apr_pstrdup(p, text), *rest;
    size_t len = strlen(names);

    f->nullable = len && names[len - 1] == '?';
    if (f->nullable) {
        names[len - 1] = '\0';
    }
    if (names[0] == '@') {
        f->ref = names;
        f->types = 1u << SAL_FIELD_OBJECT; /* until the definition is known */
        f->type = SAL_FIELD_OBJECT;
        return names[1] != '\0';
    }
    for (char *name = apr_strtok(names, "|", &rest); name; name = apr_strtok(NULL, "|", &rest)) {
        size_t i = 0;

        while (i < TYPES && strcmp(type_names[i], name)) {
            i++;
        }
        if (i == TYPES) {
            return false;
        }
        f->type = f->types ? f->type : (sal_field_type_t)i;
        f->types |= 1u << i;
    }
    return f->types != 0;
}

static const char *or_null(const char *column)
{
    return strcmp(column, "-") ? column : NULL;
}

/* Cuts a line up in place; false if it has fewer columns. */
static bool cut(char **column, int n, char *line)
{
    int found = 0;

    for (char *at = line; at && found < n; found++) {
        column[found] = at;
        if ((at = strchr(at, '\t')) != NULL) {
            *at++ = '\0';
        }
    }
    return found == n;
}

static apr_status_t add_field(reading_t *r, const sal_field_t *f)
{
    const char *before = apr_hash_get(r->seen, f->name, APR_HASH_KEY_STRING);

    if (before) {
        return fault(r, apr_pstrcat(r->p, f->name, " is there already: ", before, NULL));
    }
    apr_hash_set(r->seen, f->name, APR_HASH_KEY_STRING,
                 apr_psprintf(r->p, "%s line %d", f->origin, f->line));
    APR_ARRAY_PUSH(r->list, sal_field_t) = *f;
    return APR_SUCCESS;
}

static bool read_permission(sal_field_t *f, const char *text)
{
    f->is_public = !strcmp(text, "public");
    return f->is_public || !strcmp(text, "protected");
}

/* line is cut up in place. */
static apr_status_t read_field(reading_t *r, char *line)
{
    sal_field_t f = { .origin = r->path, .line = r->line };
    char *column[COLUMNS];

    if (!cut(column, COLUMNS, line) || !*column[0]) {
        return fault(r, "expected name, type, public or protected, annotation, rule, default and "
                        "meaning, TAB between them");
    }
    if (!read_type(&f, column[1], r->p)) {
        return fault(r, "its type is none: string integer number boolean object array any "
                        "(joined by |) or @definition, ? behind it if it may be null");
    }
    if (!read_permission(&f, column[2])) {
        return fault(r, "its permission is neither public nor protected");
    }
    f.name = column[0];
    f.source = or_null(column[3]);
    f.rule = or_null(column[4]);
    f.initial = or_null(column[5]);
    f.meaning = or_null(column[6]) ? column[6] : "";
    if (f.initial) {
        json_t *v = json_loads(f.initial, JSON_DECODE_ANY, NULL);

        if (!v) {
            return fault(r, "its default is not JSON");
        }
        json_decref(v);
    }
    return add_field(r, &f);
}

typedef apr_status_t (*line_fn)(reading_t *r, char *line);

static apr_status_t each_line(reading_t *r, char *text, line_fn read)
{
    apr_status_t rv = APR_SUCCESS;

    r->line = 1;
    for (char *line = text, *next; line && rv == APR_SUCCESS; line = next, r->line++) {
        size_t len = strcspn(line, "\n");

        next = line[len] ? line + len + 1 : NULL;
        line[len] = '\0';
        if (len && line[len - 1] == '\r') {
            line[len - 1] = '\0';
        }
        if (*line && *line != '#') {
            rv = read(r, line);
        }
    }
    return rv;
}

static reading_t start_reading(const char *path, apr_pool_t *p, sal_error_t *err)
{
    return (reading_t){ .list = apr_array_make(p, 800, sizeof(sal_field_t)),
                        .seen = apr_hash_make(p),
                        .path = apr_pstrdup(p, path),
                        .p = p,
                        .err = err };
}

static apr_status_t finish(sal_fields_t **out, const reading_t *r)
{
    sal_fields_t *fields = apr_pcalloc(r->p, sizeof(*fields));
    apr_status_t rv;

    fields->field = (const sal_field_t *)r->list->elts;
    fields->n = (size_t)r->list->nelts;
    fields->by_name = apr_hash_make(r->p);
    for (size_t i = 0; i < fields->n; i++) {
        apr_hash_set(fields->by_name, fields->field[i].name, APR_HASH_KEY_STRING,
                     &fields->field[i]);
    }
    rv = field_tree_make(fields, r->p, r->err);
    *out = rv == APR_SUCCESS ? fields : NULL;
    return rv;
}

static apr_status_t read_fields(sal_fields_t **out, char *text, const char *path, apr_pool_t *p,
                                sal_error_t *err)
{
    reading_t r = start_reading(path, p, err);
    apr_status_t rv = each_line(&r, text, read_field);

    return rv == APR_SUCCESS ? finish(out, &r) : rv;
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

/* ---- a product's own annotations ---- */

typedef struct extending_t {
    reading_t processed; /* first: the lines of the file are read into it */
    reading_t raw;
} extending_t;

/* An annotation is a text in the raw crash whatever it becomes in the document. */
static apr_status_t read_extra(reading_t *r, char *line)
{
    extending_t *both = (extending_t *)r;
    sal_field_t f = { .origin = r->path, .line = r->line };
    char *column[EXTRA_COLUMNS];
    apr_status_t rv;

    both->raw.line = r->line;
    if (!cut(column, EXTRA_COLUMNS, line) || !*column[0] || !*column[1]) {
        return fault(r, "expected annotation, field, type, public or protected, and meaning, TAB "
                        "between them");
    }
    if (!read_type(&f, column[2], r->p) || f.ref || strchr(column[2], '|') ||
        f.type == SAL_FIELD_ARRAY || f.type == SAL_FIELD_ANY) {
        return fault(r, "its type is none of string integer number boolean object");
    }
    if (!read_permission(&f, column[3])) {
        return fault(r, "its permission is neither public nor protected");
    }
    for (const char *c = column[0]; *c; c++) {
        if ((unsigned char)*c > '~' || (!apr_isalnum(*c) && *c != '_' && *c != '-')) {
            return fault(r, "its annotation has a character that is not A-Z a-z 0-9 _ -");
        }
    }
    if (column[1][strspn(column[1], "abcdefghijklmnopqrstuvwxyz0123456789_")]) {
        return fault(r, "its field has a character that is not a-z 0-9 _");
    }
    f.name = column[1];
    f.source = column[0];
    f.meaning = or_null(column[4]) ? column[4] : "";
    rv = add_field(r, &f);
    if (rv == APR_SUCCESS && f.type == SAL_FIELD_OBJECT) {
        sal_field_t below = f;

        /* what is in it is not described, so it goes by the permission of the whole */
        below.name = apr_pstrcat(r->p, f.name, ".*", NULL);
        below.type = SAL_FIELD_ANY;
        below.types = 1u << SAL_FIELD_ANY;
        below.source = NULL;
        rv = add_field(r, &below);
    }
    f.name = column[0];
    f.source = NULL;
    f.rule = "copy";
    f.type = SAL_FIELD_STRING;
    f.types = 1u << SAL_FIELD_STRING;
    return rv == APR_SUCCESS ? add_field(&both->raw, &f) : rv;
}

static apr_status_t copy_list(reading_t *r, const sal_fields_t *fields)
{
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < fields->n && rv == APR_SUCCESS; i++) {
        rv = add_field(r, &fields->field[i]);
    }
    return rv;
}

apr_status_t sal_fields_extend(sal_fields_t **processed, sal_fields_t **raw, const char *path,
                               apr_pool_t *p, sal_error_t *err)
{
    extending_t both = { start_reading(path, p, err), start_reading(path, p, err) };
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, FIELDS_MAX, p, err);

    rv = rv == APR_SUCCESS ? copy_list(&both.processed, *processed) : rv;
    rv = rv == APR_SUCCESS ? copy_list(&both.raw, *raw) : rv;
    rv = rv == APR_SUCCESS ? each_line(&both.processed, text, read_extra) : rv;
    rv = rv == APR_SUCCESS ? finish(processed, &both.processed) : rv;
    return rv == APR_SUCCESS ? finish(raw, &both.raw) : rv;
}
