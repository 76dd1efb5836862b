/*
 * Bit flips: is there an address one bit away from the one that faulted, which would have worked?
 * Broken memory makes such crashes. Only on 64-bit CPUs, whose address space is mostly empty, and
 * not on arm64, where the offset of an access is unknown. Rules: docs/stackwalk.md "Bit flips".
 */
#include "analysis/crash.h"

enum { LOW_ADDRESS = 8192, NEARBY = 4096, MAX_FLIPS = 1024 };

typedef struct {
    const sal_crash_t *crash;
    const sal_analysis_t *report;
    unsigned first_bit, last_bit;
    uint32_t access_size; /* of the access that faulted; 0 if unknown */
    json_t *out;
} search_t;

static bool is_poison(uint64_t v)
{
    static const uint8_t bytes[] = { 0x2b, 0x2d, 0x2f, 0x49, 0x4b, 0x4d, 0x4f, 0x6b, 0x8b,
                                     0x9b, 0x9f, 0xa5, 0xbb, 0xcc, 0xcd, 0xce, 0xdb, 0xe5 };

    return v == (v & 0xff) * UINT64_C(0x0101010101010101) &&
           memchr(bytes, (int)(v & 0xff), sizeof(bytes));
}

typedef struct {
    bool is_null, was_low, non_canonical, poison;
    unsigned nearby;
} details_t;

/* Independent hints add up: 1 - product of what each leaves open. In float, as our peers print. */
static float confidence(const details_t *d)
{
    static const float nearby[] = { 0.50f, 0.55f, 0.60f, 0.65f };
    float open = 1.0f - 0.25f;

    if (d->non_canonical) {
        open *= 1.0f - 0.90f;
    }
    if (d->is_null) {
        open *= 1.0f - (d->was_low ? 0.25f : 0.5f);
    }
    if (d->nearby) {
        open *= 1.0f - nearby[(d->nearby > 4 ? 4 : d->nearby) - 1];
    }
    return (1.0f - open) * (d->poison ? 0.5f : 1.0f);
}

static void emit(search_t *s, uint64_t original, uint64_t candidate, const char *source)
{
    const sal_regs_t *regs = s->crash->has_context ? &s->crash->context : NULL;
    details_t d = { .is_null = candidate == 0 };

    d.was_low = d.is_null && original <= LOW_ADDRESS;
    d.non_canonical = s->crash->adjusted == SAL_ADJUSTED_NON_CANONICAL;
    for (int i = 0; regs && i < SAL_MAX_REGS; i++) {
        uint64_t v = regs->value[i];

        if (!(regs->valid >> i & 1)) {
            continue;
        }
        if (candidate > LOW_ADDRESS && (v > candidate ? v - candidate : candidate - v) <= NEARBY) {
            d.nearby++;
        }
        d.poison = d.poison || is_poison(v);
    }
    json_array_append_new(s->out,
                          json_pack("{s:o,s:f,s:{s:b,s:i,s:b,s:b,s:b},s:o}", "address",
                                    sal_analysis_hex(s->report, candidate), "confidence",
                                    (double)confidence(&d), "details", "is_null", d.is_null,
                                    "nearby_registers", (int)d.nearby, "poison_registers", d.poison,
                                    "was_low", d.was_low, "was_non_canonical", d.non_canonical,
                                    "source_register", sal_analysis_text(s->report, source)));
}

/* So close to memory that would do, that the pointer is off by a little rather than by a bit. */
static bool is_near_miss(const search_t *s, uint64_t address)
{
    const sal_minidump_t *md = s->crash->md;

    if (!s->access_size) {
        return false;
    }
    for (size_t i = 0; i < md->n_regions; i++) {
        const sal_md_region_t *region = &md->regions[i];
        uint64_t end = region->base + (region->size - 1), distance;

        if (!sal_crash_may(s->crash->fault, region)) {
            continue;
        }
        distance = address < region->base ? region->base - address
                   : address > end        ? address - end
                                          : 0;
        if (distance < s->access_size) {
            return true;
        }
    }
    return false;
}

static bool works(const search_t *s, uint64_t address)
{
    const sal_md_region_t *region = sal_minidump_region_at(s->crash->md, address);

    return region && sal_crash_may(s->crash->fault, region);
}

static void try_address(search_t *s, uint64_t address, const char *source)
{
    if (works(s, address) || is_near_miss(s, address)) {
        return;
    }
    for (unsigned bit = s->first_bit; bit <= s->last_bit; bit++) {
        uint64_t candidate = address ^ UINT64_C(1) << bit;

        if (candidate == 0) { /* a test for null that went the wrong way */
            emit(s, address, candidate, source);
        }
        if (works(s, candidate) && json_array_size(s->out) < MAX_FLIPS) {
            emit(s, address, candidate, source);
        }
    }
}

/* Registers in the order of their names: the document lists them so. */
static void try_registers(search_t *s)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(s->crash->context.cpu);
    uint64_t left = s->crash->insn.registers & s->crash->context.valid;

    while (left) {
        int first = -1;

        for (int i = 0; i < cpu->n_regs; i++) {
            if (left >> i & 1 &&
                (first < 0 || strcmp(cpu->reg_names[i], cpu->reg_names[first]) < 0)) {
                first = i;
            }
        }
        if (first < 0) {
            return;
        }
        left &= ~(UINT64_C(1) << first);
        try_address(s, s->crash->context.value[first], cpu->reg_names[first]);
    }
}

static uint64_t start_address(search_t *s)
{
    const sal_crash_t *c = s->crash;

    for (unsigned i = 0; i < c->insn.n_accesses; i++) {
        const sal_access_t *a = &c->insn.accesses[i];

        if (c->address >= a->address && c->address - a->address < a->size) {
            s->access_size = a->size;
            return a->address; /* the fault may be reported in the middle of the access */
        }
    }
    return c->adjusted == SAL_ADJUSTED_NON_CANONICAL ? c->adjusted_address : c->address;
}

json_t *sal_crash_bit_flips(const sal_crash_t *c, const sal_analysis_t *r)
{
    search_t s = { .crash = c, .report = r, .last_bit = 63 };
    sal_cpu_t cpu = c->md->system.cpu;

    if (r->pointer_size != 8 || cpu == SAL_CPU_UNKNOWN || cpu == SAL_CPU_ARM64 ||
        c->adjusted == SAL_ADJUSTED_NULL) {
        return json_null();
    }
    if (c->adjusted == SAL_ADJUSTED_NON_CANONICAL) {
        s.first_bit = 48;
    } else if (cpu == SAL_CPU_AMD64) {
        s.last_bit = 47;
    }
    s.out = json_array();
    try_address(&s, start_address(&s), NULL);
    if (c->has_context) {
        try_registers(&s);
    }
    if (json_array_size(s.out) == 0) {
        json_decref(s.out);
        return json_null();
    }
    return s.out;
}
