/*
 * What the files of the room share: the module as it is collected, before it is written.
 *
 *   image.c    an ELF file in memory, inflated; debug_file.c finds separate ones
 *   elf.c      opens the files, identity, loadable range        -> dump_elf_t
 *   dwarf_*.c  units in parallel: functions, lines, inlines     -> dump_funcs_t
 *   publics.c  symbol tables                                    -> dump_publics_t
 *   cfi.c      .debug_frame and .eh_frame, straight to the text
 *   pack.c     lines and inlines in little room
 *   demangle.c names
 *   write.c    merges and writes
 *
 * Addresses are relative to the load address unless a name says vaddr.
 */
#ifndef DUMPSYMS_DUMP_PRIVATE_H
#define DUMPSYMS_DUMP_PRIVATE_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

#include "dumpsyms/dumpsyms.h"

/* ---- the files: image.c, debug_file.c, elf.c ---- */

/* An ELF file in memory, compressed sections inflated, without a link to a DWZ file: libdw opens
 * what the link names, which is ours to decide. Goes with its pool. */
typedef struct dump_image_t {
    const char *path;
    char *data;
    uint64_t size;
    uint64_t file_size; /* bytes that stand in the file too: the system can drop and read them */
    Elf *elf;           /* for one thread */
    apr_pool_t *pool;
    const char *altlink; /* .gnu_debugaltlink: path and build id; NULL: none */
    const uint8_t *alt_id;
    uint64_t alt_id_size;
} dump_image_t;

/* APR_EINVAL: not an ELF file. */
apr_status_t dump_image_open(dump_image_t **out, const char *path, apr_pool_t *p, sal_error_t *err);
void dump_image_close(dump_image_t *im);

/* The ELF file in xz-compressed data (.gnu_debugdata of path), or NULL. */
dump_image_t *dump_image_xz(const void *data, uint64_t size, const char *path, apr_pool_t *p);

typedef struct dump_elf_t {
    const char *path;
    dump_image_t *image, *debug_image, *alt_image; /* NULL: none; debug_image may be image */
    Elf *elf;                                      /* the program; symbols, CFI */
    Elf *debug; /* where DWARF is: elf itself or the separate file; NULL: none */
    Elf *mini;  /* .gnu_debugdata, inflated; NULL: none */
    GElf_Half machine;
    bool big_endian, is64;
    uint64_t load_vaddr; /* lowest PT_LOAD */
    const char *name;    /* of the module */
} dump_elf_t;

/* Fills info's identity too. All goes with the pool. */
apr_status_t dump_elf_open(dump_elf_t *e, sal_dumpsyms_info_t *info, const char *path,
                           const sal_dumpsyms_opts_t *opts, apr_pool_t *p, sal_error_t *err);

/* The section of that name that has contents, or NULL. */
Elf_Scn *dump_elf_section(Elf *elf, const char *name, GElf_Shdr *sh);

/* Its bytes as they stand in the file; NULL: absent or empty. */
Elf_Data *dump_elf_bytes(Elf *elf, const char *name, GElf_Shdr *sh);

/* Build id of a file, of at most 64 bytes; 0: none. */
size_t dump_elf_build_id(Elf *elf, uint8_t id[64]);

/* Sets debug_image and alt_image: options, build-id folders, debug links (debug_file.c). */
apr_status_t dump_elf_find_debug(dump_elf_t *e, const sal_dumpsyms_opts_t *opts, apr_pool_t *p,
                                 sal_error_t *err);

/* MODULE and INFO lines. */
void dump_header_write(FILE *out, const sal_dumpsyms_info_t *info, const sal_dumpsyms_opts_t *opts);

/* ---- functions: dwarf_*.c ---- */

/* A name: mangled or not as the input has it, demangled when it is written. */
typedef struct dump_name_t {
    const char *text; /* in a mapped section or in dump_funcs_t.owned; NULL: none */
    bool plain;       /* not mangled, whatever it looks like */
} dump_name_t;

