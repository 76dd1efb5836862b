/*
 * The crash store: opening it, proving its promises, its directories, and whether it may take more.
 */
#include "crash/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "store/fs_known.h"

#define FORMAT_LINE "salvage-store 1\n"
#define STUCK_AFTER apr_time_from_sec(10)
#define PROBE_EVERY apr_time_from_sec(1)
#define SPACE_EVERY apr_time_from_sec(1)
#define MIN_FREE_DEFAULT (INT64_C(1) << 30)

const char *sal_crash_store_root(const sal_crash_store_t *store)
{
    return store->fs.root;
}

const char *sal_crash_store_doubt(const sal_crash_store_t *store)
{
    return store->doubt;
}

void sal_crash_store_min_free(sal_crash_store_t *store, apr_int64_t bytes)
{
    store->min_free = bytes;
    atomic_store(&store->space_checked, 0);
}

/* ---- opening ---- */

static apr_status_t close_store(void *data)
{
    sal_crash_store_t *s = data;
    int *fds[] = { &s->root_fd, &s->crash_fd, &s->pending_fd, &s->bad_fd, &s->trash_fd };

    for (int i = 0; i < 5; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
    }
    sal_presses_free(&s->presses);
    EVP_MD_free(s->sha256);
    pthread_mutex_destroy(&s->refused_lock);
    pthread_mutex_destroy(&s->days_lock);
    return APR_SUCCESS;
}

/* An unknown directory with files of others must not become a crash store by a slip of the pen. */
static bool is_foreign(int root_fd)
{
    int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    bool foreign = false;

    if (!dir) {
        return true;
    }
    while (!foreign && (e = readdir(dir)) != NULL) {
        foreign = e->d_name[0] != '.' && strcmp(e->d_name, "lost+found");
    }
    closedir(dir);
    return foreign;
}

/* Writes STORE/format whole; somebody else doing the same at the same time is fine. */
static apr_status_t make_format(sal_crash_store_t *s)
{
    char temp[24], text[64], uuid[SAL_CRASH_ID_LEN + 1];
    apr_status_t rv;
    int fd, n;

    sal_crash_id_make(uuid, apr_time_now(), 0);
    n = snprintf(text, sizeof(text), "%s%s\n", FORMAT_LINE, uuid);
    sal_fs_temp_name(temp);
    rv = sal_fs_named(&fd, &s->fs, s->root_fd, temp);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = sal_fd_write_all(fd, text, (apr_size_t)n);
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(fd);
    }
    close(fd);
    if (rv == APR_SUCCESS && linkat(s->root_fd, temp, s->root_fd, "format", 0) != 0) {
        rv = errno == EEXIST ? APR_SUCCESS : errno;
    }
    unlinkat(s->root_fd, temp, 0);
    return rv == APR_SUCCESS ? sal_fs_sync(s->root_fd) : rv;
}

static apr_status_t check_format(sal_crash_store_t *s, apr_pool_t *p, sal_error_t *err)
{
    const char *path = apr_pstrcat(p, s->fs.root, "/format", NULL);
    char *text;
    apr_size_t size;
    apr_status_t rv;

    if (access(path, F_OK) != 0) {
        if (is_foreign(s->root_fd)) {
            return sal_fail(err, SAL_E_UNSUPPORTED,
                            "%s is neither empty nor a crash store; give crash-store a folder of "
                            "its own",
                            s->fs.root);
        }
        rv = make_format(s);
        if (rv != APR_SUCCESS) {
            return sal_fail_os(err, rv, "crash store %s: making its format file", s->fs.root);
        }
    }
    rv = sal_file_read(&text, &size, path, 4096, p, err);
    if (rv == APR_SUCCESS && strncmp(text, FORMAT_LINE, strlen(FORMAT_LINE))) {
        rv = sal_fail(err, SAL_E_UNSUPPORTED, "%s: not a format that this version knows", path);
    }
    return rv;
}

static apr_status_t open_part(int *fd, sal_crash_store_t *s, const char *name, sal_error_t *err)
{
    apr_status_t rv = sal_fs_open_dirs(fd, &s->fs, s->root_fd, name);

    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "crash store %s/%s", s->fs.root, name);
}

static apr_status_t open_parts(sal_crash_store_t *s, apr_pool_t *p, sal_error_t *err)
{
    static const char *const plain[] = { "processed", "trash" };
    apr_status_t rv;
    int fd;

    for (int i = 0; i < 2; i++) {
        if ((rv = open_part(&fd, s, plain[i], err)) != APR_SUCCESS) {
            return rv;
        }
        close(fd);
    }
    if ((rv = open_part(&s->crash_fd, s, "crash", err)) != APR_SUCCESS ||
        (rv = open_part(&s->pending_fd, s, "pending", err)) != APR_SUCCESS ||
        (rv = open_part(&s->bad_fd, s, "bad", err)) != APR_SUCCESS ||
        (rv = open_part(&s->trash_fd, s, "trash", err)) != APR_SUCCESS) {
        return rv;
    }
    return sal_store_open(&s->blobs, s->fs.root, p, err);
}

