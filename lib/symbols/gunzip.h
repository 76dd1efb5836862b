/*
 * Inflating gzip in pieces: by ISA-L where there is one (twice to five times as quick), else by
 * zlib. Private to the room.
 */
#ifndef SYMBOLS_GUNZIP_H
#define SYMBOLS_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct gunzip_t gunzip_t;

typedef enum {
    GUNZIP_MORE, /* wants more input, or more room if the output is full */
    GUNZIP_END,  /* the member ended; input may follow */
    GUNZIP_BAD   /* no gzip, damaged, or of a wrong checksum */
} gunzip_state_t;

/* NULL: no memory. */
gunzip_t *gunzip_make(void);
void gunzip_free(gunzip_t *g);

/* Begins another member. */
void gunzip_again(gunzip_t *g);

/* Moves *in and *n on behind what was taken; *made bytes were written to out. */
gunzip_state_t gunzip_step(gunzip_t *g, const char **in, size_t *n, char *out, size_t size,
                           size_t *made);

#endif
