/*
 * The symbol store on disk: publishing, letter case, spellings of a leaf, try uploads, replacing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utime.h>

#include <apr_general.h>
#include <apr_pools.h>
#include <apr_strings.h>

#include "base/text.h"
#include "symbols/symbol_store.h"

#define ID "C3B913878AFB017237A4A08B325905C70"
#define GZ "\x1f\x8b\x08"

static apr_pool_t *pool;
static char root[64];
static sal_symbol_store_t *store;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static int setup(void **state)
{
    sal_error_t err;

    (void)state;
    snprintf(root, sizeof(root), "/tmp/salvage-store-XXXXXX");
    return !mkdtemp(root) || sal_symbol_store_open(&store, root, pool, &err) != APR_SUCCESS;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void digest(char out[65], const char *data)
{
    unsigned char sha[32];

    sal_sha256(data, strlen(data), sha);
    sal_hex(out, sha, sizeof(sha));
}

/* Publishes data under a key, as an upload does. */
static void keep(const char *name, bool is_try, const char *data)
{
    sal_symbol_temp_t *t;
    sal_symbol_key_t key;
    sal_error_t err = { 0 };
    char sha[65];

    assert_true(sal_symbol_key_parse(&key, name, strlen(name), pool));
    assert_int_equal(sal_symbol_temp_begin(&t, store, pool, &err), APR_SUCCESS);
    assert_int_equal(write(sal_symbol_temp_fd(t), data, strlen(data)), strlen(data));
    sal_symbol_temp_close(t);
    digest(sha, data);
    assert_int_equal(sal_symbol_temp_seal(t, sha, true, &err), APR_SUCCESS);
    assert_int_equal(sal_symbol_temp_commit(t, sha, true, pool, &err), APR_SUCCESS);
    assert_int_equal(sal_symbol_store_link(store, &key, is_try, sha, true, pool, &err),
                     APR_SUCCESS);
}

/* Content found under the three parts, or NULL. */
static const char *look(const char *file, const char *id, const char *leaf, bool with_try)
{
    const char *path;
    bool gzipped;
    char *text = apr_pcalloc(pool, 256);
    sal_error_t err = { 0 };
    apr_status_t rv =
        sal_symbol_store_find(&path, &gzipped, store, file, id, leaf, with_try, pool, &err);
    int fd;

    if (rv != APR_SUCCESS) {
        assert_int_equal(rv, APR_ENOENT);
        return NULL;
    }
    fd = open(path, O_RDONLY);
    assert_true(read(fd, text, 255) >= 0);
    close(fd);
    assert_int_equal(gzipped, !memcmp(text, GZ, 3) && strstr(path, ".sym") != NULL);
    return text;
}

static void found(const char *file, const char *id, const char *leaf, const char *data)
{
    const char *text = look(file, id, leaf, false);

    assert_non_null(text);
    assert_string_equal(text, data);
}

static void test_exact(void **state)
{
    char path[300], sha[65], mark[65];
    struct stat st, blob;
    int fd;

    (void)state;
    keep("libc.so.6/" ID "/libc.so.6.sym", false, GZ "one");
    found("libc.so.6", ID, "libc.so.6.sym", GZ "one");
    digest(sha, GZ "one");
    snprintf(path, sizeof(path), "%s/blob/%.2s/%.2s/%s", root, sha, sha + 2, sha);
    assert_int_equal(stat(path, &blob), 0);
    snprintf(path, sizeof(path), "%s/key/libc.so.6/" ID "/libc.so.6.sym", root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_ino, blob.st_ino);
    fd = open(path, O_RDONLY);
    if (sal_symbol_store_digest(mark, fd)) { /* not on every file system */
        assert_string_equal(mark, sha);
    }
    close(fd);
}

static void test_missing(void **state)
{
    (void)state;
    keep("a.pdb/" ID "/a.sym", false, GZ "a");
    assert_null(look("b.pdb", ID, "b.sym", true));
    assert_null(look("a.pdb", "ABC1", "a.sym", true));
    assert_null(look("a.pdb", ID, "b.sym", true));
    assert_null(look("a.pdb", ID, "a.pdb", true));
    assert_null(look("..", ID, "a.sym", true));
    assert_null(look("a.pdb", "../" ID, "a.sym", true));
    assert_null(look("a.pdb", ID, "../a.sym", true));
    assert_null(look("a.pdb", "000000000000000000000000000000000", "a.sym", true));
    assert_null(look("a.pdb", "", "a.sym", true));
}

static void test_letter_case(void **state)
{
    (void)state;
    keep("Xul.pdb/c3b913878afb017237a4a08b325905c7a/Xul.sym", false, GZ "mixed");
    found("Xul.pdb", "C3B913878AFB017237A4A08B325905C7a", "Xul.sym", GZ "mixed");
    found("xul.pdb", "c3b913878afb017237a4a08b325905c7A", "xul.sym", GZ "mixed");
    found("XUL.PDB", "C3B913878AFB017237A4A08B325905C7A", "XUL.SYM", GZ "mixed");
    /* The exact name wins over a folded one, whichever is newer. */
    keep("xul.pdb/C3B913878AFB017237A4A08B325905C7A/xul.sym", false, GZ "lower");
    found("Xul.pdb", "C3B913878AFB017237A4A08B325905C7A", "Xul.sym", GZ "mixed");
    found("xul.pdb", "C3B913878AFB017237A4A08B325905C7A", "xul.sym", GZ "lower");
}

