/*
 * The intake ledger of the module, and the thread that keeps the books of a child: once a second it
 * tells the metrics what the row thread did, and writes ledger rows. It has a connection of its
 * own; no request ever waits for it.
 */
#ifndef COLLECT_LEDGER_H
#define COLLECT_LEDGER_H

#include "common/web.h"

struct collect_site_t;
typedef struct collect_keeper_t collect_keeper_t;

typedef struct collect_ledger_server_t {
    signed char on;   /* 0 not set, 1 yes, -1 no */
    apr_int64_t days; /* 0: not set */
} collect_ledger_server_t;
void collect_ledger_merge(collect_ledger_server_t *out, const collect_ledger_server_t *base,
                          const collect_ledger_server_t *add);

/* child_init, after the site's store and row thread; stops with the pool. */
void collect_keeper_start(struct collect_site_t *site, server_rec *s, apr_pool_t *pchild);

void collect_ledger_hooks(apr_pool_t *p);

/*
 * The row of a crash ping, when its answer is known. Reports have theirs of themselves. reason
 * begins with "ping"; document_id NULL: the path told none.
 */
void collect_ledger_ping(request_rec *r, int status, const char *outcome, const char *reason,
                         const char *document_id, apr_off_t size);

const char *collect_set_ledger(cmd_parms *cmd, void *unused, int on);
const char *collect_set_ledger_days(cmd_parms *cmd, void *unused, const char *arg);
#define COLLECT_LEDGER_DIRECTIVES                                                                  \
    AP_INIT_FLAG("CrashLedger", collect_set_ledger, NULL, RSRC_CONF,                               \
                 "on: a row in the database for each POST (off)"),                                 \
        AP_INIT_TAKE1("CrashLedgerKeep", collect_set_ledger_days, NULL, RSRC_CONF,                 \
                      "how long its rows are kept (30d)"),

#endif
