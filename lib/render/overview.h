/*
 * The view models of the overview and of a product's home: what lib/triage/overview.h read in,
 * template data out.
 */
#ifndef SAL_RENDER_OVERVIEW_H
#define SAL_RENDER_OVERVIEW_H

#include <jansson.h>
#include "triage/overview.h"

/* New references. */
SAL_API json_t *sal_overview_view(const sal_overview_t *o, apr_pool_t *p);

/* o was read for one product. version: the one that was asked for, or NULL. */
SAL_API json_t *sal_product_view(const sal_overview_t *o, const char *version, apr_pool_t *p);

#endif
