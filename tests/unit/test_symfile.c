/* The .sym parser: the same records however the text is cut; damaged lines counted, not believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "symbols/module_id.h"
#include "symbols/symfile.h"

static apr_pool_t *pool;

typedef struct log_t {
    char *s;
    size_t len, room;
} log_t;

static apr_status_t note(void *baton, const sal_symrec_t *r)
{
    log_t *log = baton;

    if (log->room - log->len < r->text.len + 512) {
        log->room = log->room * 2 + r->text.len + 4096;
        log->s = realloc(log->s, log->room);
        assert_non_null(log->s);
    }
    log->len += (size_t)snprintf(
        log->s + log->len, log->room - log->len,
        "%d %llx %llx %x %d %u %u %u %u w%u %x %x %x %x %x %d <%.*s> <%.*s>\n", r->kind,
        (unsigned long long)r->address, (unsigned long long)r->size, r->params, r->multiple,
        r->number, r->line, r->file, r->depth, r->win_type, r->prologue, r->epilogue, r->saved,
        r->locals, r->max_stack, r->has_program, (int)r->id.len, r->id.len ? r->id.s : "",
        r->kind == SAL_SYMREC_BAD ? 0 : (int)r->text.len, r->text.len ? r->text.s : "");
    return APR_SUCCESS;
}

static char *parse(const char *text, size_t len, size_t piece, sal_symfile_stats_t *stats)
{
    log_t log = { calloc(1, 1), 0, 1 };
    apr_pool_t *p;
    sal_symfile_t *f;

    apr_pool_create(&p, pool);
    f = sal_symfile_make(note, &log, p);
    for (size_t at = 0; at < len; at += piece) {
        /* A copy of its own: what reads past the piece is found by a sanitizer. */
        size_t n = len - at < piece ? len - at : piece;
        char *copy = malloc(n);

        memcpy(copy, text + at, n);
        assert_int_equal(sal_symfile_feed(f, copy, n), APR_SUCCESS);
        free(copy);
    }
    assert_int_equal(sal_symfile_finish(f, stats), APR_SUCCESS);
    apr_pool_destroy(p);
    return log.s;
}

static const char text[] = "MODULE windows x86 ABC1 a b.pdb\r\n"
                           "\n\r\n"
                           "INFO CODE_ID 5F 77\n"
                           "FILE 1 c:\\a.c\n"
                           "INLINE_ORIGIN 4 -1 old name\n"
                           "INLINE_ORIGIN 5\n"
                           "FUNC m 1000\t10   4 f(int, char)\r\r\n"
                           "INLINE 0 7 2 4 1000 4 1008 2\n"
                           "INLINE 0 7 4 1000 4\n"
                           "1000 4 42 1\n"
                           "1004 4 -1 -1\n"
                           "PUBLIC m 2000 0 p q\n"
                           "STACK CFI INIT 1000 10 .cfa: $rsp 8 +\n"
                           "STACK CFI 1001 .cfa: $rsp 16 +\n"
                           "STACK WIN 4 1000 10 1 2 3 4 5 6 1 $eip 4 =\n"
                           "FUNC 3000 1 0";

static void cuts_do_not_matter(void **state)
{
    char *whole = parse(text, sizeof(text) - 1, sizeof(text), NULL);

    (void)state;
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        char *cut = parse(text, sizeof(text) - 1, piece, NULL);

        assert_string_equal(cut, whole);
        free(cut);
    }
    free(whole);
}

