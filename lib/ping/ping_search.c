/*
 * Questions about crash pings. Statements are put together from the constants below; everything
 * that came from outside is a parameter.
 */
#include "ping/ping_search.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"
#include "search/fields.h"

#define DAY apr_time_from_sec(86400)

enum { HITS = 100, MOST = 1000, WINDOW_DAYS = 7, WINDOW_MAX = 366, MAX_FILTERS = 100 };

/* A report may have come weeks before or after the ping. */
#define NEAR                                                                                       \
    "c.minidump_sha256_hash = p.dump_sha256 AND c.date >= $1::timestamptz - interval "             \
    "'60 days' AND c.date < $2::timestamptz + interval '60 days'"

typedef enum { TEXT, TIME, JSON, TRUTH } kind_t;

typedef struct field_t {
    const char *name;
    const char *sql;
    kind_t kind;
    bool protected;
} field_t;

static const field_t fields[] = {
    { "product", "p.product", TEXT, false },
    { "version", "p.version", TEXT, false },
    { "channel", "p.channel", TEXT, false },
    { "build", "p.build", TEXT, false },
    { "os", "p.os", TEXT, false },
    { "os_version", "p.os_version", TEXT, false },
    { "arch", "p.arch", TEXT, false },
    { "process_type", "p.process_type", TEXT, false },
    { "utility_actor", "p.utility_actor", TEXT, false },
    { "reason", "p.reason", TEXT, false },
    { "app", "p.app", TEXT, false },
    { "signature", "p.signature", TEXT, false },
    { "proto_signature", "p.proto_signature", TEXT, false },
    { "document_id", "p.document_id::text", TEXT, false },
    { "minidump_sha256_hash", "p.dump_sha256", TEXT, false },
    { "dialect", "CASE p.dialect WHEN 0 THEN 'glean' ELSE 'telemetry' END", TEXT, false },
    { "state",
      "CASE p.state WHEN 2 THEN 'signed' WHEN 3 THEN 'left out' WHEN 4 THEN 'failed' "
      "ELSE 'waiting' END",
      TEXT, false },
    { "day", "to_char(p.received AT TIME ZONE 'UTC', 'YYYY-MM-DD')", TEXT, false },
    { "date", "p.received", TIME, false },
    { "crash_time", "p.crash_time", TIME, false },
    { "report", "EXISTS (SELECT FROM crash c WHERE " NEAR ")", TRUTH, false },
    { "crash_id", "(SELECT c.uuid::text FROM crash c WHERE " NEAR " ORDER BY c.date LIMIT 1)", TEXT,
      false },
    { "stack", "p.stack", JSON, false },
    { "note", "p.note", TEXT, false },
    { "moz_crash_reason",
      "coalesce(p.body #>> '{metrics,string,crash.moz_crash_reason}', "
      "p.body #>> '{payload,metadata,MozCrashReason}')",
      TEXT, true },
    { "body", "p.body", JSON, true },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

typedef struct filter_t {
    const field_t *field;
    char op; /* '=' '~' '^' '$' '@' '0' null; '<' '>' 'l' (<=) 'g' (>=) */
    bool negated;
    const char *text;
    apr_time_t time;
} filter_t;

struct sal_ping_query_t {
    apr_pool_t *p;
    apr_time_t from, to;
    bool may_protected;
    apr_array_header_t *filters;          /* filter_t */
    apr_array_header_t *columns, *facets; /* const field_t * */
    const field_t *sort;
    bool descending;
    int64_t limit, offset, facet_size;
    apr_array_header_t *params; /* sal_val_t: $1, $2 are the window */
};

/* ---- making ---- */

sal_ping_query_t *sal_ping_query_make(apr_time_t now, bool may_protected, apr_pool_t *p)
{
    sal_ping_query_t *q = apr_pcalloc(p, sizeof(*q));

    q->p = p;
    q->from = now - WINDOW_DAYS * DAY;
    q->to = now + apr_time_from_sec(1);
    q->may_protected = may_protected;
    q->filters = apr_array_make(p, 8, sizeof(filter_t));
    q->columns = apr_array_make(p, 8, sizeof(const field_t *));
    q->facets = apr_array_make(p, 8, sizeof(const field_t *));
    q->limit = HITS;
    q->facet_size = 50;
    return q;
}

static apr_status_t find(const field_t **out, const sal_ping_query_t *q, const char *name,
                         sal_error_t *err)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(fields[i].name, name)) {
            continue;
        }
        if (fields[i].protected && !q->may_protected) {
            return sal_fail(err, SAL_E_DENIED, "%s is protected", name);
        }
        *out = &fields[i];
        return APR_SUCCESS;
    }
    return sal_fail(err, APR_ENOENT, "crash pings have no field \"%s\"",
                    sal_utf8_clean(name, strnlen(name, 100), q->p));
}

