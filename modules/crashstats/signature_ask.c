/*
 * What the signature report asks of the search. A page is a handful of searches in one unit of
 * work; each has all conditions of the address.
 */
#include "crashstats/signature.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "db/token.h"
#include "render/ask_result.h"
#include "render/format.h"
#include "render/report.h"
#include "search/lookup.h"
#include "triage/devices.h"
#include "triage/versions.h"

enum { DAY_S = 86400, SAMPLES = 200, FACETS = 50, BEGAN = 8 };

/* ---- the address ---- */

int signature_error(crashstats_req_t *q, int status, const char *text)
{
    return crashstats_message(q, status,
                              status == HTTP_FORBIDDEN     ? "This needs a right"
                              : status == HTTP_BAD_REQUEST ? "This cannot be asked"
                                                           : "The search gave up",
                              sal_utf8_clean(text, strlen(text), q->r->pool));
}

int signature_failed(crashstats_req_t *q, apr_status_t rv, const sal_error_t *err)
{
    if (rv == SAL_E_MALFORMED) {
        return signature_error(q, HTTP_BAD_REQUEST, err->message);
    }
    if (rv == SAL_E_BUSY || APR_STATUS_IS_TIMEUP(rv)) {
        apr_table_setn(q->r->err_headers_out, "Retry-After", "10");
        return signature_error(q, HTTP_SERVICE_UNAVAILABLE, err->message);
    }
    return crashstats_sick(q, err);
}

bool signature_may_use(const crashstats_req_t *q, const char *field)
{
    const sal_search_field_t *f = sal_search_field(field);

    return f && (!f->is_protected || q->pii);
}

int signature_not_allowed(crashstats_req_t *q, const char *what, const char *field)
{
    return signature_error(
        q, HTTP_BAD_REQUEST,
        apr_psprintf(q->r->pool, "You are not allowed to %s the \"%s\" field", what, field));
}

/* The one signature, or NULL after a reply. */
static const char *the_signature(crashstats_req_t *q, int *rc)
{
    const apr_array_header_t *all = web_param_all(q->query, "signature", q->r->pool);
    const char *one = all->nelts ? APR_ARRAY_IDX(all, 0, const char *) : "";

    /* decoding ends at a NUL, so it is looked for as it was sent */
    if (q->r->args && ap_strcasestr(q->r->args, "%00")) {
        *rc = signature_error(q, HTTP_BAD_REQUEST, "\"signature\" cannot contain nulls");
    } else if (all->nelts > 1) {
        *rc = signature_error(q, HTTP_BAD_REQUEST,
                              "Invalid value for \"signature\" parameter, only one value is "
                              "accepted");
    } else if (!*one) {
        *rc = signature_error(q, HTTP_BAD_REQUEST, "\"signature\" parameter is mandatory");
    } else if (strlen(one) > SAL_STATE_SIGNATURE_MAX) {
        *rc = signature_error(q, HTTP_BAD_REQUEST, "\"signature\" is too long");
    } else {
        return sal_utf8_clean(one, strlen(one), q->r->pool);
    }
    return NULL;
}

static apr_time_t midnight(apr_time_t t)
{
    return t - t % apr_time_from_sec(DAY_S);
}

static void read_conditions(signature_t *s)
{
    const apr_array_header_t *a = apr_table_elts(s->q->query);
    const apr_table_entry_t *e = (const apr_table_entry_t *)a->elts;

    s->ask = sal_ask_make(s->q->pii, s->p);
    for (int i = 0; i < a->nelts; i++) {
        if (strcmp(e[i].key, "signature") != 0 && *e[i].val) {
            s->dated = s->dated || strcmp(e[i].key, "date") == 0;
            sal_ask_add(s->ask, sal_utf8_clean(e[i].key, strlen(e[i].key), s->p),
                        sal_utf8_clean(e[i].val, strlen(e[i].val), s->p));
        }
    }
}

static bool read_page(signature_t *s)
{
    const char *text = web_param(s->q->query, "page");
    int64_t n = 1;

    if (text && *text && !sal_parse_int(text, INT64_MIN, INT64_MAX, &n)) {
        return false;
    }
    s->page = n < 1 ? 1 : n > 10000 / SIGNATURE_PER_PAGE ? 10000 / SIGNATURE_PER_PAGE : (int)n;
    return true;
}