static void records(void **state)
{
    sal_symfile_stats_t stats;
    char *got = parse(text, sizeof(text) - 1, 7, &stats);

    (void)state;
    assert_string_equal(got, "0 0 0 0 0 0 0 0 0 w0 0 0 0 0 0 0 <ABC1> <a b.pdb>\n"
                             "1 0 0 0 0 0 0 0 0 w0 0 0 0 0 0 0 <CODE_ID> <5F 77>\n"
                             "2 0 0 0 0 1 0 0 0 w0 0 0 0 0 0 0 <> <c:\\a.c>\n"
                             "3 0 0 0 0 4 0 0 0 w0 0 0 0 0 0 0 <> <old name>\n"
                             "3 0 0 0 0 5 0 0 0 w0 0 0 0 0 0 0 <> <>\n"
                             "4 1000 10 4 1 0 0 0 0 w0 0 0 0 0 0 0 <> <f(int, char)>\n"
                             "6 1000 4 0 0 4 7 2 0 w0 0 0 0 0 0 0 <> <>\n"
                             "6 1008 2 0 0 4 7 2 0 w0 0 0 0 0 0 0 <> <>\n"
                             "6 1000 4 0 0 4 7 4294967295 0 w0 0 0 0 0 0 0 <> <>\n"
                             "5 1000 4 0 0 0 42 1 0 w0 0 0 0 0 0 0 <> <>\n"
                             "5 1004 4 0 0 0 0 4294967295 0 w0 0 0 0 0 0 0 <> <>\n"
                             "7 2000 0 0 1 0 0 0 0 w0 0 0 0 0 0 0 <> <p q>\n"
                             "8 1000 10 0 0 0 0 0 0 w0 0 0 0 0 0 0 <> <.cfa: $rsp 8 +>\n"
                             "9 1001 0 0 0 0 0 0 0 w0 0 0 0 0 0 0 <> <.cfa: $rsp 16 +>\n"
                             "10 1000 10 3 0 0 0 0 0 w4 1 2 4 5 6 1 <> <$eip 4 =>\n"
                             "4 3000 1 0 0 0 0 0 0 w0 0 0 0 0 0 0 <> <>\n");
    assert_int_equal(stats.lines, 17);
    assert_int_equal(stats.skipped, 0);
    assert_int_equal(stats.bytes, sizeof(text) - 1);
    free(got);
}

static void damaged_lines(void **state)
{
    static const char *const bad[] = {
        "MODULE windows x86",
        "FILE x a.c",
        "FILE 1",
        "FILE 4294967295 a.c",
        "FILE 99999999999 a",
        "FUNC 1000 10",
        "FUNC 1000 10 x f",
        "FUNC 12345678901234567 1 0 f",
        "FUNC 1 1 123456789 f",
        "FUNCTION 1 1 0 f",
        "1000 4 42",
        "1000 4 42 1 9",
        "1000 4 4x 1",
        "10001 4.2 42 1",
        "xyz",
        "INLINE 0 7 4",
        "INLINE 0 7 2 4",
        "INLINE 0 7 2 4 1000 zz",
        "INLINE x 7 2 4 1000 4",
        "PUBLIC 2000",
        "PUBLIC g 0 p",
        "STACK",
        "STACK CFI",
        "STACK CFI INIT 1000 10",
        "STACK CFI INIT 1000 rules",
        "STACK CFI x .cfa: 1",
        "STACK WIN 4 1000 10 1 2 3 4 5 6",
        "STACK WIN 44 1000 10 1 2 3 4 5 6 1 x",
        "STACK NEW 1",
        "INLINE_ORIGIN",
        "INFO2 x",
        "-1 1 1 1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        sal_symfile_stats_t stats;
        char *got = parse(bad[i], strlen(bad[i]), 1000, &stats);

        if (stats.skipped != 1) {
            fail_msg("taken for good: %s", bad[i]);
        }
        assert_int_equal(stats.samples[0].line, 1);
        assert_string_equal(stats.samples[0].text, bad[i]);
        assert_int_equal(strncmp(got, "11 ", 3), 0);
        free(got);
    }
}

static void only_a_few_samples(void **state)
{
    char many[2000] = "";
    sal_symfile_stats_t stats;

    (void)state;
    for (int i = 0; i < 100; i++) {
        strncat(many, "bad \x01\xff\n", sizeof(many) - strlen(many) - 1);
    }
    free(parse(many, strlen(many), 3, &stats));
    assert_int_equal(stats.skipped, 100);
    assert_int_equal(stats.samples[SAL_SYMFILE_SAMPLES - 1].line, SAL_SYMFILE_SAMPLES);
    assert_string_equal(stats.samples[0].text, "bad ??");
}

static void long_lines(void **state)
{
    size_t max = SAL_SYMFILE_MAX_LINE;
    char *line = malloc(max + 100);
    sal_symfile_stats_t stats;
    char *got;

    (void)state;
    memset(line, 'n', max + 100);
    memcpy(line, "FUNC 1 1 0 ", 11);
    memcpy(line + max, "\nFILE 1 a\n", 10);
    got = parse(line, max + 10, 8191, &stats);
    assert_int_equal(stats.skipped, 0); /* exactly the limit is good */
    assert_non_null(strstr(got, "<a>"));
    free(got);
    memset(line + max, 'n', 10);
    memcpy(line + max + 1, "\nFILE 1 a\n", 10);
    for (size_t piece = 8191; piece <= max + 100; piece += max + 100 - 8191) {
        got = parse(line, max + 11, piece, &stats);
        assert_int_equal(stats.skipped, 1); /* a byte more is not */
        assert_int_equal(stats.lines, 2);
        assert_non_null(strstr(got, "<a>"));
        free(got);
    }
    free(line);
}

