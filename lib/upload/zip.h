/*
 * A zip of symbol files: what must be true of its names, sizes and methods before one byte of a
 * member is inflated. The texts of the errors are a contract with clients (docs/symbols.md).
 */
#ifndef SAL_UPLOAD_ZIP_H
#define SAL_UPLOAD_ZIP_H

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

/* Takes the bytes of a member as they stand in the archive, piece by piece. */
typedef apr_status_t (*sal_upload_sink_fn)(void *baton, const char *data, size_t size,
                                           sal_error_t *err);

/* Reads the packed bytes of one member; what they unpack to is the sink's to check. */
SAL_API apr_status_t sal_upload_zip_pour(sal_upload_zip_t *zip, const sal_upload_member_t *member,
                                         sal_upload_sink_fn sink, void *baton, apr_pool_t *p,
                                         sal_error_t *err);

/* What a member's name makes of it. */
typedef enum { SAL_MEMBER_FILE, SAL_MEMBER_IGNORED, SAL_MEMBER_FOLDER } sal_member_kind_t;

/*
 * Judges a name: SAL_E_MALFORMED with the text for the client, or its kind and, of a file, its key
 * (in p).
 */
SAL_API apr_status_t sal_upload_member_name(sal_member_kind_t *kind, sal_symbol_key_t *key,
                                            const char *name, const char *const *snippets,
                                            apr_pool_t *p, sal_error_t *err);

/* The texts that clients know, each SAL_E_MALFORMED. */
SAL_API apr_status_t sal_upload_bad_name(const char *name, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_upload_bad_crc(const char *name, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_upload_bad_feature(const char *name, apr_pool_t *p, sal_error_t *err);
SAL_API apr_status_t sal_upload_twice(const char *name, uint64_t second, uint64_t first,
                                      apr_pool_t *p, sal_error_t *err);

/* Python's repr of a text, as clients know names from the errors; cut at 350 bytes. */
SAL_API const char *sal_upload_repr(const char *text, apr_pool_t *p);

#endif