/* The usual panels and those of "agg". */
static bool read_fields(signature_t *s, int *rc)
{
    static const char *const usual[] = { "product", "platform", "build_id", "install_time" };
    const apr_array_header_t *more = web_param_all(s->q->query, "agg", s->p);
    int n = 0;

    for (; n < (int)(sizeof usual / sizeof usual[0]); n++) {
        s->fields[n] = usual[n];
    }
    for (int i = 0; i < more->nelts && n < SIGNATURE_PANELS; i++) {
        const char *field = APR_ARRAY_IDX(more, i, const char *);
        bool there = !*field;

        for (int k = 0; k < n; k++) {
            there = there || !strcmp(s->fields[k], field);
        }
        if (!there && !signature_may_use(s->q, field)) {
            *rc = signature_not_allowed(s->q, "aggregate on", field);
            return false;
        }
        if (!there) {
            s->fields[n++] = field;
        }
    }
    return true;
}

static bool read_graph(signature_t *s, int *rc)
{
    const char *field = web_param(s->q->query, "graph");

    s->graph = field && *field ? field : "platform_pretty_version";
    if (!signature_may_use(s->q, s->graph)) {
        *rc = signature_not_allowed(s->q, "group by", s->graph);
        return false;
    }
    return true;
}

/* Operator and value in the words of the field's kind; NULL: it has no such operator. */
static const char *condition_of(const sal_search_field_t *f, const char *op, const char *value,
                                apr_pool_t *p)
{
    bool not = *op == '!';

    if (!strcmp(op + not, "=")) {
        const char *exactly = sal_ask_exactly(f, value, p);

        return not &&*exactly == '!' ? exactly + 1 : apr_pstrcat(p, not ? "!" : "", exactly, NULL);
    }
    for (const sal_ask_op_t *each = sal_ask_ops(f); each->words; each++) {
        if (!strcmp(each->code, op)) {
            return apr_pstrcat(p, op, each->valued ? value : "", NULL);
        }
    }
    return NULL;
}

/* "Add a filter" sends field, operator and value apart: here they become the address. */
static bool no_new_condition(signature_t *s, int *rc)
{
    static const char *const names[] = { "f", "op", "v", "page", NULL };
    const char *field = sal_ask_value(s->ask, "f"), *op = sal_ask_value(s->ask, "op");
    const char *value = sal_ask_value(s->ask, "v"), *condition;
    sal_ask_t *ask;

    if (!field) {
        return true;
    }
    if (!signature_may_use(s->q, field)) {
        *rc = signature_error(s->q, HTTP_BAD_REQUEST,
                              apr_psprintf(s->p, "Unknown field '%s'", field));
        return false;
    }
    condition = condition_of(sal_search_field(field), op ? op : "", value ? value : "", s->p);
    if (!condition) {
        *rc =
            signature_error(s->q, HTTP_BAD_REQUEST,
                            apr_psprintf(s->p, "The field %s cannot be compared like this", field));
        return false;
    }
    ask = sal_ask_without(s->ask, names);
    sal_ask_add(ask, field, condition);
    *rc =
        web_redirect(s->q->r, HTTP_SEE_OTHER, apr_pstrcat(s->p, s->self, sal_ask_query(ask), NULL));
    return false;
}

static void put_usual_date(signature_t *s)
{
    apr_time_t from = midnight(apr_time_now()) - apr_time_from_sec((SIGNATURE_DAYS - 1) * DAY_S);

    if (!s->dated) {
        sal_ask_add(s->ask, "date", apr_pstrcat(s->p, ">=", sal_format_datetime(from, s->p), NULL));
    }
}

bool signature_read(signature_t *s, crashstats_req_t *q, int want, int *rc)
{
    *s = (signature_t){ .q = q, .p = q->r->pool, .want = want };
    if (!(s->signature = the_signature(q, rc))) {
        return false;
    }
    s->self = apr_pstrcat(s->p, "/signature/?signature=", sal_format_urlencode(s->signature, s->p),
                          "&", NULL);
    read_conditions(s);
    if (!read_page(s)) {
        *rc = signature_error(q, HTTP_BAD_REQUEST, "Invalid page");
        return false;
    }
    if (!no_new_condition(s, rc)) {
        return false;
    }
    put_usual_date(s);
    return read_fields(s, rc) && read_graph(s, rc);
}

