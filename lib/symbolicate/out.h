/*
 * JSON text through one buffer to a sink: an answer of any size costs 64 KiB. Private to the room.
 */
#ifndef SYMBOLICATE_OUT_H
#define SYMBOLICATE_OUT_H

#include "symbolicate/symbolicate.h"

typedef struct out_t {
    sal_symbolicate_sink_t sink;
    void *baton;
    apr_pool_t *scratch; /* for text that has to be mended */
    bool sent;           /* something has left the buffer */
    bool deaf;           /* the sink takes no more */
    size_t used;
    char buffer[65536];
} out_t;

out_t *out_make(sal_symbolicate_sink_t sink, void *baton, apr_pool_t *p);
void out_text(out_t *o, const char *s);               /* as it is */
void out_string(out_t *o, const char *s, size_t len); /* quoted and escaped */
void out_inside(out_t *o, const char *s, size_t len); /* escaped, without quotes */
void out_number(out_t *o, uint64_t v);
void out_hex(out_t *o, uint64_t v); /* 0x..., without quotes */
/* Sends the rest. */
void out_finish(out_t *o);

#endif
