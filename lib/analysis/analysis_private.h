/*
 * What the files of this room share while one report is made.
 */
#ifndef SAL_ANALYSIS_PRIVATE_H
#define SAL_ANALYSIS_PRIVATE_H

#include <apr_hash.h>
#include "analysis/instruction.h"
#include "analysis/reason.h"
#include "analysis/stackwalk.h"
#include "base/json.h"
#include "unwind/unwind.h"

enum { SAL_ROOM_FRAME = 3 }; /* inlined calls take as much memory as one frame */

typedef struct sal_analysis_t {
    const sal_minidump_t *md;
    const sal_stackwalk_opts_t *opts;
    const sal_cpu_desc_t *cpu;
    int pointer_size; /* 4 or 8; 8 if the CPU is not known */
    sal_dump_symbols_t *syms;
    apr_hash_t *symbol_stats; /* basename of code file -> sal_symbol_stats_t */
    const json_t *certs;      /* file name -> subject, or NULL */
    int requesting;           /* index of the crashing thread; -1 */
    size_t room;              /* that the document still has, in inlined calls */
    unsigned copies;      /* of the thread that is being walked: 2 of the crashing one, else 1 */
    size_t unloaded_left; /* unloaded modules that may still be named in frames */
    sal_stackwalk_progress_t progress;
    size_t text_left; /* bytes of long names that frames may still repeat */
    apr_pool_t *pool;
} sal_analysis_t;

typedef struct sal_symbol_stats_t {
    bool loaded, corrupt;
    const char *url; /* NULL if unknown */
} sal_symbol_stats_t;

/* ---- values (json_value.c) ---- */

/* "0x" and at least as many digits as the dump's pointers have. */
json_t *sal_analysis_hex(const sal_analysis_t *r, uint64_t v);
/* String, null for NULL; text that is not UTF-8 is mended. */
json_t *sal_analysis_text(const sal_analysis_t *r, const char *s);
json_t *sal_analysis_text_n(const sal_analysis_t *r, const char *s, size_t len);
/*
 * A name in a frame: a hostile dump has a few long ones and many frames. Short names are free; long
 * ones are cut once text_left is used up.
 */
json_t *sal_analysis_name(sal_analysis_t *r, const char *s, size_t len);
/* An unsigned number; beyond int64 as the nearest double. */
json_t *sal_analysis_u64(uint64_t v);

/* ---- parts of the document; all return new references ---- */

json_t *sal_analysis_crash_info(const sal_analysis_t *r);                         /* crash_info.c */
json_t *sal_analysis_thread(sal_analysis_t *r, size_t index, json_t **registers); /* threads.c */
/* Arguments of each frame into frames, the array of its JSON (arguments.c). */
void sal_analysis_arguments(sal_analysis_t *r, json_t *frames, const sal_frame_t *walked, size_t n,
                            const sal_md_memory_t *stack);
json_t *sal_analysis_modules(const sal_analysis_t *r); /* modules.c */
json_t *sal_analysis_unloaded(const sal_analysis_t *r);
json_t *sal_analysis_unloaded_at(sal_analysis_t *r, uint64_t address);
void sal_analysis_count_symbols(sal_analysis_t *r);
json_t *sal_analysis_system(const sal_analysis_t *r); /* system.c */
json_t *sal_analysis_lsb_release(const sal_analysis_t *r);
json_t *sal_analysis_limits(const sal_analysis_t *r);
json_t *sal_analysis_handles(const sal_analysis_t *r);
json_t *sal_analysis_pid(const sal_analysis_t *r);
json_t *sal_analysis_uptime(const sal_analysis_t *r);
json_t *sal_analysis_soft_errors(const sal_analysis_t *r);
json_t *sal_analysis_mac_crash_info(const sal_analysis_t *r); /* mac_info.c */
json_t *sal_analysis_mac_boot_args(const sal_analysis_t *r);
json_t *sal_analysis_streams(const sal_analysis_t *r); /* streams.c */

#endif
