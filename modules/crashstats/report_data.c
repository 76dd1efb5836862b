/*
 * What a report's page says beyond its documents: bugs, correlations, names of devices, what the
 * product's page says, why the signature is what it is. The report is there without any of it.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/json.h"
#include "triage/bug_info.h"
#include "triage/correlate.h"
#include "triage/devices.h"
#include "triage/products.h"

enum { BUGS_MAX = 100 };

typedef struct {
    crashstats_req_t *q;
    const json_t *doc;
    sal_product_page_t product;
    bool known; /* the product has a page */
    sal_bug_info_t *bugs;
    int n_bugs;
    sal_device_names_t gpu;
    json_t *correlations;
} data_t;

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = sal_json_str(doc, key);

    return s ? s : "";
}

static apr_status_t read_correlations(data_t *d, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *product = text_of(d->doc, "product"), *channel = text_of(d->doc, "release_channel");
    json_t *totals = NULL;
    apr_status_t rv = sal_correlate_get(&d->correlations, product, channel,
                                        text_of(d->doc, "signature"), db, p, err);

    if (rv != APR_SUCCESS || !d->correlations) {
        return rv;
    }
    (void)sal_json_own(d->correlations, p);
    rv = sal_correlate_totals(&totals, product, db, p, err);
    if (totals) {
        json_object_set(d->correlations, "total_reference", json_object_get(totals, channel));
        json_object_set(d->correlations, "date", json_object_get(totals, "date"));
        json_decref(totals);
    }
    return rv;
}

static apr_status_t read_data(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    data_t *d = baton;
    const char *product = text_of(d->doc, "product"), *signature = text_of(d->doc, "signature");
    apr_status_t rv = APR_SUCCESS;

    if (*product) {
        rv = sal_product_page(&d->product, product, db, p, err);
        d->known = rv == APR_SUCCESS;
        rv = APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_device_names(&d->gpu, text_of(d->doc, "adapter_vendor_id"),
                              text_of(d->doc, "adapter_device_id"), db, p, err);
    }
    if (rv == APR_SUCCESS && *signature) {
        rv = sal_bug_info_of(&d->bugs, &d->n_bugs, signature, BUGS_MAX, db, p, err);
    }
    return rv == APR_SUCCESS && *signature ? read_correlations(d, db, p, err) : rv;
}

/* ---- bugs ---- */

static json_t *bug_rows(const data_t *d)
{
    apr_pool_t *p = d->q->r->pool;
    json_t *out = json_array();

    for (int i = 0; i < d->n_bugs; i++) {
        const sal_bug_info_t *b = &d->bugs[i];
        const char *url = crashstats_bug_url(d->q, b->id);
        const char *state = *b->resolution ? apr_pstrcat(p, b->status, " ", b->resolution, NULL)
                            : *b->status   ? b->status
                                           : "unknown";
        json_t *row = json_pack("{s:I, s:s, s:s, s:b}", "id", (json_int_t)b->id, "state", state,
                                "summary", b->summary, "open", sal_bug_is_open(b->status));

        if (row) {
            json_object_set_new(row, "url", url ? json_string(url) : json_false());
            json_array_append_new(out, row);
        }
    }
    return sal_json_own(out, p);
}

/* Links of the product's own page, then those of salvage.conf. */
static json_t *bug_links(const data_t *d, const sal_bug_text_t *bug)
{
    apr_pool_t *p = d->q->r->pool;
    const crashstats_links_t *links = d->q->conf->links;
    json_t *out = json_array(), *conf, *one;
    size_t i;

    json_array_foreach(d->known ? d->product.bug_links : NULL, i, one)
    {
        const char *text = json_string_value(json_array_get(one, 0));
        const char *pattern = json_string_value(json_array_get(one, 1));
        const char *url = pattern ? sal_bug_link(pattern, bug, p) : NULL;

        if (url && text) {
            json_array_append_new(out, json_pack("{s:s, s:s}", "text", text, "url", url));
        }
    }
    conf = sal_bug_links(links->bugs, links->n_bugs, text_of(d->doc, "product"), bug, p);
    json_array_extend(out, conf);
    json_decref(conf);
    return sal_json_own(out, p);
}

/* A tracker is read by others: what is proposed to it is public, whoever looks. */
static const sal_bug_text_t *bug_text(const data_t *d, const crashstats_docs_t *docs)
{
    apr_pool_t *p = d->q->r->pool;
    sal_bug_text_t *bug = apr_pcalloc(p, sizeof *bug);
    const json_t *open =
        d->q->pii ? sal_json_own(sal_fields_public(d->q->conf->data->processed, docs->whole), p)
                  : docs->processed;
    const char *path = apr_pstrcat(p, "/report/index/", docs->id, NULL);

    sal_bug_text(bug, open, ap_construct_url(p, path, d->q->r), d->q->conf->links->vcs, p);
    return bug;
}

/* ---- the signature ---- */

/*
 * Made again by the lists of today. Out of a reduced document another signature may come than out
 * of the whole: then there is nothing to explain to this reader.
 */
static void explain(sal_report_in_t *in, crashstats_req_t *q)
{
    const char *stored = text_of(in->processed, "signature");
    sal_signature_t made;
    json_t *data;

    if (!q->conf->siglists) {
        return;
    }
    data = sal_json_own(sal_crash_data_of(in->processed), q->r->pool);
    in->why =
        sal_json_own(sal_signature_explain(&made, data, q->conf->siglists, q->r->pool), q->r->pool);
    if (q->pii) {
        in->recomputed = made.signature;
    } else if (strcmp(made.signature, stored) != 0) {
        in->why = NULL;
    }
}

void crashstats_report_data(sal_report_in_t *in, crashstats_req_t *q, const crashstats_docs_t *docs)
{
    data_t d = { .q = q, .doc = docs->processed };
    sal_error_t err = { 0 };

    if (web_with_db(q->r, read_data, &d, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r,
                      "SAL4191: report %s without what the database knows: %s", docs->id,
                      err.message);
    }
    in->fields = q->conf->data->processed;
    in->vcs = q->conf->links->vcs;
    in->sources = crashstats_module_sources;
    in->sources_baton = q;
    in->build_link = crashstats_build_url(q, docs->processed, d.known && d.product.in_buildhub);
    in->gpu_vendor = d.gpu.vendor;
    in->gpu_device = d.gpu.device;
    in->bugs = bug_rows(&d);
    in->bug = bug_text(&d, docs);
    in->bug_links = bug_links(&d, in->bug);
    in->correlations = d.correlations;
    explain(in, q);
}
