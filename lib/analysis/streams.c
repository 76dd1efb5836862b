/*
 * Streams of the dump that this library does not read: listed for people, not for programs.
 */
#include <stdio.h>
#include "analysis/analysis_private.h"
#include "minidump/print.h"

enum { HEADER_DIRECTORY = 12, ENTRY = 12, MAX_STREAMS = 128 };

/* Streams that are read. */
static const uint32_t known[] = {
    3,          4,          5,          6,          7,          9,          12,
    14,         15,         16,         17,         24,         0x43500001, 0x47670001,
    0x47670002, 0x47670003, 0x47670004, 0x47670005, 0x47670007, 0x47670009, 0x4b6b0002,
    0x4d7a0001, 0x4d7a0002, 0x4d7a0003, 0x4d7a0004,
};

static const char *vendor(uint32_t type)
{
    if (type <= 0xffff) {
        return "Official";
    }
    return type >> 16 == 0x4767   ? "Google Extension"
           : type >> 16 == 0x4d7a ? "Mozilla Extension"
                                  : "Unknown Extension";
}

static bool is_known(uint32_t type)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i] == type) {
            return true;
        }
    }
    return false;
}

typedef struct {
    uint32_t type, rva;
} entry_t;

/* Files an entry by type; of several of one type the last counts. */
static size_t insert(entry_t *list, size_t n, entry_t e)
{
    size_t i = n;

    while (i > 0 && list[i - 1].type > e.type) {
        i--;
    }
    if (i > 0 && list[i - 1].type == e.type) {
        list[i - 1] = e;
        return n;
    }
    memmove(list + i + 1, list + i, (n - i) * sizeof(*list));
    list[i] = e;
    return n + 1;
}

static size_t read_directory(const sal_minidump_t *md, entry_t *list, size_t max)
{
    uint32_t directory;
    size_t n = 0;

    if (!sal_span_u32(&md->file, HEADER_DIRECTORY, &directory)) {
        return 0;
    }
    for (uint32_t i = 0; i < md->n_streams && n < max; i++) {
        uint64_t at = (uint64_t)directory + (uint64_t)i * ENTRY;
        entry_t e;

        if (sal_span_u32(&md->file, at, &e.type) && sal_span_u32(&md->file, at + 8, &e.rva) &&
            !is_known(e.type)) {
            n = insert(list, n, e);
        }
    }
    return n;
}

/* {"unimplemented": [...], "unknown": [...]}, a line of text each. */
json_t *sal_analysis_streams(const sal_analysis_t *r)
{
    json_t *named = json_array(), *unknown = json_array();
    entry_t list[MAX_STREAMS];
    size_t n = read_directory(r->md, list, MAX_STREAMS);
    char line[120];

    for (size_t i = 0; i < n; i++) {
        const char *name = sal_minidump_stream_name(list[i].type);

        snprintf(line, sizeof(line), "Stream 0x%08x %s%s(%s) @ 0x%08x", list[i].type,
                 name ? name : "", name ? " " : "", vendor(list[i].type), list[i].rva);
        json_array_append_new(name ? named : unknown, json_string(line));
    }
    return json_pack("{s:o,s:o}", "unimplemented", named, "unknown", unknown);
}
