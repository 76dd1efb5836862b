/*
 * Ids of raw files. Expectations: the specification's worked example, and bytes put together here
 * after the formats' own descriptions (PE/COFF, MSF, ECMA-335, Mach-O, ELF).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <apr_general.h>
#include "symbols/object_id.h"

static apr_pool_t *pool;

static void put16(uint8_t *b, size_t at, uint16_t v)
{
    b[at] = (uint8_t)v;
    b[at + 1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *b, size_t at, uint32_t v)
{
    put16(b, at, (uint16_t)v);
    put16(b, at + 2, (uint16_t)(v >> 16));
}

static const uint8_t guid[16] = { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
#define GUID_TEXT "00112233445566778899AABBCCDDEEFF"

static void read_bytes(sal_object_t *o, const uint8_t *b, size_t n)
{
    sal_object_read(o, (sal_span_t){ b, n, false }, true, pool);
}

/* A PE32+ file with one section that holds the debug directory and its record. */
static size_t make_pe(uint8_t *b)
{
    memset(b, 0, 0x600);
    memcpy(b, "MZ", 2);
    put32(b, 0x3c, 0x80);
    memcpy(b + 0x80, "PE\0\0", 4);
    put16(b, 0x86, 1);            /* sections */
    put32(b, 0x88, 0x0a1b2c3d);   /* time stamp */
    put16(b, 0x94, 240);          /* size of the optional header */
    put16(b, 0x98, 0x20b);        /* PE32+ */
    put32(b, 0x98 + 56, 0x5e000); /* SizeOfImage */
    put32(b, 0x98 + 108, 16);     /* data directories */
    put32(b, 0x98 + 112 + 48, 0x1000);
    put32(b, 0x98 + 112 + 52, 28);
    put32(b, 0x188 + 12, 0x1000); /* section: address, raw size, raw offset */
    put32(b, 0x188 + 16, 0x200);
    put32(b, 0x188 + 20, 0x400);
    put32(b, 0x400 + 12, 2); /* CodeView */
    put32(b, 0x400 + 16, 24 + 17);
    put32(b, 0x400 + 24, 0x440);
    memcpy(b + 0x440, "RSDS", 4);
    memcpy(b + 0x444, guid, 16);
    put32(b, 0x454, 0x1f);
    memcpy(b + 0x458, "c:\\build\\xul.pdb", 17);
    return 0x600;
}

static void test_pe(void **state)
{
    uint8_t b[0x600];
    sal_object_t o;

    (void)state;
    read_bytes(&o, b, make_pe(b));
    assert_int_equal(o.format, SAL_OBJECT_PE);
    assert_string_equal(o.code_id, "0A1B2C3D5e000"); /* padded, and not */
    assert_string_equal(o.debug_id, GUID_TEXT "1F");
    assert_string_equal(o.debug_file, "xul.pdb");
    assert_string_equal(sal_object_kind(&o), "pe");
}

/* Every cut of it is read without harm, and never gives a debug id that is not there. */
static void test_cut_pe(void **state)
{
    uint8_t b[0x600];
    sal_object_t o;

    (void)state;
    make_pe(b);
    for (size_t n = 0; n < sizeof(b); n++) {
        read_bytes(&o, b, n);
        assert_true(*o.debug_id == '\0' || n >= 0x458);
    }
}

static void test_pdb(void **state)
{
    static uint8_t b[8 * 512];
    sal_object_t o;

    (void)state;
    memset(b, 0, sizeof(b));
    memcpy(b,
           "Microsoft C/C++ MSF 7.00\r\n\x1a"
           "DS\0\0",
           32);
    put32(b, 32, 512);
    put32(b, 44, 4 + 4 * 4 + 2 * 4); /* directory: count, four sizes, two blocks */
    put32(b, 52, 2);                 /* block with the directory's block numbers */
    put32(b, 2 * 512, 3);
    put32(b, 3 * 512, 4);
    put32(b, 3 * 512 + 4, UINT32_MAX); /* stream 0: none */
    put32(b, 3 * 512 + 8, 28);         /* stream 1: information */
    put32(b, 3 * 512 + 12, 0);
    put32(b, 3 * 512 + 16, 64); /* stream 3: DBI */
    put32(b, 3 * 512 + 20, 4);
    put32(b, 3 * 512 + 24, 5);
    put32(b, 4 * 512 + 8, 1); /* its own age */
    memcpy(b + 4 * 512 + 12, guid, 16);
    put32(b, 5 * 512 + 8, 0xab); /* the age that programs name */
    read_bytes(&o, b, sizeof(b));
    assert_int_equal(o.format, SAL_OBJECT_PDB);
    assert_string_equal(o.debug_id, GUID_TEXT "AB");
    for (size_t n = 0; n < sizeof(b); n++) {
        read_bytes(&o, b, n);
    }
}

