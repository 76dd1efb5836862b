/*
 * Conditions to the WHERE clause: text to ids, then predicates over integers, folded field by
 * field.
 *
 * A predicate that is known to be true or false stays that, so that no statement is sent for a
 * search which cannot find anything.
 */
#include "search/query_private.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "search/match.h"
#include "search/resolve.h"

typedef struct {
    enum { FALSE_, TRUE_, SQL_ } kind;
    sal_sql_t *sql;
} pred_t;

static const pred_t never = { .kind = FALSE_ }, always = { .kind = TRUE_ };

static pred_t as_pred(sal_sql_t *sql)
{
    return (pred_t){ SQL_, sql };
}

static sal_sql_t *piece(apr_pool_t *p, const char *text)
{
    sal_sql_t *sql = sal_sql_make(p);

    sal_sql_add(sql, text);
    return sql;
}

static pred_t joined(pred_t a, const char *word, pred_t b)
{
    sal_sql_t *sql = sal_sql_make(a.sql->p);

    sal_sql_add(sql, "(");
    sal_sql_put(sql, a.sql);
    sal_sql_add(sql, word);
    sal_sql_put(sql, b.sql);
    sal_sql_add(sql, ")");
    return as_pred(sql);
}

static pred_t both(pred_t a, pred_t b)
{
    if (a.kind == FALSE_ || b.kind == TRUE_) {
        return a;
    }
    return b.kind == FALSE_ || a.kind == TRUE_ ? b : joined(a, " AND ", b);
}

static pred_t either(pred_t a, pred_t b)
{
    if (a.kind == TRUE_ || b.kind == FALSE_) {
        return a;
    }
    return b.kind == TRUE_ || a.kind == FALSE_ ? b : joined(a, " OR ", b);
}

/* Missing values match a negation. */
static pred_t negated(pred_t a)
{
    sal_sql_t *sql;

    if (a.kind != SQL_) {
        return a.kind == TRUE_ ? never : always;
    }
    sql = piece(a.sql->p, "((");
    sal_sql_put(sql, a.sql);
    sal_sql_add(sql, ") IS NOT TRUE)");
    return as_pred(sql);
}

/* ---- dictionary fields ---- */

static pred_t by_ids(const sal_condition_t *c, const sal_ids_t *ids, const sal_run_t *run)
{
    const char *name = c->field->name;
    bool list = c->field->store == SAL_STORE_TERMS;
    sal_sql_t *sql = sal_sql_make(run->p);

    if (ids->n == 0) {
        return never;
    }
    sal_sql_addf(sql, "c.%s %s ", name, list ? "&&" : ids->many ? "IN" : "= ANY");
    if (ids->many) {
        sal_sql_add(sql, list ? "ARRAY(" : "(");
        sal_sql_add(sql, "SELECT t.id FROM term t WHERE ");
        sal_sql_put(sql, ids->where);
    } else {
        sal_sql_add(sql, "(");
        sal_sql_param(sql, SAL_V_INTS(ids->ids, (apr_size_t)ids->n), "::int[]");
    }
    sal_sql_add(sql, ")");
    return as_pred(sql);
}

/* The values the dictionary refused stand in column overflow, whole. */
static apr_status_t in_overflow(pred_t *out, const sal_condition_t *c, const sal_run_t *run,
                                sal_error_t *err)
{
    const char *name = c->field->name;
    sal_sql_t *sql = sal_sql_make(run->p), *test = sal_sql_make(run->p);
    bool none, elements = c->field->match == SAL_MATCH_LIST ||
                          (c->field->store == SAL_STORE_TERMS && !sal_field_is_stack(c->field));
    apr_status_t rv = sal_match_text(
        test, &none, c,
        elements ? "e.v" : apr_psprintf(run->p, "(c.overflow->'%s'->>0) COLLATE \"C\"", name), err);

    *out = never;
    if (rv != APR_SUCCESS || none) {
        return rv;
    }
    sal_sql_addf(sql, "(c.overflow ? '%s' AND ", name);
    if (elements) {
        sal_sql_addf(sql,
                     c->field->match == SAL_MATCH_LIST
                         ? "EXISTS (SELECT FROM unnest(string_to_array((c.overflow->'%s'->>0) "
                           "COLLATE \"C\", ';')) e(v) WHERE "
                         : "EXISTS (SELECT FROM (SELECT x COLLATE \"C\" FROM "
                           "jsonb_array_elements_text(c.overflow->'%s') y(x)) e(v) WHERE ",
                     name);
    }
    sal_sql_put(sql, test);
    sal_sql_add(sql, elements ? "))" : ")");
    *out = as_pred(sql);
    return rv;
}

