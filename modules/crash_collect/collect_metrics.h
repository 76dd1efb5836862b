/*
 * What the collector counts: in memory that all children share, kept over graceful restarts, shown
 * as Prometheus' text and sent to a StatsD if there is one. Counting never waits and takes no lock;
 * every call is safe in any thread, and does nothing before post_config or without shared memory.
 */
#ifndef COLLECT_METRICS_H
#define COLLECT_METRICS_H

#include "common/web.h"

struct collect_site_t;

typedef enum {
    /* Counters. What the label is called stands behind; NULL where there is none. */
    COLLECT_INCOMING,        /* well-formed reports */
    COLLECT_GZIPPED,         /* of all that came, well-formed or not */
    COLLECT_UNAUTHORIZED,    /* uuid without the token */
    COLLECT_MALFORMED,       /* reason: "no_boundary", ... */
    COLLECT_THROTTLE,        /* result: sal_throttle_name(), any case */
    COLLECT_THROTTLE_RULE,   /* rule */
    COLLECT_SAVED,           /* durable and acknowledged */
    COLLECT_SAVE_DROPPED,    /* could not be stored: the client was told to come again */
    COLLECT_PUBLISHED,       /* queue rows written by row threads */
    COLLECT_PUBLISH_DROPPED, /* rows left to the sweep */
    COLLECT_PUBLISH_REFUSED, /* rows that the database does not take */
    COLLECT_RETRY,           /* count: "save_crash_exception.count", ... */
    COLLECT_BUSY,            /* why: 503s */
    COLLECT_PINGS,           /* result: "stored", "duplicate", a reason of refusal */
    COLLECT_HEALTH,          /* endpoint: "heartbeat", ... */
    COLLECT_LEDGER_ROWS,     /* result: "written", "dropped" */
    COLLECT_LOG_SUPPRESSED,  /* lines not logged, because their like filled the log */

    /* Histograms: of bytes, or of microseconds. */
    COLLECT_CRASH_SIZE,    /* payload: "compressed", "uncompressed"; bytes after inflating */
    COLLECT_ON_POST_TIME,  /* from the request's headers to its answer */
    COLLECT_SAVE_TIME,     /* making a crash durable */
    COLLECT_HANDLING_TIME, /* from the end of the body to the answer */
    COLLECT_PUBLISH_TIME,  /* writing one batch of rows */
    COLLECT_GZIP_TIME,     /* result: "success", "fail" */
    COLLECT_METRICS
} collect_metric_t;

/* One more. label: NULL where the family has none; cut at 63 bytes, odd bytes become '_'. */
void collect_count(collect_metric_t what, const char *label);
void collect_count_n(collect_metric_t what, const char *label, apr_uint64_t n);
/* What was counted under a label so far, by all children. */
apr_uint64_t collect_counted_as(collect_metric_t what, const char *label);
/* One observation: bytes or microseconds. */
void collect_observe(collect_metric_t what, const char *label, apr_int64_t value);

/* Gauges belong to a child; /metrics adds up those of living children. */
typedef enum {
    COLLECT_IN_FLIGHT,      /* reports being taken in */
    COLLECT_ROWS_WAITING,   /* acknowledged crashes whose rows are not written */
    COLLECT_ROWS_AWAY,      /* 1: the row thread does not reach the database */
    COLLECT_STORE_SICK,     /* 1: the store takes nothing */
    COLLECT_LEDGER_WAITING, /* ledger rows not written */
    COLLECT_GAUGES
} collect_gauge_t;
void collect_gauge_add(collect_gauge_t what, int n);
void collect_gauge_set(collect_gauge_t what, int n);

/* The sum over living children, and over all labels; for mod_status. */
int collect_gauge_sum(collect_gauge_t what);
apr_uint64_t collect_counted(collect_metric_t what);

/* ---- of the module's life ---- */

typedef struct collect_metrics_server_t {
    const char *statsd; /* host:port as configured, or NULL */
} collect_metrics_server_t;
void collect_metrics_merge(collect_metrics_server_t *out, const collect_metrics_server_t *base,
                           const collect_metrics_server_t *add);
const char *collect_set_statsd(cmd_parms *cmd, void *unused, const char *arg);
#define COLLECT_METRICS_DIRECTIVES                                                                 \
    AP_INIT_TAKE1("CrashStatsd", collect_set_statsd, NULL, RSRC_CONF,                              \
                  "host:port of a DogStatsD that is told what is counted"),

/* post_config; keeps what was counted before a graceful restart. */
void collect_metrics_make(server_rec *s);
/* child_init, before the sites. */
void collect_metrics_child(server_rec *s, apr_pool_t *pchild);
/* Once a second in each child: what is known of its row thread and store becomes counts. */
void collect_metrics_tick(struct collect_site_t *site);
void collect_metrics_hooks(apr_pool_t *p);
/* SetHandler salvage-metrics */
int collect_metrics_handler(request_rec *r);

/* ---- collect_statsd.c ---- */
/* type: "c", "h", "ms". Gathered per thread, and sent when full or on flush; never waits. */
void collect_statsd_add(const char *name, const char *value, const char *type,
                        const char *label_name, const char *label);
void collect_statsd_flush(void);
int collect_statsd_on(void);
void collect_statsd_resolve(server_rec *s, const char *target);
void collect_statsd_open(server_rec *s, apr_pool_t *pchild);

/* ---- shared memory, for collect_limits.c too ---- */

/*
 * A zeroed segment that outlives graceful restarts: the same name, size and version give the same
 * memory again. NULL if there is none (logged).
 */
void *collect_shared(server_rec *s, const char *name, apr_size_t size, unsigned version);

#endif
