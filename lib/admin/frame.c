/*
 * Reads what stands around pages.
 */
#include "admin/frame.h"

#include <string.h>

#include "triage/versions.h"

enum { KIND_MESSAGE = 1, KIND_PRODUCT, KIND_VERSION };

static bool listed(const char *const *list, const char *text)
{
    for (; list && *list; list++) {
        if (!strcmp(*list, text)) {
            return true;
        }
    }
    return false;
}

static void take_row(sal_frame_t *out, const sal_rows_t *rows, int i, const char *const *featured)
{
    const char *a = sal_rows_text(rows, i, 1), *b = sal_rows_text(rows, i, 2);

    switch (sal_rows_int(rows, i, 0)) {
    case KIND_MESSAGE:
        out->messages[out->n_messages++] =
            (sal_frame_message_t){ .severity = a, .text = b, .created = sal_rows_time(rows, i, 3) };
        break;
    case KIND_PRODUCT:
        out->products[out->n_products++] = (sal_frame_product_t){ .name = a, .note = b };
        break;
    default:
        if (!listed(featured, a)) {
            out->versions[out->n_versions++] = (sal_frame_version_t){ .name = a };
        }
        break;
    }
}

apr_status_t sal_frame_read(sal_frame_t *out, const char *product, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err)
{
    const char **featured = NULL;
    sal_rows_t *rows;
    apr_status_t rv = sal_db_exec(db, &sal_s_frame_read, &rows, p, err, SAL_V_TEXT(product));
    apr_size_t n, more = 0;

    memset(out, 0, sizeof(*out));
    if (rv == APR_SUCCESS && product) {
        rv = sal_versions_featured(&featured, product, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    while (featured && featured[more]) {
        more++;
    }
    n = (apr_size_t)sal_rows_count(rows);
    out->messages = apr_pcalloc(p, (n + 1) * sizeof(*out->messages));
    out->products = apr_pcalloc(p, (n + 1) * sizeof(*out->products));
    out->versions = apr_pcalloc(p, (n + more + 1) * sizeof(*out->versions));
    for (apr_size_t i = 0; i < more; i++) {
        out->versions[out->n_versions++] =
            (sal_frame_version_t){ .name = featured[i], .featured = true };
    }
    for (int i = 0; i < (int)n; i++) {
        take_row(out, rows, i, featured);
    }
    return APR_SUCCESS;
}
