/*
 * What the reader of archives and that of central directories share. Private to the room.
 */
#ifndef SAL_UPLOAD_STREAM_PRIVATE_H
#define SAL_UPLOAD_STREAM_PRIVATE_H

#define OPENSSL_SUPPRESS_DEPRECATED /* the state of EVP's digests cannot be saved */
#include <openssl/sha.h>

#include "upload/adopt.h"
#include "upload/names.h"
#include "upload/stager.h"
#include "upload/stream.h"

enum {
    SIG_LOCAL = 0x04034b50,
    SIG_CENTRAL = 0x02014b50,
    SIG_END = 0x06054b50,
    SIG_END64 = 0x06064b50,
    SIG_LOCATOR = 0x07064b50,
    SIG_DESCRIPTOR = 0x08074b50
};
enum { LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22, END64_SIZE = 56, LOCATOR_SIZE = 20 };
enum { HOLD_SIZE = CENTRAL_SIZE + 3 * 65535, END64_MAX = 65536 };

typedef enum { RECORD, MEMBER, DESCRIPTOR, SPOOL, ENDED, BROKEN } state_t;

struct sal_upload_stream_t {
    sal_upload_stream_opts_t opts;
    sal_upload_log_t *log;
    sal_upload_stager_t *stager;
    sal_adopt_t *adopt;
    sal_names_t *names; /* of the central directory, once it began */
    apr_pool_t *pool, *scratch;
    state_t state;
    uint64_t offset, record; /* of the next byte; of the record in hold */
    uint64_t unpacked, adopted, listed, left;
    sal_upload_mark_t mark;
    SHA256_CTX sha;
    apr_status_t broken;
    /* the member being read */
    sal_upload_entry_t entry;
    sal_sym_header_t header;
    char *name;
    uint64_t claimed; /* size the header tells */
    uint32_t claimed_crc;
    bool boundary; /* a member has just ended */
    bool known;    /* sizes and CRC stand in the header */
    bool staged;   /* its bytes go to the stager; else they are passed over */
    bool wide;     /* the header has a Zip64 field */
    int spool;
    bool spool_given;
    size_t held;
    unsigned char hold[HOLD_SIZE];
};

static inline uint16_t le16(const unsigned char *d)
{
    return (uint16_t)(d[0] | d[1] << 8);
}

static inline uint32_t le32(const unsigned char *d)
{
    return le16(d) | (uint32_t)le16(d + 2) << 16;
}

static inline uint64_t le64(const unsigned char *d)
{
    return le32(d) | (uint64_t)le32(d + 4) << 32;
}

/*
 * Each value that is all ones is replaced by the next of the Zip64 field of [extra, extra + size);
 * false: it is too short.
 */
bool sal_zip_take_wide(const unsigned char *extra, size_t size, uint64_t **values, int n,
                       bool *present);

/* An entry of the central directory, all of it in s->hold. */
apr_status_t sal_upload_central_entry(sal_upload_stream_t *s, sal_error_t *err);

/* Judges a spooled archive and stages what was not staged from the front. */
apr_status_t sal_upload_central_spooled(sal_upload_stream_t *s, sal_error_t *err);

/* Marks an entry of the log as listed, with what is to be said of its name. */
apr_status_t sal_upload_list_name(sal_upload_stream_t *s, uint32_t i, sal_upload_entry_t *e,
                                  const char *name, sal_error_t *err);

/* True if the header of the .sym does not match the key. */
bool sal_upload_is_liar(const sal_sym_header_t *h, const char *name, apr_pool_t *p);

#endif
