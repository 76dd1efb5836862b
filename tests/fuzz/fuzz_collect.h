/*
 * What the collector's fuzz targets share: quiet start, and the check that whatever was accepted
 * makes a raw crash document that reads back as it was.
 */
#ifndef FUZZ_COLLECT_H
#define FUZZ_COLLECT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "crash/annotations.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    apr_initialize();
    sal_log_sink(silent, NULL);
    return 0;
}

static inline void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

static inline uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Pieces of 1 to 97 bytes that depend on the input alone, so that a finding can be replayed. */
static inline size_t next_cut(uint64_t *state, size_t left)
{
    size_t n;

    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    n = 1 + (size_t)(*state >> 33) % ((*state >> 60) ? 97 : 3);
    return n < left ? n : left;
}

/* The document must survive being written and read. */
static inline void check_document(sal_annotations_t *a, apr_pool_t *p)
{
    sal_raw_meta_t meta = { .throttle_rule = "r",
                            .dump_checksums = sal_json_own(json_object(), p) };
    json_t *raw, *again;
    const char *text;

    sal_annotations_end(a);
    sal_annotations_map_dialect(a, NULL, NULL);
    raw = sal_annotations_raw(a, "de1bb258-cbbf-4589-a673-34f800160918", &meta, p);
    text = sal_json_python(raw, p);
    must(sal_json_parse(&again, text, strlen(text), p, NULL) == APR_SUCCESS);
    must(json_equal(raw, again));
    json_decref(raw);
}

#endif
