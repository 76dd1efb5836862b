/*
 * Throttling in httpd: rules as directives with conditions in ap_expr, products, what is told of a
 * decision. docs/throttling.md is the manual of all this.
 */
#ifndef COLLECT_THROTTLE_H
#define COLLECT_THROTTLE_H

#include <ap_expr.h>
#include "common/web.h"
#include "crash/products.h"
#include "crash/throttle.h"

struct collect_report_t;
struct collect_site_t;

/* Of a section. Made with all bytes 0 but for what collect_throttle_init sets. */
typedef struct collect_throttle_dir_t {
    apr_array_header_t *rules; /* of sal_throttle_rule_t, in order; NULL: none */
    int forget;                /* inherited rules do not count */
    int fallback;              /* sal_throttle_t; -1 not set */
    enum { PRODUCTS_UNSET, PRODUCTS_ANY, PRODUCTS_LISTED, PRODUCTS_FILE } products;
    const char *products_path;
    const sal_products_t *products_list; /* of PRODUCTS_FILE */
} collect_throttle_dir_t;

typedef struct collect_throttle_server_t {
    apr_int64_t refresh; /* seconds between looks at the table of products; -1 not set */
} collect_throttle_server_t;

/* The condition of a rule. */
typedef struct collect_condition_t {
    ap_expr_info_t *expr;
    const char *text;
    const char *file;
    unsigned line;
} collect_condition_t;

/* What conditions are asked about. */
typedef struct collect_question_t {
    const sal_annotations_t *annotations;
    const collect_throttle_dir_t *dir;
    struct collect_site_t *site;
    const sal_products_t *products; /* NULL until somebody asks */
    request_rec *r;
    apr_pool_t *pool;
    const char *failed; /* what ap_expr said, where a condition could not be told */
} collect_question_t;

/* ---- collect_throttle.c: directives, decisions ---- */
void collect_throttle_init(collect_throttle_dir_t *d, collect_throttle_server_t *s);
void collect_throttle_merge_dir(collect_throttle_dir_t *out, const collect_throttle_dir_t *base,
                                const collect_throttle_dir_t *add, apr_pool_t *p);
void collect_throttle_merge_server(collect_throttle_server_t *out,
                                   const collect_throttle_server_t *base,
                                   const collect_throttle_server_t *add);
const char *collect_set_rule(cmd_parms *cmd, void *dir, const char *name, const char *result,
                             const char *expr);
const char *collect_set_rules(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_fallback(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_products(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_refresh(cmd_parms *cmd, void *dir, const char *arg);

#define COLLECT_THROTTLE_DIRECTIVES                                                                \
    AP_INIT_TAKE3("CrashThrottleRule", collect_set_rule, NULL, RSRC_CONF | ACCESS_CONF,            \
                  "name, RESULT[:PERCENT[:ELSE]], condition"),                                     \
        AP_INIT_TAKE1("CrashThrottleRules", collect_set_rules, NULL, RSRC_CONF | ACCESS_CONF,      \
                      "none: forget the rules above and those of enclosing sections"),             \
        AP_INIT_TAKE1("CrashThrottleDefault", collect_set_fallback, NULL, RSRC_CONF | ACCESS_CONF, \
                      "accept, defer, reject or fakeaccept what no rule decides (accept where "    \
                      "there are no rules, else reject)"),                                         \
        AP_INIT_TAKE1("CrashProducts", collect_set_products, NULL, RSRC_CONF | ACCESS_CONF,        \
                      "any, listed (in the database) or a file of products"),                      \
        AP_INIT_TAKE1("CrashProductsRefresh", collect_set_refresh, NULL, RSRC_CONF,                \
                      "time between looks at the products of the database (60s)")

/* The rules of a section as the library takes them. */
void collect_throttle_rules(sal_throttle_rules_t *out, const collect_throttle_dir_t *d);
/* Decides q->verdict. */
void collect_throttle(struct collect_report_t *q);
/* Logs what is not going to be stored; q->id is set. */
void collect_throttle_tell(struct collect_report_t *q);
/* child_init: starts the watch over the products of the sites that ask for it. */
void collect_throttle_child(server_rec *s, apr_pool_t *pchild);

/* ---- collect_throttle_expr.c: what conditions are made of ---- */
void collect_throttle_expr_hooks(apr_pool_t *p);
/* The list that applies to a question. */
const sal_products_t *collect_products(collect_question_t *q);

/* ---- collect_throttle_places.c: rules for who wants to see them ---- */
typedef struct collect_place_t {
    server_rec *s;
    const char *path; /* of the <Location>, or the pattern of a <LocationMatch> */
    ap_conf_vector_t *conf;
    const collect_throttle_dir_t *dir;
} collect_place_t;
/* Where SetHandler crash-collect is, over all servers: an array of collect_place_t. */
apr_array_header_t *collect_places(server_rec *main, apr_pool_t *p);
/* A request for expressions to look at where there is none. */
request_rec *collect_blank_request(server_rec *s, ap_conf_vector_t *conf, const char *path,
                                   apr_pool_t *p);
/* A rule in words, for pages and programs; a new reference. */
json_t *collect_rule_json(const sal_throttle_rule_t *rule);
/* post_config */
void collect_throttle_places_make(server_rec *main, apr_pool_t *pconf);
void collect_throttle_places_hooks(apr_pool_t *p);

/* ---- collect_throttle_trial.c: `salvage throttle test` ---- */
void collect_throttle_trial_hooks(apr_pool_t *p);

#endif
