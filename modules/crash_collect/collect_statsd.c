/*
 * DogStatsD datagrams. Each thread gathers lines and sends them as one datagram when its request is
 * over; the socket never waits, and what it does not take is gone, as is the way of StatsD.
 */
#include "collect_private.h"
#include "collect_metrics.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>
#include <apr_network_io.h>
#include <apr_strings.h>

APLOG_USE_MODULE(crash_collect);

#define PACKET 1400 /* a datagram that no Ethernet cuts */
#define DEFAULT_PORT 8125

static struct sockaddr_storage address;
static socklen_t address_len; /* 0: no StatsD */
static int fd = -1;
static char host_tag[80];

static __thread struct {
    apr_size_t used;
    char text[PACKET];
} packet;

int collect_statsd_on(void)
{
    return fd >= 0;
}

void collect_statsd_flush(void)
{
    if (fd >= 0 && packet.used) {
        /* Errors are of earlier datagrams, or a full buffer: nothing to do about either. */
        ssize_t unused = send(fd, packet.text, packet.used - 1, MSG_DONTWAIT | MSG_NOSIGNAL);

        (void)unused;
    }
    packet.used = 0;
}

void collect_statsd_add(const char *name, const char *value, const char *type,
                        const char *label_name, const char *label)
{
    char line[400];
    int n;

    if (label_name) {
        n = apr_snprintf(line, sizeof(line), "socorro.%s:%s|%s|#%s:%s,host:%s\n", name, value, type,
                         label_name, label, host_tag);
    } else {
        n = apr_snprintf(line, sizeof(line), "socorro.%s:%s|%s|#host:%s\n", name, value, type,
                         host_tag);
    }
    if (packet.used + (apr_size_t)n > sizeof(packet.text)) {
        collect_statsd_flush();
    }
    memcpy(packet.text + packet.used, line, (apr_size_t)n);
    packet.used += (apr_size_t)n;
}

/* The name is asked for once, at the start: a resolver must not hold up a request. */
void collect_statsd_resolve(server_rec *s, const char *target)
{
    apr_pool_t *p = s->process->pconf;
    char *host, *scope;
    apr_port_t port;
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *found;
    int rc;

    address_len = 0;
    if (!target || apr_parse_addr_port(&host, &scope, &port, target, p) != APR_SUCCESS || !host) {
        return;
    }
    rc = getaddrinfo(host, apr_itoa(p, port ? port : DEFAULT_PORT), &hints, &found);
    if (rc) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "SAL1021: CrashStatsd: %s: %s", target,
                     gai_strerror(rc));
        return;
    }
    memcpy(&address, found->ai_addr, found->ai_addrlen);
    address_len = found->ai_addrlen;
    freeaddrinfo(found);
}

static apr_status_t close_socket(void *unused)
{
    (void)unused;
    collect_statsd_flush();
    if (fd >= 0) {
        close(fd);
    }
    fd = -1;
    return APR_SUCCESS;
}

void collect_statsd_open(server_rec *s, apr_pool_t *pchild)
{
    fd = -1;
    if (!address_len) {
        return;
    }
    if (gethostname(host_tag, sizeof(host_tag) - 1) != 0) {
        apr_cpystrn(host_tag, "unknown", sizeof(host_tag));
    }
    fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, address_len) != 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, APR_FROM_OS_ERROR(errno), s,
                     "SAL1022: CrashStatsd: no socket");
        return;
    }
    apr_pool_cleanup_register(pchild, NULL, close_socket, apr_pool_cleanup_null);
}

const char *collect_set_statsd(cmd_parms *cmd, void *unused, const char *arg)
{
    char *host, *scope;
    apr_port_t port;

    (void)unused;
    if (apr_parse_addr_port(&host, &scope, &port, arg, cmd->temp_pool) != APR_SUCCESS || !host ||
        !*host) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is not host:port", cmd->cmd->name, arg);
    }
    collect_server(cmd->server)->metrics.statsd = arg;
    return NULL;
}
