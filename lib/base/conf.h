/*
 * salvage.conf: `key value` lines shared by modules, daemon and tools (docs/man/salvage.conf.5).
 *
 * '#' starts a comment line; a value runs to the end of the line, blanks trimmed; a later line of
 * the same key wins, except for keys that are lists (listed in conf.c), which append. An unknown
 * key is an error that names the line and the nearest valid keys. Relative paths are relative to
 * the directory of the file.
 *
 * Keys:  database          libpq conninfo
 *        crash-store       directory of the crash store
 *        symbol-store      directory of the symbol store
 *        symcache          directory of built symcaches, shared by all processes of the host
 *        symcache-size     its bound, e.g. 20G
 *        symbols-path      (list) extra directories in Breakpad layout, searched after the store
 *        symbols-upstream  (list) servers that symbols are pulled from: sal_upstream_server_parse
 *        symbols-upstream-cache, -cache-size, -max-file, -timeout, -connect-timeout, -negative,
 *        -per-dump         where to, how much, how long: docs/symbols.md "Upstream servers"
 *        symbols-keep      (list) how long symbols stay (lib/books/retention.h)
 *        siglists          directory of signature lists
 *        schema, fields-extra, process-tables   what the processor goes by: lib/process/tables.h
 *        ping-keep, ping-sample (list)   crash pings: docs/pings.md
 *        hints, hint-bit-flip, hint-places, hint-window, hint-period, hint-text-hardware,
 *        hint-text-unrelated, hint-text-fixed   docs/hints.md
 *        reprocess-rate, -max-running, -quota, -debounce, -newest, -most, -tries, -missing-keep
 *        docs/reprocessing.md
 *        beta-version-products, bugzilla-url, bugzilla-key-file, product-version-url (list),
 *        bug-url (address of bugs with %d), correlation-days, correlation-signatures,
 *        triage-permission   docs/triage.md
 *        job (list), job-keep, job-stuck-ready, job-stuck-leased, pci-ids   periodic jobs
 *        crash-keep, dump-keep, search-keep, ledger-keep, keep-first, keep-newest   retention:
 *        docs/jobs.md
 *        search-at-once, search-wait, search-limit, search-limit-anonymous, search-limit-long
 *        bounds of searches: docs/search.md
 *        exporter, exporter-timeout, exporter-attempts, telemetry, telemetry-interval,
 *        telemetry-batch, s3, s3-region, s3-credentials, stage-submit, webhook   docs/export.md
 *        sign-in-url, sign-out-url   where people are authenticated
 *        audit-domains (list)   whose people may see protected data: docs/access.md
 *        source-link (list), bug-link (list), bug-url, build-link (list)   docs/report.md
 *        store-unsafe-fs   on|off: accept a file system whose promises are not known
 *        templates, htdocs directories of the pages
 *        workers, lease, stackwalk-timeout, stackwalk-memory, dump-timeout, dump-memory   the
 *        daemon's
 */
#ifndef SAL_BASE_CONF_H
#define SAL_BASE_CONF_H

#include "base/error.h"

typedef struct sal_conf_t sal_conf_t;

SAL_API apr_status_t sal_conf_read(sal_conf_t **out, const char *path, apr_pool_t *p,
                                   sal_error_t *err);

/* The same from text that stands for the file `path` (which need not exist); text is changed. */
SAL_API apr_status_t sal_conf_parse(sal_conf_t **out, char *text, apr_size_t size, const char *path,
                                    apr_pool_t *p, sal_error_t *err);

/* Value or fallback. Path-valued keys come back absolute. */
SAL_API const char *sal_conf_get(const sal_conf_t *conf, const char *key, const char *fallback);

/* All values of a list key, NULL-terminated, never NULL. */
SAL_API const char *const *sal_conf_list(const sal_conf_t *conf, const char *key);

SAL_API int sal_conf_on(const sal_conf_t *conf, const char *key, int fallback);
/* A number; sizes come back in bytes and durations in seconds. */
SAL_API apr_int64_t sal_conf_int(const sal_conf_t *conf, const char *key, apr_int64_t fallback);

#endif
