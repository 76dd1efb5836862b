/*
 * Synthetic minidumps for tests. Records are put down field by field from the format's tables
 * (docs/minidump.md), not through the library's own reader.
 */
#include "md_samples.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>
#include <apr_strings.h>

void md_sample_text(sal_mdw_t *w, uint32_t type, const char *text)
{
    sal_mdw_stream(w, type, sal_mdw_copy(w, text, strlen(text)));
}

sal_mdw_t *md_sample_begin(uint32_t platform, uint16_t arch, bool big_endian, apr_pool_t *p)
{
    sal_mdw_t *w = sal_mdw_make(big_endian, p);
    sal_mdw_system_t s = { .arch = arch,
                           .level = 6,
                           .revision = 0x5507,
                           .cpu_count = 4,
                           .product_type = 1,
                           .platform = platform };

    if (platform == 0x8201) {
        s.csd = "Linux 5.10.0-8-amd64 #1 SMP Debian x86_64";
    } else {
        s.major = 10;
        s.build = 19045;
        s.csd = " Service Pack 2 ";
    }
    if (arch == 0) { /* words, so that the text comes out right in either byte order */
        s.cpu[0] = 0x756e6547;
        s.cpu[1] = 0x49656e69;
        s.cpu[2] = 0x6c65746e;
    }
    sal_mdw_system(w, &s);
    return w;
}

sal_span_t md_sample_end(sal_mdw_t *w, apr_pool_t *p)
{
    assert_int_equal(sal_mdw_finish(w, 1700000000, 0x21, NULL), APR_SUCCESS);
    return sal_mdw_bytes(w, p);
}

static sal_mdw_loc_t context(sal_mdw_t *w, sal_cpu_t cpu, uint64_t pc, uint64_t sp, bool big_endian)
{
    const sal_cpu_desc_t *d = sal_cpu_desc(cpu);
    uint8_t raw[SAL_MAX_CONTEXT];
    sal_regs_t regs = { .cpu = cpu };
    size_t size;

    regs.value[d->pc] = pc;
    regs.value[d->sp] = sp;
    size = sal_context_write(raw, sizeof(raw), &regs, big_endian);
    assert_true(size > 0);
    return sal_mdw_copy(w, raw, size);
}

static void thread(sal_mdw_t *w, uint32_t id, const char *name, sal_cpu_t cpu, uint64_t pc,
                   uint64_t sp, bool big_endian)
{
    sal_mdw_thread_t t = { .id = id, .teb = 0x7ffd0000 + id, .stack_start = sp, .name = name };

    t.context = context(w, cpu, pc, sp, big_endian);
    t.stack = sal_mdw_copy(w, "stackstackstack", 16);
    sal_mdw_memory(w, sp, t.stack);
    sal_mdw_thread(w, &t);
}

static void linux_texts(sal_mdw_t *w)
{
    md_sample_text(w, SAL_STREAM_LINUX_CPU_INFO, "processor\t: 0\nmicrocode\t: 0x2b\n");
    md_sample_text(w, SAL_STREAM_LINUX_PROC_STATUS, "Name:\tx\nPid:\t77\n");
    md_sample_text(w, SAL_STREAM_LINUX_LSB_RELEASE, "ID=debian\nVERSION_ID=\"12\"\n");
    md_sample_text(w, SAL_STREAM_LINUX_CMD_LINE, "/bin/x");
    md_sample_text(w, SAL_STREAM_LINUX_AUXV, "0123456789abcdef");
    md_sample_text(w, SAL_STREAM_LINUX_MAPS,
                   "00400000-00410000 r-xp 00000000 08:01 42        /bin/x\n"
                   "00410000-00420000 rw-p 00010000 08:01 42        /bin/x\n"
                   "7f0000000000-7f0000001000 ---s 00000000 00:00 0 \n");
}

static void breakpad(sal_mdw_t *w)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 3);
    sal_mdw_u32(r, 101);
    sal_mdw_u32(r, 100);
    sal_mdw_stream(w, SAL_STREAM_BREAKPAD_INFO, sal_mdw_end(r));
}

static sal_mdw_loc_t dictionary(sal_mdw_t *w, const char *key, const char *value)
{
    uint32_t k = sal_mdw_utf8(w, key), v = sal_mdw_utf8(w, value);
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 1);
    sal_mdw_u32(r, k);
    sal_mdw_u32(r, v);
    return sal_mdw_end(r);
}

