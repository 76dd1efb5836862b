/*
 * The first lines of a .sym file, MODULE and INFO, as bookkeeping wants them. Never a reason to
 * refuse a file: what cannot be read is left out.
 */
#ifndef SAL_SYMBOLS_SYM_HEADER_H
#define SAL_SYMBOLS_SYM_HEADER_H

#include <stdbool.h>
#include "base/error.h"

enum { SAL_SYM_HEADER_BYTES = 8192 }; /* as much of a file as is looked at */

/* Texts are NULL if the header cannot be read, "" if a line is missing. Ids are upper-case. */
typedef struct sal_sym_header_t {
    const char *os, *arch, *debug_id, *debug_file;   /* MODULE */
    const char *code_id, *code_file, *generator;     /* INFO CODE_ID, INFO GENERATOR */
    const char *product, *version, *channel, *build; /* INFO lines of Mozilla's builds */
} sal_sym_header_t;

/* Reads the beginning of a file (at most SAL_SYM_HEADER_BYTES of it); texts are made in p. */
SAL_API void sal_sym_header_read(sal_sym_header_t *out, const char *text, apr_size_t len,
                                 apr_pool_t *p);

#endif
