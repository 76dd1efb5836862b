/*
 * The document from made-up dumps: the crashing instruction, bit flips, contradictions, which
 * thread is which, streams of text, and bounds on what a hostile dump may cost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "analysis/stackwalk.h"
#include "base/json.h"
#include "minidump/writer.h"

enum { OS_WINDOWS = 2, OS_LINUX = 0x8201, OS_MACOS = 0x8101 };
enum { ARCH_X86 = 0, ARCH_AMD64 = 9, ARCH_ARM64 = 12 };
enum { CONTEXT_SIZE = 1232, CONTEXT_FLAGS = 48, CONTEXT_AMD64 = 0x10001f, FIRST_REGISTER = 120 };
/* registers in the order of the context record */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R15 = 15, RIP = 16, N_REGS };

#define CODE UINT64_C(0x401000)
#define STACK UINT64_C(0x7fff0000)

static apr_pool_t *pool;

typedef struct {
    uint16_t arch;
    uint32_t platform;
    const void *code;
    size_t code_size;
    uint64_t regs[N_REGS];
    uint32_t exception_code, exception_flags;
    uint64_t exception_address;
    uint32_t n_parameters;
    uint64_t parameters[2];
    const char *maps;
} dump_t;

static dump_t blank(void)
{
    dump_t d = {
        .arch = ARCH_AMD64, .platform = OS_LINUX, .exception_code = 11, .exception_flags = 1
    };

    d.regs[RSP] = STACK;
    d.regs[RIP] = CODE;
    return d;
}

static sal_mdw_loc_t put_context(sal_mdw_t *w, const uint64_t *regs)
{
    uint8_t context[CONTEXT_SIZE] = { 0 };
    uint32_t flags = CONTEXT_AMD64;

    memcpy(context + CONTEXT_FLAGS, &flags, 4);
    memcpy(context + FIRST_REGISTER, regs, 8 * N_REGS);
    return sal_mdw_copy(w, context, sizeof(context));
}

