/*
 * How long symbols stay. A rule is a line `symbols-keep` of salvage.conf:
 *
 *   symbols-keep [try|regular] [product NAME] [channel NAME] [age TIME | for-ever] [newest N]
 *
 * The first rule that fits a file decides about it. It goes when it is older than `age` and not
 * among the files of the `newest` N builds of its product and channel; without `age`, when it is
 * not among those. Age counts from the last time the same content was sent. What is to be kept
 * until a date (symbol_file.keep_until) is kept until then whatever the rules say. Without rules:
 * try for 28 days, regular for 730, as Tecken.
 *
 * Deleting ends the key, then the row, then the blob if no row names it: whoever stops in between
 * leaves what the next run finishes.
 */
#ifndef SAL_BOOKS_RETENTION_H
#define SAL_BOOKS_RETENTION_H

#include <apr_tables.h>
#include "base/conf.h"
#include "db/db.h"
#include "symbols/symbol_store.h"

typedef struct sal_keep_rule_t {
    int kind;                      /* -1: any, 0: regular, 1: try */
    const char *product, *channel; /* "": any; letter case does not matter */
    int64_t age;                   /* seconds; -1: for ever */
    int newest;                    /* builds; 0: none is kept for being new */
} sal_keep_rule_t;

/* Rules of a configuration, the default ones if it has none. SAL_E_MALFORMED names the line. */
SAL_API apr_status_t sal_keep_rules(apr_array_header_t **out, const sal_conf_t *conf, apr_pool_t *p,
                                    sal_error_t *err);

/* One rule from its text. */
SAL_API apr_status_t sal_keep_rule_parse(sal_keep_rule_t *out, const char *text, apr_pool_t *p,
                                         sal_error_t *err);

/* Files by what they belong to; NULL and 0 are "any". */
typedef struct sal_symbols_which_t {
    const char *product, *version, *channel, *build; /* exactly, but for letter case */
    const char *key;                                 /* a part of the key, any letter case */
    int64_t file, upload;                            /* ids */
    int kind;                                        /* -1: any, 0: regular, 1: try */
    int64_t older;                                   /* seconds since it was sent; 0: any */
} sal_symbols_which_t;

typedef struct sal_symbols_found_t {
    int64_t id, upload, size, stored, hits;
    const char *key, *product, *version, *channel, *build;
    bool is_try, current; /* current: the key stands for it */
    apr_time_t created, keep_until, last_access;
} sal_symbols_found_t;

/* Called for each file; anything but APR_SUCCESS ends the work. */
typedef apr_status_t (*sal_symbols_found_fn)(void *baton, const sal_symbols_found_t *file);

typedef struct sal_symbols_gone_t {
    int64_t files;  /* rows */
    int64_t stored; /* bytes they took, shared or not */
    int64_t freed;  /* bytes of the blobs that are gone */
} sal_symbols_gone_t;

/* Lists files, oldest first. */
SAL_API apr_status_t sal_symbols_list(const sal_symbols_which_t *which, sal_symbols_found_fn fn,
                                      void *baton, sal_db_t *db, apr_pool_t *p, sal_error_t *err);

/*
 * Deletes them; fn (may be NULL) hears of each before. dry: only that. Files that are to be kept
 * until a date are deleted too: somebody has named them.
 */
SAL_API apr_status_t sal_symbols_delete(sal_symbols_gone_t *out, const sal_symbols_which_t *which,
                                        bool dry, sal_symbols_found_fn fn, void *baton,
                                        sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/*
 * The same on somebody's behalf: a row of the audit log says who deletes what, before anything is
 * gone. fn hears of each file before, dry or not.
 */
SAL_API apr_status_t sal_symbols_delete_by(sal_symbols_gone_t *out,
                                           const sal_symbols_which_t *which, bool dry,
                                           const char *actor, sal_symbols_found_fn fn, void *baton,
                                           sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                           sal_error_t *err);

/* Deletes what the rules let go. */
SAL_API apr_status_t sal_symbols_expire(sal_symbols_gone_t *out, const apr_array_header_t *rules,
                                        bool dry, sal_symbols_found_fn fn, void *baton,
                                        sal_symbol_store_t *store, sal_db_t *db, apr_pool_t *p,
                                        sal_error_t *err);

/* Sets (0: clears) the date until which files are kept; *n counts them. */
SAL_API apr_status_t sal_symbols_keep(int64_t *n, const sal_symbols_which_t *which,
                                      apr_time_t until, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * Removes blobs that no key and no row names, untouched for a day: of uploads that ended badly.
 * Also the rows of uploads without files that are older than files ever get by default.
 */
SAL_API apr_status_t sal_symbols_tidy(sal_symbols_gone_t *out, sal_symbol_store_t *store,
                                      sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
