/*
 * Alerts: what watches a saved search, and what they told (docs/alerts.md). Rows and their checks;
 * what is looked for, and how it is told, is lib/jobs/alerts.h.
 */
#ifndef SAL_TRIAGE_ALERT_H
#define SAL_TRIAGE_ALERT_H

#include <stdbool.h>
#include <apr_time.h>
#include "db/db.h"

typedef enum {
    SAL_ALERT_COUNT, /* threshold crashes within the span */
    SAL_ALERT_NTH,   /* every threshold-th crash since the alert was made */
    SAL_ALERT_RATE,  /* threshold crashes an hour, over the span */
    SAL_ALERT_NEW,   /* a signature the search had not had, with threshold crashes in the span */
    SAL_ALERT_SPIKE  /* threshold times what is usual, and at least minimum crashes */
} sal_alert_kind_t;

typedef enum { SAL_ALERT_WEBHOOK, SAL_ALERT_MAIL } sal_alert_way_t;

enum {
    SAL_ALERT_MOST = 100, /* of a person */
    SAL_ALERT_SPAN_MIN = 300,
    SAL_ALERT_SPAN_MAX = 30 * 86400,
    SAL_ALERT_QUIET_MIN = 300,
    SAL_ALERT_QUIET_MAX = 30 * 86400,
    SAL_ALERT_MINIMUM = 10, /* of spikes, if nothing is said */
    SAL_ALERT_HISTORY = 100 /* events that are listed */
};

typedef struct sal_alert_t {
    int64_t id, search, owner;
    const char *owner_name, *search_key, *search_name, *query;
    bool owner_active;
    int owner_permissions; /* enum sal_permission bits, now */
    const char *name;
    sal_alert_kind_t kind;
    double threshold;
    int minimum, span, quiet; /* span, quiet: seconds */
    sal_alert_way_t way;
    const char *target;
    bool paused, ready;
    apr_time_t created, looked, last_alarm, mark; /* 0: never */
    bool valued;                                  /* value is known */
    double value, usual;
    const char *error; /* NULL: none */
    int64_t counted, reached;
} sal_alert_t;

/* "count", "nth", "rate", "new", "spike"; false: no such kind. */
SAL_API const char *sal_alert_kind_name(sal_alert_kind_t kind);
SAL_API bool sal_alert_kind(const char *name, sal_alert_kind_t *out);
/* What it waits for, as words: "100 crashes within 24 hours". */
SAL_API const char *sal_alert_words(const sal_alert_t *a, apr_pool_t *p);
/* "24 hours", "5 minutes". */
SAL_API const char *sal_alert_span_words(int seconds, apr_pool_t *p);

/* An address that can stand in the head of a mail: one, plain, at most 254 bytes. */
SAL_API bool sal_alert_address(const char *text);

/*
 * Makes an alert of a search that the person owns; *id. Numbers are checked: SAL_E_MALFORMED says
 * what is wrong. APR_ENOENT: no such search of theirs; SAL_E_TOOBIG: they have SAL_ALERT_MOST.
 */
SAL_API apr_status_t sal_alert_put(int64_t *id, const sal_alert_t *alert, int64_t owner,
                                   const char *search_key, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err);

/* Those of an owner, or (0) all, by name; or one (id not 0). */
SAL_API apr_status_t sal_alert_list(sal_alert_t **out, int *n, int64_t owner, int64_t id,
                                    sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/* Of an owner, or (0) of anybody. APR_ENOENT. */
SAL_API apr_status_t sal_alert_pause(int64_t owner, int64_t id, bool paused, sal_db_t *db,
                                     apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_alert_drop(int64_t owner, int64_t id, sal_db_t *db, apr_pool_t *p,
                                    sal_error_t *err);

/* Web hooks that are configured; NULL-terminated. */
SAL_API apr_status_t sal_alert_hooks(const char ***out, sal_db_t *db, apr_pool_t *p,
                                     sal_error_t *err);

typedef struct sal_alert_event_t {
    int64_t id;
    apr_time_t at;
    bool test;
    sal_alert_way_t way;
    const char *target, *body;
    int state, attempts; /* state: 0 waits, 1 handed over, 2 failed */
    const char *error;
} sal_alert_event_t;

/* What an alert told, the newest first, at most SAL_ALERT_HISTORY. */
SAL_API apr_status_t sal_alert_events(sal_alert_event_t **out, int *n, int64_t alert, sal_db_t *db,
                                      apr_pool_t *p, sal_error_t *err);

#endif