static void test_portable_pdb(void **state)
{
    uint8_t b[200] = "BSJB";
    sal_object_t o;

    (void)state;
    put32(b, 12, 12);
    memcpy(b + 16, "PDB v1.0\0\0\0", 12);
    put16(b, 16 + 12 + 2, 2); /* streams */
    put32(b, 32, 100);
    put32(b, 36, 4);
    memcpy(b + 40, "#Strings\0\0\0", 12);
    put32(b, 52, 120);
    put32(b, 56, 20);
    memcpy(b + 60, "#Pdb\0\0\0", 8);
    memcpy(b + 120, guid, 16);
    read_bytes(&o, b, sizeof(b));
    assert_string_equal(o.debug_id, GUID_TEXT "FFFFFFFF");
}

static void test_mach_o(void **state)
{
    uint8_t b[64] = { 0xcf, 0xfa, 0xed, 0xfe };
    sal_object_t o;

    (void)state;
    put32(b, 12, 10);
    put32(b, 16, 1);
    put32(b, 32, 0x1b);
    put32(b, 36, 24);
    memcpy(b + 40, guid, 16);
    read_bytes(&o, b, sizeof(b));
    assert_string_equal(sal_object_kind(&o), "dsym");
    assert_string_equal(o.build_id, "33221100554477668899aabbccddeeff");
    assert_string_equal(o.debug_id, "33221100554477668899AABBCCDDEEFF0");
    put32(b, 36, 0); /* a command without a size must not be looked at for ever */
    read_bytes(&o, b, sizeof(b));
    assert_string_equal(o.build_id, "");
}

/* A 64-bit file with one PT_NOTE and no sections: what strip and packed beginnings leave. */
static void test_elf_note(void **state)
{
    static const uint8_t id[20] = { 0x87, 0x13, 0xb9, 0xc3, 0xfb, 0x8a, 0x72, 0x01, 0x37, 0xa4,
                                    0xa0, 0x8b, 0x32, 0x59, 0x05, 0xc7, 0xaa, 0xf8, 0x42, 0x9d };
    uint8_t b[256] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
    sal_object_t o;

    (void)state;
    put32(b, 32, 64); /* program headers */
    put16(b, 54, 56);
    put16(b, 56, 1);
    put16(b, 58, 64);
    put32(b, 64, 4);
    put32(b, 72, 128);
    put32(b, 96, 36);
    put32(b, 112, 4);
    put32(b, 128, 4);
    put32(b, 132, sizeof(id));
    put32(b, 136, 3);
    memcpy(b + 140, "GNU", 4);
    memcpy(b + 144, id, sizeof(id));
    read_bytes(&o, b, sizeof(b));
    assert_string_equal(o.build_id, "8713b9c3fb8a720137a4a08b325905c7aaf8429d");
    assert_string_equal(o.debug_id, "C3B913878AFB017237A4A08B325905C70");
    put32(b, 132, UINT32_MAX); /* a note that says it is longer than the file */
    read_bytes(&o, b, sizeof(b));
    assert_string_equal(o.build_id, "");
}

static void test_other(void **state)
{
    static const char *const texts[] = { "", "x", "MZ",
                                         "\x7f"
                                         "ELF",
                                         "MODULE Linux x86_64 0 a\n" };
    sal_object_t o;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        read_bytes(&o, (const uint8_t *)texts[i], strlen(texts[i]));
        assert_int_equal(o.format, SAL_OBJECT_OTHER);
        assert_null(sal_object_kind(&o));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pe),     cmocka_unit_test(test_cut_pe),
        cmocka_unit_test(test_pdb),    cmocka_unit_test(test_portable_pdb),
        cmocka_unit_test(test_mach_o), cmocka_unit_test(test_elf_note),
        cmocka_unit_test(test_other),
    };
    int rc;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    apr_pool_destroy(pool);
    apr_terminate();
    return rc;
}
