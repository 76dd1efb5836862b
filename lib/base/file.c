/*
 * Files: map, read with a cap, publish as a whole. Plain system calls, because APR's file layer
 * has neither fsync of directories nor a mapping that outlives its descriptor. Knows no store.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

typedef struct mapping_t {
    void *base;
    size_t size;
} mapping_t;

static apr_status_t unmap(void *data)
{
    mapping_t *m = data;

    munmap(m->base, m->size);
    return APR_SUCCESS;
}

/* Opens a regular file for reading; a device or a pipe would block or never end. */
static apr_status_t open_regular(int *fd, struct stat *st, const char *path, sal_error_t *err)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", path);
    }
    if (fstat(*fd, st) != 0) {
        int code = errno;

        close(*fd);
        return sal_fail_os(err, code, "cannot stat %s", path);
    }
    if (!S_ISREG(st->st_mode)) {
        close(*fd);
        return sal_fail(err, APR_EINVAL, "%s is not a regular file", path);
    }
    return APR_SUCCESS;
}

apr_status_t sal_file_map(sal_span_t *out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    struct stat st;
    mapping_t *m;
    int fd, code;
    apr_status_t rv;

    *out = (sal_span_t){ (const uint8_t *)"", 0, false };
    if ((rv = open_regular(&fd, &st, path, err)) != APR_SUCCESS) {
        return rv;
    }
    if (st.st_size == 0) {
        close(fd);
        return APR_SUCCESS;
    }
    m = apr_palloc(p, sizeof(*m));
    m->size = (size_t)st.st_size;
    m->base = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    code = errno;
    close(fd);
    if (m->base == MAP_FAILED) {
        return sal_fail_os(err, code, "cannot map %s", path);
    }
    apr_pool_cleanup_register(p, m, unmap, apr_pool_cleanup_null);
    *out = (sal_span_t){ m->base, m->size, false };
    return APR_SUCCESS;
}

