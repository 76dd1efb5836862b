/*
 * What a search found, for the templates of the search page: the table of crashes and the panels of
 * facets. Every value is a link that narrows the question to it.
 */
#ifndef SAL_RENDER_ASK_RESULT_H
#define SAL_RENDER_ASK_RESULT_H

#include "render/ask.h"

/* The columns of a page: those of "_columns" (commas separate, too), or the usual ones; each once,
   and none that the reader may not see. Never uuid: the first column is the report. In ask->p. */
SAL_API const char *const *sal_ask_columns(const sal_ask_t *ask, int *n);

/*
 * New reference: {"heads": [{"label", "link", "sort", "num"}], "rows": [{"id", "short_id",
 * "cells": [{"label", "full", "num", "nw", "time", "iso", "missing", "items": [{"parts",
 * "signature", "code", "link", "report"}]}]}]}. hits: of sal_super_run.
 */
SAL_API json_t *sal_ask_table(const sal_ask_t *ask, const json_t *hits, const char *const *columns,
                              int n);

/*
 * New reference: the facets of a result as panels, in the order asked for: [{"name", "title", "id",
 * "code", "locked", "value", "n", "items", "more": [{"rank", "parts", "link", "count", "share",
 * "term", "report", "nested": [{"name", "text"}]}]}]. Of each 10 items stand in items, the others
 * in more. names: what was asked for, NULL-terminated.
 */
SAL_API json_t *sal_ask_facets(const sal_ask_t *ask, const json_t *facets, const char *const *names,
                               apr_int64_t total);

/* "build id" of "build_id". */
SAL_API const char *sal_ask_label(const char *field, apr_pool_t *p);

/* The question narrowed to one value of a field, as a query. */
SAL_API const char *sal_ask_narrowed(const sal_ask_t *ask, const sal_search_field_t *f,
                                     const char *value);

/* Pairs that bound a search by [from, to) in place of its dates. */
SAL_API sal_ask_t *sal_ask_between(const sal_ask_t *ask, apr_time_t from, apr_time_t to);

#endif
