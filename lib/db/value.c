/*
 * Values on the wire: parameters out, results in. Text format but for bytea parameters, which are
 * binary; one encoder and one decoder for arrays. Knows no connection.
 */
#include "db/db_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/text.h"

#define OID_BYTEA 17 /* fixed in every PostgreSQL: catalog/pg_type.dat */

struct sal_rows_t {
    PGresult *res;
};

/* ---- parameters ---- */

static const char *double_text(double d, apr_pool_t *p)
{
    char *text, *comma;

    if (isnan(d)) {
        return "NaN";
    }
    if (isinf(d)) {
        return d > 0 ? "Infinity" : "-Infinity";
    }
    text = apr_palloc(p, 40);
    snprintf(text, 40, "%.17g", d);
    if ((comma = strchr(text, ',')) != NULL) {
        *comma = '.'; /* a host program may have set a locale */
    }
    return text;
}

static const char *int_array(const int64_t *v, apr_size_t n, apr_pool_t *p)
{
    char *out = apr_palloc(p, n * 21 + 3), *at = out;

    *at++ = '{';
    for (apr_size_t i = 0; i < n; i++) {
        at += snprintf(at, 22, i ? ",%lld" : "%lld", (long long)v[i]);
    }
    *at++ = '}';
    *at = '\0';
    return out;
}

static char *quote_element(char *at, const char *text)
{
    *at++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            *at++ = '\\';
        }
        *at++ = *text;
    }
    *at++ = '"';
    return at;
}

/*
 * Every text is quoted, so that none is taken for NULL or cut at a comma. NULL on a null pointer
 * where there should be none.
 */
static const char *text_array(const char *const *v, apr_size_t n, bool nulls, apr_pool_t *p)
{
    apr_size_t room = 3;
    char *out, *at;

    for (apr_size_t i = 0; i < n; i++) {
        if (!v[i] && !nulls) {
            return NULL;
        }
        room += v[i] ? 2 * strlen(v[i]) + 3 : 5;
    }
    at = out = apr_palloc(p, room);
    *at++ = '{';
    for (apr_size_t i = 0; i < n; i++) {
        if (i) {
            *at++ = ',';
        }
        if (v[i]) {
            at = quote_element(at, v[i]);
        } else {
            memcpy(at, "NULL", 4);
            at += 4;
        }
    }
    *at++ = '}';
    *at = '\0';
    return out;
}

static const char *value_text(const sal_val_t *v, apr_pool_t *p)
{
    switch (v->type) {
    case SAL_T_INT:
        return apr_psprintf(p, "%" APR_INT64_T_FMT, v->i);
    case SAL_T_BOOL:
        return v->i ? "t" : "f";
    case SAL_T_DOUBLE:
        return double_text(v->d, p);
    case SAL_T_TIME:
        return sal_time_iso(v->i, p);
    case SAL_T_TEXT_ARRAY:
        return text_array(v->data, v->len, v->i != 0, p);
    case SAL_T_INT_ARRAY:
        return int_array(v->data, v->len, p);
    default:
        return v->data;
    }
}

apr_status_t sal_db_wire(wire_t *out, const sal_val_t *params, int n, const char *what,
                         apr_pool_t *p, sal_error_t *err)
{
    apr_size_t count = n > 0 ? (apr_size_t)n : 1;

    out->values = apr_pcalloc(p, count * sizeof(*out->values));
    out->lengths = apr_pcalloc(p, count * sizeof(*out->lengths));
    out->formats = apr_pcalloc(p, count * sizeof(*out->formats));
    out->types = apr_pcalloc(p, count * sizeof(*out->types));
    for (int i = 0; i < n; i++) {
        const sal_val_t *v = &params[i];

        if (v->type == SAL_T_BYTEA) {
            if (v->len > INT32_MAX) {
                return sal_fail(err, SAL_E_TOOBIG, "%s: parameter %d is over 2 GB", what, i + 1);
            }
            out->formats[i] = 1;
            out->lengths[i] = (int)v->len;
            out->types[i] = OID_BYTEA;
            out->values[i] = v->is_null ? NULL : v->data ? v->data : "";
        } else if (!v->is_null) {
            out->values[i] = value_text(v, p);
            if (!out->values[i]) {
                return sal_fail(err, APR_EINVAL, "%s: parameter %d is or holds a null pointer",
                                what, i + 1);
            }
        }
    }
    return APR_SUCCESS;
}

/* ---- results ---- */

static apr_status_t clear_result(void *res)
{
    PQclear(res);
    return APR_SUCCESS;
}

sal_rows_t *sal_db_rows(PGresult *res, apr_pool_t *p)
{
    sal_rows_t *rows = apr_palloc(p, sizeof(*rows));

    rows->res = res;
    apr_pool_cleanup_register(p, res, clear_result, apr_pool_cleanup_null);
    return rows;
}

