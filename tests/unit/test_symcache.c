/*
 * The symcache against a brute-force walk over the text: random symbols with overlapping functions,
 * gaps, broken inlines and publics, every offset; and the real files of the shared corpus.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "sym_oracle.h"
#include "symbols/symcache.h"

static apr_pool_t *pool;
static char dir[] = "/tmp/test_symcache.XXXXXX";

typedef struct text_t {
    char *s;
    size_t len, room;
} text_t;

static void add(text_t *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(text_t *t, const char *fmt, ...)
{
    va_list args;

    if (t->room - t->len < 4096) {
        t->room = t->room * 2 + 8192;
        t->s = realloc(t->s, t->room);
        assert_non_null(t->s);
    }
    va_start(args, fmt);
    t->len += (size_t)vsnprintf(t->s + t->len, t->room - t->len, fmt, args);
    va_end(args);
}

static uint64_t seed;
static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *eol(void)
{
    static const char *const ends[] = { "\n", "\n", "\n", "\r\n", "\r\r\n", "\n\n" };

    return ends[rnd(6)];
}

static void random_func(text_t *t, unsigned space)
{
    unsigned start = rnd(space);
    unsigned size = rnd(8) ? rnd(80) : 0;

    add(t, "FUNC %s%x %X %x%s%s%s", rnd(5) ? "" : "m ", start, size, rnd(32), rnd(20) ? " fn_" : "",
        rnd(20) ? "a b" : "", eol());
    for (unsigned n = rnd(12); n > 0; n--) {
        unsigned from = start + rnd(90) - rnd(10);

        if (rnd(3) == 0) {
            unsigned depth = rnd(2) ? rnd(2) : rnd(5);

            if (rnd(8) == 0) {
                add(t, "INLINE %u %u %u %x %x%s", depth, rnd(99), rnd(6), from, rnd(40), eol());
            } else {
                add(t, "INLINE %u %u %d %u %x %x", depth, rnd(99), (int)rnd(5) - 1, rnd(6), from,
                    rnd(60));
                for (unsigned k = rnd(3); k > 0; k--) {
                    add(t, "  %x %x", start + rnd(90), rnd(30));
                }
                add(t, "%s", eol());
            }
        } else {
            add(t, "%x %x %u\t%u%s", from & 0xffff, rnd(6) ? rnd(24) : 0, rnd(200), rnd(5), eol());
        }
    }
}

static void random_text(text_t *t)
{
    unsigned space = 40 + rnd(500);

    add(t, "MODULE Linux x86_64 C3B913878AFB017237A4A08B325905C70 lib one.so%s", eol());
    for (unsigned n = rnd(16); n > 0; n--) {
        switch (rnd(9)) {
        case 0:
            add(t, "FILE %u dir/file %u.c%s", rnd(5), rnd(100), eol());
            break;
        case 1:
            add(t, "INLINE_ORIGIN %u %sinlined %u(int)%s", rnd(6), rnd(4) ? "" : "3 ", rnd(100),
                eol());
            break;
        case 2:
            add(t, "PUBLIC %s%x %x public_%u%s", rnd(6) ? "" : "m ", rnd(6) ? rnd(space) : 0,
                rnd(9), rnd(100), eol());
            break;
        case 3:
            add(t, "%s%s", rnd(2) ? "INFO CODE_ID 1234" : "what is this?", eol());
            break;
        default:
            random_func(t, space);
        }
    }
}

static bool same_text(sal_str_t got, const char *want)
{
    return got.len == strlen(want) && memcmp(got.s, want, got.len) == 0;
}

static bool same_frame(const sal_sym_frame_t *got, const oracle_frame_t *want)
{
    return same_text(got->function, want->function) && same_text(got->file, want->file) &&
           got->line == want->line;
}

static bool same_hit(const sal_sym_hit_t *got, const sal_sym_frame_t *inlines,
                     const oracle_hit_t *want)
{
    bool same = got->is_public == want->is_public && got->is_multiple == want->multiple &&
                got->function_offset == want->start && got->function_size == want->size &&
                got->parameter_size == want->params && same_frame(&got->outer, &want->outer) &&
                got->n_inlines == want->n_inlines;

    for (unsigned i = 0; same && i < got->n_inlines; i++) {
        same = same_frame(&inlines[i], &want->inlines[i]);
    }
    return same;
}

static void print_frame(const char *what, sal_str_t name, sal_str_t file, unsigned line)
{
    print_error("  %s %.*s at '%.*s':%u\n", what, (int)name.len, name.s, (int)file.len, file.s,
                line);
}

static bool equal_frames(const sal_sym_frame_t *a, const sal_sym_frame_t *b)
{
    return a->function.s == b->function.s && a->function.len == b->function.len &&
           a->file.s == b->file.s && a->file.len == b->file.len && a->line == b->line;
}

/*
 * Several at once are answered as each alone. With lines extended an address has the same function,
 * and a line wherever it had one.
 */
