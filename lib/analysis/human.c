/*
 * The stackwalk document for people: layout of minidump-stackwalk --human. Reads the JSON document
 * and nothing else; a key that is missing or null is a line that is left out.
 */
#include "analysis/stackwalk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"

static const char *str(const json_t *v, const char *key, const char *fallback)
{
    const char *s = sal_json_str(v, key);

    return s ? s : fallback;
}

static json_int_t num(const json_t *v, const char *key)
{
    return json_integer_value(json_object_get(v, key));
}

static bool has(const json_t *v, const char *key)
{
    const json_t *member = json_object_get(v, key);

    return member && !json_is_null(member);
}

/* Value of a "0x..." string. */
static uint64_t hex(const json_t *v, const char *key)
{
    const char *s = sal_json_str(v, key);

    return s ? strtoull(s, NULL, 16) : 0;
}

static void print_gpu(FILE *f, const json_t *gpu)
{
    static const char *const more[] = { "vendor", "renderer" };

    if (!has(gpu, "version") || !*str(gpu, "version", "")) {
        return;
    }
    fprintf(f, "GPU: %s\n", str(gpu, "version", ""));
    for (size_t i = 0; i < 2; i++) {
        if (has(gpu, more[i])) {
            fprintf(f, "     %s\n", str(gpu, more[i], ""));
        }
    }
    fputc('\n', f);
}

static void print_system(FILE *f, const json_t *doc)
{
    const json_t *sys = json_object_get(doc, "system_info");
    const json_t *lsb = json_object_get(doc, "lsb_release");
    json_int_t cpus = num(sys, "cpu_count");

    fprintf(f, "Operating system: %s\n", str(sys, "os", ""));
    if (has(sys, "os_ver")) {
        fprintf(f, "                  %s\n", str(sys, "os_ver", ""));
    }
    fprintf(f, "CPU: %s\n", str(sys, "cpu_arch", "unknown"));
    if (has(sys, "cpu_info")) {
        fprintf(f, "     %s\n", str(sys, "cpu_info", ""));
    }
    fprintf(f, "     %" JSON_INTEGER_FORMAT " CPU%s\n", cpus, cpus > 1 ? "s" : "");
    if (json_is_object(lsb)) {
        fprintf(f, "Linux %s %s - %s (%s)\n", str(lsb, "id", ""), str(lsb, "release", ""),
                str(lsb, "codename", ""), str(lsb, "description", ""));
    }
    fputc('\n', f);
    print_gpu(f, json_object_get(doc, "gpu"));
}

static void print_accesses(FILE *f, const json_t *crash)
{
    const json_t *list = json_object_get(crash, "memory_accesses"), *access;
    size_t i;

    if (!json_is_array(list)) {
        return;
    }
    if (json_array_size(list) == 0) {
        fputs("No memory accessed by instruction\n", f);
        return;
    }
    fputs("Memory accessed by instruction:\n", f);
    json_array_foreach(list, i, access)
    {
        const char *type = sal_json_str(access, "access_type");

        fprintf(f, "  %zu. Address: %s\n", i, str(access, "address", ""));
        if (has(access, "size")) {
            fprintf(f, "     Size: %" JSON_INTEGER_FORMAT "\n", num(access, "size"));
        } else {
            fputs("     Size: Unknown\n", f);
        }
        if (has(access, "is_likely_guard_page")) {
            fputs("     This address falls in a likely guard page.\n", f);
        }
        if (type) {
            fprintf(f, "     Access type: %s\n",
                    strcmp(type, "read") == 0    ? "Read"
                    : strcmp(type, "write") == 0 ? "Write"
                                                 : "ReadWrite");
        }
    }
}

static int by_confidence(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    double cx = json_real_value(json_object_get(x, "confidence"));
    double cy = json_real_value(json_object_get(y, "confidence"));
    uint64_t ax = hex(x, "address"), ay = hex(y, "address");

    if (cx != cy) {
        return cx < cy ? 1 : -1;
    }
    return (ax > ay) - (ax < ay);
}

/* The members of an array in another order; borrowed, in p. */
static json_t **sorted(const json_t *array, int (*order)(const void *, const void *), apr_pool_t *p)
{
    size_t n = json_array_size(array);
    json_t **out = apr_palloc(p, (n + 1) * sizeof(*out));

    for (size_t i = 0; i < n; i++) {
        out[i] = json_array_get(array, i);
    }
    qsort(out, n, sizeof(*out), order);
    return out;
}

static void print_bit_flips(FILE *f, const json_t *crash, apr_pool_t *p)
{
    const json_t *list = json_object_get(crash, "possible_bit_flips");
    json_t **flips;

    if (!json_is_array(list)) {
        return;
    }
    flips = sorted(list, by_confidence, p);
    fputs("Crashing address may be the result of a flipped bit:\n", f);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *source = sal_json_str(flips[i], "source_register");

        fprintf(f, "  %zu. Valid address: %s%s%s (%.3f)\n", i, source ? source : "",
                source ? "=" : "", str(flips[i], "address", ""),
                json_real_value(json_object_get(flips[i], "confidence")));
    }
}

