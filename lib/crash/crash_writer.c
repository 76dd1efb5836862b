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
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/container.h"

#define HEADERS 512 /* of entries that are being written */

struct sal_crash_writer_t {
    sal_crash_store_t *store;
    apr_pool_t *pool;
    char id[SAL_CRASH_ID_LEN + 1]; /* proposed */
    int fd, dir_fd;
    char temp[SAL_CRASH_ID_LEN + 8]; /* name in pending/ where files cannot be unnamed, else "" */
    sal_container_t zip;
    EVP_MD_CTX *sha;
    json_t *dumps;    /* name -> {"size", "sha256"} */
    const char *name; /* of the dump being written, or NULL */
    bool overwrite;
    apr_uint64_t size;
    bool begun;  /* the dump has its entry: a block of it was written */
    char *block; /* bytes that wait for being compressed together */
    apr_size_t block_used;
    const char *held; /* name of a small dump that has ended and waits in the block, or NULL */
    apr_time_t now;
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
    EVP_MD_CTX_free(w->sha);
    json_decref(w->dumps);
    return APR_SUCCESS;
}

static apr_status_t fail_write(sal_crash_writer_t *w, apr_status_t rv, sal_error_t *err)
{
    if (rv == EIO) {
        sal_crash_store_lost_write(w->store, rv);
    }
    return rv == APR_SUCCESS ? rv
                             : sal_fail_os(err, rv, "crash store %s: writing", w->store->fs.root);
}

