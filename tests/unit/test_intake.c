/*
 * Taking in reports: what each kind of part becomes (collector specification, sections 3.2, 3.3,
 * 4.2, 4.3), checked on what can be read back from the store. Every body is fed whole, byte by byte
 * and in random cuts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <malloc.h>
#include <unistd.h>
#include <zlib.h>
#include <apr_allocator.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "crash/intake.h"
#include "temp_dir.h"

#define B "0123456789abcdef0123"
#define D "--" B "\r\n"
#define END "--" B "--\r\n"
#define DISP "Content-Disposition: form-data; name="
#define TEXT(name, value) D DISP "\"" name "\"\r\n\r\n" value "\r\n"
#define PART(name, file, type, data)                                                               \
    D DISP "\"" name "\"; filename=\"" file "\"\r\nContent-Type: " type "\r\n\r\n" data "\r\n"
#define DUMP(name, data) PART(name, "x.dmp", "application/octet-stream", data)
#define JSON(text) PART("extra", "extra.json", "application/json", text)

static apr_pool_t *pool;
static sal_crash_store_t *store;

typedef struct case_t {
    const char *what, *body;
    apr_size_t size;
    sal_fault_t fault;
    const char *want; /* {"a": annotations, "n": notes, "d": dumps} without what is empty */
} case_t;

#define GOOD(what, body, want)                                                                     \
    {                                                                                              \
        what, body, sizeof(body) - 1, SAL_FAULT_NONE, want                                         \
    }
#define BAD(what, body, fault)                                                                     \
    {                                                                                              \
        what, body, sizeof(body) - 1, fault, NULL                                                  \
    }

