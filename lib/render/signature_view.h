/*
 * View models of the signature report: results of Super Search in, template data out (new
 * references). Knows no request, no database, no rights: what the reader may not see is not in
 * the results.
 */
#ifndef SAL_RENDER_SIGNATURE_VIEW_H
#define SAL_RENDER_SIGNATURE_VIEW_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_time.h>
#include "base/error.h"
#include "render/ask.h"

/* What links of a page are made of. */
typedef struct sal_sigview_t {
    const char *self;     /* "/signature/?signature=...&": a query can be added */
    const sal_ask_t *ask; /* the conditions beside the signature */
    int64_t total;        /* crashes that match: shares are of it */
    apr_pool_t *p;
} sal_sigview_t;

/* A facet's term as text: numbers as they are, truth values "true" and "false". */
SAL_API const char *sal_sigview_text(const json_t *term, apr_pool_t *p);

/*
 * A facet: {"title", "field", "code", "items": [as sal_chart_share, "rank"], "more"}; NULL if it
 * has no terms. Of more than `most` terms the rest becomes "others", and "more" is true.
 */
SAL_API json_t *sal_sigview_panel(const sal_sigview_t *v, const json_t *facet, const char *title,
                                  const char *field, bool code, int most);

/* Uptime by ranges, most first, empty ones left out; of a histogram by 60 s. NULL: none. */
SAL_API json_t *sal_sigview_uptime(const sal_sigview_t *v, const json_t *histogram);

/*
 * A facet in facets as rows, most crashes first, `most` at most: {"cells": [text...], "count",
 * "share", "link", "installs"}. path: the fields, NULL at the end; what has no value deeper
 * down is a row with "" there. installs: distinct install times, at most the crashes.
 */
SAL_API json_t *sal_sigview_rows(const sal_sigview_t *v, const json_t *facet,
                                 const char *const *path, int most);

/* A window of whole days. */
typedef struct sal_sigview_days_t {
    apr_time_t from; /* midnight, UTC */
    int days;
} sal_sigview_days_t;

typedef struct sal_sigview_mark_t {
    const char *text;
    apr_time_t at;
} sal_sigview_mark_t;

/*
 * Crashes a day by a field, as sal_chart_bars: the three commonest terms, and what is left.
 * histogram: histogram_date with facets of the field. marks outside the window are left out. Bars
 * link to their day. NULL: no crashes.
 */
SAL_API json_t *sal_sigview_trend(const sal_sigview_t *v, const json_t *histogram,
                                  const char *field, const sal_sigview_days_t *days,
                                  const sal_sigview_mark_t *marks, int n_marks, const char *id);

/*
 * Distinct stacks: {"items": [{"rank", "first", "count", "share", "frames": [pieces], "sample"
 * (a crash id), "search", "compare"}], "n", "verdict", "mixed"}. facet: of proto_signature; hits:
 * uuid and proto_signature of some crashes, newest first; distinct: how many there are.
 */
SAL_API json_t *sal_sigview_stacks(const sal_sigview_t *v, const json_t *facet, const json_t *hits,
                                   int64_t distinct);

/* Lowest and highest of a facet of versions, by sal_version_key; NULL if there is none. */
SAL_API const char *sal_sigview_versions(const json_t *facet, apr_pool_t *p);

#endif
