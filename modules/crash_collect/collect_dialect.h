/*
 * How clients of other collectors are spoken to: the form of the reply, and what may be said in
 * it beside the crash id. All of it is off by default.
 */
#ifndef COLLECT_DIALECT_H
#define COLLECT_DIALECT_H

#include "common/web.h"

typedef enum {
    COLLECT_STYLE_SOCORRO, /* CrashID=bp-ID and LF */
    COLLECT_STYLE_ID,      /* the bare id: Google's collector, mini-breakpad-server */
    COLLECT_STYLE_SENTRY   /* the event's id; errors as JSON */
} collect_style_t;

/* -1 and NULL: not set. */
typedef struct collect_dialect_t {
    int style;
    int reject_status; /* 400 or 200 */
    int store_address;
    apr_array_header_t *view_urls;  /* of collect_for_product_t: URL up to the id */
    apr_array_header_t *stop_sends; /* of collect_for_product_t: a version */
} collect_dialect_t;

typedef struct collect_for_product_t {
    const char *product; /* "*" for any */
    const char *value;
} collect_for_product_t;

struct collect_report_t;

void collect_dialect_make(collect_dialect_t *d);
void collect_dialect_merge(collect_dialect_t *d, const collect_dialect_t *base,
                           const collect_dialect_t *add);

/* How this location replies; the Sentry handler replies as Sentry does, unless it is told not to.
 */
collect_style_t collect_style(const struct collect_report_t *q);
/* True if a malformed report of this client is answered 200, so that it does not come again. */
int collect_reject_is_200(const struct collect_report_t *q);
/* Adds the lines ViewURL and StopSendingReportsFor, where this product has them. */
void collect_dialect_lines(struct collect_report_t *q);
/* The client's address without its last part, where it is to be kept; else NULL. */
const char *collect_kept_address(const struct collect_report_t *q);

const char *collect_set_style(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_reject_status(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_add_view_url(cmd_parms *cmd, void *dir, const char *product, const char *url);
const char *collect_add_stop(cmd_parms *cmd, void *dir, const char *product, const char *version);
const char *collect_set_store_address(cmd_parms *cmd, void *dir, int on);

#define COLLECT_DIALECT_DIRECTIVES                                                                 \
    AP_INIT_TAKE1("CrashReplyStyle", collect_set_style, NULL, RSRC_CONF | ACCESS_CONF,             \
                  "socorro, id or sentry"),                                                        \
        AP_INIT_TAKE1("CrashRejectStatus", collect_set_reject_status, NULL,                        \
                      RSRC_CONF | ACCESS_CONF,                                                     \
                      "status of malformed reports of Crashpad: 400, or 200 so that it does not "  \
                      "send them again"),                                                          \
        AP_INIT_TAKE2("CrashViewURL", collect_add_view_url, NULL, RSRC_CONF | ACCESS_CONF,         \
                      "product (or *) and URL that, with the crash id behind it, is sent to its "  \
                      "clients"),                                                                  \
        AP_INIT_TAKE2("CrashStopSendingReportsFor", collect_add_stop, NULL,                        \
                      RSRC_CONF | ACCESS_CONF,                                                     \
                      "product and version whose clients are told to stop sending"),               \
        AP_INIT_FLAG("CrashStoreAddress", collect_set_store_address, NULL,                         \
                     RSRC_CONF | ACCESS_CONF,                                                      \
                     "keep the client's network (/24, /48) in the raw crash (off)")

#endif
