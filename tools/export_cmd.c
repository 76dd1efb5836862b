/*
 * An exporter in the foreground.
 */
#include "export_cmd.h"

#include <signal.h>
#include <stdio.h>

#include "store.h"

#define LOOK_MS 2000
#define SLICE_MS 100

static volatile sig_atomic_t asked;

static void take_signal(int number)
{
    (void)number;
    asked = 1;
}

static bool stopping(void *unused)
{
    (void)unused;
    return asked != 0;
}

bool export_asked_to_end(void)
{
    return asked != 0;
}

void export_catch_signals(sal_exporter_t *e)
{
    struct sigaction act = { .sa_handler = take_signal };

    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
    sal_exporter_stops_if(e, stopping, NULL);
}

int export_look(export_cmd_t *out, const char *conf, apr_pool_t *p)
{
    *out = (export_cmd_t){ .conf = cmd_conf(conf, p) };
    out->db = out->conf ? cmd_db_open(conf, p) : NULL;
    return out->db ? CMD_OK : CMD_FAILED;
}

int export_open(export_cmd_t *out, const char *conf, apr_pool_t *p)
{
    sal_error_t err;

    if (export_look(out, conf, p) != CMD_OK) {
        return CMD_FAILED;
    }
    out->store = cmd_store_open(out->conf, p);
    if (!out->store) {
        return CMD_FAILED;
    }
    if (sal_exporter_make(&out->exporter, out->conf, out->store, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return CMD_OK;
}

static void wait_a_little(void)
{
    for (int ms = 0; ms < LOOK_MS && !asked; ms += SLICE_MS) {
        apr_sleep(SLICE_MS * 1000);
    }
}

int export_send(apr_int64_t *sent, export_cmd_t *x, int kinds, bool drain, apr_pool_t *p)
{
    sal_error_t err;
    apr_pool_t *turn;
    apr_status_t rv;
    bool said = false;

    *sent = 0;
    apr_pool_create(&turn, p);
    while (!asked) {
        int n = 0;

        apr_pool_clear(turn);
        rv = sal_exporter_turn(&n, x->exporter, kinds, x->db, turn, &err);
        *sent += n;
        if (rv != APR_SUCCESS && drain) {
            apr_pool_destroy(turn);
            return cmd_fail_err(&err);
        }
        if (rv != APR_SUCCESS && !said) {
            cmd_fail("%s; trying again", err.message);
        }
        said = rv != APR_SUCCESS;
        if (n == 0 && drain) {
            break;
        }
        if (n == 0) {
            wait_a_little();
        }
    }
    apr_pool_destroy(turn);
    return CMD_OK;
}
