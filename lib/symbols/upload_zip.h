/*
 * A zip of symbol files: what must be true of its names, sizes and methods before one byte of a
 * member is inflated. The texts of the errors are a contract with clients (docs/symbols.md).
 */
#ifndef SAL_SYMBOLS_UPLOAD_ZIP_H
#define SAL_SYMBOLS_UPLOAD_ZIP_H

#include <stdint.h>
#include <apr_tables.h>
#include "symbols/symbol_store.h"

typedef struct sal_upload_limits_t {
    uint32_t members;            /* files and directories in an archive */
    uint64_t member_size;        /* bytes of an unpacked member */
    uint32_t ratio;              /* unpacked to packed, of members over 1 MiB and of the whole */
    const char *const *snippets; /* not allowed in a member's name; NULL-terminated */
} sal_upload_limits_t;

/* 100000 members, 16 GiB, 1000, "qcom/proprietary". */
SAL_API extern const sal_upload_limits_t sal_upload_limits;

/* A file of the archive that is to be stored. */
typedef struct sal_upload_member_t {
    const char *name; /* valid UTF-8; equal to the key, letter case as sent */
    sal_symbol_key_t key;
    uint64_t index; /* in the archive */
    uint64_t size, packed;
    uint32_t crc;
    bool deflated; /* else stored */
} sal_upload_member_t;

typedef struct sal_upload_zip_t {
    apr_array_header_t *members; /* of sal_upload_member_t, archive order */
    apr_array_header_t *ignored; /* of const char *: accepted, but nothing to store */
    uint64_t unpacked;           /* sum of the members' sizes */
    void *zip;                   /* libzip's handle, closed with the pool */
} sal_upload_zip_t;

/* SAL_E_MALFORMED unless the archive is called something.zip. */
SAL_API apr_status_t sal_upload_name_check(const char *archive_name, apr_pool_t *p,
                                           sal_error_t *err);

/*
 * Opens the archive in fd (any seekable file; not closed) and checks the list of its members.
 * SAL_E_MALFORMED or SAL_E_TOOBIG with the text for the client; APR codes for our own failures.
 */
SAL_API apr_status_t sal_upload_zip_open(sal_upload_zip_t **out, int fd,
                                         const sal_upload_limits_t *limits, apr_pool_t *p,
                                         sal_error_t *err);

/* Takes the unpacked bytes of a member, piece by piece. */
typedef apr_status_t (*sal_upload_sink_fn)(void *baton, const void *data, apr_size_t size,
                                           sal_error_t *err);

/*
 * Reads one member: `packed` (may be NULL) gets the deflate stream as it stands in the archive,
 * `plain` the content. SAL_E_MALFORMED with the text for the client if size or CRC do not agree.
 * Memory: 128 KiB and zlib's window, from p.
 */
SAL_API apr_status_t sal_upload_zip_read(sal_upload_zip_t *zip, const sal_upload_member_t *member,
                                         sal_upload_sink_fn packed, sal_upload_sink_fn plain,
                                         void *baton, apr_pool_t *p, sal_error_t *err);

/* Python's repr of a text, as clients know names from the errors; cut at 350 bytes. */
SAL_API const char *sal_upload_repr(const char *text, apr_pool_t *p);

#endif
