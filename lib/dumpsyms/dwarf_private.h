/*
 * What the DWARF reader's files share.
 *
 *   dwarf_file.c    sections and unit headers of a file
 *   dwarf_form.c    values of attributes: numbers, strings, addresses, references
 *   dwarf_abbrev.c  abbreviations
 *   dwarf_ranges.c  address ranges of a DIE
 *   dwarf_lines.c   the line table of a unit
 *   dwarf_names.c   names across units; numbers of origins and files
 *   dwarf_unit.c    the DIEs of a unit -> functions and inlined calls
 *   dwarf_nest.c    inlined calls made to nest; lines and calls of a function, packed
 *   dwarf_funcs.c   units over threads, everything put together
 *
 * The reader is our own and not libdw: it keeps no DIE and no line table longer than a unit takes,
 * its threads share one read-only image, and each of its loops has a bound. Bytes come from hostile
 * files; a damaged unit costs what stands behind the damage in it.
 *
 * Offsets are into the section; addresses as in the file, unless a comment says relative.
 */
#ifndef DUMPSYMS_DWARF_PRIVATE_H
#define DUMPSYMS_DWARF_PRIVATE_H

#include <dwarf.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dumpsyms/dump_private.h"

/* ---- bytes ---- */

/* Past its end everything reads as 0, and bad is set. */
typedef struct dw_cur_t {
    const uint8_t *p, *end;
    bool big, bad;
} dw_cur_t;

static inline uint64_t dw_fixed(dw_cur_t *c, unsigned n)
{
    uint64_t v = 0;

    if ((size_t)(c->end - c->p) < n) {
        c->bad = true;
        c->p = c->end;
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        v |= (uint64_t)c->p[c->big ? n - 1 - i : i] << (8 * i);
    }
    c->p += n;
    return v;
}

static inline void dw_advance(dw_cur_t *c, uint64_t n)
{
    if ((uint64_t)(c->end - c->p) < n) {
        c->bad = true;
        n = (uint64_t)(c->end - c->p);
    }
    c->p += n;
}

static inline uint64_t dw_uleb(dw_cur_t *c)
{
    uint64_t v = 0;
    unsigned shift = 0;

    while (c->p < c->end) {
        uint8_t byte = *c->p++;

        v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        shift += 7;
        if (byte < 0x80) {
            return v;
        }
    }
    c->bad = true;
    return 0;
}

static inline int64_t dw_sleb(dw_cur_t *c)
{
    uint64_t v = 0;
    unsigned shift = 0;

    while (c->p < c->end) {
        uint8_t byte = *c->p++;

        v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        shift += 7;
        if (byte < 0x80) {
            return (int64_t)(shift < 64 && (byte & 0x40) != 0 ? v | ~UINT64_C(0) << shift : v);
        }
    }
    c->bad = true;
    return 0;
}

/* Makes room for one more of size bytes after n; false: no memory, or too many. */
bool dw_room(void **array, uint32_t *cap, uint32_t n, size_t size);
#define DW_ROOM(array, cap, n) dw_room((void **)&(array), &(cap), (n), sizeof(*(array)))

/* ---- files and units ---- */

enum dw_section {
    DW_INFO,
    DW_ABBREV,
    DW_STR,
    DW_STR_OFFSETS,
    DW_ADDRS,
    DW_LINE,
    DW_LINE_STR,
    DW_RANGES,
    DW_RNGLISTS,
    DW_SECTIONS
};

typedef struct dw_span_t {
    const uint8_t *p;
    uint64_t n;
} dw_span_t;

typedef struct dw_file_t dw_file_t;

/* Compile and partial units; type units are left out. */
typedef struct dw_unit_t {
    const dw_file_t *file;
    uint64_t off, end, die; /* in .debug_info: header, one past the unit, its first DIE */
    uint64_t abbrev, line;
    uint64_t str_offsets, addr_base, rnglists_base, ranges_base;
    uint64_t low_pc, dwo_id;
    const char *dir;            /* of compilation, or NULL */
    const dw_file_t *addr_file; /* whose .debug_addr it uses: of the skeleton */
    uint16_t version, lang;
    uint8_t addr_size, offset_size;
    bool has_line, has_dwo_id, partial;
} dw_unit_t;

struct dw_file_t {
    dw_span_t s[DW_SECTIONS];
    bool big;
    bool split;           /* .dwo sections */
    const dw_file_t *alt; /* DWZ, or NULL */
    const dump_image_t *image;
    /* Read once, unit by unit, so that what was read can go even if it was inflated and the system
     * cannot read it again. */
    bool info_once, line_once;
    dw_unit_t *unit;
    uint32_t units, cap;
};

/* False: no .debug_info. */
bool dw_file_load(dw_file_t *f, const dump_image_t *image, bool split);
/* Fills f->unit; files it refers to must be there. */
bool dw_file_index(dw_file_t *f);
void dw_file_free(dw_file_t *f);
/* Split units take from their skeletons what only these know. */
void dw_join_split(dw_file_t *split, const dw_file_t *skeletons);
/* Does text go with the unit it is in? */
bool dw_text_goes(const dw_file_t *f, const char *text);
/* The unit of an offset, or NULL. */
const dw_unit_t *dw_unit_at(const dw_file_t *f, uint64_t off);

