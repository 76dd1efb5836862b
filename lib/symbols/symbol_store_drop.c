/*
 * Taking files out of the symbol store, while others put some in.
 *
 * A key is a hard link, so nothing here can take bytes from under a key: a blob without its own
 * name is still whole under every key that leads to it. What has to be watched is only that a key
 * is not ended after somebody has stored something new under it.
 */
#include "symbols/symbol_store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"

static const char *blob_path(const sal_symbol_store_t *store, const char *sha256, apr_pool_t *p)
{
    return apr_psprintf(p, "%s/blob/%.2s/%.2s/%s", store->root, sha256, sha256 + 2, sha256);
}

static bool is_digest(const char *sha256)
{
    return strlen(sha256) == SAL_SHA256_HEX && strspn(sha256, "0123456789abcdef") == SAL_SHA256_HEX;
}

/* The open file is this blob: the same inode, or, if the blob has lost its name, the same mark. */
static bool is_blob(const sal_symbol_store_t *store, int fd, const char *sha256, apr_pool_t *p)
{
    char mark[SAL_SHA256_HEX + 1];
    struct stat a, b;

    if (fstat(fd, &a) == 0 && stat(blob_path(store, sha256, p), &b) == 0 && a.st_ino == b.st_ino &&
        a.st_dev == b.st_dev) {
        return true;
    }
    return sal_symbol_store_digest(mark, fd) && !strcmp(mark, sha256);
}

static bool leads_to(const sal_symbol_store_t *store, const char *path, const char *sha256,
                     apr_pool_t *p)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes = fd >= 0 && is_blob(store, fd, sha256, p);

    if (fd >= 0) {
        close(fd);
    }
    return yes;
}

/* A name in ROOT/tmp that nothing has. */
static apr_status_t free_name(char **name, const sal_symbol_store_t *store, apr_pool_t *p,
                              sal_error_t *err)
{
    apr_status_t rv = sal_dir_make(apr_pstrcat(p, store->root, "/tmp", NULL), 0755, 0, p, err);
    int fd;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *name = apr_pstrcat(p, store->root, "/tmp/d-XXXXXX", NULL);
    if ((fd = mkostemp(*name, O_CLOEXEC)) < 0) {
        return sal_fail_os(err, errno, "cannot make a file in %s/tmp", store->root);
    }
    close(fd);
    return APR_SUCCESS;
}

/* Empty directories of an id and of a module go; one that is not empty, or just filled, stays. */
static void drop_directories(const char *path, apr_pool_t *p)
{
    char *dir = apr_pstrdup(p, path);

    for (int i = 0; i < 2; i++) {
        *strrchr(dir, '/') = '\0';
        if (rmdir(dir)) {
            return;
        }
    }
}

apr_status_t sal_symbol_store_unlink(sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                     bool is_try, const char *sha256, apr_pool_t *p,
                                     sal_error_t *err)
{
    const char *path = sal_symbol_store_path(store, key, is_try, p);
    char *aside;
    apr_status_t rv;

    if (!is_digest(sha256) || !leads_to(store, path, sha256, p)) {
        return APR_SUCCESS;
    }
    symbol_index_forget(store, key, is_try, p);
    if ((rv = free_name(&aside, store, p, err)) != APR_SUCCESS) {
        return rv;
    }
    /* Taken aside first: what is ended is looked at again when nobody can change it any more. */
    if (rename(path, aside)) {
        rv = errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "cannot unlink %s", path);
    } else if (!leads_to(store, aside, sha256, p) && link(aside, path) && errno != EEXIST) {
        rv = sal_fail_os(err, errno, "cannot put back %s", path);
    }
    unlink(aside);
    drop_directories(path, p);
    return rv;
}

/* ---- blobs ---- */

static bool is_loose(const struct stat *st, int min_age)
{
    return S_ISREG(st->st_mode) && st->st_nlink == 1 &&
           (min_age == 0 || st->st_ctime < time(NULL) - min_age);
}

apr_status_t sal_symbol_store_blob_drop(int64_t *freed, sal_symbol_store_t *store,
                                        const char *sha256, int min_age, apr_pool_t *p,
                                        sal_error_t *err)
{
    const char *path = is_digest(sha256) ? blob_path(store, sha256, p) : NULL;
    struct stat st;

    *freed = 0;
    if (!path || stat(path, &st) || !is_loose(&st, min_age)) {
        return APR_SUCCESS;
    }
    if (unlink(path)) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "cannot remove %s", path);
    }
    *freed = st.st_size;
    return APR_SUCCESS;
}

typedef struct {
    int min_age;
    sal_symbol_blob_fn fn;
    void *baton;
} walk_t;

static apr_status_t walk_leaves(const char *dir, const walk_t *w, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    DIR *d = opendir(dir);
    struct dirent *e;
    struct stat st;

    while (d && rv == APR_SUCCESS && (e = readdir(d))) {
        if (is_digest(e->d_name) && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            is_loose(&st, w->min_age)) {
            rv = w->fn(w->baton, e->d_name, err);
        }
    }
    if (d) {
        closedir(d);
    }
    return rv;
}

apr_status_t sal_symbol_store_loose_blobs(sal_symbol_store_t *store, int min_age,
                                          sal_symbol_blob_fn fn, void *baton, apr_pool_t *p,
                                          sal_error_t *err)
{
    const walk_t w = { min_age, fn, baton };
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *tmp;

    apr_pool_create(&tmp, p);
    for (int i = 0; i < 256 && rv == APR_SUCCESS; i++) { /* two levels of two hex digits */
        const char *dir = apr_psprintf(tmp, "%s/blob/%02x", store->root, i);
        struct stat st;
        bool there = stat(dir, &st) == 0;

        for (int k = 0; k < 256 && rv == APR_SUCCESS && there; k++) {
            rv = walk_leaves(apr_psprintf(tmp, "%s/%02x", dir, k), &w, err);
        }
        apr_pool_clear(tmp); /* dir, too */
    }
    apr_pool_destroy(tmp);
    return rv;
}