static const case_t cases[] = {
    /* ---- 3.2: dispatch ---- */
    GOOD("plain field and dump", TEXT("a", "1") DUMP("upload_file_minidump", "MDMP1") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMP1\"}}"),
    GOOD("part without name", TEXT("a", "1") D "Content-Type: text/plain\r\n\r\nx\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"part without name dropped\"]}"),
    GOOD("part with an empty name", TEXT("a", "1") TEXT("", "x") END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"part without name dropped\"]}"),
    GOOD("part without headers", TEXT("a", "1") D "\r\nx\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"part without name dropped\"]}"),
    GOOD("JSON without filename, any name",
         D DISP "\"j\"\r\nContent-Type: application/json; charset=x\r\n\r\n{\"a\": \"1\"}\r\n" END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("JSON replaces, plain overrides",
         TEXT("old", "0") JSON("{\"a\": \"1\", \"b\": \"2\"}") TEXT("b", "3") END,
         "{\"a\":{\"a\":\"1\",\"b\":\"3\"},\"n\":[\"includes annotations in both json-encoded "
         "extra and formdata parts\"]}"),
    GOOD("text with an empty filename", PART("a", "", "text/plain", "1") END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("text with a filename is a dump", TEXT("a", "1") PART("f", "x", "text/plain", "2") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"f\":\"2\"},"
         "\"n\":[\"unknown content type: f text/plain\"]}"),
    GOOD("types without regard to case", D DISP "a\r\nContent-Type: Text/Plain\r\n\r\n1\r\n" END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("text/plainX is a dump",
         TEXT("a", "1") D DISP "b\r\nContent-Type: text/plainX\r\n\r\n2\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"b\":\"2\"},\"n\":[\"unknown content type: b "
         "text/plainX\"]}"),
    GOOD("octet-stream without filename is a dump",
         TEXT("a", "1") D DISP "b\r\nContent-Type: application/octet-stream\r\n\r\n2\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"b\":\"2\"}}"),
    GOOD("memory report",
         TEXT("a", "1") PART("memory_report", "m", "application/gzip", "\x1f\x8b") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"memory_report\":\"\\u001f\xef\xbf\xbd\"},"
         "\"n\":[\"unknown content type: memory_report application/gzip\"]}"),
    GOOD("Crashpad sends no type for files",
         TEXT("a", "1") D DISP "\"upload_file_minidump\"; filename=\"u.dmp\"\r\n\r\nMDMP\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMP\"},"
         "\"n\":[\"unknown content type: upload_file_minidump text/plain\"]}"),
    /* ---- 3.3: forms ---- */
    BAD("no delimiter", "junk", SAL_FAULT_STRUCTURE),
    BAD("closing delimiter missing", TEXT("a", "1"), SAL_FAULT_STRUCTURE),
    BAD("only the end", END, SAL_FAULT_NO_ANNOTATIONS),
    BAD("only dumps", DUMP("d", "x") END, SAL_FAULT_NO_ANNOTATIONS),
    BAD("empty JSON object", JSON("{}") END, SAL_FAULT_NO_ANNOTATIONS),
    GOOD("no dump, empty value", TEXT("a", "") END, "{\"a\":{\"a\":\"\"}}"),
    GOOD("duplicate field", TEXT("a", "1") TEXT("a", "2") END,
         "{\"a\":{\"a\":\"2\"},\"n\":[\"duplicate annotation: a\"]}"),
    GOOD("duplicate dump",
         TEXT("a", "1") DUMP("upload_file_minidump", "MDMP1") DUMP("upload-file_minidump", "x")
             DUMP("upload_file_minidump", "MDMP2") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMP1\",\"uploadfile_minidump\":"
         "\"x\",\"upload_file_minidump_2\":\"MDMP2\"},\"n\":[\"duplicate dump "
         "upload_file_minidump stored as upload_file_minidump_2\"]}"),
    GOOD("bad text", TEXT("a", "1") TEXT("b", "\xff") END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"extract payload text part exception: invalid text or "
         "charset: utf-8\"]}"),
    GOOD("unknown charset",
         TEXT("a", "1") D DISP "b\r\nContent-Type: text/plain; charset=klingon\r\n\r\n2\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"extract payload text part exception: invalid text or "
         "charset: klingon\"]}"),
    GOOD("latin-1", D DISP "b\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe4\r\n" END,
         "{\"a\":{\"b\":\"\xc3\xa4\"}}"),
    GOOD("value over its limit (100 bytes here)",
         TEXT("a", "1")
             TEXT("b", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"extract payload text part exception: body part is too "
         "large\"]}"),
    BAD("type is not ASCII", TEXT("a", "1") D DISP "b\r\nContent-Type: \xc3\xa4\r\n\r\n2\r\n" END,
        SAL_FAULT_STRUCTURE),
    BAD("name is not UTF-8", TEXT("a", "1") TEXT("\xff", "2") END, SAL_FAULT_STRUCTURE),
    GOOD("escaped names stay", TEXT("a%22%0d%25", "1") END, "{\"a\":{\"a%22%0d%25\":\"1\"}}"),
    GOOD("NUL in text", TEXT("a", "1\0002") END,
         "{\"a\":{\"a\":\"1\\u00002\"},\"n\":[\"NUL in annotation: a\"]}"),
    GOOD("dump names are sanitised and cut",
         TEXT("a", "1") DUMP("upload-file.0123456789_0123456789_xyz", "x") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"uploadfile0123456789_012345678\":\"x\"}}"),
    BAD("reserved dump name", TEXT("a", "1") DUMP("raw_crash", "x") END, SAL_FAULT_DUMP_NAME),
    BAD("reserved after sanitising", TEXT("a", "1") DUMP("dump-_names", "x") END,
        SAL_FAULT_DUMP_NAME),
    BAD("dump named dump", TEXT("a", "1") DUMP("dump", "x") END, SAL_FAULT_DUMP_NAME),
    BAD("dump without a usable name", TEXT("a", "1") DUMP("--..", "x") END, SAL_FAULT_DUMP_NAME),
    GOOD("no minidump magic", TEXT("a", "1") DUMP("upload_file_minidump", "abcd1234") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"abcd1234\"},"
         "\"n\":[\"dump without minidump magic: upload_file_minidump\"]}"),
    GOOD("empty dump", TEXT("a", "1") DUMP("upload_file_minidump", "") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"\"},"
         "\"n\":[\"dump without minidump magic: upload_file_minidump\"]}"),
    GOOD("compressed dump", TEXT("a", "1") DUMP("upload_file_minidump_b", "\x28\xb5\x2f\xfdz") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump_b\":\"(\xef\xbf\xbd/\xef\xbf\xbdz\"},"
         "\"n\":[\"dump compressed with zstd: upload_file_minidump_b\"]}"),
    GOOD("delimiter without line break",
         TEXT("a", "1") D DISP "\"upload_file_minidump\"; filename=x\r\n"
                               "Content-Type: application/octet-stream\r\n\r\nMDMPx" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMPx\"},"
         "\"n\":[\"delimiter without line break\"]}"),
    GOOD("a form inside the dump",
         TEXT("a", "1")
             DUMP("upload_file_minidump", "--in\r\n" DISP "\"b\"\r\n\r\n2\r\n--in\r\n" DISP
                                          "\"upload_file_minidump\"; filename=y"
                                          "\r\n\r\nMDMPinner\r\n--in--\r\n") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMPinner\"},\"n\":[\"dump is "
         "itself a form, its minidump taken: upload_file_minidump\"]}"),
    GOOD("a dump that only begins like a form",
         TEXT("a", "1") DUMP("f", "--not a form\r\nat all") DUMP("g", "--") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"f\":\"--not a form\\r\\nat all\",\"g\":\"--\"}}"),
    BAD("truncated in the middle of a part", TEXT("a", "1") D DISP "\"b\"\r\n\r\nx",
        SAL_FAULT_STRUCTURE),
    BAD("LF line ends", "--" B "\n" DISP "\"a\"\n\n1\n--" B "--\n", SAL_FAULT_STRUCTURE),
    BAD("Content-Transfer-Encoding",
        TEXT("a", "1") D DISP "b\r\nContent-Transfer-Encoding: base64"
                              "\r\n\r\nMQ==\r\n" END,
        SAL_FAULT_STRUCTURE),
    GOOD("Content-Transfer-Encoding: binary",
         D DISP "b\r\ncontent-transfer-encoding: Binary\r\n\r\n1\r\n" END, "{\"a\":{\"b\":\"1\"}}"),
    GOOD("preamble, padding, epilogue",
         "hello--" B " \t\r\n" DISP "a\r\n\r\n1\r\n" END "epilogue " TEXT("b", "2") END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("headers of other names and without a space behind the colon are read over",
         D "X-Other: y\r\nContent-Type:application/json\r\n" DISP "a\r\n\r\n1\r\n" END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("parameter names in any case, backslashes literal",
         D "Content-Disposition: form-data; NAME=\"a\\b\\\"c\"\r\n\r\n1\r\n" END,
         "{\"a\":{\"a\\\\b\\\"c\":\"1\"}}"),
    GOOD("filename* wins over filename",
         TEXT("a", "1") D DISP "\"f\"; filename=\"\"; filename*=utf-8''x%20y\r\n\r\n2\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"f\":\"2\"},\"n\":[\"unknown content type: f "
         "text/plain\"]}"),
    BAD("filename* in an unknown charset",
        TEXT("a", "1") D DISP "\"f\"; filename*=klingon''x\r\n\r\n2\r\n" END, SAL_FAULT_STRUCTURE),
    BAD("file name is not UTF-8", TEXT("a", "1") PART("f", "\xff", "x/y", "2") END,
        SAL_FAULT_STRUCTURE),
    GOOD("text/html is a dump",
         TEXT("a", "1") D DISP "\"f\"\r\nContent-Type: text/html\r\n\r\n2\r\n" END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"f\":\"2\"},\"n\":[\"unknown content type: f text/html\"]}"),
    GOOD("the unsanitised name is noted", TEXT("a", "1") PART("f-g", "x", "x/y", "2") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"fg\":\"2\"},\"n\":[\"unknown content type: f-g x/y\"]}"),
    GOOD("Application/JSON in any case",
         PART("extra", "x", "Application/JSON; charset=utf-8", "{\"a\":\"1\"}") END,
         "{\"a\":{\"a\":\"1\"}}"),
    GOOD("Python's names of charsets",
         D DISP "b\r\nContent-Type: text/plain; charset=latin-1\r\n\r\n\xe4\r\n" END,
         "{\"a\":{\"b\":\"\xc3\xa4\"}}"),
    GOOD("PMDM is the magic of the other byte order",
         TEXT("a", "1") DUMP("upload_file_minidump", "PMDM") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"PMDM\"}}"),
    GOOD("a dump compressed with gzip",
         TEXT("a", "1") DUMP("upload_file_minidump", "\x1f\x8b?") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"\\u001f\xef\xbf\xbd?\"},"
         "\"n\":[\"dump compressed with gzip: upload_file_minidump\"]}"),
    GOOD("two files without a line break between them",
         TEXT("a", "1") D DISP "\"upload_file_minidump\"; filename=x\r\nContent-Type: "
                               "application/octet-stream\r\n\r\nMDMPx" DUMP("log", "l") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"upload_file_minidump\":\"MDMPx\",\"log\":\"l\"},"
         "\"n\":[\"delimiter without line break\"]}"),
    GOOD("a delimiter inside a dump must end its line", TEXT("a", "1") DUMP("f", "x--" B "y") END,
         "{\"a\":{\"a\":\"1\"},\"d\":{\"f\":\"x--" B "y\"}}"),
    /* ---- 3.3: JSON ---- */
    BAD("Infinity", JSON("{\"a\":-Infinity}") END, SAL_FAULT_JSON),
    BAD("single quotes", JSON("{'a':'1'}") END, SAL_FAULT_JSON),
    BAD("UTF-32", JSON("{\0\0\0}\0\0\0") END, SAL_FAULT_JSON),
    BAD("JSON number", JSON("7") END, SAL_FAULT_JSON_VALUE),
    BAD("JSON true", JSON(" true ") END, SAL_FAULT_JSON_VALUE),
    GOOD("plain fields before JSON are gone", TEXT("b", "0") JSON("{\"a\":\"1\"}") END,
         "{\"a\":{\"a\":\"1\"},\"n\":[\"includes annotations in both json-encoded extra and "
         "formdata parts\"]}"),
    BAD("JSON syntax", JSON("{") END, SAL_FAULT_JSON),
    BAD("empty JSON", JSON("") END, SAL_FAULT_JSON),
    BAD("control character", JSON("{\"a\":\"\n\"}") END, SAL_FAULT_JSON),
    BAD("JSON not UTF-8", JSON("{\"a\":\"\xff\"}") END, SAL_FAULT_JSON),
    BAD("UTF-16", JSON("\xff\xfe{\0}\0") END, SAL_FAULT_JSON),
    BAD("NaN", JSON("{\"a\":NaN}") END, SAL_FAULT_JSON),
    BAD("text after the object", JSON("{} x") END, SAL_FAULT_JSON),
    BAD("trailing comma", JSON("{\"a\":\"1\",}") END, SAL_FAULT_JSON),
    BAD("leading zero", JSON("{\"a\":01}") END, SAL_FAULT_JSON),
    BAD("JSON string", JSON("\"x\"") END, SAL_FAULT_JSON_VALUE),
    BAD("JSON array", JSON("[1]") END, SAL_FAULT_JSON_VALUE),
    BAD("JSON null", JSON("null") END, SAL_FAULT_JSON_VALUE),
    GOOD("BOM", JSON("\xef\xbb\xbf{\"a\":\"1\"}") END, "{\"a\":{\"a\":\"1\"}}"),
    GOOD("surrogates",
         JSON("{\"a\":\"\xed\xa0\x80\",\"b\":\"\\ud83d\\ude00\",\"c\":\"\\ud83dx\"}") END,
         "{\"a\":{\"a\":\"\xef\xbf\xbd\",\"b\":\"\xf0\x9f\x98\x80\",\"c\":\"\xef\xbf\xbdx\"}}"),
    GOOD("scalars become text as written",
         JSON("{\"i\":18446744073709551615,\"f\":1.50,\"e\":-1e5,\"t\":true,\"n\":null}") END,
         "{\"a\":{\"i\":\"18446744073709551615\",\"f\":\"1.50\",\"e\":\"-1e5\",\"t\":\"true\"},"
         "\"n\":[\"null annotation dropped: n\"]}"),
    GOOD("containers become compact text",
         JSON("{ \"o\" : { \"k\" : [ 1 , \" a \\\" b \" ] } , \"l\" : [ ] }") END,
         "{\"a\":{\"o\":\"{\\\"k\\\":[1,\\\" a \\\\\\\" b \\\"]}\",\"l\":\"[]\"}}"),
    GOOD("escapes", JSON("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"}") END,
         "{\"a\":{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\xc3\xa4\"}}"),
    GOOD("NUL in value and key", JSON("{\"a\\u0000b\":\"1\\u0000\"}") END,
         "{\"a\":{\"ab\":\"1\\u0000\"},\"n\":[\"NUL in the name of annotation: ab\","
         "\"NUL in annotation: ab\"]}"),
    GOOD("duplicate keys, two parts", JSON("{\"z\":\"0\"}") JSON("{\"a\":\"1\",\"a\":\"2\"}") END,
         "{\"a\":{\"a\":\"2\"}}"),
    GOOD("client keys of ours are overwritten",
         JSON("{\"Version\":\"9\",\"version\":\"8\",\"metadata\":\"x\",\"submitted_timestamp\":"
              "\"y\"}") END,
         "{\"a\":{\"Version\":\"9\"}}"),
    /* ---- 4.2, 4.3 ---- */
    GOOD("removed annotations", TEXT("Email", "x@y") TEXT("email_", "z") END,
         "{\"a\":{\"email_\":\"z\"},\"n\":[\"Removed Email from raw crash.\"]}"),
    GOOD("Google's names", TEXT("prod", "P") TEXT("ver", "1") TEXT("ptime", "1500") END,
         "{\"a\":{\"prod\":\"P\",\"ver\":\"1\",\"ptime\":\"1500\",\"ProductName\":\"P\","
         "\"Version\":\"1\",\"UptimeTS\":\"1.500\"},\"n\":[\"dialect: google\"]}"),
    GOOD("Electron's beat Google's",
         TEXT("prod", "Electron") TEXT("_productName", "App") TEXT("_version", "2") END,
         "{\"a\":{\"prod\":\"Electron\",\"_productName\":\"App\",\"_version\":\"2\","
         "\"ProductName\":\"App\",\"Version\":\"2\"},\"n\":[\"dialect: electron\"]}"),
    GOOD("Socorro's names stand", TEXT("ProductName", "S") TEXT("prod", "P") END,
         "{\"a\":{\"ProductName\":\"S\",\"prod\":\"P\"}}"),
};

/* ---- feeding ---- */

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
    size_t n = (size_t)(rand() % 50) + 1;

    return n < left ? n : left;
}

static sal_intake_t *take(const char *body, size_t size, cut_fn cut, apr_pool_t *p)
{
    sal_intake_limits_t limits = SAL_INTAKE_LIMITS;
    sal_error_t err = { 0 };
    sal_intake_t *in;
    apr_status_t rv = APR_SUCCESS;

    limits.annotation = 100;
    assert_int_equal(sal_intake_make(&in, store, B, false, apr_time_now(), &limits, p, &err),
                     APR_SUCCESS);
    for (size_t at = 0, n; rv == APR_SUCCESS && at < size; at += n) {
        n = cut(size - at);
        rv = sal_intake_feed(in, body + at, n, &err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_intake_finish(in, &err);
    }
    assert_int_equal(rv != APR_SUCCESS, sal_intake_fault(in) != SAL_FAULT_NONE);
    return in;
}

/* ---- what was stored, in the shape of case_t.want ---- */

static json_t *dumps_of(sal_crash_reader_t *r, apr_pool_t *p)
{
    json_t *out = json_object();

    for (const char *const *name = sal_crash_dump_names(r); *name; name++) {
        sal_span_t data;
        sal_error_t err;

        assert_int_equal(sal_crash_dump(&data, r, *name, 1 << 20, p, &err), APR_SUCCESS);
        json_object_set_new(out, *name,
                            json_string(sal_utf8_clean((const char *)data.data, data.size, p)));
    }
    return out;
}

static json_t *stored(const char *id, apr_pool_t *p)
{
    static const char *const ours[] = { "uuid", "submitted_timestamp", "version", "metadata" };
    json_t *out = json_object(), *raw, *a, *notes, *dumps;
    sal_crash_reader_t *r;
    sal_error_t err;

    assert_int_equal(sal_crash_open(&r, store, id, p, &err), APR_SUCCESS);
    assert_int_equal(sal_crash_raw(&raw, r, &err), APR_SUCCESS);
    assert_string_equal(sal_json_str(raw, "uuid"), id);
    assert_int_equal(json_integer_value(json_object_get(raw, "version")), 2);
    a = json_copy(raw);
    notes = json_incref(sal_json_path(raw, "metadata.collector_notes"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(json_object_del(a, ours[i]), 0);
    }
    dumps = dumps_of(r, p);
    assert_int_equal(json_object_size(dumps),
                     json_object_size(sal_json_path(raw, "metadata.dump_checksums")));
    json_object_set_new(out, "a", a);
    if (json_array_size(notes)) {
        json_object_set(out, "n", notes);
    }
    json_decref(notes);
    if (json_object_size(dumps)) {
        json_object_set(out, "d", dumps);
    }
    json_decref(dumps);
    return out;
}

static void run_good(const case_t *c, sal_intake_t *in, apr_pool_t *p)
{
    static const char *const removed[] = { "Email", NULL };
    sal_raw_meta_t meta = { .throttle_rule = "accept_everything" };
    json_t *want = json_loads(c->want, JSON_ALLOW_NUL, NULL), *got;
    sal_error_t err;
    const char *id;

    assert_non_null(want);
    sal_annotations_map_dialect(sal_intake_annotations(in), NULL, NULL);
    sal_annotations_remove(sal_intake_annotations(in), removed);
    id = apr_pstrdup(p, sal_intake_id(in, &err));
    assert_int_equal(sal_intake_commit(in, id, &meta, &err), APR_SUCCESS);
    got = stored(id, p);
    if (!json_equal(got, want)) {
        fail_msg("%s:\n got %s\nwant %s", c->what, sal_json_text(got, p), sal_json_text(want, p));
    }
    json_decref(got);
    json_decref(want);
}

static void test_cases(void **state)
{
    static const cut_fn cuts[] = { cut_none, cut_bytes, cut_random, cut_random };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
            apr_pool_t *p;
            sal_intake_t *in;

            apr_pool_create(&p, pool);
            in = take(cases[i].body, cases[i].size, cuts[k], p);
            if (sal_intake_fault(in) != cases[i].fault) {
                fail_msg("%s: fault %d, expected %d", cases[i].what, sal_intake_fault(in),
                         cases[i].fault);
            }
            if (cases[i].want) {
                run_good(&cases[i], in, p);
            }
            apr_pool_destroy(p);
        }
    }
}

/* A JSON part nested just within and just over the limit; an integer of too many digits. */
static void test_json_bounds(void **state)
{
    struct {
        int depth, digits;
        sal_fault_t fault;
    } bounds[] = { { 62, 1, SAL_FAULT_NONE },
                   { 64, 1, SAL_FAULT_JSON },
                   { 100000, 1, SAL_FAULT_JSON },
                   { 1, 4300, SAL_FAULT_NONE },
                   { 1, 4301, SAL_FAULT_JSON } };

    (void)state;
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        int n = bounds[i].depth, d = bounds[i].digits;
        char *open = memset(apr_pcalloc(pool, (apr_size_t)n + 1), '[', (size_t)n);
        char *close = memset(apr_pcalloc(pool, (apr_size_t)n + 1), ']', (size_t)n);
        char *digits = memset(apr_pcalloc(pool, (apr_size_t)d + 1), '7', (size_t)d);
        char *body =
            apr_pstrcat(pool, D DISP "x\r\nContent-Type: application/json\r\n\r\n{\"a\":", open,
                        digits, close, "}\r\n" END, NULL);

        assert_int_equal(sal_intake_fault(take(body, strlen(body), cut_none, pool)),
                         bounds[i].fault);
    }
}

/* The main dump over its limit ends the report; another file is dropped, the rest stays whole. */
static void test_dump_limit(void **state)
{
    static const char side[] = TEXT("a", "1") DUMP("log", "0123456789") DUMP("ok", "12345678") END;
    static const char main_dump[] = TEXT("a", "1") DUMP("upload_file_minidump", "0123456789") END;
    sal_intake_limits_t limits = SAL_INTAKE_LIMITS;
    sal_raw_meta_t meta = { .throttle_rule = "x" };
    sal_error_t err;
    sal_intake_t *in;
    json_t *got;

    (void)state;
    limits.dump = 8;
    sal_intake_make(&in, store, B, false, apr_time_now(), &limits, pool, &err);
    assert_int_equal(sal_intake_feed(in, main_dump, sizeof(main_dump) - 1, &err), SAL_E_TOOBIG);
    assert_int_equal(sal_intake_fault(in), SAL_FAULT_TOO_LARGE);

    sal_intake_make(&in, store, B, false, apr_time_now(), &limits, pool, &err);
    assert_int_equal(sal_intake_feed(in, side, sizeof(side) - 1, &err), APR_SUCCESS);
    assert_int_equal(sal_intake_finish(in, &err), APR_SUCCESS);
    const char *id = apr_pstrdup(pool, sal_intake_id(in, &err));
    assert_int_equal(sal_intake_commit(in, id, &meta, &err), APR_SUCCESS);
    got = stored(id, pool);
    assert_string_equal(sal_json_text(sal_json_path(got, "d"), pool), "{\"ok\":\"12345678\"}");
    assert_string_equal(json_string_value(sal_json_path(got, "n.0")),
                        "dump over 8 bytes dropped: log");
    json_decref(got);
}

/* ---- memory ---- */

/* Bytes in use: malloc's, and what is mapped beside it (APR's pools, on some systems). */
static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    char text[64] = "";
    FILE *f = fopen("/proc/self/statm", "r");

    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    return m.uordblks + strtoull(text, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) - m.arena;
}

/* 20 MiB that do not compress, as gzip made of stored blocks. */
static char *gzip_of_noise(size_t *size)
{
    static const char head[] =
        TEXT("a", "1") D DISP "\"upload_file_minidump\"; filename=x\r\n\r\nMDMP";
    size_t n = (size_t)20 << 20, room = n + n / 1000 + 1024;
    char *plain = malloc(n), *packed = malloc(room);
    z_stream z = { 0 };

    memcpy(plain, head, sizeof(head));
    for (size_t i = sizeof(head) - 1; i < n; i++) {
        plain[i] = (char)(rand() >> 7);
    }
    deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)plain;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)packed;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    *size = z.total_out;
    deflateEnd(&z);
    free(plain);
    return packed;
}

/* One report of 20 MB in flight holds at most 128 KiB, whatever came before it. */
static void test_memory(void **state)
{
    sal_intake_limits_t limits = SAL_INTAKE_LIMITS;
    size_t size, before, held = 0;
    char *body = gzip_of_noise(&size);
    sal_error_t err;

    (void)state;
    for (int round = 0; round < 2; round++) { /* in the first, what threads share is made */
        sal_intake_t *in;
        apr_pool_t *p;

        apr_allocator_t *own; /* the common one keeps what was freed, which would not be seen */

        before = in_use();
        apr_allocator_create(&own);
        apr_pool_create_ex(&p, NULL, NULL, own);
        apr_allocator_owner_set(own, p);
        assert_int_equal(sal_intake_make(&in, store, B, true, apr_time_now(), &limits, p, &err),
                         APR_SUCCESS);
        held = 0;
        for (size_t at = 0; at < size / 2; at += 8000) {
            size_t now;

            assert_int_equal(sal_intake_feed(in, body + at, 8000, &err), APR_SUCCESS);
            now = in_use() - before;
            held = now > held ? now : held;
        }
        apr_pool_destroy(p);
    }
    printf("a report of 20 MB in flight holds %zu KiB\n", held / 1024);
    free(body);
    assert_in_range(held, 1, 128 * 1024);
}

/* The query names the product where the form does not; the first value wins. */
static const char *query(void *baton, const char *name)
{
    (void)baton;
    return !strcmp(name, "prod") ? "Q" : !strcmp(name, "version") ? "7" : NULL;
}

static void test_query(void **state)
{
    static const char body[] = TEXT("ver", "1") END;
    sal_intake_t *in = take(body, sizeof(body) - 1, cut_none, pool);
    sal_annotations_t *a = sal_intake_annotations(in);

    (void)state;
    sal_annotations_map_dialect(a, query, NULL);
    assert_string_equal(sal_annotations_get(a, "ProductName"), "Q");
    assert_string_equal(sal_annotations_get(a, "Version"), "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),      cmocka_unit_test(test_json_bounds),
        cmocka_unit_test(test_dump_limit), cmocka_unit_test(test_query),
        cmocka_unit_test(test_memory),
    };
    sal_error_t err;
    int failed;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    srand(20261122);
    temp_make(pool);
    if (sal_crash_store_open(&store, temp_path("store", pool), true, pool, &err) != APR_SUCCESS) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_remove(pool);
    return failed;
}
