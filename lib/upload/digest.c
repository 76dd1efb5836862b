/*
 * A ring of buffers between the thread that fills them and the one that digests them. Streams that
 * fit the ring's first buffers are digested where they come from: a thread would cost them more.
 */
#include "upload/digest.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>
#include <zlib.h>
#include "base/thread.h"

enum { BUFFERS = 8, ALONE = 4 }; /* buffers of a stream before a thread is worth it */

struct sal_digest_t {
    EVP_MD_CTX *md5, *sha;
    uLong crc;
    unsigned char *room[BUFFERS];
    size_t size[BUFFERS];
    unsigned added; /* buffers of this stream */
    unsigned head;  /* next to be filled: the owner's alone */
    bool threaded;  /* this stream's buffers go to the thread */
    bool has_thread, refused;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, less;
    unsigned tail, queued; /* under the lock */
    bool stop;
};

static void digest(sal_digest_t *d, unsigned i)
{
    EVP_DigestUpdate(d->md5, d->room[i], d->size[i]);
    EVP_DigestUpdate(d->sha, d->room[i], d->size[i]);
    d->crc = crc32(d->crc, d->room[i], (uInt)d->size[i]);
}

static void *work(void *v)
{
    sal_digest_t *d = v;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->queued && !d->stop) {
            pthread_cond_wait(&d->more, &d->lock);
        }
        if (!d->queued) {
            break;
        }
        pthread_mutex_unlock(&d->lock);
        digest(d, d->tail);
        pthread_mutex_lock(&d->lock);
        d->tail = (d->tail + 1) % BUFFERS;
        d->queued--;
        pthread_cond_signal(&d->less);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static bool start_thread(sal_digest_t *d)
{
    if (d->has_thread || d->refused) {
        return d->has_thread;
    }
    d->has_thread = sal_thread_start(&d->thread, work, d) == 0;
    d->refused = !d->has_thread;
    return d->has_thread;
}

static void wait_until(sal_digest_t *d, unsigned queued)
{
    pthread_mutex_lock(&d->lock);
    while (d->queued > queued) {
        pthread_cond_wait(&d->less, &d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

static apr_status_t end_thread(void *v)
{
    sal_digest_t *d = v;

    if (d->has_thread) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->more);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    pthread_cond_destroy(&d->more);
    pthread_cond_destroy(&d->less);
    pthread_mutex_destroy(&d->lock);
    EVP_MD_CTX_free(d->md5);
    EVP_MD_CTX_free(d->sha);
    return APR_SUCCESS;
}

apr_status_t sal_digest_make(sal_digest_t **out, apr_pool_t *p, sal_error_t *err)
{
    sal_digest_t *d = apr_pcalloc(p, sizeof(*d));

    d->md5 = EVP_MD_CTX_new();
    d->sha = EVP_MD_CTX_new();
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->more, NULL);
    pthread_cond_init(&d->less, NULL);
    apr_pool_cleanup_register(p, d, end_thread, apr_pool_cleanup_null);
    for (int i = 0; i < BUFFERS; i++) {
        d->room[i] = apr_palloc(p, SAL_DIGEST_ROOM);
    }
    if (!d->md5 || !d->sha) {
        return sal_fail(err, APR_ENOMEM, "no memory for a digest");
    }
    *out = d;
    return APR_SUCCESS;
}

apr_status_t sal_digest_begin(sal_digest_t *d, sal_error_t *err)
{
    if (d->threaded) {
        wait_until(d, 0);
    }
    d->threaded = false;
    d->added = 0;
    d->crc = crc32(0, NULL, 0);
    if (!EVP_DigestInit_ex(d->md5, EVP_md5(), NULL) ||
        !EVP_DigestInit_ex(d->sha, EVP_sha256(), NULL)) {
        return sal_fail(err, APR_EGENERAL, "MD5 or SHA-256 is switched off in OpenSSL");
    }
    return APR_SUCCESS;
}

unsigned char *sal_digest_room(sal_digest_t *d)
{
    if (d->threaded) {
        wait_until(d, BUFFERS - 2); /* the one before this may still be read by the owner */
    }
    return d->room[d->head];
}

void sal_digest_add(sal_digest_t *d, size_t size)
{
    unsigned i = d->head;

    d->size[i] = size;
    d->head = (i + 1) % BUFFERS;
    if (!d->threaded && ++d->added > ALONE && start_thread(d)) {
        d->threaded = true;
        d->tail = i; /* nothing is queued: the thread waits and does not look at it */
    }
    if (!d->threaded) {
        digest(d, i);
        return;
    }
    pthread_mutex_lock(&d->lock);
    d->queued++;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
}

void sal_digest_end(sal_digest_t *d, sal_digests_t *out)
{
    if (d->threaded) {
        wait_until(d, 0);
        d->threaded = false;
    }
    EVP_DigestFinal_ex(d->md5, out->md5, NULL);
    EVP_DigestFinal_ex(d->sha, out->sha256, NULL);
    out->crc = (uint32_t)d->crc;
}
