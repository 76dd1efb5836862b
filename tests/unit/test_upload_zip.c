/*
 * Checks of symbol archives: every row of the table in docs/symbols.md, "Checks of an archive".
 * The texts are Tecken's (its clients match on them), the archives are made here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include "symbols/sym_header.h"
#include "upload/upload.h"
#include "upload/zip.h"
#include "temp_dir.h"
#include "zip_writer.h"

#define ID "C3B913878AFB017237A4A08B325905C70"
#define GOOD "xul.pdb/" ID "/xul.sym"
#define PATTERN                                                                                    \
    "Unrecognized file pattern. Should only be <module>/<hex>/<file> or "                          \
    "<name>-symbols.txt and nothing else. (First unrecognized pattern was "

static apr_pool_t *pool;
static sal_symbol_store_t *store;

static apr_status_t open_made(sal_upload_zip_t **out, const zw_member_t *m, size_t n,
                              const sal_upload_limits_t *limits, sal_error_t *err)
{
    zw_t zip = zw_make(m, n, 0);
    int fd = zw_file(&zip);
    apr_status_t rv = sal_upload_zip_open(out, fd, limits, pool, err);

    close(fd);
    free(zip.data);
    return rv;
}

/* The same bytes as they would arrive, cut into pieces of `step`; what was staged in *sum. */
static apr_status_t stream(const zw_t *zip, size_t step, const sal_upload_limits_t *limits,
                           sal_upload_sum_t *sum, sal_error_t *err)
{
    sal_upload_opts_t opts = { .archive_name = "a.zip", .user = "", .limits = limits };
    apr_status_t rv;
    sal_upload_t *up;
    apr_pool_t *p;

    apr_pool_create(&p, pool);
    rv = sal_upload_begin(&up, store, &opts, p, err);
    for (size_t at = 0; rv == APR_SUCCESS && at < zip->size; at += step) {
        size_t left = zip->size - at;

        rv = sal_upload_feed(up, (char *)zip->data + at, left < step ? left : step, err);
    }
    rv = rv == APR_SUCCESS ? sal_upload_end(up, err) : rv;
    if (sum) {
        sal_upload_sum(up, sum);
    }
    apr_pool_destroy(p);
    return rv;
}

/* However it is cut, the answer is this. */
static void streamed(const zw_t *zip, const sal_upload_limits_t *limits, apr_status_t status,
                     const char *text)
{
    static const size_t steps[] = { 1, 7, 100, SIZE_MAX / 2 };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        sal_error_t err = { 0 };

        assert_int_equal(stream(zip, steps[i], limits, NULL, &err), status);
        assert_string_equal(err.message, text);
    }
}

static void refused(const zw_member_t *m, size_t n, apr_status_t status, const char *text)
{
    zw_t bytes = zw_make(m, n, 0);
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    assert_int_equal(open_made(&zip, m, n, &sal_upload_limits, &err), status);
    assert_string_equal(err.message, text);
    streamed(&bytes, &sal_upload_limits, status, text);
    free(bytes.data);
}

#define REFUSED(status, text, ...)                                                                 \
    do {                                                                                           \
        const zw_member_t made_[] = { __VA_ARGS__ };                                               \
        refused(made_, sizeof(made_) / sizeof(made_[0]), (status), (text));                        \
    } while (0)

static void test_extension(void **state)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        { "a.rar", "Unrecognized archive file extension \".rar\"" },
        { "a.zip.gz", "Unrecognized archive file extension \".gz\"" },
        { "archive", "Unrecognized archive file extension \"\"" },
        { ".zip", "Unrecognized archive file extension \"\"" },
        { "", "Unrecognized archive file extension \"\"" },
    };
    sal_error_t err;

    (void)state;
    assert_int_equal(sal_upload_name_check("a.zip", pool, &err), APR_SUCCESS);
    assert_int_equal(sal_upload_name_check("a.b.ZIP", pool, &err), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(sal_upload_name_check(bad[i].name, pool, &err), SAL_E_MALFORMED);
        assert_string_equal(err.message, bad[i].text);
    }
}