static json_t *finish(sal_mdw_t *w)
{
    sal_error_t err;
    json_t *doc;

    assert_int_equal(sal_mdw_finish(w, 1000, 0, &err), APR_SUCCESS);
    if (sal_stackwalk_bytes(&doc, sal_mdw_bytes(w, pool), NULL, pool, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return sal_json_own(doc, pool);
}

static void put_text(sal_mdw_t *w, uint32_t stream, const char *text)
{
    if (text) {
        sal_mdw_stream(w, stream, sal_mdw_copy(w, text, strlen(text)));
    }
}

static json_t *walk(const dump_t *d)
{
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = d->arch, .platform = d->platform };
    uint64_t stack[16] = { CODE + 0x100 };
    sal_mdw_thread_t thread = { .id = 1, .stack_start = STACK };
    sal_mdw_exception_t e = { .thread_id = 1,
                              .code = d->exception_code,
                              .flags = d->exception_flags,
                              .address = d->exception_address,
                              .parameter_count = d->n_parameters };

    memcpy(e.parameters, d->parameters, sizeof(d->parameters));
    sal_mdw_system(w, &system);
    thread.stack = sal_mdw_copy(w, stack, sizeof(stack));
    e.context = thread.context = put_context(w, d->regs);
    sal_mdw_thread(w, &thread);
    sal_mdw_memory(w, STACK, thread.stack);
    if (d->code) {
        sal_mdw_memory(w, CODE, sal_mdw_copy(w, d->code, d->code_size));
    }
    sal_mdw_exception(w, &e);
    put_text(w, 0x47670009, d->maps);
    return finish(w);
}

#define CODE_OF(d, bytes) ((d)->code = (bytes), (d)->code_size = sizeof(bytes) - 1)

static void is(const json_t *doc, const char *path, const char *expected)
{
    const json_t *v = sal_json_path(doc, path);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    if (!text || strcmp(text, expected) != 0) {
        fail_msg("%s is %s, not %s", path, text ? text : "absent", expected);
    }
    free(text);
}

/* ---- the instruction ---- */

static void test_instruction(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *text, *accesses, *update;
    } cases[] = {
#define I(bytes) bytes, sizeof(bytes) - 1
        { I("\xc7\x04\x25\x45\0\0\0\5\0\0\0"), "mov dword [0x45], 0x5",
          "[{\"access_type\":\"write\",\"address\":\"0x0000000000000045\",\"size\":4}]", "null" },
        { I("\x48\x8b\x44\x8b\x10"), "mov rax, qword [rbx + rcx * 4 + 0x10]",
          "[{\"access_type\":\"read\",\"address\":\"0x0000000000003030\",\"size\":8}]", "null" },
        { I("\x83\x43\xf8\x01"), "add dword [rbx - 0x8], 0x1",
          "[{\"access_type\":\"readwrite\",\"address\":\"0x0000000000002ff8\",\"size\":4}]",
          "null" },
        { I("\x48\x8d\x03"), "lea rax, qword [rbx]", "[]", "null" },
        { I("\x8b\x05\x10\0\0\0"), "mov eax, dword [rip + 0x10]", /* from the next instruction */
          "[{\"access_type\":\"read\",\"address\":\"0x0000000000401016\",\"size\":4}]", "null" },
        { I("\xff\xd3"), "call rbx",
          "[{\"access_type\":\"write\",\"address\":\"0x000000007ffefff8\",\"size\":8}]",
          "{\"address\":\"0x0000000000003000\"}" },
        { I("\xc3"), "ret",
          "[{\"access_type\":\"read\",\"address\":\"0x000000007fff0000\",\"size\":8}]",
          "{\"address\":\"0x0000000000401100\"}" },
        { I("\xff\x24\x24"), "jmp qword [rsp]",
          "[{\"access_type\":\"read\",\"address\":\"0x000000007fff0000\",\"size\":8}]",
          "{\"address\":\"0x0000000000401100\"}" },
        { I("\x77\x05"), "ja $+0x5", "[]", "null" },
        { I("\xf3\xa4"), "rep movs byte es:[rdi], byte ds:[rsi]",
          "[{\"address\":\"0x0000000000005000\",\"size\":1},"
          "{\"address\":\"0x0000000000004000\",\"size\":1}]",
          "null" },
        { I("\x67\x8b\x03"), "mov eax, dword [ebx]", "null", "null" }, /* half a register */
        { I("\x0f\x0b"), "ud2", "[]", "null" },
        { I("\x06"), NULL, "null", "null" }, /* no instruction */
#undef I
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dump_t d = blank();
        json_t *doc;

        d.code = cases[i].bytes;
        d.code_size = cases[i].size;
        d.regs[RBX] = 0x3000;
        d.regs[RCX] = 8;
        d.regs[RSI] = 0x4000;
        d.regs[RDI] = 0x5000;
        doc = walk(&d);
        is(doc, "crash_info.instruction",
           cases[i].text ? apr_pstrcat(pool, "\"", cases[i].text, "\"", NULL) : "null");
        is(doc, "crash_info.memory_accesses", cases[i].accesses);
        is(doc, "crash_info.instruction_pointer_update", cases[i].update);
    }
}

static void test_other_cpus_have_no_instruction(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\xc3");
    d.arch = ARCH_ARM64; /* the context is not one of its own: no frames either */
    is(walk(&d), "crash_info.instruction", "null");
    is(walk(&d), "crash_info.memory_accesses", "null");
}

static void test_adjusted_address(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\x8b\x43\x10"); /* mov eax, [rbx + 0x10] */
    is(walk(&d), "crash_info.adjusted_address",
       "{\"kind\":\"null-pointer\",\"offset\":\"0x0000000000000010\"}");
    d.regs[RBX] = UINT64_C(0xdead000000000000);
    is(walk(&d), "crash_info.adjusted_address", "null"); /* the record names an address */
    d.exception_flags = 0x80;                            /* SI_KERNEL at 0: it does not */
    is(walk(&d), "crash_info.adjusted_address",
       "{\"address\":\"0xdead000000000010\",\"kind\":\"non-canonical\"}");
}

/* ---- checks against the memory map ---- */

