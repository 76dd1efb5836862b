/*
 * What the parts of the symcache builder share: the tables in memory. Private to the room.
 *
 * symcache_build.c   records -> tables; what belongs to which FUNC
 * symcache_inline.c  lines and inlines of one FUNC -> its ranges (the sweep)
 * symcache_merge.c   ranges of all FUNCs and the PUBLICs -> one ascending sequence
 * symcache_stack.c   STACK records
 * symcache_tables.c  vectors, strings, numbers -> indexes
 * symcache_write.c   tables -> file
 * symcache_part.c    a symcache of what few addresses need
 */
#ifndef SAL_SYMBOLS_SYMCACHE_BUILD_H
#define SAL_SYMBOLS_SYMCACHE_BUILD_H

#include "base/error.h"
#include "symbols/symcache.h"
#include "symbols/symcache_code.h"
#include "symbols/symcache_format.h"
#include "symbols/symfile.h"

/* A vector of elements of one size; grows by half, so that slack stays small. */
typedef struct symx_vec_t {
    void *data;
    size_t count, capacity, element;
} symx_vec_t;

/* A new element at the end, or NULL: no memory, or SYMX_NONE elements. */
void *symx_push(symx_vec_t *v);
/* Room for `more` elements behind those there are; they are the caller's once he counts them. */
bool symx_reserve(symx_vec_t *v, size_t more);
#define SYMX_AT(v, type, i) (&((type *)(v).data)[i])

/* u32 -> u32: an array for small keys, which numbers in a .sym nearly always are, else hashed. */
enum { SYMX_DENSE_KEYS = 1 << 22 };
typedef struct symx_map_t {
    uint32_t *dense, n_dense;
    struct {
        uint32_t key, value;
    } * slots;
    uint32_t count, capacity;
} symx_map_t;

/* Points to the value of key: 0 if it is new, and then the caller sets it (to an index + 1). */
bool symx_map_get(symx_map_t *m, uint32_t key, uint32_t **value);
/* Its value, 0 if it is not there. */
uint32_t symx_map_peek(const symx_map_t *m, uint32_t key);

typedef struct symx_block_t { /* the ranges of one FUNC */
    uint32_t start, last;     /* addresses, last inclusive */
    uint32_t first, size;     /* of its ranges, in symx_build_t.code */
} symx_block_t;

typedef struct symx_public_t {
    uint32_t address, func;
} symx_public_t;

/* Lines and inlines of the FUNC being read. Ends are exclusive and may be 2^32. */
typedef struct symx_line_t {
    uint64_t start, end;
    uint32_t file, line, seq;
} symx_line_t;
typedef struct symx_inline_t {
    uint64_t start, end;
    uint32_t depth, seq, func, call_file, call_line;
} symx_inline_t;

typedef struct symx_slot_t { /* of the table of strings: index + 1, and the hash again */
    uint32_t index, hash;
} symx_slot_t;

typedef struct symx_build_t {
    symx_vec_t code, calls, funcs, files, strs, cfi, deltas, win, fpo, bytes;
    symx_vec_t blocks, publics;
    symx_vec_t lines, inlines, requeued; /* of the current FUNC */
    struct {
        uint32_t *slots;
        uint32_t capacity;
    } call_table;
    struct {
        symx_slot_t *slots;
        uint32_t capacity;
    } str_table;
    symx_map_t file_of, origin_of;
    enum { SYMX_NO_FUNC, SYMX_IN_FUNC, SYMX_SKIP_FUNC } state;
    uint32_t func; /* current FUNC */
    uint64_t start, end;
    uint32_t first_call; /* of the current FUNC */
    bool cfi_open, cfi_skip, has_module;
    uint32_t strings[SYMX_STRINGS];
    uint64_t stray; /* well-formed lines in a wrong place */
    uint32_t n_functions, n_lines, n_inlines, n_publics;
    uint64_t stamp;
    uint32_t n_ranges;
    uint64_t source_size, skipped, records;
} symx_build_t;

enum { SYMX_MAX_DEPTH = 512 };

/* Index of a string, deduplicated; SYMX_NONE: no memory. */
uint32_t symx_string(symx_build_t *b, const char *s, size_t len);

/* Stable; sorts only if out of order. False: no memory. */
typedef int (*symx_compare_fn)(const void *a, const void *b, void *baton);
bool symx_sort(symx_vec_t *v, symx_compare_fn compare, void *baton);

/* Everything beyond 4 GiB of a module is out of reach: offsets have 32 bits. */
#define SYMX_TOP (UINT64_C(1) << 32)

/* End of [address, address+size), at most SYMX_TOP; address is below it. */
static inline uint64_t symx_end(uint64_t address, uint64_t size)
{
    return size > SYMX_TOP - address ? SYMX_TOP : address + size;
}

apr_status_t symx_on_cfi_init(symx_build_t *b, const sal_symrec_t *r);
apr_status_t symx_on_cfi_delta(symx_build_t *b, const sal_symrec_t *r);
apr_status_t symx_on_win(symx_build_t *b, const sal_symrec_t *r);
/* Puts CFI and WIN in order, once all are there. False: no memory. */
bool symx_settle_stack(symx_build_t *b);

/* Turns the current FUNC's lines and inlines into ranges. */
apr_status_t symx_sweep(symx_build_t *b);

/* Called with every range of the final sequence, ascending. Anything but APR_SUCCESS ends it. */
typedef apr_status_t (*symx_range_fn)(void *baton, const symx_range_t *range);
apr_status_t symx_merge(symx_build_t *b, symx_range_fn fn, void *baton);
/* Sorts what symx_merge walks; once, before it. */
bool symx_merge_prepare(symx_build_t *b);

/* The file, under path as a whole. */
apr_status_t symx_write(symx_build_t *b, const char *path, apr_pool_t *p, sal_error_t *err);

/* Empty tables, freed with the pool; NULL: no memory. */
symx_build_t *symx_build_make(apr_pool_t *p);
/* Takes a record in; a sal_symrec_fn with a symx_build_t *. */
apr_status_t symx_on_record(void *baton, const sal_symrec_t *r);
/* Ends the reading and writes the file; name is the source's, for messages. */
apr_status_t symx_finish(symx_build_t *b, const char *path, const char *name,
                         const sal_symfile_stats_t *stats, apr_pool_t *p, sal_error_t *err);

#endif
