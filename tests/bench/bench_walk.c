/*
 * The limit of processing: dumps walked by the library, one after the other, in one process that
 * stays warm, and nothing else done with them.
 *
 *   bench_walk ROUNDS SYMCACHE LIST TREE...
 *
 * LIST names the dumps, a line each; TREE are Breakpad trees of symbols. Prints the milliseconds of
 * a round, mean over all but the first, which finds everything cold.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_time.h>
#include "analysis/stackwalk.h"
#include "base/file.h"

enum { DUMPS = 4096 };

static const char *paths[DUMPS];
static int dumps;

static void read_list(const char *path, apr_pool_t *p)
{
    char line[4096];
    FILE *in = fopen(path, "re");

    while (in && dumps < DUMPS && fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\n")] = '\0';
        paths[dumps++] = apr_pstrdup(p, line);
    }
    if (in) {
        fclose(in);
    }
}

/* As the worker has it: the bytes are in memory already. */
static void walk(const char *path, sal_supplier_t *supplier, apr_pool_t *p)
{
    sal_stackwalk_opts_t opts = { .supplier = supplier };
    sal_span_t dump;
    json_t *doc = NULL;

    if (sal_file_map(&dump, path, p, NULL) == APR_SUCCESS) {
        (void)sal_stackwalk_bytes(&doc, dump, &opts, p, NULL); /* a broken dump is one of the mix */
        json_decref(doc);
    }
}

int main(int argc, char **argv)
{
    sal_supplier_opts_t opts = { 0 };
    sal_supplier_t *supplier;
    apr_time_t start = 0;
    sal_error_t err;
    apr_pool_t *p, *own;
    int rounds;

    if (argc < 4) {
        fputs("usage: bench_walk ROUNDS SYMCACHE LIST TREE...\n", stderr);
        return 2;
    }
    apr_initialize();
    apr_pool_create(&p, NULL);
    rounds = (int)strtol(argv[1], NULL, 10);
    opts.symcache_dir = argv[2];
    opts.paths = (const char *const *)argv + 4;
    read_list(argv[3], p);
    if (sal_supplier_make(&supplier, &opts, p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_walk: %s\n", err.message);
        return 1;
    }
    for (int round = 0; round <= rounds; round++) {
        start = round == 1 ? apr_time_now() : start;
        for (int i = 0; i < dumps; i++) {
            apr_pool_create(&own, p);
            walk(paths[i], supplier, own);
            apr_pool_destroy(own);
        }
    }
    printf("%.3f\n", (double)(apr_time_now() - start) / 1000 / (rounds ? rounds : 1));
    return 0;
}
