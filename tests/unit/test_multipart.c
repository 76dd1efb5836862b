/*
 * The multipart parser: grammar and limits (collector specification, sections 3.1 and 3.3). Every
 * input is fed whole, byte by byte and in random cuts; the events must be the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "crash/multipart.h"

static apr_pool_t *pool;

/* ---- events as text: "[name|filename|type|charset]data," ---- */

typedef struct log_t {
    char text[200000];
    size_t size;
    bool lax;
} log_t;

static void put(log_t *log, const char *s, size_t n)
{
    assert_true(log->size + n < sizeof(log->text));
    memcpy(log->text + log->size, s, n);
    log->size += n;
    log->text[log->size] = '\0';
}

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    char text[30000];
    int n = snprintf(text, sizeof(text), "[%s|%s|%s|%s]", part->name ? part->name : "-",
                     part->filename ? part->filename : "-", part->type, part->charset);

    (void)err;
    put(baton, text, (size_t)n);
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    (void)err;
    assert_true(size > 0);
    put(baton, data, size);
    return APR_SUCCESS;
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    log_t *log = baton;

    (void)err;
    put(log, log->lax ? "!," : ",", log->lax ? 2 : 1);
    log->lax = false;
    return APR_SUCCESS;
}

static void lax_delimiter(void *baton)
{
    ((log_t *)baton)->lax = true;
}

static const sal_multipart_events_t events = { part_begin, part_data, part_end, lax_delimiter };

typedef size_t (*cut_fn)(size_t left);

static size_t cut_none(size_t left)
{
    return left;
}

static size_t cut_bytes(size_t left)
{
    (void)left;
    return 1;
}

static size_t cut_random(size_t left)
{
    size_t n = (size_t)(rand() % 40) + 1;

    return n < left ? n : left;
}

static apr_status_t parse(log_t *log, const char *boundary, const char *body, size_t size,
                          cut_fn cut)
{
    sal_multipart_t *m;
    sal_error_t err = { 0 };
    apr_status_t rv;

    memset(log, 0, sizeof(*log));
    assert_int_equal(sal_multipart_make(&m, boundary, 5, &events, log, pool, &err), APR_SUCCESS);
    for (size_t at = 0; at < size;) {
        size_t n = cut(size - at);

        rv = sal_multipart_feed(m, body + at, n, &err);
        if (rv != APR_SUCCESS) {
            assert_int_equal(err.code, rv);
            return rv;
        }
        at += n;
    }
    return sal_multipart_finish(m, &err);
}

/* want NULL: only the status counts. */
static void expect_sized(const char *boundary, const char *body, size_t size, apr_status_t status,
                         const char *want, size_t want_size)
{
    static const cut_fn cuts[] = { cut_none, cut_bytes, cut_random, cut_random, cut_random };
    static log_t whole, log;
    apr_status_t first = parse(&whole, boundary, body, size, cut_none);

    if (first != status) {
        fail_msg("status %d, expected %d, events %s, for:\n%.*s", first, status, whole.text,
                 (int)size, body);
    }
    if (want && (whole.size != want_size || memcmp(whole.text, want, want_size))) {
        fail_msg("events %s\nexpected %s\nfor:\n%.*s", whole.text, want, (int)size, body);
    }
    for (size_t i = 1; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        assert_int_equal(parse(&log, boundary, body, size, cuts[i]), status);
        if (status == APR_SUCCESS) {
            assert_int_equal(log.size, whole.size);
            assert_memory_equal(log.text, whole.text, whole.size);
        }
    }
}

static void expect(const char *boundary, const char *body, apr_status_t status, const char *want)
{
    expect_sized(boundary, body, strlen(body), status, want, want ? strlen(want) : 0);
}

#define OK APR_SUCCESS
#define BAD SAL_E_MALFORMED
#define LONG "0123456789abcdef" /* long enough for delimiters without line break */
#define DISP "Content-Disposition: form-data; "

static void test_grammar(void **state)
{
    (void)state;
    expect("B", "--B\r\n" DISP "name=\"a\"\r\n\r\n1\r\n--B--\r\n", OK, "[a|-|text/plain|utf-8]1,");
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n1\r\n--B--", OK, "[a|-|text/plain|utf-8]1,");
    expect("B", "preamble --B\r\n" DISP "name=a\r\n\r\n1\r\n--B--epilogue --B\r\n", OK,
           "[a|-|text/plain|utf-8]1,");
    expect("B",
           "--B \t padding\r\n" DISP "name=a\r\n\r\n1\r\n--B-x\r\n" DISP "name=b\r\n\r\n2\r\n--B--",
           OK, "[a|-|text/plain|utf-8]1,[b|-|text/plain|utf-8]2,");
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n\r\n--B--", OK, "[a|-|text/plain|utf-8],");
    expect("B", "--B--", OK, "");
    expect("B", "--B--\r\n", OK, "");
    /* Data that looks like the start of a delimiter. */
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n\r\n-\r\n--\r\n--b--B\n--B\r\r\n--B--", OK,
           "[a|-|text/plain|utf-8]\r\n-\r\n--\r\n--b--B\n--B\r,");
    /* Crashpad: the boundary begins and ends with dashes. */
    expect("---MultipartBoundary-x---",
           "-----MultipartBoundary-x---\r\n" DISP "name=a\r\n\r\n-----\r\n"
           "-----MultipartBoundary-x-----\r\n",
           OK, "[a|-|text/plain|utf-8]-----,");
    /* A boundary of bytes beyond ASCII is compared as bytes. */
    expect("\xe4\xf6", "--\xe4\xf6\r\n" DISP "name=a\r\n\r\n1\r\n--\xe4\xf6--", OK,
           "[a|-|text/plain|utf-8]1,");
}

