/*
 * One file on its way into the store: its bytes come in, a temporary file in stored form, digests
 * and the header of a .sym come out. A .sym is stored as gzip; where its bytes come deflated they
 * are framed as gzip without being compressed again.
 *
 * Thread rule: one owner. Memory: about 1 MiB, whatever the file's size.
 */
#ifndef SAL_UPLOAD_STAGER_H
#define SAL_UPLOAD_STAGER_H

#include "symbols/sym_header.h"
#include "symbols/symbol_store.h"
#include "upload/log.h"

typedef struct sal_upload_stager_t sal_upload_stager_t;

/* prefix: of temporary names, 'w', or 's' for what may take days (symbol_store.h). */
SAL_API apr_status_t sal_upload_stager_make(sal_upload_stager_t **out, sal_symbol_store_t *store,
                                            char prefix, apr_pool_t *p, sal_error_t *err);

/*
 * Small files that are ended from now on get no temporary file: their stored form is given by
 * sal_upload_stager_body, until the next one is begun.
 */
SAL_API void sal_upload_stager_keep_small(sal_upload_stager_t *st);

/* The stored form of the file that was ended last; NULL: it is in its temporary file. */
SAL_API const void *sal_upload_stager_body(const sal_upload_stager_t *st, size_t *size);

/* Begins a file; one that was begun before and not ended is dropped. leaf decides its form. */
SAL_API apr_status_t sal_upload_stager_begin(sal_upload_stager_t *st, const char *leaf,
                                             bool deflated, sal_error_t *err);

/* Raw deflate (begin: deflated) or plain bytes. *took < size only where deflate has ended. */
SAL_API apr_status_t sal_upload_stager_feed(sal_upload_stager_t *st, const char *data, size_t size,
                                            size_t *took, sal_error_t *err);

/* Plain bytes so far, bytes fed so far; whether the deflate stream has ended. */
SAL_API uint64_t sal_upload_stager_size(const sal_upload_stager_t *st);
SAL_API uint64_t sal_upload_stager_packed(const sal_upload_stager_t *st);
SAL_API bool sal_upload_stager_ended(const sal_upload_stager_t *st);

/* The plain size at which feeding fails with SAL_E_TOOBIG, "Archive member too large". */
SAL_API void sal_upload_stager_limit(sal_upload_stager_t *st, uint64_t size, uint32_t ratio);

/*
 * All bytes were fed: fills sizes, digests, crc, temp and the DEFLATED flag of *e, and *header
 * (made in p; all NULL unless the file is a readable .sym). The temporary file is the caller's;
 * temp is "" where there is none.
 */
SAL_API apr_status_t sal_upload_stager_end(sal_upload_stager_t *st, sal_upload_entry_t *e,
                                           sal_sym_header_t *header, apr_pool_t *p,
                                           sal_error_t *err);

/* Drops the file that was begun. */
SAL_API void sal_upload_stager_drop(sal_upload_stager_t *st);

#endif
