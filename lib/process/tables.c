/*
 * The reader of tables. Every line is checked while it is read, so that a mistake is reported with
 * its line and not when a crash happens to need it.
 */
#include "process/tables_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "process/fields_gen.h"

#define TABLES_BYTES_MAX (1 << 20)

struct sal_process_tables_t {
    apr_array_header_t *rows[TABLES]; /* of table_row_t */
};

/* What a key or a value must look like. */
typedef enum { FREE_TEXT, VERSION, WORDS, OWN_OR_AS_IS, PRIVATE, THREE_PARTS, DEFAULT } form_t;

static const struct {
    const char *name;
    form_t key, value;
    const char *expected;
} tables[TABLES] = {
    { "windows", VERSION, FREE_TEXT, "MAJOR.MINOR, MAJOR.MINOR.BUILD or other, and a name" },
    { "macos", VERSION, FREE_TEXT, "MAJOR, MAJOR+ or other, and a name" },
    { "android-abi", FREE_TEXT, FREE_TEXT, "an ABI and a processor" },
    { "beta-product", FREE_TEXT, WORDS, "a product and channels joined by commas" },
    { "beta-rename", THREE_PARTS, FREE_TEXT, "PRODUCT:CHANNEL:BUILD and a product" },
    { "symbol-host", FREE_TEXT, OWN_OR_AS_IS, "a host and own or as-is" },
    { "theme", FREE_TEXT, FREE_TEXT, "an add-on and a name" },
    { "distribution", DEFAULT, FREE_TEXT, "default and a name" },
    { "crash-reason", FREE_TEXT, PRIVATE, "a text and private" },
};

static bool read_version(table_row_t *row)
{
    const char *at = row->key;
    char *end;

    if (!strcmp(at, "other")) {
        return true;
    }
    for (int i = 0; i < 3; i++) {
        if (!apr_isdigit(*at)) {
            return false;
        }
        row->number[i] = strtoll(at, &end, 10);
        if (*end != '.') {
            row->later = *end == '+';
            return !end[row->later];
        }
        at = end + 1;
    }
    return false;
}

static int colons(const char *text)
{
    int n = 0;

    for (; *text; text++) {
        n += *text == ':';
    }
    return n;
}

static bool has_form(form_t form, const char *text, table_row_t *row)
{
    switch (form) {
    case VERSION:
        return read_version(row);
    case OWN_OR_AS_IS:
        return !strcmp(text, "own") || !strcmp(text, "as-is");
    case PRIVATE:
        return !strcmp(text, "private");
    case THREE_PARTS:
        return colons(text) == 2;
    case DEFAULT:
        return !strcmp(text, "default");
    case WORDS:
        return !strpbrk(text, " ;");
    default:
        return true;
    }
}

static int table_named(const char *name)
{
    for (int i = 0; i < TABLES; i++) {
        if (!strcmp(tables[i].name, name)) {
            return i;
        }
    }
    return -1;
}

static const char *table_names(apr_pool_t *p)
{
    const char *text = "";

    for (int i = 0; i < TABLES; i++) {
        text = apr_pstrcat(p, text, " ", tables[i].name, NULL);
    }
    return text;
}

/* line is cut up in place. */
static apr_status_t read_row(sal_process_tables_t *t, char *line, const char *path, int number,
                             apr_pool_t *p, sal_error_t *err)
{
    char *key = strchr(line, '\t'), *value = key ? strchr(key + 1, '\t') : NULL;
    table_row_t row = { .later = false };
    int which;

    if (key) {
        *key++ = '\0';
    }
    if ((which = table_named(line)) < 0) {
        return sal_fail(err, SAL_E_MALFORMED, "%s line %d: no such table; tables are%s", path,
                        number, table_names(p));
    }
    if (!t->rows[which]) {
        t->rows[which] = apr_array_make(p, 16, sizeof(table_row_t));
    }
    if (value) {
        *value++ = '\0';
        row.key = key;
        row.value = value;
        if (!strcmp(key, "-") && !strcmp(value, "-")) {
            return APR_SUCCESS;
        }
    }
    if (!value || !*key || !*value || strchr(value, '\t') ||
        !has_form(tables[which].key, key, &row) || !has_form(tables[which].value, value, &row)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s line %d: expected %s, %s, TAB between them", path,
                        number, line, tables[which].expected);
    }
    if (table_value(t, (table_t)which, key)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s line %d: %s is there already", path, number, key);
    }
    APR_ARRAY_PUSH(t->rows[which], table_row_t) = row;
    return APR_SUCCESS;
}

