/*
 * The raw contents of a dump as text: header, directory, the order of the streams, and the forms
 * that fields have. What is in the streams the other print_*.c files know.
 */
#include "minidump/print_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include "base/text.h"

enum { DIRECTORY_ENTRY = 12, ROW = 16 };

static const struct {
    uint32_t type;
    const char *name;
} stream_names[] = {
    { 0, "UnusedStream" },
    { 1, "ReservedStream0" },
    { 2, "ReservedStream1" },
    { 3, "ThreadListStream" },
    { 4, "ModuleListStream" },
    { 5, "MemoryListStream" },
    { 6, "ExceptionStream" },
    { 7, "SystemInfoStream" },
    { 8, "ThreadExListStream" },
    { 9, "Memory64ListStream" },
    { 10, "CommentStreamA" },
    { 11, "CommentStreamW" },
    { 12, "HandleDataStream" },
    { 13, "FunctionTable" },
    { 14, "UnloadedModuleListStream" },
    { 15, "MiscInfoStream" },
    { 16, "MemoryInfoListStream" },
    { 17, "ThreadInfoListStream" },
    { 18, "HandleOperationListStream" },
    { 19, "TokenStream" },
    { 20, "JavaScriptDataStream" },
    { 21, "SystemMemoryInfoStream" },
    { 22, "ProcessVmCountersStream" },
    { 23, "IptTraceStream" },
    { 24, "ThreadNamesStream" },
    { 0x8000, "ceStreamNull" },
    { 0x8001, "ceStreamSystemInfo" },
    { 0x8002, "ceStreamException" },
    { 0x8003, "ceStreamModuleList" },
    { 0x8004, "ceStreamProcessList" },
    { 0x8005, "ceStreamThreadList" },
    { 0x8006, "ceStreamThreadContextList" },
    { 0x8007, "ceStreamThreadCallStackList" },
    { 0x8008, "ceStreamMemoryVirtualList" },
    { 0x8009, "ceStreamMemoryPhysicalList" },
    { 0x800a, "ceStreamBucketParameters" },
    { 0x800b, "ceStreamProcessModuleMap" },
    { 0x800c, "ceStreamDiagnosisList" },
    { 0xffff, "LastReservedStream" },
    { 0x43500001, "CrashpadInfoStream" },
    { 0x47670001, "BreakpadInfoStream" },
    { 0x47670002, "AssertionInfoStream" },
    { 0x47670003, "LinuxCpuInfo" },
    { 0x47670004, "LinuxProcStatus" },
    { 0x47670005, "LinuxLsbRelease" },
    { 0x47670006, "LinuxCmdLine" },
    { 0x47670007, "LinuxEnviron" },
    { 0x47670008, "LinuxAuxv" },
    { 0x47670009, "LinuxMaps" },
    { 0x4767000a, "LinuxDsoDebug" },
    { 0x4b6b0002, "StabilityReportStream" },
    { 0x4d7a0001, "MozMacosCrashInfoStream" },
    { 0x4d7a0002, "MozMacosBootargsStream" },
    { 0x4d7a0003, "MozLinuxLimits" },
    { 0x4d7a0004, "MozSoftErrors" },
};

const char *sal_minidump_stream_name(uint32_t type)
{
    for (size_t i = 0; i < sizeof(stream_names) / sizeof(stream_names[0]); i++) {
        if (stream_names[i].type == type) {
            return stream_names[i].name;
        }
    }
    return NULL;
}

/* ---- forms ---- */

uint64_t md_number(const sal_span_t *s, uint64_t at, unsigned width)
{
    uint8_t byte = 0;

    switch (width) {
    case 1:
        sal_span_u8(s, at, &byte);
        return byte;
    case 2:
        return md_u16(s, at);
    case 4:
        return md_u32(s, at);
    default:
        return md_u64(s, at);
    }
}

void md_print_time(FILE *f, uint32_t t)
{
    time_t seconds = (time_t)t;
    struct tm tm;
    char text[32];

    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm)) {
        fputs(text, f);
    }
}