/* ---- abbreviations ---- */

typedef struct dw_attr_t {
    uint16_t name, form;
    int64_t implicit;
} dw_attr_t;

enum dw_role { DW_PLAIN, DW_FUNC, DW_INLINE, DW_SCOPE, DW_LEAF };

typedef struct dw_abbrev_t {
    uint32_t code, first, attrs;
    uint16_t tag, fixed; /* fixed, addrs, offsets: to skip a DIE of constant size */
    uint8_t addrs, offsets, role;
    bool children, variable, sibling;
} dw_abbrev_t;

typedef struct dw_abbrevs_t {
    const dw_file_t *file;
    uint64_t off;
    dw_abbrev_t *ab;
    dw_attr_t *attr;
    uint32_t n, cap, n_attr, cap_attr;
    bool dense; /* codes 1, 2, 3... in order */
} dw_abbrevs_t;

/* Reads the table at off, up to and with the code until (0: all of it). *work: bytes that may still
 * be read, over all tables. */
bool dw_abbrevs_read(dw_abbrevs_t *t, const dw_file_t *f, uint64_t off, uint64_t until,
                     uint64_t *work);
/* Does any table name this form? Yes if the section is damaged. */
bool dw_abbrevs_name(const dw_file_t *f, unsigned form);
const dw_abbrev_t *dw_abbrev_find(const dw_abbrevs_t *t, uint64_t code);
void dw_abbrevs_free(dw_abbrevs_t *t);

/* ---- values ---- */

enum dw_kind {
    DW_NONE,
    DW_CONST,
    DW_ADDR,
    DW_ADDRX,
    DW_TEXT, /* text */
    DW_REF,  /* u: in .debug_info of the unit's file */
    DW_REF_ALT,
    DW_SEC, /* u: in another section */
    DW_RNGX
};

typedef struct dw_value_t {
    enum dw_kind kind;
    uint64_t u;
    const char *text; /* NULL: damaged */
} dw_value_t;

void dw_value(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, const dw_attr_t *a);
void dw_skip(dw_cur_t *c, const dw_unit_t *u, unsigned form);
void dw_skip_die(dw_cur_t *c, const dw_unit_t *u, const dw_abbrevs_t *t, const dw_abbrev_t *ab);
bool dw_address(uint64_t *out, const dw_unit_t *u, const dw_value_t *v);
/* NUL-terminated text at an offset of a section, or NULL. */
const char *dw_text(const dw_file_t *f, enum dw_section s, uint64_t off);

/* ---- a thread's work ---- */

typedef struct dw_range_t {
    uint64_t start, end;
} dw_range_t;

typedef struct dw_row_t {
    uint64_t addr;
    uint32_t line, file;
} dw_row_t;

typedef struct dw_seq_t { /* rows in order of address; sequences apart from each other */
    uint64_t start, end;
    uint32_t row, rows;
    uint32_t order; /* in the program */
} dw_seq_t;

typedef struct dw_source_t { /* a file of a line table */
    const char *dir, *name;
    uint32_t id; /* in dump_funcs_t.files, or UINT32_MAX: not asked for yet */
} dw_source_t;

typedef struct dw_lines_t {
    const dw_unit_t *unit; /* whose table it is */
    dw_row_t *row;
    dw_seq_t *seq;
    const char **dir;
    dw_source_t *source;
    uint32_t rows, seqs, dirs, sources, cap_row, cap_seq, cap_dir, cap_source;
    uint32_t unknown; /* id of "no file", or UINT32_MAX */
} dw_lines_t;

/* A DIE, wherever it is. */
typedef struct dw_die_t {
    const dw_unit_t *unit; /* NULL: none */
    uint64_t off;
} dw_die_t;

typedef struct dw_fn_t { /* a subprogram with code */
    uint64_t die;
    uint32_t range, ranges; /* in dw_worker_t.frange */
} dw_fn_t;

typedef struct dw_inl_t { /* a range of an inlined call */
    uint64_t start, end;
    uint64_t die; /* abstract origin; in_alt: in the DWZ file */
    uint32_t frange, depth, order;
    uint32_t call_file, call_line;
    bool in_alt;
} dw_inl_t;

typedef struct dw_scope_t { /* a namespace, class or the like */
    uint64_t off, end;
    uint64_t spec; /* where its name is, if not here; 0: nowhere */
    const char *name;
    int32_t parent;
} dw_scope_t;

typedef struct dw_scopes_t {
    const dw_unit_t *unit;
    dw_scope_t *scope;
    uint32_t n, cap;
} dw_scopes_t;

typedef struct dw_known_t { /* origin numbers by DIE */
    const dw_unit_t *unit;
    uint64_t die;
    uint32_t id, epoch; /* of an epoch gone by: an empty place */
} dw_known_t;

