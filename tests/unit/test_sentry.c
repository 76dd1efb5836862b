/*
 * Sentry's dialect: envelopes, MessagePack, and what of an event becomes annotations (collector
 * specification 12.6).
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
#include "base/json.h"
#include "crash/envelope.h"
#include "crash/msgpack.h"
#include "crash/sentry.h"

static apr_pool_t *pool;

/* ---- envelopes: events as text, "[name|filename|type]data." for each part ---- */

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    char **log = baton;

    (void)err;
    *log = apr_pstrcat(pool, *log, "[", part->name, "|", part->filename ? part->filename : "-", "|",
                       part->type, "]", NULL);
    return APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    char **log = baton;

    (void)err;
    *log = apr_pstrcat(pool, *log, apr_pstrmemdup(pool, data, size), NULL);
    return APR_SUCCESS;
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    char **log = baton;

    (void)err;
    *log = apr_pstrcat(pool, *log, ".", NULL);
    return APR_SUCCESS;
}

static const sal_multipart_events_t events = { part_begin, part_data, part_end, NULL };

static apr_status_t parse(const char *text, size_t step, char **log)
{
    size_t size = strlen(text);
    sal_envelope_t *e;
    apr_status_t rv = APR_SUCCESS;

    *log = apr_pstrdup(pool, "");
    assert_int_equal(sal_envelope_make(&e, 3, &events, log, pool, NULL), APR_SUCCESS);
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_envelope_feed(e, text + at, size - at < step ? size - at : step, NULL);
    }
    return rv == APR_SUCCESS ? sal_envelope_finish(e, NULL) : rv;
}

static const struct {
    const char *text;
    apr_status_t status;
    const char *log;
} envelopes[] = {
    { "{}\n", APR_SUCCESS, "" },
    { "{}", APR_SUCCESS, "" },
    { "{\"event_id\":\"ab\"}\n", APR_SUCCESS, "[sentry[event_id]|-|text/plain]ab." },
    { "{}\n{\"type\":\"event\",\"length\":2}\n{}\n", APR_SUCCESS, "[sentry|-|text/plain]{}." },
    { "{}\n{\"type\":\"event\",\"length\":2}\n{}", APR_SUCCESS, "[sentry|-|text/plain]{}." },
    { "{}\n{\"type\":\"event\"}\n{\"a\":1}\n", APR_SUCCESS, "[sentry|-|text/plain]{\"a\":1}." },
    { "{}\n{\"type\":\"event\"}\n{\"a\":1}", APR_SUCCESS, "[sentry|-|text/plain]{\"a\":1}." },
    { "{}\n{\"type\":\"attachment\",\"attachment_type\":\"event.minidump\",\"length\":5,"
      "\"filename\":\"/tmp/x.dmp\"}\nMD\nMP\n",
      APR_SUCCESS, "[upload_file_minidump|x.dmp|application/octet-stream]MD\nMP." },
    { "{}\n{\"type\":\"attachment\",\"length\":0,\"filename\":\"C:\\\\u\\\\a.log\"}\n\n",
      APR_SUCCESS, "[a.log|a.log|application/octet-stream]." },
    { "{}\n{\"type\":\"session\"}\n{}\n\n{\"type\":\"x\",\"length\":1}\ny\n", APR_SUCCESS, "" },
    { "", SAL_E_MALFORMED, NULL },
    { "junk\n", SAL_E_MALFORMED, NULL },
    { "[]\n", SAL_E_MALFORMED, NULL },
    { "{}\nx\n", SAL_E_MALFORMED, NULL },
    { "{}\n{\"type\":\"event\",\"length\":9}\n{}\n", SAL_E_MALFORMED, NULL },
    { "{}\n{\"type\":\"event\",\"length\":1}\n{}\n", SAL_E_MALFORMED, NULL },
    { "{}\n{\"type\":\"event\",\"length\":-1}\n{}\n", SAL_E_MALFORMED, NULL },
    { "{}\n{\"type\":\"event\",\"length\":\"2\"}\n{}\n", SAL_E_MALFORMED, NULL },
    { "{}\n{}\na\n{}\na\n{}\na\n{}\na\n", SAL_E_TOOBIG, NULL },
};

static void test_envelopes(void **state)
{
    static const size_t steps[] = { 100000, 1, 3 };

    (void)state;
    for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++) {
        for (size_t k = 0; k < 3; k++) {
            char *log;
            apr_status_t rv = parse(envelopes[i].text, steps[k], &log);

            if (rv != envelopes[i].status) {
                fail_msg("%s: status %d", envelopes[i].text, rv);
            }
            if (envelopes[i].log) {
                assert_string_equal(log, envelopes[i].log);
            }
        }
    }
}