/* ---- stacks ---- */

/*
 * The longest run of characters that stand for themselves and lie within one frame: what frames
 * are narrowed with before whole stacks are read.
 */
static const char *longest_literal(const char *text, apr_pool_t *p)
{
    const char *best = "";
    char *one = apr_palloc(p, strlen(text) + 1);
    apr_size_t n = 0;

    for (;; text++) {
        if (*text && !strchr("*?|", *text)) {
            if (*text == '\\' && text[1]) {
                one[n++] = *text++; /* it is read once more */
            }
            one[n++] = *text;
            continue;
        }
        while (n > 0 && one[n - 1] == ' ') {
            n--;
        }
        one[n] = '\0';
        if (strlen(one + strspn(one, " ")) > strlen(best)) {
            best = apr_pstrdup(p, one + strspn(one, " "));
        }
        n = 0;
        if (!*text) {
            return best;
        }
    }
}

static bool within_a_frame(const sal_condition_t *c)
{
    apr_size_t n = strlen(c->text);

    return c->op == SAL_OP_BARE || (c->op == SAL_OP_CONTAINS && n > 0 && !strpbrk(c->text, "*?|") &&
                                    c->text[0] != ' ' && c->text[n - 1] != ' ');
}

static const char *const *split_frames(int *n, const char *text, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 16, sizeof(const char *));

    while (*text) {
        const char *end = strstr(text, " | ");
        apr_size_t len = end ? (apr_size_t)(end - text) : strlen(text);

        if (len > 0) {
            APR_ARRAY_PUSH(out, const char *) = apr_pstrmemdup(p, text, len);
        }
        text += end ? len + 3 : len;
    }
    *n = out->nelts;
    return (const char *const *)out->elts;
}

/* Exactly this stack: its frames' ids in their order. */
static apr_status_t same_stack(pred_t *out, const sal_condition_t *c, sal_run_t *run,
                               sal_error_t *err)
{
    int n;
    const char *const *frames = split_frames(&n, c->text, run->p);
    sal_sql_t *sql = sal_sql_make(run->p);
    sal_ids_t ids;
    apr_size_t len = 0;
    apr_status_t rv;

    *out = never;
    for (int i = 0; i < n; i++) {
        len += strlen(frames[i]) + (i ? 3 : 0);
    }
    if (len != strlen(c->text)) {
        return APR_SUCCESS; /* an empty frame: no stack is written like that */
    }
    rv = sal_resolve_frames(&ids, c->field, frames, n, run, err);
    if (rv == APR_SUCCESS && ids.n == n) {
        sal_sql_addf(sql, "c.%s = ", c->field->name);
        sal_sql_param(sql, SAL_V_INTS(ids.ids, (apr_size_t)n), "::int[]");
        *out = as_pred(sql);
    }
    return rv;
}

/* A condition on the stack as one text, which is stored as its frames. */
static apr_status_t whole_stack(pred_t *out, const sal_condition_t *c, sal_run_t *run,
                                sal_error_t *err)
{
    static const char text[] = "coalesce((SELECT string_agg(t.value, ' | ' ORDER BY u.o) FROM "
                               "unnest(c.proto_signature) WITH ORDINALITY u(i, o) "
                               "JOIN term t ON t.id = u.i), '')";
    sal_condition_t literal = { .field = c->field, .op = SAL_OP_CONTAINS };
    sal_sql_t *sql = piece(run->p, "(c.proto_signature IS NOT NULL AND ");
    sal_ids_t ids;
    bool none;
    apr_status_t rv = sal_match_text(sql, &none, c, text, err);

    sal_sql_add(sql, ")");
    *out = as_pred(sql);
    literal.text = c->op == SAL_OP_REGEX ? "" : longest_literal(c->text, run->p);
    if (rv == APR_SUCCESS && *literal.text) {
        rv = sal_resolve(&ids, &literal, run, err);
        if (rv == APR_SUCCESS) {
            *out = both(by_ids(&literal, &ids, run), *out);
        }
    }
    return rv;
}

