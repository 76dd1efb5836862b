/*
 * What a raw file is: an ELF, PE, PDB or Mach-O file by its content, with the ids that it carries.
 *
 * Ids follow docs/symbols.md ("Keys"). Knows neither the store nor how a file got here. Input may
 * be hostile: sizes are checked, and work is bounded by the number of headers that are looked at.
 */
#ifndef SAL_SYMBOLS_OBJECT_ID_H
#define SAL_SYMBOLS_OBJECT_ID_H

#include <stdbool.h>
#include "base/error.h"
#include "base/reader.h"
#include "symbols/module_id.h"

typedef enum {
    SAL_OBJECT_OTHER,
    SAL_OBJECT_ELF,
    SAL_OBJECT_PE,
    SAL_OBJECT_PDB,
    SAL_OBJECT_MACHO
} sal_object_format_t;

enum { SAL_BUILD_ID_HEX = 128 };

typedef struct sal_object_t {
    sal_object_format_t format;
    bool gzipped;    /* the file is gzip of it; only its first 4 MiB were looked at */
    bool has_code;   /* sections that a process loads have their content */
    bool has_debug;  /* DWARF, or it is a PDB or the binary of a dSYM */
    bool has_symtab; /* a full symbol table */
    char build_id[SAL_BUILD_ID_HEX + 1];  /* ELF: build id, Mach-O: UUID; lower-case hex, "" none */
    char code_id[SAL_BUILD_ID_HEX + 1];   /* PE: timestamp and size; ELF, Mach-O: build_id upper */
    char debug_id[SAL_DEBUG_ID_SIZE + 4]; /* upper-case; "" none */
    const char *debug_file;               /* PE: base name of its PDB, in the pool; else NULL */
} sal_object_t;

/* Looks at an open regular file without moving its offset. A file of no known format is no error.
 */
SAL_API apr_status_t sal_object_identify(sal_object_t *out, int fd, apr_pool_t *p,
                                         sal_error_t *err);

/* The same of bytes; `whole` false: what lies behind them is unknown. */
SAL_API void sal_object_read(sal_object_t *out, sal_span_t bytes, bool whole, apr_pool_t *p);

/* Kind of a stored file (symbol_file.kind) by content, or NULL for SAL_OBJECT_OTHER. */
SAL_API const char *sal_object_kind(const sal_object_t *o);

/*
 * Where a section's bytes lie in an ELF file, as they are stored. APR_ENOENT: no such section, or
 * it has no content here; SAL_E_MALFORMED: no ELF file, or a damaged one.
 */
SAL_API apr_status_t sal_elf_section(uint64_t *offset, uint64_t *size, sal_span_t elf,
                                     const char *name, sal_error_t *err);

#endif