static void print_inconsistencies(FILE *f, const json_t *crash)
{
    static const char *const texts[][2] = {
        { "int_div_by_zero_not_possible",
          "Crash reason is an integer division by zero but the crashing instruction is not a "
          "division" },
        { "priv_instruction_crash_without_priv_instruction",
          "Crash reason is a privileged instruction but crashing instruction is not a privileged "
          "one" },
        { "non_canonical_address_falsely_reported",
          "Crash address is reported as a non-canonical x86-64 address but the actual address is "
          "a canonical one" },
        { "access_violation_when_access_allowed",
          "Crash reason is access violation exception but access is allowed" },
        { "crashing_access_not_found_in_memory_accesses",
          "Crash address not found among the memory accesses of the crashing instruction" },
    };
    const json_t *list = json_object_get(crash, "crash_inconsistencies"), *one;
    size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    fputs("Crash is inconsistent:\n", f);
    json_array_foreach(list, i, one)
    {
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            if (json_is_string(one) && strcmp(json_string_value(one), texts[k][0]) == 0) {
                fprintf(f, "  %s\n", texts[k][1]);
            }
        }
    }
}

static void print_address(FILE *f, const json_t *crash)
{
    const json_t *adjusted = json_object_get(crash, "adjusted_address");
    bool is_adjusted = json_is_object(adjusted);

    fprintf(f, "Crash address: %s%s\n", str(crash, "address", ""), is_adjusted ? " **" : "");
    if (is_adjusted && has(adjusted, "offset")) {
        fprintf(f, "    ** Null pointer detected with offset: %s\n", str(adjusted, "offset", ""));
    } else if (is_adjusted) {
        fprintf(f, "    ** Non-canonical address detected: %s\n", str(adjusted, "address", ""));
    }
}

static void print_crash(FILE *f, const json_t *doc, apr_pool_t *p)
{
    const json_t *crash = json_object_get(doc, "crash_info");
    const json_t *update = json_object_get(crash, "instruction_pointer_update");

    if (!has(crash, "type")) {
        fputs("No crash\n", f);
    } else {
        fprintf(f, "Crash reason:  %s\n", str(crash, "type", ""));
        print_address(f, crash);
        if (has(crash, "instruction")) {
            fprintf(f, "Crashing instruction: `%s`\n", str(crash, "instruction", ""));
        }
        print_accesses(f, crash);
        if (json_is_object(update)) {
            fprintf(f, "Instruction pointer update done by instruction:\n  Address: %s\n",
                    str(update, "address", ""));
        } else if (has(crash, "instruction") && !has(crash, "jump_is_unknown")) {
            fputs("No instruction pointer update by instruction\n", f);
        }
        print_bit_flips(f, crash, p);
        print_inconsistencies(f, crash);
    }
    if (has(crash, "assertion")) {
        fprintf(f, "Assertion: %s\n", str(crash, "assertion", ""));
    }
}

static void print_mac(FILE *f, const json_t *doc)
{
    static const char *const numbers[][2] = { { "thread", "thread" },
                                              { "dialog_mode", "dialog mode" },
                                              { "abort_cause", "abort_cause" } };
    static const char *const texts[][2] = { { "module", "module" },
                                            { "message", "message" },
                                            { "signature_string", "signature string" },
                                            { "backtrace", "backtrace" },
                                            { "message2", "message2" } };
    const json_t *info = json_object_get(doc, "mac_crash_info"), *record;
    size_t i;

    if (json_is_object(info)) {
        fputs("Mac Crash Info:\n", f);
        json_array_foreach(json_object_get(info, "records"), i, record)
        {
            fprintf(f, "  Record %zu\n", i);
            for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
                if (has(record, numbers[k][0])) {
                    /* Decimal behind "0x": what readers of this form are used to. */
                    fprintf(f, "    %s: 0x%" PRIu64 "\n", numbers[k][1],
                            hex(record, numbers[k][0]));
                }
            }
            for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
                if (has(record, texts[k][0])) {
                    fprintf(f, "    %s: %s\n", texts[k][1], str(record, texts[k][0], ""));
                }
            }
        }
        fputc('\n', f);
    }
    if (has(doc, "mac_boot_args")) {
        fprintf(f, "Mac Boot Args: %s\n\n", str(doc, "mac_boot_args", ""));
    }
}

