/*
 * The cache folder of upstream symbols. Files lie as <debug_file>/<DEBUGID>/<leaf>; what this
 * program keeps besides is under .salvage:
 *
 *   buildid/ID/debuginfo   what debuginfod gave
 *   miss/HH/HASH           "a server does not have a file": until when, and why
 *   down/HASH              "a server does not answer": the same
 *   instance               a random name of this folder, against asking oneself
 *   lock                   a byte of it, by the hash of a file's name, is that file's lock
 *   tmp/                   downloads under way
 */
#include "upstream/upstream_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"
#include "symbols/supplier_source.h"

#define LOCK_POLL_MIN APR_TIME_C(5000)
#define LOCK_POLL_MAX APR_TIME_C(100000)

const char *upstream_cache_path(const sal_upstream_t *u, const char *relative, apr_pool_t *p)
{
    return apr_pstrcat(p, u->opts.cache_dir, "/", relative, NULL);
}

apr_status_t upstream_make_folders(const sal_upstream_t *u, const char *path, apr_pool_t *p,
                                   sal_error_t *err)
{
    mode_t shared;

    return supply_make_folders(u->opts.cache_dir, path, &shared, p, err);
}

/* A file of the cache's own that others of the group may write as well, where the folder says so.
 */
static int open_own(const sal_upstream_t *u, const char *path, int flags)
{
    int fd = open(path, flags | O_CREAT | O_CLOEXEC, 0644);
    struct stat st;

    if (fd >= 0 && stat(u->opts.cache_dir, &st) == 0 && st.st_mode & S_IWGRP) {
        (void)!fchmod(fd, 0664);
    }
    return fd;
}

/* Hash of some texts: names no one can make collide. */
static void hash_of(unsigned char out[32], const char *a, const char *b, apr_pool_t *p)
{
    const char *both = apr_pstrcat(p, a, "\n", b ? b : "", NULL);

    sal_sha256(both, strlen(both), out);
}

static const char *memory_path(const sal_upstream_t *u, const char *server, const char *relative,
                               apr_pool_t *p)
{
    unsigned char hash[32];
    char hex[UPSTREAM_HASH];

    hash_of(hash, server, relative, p);
    sal_hex(hex, hash, 16);
    return relative
               ? apr_psprintf(p, "%s/" UPSTREAM_OWN "/miss/%.2s/%s", u->opts.cache_dir, hex, hex)
               : apr_psprintf(p, "%s/" UPSTREAM_OWN "/down/%s", u->opts.cache_dir, hex);
}

bool upstream_recall(upstream_memory_t *out, const sal_upstream_t *u, const char *server,
                     const char *relative, apr_pool_t *p)
{
    char text[UPSTREAM_REASON + 64];
    int fd = open(memory_path(u, server, relative, p), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    int64_t until;
    int at = 0;

    *out = (upstream_memory_t){ 0 };
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (sscanf(text, "%" SCNd64 " %d %n", &until, &out->count, &at) != 2 || !at) {
        return false;
    }
    out->until = (time_t)until;
    apr_cpystrn(out->reason, text + at, sizeof(out->reason));
    return out->until > time(NULL);
}

void upstream_remember(const sal_upstream_t *u, const char *server, const char *relative,
                       const upstream_memory_t *m, apr_pool_t *p)
{
    const char *path = memory_path(u, server, relative, p);
    const char *text =
        apr_psprintf(p, "%" PRId64 " %d %s\n", (int64_t)m->until, m->count, m->reason);
    const char *temp;
    int fd;

    if (upstream_make_folders(u, path, p, NULL) != APR_SUCCESS ||
        upstream_temp(&fd, &temp, u, p, NULL) != APR_SUCCESS) {
        return; /* asking again is the worst that comes of it */
    }
    if (sal_fd_write_all(fd, text, strlen(text)) != APR_SUCCESS || rename(temp, path) != 0) {
        unlink(temp);
    }
    close(fd);
}

void upstream_forget(const sal_upstream_t *u, const char *server, const char *relative,
                     apr_pool_t *p)
{
    unlink(memory_path(u, server, relative, p));
}

int upstream_lock(const sal_upstream_t *u, const char *relative, apr_time_t deadline, apr_pool_t *p,
                  sal_error_t *err)
{
    const char *path = upstream_cache_path(u, UPSTREAM_OWN "/lock", p);
    apr_interval_time_t pause = LOCK_POLL_MIN;
    unsigned char hash[32];
    uint64_t at;
    int fd = open_own(u, path, O_RDWR);

    if (fd < 0) {
        sal_fail_os(err, errno, "cannot open %s", path);
        return -1;
    }
    hash_of(hash, relative, NULL, p);
    memcpy(&at, hash, sizeof(at));
    /* Of the open file description: excludes threads too, and ends with the process. */
    while (true) {
        struct flock lock = {
            .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)(at >> 2), .l_len = 1
        };

        if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
            return fd;
        }
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            sal_fail_os(err, errno, "cannot lock %s", path);
            break;
        }
        if (apr_time_now() >= deadline || upstream_ends(u)) {
            sal_fail(err, APR_TIMEUP, "another process is still downloading %s", relative);
            break;
        }
        apr_sleep(pause);
        pause = pause * 2 > LOCK_POLL_MAX ? LOCK_POLL_MAX : pause * 2;
    }
    close(fd);
    return -1;
}

