/*
 * Limits on clients. What costs least is asked first; an address is the one that mod_remoteip
 * found, never a header's.
 */
#include "collect_report.h"

#include <sys/stat.h>
#include <apr_strings.h>
#include "base/text.h"

APLOG_USE_MODULE(crash_collect);

#define RETRY_OFF 300
#define ADDRESSES 65536
#define PRODUCTS 4096
#define LINES 512
#define LAYOUT 1
#define BOTH_LENGTHS "crash-both-lengths"
#define RULE "rate_limited"
#define INTAKE_OFF "intake_off"

typedef struct collect_product_limit_t {
    sal_rate_t rate; /* every 0: none */
    apr_int64_t daily;
} collect_product_limit_t;

typedef struct collect_key_t {
    const char *product;
    unsigned char digest[32];
} collect_key_t;

static sal_rates_t *addresses, *products, *days, *lines; /* all or none */

void collect_limits_make(server_rec *s)
{
    apr_size_t big = sal_rates_size(ADDRESSES), small = sal_rates_size(PRODUCTS);
    char *base = collect_shared(s, "salvage-collect-limits",
                                big + 2 * small + sal_rates_size(LINES), LAYOUT);

    addresses = products = days = lines = NULL;
    if (base) {
        addresses = sal_rates_open(base, ADDRESSES);
        products = sal_rates_open(base + big, PRODUCTS);
        days = sal_rates_open(base + big + small, PRODUCTS);
        lines = sal_rates_open(base + big + 2 * small, LINES);
    }
}

/* ---- log lines ---- */

int collect_log_may(request_rec *r, const char *what)
{
    static const sal_rate_t rate = { apr_time_from_sec(10), 10 };
    unsigned held = 0;

    if (!lines) {
        return 1;
    }
    if (!sal_rate_take(lines, what, strlen(what), &rate, apr_time_now(), NULL, &held)) {
        collect_count(COLLECT_LOG_SUPPRESSED, NULL);
        return 0;
    }
    if (held) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL1024: %u lines as %s were not logged", held,
                      what);
    }
    return 1;
}

/* ---- answers ---- */

static int send_away(collect_report_t *q, const char *why, apr_interval_time_t wait, int *rc)
{
    apr_int64_t seconds = (wait + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;

    if (collect_log_may(q->r, apr_pstrcat(q->r->pool, "SAL1023 ", why, NULL))) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, q->r, "SAL1023: report sent away: %s", why);
    }
    *rc = collect_busy(q->r, why, seconds < 1 ? 1 : seconds > 86400 ? 86400 : (int)seconds);
    return 0;
}

/* Over a rate: to come again later, or to be forgotten, as the operator likes. */
static int over_rate(collect_report_t *q, const char *why, apr_interval_time_t wait, int *rc)
{
    if (q->dir->limits.reject != 1) {
        return send_away(q, why, wait, rc);
    }
    q->verdict = (sal_verdict_t){ .result = SAL_THROTTLE_REJECT, .rule = RULE, .percent = 100 };
    collect_note_verdict(q);
    *rc = collect_discard(q);
    return 0;
}

/* ---- before the body ---- */

/*
 * httpd itself prefers the chunks where a request gives a length too, and forgets the length. All
 * that is left of it is that the connection is to be closed, before anybody else could have said
 * so.
 */
static int note_both_lengths(request_rec *r)
{
    if (!r->connection->master && r->connection->keepalive == AP_CONN_CLOSE &&
        apr_table_get(r->headers_in, "Transfer-Encoding")) {
        apr_table_setn(r->notes, BOTH_LENGTHS, "1");
    }
    return DECLINED;
}

static int is_off(const collect_limits_dir_t *d)
{
    struct stat st;

    return d->off == 1 || (d->switch_file && stat(d->switch_file, &st) == 0);
}

