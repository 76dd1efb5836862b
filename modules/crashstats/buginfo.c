/*
 * /buginfo/bug?bug_ids=1,2: what the tracker says of bugs, as JSON. Asked of the tracker at most
 * once an hour for each bug; the database is not held meanwhile.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/text.h"
#include "triage/bug_info.h"

enum { IDS_MAX = 100, SECONDS = 5 };

#define FRESH apr_time_from_sec(3600)

typedef struct {
    const int64_t *ids;
    int n;
    apr_time_t now;
    sal_bug_info_t *known, *told; /* known: not older than an hour */
    int n_known, n_told;
    const int64_t *asked;
    int n_asked;
} info_t;

static apr_status_t read_known(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    info_t *i = baton;

    return sal_bug_info_read(&i->known, &i->n_known, i->ids, i->n, i->now - FRESH, db, p, err);
}

static apr_status_t keep(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    info_t *i = baton;

    return sal_bug_info_put(i->told, i->n_told, i->asked, i->n_asked, i->now, db, p, err);
}

/* Comma separated numbers; -1: something is none, or there are too many. */
static int read_ids(int64_t *out, const char *text, apr_pool_t *p)
{
    char *copy = apr_pstrdup(p, text), *last;
    int n = 0;

    for (char *one = apr_strtok(copy, ",", &last); one; one = apr_strtok(NULL, ",", &last)) {
        apr_collapse_spaces(one, one);
        if (n == IDS_MAX || strspn(one, "0123456789") != strlen(one) ||
            !sal_parse_int(one, 1, INT64_MAX, &out[n++])) {
            return -1;
        }
    }
    return n ? n : -1;
}

static bool is_known(const info_t *i, int64_t id)
{
    for (int k = 0; k < i->n_known; k++) {
        if (i->known[k].id == id) {
            return true;
        }
    }
    return false;
}

/* What is not known, or old. */
static void find_unknown(info_t *i, apr_pool_t *p)
{
    int64_t *asked = apr_palloc(p, sizeof(*asked) * ((apr_size_t)i->n + 1));

    for (int k = 0; k < i->n; k++) {
        if (!is_known(i, i->ids[k])) {
            asked[i->n_asked++] = i->ids[k];
        }
    }
    i->asked = asked;
}

static void add(json_t *out, const sal_bug_info_t *list, int n)
{
    for (int i = 0; i < n; i++) {
        if (*list[i].status) {
            json_t *one = json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)list[i].id, "summary",
                                    list[i].summary, "status", list[i].status, "resolution",
                                    list[i].resolution);

            json_array_append_new(out, one ? one : json_null());
        }
    }
}

/* False after a reply that is in *rc. */
static bool ask_tracker(info_t *i, crashstats_req_t *q, int *rc)
{
    sal_error_t err = { 0 };
    sal_bugzilla_t bugzilla;
    apr_pool_t *p = q->r->pool;

    if (sal_bugzilla_conf(&bugzilla, q->conf->shared, p, &err) == APR_SUCCESS && !bugzilla.url) {
        return true; /* nobody to ask */
    }
    if (!bugzilla.url || sal_bugzilla_info(&i->told, &i->n_told, &bugzilla, i->asked, i->n_asked,
                                           SECONDS, p, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, q->r, "SAL4193: no details of bugs: %s",
                      err.message);
        *rc = web_reply_json(q->r, HTTP_INTERNAL_SERVER_ERROR,
                             json_pack("{s:s}", "error", "Max retries exceeded with Bugzilla."));
        return false;
    }
    (void)web_with_db(q->r, keep, i, &err); /* else it is asked again */
    return true;
}

int crashstats_buginfo(crashstats_req_t *q, const char *rest)
{
    const char *text = web_param(q->query, "bug_ids");
    int64_t ids[IDS_MAX];
    info_t i = { .ids = ids, .now = q->r->request_time };
    sal_error_t err = { 0 };
    json_t *out;
    int rc = OK;

    (void)rest;
    i.n = text ? read_ids(ids, text, q->r->pool) : -1;
    if (i.n < 0) {
        return web_reply_json(
            q->r, HTTP_BAD_REQUEST,
            json_pack("{s:s}", "error", "bug_ids: numbers of bugs, joined by commas, 100 at most"));
    }
    if (web_with_db(q->r, read_known, &i, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    find_unknown(&i, q->r->pool);
    if (i.n_asked && !ask_tracker(&i, q, &rc)) {
        return rc;
    }
    out = json_array();
    add(out, i.known, i.n_known);
    add(out, i.told, i.n_told);
    return web_reply_json(q->r, HTTP_OK, json_pack("{s:o}", "bugs", out));
}
