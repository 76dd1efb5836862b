/*
 * Sweeps of the crash store by httpd itself, where no daemon does them (docs/durability.md).
 */
#ifndef COLLECT_SWEEP_H
#define COLLECT_SWEEP_H

#include <httpd.h>

/* In post_config: asks mod_watchdog for a turn every 30 seconds, in one child. */
void collect_sweep_start(server_rec *s, apr_pool_t *p);

void collect_sweep_hooks(apr_pool_t *p);

#endif
