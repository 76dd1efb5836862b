/*
 * Writing one crash: dumps stream into a container, then the commit in the order that
 * docs/durability.md proves. Knows nothing of where the bytes come from.
 */
#include "crash/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <zstd.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/container.h"

/* Level 1 and a window of 128 KiB: under 1 MiB a report in flight, and 3 % off the best ratio. */
#define ZSTD_LEVEL 1
#define ZSTD_WINDOW 17

struct sal_crash_writer_t {
    sal_crash_store_t *store;
    apr_pool_t *pool;
    char id[SAL_CRASH_ID_LEN + 1]; /* proposed */
    int fd, dir_fd;
    char temp[SAL_CRASH_ID_LEN + 8]; /* name in pending/ where files cannot be unnamed, else "" */
    sal_container_t zip;
    ZSTD_CCtx *zstd;
    EVP_MD_CTX *sha;
    json_t *dumps;    /* name -> {"size", "sha256"} */
    const char *name; /* of the dump being written, or NULL */
    apr_uint64_t size;
};

static apr_status_t abandon(void *data)
{
    sal_crash_writer_t *w = data;

    if (w->temp[0]) {
        unlinkat(w->store->pending_fd, w->temp, 0);
    }
    if (w->fd >= 0) {
        close(w->fd);
    }
    if (w->dir_fd >= 0) {
        close(w->dir_fd);
    }
    ZSTD_freeCCtx(w->zstd);
    EVP_MD_CTX_free(w->sha);
    json_decref(w->dumps);
    return APR_SUCCESS;
}

static apr_status_t fail_write(sal_crash_writer_t *w, apr_status_t rv, sal_error_t *err)
{
    return rv == APR_SUCCESS ? rv
                             : sal_fail_os(err, rv, "crash store %s: writing", w->store->fs.root);
}

static apr_status_t open_file(sal_crash_writer_t *w)
{
    apr_status_t rv = sal_crash_open_dir(&w->dir_fd, w->store, w->id);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (w->store->fs.unnamed) {
        return sal_fs_unnamed(&w->fd, &w->store->fs, w->dir_fd);
    }
    snprintf(w->temp, sizeof(w->temp), ".%s.tmp", w->id);
    rv = sal_fs_named(&w->fd, &w->store->fs, w->store->pending_fd, w->temp);
    if (rv == APR_SUCCESS && flock(w->fd, LOCK_EX | LOCK_NB) != 0) {
        rv = errno; /* the lock tells sweeps that somebody is writing */
    }
    return rv;
}

apr_status_t sal_crash_begin(sal_crash_writer_t **out, sal_crash_store_t *store, apr_time_t now,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_crash_writer_t *w = apr_pcalloc(p, sizeof(*w));
    apr_status_t rv;

    w->store = store;
    w->pool = p;
    w->fd = w->dir_fd = -1;
    sal_crash_id_make(w->id, now, 0);
    apr_pool_cleanup_register(p, w, abandon, apr_pool_cleanup_null);
    rv = open_file(w);
    if (rv == EIO) {
        sal_crash_store_lost_write(store, rv);
        return sal_fail(err, SAL_E_SICK, "crash store %s: a new file: I/O error", store->fs.root);
    }
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "crash store %s: a new file", store->fs.root);
    }
    w->dumps = json_object();
    sal_container_init(&w->zip, w->fd, now, p);
    *out = w;
    return APR_SUCCESS;
}

const char *sal_crash_proposed_id(const sal_crash_writer_t *w)
{
    return w->id;
}

/* ---- dumps ---- */

static bool ready_codecs(sal_crash_writer_t *w)
{
    if (!w->zstd) {
        w->zstd = ZSTD_createCCtx();
        w->sha = EVP_MD_CTX_new();
        if (!w->zstd || !w->sha) {
            return false;
        }
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_windowLog, ZSTD_WINDOW);
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1);
    }
    ZSTD_CCtx_reset(w->zstd, ZSTD_reset_session_only);
    return EVP_DigestInit_ex(w->sha, EVP_sha256(), NULL) == 1;
}

