/*
 * /metrics for all modules: one page in Prometheus' text format, to which each module adds its own
 * families through an optional hook.
 *
 *   APR_OPTIONAL_HOOK(web, salvage_metrics, my_metrics, NULL, NULL, APR_HOOK_MIDDLE);
 *
 * A family is opened once and its samples follow at once: the format forbids to come back to it.
 */
#ifndef MODULES_COMMON_METRICS_H
#define MODULES_COMMON_METRICS_H

#include "common/web.h"
#include <apr_optional_hooks.h>

typedef struct web_metrics_t web_metrics_t;

#define WEB_DECLARE(type) type /* hidden: each module has its own copy */

/* Adds families to the page; returns OK or DECLINED, and all modules are asked. */
APR_DECLARE_EXTERNAL_HOOK(web, WEB, int, salvage_metrics, (web_metrics_t * m))

/* The request that asked; its pool holds whatever is put together for the page. */
request_rec *web_metrics_request(const web_metrics_t *m);

/* Begins a family. name is complete; type is counter, gauge, histogram or untyped. */
void web_metrics_family(web_metrics_t *m, const char *name, const char *type, const char *help);

/*
 * A sample of the open family. suffix is "" or "_bucket", "_sum", "_count"; labels come in pairs,
 * name (a constant), value (escaped here), and end in NULL.
 */
void web_metrics_sample(web_metrics_t *m, const char *suffix, double value, ...)
    __attribute__((sentinel));

/* A family of one sample without labels. */
void web_metrics_one(web_metrics_t *m, const char *name, const char *type, const char *help,
                     double value);

/* Asks every module and answers; GET and HEAD only. Any module's handler may call it. */
int web_metrics_reply(request_rec *r);

#endif