static void check_looks(const sal_symcache_t *c, uint64_t x)
{
    static sal_sym_frame_t a[ORACLE_MAX_DEPTH], b[ORACLE_MAX_DEPTH];
    sal_sym_look_t looks[4] = { { .cache = c, .address = x },
                                { .cache = NULL, .address = x },
                                { .cache = c, .address = x + 37 },
                                { .cache = c, .address = x | UINT64_C(1) << 40 } };

    sal_symcache_look(looks, 4);
    for (int i = 0; i < 4; i++) {
        sal_sym_hit_t one, many;
        bool found =
            looks[i].cache && sal_symcache_lookup(c, looks[i].address, &one, a, ORACLE_MAX_DEPTH);

        assert_int_equal(sal_symcache_see(&looks[i], &many, b, ORACLE_MAX_DEPTH), found);
        if (!found) {
            continue;
        }
        assert_true(equal_frames(&one.outer, &many.outer) && one.n_inlines == many.n_inlines);
        for (uint32_t k = 0; k < one.n_inlines && k < ORACLE_MAX_DEPTH; k++) {
            assert_true(equal_frames(&a[k], &b[k]));
        }
        sal_symcache_extend(&looks[i]);
        assert_true(sal_symcache_see(&looks[i], &many, b, ORACLE_MAX_DEPTH));
        assert_ptr_equal(one.outer.function.s, many.outer.function.s);
        assert_true(many.n_inlines <= one.n_inlines);
        if (one.outer.file.len || one.outer.line) {
            assert_true(equal_frames(&one.outer, &many.outer));
        }
    }
}

static void check_address(const sal_symcache_t *c, oracle_t *o, uint64_t x, const char *what)
{
    static sal_sym_frame_t inlines[ORACLE_MAX_DEPTH];
    static oracle_hit_t want;
    sal_sym_hit_t got;
    bool found = sal_symcache_lookup(c, x, &got, inlines, ORACLE_MAX_DEPTH);

    check_looks(c, x);
    oracle_ask(o, x, &want);
    if (found == want.found && (!found || same_hit(&got, inlines, &want))) {
        return;
    }
    print_error("%s: address %llx: found %d, wanted %d\n", what, (unsigned long long)x, found,
                want.found);
    for (unsigned i = 0; found && i < got.n_inlines; i++) {
        print_frame("got inline", inlines[i].function, inlines[i].file, inlines[i].line);
    }
    if (found) {
        print_frame("got outer", got.outer.function, got.outer.file, got.outer.line);
    }
    for (unsigned i = 0; want.found && i < want.n_inlines; i++) {
        print_error("  want inline %s at '%s':%u\n", want.inlines[i].function, want.inlines[i].file,
                    want.inlines[i].line);
    }
    if (want.found) {
        print_error("  want outer %s at '%s':%u\n", want.outer.function, want.outer.file,
                    want.outer.line);
    }
    fail();
}