static void test_long_header(void **state)
{
    char *text = apr_palloc(pool, SAL_ENVELOPE_HEADER_MAX + 2), *log;

    (void)state;
    memset(text, ' ', SAL_ENVELOPE_HEADER_MAX + 1);
    text[SAL_ENVELOPE_HEADER_MAX + 1] = '\0';
    assert_int_equal(parse(text, 100, &log), SAL_E_MALFORMED);
}

/* ---- MessagePack: vectors of its specification ---- */

#define BYTES(s) s, sizeof(s) - 1

static const struct {
    const char *data;
    size_t size;
    const char *json; /* NULL: malformed */
} packs[] = {
    { BYTES("\x00"), "0" },
    { BYTES("\x7f"), "127" },
    { BYTES("\xff"), "-1" },
    { BYTES("\xe0"), "-32" },
    { BYTES("\xc0"), "null" },
    { BYTES("\xc2"), "false" },
    { BYTES("\xc3"), "true" },
    { BYTES("\xcc\xff"), "255" },
    { BYTES("\xcd\x01\x00"), "256" },
    { BYTES("\xce\xff\xff\xff\xff"), "4294967295" },
    { BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807" },
    { BYTES("\xd0\x80"), "-128" },
    { BYTES("\xd1\x80\x00"), "-32768" },
    { BYTES("\xd2\x80\x00\x00\x00"), "-2147483648" },
    { BYTES("\xd3\xff\xff\xff\xff\xff\xff\xff\xfe"), "-2" },
    { BYTES("\xca\x3f\xc0\x00\x00"), "1.5" },
    { BYTES("\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00"), "-1.5" },
    { BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "null" },
    { BYTES("\xa3"
            "abc"),
      "\"abc\"" },
    { BYTES("\xd9\x01z"), "\"z\"" },
    { BYTES("\xda\x00\x01z"), "\"z\"" },
    { BYTES("\xdb\x00\x00\x00\x01z"), "\"z\"" },
    { BYTES("\xa1\xff"), "null" },
    { BYTES("\xc4\x02xy"), "null" },
    { BYTES("\xc7\x01\x05x"), "null" },
    { BYTES("\xd4\x05x"), "null" },
    { BYTES("\x92\x01\xc0"), "[1,null]" },
    { BYTES("\xdc\x00\x01\x01"), "[1]" },
    { BYTES("\xdd\x00\x00\x00\x01\x01"), "[1]" },
    { BYTES("\x82\xa1"
            "a\x01\x05\x06"),
      "{\"a\":1}" }, /* a key that is no text goes */
    { BYTES("\xde\x00\x01\xa1k\x90"), "{\"k\":[]}" },
    { BYTES("\xdf\x00\x00\x00\x01\xa1k\x80"), "{\"k\":{}}" },
    { BYTES(""), NULL },
    { BYTES("\xc1"), NULL },
    { BYTES("\xcd\x01"), NULL },
    { BYTES("\xa3"
            "ab"),
      NULL },
    { BYTES("\x92\x01"), NULL },
    { BYTES("\x81\xa1k"), NULL },
    { BYTES("\xdd\xff\xff\xff\xff\x01"), NULL },
    { BYTES("\xdf\xff\xff\xff\xff\x01"), NULL },
    { BYTES("\xc6\xff\xff\xff\xff\x01"), NULL },
};

static void test_msgpack(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
        json_t *v = NULL;
        apr_status_t rv = sal_msgpack_read(&v, packs[i].data, packs[i].size, NULL);

        if (!packs[i].json) {
            assert_int_equal(rv, SAL_E_MALFORMED);
            continue;
        }
        assert_int_equal(rv, APR_SUCCESS);
        assert_string_equal(json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT), packs[i].json);
        json_decref(v);
    }
}

static void test_msgpack_depth(void **state)
{
    char deep[1000];
    json_t *v;

    (void)state;
    memset(deep, '\x91', sizeof(deep));
    assert_int_equal(sal_msgpack_read(&v, deep, sizeof(deep), NULL), SAL_E_TOOBIG);
}

/* ---- events: fields as "name=value" pieces, and what must be there afterwards ---- */

