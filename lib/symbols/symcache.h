/*
 * Symcaches: a Breakpad .sym in a compact, position-independent file that is mapped, never loaded.
 *
 * One file serves symbolication (functions, lines, inlines, publics) and unwinding (STACK CFI,
 * STACK WIN). Readers check bounds on open and before every use: a damaged file gives no answer or
 * a wrong one, never a fault. A published file is never modified, only replaced or unlinked.
 * Format: docs/symcache.md.
 *
 * Thread rule: an open symcache is read-only and shared freely.
 */
#ifndef SAL_SYMBOLS_SYMCACHE_H
#define SAL_SYMBOLS_SYMCACHE_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"

typedef struct sal_symcache_t sal_symcache_t;

typedef struct sal_symcache_info_t {
    const char *os, *arch, *debug_id, *debug_file; /* of the MODULE line */
    const char *code_id, *url, *generator;         /* INFO lines, "" if none */
    uint64_t source_size;                          /* bytes of the .sym */
    uint32_t functions, lines, inlines, publics, cfi, win, files;
    uint32_t skipped_lines; /* damaged lines of the source */
    uint64_t file_size;
    const char *code_file; /* what follows the id of INFO CODE_ID, "" if nothing */
    uint32_t ranges;       /* of the index */
} sal_symcache_info_t;

/*
 * Builds path from the text of a .sym, plain or gzip or zstd (told by its first bytes). One linear
 * pass; damaged lines are skipped and counted. SAL_E_MALFORMED if there is no MODULE line.
 * The file appears as a whole (temporary name beside it, rename).
 */
SAL_API apr_status_t sal_symcache_build(const char *path, const char *sym_path, apr_pool_t *p,
                                        sal_error_t *err);

/*
 * A symcache that answers for some addresses only, as a whole one would: for who cannot wait for
 * that. One pass over the text at the speed of finding line ends; no unwinding records. offsets
 * are sorted, without duplicates.
 */
SAL_API apr_status_t sal_symcache_build_part(const char *path, const char *sym_path,
                                             const uint64_t *offsets, size_t n, apr_pool_t *p,
                                             sal_error_t *err);

/* A whole one from text in memory. */
SAL_API apr_status_t sal_symcache_build_mem(const char *path, sal_span_t text, apr_pool_t *p,
                                            sal_error_t *err);

/* Maps a symcache; unmapped with the pool. SAL_E_MALFORMED: rebuild it. */
SAL_API apr_status_t sal_symcache_open(sal_symcache_t **out, const char *path, apr_pool_t *p,
                                       sal_error_t *err);

/* The same on a file in memory, which must outlive it. */
SAL_API apr_status_t sal_symcache_open_mem(sal_symcache_t **out, sal_span_t file, apr_pool_t *p,
                                           sal_error_t *err);

/*
 * For who asks once all over a large file and has little memory: the kernel makes 64 KiB resident
 * around each page that is touched, and where it can a huge page. sparse, called first, forbids
 * huge ones; relax gives the resident pages of a large mapping back: later lookups read them again,
 * from the page cache. Other threads may go on asking meanwhile.
 */
SAL_API void sal_symcache_sparse(const sal_symcache_t *c);
SAL_API void sal_symcache_relax(const sal_symcache_t *c);

/* Which state of which source file it was built from; 0: from memory. See sal_symcache_stamp_of. */
SAL_API uint64_t sal_symcache_stamp(const sal_symcache_t *c);
struct stat;
SAL_API uint64_t sal_symcache_stamp_of(const struct stat *st);

/* Strings live as long as the symcache. */
SAL_API void sal_symcache_info(const sal_symcache_t *c, sal_symcache_info_t *out);

/* Text is not NUL-terminated and points into the mapping. */
typedef struct sal_str_t {
    const char *s;
    uint32_t len;
} sal_str_t;

typedef struct sal_sym_frame_t {
    sal_str_t function;
    sal_str_t file; /* len 0: unknown */
    uint32_t line;  /* 0: unknown */
} sal_sym_frame_t;

enum { SAL_SYM_MAX_INLINES = 512 };

typedef struct sal_sym_hit_t {
    sal_sym_frame_t outer;    /* the real function */
    uint32_t function_offset; /* start of the function or public, module relative */
    uint32_t function_size;   /* 0 for a public */
    uint32_t parameter_size;
    bool is_public, is_multiple; /* the "m" flag: folded code */
    uint32_t n_inlines;          /* total; `inlines` of sal_symcache_lookup gets at most max */
} sal_sym_hit_t;

/*
 * What is at a module-relative address. inlines (may be NULL) receives the inlined functions,
 * innermost first. False: nothing is known of the address.
 */
SAL_API bool sal_symcache_lookup(const sal_symcache_t *c, uint64_t address, sal_sym_hit_t *hit,
                                 sal_sym_frame_t *inlines, uint32_t max);

/* One of many lookups: the caller fills in the first two. */
typedef struct sal_sym_look_t {
    const sal_symcache_t *cache; /* NULL: nothing is found */
    uint64_t address;
    bool found;                               /* something may be known of it */
    uint32_t chunk, func, file, line, parent; /* opaque */
} sal_sym_look_t;

/*
 * sal_symcache_lookup for n addresses, of any symcaches, in three steps: this one for all of them,
 * then for each, if it is wanted, extend, then see. Some tens at a time take less than half of the
 * time, in step, for they do not wait for memory one after the other.
 */
SAL_API void sal_symcache_look(sal_sym_look_t *looks, size_t n);

/*
 * An address that no line record covers gets the place in its function that the last record before
 * it gave, and inlined functions without a line are left out: as readers answer that know only
 * where a record starts.
 */
SAL_API void sal_symcache_extend(sal_sym_look_t *look);

/* As sal_symcache_lookup. The texts are on their way from memory when this returns. */
SAL_API bool sal_symcache_see(const sal_sym_look_t *look, sal_sym_hit_t *hit,
                              sal_sym_frame_t *inlines, uint32_t max);

/*
 * Start of the line record that covers the address; where calls are inlined, of the outermost one:
 * what the offset in "file : line + 0x5" counts from. UINT32_MAX if nothing is known.
 */
SAL_API uint32_t sal_symcache_line_base(const sal_symcache_t *c, uint64_t address);

/* STACK CFI: rules of the INIT record covering address, and the deltas at or below it, in order. */
typedef struct sal_cfi_t {
    uint32_t start, size; /* range of the INIT record */
    sal_str_t init;
    uint32_t n_deltas;
    uint32_t first_delta; /* opaque */
} sal_cfi_t;
SAL_API bool sal_symcache_cfi(const sal_symcache_t *c, uint64_t address, sal_cfi_t *out);
/* Rules of delta i (0 .. n_deltas-1). */
SAL_API sal_str_t sal_symcache_cfi_delta(const sal_symcache_t *c, const sal_cfi_t *cfi, uint32_t i);

/* STACK WIN, frame data (type 4) or FPO (type 0). */
typedef struct sal_win_t {
    uint32_t start, size, prologue, epilogue, params, saved, locals, max_stack;
    bool has_program;
    bool allocates_base_pointer; /* FPO only */
    sal_str_t program;
} sal_win_t;
SAL_API bool sal_symcache_win(const sal_symcache_t *c, uint64_t address, bool fpo, sal_win_t *out);

#endif
