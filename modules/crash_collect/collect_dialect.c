/*
 * How clients of other collectors are spoken to.
 */
#include "collect_report.h"

#include <apr_network_io.h>
#include <apr_strings.h>

APLOG_USE_MODULE(crash_collect);

static const char *const styles[] = { "socorro", "id", "sentry" };

/* ---- configuration ---- */

void collect_dialect_make(collect_dialect_t *d)
{
    d->style = d->reject_status = d->store_address = -1;
}

void collect_dialect_merge(collect_dialect_t *d, const collect_dialect_t *base,
                           const collect_dialect_t *add)
{
    d->style = add->style < 0 ? base->style : add->style;
    d->reject_status = add->reject_status < 0 ? base->reject_status : add->reject_status;
    d->store_address = add->store_address < 0 ? base->store_address : add->store_address;
    d->view_urls = add->view_urls ? add->view_urls : base->view_urls;
    d->stop_sends = add->stop_sends ? add->stop_sends : base->stop_sends;
}

const char *collect_set_style(cmd_parms *cmd, void *dir, const char *arg)
{
    for (int i = 0; i < 3; i++) {
        if (!strcasecmp(arg, styles[i])) {
            ((collect_dir_t *)dir)->dialect.style = i;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool, "%s: \"%s\" is none of socorro, id, sentry", cmd->cmd->name,
                        arg);
}

const char *collect_set_reject_status(cmd_parms *cmd, void *dir, const char *arg)
{
    if (strcmp(arg, "200") && strcmp(arg, "400")) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither 400 nor 200", cmd->cmd->name, arg);
    }
    ((collect_dir_t *)dir)->dialect.reject_status = arg[0] == '2' ? 200 : 400;
    return NULL;
}

static void push(cmd_parms *cmd, apr_array_header_t **list, const char *product, const char *value)
{
    if (!*list) {
        *list = apr_array_make(cmd->pool, 4, sizeof(collect_for_product_t));
    }
    APR_ARRAY_PUSH(*list, collect_for_product_t) = (collect_for_product_t){ product, value };
}

/* Firefox cuts a value at its second '=', and a line break would begin another line. */
static int line_value_ok(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s <= 0x20 || *s == '=' || *s == 0x7f) {
            return 0;
        }
    }
    return 1;
}

const char *collect_add_view_url(cmd_parms *cmd, void *dir, const char *product, const char *url)
{
    if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) || !line_value_ok(url)) {
        return apr_psprintf(cmd->pool,
                            "%s: \"%s\" is not an http or https URL without blanks and \"=\"",
                            cmd->cmd->name, url);
    }
    push(cmd, &((collect_dir_t *)dir)->dialect.view_urls, product, url);
    return NULL;
}

const char *collect_add_stop(cmd_parms *cmd, void *dir, const char *product, const char *version)
{
    if (!strcmp(product, "*") || !*version || !line_value_ok(version)) {
        return apr_psprintf(cmd->pool,
                            "%s: expected a product and a version of it without blanks "
                            "and \"=\"",
                            cmd->cmd->name);
    }
    push(cmd, &((collect_dir_t *)dir)->dialect.stop_sends, product, version);
    return NULL;
}

const char *collect_set_store_address(cmd_parms *cmd, void *dir, int on)
{
    (void)cmd;
    ((collect_dir_t *)dir)->dialect.store_address = on;
    return NULL;
}

/* ---- replies ---- */

collect_style_t collect_style(const collect_report_t *q)
{
    if (q->dir->dialect.style >= 0) {
        return (collect_style_t)q->dir->dialect.style;
    }
    return q->sentry ? COLLECT_STYLE_SENTRY : COLLECT_STYLE_SOCORRO;
}

/*
 * Crashpad by its name, or by its shape: chunks, and a guid in the URL or the boundary that only
 * its form builder makes. It takes any status but 200 for "try again five times".
 */
static int is_crashpad(const request_rec *r)
{
    const char *agent = apr_table_get(r->headers_in, "User-Agent");
    const char *type = apr_table_get(r->headers_in, "Content-Type");

    if (agent && ap_strcasestr(agent, "crashpad")) {
        return 1;
    }
    if (!apr_table_get(r->headers_in, "Transfer-Encoding")) {
        return 0;
    }
    return (type && strstr(type, "---MultipartBoundary-")) ||
           web_param(web_query((request_rec *)r), "guid");
}

int collect_reject_is_200(const collect_report_t *q)
{
    return q->dir->dialect.reject_status == 200 && is_crashpad(q->r);
}

static const char *find_value(const apr_array_header_t *list, const char *product,
                              const char *version)
{
    for (int i = 0; list && i < list->nelts; i++) {
        const collect_for_product_t *f = &APR_ARRAY_IDX(list, i, collect_for_product_t);

        if ((!strcmp(f->product, "*") || !strcmp(f->product, product)) &&
            (!version || !strcmp(f->value, version))) {
            return f->value;
        }
    }
    return NULL;
}

void collect_dialect_lines(collect_report_t *q)
{
    const collect_dialect_t *d = &q->dir->dialect;
    const sal_annotations_t *a = sal_intake_annotations(q->intake);
    const char *product = sal_annotations_get(a, "ProductName");
    const char *version = sal_annotations_get(a, "Version"), *value;

    if (!product) {
        return;
    }
    if (q->verdict.result != SAL_THROTTLE_REJECT &&
        (value = find_value(d->view_urls, product, NULL)) != NULL) {
        collect_add_line(q, "ViewURL", apr_pstrcat(q->r->pool, value, q->id, NULL));
    }
    if (version && (value = find_value(d->stop_sends, product, version)) != NULL) {
        collect_add_line(q, "StopSendingReportsFor", value);
    }
}

/* ---- addresses ---- */

const char *collect_kept_address(const collect_report_t *q)
{
    const apr_sockaddr_t *from = q->r->useragent_addr;
    const unsigned char *b;

    if (q->dir->dialect.store_address != 1 || !from) {
        return NULL;
    }
    b = from->ipaddr_ptr;
    if (from->family == APR_INET) {
        return apr_psprintf(q->r->pool, "%d.%d.%d.0/24", b[0], b[1], b[2]);
    }
    if (!memcmp(b, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) { /* IPv4 on an IPv6 socket */
        return apr_psprintf(q->r->pool, "%d.%d.%d.0/24", b[12], b[13], b[14]);
    }
    return apr_psprintf(q->r->pool, "%x:%x:%x::/48", b[0] << 8 | b[1], b[2] << 8 | b[3],
                        b[4] << 8 | b[5]);
}