static apr_status_t read_rows(sal_process_tables_t *t, char *text, const char *path, apr_pool_t *p,
                              sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    int number = 1;

    for (char *line = text, *next; line && rv == APR_SUCCESS; line = next, number++) {
        if ((next = strchr(line, '\n')) != NULL) {
            *next++ = '\0';
        }
        if (*line && *line != '#') {
            rv = read_row(t, line, path, number, p, err);
        }
    }
    return rv;
}

apr_status_t sal_process_tables_load(sal_process_tables_t **out, const char *path, apr_pool_t *p,
                                     sal_error_t *err)
{
    sal_process_tables_t defaults = { .rows = { NULL } }, *t = apr_pcalloc(p, sizeof(*t));
    char *text;
    apr_size_t size;
    apr_status_t rv =
        read_rows(&defaults, apr_pstrdup(p, sal_process_tables_text), "(built in)", p, err);

    if (rv == APR_SUCCESS && path) {
        rv = sal_file_read(&text, &size, path, TABLES_BYTES_MAX, p, err);
        rv = rv == APR_SUCCESS ? read_rows(t, text, path, p, err) : rv;
    }
    for (int i = 0; i < TABLES; i++) {
        t->rows[i] = t->rows[i] ? t->rows[i] : defaults.rows[i];
    }
    *out = rv == APR_SUCCESS ? t : NULL;
    return rv;
}

const table_row_t *table_rows(const sal_process_tables_t *t, table_t which, size_t *n)
{
    *n = t->rows[which] ? (size_t)t->rows[which]->nelts : 0;
    return *n ? (const table_row_t *)t->rows[which]->elts : NULL;
}

const char *table_value(const sal_process_tables_t *t, table_t which, const char *key)
{
    size_t n;
    const table_row_t *row = table_rows(t, which, &n);

    for (size_t i = 0; i < n; i++) {
        if (!strcmp(row[i].key, key)) {
            return row[i].value;
        }
    }
    return NULL;
}

apr_status_t sal_process_data_read(sal_process_data_t **out, const sal_conf_t *conf, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *schema = conf ? sal_conf_get(conf, "schema", NULL) : NULL;
    const char *extra = conf ? sal_conf_get(conf, "fields-extra", NULL) : NULL;
    const char *path = conf ? sal_conf_get(conf, "process-tables", NULL) : NULL;
    sal_process_data_t *data = apr_pcalloc(p, sizeof(*data));
    apr_status_t rv = sal_process_tables_load(&data->tables, path, p, err);

    if (rv == APR_SUCCESS && schema) {
        rv = sal_fields_load(&data->processed, apr_pstrcat(p, schema, "/processed_crash.tsv", NULL),
                             p, err);
        rv = rv == APR_SUCCESS
                 ? sal_fields_load(&data->raw, apr_pstrcat(p, schema, "/raw_crash.tsv", NULL), p,
                                   err)
                 : rv;
    } else if (rv == APR_SUCCESS) {
        data->processed = sal_fields_processed(p);
        data->raw = sal_fields_raw(p);
    }
    if (rv == APR_SUCCESS && extra) {
        rv = sal_fields_extend(&data->processed, &data->raw, extra, p, err);
    }
    *out = rv == APR_SUCCESS ? data : NULL;
    return rv;
}
