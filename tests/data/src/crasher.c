/*
 * Crashes in ways that test data needs: a null write at the end of a chain of calls in the main
 * thread, or abort(), while threads with names wait.
 *
 * usage: crasher write|abort
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_WORKERS = 3 };

typedef struct queue_t {
    int depth;
    int *slots;
} queue_t;

static pthread_barrier_t ready;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static const char *const worker_names[N_WORKERS] = { "reader", "indexer", "writer" };

static __attribute__((noinline)) void store_item(queue_t *q, int item)
{
    q->slots[q->depth] = item; /* slots is NULL: the crash */
    q->depth++;
}

static __attribute__((noinline)) int push_items(queue_t *q, int n)
{
    for (int i = 0; i < n; i++) {
        store_item(q, i * 3);
    }
    return q->depth;
}

static __attribute__((noinline)) int fill_queue(queue_t *q, int level)
{
    char pad[64];
    int n;

    memset(pad, level, sizeof(pad));
    n = level ? fill_queue(q, level - 1) : push_items(q, 4);
    return n + pad[level];
}

static __attribute__((noinline)) int give_up(const char *why)
{
    fprintf(stderr, "crasher: %s\n", why);
    abort();
}

/* Waits for a lock that is never released: a stack that ends in libc. */
static __attribute__((noinline)) void wait_for_work(void)
{
    pthread_barrier_wait(&ready);
    pthread_mutex_lock(&gate);
}

static void *worker_main(void *arg)
{
    pthread_setname_np(pthread_self(), arg);
    wait_for_work();
    return NULL;
}

static void start_workers(void)
{
    pthread_t thread;

    pthread_barrier_init(&ready, NULL, N_WORKERS + 1);
    pthread_mutex_lock(&gate);
    for (int i = 0; i < N_WORKERS; i++) {
        if (pthread_create(&thread, NULL, worker_main, (void *)worker_names[i])) {
            exit(1);
        }
    }
    pthread_barrier_wait(&ready);
    usleep(200000); /* until they all wait for the lock */
}

int main(int argc, char **argv)
{
    queue_t queue = { 0, NULL };

    start_workers();
    if (argc > 1 && !strcmp(argv[1], "abort")) {
        return give_up("nothing to do");
    }
    return fill_queue(&queue, 3);
}