apr_status_t sal_crash_dump_begin(sal_crash_writer_t *w, const char *name, sal_error_t *err)
{
    if (!ready_codecs(w)) {
        return sal_fail(err, APR_ENOMEM, "no memory for compressing a dump");
    }
    w->name = apr_pstrdup(w->pool, name);
    w->size = 0;
    return fail_write(w, sal_container_begin(&w->zip, apr_pstrcat(w->pool, name, ".zst", NULL)),
                      err);
}

/* Compresses straight into the container's buffer. */
static apr_status_t compress(sal_crash_writer_t *w, const void *data, apr_size_t size,
                             ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = { data, size, 0 };
    size_t left;

    do {
        apr_size_t room;
        char *to = sal_container_space(&w->zip, &room);
        ZSTD_outBuffer out = { to, room, 0 };
        apr_status_t rv;

        left = ZSTD_compressStream2(w->zstd, &out, &in, how);
        if (ZSTD_isError(left)) {
            return APR_ENOMEM;
        }
        rv = sal_container_advance(&w->zip, out.pos);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    } while (how == ZSTD_e_end ? left != 0 : in.pos < in.size);
    return APR_SUCCESS;
}

apr_status_t sal_crash_dump_data(sal_crash_writer_t *w, const void *data, apr_size_t size,
                                 sal_error_t *err)
{
    EVP_DigestUpdate(w->sha, data, size);
    w->size += size;
    return fail_write(w, compress(w, data, size, ZSTD_e_continue), err);
}

apr_status_t sal_crash_dump_end(sal_crash_writer_t *w, char *sha256_hex, apr_uint64_t *size,
                                sal_error_t *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[65];
    apr_status_t rv = compress(w, "", 0, ZSTD_e_end);

    if (rv == APR_SUCCESS) {
        rv = sal_container_end(&w->zip);
    }
    if (rv != APR_SUCCESS) {
        return fail_write(w, rv, err);
    }
    EVP_DigestFinal_ex(w->sha, digest, NULL);
    sal_hex(hex, digest, 32);
    json_object_set_new(w->dumps, w->name,
                        json_pack("{s:I, s:s}", "size", (json_int_t)w->size, "sha256", hex));
    if (sha256_hex) {
        memcpy(sha256_hex, hex, sizeof(hex));
    }
    if (size) {
        *size = w->size;
    }
    w->name = NULL;
    return APR_SUCCESS;
}

apr_status_t sal_crash_dump_drop(sal_crash_writer_t *w, sal_error_t *err)
{
    w->name = NULL;
    return fail_write(w, sal_container_drop(&w->zip), err);
}

/* ---- commit ---- */

