/*
 * Versions of products: which build is which version, which versions crashes come from, and how
 * versions are ordered (docs/triage.md).
 */
#ifndef SAL_TRIAGE_VERSIONS_H
#define SAL_TRIAGE_VERSIONS_H

#include <stdbool.h>
#include "db/db.h"
#include "process/process.h"

/* ---- order ---- */

enum { SAL_VERSION_KEY = 128 };

/*
 * A text that sorts (strcmp) as versions do: numbers, then alpha < beta.N < release < esr, then
 * the release candidate; a semantic version goes by its own rules. False if it is no version.
 */
SAL_API bool sal_version_key(char out[SAL_VERSION_KEY], const char *version);

/* ---- builds ---- */

enum { SAL_VERSION_TEXT_MAX = 200 }; /* bytes of each text but url: 1000 */

typedef struct sal_product_version_t {
    const char *product, *channel, *build, *version;
    const char *release; /* "108.0" of "108.0b3"; "" if it is not known */
    const char *url;     /* where it was read; "" if nowhere */
    int major;           /* 0: out of release or version */
} sal_product_version_t;

/*
 * Adds what is not known yet, all or nothing; *added (may be NULL): how many. Channels are kept in
 * lower case. SAL_E_MALFORMED: a text is empty, too long or no UTF-8.
 */
SAL_API apr_status_t sal_versions_put(int64_t *added, const sal_product_version_t *list, int n,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Reads a table: CSV, with a line of names (product or product_name, channel or release_channel,
 * build or build_id, version or version_string, release_version, major_version, archive_url or url;
 * others are passed over) or with product, channel, build, version in this order; or JSON, an array
 * of objects with these names. SAL_E_MALFORMED says which line or element is wrong.
 */
SAL_API apr_status_t sal_versions_read(sal_product_version_t **out, int *n, const char *text,
                                       size_t len, apr_pool_t *p, sal_error_t *err);

/* Rows: product, channel, major, release, version, build, url; NULL product: all. */
SAL_API apr_status_t sal_versions_list(sal_rows_t **out, const char *product, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/*
 * Version texts of a build, as the API's VersionString tells them: product and build exact, channel
 * in lower case. Of aurora and beta: if the first text has a "b", those with "rc" are left out,
 * else only those stay. NULL-terminated.
 */
SAL_API apr_status_t sal_version_lookup(const char ***out, const char *product, const char *channel,
                                        const char *build, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/*
 * The first of them through a cache of the process (5,000 builds; what is known is believed for a
 * day, what is not for half an hour; the oldest entry goes first). NULL: nothing is known. An error
 * of the database is reported and nothing is remembered. *hit (may be NULL): it was in the cache.
 * Thread-safe.
 */
SAL_API apr_status_t sal_version_cached(const char **out, bool *hit, const char *product,
                                        const char *channel, const char *build, apr_time_t now,
                                        sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Has rules ask here. get: the connection of the moment, NULL if there is none; a database that is
 * away means that nothing is known. Counts betaversionrule.cache and, of what the cache did not
 * have, betaversionrule.lookup with opts->metric, so set that first. What it needs lives in p.
 */
typedef sal_db_t *(*sal_version_db_fn)(void *baton);
SAL_API void sal_version_wire(sal_process_opts_t *opts, sal_version_db_fn get, void *baton,
                              apr_pool_t *p);

/* Empties the cache (after an import in the same process, tests). */
SAL_API void sal_version_cache_clear(void);

/* ---- versions that crashes come from ---- */

/*
 * Brings the tables of seen and active versions up to the counts by day. Active: at least 50
 * crashes within the 60 days that end with now's; of X.YbN also X.Yb. *n: versions seen.
 */
SAL_API apr_status_t sal_versions_learn(int64_t *n, apr_time_t now, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/* Rows, newest version first: version, n. */
SAL_API apr_status_t sal_versions_active(sal_rows_t **out, const char *product, sal_db_t *db,
                                         apr_pool_t *p, sal_error_t *err);

/*
 * The featured versions that "auto" stands for: of each major.minor the newest that is neither
 * "X.Yb" nor esr, the newest three of them. NULL-terminated.
 */
SAL_API apr_status_t sal_versions_featured(const char ***out, const char *product, sal_db_t *db,
                                           apr_pool_t *p, sal_error_t *err);

/* Rows: product, version, channel, build (0: none), first_seen, last_seen, n; product NULL: all. */
SAL_API apr_status_t sal_versions_seen(sal_rows_t **out, const char *product, sal_db_t *db,
                                       apr_pool_t *p, sal_error_t *err);

/* Rows, oldest first: version, when it was first seen; those of n versions that were. */
SAL_API apr_status_t sal_versions_began(sal_rows_t **out, const char *product,
                                        const char *const *versions, int n, sal_db_t *db,
                                        apr_pool_t *p, sal_error_t *err);

/* Forgets builds that no crash came from since `before`. *n: rows. */
SAL_API apr_status_t sal_versions_expire(int64_t *n, apr_time_t before, sal_db_t *db, apr_pool_t *p,
                                         sal_error_t *err);

#endif
