/*
 * Which file systems keep the promises that the crash store rests on. Private to the library.
 */
#ifndef SAL_STORE_FS_KNOWN_H
#define SAL_STORE_FS_KNOWN_H

#include "base/error.h"

/*
 * NULL if the file system of the directory is known to order its metadata and to honour fsync
 * (ext4 with a journal, XFS, barriers on), else what it is or lacks, in p.
 */
const char *sal_fs_doubt(const char *dir, apr_pool_t *p);

#endif