sal_rows_t *sal_db_rows_later(apr_pool_t *p)
{
    return apr_pcalloc(p, sizeof(sal_rows_t)); /* libpq takes no result for an empty one */
}

void sal_db_rows_came(sal_rows_t *rows, PGresult *res, apr_pool_t *p)
{
    rows->res = res;
    apr_pool_cleanup_register(p, res, clear_result, apr_pool_cleanup_null);
}

int sal_rows_count(const sal_rows_t *rows)
{
    return PQntuples(rows->res);
}

int sal_rows_affected(const sal_rows_t *rows)
{
    int64_t n;

    return sal_parse_int(PQcmdTuples(rows->res), 0, INT32_MAX, &n) ? (int)n : 0;
}

static int in_range(const sal_rows_t *rows, int row, int col)
{
    return row >= 0 && row < PQntuples(rows->res) && col >= 0 && col < PQnfields(rows->res);
}

int sal_rows_null(const sal_rows_t *rows, int row, int col)
{
    return !in_range(rows, row, col) || PQgetisnull(rows->res, row, col);
}

const char *sal_rows_text(const sal_rows_t *rows, int row, int col)
{
    return in_range(rows, row, col) ? PQgetvalue(rows->res, row, col) : "";
}

int64_t sal_rows_int(const sal_rows_t *rows, int row, int col)
{
    int64_t v;

    return sal_parse_int(sal_rows_text(rows, row, col), INT64_MIN, INT64_MAX, &v) ? v : 0;
}

double sal_rows_double(const sal_rows_t *rows, int row, int col)
{
    return strtod(sal_rows_text(rows, row, col), NULL);
}

int sal_rows_bool(const sal_rows_t *rows, int row, int col)
{
    return sal_rows_text(rows, row, col)[0] == 't';
}

apr_time_t sal_rows_time(const sal_rows_t *rows, int row, int col)
{
    apr_time_t t;

    return sal_time_parse(sal_rows_text(rows, row, col), &t) ? t : 0;
}

/* bytea_output = escape, which an administrator may have set. */
static const void *unescape_bytes(const char *text, apr_size_t *size, apr_pool_t *p)
{
    unsigned char *plain = PQunescapeBytea((const unsigned char *)text, size);
    void *out;

    if (!plain) {
        *size = 0;
        return "";
    }
    out = apr_pmemdup(p, plain, *size + 1);
    PQfreemem(plain);
    return out;
}

const void *sal_rows_bytes(const sal_rows_t *rows, int row, int col, apr_size_t *size,
                           apr_pool_t *p)
{
    const char *text = sal_rows_text(rows, row, col);
    apr_size_t n = strlen(text);
    unsigned char *out;

    if (n < 2 || text[0] != '\\' || text[1] != 'x') {
        return unescape_bytes(text, size, p);
    }
    *size = (n - 2) / 2;
    out = apr_palloc(p, *size + 1);
    for (apr_size_t i = 0; i < *size; i++) {
        uint64_t byte = 0;

        sal_parse_hex(text + 2 + 2 * i, 2, &byte);
        out[i] = (unsigned char)byte;
    }
    out[*size] = '\0';
    return out;
}

/* One element of an array literal; moves *at behind it. Output is never longer than input. */
static const char *element(const char **at, char **store)
{
    const char *s = *at;
    char *start = *store, *out = start;
    int quoted = *s == '"';

    if (quoted) {
        for (s++; *s && *s != '"'; s++) {
            s += *s == '\\' && s[1];
            *out++ = *s;
        }
        s += *s == '"';
    } else {
        while (*s && *s != ',' && *s != '}') {
            *out++ = *s++;
        }
    }
    *out++ = '\0';
    if (!quoted && !strcmp(start, "NULL")) {
        *start = '\0';
    }
    *store = out;
    *at = s;
    return start;
}

/* Elements are at most one more than the commas. */
static apr_size_t most_elements(const char *s)
{
    apr_size_t n = 1;

    for (; *s; s++) {
        n += *s == ',';
    }
    return n;
}

const char **sal_rows_array(const sal_rows_t *rows, int row, int col, int *n, apr_pool_t *p)
{
    const char *at = sal_rows_text(rows, row, col);
    apr_size_t most = most_elements(at);
    const char **out = apr_pcalloc(p, (most + 1) * sizeof(*out));
    char *store = apr_palloc(p, strlen(at) + most + 1);

    *n = 0;
    at = strchr(at, '{'); /* behind "[0:2]=" if bounds are written */
    if (!at || at[1] == '}') {
        return out;
    }
    for (at++; *at && *at != '}'; at += *at == ',') {
        out[(*n)++] = element(&at, &store);
    }
    return out;
}
