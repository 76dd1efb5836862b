/*
 * What `salvage export` and `salvage submitter` share: an exporter in the foreground.
 */
#ifndef TOOLS_EXPORT_CMD_H
#define TOOLS_EXPORT_CMD_H

#include "cmd.h"
#include "crash/crash_store.h"
#include "export/exporter.h"

typedef struct export_cmd_t {
    sal_conf_t *conf;
    sal_crash_store_t *store;
    sal_exporter_t *exporter;
    sal_db_t *db;
} export_cmd_t;

/* Configuration, crash store, destinations, database. CMD_FAILED after saying what is missing. */
int export_open(export_cmd_t *out, const char *conf, apr_pool_t *p);

/* The configuration and its database alone. */
int export_look(export_cmd_t *out, const char *conf, apr_pool_t *p);

/* From now on SIGTERM and SIGINT ask the exporter to end, instead of ending the process. */
void export_catch_signals(sal_exporter_t *e);
bool export_asked_to_end(void);

/*
 * Sends until nothing is due (drain), or until a signal. *sent counts rows. CMD_FAILED if the
 * database fails (drain only: else it is waited for).
 */
int export_send(apr_int64_t *sent, export_cmd_t *x, int kinds, bool drain, apr_pool_t *p);

#endif
