/*
 * Counting: a table of families in shared memory, each with cells for its labels. A label gets its
 * cell when it is first seen, by compare-and-swap; a full family counts the rest as "other". So the
 * hot path is a hash, a comparison and an addition.
 *
 * Gauges stand in slots, one a child, so that a child that is killed takes its own with it.
 */
#include "collect_private.h"
#include "collect_metrics.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <apr_lib.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <sys/statvfs.h>
#include "common/metrics.h"

APLOG_USE_MODULE(crash_collect);

#define LABEL_MAX 64
#define BUCKETS 14
#define SLOTS 512
#define LAYOUT 1 /* raise it when what stands in shared memory changes its shape */
#define PREFIX "salvage_collector_"

typedef enum { KIND_COUNTER, KIND_BYTES, KIND_TIME } kind_t;

/* ---- families ---- */

static const struct family_t {
    const char *name;   /* Prometheus', behind PREFIX */
    const char *statsd; /* StatsD's, NULL if upstream has none and nobody needs it */
    const char *label;  /* NULL: one cell */
    kind_t kind;
    int lower; /* labels are folded to lower case */
    const char *help;
} families[COLLECT_METRICS] = {
#define RESOURCE "collector.breakpad_resource."
#define MOVER "collector.crashmover."
    [COLLECT_INCOMING] = { "incoming_crash_total", RESOURCE "incoming_crash", NULL, KIND_COUNTER, 0,
                           "Well-formed crash reports." },
    [COLLECT_GZIPPED] = { "gzipped_crash_total", RESOURCE "gzipped_crash", NULL, KIND_COUNTER, 0,
                          "Crash reports that came compressed." },
    [COLLECT_UNAUTHORIZED] = { "unauthorized_uuid_total", RESOURCE "unauthorized_uuid", NULL,
                               KIND_COUNTER, 0, "Reports with an id that they may not choose." },
    [COLLECT_MALFORMED] = { "malformed_total", RESOURCE "malformed", "reason", KIND_COUNTER, 0,
                            "Requests refused as no crash reports." },
    [COLLECT_THROTTLE] = { "throttle_total", RESOURCE "throttle", "result", KIND_COUNTER, 1,
                           "Decisions of the throttler." },
    [COLLECT_THROTTLE_RULE] = { "throttle_rule_total", RESOURCE "throttle_rule", "rule",
                                KIND_COUNTER, 0, "Decisions by rule." },
    [COLLECT_SAVED] = { "save_crash_total", MOVER "save_crash.count", NULL, KIND_COUNTER, 0,
                        "Crashes stored and acknowledged." },
    [COLLECT_SAVE_DROPPED] = { "save_crash_dropped_total", MOVER "save_crash_dropped.count", NULL,
                               KIND_COUNTER, 0, "Crashes that could not be stored." },
    [COLLECT_PUBLISHED] = { "publish_crash_total", NULL, NULL, KIND_COUNTER, 0,
                            "Queue rows written behind the answer." },
    [COLLECT_PUBLISH_DROPPED] = { "publish_crash_dropped_total",
                                  MOVER "publish_crash_dropped.count", NULL, KIND_COUNTER, 0,
                                  "Queue rows left to the sweep of pending crashes." },
    [COLLECT_PUBLISH_REFUSED] = { "publish_crash_refused_total", NULL, NULL, KIND_COUNTER, 0,
                                  "Queue rows that the database refuses." },
    [COLLECT_RETRY] = { "retry_total", MOVER "retry_count", "count", KIND_COUNTER, 0,
                        "Attempts that were repeated." },
    [COLLECT_BUSY] = { "busy_total", "collector.busy", "why", KIND_COUNTER, 0,
                       "Requests answered 503." },
    [COLLECT_PINGS] = { "pings_total", "collector.pings", "result", KIND_COUNTER, 0,
                        "Crash pings." },
    [COLLECT_HEALTH] = { "health_total", NULL, "endpoint", KIND_COUNTER, 0,
                         "Requests of the health endpoints." },
    [COLLECT_LEDGER_ROWS] = { "ledger_rows_total", NULL, "result", KIND_COUNTER, 0,
                              "Rows of the intake ledger." },
    [COLLECT_LOG_SUPPRESSED] = { "log_suppressed_total", NULL, NULL, KIND_COUNTER, 0,
                                 "Log lines held back because too many were alike." },
    [COLLECT_CRASH_SIZE] = { "crash_size_bytes", RESOURCE "crash_size", "payload", KIND_BYTES, 0,
                             "Size of well-formed reports, inflated." },
    [COLLECT_ON_POST_TIME] = { "on_post_seconds", RESOURCE "on_post.time", NULL, KIND_TIME, 0,
                               "Time of a POST, with its body." },
    [COLLECT_SAVE_TIME] = { "crash_save_seconds", MOVER "crash_save.time", NULL, KIND_TIME, 0,
                            "Time to make a crash durable." },
    [COLLECT_HANDLING_TIME] = { "crash_handling_seconds", MOVER "crash_handling.time", NULL,
                                KIND_TIME, 0, "Time from the end of the body to the answer." },
    [COLLECT_PUBLISH_TIME] = { "crash_publish_seconds", MOVER "crash_publish.time", NULL, KIND_TIME,
                               0, "Time to write a batch of queue rows." },
    [COLLECT_GZIP_TIME] = { "gzip_decompress_seconds", RESOURCE "gzipped_crash_decompress",
                            "result", KIND_TIME, 0, "Time spent inflating a report." },
};