/* ---- searches ---- */

static sal_super_t *search_without(const signature_t *s, bool signature, bool dates)
{
    const sal_super_reader_t reader = { .pii = s->q->pii,
                                        .long_run = (s->q->who.permissions &
                                                     SAL_PERM_RUN_LONG_QUERIES) != 0,
                                        .known = s->q->who.user || s->q->who.by_token };
    sal_super_t *super = sal_super_make(&reader, apr_time_now() + apr_time_from_sec(1), s->p);

    if (signature) {
        sal_super_param(super, "signature", apr_pstrcat(s->p, "=", s->signature, NULL));
    }
    for (int i = 0; i < s->ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(s->ask->pairs, i, sal_ask_pair_t);
        bool date = !strcmp(one->name, "date");

        if (sal_search_field(one->name) && (dates || !date)) {
            sal_super_param(super, one->name, one->value);
        }
    }
    sal_super_param(super, "_neg", "and");
    return super;
}

/* "signature" is the default facet: what needs none says so with a size of 0. */
static void count_only(sal_super_t *super)
{
    sal_super_param(super, "_facets_size", "0");
    sal_super_param(super, "_results_number", "0");
}

sal_super_t *signature_super(const signature_t *s)
{
    return search_without(s, true, true);
}

apr_status_t signature_run(json_t **out, signature_t *s, sal_super_t *super, sal_db_t *db,
                           sal_error_t *err)
{
    apr_status_t rv = sal_super_run(out, super, db, s->p, err);

    if (rv == APR_SUCCESS) {
        sal_json_own(*out, s->p);
    }
    return rv;
}

static void ask_summary(sal_super_t *super)
{
    static const char *const facets[] = { "platform_pretty_version",
                                          "cpu_arch",
                                          "process_type",
                                          "version",
                                          "startup_crash",
                                          "reason",
                                          "address",
                                          "proto_signature",
                                          "_cardinality.install_time",
                                          "_cardinality.proto_signature" };

    for (apr_size_t i = 0; i < sizeof facets / sizeof facets[0]; i++) {
        sal_super_param(super, "_facets", facets[i]);
    }
    sal_super_param(super, "_histogram.uptime", "product");
    sal_super_param(super, "_histogram_interval.uptime", "60");
    sal_super_param(super, "_histogram.date", "version");
    sal_super_param(super, "_aggs.adapter_vendor_id", "adapter_device_id");
    sal_super_param(super, "_aggs.android_cpu_abi.android_manufacturer.android_model",
                    "android_version");
    sal_super_param(super, "_aggs.product.version", "_cardinality.install_time");
    sal_super_param(super, "_columns", "uuid");
    sal_super_param(super, "_columns", "proto_signature");
    sal_super_param(super, "_sort", "-date");
}

/* Everything that is counted, in one search. */
static apr_status_t find_main(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    bool summary = (s->want & (SIGNATURE_SUMMARY | SIGNATURE_HEAD)) != 0;
    sal_super_t *super = signature_super(s);

    if (summary) {
        ask_summary(super);
    } else {
        sal_super_param(super, "_facets", "product");
    }
    for (int i = 0; s->want & SIGNATURE_AGGREGATIONS && s->fields[i]; i++) {
        sal_super_param(super, "_facets", s->fields[i]);
    }
    if (s->want & SIGNATURE_GRAPHS) {
        sal_super_param(super, "_histogram.date", s->graph);
        sal_super_param(super, "_facets", s->graph);
    }
    sal_super_param(super, "_results_number", summary ? apr_psprintf(s->p, "%d", SAMPLES) : "0");
    sal_super_param(super, "_facets_size", apr_psprintf(s->p, "%d", FACETS));
    return signature_run(&s->main, s, super, db, err);
}

static int64_t total_of(const json_t *result)
{
    return json_integer_value(json_object_get(result, "total"));
}