static const char maps[] = "00400000-00410000 r-xp 00000000 00:00 0 /bin/app\n"
                           "00500000-00501000 ---p 00000000 00:00 0\n"
                           "00501000-00510000 rw-p 00000000 00:00 0\n"
                           "00600000-00700000 ---p 00000000 00:00 0\n";

static void test_guard_page(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\x8b\x03");
    d.maps = maps;
    d.regs[RBX] = 0x500800;
    is(walk(&d), "crash_info.memory_accesses",
       "[{\"access_type\":\"read\",\"address\":\"0x0000000000500800\","
       "\"is_likely_guard_page\":true,\"size\":4}]");
    d.regs[RBX] = 0x600800; /* too large, and alone */
    is(walk(&d), "crash_info.memory_accesses",
       "[{\"access_type\":\"read\",\"address\":\"0x0000000000600800\",\"size\":4}]");
}

static void test_bit_flips(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\x8b\x03");
    d.maps = maps;
    d.exception_address = d.regs[RBX] = UINT64_C(0x100405000); /* bit 32 of 0x405000 */
    is(walk(&d), "crash_info.possible_bit_flips",
       "[{\"address\":\"0x0000000000405000\",\"confidence\":0.25,\"details\":{\"is_null\":false,"
       "\"nearby_registers\":0,\"poison_registers\":false,\"was_low\":false,"
       "\"was_non_canonical\":false},\"source_register\":null},"
       "{\"address\":\"0x0000000000405000\",\"confidence\":0.25,\"details\":{\"is_null\":false,"
       "\"nearby_registers\":0,\"poison_registers\":false,\"was_low\":false,"
       "\"was_non_canonical\":false},\"source_register\":\"rbx\"}]");
}

/* sal_json_path has no indexes: the first flip of the list. */
static const json_t *flip(const json_t *doc)
{
    return json_array_get(sal_json_path(doc, "crash_info.possible_bit_flips"), 0);
}

static void test_bit_flip_hints(void **state)
{
    dump_t d = blank();
    const json_t *one;

    (void)state;
    CODE_OF(&d, "\x8b\x03");
    d.maps = maps;
    d.exception_address = d.regs[RBX] = UINT64_C(0x100405000);
    d.regs[RDX] = 0x405800; /* near by: more likely */
    one = flip(walk(&d));
    assert_int_equal(json_integer_value(sal_json_path(one, "details.nearby_registers")), 1);
    assert_true(json_real_value(json_object_get(one, "confidence")) == 0.625);
    d.regs[RCX] = UINT64_C(0xe5e5e5e5e5e5e5e5); /* freed memory: less */
    one = flip(walk(&d));
    assert_true(json_is_true(sal_json_path(one, "details.poison_registers")));
    assert_true(json_real_value(json_object_get(one, "confidence")) == 0.3125);

    d.exception_address = d.regs[RBX] = 0x405000; /* it is mapped: nothing to explain */
    assert_null(flip(walk(&d)));
    d.exception_address = d.regs[RBX] = 0x410002; /* off by a little */
    assert_null(flip(walk(&d)));
    d.exception_address = d.regs[RBX] = 0x1000; /* one bit from null */
    one = flip(walk(&d));
    assert_true(json_is_true(sal_json_path(one, "details.is_null")));
    assert_true(json_is_true(sal_json_path(one, "details.was_low")));
}

/* ---- contradictions ---- */

static void contradicts(dump_t *d, const char *expected)
{
    is(walk(d), "crash_info.crash_inconsistencies", expected);
}

