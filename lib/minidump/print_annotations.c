/*
 * What programs and their libraries left in a dump, as text: Crashpad's annotations, Apple's crash
 * info and boot arguments, Chrome's stability report, the table of shared objects.
 */
#include "minidump/print_private.h"

#include <inttypes.h>
#include "base/text.h"

/* ---- Crashpad ---- */

static void print_crashpad_module(const md_print_t *p, size_t i,
                                  const struct sal_md_crashpad_module *m)
{
    fprintf(p->f, "  module_list[%zu].minidump_module_list_index = %u\n", i, m->index);
    fprintf(p->f, "  module_list[%zu].version = %u\n", i, m->version);
    for (size_t k = 0; k < m->n_list; k++) {
        fprintf(p->f, "  module_list[%zu].list_annotations[%zu] = %s\n", i, k, m->list[k]);
    }
    for (size_t k = 0; k < m->n_simple; k++) {
        fprintf(p->f, "  module_list[%zu].simple_annotations[\"%s\"] = %s\n", i, m->simple[k].key,
                m->simple[k].value);
    }
    for (size_t k = 0; k < m->n_objects; k++) {
        fprintf(p->f, "  module_list[%zu].annotation_objects[\"%s\"] = %s\n", i, m->objects[k].key,
                m->objects[k].value);
    }
}

void md_print_crashpad(const md_print_t *p)
{
    const sal_md_crashpad_t *c = &p->md->crashpad;
    sal_span_t s;

    if (!c->present) {
        if (sal_minidump_stream(p->md, SAL_STREAM_CRASHPAD_INFO, &s)) {
            fputs("MinidumpCrashpadInfo cannot print invalid data", p->f);
        }
        return;
    }
    fprintf(p->f, "MDRawCrashpadInfo\n  version = %u\n  report_id = %s\n  client_id = %s\n",
            c->version, c->report_id, c->client_id);
    for (size_t i = 0; i < c->n_simple; i++) {
        fprintf(p->f, "  simple_annotations[\"%s\"] = %s\n", c->simple[i].key, c->simple[i].value);
    }
    for (size_t i = 0; i < c->n_modules; i++) {
        print_crashpad_module(p, i, &c->modules[i]);
    }
    fputc('\n', p->f);
}

/* ---- macOS ---- */

enum { MAC_RECORDS = 20, MAC_LOCATIONS = 12, MAC_STRINGS = 5, MAC_MAX_STRING = 8192 };

/* The five strings behind the fixed part; those that are cut off are "". */
static void mac_strings(const md_print_t *p, const sal_span_t *record, uint64_t at,
                        const char *out[MAC_STRINGS])
{
    for (int i = 0; i < MAC_STRINGS; i++) {
        const uint8_t *end =
            at < record->size ? memchr(record->data + at, 0, record->size - at) : NULL;
        sal_span_t text;

        out[i] = "";
        if (!end || (size_t)(end - record->data) - at > MAC_MAX_STRING) {
            continue;
        }
        sal_span_sub(record, at, (size_t)(end - record->data) - at, &text);
        out[i] = md_bytes_text(p->md, &text);
        out[i] = out[i] ? out[i] : "";
        at += text.size + 1;
    }
}

static void mac_number(const md_print_t *p, const char *label, const sal_span_t *record,
                       uint64_t at, bool there, bool decimal)
{
    uint64_t v = there ? md_u64(record, at) : 0;

    fprintf(p->f, "    %-18s= ", label);
    if (v) {
        fprintf(p->f, decimal ? "%" PRIu64 : "%" PRIx64, v);
    }
    fputc('\n', p->f);
}

