/*
 * Streams with one record as text: exception, assertion, system, process.
 */
#include "minidump/print_private.h"

#include <inttypes.h>

enum {
    EXCEPTION_SIZE = 168,
    ASSERTION_SIZE = 776,
    SYSTEM_SIZE = 56,
    BREAKPAD_SIZE = 12,
    MISC_SIZE = 24,
    TIME_ZONE = 60,
    BUILD_STRING = 232,
    DEBUG_STRING = 752,
    XSTATE = 832,
    COOKIE = 1360
};

void md_print_exception(const md_print_t *p)
{
    static const md_field_t head[] = {
        { "thread_id", 0, 4, MD_HEX },
        { "exception_record.exception_code", 8, 4, MD_HEX },
        { "exception_record.exception_flags", 12, 4, MD_HEX },
        { "exception_record.exception_record", 16, 8, MD_HEX },
        { "exception_record.exception_address", 24, 8, MD_HEX },
        { "exception_record.number_parameters", 32, 4, MD_DECIMAL },
        { NULL, 0, 0, 0 },
    };
    static const md_field_t tail[] = {
        { "thread_context.data_size", 160, 4, MD_DECIMAL },
        { "thread_context.rva", 164, 4, MD_HEX },
        { NULL, 0, 0, 0 },
    };
    sal_span_t s;

    if (!sal_minidump_stream(p->md, SAL_STREAM_EXCEPTION, &s) ||
        !sal_span_has(&s, 0, EXCEPTION_SIZE)) {
        return;
    }
    fputs("MINIDUMP_EXCEPTION\n", p->f);
    md_print_fields(p->f, &s, head, 42);
    for (uint32_t i = 0; i < p->md->exception.parameter_count; i++) {
        fprintf(p->f, "  exception_record.exception_information[%2u] = 0x%" PRIx64 "\n", i,
                p->md->exception.parameters[i]);
    }
    md_print_fields(p->f, &s, tail, 42);
    fputc('\n', p->f);
    md_print_context(p->f, &p->md->exception.context, p->md->system.cpu);
}

void md_print_assertion(const md_print_t *p)
{
    const sal_md_assertion_t *a = &p->md->assertion;
    const char *const rows[][2] = { { "expression", a->expression },
                                    { "function", a->function },
                                    { "file", a->file } };

    if (!a->present) {
        return;
    }
    fputs("MDAssertion\n", p->f);
    for (size_t i = 0; i < 3; i++) {
        fprintf(p->f, "  %-42s = %s\n", rows[i][0], rows[i][1]);
    }
    fprintf(p->f, "  %-42s = %u\n  %-42s = %u\n\n", "line", a->line, "type", a->type);
}

void md_print_system(const md_print_t *p)
{
    static const md_field_t fields[] = {
        { "processor_architecture", 0, 2, MD_HEX },
        { "processor_level", 2, 2, MD_DECIMAL },
        { "processor_revision", 4, 2, MD_HEX },
        { "number_of_processors", 6, 1, MD_DECIMAL },
        { "product_type", 7, 1, MD_DECIMAL },
        { "major_version", 8, 4, MD_DECIMAL },
        { "minor_version", 12, 4, MD_DECIMAL },
        { "build_number", 16, 4, MD_DECIMAL },
        { "platform_id", 20, 4, MD_HEX },
        { "csd_version_rva", 24, 4, MD_HEX },
        { "suite_mask", 28, 2, MD_HEX },
        { NULL, 0, 0, 0 },
    };
    const sal_md_system_t *sys = &p->md->system;
    sal_span_t s;

    if (!sys->present || !sal_minidump_stream(p->md, SAL_STREAM_SYSTEM_INFO, &s)) {
        return;
    }
    fputs("MINIDUMP_SYSTEM_INFO\n", p->f);
    md_print_fields(p->f, &s, fields, 42);
    fprintf(p->f, "  %-42s = %u.%u.%u %s\n  %-42s = %s\n\n", "(version)", sys->major, sys->minor,
            sys->build, sys->csd, "(cpu_info)", sys->cpu_info ? sys->cpu_info : "");
}