static void test_inconsistencies(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\x8b\x03");
    d.exception_code = 8;
    contradicts(&d, "[\"int_div_by_zero_not_possible\"]");
    CODE_OF(&d, "\xf7\xf3"); /* div ebx */
    contradicts(&d, "[]");

    d.platform = OS_WINDOWS;
    d.exception_code = 0xc0000096;
    contradicts(&d, "[\"priv_instruction_crash_without_priv_instruction\"]");
    CODE_OF(&d, "\xf4"); /* hlt */
    contradicts(&d, "[]");

    CODE_OF(&d, "\x8b\x03");
    d.regs[RBX] = 0x5000;
    d.exception_code = 0xc0000005;
    d.n_parameters = 2;
    d.parameters[0] = 0;
    d.parameters[1] = 0x5002; /* inside the access */
    contradicts(&d, "[]");
    d.parameters[1] = 0x6000;
    contradicts(&d, "[\"crashing_access_not_found_in_memory_accesses\"]");
    d.parameters[0] = 1; /* it does not write at all */
    d.parameters[1] = 0x5000;
    contradicts(&d, "[\"crashing_access_not_found_in_memory_accesses\"]");
    d.parameters[0] = 8;
    contradicts(&d, "[\"crashing_access_not_found_in_memory_accesses\"]");
    d.parameters[1] = CODE;
    contradicts(&d, "[]");

    d.parameters[0] = 0; /* the form of a protection fault, but all is canonical */
    d.parameters[1] = UINT64_MAX;
    contradicts(&d, "[\"non_canonical_address_falsely_reported\"]");
    d.regs[RBX] = UINT64_C(0xdead000000000000);
    contradicts(&d, "[]");

    CODE_OF(&d, "\x90");
    d.exception_code = 0xc00000fd;
    contradicts(&d, "[]");   /* nop is not an opcode of which all is known */
    CODE_OF(&d, "\x89\xd8"); /* mov eax, ebx: no memory, no overflow */
    contradicts(&d, "[\"crashing_access_not_found_in_memory_accesses\"]");
}

static void test_allowed_access(void **state)
{
    dump_t d = blank();

    (void)state;
    CODE_OF(&d, "\x8b\x03");
    d.platform = OS_WINDOWS;
    d.maps = maps;
    d.exception_code = 0xc0000005;
    d.n_parameters = 2;
    d.parameters[1] = d.regs[RBX] = 0x501800;
    contradicts(&d, "[\"access_violation_when_access_allowed\"]");
    d.parameters[1] = d.regs[RBX] = 0x500800;
    contradicts(&d, "[]");
}

/* ---- threads ---- */

typedef struct {
    uint32_t ids[4];
    unsigned n;
    int64_t exception; /* -1: no exception stream */
    uint32_t validity, dumper, requester;
} threads_t;

static json_t *walk_threads(const threads_t *t)
{
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_LINUX };
    uint64_t regs[N_REGS] = { 0 }, other[N_REGS] = { 0 };
    sal_mdw_record_t *r;

    regs[RIP] = 0x1111;
    other[RIP] = 0x2222;
    sal_mdw_system(w, &system);
    for (unsigned i = 0; i < t->n; i++) {
        sal_mdw_thread_t thread = { .id = t->ids[i],
                                    .context = put_context(w, regs),
                                    .name = apr_psprintf(pool, "t%u", i) };

        sal_mdw_thread(w, &thread);
    }
    if (t->exception >= 0) {
        sal_mdw_exception_t e = { .thread_id = (uint32_t)t->exception,
                                  .code = 11,
                                  .context = put_context(w, other) };

        sal_mdw_exception(w, &e);
    }
    r = sal_mdw_record(w);
    sal_mdw_u32(r, t->validity);
    sal_mdw_u32(r, t->dumper);
    sal_mdw_u32(r, t->requester);
    sal_mdw_stream(w, 0x47670001, sal_mdw_end(r));
    return finish(w);
}

static const json_t *thread(const json_t *doc, size_t i)
{
    return json_array_get(json_object_get(doc, "threads"), i);
}

