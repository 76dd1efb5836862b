/*
 * What the parts of the comparison share.
 */
#ifndef SAL_RENDER_DIFF_PRIVATE_H
#define SAL_RENDER_DIFF_PRIVATE_H

#include "render/diff.h"

/* diff_stack.c: rows of the aligned stacks, and how many frames are the same of how many. */
void sal_diff_put_stacks(const sal_diff_in_t *in, json_t *view, apr_pool_t *p);

/* diff_values.c: fields and modules that differ; returns how many. */
int sal_diff_put_fields(const sal_diff_in_t *in, json_t *view, apr_pool_t *p);
int sal_diff_put_modules(const sal_diff_in_t *in, json_t *view, apr_pool_t *p);

#endif
