/*
 * The directories of a day: made when a crash needs them or, better, the day before; listed;
 * thrown away. Knows nothing of what is in a container, nor of the database.
 */
#include "crash/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>

/*
 * In a day's directory: all 256 below it and their names are on disk. It need not be durable
 * itself, as it is made after they were synced.
 */
#define READY ".ready"

void sal_crash_dir_of(char out[12], const char *id)
{
    sal_crash_id_day(out, id);
    out[8] = '/';
    out[9] = id[0];
    out[10] = id[1];
    out[11] = '\0';
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static bool is_ready(sal_crash_store_t *s, const char *day)
{
    char path[20];

    snprintf(path, sizeof(path), "%.8s/" READY, day);
    return faccessat(s->crash_fd, path, F_OK, 0) == 0;
}

static unsigned day_number(const char *day)
{
    return (unsigned)strtoul(day, NULL, 10);
}

/* Without the lock, for every crash: true if the directory is known to be there. */
static bool is_known(sal_crash_store_t *s, unsigned day, int xx)
{
    for (int i = 0; i < 2; i++) {
        sal_day_t *d = &s->days[i];

        if (atomic_load(&d->day) == day && atomic_load(&d->known[xx]) &&
            atomic_load(&d->day) == day) {
            if (atomic_load_explicit(&s->day_used, memory_order_relaxed) != i) {
                atomic_store_explicit(&s->day_used, i, memory_order_relaxed);
            }
            return true;
        }
    }
    return false;
}

/* The day's record, taking over the one that was used less recently. The lock is held. */
static sal_day_t *find_day(sal_crash_store_t *s, const char *day)
{
    unsigned number = day_number(day);
    sal_day_t *d;
    bool ready;

    for (int i = 0; i < 2; i++) {
        if (atomic_load(&s->days[i].day) == number) {
            return &s->days[i];
        }
    }
    atomic_store(&s->day_used, 1 - atomic_load(&s->day_used));
    d = &s->days[atomic_load(&s->day_used)];
    ready = is_ready(s, day);
    atomic_store(&d->day, 0);
    for (int i = 0; i < 256; i++) {
        atomic_store(&d->known[i], ready);
    }
    atomic_store(&d->day, number);
    return d;
}

/* crash/DAY, open and known to the disk, even if somebody else has just made it. */
static apr_status_t make_and_open_day(int *fd, sal_crash_store_t *s, const char *day)
{
    apr_status_t rv = sal_fs_mkdir(&s->fs, s->crash_fd, day, NULL);

    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(s->crash_fd);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    *fd = openat(s->crash_fd, day, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? errno : APR_SUCCESS;
}

/*
 * Makes crash/DAY and crash/DAY/xx and syncs their parents, even if somebody else has just made
 * them: that one may not have come to its sync yet.
 */
static apr_status_t make_dir(sal_crash_store_t *s, const char *dir)
{
    char day[9];
    int fd;
    apr_status_t rv;

    apr_cpystrn(day, dir, sizeof(day));
    rv = make_and_open_day(&fd, s, day);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = sal_fs_mkdir(&s->fs, fd, dir + 9, NULL);
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(fd);
    }
    close(fd);
    return rv;
}

static apr_status_t open_known(int *fd, sal_crash_store_t *s, const char *dir)
{
    *fd = openat(s->crash_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? errno : APR_SUCCESS;
}

/* One thread makes a directory, the others find it made. */
static apr_status_t make_and_open(int *fd, sal_crash_store_t *s, const char *dir, const char *day,
                                  int xx)
{
    apr_status_t rv = APR_ENOENT;
    sal_day_t *d;

    pthread_mutex_lock(&s->days_lock);
    d = find_day(s, day);
    if (atomic_load(&d->known[xx])) {
        rv = open_known(fd, s, dir);
    }
    if (rv != APR_SUCCESS) { /* not known yet, or the day was deleted under us */
        rv = make_dir(s, dir);
        if (rv == APR_SUCCESS) {
            rv = open_known(fd, s, dir);
        }
        atomic_store(&d->known[xx], rv == APR_SUCCESS);
    }
    pthread_mutex_unlock(&s->days_lock);
    return rv;
}

apr_status_t sal_crash_open_dir(int *fd, sal_crash_store_t *store, const char *id)
{
    int xx = hex_value(id[0]) << 4 | hex_value(id[1]);
    char dir[12], day[9];

    sal_crash_dir_of(dir, id);
    sal_crash_id_day(day, id);
    if (is_known(store, day_number(day), xx) && open_known(fd, store, dir) == APR_SUCCESS) {
        return APR_SUCCESS;
    }
    return make_and_open(fd, store, dir, day, xx);
}

/* ---- ahead of time ---- */

static apr_status_t make_all(sal_crash_store_t *s, int day_fd)
{
    apr_status_t rv = APR_SUCCESS;
    char xx[4];
    int fd;

    for (unsigned i = 0; i < 256 && rv == APR_SUCCESS; i++) {
        snprintf(xx, sizeof(xx), "%02x", i);
        rv = sal_fs_mkdir(&s->fs, day_fd, xx, NULL);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(day_fd);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_named(&fd, &s->fs, day_fd, READY);
        if (rv == APR_SUCCESS) {
            close(fd);
        }
    }
    return rv == EEXIST ? APR_SUCCESS : rv;
}

static apr_status_t make_day(sal_crash_store_t *s, const char *day)
{
    apr_status_t rv;
    int fd;

    if (is_ready(s, day)) {
        return APR_SUCCESS;
    }
    rv = make_and_open_day(&fd, s, day);
    if (rv == APR_SUCCESS) {
        rv = make_all(s, fd);
        close(fd);
    }
    return rv;
}

void sal_crash_day_of(char out[9], apr_time_t t)
{
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    snprintf(out, 9, "%04u%02u%02u", (unsigned)(e.tm_year + 1900) % 10000u,
             (unsigned)(e.tm_mon + 1) % 100u, (unsigned)e.tm_mday % 100u);
}

apr_status_t sal_crash_days_ahead(sal_crash_store_t *store, apr_time_t now, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    char day[9];

    for (int ahead = 0; ahead < 2 && rv == APR_SUCCESS; ahead++) {
        sal_crash_day_of(day, now + apr_time_from_sec(86400 * ahead));
        rv = make_day(store, day);
    }
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "%s/crash/%s", store->fs.root, day);
}

/* ---- listing ---- */

DIR *sal_crash_open_list(int dir_fd, const char *path)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir && fd >= 0) {
        close(fd);
    }
    return dir;
}

