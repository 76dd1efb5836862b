/*
 * Writing multipart/form-data, for whoever sends crash reports: the submitter of `salvage submit`
 * and the stage submitter. Bodies stand in files: a dump may be large, and is sent more than once.
 * Errors of writing show up in ferror(f).
 */
#ifndef SAL_EXPORT_FORM_H
#define SAL_EXPORT_FORM_H

#include <stdio.h>
#include "base/error.h"

/* The head of a part, up to where its bytes begin. filename, type: NULL to leave them out. */
SAL_API void sal_form_part(FILE *f, const char *boundary, const char *name, const char *filename,
                           const char *type);

/* The line that ends the form. */
SAL_API void sal_form_end(FILE *f, const char *boundary);

/*
 * A name as Python's email.header writes it: ASCII as it is, others as RFC 2047 words of UTF-8, in
 * base64 or quoted, whichever is shorter. Words are separated by a blank, never by a line break.
 * What would end a quoted string or a line goes into words, too.
 */
SAL_API const char *sal_form_word(const char *name, apr_pool_t *p);

/* gzip of a whole file, in a new temporary file, written out; NULL if there is no room for it. */
SAL_API FILE *sal_form_gzip(FILE *in);

#endif
