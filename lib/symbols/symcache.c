/*
 * Reading symcaches: mapped, checked on open and at every index. A damaged file answers wrongly or
 * not at all; it never faults and never loops.
 */
#include "symbols/symcache.h"

#include <string.h>
#include <sys/mman.h>
#include <apr_strings.h>
#include <xxhash.h>
#include "base/file.h"
#include "symbols/symcache_code.h"

struct sal_symcache_t {
    sal_span_t file;
    const uint8_t *section[SYMX_SECTIONS];
    uint32_t count[SYMX_SECTIONS];
    uint32_t shift, ranges;
    bool mapped; /* from a file of its own */
    symx_header_t header;
    const char *strings[SYMX_STRINGS]; /* copies, for sal_symcache_info */
};

/* Words of the file. Sections are aligned, but the start of a mapping from memory may not be. */
static uint32_t word(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

/* Element i of a section, or NULL. */
static const uint8_t *at(const sal_symcache_t *c, int section, uint32_t i)
{
    return i < c->count[section] ? c->section[section] + (size_t)i * symx_element[section] : NULL;
}

static sal_str_t text_at(const sal_symcache_t *c, uint32_t offset, uint32_t len)
{
    return offset <= c->count[SYMX_BYTES] && len <= c->count[SYMX_BYTES] - offset
               ? (sal_str_t){ (const char *)c->section[SYMX_BYTES] + offset, len }
               : (sal_str_t){ "", 0 };
}

/* The text whose length stands at offset; none: "". */
static sal_str_t string_at(const sal_symcache_t *c, uint32_t offset)
{
    const uint8_t *bytes = c->section[SYMX_BYTES], *p = at(c, SYMX_BYTES, offset);
    uint32_t len;

    if (!p || !symx_take_length(&p, bytes + c->count[SYMX_BYTES], &len)) {
        return (sal_str_t){ "", 0 };
    }
    return text_at(c, (uint32_t)(p - bytes), len);
}

static bool loc_at(const sal_symcache_t *c, int section, uint32_t i, symx_loc_t *loc)
{
    const uint8_t *p = at(c, section, i);

    if (!p) {
        return false;
    }
    *loc = (symx_loc_t){ word(p), word(p + 4), word(p + 8), word(p + 12) };
    return true;
}

static bool func_at(const sal_symcache_t *c, uint32_t i, symx_func_t *f)
{
    const uint8_t *p = at(c, SYMX_FUNC, i);

    if (!p) {
        return false;
    }
    *f = (symx_func_t){ word(p), word(p + 4), word(p + 8), word(p + 12), word(p + 16) };
    return true;
}

static apr_status_t check_sections(sal_symcache_t *c, const char *name, sal_error_t *err)
{
    const symx_header_t *h = &c->header;
    uint64_t end = sizeof(*h);

    for (int i = 0; i < SYMX_SECTIONS; i++) {
        uint64_t offset = le64toh(h->sections[i].offset);
        uint64_t size = (uint64_t)le32toh(h->sections[i].count) * symx_element[i];

        if (le32toh(h->sections[i].element) != symx_element[i] || offset % 8 != 0 || offset < end ||
            !sal_span_has(&c->file, offset, size)) {
            return sal_fail(err, SAL_E_MALFORMED, "%s: section %d is out of bounds", name, i);
        }
        c->section[i] = c->file.data + offset;
        c->count[i] = le32toh(h->sections[i].count);
        end = offset + size;
    }
    c->shift = le32toh(h->shift);
    c->ranges = le32toh(h->ranges);
    if (c->shift > 31) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: the buckets are out of bounds", name);
    }
    return APR_SUCCESS;
}

static apr_status_t check_header(sal_symcache_t *c, const char *name, sal_error_t *err)
{
    symx_header_t h;
    uint64_t sum;

    if (c->file.size < sizeof(h)) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: too short for a symcache", name);
    }
    memcpy(&h, c->file.data, sizeof(h));
    c->header = h;
    if (memcmp(h.magic, SYMX_MAGIC, 4) != 0) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: not a symcache", name);
    }
    if (le32toh(h.version) != SYMX_VERSION) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: symcache version %u, this program reads %d",
                        name, le32toh(h.version), SYMX_VERSION);
    }
    sum = le64toh(h.checksum);
    h.checksum = 0;
    if (XXH64(&h, sizeof(h), 0) != sum) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: the symcache header is damaged", name);
    }
    if (le64toh(h.total) != c->file.size) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: %llu bytes, the symcache has %llu", name,
                        (unsigned long long)c->file.size, (unsigned long long)le64toh(h.total));
    }
    return check_sections(c, name, err);
}

