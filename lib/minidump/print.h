/*
 * The raw contents of a minidump as text, for people who look into a dump or at its writer: layout
 * of minidump-stackwalk --dump. Records are shown as they are in the file, the bad ones too.
 */
#ifndef SAL_MINIDUMP_PRINT_H
#define SAL_MINIDUMP_PRINT_H

#include <stdio.h>
#include "minidump/minidump.h"

/*
 * Prints header, directory and every stream whose layout is known; brief leaves out the bytes of
 * memory. Errors of writing are left in f. md must be open; a microdump has no streams, and is
 * printed as what was read of it.
 */
SAL_API void sal_minidump_print(FILE *f, sal_minidump_t *md, bool brief);

/* Name of a stream type as in the documentation of the format ("ThreadListStream"), or NULL. */
SAL_API const char *sal_minidump_stream_name(uint32_t type);

#endif
