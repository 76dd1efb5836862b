/*
 * From the store to the database: rows for what is in pending/ and not known there yet. Everything
 * here may run twice, beside itself, or be cut off anywhere: links, inserts and unlinks are
 * idempotent (docs/durability.md).
 */
#include "crash/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/text.h"
#include "db/db.h"

#define BATCH 500

/* ---- rows ---- */

/* Fills a row from an open container; without a readable time the day of the id has to do. */
static apr_status_t fill_row(sal_pending_row_t *row, const char *id, sal_crash_reader_t *r,
                             sal_error_t *err)
{
    apr_time_exp_t t = { 0 };
    apr_status_t rv = sal_crash_submitted(&row->submitted, r, err);

    apr_cpystrn(row->id, id, sizeof(row->id));
    if (rv == APR_SUCCESS && row->submitted == 0) {
        t.tm_year = 100 + (id[30] - '0') * 10 + (id[31] - '0');
        t.tm_mon = (id[32] - '0') * 10 + (id[33] - '0') - 1;
        t.tm_mday = (id[34] - '0') * 10 + (id[35] - '0');
        apr_time_exp_gmt_get(&row->submitted, &t);
    }
    return rv;
}

apr_status_t sal_pending_row(sal_pending_row_t *row, const char *id, sal_crash_store_t *store,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_crash_reader_t *r;
    apr_pool_t *tmp; /* its own: the reader holds a descriptor until it ends */
    apr_status_t rv;

    apr_pool_create(&tmp, p);
    rv = sal_crash_open(&r, store, id, tmp, err);
    if (rv == APR_SUCCESS) {
        rv = fill_row(row, id, r, err);
    }
    apr_pool_destroy(tmp);
    return rv;
}

static apr_status_t insert_rows(const sal_pending_row_t *rows, int n, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    const char **ids = apr_palloc(p, (apr_size_t)n * sizeof(*ids));
    const char **times = apr_palloc(p, (apr_size_t)n * sizeof(*times));

    for (int i = 0; i < n; i++) {
        ids[i] = rows[i].id;
        times[i] = sal_time_iso(rows[i].submitted, p);
    }
    /* One statement is one transaction. */
    return sal_db_exec(db, &sal_s_crash_enqueue, NULL, p, err, SAL_V_TEXTS(ids, (apr_size_t)n),
                       SAL_V_TEXTS(times, (apr_size_t)n));
}

/* Classes 22, 23, 54: the values are at fault, so others of the batch may pass. */
static bool is_content_error(apr_status_t rv, const sal_error_t *err)
{
    return rv == SAL_E_DB && (!strncmp(err->sqlstate, "22", 2) ||
                              !strncmp(err->sqlstate, "23", 2) || !strncmp(err->sqlstate, "54", 2));
}

/* True the first time that this process sees the crash refused, as far as it remembers. */
static bool is_news(sal_crash_store_t *store, const char *id)
{
    bool known = false;

    pthread_mutex_lock(&store->refused_lock);
    for (int i = 0; i < SAL_REFUSED_KEPT && !known; i++) {
        known = !strcmp(store->refused[i], id);
    }
    if (!known) {
        apr_cpystrn(store->refused[store->refused_next], id, SAL_CRASH_ID_LEN + 1);
        store->refused_next = (store->refused_next + 1) % SAL_REFUSED_KEPT;
    }
    pthread_mutex_unlock(&store->refused_lock);
    return !known;
}

static apr_status_t insert_halving(sal_crash_store_t *store, const sal_pending_row_t *rows, int n,
                                   int *refused, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    apr_pool_t *tmp;
    apr_status_t rv;

    apr_pool_create(&tmp, p);
    rv = insert_rows(rows, n, db, tmp, err);
    apr_pool_destroy(tmp);
    if (rv == APR_SUCCESS) {
        for (int i = 0; i < n; i++) {
            /* Not synced: an undone unlink costs one insert that conflicts. */
            unlinkat(store->pending_fd, rows[i].id, 0);
        }
        return rv;
    }
    if (!is_content_error(rv, err)) {
        return rv;
    }
    if (n == 1) {
        if (is_news(store, rows[0].id)) {
            sal_log(SAL_LOG_ERROR, 9611, "the database refuses crash %s: %s; it stays in pending/",
                    rows[0].id, err->message);
        }
        *refused += 1;
        return APR_SUCCESS;
    }
    rv = insert_halving(store, rows, n / 2, refused, db, p, err);
    return rv == APR_SUCCESS ? insert_halving(store, rows + n / 2, n - n / 2, refused, db, p, err)
                             : rv;
}

