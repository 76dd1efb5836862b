/*
 * File system primitives for what must survive a power cut. Knows nothing of blobs or crashes.
 */
#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

#define FILE_MODE 0640

void sal_fs_temp_name(char out[24])
{
    unsigned char random[8];
    char hex[17];

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        memset(random, 0, sizeof(random));
    }
    sal_hex(hex, random, sizeof(random));
    snprintf(out, 24, ".tmp-%.16s", hex);
}

apr_status_t sal_fs_sync(int fd)
{
    return fsync(fd) == 0 ? APR_SUCCESS : errno;
}

apr_status_t sal_fs_link(int fd, int dir_fd, const char *name)
{
    char path[32];

    /* AT_EMPTY_PATH would need a capability that the run user lacks. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) == 0 ? APR_SUCCESS : errno;
}

static void adopt(const sal_fs_t *fs, int fd)
{
    if (fs->give_away && fchown(fd, fs->uid, fs->gid) != 0) {
        return; /* seen later as a permission error by whoever needs the file */
    }
}

apr_status_t sal_fs_unnamed(int *fd, const sal_fs_t *fs, int dir_fd)
{
    *fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
    if (*fd < 0) {
        return errno;
    }
    adopt(fs, *fd);
    return APR_SUCCESS;
}

apr_status_t sal_fs_named(int *fd, const sal_fs_t *fs, int dir_fd, const char *name)
{
    *fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, FILE_MODE);
    if (*fd < 0) {
        return errno;
    }
    adopt(fs, *fd);
    return APR_SUCCESS;
}

apr_status_t sal_fs_mkdir(const sal_fs_t *fs, int parent_fd, const char *name, bool *made)
{
    int fd;

    if (made) {
        *made = false;
    }
    if (mkdirat(parent_fd, name, fs->dir_mode) != 0) {
        return errno == EEXIST ? APR_SUCCESS : errno;
    }
    if (made) {
        *made = true;
    }
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    adopt(fs, fd);
    if (fchmod(fd, fs->dir_mode) != 0) { /* the umask took bits away */
        apr_status_t rv = errno;

        close(fd);
        return rv;
    }
    close(fd);
    return APR_SUCCESS;
}

/* Opens the directory `name`, making it first if need be; consumes *fd and replaces it. */
static apr_status_t step_down(int *fd, const sal_fs_t *fs, const char *name)
{
    apr_status_t rv = APR_SUCCESS;
    bool made = false;
    int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (next < 0 && errno == ENOENT) {
        rv = sal_fs_mkdir(fs, *fd, name, &made);
        if (rv == APR_SUCCESS && made) {
            rv = sal_fs_sync(*fd);
        }
        if (rv == APR_SUCCESS) {
            next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
    }
    if (rv == APR_SUCCESS && next < 0) {
        rv = errno;
    }
    close(*fd);
    *fd = next;
    return rv;
}

apr_status_t sal_fs_open_dirs(int *fd, const sal_fs_t *fs, int parent_fd, const char *path)
{
    char name[256];
    const char *end;
    apr_status_t rv;

    *fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) {
        return errno;
    }
    for (; *path; path = *end ? end + 1 : end) {
        end = strchrnul(path, '/');
        if ((apr_size_t)(end - path) >= sizeof(name)) {
            close(*fd);
            *fd = -1;
            return ENAMETOOLONG;
        }
        apr_cpystrn(name, path, (apr_size_t)(end - path) + 1);
        rv = step_down(fd, fs, name);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

/* Unnamed files need O_TMPFILE (not NFS, not old overlayfs) and /proc (not every chroot). */
static bool try_unnamed(const sal_fs_t *fs, int dir_fd)
{
    char name[24];
    bool works = false;
    int fd;

    if (sal_fs_unnamed(&fd, fs, dir_fd) != APR_SUCCESS) {
        return false;
    }
    sal_fs_temp_name(name);
    if (sal_fs_link(fd, dir_fd, name) == APR_SUCCESS) {
        works = true;
        unlinkat(dir_fd, name, 0);
    }
    close(fd);
    return works;
}

apr_status_t sal_fs_open(sal_fs_t *fs, const char *root, apr_pool_t *p, sal_error_t *err)
{
    struct stat st;
    apr_status_t rv;
    int fd;

    if (stat(root, &st) != 0) {
        rv = sal_dir_make(root, 0770, 1, p, err);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        rv = errno;
        if (fd >= 0) {
            close(fd);
        }
        return sal_fail_os(err, rv, "%s", root);
    }
    fs->root = apr_pstrdup(p, root);
    fs->dir_mode = st.st_mode & 07777;
    fs->uid = st.st_uid;
    fs->gid = st.st_gid;
    fs->give_away = geteuid() == 0 && (st.st_uid != 0 || st.st_gid != 0);
    fs->unnamed = try_unnamed(fs, fd);
    close(fd);
    return APR_SUCCESS;
}
