/*
 * Speed of the symcache in this process: build, open, warm lookups. Processor time: what others do
 * on the machine does not count.
 *
 *   bench_symcache SYM CACHE MODULE_SIZE -> "build_ms open_us warm_ns hits cold_ns"
 *
 * warm: the same 10,000 addresses again and again, as stacks of one product bring them; cold: every
 * time another address of the whole module, which measures memory rather than the lookup.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <apr_general.h>

#include "symbols/symcache.h"

enum { LOOKUPS = 2000000, HOT = 10000, OPENS = 200 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double time_opens(const char *path, apr_pool_t *p)
{
    double start = now();

    for (int i = 0; i < OPENS; i++) {
        sal_symcache_t *c;
        apr_pool_t *sub;

        apr_pool_create(&sub, p);
        if (sal_symcache_open(&c, path, sub, NULL) != APR_SUCCESS) {
            fprintf(stderr, "bench_symcache: %s does not open\n", path);
            exit(1);
        }
        apr_pool_destroy(sub);
    }
    return (now() - start) / OPENS;
}

/* Addresses spread over the module by a linear congruential generator, anew after `again`. */
static double time_lookups(const sal_symcache_t *c, uint64_t span, long again, long *hits)
{
    uint64_t x = 0;
    sal_sym_hit_t hit;
    double start = now();

    *hits = 0;
    for (long i = 0; i < LOOKUPS; i++) {
        if (i % again == 0) {
            x = 88172645463325252u;
        }
        x = x * 6364136223846793005u + 1442695040888963407u;
        *hits += sal_symcache_lookup(c, (x >> 33) % span, &hit, NULL, 0);
    }
    return (now() - start) / LOOKUPS;
}

int main(int argc, char **argv)
{
    sal_symcache_t *c;
    sal_error_t err = { 0 };
    apr_pool_t *p;
    double start, build, opens, warm, cold;
    uint64_t span;
    long hits = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: bench_symcache SYM CACHE MODULE_SIZE\n");
        return 2;
    }
    apr_initialize();
    apr_pool_create(&p, NULL);
    start = now();
    if (sal_symcache_build(argv[2], argv[1], p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_symcache: %s\n", err.message);
        return 1;
    }
    build = now() - start;
    opens = time_opens(argv[2], p);
    if (sal_symcache_open(&c, argv[2], p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_symcache: %s\n", err.message);
        return 1;
    }
    span = strtoull(argv[3], NULL, 10);
    cold = time_lookups(c, span, LOOKUPS, &hits);
    warm = time_lookups(c, span, HOT, &hits);
    printf("%.3f %.3f %.1f %ld %.1f\n", build * 1e3, opens * 1e6, warm * 1e9, hits, cold * 1e9);
    apr_terminate();
    return 0;
}