apr_status_t sal_pending_insert(sal_crash_store_t *store, const sal_pending_row_t *rows, int n,
                                bool notify, int *refused, sal_db_t *db, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_error_t own;
    int ignored = 0;
    apr_status_t rv;

    if (n <= 0) {
        return APR_SUCCESS;
    }
    err = err ? err : &own;
    rv = insert_halving(store, rows, n, refused ? refused : &ignored, db, p, err);
    if (rv == APR_SUCCESS && notify) {
        /* Rows are in; that nobody was woken costs a worker's poll interval, no more. */
        sal_db_run(db, &sal_s_crash_notify, NULL, 0, NULL, p, NULL);
    }
    return rv;
}

apr_status_t sal_pending_enqueue(sal_crash_store_t *store, const char *const *ids, int n,
                                 bool notify, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sal_pending_row_t *rows = apr_pcalloc(p, (apr_size_t)(n > 0 ? n : 1) * sizeof(*rows));
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        rv = sal_pending_row(&rows[i], ids[i], store, p, err);
    }
    return rv == APR_SUCCESS ? sal_pending_insert(store, rows, n, notify, NULL, db, p, err) : rv;
}

/* ---- pending sweep ---- */

typedef struct sweep_t {
    sal_crash_store_t *store;
    sal_db_t *db;
    apr_pool_t *pool; /* cleared per batch */
    int queued, bad;
    int failed; /* entries that could not be read or named this time */
    apr_status_t why;
    int n;
    sal_pending_row_t rows[BATCH];
} sweep_t;

static apr_status_t flush_sweep(sweep_t *s, sal_error_t *err)
{
    int refused = 0;
    apr_status_t rv =
        sal_pending_insert(s->store, s->rows, s->n, true, &refused, s->db, s->pool, err);

    if (rv == APR_SUCCESS) {
        s->queued += s->n - refused;
    }
    s->n = 0;
    apr_pool_clear(s->pool);
    return rv;
}

/* Out of the way, but kept: somebody may want to look at it. */
static void put_aside(sweep_t *s, const char *name, const char *why)
{
    char target[300];

    snprintf(target, sizeof(target), "%.255s", name);
    if (renameat(s->store->pending_fd, name, s->store->bad_fd, target) == 0) {
        s->bad++;
        sal_log(SAL_LOG_ERROR, 9612, "pending/%.60s of crash store %s was moved to bad/: %s", name,
                s->store->fs.root, why);
    }
}

/* Gives a pending container its final name, durably. */
static apr_status_t give_final_name(sal_crash_store_t *store, const char *id)
{
    char final[SAL_CRASH_ID_LEN + 5];
    int dir_fd;
    apr_status_t rv = sal_crash_open_dir(&dir_fd, store, id);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    snprintf(final, sizeof(final), "%s.zip", id);
    if (linkat(store->pending_fd, id, dir_fd, final, 0) != 0 && errno != EEXIST) {
        rv = errno;
    }
    if (rv == APR_SUCCESS) {
        rv = sal_fs_sync(dir_fd);
    }
    close(dir_fd);
    return rv;
}

static apr_status_t check_entry(sal_pending_row_t *row, int fd, const char *id, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_crash_reader_t *r;
    apr_pool_t *tmp;
    apr_status_t rv;

    apr_pool_create(&tmp, p);
    rv = sal_crash_open_fd(&r, fd, id, tmp, err);
    if (rv == APR_SUCCESS) {
        rv = fill_row(row, id, r, err);
    }
    apr_pool_destroy(tmp);
    return rv;
}

/* One entry that cannot be read or named must not keep the others waiting. */
static void pass_over(sweep_t *s, const char *id, apr_status_t rv)
{
    if (s->failed++ == 0) {
        s->why = rv;
        sal_log(SAL_LOG_ERROR, 9614, "pending/%s of crash store %s cannot be swept: error %d", id,
                s->store->fs.root, (int)rv);
    }
}

/* Checks one entry and adds its row. A disk that fails to answer is no reason to put it aside. */
static void sweep_entry(sweep_t *s, const char *id)
{
    sal_error_t why;
    apr_status_t rv;
    int fd = openat(s->store->pending_fd, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        if (errno != ENOENT) {
            pass_over(s, id, errno);
        }
        return;
    }
    rv = check_entry(&s->rows[s->n], fd, id, s->pool, &why);
    if (rv == SAL_E_MALFORMED) {
        put_aside(s, id, why.message);
        return;
    }
    if (rv == APR_SUCCESS) {
        rv = give_final_name(s->store, id);
    }
    if (APR_STATUS_IS_ENOENT(rv) && faccessat(s->store->pending_fd, id, F_OK, 0) != 0) {
        return; /* between our open and our link somebody else was done with it */
    }
    if (rv != APR_SUCCESS) {
        pass_over(s, id, rv);
        return;
    }
    s->n++;
}

