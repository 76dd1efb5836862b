/*
 * The sweep over one FUNC: its line records and inlined calls become ranges, each with the
 * innermost function, its file and line, and the chain of call sites.
 *
 * Inlines are taken in order of (start, depth, file order) and repaired as they come: without a
 * live parent one depth up, dropped; wholly inside the sibling before it, dropped; overlapping
 * that sibling, moved to its end; reaching past the parent, split there. What is moved or split is
 * queued again. docs/symcache.md, section 3.
 */
#include "symbols/symcache_build.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef struct open_t { /* an inlined call that covers the cursor */
    uint64_t start, end;
    uint32_t func, call;
} open_t;

typedef struct sweep_t {
    symx_build_t *b;
    uint64_t cursor; /* everything below has its ranges */
    size_t line;     /* first line record that ends above the cursor */
    size_t next;     /* first inline not taken */
    size_t requeues; /* how many more may be moved or split */
    uint32_t n_open;
    apr_status_t rv;
    symx_codec_t codec;
    open_t open[SYMX_MAX_DEPTH];
} sweep_t;

static int by_line_start(const void *va, const void *vb, void *unused)
{
    const symx_line_t *a = va;
    const symx_line_t *b = vb;

    (void)unused;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int inline_order(const symx_inline_t *a, const symx_inline_t *b)
{
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    if (a->depth != b->depth) {
        return a->depth < b->depth ? -1 : 1;
    }
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int by_inline_order(const void *a, const void *b, void *unused)
{
    (void)unused;
    return inline_order(a, b);
}

/* As compilers write them, nearly always: then nothing needs to be sorted. */
static bool lines_ascend(const symx_build_t *b)
{
    const symx_line_t *lines = b->lines.data;

    for (size_t i = 1; i < b->lines.count; i++) {
        if (lines[i].start < lines[i - 1].start) {
            return false;
        }
    }
    return true;
}

static bool inlines_ascend(const symx_build_t *b)
{
    const symx_inline_t *inlines = b->inlines.data;

    for (size_t i = 1; i < b->inlines.count; i++) {
        if (inline_order(&inlines[i - 1], &inlines[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Ascending, disjoint: of equal starts the last counts, and a line ends where the next starts. */
static bool settle_lines(symx_build_t *b)
{
    symx_line_t *lines = b->lines.data;
    size_t n = 0;

    if (!lines_ascend(b) && !symx_sort(&b->lines, by_line_start, NULL)) {
        return false;
    }
    for (size_t i = 0; i < b->lines.count; i++) {
        symx_line_t line = lines[i];

        if (i + 1 < b->lines.count && lines[i + 1].start == line.start) {
            continue;
        }
        if (i + 1 < b->lines.count && lines[i + 1].start < line.end) {
            line.end = lines[i + 1].start;
        }
        if (line.end > b->end) {
            line.end = b->end;
        }
        lines[n++] = line;
    }
    b->lines.count = n;
    return true;
}

static void push_range(sweep_t *s, uint64_t start, symx_loc_t loc)
{
    symx_vec_t *code = &s->b->code;
    symx_range_t range = { (uint32_t)start, loc };
    uint8_t *to;

    /* As much again, so that the last range can be read as any other. */
    if (code->count >= SYMX_NONE - SYMX_C_MAX || !symx_reserve(code, SYMX_C_MAX + SYMX_C_PAD)) {
        s->rv = APR_ENOMEM;
        return;
    }
    to = (uint8_t *)code->data + code->count;
    code->count += (size_t)(symx_encode(&s->codec, &range, to) - to);
}

/* One range at the cursor, which moves to where the line or the gap ends, at most to hi. */
static void emit_piece(sweep_t *s, uint64_t hi)
{
    const open_t *top = s->n_open ? &s->open[s->n_open - 1] : NULL;
    symx_loc_t loc = { top ? top->func : s->b->func, SYMX_NONE, 0, top ? top->call : SYMX_NONE };
    const symx_line_t *line;
    uint64_t from = s->cursor;

    while (s->line < s->b->lines.count && SYMX_AT(s->b->lines, symx_line_t, s->line)->end <= from) {
        s->line++;
    }
    line = s->line < s->b->lines.count ? SYMX_AT(s->b->lines, symx_line_t, s->line) : NULL;
    s->cursor = hi;
    if (line && line->start > from) {
        s->cursor = line->start < hi ? line->start : hi;
    } else if (line) {
        s->cursor = line->end < hi ? line->end : hi;
        loc.file = line->file;
        loc.line = line->line > SYMX_LINE_MAX ? 0 : line->line;
        loc.line |= line->start < from ? SYMX_LINE_CONT : 0;
    }
    loc.line |= top && s->open[0].start < from ? SYMX_INLINE_CONT : 0;
    push_range(s, from, loc);
}

static void emit_to(sweep_t *s, uint64_t hi)
{
    while (s->cursor < hi && s->rv == APR_SUCCESS) {
        emit_piece(s, hi);
    }
}

static uint32_t call_hash(const symx_loc_t *c)
{
    uint32_t h = c->func * 0x9e3779b1u ^ c->file * 0x85ebca6bu ^ c->line * 0xc2b2ae35u ^
                 c->parent * 0x27d4eb2fu;

    return h ^ h >> 15;
}

static bool grow_call_table(symx_build_t *b)
{
    uint32_t capacity = b->call_table.capacity ? b->call_table.capacity * 2 : 256;
    uint32_t *slots = calloc(capacity, sizeof(*slots));

    if (!slots) {
        return false;
    }
    for (size_t i = b->first_call; i < b->calls.count; i++) {
        uint32_t at = call_hash(SYMX_AT(b->calls, symx_loc_t, i)) & (capacity - 1);

        while (slots[at] != 0) {
            at = (at + 1) & (capacity - 1);
        }
        slots[at] = (uint32_t)i + 1;
    }
    free(b->call_table.slots);
    b->call_table.slots = slots;
    b->call_table.capacity = capacity;
    return true;
}

/* Index of a call site, deduplicated within the FUNC (across the file it does not pay). */
static uint32_t call_site(sweep_t *s, const symx_loc_t *call)
{
    symx_build_t *b = s->b;
    symx_loc_t *to;
    uint32_t at;

    if (b->calls.count - b->first_call >= b->call_table.capacity / 2 && !grow_call_table(b)) {
        s->rv = APR_ENOMEM;
        return SYMX_NONE;
    }
    at = call_hash(call) & (b->call_table.capacity - 1);
    while (b->call_table.slots[at] != 0) {
        uint32_t index = b->call_table.slots[at] - 1;

        if (memcmp(SYMX_AT(b->calls, symx_loc_t, index), call, sizeof(*call)) == 0) {
            return index;
        }
        at = (at + 1) & (b->call_table.capacity - 1);
    }
    to = symx_push(&b->calls);
    if (!to) {
        s->rv = APR_ENOMEM;
        return SYMX_NONE;
    }
    *to = *call;
    b->call_table.slots[at] = (uint32_t)b->calls.count;
    return (uint32_t)b->calls.count - 1;
}

/*
 * Empties the table of call sites at a cost of what is in it, not of its size. Last in, first out:
 * so no probe meets a gap.
 */
static void forget_calls(symx_build_t *b)
{
    for (size_t i = b->calls.count; i > b->first_call; i--) {
        uint32_t at =
            call_hash(SYMX_AT(b->calls, symx_loc_t, i - 1)) & (b->call_table.capacity - 1);

        while (b->call_table.slots[at] != i) {
            at = (at + 1) & (b->call_table.capacity - 1);
        }
        b->call_table.slots[at] = 0;
    }
}

/* Inlines that end at or below address give their place back to their parents. */
static void close_to(sweep_t *s, uint64_t address)
{
    while (s->n_open > 0 && s->open[s->n_open - 1].end <= address) {
        emit_to(s, s->open[s->n_open - 1].end);
        s->n_open--;
    }
}

static void heap_up(symx_inline_t *heap, size_t i)
{
    while (i > 0 && inline_order(&heap[i], &heap[(i - 1) / 2]) < 0) {
        symx_inline_t t = heap[i];

        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = t;
        i = (i - 1) / 2;
    }
}

static void heap_down(symx_inline_t *heap, size_t n)
{
    for (size_t i = 0, child = 1; child < n; i = child, child = 2 * i + 1) {
        symx_inline_t t = heap[i];

        if (child + 1 < n && inline_order(&heap[child + 1], &heap[child]) < 0) {
            child++;
        }
        if (inline_order(&heap[i], &heap[child]) <= 0) {
            return;
        }
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* Back into the queue with a later start, within a budget: hostile nesting must not grow. */
static void requeue(sweep_t *s, symx_inline_t rec, uint64_t start)
{
    symx_inline_t *to;

    if (start >= rec.end || start >= s->b->end || s->requeues == 0) {
        return;
    }
    s->requeues--;
    rec.start = start;
    to = symx_push(&s->b->requeued);
    if (!to) {
        s->rv = APR_ENOMEM;
        return;
    }
    *to = rec;
    heap_up(s->b->requeued.data, s->b->requeued.count - 1);
}

static bool take_inline(sweep_t *s, symx_inline_t *rec)
{
    symx_inline_t *sorted = s->b->inlines.data;
    symx_inline_t *heap = s->b->requeued.data;
    size_t left = s->b->inlines.count - s->next;
    size_t queued = s->b->requeued.count;

    if (left > 0 && (queued == 0 || inline_order(&sorted[s->next], &heap[0]) <= 0)) {
        *rec = sorted[s->next++];
        return true;
    }
    if (queued == 0) {
        return false;
    }
    *rec = heap[0];
    heap[0] = heap[queued - 1];
    s->b->requeued.count--;
    heap_down(heap, queued - 1);
    return true;
}

static void open_inline(sweep_t *s, const symx_inline_t *rec)
{
    const open_t *parent = s->n_open ? &s->open[s->n_open - 1] : NULL;
    symx_loc_t call = { parent ? parent->func : s->b->func, rec->call_file, rec->call_line,
                        parent ? parent->call : SYMX_NONE };
    uint32_t index;

    emit_to(s, rec->start);
    index = call_site(s, &call);
    s->open[s->n_open++] = (open_t){ rec->start, rec->end, rec->func, index };
}

static void place_inline(sweep_t *s, symx_inline_t rec)
{
    uint64_t parent_end;

    close_to(s, rec.start);
    if (rec.depth > s->n_open) {
        return; /* no live parent */
    }
    if (rec.depth < s->n_open) { /* a sibling is live */
        requeue(s, rec, s->open[rec.depth].end);
        return;
    }
    parent_end = s->n_open ? s->open[s->n_open - 1].end : s->b->end;
    if (rec.end > parent_end) {
        requeue(s, rec, parent_end);
        rec.end = parent_end;
    }
    open_inline(s, &rec);
}

apr_status_t symx_sweep(symx_build_t *b)
{
    sweep_t s;
    symx_inline_t rec;

    memset(&s, 0, offsetof(sweep_t, open));
    s.b = b;
    s.cursor = b->start;
    s.codec.seen[1].start = (uint32_t)b->start;
    if (!settle_lines(b) ||
        (!inlines_ascend(b) && !symx_sort(&b->inlines, by_inline_order, NULL))) {
        return APR_ENOMEM;
    }
    s.requeues = 8 * b->inlines.count + 4096;
    b->requeued.count = 0;
    b->first_call = (uint32_t)b->calls.count;
    while (s.rv == APR_SUCCESS && take_inline(&s, &rec)) {
        place_inline(&s, rec);
    }
    close_to(&s, b->end);
    emit_to(&s, b->end);
    forget_calls(b);
    return s.rv;
}