static void not_a_zip(const void *data, size_t size)
{
    zw_t bytes = { (unsigned char *)(uintptr_t)data, size, size };
    int fd = zw_file(&bytes);
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    assert_int_equal(sal_upload_zip_open(&zip, fd, &sal_upload_limits, pool, &err),
                     SAL_E_MALFORMED);
    assert_string_equal(err.message, "File is not a zip file");
    close(fd);
    streamed(&bytes, &sal_upload_limits, SAL_E_MALFORMED, "File is not a zip file");
}

static void test_not_a_zip(void **state)
{
    const zw_member_t m[] = { { .name = GOOD, .data = "MODULE linux x86_64 1 a\n" } };
    zw_t zip = zw_make(m, 1, 0);

    (void)state;
    not_a_zip("", 0);
    not_a_zip("MODULE windows x86_64 0 a\n", 26);
    not_a_zip(zip.data, zip.size - 22); /* cut short: the end record is gone */
    not_a_zip(zip.data, zip.size / 2);
    free(zip.data);
}

static void test_good(void **state)
{
    const zw_member_t m[] = {
        { .name = "xul.pdb/", .data = "" },
        { .name = GOOD, .data = "MODULE a b c d\n", .deflate = 1 },
        { .name = "Firefox-symbols.TXT", .data = "list" },
        { .name = "xul.pdb/" ID "/.DS_Store", .data = "junk" },
        { .name = "c++filt/abcdef0/c++filt 1:2~@&.sym", .data = "x" },
    };
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };
    const sal_upload_member_t *got;

    (void)state;
    assert_int_equal(open_made(&zip, m, 5, &sal_upload_limits, &err), APR_SUCCESS);
    assert_int_equal(zip->members->nelts, 2);
    assert_int_equal(zip->ignored->nelts, 2);
    got = (const sal_upload_member_t *)zip->members->elts;
    assert_string_equal(got[0].name, GOOD);
    assert_string_equal(got[0].key.debug_file, "xul.pdb");
    assert_string_equal(got[0].key.debug_id, ID);
    assert_string_equal(got[0].key.leaf, "xul.sym");
    assert_true(got[0].deflated);
    assert_int_equal(got[0].size, 15);
    assert_string_equal(got[1].key.debug_id, "ABCDEF0"); /* upper-case once parsed */
    assert_int_equal(zip->unpacked, 16);
    {
        zw_t bytes = zw_make(m, 5, 0);
        sal_upload_sum_t sum;

        assert_int_equal(stream(&bytes, 3, &sal_upload_limits, &sum, &err), APR_SUCCESS);
        assert_int_equal(sum.archive_size, bytes.size);
        free(bytes.data);
    }
}

static void test_empty(void **state)
{
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    (void)state;
    assert_int_equal(open_made(&zip, NULL, 0, &sal_upload_limits, &err), APR_SUCCESS);
    assert_int_equal(zip->members->nelts, 0);
}

static void test_features(void **state)
{
    (void)state;
    REFUSED(SAL_E_MALFORMED, "Unsupported zip feature in '" GOOD "'",
            { .name = GOOD, .data = "secret", .flags = 1 });
    REFUSED(SAL_E_MALFORMED, "Unsupported zip feature in '" GOOD "'",
            { .name = GOOD, .data = "bzip2", .method = 12 });
}

static void test_twice(void **state)
{
    const zw_member_t same[] = { { .name = GOOD, .data = "first" },
                                 { .name = GOOD, .data = "later" } };
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    (void)state;
    REFUSED(SAL_E_MALFORMED,
            "The zipfile buffer contains two files both called " GOOD " and they "
            "have difference sizes (3 != 5)",
            { .name = GOOD, .data = "12345" }, { .name = GOOD, .data = "123" });
    assert_int_equal(open_made(&zip, same, 2, &sal_upload_limits, &err), APR_SUCCESS);
    assert_int_equal(zip->members->nelts, 1);
    assert_int_equal(((const sal_upload_member_t *)zip->members->elts)->index, 1);
}

static void test_snippet(void **state)
{
    (void)state;
    REFUSED(SAL_E_MALFORMED,
            "Content of archive file contains the snippet 'qcom/proprietary' which is not allowed",
            { .name = GOOD, .data = "x" }, { .name = "qcom/proprietary/a.sym", .data = "x" });
}