/* The block, and behind it a buffer for the headers of dumps, which is all they need. */
static void need_buffers(sal_crash_writer_t *w)
{
    if (!w->block) {
        w->block = apr_palloc(w->pool, SAL_PRESS_BLOCK + HEADERS);
    }
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

/*
 * The file, when something is to be written: a small report that a rule rejects needs none, and
 * costs the disk nothing.
 */
static apr_status_t need_file(sal_crash_writer_t *w)
{
    apr_status_t rv;

    if (w->fd >= 0) {
        return APR_SUCCESS;
    }
    rv = open_file(w);
    if (rv == APR_SUCCESS) {
        need_buffers(w);
        sal_container_init(&w->zip, w->fd, w->now, w->block + SAL_PRESS_BLOCK, HEADERS, w->pool);
    } else if (rv == EIO) {
        sal_crash_store_lost_write(w->store, rv);
        rv = SAL_E_SICK;
    }
    return rv;
}

apr_status_t sal_crash_begin(sal_crash_writer_t **out, sal_crash_store_t *store, apr_time_t now,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_crash_writer_t *w = apr_pcalloc(p, sizeof(*w));

    (void)err;
    w->now = now;
    w->store = store;
    w->pool = p;
    w->fd = w->dir_fd = -1;
    sal_crash_id_make(w->id, now, 0);
    apr_pool_cleanup_register(p, w, abandon, apr_pool_cleanup_null);
    w->dumps = json_object();
    *out = w;
    return APR_SUCCESS;
}

const char *sal_crash_proposed_id(const sal_crash_writer_t *w)
{
    return w->id;
}

void sal_crash_allow_overwrite(sal_crash_writer_t *w)
{
    w->overwrite = true;
}

/* ---- dumps ---- */

static const char *entry_name(sal_crash_writer_t *w)
{
    return apr_pstrcat(w->pool, w->name, ".zst", NULL);
}

/* Compresses a block into the container; `whole` if it is all of a small dump. */
static apr_status_t press_block(sal_crash_writer_t *w, const void *data, apr_size_t size,
                                bool whole)
{
    sal_frame_t frame;
    apr_status_t rv = need_file(w);

    if (rv == APR_SUCCESS) {
        rv = sal_press(&frame, &w->store->presses, data, size);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (whole) {
        rv = sal_container_put(&w->zip, entry_name(w), frame.pieces, frame.n);
    } else {
        if (!w->begun) {
            rv = sal_container_begin(&w->zip, entry_name(w));
            w->begun = rv == APR_SUCCESS;
        }
        rv = rv == APR_SUCCESS ? sal_container_write(&w->zip, frame.pieces, frame.n) : rv;
    }
    sal_press_back(&w->store->presses, &frame);
    return rv;
}

/* A small dump that has ended: it goes when another begins, or all is kept. */
static apr_status_t write_held(sal_crash_writer_t *w)
{
    apr_status_t rv = APR_SUCCESS;

    if (w->held) {
        w->name = w->held;
        w->held = NULL;
        rv = press_block(w, w->block, w->block_used, true);
        w->name = NULL;
    }
    return rv;
}

apr_status_t sal_crash_dump_begin(sal_crash_writer_t *w, const char *name, sal_error_t *err)
{
    apr_status_t rv = write_held(w);

    if (rv != APR_SUCCESS) {
        return fail_write(w, rv, err);
    }
    if (!w->sha) {
        w->sha = EVP_MD_CTX_new();
        need_buffers(w);
    }
    if (!w->sha || !w->store->sha256 || EVP_DigestInit_ex(w->sha, w->store->sha256, NULL) != 1) {
        return sal_fail(err, APR_ENOMEM, "no memory for a dump's check sum");
    }
    w->name = apr_pstrdup(w->pool, name);
    w->size = 0;
    w->block_used = 0;
    w->begun = false;
    return APR_SUCCESS;
}

/* A full block goes only when more follows, so that a dump of one block is written in one. */
apr_status_t sal_crash_dump_data(sal_crash_writer_t *w, const void *data, apr_size_t size,
                                 sal_error_t *err)
{
    const char *from = data;
    apr_status_t rv = APR_SUCCESS;

    EVP_DigestUpdate(w->sha, data, size);
    w->size += size;
    while (size && rv == APR_SUCCESS) {
        apr_size_t n = SAL_PRESS_BLOCK - w->block_used;

        if (n == 0) {
            rv = press_block(w, w->block, w->block_used, false);
            w->block_used = 0;
        } else if (w->block_used == 0 && size > SAL_PRESS_BLOCK) {
            rv = press_block(w, from, n, false);
            from += n;
            size -= n;
        } else {
            n = n < size ? n : size;
            memcpy(w->block + w->block_used, from, n);
            w->block_used += n;
            from += n;
            size -= n;
        }
    }
    return fail_write(w, rv, err);
}

static apr_status_t finish_entry(sal_crash_writer_t *w)
{
    apr_status_t rv = APR_SUCCESS;

    if (!w->begun) {
        w->held = w->name;
        return APR_SUCCESS;
    }
    if (w->block_used) {
        rv = press_block(w, w->block, w->block_used, false);
    }
    return rv == APR_SUCCESS ? sal_container_end(&w->zip) : rv;
}

apr_status_t sal_crash_dump_end(sal_crash_writer_t *w, char *sha256_hex, apr_uint64_t *size,
                                sal_error_t *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[65];
    apr_status_t rv = finish_entry(w);

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
    return w->begun ? fail_write(w, sal_container_drop(&w->zip), err) : APR_SUCCESS;
}

/* ---- commit ---- */

static apr_status_t put_entry(sal_crash_writer_t *w, const char *name, const char *text)
{
    sal_piece_t whole = { text, strlen(text) };

    return sal_container_put(&w->zip, name, &whole, 1);
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
    if ((rv = need_file(w)) != APR_SUCCESS || (rv = write_held(w)) != APR_SUCCESS) {
        return rv;
    }
    sal_container_move(&w->zip, w->block, SAL_PRESS_BLOCK); /* the last dump has left it */
    if ((rv = put_entry(w, "raw_crash.json", sal_json_python(raw, w->pool))) != APR_SUCCESS ||
        (rv = put_entry(w, "dump_names.json", dump_names(w))) != APR_SUCCESS ||
        (rv = put_entry(w, "meta.json", text)) != APR_SUCCESS) {
        return rv;
    }
    return sal_container_finish(&w->zip);
}

/*
 * Puts the synced file in the place of a stored one: a reader sees the one or the other. The name
 * it has meanwhile is one that sweeps take for a temporary file.
 */
static apr_status_t replace(sal_crash_writer_t *w, int dir_fd, const char *final)
{
    int pending = w->store->pending_fd;
    const char *next = apr_psprintf(w->pool, ".%s.new", w->id);
    apr_status_t rv;

    if (w->temp[0]) {
        rv = linkat(pending, w->temp, pending, next, 0) == 0 ? APR_SUCCESS : errno;
    } else {
        rv = sal_fs_link(w->fd, pending, next);
    }
    if (rv == APR_SUCCESS && renameat(pending, next, dir_fd, final) != 0) {
        rv = errno;
        unlinkat(pending, next, 0);
    }
    return rv;
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
        if (*existed && w->overwrite) {
            rv = replace(w, dir_fd, final);
        }
        if (rv != APR_SUCCESS && rv != EEXIST) {
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
    if (*existed && w->overwrite) {
        return replace(w, dir_fd, final);
    }
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
        return rv; /* and never a second sync: it would lie */
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
    if (rv == EIO) {
        sal_crash_store_lost_write(w->store, rv);
    }
    if (slot) {
        atomic_store(slot, 0);
    }
    apr_pool_cleanup_run(w->pool, w, abandon);
    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "crash store %s: %s", w->store->fs.root, id);
    }
    return existed && !w->overwrite ? sal_fail(err, SAL_E_EXISTS, "%s was stored before", id)
                                    : APR_SUCCESS;
}
