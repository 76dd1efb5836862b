/*
 * What Apple's libraries said before they gave up: the __crash_info records of a process, and the
 * arguments its kernel was booted with. Layout: docs/minidump.md, stream 0x4d7a0001.
 */
#include <apr_strings.h>

#include "analysis/analysis_private.h"
#include "base/text.h"

enum { MAX_RECORDS = 20, MAX_STRING = 8192, LOCATIONS = 12, N_STRINGS = 5 };

static const char *const string_keys[N_STRINGS] = { "module", "message", "signature_string",
                                                    "backtrace", "message2" };

static json_t *number(const sal_analysis_t *r, const sal_span_t *record, uint64_t offset,
                      bool there)
{
    uint64_t v;

    if (!there || !sal_span_u64(record, offset, &v) || v == 0) {
        return json_null();
    }
    return sal_analysis_hex(r, v);
}

/* The NUL-terminated strings behind the fixed part; false if one is cut off. */
static bool read_strings(json_t *out, const sal_span_t *record, uint32_t offset)
{
    for (int i = 0; i < N_STRINGS; i++) {
        const char *s = (const char *)record->data + offset;
        const char *end;

        if (offset >= record->size) {
            return false;
        }
        end = memchr(s, '\0', record->size - offset);
        if (!end || end - s > MAX_STRING || !sal_utf8_valid(s, (size_t)(end - s))) {
            return false;
        }
        json_object_set_new(out, string_keys[i], *s ? json_string(s) : json_null());
        offset += (uint32_t)(end - s) + 1;
    }
    return true;
}

/* One record: fixed numbers as its version has them, strings from `start` on. */
static json_t *read_record(const sal_analysis_t *r, const sal_span_t *record, uint32_t start,
                           uint64_t *version)
{
    uint64_t own, fixed;
    json_t *out;

    if (!sal_span_u64(record, 8, &own)) {
        return NULL;
    }
    fixed = own >= 5 ? 40 : own == 4 ? 32 : 16;
    if (fixed > start || (*version && *version != own)) {
        return NULL;
    }
    *version = own;
    out =
        json_pack("{s:o,s:o,s:o}", "thread", number(r, record, 16, own >= 4), "dialog_mode",
                  number(r, record, 24, own >= 4), "abort_cause", number(r, record, 32, own >= 5));
    for (int i = 0; i < N_STRINGS; i++) {
        json_object_set_new(out, string_keys[i], json_null());
    }
    if (own >= 4 && !read_strings(out, record, start)) {
        json_decref(out);
        return NULL;
    }
    return out;
}

json_t *sal_analysis_mac_crash_info(const sal_analysis_t *r)
{
    sal_span_t stream, record;
    uint32_t count, start, size, rva;
    uint64_t version = 0;
    json_t *records;

    if (!sal_minidump_stream(r->md, SAL_STREAM_MOZ_MACOS_CRASH_INFO, &stream) ||
        !sal_span_u32(&stream, 4, &count) || !sal_span_u32(&stream, 8, &start)) {
        return json_null();
    }
    records = json_array();
    for (uint32_t i = 0; i < count && i < MAX_RECORDS; i++) {
        json_t *one = NULL;

        if (sal_span_u32(&stream, LOCATIONS + 8 * i, &size) &&
            sal_span_u32(&stream, LOCATIONS + 8 * i + 4, &rva) &&
            sal_span_sub(&r->md->file, rva, size, &record)) {
            one = read_record(r, &record, start, &version);
        }
        if (!one) { /* half a story is worse than none: the stream is dropped */
            json_decref(records);
            return json_null();
        }
        json_array_append_new(records, one);
    }
    return json_pack("{s:i,s:o}", "num_records", (int)json_array_size(records), "records", records);
}

/* UTF-16 to UTF-8; NULL if a surrogate is alone. */
static char *utf16(const sal_span_t *s, apr_pool_t *p)
{
    char *out = apr_palloc(p, s->size / 2 * 3 + 1), *to = out;
    uint16_t unit = 0, low;

    for (size_t i = 0; i + 1 < s->size; i += 2) {
        uint32_t c;

        sal_span_u16(s, i, &unit);
        c = unit;
        if (unit >= 0xd800 && unit <= 0xdfff) {
            i += 2;
            if (unit > 0xdbff || !sal_span_u16(s, i, &low) || low < 0xdc00 || low > 0xdfff) {
                return NULL;
            }
            c = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (low - 0xdc00u);
        }
        to = sal_utf8_put(to, c);
    }
    *to = '\0';
    return out;
}

json_t *sal_analysis_mac_boot_args(const sal_analysis_t *r)
{
    sal_span_t stream, text;
    uint64_t rva;
    uint32_t size;

    if (!sal_minidump_stream(r->md, SAL_STREAM_MOZ_MACOS_BOOT_ARGS, &stream) ||
        !sal_span_u64(&stream, 4, &rva) || !sal_span_u32(&r->md->file, rva, &size) ||
        rva > UINT64_MAX - 4 || !sal_span_sub(&r->md->file, rva + 4, size, &text) || size % 2) {
        return json_null();
    }
    return sal_analysis_text(r, utf16(&text, r->pool));
}
