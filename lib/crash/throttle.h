/*
 * The throttler: an ordered list of rules decides what happens to a report.
 *
 * A rule's condition is a callback, so that conditions can be written in whatever language the
 * host has (httpd: ap_expr). The library ships none; with an empty list the default decides.
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

/* "ACCEPT", ... */
SAL_API const char *sal_throttle_name(sal_throttle_t result);
/* The value of a name in any case; false if it is none. */
SAL_API bool sal_throttle_parse(const char *name, sal_throttle_t *out);

#endif