static void print_process(FILE *f, const json_t *doc)
{
    if (has(doc, "process_uptime")) {
        fprintf(f, "Process uptime: %" JSON_INTEGER_FORMAT " seconds\n\n",
                num(doc, "process_uptime"));
    } else {
        fputs("Process uptime: not available\n\n", f);
    }
    if (has(doc, "linux_memory_map_count")) {
        fprintf(f, "Linux memory map count: %" JSON_INTEGER_FORMAT "\n\n",
                num(doc, "linux_memory_map_count"));
    }
}

/* Rows of " name = value", broken before column 80. */
static void print_registers(FILE *f, json_t *regs)
{
    char row[128] = "", item[64];
    const char *name;
    json_t *value;

    json_object_foreach(regs, name, value)
    {
        snprintf(item, sizeof(item), " %6s = %s", name, json_string_value(value));
        if (strlen(row) + strlen(item) > 80) {
            fprintf(f, " %s\n", row);
            row[0] = '\0';
        }
        apr_cpystrn(row + strlen(row), item, sizeof(row) - strlen(row));
    }
    if (*row) {
        fprintf(f, " %s\n", row);
    }
}

static const char *found_by(const char *trust)
{
    static const char *const texts[][2] = {
        { "context", "given as instruction pointer in context" },
        { "prewalked", "recovered by external stack walker" },
        { "cfi", "call frame info" },
        { "cfi_scan", "call frame info with scanning" },
        { "frame_pointer", "previous frame's frame pointer" },
        { "scan", "stack scanning" },
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(texts[i][0], trust) == 0) {
            return texts[i][1];
        }
    }
    return "unknown";
}

static void print_inlines(FILE *f, const json_t *frame, unsigned *index)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(frame, "inlines"), i, one)
    {
        fprintf(f, "%2u  %s!%s", (*index)++, str(frame, "module", ""), str(one, "function", ""));
        if (has(one, "file") && has(one, "line")) {
            fprintf(f, " [%s : %" JSON_INTEGER_FORMAT "]", sal_basename(str(one, "file", "")),
                    num(one, "line"));
        }
        fputs("\n    Found by: inlining\n", f);
    }
}

static void print_place(FILE *f, const json_t *frame)
{
    const json_t *unloaded, *offset;
    size_t i, k;

    if (!has(frame, "module")) {
        fprintf(f, "0x%" PRIx64, hex(frame, "offset"));
        json_array_foreach(json_object_get(frame, "unloaded_modules"), i, unloaded)
        {
            fprintf(f, " (unloaded %s@", str(unloaded, "module", ""));
            json_array_foreach(json_object_get(unloaded, "offsets"), k, offset)
            {
                fprintf(f, "%s0x%" PRIx64, k ? "|" : "",
                        (uint64_t)strtoull(json_string_value(offset), NULL, 16));
            }
            fputc(')', f);
        }
        return;
    }
    fputs(str(frame, "module", ""), f);
    if (!has(frame, "function")) {
        fprintf(f, " + 0x%" PRIx64, hex(frame, "module_offset"));
        return;
    }
    fprintf(f, "!%s", str(frame, "function", ""));
    if (!has(frame, "file") || !has(frame, "line")) {
        fprintf(f, " + 0x%" PRIx64, hex(frame, "function_offset"));
        return;
    }
    fprintf(f, " [%s : %" JSON_INTEGER_FORMAT, sal_basename(str(frame, "file", "")),
            num(frame, "line"));
    if (has(frame, "line_offset")) {
        fprintf(f, " + 0x%" PRIx64, (uint64_t)num(frame, "line_offset"));
    }
    fputc(']', f);
}

static void print_arguments(FILE *f, const json_t *arguments)
{
    const json_t *one;
    size_t i;

    if (!arguments) {
        return;
    }
    fprintf(f, "    Arguments (assuming %s)\n",
            json_is_true(json_object_get(arguments, "member"))
                ? "windows thiscall [C++ member function]"
                : "cdecl [static function]");
    json_array_foreach(json_object_get(arguments, "list"), i, one)
    {
        fprintf(f, "        arg %zu (%s) = %s\n", i, str(one, "name", ""),
                str(one, "value", "<unknown>"));
    }
    fputc('\n', f);
}

static void print_stack(FILE *f, const json_t *thread)
{
    const json_t *frames = json_object_get(thread, "frames"), *frame;
    unsigned index = 0;
    size_t i;

    if (json_array_size(frames) == 0) {
        fputs("<no frames>\n", f);
    }
    json_array_foreach(frames, i, frame)
    {
        print_inlines(f, frame, &index);
        fprintf(f, "%2u  ", index++);
        print_place(f, frame);
        fputc('\n', f);
        print_registers(f, json_object_get(frame, "registers"));
        fprintf(f, "    Found by: %s\n", found_by(str(frame, "trust", "non")));
        print_arguments(f, json_object_get(frame, "arguments"));
    }
}

