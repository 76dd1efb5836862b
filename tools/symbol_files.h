/*
 * Which files of a set of paths are symbols, and under which key each is to be stored.
 */
#ifndef TOOLS_SYMBOL_FILES_H
#define TOOLS_SYMBOL_FILES_H

#include <apr_hash.h>
#include <apr_tables.h>
#include "base/error.h"

typedef struct symbol_file_t {
    const char *path;
    const char *key; /* <debug_file>/<debug_id>/<leaf> */
    apr_uint64_t size;
} symbol_file_t;

typedef struct symbol_files_t {
    apr_array_header_t *files;    /* of symbol_file_t, each key once */
    apr_array_header_t *archives; /* of const char *: zip files as they are */
    apr_hash_t *seen;             /* key -> int *, its place in files */
    int passed_over;              /* files of directories that are no symbols */
} symbol_files_t;

/*
 * Adds a path: a directory (walked; Breakpad layout, or .sym files whose MODULE line tells the
 * key), a .sym, or a .zip. SAL_E_UNSUPPORTED for another file that was named itself,
 * SAL_E_MALFORMED for a .sym without a usable MODULE line.
 */
apr_status_t symbol_files_add(symbol_files_t *set, const char *path, apr_pool_t *p,
                              sal_error_t *err);

symbol_files_t *symbol_files_make(apr_pool_t *p);

#endif
