/*
 * Parts of the symbol dumper: names, packed lines and inlined calls, calls made to nest.
 *
 * Names are expected as the C++ ABI and Rust's mangling define them (without return type, hash and
 * clone suffix). Nesting is checked against what readers need: calls of one depth apart, each
 * inside its caller.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

/* ---- names ---- */

static void check_name(const char *mangled, const char *expected)
{
    char *name = dump_demangle(mangled);

    assert_string_equal(name, expected);
    free(name);
}

static void test_cpp_names(void **state)
{
    (void)state;
    check_name("_ZN2ns1K2goEi", "ns::K::go(int)");
    check_name("_ZN12_GLOBAL__N_13fooEi", "(anonymous namespace)::foo(int)");
    check_name("_ZNK1AcvbEv", "A::operator bool() const");
    check_name("_ZN1AC2Ev", "A::A()");
    check_name("_ZN1AD0Ev", "A::~A()");
    check_name("_ZSt4sqrtIdET_S0_", "std::sqrt<double>(double)"); /* no return type */
    check_name("_ZZ4mainENKUlvE_clEv", "main::{lambda()#1}::operator()() const");
    check_name("_ZThn8_N1B1fEv", "non-virtual thunk to B::f()");
}

static void test_rust_names(void **state)
{
    (void)state;
    check_name("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
    check_name("_ZN50_$LT$T$u20$as$u20$core..convert..Into$LT$U$GT$$GT$4into17h0123456789abcdefE",
               "<T as core::convert::Into<U>>::into");
    check_name("_RNvCs1234_7mycrate3foo", "mycrate::foo");
    check_name("_RNvMs_NtCs1234_7mycrate3modNtB4_1A2go", "<mycrate::mod::A>::go");
}

static void test_plain_names(void **state)
{
    (void)state;
    check_name("main", "main");
    check_name("_start", "_start");
    check_name("__libc_start_main", "__libc_start_main");
    check_name("", "");
    check_name("_Z", "_Z");
    check_name("_ZN", "_ZN");
    check_name("_ZNbroken", "_ZNbroken");
}

static void test_suffixes(void **state)
{
    (void)state;
    check_name("f.cold", "f");
    check_name("f.constprop.0.isra.12", "f");
    check_name("f.str.158.llvm.1786438672924483777", "f");
    check_name("f.part.0.lto_priv.3.localalias", "f");
    check_name("f [clone .constprop.0] [clone .cold]", "f");
    check_name("f [clone foo][bar]", "f [clone foo][bar]");
    check_name("f.warm", "f.warm");
    check_name("f.12", "f.12");
    check_name("fcold", "fcold");
    check_name(".cold", ".cold");
    check_name("_ZN2ns1K2goEi.part.0.cold", "ns::K::go(int)");
}

/* Parameters B<B<...>, B<...>>: each doubles the one before. 2^30 names, of which nobody may see
 * many; the name stays mangled. */
static void test_exploding_name(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char mangled[1024] = "_Z1f1AIiiE1BIS0_S0_E", level[32], *name;

    (void)state;
    for (int i = 2; i < 32; i++) {
        snprintf(level, sizeof(level), "S1_IS%c_S%c_E", digits[i], digits[i]);
        strcat(mangled, level);
        if (i == 3) {
            name = dump_demangle(mangled);
            assert_non_null(strstr(name, "B<B<B<A<int, int>, A<int, int> >, B<A<int, int>"));
            free(name);
        }
    }
    check_name(mangled, mangled);
}

static void test_long_name(void **state)
{
    char *mangled = malloc(90000), *name;

    (void)state;
    strcpy(mangled, "_Z82000");
    memset(mangled + 7, 'x', 82000);
    strcpy(mangled + 7 + 82000, "v");
    name = dump_demangle(mangled);
    assert_true(strlen(name) <= strlen(mangled));
    free(name);
    free(mangled);
}

/* ---- packing ---- */

static void test_pack(void **state)
{
    static const dump_site_t sites[] = {
        { 0x1000, 0x10, 0, 7, 1, 2 },
        { 0x1040, 8, 0, 7, 1, 2 }, /* one record, two ranges */
        { 0x1004, 4, 1, UINT32_MAX, 0, 9 },
        { 0x1000 - 16, 1, 300, 0, 70000, 0 },
    };
    static const dump_line_t lines[] = {
        { 0x1000, 10, 0 }, { 0x1004, 4000000000u, 3 }, { 0x1005, 0, 200 }, { 0x90001005, 1, 0 }
    };
    static const bool starts[] = { true, false, true, true };
    dump_buf_t b = { NULL, 0, 0, false };
    dump_func_t f = { .addr = 0x1000, .size = 0x90002000 };
    dump_unpack_t u;
    dump_site_t site;
    dump_line_t line;
    bool first;

    (void)state;
    dump_pack(&b, f.addr, sites, 4, lines, 4);
    assert_false(b.failed);
    f.body = b.p;
    f.body_size = (uint32_t)b.n;
    dump_unpack_start(&u, &f);
    for (int i = 0; i < 4; i++) {
        assert_true(dump_unpack_site(&u, &site, &first));
        assert_memory_equal(&site, &sites[i], sizeof(site));
        assert_int_equal(first, starts[i]);
    }
    assert_false(dump_unpack_site(&u, &site, &first));
    for (int i = 0; i < 4; i++) {
        assert_true(dump_unpack_line(&u, &line));
        assert_true(line.addr == lines[i].addr && line.line == lines[i].line &&
                    line.file == lines[i].file);
    }
    assert_false(dump_unpack_line(&u, &line));
    free(b.p);
}

/* ---- nesting ---- */

typedef struct nest_t {
    dw_t dw;
    dw_worker_t w;
    dw_file_t file;
    dw_unit_t unit;
    dump_func_t f;
} nest_t;

static void nest_start(nest_t *n)
{
    memset(n, 0, sizeof(*n));
    assert_true(dw_intern_init(&n->dw.origins) && dw_intern_init(&n->dw.files));
    n->dw.inlines = true;
    n->unit.file = n->unit.addr_file = &n->file;
    n->w.dw = &n->dw;
    n->w.unit = &n->unit;
    n->w.lines.unknown = UINT32_MAX;
    n->w.epoch = 1;
    n->w.name_work = n->w.emit_work = 1000;
}

static void nest_end(nest_t *n)
{
    dw_intern_free(&n->dw.origins);
    dw_intern_free(&n->dw.files);
    free(n->w.known);
    free(n->w.nested);
    free(n->w.heap);
    free(n->w.site);
    free(n->w.line);
    free(n->w.stack);
    free(n->w.bytes.p);
}

/* Packs the calls of a function of [0x1000, 0x2000) and starts to read them back. */
static void nest_run(nest_t *n, dw_inl_t *inl, uint32_t inls, dump_unpack_t *u)
{
    dw_range_t r = { 0x1000, 0x2000 };

    dw_body(&n->w, &r, inl, inls);
    assert_false(n->w.failed);
    n->f.addr = r.start;
    n->f.size = r.end - r.start;
    n->f.body = n->w.bytes.p;
    n->f.body_size = (uint32_t)n->w.bytes.n;
    dump_unpack_start(u, &n->f);
}

static void expect_site(dump_unpack_t *u, uint32_t depth, uint32_t line, uint64_t addr,
                        uint64_t size)
{
    dump_site_t site;
    bool first;

    assert_true(dump_unpack_site(u, &site, &first));
    assert_int_equal(site.depth, depth);
    assert_int_equal(site.call_line, line);
    assert_int_equal(site.addr, addr);
    assert_int_equal(site.size, size);
}

#define CALL(from, to, deep, at, nth)                                                              \
    {                                                                                              \
        .start = (from), .end = (to), .depth = (deep), .order = (nth), .call_file = UINT32_MAX,    \
        .call_line = (at)                                                                          \
    }

static void test_nesting(void **state)
{
    /* in order of address and depth: a call; its child, too long; a sibling that overlaps; an
     * orphan two levels down; one beyond the end of the function */
    dw_inl_t inl[] = { CALL(0x1000, 0x1100, 0, 1, 0), CALL(0x1080, 0x1180, 1, 2, 1),
                       CALL(0x10c0, 0x1200, 0, 3, 2), CALL(0x1300, 0x1310, 2, 4, 3),
                       CALL(0x1ff0, 0x3000, 0, 5, 4) };
    nest_t n;
    dump_unpack_t u;
    dump_site_t site;
    bool first;

    (void)state;
    nest_start(&n);
    nest_run(&n, inl, 5, &u);
    expect_site(&u, 0, 1, 0x1000, 0x100);
    expect_site(&u, 1, 2, 0x1080, 0x100); /* its pieces under two callers touch: one record */
    expect_site(&u, 0, 3, 0x1100, 0x100);
    expect_site(&u, 0, 5, 0x1ff0, 0x10);
    assert_false(dump_unpack_site(&u, &site, &first));
    nest_end(&n);
}

/* Every call reaches over all others: without a bound they would cut each other for ever. */
static void test_nesting_is_bounded(void **state)
{
    enum { CALLS = 4000 };
    static dw_inl_t inl[CALLS];
    nest_t n;
    dump_unpack_t u;
    dump_site_t site;
    uint64_t end = 0;
    bool first;

    (void)state;
    for (uint32_t i = 0; i < CALLS; i++) {
        dw_inl_t one = CALL(0x1000 + i / 2, 0x2000 - i % 7, i % 2, i, i);

        inl[i] = one;
    }
    nest_start(&n);
    nest_run(&n, inl, CALLS, &u);
    assert_true(n.w.nesteds <= 16 * CALLS + 1024);
    while (dump_unpack_site(&u, &site, &first)) {
        if (site.depth == 0) {
            assert_true(site.addr >= end);
            end = site.addr + site.size;
        }
    }
    nest_end(&n);
}

/* ---- abbreviations and numbers of damaged input ---- */

static void test_abbreviations(void **state)
{
    /* code 1: subprogram, children, name strp, low_pc addr; code 2: cut off */
    static const uint8_t bytes[] = {
        1, DW_TAG_subprogram, 1, DW_AT_name, DW_FORM_strp, DW_AT_low_pc, DW_FORM_addr, 0, 0,
        2, DW_TAG_member
    };
    dw_file_t f = { .s[DW_ABBREV] = { bytes, sizeof(bytes) } };
    dw_abbrevs_t t = { 0 };
    uint64_t work = 1000;

    (void)state;
    assert_true(dw_abbrevs_read(&t, &f, 0, 0, &work));
    assert_int_equal(t.n, 1);
    assert_int_equal(work, 1000 - sizeof(bytes));
    assert_non_null(dw_abbrev_find(&t, 1));
    assert_null(dw_abbrev_find(&t, 2));
    assert_null(dw_abbrev_find(&t, 0));
    assert_null(dw_abbrev_find(&t, UINT64_C(0x100000001)));
    assert_false(dw_abbrevs_read(&t, &f, sizeof(bytes), 0, &work));
    work = 0;
    assert_false(dw_abbrevs_read(&t, &f, 0, 0, &work));
    dw_abbrevs_free(&t);
}

static void test_numbers(void **state)
{
    static const uint8_t bytes[] = { 0xe5, 0x8e, 0x26, 0x7f, 0x80, 0x7f, 0x80, 0x80 };
    dw_cur_t c = { bytes, bytes + sizeof(bytes), false, false };

    (void)state;
    assert_int_equal(dw_uleb(&c), 624485); /* the example of the DWARF standard */
    assert_int_equal(dw_sleb(&c), -1);
    assert_int_equal(dw_sleb(&c), -128);
    dw_uleb(&c);
    assert_true(c.bad);
    assert_int_equal(dw_fixed(&c, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpp_names),
        cmocka_unit_test(test_rust_names),
        cmocka_unit_test(test_plain_names),
        cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_exploding_name),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_pack),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_nesting_is_bounded),
        cmocka_unit_test(test_abbreviations),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