static void ids(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "c3b913878afb017237a4a08b325905c70", "C3B913878AFB017237A4A08B325905C70" },
        { "C3B913878AFB017237A4A08B325905C7", "C3B913878AFB017237A4A08B325905C70" },
        { "C3B913878AFB017237A4A08B325905C7A", "C3B913878AFB017237A4A08B325905C7a" },
        { "C3B913878AFB017237A4A08B325905C70000000A", "C3B913878AFB017237A4A08B325905C7a" },
        { "C3B913878AFB017237A4A08B325905C70000000AFF", "C3B913878AFB017237A4A08B325905C7a" },
        { "c3b91387-8afb-0172-37a4-a08b325905c7", "C3B913878AFB017237A4A08B325905C70" },
        { "c3b91387-8afb-0172-37a4-a08b325905c7-a", "C3B913878AFB017237A4A08B325905C7a" },
        { "5F8599C48000", "5F8599C48000" },
        { "5f8599c40001", "5F8599C41" },
        { "abcde", NULL },
        { "12345678", NULL },
        { "12345678901234567", NULL },
        { "", NULL },
        { "C3B913878AFB017237A4A08B325905C", NULL },
        { "000000000000000000000000000000000", NULL },
        { "C3B913878AFB017237A4A08B325905G70", NULL },
        { "5F85-99C48000", NULL },
        { "C3B913878AFB017237A4A08B325905C7-", "C3B913878AFB017237A4A08B325905C70" },
    };
    char out[SAL_DEBUG_ID_SIZE];
    static const unsigned char build_id[] = { 0x87, 0x13, 0xb9, 0xc3, 0xfb, 0x8a, 0x72,
                                              0x01, 0x37, 0xa4, 0xa0, 0x8b, 0x32, 0x59,
                                              0x05, 0xc7, 0xaa, 0xf8, 0x42, 0x9d };
    char id[34];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool good = sal_debug_id_canonical(out, cases[i].in);

        if (good != (cases[i].out != NULL) || (good && strcmp(out, cases[i].out) != 0)) {
            fail_msg("%s gave %s", cases[i].in, good ? out : "nothing");
        }
    }
    sal_debug_id_of_build_id(id, build_id, sizeof(build_id)); /* symbols.md section 1 */
    assert_string_equal(id, "C3B913878AFB017237A4A08B325905C70");
    sal_debug_id_of_build_id(id, build_id, 4);
    assert_string_equal(id, "C3B913870000000000000000000000000");
    assert_true(
        sal_debug_id_same("c3b913878afb017237a4a08b325905c7", "C3B913878AFB017237A4A08B325905C70"));
    assert_false(sal_debug_id_same("C3B913878AFB017237A4A08B325905C71",
                                   "C3B913878AFB017237A4A08B325905C70"));
    assert_false(sal_debug_id_valid("000"));
    assert_true(sal_debug_id_valid("0a0"));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(sal_symbols_leaf("xul.pdb", pool), "xul.sym");
    assert_string_equal(sal_symbols_leaf("XUL.PDB", pool), "XUL.sym");
    assert_string_equal(sal_symbols_leaf("libc.so.6", pool), "libc.so.6.sym");
    assert_string_equal(sal_symbols_leaf("firefox.exe", pool), "firefox.exe.sym");
    assert_true(sal_symbols_name_valid("a b?:*&+~@.pdb", 14));
    assert_true(sal_symbols_name_valid("\xe4\xb8\xad", 3));
    for (const char *c = "\\^`><{}[]#%\"'|/\x1f\x7f"; *c; c++) {
        assert_false(sal_symbols_name_valid(c, 1));
    }
    assert_false(sal_symbols_name_valid(".", 1));
    assert_false(sal_symbols_name_valid("..", 2));
    assert_true(sal_symbols_name_valid("...", 3));
    assert_false(sal_symbols_name_valid("", 0));
    assert_false(sal_symbols_name_valid("\xc3\xa9", 2)); /* U+00E9 */
    assert_false(sal_symbols_name_valid("\xff", 1));
}