static void test_broken(void **state)
{
    char *big = apr_palloc(pool, 20000);

    (void)state;
    expect("B", "", BAD, "");
    expect("B", "no delimiter here", BAD, "");
    expect("B", "--B", BAD, NULL);
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n1\r\n", BAD, NULL); /* no closing one */
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n1\r\n--B", BAD, NULL);
    expect("B", "--B\r\n" DISP "name=a\r\n\r\n1\r\n--B-", BAD, NULL);
    expect("B", "--B\r\n" DISP "name=a\r\n", BAD, NULL);
    expect("B", "--B\n" DISP "name=a\n\n1\n--B--\n", BAD, NULL);           /* LF only */
    expect("B", "--C\r\n" DISP "name=a\r\n\r\n1\r\n--C--\r\n", BAD, NULL); /* wrong boundary */
    /* Headers: 8192 bytes are fine, one more is not. */
    for (int over = 0; over < 2; over++) {
        int n = snprintf(big, 20000, "--B\r\n%s%.*s\r\n\r\n1\r\n--B--",
                         DISP "name=a\r\nX: ", 8192 - (int)strlen(DISP "name=a\r\nX: ") + over,
                         (char *)memset(apr_pcalloc(pool, 9001), 'x', 9000));

        expect_sized("B", big, (size_t)n, over ? BAD : OK, NULL, 0);
    }
}

static void test_headers(void **state)
{
    static const struct {
        const char *headers, *want;
    } cases[] = {
        { DISP "name=\"a\"; filename=\"x.dmp\"\r\nContent-Type: application/octet-stream\r\n",
          "[a|x.dmp|application/octet-stream|utf-8]1," },
        { DISP "filename=\"\"; name=a\r\n", "[a||text/plain|utf-8]1," },
        { "content-DISPOSITION: form-data; NAME=a\r\n", "[a|-|text/plain|utf-8]1," },
        { "Content-Disposition:form-data; name=a\r\n", "[-|-|text/plain|utf-8]1," }, /* no blank */
        { DISP "name=a\r\nnonsense\r\nX-Other: y\r\n", "[a|-|text/plain|utf-8]1," },
        { DISP "name=\"a;b=c\"\r\n", "[a;b=c|-|text/plain|utf-8]1," },
        { DISP "name=\"a\\\"b\\\\c\\d\"\r\n", "[a\"b\\c\\d|-|text/plain|utf-8]1," },
        { DISP "name=u; filename=\"C:\\Users\\me\\x.dmp\"\r\n",
          "[u|C:\\Users\\me\\x.dmp|text/plain|utf-8]1," },
        { DISP "name=\"%22%0d%25\"\r\n", "[%22%0d%25|-|text/plain|utf-8]1," },
        { DISP "name=a; filename=\"x\"; filename*=UTF-8''%c3%a4.dmp\r\n",
          "[a|\xc3\xa4.dmp|text/plain|utf-8]1," },
        { DISP "name=a; filename*=UTF-8''y; filename=\"x\"\r\n", "[a|y|text/plain|utf-8]1," },
        { DISP "name=a; filename*=iso-8859-1'en'%e4\r\n", "[a|_|text/plain|utf-8]1," },
        { DISP "name=a; filename*=klingon''x\r\n", NULL },
        { DISP "name=a; filename*=x\r\n", NULL },
        { DISP "name=\"\xc3\xa4\"\r\n", "[\xc3\xa4|-|text/plain|utf-8]1," },
        { DISP "name=\"\xe4\"\r\n", NULL },                         /* not UTF-8 */
        { DISP "name=a\r\nContent-Type: text/\xc3\xa4\r\n", NULL }, /* not ASCII */
        { DISP "name=a\r\nContent-Type: text/plain; charset=\"latin-1\"\r\n",
          "[a|-|text/plain; charset=\"latin-1\"|latin-1]1," },
        { DISP "name=a\r\nContent-Transfer-Encoding: binary\r\n", "[a|-|text/plain|utf-8]1," },
        { DISP "name=a\r\nContent-Transfer-Encoding: base64\r\n", NULL },
        { DISP "name=a; name=b\r\n", "[b|-|text/plain|utf-8]1," },
        { "Content-Type: application/json\r\n", "[-|-|application/json|utf-8]1," },
        { DISP "name=\"open\r\n", "[open|-|text/plain|utf-8]1," },
        { "", "[-|-|text/plain|utf-8]1," }, /* none at all */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect("B", apr_pstrcat(pool, "--B\r\n", cases[i].headers, "\r\n1\r\n--B--", NULL),
               cases[i].want ? OK : BAD, cases[i].want);
    }
}