static apr_status_t put_entry(sal_crash_writer_t *w, const char *name, const char *text)
{
    apr_status_t rv = sal_container_begin(&w->zip, name);

    if (rv == APR_SUCCESS) {
        rv = sal_container_write(&w->zip, text, strlen(text));
    }
    return rv == APR_SUCCESS ? sal_container_end(&w->zip) : rv;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The sorted list of dump names, as JSON. */
static const char *dump_names(sal_crash_writer_t *w)
{
    apr_size_t n = 0, total = json_object_size(w->dumps);
    const char **sorted = apr_palloc(w->pool, (total + 1) * sizeof(*sorted)), *key, *text;
    json_t *names = json_array(), *value;

    json_object_foreach(w->dumps, key, value)
    {
        sorted[n++] = key;
    }
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (apr_size_t i = 0; i < n; i++) {
        json_array_append_new(names, json_string(sorted[i]));
    }
    text = sal_json_python(names, w->pool);
    json_decref(names);
    return text;
}

static apr_status_t write_rest(sal_crash_writer_t *w, const json_t *raw)
{
    json_t *meta = json_pack("{s:i, s:O}", "format", 1, "dumps", w->dumps);
    const char *text = sal_json_python(meta, w->pool);
    apr_status_t rv;

    json_decref(meta);
    if ((rv = put_entry(w, "raw_crash.json", sal_json_python(raw, w->pool))) != APR_SUCCESS ||
        (rv = put_entry(w, "dump_names.json", dump_names(w))) != APR_SUCCESS ||
        (rv = put_entry(w, "meta.json", text)) != APR_SUCCESS) {
        return rv;
    }
    return sal_container_finish(&w->zip);
}

/* Names the synced file in both places. EEXIST of the final name is reported, not returned. */
static apr_status_t name_file(sal_crash_writer_t *w, int dir_fd, const char *id, bool *existed)
{
    int pending = w->store->pending_fd;
    const char *final = apr_pstrcat(w->pool, id, ".zip", NULL);
    apr_status_t rv;

    if (w->temp[0]) {
        rv = linkat(pending, w->temp, dir_fd, final, 0) == 0 ? APR_SUCCESS : errno;
        *existed = rv == EEXIST;
        if (rv != APR_SUCCESS && !*existed) {
            return rv;
        }
        if (renameat(pending, w->temp, pending, id) != 0) {
            return errno;
        }
        w->temp[0] = '\0';
        return sal_fs_sync(pending);
    }
    rv = sal_fs_link(w->fd, pending, id);
    if (rv != APR_SUCCESS && rv != EEXIST) {
        return rv;
    }
    rv = sal_fs_link(w->fd, dir_fd, final);
    *existed = rv == EEXIST;
    return *existed ? APR_SUCCESS : rv;
}

/* Steps 2 to 5: sync the file, name it twice, sync the directory. */
static apr_status_t make_durable(sal_crash_writer_t *w, const char *id, bool *existed)
{
    char mine[12], theirs[12];
    int dir_fd = w->dir_fd;
    apr_status_t rv;

    rv = sal_fs_sync(w->fd);
    if (rv != APR_SUCCESS) {
        sal_crash_store_lost_write(w->store, rv);
        return rv;
    }
    sal_crash_dir_of(mine, w->id);
    sal_crash_dir_of(theirs, id);
    if (strcmp(mine, theirs)) {
        rv = sal_crash_open_dir(&dir_fd, w->store, id);
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    rv = name_file(w, dir_fd, id, existed);
    if (rv == APR_SUCCESS) {
        /* Also for a name that was there: its maker may not have come to this point. */
        rv = sal_fs_sync(dir_fd);
        if (rv != APR_SUCCESS) {
            sal_crash_store_lost_write(w->store, rv);
        }
    }
    if (dir_fd != w->dir_fd) {
        close(dir_fd);
    }
    return rv;
}

/* A slot that shows others that this commit runs; NULL if all are taken. */
static atomic_llong *clock_in(sal_crash_store_t *s)
{
    long long now = apr_time_now();

    for (int i = 0; i < SAL_COMMIT_SLOTS; i++) {
        long long none = 0;

        if (atomic_compare_exchange_strong(&s->commits[i], &none, now)) {
            return &s->commits[i];
        }
    }
    return NULL;
}

apr_status_t sal_crash_commit(sal_crash_writer_t *w, const char *id, const json_t *raw,
                              sal_error_t *err)
{
    atomic_llong *slot;
    bool existed = false;
    apr_status_t rv;

    if (!sal_crash_id_valid(id)) {
        return sal_fail(err, APR_EINVAL, "not a crash id");
    }
    slot = clock_in(w->store);
    rv = write_rest(w, raw);
    if (rv == APR_SUCCESS) {
        rv = make_durable(w, id, &existed);
    }
    if (slot) {
        atomic_store(slot, 0);
    }
    apr_pool_cleanup_run(w->pool, w, abandon);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "crash store %s: %s", w->store->fs.root, id);
    }
    return existed ? sal_fail(err, SAL_E_EXISTS, "%s was stored before", id) : APR_SUCCESS;
}