static void print_mac_record(const md_print_t *p, uint32_t i, const sal_span_t *record,
                             uint32_t start)
{
    static const char *const names[MAC_STRINGS] = { "module_path", "message", "signature_string",
                                                    "backtrace", "message2" };
    uint64_t version = md_u64(record, 8);
    const char *texts[MAC_STRINGS];

    fprintf(p->f, "\n  RECORD[%u] \n", i);
    mac_number(p, "version", record, 8, true, true);
    mac_number(p, "thread", record, 16, version >= 4, true);
    mac_number(p, "dialog_mode", record, 24, version >= 4, false);
    mac_strings(p, record, version >= 4 ? start : UINT64_MAX, texts);
    for (int k = 0; k < MAC_STRINGS; k++) {
        fprintf(p->f, "    %-18s= %s\n", names[k], texts[k]);
    }
    mac_number(p, "abort_cause", record, 32, version >= 5, false);
}

void md_print_mac(const md_print_t *p)
{
    sal_span_t s, record;
    uint32_t count, start;

    if (sal_minidump_stream(p->md, SAL_STREAM_MOZ_MACOS_CRASH_INFO, &s) &&
        sal_span_has(&s, 0, MAC_LOCATIONS)) {
        count = md_u32(&s, 4) < MAC_RECORDS ? md_u32(&s, 4) : MAC_RECORDS;
        start = md_u32(&s, 8);
        fprintf(p->f, "MINIDUMP_MAC_CRASH_INFO\n  num_records = %u\n", count);
        for (uint32_t i = 0; i < count; i++) {
            if (md_location(p->md, &s, MAC_LOCATIONS + 8 * (uint64_t)i, &record)) {
                print_mac_record(p, i, &record, start);
            }
        }
        fputc('\n', p->f);
    }
    if (sal_minidump_stream(p->md, SAL_STREAM_MOZ_MACOS_BOOT_ARGS, &s) && sal_span_has(&s, 0, 12)) {
        const char *text = md_utf16_at(p->md, md_u64(&s, 4));

        fprintf(p->f, "mac_boot_args = %s\n\n", text ? text : "");
    }
}

/* ---- Chrome's stability report: Protocol Buffers ---- */

/* What of it is shown: the numbers of the fields on the way there, outermost first. */
static const struct {
    uint8_t path[4]; /* ends with 0 */
    const char *name;
} stability_fields[] = {
    { { 2, 3 }, "process_state[%u].process_id" },
    { { 2, 4, 1, 1 }, "process_state[%u].memory_state.process_private_usage" },
    { { 2, 4, 1, 2 }, "process_state[%u].memory_state.process_peak_workingset_size" },
    { { 2, 4, 1, 3 }, "process_state[%u].memory_state.process_peak_pagefile_usage" },
    { { 2, 4, 1, 4 }, "process_state[%u].memory_state.process_allocation_attempt" },
    { { 2, 7, 1, 1 }, "file_system_state.posix_file_system_state.open_file_descriptors" },
    { { 2, 7, 2, 1 }, "file_system_state.windows_file_system_state.process_handle_count" },
    { { 7, 1, 1 }, "system_memory_state.windows_memory.system_commit_limit" },
    { { 7, 1, 2 }, "system_memory_state.windows_memory.system_commit_remaining" },
    { { 7, 1, 3 }, "system_memory_state.windows_memory.system_handle_count" },
};

enum { STABILITY_DEPTH = 4, PROCESS_STATE = 2 };

static bool varint(const sal_span_t *s, size_t *at, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at >= s->size) {
            return false;
        }
        *v |= (uint64_t)(s->data[*at] & 0x7f) << shift;
        if (!(s->data[(*at)++] & 0x80)) {
            return true;
        }
    }
    return false;
}

static void print_stability_number(const md_print_t *p, const uint8_t *path, unsigned process,
                                   uint64_t v)
{
    for (size_t i = 0; i < sizeof(stability_fields) / sizeof(stability_fields[0]); i++) {
        if (memcmp(stability_fields[i].path, path, STABILITY_DEPTH) == 0) {
            const char *name = stability_fields[i].name, *index = strstr(name, "%u");

            fputs("  ", p->f);
            if (index) {
                fprintf(p->f, "%.*s%u%s", (int)(index - name), name, process, index + 2);
            } else {
                fputs(name, p->f);
            }
            fprintf(p->f, " = %" PRId64 "\n", (int64_t)v);
        }
    }
}

