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
#include "crash/container.h"

#define SAL_FRAME_HEAD 12
/* With what a pool adds, 36 KiB: a report in flight stays below 128 (docs/durability.md). */
#define SAL_PRESS_BLOCK (36864 - 768)

typedef struct sal_presses_t {
    pthread_mutex_t lock;
    pthread_cond_t free_again;
    struct sal_press_t *idle;
    int made, most;
} sal_presses_t;

void sal_presses_init(sal_presses_t *all);
void sal_presses_free(sal_presses_t *all);

/* A block as a zstd frame. What its pieces point to is good until it is given back. */
typedef struct sal_frame_t {
    sal_piece_t pieces[2];
    int n;
    struct sal_press_t *held; /* a compressor, or NULL */
    unsigned char head[SAL_FRAME_HEAD];
} sal_frame_t;

/*
 * Makes a frame of a block of at most SAL_PRESS_BLOCK bytes. What looks like noise (pictures,
 * archives, keys) is framed as it is: no compressor could make it smaller. APR_ENOMEM.
 */
apr_status_t sal_press(sal_frame_t *out, sal_presses_t *all, const void *data, apr_size_t size);
void sal_press_back(sal_presses_t *all, sal_frame_t *frame);

#endif
