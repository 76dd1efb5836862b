/*
 * Builds out of a file: a table that a person or another system wrote.
 */
#include "triage/versions.h"

#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "triage/table.h"

enum { PRODUCT, CHANNEL, BUILD, VERSION, RELEASE, MAJOR, URL, COLUMNS };

static const table_column_t columns[COLUMNS] = {
    [PRODUCT] = { { "product", "product_name" }, 1 },
    [CHANNEL] = { { "channel", "release_channel" }, 1 },
    [BUILD] = { { "build", "build_id" }, 1 },
    [VERSION] = { { "version", "version_string" }, 1 },
    [RELEASE] = { { "release", "release_version" }, 0 },
    [MAJOR] = { { "major", "major_version" }, 0 },
    [URL] = { { "url", "archive_url" }, 0 },
};

apr_status_t sal_versions_read(sal_product_version_t **out, int *n, const char *text, size_t len,
                               apr_pool_t *p, sal_error_t *err)
{
    const char ***rows;
    apr_status_t rv = table_read(&rows, n, columns, COLUMNS, text, len, p, err);

    *out = apr_pcalloc(p, sizeof(**out) * ((apr_size_t)(rv == APR_SUCCESS ? *n : 0) + 1));
    for (int i = 0; rv == APR_SUCCESS && i < *n; i++) {
        int64_t major = 0;

        if (*rows[i][MAJOR] && !sal_parse_int(rows[i][MAJOR], 0, INT32_MAX, &major)) {
            return sal_fail(err, SAL_E_MALFORMED, "row %d: the major version is no number", i + 1);
        }
        (*out)[i] = (sal_product_version_t){ .product = rows[i][PRODUCT],
                                             .channel = rows[i][CHANNEL],
                                             .build = rows[i][BUILD],
                                             .version = rows[i][VERSION],
                                             .release = rows[i][RELEASE],
                                             .url = rows[i][URL],
                                             .major = (int)major };
    }
    return rv;
}
