/*
 * The board: numbers in memory that all processes of a daemon share, and what each of them is at.
 *
 * Made by the supervisor before it forks; it lives as long as the daemon, whoever dies. Metrics are
 * counted there (process/metrics.h) and, with `metrics-statsd`, noted as lines that go out when a
 * job is over. Nothing here locks or waits.
 */
#ifndef PROCESSOR_BOARD_H
#define PROCESSOR_BOARD_H

#include "salvaged.h"
#include "process/metrics.h"

/* Slots of the supervisor: 0 the housekeeper, 1 to 256 workers, then whoever serves metrics, the
 * exporter. */
enum {
    SLOT_HOUSEKEEPER = 0,
    WORKERS_MAX = 256,
    SLOT_METRICS = WORKERS_MAX + 1,
    SLOT_EXPORTER,
    SLOTS
};

/* False with err if there is no memory, or the name in metrics-statsd cannot be resolved. */
bool board_make(const settings_t *s, sal_error_t *err);

/* Which slot this process is, after the fork. It is idle. */
void board_slot(int slot);
/* This process has a job: somebody must not be killed for being silent. */
void board_busy(bool busy);
bool board_is_busy(int slot);
/*
 * Jobs of crashes that this process has begun and not ended: one of them may be what it dies of.
 * What else it holds leases of is not to blame.
 */
enum { JOBS_MOST = 16 };
void board_job_begun(int64_t job);
void board_job_ended(int64_t job);

/* Whoever was in the slot has gone; if died, leases may be left. For the supervisor. */
void board_clear(int slot, pid_t pid, bool died);
/* Somebody who died and whom nobody has cleaned up behind; jobs: what it had begun, n of them. */
typedef struct board_dead_t {
    pid_t pid;
    int n;
    int64_t jobs[JOBS_MOST];
} board_dead_t;
/* The i-th of them; false if there is none. */
bool board_dead(board_dead_t *out, int i);
/* Done with this one. One process at a time may look at the dead. */
void board_buried(pid_t pid);

/* ---- metrics: names as upstream's, without "processor." ---- */

void board_count(const char *name, const char *label, int64_t n);
void board_timing(const char *name, const char *label, apr_interval_time_t took);
/*
 * Time since *since of a part of a job; *since becomes now. These times are of a clock that stands
 * still while other jobs are dealt with: begin with board_now().
 */
void board_phase(const char *phase, apr_time_t *since);
apr_time_t board_now(void);
/* So long the process was at something else. */
void board_aside(apr_interval_time_t took);
/* A sal_metric_fn; its baton is not used. */
void board_metric(sal_metric_kind_t kind, const char *name, const char *label, int64_t value,
                  void *baton);
/* From acceptance to the first processed crash. */
void board_ingested(apr_interval_time_t took);

/* To StatsD only: a gauge that others are served from where it comes from. */
void board_send_gauge(const char *name, const char *label, int64_t value);
/* Lines for StatsD that this process has noted go out. */
void board_flush(void);

/* ---- for whoever serves them ---- */

const sal_metrics_t *board_metrics(void);
enum { INGESTION_BUCKETS = 10 };
/* Upper bounds in seconds; the last bucket has none. */
extern const int board_ingestion_bounds[INGESTION_BUCKETS - 1];
uint64_t board_ingestion(int bucket);
double board_ingestion_sum(void);

#endif