static void test_newest_of_folded(void **state)
{
    char path[300];

    (void)state;
    keep("Abc.pdb/" ID "/Abc.sym", false, GZ "older");
    keep("aBc.pdb/" ID "/aBc.sym", false, GZ "newer");
    snprintf(path, sizeof(path), "%s/key/Abc.pdb/" ID, root);
    assert_int_equal(utime(path, &(struct utimbuf){ 1000000, 1000000 }), 0);
    found("ABC.PDB", ID, "ABC.SYM", GZ "newer");
    snprintf(path, sizeof(path), "%s/key/aBc.pdb/" ID, root);
    assert_int_equal(utime(path, &(struct utimbuf){ 500000, 500000 }), 0);
    found("ABC.PDB", ID, "ABC.SYM", GZ "older");
}

static void test_leaf_spellings(void **state)
{
    (void)state;
    keep("xul.pdb/" ID "/xul.sym", false, GZ "pdb");
    found("xul.pdb", ID, "xul.pdb.sym", GZ "pdb");
    found("XUL.PDB", ID, "XUL.PDB.sym", GZ "pdb");
    keep("firefox.exe/5F3C1A2B12000/firefox.exe.sym", false, GZ "exe");
    found("firefox.exe", "5F3C1A2B12000", "firefox.sym", GZ "exe");
    keep("ntdll.DLL/5F3C1A2B12000/ntdll.sym", false, GZ "dll");
    found("ntdll.dll", "5F3C1A2B12000", "ntdll.dll.sym", GZ "dll");
    keep("a.pdb.pdb/" ID "/a.pdb.sym", false, GZ "two");
    found("a.pdb.pdb", ID, "a.sym", GZ "two");            /* all of a row of .pdb are cut */
    assert_null(look("libc.so.6", ID, "libc.sym", true)); /* .so is nobody's to cut */
}

static void test_try(void **state)
{
    (void)state;
    keep("a.pdb/" ID "/a.sym", true, GZ "try");
    assert_null(look("a.pdb", ID, "a.sym", false));
    assert_string_equal(look("a.pdb", ID, "a.sym", true), GZ "try");
    assert_string_equal(look("A.PDB", ID, "a.sym", true), GZ "try");
    keep("a.pdb/" ID "/a.sym", false, GZ "regular");
    assert_string_equal(look("a.pdb", ID, "a.sym", true), GZ "regular");
}

static void test_replace(void **state)
{
    (void)state;
    keep("a.pdb/" ID "/a.sym", false, GZ "first");
    keep("a.pdb/" ID "/a.sym", false, GZ "second");
    found("a.pdb", ID, "a.sym", GZ "second");
    keep("a.pdb/" ID "/a.sym", false, GZ "second"); /* once more: one blob, no leftovers */
    found("a.pdb", ID, "a.sym", GZ "second");
    keep("a.pdb/" ID "/a.sym", false, GZ "first"); /* back to a blob that is there */
    found("a.pdb", ID, "a.sym", GZ "first");
    assert_int_equal(rmdir(apr_pstrcat(pool, root, "/tmp", NULL)), 0); /* empty */
}

static void test_raw_kinds(void **state)
{
    (void)state;
    keep("a.debug/" ID "/a.dbg.gz", false, GZ "raw");
    found("a.debug", ID, "a.dbg.gz", GZ "raw"); /* gzip, but that is what was asked */
    assert_null(look("a.debug", ID, "a.dbg", true));
}

static void test_temp_goes_with_pool(void **state)
{
    apr_pool_t *p;
    sal_symbol_temp_t *t;
    sal_error_t err;

    (void)state;
    apr_pool_create(&p, pool);
    assert_int_equal(sal_symbol_temp_begin(&t, store, p, &err), APR_SUCCESS);
    assert_int_equal(write(sal_symbol_temp_fd(t), "x", 1), 1);
    apr_pool_destroy(p);
    assert_int_equal(rmdir(apr_pstrcat(pool, root, "/tmp", NULL)), 0);
}

static void test_sweep(void **state)
{
    sal_symbol_temp_t *fresh;
    char path[300];
    sal_error_t err;
    int fd;

    (void)state;
    assert_int_equal(sal_symbol_temp_begin(&fresh, store, pool, &err), APR_SUCCESS);
    snprintf(path, sizeof(path), "%s/tmp/w-stale1", root);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(utime(path, &(struct utimbuf){ 1000000, 1000000 }), 0);
    assert_int_equal(sal_symbol_store_sweep(store, pool), 1);
    assert_int_equal(access(path, F_OK), -1);
    sal_symbol_temp_drop(fresh);
    assert_int_equal(rmdir(apr_pstrcat(pool, root, "/tmp", NULL)), 0);
}

static void test_keys(void **state)
{
    static const char *const good[] = { "a/1/b", "a b/aF/c:?*&+~@", "\xe2\x82\xac/1/x" };
    static const char *const bad[] = { "",       "a",      "a/1",       "a/1/",
                                       "/1/b",   "a//b",   "a/1/b/c",   "a/g/b",
                                       "./1/b",  "a/1/..", "a\x7f/1/b", "\xc3\xa9/1/b",
                                       "a/00/b", "a|/1/b", "\xff/1/b" };
    sal_symbol_key_t key;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(sal_symbol_key_parse(&key, good[i], strlen(good[i]), pool));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (sal_symbol_key_parse(&key, bad[i], strlen(bad[i]), pool)) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_letter_case, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newest_of_folded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaf_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_try, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_temp_goes_with_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test(test_keys),
    };
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
