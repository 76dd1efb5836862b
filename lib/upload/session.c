/*
 * The bytes of a session. Its offset is the size of the file `data`; which part of an archive has
 * been dealt with is said by a mark, written beside it.
 */
#include "upload/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"
#include "base/text.h"

enum { BOOT_ID = 36, CHUNK = 262144 };

static const uint64_t durable_every = 4 << 20, solid_every = 64 << 20;

/* What stands in `mark` and `solid`. */
typedef struct {
    char boot[BOOT_ID + 1];
    sal_upload_mark_t mark;
    uint64_t tried; /* bytes behind the mark at the last reading on */
} mark_file_t;

struct sal_session_body_t {
    sal_symbol_store_t *store;
    const char *dir;
    int fd;
    uint64_t offset, unsynced, solid; /* solid: offset of the mark on disk */
    sal_upload_t *up;                 /* reads along, or NULL */
    mark_file_t mark;
    bool has_mark;
    apr_pool_t *pool;
};

static const char *session_dir(sal_symbol_store_t *store, const sal_session_t *s, apr_pool_t *p)
{
    unsigned char digest[32];
    char hex[33];

    sal_sha256(s->secret, strlen(s->secret), digest);
    sal_hex(hex, digest, 16);
    return apr_pstrcat(p, sal_symbol_store_root(store), "/session/", hex, NULL);
}

static void read_boot_id(char out[BOOT_ID + 1])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    memset(out, 0, BOOT_ID + 1);
    if (fd >= 0) {
        if (read(fd, out, BOOT_ID) != BOOT_ID) {
            out[0] = '\0';
        }
        close(fd);
    }
}

/* ---- open and append ---- */

static apr_status_t close_body(void *v)
{
    close(((sal_session_body_t *)v)->fd);
    return APR_SUCCESS;
}

apr_status_t sal_session_open(sal_session_body_t **out, sal_symbol_store_t *store,
                              const sal_session_t *s, apr_pool_t *p, sal_error_t *err)
{
    sal_session_body_t *b = apr_pcalloc(p, sizeof(*b));
    struct stat st;
    apr_status_t rv;

    b->store = store;
    b->pool = p;
    b->dir = session_dir(store, s, p);
    if ((rv = sal_dir_make(b->dir, 0755, 0, p, err)) != APR_SUCCESS) {
        return rv;
    }
    b->fd = open(apr_pstrcat(p, b->dir, "/data", NULL), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (b->fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s/data", b->dir);
    }
    apr_pool_cleanup_register(p, b, close_body, apr_pool_cleanup_null);
    if (flock(b->fd, LOCK_EX | LOCK_NB)) {
        return sal_fail(err, SAL_E_DENIED, "another request sends to this upload");
    }
    if (fstat(b->fd, &st)) {
        return sal_fail_os(err, errno, "cannot read %s/data", b->dir);
    }
    b->offset = (uint64_t)st.st_size;
    *out = b;
    return APR_SUCCESS;
}

int sal_session_fd(const sal_session_body_t *b)
{
    return b->fd;
}

uint64_t sal_session_offset(const sal_session_body_t *b)
{
    return b->offset;
}

apr_status_t sal_session_cut(sal_session_body_t *b, uint64_t size, sal_error_t *err)
{
    if (ftruncate(b->fd, (off_t)size)) {
        return sal_fail_os(err, errno, "cannot cut %s/data", b->dir);
    }
    b->offset = size;
    return APR_SUCCESS;
}

apr_status_t sal_session_flush(sal_session_body_t *b, sal_error_t *err)
{
    if (b->unsynced && fdatasync(b->fd)) {
        return sal_fail_os(err, errno, "cannot write %s/data to disk", b->dir);
    }
    b->unsynced = 0;
    return APR_SUCCESS;
}

static apr_status_t append_bytes(sal_session_body_t *b, const char *data, size_t size,
                                 sal_error_t *err)
{
    while (size) {
        ssize_t n = pwrite(b->fd, data, size, (off_t)b->offset);

        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            return sal_fail_os(err, n ? errno : ENOSPC, "cannot write to %s/data", b->dir);
        }
        if (n > 0) {
            data += n;
            size -= (size_t)n;
            b->offset += (uint64_t)n;
            b->unsynced += (uint64_t)n;
        }
    }
    return APR_SUCCESS;
}

/* ---- marks ---- */

