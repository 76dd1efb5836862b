/*
 * Speed of the symcache in this process: build, open, warm lookups. Processor time: what others do
 * on the machine does not count.
 *
 *   bench_symcache SYM CACHE MODULE_SIZE
 *       -> "build_ms open_us warm_ns hits cold_ns build_wall_ms part_ms"
 *
 * warm: the same 10,000 addresses again and again, as stacks of one product bring them; cold: every
 * time another address of the whole module, which measures memory rather than the lookup. part: the
 * pass over the text that answers for 50 addresses. wall: by the clock, for who measures waiting.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "symbols/symcache.h"

enum { LOOKUPS = 2000000, HOT = 10000, OPENS = 200, PART = 50 };

static double read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
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

/* 50 addresses spread over the module. */
static double time_part(const char *sym, const char *path, uint64_t span, apr_pool_t *p)
{
    uint64_t offsets[PART];
    sal_error_t err = { 0 };
    double start = now();

    for (unsigned i = 0; i < PART; i++) {
        offsets[i] = span / PART * i + 4321;
    }
    if (sal_symcache_build_part(path, sym, offsets, PART, p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_symcache: %s\n", err.message);
        exit(1);
    }
    remove(path);
    return now() - start;
}

int main(int argc, char **argv)
{
    sal_symcache_t *c;
    sal_error_t err = { 0 };
    apr_pool_t *p;
    double start, begun, build, wall, opens, warm, cold, part;
    uint64_t span;
    long hits = 0;

    if (argc != 4) {
        fprintf(stderr, "usage: bench_symcache SYM CACHE MODULE_SIZE\n");
        return 2;
    }
    apr_initialize();
    apr_pool_create(&p, NULL);
    start = now();
    begun = read_clock(CLOCK_MONOTONIC);
    if (sal_symcache_build(argv[2], argv[1], p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_symcache: %s\n", err.message);
        return 1;
    }
    build = now() - start;
    wall = read_clock(CLOCK_MONOTONIC) - begun;
    span = strtoull(argv[3], NULL, 10);
    part = time_part(argv[1], apr_pstrcat(p, argv[2], ".part", NULL), span, p);
    opens = time_opens(argv[2], p);
    if (sal_symcache_open(&c, argv[2], p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_symcache: %s\n", err.message);
        return 1;
    }
    cold = time_lookups(c, span, LOOKUPS, &hits);
    warm = time_lookups(c, span, HOT, &hits);
    printf("%.3f %.3f %.1f %ld %.1f %.3f %.3f\n", build * 1e3, opens * 1e6, warm * 1e9, hits,
           cold * 1e9, wall * 1e3, part * 1e3);
    apr_terminate();
    return 0;
}
