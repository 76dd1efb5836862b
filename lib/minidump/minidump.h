/*
 * Minidumps: container, streams, CPU contexts; zero-copy over bytes that outlive the object.
 *
 * Opening decodes the directory and every stream the rest of the library needs. A bad record costs
 * that record, a bad stream costs that stream; only a missing header, a wrong version, an
 * unreadable directory fail the open. Both byte orders. Text is UTF-8 in the object's pool.
 * Formats: docs/minidump.md.
 */
#ifndef SAL_MINIDUMP_MINIDUMP_H
#define SAL_MINIDUMP_MINIDUMP_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"
#include "minidump/context.h"

/* ids of docs/minidump.md; the ones the library decodes */
enum sal_stream {
    SAL_STREAM_THREAD_LIST = 3,
    SAL_STREAM_MODULE_LIST = 4,
    SAL_STREAM_MEMORY_LIST = 5,
    SAL_STREAM_EXCEPTION = 6,
    SAL_STREAM_SYSTEM_INFO = 7,
    SAL_STREAM_MEMORY64_LIST = 9,
    SAL_STREAM_HANDLE_DATA = 12,
    SAL_STREAM_UNLOADED_MODULE_LIST = 14,
    SAL_STREAM_MISC_INFO = 15,
    SAL_STREAM_MEMORY_INFO_LIST = 16,
    SAL_STREAM_THREAD_INFO_LIST = 17,
    SAL_STREAM_THREAD_NAMES = 24,
    SAL_STREAM_CRASHPAD_INFO = 0x43500001,
    SAL_STREAM_BREAKPAD_INFO = 0x47670001,
    SAL_STREAM_ASSERTION_INFO = 0x47670002,
    SAL_STREAM_LINUX_CPU_INFO = 0x47670003,
    SAL_STREAM_LINUX_PROC_STATUS = 0x47670004,
    SAL_STREAM_LINUX_LSB_RELEASE = 0x47670005,
    SAL_STREAM_LINUX_CMD_LINE = 0x47670006,
    SAL_STREAM_LINUX_ENVIRON = 0x47670007,
    SAL_STREAM_LINUX_AUXV = 0x47670008,
    SAL_STREAM_LINUX_MAPS = 0x47670009,
    SAL_STREAM_LINUX_DSO_DEBUG = 0x4767000a,
    SAL_STREAM_STABILITY_REPORT = 0x4b6b0002,
    SAL_STREAM_MOZ_MACOS_CRASH_INFO = 0x4d7a0001,
    SAL_STREAM_MOZ_MACOS_BOOT_ARGS = 0x4d7a0002,
    SAL_STREAM_MOZ_LINUX_LIMITS = 0x4d7a0003,
    SAL_STREAM_MOZ_SOFT_ERRORS = 0x4d7a0004
};

typedef enum {
    SAL_OS_UNKNOWN,
    SAL_OS_WINDOWS,
    SAL_OS_MACOS,
    SAL_OS_IOS,
    SAL_OS_LINUX,
    SAL_OS_ANDROID,
    SAL_OS_SOLARIS,
    SAL_OS_PS3,
    SAL_OS_NACL
} sal_os_t;

typedef struct sal_md_thread_t {
    uint32_t id;
    const char *name; /* NULL if none */
    uint64_t stack_start;
    sal_span_t stack;   /* inline stack; size 0: look in the memory list */
    sal_span_t context; /* raw bytes; decode with sal_context_read */
    uint64_t teb;
} sal_md_thread_t;

typedef struct sal_md_module_t {
    uint64_t base;
    uint32_t size;
    uint32_t checksum, timestamp;
    const char *name;       /* code file, as recorded (full path); "" if unreadable */
    const char *debug_file; /* NULL if there is none */
    char debug_id[48];      /* Breakpad form; "" if none */
    const char *code_id;    /* lower case; "" if none */
    const char *version;    /* NULL if unknown */
} sal_md_module_t;

typedef struct sal_md_unloaded_t {
    uint64_t base;
    uint32_t size, checksum, timestamp;
    const char *name;
    const char *code_id;
} sal_md_unloaded_t;

typedef struct sal_md_memory_t {
    uint64_t base;
    sal_span_t bytes;
} sal_md_memory_t;

typedef struct sal_md_region_t { /* MemoryInfoList or Linux maps, sorted, not overlapping */
    uint64_t base, size;         /* size 0 never occurs */
    bool read, write, exec, is_private, committed, free, guard;
    uint32_t protection, state, type; /* Windows values, 0 for Linux */
    const char *name;                 /* Linux: path of the mapping, else NULL */
} sal_md_region_t;

typedef struct sal_md_handle_t {
    uint64_t handle;
    const char *type_name, *object_name; /* NULL if unknown */
} sal_md_handle_t;

typedef struct sal_md_exception_t {
    bool present;
    uint32_t thread_id;
    uint32_t code, flags;
    uint64_t address;
    uint32_t parameter_count; /* at most 15 */
    uint64_t parameters[15];
    sal_span_t context; /* size 0 if unreadable */
} sal_md_exception_t;

