/*
 * Claims a second: clients that take one job a claim until there is none, then end them all, each
 * in a transaction.
 *
 *   bench_queue CONNINFO CLIENTS
 *
 * The queue is filled beforehand; prints jobs, seconds for claiming them, seconds for ending them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <apr_general.h>
#include <apr_time.h>
#include "queue/queue.h"

enum { CLIENTS = 64, JOBS = 30000 };

typedef struct client_t {
    pthread_t thread;
    const char *conninfo;
    apr_pool_t *p;
    sal_db_t *db;
    sal_job_t held[JOBS];
    int n, failed;
} client_t;

static apr_status_t end_job(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_queue_done(baton, db, p, err);
}

static void *claim_all(void *data)
{
    client_t *c = data;
    sal_error_t err = { .message = "" };
    int n = 1;

    apr_pool_create(&c->p, NULL);
    c->failed = sal_db_connect(&c->db, c->conninfo, c->p, &err) != APR_SUCCESS;
    while (!c->failed && n > 0 && c->n < JOBS) {
        sal_job_t *jobs;

        c->failed = sal_queue_claim(&jobs, &n, 1, "bench", 600, c->db, c->p, &err) != APR_SUCCESS;
        if (!c->failed && n > 0) {
            c->held[c->n++] = jobs[0];
        }
    }
    if (c->failed) {
        fprintf(stderr, "bench_queue: %s\n", err.message);
    }
    return NULL;
}

static void *end_all(void *data)
{
    client_t *c = data;
    sal_error_t err = { .message = "" };

    for (int i = 0; i < c->n && !c->failed; i++) {
        apr_pool_t *own;

        apr_pool_create(&own, c->p);
        c->failed = sal_db_txn(c->db, end_job, &c->held[i], own, &err) != APR_SUCCESS;
        apr_pool_destroy(own);
    }
    if (c->failed) {
        fprintf(stderr, "bench_queue: %s\n", err.message);
    }
    return NULL;
}

/* Seconds that all clients take. */
static double together(client_t *clients, int n, void *(*run)(void *))
{
    apr_time_t start = apr_time_now();

    for (int i = 0; i < n; i++) {
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i])) {
            exit(1);
        }
    }
    for (int i = 0; i < n; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    return (double)(apr_time_now() - start) / APR_USEC_PER_SEC;
}

int main(int argc, char **argv)
{
    static client_t clients[CLIENTS];
    int n = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0, done = 0, failed = 0;
    double claiming, ending;

    if (n < 1 || n > CLIENTS) {
        fputs("usage: bench_queue CONNINFO CLIENTS\n", stderr);
        return 2;
    }
    apr_initialize();
    for (int i = 0; i < n; i++) {
        clients[i].conninfo = argv[1];
    }
    claiming = together(clients, n, claim_all);
    ending = together(clients, n, end_all);
    for (int i = 0; i < n; i++) {
        done += clients[i].n;
        failed += clients[i].failed;
    }
    printf("%d %.6f %.6f\n", done, claiming, ending);
    return failed ? 1 : 0;
}