static apr_status_t attach(sal_symcache_t **out, sal_span_t file, const char *name, apr_pool_t *p,
                           sal_error_t *err)
{
    sal_symcache_t *c = apr_pcalloc(p, sizeof(*c));
    apr_status_t rv;

    c->file = file;
    rv = check_header(c, name, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    for (int i = 0; i < SYMX_STRINGS; i++) {
        sal_str_t s = string_at(c, le32toh(c->header.strings[i]));

        c->strings[i] = apr_pstrmemdup(p, s.s, s.len);
    }
    *out = c;
    return APR_SUCCESS;
}

apr_status_t sal_symcache_open(sal_symcache_t **out, const char *path, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_span_t file;
    apr_status_t rv = sal_file_map(&file, path, p, err);

    if (rv == APR_SUCCESS) {
        rv = attach(out, file, path, p, err);
    }
    if (rv == APR_SUCCESS) {
        (*out)->mapped = true;
    }
    return rv;
}

void sal_symcache_sparse(const sal_symcache_t *c)
{
    if (c->mapped) {
        (void)!madvise((void *)c->file.data, c->file.size, MADV_NOHUGEPAGE);
    }
}

void sal_symcache_relax(const sal_symcache_t *c)
{
    enum { LARGE = 4 << 20 };

    if (c->mapped && c->file.size > LARGE) {
        (void)!madvise((void *)c->file.data, c->file.size, MADV_DONTNEED);
    }
}

apr_status_t sal_symcache_open_mem(sal_symcache_t **out, sal_span_t file, apr_pool_t *p,
                                   sal_error_t *err)
{
    return attach(out, file, "symcache in memory", p, err);
}

uint64_t sal_symcache_stamp(const sal_symcache_t *c)
{
    return le64toh(c->header.stamp);
}

void sal_symcache_info(const sal_symcache_t *c, sal_symcache_info_t *out)
{
    const symx_header_t *h = &c->header;

    *out = (sal_symcache_info_t){
        .os = c->strings[SYMX_S_OS],
        .arch = c->strings[SYMX_S_ARCH],
        .debug_id = c->strings[SYMX_S_ID],
        .debug_file = c->strings[SYMX_S_NAME],
        .code_id = c->strings[SYMX_S_CODE_ID],
        .url = c->strings[SYMX_S_URL],
        .generator = c->strings[SYMX_S_GENERATOR],
        .code_file = c->strings[SYMX_S_CODE_FILE],
        .source_size = le64toh(h->source_size),
        .functions = le32toh(h->functions),
        .lines = le32toh(h->lines),
        .inlines = le32toh(h->inlines),
        .publics = le32toh(h->publics),
        .cfi = c->count[SYMX_CFI],
        .win = c->count[SYMX_WIN] + c->count[SYMX_FPO],
        .files = c->count[SYMX_FILE],
        .skipped_lines = le32toh(h->skipped),
        .ranges = le32toh(h->ranges),
        .file_size = c->file.size,
    };
}

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

bool sal_symcache_lookup(const sal_symcache_t *c, uint64_t address, sal_sym_hit_t *hit,
                         sal_sym_frame_t *inlines, uint32_t max)
{
    symx_range_t range;
    symx_loc_t loc;
    symx_func_t f;
    uint32_t n = 0;
    uint32_t above = c->count[SYMX_CALL];

    if (!find_range(c, address, &range)) {
        return false;
    }
    loc = range.loc;
    /* Up the chain of call sites; a parent stands before its child, so this ends. */
    while (loc.parent != SYMX_NONE && loc.parent < above && n < SAL_SYM_MAX_INLINES) {
        if (inlines && n < max) {
            if (!func_at(c, loc.func, &f)) {
                return false;
            }
            fill_frame(c, &loc, &f, &inlines[n]);
        }
        n++;
        above = loc.parent;
        if (!loc_at(c, SYMX_CALL, above, &loc)) {
            return false;
        }
    }
    if (!func_at(c, loc.func, &f)) {
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

/* Where address would stand if records were spread evenly: mostly on the right page at once. */
static uint32_t guess(const sal_symcache_t *c, int section, uint64_t address)
{
    uint32_t n = c->count[section];
    uint32_t first = word(at(c, section, 0)), last = word(at(c, section, n - 1));

    if (address <= first || last <= first) {
        return 0;
    }
    return address >= last ? n - 1
                           : (uint32_t)((address - first) * (uint64_t)(n - 1) / (last - first));
}

/*
 * Record of a section of disjoint {start, size, ...} that covers address, or NULL. Steps that
 * double from the guess, then halving: far fewer pages than halving all of a large section.
 */
static const uint8_t *covering(const sal_symcache_t *c, int section, uint64_t address)
{
    uint32_t n = c->count[section];
    uint32_t lo = 0, hi = n;
    uint64_t step = 16, probe;
    const uint8_t *p;

    if (n == 0) {
        return NULL;
    }
    probe = guess(c, section, address);
    if (word(at(c, section, (uint32_t)probe)) <= address) {
        for (lo = (uint32_t)probe + 1; (probe = lo + step) < hi; step *= 2) {
            if (word(at(c, section, (uint32_t)probe)) > address) {
                hi = (uint32_t)probe;
                break;
            }
            lo = (uint32_t)probe + 1;
        }
    } else {
        for (hi = (uint32_t)probe; hi > step; step *= 2) {
            if (word(at(c, section, (uint32_t)(hi - step))) <= address) {
                lo = (uint32_t)(hi - step) + 1;
                break;
            }
            hi -= (uint32_t)step;
        }
    }
    while (lo < hi) { /* first start above address */
        uint32_t mid = lo + (hi - lo) / 2;

        if (word(at(c, section, mid)) <= address) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    p = lo > 0 ? at(c, section, lo - 1) : NULL;
    return p && address - word(p) < word(p + 4) ? p : NULL;
}

bool sal_symcache_cfi(const sal_symcache_t *c, uint64_t address, sal_cfi_t *out)
{
    const uint8_t *p = covering(c, SYMX_CFI, address);
    uint32_t first;
    uint32_t n;
    uint32_t lo = 0;

    if (!p) {
        return false;
    }
    first = word(p + 12);
    n = word(p + 16);
    if (first > c->count[SYMX_DELTA] || n > c->count[SYMX_DELTA] - first) {
        return false;
    }
    while (lo < n) { /* first delta above address */
        uint32_t mid = lo + (n - lo) / 2;

        if (word(at(c, SYMX_DELTA, first + mid)) <= address) {
            lo = mid + 1;
        } else {
            n = mid;
        }
    }
    *out = (sal_cfi_t){ word(p), word(p + 4), string_at(c, word(p + 8)), lo, first };
    return true;
}

sal_str_t sal_symcache_cfi_delta(const sal_symcache_t *c, const sal_cfi_t *cfi, uint32_t i)
{
    const uint8_t *p = i < cfi->n_deltas && cfi->first_delta <= UINT32_MAX - i
                           ? at(c, SYMX_DELTA, cfi->first_delta + i)
                           : NULL;

    return string_at(c, p ? word(p + 4) : SYMX_NONE);
}

bool sal_symcache_win(const sal_symcache_t *c, uint64_t address, bool fpo, sal_win_t *out)
{
    const uint8_t *p = covering(c, fpo ? SYMX_FPO : SYMX_WIN, address);
    uint32_t flags;

    if (!p) {
        return false;
    }
    flags = word(p + 36);
    *out = (sal_win_t){
        .start = word(p),
        .size = word(p + 4),
        .prologue = word(p + 8),
        .epilogue = word(p + 12),
        .params = word(p + 16),
        .saved = word(p + 20),
        .locals = word(p + 24),
        .max_stack = word(p + 28),
        .program = string_at(c, word(p + 32)),
        .has_program = (flags & SYMX_WIN_PROGRAM) != 0,
        .allocates_base_pointer = (flags & SYMX_WIN_BASE_POINTER) != 0,
    };
    return true;
}
