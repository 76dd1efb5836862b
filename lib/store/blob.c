/*
 * Blobs by key on a local file system. Knows nothing of what they hold.
 *
 * A writer works on an unnamed file where the file system has them, else on a temporary one held
 * under flock, so that a later open can tell what a dead process left.
 */
#include "store/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "store/durable.h"

#define KEY_MAX 1024
#define STALE_SECONDS 3600

struct sal_store_t {
    sal_fs_t fs;
    int root_fd;
};

struct sal_blob_writer_t {
    sal_store_t *store;
    apr_pool_t *pool;
    int fd;
    bool synced;
    int dir_fd;    /* where it was named; -1: not yet */
    char temp[24]; /* name in the root directory, "" for an unnamed file */
};

static apr_status_t close_store(void *data)
{
    close(((sal_store_t *)data)->root_fd);
    return APR_SUCCESS;
}

/* Removes a temporary file that no living process holds. */
static void reap_temp(int root_fd, const char *name)
{
    struct stat st;
    int fd = openat(root_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && st.st_ctime + STALE_SECONDS < time(NULL) &&
        flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlinkat(root_fd, name, 0);
    }
    close(fd);
}

static void reap_temps(int root_fd)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (!dir) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    while ((e = readdir(dir)) != NULL) {
        if (!strncmp(e->d_name, ".tmp-", 5)) {
            reap_temp(root_fd, e->d_name);
        }
    }
    closedir(dir);
}

apr_status_t sal_store_open(sal_store_t **out, const char *root, apr_pool_t *p, sal_error_t *err)
{
    sal_store_t *s = apr_pcalloc(p, sizeof(*s));
    apr_status_t rv = sal_fs_open(&s->fs, root, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    s->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root_fd < 0) {
        return sal_fail_os(err, errno, "store %s", root);
    }
    apr_pool_cleanup_register(p, s, close_store, apr_pool_cleanup_null);
    reap_temps(s->root_fd);
    *out = s;
    return APR_SUCCESS;
}

const char *sal_store_root(const sal_store_t *store)
{
    return store->fs.root;
}

static bool key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static bool component_ok(const char *s, apr_size_t len)
{
    if (len == 0 || len > 255 || (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))) {
        return false;
    }
    for (apr_size_t i = 0; i < len; i++) {
        if (!key_char(s[i])) {
            return false;
        }
    }
    return true;
}

static bool key_ok(const char *key)
{
    if (!key || strlen(key) > KEY_MAX) {
        return false;
    }
    for (;;) {
        const char *end = strchrnul(key, '/');

        if (!component_ok(key, (apr_size_t)(end - key))) {
            return false;
        }
        if (!*end) {
            return true;
        }
        key = end + 1;
    }
}

static apr_status_t bad_key(const char *key, sal_error_t *err)
{
    return sal_fail(err, APR_EINVAL, "\"%.100s\" is no key of a blob", key ? key : "");
}

const char *sal_blob_path(const sal_store_t *store, const char *key, apr_pool_t *p)
{
    return key_ok(key) ? apr_pstrcat(p, store->fs.root, "/", key, NULL) : NULL;
}

/* ---- writing ---- */

static apr_status_t abandon(void *data)
{
    sal_blob_writer_t *w = data;

    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    if (w->dir_fd >= 0) {
        close(w->dir_fd);
        w->dir_fd = -1;
    }
    if (w->temp[0]) {
        unlinkat(w->store->root_fd, w->temp, 0);
        w->temp[0] = '\0';
    }
    return APR_SUCCESS;
}

apr_status_t sal_blob_begin(sal_blob_writer_t **out, sal_store_t *store, apr_pool_t *p,
                            sal_error_t *err)
{
    sal_blob_writer_t *w = apr_pcalloc(p, sizeof(*w));
    apr_status_t rv;

    w->store = store;
    w->pool = p;
    w->fd = w->dir_fd = -1;
    if (store->fs.unnamed) {
        rv = sal_fs_unnamed(&w->fd, &store->fs, store->root_fd);
    } else {
        sal_fs_temp_name(w->temp);
        rv = sal_fs_named(&w->fd, &store->fs, store->root_fd, w->temp);
        if (rv == APR_SUCCESS && flock(w->fd, LOCK_EX | LOCK_NB) != 0) {
            rv = errno;
        }
    }
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "store %s: a new file", store->fs.root);
    }
    apr_pool_cleanup_register(p, w, abandon, apr_pool_cleanup_null);
    *out = w;
    return APR_SUCCESS;
}

