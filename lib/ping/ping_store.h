/*
 * Rows of crash pings: put by the collector, leased and signed by the daemon, dropped by week.
 */
#ifndef SAL_PING_STORE_H
#define SAL_PING_STORE_H

#include "base/conf.h"
#include "db/db.h"
#include "ping/ping.h"

/*
 * Stores a ping under its document id; when this returns APR_SUCCESS it is committed. *fresh: false
 * if the id was there before, then nothing is changed. A week that has no partition gets one.
 */
SAL_API apr_status_t sal_ping_put(bool *fresh, const sal_ping_t *ping, const char *product,
                                  sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Makes the weekly partitions from `now` to `weeks` ahead. Idempotent. */
SAL_API apr_status_t sal_ping_partitions(sal_db_t *db, apr_time_t now, int weeks, apr_pool_t *p,
                                         sal_error_t *err);

/* Drops the weeks that are over for `days` days, with their counts; *weeks: how many. */
SAL_API apr_status_t sal_ping_expire(int *weeks, int days, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* ---- the sample ---- */

/* One line `ping-sample`: a pattern of strata and how many of them a day are signed. */
typedef struct sal_ping_rule_t {
    const char *os, *channel, *process_type, *utility_actor; /* "*": any */
    int64_t target;                                          /* a day; -1: all */
} sal_ping_rule_t;

/* Of the lines `ping-sample OS CHANNEL PROCESS [ACTOR] all|NUMBER`; APR_EINVAL names a bad one. */
SAL_API apr_status_t sal_ping_rules(apr_array_header_t **out, const sal_conf_t *conf, apr_pool_t *p,
                                    sal_error_t *err);

/* The target of a stratum: the first rule that fits counts, -1 if none does. */
SAL_API int64_t sal_ping_target(const apr_array_header_t *rules, const char *os,
                                const char *channel, const char *process_type,
                                const char *utility_actor);

/*
 * Whether a ping is taken: with the probability target/expected, the same for the same document
 * id, and never more than target a day. expected: the larger of what came the day before and of
 * what has come so far, this ping included.
 */
SAL_API bool sal_ping_in_sample(const char *document_id, int64_t target, int64_t expected,
                                int64_t taken);

/* ---- work ---- */

/* A ping under lease. */
typedef struct sal_ping_job_t {
    const char *document_id;
    const char *received; /* as the database wrote it */
    int attempts;         /* leases granted; the fence */
    const char *os;
    const char *body;
} sal_ping_job_t;

/*
 * Leases up to max pings for `lease` seconds. New ones are counted and drawn for the sample first;
 * what is not drawn is marked, so *n may be 0 though *seen is not. A ping whose lease has run out
 * SAL_PING_ATTEMPTS times is given up.
 */
enum { SAL_PING_ATTEMPTS = 3 };
SAL_API apr_status_t sal_ping_claim(sal_ping_job_t **out, int *n, int *seen, int max, int lease,
                                    const apr_array_header_t *rules, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Gives leases back that were not used up: somebody else may have the pings at once. */
SAL_API apr_status_t sal_ping_return(const sal_ping_job_t *jobs, int n, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

/* What became of one. signature NULL: it failed, note says why. */
typedef struct sal_ping_result_t {
    const char *signature, *proto_signature;
    const char *stack; /* JSON */
    const char *note;
} sal_ping_result_t;

/* Stores results and counts them, one transaction; *stored: those whose lease was still ours. */
SAL_API apr_status_t sal_ping_complete(int *stored, const sal_ping_job_t *jobs,
                                       const sal_ping_result_t *results, int n, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

#endif
