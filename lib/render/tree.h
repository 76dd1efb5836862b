/*
 * A JSON document as a tree that opens and closes without scripts: templates cannot call
 * themselves, so a tree is a flat list of what to write.
 */
#ifndef SAL_RENDER_TREE_H
#define SAL_RENDER_TREE_H

#include <jansson.h>
#include "base/error.h"

/*
 * Data of templates/tree.mustache, a new reference: steps, each {"open": {"key", "note"}},
 * {"leaf": {"key", "value"}} or {"close": true}; members by name. At most max values and 40 levels
 * deep; what is beyond is counted in a last step {"more": text}.
 */
SAL_API json_t *sal_tree_view(const json_t *v, int max, apr_pool_t *p);

#endif
