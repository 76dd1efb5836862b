/*
 * Shared compressors. The lock guards the list; a compressor that was taken belongs to its thread.
 */
#include "crash/press.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* Level 3 would save 2 % more of a minidump (docs/durability.md). */
#define LEVEL 1
/* Room for threads that wait for the disk with a block in hand; more would only be memory. */
#define PER_CPU 2

typedef struct sal_press_t {
    struct sal_press_t *next;
    ZSTD_CCtx *zstd;
    char out[ZSTD_COMPRESSBOUND(SAL_PRESS_BLOCK)];
} sal_press_t;

void sal_presses_init(sal_presses_t *all)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->free_again, NULL);
    all->idle = NULL;
    all->made = 0;
    all->most = PER_CPU * (cpus < 1 ? 1 : cpus > 64 ? 64 : (int)cpus);
}

static void free_press(sal_press_t *p)
{
    ZSTD_freeCCtx(p->zstd);
    free(p);
}

void sal_presses_free(sal_presses_t *all)
{
    while (all->idle) {
        sal_press_t *p = all->idle;

        all->idle = p->next;
        free_press(p);
    }
    pthread_cond_destroy(&all->free_again);
    pthread_mutex_destroy(&all->lock);
}

static sal_press_t *make_press(void)
{
    sal_press_t *p = malloc(sizeof(*p));

    if (!p) {
        return NULL;
    }
    p->zstd = ZSTD_createCCtx();
    if (!p->zstd) {
        free(p);
        return NULL;
    }
    ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, LEVEL);
    return p;
}

/* An idle one, a new one, or, with enough of them at work, the next that comes back. */
static sal_press_t *take(sal_presses_t *all)
{
    sal_press_t *p;

    pthread_mutex_lock(&all->lock);
    while (!all->idle && all->made >= all->most) {
        pthread_cond_wait(&all->free_again, &all->lock);
    }
    p = all->idle;
    if (p) {
        all->idle = p->next;
    } else {
        all->made++;
    }
    pthread_mutex_unlock(&all->lock);
    if (p) {
        return p;
    }
    p = make_press();
    if (!p) {
        pthread_mutex_lock(&all->lock);
        all->made--;
        pthread_cond_signal(&all->free_again);
        pthread_mutex_unlock(&all->lock);
    }
    return p;
}

void sal_press_back(sal_presses_t *all, sal_frame_t *frame)
{
    sal_press_t *held = frame->held;

    if (!held) {
        return;
    }
    frame->held = NULL;
    pthread_mutex_lock(&all->lock);
    held->next = all->idle;
    all->idle = held;
    pthread_cond_signal(&all->free_again);
    pthread_mutex_unlock(&all->lock);
}

/*
 * Samples of a block: of bytes drawn evenly from all 256, N of them give a sum of squared counts of
 * N + N (N - 1) / 256, 5116 for 1024, give or take 90. Text, code, pointers are far above.
 */
#define SAMPLES 8
#define SAMPLE 128
#define NOISE_MAX 5500

static bool is_noise(const unsigned char *data, apr_size_t size)
{
    unsigned short counts[256] = { 0 };
    unsigned sum = 0;

    if (size < (apr_size_t)SAMPLES * SAMPLE * 4) {
        return false; /* compressed in no time */
    }
    for (apr_size_t i = 0; i < SAMPLES; i++) {
        const unsigned char *from = data + size / SAMPLES * i;

        for (int k = 0; k < SAMPLE; k++) {
            counts[from[k]]++;
        }
    }
    for (int i = 0; i < 256; i++) {
        sum += (unsigned)counts[i] * counts[i];
    }
    return sum <= NOISE_MAX;
}

/*
 * RFC 8878: magic, a descriptor (one segment, four bytes of size, no check sum: the container has
 * two), the size, and one raw block, the last.
 */
static void frame_noise(sal_frame_t *out, const void *data, apr_size_t size)
{
    static const unsigned char start[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xa0 };
    apr_uint32_t block = (apr_uint32_t)size << 3 | 1;

    memcpy(out->head, start, sizeof(start));
    for (int i = 0; i < 4; i++) {
        out->head[5 + i] = (unsigned char)(size >> 8 * i);
    }
    for (int i = 0; i < 3; i++) {
        out->head[9 + i] = (unsigned char)(block >> 8 * i);
    }
    out->pieces[0] = (sal_piece_t){ out->head, SAL_FRAME_HEAD };
    out->pieces[1] = (sal_piece_t){ data, size };
    out->n = 2;
}

apr_status_t sal_press(sal_frame_t *out, sal_presses_t *all, const void *data, apr_size_t size)
{
    sal_press_t *held;
    size_t n;

    out->held = NULL;
    if (is_noise(data, size)) {
        frame_noise(out, data, size);
        return APR_SUCCESS;
    }
    held = out->held = take(all);
    if (!held) {
        return APR_ENOMEM;
    }
    n = ZSTD_compress2(held->zstd, held->out, sizeof(held->out), data, size);
    if (ZSTD_isError(n)) {
        sal_press_back(all, out);
        return APR_ENOMEM;
    }
    out->pieces[0] = (sal_piece_t){ held->out, n };
    out->n = 1;
    return APR_SUCCESS;
}
