/*
 * The question of the search page: out of its address, out of its form, and back into its form.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "base/text.h"
#include "db/token.h"
#include "render/format.h"

#define DAY 86400

/* ---- dates ---- */

static const struct {
    const char *name, *words;
    int seconds;
} ranges[] = { { "24h", "24 hours", DAY },     { "3d", "3 days", 3 * DAY },
               { "7d", "7 days", 7 * DAY },    { "14d", "14 days", 14 * DAY },
               { "1m", "month", 30 * DAY },    { "3m", "3 months", 91 * DAY },
               { "6m", "6 months", 182 * DAY } };

int crashstats_range(const char *name, const char **words)
{
    for (apr_size_t i = 0; name && i < sizeof ranges / sizeof ranges[0]; i++) {
        if (strcmp(ranges[i].name, name) == 0) {
            *words = ranges[i].words;
            return ranges[i].seconds;
        }
    }
    *words = NULL;
    return 0;
}

bool crashstats_range_of(const sal_ask_t *ask, apr_time_t now, apr_time_t *from, apr_time_t *to)
{
    const apr_time_t day = apr_time_from_sec(DAY);
    const char *words, *whole = sal_ask_value(ask, "_dayends");
    int seconds = crashstats_range(sal_ask_value(ask, "_range"), &words);

    if (seconds == 0) {
        return false;
    }
    *to = whole && *whole ? now - now % day + day : now;
    *from = *to - apr_time_from_sec(seconds);
    return true;
}

/*
 * "2026-11-22", the whole day, or "2026-11-22T12:30[:00]" with 'T' or a blank. NULL: it is no date.
 */
static const char *bound(const char *text, bool end, apr_pool_t *p)
{
    apr_size_t len = strlen(text);
    char *full = apr_pstrcat(p, text, len == 10 ? "T00:00:00" : len == 16 ? ":00" : "", NULL);
    apr_time_t t;

    if ((len != 10 && len != 16 && len != 19) || (full[10] != 'T' && full[10] != ' ')) {
        return NULL;
    }
    full[10] = 'T';
    if (!sal_time_parse(full, &t)) {
        return NULL;
    }
    t += end && len == 10 ? apr_time_from_sec(DAY) : 0;
    return apr_pstrcat(p, end ? "<" : ">=", sal_format_datetime(t, p), NULL);
}

static apr_status_t add_bound(sal_ask_t *ask, const char *text, bool end, sal_error_t *err)
{
    const char *value;

    if (!*text) {
        return APR_SUCCESS;
    }
    value = bound(text, end, ask->p);
    if (!value) {
        return sal_fail(err, SAL_E_MALFORMED, "“%s” is not a date; write YYYY-MM-DD", text);
    }
    sal_ask_add(ask, "date", value);
    return APR_SUCCESS;
}

apr_status_t crashstats_ask(sal_ask_t **out, crashstats_req_t *q, apr_table_t *params,
                            sal_error_t *err)
{
    const apr_array_header_t *a = apr_table_elts(params);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    apr_status_t rv = APR_SUCCESS;

    *out = sal_ask_make(q->pii, q->r->pool);
    for (int i = 0; i < a->nelts && i < SAL_ASK_MAX; i++) {
        bool to = strcmp(e[i].key, "to") == 0;

        if (to || strcmp(e[i].key, "from") == 0) {
            apr_status_t bad = add_bound(*out, e[i].val, to, err);

            rv = rv == APR_SUCCESS ? bad : rv;
        } else if (*e[i].val) {
            sal_ask_add(*out, e[i].key, e[i].val);
        }
    }
    return rv;
}

/* ---- asking ---- */

sal_super_t *crashstats_super(crashstats_req_t *q, const sal_ask_t *ask, apr_time_t now,
                              apr_pool_t *p)
{
    const sal_super_reader_t reader = { .pii = q->pii,
                                        .long_run =
                                            (q->who.permissions & SAL_PERM_RUN_LONG_QUERIES) != 0,
                                        .known = q->who.user || q->who.by_token };
    sal_super_t *s = sal_super_make(&reader, now, p);
    apr_time_t from, to;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);

        if (sal_search_field(one->name) || strcmp(one->name, "_neg") == 0) {
            sal_super_param(s, one->name, one->value);
        }
    }
    if (crashstats_range_of(ask, now, &from, &to)) {
        sal_super_param(s, "date", apr_pstrcat(p, ">=", sal_format_datetime(from, p), NULL));
        sal_super_param(s, "date", apr_pstrcat(p, "<", sal_format_datetime(to, p), NULL));
    }
    return s;
}

