/*
 * Reading one crash: its container through libzip, every byte against a check sum. A container is
 * read with read(2), not mapped, so that a bad disk is an error and not a signal.
 */
#include "crash/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <zip.h>
#include <zstd.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

#define SMALL_MAX (UINT64_C(16) << 20)
#define RAW_MAX (UINT64_C(256) << 20)
#define PIECE 65536

struct sal_crash_reader_t {
    apr_pool_t *pool;
    const char *name; /* for messages */
    zip_t *zip;
    json_t *dumps; /* of meta.json: name -> {"size", "sha256"}; owned by the pool */
    json_t *raw;
    const char **dump_names; /* NULL-terminated */
};

static apr_status_t close_zip(void *data)
{
    zip_discard(data);
    return APR_SUCCESS;
}

static apr_status_t damaged(const sal_crash_reader_t *r, sal_error_t *err, const char *what)
{
    return sal_fail(err, SAL_E_MALFORMED, "%s: damaged container: %s", r->name, what);
}

/* libzip's error: the disk's or the container's? */
static apr_status_t zip_failed(const sal_crash_reader_t *r, zip_error_t *ze, sal_error_t *err)
{
    int code = zip_error_code_zip(ze);

    if ((code == ZIP_ER_READ || code == ZIP_ER_SEEK) && zip_error_code_system(ze)) {
        return sal_fail_os(err, zip_error_code_system(ze), "%s: reading", r->name);
    }
    if (code == ZIP_ER_MEMORY) {
        return sal_fail(err, APR_ENOMEM, "%s: no memory", r->name);
    }
    return damaged(r, err, zip_error_strerror(ze));
}

/* Opens an entry and tells its size. */
static apr_status_t open_entry(zip_file_t **f, apr_uint64_t *size, sal_crash_reader_t *r,
                               const char *entry, sal_error_t *err)
{
    zip_stat_t st;

    if (zip_stat(r->zip, entry, 0, &st) != 0) {
        return damaged(r, err, apr_pstrcat(r->pool, entry, " is missing", NULL));
    }
    *size = st.size;
    *f = zip_fopen(r->zip, entry, 0);
    return *f ? APR_SUCCESS : zip_failed(r, zip_get_error(r->zip), err);
}