/* Downloads go where a rename can take them from. */
static const char *temp_folder(const sal_upstream_t *u, apr_pool_t *p)
{
    struct stat own, other;

    if (u->opts.tmp_dir && stat(u->opts.tmp_dir, &other) == 0 &&
        stat(u->opts.cache_dir, &own) == 0 && own.st_dev == other.st_dev) {
        return u->opts.tmp_dir;
    }
    return upstream_cache_path(u, UPSTREAM_OWN "/tmp", p);
}

apr_status_t upstream_temp(int *fd, const char **path, const sal_upstream_t *u, apr_pool_t *p,
                           sal_error_t *err)
{
    char *name = apr_pstrcat(p, temp_folder(u, p), "/salvage-upstream.XXXXXX", NULL);
    apr_status_t rv =
        upstream_make_folders(u, upstream_cache_path(u, UPSTREAM_OWN "/tmp/x", p), p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *fd = mkostemp(name, O_CLOEXEC);
    if (*fd < 0) {
        return sal_fail_os(err, errno, "cannot make %s", name);
    }
    (void)!fchmod(*fd, 0644); /* others of the host read the cache */
    *path = name;
    return APR_SUCCESS;
}

apr_status_t upstream_publish(const sal_upstream_t *u, const char *temp, const char *path,
                              apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = upstream_make_folders(u, path, p, err);

    if (rv == APR_SUCCESS && rename(temp, path) != 0) {
        rv = sal_fail_os(err, errno, "cannot rename %s to %s", temp, path);
    }
    return rv;
}

/* A random name, the same for all that use this folder; whoever links it first decides. */
static apr_status_t read_instance(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err)
{
    const char *path = upstream_cache_path(u, UPSTREAM_OWN "/instance", p);
    unsigned char random[8];
    const char *temp;
    char *text;
    char hex[17];
    apr_size_t size;
    apr_status_t rv = APR_SUCCESS;
    int fd;

    if (access(path, F_OK) != 0) {
        if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
            return sal_fail_os(err, errno, "no random numbers");
        }
        sal_hex(hex, random, sizeof(random));
        if ((rv = upstream_temp(&fd, &temp, u, p, err)) != APR_SUCCESS) {
            return rv;
        }
        rv = sal_fd_write_all(fd, hex, 16);
        close(fd);
        if (rv == APR_SUCCESS && link(temp, path) != 0 && errno != EEXIST) {
            rv = errno;
        }
        unlink(temp);
        if (rv != APR_SUCCESS) {
            return sal_fail_os(err, rv, "cannot make %s", path);
        }
    }
    rv = sal_file_read(&text, &size, path, 64, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    text[strcspn(text, "\r\n, ")] = '\0';
    u->instance = apr_pstrdup(u->pool, text);
    return *text ? APR_SUCCESS : sal_fail(err, SAL_E_MALFORMED, "%s is empty: remove it", path);
}

apr_status_t upstream_cache_open(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err)
{
    const char *slash = strrchr(u->opts.cache_dir, '/'); /* the path is absolute */
    const char *parent =
        apr_pstrmemdup(p, u->opts.cache_dir, (apr_size_t)(slash - u->opts.cache_dir));
    const char *inside = apr_pstrcat(p, u->opts.cache_dir, "/x", NULL);
    apr_status_t rv = *parent ? sal_dir_make(parent, 0755, 0, p, err) : APR_SUCCESS;
    mode_t shared;

    rv = rv ? rv : supply_make_folders(parent, inside, &shared, p, err);
    return rv ? rv : read_instance(u, p, err);
}
