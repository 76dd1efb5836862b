/*
 * `salvage product versions ...`
 */
#ifndef TOOLS_PRODUCT_VERSIONS_H
#define TOOLS_PRODUCT_VERSIONS_H

#include "cmd.h"

#define USAGE_VERSIONS                                                                             \
    "product versions import FILE|- | list [PRODUCT] | lookup PRODUCT CHANNEL BUILD | "            \
    "seen [PRODUCT] | active PRODUCT  [-c FILE]"

/* args: behind "versions". */
int product_versions(const char **args, int n, const char *conf, apr_pool_t *p);

#endif
