/*
 * Many literal texts looked for at once: those a text begins with, and those that occur in it.
 * Knows nothing of lists or signatures. Immutable once built, so shared by threads.
 */
#ifndef SAL_SIGNATURE_LITERALS_H
#define SAL_SIGNATURE_LITERALS_H

#include "signature/sig_text.h"

/* ---- at the start ---- */

typedef struct literal_t {
    str_t text;
    size_t id;    /* the caller's number */
    size_t least; /* smallest id of this literal and of those that it begins with */
    size_t above; /* the longest other literal that it begins with, or SIZE_MAX */
} literal_t;

/* Sorted by bytes; those that begin with byte c are first[c] to first[c + 1]. */
typedef struct sig_prefixes_t {
    literal_t *literal;
    size_t n;
    size_t first[257];
} sig_prefixes_t;

/* Takes literal[0..n) of the pool, with text (not empty) and id filled in. */
void sig_prefixes_build(sig_prefixes_t *set, literal_t *literal, size_t n);
/* Smallest id of the literals that text begins with, or SIZE_MAX. */
size_t sig_prefixes_find(const sig_prefixes_t *set, str_t text);
/* Smallest id of the literals equal to text, or SIZE_MAX. */
size_t sig_prefixes_equal(const sig_prefixes_t *set, str_t text);

/* ---- anywhere ---- */

enum { NEEDLES_MAX = 64, NEEDLE_MIN = 2, NEEDLE_HASH = 4096 };

typedef struct sig_needles_t {
    str_t needle[NEEDLES_MAX]; /* each at least NEEDLE_MIN bytes */
    size_t n;
    size_t window; /* length of the shortest */
    unsigned char shift[NEEDLE_HASH];
} sig_needles_t;

/* Call once all needles are in. */
void sig_needles_build(sig_needles_t *set);
/* Bit i: needle[i] occurs in text. One pass: a window of the shortest needle's length moves on by
 * as much as its last two bytes allow. */
uint64_t sig_needles_find(const sig_needles_t *set, str_t text);

#endif
