/*
 * Import: a walk through three levels of folders, then uploads of single files in batches.
 */
#include "upload/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <zstd.h>

#include "base/file.h"
#include "base/text.h"
#include "upload/upload.h"

enum { BATCH = 40, CHUNK = 65536, PARTS = 4, STRANGE_MAX = 1000 };

/* ---- the tree ---- */

typedef struct {
    sal_import_tree_t *tree;
    apr_pool_t *p;
    const char *parts[PARTS];
    int depth; /* parts of a key, and the tier before them */
} scan_t;

/* Files that a SymStore keeps for itself. */
static bool is_bookkeeping(const char *name, int level)
{
    static const char *const any[] = { "file.ptr", "refs.ptr" };
    static const char *const top[] = { "000Admin", "pingme.txt", "index2.txt", "index.txt",
                                       "server.txt" };

    for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
        if (!strcasecmp(name, any[i])) {
            return true;
        }
    }
    for (size_t i = 0; level == 0 && i < sizeof(top) / sizeof(top[0]); i++) {
        if (!strcasecmp(name, top[i])) {
            return true;
        }
    }
    return false;
}

static void strange(scan_t *s, const char *path)
{
    if (s->tree->strange->nelts < STRANGE_MAX) {
        APR_ARRAY_PUSH(s->tree->strange, const char *) = path;
    }
}

/* "x.sym.gz" is stored as "x.sym". */
static const char *plain_leaf(const char *leaf, apr_pool_t *p)
{
    static const char *const packed[] = { ".sym.gz", ".sym.zst" };
    size_t n = strlen(leaf);

    for (size_t i = 0; i < sizeof(packed) / sizeof(packed[0]); i++) {
        size_t m = strlen(packed[i]);

        if (n > m && !strcasecmp(leaf + n - m, packed[i])) {
            return apr_pstrmemdup(p, leaf, n - m + 4);
        }
    }
    return leaf;
}

static void add_file(scan_t *s, const char *path)
{
    int first = s->depth - 3;
    sal_symbol_key_t parsed;
    const char *key = apr_pstrcat(s->p, s->parts[first], "/", s->parts[first + 1], "/",
                                  plain_leaf(s->parts[first + 2], s->p), NULL);

    if (!sal_symbol_key_parse(&parsed, key, strlen(key), s->p)) {
        strange(s, path);
        return;
    }
    APR_ARRAY_PUSH(s->tree->files, sal_import_file_t) = (sal_import_file_t){ path, key };
}

static apr_status_t scan_dir(scan_t *s, const char *dir, int level, sal_error_t *err);

static apr_status_t scan_entry(scan_t *s, const char *path, const char *name, int level,
                               sal_error_t *err)
{
    struct stat st;

    if (stat(path, &st)) {
        strange(s, path);
        return APR_SUCCESS;
    }
    s->parts[level] = name;
    if (S_ISDIR(st.st_mode)) {
        if (level < s->depth - 1) {
            return scan_dir(s, path, level + 1, err);
        }
        strange(s, path);
    } else if (S_ISREG(st.st_mode) && level == s->depth - 1) {
        add_file(s, path);
    } else {
        strange(s, path);
    }
    return APR_SUCCESS;
}

static apr_status_t scan_dir(scan_t *s, const char *dir, int level, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    DIR *d = opendir(dir);
    struct dirent *e;

    if (!d) {
        return sal_fail_os(err, errno, "cannot read %s", dir);
    }
    while (rv == APR_SUCCESS && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
            !is_bookkeeping(e->d_name, level)) {
            rv = scan_entry(s, apr_pstrcat(s->p, dir, "/", e->d_name, NULL),
                            apr_pstrdup(s->p, e->d_name), level, err);
        }
    }
    closedir(d);
    return rv;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const sal_import_file_t *)a)->key, ((const sal_import_file_t *)b)->key);
}

apr_status_t sal_import_scan(sal_import_tree_t *out, const char *dir, apr_pool_t *p,
                             sal_error_t *err)
{
    scan_t s = { .tree = out, .p = p };
    apr_status_t rv;

    out->files = apr_array_make(p, 256, sizeof(sal_import_file_t));
    out->strange = apr_array_make(p, 16, sizeof(const char *));
    out->two_tier = access(apr_pstrcat(p, dir, "/index2.txt", NULL), F_OK) == 0;
    s.depth = out->two_tier ? 4 : 3;
    rv = scan_dir(&s, dir, 0, err);
    qsort(out->files->elts, (size_t)out->files->nelts, sizeof(sal_import_file_t), by_key);
    return rv;
}

