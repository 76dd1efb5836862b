/*
 * The crash store of the configuration, and its days, for commands that work on them.
 */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include "cmd.h"
#include "crash/crash_store.h"

/* NULL after printing why there is none; conf may be NULL, which was told already. */
sal_crash_store_t *cmd_store_open(const sal_conf_t *conf, apr_pool_t *p);

/* "YYYYMMDD" of a time. */
const char *cmd_day_of(apr_time_t t, apr_pool_t *p);

/* 2026-01-31, 20260131 or 7d (ago) as "YYYYMMDD", or NULL. */
const char *cmd_day(const char *text, apr_pool_t *p);

#endif