/* One contiguous piece of code. Its lines and inlines are packed, 4 to 5 bytes a line: pack.c. */
typedef struct dump_func_t {
    uint64_t addr, size;
    dump_name_t name;
    const uint8_t *body;
    uint32_t body_size;
    bool multiple; /* other functions start here: "m" */
} dump_func_t;

/* All functions of a module, by address, one an address. The numbers of files and origins depend on
 * which thread came first: the writer numbers anew. */
typedef struct dump_funcs_t {
    dump_func_t *func;
    uint32_t funcs;
    const char **files;
    uint32_t n_files;
    dump_name_t *origins;
    uint32_t n_origins;
    void *owned; /* whatever else must live as long */
} dump_funcs_t;

/* No DWARF is no error: no functions. names: symbols by address, whose names stand before DWARF's
 * own (publics.c), or NULL. */
struct dump_publics_t;
apr_status_t dump_funcs_read(dump_funcs_t *f, const dump_elf_t *e,
                             const struct dump_publics_t *names, const sal_dumpsyms_opts_t *opts,
                             sal_error_t *err);
void dump_funcs_free(dump_funcs_t *f);

/* ---- packed lines and inlines: pack.c ---- */

typedef struct dump_line_t {
    uint64_t addr;
    uint32_t line, file; /* its size: to the next line or the end of the function */
} dump_line_t;

typedef struct dump_site_t { /* an inlined call and one of its ranges */
    uint64_t addr, size;
    uint32_t depth, call_line, call_file, origin;
} dump_site_t;

typedef struct dump_buf_t { /* bytes that grow */
    uint8_t *p;
    size_t n, size;
    bool failed; /* out of memory: nothing more is added */
} dump_buf_t;

void dump_buf_add(dump_buf_t *b, const void *data, size_t n);

/* Sites are sorted as they are to be written; equal neighbours (but for the range) are one record.
 * base: address of the function. */
void dump_pack(dump_buf_t *out, uint64_t base, const dump_site_t *site, uint32_t sites,
               const dump_line_t *line, uint32_t lines);

/* Reads back, in the order packed. */
typedef struct dump_unpack_t {
    const uint8_t *p, *end;
    uint64_t addr;
    uint32_t sites, ranges, lines; /* left to read */
    uint32_t line;
    dump_site_t site;
} dump_unpack_t;

void dump_unpack_start(dump_unpack_t *u, const dump_func_t *f);
/* The next record: *first tells whether it starts a new INLINE record or adds a range to the last.
 */
bool dump_unpack_site(dump_unpack_t *u, dump_site_t *site, bool *first);
bool dump_unpack_line(dump_unpack_t *u, dump_line_t *line); /* when all sites are read */

/* ---- symbols: publics.c ---- */

typedef struct dump_public_t {
    uint64_t addr, size;
    const char *name; /* as the symbol table has it, in the mapped file or the pool: the writer
                       * demangles, in parallel, and keeps no text; NULL: none */
    uint32_t order;   /* in the tables */
    bool multiple;    /* other names share the address: "m" */
    bool synthetic;   /* of a section: no name for a function */
} dump_public_t;

typedef struct dump_publics_t { /* by address, one an address */
    dump_public_t *sym;
    uint32_t n;
} dump_publics_t;

apr_status_t dump_publics_read(dump_publics_t *out, const dump_elf_t *e, apr_pool_t *p,
                               sal_error_t *err);

/* The symbol at exactly this address, or NULL. */
const dump_public_t *dump_public_at(const dump_publics_t *s, uint64_t addr);

/* ---- names: demangle.c ---- */

/* The name as signatures know it: clone suffixes off, demangled with parameters and without return
 * type; C names as they are. malloc'ed. Thread-safe. */
char *dump_demangle(const char *mangled);
bool dump_is_mangled(const char *name); /* by the look of it */

/* ---- CFI: cfi.c ---- */

/* STACK CFI lines, in order of address; counts records. */
apr_status_t dump_cfi_write(FILE *out, uint32_t *records, const dump_elf_t *e, apr_pool_t *p,
                            sal_error_t *err);

#endif