void md_print_breakpad(const md_print_t *p)
{
    const sal_md_breakpad_t *b = &p->md->breakpad;

    if (!b->present) {
        return;
    }
    fprintf(p->f, "MINIDUMP_BREAKPAD_INFO\n  validity             = 0x%x\n", b->validity);
    fputs("  dump_thread_id       = ", p->f);
    fprintf(p->f, b->validity & 1 ? "0x%x\n" : "(invalid)\n", b->dump_thread_id);
    fputs("  requesting_thread_id = ", p->f);
    fprintf(p->f, b->validity & 2 ? "0x%x\n\n" : "(invalid)\n\n", b->requesting_thread_id);
}

/* ---- MiscInfo ---- */

typedef struct misc_field_t {
    const char *label;
    uint16_t at;
    uint16_t flag;    /* the bit that says it is there; 0: it always is */
    const char *form; /* NULL: seconds and their date */
} misc_field_t;

static const misc_field_t misc_fields[] = {
    { "size_of_info", 0, 0, "%u" },
    { "flags1", 4, 0, "%x" },
    { "process_id", 8, 1, "%u" },
    { "process_create_time", 12, 2, NULL },
    { "process_user_time", 16, 2, "%u" },
    { "process_kernel_time", 20, 2, "%u" },
    { "processor_max_mhz", 24, 4, "%u" },
    { "processor_current_mhz", 28, 4, "%u" },
    { "processor_mhz_limit", 32, 4, "%u" },
    { "processor_max_idle_state", 36, 4, "%u" },
    { "processor_current_idle_state", 40, 4, "%u" },
    { "process_integrity_level", 44, 0x10, "%u" },
    { "process_execute_flags", 48, 0x20, "%x" },
    { "protected_process", 52, 0x80, "%u" },
    { "time_zone_id", 56, 0x40, "%u" },
};

/* How much of the stream its version has: later fields of a longer one are not there. */
static size_t misc_size(size_t size)
{
    static const uint16_t sizes[] = { 1364, 832, 232, 44, 24 };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (size >= sizes[i]) {
            return sizes[i];
        }
    }
    return 0;
}

static bool misc_has(const sal_span_t *s, uint64_t at, uint32_t flag)
{
    return sal_span_has(s, at, 4) && (!flag || md_u32(s, 4) & flag);
}

static void print_misc_field(const md_print_t *p, const sal_span_t *s, const misc_field_t *field)
{
    uint32_t v = md_u32(s, field->at);

    fprintf(p->f, "  %-28s = ", field->label);
    if (!misc_has(s, field->at, field->flag)) {
        fputs("(invalid)", p->f);
    } else if (!field->form) {
        fprintf(p->f, "0x%x ", v);
        md_print_time(p->f, v);
    } else if (field->form[1] == 'x') {
        fprintf(p->f, "%x", v);
    } else {
        fprintf(p->f, "%u", v);
    }
    fputc('\n', p->f);
}

static void print_fixed_text(const md_print_t *p, const char *label, const sal_span_t *s,
                             uint64_t at, uint32_t units, uint32_t flag)
{
    const char *text = NULL;

    if (misc_has(s, at, flag)) {
        text = md_utf16_fixed(p->md, s, at, units);
    }
    fprintf(p->f, "%s= %s\n", label, text ? text : "(invalid)");
}

static bool is_date(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (unsigned)(month == 2 && leap);
}