/* The same number of days before. */
static apr_status_t find_before(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    apr_time_t length = s->to - s->from;
    sal_super_t *super = search_without(s, true, false);
    json_t *result;
    apr_status_t rv;

    count_only(super);
    sal_super_param(super, "date",
                    apr_pstrcat(s->p, ">=", sal_format_datetime(s->from - length, s->p), NULL));
    sal_super_param(super, "date",
                    apr_pstrcat(s->p, "<", sal_format_datetime(s->from, s->p), NULL));
    rv = signature_run(&result, s, super, db, err);
    s->before = rv == APR_SUCCESS ? total_of(result) : 0;
    return rv;
}

/* All crashes of the products that the signature's are of. */
static apr_status_t find_product(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    const json_t *products = json_object_get(json_object_get(s->main, "facets"), "product");
    const char *asked = sal_ask_value(s->ask, "product");
    sal_super_t *super = search_without(s, false, true);
    json_t *result, *one;
    apr_status_t rv;
    size_t i;

    json_array_foreach(products, i, one)
    {
        const char *name = sal_json_str(one, "term");

        s->product = s->product ? s->product : name;
        if (name && !asked && i < 10) {
            sal_super_param(super, "product", name);
        }
    }
    if (asked && sal_search_field("product")) {
        s->product = s->product ? s->product : asked;
    }
    if (!(s->want & SIGNATURE_HEAD) || total_of(s->main) == 0) {
        return APR_SUCCESS;
    }
    count_only(super);
    rv = signature_run(&result, s, super, db, err);
    s->product_total = rv == APR_SUCCESS ? total_of(result) : 0;
    return rv;
}

static void ask_page(signature_t *s, sal_super_t *super, const char *sort)
{
    sal_super_param(super, "_facets_size", "0");
    sal_super_param(super, "_results_number", apr_psprintf(s->p, "%d", SIGNATURE_PER_PAGE));
    sal_super_param(super, "_results_offset",
                    apr_psprintf(s->p, "%d", (s->page - 1) * SIGNATURE_PER_PAGE));
    sal_super_param(super, "_sort", sort);
}

const char *const *signature_columns(const signature_t *s, int *n)
{
    static const char *const usual[] = { "date",     "product",      "version",
                                         "build_id", "platform",     "reason",
                                         "address",  "install_time", "startup_crash" };

    if (*sal_ask_values(s->ask, "_columns")) {
        return sal_ask_columns(s->ask, n);
    }
    *n = (int)(sizeof usual / sizeof usual[0]);
    return usual;
}

static apr_status_t find_reports(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    const char *sort = sal_ask_value(s->ask, "_sort");
    sal_super_t *super = signature_super(s);
    int n;
    const char *const *columns = signature_columns(s, &n);

    for (int i = 0; i < n; i++) {
        sal_super_param(super, "_columns", columns[i]);
    }
    sal_super_param(super, "_columns", "uuid");
    ask_page(s, super, sort && *sort ? sort : "-date");
    return signature_run(&s->reports, s, super, db, err);
}

static apr_status_t find_comments(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    static const char *const columns[] = {
        "uuid", "user_comments", "date", "version", "platform_pretty_version", "useragent_locale"
    };
    sal_super_t *super = signature_super(s);

    sal_super_param(super, "user_comments", "!__null__");
    for (apr_size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        sal_super_param(super, "_columns", columns[i]);
    }
    ask_page(s, super, "-date");
    return signature_run(&s->comments, s, super, db, err);
}

/* ---- beside the search ---- */

/* The newest report that has the commonest stack, for its frames. */
static const char *sample(const signature_t *s)
{
    const json_t *facet = json_object_get(json_object_get(s->main, "facets"), "proto_signature");
    const char *stack = sal_json_str(json_array_get(facet, 0), "term");
    json_t *hit;
    size_t i;

    json_array_foreach(json_object_get(s->main, "hits"), i, hit)
    {
        const char *its = sal_json_str(hit, "proto_signature");

        if (stack && its && !strcmp(stack, its)) {
            return sal_json_str(hit, "uuid");
        }
    }
    return NULL;
}

