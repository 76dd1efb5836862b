/*
 * Making requests. What a request stands for is checked and counted here; the crashes are found
 * when it is expanded (expand.c).
 */
#include "reprocess/reprocess.h"

#include <string.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "process/process.h"
#include "reprocess/reprocess_private.h"

#define RATE 50
#define QUOTA 1000000
#define DEBOUNCE 600
#define NEWEST 100
#define MOST 20000
#define TRIES 3
#define MISSING_KEEP (APR_INT64_C(90) * 86400)
#define ITEMS_AT_ONCE 5000

static int within(apr_int64_t n, int max)
{
    return n < 0 ? 0 : n > max ? max : (int)n;
}

void sal_reprocess_limits(sal_reprocess_limits_t *out, const sal_conf_t *conf)
{
    *out = (sal_reprocess_limits_t){
        .rate = within(sal_conf_int(conf, "reprocess-rate", RATE), 100000),
        .max_running = within(sal_conf_int(conf, "reprocess-max-running", 0), 100000),
        .quota = sal_conf_int(conf, "reprocess-quota", QUOTA),
        .debounce = within(sal_conf_int(conf, "reprocess-debounce", DEBOUNCE), 86400),
        .newest = within(sal_conf_int(conf, "reprocess-newest", NEWEST), 1000000),
        .most = sal_conf_int(conf, "reprocess-most", MOST),
        .tries = within(sal_conf_int(conf, "reprocess-tries", TRIES), 1000),
        .missing_keep =
            within(sal_conf_int(conf, "reprocess-missing-keep", MISSING_KEEP) / 86400, 36500),
    };
}

apr_status_t sal_reprocess_id(sal_reprocess_id_t *out, const char *text, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *colon = strchr(text, ':');
    const char *id = colon ? apr_pstrmemdup(p, text, (apr_size_t)(colon - text)) : text;

    if (!sal_crash_id_valid(id)) {
        return sal_fail(err, SAL_E_MALFORMED, "Crash id '%.200s' is not valid.", id);
    }
    if (colon && !sal_process_ruleset(colon + 1)) {
        return sal_fail(err, SAL_E_MALFORMED, "Ruleset '%.200s' is not valid.", colon + 1);
    }
    out->crash_id = apr_pstrdup(p, id);
    out->ruleset = colon ? apr_pstrdup(p, colon + 1) : NULL;
    return APR_SUCCESS;
}

const char *sal_reprocess_fold(const char *text, bool upper, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, text);

    for (char *c = out; *c; c++) {
        if (upper ? *c >= 'a' && *c <= 'z' : *c >= 'A' && *c <= 'Z') {
            *c ^= 0x20;
        }
    }
    return out;
}

/* ---- the row ---- */

typedef struct making_t {
    const sal_reprocess_new_t *opts;
    const char *ruleset, *kind, *query;
    const sal_reprocess_id_t *ids; /* NULL: the query says which */
    int n;
    bool append;
    int64_t id, total;
} making_t;

/* Inside the transaction: what the requester has asked for and this together. */
static apr_status_t check_quota(const making_t *m, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_reprocess_new_t *o = m->opts;
    sal_rows_t *rows;
    apr_status_t rv;

    if (o->quota <= 0) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_reprocess_quota_lock, NULL, p, err, SAL_V_TEXT(o->requester));
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_reprocess_quota, &rows, p, err, SAL_V_TEXT(o->requester));
    }
    if (rv == APR_SUCCESS && sal_rows_int(rows, 0, 0) + m->total > o->quota) {
        return sal_fail(err, SAL_E_TOOBIG,
                        "%lld crashes are too many: of the quota of %lld in 24 hours %lld are "
                        "left to %s",
                        (long long)m->total, (long long)o->quota,
                        (long long)(o->quota - sal_rows_int(rows, 0, 0)), o->requester);
    }
    return rv;
}

/* The API's request that is still running takes the crashes of the next call, too. */
static apr_status_t grow(bool *grown, int64_t *first, making_t *m, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_reprocess_append, &rows, p, err, SAL_V_TEXT(m->opts->requester),
                    SAL_V_TEXT(m->opts->reason), SAL_V_TEXT(m->ruleset));

    *grown = rv == APR_SUCCESS && sal_rows_count(rows) > 0;
    if (!*grown) {
        return rv;
    }
    m->id = sal_rows_int(rows, 0, 0);
    *first = sal_rows_int(rows, 0, 1);
    return sal_db_exec(db, &sal_s_reprocess_grow, NULL, p, err, SAL_V_INT(m->id),
                       SAL_V_INT(m->total));
}

