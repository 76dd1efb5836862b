/*
 * A brute-force reading of .sym text, to hold the symcache against: every question is answered by
 * walking all records, straight from the rules in docs/symcache.md. Shares nothing with lib/.
 */
#ifndef TESTS_SYM_ORACLE_H
#define TESTS_SYM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct oracle_t oracle_t;

enum { ORACLE_MAX_DEPTH = 64 };

typedef struct oracle_frame_t {
    const char *function;
    const char *file; /* "" unknown */
    unsigned line;
} oracle_frame_t;

typedef struct oracle_hit_t {
    bool found, is_public, multiple;
    uint64_t start, size;
    unsigned params;
    oracle_frame_t outer;
    unsigned n_inlines;
    oracle_frame_t inlines[ORACLE_MAX_DEPTH]; /* innermost first */
} oracle_hit_t;

/* Takes well-formed text apart (other lines are ignored). Aborts on lack of memory. */
oracle_t *oracle_make(const char *text);
void oracle_free(oracle_t *o);
void oracle_ask(oracle_t *o, uint64_t address, oracle_hit_t *hit);

/* Addresses at which an answer may change; *n of them, ascending, owned by the oracle. */
const uint64_t *oracle_edges(oracle_t *o, size_t *n);

#endif