void md_print_fields(FILE *f, const sal_span_t *s, const md_field_t *fields, int column)
{
    for (; fields->label; fields++) {
        uint64_t v = md_number(s, fields->at, fields->width);

        fprintf(f, "  %-*s = ", column, fields->label);
        switch (fields->form) {
        case MD_DECIMAL:
            fprintf(f, "%" PRIu64, v);
            break;
        case MD_TIME:
            fprintf(f, "0x%" PRIx64 " ", v);
            md_print_time(f, (uint32_t)v);
            break;
        case MD_PAIR:
            fprintf(f, "0x%" PRIx64 ":0x%" PRIx64, v,
                    md_number(s, (uint64_t)fields->at + fields->width, fields->width));
            break;
        default:
            fprintf(f, "0x%" PRIx64, v);
        }
        fputc('\n', f);
    }
}

void md_print_hex(FILE *f, const sal_span_t *s)
{
    for (size_t i = 0; i < s->size; i++) {
        fprintf(f, "%02x", s->data[i]);
    }
}

/* One row of a memory dump; built by hand, because there are millions. */
static void print_row(FILE *f, const uint8_t *bytes, size_t n, uint64_t offset)
{
    static const char digits[] = "0123456789abcdef";
    char row[ROW * 4 + 1], *to = row;

    for (size_t i = 0; i < ROW; i++) {
        *to++ = i < n ? digits[bytes[i] >> 4] : ' ';
        *to++ = i < n ? digits[bytes[i] & 15] : ' ';
        *to++ = ' ';
    }
    for (size_t i = 0; i < n; i++) {
        *to++ = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
    }
    *to = '\0';
    fprintf(f, "    %08" PRIx64 ": %s\n", offset, row);
}

void md_print_bytes(FILE *f, const sal_span_t *s)
{
    for (size_t i = 0; i < s->size; i += ROW) {
        print_row(f, s->data + i, s->size - i < ROW ? s->size - i : ROW, i);
    }
}

/* ---- header and directory ---- */

static void print_header(const md_print_t *p)
{
    static const md_field_t fields[] = {
        { "signature", 0, 4, MD_HEX },        { "version", 4, 4, MD_HEX },
        { "stream_count", 8, 4, MD_DECIMAL }, { "stream_directory_rva", 12, 4, MD_HEX },
        { "checksum", 16, 4, MD_HEX },        { "time_date_stamp", 20, 4, MD_TIME },
        { "flags", 24, 8, MD_HEX },           { NULL, 0, 0, 0 },
    };

    fputs("MDRawHeader\n", p->f);
    md_print_fields(p->f, &p->md->file, fields, 20);
    fputc('\n', p->f);
}

typedef struct entry_t {
    uint32_t index, type;
} entry_t;