static sal_mdw_loc_t annotation_objects(sal_mdw_t *w)
{
    uint32_t name = sal_mdw_utf8(w, "channel"), value = sal_mdw_utf8(w, "beta");
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 2);
    sal_mdw_u32(r, name);
    sal_mdw_u16(r, 1); /* a string */
    sal_mdw_u16(r, 0);
    sal_mdw_u32(r, value);
    sal_mdw_u32(r, name);
    sal_mdw_u16(r, 0x8001); /* a product's own type: not shown */
    sal_mdw_u16(r, 0);
    sal_mdw_u32(r, value);
    return sal_mdw_end(r);
}

static sal_mdw_loc_t crashpad_module(sal_mdw_t *w)
{
    sal_mdw_loc_t simple = dictionary(w, "mode", "fast"), objects = annotation_objects(w), info;
    uint32_t text = sal_mdw_utf8(w, "abort() called");
    sal_mdw_record_t *list = sal_mdw_record(w), *r = sal_mdw_record(w), *links = sal_mdw_record(w);

    sal_mdw_u32(list, 1);
    sal_mdw_u32(list, text);
    sal_mdw_u32(r, 1);
    sal_mdw_loc(r, sal_mdw_end(list));
    sal_mdw_loc(r, simple);
    sal_mdw_loc(r, objects);
    info = sal_mdw_end(r);
    sal_mdw_u32(links, 1);
    sal_mdw_u32(links, 1); /* index of the module */
    sal_mdw_loc(links, info);
    return sal_mdw_end(links);
}

static void guid(sal_mdw_record_t *r, uint32_t first)
{
    sal_mdw_u32(r, first);
    sal_mdw_u16(r, 0x1122);
    sal_mdw_u16(r, 0x3344);
    sal_mdw_put(r, "\x55\x66\x77\x88\x99\xaa\xbb\xcc", 8);
}

static void crashpad(sal_mdw_t *w)
{
    sal_mdw_loc_t simple = dictionary(w, "prod", "Sampler"), modules = crashpad_module(w);
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 1);
    guid(r, 0xdeadbeef);
    guid(r, 0x01020304);
    sal_mdw_loc(r, simple);
    sal_mdw_loc(r, modules);
    sal_mdw_stream(w, SAL_STREAM_CRASHPAD_INFO, sal_mdw_end(r));
}

sal_span_t md_sample_linux(bool big_endian, apr_pool_t *p)
{
    static const uint8_t build_id[20] = { 0xf1, 0xc3, 0xbc, 0xc0, 0x27, 0x98, 0x65,
                                          0xfe, 0x30, 0x58, 0x40, 0x4b, 0x28, 0x31,
                                          0xd9, 0xe6, 0x41, 0x35, 0x38, 0x6c };
    sal_mdw_t *w = md_sample_begin(0x8201, 9, big_endian, p);
    sal_mdw_module_t program = { .base = 0x400000, .size = 0x20000, .name = "/bin/x" };
    sal_mdw_module_t library = { .base = 0x7f0000000000,
                                 .size = 0x1000,
                                 .name = "/lib/lib\xc3\xa4.so" };
    sal_mdw_exception_t e = { .thread_id = 100,
                              .code = 11,
                              .flags = 1,
                              .address = 0x10,
                              .parameter_count = 2,
                              .parameters = { 7, 8 } };

    linux_texts(w);
    breakpad(w);
    crashpad(w);
    thread(w, 100, "main", SAL_CPU_AMD64, 0x400123, 0x7ffc00001000, big_endian);
    thread(w, 101, NULL, SAL_CPU_AMD64, 0x400456, 0x7ffc00002000, big_endian);
    program.cv = sal_mdw_cv_elf(w, build_id, sizeof(build_id));
    sal_mdw_module(w, &program);
    sal_mdw_module(w, &library);
    e.context = context(w, SAL_CPU_AMD64, 0x400789, 0x7ffc00001000, big_endian);
    sal_mdw_exception(w, &e);
    sal_mdw_misc(w, 4242, 1699999000);
    return md_sample_end(w, p);
}

static void unloaded(sal_mdw_t *w)
{
    uint32_t name = sal_mdw_utf16(w, "C:\\gone.dll");
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 12);
    sal_mdw_u32(r, 24);
    sal_mdw_u32(r, 1);
    sal_mdw_u64(r, 0x60000000);
    sal_mdw_u32(r, 0x3000);
    sal_mdw_u32(r, 0);
    sal_mdw_u32(r, 0x5f5f2c88);
    sal_mdw_u32(r, name);
    sal_mdw_stream(w, SAL_STREAM_UNLOADED_MODULE_LIST, sal_mdw_end(r));
}

