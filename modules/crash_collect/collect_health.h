/*
 * Dockerflow's endpoints and a section of mod_status.
 */
#ifndef COLLECT_HEALTH_H
#define COLLECT_HEALTH_H

#include "common/web.h"

typedef struct collect_health_server_t {
    apr_int64_t pending_age; /* seconds, 0: not set */
    signed char broken;      /* 0 not set, 1 yes, -1 no */
} collect_health_server_t;
void collect_health_merge(collect_health_server_t *out, const collect_health_server_t *base,
                          const collect_health_server_t *add);

/* SetHandler crash-health */
int collect_health_handler(request_rec *r);
void collect_health_child(apr_pool_t *pchild);
void collect_health_hooks(apr_pool_t *p);

const char *collect_set_pending_age(cmd_parms *cmd, void *unused, const char *arg);
const char *collect_set_broken(cmd_parms *cmd, void *unused, int on);
#define COLLECT_HEALTH_DIRECTIVES                                                                  \
    AP_INIT_TAKE1("CrashPendingAge", collect_set_pending_age, NULL, RSRC_CONF,                     \
                  "age of a pending crash from which the heartbeat fails (10min)"),                \
        AP_INIT_FLAG("CrashBroken", collect_set_broken, NULL, RSRC_CONF,                           \
                     "on: /__broken__ fails on purpose (off)"),

#endif