/* ---- one file ---- */

typedef struct {
    const sal_import_opts_t *opts;
    sal_symbol_store_t *store;
    sal_db_t *db;
    sal_upload_opts_t upload;
    sal_import_sum_t *sum;
    apr_pool_t *p; /* of the batch */
} import_t;

static apr_status_t close_fd(void *v)
{
    close((int)(intptr_t)v);
    return APR_SUCCESS;
}

static apr_status_t unzstd(int to, int from, uint64_t limit, sal_error_t *err)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    char *in = malloc(CHUNK), *out = malloc(CHUNK);
    apr_status_t rv = ctx && in && out ? APR_SUCCESS : sal_fail(err, APR_ENOMEM, "no memory");
    uint64_t total = 0;
    size_t more = 1;
    ssize_t n = 0;

    while (rv == APR_SUCCESS && (n = read(from, in, CHUNK)) > 0) {
        ZSTD_inBuffer src = { in, (size_t)n, 0 };

        while (rv == APR_SUCCESS && src.pos < src.size) {
            ZSTD_outBuffer dst = { out, CHUNK, 0 };

            more = ZSTD_decompressStream(ctx, &dst, &src);
            total += dst.pos;
            if (ZSTD_isError(more) || total > limit) {
                rv = sal_fail(err, SAL_E_MALFORMED, "damaged zstd, or too large");
            } else if ((rv = sal_fd_write_all(to, out, dst.pos)) != APR_SUCCESS) {
                sal_fail_os(err, rv, "cannot write to the symbol store");
            }
        }
    }
    if (rv == APR_SUCCESS && (n < 0 || more)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "the zstd data is cut short");
    }
    ZSTD_freeDCtx(ctx);
    free(in);
    free(out);
    return rv;
}

/* Only of .sym: another file is stored as it is, whatever it holds. */
static sal_packed_t packing(int fd, const char *key, bool *zstd)
{
    unsigned char head[4] = { 0 };

    *zstd = false;
    if (!sal_symbol_leaf_is_sym(key) || pread(fd, head, 4, 0) != 4) {
        return SAL_PACKED_NOT;
    }
    *zstd = head[0] == 0x28 && head[1] == 0xb5 && head[2] == 0x2f && head[3] == 0xfd;
    return head[0] == 0x1f && head[1] == 0x8b ? SAL_PACKED_GZIP : SAL_PACKED_NOT;
}

static apr_status_t take(import_t *im, sal_upload_t *up, const sal_import_file_t *f, apr_pool_t *p,
                         sal_error_t *err)
{
    int fd = im->opts->open_file ? im->opts->open_file(im->opts->baton, f->path)
                                 : open(f->path, O_RDONLY | O_CLOEXEC);
    sal_upload_entry_t entry;
    sal_sym_header_t header;
    sal_packed_t packed;
    bool zstd;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot open");
    }
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, close_fd, apr_pool_cleanup_null);
    packed = packing(fd, f->key, &zstd);
    if (zstd) {
        int plain = sal_symbol_store_spool(im->store, p, err);
        apr_status_t rv;

        if (plain < 0) {
            return err->code;
        }
        apr_pool_cleanup_register(p, (void *)(intptr_t)plain, close_fd, apr_pool_cleanup_null);
        if ((rv = unzstd(plain, fd, im->upload.limits->member_size, err)) != APR_SUCCESS) {
            return rv;
        }
        fd = plain;
    }
    return sal_upload_take(up, f->key, fd, packed, &entry, &header, err);
}

/* ---- a batch ---- */

/* Damaged files are taken out, and the batch begins again without them. */
static apr_status_t stage(import_t *im, sal_upload_t **up, const sal_import_file_t *files, int n,
                          bool *bad, sal_error_t *err)
{
    for (int i = -1; i < n;) {
        sal_error_t why = { 0 };
        apr_status_t rv;
        apr_pool_t *p;

        if (i < 0) {
            apr_pool_clear(im->p);
            if ((rv = sal_upload_begin(up, im->store, &im->upload, im->p, err)) != APR_SUCCESS) {
                return rv;
            }
            i = 0;
        }
        if (i < n && bad[i]) {
            i++;
            continue;
        }
        if (i == n) {
            break;
        }
        apr_pool_create(&p, im->p);
        rv = take(im, *up, &files[i], p, &why);
        apr_pool_destroy(p);
        if (rv == APR_SUCCESS) {
            i++;
            continue;
        }
        if (APR_STATUS_IS_ENOSPC(rv) || rv == EDQUOT) {
            return sal_fail(err, rv, "%s", why.message);
        }
        bad[i] = true;
        im->sum->failed++;
        if (im->opts->failed) {
            im->opts->failed(im->opts->baton, files[i].path, &why);
        }
        i = -1;
    }
    return APR_SUCCESS;
}

