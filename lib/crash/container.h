/*
 * A zip container being written: stored entries, one after the other, to a descriptor.
 *
 * Sizes and check sums are not known before an entry has streamed through; its local header is
 * filled in by pwrite when it ends, so that readers need no data descriptors. An entry that is
 * there whole is written with its header in one call. Private to the room.
 */
#ifndef SAL_CRASH_CONTAINER_H
#define SAL_CRASH_CONTAINER_H

#include <stdbool.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"

typedef struct sal_container_t {
    int fd;
    apr_pool_t *pool;
    apr_array_header_t *entries;
    apr_uint32_t dos_time;
    apr_uint64_t offset;  /* where the buffer will be written */
    apr_uint64_t started; /* write-back was started up to here */
    apr_size_t used;      /* bytes in buf */
    apr_size_t room;      /* of buf */
    char *buf;
} sal_container_t;

/* Bytes of an entry, in pieces so that nobody has to put them side by side. */
typedef struct sal_piece_t {
    const void *data;
    apr_size_t size;
} sal_piece_t;

/*
 * buf gathers what is small; what does not fit is written past it, not through it. It has at least
 * 64 bytes and lasts as long as c, or until another takes its place.
 */
void sal_container_init(sal_container_t *c, int fd, apr_time_t now, char *buf, apr_size_t room,
                        apr_pool_t *p);
/* Goes on with another buffer, which has room for what is in the old one. */
void sal_container_move(sal_container_t *c, char *buf, apr_size_t room);

/* SAL_E_TOOBIG at 4 GiB or 65000 entries; an errno if writing fails. */
apr_status_t sal_container_begin(sal_container_t *c, const char *name);
apr_status_t sal_container_write(sal_container_t *c, const sal_piece_t *pieces, int n);
apr_status_t sal_container_end(sal_container_t *c);
/* Takes back the entry that is being written. */
apr_status_t sal_container_drop(sal_container_t *c);
/* The three in one, for an entry that is there whole. */
apr_status_t sal_container_put(sal_container_t *c, const char *name, const sal_piece_t *pieces,
                               int n);
/* Central directory; everything is written (not synced) when this returns. */
apr_status_t sal_container_finish(sal_container_t *c);

#endif