static int by_type(const void *a, const void *b)
{
    const entry_t *x = a, *y = b;

    if (x->type != y->type) {
        return x->type < y->type ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

static const char *name_or_unknown(uint32_t type)
{
    const char *name = sal_minidump_stream_name(type);

    return name ? name : "unknown";
}

static void print_entry(const md_print_t *p, uint32_t index, uint32_t type)
{
    static const md_field_t fields[] = {
        { "location.data_size", 4, 4, MD_DECIMAL },
        { "location.rva", 8, 4, MD_HEX },
        { NULL, 0, 0, 0 },
    };
    sal_span_t s = { NULL, 0, false };

    sal_span_sub(&p->md->file, p->md->directory_rva + (uint64_t)index * DIRECTORY_ENTRY,
                 DIRECTORY_ENTRY, &s);
    fprintf(p->f, "mDirectory[%u]\nMDRawDirectory\n  %-18s = 0x%x (%s)\n", index, "stream_type",
            type, name_or_unknown(type));
    md_print_fields(p->f, &s, fields, 18);
    fputc('\n', p->f);
}

/* Of several streams of one type the last is the one that counts. */
static void print_directory(const md_print_t *p)
{
    entry_t list[MD_MAX_STREAMS], sorted[MD_MAX_STREAMS];
    uint32_t n = p->md->n_streams < MD_MAX_STREAMS ? p->md->n_streams : MD_MAX_STREAMS;

    for (uint32_t i = 0; i < n; i++) {
        list[i].index = i;
        list[i].type = md_u32(&p->md->file, p->md->directory_rva + (uint64_t)i * DIRECTORY_ENTRY);
    }
    memcpy(sorted, list, n * sizeof(list[0]));
    qsort(sorted, n, sizeof(sorted[0]), by_type);
    for (uint32_t i = 0; i < n; i++) {
        entry_t *last = &sorted[n - 1];

        while (last->type != list[i].type) {
            last--;
        }
        if (last->index == i) {
            print_entry(p, i, list[i].type);
        }
    }
    fputs("Streams:\n", p->f);
    for (uint32_t i = 0; i < n; i++) {
        if (i + 1 == n || sorted[i + 1].type != sorted[i].type) {
            fprintf(p->f, "  stream type 0x%x (%s) at index %u\n", sorted[i].type,
                    name_or_unknown(sorted[i].type), sorted[i].index);
        }
    }
    fputc('\n', p->f);
}

/* ---- files of the system that lie in the dump as they are ---- */

static void print_text_stream(const md_print_t *p, uint32_t type)
{
    apr_pool_t *scratch;
    sal_span_t s;
    size_t at = 0;

    if (!sal_minidump_stream(p->md, type, &s)) {
        return;
    }
    apr_pool_create(&scratch, p->md->pool);
    fprintf(p->f, "Stream %s:\n", sal_minidump_stream_name(type));
    for (bool first = true; at <= s.size; first = false) {
        const uint8_t *end = at < s.size ? memchr(s.data + at, 0, s.size - at) : NULL;
        size_t len = end ? (size_t)(end - s.data) - at : s.size - at;

        fprintf(p->f, "%s%s", first ? "" : "\\0\n",
                len ? sal_utf8_clean((const char *)s.data + at, len, scratch) : "");
        apr_pool_clear(scratch);
        at += len + 1;
    }
    fputs("\n\n", p->f);
    apr_pool_destroy(scratch);
}

static void print_raw_stream(const md_print_t *p, uint32_t type)
{
    sal_span_t s;

    if (sal_minidump_stream(p->md, type, &s)) {
        fprintf(p->f, "Stream %s:\n", sal_minidump_stream_name(type));
        md_print_bytes(p->f, &s);
        fputc('\n', p->f);
    }
}

static void print_system_files(const md_print_t *p)
{
    static const uint32_t texts[] = {
        SAL_STREAM_LINUX_CMD_LINE,    SAL_STREAM_LINUX_ENVIRON,   SAL_STREAM_LINUX_LSB_RELEASE,
        SAL_STREAM_LINUX_PROC_STATUS, SAL_STREAM_LINUX_CPU_INFO,  SAL_STREAM_LINUX_MAPS,
        SAL_STREAM_MOZ_LINUX_LIMITS,  SAL_STREAM_MOZ_SOFT_ERRORS,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        print_text_stream(p, texts[i]);
    }
}

static void print_microdump(const md_print_t *p)
{
    const sal_md_microdump_t *m = &p->md->microdump;
    const char *const rows[][2] = {
        { "product", m->product },           { "process type", m->process_type },
        { "gpu version", m->gpu_version },   { "gpu vendor", m->gpu_vendor },
        { "gpu renderer", m->gpu_renderer },
    };

    fputs("Microdump\n", p->f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fprintf(p->f, "  %-12s = %s\n", rows[i][0], rows[i][1] ? rows[i][1] : "(null)");
    }
    fprintf(p->f, "  modules      = %zu\n\n", p->md->n_modules);
    md_print_context(p->f, &p->md->exception.context, p->md->system.cpu);
    for (size_t i = 0; i < p->md->n_memory && !p->brief; i++) {
        fprintf(p->f, "Stack at 0x%" PRIx64 "\n", p->md->memory[i].base);
        md_print_bytes(p->f, &p->md->memory[i].bytes);
    }
}

void sal_minidump_print(FILE *f, sal_minidump_t *md, bool brief)
{
    md_print_t p = { f, md, brief };

    if (md->microdump.present) {
        print_microdump(&p);
        return;
    }
    print_header(&p);
    print_directory(&p);
    md_print_threads(&p);
    md_print_modules(&p);
    md_print_unloaded(&p);
    md_print_handles(&p);
    md_print_memory(&p);
    md_print_memory_info(&p);
    md_print_exception(&p);
    md_print_assertion(&p);
    md_print_system(&p);
    md_print_misc(&p);
    md_print_thread_names(&p);
    md_print_breakpad(&p);
    md_print_crashpad(&p);
    md_print_mac(&p);
    md_print_stability(&p);
    print_system_files(&p);
    md_print_thread_infos(&p);
    md_print_dso_debug(&p);
    print_raw_stream(&p, SAL_STREAM_LINUX_AUXV);
}
