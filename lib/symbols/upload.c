/*
 * From a checked archive to stored files and their rows.
 *
 * A .sym is kept as gzip: the deflate stream of the archive gets a gzip frame around it, so nothing
 * is compressed again. Every member is inflated once, for its digests, CRC and header lines.
 */
#include "symbols/upload.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/file.h"
#include "base/text.h"

enum { CHUNK = 65536, DEFLATE_LEVEL = 6 };

/* What the members of one archive share while they are staged. */
typedef struct {
    sal_upload_t *up;
    sal_upload_file_t *file;
    EVP_MD_CTX *md5, *sha, *stored;
    unsigned char *out; /* CHUNK bytes */
    char *head;         /* SAL_SYM_HEADER_BYTES of the content */
    size_t head_len;
    uLong crc;
    bool as_gzip, deflating;
    z_stream deflater; /* of a .sym that the archive holds uncompressed */
} staging_t;

const char *sal_upload_kind(const char *leaf)
{
    static const struct {
        const char *suffix, *kind;
    } kinds[] = { { ".sym", "sym" },       { ".pdb", "pdb" },
                  { ".pd_", "pdb" },       { ".exe", "pe" },
                  { ".ex_", "pe" },        { ".dll", "pe" },
                  { ".dl_", "pe" },        { ".sys", "pe" },
                  { ".so", "elf" },        { ".dbg.gz", "elf_debug" },
                  { ".dbg", "elf_debug" }, { ".debug", "elf_debug" },
                  { ".dylib", "macho" },   { ".dsym.tar.bz2", "dsym" },
                  { ".tar.bz2", "dsym" },  { ".src.zip", "source" } };
    size_t n = strlen(leaf);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t m = strlen(kinds[i].suffix);

        if (n > m && !strcasecmp(leaf + n - m, kinds[i].suffix)) {
            return kinds[i].kind;
        }
    }
    return strstr(leaf, ".so.") ? "elf" : "other";
}

/* ---- staging ---- */

static apr_status_t store_bytes(staging_t *s, const void *data, apr_size_t size, sal_error_t *err)
{
    apr_status_t rv = sal_fd_write_all(sal_symbol_temp_fd(s->file->temp), data, size);

    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "cannot write to the symbol store");
    }
    s->file->stored_size += size;
    EVP_DigestUpdate(s->stored, data, size);
    return APR_SUCCESS;
}

static apr_status_t deflate_some(staging_t *s, const void *data, apr_size_t size, int flush,
                                 sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    s->deflater.next_in = (unsigned char *)(uintptr_t)data;
    s->deflater.avail_in = (uInt)size;
    do {
        s->deflater.next_out = s->out;
        s->deflater.avail_out = CHUNK;
        deflate(&s->deflater, flush);
        rv = store_bytes(s, s->out, CHUNK - s->deflater.avail_out, err);
    } while (rv == APR_SUCCESS && s->deflater.avail_out == 0);
    return rv;
}

static apr_status_t plain_sink(void *baton, const void *data, apr_size_t size, sal_error_t *err)
{
    staging_t *s = baton;
    size_t room = SAL_SYM_HEADER_BYTES - s->head_len;

    EVP_DigestUpdate(s->md5, data, size);
    EVP_DigestUpdate(s->sha, data, size);
    room = size < room ? size : room;
    memcpy(s->head + s->head_len, data, room);
    s->head_len += room;
    if (s->deflating) {
        s->crc = crc32(s->crc, data, (uInt)size);
        return deflate_some(s, data, size, Z_NO_FLUSH, err);
    }
    return s->as_gzip ? APR_SUCCESS : store_bytes(s, data, size, err);
}

static apr_status_t packed_sink(void *baton, const void *data, apr_size_t size, sal_error_t *err)
{
    return store_bytes(baton, data, size, err);
}

static apr_status_t gzip_trailer(staging_t *s, sal_error_t *err)
{
    const sal_upload_member_t *m = s->file->member;
    unsigned char tail[8];

    for (int i = 0; i < 4; i++) {
        tail[i] = (unsigned char)(m->crc >> (8 * i));
        tail[4 + i] = (unsigned char)(m->size >> (8 * i));
    }
    return store_bytes(s, tail, sizeof(tail), err);
}