#define KB INT64_C(1024)
static const apr_int64_t bounds[][BUCKETS] = {
    [KIND_BYTES] = { 4 * KB, 16 * KB, 64 * KB, 128 * KB, 256 * KB, 512 * KB, 1024 * KB, 2048 * KB,
                     4096 * KB, 8192 * KB, 16384 * KB, 32768 * KB, 65536 * KB, 262144 * KB },
    [KIND_TIME] = { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
                    5000000, 10000000, 30000000 }
};

/* ---- what is shared ---- */

typedef struct cell_t {
    int state; /* 0 free, 1 being named, 2 named */
    char label[LABEL_MAX];
    apr_uint64_t value; /* a counter, or the sum of what was observed */
    apr_uint64_t buckets[BUCKETS + 1];
} cell_t;

typedef struct slot_t {
    pid_t pid; /* 0: free */
    int gauges[COLLECT_GAUGES];
} slot_t;

#define CELLS 256 /* a family with labels; one more for "other" */
typedef struct shared_t {
    cell_t cells[COLLECT_METRICS][CELLS + 1];
    slot_t slots[SLOTS];
} shared_t;

static shared_t *shared;
static slot_t *slot; /* this child's, or NULL */

typedef struct retained_t {
    unsigned version;
    apr_size_t size;
    void *base;
} retained_t;

void *collect_shared(server_rec *s, const char *name, apr_size_t size, unsigned version)
{
    retained_t *kept = ap_retained_data_get(name);
    apr_shm_t *shm;
    apr_status_t rv;

    if (kept && kept->base && kept->version == version && kept->size == size) {
        return kept->base;
    }
    if (!kept) {
        kept = ap_retained_data_create(name, sizeof(*kept));
    }
    /* Of the process pool: children of the last generation go on counting in it. */
    rv = apr_shm_create(&shm, size, NULL, s->process->pool);
    kept->base = NULL;
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, rv, s,
                     "SAL1020: no shared memory for %s: %" APR_SIZE_T_FMT " bytes", name, size);
        return NULL;
    }
    kept->base = apr_shm_baseaddr_get(shm);
    kept->size = size;
    kept->version = version;
    memset(kept->base, 0, size);
    return kept->base;
}

void collect_metrics_make(server_rec *s)
{
    shared = collect_shared(s, "salvage-collect-metrics", sizeof(*shared), LAYOUT);
    collect_statsd_resolve(s, collect_server(s)->metrics.statsd);
}

/* ---- cells ---- */

/*
 * A cell that is just being named belongs to somebody else for a few instructions; if for longer,
 * its process was killed there, and the cell is lost.
 */
static int same_label(const cell_t *cell, const char *label)
{
    for (int i = 0; __atomic_load_n(&cell->state, __ATOMIC_ACQUIRE) == 1; i++) {
        if (i == 1000) {
            return 0;
        }
    }
    return !strcmp(cell->label, label);
}

/* Makes a label of text, and its hash. */
static unsigned tidy(char *out, const char *text, int lower)
{
    unsigned hash = 2166136261u;
    int i = 0;

    for (; text[i] && i < LABEL_MAX - 1; i++) {
        char c = lower ? apr_tolower(text[i]) : text[i];

        out[i] = apr_isalnum(c) || strchr("_.-:/", c) ? c : '_';
        hash = (hash ^ (unsigned char)out[i]) * 16777619u;
    }
    out[i] = '\0';
    return hash;
}