static void test_crashing_thread(void **state)
{
    threads_t t = { { 10, 11, 12, 11 }, 4, 12, 3, 0, 10 };
    json_t *doc = walk_threads(&t);

    (void)state;
    is(doc, "crash_info.crashing_thread", "2"); /* the exception's, not the requester */
    is(doc, "crashing_thread.threads_index", "2");
    is(doc, "crashing_thread.thread_id", "12");
    /* its context is the exception's */
    is(json_array_get(sal_json_path(doc, "crashing_thread.frames"), 0), "offset",
       "\"0x0000000000002222\"");
    is(json_array_get(json_object_get(thread(doc, 0), "frames"), 0), "offset",
       "\"0x0000000000001111\"");
    is(json_array_get(sal_json_path(doc, "crashing_thread.frames"), 0), "registers.rip",
       "\"0x0000000000002222\"");
    assert_null(
        sal_json_path(json_array_get(json_object_get(thread(doc, 2), "frames"), 0), "registers"));

    t.exception = 11;
    is(walk_threads(&t), "crash_info.crashing_thread", "3"); /* the last of that id */
    t.exception = 99;
    doc = walk_threads(&t);
    is(doc, "crash_info.crashing_thread", "null");
    assert_null(json_object_get(doc, "crashing_thread"));
    t.exception = -1;
    doc = walk_threads(&t);
    is(doc, "crash_info.crashing_thread", "0"); /* the requester */
    is(doc, "crash_info.type", "null");
    is(doc, "crash_info.crash_inconsistencies", "null");
    t.validity = 1;
    is(walk_threads(&t), "crash_info.crashing_thread", "null");
}

static void test_dump_thread(void **state)
{
    threads_t t = { { 10, 11 }, 2, 10, 1, 11, 0 };
    json_t *doc = walk_threads(&t);

    (void)state;
    is(doc, "thread_count", "2"); /* it keeps its place, empty */
    is(thread(doc, 1), "frame_count", "0");
    is(thread(doc, 1), "thread_name", "null");
    is(thread(doc, 0), "thread_name", "\"t0\"");
    t.exception = 11;
    is(walk_threads(&t), "crash_info.crashing_thread", "null");
}

/* ---- streams of text ---- */

static void test_linux_streams(void **state)
{
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_LINUX };
    sal_mdw_thread_t t = { .id = 1 };
    json_t *doc;

    (void)state;
    sal_mdw_system(w, &system);
    sal_mdw_thread(w, &t);
    put_text(w, 0x47670005, "DISTRIB_ID=Ubuntu\n VERSION_ID = \"20.04\" \nnonsense\nID=debian\n");
    put_text(w, 0x47670004, "Name:\tapp\nPid:\t4711\n");
    put_text(w, 0x4d7a0003,
             "Limit                     Soft Limit  Hard Limit  Units\n\n"
             "Max cpu time              unlimited   77          seconds\n"
             "Max nice priority         0           nonsense    \n"
             "short  1\n");
    put_text(w, 0x4d7a0004, "[{\"one\": null}]");
    doc = finish(w);
    is(doc, "lsb_release",
       "{\"codename\":\"\",\"description\":\"\",\"id\":\"debian\","
       "\"release\":\"20.04\"}");
    is(doc, "pid", "4711");
    is(doc, "proc_limits",
       "{\"limits\":[{\"hard\":77,\"name\":\"Max cpu time\",\"soft\":\"unlimited\","
       "\"unit\":\"seconds\"},{\"hard\":0,\"name\":\"Max nice priority\",\"soft\":0,"
       "\"unit\":\"n/a\"}]}");
    is(doc, "soft_errors", "[{\"one\":null}]");
    is(doc, "process_uptime", "null");
    is(doc, "linux_memory_map_count", "null");
}

static void test_mac_streams(void **state)
{
    static const char texts[] = "/usr/lib/dyld\0a message\0\0\0second";
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_MACOS };
    sal_mdw_thread_t t = { .id = 1 };
    sal_mdw_record_t *r;
    sal_mdw_loc_t record;
    uint32_t rva;
    json_t *doc;

    (void)state;
    sal_mdw_system(w, &system);
    sal_mdw_thread(w, &t);
    r = sal_mdw_record(w);
    sal_mdw_u64(r, 0x4d7a0001);
    sal_mdw_u64(r, 5);
    sal_mdw_u64(r, 0x1a);
    sal_mdw_u64(r, 0);
    sal_mdw_u64(r, 3);
    sal_mdw_put(r, texts, sizeof(texts));
    record = sal_mdw_end(r);
    r = sal_mdw_record(w);
    sal_mdw_u32(r, 0x4d7a0001);
    sal_mdw_u32(r, 1);
    sal_mdw_u32(r, 40);
    sal_mdw_loc(r, record);
    sal_mdw_zero(r, 19 * 8);
    sal_mdw_stream(w, 0x4d7a0001, sal_mdw_end(r));
    rva = sal_mdw_utf16(w, "-v \xc3\xa9 \xf0\x9f\x98\x80");
    r = sal_mdw_record(w);
    sal_mdw_u32(r, 0x4d7a0002);
    sal_mdw_u64(r, rva);
    sal_mdw_stream(w, 0x4d7a0002, sal_mdw_end(r));
    doc = finish(w);
    is(doc, "mac_crash_info",
       "{\"num_records\":1,\"records\":[{\"abort_cause\":\"0x0000000000000003\","
       "\"backtrace\":null,\"dialog_mode\":null,\"message\":\"a message\","
       "\"message2\":\"second\",\"module\":\"/usr/lib/dyld\",\"signature_string\":null,"
       "\"thread\":\"0x000000000000001a\"}]}");
    is(doc, "mac_boot_args", "\"-v \xc3\xa9 \xf0\x9f\x98\x80\"");
}