static void test_names(void **state)
{
    /* name, and its Python repr as CPython 3.11 prints it */
    static const struct {
        const char *name, *repr;
    } bad[] = {
        { "../../etc/passwd", "'../../etc/passwd'" },
        { "xul.pdb/" ID "/..", "'xul.pdb/" ID "/..'" },
        { "../" ID "/xul.sym", "'../" ID "/xul.sym'" },
        { "../a-symbols.txt/.DS_Store", "'../a-symbols.txt/.DS_Store'" },
        { "/xul.pdb/" ID "/xul.sym", "'/xul.pdb/" ID "/xul.sym'" },
        { "xul.sym", "'xul.sym'" },
        { "a/" GOOD, "'a/" GOOD "'" },
        { "xul.pdb/XYZ/xul.sym", "'xul.pdb/XYZ/xul.sym'" },
        { "xul.pdb//xul.sym", "'xul.pdb//xul.sym'" },
        { "xul.pdb/000000000000000000000000000000000/xul.sym",
          "'xul.pdb/000000000000000000000000000000000/xul.sym'" },
        { "it's/" ID "/a.sym", "\"it's/" ID "/a.sym\"" },
        { "a'b\"c/" ID "/a.sym", "'a\\'b\"c/" ID "/a.sym'" },
        { "a\\b/" ID "/a.sym", "'a\\\\b/" ID "/a.sym'" },
        { "a\tb\x01/" ID "/a.sym", "'a\\tb\\x01/" ID "/a.sym'" },
        { "\xc3\xa9/" ID "/a.sym", "'\xc3\xa9/" ID "/a.sym'" },
        { "\xc2\x85/" ID "/a.sym", "'\\x85/" ID "/a.sym'" },
        { "\xe2\x80\xa8/", "'\\u2028/'" },
        { "\xff/" ID "/a.sym", "'\\xff/" ID "/a.sym'" },
        { "a<b>/" ID "/a.sym", "'a<b>/" ID "/a.sym'" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *text = apr_pstrcat(pool, PATTERN, bad[i].repr, ")", NULL);

        assert_string_equal(sal_upload_repr(bad[i].name, pool), bad[i].repr);
        if (bad[i].name[strlen(bad[i].name) - 1] == '/') {
            continue; /* a directory entry: dropped */
        }
        REFUSED(SAL_E_MALFORMED, text, { .name = GOOD, .data = "x" },
                { .name = bad[i].name, .data = "x" });
    }
}

static void test_long_names(void **state)
{
    char part[257], name[700];

    (void)state;
    memset(part, 'a', 256);
    part[256] = '\0';
    snprintf(name, sizeof(name), "%s/" ID "/a.sym", part);
    {
        const zw_member_t m[] = { { .name = name, .data = "x" } };
        sal_upload_zip_t *zip;
        sal_error_t err = { 0 };

        assert_int_equal(open_made(&zip, m, 1, &sal_upload_limits, &err), SAL_E_MALFORMED);
        assert_memory_equal(err.message, PATTERN, strlen(PATTERN));
    }
    part[255] = '\0'; /* each part fits, the whole key does not */
    snprintf(name, sizeof(name), "%s/" ID "/a%s.sym", part, part + 200);
    {
        const zw_member_t m[] = { { .name = name, .data = "x" } };
        sal_upload_zip_t *zip;
        sal_error_t err = { 0 };

        assert_int_equal(open_made(&zip, m, 1, &sal_upload_limits, &err), SAL_E_MALFORMED);
    }
}

static void test_file_and_directory(void **state)
{
    (void)state;
    REFUSED(SAL_E_MALFORMED, PATTERN "'" GOOD "')", { .name = GOOD, .data = "x" },
            { .name = GOOD "/", .data = "" });
}

static void test_limits(void **state)
{
    const sal_upload_limits_t tight = { .members = 2, .member_size = 10, .ratio = 1000 };
    const zw_member_t big[] = { { .name = GOOD, .data = "12345678901" } };
    const zw_member_t three[] = { { .name = GOOD, .data = "1" },
                                  { .name = GOOD, .data = "2" },
                                  { .name = GOOD, .data = "3" } };
    const zw_member_t bomb[] = { { .name = GOOD, .data = "x", .size_add = 2 << 20 } };
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    (void)state;
    assert_int_equal(open_made(&zip, big, 1, &tight, &err), SAL_E_TOOBIG);
    assert_string_equal(err.message, "Archive member too large");
    assert_int_equal(open_made(&zip, three, 3, &tight, &err), SAL_E_TOOBIG);
    assert_int_equal(open_made(&zip, bomb, 1, &sal_upload_limits, &err), SAL_E_TOOBIG);
    assert_string_equal(err.message, "Archive member too large");
}

/* An end record that claims more than the archive holds. */
static void test_false_claim(void **state)
{
    const zw_member_t m[] = { { .name = GOOD, .data = "x" } };
    zw_t bytes = zw_make(m, 1, 60000);
    const sal_upload_limits_t tight = { .members = 1000, .member_size = 10, .ratio = 1000 };
    int fd = zw_file(&bytes);
    sal_upload_zip_t *zip;
    sal_error_t err = { 0 };

    (void)state;
    assert_int_equal(sal_upload_zip_open(&zip, fd, &tight, pool, &err), SAL_E_TOOBIG);
    assert_int_equal(sal_upload_zip_open(&zip, fd, &sal_upload_limits, pool, &err),
                     SAL_E_MALFORMED);
    close(fd);
    streamed(&bytes, &sal_upload_limits, SAL_E_MALFORMED, "File is not a zip file");
    free(bytes.data);
}

/* ---- reading members ---- */

static void test_bad_crc(void **state)
{
    const zw_member_t bad[] = {
        { .name = GOOD, .data = "stored", .crc_xor = 1 },
        { .name = GOOD, .data = "deflated deflated", .deflate = 1, .crc_xor = 1 },
        { .name = GOOD, .data = "says it is longer", .deflate = 1, .size_add = 3 },
        { .name = GOOD, .data = "says it is shorter", .deflate = 1, .size_add = (uint32_t)-3 },
        { .name = GOOD, .data = "\xff\xff not a deflate stream", .method = 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        zw_t bytes = zw_make(&bad[i], 1, 0);

        streamed(&bytes, &sal_upload_limits, SAL_E_MALFORMED, "Bad CRC-32 for file '" GOOD "'");
        free(bytes.data);
    }
}

/* ---- header lines ---- */

static void header(sal_sym_header_t *h, const char *text)
{
    sal_sym_header_read(h, text, strlen(text), pool);
}

static void test_header(void **state)
{
    sal_sym_header_t h;

    (void)state;
    header(&h, "MODULE windows x86_64 abc1 my file.pdb\r\nINFO CODE_ID 5f3c a b.exe\n"
               "INFO GENERATOR mozilla/dump_syms 2.3\nINFO OTHER\nFILE 0 x\nINFO CODE_ID ff\n");
    assert_string_equal(h.debug_id, "ABC1");
    assert_string_equal(h.debug_file, "my file.pdb");
    assert_string_equal(h.code_id, "5F3C");
    assert_string_equal(h.code_file, "a b.exe");
    assert_string_equal(h.generator, "mozilla/dump_syms 2.3");
    header(&h, "INFO CODE_ID 5f3c\n");
    assert_string_equal(h.code_id, "5F3C");
    assert_string_equal(h.code_file, "");
    assert_string_equal(h.debug_id, "");
    header(&h, "PUBLIC 0 0 x\n");
    assert_string_equal(h.debug_file, "");
    header(&h, "MODULE windows x86_64 abc1\n");
    assert_null(h.debug_file);
    header(&h, "MODULE windows x86_64 abc1 a\nINFO\n");
    assert_null(h.debug_file);
    header(&h, "MODULE windows x86_64 abc1 a\nFILE 0 \xff\n");
    assert_null(h.debug_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extension),  cmocka_unit_test(test_not_a_zip),
        cmocka_unit_test(test_good),       cmocka_unit_test(test_empty),
        cmocka_unit_test(test_features),   cmocka_unit_test(test_twice),
        cmocka_unit_test(test_snippet),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names), cmocka_unit_test(test_file_and_directory),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_false_claim),
        cmocka_unit_test(test_bad_crc),    cmocka_unit_test(test_header),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    temp_make(pool);
    if (sal_symbol_store_open(&store, temp_path("store", pool), pool, NULL) != APR_SUCCESS) {
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_remove(pool);
    apr_terminate();
    return failed;
}