static apr_status_t write_mark(sal_session_body_t *b, const char *name, sal_error_t *err)
{
    const char *path = apr_pstrcat(b->pool, b->dir, "/", name, NULL);

    return sal_file_publish(path, &b->mark, sizeof(b->mark), 0600, b->pool, err);
}

static bool read_mark(sal_session_body_t *b, const char *name, bool same_boot)
{
    char boot[BOOT_ID + 1];
    apr_size_t size;
    char *data;

    if (sal_file_read(&data, &size, apr_pstrcat(b->pool, b->dir, "/", name, NULL),
                      sizeof(b->mark) + 1, b->pool, NULL) != APR_SUCCESS ||
        size != sizeof(b->mark)) {
        return false;
    }
    memcpy(&b->mark, data, size);
    read_boot_id(boot);
    return !same_boot || (*boot && !memcmp(boot, b->mark.boot, sizeof(boot)));
}

/*
 * Where reading can go on: the later of a mark of this boot and one that is on the disk, or the
 * beginning. A request that was killed wrote no mark at its end, but may have made solid, and
 * punched away, what lies behind the mark of the request before.
 */
static void load_mark(sal_session_body_t *b)
{
    mark_file_t solid = { 0 };

    if (b->has_mark) {
        return;
    }
    b->has_mark = true;
    if (read_mark(b, "solid", false) && b->mark.mark.offset <= b->offset) {
        solid = b->mark;
        b->solid = solid.mark.offset;
    }
    /* Beyond the end: the data did not survive what the mark did. */
    if (!read_mark(b, "mark", true) || b->mark.mark.offset > b->offset ||
        b->mark.mark.offset < solid.mark.offset) {
        b->mark = solid;
    }
    read_boot_id(b->mark.boot);
}

/*
 * Everything up to the mark is on the disk: its bytes are not needed any more. Once in a while,
 * because the whole file system is synced for it.
 */
static apr_status_t make_solid(sal_session_body_t *b, sal_error_t *err)
{
    apr_status_t rv;

    if (b->mark.mark.offset < b->solid + solid_every) {
        return APR_SUCCESS;
    }
    if ((rv = sal_symbol_store_sync(b->store, err)) != APR_SUCCESS ||
        (rv = write_mark(b, "solid", err)) != APR_SUCCESS) {
        return rv;
    }
    b->solid = b->mark.mark.offset;
    /* A file system without holes keeps the bytes until the end; no harm but space. */
    if (fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)b->solid)) {
        errno = 0;
    }
    return APR_SUCCESS;
}

static apr_status_t move_mark(sal_session_body_t *b, sal_error_t *err)
{
    uint64_t before = b->mark.mark.offset;

    sal_upload_mark(b->up, &b->mark.mark);
    if (b->mark.mark.offset != before) {
        b->mark.tried = 0;
    }
    return make_solid(b, err);
}

/* ---- reading along ---- */