typedef struct dw_func_out_t {
    dump_func_t f;
    size_t body;          /* in dw_worker_t.bytes: it may still move */
    uint32_t unit, order; /* the first of equal ones counts */
} dw_func_out_t;

enum { DW_CACHED = 16, DW_MAX_HOPS = 16 };

typedef struct dw_t dw_t;

typedef struct dw_frame_t {
    int32_t fn;     /* function whose code this is; -1: none */
    uint32_t depth; /* of inlining */
    int32_t scope, own_scope;
} dw_frame_t;

typedef struct dw_worker_t {
    dw_t *dw;
    pthread_t thread;
    bool failed; /* out of memory */
    /* bounds: each is a multiple of the input's size */
    uint64_t abbrev_work, range_work, line_work, name_work, emit_work;
    dw_abbrevs_t own, other[DW_CACHED];
    dw_lines_t lines;
    /* the unit at hand */
    const dw_unit_t *unit;
    dw_frame_t *frame;
    dw_fn_t *fn;
    dw_range_t *frange, *range;
    dw_inl_t *inl;
    uint32_t fns, franges, ranges, inls, cap_frame, cap_fn, cap_frange, cap_range, cap_inl;
    dw_scopes_t scopes, other_scopes[DW_CACHED];
    dw_known_t *known;
    uint32_t n_known, cap_known, epoch;
    /* the function at hand */
    dw_inl_t *nested, *heap;
    dump_site_t *site;
    dump_line_t *line;
    uint32_t nesteds, heaps, sites, n_lines, cap_nested, cap_heap, cap_site, cap_line;
    uint32_t *stack;
    uint32_t cap_stack;
    /* results */
    dw_func_out_t *out;
    uint32_t outs, cap_out;
    dump_buf_t bytes;
} dw_worker_t;

/* Names and file names, each once; threads share it. */
typedef struct dw_intern_t {
    pthread_mutex_t lock;
    dump_name_t *name;
    uint32_t n, cap;
    uint32_t *slot, slots; /* name numbers + 1, by hash; slots: a power of two */
    char **block;          /* texts that are not in a section */
    uint32_t blocks, cap_block;
    size_t used, size;
    bool failed;
} dw_intern_t;

bool dw_intern_init(dw_intern_t *t);
void dw_intern_free(dw_intern_t *t);
/* The number of a name. keep: text is the caller's and is copied; else it lives in a section. */
uint32_t dw_intern(dw_intern_t *t, const char *text, bool plain, bool keep);
/* A copy that lives as long as the table; NULL: no memory. */
const char *dw_intern_copy(dw_intern_t *t, const char *text);

struct dw_t {
    const dump_elf_t *elf;
    const dump_publics_t *names;
    dw_file_t main, alt, split;
    bool inlines;
    uint64_t load;
    atomic_uint next; /* unit not taken yet */
    uint32_t units;   /* of main, then of split */
    dw_intern_t origins, files;
};

/* ---- the steps ---- */

/* Abbreviations of a unit; those of w->unit stay valid until the next unit. */
const dw_abbrevs_t *dw_abbrevs_of(dw_worker_t *w, const dw_unit_t *u);

/* Ranges of a DIE into w->range; empty, eliminated and damaged ones are left out. */
typedef struct dw_pcs_t {
    dw_value_t low, high, ranges;
} dw_pcs_t;
void dw_ranges(dw_worker_t *w, const dw_unit_t *u, const dw_pcs_t *pcs);

/* The line table of w->unit into w->lines. */
void dw_lines_read(dw_worker_t *w);
/* The number of a file of that table. */
uint32_t dw_file_number(dw_worker_t *w, uint64_t index);

/* Name of a function's DIE. text is NULL if it has none; temp (malloc'ed) is set if text is in it.
 */
void dw_name(dw_worker_t *w, dw_die_t die, dump_name_t *name, char **temp);
/* The number of an origin. Numbers are remembered until the next epoch: a unit is one. */
uint32_t dw_origin(dw_worker_t *w, dw_die_t die);

/* Do functions of this unit's language have scopes in their names? */
bool dw_wants_scopes(const dw_unit_t *u);
/* The scopes of a unit that is not at hand. */
void dw_scopes_read(dw_worker_t *w, dw_scopes_t *s, const dw_unit_t *u);
/* A scope begins here; its number, or -1. */
int32_t dw_scope_open(dw_worker_t *w, dw_scopes_t *s, const dw_unit_t *u, uint64_t off,
                      const dw_abbrevs_t *t, const dw_abbrev_t *ab, dw_cur_t *c, int32_t parent);
/* The DIE that a value refers to; unit NULL: none. */
dw_die_t dw_referred(const dw_worker_t *w, const dw_unit_t *u, const dw_value_t *v);

/* Functions of a unit into w->out. order: the unit's place among all. */
void dw_unit_read(dw_worker_t *w, const dw_unit_t *u, uint32_t order);

/* Lines and inlined calls of one range of a function, packed behind w->bytes. inl: its calls. */
void dw_body(dw_worker_t *w, const dw_range_t *r, dw_inl_t *inl, uint32_t inls);

#endif