static void test_certificates(void **state)
{
    static const char *const forms[] = {
        "{\"ModuleSignatureInfo\": {\"Somebody\": [\"app\", \"x.dll\"]}}",
        "{\"ModuleSignatureInfo\": \"{\\\"Somebody\\\": [\\\"app\\\"]}\"}",
        "{\"ModuleSignatureInfo\": 5}",
        "{\"ModuleSignatureInfo\": \"{\"}",
    };

    (void)state;
    for (int i = 0; i < 4; i++) {
        sal_mdw_t *w = sal_mdw_make(false, pool);
        sal_mdw_system_t system = { .arch = ARCH_X86, .platform = OS_WINDOWS };
        sal_mdw_thread_t t = { .id = 1 };
        sal_mdw_module_t m = { .base = 0x400000, .size = 0x1000, .name = "c:\\bin\\app" };
        sal_stackwalk_opts_t opts = { .extra = NULL };
        sal_error_t err;
        json_t *extra, *doc;

        sal_mdw_system(w, &system);
        sal_mdw_thread(w, &t);
        sal_mdw_module(w, &m);
        assert_int_equal(sal_mdw_finish(w, 1, 0, &err), APR_SUCCESS);
        assert_int_equal(sal_json_parse(&extra, forms[i], strlen(forms[i]), pool, &err),
                         APR_SUCCESS);
        opts.extra = extra;
        assert_int_equal(sal_stackwalk_bytes(&doc, sal_mdw_bytes(w, pool), &opts, pool, &err),
                         APR_SUCCESS);
        sal_json_own(doc, pool);
        is(doc, "modules_contains_cert_info", i < 2 ? "true" : "false");
        is(json_array_get(json_object_get(doc, "modules"), 0), "cert_subject",
           i < 2 ? "\"Somebody\"" : "null");
        is(json_array_get(json_object_get(doc, "modules"), 0), "base_addr", "\"0x00400000\"");
    }
}

/* ---- bounds ---- */

/* 16,000 threads on one stack full of return addresses: a billion frames, if all were found. */
static void test_hostile_threads(void **state)
{
    enum { THREADS = 16000, WORDS = 1 << 16 };
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_LINUX };
    sal_mdw_module_t m = { .base = 0x400000, .size = 0x10000, .name = "app" };
    uint64_t *stack = malloc(WORDS * 8), regs[N_REGS] = { 0 };
    sal_mdw_thread_t t = { .id = 1, .stack_start = STACK };
    sal_mdw_exception_t e = { .thread_id = THREADS, .code = 11 };
    clock_t start = clock();
    size_t frames = 0;
    json_t *doc;

    (void)state;
    for (size_t i = 0; i < WORDS; i++) {
        stack[i] = CODE + i % 4096;
    }
    regs[RSP] = STACK;
    regs[RIP] = CODE;
    sal_mdw_system(w, &system);
    sal_mdw_module(w, &m);
    t.stack = sal_mdw_copy(w, stack, WORDS * 8);
    e.context = t.context = put_context(w, regs);
    for (t.id = 1; t.id <= THREADS; t.id++) {
        sal_mdw_thread(w, &t);
    }
    sal_mdw_exception(w, &e);
    doc = finish(w);
    for (size_t i = 0; i < THREADS; i++) {
        frames += json_array_size(json_object_get(thread(doc, i), "frames"));
    }
    assert_int_equal(frames, 24576 - THREADS / 2 - 1024);
    /* the crashing thread is the last, but it is never the one that goes short */
    is(doc, "crashing_thread.frame_count", "1024");
    assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
    free(stack);
}

