/*
 * MD5, SHA-256 and CRC-32 of a stream, of long ones in a thread of its own: the thread that
 * inflates does not wait for three digests of what it has inflated.
 *
 * Thread rule: one owner; the helper thread sees only the buffers that were handed to it, and ends
 * with the pool.
 */
#ifndef SAL_UPLOAD_DIGEST_H
#define SAL_UPLOAD_DIGEST_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum { SAL_DIGEST_ROOM = 65536 };

typedef struct sal_digest_t sal_digest_t;

typedef struct sal_digests_t {
    unsigned char md5[16], sha256[32];
    uint32_t crc;
} sal_digests_t;

SAL_API apr_status_t sal_digest_make(sal_digest_t **out, apr_pool_t *p, sal_error_t *err);

/* A new stream. What was not ended is forgotten. */
SAL_API apr_status_t sal_digest_begin(sal_digest_t *d, sal_error_t *err);

/* SAL_DIGEST_ROOM bytes to fill; they stay as they are until the next call but one. */
SAL_API unsigned char *sal_digest_room(sal_digest_t *d);

/* The first size bytes of the room are the next of the stream. */
SAL_API void sal_digest_add(sal_digest_t *d, size_t size);

SAL_API void sal_digest_end(sal_digest_t *d, sal_digests_t *out);

#endif