static void handles(sal_mdw_t *w)
{
    uint32_t type = sal_mdw_utf16(w, "File"), name = sal_mdw_utf16(w, "\\Device\\x");
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 16);
    sal_mdw_u32(r, 40);
    sal_mdw_u32(r, 2);
    sal_mdw_u32(r, 0);
    sal_mdw_u64(r, 0x14);
    sal_mdw_u32(r, type);
    sal_mdw_u32(r, name);
    sal_mdw_zero(r, 24);
    sal_mdw_u64(r, 0x18);
    sal_mdw_u32(r, type);
    sal_mdw_u32(r, 0);
    sal_mdw_zero(r, 24);
    sal_mdw_stream(w, SAL_STREAM_HANDLE_DATA, sal_mdw_end(r));
}

static void memory_info(sal_mdw_record_t *r, uint64_t base, uint64_t size, uint32_t state,
                        uint32_t protect, uint32_t type)
{
    sal_mdw_u64(r, base);
    sal_mdw_u64(r, base);
    sal_mdw_u32(r, protect);
    sal_mdw_u32(r, 0);
    sal_mdw_u64(r, size);
    sal_mdw_u32(r, state);
    sal_mdw_u32(r, protect);
    sal_mdw_u32(r, type);
    sal_mdw_u32(r, 0);
}

static void memory_infos(sal_mdw_t *w)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u32(r, 16);
    sal_mdw_u32(r, 48);
    sal_mdw_u64(r, (uint64_t)3); /* the count is 64 bits wide; see md_list_ext */
    memory_info(r, 0x10000, 0x1000, 0x1000, 0x104, 0x20000);
    memory_info(r, 0, 0x10000, 0x10000, 0x01, 0);
    memory_info(r, 0x400000, 0x1000, 0x1000, 0x20, 0x1000000);
    sal_mdw_stream(w, SAL_STREAM_MEMORY_INFO_LIST, sal_mdw_end(r));
}

static void utf16_field(sal_mdw_record_t *r, const char *text, size_t units)
{
    for (size_t i = 0; i < units; i++) {
        sal_mdw_u16(r, i < strlen(text) ? (uint16_t)text[i] : 0);
    }
}

static void assertion(sal_mdw_t *w)
{
    sal_mdw_record_t *r = sal_mdw_record(w);

    utf16_field(r, "x != 0", 128);
    utf16_field(r, "check", 128);
    utf16_field(r, "a.c", 128);
    sal_mdw_u32(r, 12);
    sal_mdw_u32(r, 1);
    sal_mdw_stream(w, SAL_STREAM_ASSERTION_INFO, sal_mdw_end(r));
}

static void memory64(sal_mdw_t *w)
{
    sal_mdw_loc_t bytes = sal_mdw_copy(w, "firstsecond!", 12);
    sal_mdw_record_t *r = sal_mdw_record(w);

    sal_mdw_u64(r, 2);
    sal_mdw_u64(r, bytes.rva);
    sal_mdw_u64(r, 0x20000);
    sal_mdw_u64(r, 5);
    sal_mdw_u64(r, 0x10000);
    sal_mdw_u64(r, 7);
    sal_mdw_stream(w, SAL_STREAM_MEMORY64_LIST, sal_mdw_end(r));
}

sal_span_t md_sample_windows(bool big_endian, apr_pool_t *p)
{
    static const uint8_t le[16] = { 0x96, 0x98, 0x32, 0x5a, 0x87, 0x52, 0xc1, 0x41,
                                    0x83, 0x8e, 0xd9, 0x89, 0x14, 0xe9, 0xb7, 0xff };
    static const uint8_t be[16] = { 0x5a, 0x32, 0x98, 0x96, 0x52, 0x87, 0x41, 0xc1,
                                    0x83, 0x8e, 0xd9, 0x89, 0x14, 0xe9, 0xb7, 0xff };
    sal_mdw_t *w = md_sample_begin(2, 0, big_endian, p);
    sal_mdw_module_t m = { .base = 0x400000,
                           .size = 0x2d000,
                           .timestamp = 0x45d35f6c,
                           .checksum = 9,
                           .name = "c:\\test_app.exe",
                           .has_version = true,
                           .version = { 0x00010002, 0x00030004, 5, 6 } };
    sal_mdw_module_t plain = {
        .base = 0x7c800000, .size = 0x1000, .timestamp = 0xab, .name = "k32.dll"
    };
    sal_mdw_exception_t e = {
        .thread_id = 3060, .code = 0xc0000005, .address = 0x40429e, .parameter_count = 99
    };

    unloaded(w);
    handles(w);
    memory_infos(w);
    assertion(w);
    memory64(w);
    thread(w, 3060, "UI", SAL_CPU_X86, 0x40429e, 0x12f320, big_endian);
    m.cv = sal_mdw_cv_pdb(w, big_endian ? be : le, 0x1f, "c:\\test_app.pdb");
    sal_mdw_module(w, &m);
    sal_mdw_module(w, &plain);
    e.context = context(w, SAL_CPU_X86, 0x40429e, 0x12f320, big_endian);
    sal_mdw_exception(w, &e);
    return md_sample_end(w, p);
}