static int open_beside(sal_session_body_t *b, const char *name)
{
    return open(apr_pstrcat(b->pool, b->dir, "/", name, NULL), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static apr_status_t open_upload(sal_session_body_t *b, const sal_upload_opts_t *opts,
                                sal_error_t *err)
{
    const sal_upload_mark_t *from = b->mark.mark.offset ? &b->mark.mark : NULL;
    int entries = open_beside(b, "entries"), texts = open_beside(b, "texts");
    sal_upload_log_t *log;
    apr_status_t rv;

    if (entries < 0 || texts < 0) {
        rv = sal_fail_os(err, errno, "cannot write to %s", b->dir);
        if (entries >= 0) {
            close(entries);
        }
        return rv;
    }
    rv = sal_upload_log_open(&log, entries, texts, from ? from->count : 0,
                             from ? from->text_size : 0, b->pool, err);
    return rv == APR_SUCCESS
               ? sal_upload_resume(&b->up, b->store, opts, log, from, b->fd, b->pool, err)
               : rv;
}

/* Bytes between the mark and the end go through the reader again. */
static apr_status_t catch_up(sal_session_body_t *b, sal_error_t *err)
{
    uint64_t at = b->mark.mark.offset;
    char *buf = apr_palloc(b->pool, CHUNK);
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && at < b->offset) {
        ssize_t n = pread(b->fd, buf, CHUNK, (off_t)at);

        if (n <= 0) {
            return sal_fail_os(err, n ? errno : EIO, "cannot read %s/data", b->dir);
        }
        rv = sal_upload_feed(b->up, buf, (size_t)n, err);
        at += (uint64_t)n;
        if (rv == APR_SUCCESS) {
            rv = move_mark(b, err);
        }
    }
    return rv;
}

apr_status_t sal_session_read_along(sal_session_body_t *b, const sal_upload_opts_t *opts,
                                    uint64_t expected, sal_error_t *err)
{
    apr_status_t rv;

    load_mark(b);
    if (b->up || b->offset - b->mark.mark.offset > expected) {
        return APR_SUCCESS;
    }
    rv = open_upload(b, opts, err);
    return rv == APR_SUCCESS ? catch_up(b, err) : rv;
}

apr_status_t sal_session_append(sal_session_body_t *b, const char *data, size_t size,
                                sal_error_t *err)
{
    apr_status_t rv = append_bytes(b, data, size, err);

    if (rv == APR_SUCCESS && b->unsynced >= durable_every) {
        rv = sal_session_flush(b, err);
    }
    if (rv == APR_SUCCESS && b->up) {
        rv = sal_upload_feed(b->up, data, size, err);
        if (rv == APR_SUCCESS) {
            rv = move_mark(b, err);
        }
    }
    return rv;
}

/*
 * Many small requests into one large member must not each read it from its beginning: what lies
 * behind the mark is read on when it has doubled since the last time.
 */
apr_status_t sal_session_pause(sal_session_body_t *b, const sal_upload_opts_t *opts,
                               sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    uint64_t behind;

    load_mark(b);
    behind = b->offset - b->mark.mark.offset;
    if (!b->up && behind >= solid_every && behind >= 2 * b->mark.tried) {
        rv = sal_session_read_along(b, opts, UINT64_MAX, err);
        b->mark.tried = b->offset - b->mark.mark.offset;
    }
    if (rv == APR_SUCCESS && (b->up || b->mark.tried)) {
        rv = write_mark(b, "mark", err);
    }
    return rv;
}

apr_status_t sal_session_upload(sal_upload_t **out, sal_session_body_t *b,
                                const sal_upload_opts_t *opts, sal_error_t *err)
{
    apr_status_t rv = sal_session_read_along(b, opts, UINT64_MAX, err);

    *out = b->up;
    return rv == APR_SUCCESS ? sal_upload_end(b->up, err) : rv;
}

/* ---- removal ---- */

static void remove_dir(const char *dir, apr_pool_t *p)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) {
        closedir(d);
    }
    rmdir(dir);
    (void)p;
}

/* Temporary files of members that nobody published. */
static void remove_staged(sal_symbol_store_t *store, const char *dir, apr_pool_t *p)
{
    int fd = open(apr_pstrcat(p, dir, "/entries", NULL), O_RDONLY | O_CLOEXEC);
    sal_upload_entry_t e;
    apr_pool_t *scratch;

    if (fd < 0) {
        return;
    }
    apr_pool_create(&scratch, p);
    while (read(fd, &e, sizeof(e)) == (ssize_t)sizeof(e)) {
        e.temp[SAL_UPLOAD_TEMP_NAME - 1] = '\0';
        if (*e.temp == 's' && !strchr(e.temp, '/')) {
            sal_symbol_temp_take(store, e.temp, scratch); /* dropped with the pool */
        }
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    close(fd);
}

void sal_session_remove(sal_symbol_store_t *store, const sal_session_t *s, apr_pool_t *p)
{
    const char *dir = session_dir(store, s, p);

    remove_staged(store, dir, p);
    remove_dir(dir, p);
}

static int sweep_dirs(const char *parent, time_t older, apr_pool_t *p)
{
    DIR *d = opendir(parent);
    struct dirent *e;
    struct stat st;
    int n = 0;

    while (d && (e = readdir(d))) {
        const char *dir = apr_pstrcat(p, parent, "/", e->d_name, NULL);

        if (*e->d_name != '.' && stat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
            st.st_mtime < older) {
            remove_dir(dir, p);
            n++;
        }
    }
    if (d) {
        closedir(d);
    }
    return n;
}

int sal_session_sweep(sal_symbol_store_t *store, apr_pool_t *p)
{
    const char *root = sal_symbol_store_root(store);
    time_t now = time(NULL);

    return sweep_dirs(apr_pstrcat(p, root, "/session", NULL), now - 8 * 24 * 3600, p) +
           sweep_dirs(apr_pstrcat(p, root, "/stage", NULL), now - 24 * 3600, p);
}
