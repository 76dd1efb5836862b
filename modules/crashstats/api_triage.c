/*
 * What triage knows of signatures and versions: Bugs, SignaturesByBugs, SignatureFirstDate,
 * VersionString; and NoOp, which tells clients that the API works.
 */
#include "crashstats/api.h"

#include "base/text.h"
#include "triage/bugs.h"
#include "triage/signatures.h"
#include "triage/versions.h"

typedef struct {
    const char *const *texts;
    const int64_t *numbers;
    int n;
    sal_rows_t *rows;
    sal_first_t *firsts;
    int nfirsts;
    const char *product, *channel, *build, **versions;
} ask_t;

static ask_t asked(api_call_t *c, const char *name)
{
    apr_array_header_t *all = api_list(c, name);

    return (ask_t){ .texts = (const char *const *)all->elts, .n = all->nelts };
}

static int reply_hits(api_call_t *c, json_t *hits)
{
    return crashstats_api_reply(
        c->q, HTTP_OK,
        json_pack("{s:o, s:I}", "hits", hits, "total", (json_int_t)json_array_size(hits)));
}

static int reply_pairs(api_call_t *c, const ask_t *a)
{
    json_t *hits = json_array();

    for (int i = 0; i < sal_rows_count(a->rows); i++) {
        json_array_append_new(hits,
                              json_pack("{s:I, s:s}", "id", (json_int_t)sal_rows_int(a->rows, i, 0),
                                        "signature", sal_rows_text(a->rows, i, 1)));
    }
    return reply_hits(c, hits);
}

/* ---- Bugs ---- */

static apr_status_t read_bugs(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ask_t *a = baton;

    return sal_bugs_of(&a->rows, a->texts, a->n, db, p, err);
}

int api_bugs(api_call_t *c)
{
    ask_t a = asked(c, "signatures");
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(c->q->r, read_bugs, &a, &err);

    return rv == APR_SUCCESS ? reply_pairs(c, &a) : crashstats_api_failed(c->q, rv, &err);
}

/* ---- SignaturesByBugs ---- */

static apr_status_t read_names(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ask_t *a = baton;

    return sal_bugs_name(&a->rows, a->numbers, a->n, db, p, err);
}

int api_signatures_by_bugs(api_call_t *c)
{
    ask_t a = asked(c, "bug_ids");
    int64_t *numbers = apr_palloc(c->q->r->pool, ((apr_size_t)a.n + 1) * sizeof(*numbers));
    sal_error_t err = { 0 };
    apr_status_t rv;
    int n = 0;

    for (int i = 0; i < a.n; i++) {
        const char *text = a.texts[i];

        if (!*text || text[strspn(text, "0123456789")]) {
            return api_bad_argument(c, "bug_ids");
        }
        /* a number that no bug can have has no signatures */
        n += sal_parse_int(text, 0, INT64_MAX, &numbers[n]);
    }
    a.numbers = numbers;
    a.n = n;
    rv = web_with_db(c->q->r, read_names, &a, &err);
    return rv == APR_SUCCESS ? reply_pairs(c, &a) : crashstats_api_failed(c->q, rv, &err);
}

/* ---- SignatureFirstDate ---- */

static apr_status_t read_firsts(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ask_t *a = baton;

    return sal_triage_first(&a->firsts, &a->nfirsts, a->texts, a->n, true, db, p, err);
}

int api_signature_first_date(api_call_t *c)
{
    ask_t a = asked(c, "signatures");
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(c->q->r, read_firsts, &a, &err);
    json_t *hits;

    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, rv, &err);
    }
    hits = json_array();
    for (int i = 0; i < a.nfirsts; i++) {
        json_array_append_new(hits, json_pack("{s:s, s:s, s:s}", "signature", a.firsts[i].signature,
                                              "first_build", a.firsts[i].build, "first_date",
                                              sal_time_iso(a.firsts[i].date, c->q->r->pool)));
    }
    return reply_hits(c, hits);
}

/* ---- VersionString ---- */

static apr_status_t read_versions(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ask_t *a = baton;

    return sal_version_lookup(&a->versions, a->product, a->channel, a->build, db, p, err);
}

int api_version_string(api_call_t *c)
{
    ask_t a = { .product = api_string(c, "product"),
                .channel = api_string(c, "channel"),
                .build = api_string(c, "build_id") };
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(c->q->r, read_versions, &a, &err);
    json_t *hits;

    if (rv != APR_SUCCESS) {
        return crashstats_api_failed(c->q, rv, &err);
    }
    hits = json_array();
    for (const char **v = a.versions; *v; v++) {
        json_array_append_new(hits, json_pack("{s:s}", "version_string", *v));
    }
    return reply_hits(c, hits);
}

/* ---- NoOp ---- */

int api_no_op(api_call_t *c)
{
    return strcmp(api_string(c, "product"), "bad") == 0 ? api_bad_argument(c, "Bad product")
                                                        : reply_hits(c, json_array());
}
