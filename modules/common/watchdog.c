/*
 * mod_watchdog is found at run time: modules do without it.
 */
#include "common/watchdog.h"

#include <mod_watchdog.h>

typedef struct chore_t {
    web_chore_fn run;
    void *baton;
} chore_t;

static apr_status_t turn(int state, void *data, apr_pool_t *p)
{
    const chore_t *chore = data;

    if (state == AP_WATCHDOG_STATE_RUNNING) {
        chore->run(chore->baton, p);
    }
    return APR_SUCCESS;
}

apr_status_t web_watchdog(const char *name, int seconds, bool one_child, web_chore_fn run,
                          void *baton, apr_pool_t *p)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    chore_t *chore = apr_palloc(p, sizeof(*chore));
    ap_watchdog_t *w;
    apr_status_t rv;

    if (!get || !add) {
        return APR_ENOTIMPL;
    }
    *chore = (chore_t){ run, baton };
    rv = get(&w, name, 0, one_child, p);
    if (rv == APR_SUCCESS) {
        rv = add(w, apr_time_from_sec(seconds), chore, turn);
    }
    return rv == APR_EEXIST ? APR_SUCCESS : rv;
}