static sal_symcache_t *build(const char *text, size_t len, apr_pool_t *p)
{
    const char *path = apr_psprintf(p, "%s/one.symx", dir);
    sal_error_t err = { 0 };
    sal_symcache_t *c;

    if (sal_symcache_build_mem(path, (sal_span_t){ (const uint8_t *)text, len, false }, p, &err) ||
        sal_symcache_open(&c, path, p, &err)) {
        fail_msg("%s", err.message);
    }
    return c;
}

/* A symcache of some addresses; *n of them, ascending, in offsets. */
static sal_symcache_t *build_part(const text_t *t, uint64_t *offsets, size_t *n, apr_pool_t *p)
{
    const char *sym = apr_psprintf(p, "%s/one.sym", dir);
    const char *path = apr_psprintf(p, "%s/part.symx", dir);
    FILE *f = fopen(sym, "w");
    sal_error_t err = { 0 };
    sal_symcache_t *c;

    assert_non_null(f);
    assert_int_equal(fwrite(t->s, 1, t->len, f), t->len);
    fclose(f);
    *n = 0;
    for (uint64_t x = rnd(60); x < 720; x += 1 + rnd(60)) {
        offsets[(*n)++] = x;
    }
    if (sal_symcache_build_part(path, sym, offsets, *n, p, &err) ||
        sal_symcache_open(&c, path, p, &err)) {
        fail_msg("%s", err.message);
    }
    unlink(sym);
    unlink(path);
    return c;
}

static void parts_answer_as_the_whole(void **state)
{
    text_t t = { 0 };
    uint64_t offsets[720];

    (void)state;
    for (unsigned i = 1; i <= 1000; i++) {
        apr_pool_t *p;
        oracle_t *o;
        sal_symcache_t *c;
        char what[40];
        size_t n;

        seed = i;
        t.len = 0;
        random_text(&t);
        apr_pool_create(&p, pool);
        snprintf(what, sizeof(what), "part of seed %u", i);
        c = build_part(&t, offsets, &n, p);
        o = oracle_make(t.s);
        for (size_t k = 0; k < n; k++) {
            check_address(c, o, offsets[k], what);
        }
        oracle_free(o);
        apr_pool_destroy(p);
    }
    free(t.s);
}

static void random_files_answer_as_the_text(void **state)
{
    text_t t = { 0 };
    unsigned rounds =
        getenv("SYMCACHE_ROUNDS") ? (unsigned)strtoul(getenv("SYMCACHE_ROUNDS"), NULL, 10) : 1000;

    (void)state;
    for (unsigned i = 1; i <= rounds; i++) {
        apr_pool_t *p;
        oracle_t *o;
        sal_symcache_t *c;
        char what[40];

        seed = i;
        t.len = 0;
        random_text(&t);
        apr_pool_create(&p, pool);
        snprintf(what, sizeof(what), "seed %u", i);
        c = build(t.s, t.len, p);
        o = oracle_make(t.s);
        for (uint64_t x = 0; x < 720; x++) {
            check_address(c, o, x, what);
        }
        oracle_free(o);
        apr_pool_destroy(p);
    }
    free(t.s);
}

static unsigned files_seen;

static int check_real_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    size_t len = strlen(path);
    apr_pool_t *p;
    char *text;
    apr_size_t size;
    oracle_t *o;
    sal_symcache_t *c;
    const uint64_t *edges;
    size_t n;

    (void)st;
    (void)ftw;
    if (type != FTW_F || len < 4 || strcmp(path + len - 4, ".sym") != 0) {
        return 0;
    }
    apr_pool_create(&p, pool);
    assert_int_equal(sal_file_read(&text, &size, path, 1 << 26, p, NULL), APR_SUCCESS);
    c = build(text, size, p);
    o = oracle_make(text);
    edges = oracle_edges(o, &n);
    for (size_t i = 0; i < n; i += 1 + n / 5000) {
        check_address(c, o, edges[i], path);
    }
    oracle_free(o);
    apr_pool_destroy(p);
    files_seen++;
    return 0;
}