static const char *const usual_facets[] = { "signature", "platform_pretty_version", "version" };

/* "signature, version" of one parameter, each once. */
static void add_names(apr_array_header_t *out, const char *text, apr_pool_t *p)
{
    char *rest = apr_pstrdup(p, text), *state;

    for (char *one = apr_strtok(rest, ", ", &state); one; one = apr_strtok(NULL, ", ", &state)) {
        bool there = out->nelts >= 20;

        for (int i = 0; i < out->nelts && !there; i++) {
            there = strcmp(APR_ARRAY_IDX(out, i, const char *), one) == 0;
        }
        if (!there) {
            APR_ARRAY_PUSH(out, const char *) = one;
        }
    }
}

const char *const *crashstats_facets(const sal_ask_t *ask)
{
    apr_array_header_t *out = apr_array_make(ask->p, 8, sizeof(const char *));
    bool none;

    add_names(out, sal_ask_values(ask, "_facets"), ask->p);
    none = out->nelts == 0;
    for (apr_size_t i = 0; none && i < sizeof usual_facets / sizeof usual_facets[0]; i++) {
        add_names(out, usual_facets[i], ask->p);
    }
    for (int i = 0; i < ask->pairs->nelts; i++) {
        const char *name = APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t).name;

        if (strncmp(name, "_aggs.", 6) == 0) {
            add_names(out, apr_pstrmemdup(ask->p, name + 6, strcspn(name + 6, ".")), ask->p);
        } else if (strncmp(name, "_histogram.", 11) == 0) {
            add_names(out, name, ask->p);
        }
    }
    *(const char **)apr_array_push(out) = NULL;
    return (const char *const *)out->elts;
}

bool crashstats_rows(const sal_ask_t *ask, int *rows)
{
    const char *text = sal_ask_value(ask, "_results_number");
    int64_t n;

    *rows = SEARCH_ROWS;
    if (!text) {
        return true;
    }
    if (!sal_parse_int(text, 1, 1000, &n)) {
        return false;
    }
    *rows = (int)n;
    return true;
}

/* ---- the form, sent ---- */

static void add_list(sal_ask_t *ask, const char *name, const char *text, const char *usual)
{
    apr_array_header_t *names = apr_array_make(ask->p, 8, sizeof(const char *));

    if (strcmp(text, usual) == 0) {
        return;
    }
    add_names(names, text, ask->p);
    for (int i = 0; i < names->nelts; i++) {
        sal_ask_add(ask, name, APR_ARRAY_IDX(names, i, const char *));
    }
}

static void add_simple(sal_ask_t *ask, const char *field, const char *text)
{
    char *rest = apr_pstrdup(ask->p, text), *state;

    for (char *one = apr_strtok(rest, ",", &state); one; one = apr_strtok(NULL, ",", &state)) {
        const char *value = crashstats_trimmed(one, ask->p);

        if (*value) {
            sal_ask_add(ask, field, value);
        }
    }
}

/* Lines are three parameters each, in step. */
static void add_lines(sal_ask_t *ask, apr_table_t *sent, int drop)
{
    apr_array_header_t *f = web_param_all(sent, "_f", ask->p);
    apr_array_header_t *o = web_param_all(sent, "_o", ask->p);
    apr_array_header_t *v = web_param_all(sent, "_v", ask->p);

    for (int i = 0; i < f->nelts && i < o->nelts && i < v->nelts; i++) {
        const char *field = APR_ARRAY_IDX(f, i, const char *);
        const char *code = APR_ARRAY_IDX(o, i, const char *);
        const char *value = APR_ARRAY_IDX(v, i, const char *);
        bool unvalued = strstr(code, "__") != NULL;

        if (i + 1 != drop && sal_search_field(field) && (unvalued || *value)) {
            sal_ask_add(ask, field, apr_pstrcat(ask->p, code, unvalued ? "" : value, NULL));
        }
    }
}

