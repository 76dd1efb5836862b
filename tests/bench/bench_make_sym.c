/*
 * A large .sym and a minidump of a process that has its module: what the benchmarks of symbols
 * work on. The same arguments give the same bytes.
 *
 *   bench_make_sym DIR MEGABYTES [THREADS FRAMES MODULES]
 *       -> DIR/symbols/bench.so/ID/bench.so.sym, DIR/bench.dmp;
 *          prints "functions size_of_module bytes_of_text"
 *
 * The dump has 12 threads of 48 frames, all of them in that module, and no other module; with
 * numbers, so many, and stacks as long as they are used.
 *
 * Densities are those of an optimised C++ program (Breakpad's dump_syms on a release build): a FUNC
 * has 24 line records and 12 INLINE records on average, of one to three ranges and up to four deep;
 * there are two INLINE_ORIGINs a FUNC, a PUBLIC in 50; each FUNC has a STACK CFI INIT and up to
 * five deltas. All of a function follows from its number.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "minidump/writer.h"

enum {
    BYTES_A_FUNC = 1480, /* of text, about */
    FILES = 6000,
    STACK = 64 << 10,
    FRAMES_MAX = 200,
    ALIGN = 16,
    CONTEXT_SIZE = 1232
};
#define MODULE_BASE UINT64_C(0x7f0000000000)
#define STACK_BASE UINT64_C(0x7ffc00000000)

static uint32_t threads = 12, frames = 48, modules = 1;
static bool trimmed; /* stacks end with their frames */

static const uint8_t build_id[16] = { 0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd,
                                      0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10 };
#define DEBUG_ID "0123456789ABCDEFFEDCBA98765432100"

/* ---- numbers that follow from numbers ---- */

typedef struct rng_t {
    uint64_t state;
} rng_t;

static rng_t rng_for(uint32_t n, uint32_t purpose)
{
    return (rng_t){ ((uint64_t)purpose << 32 | n) * 0x9e3779b97f4a7c15u + 1 };
}

static uint32_t below(rng_t *r, uint32_t bound)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(((z >> 32) * bound) >> 32);
}

/* Many small ones, few large ones. */
static uint32_t skewed(rng_t *r, uint32_t bound)
{
    uint32_t a = below(r, bound);
    uint32_t b = below(r, bound);

    return (uint32_t)((uint64_t)a * b / bound);
}

enum { OF_SIZE = 1, OF_NAME, OF_LINES, OF_INLINES, OF_ORIGIN, OF_FRAME, OF_FILE };

static uint32_t size_of(uint32_t f)
{
    rng_t r = rng_for(f, OF_SIZE);

    return 48 + skewed(&r, 120) * ALIGN;
}

/* What the body of a function has below its return address. */
static uint32_t frame_of(uint32_t f)
{
    rng_t r = rng_for(f, OF_FRAME);

    return 32 + 16 * skewed(&r, 16);
}

/* ---- text ---- */

typedef struct text_t {
    FILE *f;
    uint64_t size;
} text_t;

static void put_n(text_t *t, const char *s, size_t n)
{
    fwrite_unlocked(s, 1, n, t->f);
    t->size += n;
}

static void put(text_t *t, const char *s)
{
    put_n(t, s, strlen(s));
}