static const char *shared_data(void)
{
    const char *shared = getenv("SALVAGE_SHARED");
    const char *srcdir = getenv("srcdir");

    return apr_pstrcat(
        pool, shared ? shared : apr_pstrcat(pool, srcdir ? srcdir : ".", "/../shared", NULL),
        "/data/minidumps", NULL);
}

static void real_files_answer_as_the_text(void **state)
{
    (void)state;
    if (access(shared_data(), R_OK) != 0) {
        print_message("SKIPPED LOUDLY: no shared corpus at %s\n", shared_data());
        skip();
    }
    nftw(shared_data(), check_real_file, 16, FTW_PHYS);
    assert_in_range(files_seen, 10, 1000);
}

static const char small[] = "MODULE windows x86 5A9832E5287241C1838ED98914E9B7FF1 test app.pdb\n"
                            "INFO CODE_ID 5A9832E51000 test app.exe\n"
                            "INFO GENERATOR dump_syms 2.0\n"
                            "INFO URL http://a.test/x.sym\n"
                            "FILE 3 c:\\a b.c\n"
                            "FUNC 1000 20 8 f\n"
                            "1000 10 7 3\n"
                            "1010 10 4294967294 3\n"
                            "FUNC zz 20 0 damaged\n"
                            "1040 10 9 3\n"
                            "PUBLIC 2000 c g\n"
                            "2000 4 1 3\n"
                            "STACK CFI INIT 1000 20 .cfa: $rsp 8 + .ra: .cfa -8 + ^\n"
                            "STACK CFI 1004 .cfa: $rsp 16 +\n"
                            "STACK CFI 1001 $rbp: .cfa -16 + ^\n"
                            "STACK CFI 1004 $a: 1\n"
                            "STACK CFI INIT 1010 20 .cfa: overlaps\n"
                            "STACK CFI INIT 1020 8 .cfa: second\n"
                            "STACK WIN 4 1000 10 1 2 8 4 c 0 1 $T0 .raSearch = $eip $T0 ^ =\n"
                            "STACK WIN 4 1008 10 0 0 0 0 0 0 1 later\n"
                            "STACK WIN 4 1004 2 0 0 0 0 0 0 1 earlier but overlapping nothing\n"
                            "STACK WIN 0 1000 10 1 2 8 4 c 5 0 1\n"
                            "STACK WIN 0 1010 10 1 2 8 4 c 5 0 0\n"
                            "STACK WIN 0 1020 10 1 2 8 4 c 5 1 1\n"
                            "STACK WIN 3 3000 10 1 2 8 4 c 5 0 1\n";

static void heads_and_counts(void **state)
{
    sal_symcache_t *c = build(small, sizeof(small) - 1, pool);
    sal_symcache_info_t info;
    sal_sym_hit_t hit;

    (void)state;
    sal_symcache_info(c, &info);
    assert_string_equal(info.os, "windows");
    assert_string_equal(info.arch, "x86");
    assert_string_equal(info.debug_id, "5A9832E5287241C1838ED98914E9B7FF1");
    assert_string_equal(info.debug_file, "test app.pdb");
    assert_string_equal(info.code_id, "5A9832E51000");
    assert_string_equal(info.code_file, "test app.exe");
    assert_string_equal(info.generator, "dump_syms 2.0");
    assert_string_equal(info.url, "http://a.test/x.sym");
    assert_int_equal(info.source_size, sizeof(small) - 1);
    assert_int_equal(info.functions, 1);
    assert_int_equal(info.lines, 2);
    assert_int_equal(info.publics, 1);
    /* The damaged FUNC, and the line after the PUBLIC; not the lines of the damaged FUNC. */
    assert_int_equal(info.skipped_lines, 2);
    assert_true(sal_symcache_lookup(c, 0x1011, &hit, NULL, 0));
    assert_int_equal(hit.outer.line, 0); /* too large to be a line */
    assert_false(sal_symcache_lookup(c, 0x1041, &hit, NULL, 0));
    assert_false(sal_symcache_lookup(c, UINT64_C(0x100001000), &hit, NULL, 0));
}

