/*
 * Builds out of files that build systems publish.
 */
#ifndef SAL_TRIAGE_VERSION_FETCH_H
#define SAL_TRIAGE_VERSION_FETCH_H

#include "base/conf.h"
#include "triage/versions.h"

/* A line `product-version-url URL [product=NAME] [final]`. */
typedef struct sal_version_source_t {
    const char *url;
    const char *product; /* NULL: as the file says */
    bool final;          /* the last build of a version that was released */
} sal_version_source_t;

SAL_API apr_status_t sal_version_source_parse(sal_version_source_t *out, const char *line,
                                              apr_pool_t *p, sal_error_t *err);

/*
 * The builds of a file: a table as sal_versions_read takes them, or one build (buildhub.json:
 * build.id, target.channel, target.version; or the older moz_update_channel, moz_app_version,
 * buildid). A build lies at .../<version>-candidates/build<N>/... : it is <version>rc<N>, and if it
 * is final <version> too; a candidate of the release channel belongs to beta.
 */
SAL_API apr_status_t sal_version_source_read(sal_product_version_t **out, int *n,
                                             const sal_version_source_t *source, const char *text,
                                             size_t len, apr_pool_t *p, sal_error_t *err);

/*
 * Fetches all of product-version-url and adds what is new. *added: builds. A file that cannot be
 * had or read does not keep the others from being taken; then the first error is the result.
 */
SAL_API apr_status_t sal_versions_fetch(int64_t *added, const sal_conf_t *conf, apr_time_t deadline,
                                        sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
