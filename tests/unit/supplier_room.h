/*
 * A folder with symbols and suppliers for them; gone with room_close. Failures end the test.
 */
#ifndef TESTS_SUPPLIER_ROOM_H
#define TESTS_SUPPLIER_ROOM_H

#include "symbols/supplier.h"

#define ID "C3B913878AFB017237A4A08B325905C70"

/* The folder, and a pool that lives as long; NULL if there can be none. */
apr_pool_t *room_open(void);
int room_close(void);

/* Path of something in the folder. */
const char *in_dir(const char *name);

/* tree/NAME/ID/leaf with functions named after `tag`, about `functions` of them; its path. */
const char *put_symbols(const char *name, const char *id, const char *tag, int functions);

/* A supplier of the folder's tree. */
sal_supplier_t *make(const char *symcache, apr_uint64_t max_mapped, apr_pool_t *p);

/* Name of the function at 0x1000, or "" without symbols. */
const char *first_function(const sal_sym_ref_t *ref);

/* How many files of the folder fit a pattern. */
size_t count_files(const char *pattern);

#endif
