/*
 * The symcache file, byte for byte: shared by its writer and its reader, nobody else.
 *
 * Little endian; every reference is an index or an offset from the start of the file; sections are
 * 8-aligned and stand in the order of the enum. Described in docs/symcache.md; a change of meaning
 * or layout takes a new SYMX_VERSION.
 */
#ifndef SAL_SYMBOLS_SYMCACHE_FORMAT_H
#define SAL_SYMBOLS_SYMCACHE_FORMAT_H

#include <endian.h>
#include <stdint.h>

#define SYMX_MAGIC "SYMX"
enum { SYMX_VERSION = 4, SYMX_MIN_SHIFT = 5, SYMX_CHUNK_RANGES = 8 };
#define SYMX_NONE UINT32_MAX

/* The two top bits of symx_loc_t.line: the range continues what the range before it began. */
#define SYMX_LINE_CONT 0x80000000u   /* the same line record */
#define SYMX_INLINE_CONT 0x40000000u /* the same outermost inlined call */
#define SYMX_LINE_MAX 0x3fffffffu

/* symx_func_t.flags; the bits above them are the length of the name. */
enum { SYMX_FN_MULTIPLE = 1, SYMX_FN_PUBLIC = 2, SYMX_FN_INLINE = 4, SYMX_FN_LEN_SHIFT = 3 };
enum { SYMX_WIN_PROGRAM = 1, SYMX_WIN_BASE_POINTER = 2 };

enum symx_section {
    SYMX_CODE,   /* bytes: the ranges, chunk after chunk (symcache_code.h), then SYMX_C_PAD zeros */
    SYMX_BUCKET, /* u32: index of the first chunk at or above i << shift */
    SYMX_CHUNK,  /* symx_chunk_t: of SYMX_CHUNK_RANGES ranges, the last of fewer; ascending */
    SYMX_CALL,   /* symx_loc_t: call sites; the parent's index is smaller than its own */
    SYMX_FUNC,   /* symx_func_t */
    SYMX_FILE,   /* symx_str_t: the path, empty if unknown */
    SYMX_CFI,    /* symx_cfi_t, ascending, disjoint */
    SYMX_DELTA,  /* symx_delta_t, ascending within an INIT */
    SYMX_WIN,    /* symx_win_t of type 4, ascending, disjoint */
    SYMX_FPO,    /* symx_win_t of type 0, likewise */
    SYMX_BYTES,  /* texts, each behind its length; the header and STACK refer to the length */
    SYMX_SECTIONS
};

enum symx_string {
    SYMX_S_OS,
    SYMX_S_ARCH,
    SYMX_S_ID,
    SYMX_S_NAME,
    SYMX_S_CODE_ID,
    SYMX_S_CODE_FILE,
    SYMX_S_URL,
    SYMX_S_GENERATOR,
    SYMX_STRINGS
};

typedef struct symx_loc_t {
    uint32_t func, file, line, parent;
} symx_loc_t;
typedef struct symx_chunk_t {
    uint32_t start, offset; /* address of its first range, place in SYMX_CODE */
} symx_chunk_t;
typedef struct symx_func_t { /* name: where its text is; in the builder: which string */
    uint32_t name, address, size, params, flags;
} symx_func_t;
typedef struct symx_str_t {
    uint32_t offset, len;
} symx_str_t;
typedef struct symx_cfi_t {
    uint32_t start, size, rules, first_delta, n_deltas;
} symx_cfi_t;
typedef struct symx_delta_t {
    uint32_t address, rules;
} symx_delta_t;
typedef struct symx_win_t {
    uint32_t start, size, prologue, epilogue, params, saved, locals, max_stack, program, flags;
} symx_win_t;

typedef struct symx_section_t {
    uint64_t offset;
    uint32_t count;
    uint32_t element; /* bytes of one */
} symx_section_t;

typedef struct symx_header_t {
    char magic[4];
    uint32_t version;
    uint64_t total;       /* bytes of the file */
    uint64_t checksum;    /* XXH64 of the header with this field 0 */
    uint64_t stamp;       /* which source it was built from (sal_symcache_stamp_of), 0 if none */
    uint64_t source_size; /* bytes of the text */
    uint32_t shift;       /* of the buckets */
    uint32_t skipped;     /* damaged lines */
    uint32_t functions, lines, inlines, publics;
    uint32_t ranges, unused;
    uint32_t strings[SYMX_STRINGS];
    symx_section_t sections[SYMX_SECTIONS];
} symx_header_t;

_Static_assert(sizeof(symx_header_t) == 104 + 16 * SYMX_SECTIONS, "no padding in the header");

static const uint32_t symx_element[SYMX_SECTIONS] = {
    [SYMX_CODE] = 1,
    [SYMX_BUCKET] = 4,
    [SYMX_CHUNK] = sizeof(symx_chunk_t),
    [SYMX_CALL] = sizeof(symx_loc_t),
    [SYMX_FUNC] = sizeof(symx_func_t),
    [SYMX_FILE] = sizeof(symx_str_t),
    [SYMX_CFI] = sizeof(symx_cfi_t),
    [SYMX_DELTA] = sizeof(symx_delta_t),
    [SYMX_WIN] = sizeof(symx_win_t),
    [SYMX_FPO] = sizeof(symx_win_t),
    [SYMX_BYTES] = 1,
};

#endif