static apr_status_t on_terms(pred_t *out, const sal_condition_t *c, sal_run_t *run,
                             sal_error_t *err)
{
    sal_ids_t ids;
    pred_t more;
    apr_status_t rv;

    if (!sal_field_is_stack(c->field) || within_a_frame(c)) {
        rv = sal_resolve(&ids, c, run, err);
        if (rv == APR_SUCCESS) {
            *out = by_ids(c, &ids, run);
        }
    } else {
        rv = c->op == SAL_OP_IS ? same_stack(out, c, run, err) : whole_stack(out, c, run, err);
    }
    if (rv == APR_SUCCESS && run->overflow[c->field->number]) {
        rv = in_overflow(&more, c, run, err);
        *out = either(*out, more);
    }
    return rv;
}

/* ---- other fields ---- */

static const char *const sign[] = { [SAL_OP_BARE] = "=",
                                    [SAL_OP_GE] = ">=",
                                    [SAL_OP_LE] = "<=",
                                    [SAL_OP_GT] = ">",
                                    [SAL_OP_LT] = "<" };

static pred_t on_number(const sal_condition_t *c, const sal_run_t *run)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    bool down = c->op == SAL_OP_LE || c->op == SAL_OP_LT;

    if (c->beyond) {
        /* an open bound: every value there is, or none */
        if (!sal_op_is_range(c->op) || down != (c->beyond > 0)) {
            return never;
        }
        sal_sql_addf(sql, "c.%s IS NOT NULL", c->field->name);
        return as_pred(sql);
    }
    sal_sql_addf(sql, "c.%s %s ", c->field->name, sign[c->op]);
    if (c->field->store == SAL_STORE_DOUBLE) {
        sal_sql_param(sql, SAL_V_DOUBLE(c->d), "::double precision");
    } else {
        sal_sql_param(sql, SAL_V_INT(c->i), "::bigint");
    }
    return as_pred(sql);
}

static bool is_uuid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !s[i] || !strchr("0123456789abcdef", s[i])) {
            return false;
        }
    }
    return s[36] == '\0';
}

static pred_t on_uuid(const sal_condition_t *c, const sal_run_t *run)
{
    sal_sql_t *sql = sal_sql_make(run->p);

    if (!is_uuid(c->text)) {
        return never;
    }
    sal_sql_add(sql, "c.uuid = ");
    sal_sql_param(sql, SAL_V_TEXT(c->text), "::uuid");
    return as_pred(sql);
}

static apr_status_t on_text(pred_t *out, const sal_condition_t *c, const sal_run_t *run,
                            sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(run->p);
    bool none;
    apr_status_t rv =
        sal_match_text(sql, &none, c, apr_pstrcat(run->p, "c.", c->field->name, NULL), err);

    *out = none ? never : as_pred(sql);
    return rv;
}

static pred_t is_missing(const sal_search_field_t *f, const sal_run_t *run)
{
    sal_sql_t *sql = sal_sql_make(run->p);

    if (f->store == SAL_STORE_UUID) {
        return never;
    }
    sal_sql_addf(sql, "c.%s IS NULL", f->name);
    if (run->overflow[f->number]) {
        sal_sql_addf(sql, " AND (c.overflow ? '%s') IS NOT TRUE", f->name);
    }
    return as_pred(sql);
}

static apr_status_t predicate(pred_t *out, const sal_condition_t *c, sal_run_t *run,
                              sal_error_t *err)
{
    if (c->op == SAL_OP_NULL) {
        *out = is_missing(c->field, run);
        return APR_SUCCESS;
    }
    switch (c->field->store) {
    case SAL_STORE_BOOL:
        *out =
            as_pred(piece(run->p, apr_psprintf(run->p, "c.%s IS %s", c->field->name,
                                               c->op == SAL_OP_TRUE || c->i ? "TRUE" : "FALSE")));
        return APR_SUCCESS;
    case SAL_STORE_INT:
    case SAL_STORE_DOUBLE:
        *out = on_number(c, run);
        return APR_SUCCESS;
    case SAL_STORE_UUID:
        *out = on_uuid(c, run);
        return APR_SUCCESS;
    case SAL_STORE_TEXT:
        return on_text(out, c, run, err);
    default:
        return on_terms(out, c, run, err);
    }
}

