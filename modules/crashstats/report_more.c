/*
 * Beside a report: its neighbours in the signature, its stack as text, its stackwalk document.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/tree.h"
#include "search/super.h"

enum { DAYS_BACK = 182, TREE_MAX = 20000 };

#define DAY apr_time_from_sec(86400)

/* ---- neighbours ---- */

typedef struct {
    crashstats_req_t *q;
    const char *signature, *product;
    const char *after; /* "DATE,ID" of a report, or NULL: the newest */
    bool older;
    const char *found;
} near_t;

/* Newest first, so what is next is older. */
static apr_status_t find_near(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    near_t *n = baton;
    const crashstats_req_t *q = n->q;
    const sal_super_reader_t reader = { .pii = q->pii, .known = q->who.user != NULL };
    apr_time_t now = q->r->request_time;
    sal_super_t *s = sal_super_make(&reader, now, p);
    json_t *found = NULL;
    const char *id;
    apr_status_t rv;

    sal_super_param(s, "signature", apr_pstrcat(p, "=", n->signature, NULL));
    if (n->product) {
        sal_super_param(s, "product", apr_pstrcat(p, "=", n->product, NULL));
    }
    sal_super_param(s, "date", apr_pstrcat(p, ">=", sal_time_iso(now - DAYS_BACK * DAY, p), NULL));
    sal_super_param(s, "_columns", "uuid");
    sal_super_param(s, "_facets_size", "0");
    sal_super_param(s, "_results_number", "1");
    sal_super_param(s, "_sort", n->older || !n->after ? "-date" : "date");
    if (n->after) {
        sal_super_param(s, "_after", n->after);
    }
    rv = sal_super_run(&found, s, db, p, err);
    if (rv == APR_SUCCESS) {
        id = sal_json_str(json_array_get(json_object_get(found, "hits"), 0), "uuid");
        n->found = id ? apr_pstrdup(q->r->pool, id) : NULL;
        json_decref(found);
    }
    return rv;
}

apr_status_t crashstats_newest(const char **id, crashstats_req_t *q, const char *signature,
                               sal_error_t *err)
{
    near_t n = { .q = q, .signature = signature };
    apr_status_t rv = web_with_db(q->r, find_near, &n, err);

    *id = n.found;
    return rv;
}

static int nothing_there(crashstats_req_t *q, const char *id, bool older)
{
    return crashstats_message(
        q, HTTP_NOT_FOUND, older ? "There is no next report" : "There is no previous report",
        apr_psprintf(q->r->pool, "No %s report of the last half year has the signature of %s.",
                     older ? "older" : "newer", id));
}