/* A document that is gone, or broken, leaves the page without its frames, not without a page. */
static void find_stack(signature_t *s, sal_db_t *db)
{
    const char *id = sample(s);
    sal_report_in_t in = { .id = id };
    sal_error_t err = { 0 };
    sal_lookup_t found;
    json_t *doc, *view;

    if (!id || !s->q->conf->store || sal_lookup_crash(&found, id, db, s->p, &err) != APR_SUCCESS ||
        !found.blob ||
        sal_processed_get(&doc, s->q->conf->store, found.blob, s->p, &err) != APR_SUCCESS) {
        return;
    }
    in.processed = sal_json_own(crashstats_processed(s->q, doc), s->p);
    in.pii = s->q->pii;
    view = sal_json_own(sal_report_view(&in, s->p), s->p);
    s->stack = json_object_get(view, "stack");
}

/* When versions were first seen, for the marks of the trend. */
static apr_status_t find_began(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    const json_t *facet = json_object_get(json_object_get(s->main, "facets"), "version");
    const char *versions[BEGAN];
    json_t *one;
    int n = 0;
    size_t i;

    json_array_foreach(facet, i, one)
    {
        const char *version = sal_json_str(one, "term");

        if (version && n < BEGAN) {
            versions[n++] = version;
        }
    }
    return s->product && n ? sal_versions_began(&s->began, s->product, versions, n, db, s->p, err)
                           : APR_SUCCESS;
}

/* The adapters that the page shows, with their names; not every one is in the list. */
static apr_status_t find_adapters(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    static const char *const path[] = { "adapter_vendor_id", "adapter_device_id", NULL };
    const sal_sigview_t v = { .self = s->self, .ask = s->ask, .total = s->total, .p = s->p };
    const json_t *facet = json_object_get(json_object_get(s->main, "facets"), path[0]);
    apr_status_t rv = APR_SUCCESS;
    json_t *row;
    size_t i;

    s->adapters = sal_json_own(sal_sigview_rows(&v, facet, path, SIGNATURE_ROWS), s->p);
    json_array_foreach(s->adapters, i, row)
    {
        const json_t *cells = json_object_get(row, "cells");
        const char *vendor = json_string_value(json_array_get(cells, 0));
        const char *device = json_string_value(json_array_get(cells, 1));
        sal_device_names_t names = { "", "" };

        rv = sal_device_names(&names, vendor, device, db, s->p, err);
        if (rv != APR_SUCCESS) {
            break;
        }
        json_object_set_new(row, "vendor", json_string(*names.vendor ? names.vendor : vendor));
        json_object_set_new(row, "device", json_string(*names.device ? names.device : device));
        if (*names.vendor) {
            json_object_set_new(row, "ids",
                                json_string(apr_pstrcat(s->p, vendor, " ", device, NULL)));
        }
    }
    return rv;
}

static apr_status_t find_summary(signature_t *s, sal_db_t *db, sal_error_t *err)
{
    apr_status_t rv = find_began(s, db, err);

    if (rv == APR_SUCCESS) {
        rv = find_adapters(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_SUMMARY) {
        find_stack(s, db);
    }
    return rv;
}

static apr_status_t find(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    signature_t *s = baton;
    apr_status_t rv = sal_super_window(signature_super(s), &s->from, &s->to, err);

    (void)p;
    if (rv == APR_SUCCESS) {
        rv = find_main(s, db, err);
    }
    if (rv == APR_SUCCESS) {
        s->total = total_of(s->main);
        rv = find_product(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_HEAD) {
        rv = find_before(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & (SIGNATURE_SUMMARY | SIGNATURE_HEAD)) {
        rv = find_summary(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_REPORTS) {
        rv = find_reports(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_COMMENTS && s->q->pii) {
        rv = find_comments(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & SIGNATURE_CORRELATIONS) {
        rv = signature_correlate(s, db, err);
    }
    if (rv == APR_SUCCESS && s->want & (SIGNATURE_HEAD | SIGNATURE_BUGS | SIGNATURE_NOTES)) {
        rv = signature_life(s, db, err);
    }
    return rv;
}

bool signature_find(signature_t *s, int *rc)
{
    sal_error_t err = { 0 };
    apr_status_t rv = web_with_db(s->q->r, find, s, &err);

    if (rv != APR_SUCCESS) {
        *rc = signature_failed(s->q, rv, &err);
    }
    return rv == APR_SUCCESS;
}
