/*
 * Conditions to SQL: text to ids, then predicates over integers.
 *
 * Only constant fragments and names of the compiled field table become statement text.
 */
#include "search/query_private.h"

#include <ctype.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "base/text.h"

enum { MAX_IDS = 20000 }; /* above, the dictionary is joined instead of listed */

sal_sql_t *sal_sql_make(apr_pool_t *p)
{
    sal_sql_t *sql = apr_pcalloc(p, sizeof *sql);

    sql->p = p;
    sql->text = apr_array_make(p, 64, sizeof(const char *));
    sql->params = apr_array_make(p, 16, sizeof(sal_val_t));
    return sql;
}

void sal_sql_add(sal_sql_t *sql, const char *piece)
{
    APR_ARRAY_PUSH(sql->text, const char *) = piece;
}

const char *sal_sql_param(sal_sql_t *sql, sal_val_t value)
{
    APR_ARRAY_PUSH(sql->params, sal_val_t) = value;
    return apr_psprintf(sql->p, "$%d", sql->params->nelts);
}

apr_status_t sal_sql_run(sal_sql_t *sql, sal_rows_t **rows, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err)
{
    sal_error_t e = { 0 };
    apr_status_t rv =
        sal_db_run_text(db, apr_array_pstrcat(p, sql->text, 0),
                        (const sal_val_t *)sql->params->elts, sql->params->nelts, rows, p, &e);

    if (rv == SAL_E_DB && strcmp(e.sqlstate, "2201B") == 0) {
        return sal_fail(err, SAL_E_MALFORMED, "The pattern is not a valid regular expression");
    }
    if (rv == SAL_E_DB && strcmp(e.sqlstate, "57014") == 0) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "Search query timed out. Simplify the search "
                        "pattern and try again.");
    }
    if (rv != APR_SUCCESS && err) {
        *err = e;
    }
    return rv;
}

/* ---- patterns ---- */

/* The user's * and ? are wildcards, \ takes the next character as it is; % and _ never are. */
static const char *like_pattern(const char *text, sal_op_t op, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 2 + 3), *o = out;

    if (op == SAL_OP_CONTAINS || op == SAL_OP_ENDS) {
        *o++ = '%';
    }
    for (const char *s = text; *s; s++) {
        if (*s == '\\' && s[1]) {
            *o++ = '\\';
            *o++ = *++s;
        } else if (*s == '*' || *s == '?') {
            *o++ = *s == '*' ? '%' : '_';
        } else {
            if (*s == '%' || *s == '_' || *s == '\\') {
                *o++ = '\\';
            }
            *o++ = *s;
        }
    }
    if (op == SAL_OP_CONTAINS || op == SAL_OP_STARTS) {
        *o++ = '%';
    }
    *o = '\0';
    return out;
}

