/*
 * Who may send how much: rates per address and product, a daily cap, keys of products, the switch
 * that turns the intake off. All of it in memory that children share; nothing of an address is kept
 * but a hash with a secret.
 */
#ifndef COLLECT_LIMITS_H
#define COLLECT_LIMITS_H

#include <apr_hash.h>
#include "common/web.h"
#include "crash/rate.h"

struct collect_report_t;

/* What one location asks for; all zero: nothing. */
typedef struct collect_limits_dir_t {
    const sal_rate_t *address; /* NULL: not set */
    apr_hash_t *products;      /* name or "*" -> collect_product_limit_t, or NULL */
    apr_array_header_t *keys;  /* of collect_key_t, or NULL */
    const char *switch_file;   /* while it exists nothing is taken in */
    signed char off, reject;   /* 0 not set, 1 yes, -1 no */
} collect_limits_dir_t;

void collect_limits_merge(apr_pool_t *p, collect_limits_dir_t *out,
                          const collect_limits_dir_t *base, const collect_limits_dir_t *add);

/* The tables of all children; post_config. */
void collect_limits_make(server_rec *s);
void collect_limits_hooks(apr_pool_t *p);

/*
 * Is this client to be sent away before anything of it is read? NULL, or why: "intake_off",
 * "address_rate"; it may come again after *wait. One request is taken from the address's rate.
 */
const char *collect_client_over(request_rec *r, apr_interval_time_t *wait);

/* Steps (collect_report.h). Before anything is read: switch, framing, address, key. */
int collect_admit_client(struct collect_report_t *q, int *rc);
/* Once the product is known: key, rate, cap. */
int collect_admit_product(struct collect_report_t *q, int *rc);

/*
 * May a line be logged that is like many others? what names its like ("SAL1011 no_boundary").
 * Says, once it may again, how many were held back. In all children together.
 */
int collect_log_may(request_rec *r, const char *what);

const char *collect_set_intake(cmd_parms *cmd, void *dir, int on);
const char *collect_set_switch(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_address_rate(cmd_parms *cmd, void *dir, const char *rate,
                                     const char *burst);
const char *collect_set_product_rate(cmd_parms *cmd, void *dir, const char *product,
                                     const char *rate, const char *burst);
const char *collect_set_product_daily(cmd_parms *cmd, void *dir, const char *product,
                                      const char *most);
const char *collect_set_rate_action(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_add_key(cmd_parms *cmd, void *dir, const char *product, const char *key);

#define COLLECT_LIMITS_DIRECTIVES                                                                  \
    AP_INIT_FLAG("CrashIntake", collect_set_intake, NULL, RSRC_CONF | ACCESS_CONF,                 \
                 "off: reports are sent away, to come again (on)"),                                \
        AP_INIT_TAKE1("CrashIntakeSwitch", collect_set_switch, NULL, RSRC_CONF | ACCESS_CONF,      \
                      "while this file exists reports are sent away"),                             \
        AP_INIT_TAKE12("CrashAddressRate", collect_set_address_rate, NULL,                         \
                       RSRC_CONF | ACCESS_CONF,                                                    \
                       "reports that one address may send, e.g. 60/min, and how many at once"),    \
        AP_INIT_TAKE23("CrashProductRate", collect_set_product_rate, NULL,                         \
                       RSRC_CONF | ACCESS_CONF, "a product or *, its rate, and how many at once"), \
        AP_INIT_TAKE2("CrashProductDaily", collect_set_product_daily, NULL,                        \
                      RSRC_CONF | ACCESS_CONF,                                                     \
                      "a product or *, and how many reports a day are taken"),                     \
        AP_INIT_TAKE1("CrashRateAction", collect_set_rate_action, NULL, RSRC_CONF | ACCESS_CONF,   \
                      "busy (503) or reject (rule rate_limited) what is over a rate (busy)"),      \
        AP_INIT_TAKE2("CrashIngestKey", collect_add_key, NULL, RSRC_CONF | ACCESS_CONF,            \
                      "a product or *, and a key that its reports must show"),

#endif
