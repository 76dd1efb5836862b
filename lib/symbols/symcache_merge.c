/*
 * Ranges of all FUNCs and the PUBLICs as one ascending sequence, in one walk.
 *
 * A FUNC always wins over a PUBLIC. Where FUNCs overlap the one that starts later wins, of equal
 * starts the first in the file; the earlier goes on after the later's end. A PUBLIC reaches to the
 * next symbol, and is valid in a hole only if it lies above the start of the FUNC before the hole.
 */
#include "symbols/symcache_build.h"

#include <stdlib.h>

typedef struct cover_t { /* a FUNC that covers the position, and how far its ranges were read */
    uint32_t block;
    bool read; /* codec.seen[1] is a range */
    const uint8_t *at;
    symx_codec_t codec;
} cover_t;

typedef struct merge_t {
    const symx_build_t *b;
    symx_range_fn fn;
    void *baton;
    apr_status_t rv;
    size_t next_public; /* first PUBLIC above the position */
    bool any;           /* something was emitted */
    cover_t *stack;     /* the winner on top */
    size_t depth, room;
} merge_t;

static int by_block_start(const void *va, const void *vb, void *unused)
{
    const symx_block_t *a = va;
    const symx_block_t *b = vb;

    (void)unused;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

static int by_public(const void *va, const void *vb, void *unused)
{
    const symx_public_t *a = va;
    const symx_public_t *b = vb;

    (void)unused;
    if (a->address != b->address) {
        return a->address < b->address ? -1 : 1;
    }
    return a->func < b->func ? -1 : a->func > b->func;
}

bool symx_merge_prepare(symx_build_t *b)
{
    symx_public_t *publics = b->publics.data;
    size_t n = 0;
    size_t i = 0;

    if (!symx_sort(&b->blocks, by_block_start, NULL) || !symx_sort(&b->publics, by_public, NULL)) {
        return false;
    }
    /* Several at 0 are labels of nothing; elsewhere the first of an address stays. */
    while (i < b->publics.count && publics[i].address == 0) {
        i++;
    }
    if (i == 1) {
        n = 1;
    }
    for (; i < b->publics.count; i++) {
        if (n == 0 || publics[n - 1].address != publics[i].address) {
            publics[n++] = publics[i];
        }
    }
    b->publics.count = n;
    return true;
}

static void emit(merge_t *m, uint64_t start, const symx_loc_t *loc)
{
    symx_range_t range = { (uint32_t)start, *loc };

    if (m->rv == APR_SUCCESS) {
        m->rv = m->fn(m->baton, &range);
        m->any = true;
    }
}

static void emit_public(merge_t *m, uint64_t start, const symx_public_t *public)
{
    symx_loc_t loc = { public->func, SYMX_NONE, 0, SYMX_NONE };

    emit(m, start, &loc);
}

/* The hole [lo, hi) between FUNCs; last is the last FUNC that started below it. */
static void emit_hole(merge_t *m, uint64_t lo, uint64_t hi, const symx_block_t *last)
{
    static const symx_loc_t nothing = { SYMX_NONE, SYMX_NONE, 0, SYMX_NONE };
    const symx_public_t *publics = m->b->publics.data;
    size_t n = m->b->publics.count;

    while (m->next_public < n && publics[m->next_public].address <= lo) {
        m->next_public++;
    }
    if (m->next_public > 0 && (!last || publics[m->next_public - 1].address > last->start)) {
        emit_public(m, lo, &publics[m->next_public - 1]);
    } else if (m->any) {
        emit(m, lo, &nothing);
    }
    for (; m->next_public < n && publics[m->next_public].address < hi; m->next_public++) {
        emit_public(m, publics[m->next_public].address, &publics[m->next_public]);
    }
}

/*
 * [lo, hi) of one FUNC. Its ranges are read once, however often others interrupt it: the last one
 * read may be wanted again.
 */
static void emit_block(merge_t *m, cover_t *cover, uint64_t lo, uint64_t hi)
{
    const symx_block_t *block = SYMX_AT(m->b->blocks, symx_block_t, cover->block);
    const uint8_t *end = (const uint8_t *)m->b->code.data + block->first + block->size;
    symx_range_t ahead = { 0 };

    for (;;) {
        const uint8_t *at = cover->at;
        bool more = at < end;

        if (more) {
            at = symx_decode(at, &cover->codec.seen[1], &ahead);
        }
        if (cover->read && (!more || ahead.start > lo)) { /* the last one reaches above lo */
            symx_loc_t loc = cover->codec.seen[1].loc;
            uint64_t start = cover->codec.seen[1].start;

            if (start <= lo) {
                /* What it would continue stands, after a cut, behind another FUNC. */
                loc.line &= lo > block->start ? SYMX_LINE_MAX : UINT32_MAX;
                start = lo;
            }
            emit(m, start, &loc);
        }
        if (!more || ahead.start >= hi || m->rv != APR_SUCCESS) {
            return;
        }
        cover->codec.seen[0] = cover->codec.seen[1];
        cover->codec.seen[1] = ahead;
        cover->at = at;
        cover->read = true;
    }
}

/* All FUNCs that start where FUNC i does; the first in the file ends on top. */
static size_t push_blocks(merge_t *m, size_t i)
{
    const symx_block_t *blocks = m->b->blocks.data;
    size_t end = i + 1;

    while (end < m->b->blocks.count && blocks[end].start == blocks[i].start) {
        end++;
    }
    if (m->depth + (end - i) > m->room) {
        size_t room = (m->depth + (end - i)) * 2;
        cover_t *wider = realloc(m->stack, room * sizeof(*wider));

        if (!wider) {
            m->rv = APR_ENOMEM;
            return end;
        }
        m->stack = wider;
        m->room = room;
    }
    for (size_t k = end; k > i; k--) {
        m->stack[m->depth++] =
            (cover_t){ .block = (uint32_t)k - 1,
                       .at = (const uint8_t *)m->b->code.data + blocks[k - 1].first,
                       .codec.seen[1].start = blocks[k - 1].start };
    }
    return end;
}

static void walk(merge_t *m)
{
    const symx_block_t *blocks = m->b->blocks.data;
    size_t n = m->b->blocks.count;
    size_t next = 0;
    uint64_t at = 0;

    while (at < SYMX_TOP && m->rv == APR_SUCCESS) {
        uint64_t until = next < n ? blocks[next].start : SYMX_TOP;
        const symx_block_t *top;

        if (at == until) {
            next = push_blocks(m, next);
            continue;
        }
        while (m->depth > 0 && blocks[m->stack[m->depth - 1].block].last < at) {
            m->depth--;
        }
        if (m->depth == 0) {
            emit_hole(m, at, until, next > 0 ? &blocks[next - 1] : NULL);
            at = until;
            continue;
        }
        top = &blocks[m->stack[m->depth - 1].block];
        until = (uint64_t)top->last + 1 < until ? (uint64_t)top->last + 1 : until;
        emit_block(m, &m->stack[m->depth - 1], at, until);
        at = until;
    }
}

apr_status_t symx_merge(symx_build_t *b, symx_range_fn fn, void *baton)
{
    merge_t m = { .b = b, .fn = fn, .baton = baton };

    walk(&m);
    free(m.stack);
    return m.rv;
}