static void print_crashing_thread(FILE *f, const json_t *doc)
{
    const json_t *crash = json_object_get(doc, "crash_info"), *thread;
    json_int_t index = num(crash, "crashing_thread");

    if (!has(crash, "crashing_thread")) {
        return;
    }
    thread = json_object_get(doc, "crashing_thread");
    if (!thread) {
        thread = json_array_get(json_object_get(doc, "threads"), (size_t)index);
    }
    fprintf(f, "Thread %" JSON_INTEGER_FORMAT " %s (%s) - tid: %" JSON_INTEGER_FORMAT "\n", index,
            str(thread, "thread_name", ""),
            has(crash, "type") ? "crashed" : "requested dump, did not crash",
            num(thread, "thread_id"));
    print_stack(f, thread);
    fputc('\n', f);
}

static void print_other_threads(FILE *f, const json_t *doc)
{
    const json_t *crash = json_object_get(doc, "crash_info"), *thread;
    bool has_crashing = has(crash, "crashing_thread");
    size_t i;

    json_array_foreach(json_object_get(doc, "threads"), i, thread)
    {
        if ((has_crashing && i == (size_t)num(crash, "crashing_thread")) ||
            has(thread, "is_dump_thread")) {
            continue;
        }
        fprintf(f, "Thread %zu %s - tid: %" JSON_INTEGER_FORMAT "\n", i,
                str(thread, "thread_name", ""), num(thread, "thread_id"));
        print_stack(f, thread);
    }
}

static int by_base(const void *a, const void *b)
{
    uint64_t x = hex(*(json_t *const *)a, "base_addr"), y = hex(*(json_t *const *)b, "base_addr");

    return (x > y) - (x < y);
}

static void print_modules(FILE *f, const json_t *doc, apr_pool_t *p)
{
    const json_t *list = json_object_get(doc, "modules");
    const json_t *gone = json_object_get(doc, "unloaded_modules");
    json_t **modules = sorted(list, by_base, p);

    fputs("\nLoaded modules:\n", f);
    for (size_t i = 0; i < json_array_size(list); i++) {
        fprintf(f, "0x%08" PRIx64 " - 0x%08" PRIx64 "  %s  %s", hex(modules[i], "base_addr"),
                hex(modules[i], "end_addr") - 1, str(modules[i], "filename", ""),
                str(modules[i], "version", "???"));
        if (modules[i] == json_array_get(list, 0)) {
            fputs("  (main)", f);
        }
        if (has(modules[i], "cert_subject")) {
            fprintf(f, " (%s)", str(modules[i], "cert_subject", ""));
        }
        fputc('\n', f);
    }
    fputs("\nUnloaded modules:\n", f);
    modules = sorted(gone, by_base, p);
    for (size_t i = 0; i < json_array_size(gone); i++) {
        fprintf(f, "0x%08" PRIx64 " - 0x%08" PRIx64 "  %s", hex(modules[i], "base_addr"),
                hex(modules[i], "end_addr") - 1, sal_basename(str(modules[i], "filename", "")));
        if (has(modules[i], "cert_subject")) {
            fprintf(f, " (%s)", str(modules[i], "cert_subject", ""));
        }
        fputc('\n', f);
    }
}

static void print_streams(FILE *f, const json_t *doc)
{
    static const char *const lists[][2] = { { "unimplemented", "Unimplemented" },
                                            { "unknown", "Unknown" } };
    const json_t *streams = json_object_get(doc, "unread_streams"), *line;
    const json_t *errors = json_object_get(doc, "soft_errors");
    size_t i;

    for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
        const json_t *list = json_object_get(streams, lists[k][0]);

        if (json_array_size(list)) {
            fprintf(f, "\n%s streams encountered:\n", lists[k][1]);
            json_array_foreach(list, i, line)
            {
                fprintf(f, "%s\n", json_string_value(line));
            }
        }
    }
    if (json_array_size(errors)) {
        fputs("\nSoft errors were encountered when minidump was written:\n", f);
        json_dumpf(errors, f, JSON_INDENT(2) | JSON_SORT_KEYS);
        fputc('\n', f);
    }
}

void sal_stackwalk_print(FILE *f, const json_t *doc, int brief, apr_pool_t *p)
{
    print_system(f, doc);
    print_crash(f, doc, p);
    print_mac(f, doc);
    print_process(f, doc);
    print_crashing_thread(f, doc);
    if (!brief) {
        print_other_threads(f, doc);
        print_modules(f, doc, p);
        print_streams(f, doc);
    }
}

char *sal_stackwalk_human(const json_t *doc, int brief, apr_pool_t *p)
{
    char *text = NULL, *out;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f) {
        return apr_pstrdup(p, "");
    }
    sal_stackwalk_print(f, doc, brief, p);
    if (fclose(f) != 0) {
        free(text);
        return apr_pstrdup(p, "");
    }
    out = apr_pstrmemdup(p, text, size);
    free(text);
    return out;
}