/* One message, `depth` fields deep; false if it is none. Nested no deeper than the table is. */
static bool print_message(const md_print_t *p, const sal_span_t *s, uint8_t *path, unsigned depth,
                          unsigned *process)
{
    size_t at = 0;
    uint64_t key, v;

    while (at < s->size) {
        sal_span_t inner;

        if (!varint(s, &at, &key)) {
            return false;
        }
        path[depth] = key >> 3 < 256 ? (uint8_t)(key >> 3) : 0;
        if ((key & 7) == 0) {
            if (!varint(s, &at, &v)) {
                return false;
            }
            print_stability_number(p, path, *process, v);
        } else if ((key & 7) == 2) {
            if (!varint(s, &at, &v) || !sal_span_sub(s, at, v, &inner)) {
                return false;
            }
            at += inner.size;
            if (depth + 1 < STABILITY_DEPTH &&
                !print_message(p, &inner, path, depth + 1, process)) {
                return false;
            }
            *process += depth == 0 && path[0] == PROCESS_STATE;
        } else if ((key & 7) == 1 || (key & 7) == 5) {
            at += (key & 7) == 1 ? 8 : 4;
        } else {
            return false;
        }
        path[depth] = 0;
    }
    return at == s->size;
}

void md_print_stability(const md_print_t *p)
{
    uint8_t path[STABILITY_DEPTH] = { 0 };
    unsigned process = 0;
    sal_span_t s;

    if (sal_minidump_stream(p->md, SAL_STREAM_STABILITY_REPORT, &s)) {
        fputs("StabilityReport\n", p->f);
        if (!print_message(p, &s, path, 0, &process)) {
            fputs("  (invalid)\n", p->f);
        }
    }
}

/* ---- shared objects of Linux ---- */

enum { DSO_MAX = 65536 };

void md_print_dso_debug(const md_print_t *p)
{
    static const md_field_t narrow[] = {
        { "version", 0, 4, MD_DECIMAL },
        { "map", 4, 4, MD_HEX },
        { "dso_count", 8, 4, MD_DECIMAL },
        { "brk", 12, 4, MD_HEX },
        { "ldbase", 16, 4, MD_HEX },
        { "dynamic", 20, 4, MD_HEX },
        { NULL, 0, 0, 0 },
    };
    static const md_field_t wide[] = {
        { "version", 0, 4, MD_DECIMAL },
        { "map", 4, 4, MD_HEX },
        { "dso_count", 8, 4, MD_DECIMAL },
        { "brk", 16, 8, MD_HEX },
        { "ldbase", 24, 8, MD_HEX },
        { "dynamic", 32, 8, MD_HEX },
        { NULL, 0, 0, 0 },
    };
    bool is_wide = sal_cpu_desc(p->md->system.cpu)->pointer_size == 8;
    unsigned word = is_wide ? 8 : 4, link = is_wide ? 24 : 12, name = is_wide ? 8 : 4;
    sal_span_t s, map;

    if (!sal_minidump_stream(p->md, SAL_STREAM_LINUX_DSO_DEBUG, &s) ||
        !sal_span_has(&s, 0, is_wide ? 40 : 24)) {
        return;
    }
    fputs("MD_DSO_DEBUG\n", p->f);
    md_print_fields(p->f, &s, is_wide ? wide : narrow, 9);
    for (uint32_t i = 0; i < md_u32(&s, 8) && i < DSO_MAX; i++) {
        const char *text;

        if (!sal_span_sub(&p->md->file, (uint64_t)md_u32(&s, 4) + (uint64_t)i * link, link, &map)) {
            break;
        }
        text = md_utf16_at(p->md, md_u32(&map, name));
        fprintf(p->f, "  link_map[%u] = 0x%" PRIx64 " 0x%" PRIx64 " \"%s\"\n", i,
                md_number(&map, 0, word), md_number(&map, is_wide ? 16 : 8, word),
                text ? text : "");
    }
    fputc('\n', p->f);
}
