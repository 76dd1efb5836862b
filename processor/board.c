/*
 * The shared numbers, and StatsD's lines. Datagrams are sent on a socket that never waits; what it
 * does not take is gone, as is the way of StatsD.
 */
#include "board.h"

#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <apr_network_io.h>
#include <apr_strings.h>

#define PACKET 1400 /* a datagram that no Ethernet cuts */
#define STATSD_PORT 8125

const int board_ingestion_bounds[INGESTION_BUCKETS - 1] = {
    1, 2, 5, 15, 60, 300, 900, 3600, 86400
};

enum { DEAD_MOST = 64 };

/* Written by the supervisor while pid is 0, read by a housekeeper while it is not. */
typedef struct dead_t {
    atomic_int pid;
    int64_t jobs[JOBS_MOST];
} dead_t;

typedef struct board_t {
    atomic_bool busy[SLOTS];
    atomic_int_fast64_t job[SLOTS][JOBS_MOST]; /* 0: none */
    dead_t dead[DEAD_MOST];
    atomic_uint_fast64_t ingestion[INGESTION_BUCKETS];
    atomic_uint_fast64_t ingestion_us;
    _Alignas(16) unsigned char metrics[]; /* sal_metrics_t */
} board_t;

static board_t *board;
static int own = SLOT_HOUSEKEEPER;

static struct {
    int fd; /* -1: no StatsD */
    char host[80];
    size_t used;
    char text[PACKET];
} statsd = { .fd = -1 };

/* ---- the memory ---- */

/* The name is asked for once, at the start: a resolver must not hold up a job. */
static bool open_statsd(const settings_t *s, const char *target, sal_error_t *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *found;
    char *host, *scope;
    apr_port_t port;
    int rc;

    if (apr_parse_addr_port(&host, &scope, &port, target, s->pool) != APR_SUCCESS || !host) {
        sal_fail(err, APR_EINVAL, "metrics-statsd: \"%s\" is not HOST:PORT", target);
        return false;
    }
    rc = getaddrinfo(host, apr_itoa(s->pool, port ? port : STATSD_PORT), &hints, &found);
    if (rc) {
        sal_fail(err, APR_EINVAL, "metrics-statsd: %s: %s", target, gai_strerror(rc));
        return false;
    }
    statsd.fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (statsd.fd >= 0 && connect(statsd.fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(statsd.fd);
        statsd.fd = -1;
    }
    freeaddrinfo(found);
    apr_cpystrn(statsd.host, s->host, sizeof(statsd.host));
    return true;
}

bool board_make(const settings_t *s, sal_error_t *err)
{
    const char *target = sal_conf_get(s->conf, "metrics-statsd", NULL);
    size_t size = sizeof(board_t) + sal_metrics_size();

    board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED) {
        board = NULL;
        sal_fail(err, APR_ENOMEM, "no memory that processes can share");
        return false;
    }
    return !target || open_statsd(s, target, err);
}

void board_slot(int slot)
{
    own = slot;
    board_busy(false);
}

void board_busy(bool busy)
{
    atomic_store(&board->busy[own], busy);
}

bool board_is_busy(int slot)
{
    return atomic_load(&board->busy[slot]);
}

/* ---- jobs and the dead ---- */

void board_job_begun(int64_t job)
{
    for (int i = 0; i < JOBS_MOST; i++) {
        if (!atomic_load(&board->job[own][i])) {
            atomic_store(&board->job[own][i], job);
            return;
        }
    }
}

void board_job_ended(int64_t job)
{
    for (int i = 0; i < JOBS_MOST; i++) {
        if (atomic_load(&board->job[own][i]) == job) {
            atomic_store(&board->job[own][i], 0);
        }
    }
}

/* If there is no room the leases run out, as those of a host that is gone. */
static void note_dead(int slot, pid_t pid)
{
    for (int i = 0; i < DEAD_MOST; i++) {
        dead_t *d = &board->dead[i];

        if (atomic_load(&d->pid) == 0) {
            for (int k = 0; k < JOBS_MOST; k++) {
                d->jobs[k] = atomic_load(&board->job[slot][k]);
            }
            atomic_store(&d->pid, (int)pid);
            return;
        }
    }
}