/* read(2) that repeats EINTR. */
static ssize_t read_some(int fd, char *buf, apr_size_t size)
{
    ssize_t n;

    do {
        n = read(fd, buf, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Twice the room, with the bytes so far. */
static char *grown(const char *buf, apr_size_t used, apr_size_t *room, apr_pool_t *p)
{
    char *more = apr_palloc(p, *room * 2);

    memcpy(more, buf, used);
    *room *= 2;
    return more;
}

/*
 * Reads to the end, at most max bytes. The size that the file system names is only where to start:
 * a file may grow meanwhile, and those of /proc say 0.
 */
static apr_status_t read_capped(int fd, apr_size_t expected, apr_size_t max, char **out,
                                apr_size_t *size, apr_pool_t *p)
{
    apr_size_t room = expected + 4096;
    char *buf = apr_palloc(p, room);
    ssize_t n;

    *size = 0;
    while ((n = read_some(fd, buf + *size, room - *size - 1)) > 0) {
        *size += (apr_size_t)n;
        if (*size > max) {
            return SAL_E_TOOBIG;
        }
        if (*size == room - 1) {
            buf = grown(buf, *size, &room, p);
        }
    }
    buf[*size] = '\0';
    *out = buf;
    return n < 0 ? errno : APR_SUCCESS;
}

apr_status_t sal_file_read(char **out, apr_size_t *size, const char *path, apr_size_t max,
                           apr_pool_t *p, sal_error_t *err)
{
    struct stat st;
    apr_status_t rv;
    int fd;

    if ((rv = open_regular(&fd, &st, path, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = (uint64_t)st.st_size > max ? SAL_E_TOOBIG
                                    : read_capped(fd, (apr_size_t)st.st_size, max, out, size, p);
    close(fd);
    if (rv == SAL_E_TOOBIG) {
        return sal_fail(err, rv, "%s is too large, the limit is %" APR_SIZE_T_FMT " bytes", path,
                        max);
    }
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "cannot read %s", path);
}

apr_status_t sal_fd_write_all(int fd, const void *data, apr_size_t size)
{
    const char *at = data;

    while (size) {
        ssize_t n = write(fd, at, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            return ENOSPC;
        }
        at += n;
        size -= (apr_size_t)n;
    }
    return APR_SUCCESS;
}

apr_status_t sal_dir_sync(const char *path, sal_error_t *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = 0;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open directory %s", path);
    }
    if (fsync(fd) != 0) {
        code = errno;
    }
    close(fd);
    return code ? sal_fail_os(err, code, "cannot fsync directory %s", path) : APR_SUCCESS;
}

/* Directory part of path: "a/b" -> "a", "b" -> ".", "/b" -> "/". */
static const char *parent_of(const char *path, apr_pool_t *p)
{
    apr_size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    while (len > 0 && path[len - 1] != '/') {
        len--;
    }
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return len ? apr_pstrmemdup(p, path, len) : ".";
}

static apr_status_t write_synced(int fd, const void *data, apr_size_t size, int mode)
{
    apr_status_t rv = sal_fd_write_all(fd, data, size);

    if (rv == APR_SUCCESS && fchmod(fd, (mode_t)mode) != 0) {
        rv = errno;
    }
    if (rv == APR_SUCCESS && fsync(fd) != 0) {
        rv = errno;
    }
    return rv;
}

apr_status_t sal_file_publish(const char *path, const void *data, apr_size_t size, int mode,
                              apr_pool_t *p, sal_error_t *err)
{
    char *tmp = apr_pstrcat(p, path, ".XXXXXX", NULL);
    int fd = mkostemp(tmp, O_CLOEXEC);
    apr_status_t rv;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot create a temporary file beside %s", path);
    }
    rv = write_synced(fd, data, size, mode);
    if (close(fd) != 0 && rv == APR_SUCCESS) {
        rv = errno;
    }
    if (rv == APR_SUCCESS && rename(tmp, path) != 0) {
        rv = errno;
    }
    if (rv != APR_SUCCESS) {
        unlink(tmp);
        return sal_fail_os(err, rv, "cannot write %s", path);
    }
    return sal_dir_sync(parent_of(path, p), err);
}

/* EEXIST is fine if it is a directory (or a link to one). */
static apr_status_t check_is_dir(const char *path, sal_error_t *err)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return sal_fail_os(err, errno, "cannot stat %s", path);
    }
    return S_ISDIR(st.st_mode) ? APR_SUCCESS
                               : sal_fail_os(err, ENOTDIR, "cannot make directory %s", path);
}

/*
 * mkdir; what root makes belongs to whom the folder around it belongs to. A command of the
 * administrator must leave no folder in a store that its server cannot write to.
 */
static int make_one(const char *path, mode_t mode, apr_pool_t *p)
{
    struct stat st;
    int rc = mkdir(path, mode);

    if (rc == 0 && geteuid() == 0 && stat(parent_of(path, p), &st) == 0 && st.st_uid != 0) {
        (void)!lchown(path, st.st_uid, st.st_gid);
    }
    return rc;
}

apr_status_t sal_dir_make(const char *path, int mode, int sync, apr_pool_t *p, sal_error_t *err)
{
    const char *parent;
    apr_status_t rv;

    if (make_one(path, (mode_t)mode, p) == 0) {
        return sync ? sal_dir_sync(parent_of(path, p), err) : APR_SUCCESS;
    }
    if (errno == EEXIST) {
        return check_is_dir(path, err);
    }
    parent = parent_of(path, p);
    if (errno != ENOENT || !strcmp(parent, path)) {
        return sal_fail_os(err, errno, "cannot make directory %s", path);
    }
    if ((rv = sal_dir_make(parent, mode, sync, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (make_one(path, (mode_t)mode, p) != 0) {
        if (errno != EEXIST) {
            return sal_fail_os(err, errno, "cannot make directory %s", path);
        }
        if ((rv = check_is_dir(path, err)) != APR_SUCCESS) {
            return rv;
        }
    }
    /* Also when another process was quicker: it may not have come to its own fsync yet. */
    return sync ? sal_dir_sync(parent, err) : APR_SUCCESS;
}