static void put_number(text_t *t, uint64_t v, unsigned base, char end)
{
    char buf[24], *p = buf + sizeof(buf);

    *--p = end;
    do {
        *--p = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    put_n(t, p, (size_t)(buf + sizeof(buf) - p));
}

static void put_hex(text_t *t, uint64_t v, char end)
{
    put_number(t, v, 16, end);
}

static void put_dec(text_t *t, uint64_t v, char end)
{
    put_number(t, v, 10, end);
}

static void put_name(text_t *t, uint32_t n, uint32_t purpose)
{
    static const char *const spaces[] = { "mozilla::dom::",  "js::jit::",
                                          "std::__detail::", "webrender::",
                                          "mozilla::gfx::",  "(anonymous namespace)::",
                                          "style::values::", "nsTArray_Impl<RefPtr<" };
    static const char *const verbs[] = { "Resolve", "Append",    "operator()",    "Initialize",
                                         "Trace",   "Serialize", "drop_in_place", "MaybeUpdate" };
    static const char *const tails[] = { "(JSContext*, JS::Handle<JS::Value>)",
                                         "(nsTSubstring<char16_t> const&, unsigned int)",
                                         "() const",
                                         "(std::unique_ptr<T, std::default_delete<T> >&&)",
                                         "(int)",
                                         "<core::option::Option<alloc::sync::Arc<T>>>",
                                         "(mozilla::Span<unsigned char const>, bool)",
                                         "()" };
    rng_t r = rng_for(n, purpose);

    put(t, spaces[below(&r, 8)]);
    put(t, "Component");
    put_dec(t, below(&r, 4000), ':');
    put(t, ":");
    put(t, verbs[below(&r, 8)]);
    put_dec(t, n, '_');
    put(t, verbs[below(&r, 8)]);
    put(t, tails[below(&r, 8)]);
    put(t, "\n");
}

static void put_lines(text_t *t, uint32_t f, uint32_t start, uint32_t size)
{
    rng_t r = rng_for(f, OF_LINES);
    uint32_t n = 1 + size / 24, step = size / n, files[4], line = below(&r, 9000);

    for (int i = 0; i < 4; i++) {
        files[i] = below(&r, FILES);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = start + i * step;

        put_hex(t, at, ' ');
        put_hex(t, i + 1 < n ? step : start + size - at, ' ');
        put_dec(t, line + below(&r, 60), ' ');
        put_dec(t, files[skewed(&r, 4)], '\n');
    }
}

/* A call inlined into [lo, hi), with others inlined into its first half. */
static void put_inlines(text_t *t, rng_t *r, uint32_t lo, uint32_t hi, unsigned depth,
                        uint32_t origins)
{
    uint32_t half = (hi - lo) / 2, more = half > 16 ? below(r, 4) : 0;

    more = more > 1 ? more - 1 : 0;

    put(t, "INLINE ");
    put_dec(t, depth, ' ');
    put_dec(t, 1 + below(r, 9000), ' ');
    put_dec(t, below(r, FILES), ' ');
    put_dec(t, below(r, origins), ' ');
    put_hex(t, lo, ' ');
    for (uint32_t i = 0; i < more; i++) { /* more ranges, in its other half */
        put_hex(t, i ? 2 : half, ' ');
        put_hex(t, lo + half + 4 + i * 4, ' ');
    }
    put_hex(t, more ? 2 : half, '\n');
    if (depth < 4 && half >= 16 && below(r, 10) < 7) {
        put_inlines(t, r, lo, lo + half, depth + 1, origins);
    }
}

static void put_func(text_t *t, uint32_t f, uint32_t start, uint32_t origins)
{
    uint32_t size = size_of(f), calls = size / 80, step = calls ? size / calls : 0;
    rng_t r = rng_for(f, OF_INLINES);

    put(t, f % 40 == 7 ? "FUNC m " : "FUNC ");
    put_hex(t, start, ' ');
    put_hex(t, size, ' ');
    put(t, "0 ");
    put_name(t, f, OF_NAME);
    for (uint32_t i = 0; i < calls; i++) {
        put_inlines(t, &r, start + i * step + 4, start + (i + 1) * step, 0, origins);
    }
    put_lines(t, f, start, size);
}

/* push %rbp; mov; push %rbx; sub: as gcc writes it without frame pointers. */
static void put_cfi(text_t *t, uint32_t f, uint32_t start)
{
    uint32_t size = size_of(f), frame = frame_of(f);

    put(t, "STACK CFI INIT ");
    put_hex(t, start, ' ');
    put_hex(t, size, ' ');
    put(t, ".cfa: $rsp 8 + .ra: .cfa -8 + ^\nSTACK CFI ");
    put_hex(t, start + 1, ' ');
    put(t, ".cfa: $rsp 16 + $rbp: .cfa -16 + ^\nSTACK CFI ");
    if (frame > 64) {
        put_hex(t, start + 2, ' ');
        put(t, ".cfa: $rsp 24 + $rbx: .cfa -24 + ^\nSTACK CFI ");
    }
    put_hex(t, start + 6, ' ');
    put(t, ".cfa: $rsp ");
    put_dec(t, frame, ' ');
    put(t, "+\nSTACK CFI ");
    put_hex(t, start + size - 2, ' ');
    put(t, ".cfa: $rsp 8 +\n");
}

static void put_head(text_t *t, uint32_t origins)
{
    put(t, "MODULE Linux x86_64 " DEBUG_ID " bench.so\n"
           "INFO CODE_ID 67452301AB89EFCDFEDCBA9876543210\n");
    for (uint32_t i = 0; i < FILES; i++) {
        rng_t r = rng_for(i, OF_FILE);

        put(t, "FILE ");
        put_dec(t, i, ' ');
        put(t, "hg:hg.example.org/release:browser/components/module");
        put_dec(t, below(&r, 300), '/');
        put(t, "Source_");
        put_dec(t, i, '.');
        put(t, "cpp:0123456789abcdef\n");
    }
    for (uint32_t i = 0; i < origins; i++) {
        put(t, "INLINE_ORIGIN ");
        put_dec(t, i, ' ');
        put_name(t, i, OF_ORIGIN);
    }
}

/* Writes the text; starts[f] is where function f begins. Returns the size of the module. */
static uint32_t write_text(text_t *t, uint32_t functions, uint32_t *starts)
{
    uint32_t at = 0x1000;

    put_head(t, 2 * functions);
    for (uint32_t f = 0; f < functions; f++) {
        starts[f] = at;
        put_func(t, f, at, 2 * functions);
        at += size_of(f);
    }
    for (uint32_t f = 0; f < functions; f += 50) {
        put(t, "PUBLIC ");
        put_hex(t, starts[f] + 8, ' ');
        put(t, "0 exported_");
        put_dec(t, f, '\n');
    }
    for (uint32_t f = 0; f < functions; f++) {
        put_cfi(t, f, starts[f]);
    }
    return at;
}

/* ---- the dump ---- */

/* An address in the body of a function, behind the prologue. */
static uint64_t address_in(uint32_t f, const uint32_t *starts, uint32_t salt)
{
    return MODULE_BASE + starts[f] + 8 + salt % (size_of(f) - 12);
}

static void set64(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(v >> 8 * i);
    }
}

