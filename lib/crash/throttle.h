/*
 * The throttler: an ordered list of rules decides what happens to a report.
 *
 * A rule's condition is a callback, so that conditions can be written in whatever language the
 * host has (httpd: ap_expr). The library has the tests that such a language cannot express, and
 * ships no rules; with an empty list the default decides. docs/throttling.md is about all of it.
 */
#ifndef SAL_CRASH_THROTTLE_H
#define SAL_CRASH_THROTTLE_H

#include <stdbool.h>
#include "crash/annotations.h"

/* The first four are the throttle digit of the crash id. */
typedef enum {
    SAL_THROTTLE_ACCEPT = 0,     /* stored and processed */
    SAL_THROTTLE_DEFER = 1,      /* stored, processed when somebody looks */
    SAL_THROTTLE_REJECT = 2,     /* not stored, and said so */
    SAL_THROTTLE_FAKEACCEPT = 3, /* not stored, but answered as if */
    SAL_THROTTLE_CONTINUE = 4    /* the next rule decides */
} sal_throttle_t;

typedef struct sal_throttle_rule_t {
    const char *name; /* [a-z0-9_]+; sent to clients */
    bool (*matches)(void *condition, const sal_annotations_t *a, void *baton);
    void *condition;
    double percent; /* with this chance `result`, else `otherwise`; 100 is always */
    sal_throttle_t result, otherwise;
} sal_throttle_rule_t;

typedef struct sal_throttle_rules_t {
    const sal_throttle_rule_t *rules;
    int n;
    sal_throttle_t fallback; /* where no rule decides: ACCEPT or REJECT */
} sal_throttle_rules_t;

typedef struct sal_verdict_t {
    sal_throttle_t result; /* never CONTINUE */
    const char *rule;      /* "accept_everything", "NO_MATCH" for the fallback */
    double percent;        /* 100 for constants, 0 where no rule matched */
} sal_verdict_t;

/* draw() gives uniform numbers in [0,100); NULL is the library's own. baton goes to matches(). */
SAL_API void sal_throttle_decide(sal_verdict_t *out, const sal_throttle_rules_t *rules,
                                 const sal_annotations_t *a, double (*draw)(void), void *baton);

/* What one rule said of a report, for those who want to know why. */
typedef struct sal_throttle_step_t {
    const sal_throttle_rule_t *rule;
    bool matched;
    double drawn;          /* -1 where no chance was needed */
    sal_throttle_t result; /* CONTINUE unless this rule decided */
} sal_throttle_step_t;
typedef void (*sal_throttle_step_fn)(void *baton, const sal_throttle_step_t *step);

/* The same, and step() is called for each rule that was asked, the last of which decided. */
SAL_API void sal_throttle_explain(sal_verdict_t *out, const sal_throttle_rules_t *rules,
                                  const sal_annotations_t *a, double (*draw)(void), void *baton,
                                  sal_throttle_step_fn step, void *step_baton);

/* [A-Za-z0-9_]{1,64}, and not NO_MATCH: names go into replies, logs and metrics. */
SAL_API bool sal_throttle_name_ok(const char *name);

/*
 * RESULT[:PERCENT[:ELSE]] in any case, as "continue:10:reject"; PERCENT is 0 to 100 with up to
 * six decimals, ELSE is continue if it is not given. NULL, or what is wrong with the text (in p).
 */
SAL_API const char *sal_throttle_parse_result(const char *text, sal_throttle_rule_t *out,
                                              apr_pool_t *p);

/*
 * Is this Mozilla's build id (20YYMMDDhhmmss, its first eight digits a real date) of a day that
 * began more than days before now? In local time, as the clock on the wall shows it.
 */
SAL_API bool sal_throttle_old_buildid(const char *text, int days, apr_time_t now);

/*
 * Is this a TelemetryEnvironment whose system.os has the name Windows_NT and a windowsBuildNumber
 * that is an integer, not 0 and at most max? Anything that is no such document is not.
 */
SAL_API bool sal_throttle_windows_upto(const char *text, int64_t max, apr_pool_t *p);

/* "ACCEPT", ... */
SAL_API const char *sal_throttle_name(sal_throttle_t result);
/* The value of a name in any case; false if it is none. */
SAL_API bool sal_throttle_parse(const char *name, sal_throttle_t *out);

#endif
