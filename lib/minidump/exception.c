/*
 * Small streams about the crash and the process: Exception, BreakpadInfo, AssertionInfo, MiscInfo,
 * LinuxProcStatus, HandleData.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include "base/text.h"

enum {
    EXCEPTION_SIZE = 168,
    MAX_PARAMETERS = 15,
    BREAKPAD_SIZE = 12,
    ASSERTION_SIZE = 776,
    ASSERTION_TEXT = 128, /* code units of each of its three strings */
    MISC_SIZE = 24,
    MISC_HAS_PID = 1,
    MISC_HAS_TIMES = 2,
    HANDLE_HEADER = 16,
    HANDLE_SIZE = 32,
    HANDLE2_SIZE = 40
};

static void read_breakpad(sal_minidump_t *md)
{
    sal_md_breakpad_t *b = &md->breakpad;
    sal_span_t s;

    if (sal_minidump_stream(md, SAL_STREAM_BREAKPAD_INFO, &s) &&
        sal_span_has(&s, 0, BREAKPAD_SIZE)) {
        b->present = true;
        b->validity = md_u32(&s, 0);
        b->dump_thread_id = md_u32(&s, 4);
        b->requesting_thread_id = md_u32(&s, 8);
    }
}

static const char *assertion_text(sal_minidump_t *md, const sal_span_t *s, int index)
{
    const char *text = md_utf16_fixed(md, s, (uint64_t)index * ASSERTION_TEXT * 2, ASSERTION_TEXT);

    return text ? text : "";
}

static void read_assertion(sal_minidump_t *md)
{
    sal_md_assertion_t *a = &md->assertion;
    sal_span_t s;

    if (sal_minidump_stream(md, SAL_STREAM_ASSERTION_INFO, &s) &&
        sal_span_has(&s, 0, ASSERTION_SIZE)) {
        a->present = true;
        a->expression = assertion_text(md, &s, 0);
        a->function = assertion_text(md, &s, 1);
        a->file = assertion_text(md, &s, 2);
        a->line = md_u32(&s, 768);
        a->type = md_u32(&s, 772);
    }
}

void md_read_exception(sal_minidump_t *md)
{
    sal_md_exception_t *e = &md->exception;
    sal_span_t s;

    read_breakpad(md);
    read_assertion(md);
    if (!sal_minidump_stream(md, SAL_STREAM_EXCEPTION, &s) ||
        !sal_span_has(&s, 0, EXCEPTION_SIZE)) {
        return;
    }
    e->present = true;
    e->thread_id = md_u32(&s, 0);
    e->code = md_u32(&s, 8);
    e->flags = md_u32(&s, 12);
    e->address = md_u64(&s, 24);
    e->parameter_count = md_u32(&s, 32);
    if (e->parameter_count > MAX_PARAMETERS) {
        e->parameter_count = MAX_PARAMETERS;
    }
    for (uint32_t i = 0; i < e->parameter_count; i++) {
        e->parameters[i] = md_u64(&s, 40 + (uint64_t)i * 8);
    }
    if (!md_location(md, &s, 160, &e->context)) {
        md->bad_records++;
        e->context = (sal_span_t){ NULL, 0, s.swap };
    }
}

static void pid_of_status(sal_minidump_t *md)
{
    sal_span_t text;
    md_line_t line;
    int64_t v;

    if (!sal_minidump_stream(md, SAL_STREAM_LINUX_PROC_STATUS, &text)) {
        return;
    }
    md->misc.has_pid = true; /* a status text without a Pid line stands for process 0 */
    for (size_t pos = 0; md_next_line(&text, ':', &pos, &line);) {
        if (line.key_len == 3 && !memcmp(line.key, "Pid", 3)) {
            const char *value =
                apr_pstrmemdup(md->pool, line.value, line.value_len < 32 ? line.value_len : 32);

            md->misc.pid = sal_parse_int(value, 0, UINT32_MAX, &v) ? (uint32_t)v : 0;
            return;
        }
    }
}

void md_read_misc(sal_minidump_t *md)
{
    sal_span_t s;
    uint32_t flags;

    if (!sal_minidump_stream(md, SAL_STREAM_MISC_INFO, &s) || !sal_span_has(&s, 0, MISC_SIZE)) {
        pid_of_status(md);
        return;
    }
    flags = md_u32(&s, 4);
    if (flags & MISC_HAS_PID) {
        md->misc.has_pid = true;
        md->misc.pid = md_u32(&s, 8);
    }
    if (flags & MISC_HAS_TIMES) {
        md->misc.has_times = true;
        md->misc.create_time = md_u32(&s, 12);
    }
}

static const char *handle_text(sal_minidump_t *md, uint32_t rva)
{
    return rva ? md_utf16_at(md, rva) : NULL;
}

void md_read_handles(sal_minidump_t *md)
{
    sal_span_t s;
    uint32_t header, size, count;

    if (!sal_minidump_stream(md, SAL_STREAM_HANDLE_DATA, &s) ||
        !sal_span_has(&s, 0, HANDLE_HEADER)) {
        return;
    }
    header = md_u32(&s, 0);
    size = md_u32(&s, 4);
    count = md_u32(&s, 8);
    if (header < HANDLE_HEADER || (size != HANDLE_SIZE && size != HANDLE2_SIZE) ||
        !sal_span_has(&s, header, (uint64_t)count * size)) {
        md->bad_records++;
        return;
    }
    count = count > MD_MAX_HANDLES ? MD_MAX_HANDLES : count;
    md->has_handles = true;
    md->n_handles = count;
    md->handles = md_array(md, count, sizeof(*md->handles));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = header + (uint64_t)i * size;

        md->handles[i].handle = md_u64(&s, at);
        md->handles[i].type_name = handle_text(md, md_u32(&s, at + 8));
        md->handles[i].object_name = handle_text(md, md_u32(&s, at + 12));
    }
}
