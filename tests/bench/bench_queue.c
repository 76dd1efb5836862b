/*
 * Claims a second: clients that take one job each and end it, as workers do, and nothing between.
 *
 *   bench_queue CONNINFO CLIENTS
 *
 * The queue is filled beforehand; prints the jobs that were done and the seconds it took.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <apr_general.h>
#include <apr_time.h>
#include "queue/queue.h"

enum { CLIENTS = 64 };

typedef struct client_t {
    pthread_t thread;
    const char *conninfo;
    int done, failed;
} client_t;

static void *run(void *data)
{
    client_t *c = data;
    sal_error_t err = { .message = "" };
    apr_pool_t *p, *own;
    sal_db_t *db;
    int n = 1;

    apr_pool_create(&p, NULL);
    c->failed = sal_db_connect(&db, c->conninfo, p, &err) != APR_SUCCESS;
    while (!c->failed && n > 0) {
        sal_job_t *jobs;

        apr_pool_create(&own, p);
        c->failed = sal_queue_claim(&jobs, &n, 1, "bench", 60, db, own, &err) != APR_SUCCESS ||
                    (n > 0 && sal_queue_done(jobs, db, own, &err) != APR_SUCCESS);
        c->done += !c->failed && n > 0;
        apr_pool_destroy(own);
    }
    if (c->failed) {
        fprintf(stderr, "bench_queue: %s\n", err.message);
    }
    apr_pool_destroy(p);
    return NULL;
}

int main(int argc, char **argv)
{
    static client_t clients[CLIENTS];
    int n = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0, done = 0, failed = 0;
    apr_time_t start;

    if (n < 1 || n > CLIENTS) {
        fputs("usage: bench_queue CONNINFO CLIENTS\n", stderr);
        return 2;
    }
    apr_initialize();
    start = apr_time_now();
    for (int i = 0; i < n; i++) {
        clients[i].conninfo = argv[1];
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i])) {
            return 1;
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(clients[i].thread, NULL);
        done += clients[i].done;
        failed += clients[i].failed;
    }
    printf("%d %.6f\n", done, (double)(apr_time_now() - start) / APR_USEC_PER_SEC);
    return failed ? 1 : 0;
}