apr_status_t sal_blob_write(sal_blob_writer_t *w, const void *data, apr_size_t size,
                            sal_error_t *err)
{
    apr_status_t rv = sal_fd_write_all(w->fd, data, size);

    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "store %s: writing", w->store->fs.root);
}

int sal_blob_fd(sal_blob_writer_t *w)
{
    return w->fd;
}

/*
 * Gives the written file its name, over an older one if there is one: that must not be lost to a
 * file that is not on disk.
 */
static apr_status_t name_blob(sal_blob_writer_t *w, int dir_fd, const char *leaf)
{
    char temp[24];
    apr_status_t rv;

    if (w->temp[0]) {
        if (!w->synced && (rv = sal_fs_sync(w->fd)) != APR_SUCCESS) {
            return rv;
        }
        if (renameat(w->store->root_fd, w->temp, dir_fd, leaf) != 0) {
            return errno;
        }
        w->temp[0] = '\0';
        return APR_SUCCESS;
    }
    rv = sal_fs_link(w->fd, dir_fd, leaf);
    if (rv != EEXIST) {
        return rv;
    }
    if (!w->synced && (rv = sal_fs_sync(w->fd)) != APR_SUCCESS) {
        return rv;
    }
    sal_fs_temp_name(temp); /* linkat cannot replace, rename can */
    rv = sal_fs_link(w->fd, dir_fd, temp);
    if (rv == APR_SUCCESS && renameat(dir_fd, temp, dir_fd, leaf) != 0) {
        rv = errno;
        unlinkat(dir_fd, temp, 0);
    }
    return rv;
}

/* Opens the key's directory, making it if need be, and gives the file its name there. */
static apr_status_t name_at(sal_blob_writer_t *w, const char *key)
{
    const char *slash = strrchr(key, '/');
    const char *dir = slash ? apr_pstrmemdup(w->pool, key, (apr_size_t)(slash - key)) : "";
    apr_status_t rv = sal_fs_open_dirs(&w->dir_fd, &w->store->fs, w->store->root_fd, dir);

    return rv == APR_SUCCESS ? name_blob(w, w->dir_fd, slash ? slash + 1 : key) : rv;
}

apr_status_t sal_blob_commit(sal_blob_writer_t *w, const char *key, sal_error_t *err)
{
    apr_status_t rv;

    if (!key_ok(key)) {
        return bad_key(key, err);
    }
    rv = sal_fs_sync(w->fd);
    if (rv == APR_SUCCESS) {
        w->synced = true;
        rv = name_at(w, key);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(w->dir_fd);
    }
    apr_pool_cleanup_run(w->pool, w, abandon);
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "store %s: %s", w->store->fs.root, key);
}

apr_status_t sal_blob_name(sal_blob_writer_t *w, const char *key, sal_error_t *err)
{
    apr_status_t rv;

    if (!key_ok(key)) {
        return bad_key(key, err);
    }
    if ((rv = name_at(w, key)) != APR_SUCCESS) {
        apr_pool_cleanup_run(w->pool, w, abandon);
        return sal_fail_os(err, rv, "store %s: %s", w->store->fs.root, key);
    }
    (void)sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a head start, no promise */
    return APR_SUCCESS;
}

apr_status_t sal_blob_sync(sal_blob_writer_t *w, sal_error_t *err)
{
    apr_status_t rv = sal_fs_sync(w->fd);

    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(w->dir_fd);
    }
    apr_pool_cleanup_run(w->pool, w, abandon);
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "store %s: syncing", w->store->fs.root);
}

/* ---- reading ---- */

apr_status_t sal_blob_map(sal_span_t *out, sal_store_t *store, const char *key, apr_pool_t *p,
                          sal_error_t *err)
{
    const char *path = sal_blob_path(store, key, p);

    return path ? sal_file_map(out, path, p, err) : bad_key(key, err);
}

apr_status_t sal_blob_remove(sal_store_t *store, const char *key, apr_pool_t *p, sal_error_t *err)
{
    const char *path = sal_blob_path(store, key, p);

    if (!path) {
        return bad_key(key, err);
    }
    return unlink(path) == 0 ? APR_SUCCESS : sal_fail_os(err, errno, "%s", path);
}
