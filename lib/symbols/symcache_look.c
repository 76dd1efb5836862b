/*
 * Looking up addresses in a symcache: functions, lines, inlined calls. A damaged file answers
 * wrongly or not at all; it never faults and never loops.
 */
#include "symbols/symcache.h"

#include "symbols/symcache_read.h"

/*
 * Index of the chunk that holds address, or SYMX_NONE. A bucket has about one chunk: the last few
 * are counted rather than searched, which no branch has to guess.
 */
static uint32_t find_chunk(const sal_symcache_t *c, uint64_t address)
{
    enum { FEW = 4 };
    const uint8_t *chunks = c->section[SYMX_CHUNK], *buckets = c->section[SYMX_BUCKET];
    uint32_t n = c->count[SYMX_BUCKET], bucket, lo, hi, found;

    if (address > UINT32_MAX || n < 2) {
        return SYMX_NONE;
    }
    bucket = (uint32_t)address >> c->shift;
    bucket = bucket > n - 2 ? n - 2 : bucket;
    lo = word(buckets + (size_t)bucket * 4);
    hi = word(buckets + (size_t)bucket * 4 + 4);
    if (lo > hi || hi > c->count[SYMX_CHUNK]) {
        return SYMX_NONE;
    }
    while (hi - lo > FEW) { /* first start above address */
        uint32_t mid = lo + (hi - lo) / 2;

        if (word(chunks + (size_t)mid * sizeof(symx_chunk_t)) <= address) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    for (found = lo; lo < hi; lo++) {
        found += word(chunks + (size_t)lo * sizeof(symx_chunk_t)) <= address;
    }
    return found - 1; /* of 0: SYMX_NONE */
}

/* Room to read a chunk: its ranges stand behind two that the first is told apart from. */
typedef struct open_chunk_t {
    symx_range_t ranges[2 + SYMX_CHUNK_RANGES];
} open_chunk_t;

/* The ranges of a chunk up to the one that holds address; how many. */
static uint32_t read_chunk(const sal_symcache_t *c, uint32_t chunk, uint64_t address,
                           open_chunk_t *open)
{
    const uint8_t *p = at(c, SYMX_CHUNK, chunk), *end;
    uint32_t size = c->count[SYMX_CODE], offset, max, n = 0;
    symx_range_t *r = open->ranges + 2;

    if (!p || size < SYMX_C_PAD || (offset = word(p + 4)) > size ||
        chunk > c->ranges / SYMX_CHUNK_RANGES) {
        return 0;
    }
    max = c->ranges - chunk * SYMX_CHUNK_RANGES;
    max = max > SYMX_CHUNK_RANGES ? SYMX_CHUNK_RANGES : max;
    memset(open->ranges, 0, 2 * sizeof(*open->ranges));
    open->ranges[1].start = word(p);
    end = c->section[SYMX_CODE] + size - SYMX_C_PAD;
    p = c->section[SYMX_CODE] + offset;
    for (; n < max && p < end && r[-1].start + symx_distance(p) <= address; n++, r++) {
        p = symx_decode(p, r - 1, r);
    }
    return n;
}

static bool find_range(const sal_symcache_t *c, uint64_t address, symx_range_t *range)
{
    open_chunk_t open;
    uint32_t n = read_chunk(c, find_chunk(c, address), address, &open);

    if (n > 0) {
        *range = open.ranges[2 + n - 1];
    }
    return n > 0;
}

static void fill_frame(const sal_symcache_t *c, const symx_loc_t *loc, const symx_func_t *f,
                       sal_sym_frame_t *out)
{
    const uint8_t *file = at(c, SYMX_FILE, loc->file);

    out->function = text_at(c, f->name, f->flags >> SYMX_FN_LEN_SHIFT);
    out->file = file ? text_at(c, word(file), word(file + 4)) : (sal_str_t){ "", 0 };
    out->line = loc->line & SYMX_LINE_MAX;
}

/* Up the chain of call sites from *loc to the real function; a parent stands before its child, so
 * this ends. */
static bool follow(const sal_symcache_t *c, symx_loc_t *loc, uint32_t *n, sal_sym_frame_t *inlines,
                   uint32_t max)
{
    uint32_t above = c->count[SYMX_CALL];
    symx_func_t f;

    *n = 0;
    while (loc->parent != SYMX_NONE && loc->parent < above && *n < SAL_SYM_MAX_INLINES) {
        if (inlines && *n < max) {
            if (!func_at(c, loc->func, &f)) {
                return false;
            }
            fill_frame(c, loc, &f, &inlines[*n]);
        }
        ++*n;
        above = loc->parent;
        if (!loc_at(c, SYMX_CALL, above, loc)) {
            return false;
        }
    }
    return true;
}

static bool see(const sal_symcache_t *c, symx_loc_t loc, sal_sym_hit_t *hit,
                sal_sym_frame_t *inlines, uint32_t max)
{
    symx_func_t f;
    uint32_t n;

    if (!follow(c, &loc, &n, inlines, max) || !func_at(c, loc.func, &f)) {
        return false;
    }
    fill_frame(c, &loc, &f, &hit->outer);
    hit->function_offset = f.address;
    hit->function_size = f.size;
    hit->parameter_size = f.params;
    hit->is_public = (f.flags & SYMX_FN_PUBLIC) != 0;
    hit->is_multiple = (f.flags & SYMX_FN_MULTIPLE) != 0;
    hit->n_inlines = n;
    return true;
}

bool sal_symcache_lookup(const sal_symcache_t *c, uint64_t address, sal_sym_hit_t *hit,
                         sal_sym_frame_t *inlines, uint32_t max)
{
    symx_range_t range;

    return find_range(c, address, &range) && see(c, range.loc, hit, inlines, max);
}

/* ---- many at once ---- */

/*
 * A lookup waits for five cache lines, each found through the one before it. Of several lookups in
 * step, each asks for its next line and leaves the waiting to the others.
 */
static void expect_bucket(const sal_symcache_t *c, uint64_t address)
{
    uint32_t n = c->count[SYMX_BUCKET], bucket;

    if (address <= UINT32_MAX && n >= 2) {
        bucket = (uint32_t)address >> c->shift;
        bucket = bucket > n - 2 ? n - 2 : bucket;
        __builtin_prefetch(c->section[SYMX_BUCKET] + (size_t)bucket * 4);
    }
}

static void expect_chunk(const sal_symcache_t *c, uint64_t address)
{
    uint32_t n = c->count[SYMX_BUCKET], bucket;
    const uint8_t *chunk;

    if (address <= UINT32_MAX && n >= 2) {
        bucket = (uint32_t)address >> c->shift;
        bucket = bucket > n - 2 ? n - 2 : bucket;
        chunk = at(c, SYMX_CHUNK, word(c->section[SYMX_BUCKET] + (size_t)bucket * 4));
        if (chunk) {
            __builtin_prefetch(chunk - sizeof(symx_chunk_t));
            __builtin_prefetch(chunk + 4 * sizeof(symx_chunk_t));
        }
    }
}

static void expect_code(const sal_symcache_t *c, sal_sym_look_t *look)
{
    const uint8_t *p;

    look->chunk = find_chunk(c, look->address);
    p = at(c, SYMX_CHUNK, look->chunk);
    p = p ? at(c, SYMX_CODE, word(p + 4)) : NULL;
    if (p) {
        __builtin_prefetch(p);
        __builtin_prefetch(p + 64);
    }
}

static void expect_place(const sal_symcache_t *c, sal_sym_look_t *look)
{
    open_chunk_t open;
    uint32_t n = read_chunk(c, look->chunk, look->address, &open);
    const symx_loc_t *loc = &open.ranges[2 + n - 1].loc;

    look->found = n > 0 && loc->func != SYMX_NONE;
    if (look->found) {
        look->func = loc->func;
        look->file = loc->file;
        look->line = loc->line;
        look->parent = loc->parent;
        __builtin_prefetch(at(c, SYMX_FUNC, loc->func));
        __builtin_prefetch(at(c, SYMX_CALL, loc->parent));
    }
}

void sal_symcache_look(sal_sym_look_t *looks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        looks[i].found = false;
        if (looks[i].cache) {
            expect_bucket(looks[i].cache, looks[i].address);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (looks[i].cache) {
            expect_chunk(looks[i].cache, looks[i].address);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (looks[i].cache) {
            expect_code(looks[i].cache, &looks[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (looks[i].cache) {
            expect_place(looks[i].cache, &looks[i]);
        }
    }
}

/* ---- gaps between line records ---- */

static bool lineless(const symx_loc_t *loc)
{
    return loc->file == SYMX_NONE && !(loc->line & SYMX_LINE_MAX);
}

/* Ranges from one on towards lower addresses. */
typedef struct walk_t {
    open_chunk_t open;
    uint32_t chunk, n; /* the range is ranges[n - 1]; 0: there are no more */
} walk_t;

static void walk_back(walk_t *w, const sal_symcache_t *c)
{
    w->n--;
    if (w->n == 0 && w->chunk > 0) {
        w->n = read_chunk(c, --w->chunk, UINT32_MAX, &w->open);
    }
}

/*
 * The place in the real function that the last record before the address gave. Of a FUNC that goes
 * on behind another the ranges of both are passed.
 */
static bool last_place(const sal_symcache_t *c, const sal_sym_look_t *look, symx_loc_t *place)
{
    enum { MAX_STEPS = 1 << 14 };
    symx_func_t f;
    walk_t w = { .chunk = look->chunk };

    w.n = read_chunk(c, look->chunk, look->address, &w.open);
    if (w.n == 0 || !func_at(c, look->func, &f)) {
        return false;
    }
    walk_back(&w, c);
    for (int i = 0; i < MAX_STEPS && w.n > 0; i++, walk_back(&w, c)) {
        const symx_range_t *r = &w.open.ranges[2 + w.n - 1];
        uint32_t unused;

        if (r->start < f.address) {
            return false;
        }
        *place = r->loc;
        if (r->loc.func != SYMX_NONE && follow(c, place, &unused, NULL, 0) &&
            place->func == look->func && !lineless(place)) {
            return true;
        }
    }
    return false;
}

void sal_symcache_extend(sal_sym_look_t *look)
{
    symx_loc_t loc = { look->func, look->file, look->line, look->parent };
    const sal_symcache_t *c = look->cache;
    uint32_t above = c ? c->count[SYMX_CALL] : 0;
    symx_loc_t place;

    if (!look->found || !lineless(&loc)) {
        return;
    }
    while (lineless(&loc) && loc.parent != SYMX_NONE && loc.parent < above) {
        above = loc.parent;
        if (!loc_at(c, SYMX_CALL, above, &loc)) {
            return;
        }
    }
    look->func = loc.func;
    if (loc.parent == SYMX_NONE && lineless(&loc) && last_place(c, look, &place)) {
        loc = place;
    }
    look->file = loc.file;
    look->line = loc.line;
    look->parent = loc.parent;
}

static void expect_text(sal_str_t s)
{
    __builtin_prefetch(s.s);
    __builtin_prefetch(s.s + (s.len > 64 ? 64 : 0));
}

bool sal_symcache_see(const sal_sym_look_t *look, sal_sym_hit_t *hit, sal_sym_frame_t *inlines,
                      uint32_t max)
{
    symx_loc_t loc = { look->func, look->file, look->line, look->parent };

    if (!look->found || !see(look->cache, loc, hit, inlines, max)) {
        return false;
    }
    expect_text(hit->outer.function);
    expect_text(hit->outer.file);
    for (uint32_t i = 0; inlines && i < hit->n_inlines && i < max; i++) {
        expect_text(inlines[i].function);
        expect_text(inlines[i].file);
    }
    return true;
}

uint32_t sal_symcache_line_base(const sal_symcache_t *c, uint64_t address)
{
    enum { MAX_STEPS = 1 << 11 };
    open_chunk_t open;
    const symx_range_t *ranges = open.ranges + 2;
    uint32_t chunk = find_chunk(c, address);
    uint32_t n = read_chunk(c, chunk, address, &open);
    uint32_t flag;

    if (n == 0 || ranges[n - 1].loc.func == SYMX_NONE) {
        return SYMX_NONE;
    }
    flag = ranges[n - 1].loc.parent == SYMX_NONE ? SYMX_LINE_CONT : SYMX_INLINE_CONT;
    for (int steps = 0; steps < MAX_STEPS; steps++) {
        while (n > 1 && ranges[n - 1].loc.line & flag) {
            n--;
        }
        if (!(ranges[n - 1].loc.line & flag) || chunk == 0) {
            break;
        }
        n = read_chunk(c, --chunk, UINT32_MAX, &open);
        if (n == 0) {
            return SYMX_NONE;
        }
    }
    return ranges[n - 1].start;
}
