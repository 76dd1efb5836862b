/*
 * Shared compressors. The lock guards the list; a compressor that was taken belongs to its thread.
 */
#include "crash/press.h"

#include <stdlib.h>
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
    ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1);
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

void sal_press_back(sal_presses_t *all, sal_press_t *held)
{
    pthread_mutex_lock(&all->lock);
    held->next = all->idle;
    all->idle = held;
    pthread_cond_signal(&all->free_again);
    pthread_mutex_unlock(&all->lock);
}

apr_status_t sal_press(sal_press_t **held, const void **out, apr_size_t *out_size,
                       sal_presses_t *all, const void *data, apr_size_t size)
{
    size_t n;

    *held = take(all);
    if (!*held) {
        return APR_ENOMEM;
    }
    n = ZSTD_compress2((*held)->zstd, (*held)->out, sizeof((*held)->out), data, size);
    if (ZSTD_isError(n)) {
        sal_press_back(all, *held);
        return APR_ENOMEM;
    }
    *out = (*held)->out;
    *out_size = n;
    return APR_SUCCESS;
}
