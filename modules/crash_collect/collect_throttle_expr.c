/*
 * What ap_expr can ask of a report. Throttle rules bring the report with them; in other
 * expressions of the server (of log and header directives) it is the one that the request took in.
 *
 *   annotation('Name'), %{ANN:Name}       its value; '' if absent
 *   -P 'Name'                             it is there, be it empty
 *   products('PATTERN')                   the listed products: after -in, or joined with ','
 *   PACKAGE -package_of PRODUCT           the product lists this package, or none, or is not listed
 *   VERSION -version_of PRODUCT           the same for versions
 *   BUILDID -older_than_days 730          a Mozilla build id of that age
 *   TELEMETRY -windows_upto 9600          a TelemetryEnvironment of such a Windows
 *
 * Not to be had in restricted expressions (.htaccess, SSI): annotations are not for everybody.
 */
#include "collect_throttle.h"

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include "base/text.h"
#include "collect_report.h"

APLOG_USE_MODULE(crash_collect);

#define DAYS_MAX 36500

/* ---- what is asked about ---- */

const sal_products_t *collect_products(collect_question_t *q)
{
    static const sal_products_t none = { 0, NULL };

    if (!q->products) {
        if (q->dir->products == PRODUCTS_FILE) {
            q->products = q->dir->products_list;
        } else if (q->dir->products == PRODUCTS_LISTED && q->site && q->site->products) {
            q->products = sal_product_watch_list(q->site->products, q->pool);
        } else {
            q->products = &none;
        }
    }
    return q->products;
}

/* The question that a rule has brought, or one about the request's report; NULL if there is none.*/
static collect_question_t *question_of(ap_expr_eval_ctx_t *ctx)
{
    collect_report_t *report;
    collect_question_t *q;

    if (ctx->data && ctx->info->module_index == crash_collect_module.module_index) {
        return ctx->data;
    }
    report = ctx->r ? collect_report(ctx->r) : NULL;
    if (!report || !report->intake) {
        return NULL;
    }
    q = apr_pcalloc(ctx->p, sizeof(*q));
    q->annotations = sal_intake_annotations(report->intake);
    q->dir = &report->dir->throttle;
    q->site = report->site;
    q->pool = ctx->p;
    return q;
}

/* ---- functions ---- */

static const char *annotation(ap_expr_eval_ctx_t *ctx, const void *data, const char *name)
{
    collect_question_t *q = question_of(ctx);

    (void)data;
    return q ? sal_annotations_seen(q->annotations, name, ctx->p) : NULL;
}

static int present(ap_expr_eval_ctx_t *ctx, const void *data, const char *name)
{
    return annotation(ctx, data, name) != NULL;
}

static apr_array_header_t *products(ap_expr_eval_ctx_t *ctx, const void *data, const char *pattern)
{
    collect_question_t *q = question_of(ctx);
    const sal_products_t *list = q ? collect_products(q) : NULL;
    apr_array_header_t *out;

    (void)data;
    if (!list || !list->n) {
        return NULL;
    }
    out = apr_array_make(ctx->p, list->n, sizeof(const char *));
    for (int i = 0; i < list->n; i++) {
        if (!strcmp(pattern, "*") || !apr_fnmatch(pattern, list->list[i].name, 0)) {
            APR_ARRAY_PUSH(out, const char *) = list->list[i].name;
        }
    }
    return out;
}

static const char *products_text(ap_expr_eval_ctx_t *ctx, const void *data, const char *pattern)
{
    apr_array_header_t *list = products(ctx, data, pattern);

    return list ? apr_array_pstrcat(ctx->p, list, ',') : NULL;
}

static int package_of(ap_expr_eval_ctx_t *ctx, const void *data, const char *package,
                      const char *product)
{
    collect_question_t *q = question_of(ctx);

    (void)data;
    return !q || sal_products_package_ok(collect_products(q), product, package);
}

static int version_of(ap_expr_eval_ctx_t *ctx, const void *data, const char *version,
                      const char *product)
{
    collect_question_t *q = question_of(ctx);

    (void)data;
    return !q || sal_products_version_ok(collect_products(q), product, version);
}

static int older_than_days(ap_expr_eval_ctx_t *ctx, const void *data, const char *buildid,
                           const char *days)
{
    int64_t n;

    (void)ctx;
    (void)data;
    return sal_parse_int(days, 0, DAYS_MAX, &n) &&
           sal_throttle_old_buildid(buildid, (int)n, apr_time_now());
}

static int windows_upto(ap_expr_eval_ctx_t *ctx, const void *data, const char *telemetry,
                        const char *build)
{
    int64_t n;

    (void)data;
    return sal_parse_int(build, 0, INT32_MAX, &n) &&
           sal_throttle_windows_upto(telemetry, n, ctx->p);
}

/* ---- lookup ---- */

/* A number that stands in the configuration is checked there. */
static int check_number(ap_expr_lookup_parms *parms, int64_t max)
{
    int64_t n;

    if (parms->arg && !sal_parse_int(parms->arg, 0, max, &n)) {
        *parms->err = apr_psprintf(parms->ptemp,
                                   "-%s needs a number from 0 to %" APR_INT64_T_FMT ", not \"%s\"",
                                   parms->name, (apr_int64_t)max, parms->arg);
        return !OK;
    }
    return OK;
}

static const struct {
    int type;
    const char *name;
    void *func;
    int64_t max; /* of a number on the right; 0: it is none */
} known[] = {
    { AP_EXPR_FUNC_STRING, "annotation", (void *)annotation, 0 },
    { AP_EXPR_FUNC_STRING, "ANN", (void *)annotation, 0 },
    { AP_EXPR_FUNC_OP_UNARY, "P", (void *)present, 0 },
    { AP_EXPR_FUNC_STRING, "products", (void *)products_text, 0 },
    { AP_EXPR_FUNC_LIST, "products", (void *)products, 0 },
    { AP_EXPR_FUNC_OP_BINARY, "package_of", (void *)package_of, 0 },
    { AP_EXPR_FUNC_OP_BINARY, "version_of", (void *)version_of, 0 },
    { AP_EXPR_FUNC_OP_BINARY, "older_than_days", (void *)older_than_days, DAYS_MAX },
    { AP_EXPR_FUNC_OP_BINARY, "windows_upto", (void *)windows_upto, INT32_MAX },
};

static int lookup(ap_expr_lookup_parms *parms)
{
    if (parms->flags & AP_EXPR_FLAG_RESTRICTED) {
        return DECLINED;
    }
    for (apr_size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (parms->type != known[i].type ||
            (parms->type == AP_EXPR_FUNC_OP_UNARY ? strcmp(parms->name, known[i].name)
                                                  : strcasecmp(parms->name, known[i].name))) {
            continue;
        }
        *parms->func = known[i].func;
        *parms->data = NULL;
        return known[i].max ? check_number(parms, known[i].max) : OK;
    }
    return DECLINED;
}

void collect_throttle_expr_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_expr_lookup(lookup, NULL, NULL, APR_HOOK_MIDDLE);
}
