/*
 * Taking over a tree of symbols: what symstore.exe makes (one tier or two), what Breakpad's tools
 * make, what was copied out of a bucket of Tecken. Compressed .sym files are recognized by content,
 * with and without .gz or .zst in their names.
 */
#ifndef SAL_UPLOAD_IMPORT_H
#define SAL_UPLOAD_IMPORT_H

#include <apr_tables.h>
#include "db/db.h"
#include "symbols/symbol_store.h"

typedef struct sal_import_file_t {
    const char *path; /* of the file */
    const char *key;  /* what it becomes */
} sal_import_file_t;

typedef struct sal_import_tree_t {
    apr_array_header_t *files;   /* of sal_import_file_t, in the order of keys */
    apr_array_header_t *strange; /* const char *: paths that are no symbol file's */
    bool two_tier;
} sal_import_tree_t;

/* Looks through a tree; reads no file. What belongs to a SymStore's own books is left out. */
SAL_API apr_status_t sal_import_scan(sal_import_tree_t *out, const char *dir, apr_pool_t *p,
                                     sal_error_t *err);

typedef struct sal_import_opts_t {
    const char *user, *name; /* of the upload's row */
    bool is_try;
    const char *product, *version, *channel; /* for files that do not say; NULL: nothing */
    /* Opens a file; NULL: open(2). Errors are those of errno, -1. */
    int (*open_file)(void *baton, const char *path);
    /* Hears of each file that could not be taken; may be NULL. */
    void (*failed)(void *baton, const char *path, const sal_error_t *err);
    void *baton;
} sal_import_opts_t;

typedef struct sal_import_sum_t {
    int64_t upload; /* id of the row */
    int64_t stored, skipped, failed;
    uint64_t bytes; /* of the stored files, unpacked */
} sal_import_sum_t;

/*
 * Stores the files of a tree in batches, each durable and recorded before the next. A file that is
 * there already with the same content is skipped, so that an import that broke off is repeated.
 */
SAL_API apr_status_t sal_import_run(sal_import_sum_t *out, const sal_import_tree_t *tree,
                                    const sal_import_opts_t *opts, sal_symbol_store_t *store,
                                    sal_db_t *db, apr_pool_t *p, sal_error_t *err);

#endif