void board_clear(int slot, pid_t pid, bool died)
{
    atomic_store(&board->busy[slot], false);
    if (died) {
        note_dead(slot, pid);
    }
    for (int k = 0; k < JOBS_MOST; k++) {
        atomic_store(&board->job[slot][k], 0);
    }
}

bool board_dead(board_dead_t *out, int i)
{
    for (int k = 0; k < DEAD_MOST; k++) {
        const dead_t *d = &board->dead[k];

        out->pid = atomic_load(&d->pid);
        if (!out->pid || i-- > 0) {
            continue;
        }
        out->n = 0;
        for (int j = 0; j < JOBS_MOST; j++) {
            if (d->jobs[j]) {
                out->jobs[out->n++] = d->jobs[j];
            }
        }
        return true;
    }
    return false;
}

void board_buried(pid_t pid)
{
    for (int i = 0; i < DEAD_MOST; i++) {
        if (atomic_load(&board->dead[i].pid) == (int)pid) {
            atomic_store(&board->dead[i].pid, 0);
        }
    }
}

/* ---- StatsD ---- */

void board_flush(void)
{
    if (statsd.fd >= 0 && statsd.used) {
        (void)!send(statsd.fd, statsd.text, statsd.used - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    statsd.used = 0;
}

static void note_line(sal_metric_kind_t kind, const char *name, const char *label, int64_t value)
{
    static const char *const types[] = { "c", "g", "ms" };
    char line[300], number[32];
    int n;

    if (kind == SAL_METRIC_TIMING) {
        snprintf(number, sizeof(number), "%.3f", (double)value / 1000);
    } else {
        snprintf(number, sizeof(number), "%lld", (long long)value);
    }
    n = snprintf(line, sizeof(line), "socorro.processor.%s:%s|%s|#%s%shost:%s\n", name, number,
                 types[kind], label, *label ? "," : "", statsd.host);
    if (n < 0 || (size_t)n >= sizeof(line)) {
        return;
    }
    if (statsd.used + (size_t)n > sizeof(statsd.text)) {
        board_flush();
    }
    memcpy(statsd.text + statsd.used, line, (size_t)n);
    statsd.used += (size_t)n;
}

/* ---- metrics ---- */

const sal_metrics_t *board_metrics(void)
{
    return sal_metrics_at(board->metrics);
}

void board_metric(sal_metric_kind_t kind, const char *name, const char *label, int64_t value,
                  void *baton)
{
    (void)baton;
    sal_metrics_add(kind, name, label, value, sal_metrics_at(board->metrics));
    if (statsd.fd >= 0) {
        note_line(kind, name, label, value);
    }
}

void board_count(const char *name, const char *label, int64_t n)
{
    board_metric(SAL_METRIC_COUNT, name, label, n, NULL);
}

void board_send_gauge(const char *name, const char *label, int64_t value)
{
    if (statsd.fd >= 0) {
        note_line(SAL_METRIC_GAUGE, name, label, value);
    }
}

void board_timing(const char *name, const char *label, apr_interval_time_t took)
{
    board_metric(SAL_METRIC_TIMING, name, label, took, NULL);
}

static apr_interval_time_t aside;

apr_time_t board_now(void)
{
    return apr_time_now() - aside;
}

void board_aside(apr_interval_time_t took)
{
    aside += took;
}

void board_phase(const char *phase, apr_time_t *since)
{
    apr_time_t now = board_now();
    char label[40];

    snprintf(label, sizeof(label), "phase:%s", phase);
    board_timing("job.phase", label, now - *since);
    *since = now;
}

void board_ingested(apr_interval_time_t took)
{
    int bucket = 0;

    took = took < 0 ? 0 : took;
    while (bucket < INGESTION_BUCKETS - 1 &&
           took > apr_time_from_sec(board_ingestion_bounds[bucket])) {
        bucket++;
    }
    atomic_fetch_add(&board->ingestion[bucket], 1);
    atomic_fetch_add(&board->ingestion_us, (uint64_t)took);
    if (statsd.fd >= 0) {
        note_line(SAL_METRIC_TIMING, "ingestion_timing", "", took);
    }
}

uint64_t board_ingestion(int bucket)
{
    return atomic_load(&board->ingestion[bucket]);
}

double board_ingestion_sum(void)
{
    return (double)atomic_load(&board->ingestion_us) / APR_USEC_PER_SEC;
}
