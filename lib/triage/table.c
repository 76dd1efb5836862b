/*
 * CSV as RFC 4180 has it (quotes, doubled quotes, line ends within quotes), and arrays of objects.
 */
#include "triage/table.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"
#include "base/text.h"

enum { FIELDS_MAX = 100, ROWS_MAX = 5000000 };

typedef struct reader_t {
    const table_column_t *columns;
    int n_columns;
    apr_array_header_t *rows; /* of const char ** */
    int place[FIELDS_MAX];    /* column of a field; -1: none */
    apr_pool_t *p;
    sal_error_t *err;
} reader_t;

static int column_of(const reader_t *r, const char *name)
{
    for (int c = 0; c < r->n_columns; c++) {
        for (int i = 0; i < 4 && r->columns[c].names[i]; i++) {
            if (!strcasecmp(r->columns[c].names[i], name)) {
                return c;
            }
        }
    }
    return -1;
}

static const char **new_row(reader_t *r)
{
    const char **row = apr_palloc(r->p, sizeof(char *) * (apr_size_t)r->n_columns);

    for (int c = 0; c < r->n_columns; c++) {
        row[c] = "";
    }
    return row;
}

static apr_status_t keep_row(reader_t *r, const char **row, const char *what, int at)
{
    for (int c = 0; c < r->n_columns; c++) {
        if (r->columns[c].required && !*row[c]) {
            return sal_fail(r->err, SAL_E_MALFORMED, "%s %d has no %s", what, at,
                            r->columns[c].names[0]);
        }
    }
    if (r->rows->nelts >= ROWS_MAX) {
        return sal_fail(r->err, SAL_E_TOOBIG, "more than %d rows", ROWS_MAX);
    }
    APR_ARRAY_PUSH(r->rows, const char **) = row;
    return APR_SUCCESS;
}

/* ---- CSV ---- */

/* One field, without blanks around it unless they are quoted; *end behind it. NULL: open quotes. */
static const char *field_of(const char *s, const char *stop, const char **end, apr_pool_t *p)
{
    char *out, *o;

    while (s < stop && (*s == ' ' || *s == '\t')) {
        s++;
    }
    if (s == stop || *s != '"') {
        const char *e = s;

        while (e < stop && !strchr(",\r\n", *e)) {
            e++;
        }
        *end = e;
        while (e > s && apr_isspace(e[-1])) {
            e--;
        }
        return apr_pstrmemdup(p, s, (apr_size_t)(e - s));
    }
    o = out = apr_palloc(p, (apr_size_t)(stop - s));
    for (s++; s < stop; s++) {
        if (*s == '"' && (s + 1 == stop || s[1] != '"')) {
            *o = '\0';
            *end = s + 1;
            return out;
        }
        s += *s == '"';
        *o++ = *s;
    }
    return NULL;
}

static apr_status_t line_of(reader_t *r, const char **fields, int *n, const char **at,
                            const char *stop, int line)
{
    const char *s = *at;

    for (*n = 0; *n < FIELDS_MAX; s++) {
        const char *field = field_of(s, stop, &s, r->p);

        while (field && s < stop && (*s == ' ' || *s == '\t')) {
            s++;
        }
        if (!field || (s < stop && !strchr(",\r\n", *s))) {
            return sal_fail(r->err, SAL_E_MALFORMED, "line %d: quotes that do not match", line);
        }
        fields[(*n)++] = field;
        if (s == stop || *s != ',') {
            s += s < stop && *s == '\r';
            *at = s + (s < stop && *s == '\n');
            return APR_SUCCESS;
        }
    }
    return sal_fail(r->err, SAL_E_MALFORMED, "line %d: more than %d fields", line, FIELDS_MAX);
}

/* Does the line name the columns? Then r->place is theirs. */
static bool is_heading(reader_t *r, const char **fields, int n)
{
    int place[FIELDS_MAX];

    for (int i = 0; i < n; i++) {
        place[i] = column_of(r, fields[i]);
    }
    for (int c = 0; c < r->n_columns; c++) {
        int i = 0;

        while (i < n && place[i] != c) {
            i++;
        }
        if (i == n && r->columns[c].required) {
            return false;
        }
    }
    memcpy(r->place, place, sizeof(place[0]) * (size_t)n);
    for (int i = n; i < FIELDS_MAX; i++) {
        r->place[i] = -1;
    }
    return true;
}

static apr_status_t read_csv(reader_t *r, const char *at, const char *stop)
{
    const char *fields[FIELDS_MAX];
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < FIELDS_MAX; i++) {
        r->place[i] = i < r->n_columns ? i : -1;
    }
    for (int line = 1, n; at < stop && rv == APR_SUCCESS; line++) {
        const char **row = new_row(r);

        rv = line_of(r, fields, &n, &at, stop, line);
        if (rv != APR_SUCCESS || (n == 1 && !*fields[0]) ||
            (line == 1 && is_heading(r, fields, n))) {
            continue;
        }
        for (int i = 0; i < n; i++) {
            if (r->place[i] >= 0) {
                row[r->place[i]] = fields[i];
            }
        }
        rv = keep_row(r, row, "line", line);
    }
    return rv;
}

/* ---- JSON ---- */

static const char *text_of(const json_t *v, apr_pool_t *p)
{
    return json_is_string(v) ? apr_pstrdup(p, json_string_value(v))
           : json_is_integer(v)
               ? apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(v))
               : "";
}

static apr_status_t read_json(reader_t *r, const char *text, size_t len)
{
    json_t *all, *one, *v;
    const char *key;
    apr_status_t rv = sal_json_parse(&all, text, len, r->p, r->err);

    if (rv == APR_SUCCESS && !json_is_array(all)) {
        return sal_fail(r->err, SAL_E_MALFORMED, "not an array of objects");
    }
    for (size_t i = 0; rv == APR_SUCCESS && i < json_array_size(all); i++) {
        const char **row = new_row(r);

        one = json_array_get(all, i);
        json_object_foreach(one, key, v)
        {
            int c = column_of(r, key);

            if (c >= 0) {
                row[c] = text_of(v, r->p);
            }
        }
        rv = keep_row(r, row, "element", (int)i + 1);
    }
    return rv;
}

apr_status_t table_read(const char ****rows, int *n, const table_column_t *columns, int n_columns,
                        const char *text, size_t len, apr_pool_t *p, sal_error_t *err)
{
    reader_t r = { .columns = columns, .n_columns = n_columns, .p = p, .err = err };
    const char *at = text, *stop = text + len;
    apr_status_t rv;

    r.rows = apr_array_make(p, 64, sizeof(const char **));
    if (len >= 3 && !memcmp(at, "\xef\xbb\xbf", 3)) {
        at += 3;
    }
    while (at < stop && apr_isspace(*at)) {
        at++;
    }
    if (!sal_utf8_valid(at, (apr_size_t)(stop - at))) {
        return sal_fail(err, SAL_E_MALFORMED, "the table is not UTF-8");
    }
    rv = at < stop && *at == '[' ? read_json(&r, at, (size_t)(stop - at)) : read_csv(&r, at, stop);
    *rows = (const char ***)r.rows->elts;
    *n = r.rows->nelts;
    return rv;
}
