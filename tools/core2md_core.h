/*
 * salvage core2md: a Linux core file as a minidump. What its files share.
 *
 * cmd_core2md.c      command line, order of the work, output
 * core2md_core.c     the core file: segments, notes, memory
 * core2md_cpu.c      registers of a thread -> a context record, per machine
 * core2md_modules.c  mapped ELF files, their build ids
 * core2md_linux.c    what Linux tells about process and host: maps, names, cmdline ...
 */
#ifndef TOOLS_CORE2MD_CORE_H
#define TOOLS_CORE2MD_CORE_H

#include "base/reader.h"
#include "minidump/minidump.h"
#include "minidump/writer.h"

typedef struct core_machine_t core_machine_t;

typedef struct core_segment_t { /* PT_LOAD */
    uint64_t start, size;       /* in memory */
    sal_span_t bytes;           /* what the core holds of it, from start on */
    bool read, write, exec;
} core_segment_t;

typedef struct core_file_t { /* a file mapping of NT_FILE */
    uint64_t start, end, offset;
    const char *path;
} core_file_t;

typedef struct core_thread_t {
    uint32_t tid;
    sal_span_t status; /* NT_PRSTATUS */
    sal_span_t fp;     /* NT_PRFPREG, size 0 if there is none */
    sal_regs_t regs;
} core_thread_t;

typedef struct core_module_t {
    uint64_t base, size;
    const char *path;
    const uint8_t *id; /* build id, or hash of the code where there is none */
    size_t id_size;    /* 0: the module cannot be identified */
    bool from_core;    /* the id stands in the core itself */
} core_module_t;

typedef struct core_t {
    apr_pool_t *pool;
    const char *path;
    sal_span_t file;
    bool is64;
    const core_machine_t *machine;
    core_segment_t *segments;
    size_t n_segments; /* sorted by start */
    core_file_t *files;
    size_t n_files; /* sorted by start */
    core_thread_t *threads;
    size_t n_threads; /* the first is the one that crashed */
    core_module_t *modules;
    size_t n_modules;                 /* the program first */
    sal_span_t siginfo, psinfo, auxv; /* notes, size 0 if missing */
} core_t;

/*
 * Maps and reads a core. partial: a core that was cut short is taken for what it holds.
 * SAL_E_MALFORMED (no core, truncated), SAL_E_UNSUPPORTED (another machine).
 */
apr_status_t core_open(core_t **out, const char *path, bool partial, apr_pool_t *p,
                       sal_error_t *err);

/* Bytes of the core from address on, to the end of what it holds of that segment; may be empty. */
sal_span_t core_memory(const core_t *core, uint64_t address);

/* Segment that holds address, or NULL. */
const core_segment_t *core_segment_at(const core_t *core, uint64_t address);

/* Value of an auxiliary vector entry; 0 if it is not there. */
uint64_t core_auxv(const core_t *core, uint64_t type);

/* ---- machines ---- */

const core_machine_t *core_machine_find(unsigned e_machine, bool is64);
const char *core_machine_supported(void);
sal_cpu_t core_machine_cpu(const core_machine_t *m);
uint16_t core_machine_arch(const core_machine_t *m);     /* SystemInfo's number */
const char *core_machine_uname(const core_machine_t *m); /* what uname -m says */

/* Decodes tid and registers of t->status; false if the note is too short. */
bool core_thread_decode(const core_machine_t *m, core_thread_t *t);

/* The context record of a thread, put into the dump. */
sal_mdw_loc_t core_thread_context(const core_machine_t *m, const core_thread_t *t, sal_mdw_t *w,
                                  apr_pool_t *p);

/* NT_PRPSINFO: process id (0 if unknown), name and command line (NULL if unknown). */
uint32_t core_process_id(const core_t *core);
const char *core_process_name(const core_t *core);
const char *core_process_args(const core_t *core);

/* The signal of the core: number, si_code, fault address. False if it did not die of one. */
bool core_signal(const core_t *core, uint32_t *number, uint32_t *code, uint64_t *address);

/* ---- modules ---- */

/* Fills core->modules. exe (may be NULL) stands for the program's file. */
apr_status_t core_find_modules(core_t *core, const char *exe, sal_error_t *err);

/* Code at address from the file on disk, if that is the file that crashed; else empty. */
sal_span_t core_file_memory(const core_t *core, uint64_t address, size_t size, apr_pool_t *p);

/* "r-xp" and the like of mapped code at address, by its ELF headers; "---p" if they do not tell. */
void core_file_perms(const core_t *core, uint64_t address, char perms[5]);

/* ---- Linux ---- */

typedef struct core_linux_t {
    const char *proc; /* /proc/PID or a copy of it; NULL: the core alone */
    const char *host; /* root of the host's files ("/": this very host), or NULL */
} core_linux_t;

/* Adds SystemInfo and the Linux text streams. */
void core_write_linux(const core_t *core, const core_linux_t *opts, sal_mdw_t *w);

/* Name of a thread, or NULL. */
const char *core_thread_name(const core_t *core, const core_linux_t *opts, uint32_t tid);

#endif