static const char *usual(const char *const *names, apr_pool_t *p)
{
    const char *out = "";

    for (; *names; names++) {
        out = apr_pstrcat(p, out, *out ? ", " : "", *names, NULL);
    }
    return out;
}

static const char *usual_columns(crashstats_req_t *q)
{
    sal_ask_t *plain = sal_ask_make(q->pii, q->r->pool);
    int n;
    const char *const *names = sal_ask_columns(plain, &n);
    const char *out = "";

    for (int i = 0; i < n; i++) {
        out = apr_pstrcat(plain->p, out, i ? ", " : "", names[i], NULL);
    }
    return out;
}

static void add_dates(sal_ask_t *ask, apr_table_t *sent)
{
    const char *from = web_param(sent, "_from"), *to = web_param(sent, "_to");
    const char *range = web_param(sent, "_range"), *whole = web_param(sent, "_dayends");
    bool dated = (from && *from) || (to && *to);

    for (int i = 0; i < 2 && dated; i++) {
        const char *text = i ? to : from, *value = text ? bound(text, i, ask->p) : NULL;

        if (value || (text && *text)) { /* what is no date, the page says */
            sal_ask_add(ask, value ? "date" : i ? "to" : "from", value ? value : text);
        }
    }
    if (!dated && range && *range) {
        sal_ask_add(ask, "_range", range);
    }
    if (!dated && whole && *whole) {
        sal_ask_add(ask, "_dayends", "1");
    }
}

static void add_options(crashstats_req_t *q, sal_ask_t *ask, apr_table_t *sent)
{
    static const char *const kept[] = { "_results_number", "_facets_size", "_neg", NULL };
    const apr_array_header_t *a = apr_table_elts(sent);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;
    const char *facets = web_param(sent, "_facets"), *columns = web_param(sent, "_columns");
    const char *sort = web_param(sent, "_sort");
    sal_ask_t *plain = sal_ask_make(q->pii, ask->p);

    add_list(ask, "_facets", facets ? facets : "", usual(crashstats_facets(plain), ask->p));
    add_list(ask, "_columns", columns ? columns : "", usual_columns(q));
    add_list(ask, "_sort", sort ? sort : "", "-date");
    for (const char *const *name = kept; *name; name++) {
        const char *value = crashstats_trimmed(web_param(sent, *name), ask->p);

        if (*value && strcmp(value, "50") != 0) {
            sal_ask_add(ask, *name, value);
        }
    }
    for (int i = 0; i < a->nelts; i++) {
        if (strncmp(e[i].key, "_aggs.", 6) == 0 || strncmp(e[i].key, "_histogram", 10) == 0) {
            sal_ask_add(ask, e[i].key, e[i].val);
        }
    }
}

int crashstats_search_sent(crashstats_req_t *q)
{
    sal_ask_t *ask = sal_ask_make(q->pii, q->r->pool);
    const char *drop = web_param(q->query, "_drop");
    const char *add = crashstats_trimmed(web_param(q->query, "_new"), ask->p);
    const char *adding = web_param(q->query, "_add");
    int64_t line = 0;

    for (const char *const *name = sal_ask_simple_fields(); *name; name++) {
        const char *text = web_param(q->query, apr_pstrcat(ask->p, "_in.", *name, NULL));

        add_simple(ask, *name, text ? text : "");
    }
    if (drop && !sal_parse_int(drop, 1, SAL_ASK_MAX, &line)) {
        line = 0;
    }
    add_lines(ask, q->query, (int)line);
    add_dates(ask, q->query);
    add_options(q, ask, q->query);
    if (*add) {
        sal_ask_add(ask, "_new", add);
    }
    if (adding) {
        sal_ask_add(ask, "_dont_run", "1");
    }
    return web_redirect(
        q->r, HTTP_MOVED_TEMPORARILY,
        apr_pstrcat(ask->p, "/search/?", sal_ask_query(ask), adding ? "#edit" : "", NULL));
}