apr_status_t sal_crash_store_open(sal_crash_store_t **out, const char *root, bool allow_unsafe,
                                  apr_pool_t *p, sal_error_t *err)
{
    sal_crash_store_t *s = apr_pcalloc(p, sizeof(*s));
    apr_status_t rv = sal_fs_open(&s->fs, root, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    s->doubt = sal_fs_doubt(root, p);
    if (s->doubt && !allow_unsafe) {
        return sal_fail(err, SAL_E_UNSUPPORTED,
                        "crash store %s is on %s: acknowledged crashes could be lost in a power "
                        "cut. Use ext4 with a journal or XFS, or set `store-unsafe-fs on`",
                        root, s->doubt);
    }
    s->root_fd = s->crash_fd = s->pending_fd = s->bad_fd = s->trash_fd = -1;
    s->min_free = -1;
    pthread_mutex_init(&s->days_lock, NULL);
    pthread_mutex_init(&s->refused_lock, NULL);
    sal_presses_init(&s->presses);
    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    apr_pool_cleanup_register(p, s, close_store, apr_pool_cleanup_null);
    s->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->root_fd < 0) {
        return sal_fail_os(err, errno, "crash store %s", root);
    }
    if ((rv = check_format(s, p, err)) != APR_SUCCESS ||
        (rv = open_parts(s, p, err)) != APR_SUCCESS ||
        (rv = sal_crash_store_probe(s, err)) != APR_SUCCESS) {
        return rv;
    }
    *out = s;
    return APR_SUCCESS;
}

/* ---- health ---- */

static apr_status_t probe_file(sal_crash_store_t *s, int *fd, const char *name)
{
    apr_status_t rv;

    if (!s->fs.unnamed) {
        return sal_fs_named(fd, &s->fs, s->pending_fd, name);
    }
    rv = sal_fs_unnamed(fd, &s->fs, s->pending_fd);
    return rv == APR_SUCCESS ? sal_fs_link(*fd, s->pending_fd, name) : rv;
}

apr_status_t sal_crash_store_probe(sal_crash_store_t *store, sal_error_t *err)
{
    char name[24];
    int fd = -1;
    apr_status_t rv;

    sal_fs_temp_name(name);
    rv = probe_file(store, &fd, name);
    if (rv == APR_SUCCESS) {
        rv = sal_fd_write_all(fd, "probe\n", 6);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(fd);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(store->pending_fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    unlinkat(store->pending_fd, name, 0);
    return rv == APR_SUCCESS
               ? rv
               : sal_fail_os(err, rv, "crash store %s: a trial write", store->fs.root);
}

void sal_crash_store_lost_write(sal_crash_store_t *store, apr_status_t rv)
{
    if (rv == ENOSPC || rv == EDQUOT || rv == EROFS) {
        return; /* nothing was lost but this report, and it is not acknowledged */
    }
    if (!atomic_exchange(&store->sick, 1)) {
        sal_log(SAL_LOG_ERROR, 9601,
                "crash store %s lost a write (error %d) and takes no more until a trial works",
                store->fs.root, (int)rv);
    }
}

static bool still_sick(sal_crash_store_t *s)
{
    long long last = atomic_load(&s->probed), now = apr_time_now();

    if (!atomic_load(&s->sick)) {
        return false;
    }
    if (now - last < PROBE_EVERY || !atomic_compare_exchange_strong(&s->probed, &last, now)) {
        return true;
    }
    if (sal_crash_store_probe(s, NULL) != APR_SUCCESS) {
        return true;
    }
    atomic_store(&s->sick, 0);
    sal_log(SAL_LOG_NOTICE, 9602, "crash store %s takes writes again", s->fs.root);
    return false;
}

static bool measure_space(const sal_crash_store_t *s)
{
    struct statvfs v;
    apr_uint64_t free_bytes, two_percent, floor;

    if (fstatvfs(s->root_fd, &v) != 0) {
        return true;
    }
    free_bytes = (apr_uint64_t)v.f_bavail * v.f_frsize;
    two_percent = (apr_uint64_t)v.f_blocks / 50 * v.f_frsize;
    floor =
        two_percent > (apr_uint64_t)MIN_FREE_DEFAULT ? two_percent : (apr_uint64_t)MIN_FREE_DEFAULT;
    if (s->min_free >= 0) {
        floor = (apr_uint64_t)s->min_free;
    }
    /* f_files is 0 where inodes are made on demand. */
    return free_bytes < floor || (v.f_files && v.f_favail < v.f_files / 100);
}

static bool is_short(sal_crash_store_t *s)
{
    long long last = atomic_load(&s->space_checked), now = apr_time_now();

    if (now - last >= SPACE_EVERY &&
        atomic_compare_exchange_strong(&s->space_checked, &last, now)) {
        int before = atomic_exchange(&s->space_short, measure_space(s));

        if (!before && atomic_load(&s->space_short)) {
            sal_log(SAL_LOG_ERROR, 9603,
                    "crash store %s is full to its watermark: new crashes are refused", s->fs.root);
        }
    }
    return atomic_load(&s->space_short);
}

static bool is_stuck(sal_crash_store_t *s)
{
    long long now = apr_time_now();

    for (int i = 0; i < SAL_COMMIT_SLOTS; i++) {
        long long began = atomic_load_explicit(&s->commits[i], memory_order_relaxed);

        if (began && now - began > STUCK_AFTER) {
            return true;
        }
    }
    return false;
}

apr_status_t sal_crash_store_admit(sal_crash_store_t *store, sal_error_t *err)
{
    if (still_sick(store)) {
        return sal_fail(err, SAL_E_SICK, "crash store %s lost a write", store->fs.root);
    }
    if (is_short(store)) {
        return sal_fail(err, APR_ENOSPC, "crash store %s is full", store->fs.root);
    }
    if (is_stuck(store)) {
        return sal_fail(err, APR_TIMEUP, "crash store %s: a commit waits for the disk",
                        store->fs.root);
    }
    return APR_SUCCESS;
}
