/*
 * The exporter: sends what the outbox holds (lib/export), in a process of its own, so that slow
 * destinations hold up no crash. Several daemons may each have one.
 */
#include "salvaged.h"

#include <malloc.h>
#include <poll.h>
#include <apr_strings.h>
#include "base/log.h"
#include "export/exporter.h"

#define LOOK_MS 2000 /* between looks at an outbox that was empty */

typedef struct sender_t {
    const settings_t *settings;
    apr_pool_t *pool;
    link_t link;
    int signals;
    bool stopping;
} sender_t;

static void take_signals(sender_t *s)
{
    for (int n; (n = signals_take(s->signals)) != 0;) {
        s->stopping = s->stopping || n == SIGTERM || n == SIGINT;
    }
}

static bool stopping(void *baton)
{
    sender_t *s = baton;

    take_signals(s);
    return s->stopping;
}

static void wait_ms(sender_t *s, int ms)
{
    struct pollfd fd = { s->signals, POLLIN, 0 };

    poll(&fd, 1, ms);
    take_signals(s);
}

bool exporter_wanted(const settings_t *s)
{
    return sal_conf_on(s->conf, "exporter", 1) && sal_exporter_count(s->exporter, SAL_EXPORT_ALL);
}

/* One turn; milliseconds to wait before the next. *sent: whether there was anything. */
static int turn(sender_t *s, int *sent)
{
    sal_db_t *db = link_get(&s->link, s->pool);
    sal_error_t err = { .message = "" };
    apr_pool_t *p;
    apr_status_t rv;

    *sent = 0;
    if (!db) {
        return link_pause_ms(&s->link);
    }
    apr_pool_create(&p, s->pool);
    rv = sal_exporter_turn(sent, s->settings->exporter, SAL_EXPORT_ALL, db, p, &err);
    apr_pool_destroy(p);
    if (*sent) {
        malloc_trim(0);
    }
    if (rv == SAL_E_NODB) {
        link_failed(&s->link, &err);
        return link_pause_ms(&s->link);
    }
    if (rv != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5130, "exports cannot be sent now: %s", err.message);
        return LOOK_MS;
    }
    link_worked(&s->link);
    return *sent ? 0 : LOOK_MS;
}

int exporter_run(const settings_t *settings)
{
    sender_t s = { .settings = settings, .link.conninfo = settings->conninfo };
    int sent = 0, ms;

    apr_pool_create(&s.pool, NULL);
    s.signals = signals_open();
    sal_exporter_stops_if(settings->exporter, stopping, &s);
    if (settings->once) {
        sal_exporter_hurry(settings->exporter);
    }
    while (take_signals(&s), !s.stopping) {
        ms = turn(&s, &sent);
        if (settings->once && !sent) {
            break;
        }
        if (ms) {
            wait_ms(&s, ms);
        }
    }
    apr_pool_destroy(s.pool);
    return EXIT_DONE;
}
