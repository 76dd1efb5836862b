/*
 * Which file systems are known. Measurements behind the list: docs/durability.md.
 */
#include "store/fs_known.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/text.h"

#define EXT4_MAGIC 0xef53
#define XFS_MAGIC 0x58465342

/* Kernel's name of a block device ("sda1", "dm-0"), or NULL. */
static const char *device_name(dev_t dev, apr_pool_t *p)
{
    char target[512];
    ssize_t n = readlink(apr_psprintf(p, "/sys/dev/block/%u:%u", major(dev), minor(dev)), target,
                         sizeof(target) - 1);

    if (n <= 0) {
        return NULL;
    }
    target[n] = '\0';
    return apr_pstrdup(p, sal_basename(target));
}

/* A mounted ext4 with a journal has a folder DEVICE-INODE here. */
static int has_journal(const char *device)
{
    DIR *dir = opendir("/proc/fs/jbd2");
    struct dirent *e;
    size_t len = strlen(device);
    int found = 0;

    if (!dir) {
        return 0;
    }
    while (!found && (e = readdir(dir)) != NULL) {
        found = !strncmp(e->d_name, device, len) && e->d_name[len] == '-';
    }
    closedir(dir);
    return found;
}

/* True if the mount of this device says that cache flushes are off. */
static int flushes_off(dev_t dev)
{
    char line[4096], id[32];
    FILE *f = fopen("/proc/self/mountinfo", "re");
    int off = 0;

    if (!f) {
        return 0;
    }
    snprintf(id, sizeof(id), " %u:%u ", major(dev), minor(dev));
    while (!off && fgets(line, sizeof(line), f)) {
        off = strstr(line, id) && (strstr(line, "nobarrier") || strstr(line, "barrier=0"));
    }
    fclose(f);
    return off;
}

const char *sal_fs_doubt(const char *dir, apr_pool_t *p)
{
    struct statfs fs;
    struct stat st;
    const char *device;

    if (statfs(dir, &fs) != 0 || stat(dir, &st) != 0) {
        return apr_psprintf(p, "a file system that cannot be examined (%s)", strerror(errno));
    }
    if (fs.f_type != EXT4_MAGIC && fs.f_type != XFS_MAGIC) {
        return apr_psprintf(p, "a file system of type 0x%lx, which is neither ext4 nor XFS",
                            (unsigned long)fs.f_type);
    }
    if (flushes_off(st.st_dev)) {
        return "a file system mounted with barriers off";
    }
    if (fs.f_type == XFS_MAGIC) {
        return NULL;
    }
    device = device_name(st.st_dev, p);
    if (!device || !has_journal(device)) {
        return "an ext4 on which no journal could be found";
    }
    return NULL;
}