static cell_t *find_cell(collect_metric_t what, const char *text)
{
    cell_t *cells = shared->cells[what];
    char label[LABEL_MAX];
    unsigned at;

    if (!families[what].label) {
        return &cells[CELLS];
    }
    at = tidy(label, text ? text : "none", families[what].lower) % CELLS;
    for (int i = 0; i < CELLS; i++, at = (at + 1) % CELLS) {
        int free_state = 0;

        if (__atomic_load_n(&cells[at].state, __ATOMIC_ACQUIRE) == 0 &&
            __atomic_compare_exchange_n(&cells[at].state, &free_state, 1, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            memcpy(cells[at].label, label, sizeof(label));
            __atomic_store_n(&cells[at].state, 2, __ATOMIC_RELEASE);
            return &cells[at];
        }
        if (same_label(&cells[at], label)) {
            return &cells[at];
        }
    }
    return &cells[CELLS];
}

/* ---- counting ---- */

void collect_count_n(collect_metric_t what, const char *label, apr_uint64_t n)
{
    if (!shared || !n) {
        return;
    }
    __atomic_fetch_add(&find_cell(what, label)->value, n, __ATOMIC_RELAXED);
    if (families[what].statsd && collect_statsd_on()) {
        char value[24], tag[LABEL_MAX];

        apr_snprintf(value, sizeof(value), "%" APR_UINT64_T_FMT, n);
        tidy(tag, label ? label : "", families[what].lower);
        collect_statsd_add(families[what].statsd, value, "c", families[what].label, tag);
    }
}

void collect_count(collect_metric_t what, const char *label)
{
    collect_count_n(what, label, 1);
}

apr_uint64_t collect_counted_as(collect_metric_t what, const char *label)
{
    return shared ? __atomic_load_n(&find_cell(what, label)->value, __ATOMIC_RELAXED) : 0;
}

static void tell_observation(collect_metric_t what, const char *label, apr_int64_t value)
{
    const struct family_t *f = &families[what];
    char text[32], tag[LABEL_MAX];

    if (f->kind == KIND_TIME) {
        apr_snprintf(text, sizeof(text), "%.3f", (double)value / 1000);
    } else {
        apr_snprintf(text, sizeof(text), "%" APR_INT64_T_FMT, value);
    }
    tidy(tag, label ? label : "", f->lower);
    /* Inflating is upstream's one histogram of times; the others are timings. */
    collect_statsd_add(f->statsd, text,
                       f->kind == KIND_TIME && what != COLLECT_GZIP_TIME ? "ms" : "h", f->label,
                       tag);
}

void collect_observe(collect_metric_t what, const char *label, apr_int64_t value)
{
    const apr_int64_t *bound = bounds[families[what].kind];
    cell_t *cell;
    int i = 0;

    if (!shared) {
        return;
    }
    value = value < 0 ? 0 : value; /* the clock may be set back */
    while (i < BUCKETS && value > bound[i]) {
        i++;
    }
    cell = find_cell(what, label);
    __atomic_fetch_add(&cell->buckets[i], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&cell->value, (apr_uint64_t)value, __ATOMIC_RELAXED);
    if (families[what].statsd && collect_statsd_on()) {
        tell_observation(what, label, value);
    }
}

/* EPERM: the number has passed to a stranger's process. */
static int is_alive(pid_t pid)
{
    return pid && kill(pid, 0) == 0;
}

void collect_gauge_add(collect_gauge_t what, int n)
{
    if (slot) {
        __atomic_fetch_add(&slot->gauges[what], n, __ATOMIC_RELAXED);
    }
}

void collect_gauge_set(collect_gauge_t what, int n)
{
    if (slot) {
        __atomic_store_n(&slot->gauges[what], n, __ATOMIC_RELAXED);
    }
}

int collect_gauge_sum(collect_gauge_t what)
{
    int sum = 0;

    for (int i = 0; shared && i < SLOTS; i++) {
        if (is_alive(__atomic_load_n(&shared->slots[i].pid, __ATOMIC_ACQUIRE))) {
            sum += __atomic_load_n(&shared->slots[i].gauges[what], __ATOMIC_RELAXED);
        }
    }
    return sum;
}

apr_uint64_t collect_counted(collect_metric_t what)
{
    apr_uint64_t sum = 0;

    for (int i = 0; shared && i <= CELLS; i++) {
        sum += __atomic_load_n(&shared->cells[what][i].value, __ATOMIC_RELAXED);
    }
    return sum;
}

/* ---- slots ---- */

static apr_status_t leave_slot(void *unused)
{
    (void)unused;
    if (slot) {
        __atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);
        slot = NULL;
    }
    return APR_SUCCESS;
}

