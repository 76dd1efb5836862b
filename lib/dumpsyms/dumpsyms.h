/*
 * From a program or library with debug information to the text of its Breakpad symbols.
 *
 * Input is ELF with DWARF 2 to 5: the file itself, a separate debug file, or both; compressed
 * sections, DWZ supplementary files and .gnu_debugdata are read. Output is what docs/dump-syms.md
 * lists: MODULE, INFO CODE_ID, FILE, INLINE_ORIGIN, FUNC with its lines and inlines, PUBLIC,
 * STACK CFI. Rules: Breakpad's symbol file format and the choices of rust-minidump's dump_syms.
 *
 * This room stands outside libsalvage (libdumpsyms), so that httpd does not load elfutils: only the
 * tool and the daemon link it. Input may be hostile: every size is checked, work is bounded.
 */
#ifndef SAL_DUMPSYMS_DUMPSYMS_H
#define SAL_DUMPSYMS_DUMPSYMS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/error.h"

typedef struct sal_dumpsyms_opts_t {
    const char *debug_path;        /* separate debug file; NULL: looked for as gdb does */
    const char *const *debug_dirs; /* roots for build ids and debug links, NULL-terminated; NULL:
                                    * /usr/lib/debug */
    const char *name;              /* of the module; NULL: DT_SONAME, or the file's base name */
    const char *const *extra_info; /* texts of INFO lines, NULL-terminated; NULL: none */
    bool no_inlines;               /* lines only, of the whole function */
    bool no_cfi;
    bool no_search;      /* use no file but those named here (hostile input) */
    int threads;         /* over compilation units; 0: one for each CPU */
    uint64_t max_output; /* bytes of text; 0: no bound */
} sal_dumpsyms_opts_t;

/* What was written. */
typedef struct sal_dumpsyms_info_t {
    char os[16], cpu[16];
    char debug_id[48]; /* 32 digits and age "0" */
    char code_id[136]; /* upper-case build id; "" if the file has none */
    const char *name;  /* module name, in the pool */
    uint32_t functions, lines, inlines, publics, cfi;
} sal_dumpsyms_info_t;

/*
 * Writes the symbols of the ELF file at path to out. Nothing is written before the input has been
 * understood as far as its header. APR_ENOENT: no such file; APR_EINVAL: not an ELF file, of a
 * machine that is not known, debug file of another build; APR_NOTFOUND: no symbols at all.
 */
SAL_API apr_status_t sal_dumpsyms_write(FILE *out, sal_dumpsyms_info_t *info, const char *path,
                                        const sal_dumpsyms_opts_t *opts, apr_pool_t *p,
                                        sal_error_t *err);

#endif