/* Frames from the top down: each function's return address lies where its CFI says. */
static uint32_t fill_stack(uint8_t *stack, uint32_t *used, uint32_t thread, uint32_t functions,
                           const uint32_t *starts, uint64_t *ip)
{
    uint32_t f = thread * 7919 % functions, sp = 256, at = sp;

    *ip = address_in(f, starts, thread * 13);
    for (uint32_t i = 1; i <= frames; i++) {
        uint32_t caller = (thread * 7919 + i * 104729) % functions;

        at += frame_of(f);
        set64(stack + at - 8, i < frames ? address_in(caller, starts, i * 29) : 0);
        set64(stack + at - 16, STACK_BASE + at + 64); /* rbp */
        f = caller;
    }
    *used = at + 256;
    return sp;
}

static sal_mdw_loc_t put_context(sal_mdw_t *w, uint64_t ip, uint64_t sp)
{
    uint8_t context[CONTEXT_SIZE] = { 0 };

    set64(context + 0x30, 0x10000b); /* AMD64: control, integer, floating point */
    set64(context + 0x98, sp);
    set64(context + 0xa0, sp + 64);
    set64(context + 0xf8, ip);
    return sal_mdw_copy(w, context, sizeof(context));
}

static void put_thread(sal_mdw_t *w, uint32_t n, uint32_t functions, const uint32_t *starts)
{
    static uint8_t stack[STACK];
    uint64_t ip, base = STACK_BASE + (uint64_t)n * 0x100000;
    sal_mdw_thread_t t = { .id = 1000 + n, .stack_start = base };
    uint32_t sp, used;

    memset(stack, 0, sizeof(stack));
    sp = fill_stack(stack, &used, n, functions, starts, &ip);
    t.stack = sal_mdw_copy(w, stack, trimmed ? used : sizeof(stack));
    t.context = put_context(w, ip, base + sp);
    sal_mdw_thread(w, &t);
    sal_mdw_memory(w, base, t.stack);
    if (n == 0) {
        sal_mdw_exception_t e = { .thread_id = t.id, .code = 11, .flags = 1, .address = 0x10 };

        e.context = put_context(w, ip, base + sp);
        sal_mdw_exception(w, &e);
    }
}