/* The id that a file name of crash/ stands for; false if it stands for none. */
static bool id_of(char id[SAL_CRASH_ID_LEN + 1], const char *name)
{
    if (strlen(name) != SAL_CRASH_ID_LEN + 4 || strcmp(name + SAL_CRASH_ID_LEN, ".zip")) {
        return false;
    }
    apr_cpystrn(id, name, SAL_CRASH_ID_LEN + 1);
    return sal_crash_id_valid(id);
}

static apr_status_t list_dir(sal_crash_store_t *store, const char *path, sal_crash_id_fn fn,
                             void *baton, sal_error_t *err)
{
    DIR *dir = sal_crash_open_list(store->crash_fd, path);
    char id[SAL_CRASH_ID_LEN + 1];
    struct dirent *e;
    apr_status_t rv = APR_SUCCESS;

    if (!dir) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "crash/%s", path);
    }
    while (rv == APR_SUCCESS && (errno = 0, e = readdir(dir)) != NULL) {
        if (id_of(id, e->d_name)) {
            rv = fn(baton, id, err);
        }
    }
    if (rv == APR_SUCCESS && errno) {
        rv = sal_fail_os(err, errno, "crash/%s", path);
    }
    closedir(dir);
    return rv;
}

bool sal_crash_is_day(const char *s)
{
    return strlen(s) == 8 && strspn(s, "0123456789") == 8;
}

apr_status_t sal_crash_list_day(sal_crash_store_t *store, const char *day, sal_crash_id_fn fn,
                                void *baton, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    char path[16];

    if (!sal_crash_is_day(day)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is not a day", day);
    }
    for (unsigned xx = 0; xx < 256 && rv == APR_SUCCESS; xx++) {
        snprintf(path, sizeof(path), "%.8s/%02x", day, xx);
        rv = list_dir(store, path, fn, baton, err);
    }
    return rv;
}

/* ---- throwing away ---- */

static apr_status_t forget_pending(sal_crash_store_t *store, const char *id)
{
    return unlinkat(store->pending_fd, id, 0) == 0 || errno == ENOENT ? APR_SUCCESS : errno;
}

apr_status_t sal_crash_remove(sal_crash_store_t *store, const char *id, sal_error_t *err)
{
    char dir[12], name[SAL_CRASH_ID_LEN + 5];
    apr_status_t rv;
    int fd;

    if (!sal_crash_id_valid(id)) {
        return sal_fail(err, APR_ENOENT, "\"%.40s\" is not a crash id", id);
    }
    rv = forget_pending(store, id);
    if (rv == APR_SUCCESS) { /* else a power cut here could bring the crash back */
        rv = sal_fs_sync(store->pending_fd);
    }
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "pending/%s", id);
    }
    sal_crash_dir_of(dir, id);
    fd = openat(store->crash_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "crash/%s", dir);
    }
    snprintf(name, sizeof(name), "%s.zip", id);
    if (unlinkat(fd, name, 0) != 0 && errno != ENOENT) {
        rv = errno;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(fd);
    }
    close(fd);
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "crash %s", id);
}