static void unwind_records(void **state)
{
    sal_symcache_t *c = build(small, sizeof(small) - 1, pool);
    sal_cfi_t cfi;
    sal_win_t win;

    (void)state;
    assert_false(sal_symcache_cfi(c, 0xfff, &cfi));
    assert_true(sal_symcache_cfi(c, 0x1000, &cfi));
    assert_int_equal(cfi.n_deltas, 0);
    assert_true(sal_symcache_cfi(c, 0x1010, &cfi)); /* the later one overlaps and is dropped */
    assert_true(same_text(cfi.init, ".cfa: $rsp 8 + .ra: .cfa -8 + ^"));
    assert_int_equal(cfi.n_deltas, 3); /* by address, then by text */
    assert_true(same_text(sal_symcache_cfi_delta(c, &cfi, 0), "$rbp: .cfa -16 + ^"));
    assert_true(same_text(sal_symcache_cfi_delta(c, &cfi, 1), "$a: 1"));
    assert_true(same_text(sal_symcache_cfi_delta(c, &cfi, 2), ".cfa: $rsp 16 +"));
    assert_int_equal(sal_symcache_cfi_delta(c, &cfi, 3).len, 0);
    assert_true(sal_symcache_cfi(c, 0x1003, &cfi));
    assert_int_equal(cfi.n_deltas, 1);
    assert_true(sal_symcache_cfi(c, 0x1020, &cfi));
    assert_true(same_text(cfi.init, ".cfa: second"));
    assert_false(sal_symcache_cfi(c, 0x1028, &cfi));

    assert_true(sal_symcache_win(c, 0x1007, false, &win));
    assert_int_equal(win.size, 8); /* cut by the next */
    assert_int_equal(win.params, 8);
    assert_int_equal(win.saved, 4);
    assert_int_equal(win.locals, 0xc);
    assert_true(win.has_program);
    assert_true(same_text(win.program, "$T0 .raSearch = $eip $T0 ^ ="));
    assert_true(sal_symcache_win(c, 0x1017, false, &win));
    assert_true(same_text(win.program, "later"));
    assert_true(sal_symcache_win(c, 0x1005, true, &win));
    assert_true(win.allocates_base_pointer);
    assert_int_equal(win.max_stack, 5);
    assert_false(win.has_program);
    assert_true(sal_symcache_win(c, 0x1015, true, &win));
    assert_false(win.allocates_base_pointer);
    assert_false(sal_symcache_win(c, 0x1025, true, &win)); /* type 0 with a program: ignored */
    assert_false(sal_symcache_win(c, 0x3000, true, &win));
}

/* Where "file : line + offset" counts from. */
static void line_bases(void **state)
{
    static const char text[] = "MODULE Linux x86_64 C3B913878AFB017237A4A08B325905C70 x\n"
                               "FUNC 100 40 0 f\n"
                               "INLINE 0 5 0 0 108 10\n"
                               "INLINE 1 6 0 0 10c 4\n"
                               "100 20 1 0\n"
                               "120 8 2 0\n";
    sal_symcache_t *c = build(text, sizeof(text) - 1, pool);

    (void)state;
    assert_int_equal(sal_symcache_line_base(c, 0x104), 0x100);
    assert_int_equal(sal_symcache_line_base(c, 0x109), 0x108);
    assert_int_equal(sal_symcache_line_base(c, 0x10d), 0x108); /* of the outermost call */
    assert_int_equal(sal_symcache_line_base(c, 0x112), 0x108);
    assert_int_equal(sal_symcache_line_base(c, 0x11a), 0x100); /* the line goes on after it */
    assert_int_equal(sal_symcache_line_base(c, 0x121), 0x120);
    assert_int_equal(sal_symcache_line_base(c, 0x500), UINT32_MAX);
}