/* A small entry, whole, NUL-terminated, in p. */
static apr_status_t read_entry(char **out, apr_size_t *out_size, sal_crash_reader_t *r,
                               const char *entry, apr_uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    apr_uint64_t size, got = 0;
    zip_file_t *f;
    zip_int64_t n;
    apr_status_t rv = open_entry(&f, &size, r, entry, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (size > max) {
        zip_fclose(f);
        return damaged(r, err, apr_pstrcat(r->pool, entry, " is too large", NULL));
    }
    *out = apr_palloc(p, (apr_size_t)size + 1);
    /* One byte more than there is: only at the end does libzip look at the check sum. */
    while ((n = zip_fread(f, *out + got, size + 1 - got)) > 0) {
        got += (apr_uint64_t)n;
    }
    if (n < 0) {
        rv = zip_failed(r, zip_file_get_error(f), err);
    } else if (got != size) {
        rv = damaged(r, err, apr_pstrcat(r->pool, entry, " is cut off", NULL));
    }
    zip_fclose(f);
    (*out)[size] = '\0';
    *out_size = (apr_size_t)size;
    return rv;
}

static apr_status_t read_json(json_t **out, sal_crash_reader_t *r, const char *entry,
                              apr_uint64_t max, sal_error_t *err)
{
    apr_pool_t *tmp;
    char *text = NULL;
    apr_size_t size = 0;
    apr_status_t rv;

    apr_pool_create(&tmp, r->pool);
    rv = read_entry(&text, &size, r, entry, max, tmp, err);
    if (rv == APR_SUCCESS) {
        rv = sal_json_parse(out, text, size, r->pool, err);
        if (rv != APR_SUCCESS) {
            rv = damaged(r, err, apr_pstrcat(r->pool, entry, " is not JSON", NULL));
        }
    }
    apr_pool_destroy(tmp);
    return rv;
}

static apr_status_t read_names(sal_crash_reader_t *r, sal_error_t *err)
{
    json_t *names, *meta, *name;
    size_t i;
    apr_status_t rv = read_json(&names, r, "dump_names.json", SMALL_MAX, err);

    if (rv == APR_SUCCESS) {
        rv = read_json(&meta, r, "meta.json", SMALL_MAX, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    r->dumps = json_object_get(meta, "dumps");
    if (!json_is_array(names) || !json_is_object(r->dumps)) {
        return damaged(r, err, "dump_names.json or meta.json has another shape");
    }
    r->dump_names = apr_pcalloc(r->pool, (json_array_size(names) + 1) * sizeof(char *));
    json_array_foreach(names, i, name)
    {
        if (!json_is_string(name) || !json_object_get(r->dumps, json_string_value(name))) {
            return damaged(r, err, "dump_names.json and meta.json differ");
        }
        r->dump_names[i] = json_string_value(name);
    }
    return APR_SUCCESS;
}

apr_status_t sal_crash_open_fd(sal_crash_reader_t **out, int fd, const char *name, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_crash_reader_t *r = apr_pcalloc(p, sizeof(*r));
    zip_error_t ze;
    int code = 0;
    apr_status_t rv;

    r->pool = p;
    r->name = apr_pstrdup(p, name);
    r->zip = zip_fdopen(fd, ZIP_CHECKCONS, &code);
    if (!r->zip) {
        zip_error_init_with_code(&ze, code);
        rv = zip_failed(r, &ze, err);
        zip_error_fini(&ze);
        close(fd);
        return rv;
    }
    apr_pool_cleanup_register(p, r->zip, close_zip, apr_pool_cleanup_null);
    rv = read_names(r, err);
    *out = r;
    return rv;
}

apr_status_t sal_crash_open(sal_crash_reader_t **out, sal_crash_store_t *store, const char *id,
                            apr_pool_t *p, sal_error_t *err)
{
    char dir[12];
    int fd;

    if (!sal_crash_id_valid(id)) {
        return sal_fail(err, APR_ENOENT, "\"%.40s\" is not a crash id", id ? id : "");
    }
    sal_crash_dir_of(dir, id);
    fd = openat(store->crash_fd, apr_pstrcat(p, dir, "/", id, ".zip", NULL),
                O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return sal_fail_os(err, errno, "crash %s", id);
    }
    return sal_crash_open_fd(out, fd, id, p, err);
}

bool sal_crash_exists(sal_crash_store_t *store, const char *id)
{
    char path[12 + SAL_CRASH_ID_LEN + 6];

    if (!sal_crash_id_valid(id)) {
        return false;
    }
    sal_crash_dir_of(path, id);
    path[11] = '/';
    memcpy(path + 12, id, SAL_CRASH_ID_LEN);
    memcpy(path + 12 + SAL_CRASH_ID_LEN, ".zip", 5);
    return faccessat(store->crash_fd, path, F_OK, 0) == 0;
}

apr_status_t sal_crash_raw(json_t **out, sal_crash_reader_t *r, sal_error_t *err)
{
    apr_status_t rv;

    if (!r->raw) {
        rv = read_json(&r->raw, r, "raw_crash.json", RAW_MAX, err);
        if (rv == APR_SUCCESS && !json_is_object(r->raw)) {
            rv = damaged(r, err, "raw_crash.json is not an object");
        }
        if (rv != APR_SUCCESS) {
            r->raw = NULL;
            return rv;
        }
    }
    *out = r->raw;
    return APR_SUCCESS;
}

apr_status_t sal_crash_submitted(apr_time_t *out, sal_crash_reader_t *r, sal_error_t *err)
{
    json_t *raw;
    const char *text;
    apr_status_t rv = sal_crash_raw(&raw, r, err);

    *out = 0;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    text = sal_json_str(raw, "submitted_timestamp");
    if (!text || !sal_time_parse(text, out)) {
        *out = 0;
    }
    return APR_SUCCESS;
}

const char *const *sal_crash_dump_names(sal_crash_reader_t *r)
{
    return r->dump_names;
}

/* ---- dumps ---- */

typedef struct memory_t {
    void *base;
    size_t size;
} memory_t;

static apr_status_t unmap(void *data)
{
    memory_t *m = data;

    munmap(m->base, m->size);
    return APR_SUCCESS;
}

/* Memory that goes back to the system with the pool: a pool's own blocks would stay. */
static void *map_memory(size_t size, apr_pool_t *p)
{
    memory_t *m = apr_palloc(p, sizeof(*m));

    m->size = size ? size : 1;
    m->base = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->base == MAP_FAILED) {
        return NULL;
    }
    apr_pool_cleanup_register(p, m, unmap, apr_pool_cleanup_null);
    return m->base;
}

typedef struct expand_t {
    ZSTD_DCtx *zstd;
    ZSTD_outBuffer out;
    size_t left; /* 0: a frame has ended */
} expand_t;

/* Feeds one piece; false if it is no zstd or holds more than was written down. */
static bool expand(expand_t *x, const char *data, size_t size)
{
    ZSTD_inBuffer in = { data, size, 0 };

    while (in.pos < in.size) {
        size_t before = x->out.pos, taken = in.pos;

        x->left = ZSTD_decompressStream(x->zstd, &x->out, &in);
        if (ZSTD_isError(x->left) || (before == x->out.pos && taken == in.pos)) {
            return false;
        }
    }
    return true;
}

static apr_status_t expand_entry(sal_crash_reader_t *r, zip_file_t *f, expand_t *x,
                                 sal_error_t *err)
{
    char piece[PIECE];
    zip_int64_t n;

    while ((n = zip_fread(f, piece, sizeof(piece))) > 0) {
        if (!expand(x, piece, (size_t)n)) {
            return damaged(r, err, "a dump cannot be expanded");
        }
    }
    if (n < 0) {
        return zip_failed(r, zip_file_get_error(f), err);
    }
    if (x->left != 0 || x->out.pos != x->out.size) {
        return damaged(r, err, "a dump is shorter than it was");
    }
    return APR_SUCCESS;
}

static apr_status_t check_sum(sal_crash_reader_t *r, const void *data, apr_size_t size,
                              const char *want, sal_error_t *err)
{
    unsigned char digest[32];
    char hex[65];

    sal_sha256(data, size, digest);
    sal_hex(hex, digest, 32);
    return want && !strcmp(hex, want) ? APR_SUCCESS
                                      : damaged(r, err, "a dump's SHA-256 does not fit");
}

static apr_status_t load_dump(sal_crash_reader_t *r, const char *name, void *to, apr_size_t size,
                              sal_error_t *err)
{
    expand_t x = { ZSTD_createDCtx(), { to, size, 0 }, 1 };
    apr_uint64_t stored;
    zip_file_t *f;
    apr_status_t rv;

    if (!x.zstd) {
        return sal_fail(err, APR_ENOMEM, "no memory for expanding a dump");
    }
    rv = open_entry(&f, &stored, r, apr_pstrcat(r->pool, name, ".zst", NULL), err);
    if (rv == APR_SUCCESS) {
        rv = expand_entry(r, f, &x, err);
        zip_fclose(f);
    }
    ZSTD_freeDCtx(x.zstd);
    return rv;
}

apr_status_t sal_crash_dump(sal_span_t *out, sal_crash_reader_t *r, const char *name,
                            apr_uint64_t max, apr_pool_t *p, sal_error_t *err)
{
    json_t *meta = json_object_get(r->dumps, name);
    json_int_t size = json_integer_value(json_object_get(meta, "size"));
    void *data;
    apr_status_t rv;

    if (!meta) {
        return sal_fail(err, APR_ENOENT, "%s has no dump \"%.40s\"", r->name, name);
    }
    if (size < 0 || (apr_uint64_t)size > max) {
        return sal_fail(err, SAL_E_TOOBIG,
                        "%s: dump %.40s has %lld bytes, limit %" APR_UINT64_T_FMT, r->name, name,
                        (long long)size, max);
    }
    data = map_memory((size_t)size, p);
    if (!data) {
        return sal_fail(err, APR_ENOMEM, "%s: no memory for a dump of %lld bytes", r->name,
                        (long long)size);
    }
    rv = load_dump(r, name, data, (apr_size_t)size, err);
    if (rv == APR_SUCCESS) {
        rv = check_sum(r, data, (apr_size_t)size, sal_json_str(meta, "sha256"), err);
    }
    if (rv == APR_SUCCESS) {
        *out = (sal_span_t){ data, (size_t)size, false };
    }
    return rv;
}