/* True if the crash of a temporary name has got its final name, and that alone. */
static bool is_named(sal_crash_store_t *store, const char *id, const struct stat *temp)
{
    char path[12 + SAL_CRASH_ID_LEN + 6], dir[12];
    struct stat st;

    sal_crash_dir_of(dir, id);
    snprintf(path, sizeof(path), "%s/%s.zip", dir, id);
    return fstatat(store->crash_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == temp->st_ino && st.st_dev == temp->st_dev;
}

/*
 * A named temporary file (".ID.tmp") that nobody holds is what a killed process left. One that was
 * killed between its two names becomes an entry like any other, and true is returned.
 */
static bool reap_temp(sal_crash_store_t *store, const char *name, char id[SAL_CRASH_ID_LEN + 1])
{
    int fd = openat(store->pending_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool kept = false;
    struct stat st;

    if (fd < 0) {
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0) {
        apr_cpystrn(id, name + 1, SAL_CRASH_ID_LEN + 1);
        if (st.st_nlink > 1 && sal_crash_id_valid(id) && is_named(store, id, &st)) {
            kept = renameat(store->pending_fd, name, store->pending_fd, id) == 0;
        } else {
            unlinkat(store->pending_fd, name, 0);
        }
    }
    close(fd);
    return kept;
}

static bool old_enough(sal_crash_store_t *store, const char *name, int min_age)
{
    struct stat st;

    return fstatat(store->pending_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - st.st_ctime >= min_age;
}

static apr_status_t sweep_list(sweep_t *s, DIR *dir, int min_age, sal_error_t *err)
{
    struct dirent *e;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
            !old_enough(s->store, e->d_name, min_age)) {
            continue;
        }
        if (e->d_name[0] == '.') {
            char id[SAL_CRASH_ID_LEN + 1];

            if (reap_temp(s->store, e->d_name, id)) {
                sweep_entry(s, id);
            }
        } else if (!sal_crash_id_valid(e->d_name)) {
            put_aside(s, e->d_name, "its name is no crash id");
        } else {
            sweep_entry(s, e->d_name);
        }
        if (rv == APR_SUCCESS && s->n == BATCH) {
            rv = flush_sweep(s, err);
        }
    }
    rv = rv == APR_SUCCESS ? flush_sweep(s, err) : rv;
    return rv == APR_SUCCESS && s->failed
               ? sal_fail_os(err, s->why, "%d entries of pending/ cannot be swept", s->failed)
               : rv;
}

/* The lock file, taken over for its owner; -1 and errno. */
static int open_lock(sal_crash_store_t *store, const char *name)
{
    int lock = openat(store->root_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0660);

    if (lock >= 0 && store->fs.give_away && fchown(lock, store->fs.uid, store->fs.gid) != 0) {
        /* Only a lock: others then work without it, which does no harm. */
    }
    return lock;
}

apr_time_t sal_pending_swept(sal_crash_store_t *store)
{
    struct stat st;

    return fstatat(store->root_fd, "pending.lock", &st, 0) == 0 ? apr_time_from_sec(st.st_mtime)
                                                                : 0;
}

apr_status_t sal_pending_sweep(int *queued, int *bad, sal_crash_store_t *store, int min_age,
                               sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    sweep_t *s = apr_pcalloc(p, sizeof(*s));
    int lock = open_lock(store, "pending.lock");
    DIR *dir;
    apr_status_t rv;

    *queued = *bad = 0;
    if (lock < 0) {
        return sal_fail_os(err, errno, "%s/pending.lock", store->fs.root);
    }
    if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        close(lock);
        return APR_SUCCESS; /* somebody sweeps */
    }
    futimens(lock, NULL); /* tells others that somebody does */
    s->store = store;
    s->db = db;
    apr_pool_create(&s->pool, p);
    dir = sal_crash_open_list(store->pending_fd, ".");
    rv = dir ? sweep_list(s, dir, min_age, err)
             : sal_fail_os(err, errno, "%s/pending", store->fs.root);
    if (dir) {
        closedir(dir);
    }
    close(lock);
    apr_pool_destroy(s->pool);
    *queued = s->queued;
    *bad = s->bad;
    return rv;
}

apr_status_t sal_pending_count(int *n, int *oldest, sal_crash_store_t *store, int max,
                               sal_error_t *err)
{
    DIR *dir = sal_crash_open_list(store->pending_fd, ".");
    time_t now = time(NULL), first = now;
    struct dirent *e;

    *n = *oldest = 0;
    if (!dir) {
        return sal_fail_os(err, errno, "%s/pending", store->fs.root);
    }
    while (*n < max && (e = readdir(dir)) != NULL) {
        struct stat st;

        if (e->d_name[0] != '.' && fstatat(store->pending_fd, e->d_name, &st, 0) == 0) {
            *n += 1;
            first = st.st_ctime < first ? st.st_ctime : first;
        }
    }
    closedir(dir);
    *oldest = (int)(now - first);
    return APR_SUCCESS;
}