/* ---- folding ---- */

typedef struct {
    pred_t all; /* what came before */
    bool any;
} fold_t;

static void fold(fold_t *f, pred_t one, bool and)
{
    f->all = !f->any ? one : and? both(f->all, one) : either(f->all, one);
    f->any = true;
}

/* The bare values of one sign, ORed. */
static apr_status_t fold_bare(fold_t *all, const sal_query_t *q, const sal_search_field_t *f,
                              bool not, sal_run_t *run, sal_error_t *err)
{
    fold_t group = { 0 };

    for (int i = 0; i < q->conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(q->conditions, i, sal_condition_t);
        pred_t one;
        apr_status_t rv;

        if (c->field == f && c->op == SAL_OP_BARE && c->negated == not ) {
            rv = predicate(&one, c, run, err);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            fold(&group, one, false);
        }
    }
    if (group.any) {
        fold(all, not ? negated(group.all) : group.all, false);
    }
    return APR_SUCCESS;
}

/*
 * The conditions of one field, folded from the left: ranges are ANDed, all else is ORed to what
 * came before; operators first, then one NOT of all bare negated values, then all bare values.
 */
static apr_status_t fold_field(fold_t *all, const sal_query_t *q, const sal_search_field_t *f,
                               sal_run_t *run, sal_error_t *err)
{
    apr_status_t rv;

    for (int i = 0; i < q->conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(q->conditions, i, sal_condition_t);
        pred_t one;

        if (c->field != f || c->op == SAL_OP_BARE) {
            continue;
        }
        rv = predicate(&one, c, run, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        fold(all, c->negated ? negated(one) : one, sal_op_is_range(c->op));
    }
    rv = fold_bare(all, q, f, true, run, err);
    return rv == APR_SUCCESS ? fold_bare(all, q, f, false, run, err) : rv;
}

/* What people mean: all that is negated is ANDed, and so is what remains of the others. */
static apr_status_t fold_negated_and(fold_t *all, const sal_query_t *q, const sal_search_field_t *f,
                                     sal_run_t *run, sal_error_t *err)
{
    sal_query_t plain = *q;
    fold_t positive = { 0 };
    apr_status_t rv;

    plain.conditions = apr_array_make(run->p, 8, sizeof(sal_condition_t));
    for (int i = 0; i < q->conditions->nelts; i++) {
        const sal_condition_t *c = &APR_ARRAY_IDX(q->conditions, i, sal_condition_t);
        pred_t one;

        if (c->field != f) {
            continue;
        }
        if (!c->negated) {
            APR_ARRAY_PUSH(plain.conditions, sal_condition_t) = *c;
            continue;
        }
        rv = predicate(&one, c, run, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        fold(all, negated(one), true);
    }
    rv = fold_field(&positive, &plain, f, run, err);
    if (rv == APR_SUCCESS && positive.any) {
        fold(all, positive.all, true);
    }
    return rv;
}

apr_status_t sal_where(sal_where_t *out, const sal_query_t *q, sal_run_t *run, sal_error_t *err)
{
    apr_time_t from, to;
    apr_status_t rv = sal_query_window(q, &from, &to, err);
    int n;
    const sal_search_field_t *fields = sal_search_fields(&n);

    *out = (sal_where_t){ .sql = sal_sql_make(run->p) };
    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_sql_add(out->sql, "c.date >= ");
    sal_sql_param(out->sql, SAL_V_TIME(from), "::timestamptz AND c.date < ");
    sal_sql_param(out->sql, SAL_V_TIME(to), "::timestamptz");
    for (int i = 0; i < n; i++) {
        fold_t all = { 0 };

        rv = (q->neg_and ? fold_negated_and : fold_field)(&all, q, &fields[i], run, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (all.any && all.all.kind == SQL_) {
            sal_sql_add(out->sql, " AND (");
            sal_sql_put(out->sql, all.all.sql);
            sal_sql_add(out->sql, ")");
        }
        out->nothing = out->nothing || (all.any && all.all.kind == FALSE_);
    }
    return APR_SUCCESS;
}
