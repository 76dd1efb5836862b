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
#include "symbols/symcache_read.h"

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