/* SYSTEMTIME: year, month, day of the week, day, hour, minute, second, milliseconds. */
static void print_system_time(const md_print_t *p, const char *label, const sal_span_t *s,
                              uint64_t at)
{
    uint16_t v[8];

    for (uint64_t i = 0; i < 8; i++) {
        v[i] = md_u16(s, at + 2 * i);
    }
    fprintf(p->f, "    %s = ", label);
    if (!is_date(v[0], v[1], v[3]) || v[4] > 23 || v[5] > 59 || v[6] > 59 || v[7] > 999) {
        fputs("<invalid date>\n", p->f);
        return;
    }
    fprintf(p->f, "%04u-%02u-%02uT%02u:%02u:%02u", v[0], v[1], v[3], v[4], v[5], v[6]);
    if (v[7]) {
        char fraction[8];
        size_t len = (size_t)snprintf(fraction, sizeof(fraction), ".%03u", v[7]);

        while (fraction[len - 1] == '0') {
            fraction[--len] = '\0';
        }
        fputs(fraction, p->f);
    }
    fputs("Z\n", p->f);
}

static void print_time_zone(const md_print_t *p, const sal_span_t *s)
{
    fprintf(p->f, "  %-28s = ", "time_zone");
    if (!misc_has(s, TIME_ZONE, 0x40)) {
        fputs("(invalid)\n", p->f);
        return;
    }
    fprintf(p->f, "\n    bias          = %d\n", (int32_t)md_u32(s, TIME_ZONE));
    print_fixed_text(p, "    standard_name ", s, TIME_ZONE + 4, 32, 0);
    print_system_time(p, "standard_date", s, TIME_ZONE + 68);
    fprintf(p->f, "    standard_bias = %d\n", (int32_t)md_u32(s, TIME_ZONE + 84));
    print_fixed_text(p, "    daylight_name ", s, TIME_ZONE + 88, 32, 0);
    print_system_time(p, "daylight_date", s, TIME_ZONE + 152);
    fprintf(p->f, "    daylight_bias = %d\n", (int32_t)md_u32(s, TIME_ZONE + 168));
}

static void print_xstate(const md_print_t *p, const sal_span_t *s)
{
    static const char *const names[] = { "LEGACY_FLOATING_POINT", "LEGACY_SSE", "GSSE_AND_AVX",
                                         "MPX_BNDREGS",           "MPX_BNDCSR", "AVX512_KMASK",
                                         "AVX512_ZMM_H",          "ACK512_ZMM", "XSTATE_IPT" };
    uint64_t enabled = md_u64(s, XSTATE + 8);

    fprintf(p->f, "  %-28s = ", "xstate_data");
    if (!misc_has(s, XSTATE, 0)) {
        fputs("(invalid)\n", p->f);
        return;
    }
    fputc('\n', p->f);
    for (uint64_t i = 0; i < 64; i++) {
        if (enabled >> i & 1) {
            const char *name = i < 9 ? names[i] : i == 62 ? "XSTATE_LWP" : NULL;

            fprintf(p->f, "    feature %2" PRIu64 " - %-*s:  offset %4u, size %4u\n", i,
                    name ? 22 : 20, name ? name : "(unknown)", md_u32(s, XSTATE + 16 + 8 * i),
                    md_u32(s, XSTATE + 20 + 8 * i));
        }
    }
}

void md_print_misc(const md_print_t *p)
{
    static const misc_field_t cookie = { "process_cookie", COOKIE, 0x200, "%u" };
    sal_span_t s;

    if (!sal_minidump_stream(p->md, SAL_STREAM_MISC_INFO, &s) || !sal_span_has(&s, 0, MISC_SIZE)) {
        return;
    }
    sal_span_sub(&s, 0, misc_size(s.size), &s);
    fputs("MINIDUMP_MISC_INFO\n", p->f);
    for (size_t i = 0; i < sizeof(misc_fields) / sizeof(misc_fields[0]); i++) {
        print_misc_field(p, &s, &misc_fields[i]);
    }
    print_time_zone(p, &s);
    print_fixed_text(p, "  build_string                 ", &s, BUILD_STRING, 260, 0x100);
    print_fixed_text(p, "  dbg_bld_str                  ", &s, DEBUG_STRING, 40, 0x100);
    print_xstate(p, &s);
    print_misc_field(p, &s, &cookie);
    fputc('\n', p->f);
}