const char *collect_client_over(request_rec *r, apr_interval_time_t *wait)
{
    const collect_limits_dir_t *d = &collect_dir(r)->limits;
    unsigned char key[WEB_CLIENT_KEY];

    *wait = apr_time_from_sec(RETRY_OFF);
    if (is_off(d)) {
        return INTAKE_OFF;
    }
    if (!d->address || !d->address->every || !addresses ||
        sal_rate_take(addresses, key, web_client_key(r, key), d->address, apr_time_now(), wait,
                      NULL)) {
        return NULL;
    }
    return "address_rate";
}

/* ---- keys ---- */

static const char *shown_key(request_rec *r)
{
    const char *key = apr_table_get(r->headers_in, "X-Crash-Key");

    return key ? key : web_param(web_query(r), "key");
}

static int same_digest(const unsigned char *a, const unsigned char *b)
{
    unsigned char differ = 0;

    for (int i = 0; i < 32; i++) {
        differ |= a[i] ^ b[i];
    }
    return !differ;
}

/*
 * Does the key open this product? product NULL: any at all. A product with keys of its own does not
 * open with those of "*".
 */
static int key_opens(collect_report_t *q, const char *product)
{
    const apr_array_header_t *keys = q->dir->limits.keys;
    const char *shown = shown_key(q->r);
    unsigned char digest[32];
    int asked = 0, opens = 0;

    sal_sha256(shown ? shown : "", shown ? strlen(shown) : 0, digest);
    for (int own = 1; own >= 0 && !asked; own--) {
        for (int i = 0; i < keys->nelts; i++) {
            const collect_key_t *key = &APR_ARRAY_IDX(keys, i, collect_key_t);

            if (!product || !strcmp(key->product, own ? product : "*")) {
                asked = 1;
                opens |= shown && same_digest(key->digest, digest);
            }
        }
    }
    return opens || !asked;
}

static int is_every_product_locked(const apr_array_header_t *keys)
{
    for (int i = 0; i < keys->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(keys, i, collect_key_t).product, "*")) {
            return 1;
        }
    }
    return 0;
}

static int refuse_key(collect_report_t *q, int *rc)
{
    *rc = collect_refuse(q->r, REFUSED_KEY);
    return 0;
}

int collect_admit_client(collect_report_t *q, int *rc)
{
    const collect_limits_dir_t *d = &q->dir->limits;
    apr_interval_time_t wait;
    const char *over = collect_client_over(q->r, &wait);

    if (over) {
        return strcmp(over, INTAKE_OFF) ? over_rate(q, over, wait, rc)
                                        : send_away(q, over, wait, rc);
    }
    if (apr_table_get(q->r->notes, BOTH_LENGTHS)) {
        *rc = collect_refuse(q->r, REFUSED_STRUCTURE);
        return 0;
    }
    return !d->keys || !is_every_product_locked(d->keys) || key_opens(q, NULL) || refuse_key(q, rc);
}

/* ---- once the product is known ---- */

static const collect_product_limit_t *limit_of(const collect_limits_dir_t *d, const char *product)
{
    const collect_product_limit_t *found = apr_hash_get(d->products, product, APR_HASH_KEY_STRING);

    return found ? found : apr_hash_get(d->products, "*", 1);
}

int collect_admit_product(collect_report_t *q, int *rc)
{
    const collect_limits_dir_t *d = &q->dir->limits;
    const char *product = sal_annotations_get(sal_intake_annotations(q->intake), "ProductName");
    const collect_product_limit_t *limit;
    apr_interval_time_t wait;

    product = product ? product : "";
    if (d->keys && !key_opens(q, product)) {
        return refuse_key(q, rc);
    }
    limit = d->products && products ? limit_of(d, product) : NULL;
    if (!limit) {
        return 1;
    }
    if (limit->rate.every && !sal_rate_take(products, product, strlen(product), &limit->rate,
                                            apr_time_now(), &wait, NULL)) {
        return over_rate(q, "product_rate", wait, rc);
    }
    if (limit->daily >= 0 &&
        !sal_rate_take_daily(days, product, strlen(product), limit->daily, apr_time_now(), &wait)) {
        return over_rate(q, "product_daily", wait, rc);
    }
    return 1;
}

/* ---- configuration ---- */

