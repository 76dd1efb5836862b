/*
 * Processor time of signatures in this process.
 *
 *   bench_signature vectors LISTS FILE [ROUNDS]  -> "signatures equal us_each", from objects
 *   bench_signature texts LISTS FILE [ROUNDS]    -> the same, JSON text in, JSON text out
 *   bench_signature scale LISTS LENGTH           -> "us_each" of a frame of LENGTH characters
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/log.h"
#include "signature/signature.h"

enum { VECTORS_MAX = 10000 };

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

typedef struct vector_t {
    json_t *data;
    const char *want;
    char *text; /* of data */
} vector_t;

static vector_t all[VECTORS_MAX];

static bool take_vector(vector_t *v, const char *line)
{
    json_t *object = json_loads(line, JSON_ALLOW_NUL, NULL);
    const json_t *expected = json_object_get(object, "expected");

    v->data = json_object_get(object, "crash_data");
    v->want = json_string_value(json_object_get(expected, "signature"));
    v->text = json_dumps(v->data, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    return v->data && v->want && v->text;
}

static int read_vectors(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    int n = 0;

    while (f && n < VECTORS_MAX && getline(&line, &cap, f) > 0) {
        n += take_vector(&all[n], line);
    }
    free(line);
    if (f) {
        fclose(f);
    }
    return n;
}

static int report(int n, int equal, int rounds, double start)
{
    printf("%d %d %.3f\n", n, equal / rounds, (now() - start) / rounds / n * 1e6);
    return 0;
}

/* What `salvage signature --lines` does with a line. */
static bool one_text(const vector_t *v, const sal_siglists_t *lists, apr_pool_t *p)
{
    json_t *data = json_loads(v->text, JSON_ALLOW_NUL, NULL), *result;
    const char *signature;
    sal_signature_t out;
    bool equal;
    char *answer;

    sal_signature_make(&out, data, lists, p);
    result = json_pack("{s:s, s:s%, s:o}", "signature", out.signature, "proto_signature",
                       out.proto_signature ? out.proto_signature : "", (size_t)out.proto_size,
                       "notes", sal_signature_lines_json(&out.notes));
    answer = json_dumps(result, JSON_COMPACT);
    signature = json_string_value(json_object_get(result, "signature"));
    equal = answer && signature && !strcmp(signature, v->want);
    free(answer);
    json_decref(result);
    json_decref(data);
    return equal;
}

static int texts(const sal_siglists_t *lists, const char *path, int rounds, apr_pool_t *p)
{
    int n = read_vectors(path), equal = 0;
    apr_pool_t *scratch;
    double start;

    apr_pool_create(&scratch, p);
    start = now();
    for (int k = 0; k < rounds; k++) {
        for (int i = 0; i < n; i++) {
            equal += one_text(&all[i], lists, scratch);
            apr_pool_clear(scratch);
        }
    }
    return n ? report(n, equal, rounds, start) : 1;
}

static int vectors(const sal_siglists_t *lists, const char *path, int rounds, apr_pool_t *p)
{
    int n = read_vectors(path), equal = 0;
    apr_pool_t *scratch;
    double start;

    if (n == 0) {
        fprintf(stderr, "bench_signature: no vectors in %s\n", path);
        return 1;
    }
    apr_pool_create(&scratch, p);
    start = now();
    for (int k = 0; k < rounds; k++) {
        for (int i = 0; i < n; i++) {
            sal_signature_t out;

            sal_signature_make(&out, all[i].data, lists, scratch);
            equal += !strcmp(out.signature, all[i].want);
            apr_pool_clear(scratch);
        }
    }
    return report(n, equal, rounds, start);
}

/* Template levels, parameters and names in turn, as deep symbols have them. */
static char *long_symbol(size_t length)
{
    static const char part[] = "ns::holder<std::vector<int>, ";
    char *s = malloc(length + 1);

    for (size_t i = 0; s && i < length; i++) {
        s[i] = part[i % (sizeof(part) - 1)];
    }
    if (s) {
        s[length] = '\0';
    }
    return s;
}

static int scale(const sal_siglists_t *lists, size_t length, apr_pool_t *p)
{
    char *symbol = long_symbol(length);
    json_t *data = json_pack("{s:[{s:[{s:s}]}]}", "threads", "frames", "function", symbol);
    int rounds = (int)(20000000 / (length + 2000)) + 1;
    double start = now();

    for (int i = 0; i < rounds; i++) {
        sal_signature_t out;
        apr_pool_t *scratch;

        apr_pool_create(&scratch, p);
        sal_signature_make(&out, data, lists, scratch);
        apr_pool_destroy(scratch);
    }
    printf("%.3f\n", (now() - start) / rounds * 1e6);
    json_decref(data);
    free(symbol);
    return 0;
}

int main(int argc, char **argv)
{
    sal_siglists_t *lists;
    sal_error_t err = { 0 };
    apr_pool_t *p;
    int rounds;

    if (argc < 4) {
        fprintf(stderr,
                "usage: bench_signature vectors|texts LISTS FILE [ROUNDS] | scale LISTS LENGTH\n");
        return 2;
    }
    apr_initialize();
    apr_pool_create(&p, NULL);
    sal_log_sink(silent, NULL);
    if (sal_siglists_load(&lists, argv[2], p, &err) != APR_SUCCESS) {
        fprintf(stderr, "bench_signature: %s\n", err.message);
        return 1;
    }
    rounds = argc > 4 ? atoi(argv[4]) : 20;
    return !strcmp(argv[1], "scale")   ? scale(lists, strtoul(argv[3], NULL, 10), p)
           : !strcmp(argv[1], "texts") ? texts(lists, argv[3], rounds, p)
                                       : vectors(lists, argv[3], rounds, p);
}