/* ---- opening ---- */

typedef struct guarded_t {
    void *map;
    size_t size;
} guarded_t;

static apr_status_t unmap(void *data)
{
    guarded_t *g = data;

    munmap(g->map, g->size);
    return APR_SUCCESS;
}

sal_span_t md_guarded(sal_span_t bytes, apr_pool_t *p)
{
    guarded_t *g = apr_palloc(p, sizeof(*g));
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (bytes.size + page) / page * page;
    uint8_t *data;

    g->size = room + page;
    g->map = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g->map != MAP_FAILED);
    assert_int_equal(mprotect((char *)g->map + room, page, PROT_NONE), 0);
    apr_pool_cleanup_register(p, g, unmap, apr_pool_cleanup_null);
    data = (uint8_t *)g->map + room - bytes.size;
    if (bytes.size) {
        memcpy(data, bytes.data, bytes.size);
    }
    return (sal_span_t){ data, bytes.size, false };
}

sal_minidump_t *md_open_guarded(sal_span_t bytes, apr_pool_t *p)
{
    sal_minidump_t *md = NULL;
    sal_error_t err = { 0 };

    if (sal_minidump_open(&md, md_guarded(bytes, p), p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return md;
}

/* ---- reading it all ---- */

static uint64_t text_sum(const char *s)
{
    return s ? strlen(s) : 0;
}

static uint64_t span_sum(const sal_span_t *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->size; i++) {
        sum += s->data[i];
    }
    return sum;
}

static uint64_t pairs_sum(const sal_md_pair_t *pairs, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += text_sum(pairs[i].key) + text_sum(pairs[i].value);
    }
    return sum;
}

static uint64_t crashpad_sum(const sal_md_crashpad_t *c)
{
    uint64_t sum =
        text_sum(c->report_id) + text_sum(c->client_id) + pairs_sum(c->simple, c->n_simple);

    for (size_t i = 0; i < c->n_modules; i++) {
        sum += pairs_sum(c->modules[i].simple, c->modules[i].n_simple) +
               pairs_sum(c->modules[i].objects, c->modules[i].n_objects);
        for (size_t k = 0; k < c->modules[i].n_list; k++) {
            sum += text_sum(c->modules[i].list[k]);
        }
    }
    return sum;
}

static uint64_t threads_sum(const sal_minidump_t *md)
{
    uint64_t sum = 0;
    sal_regs_t regs;

    for (size_t i = 0; i < md->n_threads; i++) {
        const sal_md_thread_t *t = &md->threads[i];

        sum += text_sum(t->name) + span_sum(&t->stack) + span_sum(&t->context);
        if (sal_context_read(&regs, &t->context, md->system.cpu, NULL) == APR_SUCCESS) {
            sum += regs.value[0] + regs.valid;
        }
    }
    return sum;
}

static uint64_t modules_sum(const sal_minidump_t *md)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < md->n_modules; i++) {
        const sal_md_module_t *m = &md->modules[i];

        sum += text_sum(m->name) + text_sum(m->debug_file) + text_sum(m->debug_id) +
               text_sum(m->code_id) + text_sum(m->version);
    }
    for (size_t i = 0; i < md->n_unloaded; i++) {
        sum += text_sum(md->unloaded[i].name) + text_sum(md->unloaded[i].code_id);
    }
    return sum;
}

uint64_t md_read_all(const sal_minidump_t *md)
{
    const sal_md_system_t *s = &md->system;
    uint64_t sum = threads_sum(md) + modules_sum(md) + crashpad_sum(&md->crashpad);

    sum += text_sum(s->csd) + text_sum(s->os_name) + text_sum(s->os_version) +
           text_sum(s->cpu_name) + text_sum(s->cpu_info) + text_sum(s->microcode);
    for (size_t i = 0; i < md->n_memory; i++) {
        sum += span_sum(&md->memory[i].bytes);
    }
    for (size_t i = 0; i < md->n_regions; i++) {
        sum += text_sum(md->regions[i].name) + md->regions[i].size;
    }
    for (size_t i = 0; i < md->n_handles; i++) {
        sum += text_sum(md->handles[i].type_name) + text_sum(md->handles[i].object_name);
    }
    sum += text_sum(md->assertion.expression) + text_sum(md->assertion.function) +
           text_sum(md->assertion.file) + span_sum(&md->exception.context);
    return sum;
}