/* As a process has them: mapped one behind the other, no frame lies in them. */
static void put_others(sal_mdw_t *w, apr_pool_t *p)
{
    for (uint32_t i = 1; i < modules; i++) {
        sal_mdw_module_t m = { .base = MODULE_BASE + (UINT64_C(1) << 33) + i * 0x400000u,
                               .size = 0x100000 };
        uint8_t id[16];

        memcpy(id, build_id, sizeof(id));
        set64(id, i * 0x9e3779b97f4a7c15u);
        m.name = apr_psprintf(p, "/usr/lib/x86_64-linux-gnu/libother%u.so.%u", i, i % 7);
        m.cv = sal_mdw_cv_elf(w, id, sizeof(id));
        sal_mdw_module(w, &m);
    }
}

static int write_dump(const char *path, uint32_t functions, const uint32_t *starts, uint32_t size,
                      apr_pool_t *p)
{
    sal_mdw_t *w = sal_mdw_make(false, p);
    sal_mdw_system_t system = { .arch = 9, .cpu_count = 2, .major = 6, .platform = 0x8201 };
    sal_mdw_module_t module = { .base = MODULE_BASE, .size = size, .name = "/usr/lib/bench.so" };
    sal_error_t err = { 0 };
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    sal_mdw_system(w, &system);
    module.cv = sal_mdw_cv_elf(w, build_id, sizeof(build_id));
    sal_mdw_module(w, &module);
    put_others(w, p);
    for (uint32_t i = 0; i < threads; i++) {
        put_thread(w, i, functions, starts);
    }
    if (fd < 0 || sal_mdw_finish(w, 1700000000, 0, &err) != APR_SUCCESS ||
        sal_mdw_write(w, fd, &err) != APR_SUCCESS || close(fd) != 0) {
        fprintf(stderr, "bench_make_sym: %s: %s\n", path, err.message);
        return 1;
    }
    return 0;
}

static FILE *create(const char *dir, char *path, size_t size)
{
    static const char *const parts[] = { "", "/symbols", "/bench.so", "/" DEBUG_ID };
    size_t n = (size_t)snprintf(path, size, "%s", dir);

    for (int i = 0; i < 4 && n < size; i++) {
        n += (size_t)snprintf(path + n, size - n, "%s", parts[i]);
        mkdir(path, 0755);
    }
    snprintf(path + n, size - n, "/bench.so.sym");
    return fopen(path, "w");
}

int main(int argc, char **argv)
{
    char path[4096];
    uint32_t functions, size, *starts;
    text_t t = { 0 };
    apr_pool_t *p;
    int code;

    if ((argc != 3 && argc != 6) || strlen(argv[1]) > 3000) {
        fprintf(stderr, "usage: bench_make_sym DIR MEGABYTES [THREADS FRAMES MODULES]\n");
        return 2;
    }
    if (argc == 6) {
        threads = (uint32_t)strtoul(argv[3], NULL, 10);
        frames = (uint32_t)strtoul(argv[4], NULL, 10);
        modules = (uint32_t)strtoul(argv[5], NULL, 10);
        trimmed = true;
    }
    if (frames > FRAMES_MAX) {
        fprintf(stderr, "bench_make_sym: at most %d frames\n", FRAMES_MAX);
        return 2;
    }
    functions = (uint32_t)(strtoull(argv[2], NULL, 10) * 1000000 / BYTES_A_FUNC) + 1;
    starts = malloc(functions * sizeof(*starts));
    t.f = create(argv[1], path, sizeof(path));
    if (!t.f || !starts) {
        perror(path);
        return 1;
    }
    setvbuf(t.f, NULL, _IOFBF, 1 << 20);
    size = write_text(&t, functions, starts);
    if (ferror(t.f) || fclose(t.f) != 0) {
        perror(path);
        return 1;
    }
    apr_initialize();
    apr_pool_create(&p, NULL);
    snprintf(path, sizeof(path), "%s/bench.dmp", argv[1]);
    code = write_dump(path, functions, starts, size, p);
    printf("%u %u %llu\n", functions, size, (unsigned long long)t.size);
    free(starts);
    apr_terminate();
    return code;
}
