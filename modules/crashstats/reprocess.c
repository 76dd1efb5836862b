/*
 * POST /api/Reprocessing/, and the form of the report page that does the same for one crash.
 *
 * Both need the right reprocess_crashes and a change that is no forgery: by token, or by a form of
 * ours. Statuses and texts of the API are those of Crash Stats, since its clients depend on them.
 */
#include "crashstats/api.h"

#include <apr_strings.h>

#include "base/text.h"
#include "common/person.h"
#include "db/token.h"
#include "process/process.h"
#include "reprocess/reprocess.h"

#define BY_API "API"
#define BY_PAGE "report page"

typedef struct {
    const sal_reprocess_id_t *ids;
    int n;
    sal_reprocess_new_t opts;
    int64_t id, total;
} order_t;

static apr_status_t put(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    order_t *o = baton;
    int64_t queued;
    apr_status_t rv =
        sal_reprocess_ids(&o->id, &o->total, o->ids, o->n, true, &o->opts, db, p, err);

    /* the first of them at once: somebody may be waiting */
    return rv == APR_SUCCESS ? sal_reprocess_step(&queued, 0, db, p, err) : rv;
}

static apr_status_t order(order_t *o, crashstats_req_t *q, const char *way, sal_error_t *err)
{
    sal_reprocess_limits_t limits;
    apr_status_t rv;

    sal_reprocess_limits(&limits, q->conf->shared);
    o->opts = (sal_reprocess_new_t){ .requester = q->who.user ? q->who.user : "token",
                                     .reason = way,
                                     .rate = limits.rate,
                                     .max_running = limits.max_running,
                                     .quota = limits.quota };
    rv = web_with_db(q->r, put, o, err);
    if (rv == APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                      "SAL4030: %" APR_INT64_T_FMT " crashes processed again for %s, request "
                      "%" APR_INT64_T_FMT,
                      (apr_int64_t)o->total, o->opts.requester, (apr_int64_t)o->id);
    }
    return rv;
}

bool crashstats_may_reprocess(const crashstats_req_t *q)
{
    return (q->who.permissions & SAL_PERM_REPROCESS_CRASHES) != 0;
}

/* ---- the API ---- */

/* All of them are checked before anything is queued. NULL after a reply, which is in *rc. */
static sal_reprocess_id_t *read_ids(api_call_t *c, int *n, int *rc)
{
    apr_pool_t *p = c->q->r->pool;
    apr_array_header_t *texts = api_list(c, "crash_ids");
    sal_reprocess_id_t *ids;
    sal_error_t err = { 0 };

    *n = 0;
    ids = apr_palloc(p, ((apr_size_t)texts->nelts + 1) * sizeof *ids);
    for (int i = 0; i < texts->nelts; i++) {
        const char *text = crashstats_trimmed(APR_ARRAY_IDX(texts, i, const char *), p);

        if (!*text) {
            continue;
        }
        if (sal_reprocess_id(&ids[*n], text, p, &err) != APR_SUCCESS) {
            *rc = api_bad_argument(c, sal_utf8_clean(err.message, strlen(err.message), p));
            return NULL;
        }
        (*n)++;
    }
    if (*n == 0) {
        *rc = api_param_errors(c, json_pack("{s:[s]}", "crash_ids", "This field is required."));
        return NULL;
    }
    return ids;
}

static bool api_forged(const api_call_t *c)
{
    const char *sent = apr_table_get(c->q->r->headers_in, "X-CSRFToken");

    return !web_form_trusted(c->q->r, &c->q->who, sent ? sent : web_param(c->given, "csrf"));
}

int api_reprocessing(api_call_t *c)
{
    sal_error_t err = { 0 };
    order_t o = { 0 };
    apr_status_t rv;
    int rc = OK;

    if (api_forged(c)) {
        return crashstats_api_error(c->q, HTTP_FORBIDDEN,
                                    "CSRF verification failed: send a token in Auth-Token, or the "
                                    "form of a page");
    }
    if (!(o.ids = read_ids(c, &o.n, &rc))) {
        return rc;
    }
    rv = order(&o, c->q, BY_API, &err);
    if (rv == SAL_E_TOOBIG) {
        apr_table_setn(c->q->r->err_headers_out, "Retry-After", "3600");
        return crashstats_api_error(c->q, HTTP_TOO_MANY_REQUESTS, err.message);
    }
    return rv == APR_SUCCESS ? crashstats_api_reply(c->q, HTTP_OK, json_true())
                             : crashstats_api_failed(c->q, rv, &err);
}

/* ---- the report page ---- */

typedef struct {
    const char *id;
    bool waits;
} waits_t;

static apr_status_t look(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    waits_t *w = baton;

    return sal_reprocess_waits(&w->waits, w->id, db, p, err);
}

json_t *crashstats_reprocess_view(crashstats_req_t *q, const char *id)
{
    waits_t w = { .id = id };
    sal_error_t err = { 0 };
    const char *csrf;

    if (!crashstats_may_reprocess(q) || web_with_db(q->r, look, &w, &err) != APR_SUCCESS) {
        return NULL;
    }
    csrf = q->who.by_token ? "" : web_form_token(q->r, &q->who, &err);
    return csrf ? json_pack("{s:s, s:b}", "csrf", csrf, "waits", w.waits) : NULL;
}

int crashstats_reprocess_form(crashstats_req_t *q, const char *id)
{
    request_rec *r = q->r;
    sal_reprocess_id_t one = { .crash_id = id };
    order_t o = { .ids = &one, .n = 1 };
    sal_error_t err = { 0 };
    apr_table_t *form;
    apr_status_t rv;

    if (crashstats_id(id) != CRASHSTATS_ID_OK ||
        sal_reprocess_id(&one, id, r->pool, &err) != APR_SUCCESS) {
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                                  "A crash ID is 36 characters: 8-4-4-4-12 hex digits.");
    }
    if (!crashstats_may_reprocess(q)) {
        return crashstats_message(q, HTTP_FORBIDDEN, "You may not reprocess crashes",
                                  "It needs the permission Reprocess Crashes.");
    }
    form = web_form(r, 65536);
    one.ruleset = web_param(form, "ruleset");
    if (one.ruleset && !sal_process_ruleset(one.ruleset)) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "There is no such ruleset",
                                  "There are default and regenerate_signature.");
    }
    rv = order(&o, q, BY_PAGE, &err);
    if (rv == SAL_E_TOOBIG) {
        return crashstats_message(q, HTTP_TOO_MANY_REQUESTS, "Not today", err.message);
    }
    return rv == APR_SUCCESS
               ? web_redirect(r, HTTP_SEE_OTHER, apr_pstrcat(r->pool, "/report/index/", id, NULL))
               : crashstats_sick(q, &err);
}