static apr_status_t add_row(making_t *m, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const sal_reprocess_new_t *o = m->opts;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(
        db, &sal_s_reprocess_add, &rows, p, err, SAL_V_TEXT(m->kind), SAL_V_JSON(m->query),
        SAL_V_TEXT(m->ruleset), SAL_V_TEXT(o->requester), SAL_V_TEXT(o->reason ? o->reason : ""),
        SAL_V_INT(o->rate), SAL_V_INT(o->max_running), SAL_V_INT(m->total));

    if (rv == APR_SUCCESS) {
        m->id = sal_rows_int(rows, 0, 0);
    }
    return rv;
}

static apr_status_t add_items(const making_t *m, int64_t first, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    const char **ids = apr_palloc(p, ITEMS_AT_ONCE * sizeof(*ids));
    const char **rulesets = apr_palloc(p, ITEMS_AT_ONCE * sizeof(*rulesets));
    apr_status_t rv = APR_SUCCESS;

    for (int at = 0; at < m->n && rv == APR_SUCCESS; at += ITEMS_AT_ONCE) {
        int n = m->n - at < ITEMS_AT_ONCE ? m->n - at : ITEMS_AT_ONCE;
        apr_pool_t *tmp;

        for (int i = 0; i < n; i++) {
            ids[i] = m->ids[at + i].crash_id;
            rulesets[i] = m->ids[at + i].ruleset;
        }
        apr_pool_create(&tmp, p);
        rv = sal_db_exec(db, &sal_s_reprocess_items_add, NULL, tmp, err, SAL_V_INT(m->id),
                         SAL_V_INT(first + at), SAL_V_TEXTS(ids, (apr_size_t)n),
                         SAL_V_TEXTS_NULLS(rulesets, (apr_size_t)n));
        apr_pool_destroy(tmp);
    }
    return rv;
}

static apr_status_t make_txn(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    making_t *m = baton;
    int64_t first = 0;
    bool grown = false;
    apr_status_t rv = check_quota(m, db, p, err);

    if (rv == APR_SUCCESS && m->append) {
        rv = grow(&grown, &first, m, db, p, err);
    }
    if (rv == APR_SUCCESS && !grown) {
        rv = add_row(m, db, p, err);
    }
    return rv == APR_SUCCESS && m->ids ? add_items(m, first, db, p, err) : rv;
}

static apr_status_t make(int64_t *id, int64_t *total, making_t *m, sal_db_t *db, apr_pool_t *p,
                         sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    *id = 0;
    *total = m->total;
    m->ruleset = m->opts->ruleset ? m->opts->ruleset : "default";
    if (!sal_process_ruleset(m->ruleset)) {
        return sal_fail(err, APR_EINVAL, "Ruleset '%.200s' is not valid.", m->ruleset);
    }
    if (m->total > 0) {
        rv = sal_db_txn(db, make_txn, m, p, err);
    }
    if (rv == APR_SUCCESS) {
        *id = m->id;
    }
    return rv;
}

/* ---- kinds ---- */

/* Each crash and ruleset once, in the order given. */
static int unique(sal_reprocess_id_t *out, const sal_reprocess_id_t *ids, int n, apr_pool_t *p)
{
    apr_hash_t *seen = apr_hash_make(p);
    int kept = 0;

    for (int i = 0; i < n; i++) {
        const char *key = ids[i].ruleset
                              ? apr_pstrcat(p, ids[i].crash_id, ":", ids[i].ruleset, NULL)
                              : ids[i].crash_id;

        if (!apr_hash_get(seen, key, APR_HASH_KEY_STRING)) {
            apr_hash_set(seen, key, APR_HASH_KEY_STRING, key);
            out[kept++] = ids[i];
        }
    }
    return kept;
}

apr_status_t sal_reprocess_ids(int64_t *id, int64_t *total, const sal_reprocess_id_t *ids, int n,
                               bool append, const sal_reprocess_new_t *opts, sal_db_t *db,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_reprocess_id_t *once = apr_palloc(p, ((apr_size_t)n + 1) * sizeof(*once));
    making_t m = { .opts = opts, .kind = "ids", .ids = once, .append = append };

    m.total = m.n = unique(once, ids, n, p);
    m.query = apr_psprintf(p, "{\"ids\": %d}", m.n);
    return make(id, total, &m, db, p, err);
}

typedef struct search_t {
    sal_query_t *query;
    json_t *params; /* without date */
    apr_pool_t *p;
    sal_error_t *err;
    apr_status_t rv;
} search_t;

static int add_param(void *baton, const char *name, const char *value)
{
    search_t *s = baton;

    if (!sal_search_field(name)) {
        s->rv = sal_fail(s->err, SAL_E_MALFORMED, "Unknown field '%.100s'", name);
    } else {
        s->rv = sal_query_filter(s->query, name, value, s->err);
    }
    if (s->rv == APR_SUCCESS && strcmp(name, "date") != 0) {
        json_array_append_new(s->params, json_pack("[s, s]", name, value));
    }
    return s->rv == APR_SUCCESS;
}