int crashstats_neighbour(crashstats_req_t *q, const char *id, bool older, bool compare)
{
    near_t n = { .q = q, .older = older };
    crashstats_docs_t docs;
    const char *date;
    sal_error_t err = { 0 };
    apr_status_t rv;
    int rc = OK;

    if (!crashstats_docs_find(&docs, q, id, &rc)) {
        return rc;
    }
    n.signature = sal_json_str(docs.processed, "signature");
    n.product = sal_json_str(docs.processed, "product");
    date = sal_json_str(docs.processed, "date_processed");
    if (!n.signature || !date) {
        return nothing_there(q, id, older);
    }
    n.after = apr_pstrcat(q->r->pool, date, ",", id, NULL);
    rv = web_with_db(q->r, find_near, &n, &err);
    if (rv == SAL_E_MALFORMED) {
        return nothing_there(q, id, older); /* a date that is none, or a name with NUL */
    }
    if (rv != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    if (!n.found) {
        return nothing_there(q, id, older);
    }
    return web_redirect(q->r, HTTP_MOVED_TEMPORARILY,
                        compare ? apr_pstrcat(q->r->pool, "/report/diff/", id, "/", n.found, NULL)
                                : apr_pstrcat(q->r->pool, "/report/index/", n.found, NULL));
}

int crashstats_report_next(crashstats_req_t *q, const char *rest)
{
    return crashstats_neighbour(q, rest, true, false);
}

int crashstats_report_previous(crashstats_req_t *q, const char *rest)
{
    return crashstats_neighbour(q, rest, false, false);
}

/* ---- the stack as text ---- */

static const char *markdown(crashstats_req_t *q, const crashstats_docs_t *docs)
{
    apr_pool_t *p = q->r->pool;
    const char *path = apr_pstrcat(p, "/report/index/", docs->id, NULL);
    const char *rows = sal_report_stack_markdown(docs->processed, q->conf->links->vcs, p);

    return apr_pstrcat(p, "Crash report: ", ap_construct_url(p, path, q->r), "\n\n",
                       *rows ? rows : "No stack.\n", NULL);
}

int crashstats_report_stack(crashstats_req_t *q, const char *rest)
{
    const char *format = web_param(q->query, "format"), *text;
    crashstats_docs_t docs;
    int rc = OK;

    if (format && strcmp(format, "markdown") != 0 && strcmp(format, "text") != 0) {
        return crashstats_message(q, HTTP_BAD_REQUEST, "There is no such format",
                                  "A stack is written as text or as markdown.");
    }
    if (!crashstats_docs_find(&docs, q, rest, &rc)) {
        return rc;
    }
    text = format && *format == 'm'
               ? markdown(q, &docs)
               : sal_report_stack_plain(docs.processed, q->conf->links->vcs, q->r->pool);
    text = *text ? text : "No stack.\n";
    apr_table_setn(q->r->headers_out, "Cache-Control", q->pii ? "private, no-store" : "no-cache");
    return web_reply(q->r, HTTP_OK, "text/plain; charset=UTF-8", text, strlen(text));
}

/* ---- the stackwalk document ---- */

/* One dump's document, named; the crashing thread in it is a copy. */
static void put_tree(json_t *list, const char *name, const json_t *dump, apr_pool_t *p)
{
    json_t *shown, *one;

    if (!json_is_object(dump)) {
        return;
    }
    shown = sal_json_own(json_copy((json_t *)dump), p);
    json_object_del(shown, "crashing_thread");
    one = json_pack("{s:o}", "steps", sal_tree_view(shown, TREE_MAX, p));
    json_object_set_new(one, "name", json_string(name));
    json_array_append_new(list, one);
}

int crashstats_report_raw(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    crashstats_docs_t docs;
    json_t *view, *list, *more;
    const char *name;
    int rc = OK;

    if (!crashstats_docs_find(&docs, q, rest, &rc)) {
        return rc;
    }
    list = json_array();
    put_tree(list, "upload_file_minidump", json_object_get(docs.processed, "json_dump"), p);
    put_tree(list, "upload_file_minidump_browser",
             sal_json_path(docs.processed, "upload_file_minidump_browser.json_dump"), p);
    json_object_foreach(json_object_get(docs.processed, "additional_dumps"), name, more)
    {
        if (json_array_size(list) < 8) {
            put_tree(list, name, json_object_get(more, "json_dump"), p);
        }
    }
    crashstats_note_access(q, docs.id);
    q->product = sal_json_str(docs.processed, "product");
    view = json_pack("{s:s, s:b, s:s, s:b, s:b}", "title", "Stackwalker document", "plain_title", 1,
                     "id", docs.id, "any_dumps", json_array_size(list) > 0, "pii", q->pii);
    json_object_set_new(view, "dumps", list);
    json_object_set_new(view, "crumbs",
                        json_pack("[{s:s, s:s}, {s:s, s:s}]", "text", "Report", "href",
                                  apr_pstrcat(p, "/report/index/", docs.id, NULL), "text",
                                  "Stackwalker", "href", ""));
    return crashstats_page(q, HTTP_OK, "report-tree", NULL, view);
}