static apr_status_t forget_pending_of_day(sal_crash_store_t *store, const char *day)
{
    DIR *dir = sal_crash_open_list(store->pending_fd, ".");
    apr_status_t rv = APR_SUCCESS;
    struct dirent *e;
    char of[9];

    if (!dir) {
        return errno;
    }
    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (!sal_crash_id_valid(e->d_name)) {
            continue;
        }
        sal_crash_id_day(of, e->d_name);
        if (!strcmp(of, day)) {
            rv = forget_pending(store, e->d_name);
        }
    }
    closedir(dir);
    return rv == APR_SUCCESS ? sal_fs_sync(store->pending_fd) : rv;
}

/* Two levels of directories with files in them, as a day is. Symbolic links are not followed. */
static apr_status_t remove_tree(int parent_fd, const char *name, int depth)
{
    DIR *dir;
    struct dirent *e;
    apr_status_t rv = APR_SUCCESS;

    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
        return APR_SUCCESS;
    }
    if ((errno != EISDIR && errno != EPERM) || depth > 2) {
        return errno;
    }
    dir = sal_crash_open_list(parent_fd, name);
    if (!dir) {
        return errno;
    }
    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            rv = remove_tree(dirfd(dir), e->d_name, depth + 1);
        }
    }
    closedir(dir);
    if (rv == APR_SUCCESS && unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        rv = errno;
    }
    return rv;
}

apr_status_t sal_crash_empty_trash(sal_crash_store_t *store, sal_error_t *err)
{
    DIR *dir = sal_crash_open_list(store->trash_fd, ".");
    apr_status_t rv = APR_SUCCESS;
    struct dirent *e;

    if (!dir) {
        return sal_fail_os(err, errno, "%s/trash", store->fs.root);
    }
    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            rv = remove_tree(store->trash_fd, e->d_name, 0);
        }
    }
    closedir(dir);
    return rv == APR_SUCCESS ? rv : sal_fail_os(err, rv, "%s/trash", store->fs.root);
}

/* Out of its parent and into trash/, durably, and then away. */
static apr_status_t throw_away(sal_crash_store_t *store, int parent_fd, const char *day)
{
    char temp[24], target[40];
    apr_status_t rv;

    sal_fs_temp_name(temp);
    snprintf(target, sizeof(target), "%.8s%s", day, temp);
    if (renameat(parent_fd, day, store->trash_fd, target) != 0) {
        return errno;
    }
    rv = sal_fs_sync(store->trash_fd);
    return rv == APR_SUCCESS ? sal_fs_sync(parent_fd) : rv;
}

/* APR_EINVAL for what is no day, or one that somebody may be writing to. */
static apr_status_t check_over(const char *day, sal_error_t *err)
{
    char newest[9];

    sal_crash_day_of(newest, apr_time_now() - apr_time_from_sec(2 * 86400));
    return sal_crash_is_day(day) && strcmp(day, newest) <= 0
               ? APR_SUCCESS
               : sal_fail(err, APR_EINVAL, "\"%.20s\" is no day that is over for two days", day);
}

apr_status_t sal_crash_remove_day(sal_crash_store_t *store, const char *day, sal_error_t *err)
{
    apr_status_t rv = check_over(day, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = forget_pending_of_day(store, day);
    rv = rv == APR_SUCCESS ? throw_away(store, store->crash_fd, day) : rv;
    if (rv != APR_SUCCESS) {
        return rv == ENOENT ? APR_SUCCESS : sal_fail_os(err, rv, "crash/%s", day);
    }
    return sal_crash_empty_trash(store, err);
}

apr_status_t sal_processed_remove_day(sal_crash_store_t *store, const char *day, sal_error_t *err)
{
    apr_status_t rv = check_over(day, err);
    int fd;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    fd = openat(store->root_fd, "processed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rv = fd < 0 ? errno : throw_away(store, fd, day);
    if (fd >= 0) {
        close(fd);
    }
    if (rv != APR_SUCCESS) {
        return rv == ENOENT ? APR_SUCCESS : sal_fail_os(err, rv, "processed/%s", day);
    }
    return sal_crash_empty_trash(store, err);
}
