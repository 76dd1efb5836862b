/*
 * What a file says it is: the debug id and code id in it, whatever a client says.
 */
#ifndef SAL_UPLOAD_IDENTITY_H
#define SAL_UPLOAD_IDENTITY_H

#include "upload/upload.h"

typedef struct sal_identity_t {
    const char *debug_file; /* of a .sym, else NULL: binaries do not know their name */
    const char *debug_id;   /* upper-case */
    const char *code_id;    /* upper-case, or NULL */
    const char *kind;       /* "sym", "elf", "pe", "macho", "pdb" */
} sal_identity_t;

/*
 * Reads the beginning of a .sym (symbols, packed as told) or the headers of an ELF, PE, PDB or
 * Mach-O file. SAL_E_MALFORMED if there is no identity to be found.
 */
SAL_API apr_status_t sal_identity_read(sal_identity_t *out, int fd, sal_packed_t packed,
                                       bool symbols, apr_pool_t *p, sal_error_t *err);

#endif