void collect_limits_merge(apr_pool_t *p, collect_limits_dir_t *out,
                          const collect_limits_dir_t *base, const collect_limits_dir_t *add)
{
    out->address = add->address ? add->address : base->address;
    out->switch_file = add->switch_file ? add->switch_file : base->switch_file;
    out->off = add->off ? add->off : base->off;
    out->reject = add->reject ? add->reject : base->reject;
    out->products = !add->products    ? base->products
                    : !base->products ? add->products
                                      : apr_hash_overlay(p, add->products, base->products);
    out->keys = !add->keys    ? base->keys
                : !base->keys ? add->keys
                              : apr_array_append(p, base->keys, add->keys);
}

static collect_limits_dir_t *limits_of(void *dir)
{
    return &((collect_dir_t *)dir)->limits;
}

const char *collect_set_intake(cmd_parms *cmd, void *dir, int on)
{
    (void)cmd;
    limits_of(dir)->off = on ? -1 : 1;
    return NULL;
}

const char *collect_set_switch(cmd_parms *cmd, void *dir, const char *arg)
{
    const char *path = ap_server_root_relative(cmd->pool, arg);

    if (!path) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not a path", cmd->cmd->name, arg);
    }
    limits_of(dir)->switch_file = path;
    return NULL;
}

static const char *bad_rate(cmd_parms *cmd, const char *rate, const char *burst)
{
    return apr_psprintf(
        cmd->pool,
        "%s: \"%s%s%s\" is not a rate; expected e.g. 60/min, or 60/min 100, or none "
        "(per s, min, h, d)",
        cmd->cmd->name, rate, burst ? " " : "", burst ? burst : "");
}

const char *collect_set_address_rate(cmd_parms *cmd, void *dir, const char *rate, const char *burst)
{
    sal_rate_t *r = apr_palloc(cmd->pool, sizeof(*r));

    if (!sal_rate_parse(r, rate, burst)) {
        return bad_rate(cmd, rate, burst);
    }
    limits_of(dir)->address = r;
    return NULL;
}

static collect_product_limit_t *product_of(cmd_parms *cmd, void *dir, const char *product)
{
    collect_limits_dir_t *d = limits_of(dir);
    collect_product_limit_t *limit;

    if (!d->products) {
        d->products = apr_hash_make(cmd->pool);
    }
    limit = apr_hash_get(d->products, product, APR_HASH_KEY_STRING);
    if (!limit) {
        limit = apr_pcalloc(cmd->pool, sizeof(*limit));
        limit->daily = -1;
        apr_hash_set(d->products, product, APR_HASH_KEY_STRING, limit);
    }
    return limit;
}

const char *collect_set_product_rate(cmd_parms *cmd, void *dir, const char *product,
                                     const char *rate, const char *burst)
{
    return sal_rate_parse(&product_of(cmd, dir, product)->rate, rate, burst)
               ? NULL
               : bad_rate(cmd, rate, burst);
}

const char *collect_set_product_daily(cmd_parms *cmd, void *dir, const char *product,
                                      const char *most)
{
    return web_arg_int(cmd, most, 0, INT64_C(1) << 39, &product_of(cmd, dir, product)->daily);
}

const char *collect_set_rate_action(cmd_parms *cmd, void *dir, const char *arg)
{
    int reject = !strcasecmp(arg, "reject");

    if (!reject && strcasecmp(arg, "busy")) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is neither busy nor reject", cmd->cmd->name,
                            arg);
    }
    limits_of(dir)->reject = reject ? 1 : -1;
    return NULL;
}

const char *collect_add_key(cmd_parms *cmd, void *dir, const char *product, const char *key)
{
    collect_limits_dir_t *d = limits_of(dir);
    collect_key_t *k;

    if (strlen(key) < 8) {
        return apr_psprintf(cmd->pool, "%s: a key has at least 8 characters", cmd->cmd->name);
    }
    if (!d->keys) {
        d->keys = apr_array_make(cmd->pool, 4, sizeof(collect_key_t));
    }
    k = apr_array_push(d->keys);
    k->product = product;
    sal_sha256(key, strlen(key), k->digest);
    return NULL;
}

void collect_limits_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_post_read_request(note_both_lengths, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