typedef struct {
    char *text;
    size_t size, room;
} answer_t;

static void gather(void *baton, const char *text, size_t size)
{
    answer_t *a = baton;

    if (size <= a->room - a->size) {
        memcpy(a->text + a->size, text, size);
        a->size += size;
    }
}

/* What was there counts as sent now, so that it does not expire as if nobody had it any more. */
static apr_status_t renew_skipped(import_t *im, sal_upload_t *up, sal_error_t *err)
{
    answer_t a = { .room = BATCH * 2048 + 65536 };
    const char *names[BATCH];
    apr_status_t rv = APR_SUCCESS;
    json_t *doc, *list, *name;
    size_t i, n = 0;

    a.text = apr_palloc(im->p, a.room);
    sal_upload_answer(up, gather, &a);
    doc = json_loadb(a.text, a.size, 0, NULL);
    list = json_object_get(json_object_get(doc, "upload"), "skipped_keys");
    json_array_foreach(list, i, name)
    {
        if (n < BATCH && json_string_value(name)) {
            names[n++] = json_string_value(name);
        }
    }
    if (n) {
        rv = sal_db_exec(im->db, &sal_s_symbol_upload_names, NULL, im->p, err,
                         SAL_V_INT(im->upload.id), SAL_V_TEXTS(names, n), SAL_V_TEXTS(names, 0));
    }
    json_decref(doc);
    return rv;
}

static apr_status_t run_batch(import_t *im, const sal_import_file_t *files, int n, sal_error_t *err)
{
    bool bad[BATCH] = { false };
    sal_upload_t *up = NULL;
    sal_upload_sum_t sum;
    apr_status_t rv;

    if ((rv = stage(im, &up, files, n, bad, err)) != APR_SUCCESS ||
        (rv = sal_upload_compare(im->db, up, im->p, err)) != APR_SUCCESS ||
        (rv = sal_upload_publish(up, err)) != APR_SUCCESS ||
        (rv = sal_upload_record(im->db, up, im->p, err)) != APR_SUCCESS ||
        (rv = renew_skipped(im, up, err)) != APR_SUCCESS) {
        return rv;
    }
    sal_upload_sum(up, &sum);
    im->sum->stored += sum.files - sum.skipped;
    im->sum->skipped += sum.skipped;
    im->sum->bytes += sum.unpacked;
    return APR_SUCCESS;
}

static apr_status_t finish(import_t *im, apr_pool_t *p, sal_error_t *err)
{
    const sal_import_opts_t *o = im->opts;

    return sal_db_exec(im->db, &sal_s_symbol_import_done, NULL, p, err, SAL_V_INT(im->upload.id),
                       SAL_V_TEXT(o->name), SAL_V_INT(im->sum->stored + im->sum->skipped),
                       SAL_V_INT(im->sum->stored), SAL_V_INT((int64_t)im->sum->bytes),
                       SAL_V_TEXT(o->product), SAL_V_TEXT(o->version), SAL_V_TEXT(o->channel));
}

apr_status_t sal_import_run(sal_import_sum_t *out, const sal_import_tree_t *tree,
                            const sal_import_opts_t *opts, sal_symbol_store_t *store, sal_db_t *db,
                            apr_pool_t *p, sal_error_t *err)
{
    const sal_import_file_t *files = (const sal_import_file_t *)tree->files->elts;
    sal_upload_announce_t announce = { .opts = { .archive_name = "",
                                                 .user = opts->user,
                                                 .is_try = opts->is_try,
                                                 .received = apr_time_now(),
                                                 .limits = &sal_upload_limits } };
    import_t im = { .opts = opts, .store = store, .db = db, .sum = out };
    apr_status_t rv;

    *out = (sal_import_sum_t){ 0 };
    if ((rv = sal_upload_announce(db, &announce, p, err)) != APR_SUCCESS) {
        return rv;
    }
    im.upload = announce.opts;
    out->upload = announce.opts.id;
    apr_pool_create(&im.p, p);
    for (int i = 0; i < tree->files->nelts && rv == APR_SUCCESS; i += BATCH) {
        int n = tree->files->nelts - i;

        rv = run_batch(&im, files + i, n < BATCH ? n : BATCH, err);
    }
    apr_pool_destroy(im.p);
    return rv == APR_SUCCESS ? finish(&im, p, err) : rv;
}
