/*
 * Crash pings: settings, and what answers below the collector's location (docs/pings.md).
 */
#ifndef COLLECT_PING_H
#define COLLECT_PING_H

#include "common/web.h"

/* Numbers are -1 where they are not set. */
typedef struct collect_ping_t {
    apr_array_header_t *apps;    /* of collect_ping_app_t; NULL: any */
    apr_array_header_t *removed; /* of const char *, NULL-terminated; NULL: what is personal */
    apr_int64_t max_body, max_inflated;
} collect_ping_t;

void collect_ping_make(collect_ping_t *c);
void collect_ping_merge(collect_ping_t *out, const collect_ping_t *base, const collect_ping_t *add,
                        apr_pool_t *p);

/* Its directives, for the table; `field` is the member of the folder's configuration. */
const char *collect_ping_set_app(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_ping_set_removed(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_ping_set_size(cmd_parms *cmd, void *dir, const char *arg);
#define COLLECT_PING_DIRECTIVES                                                                    \
    AP_INIT_ITERATE("CrashPingApps", collect_ping_set_app, NULL, RSRC_CONF | ACCESS_CONF,          \
                    "any, none, or the apps whose crash pings are taken: NAME or NAME=PRODUCT"),   \
        AP_INIT_ITERATE("CrashPingRemove", collect_ping_set_removed, NULL,                         \
                        RSRC_CONF | ACCESS_CONF,                                                   \
                        "members of crash pings that are not stored, as a.b.c; none for none"),    \
        AP_INIT_TAKE1("CrashPingMaxBody", collect_ping_set_size, (void *)0,                        \
                      RSRC_CONF | ACCESS_CONF, "largest crash ping on the wire (1M)"),             \
        AP_INIT_TAKE1("CrashPingMaxInflated", collect_ping_set_size, (void *)1,                    \
                      RSRC_CONF | ACCESS_CONF, "largest crash ping after inflating (8M)"),

/* Answers; path is what follows the location and a '/'. */
int collect_ping_handler(request_rec *r, const char *path);

#endif