static apr_status_t bad_value(const char *field, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "the value of %s is not understood", field);
}

/* A day alone is its beginning. */
static bool read_time(const char *s, apr_time_t *out, apr_pool_t *p)
{
    return sal_time_parse(s, out) ||
           (strlen(s) == 10 && sal_time_parse(apr_pstrcat(p, s, "T00:00:00Z", NULL), out));
}

static apr_status_t time_filter(sal_ping_query_t *q, filter_t *f, const char *value,
                                sal_error_t *err)
{
    bool equal = value[0] && value[1] == '=';

    if ((value[0] != '<' && value[0] != '>') || f->negated ||
        !read_time(value + 1 + equal, &f->time, q->p)) {
        return bad_value(f->field->name, err);
    }
    f->op = value[0] == '<' ? (equal ? 'l' : '<') : (equal ? 'g' : '>');
    if (!strcmp(f->field->name, "date")) { /* the window prunes partitions */
        apr_time_t more = f->op == 'l' || f->op == '>' ? 1 : 0;

        *(value[0] == '<' ? &q->to : &q->from) = f->time + more;
        return APR_SUCCESS;
    }
    APR_ARRAY_PUSH(q->filters, filter_t) = *f;
    return APR_SUCCESS;
}

apr_status_t sal_ping_query_filter(sal_ping_query_t *q, const char *field, const char *value,
                                   sal_error_t *err)
{
    filter_t f = { .op = '=' };
    apr_status_t rv = find(&f.field, q, field, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (f.field->kind == JSON || q->filters->nelts >= MAX_FILTERS ||
        !sal_utf8_valid(value, strlen(value))) {
        return bad_value(field, err);
    }
    f.negated = *value == '!';
    value += f.negated;
    if (f.field->kind == TIME) {
        return time_filter(q, &f, value, err);
    }
    if (f.field->kind == TRUTH) {
        if ((strcmp(value, "1") && strcmp(value, "0")) || f.negated) {
            return bad_value(field, err);
        }
        f.negated = *value == '0';
    } else if (!strcmp(value, "__null__")) {
        f.op = '0';
    } else if (*value && strchr("=~^$@", *value)) {
        f.op = *value++;
    }
    f.text = apr_pstrdup(q->p, value);
    APR_ARRAY_PUSH(q->filters, filter_t) = f;
    return APR_SUCCESS;
}

static apr_status_t add(apr_array_header_t *list, const sal_ping_query_t *q, const char *name,
                        bool facet, sal_error_t *err)
{
    const field_t *f;
    apr_status_t rv = find(&f, q, name, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (facet && (f->kind == JSON || f->kind == TIME)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s cannot be counted", name);
    }
    for (int i = 0; i < list->nelts; i++) {
        if (APR_ARRAY_IDX(list, i, const field_t *) == f) {
            return APR_SUCCESS;
        }
    }
    APR_ARRAY_PUSH(list, const field_t *) = f;
    return APR_SUCCESS;
}

apr_status_t sal_ping_query_column(sal_ping_query_t *q, const char *field, sal_error_t *err)
{
    return add(q->columns, q, field, false, err);
}

apr_status_t sal_ping_query_facet(sal_ping_query_t *q, const char *field, sal_error_t *err)
{
    return add(q->facets, q, field, true, err);
}

apr_status_t sal_ping_query_sort(sal_ping_query_t *q, const char *field, sal_error_t *err)
{
    const field_t *f;
    apr_status_t rv;

    q->descending = *field == '-';
    rv = find(&f, q, field + q->descending, err);
    if (rv == APR_SUCCESS && f->kind == JSON) {
        rv = sal_fail(err, SAL_E_MALFORMED, "%s has no order", f->name);
    }
    q->sort = rv == APR_SUCCESS ? f : NULL;
    return rv;
}

apr_status_t sal_ping_query_page(sal_ping_query_t *q, int64_t limit, int64_t offset,
                                 int64_t facet_size, sal_error_t *err)
{
    if (limit < 0 || limit > MOST || offset < 0 || offset > 1000000 || facet_size < 1 ||
        facet_size > MOST) {
        return sal_fail(err, SAL_E_MALFORMED, "at most %d results and %d values of a facet", MOST,
                        MOST);
    }
    q->limit = limit;
    q->offset = offset;
    q->facet_size = facet_size;
    return APR_SUCCESS;
}

/* ---- statements ---- */

static const char *param(sal_ping_query_t *q, sal_val_t v)
{
    APR_ARRAY_PUSH(q->params, sal_val_t) = v;
    return apr_psprintf(q->p, "$%d", q->params->nelts);
}

static const char *test_of(sal_ping_query_t *q, const filter_t *f)
{
    const char *x = f->field->sql, *v;

    if (f->field->kind == TRUTH) {
        return x;
    }
    if (f->op == '0') {
        return apr_psprintf(q->p, "coalesce(%s, '') = ''", x);
    }
    if (f->field->kind == TIME) {
        const char *sign = f->op == 'l' ? "<=" : f->op == 'g' ? ">=" : f->op == '<' ? "<" : ">";

        return apr_psprintf(q->p, "%s %s %s::timestamptz", x, sign, param(q, SAL_V_TIME(f->time)));
    }
    v = param(q, SAL_V_TEXT(f->op == '@' ? apr_psprintf(q->p, "^(?:%s)$", f->text) : f->text));
    switch (f->op) {
    case '~':
        return apr_psprintf(q->p, "strpos(%s, %s::text) > 0", x, v);
    case '^':
        return apr_psprintf(q->p, "starts_with(%s, %s::text)", x, v);
    case '$':
        return apr_psprintf(q->p, "right(%s, length(%s::text)) = %s::text", x, v, v);
    case '@':
        return apr_psprintf(q->p, "%s ~ %s::text", x, v);
    default:
        return apr_psprintf(q->p, "%s = %s::text", x, v);
    }
}

/* One field's filters: what is negated and ranges all hold, of the others one. */
static const char *field_where(sal_ping_query_t *q, const field_t *field)
{
    const char *all = "", *any = NULL;

    for (int i = 0; i < q->filters->nelts; i++) {
        const filter_t *f = &APR_ARRAY_IDX(q->filters, i, filter_t);

        if (f->field != field) {
            continue;
        }
        if (f->negated) {
            all = apr_psprintf(q->p, "%s AND (%s) IS NOT TRUE", all, test_of(q, f));
        } else if (field->kind == TIME) {
            all = apr_psprintf(q->p, "%s AND %s", all, test_of(q, f));
        } else {
            any = any ? apr_psprintf(q->p, "%s OR %s", any, test_of(q, f)) : test_of(q, f);
        }
    }
    return any ? apr_psprintf(q->p, "%s AND (%s)", all, any) : all;
}

static const char *where_of(sal_ping_query_t *q)
{
    const char *out = "p.received >= $1::timestamptz AND p.received < $2::timestamptz";

    q->params = apr_array_make(q->p, 16, sizeof(sal_val_t));
    (void)param(q, SAL_V_TIME(q->from));
    (void)param(q, SAL_V_TIME(q->to));
    for (size_t i = 0; i < FIELDS; i++) {
        out = apr_pstrcat(q->p, out, field_where(q, &fields[i]), NULL);
    }
    return out;
}

static apr_status_t run(sal_rows_t **rows, const sal_ping_query_t *q, const char *sql, sal_db_t *db,
                        apr_pool_t *p, sal_error_t *err)
{
    sal_error_t why = { .message = "" };
    apr_status_t rv = sal_db_run_text(db, sql, (const sal_val_t *)q->params->elts, q->params->nelts,
                                      rows, p, &why);

    if (rv == SAL_E_DB && !strcmp(why.sqlstate, "2201B")) {
        return sal_fail(err, SAL_E_MALFORMED, "the pattern is not a valid regular expression");
    }
    if (rv == SAL_E_DB && !strcmp(why.sqlstate, "57014")) {
        return sal_fail(err, SAL_E_MALFORMED, "the search took too long: narrow it");
    }
    if (rv != APR_SUCCESS && err) {
        *err = why;
    }
    return rv;
}

/* ---- answers ---- */

static json_t *value_of(const sal_rows_t *rows, int row, int col, const field_t *f, apr_pool_t *p)
{
    const char *text = sal_rows_text(rows, row, col);
    json_t *v;

    if (sal_rows_null(rows, row, col)) {
        return json_null();
    }
    switch (f->kind) {
    case TIME:
        return json_string(sal_time_iso(sal_rows_time(rows, row, col), p));
    case TRUTH:
        return json_boolean(sal_rows_bool(rows, row, col));
    case JSON:
        v = json_loads(text, JSON_DECODE_ANY, NULL);
        return v ? v : json_null();
    default:
        return json_string(text);
    }
}

static void default_columns(sal_ping_query_t *q)
{
    static const char *const names[] = { "date", "document_id",  "product",   "version", "channel",
                                         "os",   "process_type", "signature", "crash_id" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)sal_ping_query_column(q, names[i], NULL);
    }
}

static apr_status_t hits(json_t *out, sal_ping_query_t *q, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err)
{
    const char *list = "", *where, *sql;
    json_t *found = json_array();
    sal_rows_t *rows;
    apr_status_t rv;

    json_object_set_new(out, "hits", found);
    if (q->limit == 0) {
        return APR_SUCCESS;
    }
    for (int i = 0; i < q->columns->nelts; i++) {
        list = apr_pstrcat(p, list, i ? ", " : "",
                           APR_ARRAY_IDX(q->columns, i, const field_t *)->sql, NULL);
    }
    where = where_of(q);
    sql = apr_psprintf(p,
                       "SELECT %s FROM crash_ping p WHERE %s ORDER BY %s%s NULLS LAST, "
                       "p.received DESC, p.document_id LIMIT %s::bigint OFFSET %s::bigint",
                       list, where, q->sort ? q->sort->sql : "p.received",
                       !q->sort || q->descending ? " DESC" : "", param(q, SAL_V_INT(q->limit)),
                       param(q, SAL_V_INT(q->offset)));
    if ((rv = run(&rows, q, sql, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_t *hit = json_object();

        for (int k = 0; k < q->columns->nelts; k++) {
            const field_t *f = APR_ARRAY_IDX(q->columns, k, const field_t *);

            json_object_set_new(hit, f->name, value_of(rows, i, k, f, p));
        }
        json_array_append_new(found, hit);
    }
    return APR_SUCCESS;
}

static apr_status_t facet(json_t *out, sal_ping_query_t *q, const field_t *f, sal_db_t *db,
                          apr_pool_t *p, sal_error_t *err)
{
    json_t *list = json_array();
    const char *where = where_of(q), *sql;
    sal_rows_t *rows;
    apr_status_t rv;

    json_object_set_new(out, f->name, list);
    sql = apr_psprintf(p,
                       "SELECT %s, count(*) FROM crash_ping p WHERE %s GROUP BY 1 "
                       "ORDER BY 2 DESC, 1 LIMIT %s::bigint",
                       f->sql, where, param(q, SAL_V_INT(q->facet_size)));
    if ((rv = run(&rows, q, sql, db, p, err)) != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_array_append_new(list, json_pack("{s:o, s:I}", "term", value_of(rows, i, 0, f, p),
                                              "count", (json_int_t)sal_rows_int(rows, i, 1)));
    }
    return APR_SUCCESS;
}

static apr_status_t answer(json_t *out, sal_ping_query_t *q, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    json_t *facets = json_object();
    sal_rows_t *rows;
    apr_status_t rv;

    rv =
        run(&rows, q, apr_pstrcat(p, "SELECT count(*) FROM crash_ping p WHERE ", where_of(q), NULL),
            db, p, err);
    if (rv == APR_SUCCESS) {
        json_object_set_new(out, "total", json_integer((json_int_t)sal_rows_int(rows, 0, 0)));
        rv = hits(out, q, db, p, err);
    }
    json_object_set_new(out, "facets", facets);
    for (int i = 0; rv == APR_SUCCESS && i < q->facets->nelts; i++) {
        rv = facet(facets, q, APR_ARRAY_IDX(q->facets, i, const field_t *), db, p, err);
    }
    return rv;
}

apr_status_t sal_ping_query_run(json_t **out, sal_ping_query_t *q, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    json_t *made;
    apr_status_t rv;

    if (q->to <= q->from || q->to - q->from > WINDOW_MAX * DAY) {
        return sal_fail(err, SAL_E_MALFORMED, "the dates span nothing, or more than %d days",
                        WINDOW_MAX);
    }
    if (q->columns->nelts == 0) {
        default_columns(q);
    }
    made = json_object();
    rv = answer(made, q, db, p, err);
    if (rv != APR_SUCCESS) {
        json_decref(made);
        return rv;
    }
    *out = made;
    return APR_SUCCESS;
}

/* ---- gaps ---- */

apr_status_t sal_ping_gaps(json_t **out, const sal_ping_gap_t *g, sal_db_t *db, apr_pool_t *p,
                           sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(
        db, &sal_s_ping_gaps, &rows, p, err, SAL_V_TIME(g->from), SAL_V_TIME(g->to),
        SAL_V_TEXT(g->product), SAL_V_TEXT(g->channel), SAL_V_TEXT(g->version), SAL_V_TEXT(g->os),
        SAL_V_TEXT(g->process_type), SAL_V_INT(g->min_pings), SAL_V_INT(g->max_reports),
        SAL_V_INT(g->limit), SAL_V_INT(sal_search_field("signature")->number),
        SAL_V_INT(sal_search_field("product")->number));

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = json_array();
    for (int i = 0; i < sal_rows_count(rows); i++) {
        json_array_append_new(*out,
                              json_pack("{s:s, s:I, s:I}", "signature", sal_rows_text(rows, i, 0),
                                        "pings", (json_int_t)sal_rows_int(rows, i, 1), "reports",
                                        (json_int_t)sal_rows_int(rows, i, 2)));
    }
    return APR_SUCCESS;
}

/* ---- for operators ---- */

apr_status_t sal_ping_states(sal_rows_t **out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_run(db, &sal_s_ping_states, NULL, 0, out, p, err);
}

apr_status_t sal_ping_strata(sal_rows_t **out, int days, sal_db_t *db, apr_pool_t *p,
                             sal_error_t *err)
{
    return sal_db_exec(db, &sal_s_ping_strata, out, p, err, SAL_V_INT(days));
}

apr_status_t sal_ping_again(int *n, const char *signature, int days, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_ping_again, &rows, p, err, SAL_V_TEXT(signature), SAL_V_INT(days));

    *n = rv == APR_SUCCESS ? (int)sal_rows_int(rows, 0, 0) : 0;
    return rv;
}