void collect_metrics_child(server_rec *s, apr_pool_t *pchild)
{
    pid_t self = getpid();

    collect_statsd_open(s, pchild);
    slot = NULL;
    for (int i = 0; shared && i < SLOTS && !slot; i++) {
        pid_t was = __atomic_load_n(&shared->slots[i].pid, __ATOMIC_ACQUIRE);

        if (!is_alive(was) && __atomic_compare_exchange_n(&shared->slots[i].pid, &was, self, 0,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            slot = &shared->slots[i];
            memset(slot->gauges, 0, sizeof(slot->gauges));
        }
    }
    apr_pool_cleanup_register(pchild, NULL, leave_slot, apr_pool_cleanup_null);
}

void collect_metrics_tick(collect_site_t *site)
{
    sal_row_stats_t now = { 0 };
    sal_error_t err;

    if (site->store) {
        collect_gauge_set(COLLECT_STORE_SICK,
                          sal_crash_store_admit(site->store, &err) == SAL_E_SICK);
    }
    if (site->rows) {
        apr_interval_time_t times[SAL_ROW_TIMES];
        int n = sal_row_thread_times(site->rows, times);

        for (int i = 0; i < n; i++) {
            collect_observe(COLLECT_PUBLISH_TIME, NULL, times[i]);
        }
        sal_row_thread_stats(site->rows, &now);
        collect_count_n(COLLECT_RETRY, "publish_crash_exception.count",
                        (apr_uint64_t)(now.failures - site->told.failures));
        collect_gauge_set(COLLECT_ROWS_WAITING, now.waiting);
        collect_gauge_set(COLLECT_ROWS_AWAY, now.waiting && !now.connected);
        collect_count_n(COLLECT_PUBLISHED, NULL, (apr_uint64_t)(now.written - site->told.written));
        collect_count_n(COLLECT_PUBLISH_DROPPED, NULL,
                        (apr_uint64_t)(now.dropped - site->told.dropped));
        collect_count_n(COLLECT_PUBLISH_REFUSED, NULL,
                        (apr_uint64_t)(now.refused - site->told.refused));
        site->told = now;
    }
    collect_statsd_flush();
}

/* ---- the page ---- */

static void show_histogram(web_metrics_t *m, const struct family_t *f, const cell_t *cell,
                           const char *label)
{
    apr_pool_t *p = web_metrics_request(m)->pool;
    double unit = f->kind == KIND_TIME ? 1e6 : 1;
    apr_uint64_t sum = __atomic_load_n(&cell->value, __ATOMIC_RELAXED), count = 0;

    for (int i = 0; i <= BUCKETS; i++) {
        const char *le =
            i < BUCKETS ? apr_psprintf(p, "%g", (double)bounds[f->kind][i] / unit) : "+Inf";

        if (i < BUCKETS && f->kind == KIND_BYTES) {
            le = apr_psprintf(p, "%" APR_INT64_T_FMT, bounds[f->kind][i]);
        }
        count += __atomic_load_n(&cell->buckets[i], __ATOMIC_RELAXED);
        if (f->label) {
            web_metrics_sample(m, "_bucket", (double)count, f->label, label, "le", le, NULL);
        } else {
            web_metrics_sample(m, "_bucket", (double)count, "le", le, NULL);
        }
    }
    if (f->label) {
        web_metrics_sample(m, "_sum", (double)sum / unit, f->label, label, NULL);
        web_metrics_sample(m, "_count", (double)count, f->label, label, NULL);
    } else {
        web_metrics_sample(m, "_sum", (double)sum / unit, NULL);
        web_metrics_sample(m, "_count", (double)count, NULL);
    }
}

static void show_cell(web_metrics_t *m, const struct family_t *f, const cell_t *cell,
                      const char *label)
{
    if (f->kind != KIND_COUNTER) {
        show_histogram(m, f, cell, label);
    } else if (f->label) {
        web_metrics_sample(m, "", (double)__atomic_load_n(&cell->value, __ATOMIC_RELAXED), f->label,
                           label, NULL);
    } else {
        web_metrics_sample(m, "", (double)__atomic_load_n(&cell->value, __ATOMIC_RELAXED), NULL);
    }
}

static void show_family(web_metrics_t *m, const struct family_t *f, const cell_t *cells)
{
    apr_pool_t *p = web_metrics_request(m)->pool;

    web_metrics_family(m, apr_pstrcat(p, PREFIX, f->name, NULL),
                       f->kind == KIND_COUNTER ? "counter" : "histogram", f->help);
    for (int i = 0; i < CELLS && f->label; i++) {
        if (__atomic_load_n(&cells[i].state, __ATOMIC_ACQUIRE) == 2) {
            show_cell(m, f, &cells[i], cells[i].label);
        }
    }
    if (!f->label || cells[CELLS].value) {
        show_cell(m, f, &cells[CELLS], "other");
    }
}

static void show_gauges(web_metrics_t *m)
{
    static const struct {
        const char *name, *help;
    } gauges[COLLECT_GAUGES] = {
        [COLLECT_IN_FLIGHT] = { PREFIX "in_flight", "Reports being taken in." },
        [COLLECT_ROWS_WAITING] = { PREFIX "rows_waiting", "Queue rows in memory, not written." },
        [COLLECT_ROWS_AWAY] = { PREFIX "rows_database_away",
                                "Children whose row thread does not reach the database." },
        [COLLECT_STORE_SICK] = { PREFIX "store_sick", "Children whose store takes nothing." },
        [COLLECT_LEDGER_WAITING] = { PREFIX "ledger_waiting", "Ledger rows in memory." },
    };
    int sums[COLLECT_GAUGES] = { 0 }, children = 0;

    for (int i = 0; i < SLOTS; i++) {
        slot_t *one = &shared->slots[i];

        if (is_alive(__atomic_load_n(&one->pid, __ATOMIC_ACQUIRE))) {
            children++;
            for (int g = 0; g < COLLECT_GAUGES; g++) {
                sums[g] += __atomic_load_n(&one->gauges[g], __ATOMIC_RELAXED);
            }
        }
    }
    web_metrics_one(m, PREFIX "children", "gauge", "Processes that take in reports.", children);
    for (int g = 0; g < COLLECT_GAUGES; g++) {
        web_metrics_one(m, gauges[g].name, "gauge", gauges[g].help, sums[g]);
    }
}

/* What stands on the disk, and is the same for all children. */
static void show_store(web_metrics_t *m)
{
    collect_site_t *site = collect_server(web_metrics_request(m)->server)->site;
    struct statvfs fs;
    sal_error_t err;
    int n, oldest;

    if (!site || !site->store) {
        return;
    }
    if (sal_pending_count(&n, &oldest, site->store, 100000, &err) == APR_SUCCESS) {
        web_metrics_one(m, PREFIX "pending", "gauge", "Crashes not known to be in the database.",
                        n);
        web_metrics_one(m, PREFIX "pending_oldest_seconds", "gauge", "Age of the oldest of them.",
                        oldest);
    }
    if (statvfs(sal_crash_store_root(site->store), &fs) == 0) {
        web_metrics_one(m, PREFIX "store_free_bytes", "gauge", "Free space of the crash store.",
                        (double)fs.f_bavail * (double)fs.f_frsize);
        web_metrics_one(m, PREFIX "store_size_bytes", "gauge", "Size of its file system.",
                        (double)fs.f_blocks * (double)fs.f_frsize);
        web_metrics_one(m, PREFIX "store_free_inodes", "gauge", "Free inodes of the crash store.",
                        (double)fs.f_favail);
    }
}

static int add_metrics(web_metrics_t *m)
{
    if (shared) {
        for (int i = 0; i < COLLECT_METRICS; i++) {
            show_family(m, &families[i], shared->cells[i]);
        }
        show_gauges(m);
    }
    show_store(m);
    return OK;
}

int collect_metrics_handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "salvage-metrics")) {
        return DECLINED;
    }
    return web_metrics_reply(r);
}

/* What a request has counted goes to the StatsD when it is over. */
static int flush_statsd(request_rec *r)
{
    (void)r;
    collect_statsd_flush();
    return DECLINED;
}

void collect_metrics_hooks(apr_pool_t *p)
{
    (void)p;
    APR_OPTIONAL_HOOK(web, salvage_metrics, add_metrics, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(collect_metrics_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_log_transaction(flush_statsd, NULL, NULL, APR_HOOK_LAST);
}

void collect_metrics_merge(collect_metrics_server_t *out, const collect_metrics_server_t *base,
                           const collect_metrics_server_t *add)
{
    out->statsd = add->statsd ? add->statsd : base->statsd;
}