/* A module with a name of 60,000 bytes in 60,000 frames would be 4 GB of text. */
static void test_hostile_names(void **state)
{
    enum { THREADS = 70, WORDS = 1024, NAME = 30000 };
    sal_mdw_t *w = sal_mdw_make(false, pool);
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_LINUX };
    char *name = apr_palloc(pool, 2 * NAME + 1), *text;
    sal_mdw_module_t m = { .base = 0x400000, .size = 0x10000, .name = name };
    uint64_t stack[WORDS], regs[N_REGS] = { 0 };
    sal_mdw_thread_t t = { .id = 1, .stack_start = STACK };
    const char *first, *last;
    json_t *doc;

    (void)state;
    for (size_t i = 0; i < NAME; i++) {
        memcpy(name + 2 * i, "\xc3\xa9", 2);
    }
    name[2 * NAME] = '\0';
    for (size_t i = 0; i < WORDS; i++) {
        stack[i] = CODE + i;
    }
    regs[RSP] = STACK;
    regs[RIP] = CODE;
    sal_mdw_system(w, &system);
    sal_mdw_module(w, &m);
    t.stack = sal_mdw_copy(w, stack, sizeof(stack));
    t.context = put_context(w, regs);
    for (t.id = 1; t.id <= THREADS; t.id++) {
        sal_mdw_thread(w, &t);
    }
    doc = finish(w);
    text = sal_json_text(doc, pool);
    assert_true(strlen(text) < 32 << 20);
    first = sal_json_str(json_array_get(json_object_get(thread(doc, 0), "frames"), 0), "module");
    last = sal_json_str(json_array_get(json_object_get(thread(doc, 20), "frames"), 9), "module");
    assert_int_equal(strlen(first), 2 * NAME);
    assert_int_equal(strlen(last), 256);
    assert_memory_equal(first, last, 256);
}

static void test_missing_streams(void **state)
{
    sal_mdw_system_t system = { .arch = ARCH_AMD64, .platform = OS_LINUX };
    sal_mdw_thread_t t = { .id = 1 };
    sal_error_t err;
    json_t *doc;

    (void)state;
    for (int i = 0; i < 2; i++) {
        sal_mdw_t *w = sal_mdw_make(false, pool);

        if (i == 0) {
            sal_mdw_system(w, &system);
        } else {
            sal_mdw_thread(w, &t);
        }
        assert_int_equal(sal_mdw_finish(w, 1, 0, &err), APR_SUCCESS);
        assert_int_equal(sal_stackwalk_bytes(&doc, sal_mdw_bytes(w, pool), NULL, pool, &err),
                         SAL_E_MALFORMED);
        assert_string_equal(err.message,
                            i == 0 ? "MissingThreadList - Error processing dump: The thread list "
                                     "stream was not found"
                                   : "MissingSystemInfo - Error processing dump: The system "
                                     "information stream was not found");
    }
}

static int group_setup(void **state)
{
    (void)state;
    apr_initialize();
    return apr_pool_create(&pool, NULL);
}

static int group_teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instruction),
        cmocka_unit_test(test_other_cpus_have_no_instruction),
        cmocka_unit_test(test_adjusted_address),
        cmocka_unit_test(test_guard_page),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_bit_flip_hints),
        cmocka_unit_test(test_inconsistencies),
        cmocka_unit_test(test_allowed_access),
        cmocka_unit_test(test_crashing_thread),
        cmocka_unit_test(test_dump_thread),
        cmocka_unit_test(test_linux_streams),
        cmocka_unit_test(test_mac_streams),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_hostile_threads),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_missing_streams),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