static apr_status_t copy_member(staging_t *s, sal_upload_zip_t *zip, apr_pool_t *scratch,
                                sal_error_t *err)
{
    static const unsigned char gzip_head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
    const sal_upload_member_t *m = s->file->member;
    apr_status_t rv = APR_SUCCESS;

    if (s->as_gzip) {
        rv = store_bytes(s, gzip_head, sizeof(gzip_head), err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_upload_zip_read(zip, m, s->as_gzip && m->deflated ? packed_sink : NULL, plain_sink,
                                 s, scratch, err);
    }
    if (rv == APR_SUCCESS && s->deflating) {
        rv = deflate_some(s, "", 0, Z_FINISH, err);
    }
    if (rv == APR_SUCCESS && s->as_gzip) {
        rv = gzip_trailer(s, err);
    }
    return rv;
}

static void finish_digests(staging_t *s)
{
    EVP_DigestFinal_ex(s->md5, s->file->md5, NULL);
    EVP_DigestFinal_ex(s->sha, s->file->sha256, NULL);
    EVP_DigestFinal_ex(s->stored, s->file->stored_sha256, NULL);
}

static apr_status_t begin_member(staging_t *s, apr_pool_t *p, sal_error_t *err)
{
    const sal_upload_member_t *m = s->file->member;

    if (!EVP_DigestInit_ex(s->md5, EVP_md5(), NULL) ||
        !EVP_DigestInit_ex(s->sha, EVP_sha256(), NULL) ||
        !EVP_DigestInit_ex(s->stored, EVP_sha256(), NULL)) {
        return sal_fail(err, APR_EGENERAL, "MD5 or SHA-256 is switched off in OpenSSL");
    }
    s->head_len = 0;
    s->as_gzip = sal_symbol_leaf_is_sym(m->key.leaf);
    s->deflating = s->as_gzip && !m->deflated;
    if (s->deflating) {
        s->deflater = (z_stream){ 0 };
        if (deflateInit2(&s->deflater, DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK) {
            s->deflating = false;
            return sal_fail(err, APR_ENOMEM, "no memory to compress");
        }
    }
    return sal_symbol_temp_begin(&s->file->temp, s->up->store, p, err);
}

static bool same_folded(const char *a, const char *b)
{
    return !strcasecmp(a, b);
}

static void note_header(staging_t *s, apr_pool_t *p)
{
    sal_upload_file_t *f = s->file;
    const sal_symbol_key_t *key = &f->member->key;

    if (!s->as_gzip) {
        return;
    }
    sal_sym_header_read(&f->header, s->head, s->head_len, p);
    if (!f->header.debug_id || !same_folded(f->header.debug_id, key->debug_id) ||
        !same_folded(f->header.debug_file, key->debug_file)) {
        APR_ARRAY_PUSH(s->up->warnings, const char *) =
            apr_pstrcat(p, "header does not match key: ", f->member->name, NULL);
    }
}

static apr_status_t stage_member(staging_t *s, sal_upload_zip_t *zip, apr_pool_t *p,
                                 apr_pool_t *scratch, sal_error_t *err)
{
    apr_status_t rv = begin_member(s, p, err);

    if (rv == APR_SUCCESS) {
        rv = copy_member(s, zip, scratch, err);
        sal_symbol_temp_close(s->file->temp);
    }
    if (s->deflating) {
        deflateEnd(&s->deflater);
        s->deflating = false;
    }
    if (rv == APR_SUCCESS) {
        finish_digests(s);
        note_header(s, p);
    }
    return rv;
}

static apr_status_t stage_members(sal_upload_t *up, sal_upload_zip_t *zip, apr_pool_t *p,
                                  sal_error_t *err)
{
    staging_t s = { .up = up,
                    .md5 = EVP_MD_CTX_new(),
                    .sha = EVP_MD_CTX_new(),
                    .stored = EVP_MD_CTX_new(),
                    .out = apr_palloc(p, CHUNK),
                    .head = apr_palloc(p, SAL_SYM_HEADER_BYTES) };
    apr_status_t rv = s.md5 && s.sha && s.stored ? APR_SUCCESS : APR_ENOMEM;
    apr_pool_t *scratch;

    apr_pool_create(&scratch, p);
    for (int i = 0; i < zip->members->nelts && rv == APR_SUCCESS; i++) {
        s.file = apr_array_push(up->files);
        s.file->member = &APR_ARRAY_IDX(zip->members, i, sal_upload_member_t);
        rv = stage_member(&s, zip, p, scratch, err);
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
    EVP_MD_CTX_free(s.md5);
    EVP_MD_CTX_free(s.sha);
    EVP_MD_CTX_free(s.stored);
    return rv;
}

static apr_status_t digest_archive(sal_upload_t *up, int fd, apr_pool_t *p, sal_error_t *err)
{
    unsigned char *buf = apr_palloc(p, CHUNK);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    apr_status_t rv = APR_SUCCESS;
    ssize_t n;

    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(ctx);
        return sal_fail(err, APR_ENOMEM, "no memory for a digest");
    }
    while ((n = pread(fd, buf, CHUNK, (off_t)up->archive_size)) > 0) {
        EVP_DigestUpdate(ctx, buf, (size_t)n);
        up->archive_size += (uint64_t)n;
    }
    if (n < 0) {
        rv = sal_fail_os(err, errno, "cannot read the archive");
    }
    EVP_DigestFinal_ex(ctx, up->archive_sha256, NULL);
    EVP_MD_CTX_free(ctx);
    return rv;
}

apr_status_t sal_upload_stage(sal_upload_t **out, sal_symbol_store_t *store, int fd,
                              const sal_upload_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = apr_pcalloc(p, sizeof(*up));
    sal_upload_zip_t *zip;
    apr_status_t rv;

    up->opts = *opts;
    up->store = store;
    up->warnings = apr_array_make(p, 4, sizeof(const char *));
    if ((rv = sal_upload_name_check(opts->archive_name, p, err)) != APR_SUCCESS ||
        (rv = sal_upload_zip_open(&zip, fd, opts->limits, p, err)) != APR_SUCCESS) {
        return rv;
    }
    up->files = apr_array_make(p, zip->members->nelts + 1, sizeof(sal_upload_file_t));
    up->ignored = zip->ignored;
    up->unpacked = zip->unpacked;
    if ((rv = stage_members(up, zip, p, err)) != APR_SUCCESS ||
        (rv = digest_archive(up, fd, p, err)) != APR_SUCCESS) {
        return rv;
    }
    *out = up;
    return APR_SUCCESS;
}

/* ---- what is there already ---- */

/* A row is not enough to skip: the file must be there, and still be the one of the row. */
static bool still_stored(const sal_upload_t *up, const sal_upload_file_t *f, bool is_try,
                         const char *stored_sha256, apr_pool_t *p)
{
    const char *path = sal_symbol_store_path(up->store, &f->member->key, is_try, p);
    char mark[SAL_SHA256_HEX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes;

    if (fd < 0) {
        return false;
    }
    yes = !sal_symbol_store_digest(mark, fd) || !strcmp(mark, stored_sha256);
    close(fd);
    return yes;
}

static void compare_row(sal_upload_t *up, const sal_rows_t *rows, int row, apr_pool_t *p)
{
    int64_t n = sal_rows_int(rows, row, 0);
    bool is_try = sal_rows_bool(rows, row, 1) != 0;
    sal_upload_file_t *f;
    apr_size_t size;
    const void *sha;

    if (n < 1 || n > up->files->nelts) {
        return;
    }
    f = &APR_ARRAY_IDX(up->files, (int)n - 1, sal_upload_file_t);
    sha = sal_rows_bytes(rows, row, 2, &size, p);
    if (size == sizeof(f->sha256) && !memcmp(sha, f->sha256, size) &&
        still_stored(up, f, is_try, sal_rows_text(rows, row, 3), p)) {
        f->skipped = true;
    } else if (is_try == up->opts.is_try) {
        f->replaced = true;
    }
}

apr_status_t sal_upload_compare(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = baton;
    apr_size_t n = (apr_size_t)up->files->nelts;
    const char **names = apr_palloc(p, 3 * (n + 1) * sizeof(*names));
    sal_rows_t *rows = NULL;
    apr_status_t rv;

    for (apr_size_t i = 0; i < n; i++) {
        const sal_symbol_key_t *key = &APR_ARRAY_IDX(up->files, i, sal_upload_file_t).member->key;

        names[i] = key->debug_file;
        names[n + i] = key->debug_id;
        names[2 * n + i] = key->leaf;
    }
    rv = sal_db_exec(db, &sal_s_symbol_known, &rows, p, err, SAL_V_TEXTS(names, n),
                     SAL_V_TEXTS(names + n, n), SAL_V_TEXTS(names + 2 * n, n),
                     SAL_V_BOOL(up->opts.is_try));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        compare_row(up, rows, i, p);
    }
    return rv;
}

/* ---- making it visible ---- */

/* Above this many files the whole file system is synced twice instead of each file and folder. */
enum { BULK = 32 };

typedef apr_status_t (*step_fn)(sal_upload_t *up, sal_upload_file_t *f, bool sync, apr_pool_t *p,
                                sal_error_t *err);

static const char *blob_name(const sal_upload_file_t *f, apr_pool_t *p)
{
    char *sha = apr_palloc(p, SAL_SHA256_HEX + 1);

    sal_hex(sha, f->stored_sha256, sizeof(f->stored_sha256));
    return sha;
}

static apr_status_t seal(sal_upload_t *up, sal_upload_file_t *f, bool sync, apr_pool_t *p,
                         sal_error_t *err)
{
    (void)up;
    return sal_symbol_temp_seal(f->temp, blob_name(f, p), sync, err);
}

static apr_status_t show(sal_upload_t *up, sal_upload_file_t *f, bool sync, apr_pool_t *p,
                         sal_error_t *err)
{
    const char *sha = blob_name(f, p);
    apr_status_t rv = sal_symbol_temp_commit(f->temp, sha, sync, p, err);

    return rv == APR_SUCCESS ? sal_symbol_store_link(up->store, &f->member->key, up->opts.is_try,
                                                     sha, sync, p, err)
                             : rv;
}

static apr_status_t each_new(sal_upload_t *up, step_fn step, bool sync, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    apr_pool_t *p;

    apr_pool_create(&p, up->files->pool);
    for (int i = 0; i < up->files->nelts && rv == APR_SUCCESS; i++) {
        sal_upload_file_t *f = &APR_ARRAY_IDX(up->files, i, sal_upload_file_t);

        if (f->skipped) {
            sal_symbol_temp_drop(f->temp);
            continue;
        }
        rv = step(up, f, sync, p, err);
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return rv;
}

apr_status_t sal_upload_publish(sal_upload_t *up, sal_error_t *err)
{
    bool bulk = up->files->nelts > BULK;
    apr_status_t rv = each_new(up, seal, !bulk, err);

    if (rv == APR_SUCCESS && bulk) {
        rv = sal_symbol_store_sync(up->store, err);
    }
    if (rv == APR_SUCCESS) {
        rv = each_new(up, show, !bulk, err);
    }
    if (rv == APR_SUCCESS && bulk) {
        rv = sal_symbol_store_sync(up->store, err);
    }
    up->completed = apr_time_now();
    return rv;
}

/* ---- the rows ---- */

static const char **keys_of(const sal_upload_t *up, bool skipped, apr_size_t *n, apr_pool_t *p)
{
    const char **keys = apr_palloc(p, (apr_size_t)(up->files->nelts + 1) * sizeof(*keys));

    *n = 0;
    for (int i = 0; i < up->files->nelts; i++) {
        const sal_upload_file_t *f = &APR_ARRAY_IDX(up->files, i, sal_upload_file_t);

        if (f->skipped == skipped) {
            keys[(*n)++] = f->member->name;
        }
    }
    return keys;
}

static apr_status_t add_upload(sal_db_t *db, sal_upload_t *up, apr_pool_t *p, sal_error_t *err)
{
    apr_size_t n_skipped, n_stored;
    const char **skipped = keys_of(up, true, &n_skipped, p);
    sal_rows_t *rows = NULL;
    apr_status_t rv;

    keys_of(up, false, &n_stored, p);
    rv = sal_db_exec(db, &sal_s_symbol_upload_add, &rows, p, err,
                     up->opts.user_id ? SAL_V_INT(up->opts.user_id) : SAL_V_NULL(SAL_T_INT),
                     SAL_V_TEXT(up->opts.user),
                     up->opts.token_id ? SAL_V_INT(up->opts.token_id) : SAL_V_NULL(SAL_T_INT),
                     SAL_V_TEXT(up->opts.address), SAL_V_TEXT(up->opts.archive_name),
                     SAL_V_INT((int64_t)up->archive_size),
                     SAL_V_BYTEA(up->archive_sha256, sizeof(up->archive_sha256)),
                     SAL_V_INT((int64_t)up->unpacked), SAL_V_BOOL(up->opts.is_try),
                     SAL_V_INT(up->files->nelts + up->ignored->nelts), SAL_V_INT((int64_t)n_stored),
                     SAL_V_TEXTS(skipped, n_skipped),
                     SAL_V_TEXTS(up->ignored->elts, (apr_size_t)up->ignored->nelts),
                     SAL_V_TEXTS(up->warnings->elts, (apr_size_t)up->warnings->nelts),
                     SAL_V_TIME(up->opts.received), SAL_V_TIME(up->completed));
    if (rv == APR_SUCCESS && sal_rows_count(rows) != 1) {
        return sal_fail(err, SAL_E_DB, "the upload's row has no id");
    }
    up->id = rv == APR_SUCCESS ? sal_rows_int(rows, 0, 0) : 0;
    return rv;
}

static bool is_elf_os(const char *os)
{
    return os && (!strcasecmp(os, "linux") || !strcasecmp(os, "android"));
}

static apr_status_t add_file(sal_db_t *db, const sal_upload_t *up, const sal_upload_file_t *f,
                             apr_pool_t *p, sal_error_t *err)
{
    const sal_symbol_key_t *key = &f->member->key;
    const sal_sym_header_t *h = &f->header;

    return sal_db_exec(
        db, &sal_s_symbol_file_add, NULL, p, err, SAL_V_INT(up->id), SAL_V_BOOL(up->opts.is_try),
        SAL_V_TEXT(key->debug_file), SAL_V_TEXT(key->debug_id), SAL_V_TEXT(key->leaf),
        SAL_V_TEXT(sal_upload_kind(key->leaf)), SAL_V_BOOL(f->replaced),
        SAL_V_INT((int64_t)f->member->size), SAL_V_INT((int64_t)f->stored_size),
        SAL_V_BYTEA(f->md5, sizeof(f->md5)), SAL_V_BYTEA(f->sha256, sizeof(f->sha256)),
        SAL_V_BYTEA(f->stored_sha256, sizeof(f->stored_sha256)), SAL_V_TEXT(h->debug_file),
        SAL_V_TEXT(h->debug_id), SAL_V_TEXT(h->code_file), SAL_V_TEXT(h->code_id),
        SAL_V_TEXT(h->generator), SAL_V_TEXT(h->os), SAL_V_TEXT(h->arch),
        is_elf_os(h->os) ? SAL_V_TEXT(h->code_id) : SAL_V_NULL(SAL_T_TEXT), SAL_V_TEXT(h->product),
        SAL_V_TEXT(h->version), SAL_V_TEXT(h->channel), SAL_V_TEXT(h->build));
}

static apr_status_t record_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upload_t *up = baton;
    apr_status_t rv = add_upload(db, up, p, err);
    apr_pool_t *scratch;

    apr_pool_create(&scratch, p);
    for (int i = 0; i < up->files->nelts && rv == APR_SUCCESS; i++) {
        const sal_upload_file_t *f = &APR_ARRAY_IDX(up->files, i, sal_upload_file_t);

        if (!f->skipped) {
            rv = add_file(db, up, f, scratch, err);
            apr_pool_clear(scratch);
        }
    }
    apr_pool_destroy(scratch);
    return rv;
}

apr_status_t sal_upload_record(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    return sal_db_txn(db, record_all, baton, p, err);
}

/* ---- the answer ---- */

/* "2026-01-02T03:04:05.678Z", as the clients know it. */
static json_t *json_time(apr_time_t t)
{
    apr_time_exp_t e;

    if (!t) {
        return json_null();
    }
    apr_time_exp_gmt(&e, t);
    return json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", e.tm_year + 1900, e.tm_mon + 1,
                        e.tm_mday, e.tm_hour, e.tm_min, e.tm_sec, e.tm_usec / 1000);
}

json_t *sal_upload_json(const sal_upload_t *up)
{
    json_t *skipped = json_array();

    for (int i = 0; i < up->files->nelts; i++) {
        const sal_upload_file_t *f = &APR_ARRAY_IDX(up->files, i, sal_upload_file_t);

        if (f->skipped) {
            json_array_append_new(skipped, json_string(f->member->name));
        }
    }
    return json_pack("{s:{s:I, s:I, s:s, s:s, s:n, s:b, s:[], s:o, s:o, s:s, s:o}}", "upload", "id",
                     (json_int_t)up->id, "size", (json_int_t)up->archive_size, "filename",
                     up->opts.archive_name, "bucket", up->opts.is_try ? "try" : "regular",
                     "download_url", "try_symbols", (int)up->opts.is_try, "redirect_urls",
                     "completed_at", json_time(up->completed), "created_at",
                     json_time(up->opts.received), "user", up->opts.user, "skipped_keys", skipped);
}
