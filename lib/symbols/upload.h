/*
 * Taking in an archive of symbols: check, stage, skip what is there, publish, record.
 *
 * The calls in their order: sal_upload_stage (nothing visible, no database), sal_upload_compare
 * (one query), sal_upload_publish (durable files), sal_upload_record (one transaction). Whoever
 * stops in between leaves nothing but temporary files that go with the pool, or files whose rows
 * a repeated upload writes.
 */
#ifndef SAL_SYMBOLS_UPLOAD_H
#define SAL_SYMBOLS_UPLOAD_H

#include <apr_time.h>
#include <jansson.h>
#include "db/db.h"
#include "symbols/sym_header.h"
#include "symbols/upload_zip.h"

/* Who sends what; texts are borrowed. */
typedef struct sal_upload_opts_t {
    const char *archive_name;  /* ends in .zip */
    const char *user;          /* never NULL */
    const char *address;       /* of the client, or NULL */
    int64_t user_id, token_id; /* 0: unknown */
    bool is_try;
    apr_time_t received; /* when the request began */
    const sal_upload_limits_t *limits;
} sal_upload_opts_t;

/* A member on its way into the store. */
typedef struct sal_upload_file_t {
    const sal_upload_member_t *member;
    sal_symbol_temp_t *temp;
    uint64_t stored_size;
    unsigned char md5[16], sha256[32]; /* of the original */
    unsigned char stored_sha256[32];   /* of the stored form */
    sal_sym_header_t header;           /* of a .sym */
    bool skipped;                      /* the same content is there */
    bool replaced;                     /* another content was there */
} sal_upload_file_t;

typedef struct sal_upload_t {
    sal_upload_opts_t opts;
    uint64_t archive_size;
    unsigned char archive_sha256[32];
    uint64_t unpacked;
    apr_array_header_t *files;    /* of sal_upload_file_t */
    apr_array_header_t *ignored;  /* of const char * */
    apr_array_header_t *warnings; /* of const char * */
    sal_symbol_store_t *store;
    int64_t id; /* of the row, once recorded */
    apr_time_t completed;
} sal_upload_t;

/*
 * Checks the archive in fd and writes each member's stored form to a temporary file. Reads the
 * archive twice (its digest; its members). Errors as sal_upload_zip_open; nothing is visible.
 */
SAL_API apr_status_t sal_upload_stage(sal_upload_t **out, sal_symbol_store_t *store, int fd,
                                      const sal_upload_opts_t *opts, apr_pool_t *p,
                                      sal_error_t *err);

/* Marks files whose content is stored under the same key already. baton: sal_upload_t *. */
SAL_API apr_status_t sal_upload_compare(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

/* Makes the others visible and durable. */
SAL_API apr_status_t sal_upload_publish(sal_upload_t *up, sal_error_t *err);

/* Writes all rows in one transaction; up->id is set. baton: sal_upload_t *. */
SAL_API apr_status_t sal_upload_record(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);

/* The answer, `{"upload": {...}}`, a new reference (docs/symbols.md, "Answer"). */
SAL_API json_t *sal_upload_json(const sal_upload_t *up);

/* Kind of a stored file by its leaf: "sym", "pdb", "pe", "elf", "elf_debug", ... never NULL. */
SAL_API const char *sal_upload_kind(const char *leaf);

#endif
