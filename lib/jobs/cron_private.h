/*
 * What the files of the periodic jobs share: their functions, by the rows of jobs.def. Nothing
 * outside lib/jobs includes this.
 */
#ifndef SAL_JOBS_CRON_PRIVATE_H
#define SAL_JOBS_CRON_PRIVATE_H

#include "jobs/cron.h"

#define SEARCH_DAYS 182 /* search-keep, where nothing is said */

#define CRON(name, every, at, limit, flags, purpose)                                               \
    apr_status_t cron_##name(sal_cron_run_t *run, sal_error_t *err);
#include "jobs/jobs.def"
#undef CRON

/* A duration of salvage.conf as whole days, at least one. */
int cron_days_of(const sal_cron_run_t *run, const char *key, int fallback);

#endif