/* ---- skimming ---- */

static bool is_head(const char *line, size_t len)
{
    static const char *const words[] = { "FUNC ", "FILE ",  "MODULE ",
                                         "INFO ", "PUBLIC", "INLINE_ORIGIN " };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (len >= strlen(words[i]) && memcmp(line, words[i], strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

typedef struct skimmed_t {
    log_t log;
    sal_symfile_t *f;
    bool stops; /* reads all lines after "FUNC stop" up to the next FUNC */
    unsigned others;
} skimmed_t;

static void append(log_t *log, const char *line, size_t len)
{
    if (log->room - log->len < len + 2) {
        log->room = log->room * 2 + len + 4096;
        log->s = realloc(log->s, log->room);
        assert_non_null(log->s);
    }
    memcpy(log->s + log->len, line, len);
    log->len += len;
    log->s[log->len++] = '\n';
    log->s[log->len] = '\0';
}

static bool is_stop(const char *line, size_t len)
{
    return len == 9 && memcmp(line, "FUNC stop", 9) == 0;
}

static apr_status_t note_skimmed(void *baton, const char *line, size_t len)
{
    skimmed_t *s = baton;

    if (len >= 5 && memcmp(line, "FUNC ", 5) == 0) {
        s->stops = is_stop(line, len);
        sal_symfile_skim(s->f, !s->stops);
    }
    if (s->stops || is_head(line, len)) {
        append(&s->log, line, len);
    } else {
        s->others++;
    }
    return APR_SUCCESS;
}

/* A few thousand lines of all kinds; what skimming must give of them is in `wanted`. */
static size_t lines_at_random(char **made, log_t *wanted)
{
    static const char *const lines[] = {
        "1000 10 5 0",
        "FFF0 10 5 0",
        "",
        "\r",
        "INLINE 0 10 0 0 1010 40",
        "INLINE",
        "I",
        "INLINE_ORIGIN 0 a\tb",
        "FUNC 1000 100 0 f",
        "FUNC stop",
        "FILE 0 F",
        "MODULE Linux x86_64 0 m",
        "INFO CODE_ID 0",
        "PUBLIC 0 0 p",
        "P",
        "STACK CFI INIT 0 1 .cfa: $rsp 8 +",
        "c0de 1 2 3 that is longer than sixteen bytes FUNC not at its beginning",
    };
    log_t log = { calloc(1, 1), 0, 1 };
    bool stop = false;

    for (int i = 0; i < 4000; i++) {
        const char *line = lines[(unsigned)rand() % (sizeof(lines) / sizeof(lines[0]))];
        size_t len = strlen(line);

        append(&log, line, len);
        if (len >= 5 && memcmp(line, "FUNC ", 5) == 0) {
            stop = is_stop(line, len);
        }
        len -= len > 0 && line[len - 1] == '\r';
        if (len > 0 && (stop || is_head(line, len))) {
            append(wanted, line, len);
        }
    }
    *made = log.s;
    return log.len;
}

static void skimming_misses_no_head(void **state)
{
    static const size_t pieces[] = {
        1, 2, 7, 15, 16, 17, 23, 24, 25, 31, 64, 1000, 100000, 1 << 30
    };

    (void)state;
    srand(6);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        log_t wanted = { calloc(1, 1), 0, 1 };
        char *input;
        size_t len = lines_at_random(&input, &wanted);
        skimmed_t s = { .log = { calloc(1, 1), 0, 1 } };

        s.f = sal_symfile_make_lines(note_skimmed, &s, pool);
        sal_symfile_skim(s.f, true);
        for (size_t at = 0; at < len; at += pieces[i]) {
            size_t n = len - at < pieces[i] ? len - at : pieces[i];
            char *copy = malloc(n);

            memcpy(copy, input + at, n);
            assert_int_equal(sal_symfile_feed(s.f, copy, n), APR_SUCCESS);
            free(copy);
        }
        assert_int_equal(sal_symfile_finish(s.f, NULL), APR_SUCCESS);
        assert_string_equal(s.log.s, wanted.s);
        if (pieces[i] >= 1000) { /* most of the others were not handed over */
            assert_true(s.others < 700);
        }
        free(input);
        free(wanted.s);
        free(s.log.s);
    }
}

static int set_up(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(records),
        cmocka_unit_test(damaged_lines),
        cmocka_unit_test(only_a_few_samples),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(skimming_misses_no_head),
        cmocka_unit_test(ids),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