static const struct {
    const char *fields[6]; /* name, value, ... */
    const char *file, *project, *id;
    const char *want; /* the annotations */
} maps[] = {
    { { "sentry", "{\"release\":\"app@1.2+3\",\"environment\":\"beta\"}" },
      NULL,
      "42",
      NULL,
      "{\"ProductName\":\"app\",\"Version\":\"1.2\",\"BuildID\":\"3\",\"ReleaseChannel\":\"beta\","
      "\"sentry\":\"{\\\"release\\\":\\\"app@1.2+3\\\",\\\"environment\\\":\\\"beta\\\"}\"}" },
    { { "sentry[release]", "9.8", "sentry[dist]", "b7" },
      NULL,
      "shop",
      NULL,
      "{\"ProductName\":\"shop\",\"Version\":\"9.8\",\"BuildID\":\"b7\","
      "\"sentry\":\"{\\\"release\\\":\\\"9.8\\\",\\\"dist\\\":\\\"b7\\\"}\"}" },
    { { "sentry__10", "\"}", "sentry__2", "lease\":", "sentry__1", "{\"re" },
      NULL,
      "p",
      NULL,
      NULL }, /* the pieces in the order of their numbers make no JSON: they stay */
    { { "sentry__10", "5\"}", "sentry__9", "\"a@", "sentry__1", "{\"release\":" },
      NULL,
      "p",
      NULL,
      "{\"ProductName\":\"a\",\"Version\":\"5\","
      "\"sentry\":\"{\\\"release\\\":\\\"a@5\\\"}\"}" },
    { { "sentry[contexts][os][name]", "x", "sentry[]", "y", "sentry[a", "z" },
      NULL,
      "p",
      NULL,
      "{\"ProductName\":\"p\",\"sentry\":\"{\\\"contexts\\\":{\\\"os\\\":{\\\"name\\\":\\\"x\\\"}}}"
      "\"}" },
    { { "sentry",
        "{\"event_id\":\"FC6D8C0C43FC4630AD850EE518F1B9D0\",\"user\":{\"email\":\"x\"}}" },
      NULL,
      "p",
      "fc6d8c0c-43fc-4630-ad85-0ee518f1b9d0",
      "{\"ProductName\":\"p\",\"SentryEventId\":\"fc6d8c0c-43fc-4630-ad85-0ee518f1b9d0\","
      "\"sentry\":\"{\\\"event_id\\\":\\\"FC6D8C0C43FC4630AD850EE518F1B9D0\\\"}\"}" },
    { { "ProductName", "mine", "sentry", "{\"release\":\"b@2\"}" },
      "{\"release\":\"a@1\",\"dist\":\"d\"}",
      "p",
      NULL,
      "{\"ProductName\":\"mine\",\"Version\":\"2\",\"BuildID\":\"d\","
      "\"sentry\":\"{\\\"release\\\":\\\"b@2\\\",\\\"dist\\\":\\\"d\\\"}\"}" },
    { { "sentry", "not JSON" },
      NULL,
      "p",
      NULL,
      "{\"sentry\":\"not JSON\",\"ProductName\":\"p\"}" },
    { { "a", "b" }, NULL, "p", NULL, "{\"a\":\"b\",\"ProductName\":\"p\"}" },
};

static void test_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        sal_annotations_t *a = sal_annotations_make(1 << 20, pool);
        json_t *file = NULL, *want;
        const char *id;

        for (int k = 0; k < 6 && maps[i].fields[k]; k += 2) {
            sal_annotations_text(a, maps[i].fields[k], maps[i].fields[k + 1],
                                 strlen(maps[i].fields[k + 1]), "utf-8");
        }
        if (maps[i].file) {
            file = json_loads(maps[i].file, 0, NULL);
        }
        sal_sentry_map(&id, a, file, maps[i].project, pool);
        json_decref(file);
        if (maps[i].id) {
            assert_string_equal(id, maps[i].id);
        } else {
            assert_null(id);
        }
        if (!maps[i].want) {
            assert_string_equal(sal_annotations_get(a, "sentry__10"), maps[i].fields[1]);
            continue;
        }
        want = json_loads(maps[i].want, 0, NULL);
        assert_non_null(want);
        if (!json_equal(sal_annotations_values(a), want)) {
            fail_msg("event %zu:\n got %s\nwant %s", i,
                     sal_json_text(sal_annotations_values(a), pool), sal_json_text(want, pool));
        }
        json_decref(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelopes), cmocka_unit_test(test_long_header),
        cmocka_unit_test(test_msgpack),   cmocka_unit_test(test_msgpack_depth),
        cmocka_unit_test(test_events),
    };

    apr_initialize();
    apr_pool_create(&pool, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
