/*
 * Serving metrics: a process that answers GET /metrics in Prometheus' text format from the board
 * and, for the queue, from the database; with StatsD it also sends gauges now and then. It exists
 * only if it was asked for. It reads no crash.
 */
#include "board.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "db/watch.h"
#include "metrics.h"

#define GAUGES_SECONDS 10 /* between gauges to StatsD */
#define FRESH_SECONDS 3   /* the queue is looked at once in so many seconds at most */
#define REQUEST_MS 2000   /* to say what one wants */

typedef struct server_t {
    const settings_t *settings;
    apr_pool_t *pool;
    link_t link;
    int signals, fd; /* fd -1: StatsD only */
    bool stopping;
    queue_look_t look;
    apr_time_t gauges_at;
} server_t;

/* ---- looking at the queue ---- */

static apr_status_t look(queue_look_t *out, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_queue_stats(&out->stats, db, p, err);

    if (rv == APR_SUCCESS) {
        rv = sal_queue_pauses(out->pauses, db, p, err);
    }
    return rv == APR_SUCCESS
               ? sal_queue_oldest_transaction(&out->transaction_seconds, NULL, db, p, err)
               : rv;
}

static void refresh(server_t *sv)
{
    sal_error_t err;
    apr_pool_t *p;
    sal_db_t *db;

    if (apr_time_now() - sv->look.taken < apr_time_from_sec(FRESH_SECONDS)) {
        return;
    }
    sv->look.taken = apr_time_now();
    sv->look.good = false;
    if ((db = link_get(&sv->link, sv->pool)) == NULL) {
        return;
    }
    apr_pool_create(&p, sv->pool);
    if (look(&sv->look, db, p, &err) == APR_SUCCESS) {
        sv->look.good = true;
        link_worked(&sv->link);
    } else {
        link_failed(&sv->link, &err);
    }
    apr_pool_destroy(p);
}

/* ---- StatsD's gauges ---- */

static void send_gauges(server_t *sv)
{
    refresh(sv);
    for (int i = 0; i < 3 && sv->look.good; i++) {
        const sal_lane_stats_t *l = &sv->look.stats.lane[i];
        char label[40];

        snprintf(label, sizeof(label), "lane:%s", sal_lane_name((sal_lane_t)i));
        board_send_gauge("queue.ready", label, l->ready);
        board_send_gauge("queue.leased", label, l->leased);
        board_send_gauge("queue.dead", label, l->dead);
        board_send_gauge("queue.oldest_ready_seconds", label, l->oldest_ready_seconds);
    }
    board_flush();
}

/* ---- HTTP, as little as a scraper needs ---- */

static void reply(int fd, const char *status, const char *type, const char *body, size_t size,
                  apr_pool_t *p)
{
    const char *head = apr_psprintf(p,
                                    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %lu\r\n"
                                    "Connection: close\r\n\r\n",
                                    status, type, (unsigned long)size);

    if (sal_fd_write_all(fd, head, strlen(head)) == APR_SUCCESS) {
        (void)sal_fd_write_all(fd, body, size);
    }
}

/* Reads to the end of the head. False: it does not come, or is no request of ours. */
static bool read_head(int fd, char *buf, size_t size)
{
    apr_time_t end = apr_time_now() + apr_time_from_msec(REQUEST_MS);
    size_t have = 0;

    while (have + 1 < size) {
        struct pollfd p = { fd, POLLIN, 0 };
        int left = (int)apr_time_as_msec(end - apr_time_now());
        ssize_t n;

        if (left <= 0 || poll(&p, 1, left) <= 0 ||
            (n = recv(fd, buf + have, size - have - 1, 0)) <= 0) {
            return false;
        }
        have += (size_t)n;
        buf[have] = '\0';
        if (strstr(buf, "\r\n\r\n") || strstr(buf, "\n\n")) {
            return true;
        }
    }
    return false;
}

static void answer(server_t *sv, int fd)
{
    static const char not_found[] = "There is /metrics.\n";
    struct timeval patience = { .tv_sec = 2 };
    char head[4096];
    apr_pool_t *p;

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (!read_head(fd, head, sizeof(head))) {
        return;
    }
    apr_pool_create(&p, sv->pool);
    if (!strncmp(head, "GET /metrics", 12) && strchr(" ?", head[12])) {
        size_t size;
        char *text;

        refresh(sv);
        text = metrics_text(&size, sv->settings, &sv->look, p);
        reply(fd, "200 OK", "text/plain; version=0.0.4; charset=utf-8", text ? text : "",
              text ? size : 0, p);
        free(text);
    } else {
        reply(fd, "404 Not Found", "text/plain", not_found, sizeof(not_found) - 1, p);
    }
    apr_pool_destroy(p);
}

static int listen_at(const char *host, int port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
    char service[16];
    int fd, one = 1;

    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 16) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* ---- the process ---- */

static void take_signals(server_t *sv)
{
    for (int n; (n = signals_take(sv->signals)) != 0;) {
        sv->stopping = sv->stopping || n == SIGTERM || n == SIGINT;
    }
}

static void turn(server_t *sv, bool statsd)
{
    struct pollfd fds[2] = { { sv->signals, POLLIN, 0 }, { sv->fd, POLLIN, 0 } };

    if (statsd && apr_time_now() >= sv->gauges_at) {
        send_gauges(sv);
        sv->gauges_at = apr_time_now() + apr_time_from_sec(GAUGES_SECONDS);
    }
    if (poll(fds, 2, statsd ? GAUGES_SECONDS * 1000 : -1) > 0 && fds[1].revents) {
        int fd = accept4(sv->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            answer(sv, fd);
            close(fd);
        }
    }
    take_signals(sv);
}

int metrics_run(const settings_t *s)
{
    server_t sv = { .settings = s, .link.conninfo = s->conninfo, .fd = -1 };
    bool statsd = sal_conf_get(s->conf, "metrics-statsd", NULL) != NULL;

    apr_pool_create(&sv.pool, NULL);
    sv.link.conninfo = sal_db_conninfo(s->conninfo, "salvaged metrics", 5, sv.pool);
    sv.signals = signals_open();
    if (s->metrics_host && (sv.fd = listen_at(s->metrics_host, s->metrics_port)) < 0) {
        sal_log(SAL_LOG_ERROR, 5046, "metrics cannot be served at %s:%d: %s", s->metrics_host,
                s->metrics_port, strerror(errno));
        return EXIT_FAILED;
    }
    while (take_signals(&sv), !sv.stopping) {
        turn(&sv, statsd);
    }
    apr_pool_destroy(sv.pool);
    return EXIT_DONE;
}