apr_status_t sal_reprocess_search(int64_t *id, int64_t *total, const apr_table_t *params,
                                  const sal_reprocess_new_t *opts, sal_db_t *db, apr_pool_t *p,
                                  sal_error_t *err)
{
    search_t s = { .p = p, .err = err };
    making_t m = { .opts = opts, .kind = "search" };
    apr_time_t from, to;
    json_t *query;
    apr_status_t rv;

    s.query = sal_query_make(apr_time_now(), true, p);
    s.params = sal_json_own(json_array(), p);
    apr_table_do(add_param, &s, params, NULL);
    if (s.rv != APR_SUCCESS ||
        (rv = s.rv = sal_query_window(s.query, &from, &to, err)) != APR_SUCCESS ||
        (rv = sal_query_count(&m.total, s.query, db, p, err)) != APR_SUCCESS) {
        return s.rv != APR_SUCCESS ? s.rv : rv;
    }
    query = sal_json_own(json_pack("{s:s, s:s, s:O}", "from",
                                   sal_time_iso(from - from % APR_USEC_PER_SEC, p), "to",
                                   sal_time_iso(to, p), "params", s.params),
                         p);
    m.query = sal_json_text(query, p);
    return make(id, total, &m, db, p, err);
}

apr_status_t sal_reprocess_query(sal_query_t **out, const json_t *stored, apr_pool_t *p,
                                 sal_error_t *err)
{
    const char *from = sal_json_str(stored, "from"), *to = sal_json_str(stored, "to");
    const json_t *params = json_object_get(stored, "params");
    apr_status_t rv = APR_SUCCESS;
    apr_time_t end;

    if (!from || !to || !sal_time_parse(to, &end)) {
        return sal_fail(err, SAL_E_MALFORMED, "the stored search has no time");
    }
    *out = sal_query_make(end, true, p);
    rv = sal_query_filter(*out, "date", apr_pstrcat(p, ">=", from, NULL), err);
    for (size_t i = 0; i < json_array_size(params) && rv == APR_SUCCESS; i++) {
        const json_t *pair = json_array_get(params, i);
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));

        rv = name && value && sal_search_field(name)
                 ? sal_query_filter(*out, name, value, err)
                 : sal_fail(err, SAL_E_MALFORMED, "there is no field '%.100s' any more",
                            name ? name : "");
    }
    return rv;
}

/* For LIKE: what is not a wildcard of ours is none. */
static const char *like_text(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 2 + 1), *to = out;

    for (; *text; text++) {
        if (strchr("\\%_", *text)) {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to = '\0';
    return out;
}

apr_status_t sal_reprocess_module_of(sal_module_t *out, const json_t *stored, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err)
{
    const char *file = sal_json_str(stored, "file"), *id = sal_json_str(stored, "debug_id");
    const char *pattern;
    sal_rows_t *rows;
    apr_status_t rv;

    if (!file) {
        return sal_fail(err, SAL_E_MALFORMED, "the stored request names no module");
    }
    out->debug_file = sal_reprocess_fold(file, false, p);
    out->debug_id = id ? sal_reprocess_fold(id, true, p) : NULL;
    pattern = apr_pstrcat(p, like_text(out->debug_file, p), "/",
                          id ? like_text(sal_reprocess_fold(id, false, p), p) : "%", NULL);
    rv = sal_db_exec(db, &sal_s_reprocess_module_terms, &rows, p, err,
                     SAL_V_INT(sal_search_field("modules_in_stack")->number), SAL_V_TEXT(pattern));
    out->terms = rv == APR_SUCCESS ? apr_pstrdup(p, sal_rows_text(rows, 0, 0)) : NULL;
    return rv;
}

apr_status_t sal_reprocess_module(int64_t *id, int64_t *total, const char *file,
                                  const char *debug_id, const sal_reprocess_new_t *opts,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    making_t m = { .opts = opts, .kind = "module" };
    json_t *query = sal_json_own(json_pack("{s:s, s:s*}", "file", file, "debug_id", debug_id), p);
    sal_module_t module;
    sal_rows_t *rows;
    apr_status_t rv;

    if (!query || !*file) {
        return sal_fail(err, SAL_E_MALFORMED, "\"%.200s\" is no name of a module", file);
    }
    rv = sal_reprocess_module_of(&module, query, db, p, err);
    if (rv == APR_SUCCESS) {
        rv = sal_db_exec(db, &sal_s_reprocess_module_count, &rows, p, err, SAL_V_TEXT(module.terms),
                         SAL_V_TEXT(module.debug_file), SAL_V_TEXT(module.debug_id));
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    m.total = sal_rows_int(rows, 0, 0);
    m.query = sal_json_text(query, p);
    return make(id, total, &m, db, p, err);
}
