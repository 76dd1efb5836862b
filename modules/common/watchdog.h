/*
 * Work of no request, now and then, by mod_watchdog.
 */
#ifndef MODULES_COMMON_WATCHDOG_H
#define MODULES_COMMON_WATCHDOG_H

#include "common/web.h"

/* One turn; p lasts for this turn. */
typedef void (*web_chore_fn)(void *baton, apr_pool_t *p);

/*
 * Has chore run every so many seconds, by a thread of its own under this name: in each child, or in
 * one child of all. Call from post_config, before mod_watchdog's. APR_ENOTIMPL: mod_watchdog is not
 * loaded; what to say is the caller's.
 */
apr_status_t web_watchdog(const char *name, int seconds, bool one_child, web_chore_fn chore,
                          void *baton, apr_pool_t *p);

#endif
