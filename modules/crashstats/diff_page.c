/*
 * /report/diff/<a>/<b>: two reports beside each other; and the ways there: a form's a and b, two
 * signatures, "next" for the next report of a's signature.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/json.h"
#include "render/diff.h"
#include "render/format.h"

static int no_such_page(crashstats_req_t *q)
{
    return crashstats_message(q, HTTP_NOT_FOUND, "There is no such comparison",
                              "Two crash IDs are needed, each of 36 characters: "
                              "/report/diff/<A>/<B>.");
}

/* The crash id in what somebody has pasted: an id, "bp-" and an id, the address of a report. */
static const char *id_in(const char *text, apr_pool_t *p)
{
    apr_size_t n;

    text = crashstats_trimmed(text, p);
    n = strcspn(text, "?#");
    while (n > 0 && text[n - 1] == '/') {
        n--;
    }
    text = apr_pstrmemdup(p, text, n);
    if (strrchr(text, '/')) {
        text = strrchr(text, '/') + 1;
    }
    if (strncmp(text, "bp-", 3) == 0) {
        text += 3;
    }
    return crashstats_id(text) == CRASHSTATS_ID_OK ? text : NULL;
}

static int to_pair(crashstats_req_t *q, const char *a, const char *b)
{
    return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                        apr_pstrcat(q->r->pool, "/report/diff/", a, "/", b, NULL));
}

/* The newest report of each of two signatures. */
static int of_signatures(crashstats_req_t *q, const apr_array_header_t *signatures)
{
    const char *id[2] = { NULL, NULL };
    sal_error_t err = { 0 };

    for (int i = 0; i < 2; i++) {
        if (crashstats_newest(&id[i], q, APR_ARRAY_IDX(signatures, i, const char *), &err) !=
            APR_SUCCESS) {
            return crashstats_sick(q, &err);
        }
        if (!id[i]) {
            return crashstats_message(q, HTTP_NOT_FOUND, "There is nothing to compare",
                                      "One of the signatures has no report in the last half year.");
        }
    }
    return to_pair(q, id[0], id[1]);
}

static int from_form(crashstats_req_t *q)
{
    apr_pool_t *p = q->r->pool;
    apr_array_header_t *signatures = web_param_all(q->query, "signature", p);
    const char *a = id_in(web_param(q->query, "a"), p), *b = id_in(web_param(q->query, "b"), p);

    if (a && b) {
        return to_pair(q, a, b);
    }
    if (signatures->nelts == 2) {
        return of_signatures(q, signatures);
    }
    return crashstats_message(q, HTTP_BAD_REQUEST, "Two reports are needed",
                              "A crash ID is 36 characters: 8-4-4-4-12 hex digits, the last six of "
                              "them a date. The address of a report does as well.");
}

/* The newest reports of both signatures, where these differ. */
static void put_signatures(json_t *view, const crashstats_docs_t docs[2], apr_pool_t *p)
{
    const char *a = sal_json_str(docs[0].processed, "signature");
    const char *b = sal_json_str(docs[1].processed, "signature");

    if (a && b && *a && *b && strcmp(a, b) != 0) {
        json_object_set_new(
            view, "other_signature",
            json_string(apr_pstrcat(p, "/report/diff/?signature=", sal_format_urlencode(a, p),
                                    "&signature=", sal_format_urlencode(b, p), NULL)));
    }
}

static int compare(crashstats_req_t *q, const crashstats_docs_t docs[2])
{
    sal_diff_in_t in = { .fields = q->conf->data->processed,
                         .vcs = q->conf->links->vcs,
                         .pii = q->pii };
    const char *product = sal_json_str(docs[0].processed, "product");
    json_t *view;

    for (int i = 0; i < 2; i++) {
        in.side[i] =
            (sal_diff_side_t){ docs[i].id, docs[i].processed, docs[i].annotations, docs[i].locked };
        crashstats_note_access(q, docs[i].id);
    }
    view = sal_diff_view(&in, q->r->pool);
    put_signatures(view, docs, q->r->pool);
    json_object_set_new(view, "crumbs", json_pack("[{s:s, s:s}]", "text", "Compare", "href", ""));
    q->product = product && *product ? product : NULL;
    return crashstats_page(q, HTTP_OK, "diff", NULL, view);
}

int crashstats_diff(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    const char *slash = strchr(rest, '/');
    crashstats_docs_t docs[2];
    const char *id[2];
    int rc = OK;

    if (!*rest) {
        return from_form(q);
    }
    if (!slash || strchr(slash + 1, '/')) {
        return no_such_page(q);
    }
    id[0] = apr_pstrmemdup(p, rest, (apr_size_t)(slash - rest));
    id[1] = slash + 1;
    if (crashstats_id(id[0]) != CRASHSTATS_ID_OK) {
        return no_such_page(q);
    }
    if (strcmp(id[1], "next") == 0) {
        return crashstats_neighbour(q, id[0], true, true);
    }
    if (crashstats_id(id[1]) != CRASHSTATS_ID_OK) {
        return no_such_page(q);
    }
    for (int i = 0; i < 2; i++) {
        if (!crashstats_docs_find(&docs[i], q, id[i], &rc)) {
            return rc;
        }
    }
    return compare(q, docs);
}
