/*
 * The inside of mod_crash_collect: configuration, what a child holds, replies.
 */
#ifndef COLLECT_PRIVATE_H
#define COLLECT_PRIVATE_H

#include "collect_dialect.h"
#include "common/web.h"
#include "crash/crash_store.h"
#include "crash/intake.h"
#include "crash/row_thread.h"
#include "crash/throttle.h"
#include "collect_health.h"
#include "collect_ledger.h"
#include "collect_limits.h"
#include "collect_metrics.h"
#include "collect_throttle.h"
#include "collect_hint.h"
#include "collect_ping.h"

/* One salvage.conf: shared by all servers that read it. The store is each child's own. */
typedef struct collect_site_t {
    sal_conf_t *conf;
    sal_crash_store_t *store;      /* NULL until child_init, or if it could not be opened */
    sal_row_thread_t *rows;        /* NULL without a database key */
    sal_row_stats_t told;          /* of rows: what /metrics has been told */
    collect_keeper_t *keeper;      /* NULL until child_init */
    sal_product_watch_t *products; /* NULL where no section says `CrashProducts listed` */
    int tried;
    int sweep_failed; /* of the watchdog's thread: said once */
} collect_site_t;

typedef struct collect_server_t {
    collect_site_t *site; /* NULL without SalvageConfig */
    apr_int64_t max_in_flight;
    apr_int64_t min_free;
    collect_metrics_server_t metrics;
    collect_ledger_server_t ledger;
    collect_health_server_t health;
    collect_throttle_server_t throttle;
} collect_server_t;

/* Numbers are -1 where they are not set; collect_number() knows the defaults. */
typedef struct collect_dir_t {
    apr_int64_t max_body, max_inflated, max_dump, max_annotation;
    collect_throttle_dir_t throttle;
    const char *token; /* for clients that bring their own uuid */
    int overwrite;     /* such a uuid may replace a stored crash; -1 if not set */
    collect_dialect_t dialect;
    apr_array_header_t *removed; /* NULL: the default list; of const char *, NULL-terminated */
    const char *version_file;
    collect_limits_dir_t limits;
    collect_ping_t ping;
    collect_hint_t hint;
} collect_dir_t;

extern module AP_MODULE_DECLARE_DATA crash_collect_module;

/* ---- collect_config.c ---- */
extern const command_rec collect_directives[];
void *collect_make_server(apr_pool_t *p, server_rec *s);
void *collect_merge_server(apr_pool_t *p, void *base, void *add);
void *collect_make_dir(apr_pool_t *p, char *dir);
void *collect_merge_dir(apr_pool_t *p, void *base, void *add);
collect_server_t *collect_server(server_rec *s);
collect_dir_t *collect_dir(request_rec *r);
apr_int64_t collect_max_in_flight(const collect_server_t *c);
apr_int64_t collect_max_body(const collect_dir_t *d);
void collect_limits(const collect_dir_t *d, sal_intake_limits_t *out);
const char *const *collect_removed(const collect_dir_t *d);

/* ---- collect_request.c: SetHandler crash-collect; the steps are in collect_report.h ---- */
int collect_handler(request_rec *r);

/* ---- collect_submitter.c ---- */
const char *collect_set_token(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_token_file(cmd_parms *cmd, void *dir, const char *arg);
const char *collect_set_overwrite(cmd_parms *cmd, void *dir, int on);
#define COLLECT_SUBMITTER_DIRECTIVES                                                               \
    AP_INIT_TAKE1("CrashSubmitToken", collect_set_token, NULL, RSRC_CONF | ACCESS_CONF,            \
                  "bearer token of clients that may bring their own uuid"),                        \
        AP_INIT_TAKE1("CrashSubmitterTokenFile", collect_set_token_file, NULL,                     \
                      RSRC_CONF | ACCESS_CONF, "file with such a token in its first line"),        \
        AP_INIT_FLAG("CrashAllowOverwrite", collect_set_overwrite, NULL, RSRC_CONF | ACCESS_CONF,  \
                     "whether their uuid may replace a stored crash (off)")

/* ---- collect_sentry.c: SetHandler crash-sentry ---- */
int collect_sentry_handler(request_rec *r);

/* ---- collect_reply.c ---- */
typedef enum {
    REFUSED_NO_CONTENT_TYPE,
    REFUSED_WRONG_CONTENT_TYPE,
    REFUSED_NO_BOUNDARY,
    REFUSED_NO_CONTENT_LENGTH,
    REFUSED_ENCODING,
    REFUSED_BAD_GZIP,
    REFUSED_STRUCTURE,
    REFUSED_JSON,
    REFUSED_JSON_VALUE,
    REFUSED_DUMP_NAME,
    REFUSED_NO_ANNOTATIONS,
    REFUSED_NO_MINIDUMP, /* where Sentry's endpoint wants one */
    REFUSED_TOO_LARGE,
    REFUSED_UUID,
    REFUSED_TOKEN,
    REFUSED_KEY, /* CrashIngestKey */
    REFUSED_LATE
} collect_refusal_t;

/* Each answers and returns OK. */
int collect_refuse(request_rec *r, collect_refusal_t why);
int collect_refuse_fault(request_rec *r, sal_fault_t fault);
struct collect_report_t;
int collect_discard(struct collect_report_t *q);
int collect_accept(struct collect_report_t *q);
/* 503; why is counted and noted ("store_full"), never sent. */
int collect_busy(request_rec *r, const char *why, int retry_after);
/* So many seconds and some more, so that those who were sent away together do not come back so. */
void collect_retry_after(request_rec *r, int seconds);
int collect_failed(request_rec *r);
int collect_method(request_rec *r, const char *allow);

#endif