typedef struct sal_md_system_t {
    bool present;
    uint16_t arch; /* raw processor architecture */
    uint16_t level, revision;
    uint8_t cpu_count, product_type;
    uint32_t major, minor, build, platform;
    const char *csd; /* "" if none */
    sal_os_t os;
    sal_cpu_t cpu;
    const char *os_name;    /* "Linux", "Windows NT", ... ("0x%08x" if unknown) */
    const char *os_version; /* "6.1.7601 Service Pack 1"; NULL if unknown */
    const char *cpu_name;   /* "amd64", "x86", ... */
    const char *cpu_info;   /* NULL if unknown */
    const char *microcode;  /* "0x%x", NULL if unknown (LinuxCpuInfo) */
} sal_md_system_t;

typedef struct sal_md_misc_t {
    bool has_pid, has_times;
    uint32_t pid, create_time;
} sal_md_misc_t;

typedef struct sal_md_breakpad_t {
    bool present;
    uint32_t validity; /* 1: dump thread valid, 2: requesting thread valid */
    uint32_t dump_thread_id, requesting_thread_id;
} sal_md_breakpad_t;

typedef struct sal_md_pair_t {
    const char *key, *value;
} sal_md_pair_t;

/* Crashpad annotations: of the process, and of each module (list + simple + objects). */
typedef struct sal_md_crashpad_t {
    bool present;
    uint32_t version;
    char report_id[37], client_id[37];
    const sal_md_pair_t *simple;
    size_t n_simple;
    const struct sal_md_crashpad_module {
        uint32_t index, version;
        const char **list;
        size_t n_list;
        const sal_md_pair_t *simple;
        size_t n_simple;
        const sal_md_pair_t *objects;
        size_t n_objects; /* string-typed ones */
    } * modules;
    size_t n_modules;
} sal_md_crashpad_t;

typedef struct sal_md_assertion_t {
    bool present;
    const char *expression, *function, *file;
    uint32_t line, type;
} sal_md_assertion_t;

/* What only a microdump says; texts are NULL where it does not. */
typedef struct sal_md_microdump_t {
    bool present; /* the dump is one: it has no streams, and one thread with the id 0 */
    const char *product, *process_type;
    const char *gpu_version, *gpu_vendor, *gpu_renderer;
} sal_md_microdump_t;

typedef struct sal_minidump_t {
    sal_span_t file;
    apr_pool_t *pool;
    uint32_t time_date_stamp;
    uint64_t flags;
    uint32_t n_streams;

    sal_md_system_t system;
    sal_md_thread_t *threads;
    size_t n_threads;
    bool has_thread_list;
    sal_md_module_t *modules;
    size_t n_modules; /* dump order */
    sal_md_unloaded_t *unloaded;
    size_t n_unloaded;
    sal_md_memory_t *memory;
    size_t n_memory; /* sorted, not overlapping */
    sal_md_region_t *regions;
    size_t n_regions;       /* memory info or Linux maps */
    bool regions_are_linux; /* which of the two */
    bool has_linux_maps;
    size_t linux_map_count;
    sal_md_handle_t *handles;
    size_t n_handles;
    bool has_handles;
    sal_md_exception_t exception;
    sal_md_misc_t misc;
    sal_md_breakpad_t breakpad;
    sal_md_assertion_t assertion;
    sal_md_crashpad_t crashpad;
    sal_md_microdump_t microdump;
    const char *last_error_of_thread; /* reserved, NULL */

    size_t bad_records; /* records that were unreadable, or over a limit, and left out */

    /*
     * private to the room: modules sorted by address for lookup, the directory, what is used up
     * of the dump's share of text and annotations
     */
    uint32_t *module_order;
    size_t n_module_order;
    uint32_t directory_rva;
    size_t text_used, looked_at, pairs_used;
} sal_minidump_t;

/*
 * Opens the bytes, which must outlive p's use of the object: a minidump, or a text with a microdump
 * in it, of which the first one is read. On failure err->message begins with
 * the name that minidump-stackwalk prints ("MissingHeader", "HeaderMismatch", "VersionMismatch",
 * "MissingDirectory"), then " - " and the reason in words.
 */
SAL_API apr_status_t sal_minidump_open(sal_minidump_t **out, sal_span_t bytes, apr_pool_t *p,
                                       sal_error_t *err);

/* Raw bytes of a stream (the last of that type); false if absent or out of the file. */
SAL_API bool sal_minidump_stream(const sal_minidump_t *md, uint32_t type, sal_span_t *out);

/* Module whose range holds address, or NULL. */
SAL_API const sal_md_module_t *sal_minidump_module_at(const sal_minidump_t *md, uint64_t address);

/* Memory region of the dump holding address, or NULL. */
SAL_API const sal_md_memory_t *sal_minidump_memory_at(const sal_minidump_t *md, uint64_t address);

/* Mapping information for address, or NULL. */
SAL_API const sal_md_region_t *sal_minidump_region_at(const sal_minidump_t *md, uint64_t address);

#endif