static bool word_byte(char c)
{
    return apr_isalnum(c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Any of the words, as whole words; NULL if there is no word. Words hold no special character. */
static const char *words_pattern(const char *text, apr_pool_t *p)
{
    const char *words = "";

    while (*text) {
        const char *from;

        while (*text && !word_byte(*text)) {
            text++;
        }
        from = text;
        while (word_byte(*text)) {
            text++;
        }
        if (text > from) {
            words = apr_psprintf(p, "%s%s%.*s", words, *words ? "|" : "", (int)(text - from), from);
        }
    }
    return *words ? apr_psprintf(p, "(?:^|[^[:alnum:]_])(?:%s)(?:[^[:alnum:]_]|$)", words) : NULL;
}

static const char *lower(const char *text, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, text);

    for (char *c = s; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    return s;
}

/*
 * The comparison of one text expression with a condition, e.g. "t.value LIKE $4". NULL if nothing
 * can match.
 */
static const char *text_test(sal_sql_t *sql, const sal_condition_t *c, const char *expr)
{
    apr_pool_t *p = sql->p;
    const char *text = c->text, *pattern;

    if (c->field->match == SAL_MATCH_LIST) {
        expr = apr_psprintf(p, "lower(%s)", expr);
        text = lower(text, p);
    }
    switch (c->op) {
    case SAL_OP_CONTAINS:
    case SAL_OP_STARTS:
    case SAL_OP_ENDS:
        return apr_psprintf(p, "%s LIKE %s::text", expr,
                            sal_sql_param(sql, SAL_V_TEXT(like_pattern(text, c->op, p))));
    case SAL_OP_REGEX:
        pattern = apr_psprintf(p, "^(?:%s)$", text);
        return apr_psprintf(p, "%s ~ %s::text", expr, sal_sql_param(sql, SAL_V_TEXT(pattern)));
    case SAL_OP_BARE:
        if (c->field->match == SAL_MATCH_TEXT) {
            pattern = words_pattern(text, p);
            return pattern ? apr_psprintf(p, "%s ~* %s::text", expr,
                                          sal_sql_param(sql, SAL_V_TEXT(pattern)))
                           : NULL;
        }
        break;
    default:
        break;
    }
    return apr_psprintf(p, "%s = %s::text", expr, sal_sql_param(sql, SAL_V_TEXT(text)));
}

/* Whole values are found through the hash index, which holds any length. */
static const char *term_test(sal_sql_t *sql, const sal_condition_t *c)
{
    const char *value;
    bool whole =
        c->op == SAL_OP_IS || (c->op == SAL_OP_BARE && c->field->match == SAL_MATCH_KEYWORD);

    if (c->field->match == SAL_MATCH_LIST || !whole) {
        return text_test(sql, c, "t.value");
    }
    value = sal_sql_param(sql, SAL_V_TEXT(c->text));
    return apr_psprintf(sql->p, "md5(t.value)::uuid = md5(%s::text)::uuid AND t.value = %s::text",
                        value, value);
}

/* ---- the dictionary ---- */

typedef struct {
    int64_t *ids;
    int n;
    bool many; /* more than MAX_IDS */
    bool none;
} ids_t;

/* Words of a ';' list: each element is looked for by itself. */
static const char *list_bare(sal_sql_t *sql, const sal_condition_t *c)
{
    apr_pool_t *p = sql->p;
    char *last, *text = apr_pstrdup(p, lower(c->text, p)), *element;
    const char *out = NULL;

    for (element = apr_strtok(text, ";", &last); element; element = apr_strtok(NULL, ";", &last)) {
        const char *one =
            apr_psprintf(p, "lower(t.value) = %s::text", sal_sql_param(sql, SAL_V_TEXT(element)));

        out = out ? apr_pstrcat(p, out, " OR ", one, NULL) : one;
    }
    return out ? apr_psprintf(p, "(%s)", out) : NULL;
}

static const char *term_where(sal_sql_t *sql, const sal_condition_t *c)
{
    const char *field = sal_sql_param(sql, SAL_V_INT(c->field->number));
    const char *test = c->field->match == SAL_MATCH_LIST && c->op == SAL_OP_BARE
                           ? list_bare(sql, c)
                           : term_test(sql, c);

    return test ? apr_psprintf(sql->p, "t.field = %s::smallint AND %s", field, test) : NULL;
}

static apr_status_t resolve(ids_t *out, const sal_condition_t *c, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_sql_t *sql = sal_sql_make(p);
    const char *where = term_where(sql, c);
    sal_rows_t *rows;
    apr_status_t rv;

    *out = (ids_t){ .none = !where };
    if (!where) {
        return APR_SUCCESS;
    }
    sal_sql_add(sql, "SELECT t.id FROM term t WHERE ");
    sal_sql_add(sql, where);
    sal_sql_add(sql, apr_psprintf(p, " LIMIT %d", MAX_IDS + 1));
    rv = sal_sql_run(sql, &rows, db, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    out->n = sal_rows_count(rows);
    out->many = out->n > MAX_IDS;
    out->none = out->n == 0;
    out->ids = apr_palloc(p, sizeof *out->ids * (apr_size_t)(out->n + 1));
    for (int i = 0; i < out->n; i++) {
        out->ids[i] = sal_rows_int(rows, i, 0);
    }
    return APR_SUCCESS;
}

/* ---- predicates; "false" if nothing can match ---- */

static const char *ids_predicate(sal_sql_t *sql, const sal_condition_t *c, const ids_t *ids)
{
    apr_pool_t *p = sql->p;
    bool list = c->field->store == SAL_STORE_TERMS;
    const char *set;

    if (ids->none) {
        return "false";
    }
    if (ids->many) {
        set = apr_psprintf(p, "SELECT t.id FROM term t WHERE %s", term_where(sql, c));
        return apr_psprintf(p, list ? "%s && ARRAY(%s)" : "%s IN (%s)", c->field->name, set);
    }
    set = sal_sql_param(sql, SAL_V_INTS(ids->ids, (apr_size_t)ids->n));
    return apr_psprintf(p, list ? "%s && %s::int[]" : "%s = ANY(%s::int[])", c->field->name, set);
}

/* The longest piece between bars: what the frames are narrowed with before the stack is read. */
static const char *longest_piece(const char *text, apr_pool_t *p)
{
    const char *best = "", *bar;
    apr_size_t len = 0;

    do {
        apr_size_t n;

        bar = strstr(text, " | ");
        n = bar ? (apr_size_t)(bar - text) : strlen(text);
        if (n > len) {
            best = text;
            len = n;
        }
        text = bar ? bar + 3 : text;
    } while (bar);
    return apr_pstrmemdup(p, best, len);
}

/* A condition on the stack as one text, which is stored as its frames. */
static apr_status_t stack_predicate(const char **out, sal_sql_t *sql, const sal_condition_t *c,
                                    sal_db_t *db, sal_error_t *err)
{
    static const char joined[] = "(SELECT string_agg(t.value, ' | ' ORDER BY u.o) FROM "
                                 "unnest(proto_signature) WITH ORDINALITY u(i, o) "
                                 "JOIN term t ON t.id = u.i)";
    sal_condition_t piece = { .field = c->field, .op = SAL_OP_CONTAINS };
    ids_t ids;
    apr_status_t rv;

    *out = text_test(sql, c, joined);
    if (c->op == SAL_OP_REGEX) {
        return APR_SUCCESS;
    }
    piece.text = longest_piece(c->text, sql->p);
    rv = resolve(&ids, &piece, db, sql->p, err);
    if (rv == APR_SUCCESS) {
        *out = apr_psprintf(sql->p, "%s AND %s", ids_predicate(sql, &piece, &ids), *out);
    }
    return rv;
}

static bool whole_stack(const sal_condition_t *c)
{
    return strcmp(c->field->name, "proto_signature") == 0 && c->op != SAL_OP_BARE &&
           (c->op != SAL_OP_CONTAINS || strstr(c->text, " | "));
}

static const char *number_predicate(sal_sql_t *sql, const sal_condition_t *c)
{
    static const char *const sign[] = { [SAL_OP_BARE] = "=",
                                        [SAL_OP_GE] = ">=",
                                        [SAL_OP_LE] = "<=",
                                        [SAL_OP_GT] = ">",
                                        [SAL_OP_LT] = "<" };
    int64_t v;

    if (c->field->store == SAL_STORE_DOUBLE) {
        return apr_psprintf(sql->p, "%s %s %s::double precision", c->field->name, sign[c->op],
                            sal_sql_param(sql, SAL_V_DOUBLE(c->number)));
    }
    (void)sal_parse_int(c->text, INT64_MIN, INT64_MAX, &v);
    return apr_psprintf(sql->p, "%s %s %s::bigint", c->field->name, sign[c->op],
                        sal_sql_param(sql, SAL_V_INT(v)));
}

static apr_status_t predicate(const char **out, sal_sql_t *sql, const sal_condition_t *c,
                              sal_db_t *db, sal_error_t *err)
{
    const char *name = c->field->name;
    ids_t ids;
    apr_status_t rv = APR_SUCCESS;

    if (c->op == SAL_OP_NULL) {
        *out = apr_pstrcat(sql->p, name, " IS NULL", NULL);
    } else if (c->op == SAL_OP_TRUE) {
        *out = apr_pstrcat(sql->p, name, " IS TRUE", NULL);
    } else if (c->field->match == SAL_MATCH_NUMBER) {
        *out = number_predicate(sql, c);
    } else if (c->field->store == SAL_STORE_UUID) {
        *out = apr_psprintf(sql->p, "%s::text = %s::text", name,
                            sal_sql_param(sql, SAL_V_TEXT(c->text)));
    } else if (c->field->store == SAL_STORE_TEXT) {
        *out = text_test(sql, c, name);
    } else if (whole_stack(c)) {
        rv = stack_predicate(out, sql, c, db, err);
    } else {
        rv = resolve(&ids, c, db, sql->p, err);
        if (rv == APR_SUCCESS) {
            *out = ids_predicate(sql, c, &ids);
        }
    }
    if (rv == APR_SUCCESS && !*out) {
        *out = "false";
    }
    return rv;
}

/* ---- folding ---- */

static bool is_false(const char *sql)
{
    return strcmp(sql, "false") == 0;
}

static const char *combined(const char *before, const char *one, bool and, apr_pool_t *p)
{
    if (!before) {
        return one;
    }
    if (and) {
        /* what stands before is kept even if it is in vain: its parameters are counted */
        return is_false(before) ? before : apr_psprintf(p, "(%s) AND (%s)", before, one);
    }
    if (is_false(before) || is_false(one)) {
        return is_false(before) ? one : before;
    }
    return apr_psprintf(p, "(%s) OR (%s)", before, one);
}

static bool is_range(sal_op_t op)
{
    return op == SAL_OP_GE || op == SAL_OP_LE || op == SAL_OP_GT || op == SAL_OP_LT;
}

typedef enum { OPERATORS, BARE_NEGATED, BARE } pass_t;

static pass_t pass_of(const sal_condition_t *c)
{
    return c->op != SAL_OP_BARE ? OPERATORS : c->negated ? BARE_NEGATED : BARE;
}

/*
 * The conditions of one field, folded from the left: ranges are ANDed, all else is ORed to what
 * came before; operators first, then one NOT of all bare negated values, then all bare values.
 */
static apr_status_t fold_field(const char **out, sal_sql_t *sql, const sal_query_t *q,
                               const sal_search_field_t *f, sal_db_t *db, sal_error_t *err)
{
    *out = NULL;
    for (pass_t pass = OPERATORS; pass <= BARE; pass++) {
        const char *group = NULL;

        for (int i = 0; i < q->conditions->nelts; i++) {
            const sal_condition_t *c = &APR_ARRAY_IDX(q->conditions, i, sal_condition_t);
            const char *one;
            apr_status_t rv;

            if (c->field != f || pass_of(c) != pass) {
                continue;
            }
            rv = predicate(&one, sql, c, db, err);
            if (rv != APR_SUCCESS) {
                return rv;
            }
            if (pass == OPERATORS) {
                if (c->negated) {
                    one = apr_psprintf(sql->p, "(%s) IS NOT TRUE", one);
                }
                *out = combined(*out, one, is_range(c->op), sql->p);
            } else {
                group = combined(group, one, false, sql->p);
            }
        }
        if (group && pass == BARE_NEGATED) {
            group = apr_psprintf(sql->p, "(%s) IS NOT TRUE", group);
        }
        if (group) {
            *out = combined(*out, group, false, sql->p);
        }
    }
    return APR_SUCCESS;
}

apr_status_t sal_sql_where(sal_sql_t *sql, bool *nothing, const sal_query_t *q, sal_db_t *db,
                           sal_error_t *err)
{
    apr_time_t from, to;
    apr_status_t rv = sal_query_window(q, &from, &to, err);
    int n;
    const sal_search_field_t *fields = sal_search_fields(&n);
    const char *low, *high;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *nothing = false;
    low = sal_sql_param(sql, SAL_V_TIME(from));
    high = sal_sql_param(sql, SAL_V_TIME(to));
    sal_sql_add(
        sql, apr_psprintf(sql->p, "date >= %s::timestamptz AND date < %s::timestamptz", low, high));
    for (int i = 0; i < n; i++) {
        const char *one;

        rv = fold_field(&one, sql, q, &fields[i], db, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
        if (one) {
            *nothing = *nothing || is_false(one);
            sal_sql_add(sql, apr_psprintf(sql->p, " AND (%s)", one));
        }
    }
    return APR_SUCCESS;
}
