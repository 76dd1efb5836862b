/*
 * View models of what stands beside lists: facets, links of pages.
 */
#ifndef SAL_RENDER_LIST_H
#define SAL_RENDER_LIST_H

#include <jansson.h>
#include "base/error.h"

/*
 * New reference: a facet as {"title", "code", "items": [{"parts", "link", "count", "share"}]},
 * or NULL if it is empty. link is prefix + the encoded value.
 */
SAL_API json_t *sal_list_facet(const json_t *facet, const char *title, int code, const char *prefix,
                               apr_int64_t total, apr_pool_t *p);

/* New reference: links of pages around `page` of `pages`; link is prefix + number. */
SAL_API json_t *sal_list_pager(int page, int pages, apr_int64_t from, apr_int64_t to,
                               apr_int64_t total, const char *prefix, apr_pool_t *p);

#endif
