/*
 * Bounds for connections of our own. A statement timeout is the server's to keep, so it is no help
 * against a server that has stopped: a ping watches its socket itself.
 */
#include "db/watch.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <apr_strings.h>
#include "db/db_private.h"

static const char *quoted(const char *value, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * strlen(value) + 1), *to = out;

    for (; *value; value++) {
        if (*value == '\'' || *value == '\\') {
            *to++ = '\\';
        }
        *to++ = *value;
    }
    *to = '\0';
    return out;
}

/* A database host that vanished is noticed in half a minute, not in the kernel's two hours. */
static const char *const vigilance[][2] = { { "keepalives_idle", "10" },
                                            { "keepalives_interval", "5" },
                                            { "keepalives_count", "3" } };

/* What a keyword is to be, given what the conninfo says of it. */
static const char *bounded(const PQconninfoOption *o, const char *name, int seconds, apr_pool_t *p)
{
    if (!strcmp(o->keyword, "options")) {
        return apr_psprintf(p, "%s -c statement_timeout=%ds", o->val ? o->val : "", seconds);
    }
    if (o->val) {
        return o->val;
    }
    if (!strcmp(o->keyword, "connect_timeout")) {
        return "3";
    }
    if (!strcmp(o->keyword, "tcp_user_timeout")) {
        return apr_psprintf(p, "%d", (seconds + 2) * 1000);
    }
    for (apr_size_t i = 0; i < sizeof(vigilance) / sizeof(vigilance[0]); i++) {
        if (!strcmp(o->keyword, vigilance[i][0])) {
            return vigilance[i][1];
        }
    }
    return strcmp(o->keyword, "application_name") ? NULL : name;
}

const char *sal_db_conninfo(const char *conninfo, const char *name, int seconds, apr_pool_t *p)
{
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    const char *out = "";

    for (const PQconninfoOption *o = options; o && o->keyword; o++) {
        const char *value = bounded(o, name, seconds, p);

        if (value && *value) {
            out = apr_pstrcat(p, out, o->keyword, "='", quoted(value, p), "' ", NULL);
        }
    }
    PQconninfoFree(options);
    return *out ? out : conninfo;
}

/* Waits until the socket has something to read. */
static int wait_readable(PGconn *conn, apr_time_t until)
{
    apr_time_t left = until - apr_time_now();
    struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

    return left > 0 && fd.fd >= 0 && poll(&fd, 1, (int)(left / 1000) + 1) > 0;
}

apr_status_t sal_db_ping(sal_db_t *db, int milliseconds, sal_error_t *err)
{
    PGconn *conn = sal_db_conn(db);
    apr_time_t until = apr_time_now() + (apr_time_t)milliseconds * 1000;
    int good = 0;
    PGresult *result;

    if (PQstatus(conn) != CONNECTION_OK || !PQsendQuery(conn, "SELECT 1")) {
        return sal_fail(err, SAL_E_NODB, "the connection to the database is broken");
    }
    for (;;) {
        if (!PQconsumeInput(conn)) {
            return sal_fail(err, SAL_E_NODB, "the database has closed the connection");
        }
        if (PQisBusy(conn)) {
            if (!wait_readable(conn, until)) {
                return sal_fail(err, SAL_E_NODB, "the database says nothing for %d ms",
                                milliseconds);
            }
            continue;
        }
        if (!(result = PQgetResult(conn))) {
            break;
        }
        good |= PQresultStatus(result) == PGRES_TUPLES_OK;
        PQclear(result);
    }
    return good ? APR_SUCCESS
                : sal_fail(err, SAL_E_DB, "the database answers SELECT 1 with an error");
}

/* ---- lines ---- */

struct sal_db_line_t {
    pthread_mutex_t lock; /* of cut, and of db against its closing */
    const char *conninfo;
    apr_pool_t *pool; /* of the connection */
    sal_db_t *db;     /* NULL: none */
    bool cut;
};

static apr_status_t end_line(void *data)
{
    sal_db_line_t *line = data;

    sal_db_line_close(line);
    pthread_mutex_destroy(&line->lock);
    return APR_SUCCESS;
}

sal_db_line_t *sal_db_line_make(const char *conninfo, apr_pool_t *p)
{
    sal_db_line_t *line = apr_pcalloc(p, sizeof(*line));

    pthread_mutex_init(&line->lock, NULL);
    line->conninfo = apr_pstrdup(p, conninfo);
    apr_pool_create(&line->pool, p);
    apr_pool_pre_cleanup_register(p, line, end_line);
    return line;
}

apr_status_t sal_db_line_get(sal_db_t **db, sal_db_line_t *line, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    sal_db_t *fresh = NULL;
    bool cut;

    if (!line->db) {
        rv = sal_db_connect(&fresh, line->conninfo, line->pool, err);
    }
    pthread_mutex_lock(&line->lock);
    line->db = rv == APR_SUCCESS && fresh ? fresh : line->db;
    cut = line->cut;
    pthread_mutex_unlock(&line->lock);
    if (cut) {
        sal_db_line_close(line);
        return sal_fail(err, SAL_E_NODB, "the connection was ended");
    }
    *db = line->db;
    return rv;
}

void sal_db_line_close(sal_db_line_t *line)
{
    pthread_mutex_lock(&line->lock);
    line->db = NULL;
    pthread_mutex_unlock(&line->lock);
    apr_pool_clear(line->pool);
}

void sal_db_line_cut(sal_db_line_t *line)
{
    int fd;

    pthread_mutex_lock(&line->lock);
    line->cut = true;
    if (line->db) {
        sal_db_end(line->db);
        fd = PQsocket(sal_db_conn(line->db));
        if (fd >= 0) {
            shutdown(fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&line->lock);
}

bool sal_db_desk_take(sal_db_desk_t *desk, sal_db_line_t *line)
{
    bool open;

    pthread_mutex_lock(&desk->lock);
    open = !desk->ended;
    desk->line = open ? line : NULL;
    pthread_mutex_unlock(&desk->lock);
    return open;
}

void sal_db_desk_close(sal_db_desk_t *desk)
{
    pthread_mutex_lock(&desk->lock);
    desk->ended = true;
    if (desk->line) {
        sal_db_line_cut(desk->line);
    }
    pthread_mutex_unlock(&desk->lock);
}
