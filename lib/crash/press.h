/*
 * Compressors that the threads of a process share.
 *
 * One that streams holds a megabyte for as long as a client takes to send its dump. Here a dump is
 * cut into blocks, each a zstd frame of its own: a compressor is needed only while a block is
 * pressed, so there are a few a process and not one a request. Frames one after the other are
 * what `zstd -d` reads. Private to the room.
 */
#ifndef SAL_CRASH_PRESS_H
#define SAL_CRASH_PRESS_H

#include <pthread.h>
#include "base/error.h"

#define SAL_PRESS_BLOCK 49152 /* with it a report in flight stays below 128 KiB */

typedef struct sal_presses_t {
    pthread_mutex_t lock;
    pthread_cond_t free_again;
    struct sal_press_t *idle;
    int made, most;
} sal_presses_t;

void sal_presses_init(sal_presses_t *all);
void sal_presses_free(sal_presses_t *all);

/*
 * Compresses a block of at most SAL_PRESS_BLOCK bytes. *out points into *held, which belongs to
 * the caller until it gives it back. APR_ENOMEM.
 */
apr_status_t sal_press(struct sal_press_t **held, const void **out, apr_size_t *out_size,
                       sal_presses_t *all, const void *data, apr_size_t size);
void sal_press_back(sal_presses_t *all, struct sal_press_t *held);

#endif