static void not_symbols(void **state)
{
    static const char text[] = "FUNC 100 40 0 f\n100 20 1 0\n";
    const char *path = apr_psprintf(pool, "%s/none.symx", dir);
    sal_error_t err;

    (void)state;
    assert_int_equal(
        sal_symcache_build_mem(path, (sal_span_t){ (const uint8_t *)text, 20, false }, pool, &err),
        SAL_E_MALFORMED);
    assert_int_equal(
        sal_symcache_build_mem(path, (sal_span_t){ (const uint8_t *)text, 0, false }, pool, &err),
        SAL_E_MALFORMED);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(APR_STATUS_IS_ENOENT(sal_symcache_build(path, "/nonexistent/x.sym", pool, &err)));
}

static char *read_index(const char *path, apr_size_t *size)
{
    char *data;

    assert_int_equal(sal_file_read(&data, size, path, 1 << 26, pool, NULL), APR_SUCCESS);
    return data;
}

static void put_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static void put_gzip(const char *path, const char *text, size_t size, const char *mode)
{
    gzFile gz = gzopen(path, mode);

    assert_non_null(gz);
    assert_int_equal(gzwrite(gz, text, (unsigned)size), size);
    gzclose(gz);
}

/* Same bytes in, same index out, but for the stamp (which names the source) and the checksum. */
static void compressed_sources_build_the_same(void **state)
{
    enum { STAMP = 16, AFTER_STAMP = 32 };
    text_t t = { 0 };
    char *plain = apr_psprintf(pool, "%s/p.sym", dir);
    char *index[4];
    apr_size_t size[4];
    char *packed;
    size_t n;

    (void)state;
    seed = 4711;
    add(&t, "MODULE Linux x86_64 C3B913878AFB017237A4A08B325905C70 big.so\n");
    while (t.len < 1000000) {
        random_func(&t, 100000);
    }
    put_file(plain, t.s, t.len);
    put_gzip(apr_pstrcat(pool, plain, ".gz", NULL), t.s, 400000, "wb6");
    put_gzip(apr_pstrcat(pool, plain, ".gz", NULL), t.s + 400000, t.len - 400000, "ab1");
    packed = malloc(ZSTD_compressBound(t.len));
    n = ZSTD_compress(packed, ZSTD_compressBound(t.len), t.s, t.len, 3);
    assert_false(ZSTD_isError(n));
    put_file(apr_pstrcat(pool, plain, ".zst", NULL), packed, n);
    for (int i = 0; i < 4; i++) {
        static const char *const ends[] = { "", ".gz", ".zst" };
        const char *out = apr_psprintf(pool, "%s/same%d.symx", dir, i);
        sal_span_t mem = { (const uint8_t *)t.s, t.len, false };

        assert_int_equal(
            i < 3 ? sal_symcache_build(out, apr_pstrcat(pool, plain, ends[i], NULL), pool, NULL)
                  : sal_symcache_build_mem(out, mem, pool, NULL),
            APR_SUCCESS);
        index[i] = read_index(out, &size[i]);
        assert_int_equal(size[i], size[0]);
        assert_memory_equal(index[i] + AFTER_STAMP, index[0] + AFTER_STAMP, size[0] - AFTER_STAMP);
        assert_memory_equal(index[i], index[0], STAMP);
    }
    /* A stream that was cut short is not taken for the whole. */
    put_file(plain, packed, n / 2);
    assert_int_equal(sal_symcache_build(apr_psprintf(pool, "%s/cut.symx", dir), plain, pool, NULL),
                     SAL_E_MALFORMED);
    free(packed);
    free(t.s);
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_threshold(SAL_LOG_ERROR); /* the random files are damaged on purpose */
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_files_answer_as_the_text),
        cmocka_unit_test(parts_answer_as_the_whole),
        cmocka_unit_test(real_files_answer_as_the_text),
        cmocka_unit_test(heads_and_counts),
        cmocka_unit_test(unwind_records),
        cmocka_unit_test(line_bases),
        cmocka_unit_test(not_symbols),
        cmocka_unit_test(compressed_sources_build_the_same),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