/* ---- full sweep ---- */

typedef struct days_t {
    sweep_t sweep;
    const char *ids[BATCH];
    apr_pool_t *names; /* of ids */
    int n;
} days_t;

/* Of the ids gathered, those without a row get one. */
static apr_status_t flush_days(days_t *d, sal_error_t *err)
{
    sal_rows_t *missing;
    apr_status_t rv;

    if (d->n == 0) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(d->sweep.db, &sal_s_crash_missing, &missing, d->names, err,
                     SAL_V_TEXTS(d->ids, (apr_size_t)d->n));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(missing); i++) {
        sal_pending_row_t *row = &d->sweep.rows[d->sweep.n];
        sal_error_t why;

        if (sal_pending_row(row, sal_rows_text(missing, i, 0), d->sweep.store, d->sweep.pool,
                            &why) == APR_SUCCESS) {
            d->sweep.n++;
        } else { /* one unreadable container must not end the sweep */
            sal_log(SAL_LOG_ERROR, 9613, "full sweep: %s", why.message);
            d->sweep.bad++;
        }
    }
    d->n = 0;
    apr_pool_clear(d->names);
    return rv == APR_SUCCESS ? flush_sweep(&d->sweep, err) : rv;
}

/*
 * A crash with a link in pending/ is on its way. The link is there before the crash has its name
 * and goes when the row is committed, so this is asked before the database is.
 */
static apr_status_t add_id(void *baton, const char *id, sal_error_t *err)
{
    days_t *d = baton;

    if (faccessat(d->sweep.store->pending_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return APR_SUCCESS;
    }
    d->ids[d->n++] = apr_pstrdup(d->names, id);
    return d->n == BATCH ? flush_days(d, err) : APR_SUCCESS;
}

static apr_status_t sweep_day(days_t *d, const char *day, sal_error_t *err)
{
    apr_status_t rv = sal_crash_list_day(d->sweep.store, day, add_id, d, err);

    return rv == APR_SUCCESS ? flush_days(d, err) : rv;
}

apr_status_t sal_crash_sweep_days(int *queued, sal_crash_store_t *store, const char *from,
                                  const char *to, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    days_t *d = apr_pcalloc(p, sizeof(*d));
    DIR *dir = sal_crash_open_list(store->crash_fd, ".");
    struct dirent *e;
    apr_status_t rv = APR_SUCCESS;

    *queued = 0;
    if (!dir) {
        return sal_fail_os(err, errno, "%s/crash", store->fs.root);
    }
    d->sweep.store = store;
    d->sweep.db = db;
    apr_pool_create(&d->sweep.pool, p);
    apr_pool_create(&d->names, p);
    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (sal_crash_is_day(e->d_name) && strcmp(e->d_name, from) >= 0 &&
            strcmp(e->d_name, to) <= 0) {
            rv = sweep_day(d, e->d_name, err);
        }
    }
    closedir(dir);
    apr_pool_destroy(d->names);
    apr_pool_destroy(d->sweep.pool);
    *queued = d->sweep.queued;
    return rv;
}

#define DAY apr_time_from_sec(86400)

bool sal_crash_sweep_due(sal_crash_store_t *store)
{
    struct stat st;

    return fstatat(store->root_fd, "full.lock", &st, 0) != 0 || st.st_size == 0 ||
           apr_time_now() - apr_time_from_sec(st.st_mtime) >= DAY;
}

apr_status_t sal_crash_sweep_daily(int *queued, sal_crash_store_t *store, sal_db_t *db,
                                   apr_pool_t *p, sal_error_t *err)
{
    apr_time_t now = apr_time_now();
    char from[9], to[9];
    apr_status_t rv = APR_SUCCESS;
    int lock = open_lock(store, "full.lock");

    *queued = 0;
    if (lock < 0) {
        rv = sal_fail_os(err, errno, "%s/full.lock", store->fs.root);
    } else if (flock(lock, LOCK_EX | LOCK_NB) == 0 && sal_crash_sweep_due(store)) {
        sal_crash_day_of(from, now - DAY);
        sal_crash_day_of(to, now + DAY);
        rv = sal_crash_sweep_days(queued, store, from, to, db, p, err);
        if (rv == APR_SUCCESS && pwrite(lock, "done\n", 5, 0) != 5) {
            rv = sal_fail_os(err, errno, "%s/full.lock", store->fs.root);
        }
    }
    if (lock >= 0) {
        close(lock);
    }
    return rv;
}
