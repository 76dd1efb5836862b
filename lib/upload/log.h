/*
 * The list of an archive's members on their way into the store, kept in two files so that memory
 * does not grow with their number: fixed entries, and the texts that belong to them.
 *
 * Thread rule: one owner.
 */
#ifndef SAL_UPLOAD_LOG_H
#define SAL_UPLOAD_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "symbols/sym_header.h"

enum {
    SAL_UPLOAD_FILE = 1,      /* to be stored */
    SAL_UPLOAD_IGNORED = 2,   /* accepted, nothing to store */
    SAL_UPLOAD_FOLDER = 4,    /* a directory */
    SAL_UPLOAD_REPLACED = 8,  /* a later member of the same name takes its place */
    SAL_UPLOAD_SKIPPED = 16,  /* the store has the same content */
    SAL_UPLOAD_CHANGED = 32,  /* the store had other content under this key */
    SAL_UPLOAD_LIAR = 64,     /* a .sym whose header does not match its key */
    SAL_UPLOAD_ADOPTED = 128, /* staged by an earlier, broken upload */
    SAL_UPLOAD_DEFLATED = 256
};

enum { SAL_UPLOAD_TEMP_NAME = 16 };

/* Written to disk as it is, read by the same build on the same host only. */
typedef struct sal_upload_entry_t {
    uint64_t offset; /* of the local header in the archive */
    uint64_t size, packed, stored_size;
    uint64_t texts; /* where its texts begin: the name, the header of a .sym, a small body */
    uint32_t name_len, header_len, crc, flags;
    uint32_t listed;                   /* number of the pass that found it listed; 0: none */
    uint32_t body_len;                 /* of the stored form kept here; 0: it is in temp */
    char temp[SAL_UPLOAD_TEMP_NAME];   /* its file in ROOT/tmp, "" if there is none */
    unsigned char md5[16], sha256[32]; /* of the original */
    unsigned char stored_sha256[32];   /* of the stored form */
} sal_upload_entry_t;

typedef struct sal_upload_log_t sal_upload_log_t;

/*
 * Over two open files, which are cut to count entries and text_size bytes. They are closed with
 * the pool.
 */
SAL_API apr_status_t sal_upload_log_open(sal_upload_log_t **out, int entries_fd, int texts_fd,
                                         uint32_t count, uint64_t text_size, apr_pool_t *p,
                                         sal_error_t *err);

SAL_API uint32_t sal_upload_log_count(const sal_upload_log_t *log);
SAL_API uint64_t sal_upload_log_text_size(const sal_upload_log_t *log);

/*
 * Appends; e's texts, name_len, header_len and body_len are filled in. header may be NULL. body:
 * the stored form of a small file, which then needs no file of its own until it is published; NULL
 * none.
 */
SAL_API apr_status_t sal_upload_log_add(sal_upload_log_t *log, sal_upload_entry_t *e,
                                        const char *name, const sal_sym_header_t *header,
                                        const void *body, apr_size_t body_len, sal_error_t *err);

SAL_API apr_status_t sal_upload_log_get(sal_upload_log_t *log, uint32_t i, sal_upload_entry_t *e,
                                        sal_error_t *err);
SAL_API apr_status_t sal_upload_log_put(sal_upload_log_t *log, uint32_t i,
                                        const sal_upload_entry_t *e, sal_error_t *err);

/* The entry at this offset of the archive; entries were added in that order. False: there is none.
 */
SAL_API bool sal_upload_log_find(sal_upload_log_t *log, uint64_t offset, uint32_t *i,
                                 sal_upload_entry_t *e);

/* Texts in p; NULL if they cannot be read. */
SAL_API const char *sal_upload_log_name(sal_upload_log_t *log, const sal_upload_entry_t *e,
                                        apr_pool_t *p);
SAL_API void sal_upload_log_header(sal_upload_log_t *log, const sal_upload_entry_t *e,
                                   sal_sym_header_t *out, apr_pool_t *p);

/* body_len bytes in p; NULL if they cannot be read. */
SAL_API const char *sal_upload_log_body(sal_upload_log_t *log, const sal_upload_entry_t *e,
                                        apr_pool_t *p);

/* The header as one run of NUL-terminated texts, and back; an unreadable header is no bytes. */
SAL_API const char *sal_upload_header_pack(const sal_sym_header_t *h, apr_size_t *size,
                                           apr_pool_t *p);
SAL_API void sal_upload_header_unpack(sal_sym_header_t *h, const char *data, apr_size_t size,
                                      apr_pool_t *p);

#endif
