/*
 * The exporter: takes parcels out of the outbox and sends them where salvage.conf says
 * (docs/export.md). The daemon has a process for it; `salvage export run` and `salvage submitter`
 * do the same in the foreground. Any number of them work side by side.
 *
 * Thread rule: an exporter belongs to one thread. It may be made before a fork and used after it;
 * it opens its first connection when it first sends.
 */
#ifndef SAL_EXPORT_EXPORTER_H
#define SAL_EXPORT_EXPORTER_H

#include "base/conf.h"
#include "crash/crash_store.h"
#include "export/outbox.h"

typedef struct sal_exporter_t sal_exporter_t;

/*
 * Reads telemetry, stage-submit, webhook and what goes with them; APR_EINVAL names the line that is
 * wrong. crashes may be NULL for looking only.
 */
SAL_API apr_status_t sal_exporter_make(sal_exporter_t **out, const sal_conf_t *conf,
                                       sal_crash_store_t *crashes, apr_pool_t *p, sal_error_t *err);

/* How many destinations of these kinds there are; kinds: bits, 1 << SAL_EXPORT_STAGE. */
enum { SAL_EXPORT_ALL = 7 };
SAL_API int sal_exporter_count(const sal_exporter_t *e, int kinds);

/* The name of destination i of these kinds, NULL behind the last one. */
SAL_API const char *sal_exporter_name(const sal_exporter_t *e, int kinds, int i);

/* Tells the database what destinations there are: sal_outbox_register. */
SAL_API apr_status_t sal_exporter_register(const sal_exporter_t *e, sal_db_t *db, apr_pool_t *p,
                                           sal_error_t *err);

/* Asks, often, whether the process is to end: then a turn ends soon, and what it had comes back. */
SAL_API void sal_exporter_stops_if(sal_exporter_t *e, bool (*stopping)(void *), void *baton);

/* Do not wait for parcels of telemetry to fill. */
SAL_API void sal_exporter_hurry(sal_exporter_t *e);

/*
 * One turn: for each destination of these kinds some parcels. *sent (may be NULL) counts the rows
 * that were settled. Destinations that fail are no error, they are left alone for a while; an error
 * is one of the database.
 */
SAL_API apr_status_t sal_exporter_turn(int *sent, sal_exporter_t *e, int kinds, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/* True if a destination of these kinds failed in its last turn: something is still to be sent. */
SAL_API bool sal_exporter_troubled(const sal_exporter_t *e, int kinds);

#endif