static void test_lax(void **state)
{
    (void)state;
    /* Breakpad on Windows: the dump is followed by the delimiter at once. */
    expect(LONG,
           "--" LONG "\r\n" DISP "name=a\r\n\r\nMDMP--" LONG "\r\n" DISP "name=b\r\n\r\n2--" LONG
           "--\r\n",
           OK, "[a|-|text/plain|utf-8]MDMP!,[b|-|text/plain|utf-8]2!,");
    /* Breakpad on macOS: an extra line break belongs to the value. */
    expect(LONG, "--" LONG "\r\n" DISP "name=a\r\n\r\n1\r\n\r\n--" LONG "--\r\n", OK,
           "[a|-|text/plain|utf-8]1\r\n,");
    /* Without CRLF or -- after it, it is data; and with a short boundary always. */
    expect(LONG, "--" LONG "\r\n" DISP "name=a\r\n\r\n1--" LONG "x\r\n--" LONG "--", OK,
           "[a|-|text/plain|utf-8]1--" LONG "x,");
    expect("short", "--short\r\n" DISP "name=a\r\n\r\n1--short--\r\n--short--", OK,
           "[a|-|text/plain|utf-8]1--short--,");
    /* An empty body without a line break of its own. */
    expect(LONG, "--" LONG "\r\n" DISP "name=a\r\n\r\n--" LONG "--", OK,
           "[a|-|text/plain|utf-8]!,");
    expect(LONG, "--" LONG "\r\n" DISP "name=a\r\n\r\n1--" LONG, BAD, NULL);
}

static void test_nul(void **state)
{
    static const char body[] = "--B\r\n" DISP "name=\"a\0b\"\r\n\r\n1\0002\r\n--B--";
    static const char want[] = "[ab|-|text/plain|utf-8]1\0002,";

    (void)state;
    expect_sized("B", body, sizeof(body) - 1, OK, want, sizeof(want) - 1);
}

static void test_limits(void **state)
{
    const char *part = "--B\r\n" DISP "name=a\r\n\r\n1\r\n";
    sal_multipart_t *m;
    char *boundary = memset(apr_pcalloc(pool, 80), 'b', 71);

    (void)state;
    expect("B", apr_pstrcat(pool, part, part, part, part, part, "--B--", NULL), OK, NULL);
    expect("B", apr_pstrcat(pool, part, part, part, part, part, part, "--B--", NULL), SAL_E_TOOBIG,
           NULL);
    assert_int_equal(sal_multipart_make(&m, "", 5, &events, NULL, pool, NULL), SAL_E_MALFORMED);
    assert_int_equal(sal_multipart_make(&m, boundary, 5, &events, NULL, pool, NULL),
                     SAL_E_MALFORMED);
    boundary[70] = '\0';
    assert_int_equal(sal_multipart_make(&m, boundary, 5, &events, NULL, pool, NULL), APR_SUCCESS);
}

/* Large binary data with every byte value and many false starts comes through unchanged. */
static void test_binary(void **state)
{
    static const char head[] = "--" LONG "\r\n" DISP "name=d; filename=d\r\n\r\n";
    static const char tail[] = "\r\n--" LONG "--\r\n";
    size_t n = 100000, size = sizeof(head) - 1 + n + sizeof(tail) - 1;
    char *body = apr_palloc(pool, size), *data = body + sizeof(head) - 1, *want;
    static const char want_head[] = "[d|d|text/plain|utf-8]";

    (void)state;
    memcpy(body, head, sizeof(head) - 1);
    for (size_t i = 0; i < n; i++) {
        data[i] = (char)(rand() >> 8);
    }
    for (size_t i = 0; i + 32 < n; i += 997) {
        memcpy(data + i, "\r\n--" LONG, 4 + (size_t)(rand() % 16));
    }
    memcpy(data + n, tail, sizeof(tail) - 1);
    want = apr_palloc(pool, n + 100);
    memcpy(want, want_head, sizeof(want_head) - 1);
    memcpy(want + sizeof(want_head) - 1, data, n);
    want[sizeof(want_head) - 1 + n] = ',';
    expect_sized(LONG, body, size, OK, want, sizeof(want_head) + n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar), cmocka_unit_test(test_broken),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_lax),
        cmocka_unit_test(test_nul),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_binary),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    srand(20261122);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
