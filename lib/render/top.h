/*
 * The view models of top crashers, and the same as CSV and JSON: what lib/triage/top.h read in,
 * template data out. Every state of the page is an address, which is made here as well.
 */
#ifndef SAL_RENDER_TOP_H
#define SAL_RENDER_TOP_H

#include <jansson.h>
#include "triage/top.h"

/* What a reader asks for: the parameters of /topcrashers/, checked. */
typedef struct sal_top_ask_t {
    const char *product;
    const char *const *versions; /* NULL-terminated; none: all */
    const char *process_type;    /* "parent", "any", ... */
    const char *platform;        /* "all", "Windows", ... */
    const char *report_type;     /* "crash", "any", "hang" */
    int days, size;
    bool by_day, by_build; /* until midnight; by build id */
    bool several;          /* only what crashes more than one installation */
    const char *sort;      /* "-count" */
} sal_top_ask_t;

/* What else a view needs to know. */
typedef struct sal_top_env_t {
    apr_time_t now, from, to;
    const char *bug_url; /* with %d, or NULL */
    const char *before;  /* the version before that of the ask, or NULL */
} sal_top_env_t;

/* The allowed values, the first one being the default; NULL or 0 at the end. */
SAL_API const char *const *sal_top_values(const char *param);
/* `value` if it is one of them, else NULL. */
SAL_API const char *sal_top_value(const char *param, const char *value);

/* The address of an ask, with one parameter changed (NULL: none). path: "/topcrashers/". */
SAL_API const char *sal_top_address(const char *path, const sal_top_ask_t *ask, const char *param,
                                    const char *value, apr_pool_t *p);

/* Sorts rows, and drops those of one installation if that was asked for. */
SAL_API void sal_top_arrange(sal_top_t *top, const sal_top_ask_t *ask);

/* New references. */
SAL_API json_t *sal_top_view(const sal_top_t *top, const sal_top_ask_t *ask,
                             const sal_top_env_t *env, apr_pool_t *p);
SAL_API json_t *sal_top_compare_view(const sal_top_compare_t *c, const sal_top_ask_t *ask,
                                     const char *a, const char *b, const sal_top_env_t *env,
                                     apr_pool_t *p);
SAL_API json_t *sal_top_regressions_view(const sal_top_regressions_t *r, const sal_top_ask_t *ask,
                                         const char *version, const sal_top_env_t *env,
                                         apr_pool_t *p);
SAL_API json_t *sal_top_json(const sal_top_t *top, const sal_top_ask_t *ask,
                             const sal_top_env_t *env, apr_pool_t *p);
SAL_API const char *sal_top_csv(const sal_top_t *top, apr_pool_t *p);

/* A value of CSV in quotation marks; what a spreadsheet would take for a formula gets a ' before.
 */
SAL_API const char *sal_csv_text(const char *text, apr_pool_t *p);

/* The signature's page, narrowed to the ask and the window. version NULL: those of the ask. */
SAL_API const char *sal_top_signature_link(const char *signature, const sal_top_ask_t *ask,
                                           const char *version, const sal_top_env_t *env,
                                           apr_pool_t *p);

/* Tags of days: {"kind", "text", "title"} appended to list, and "rising", "back". */
SAL_API void sal_top_tag(json_t *list, const char *kind, const char *text, const char *title);
SAL_API void sal_top_day_tags(json_t *list, const int64_t days[SAL_BOARD_DAYS], apr_pool_t *p);

/* {"kind": "up", "down", "", "new", "text"}: by how much a share or count changed. */
SAL_API json_t *sal_top_delta(const char *kind, const char *text, const char *title);

#endif
