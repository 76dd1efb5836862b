/*
 * File system primitives for what must survive a power cut. Private to the library: blobs and the
 * crash store are built from them (docs/durability.md says why in this order).
 *
 * Directories made below a root take its mode, and, where root makes them for the server's run
 * user, its owner; so a store that was made right stays right whoever sweeps it.
 */
#ifndef SAL_STORE_DURABLE_H
#define SAL_STORE_DURABLE_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/error.h"

typedef struct sal_fs_t {
    const char *root;
    mode_t dir_mode;
    uid_t uid;
    gid_t gid;
    bool give_away; /* we are root and the root directory is somebody else's */
    bool unnamed;   /* O_TMPFILE and linkat of /proc/self/fd/N work here */
} sal_fs_t;

/* Makes root if missing, reads its mode and owner, tries whether unnamed files work. */
apr_status_t sal_fs_open(sal_fs_t *fs, const char *root, apr_pool_t *p, sal_error_t *err);

/* mkdir that takes over mode and owner. One that exists is fine; *made (may be NULL) tells. */
apr_status_t sal_fs_mkdir(const sal_fs_t *fs, int parent_fd, const char *name, bool *made);

/* Makes and opens the directories of path ("a/b/c") below parent_fd; syncs parents of new ones. */
apr_status_t sal_fs_open_dirs(int *fd, const sal_fs_t *fs, int parent_fd, const char *path);

/* An unnamed file in a directory. */
apr_status_t sal_fs_unnamed(int *fd, const sal_fs_t *fs, int dir_fd);

/* A new file under this name (fallback where unnamed files do not work). */
apr_status_t sal_fs_named(int *fd, const sal_fs_t *fs, int dir_fd, const char *name);

/* Gives an open file a name. EEXIST if it is taken. */
apr_status_t sal_fs_link(int fd, int dir_fd, const char *name);

/* fsync. Never call it again on the same file after it failed: the second call lies. */
apr_status_t sal_fs_sync(int fd);

/* A random file name for something temporary: ".tmp-" and 16 hex digits, 22 bytes and NUL. */
void sal_fs_temp_name(char out[24]);

#endif
