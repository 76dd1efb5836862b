/*
 * The rows of an upload's files, many in a statement: an archive has up to 100,000 of them, and
 * whoever sent it waits. Knows columns; what is stored and what is skipped was decided before.
 */
#include "upload/upload_private.h"

#include "base/text.h"

/* A batch ends at either: headers of hostile files are long, and memory is not to grow with them.
 */
enum { ROWS = 1000, BATCH_BYTES = 256 << 10 };

enum {
    DEBUG_FILE,
    DEBUG_ID,
    LEAF,
    KIND,
    MD5,
    SHA256,
    STORED_SHA256,
    HEADER_FILE, /* from here on a text may be missing */
    HEADER_ID,
    CODE_FILE,
    CODE_ID,
    GENERATOR,
    OS,
    ARCH,
    PRODUCT,
    VERSION,
    CHANNEL,
    BUILD,
    TEXTS
};

typedef struct {
    sal_db_t *db;
    apr_size_t n, bytes;
    const char *text[TEXTS][ROWS];
    int64_t replaced[ROWS], size[ROWS], stored_size[ROWS];
    apr_pool_t *p; /* of the texts, cleared with each batch */
} batch_t;

static apr_status_t flush(sal_upload_t *up, batch_t *b, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

#define COLUMN(name) SAL_V_TEXTS(b->text[name], b->n)
#define MAYBE(name) SAL_V_TEXTS_NULLS(b->text[name], b->n)
    if (b->n) {
        rv =
            sal_db_exec(b->db, &sal_s_symbol_files_add, NULL, b->p, err, SAL_V_INT(up->id),
                        SAL_V_BOOL(up->opts.is_try), COLUMN(DEBUG_FILE), COLUMN(DEBUG_ID),
                        COLUMN(LEAF), COLUMN(KIND), SAL_V_INTS(b->replaced, b->n),
                        SAL_V_INTS(b->size, b->n), SAL_V_INTS(b->stored_size, b->n), COLUMN(MD5),
                        COLUMN(SHA256), COLUMN(STORED_SHA256), MAYBE(HEADER_FILE), MAYBE(HEADER_ID),
                        MAYBE(CODE_FILE), MAYBE(CODE_ID), MAYBE(GENERATOR), MAYBE(OS), MAYBE(ARCH),
                        MAYBE(PRODUCT), MAYBE(VERSION), MAYBE(CHANNEL), MAYBE(BUILD));
    }
#undef COLUMN
#undef MAYBE
    b->n = b->bytes = 0;
    apr_pool_clear(b->p);
    return rv;
}

/* An array's text of a bytea. */
static const char *bytea_text(const unsigned char *bytes, apr_size_t n, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * n + 3);

    out[0] = '\\';
    out[1] = 'x';
    sal_hex(out + 2, bytes, n);
    return out;
}

static const char *own_or(const char *own, const char *of_upload)
{
    return (own && *own) || !of_upload || !*of_upload ? own : of_upload;
}

static void set_header(sal_upload_t *up, const sal_upload_entry_t *e, batch_t *b)
{
    apr_size_t n = b->n;
    sal_sym_header_t h;

    sal_upload_log_header(up->log, e, &h, b->p);
    b->text[HEADER_FILE][n] = h.debug_file;
    b->text[HEADER_ID][n] = h.debug_id;
    b->text[CODE_FILE][n] = h.code_file;
    b->text[CODE_ID][n] = h.code_id;
    b->text[GENERATOR][n] = h.generator;
    b->text[OS][n] = h.os;
    b->text[ARCH][n] = h.arch;
    b->text[PRODUCT][n] = own_or(h.product, up->opts.product);
    b->text[VERSION][n] = own_or(h.version, up->opts.version);
    b->text[CHANNEL][n] = h.channel;
    b->text[BUILD][n] = h.build;
}

static apr_status_t add_file(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *baton,
                             apr_pool_t *p, sal_error_t *err)
{
    batch_t *b = baton;
    apr_size_t n = b->n;
    const char *name;
    sal_symbol_key_t key;

    (void)i;
    (void)p;
    if (e->flags & SAL_UPLOAD_SKIPPED) {
        return APR_SUCCESS;
    }
    name = sal_upload_log_name(up->log, e, b->p);
    if (!name || !sal_symbol_key_parse(&key, name, strlen(name), b->p)) {
        return sal_fail(err, APR_EGENERAL, "the list of an upload is damaged");
    }
    b->text[DEBUG_FILE][n] = key.debug_file;
    b->text[DEBUG_ID][n] = key.debug_id;
    b->text[LEAF][n] = key.leaf;
    b->text[KIND][n] = sal_upload_kind(key.leaf);
    b->text[MD5][n] = bytea_text(e->md5, sizeof(e->md5), b->p);
    b->text[SHA256][n] = bytea_text(e->sha256, sizeof(e->sha256), b->p);
    b->text[STORED_SHA256][n] = bytea_text(e->stored_sha256, sizeof(e->stored_sha256), b->p);
    b->replaced[n] = (e->flags & SAL_UPLOAD_CHANGED) != 0;
    b->size[n] = (int64_t)e->size;
    b->stored_size[n] = (int64_t)e->stored_size;
    set_header(up, e, b);
    b->bytes += e->name_len + e->header_len;
    return ++b->n == ROWS || b->bytes >= BATCH_BYTES ? flush(up, b, err) : APR_SUCCESS;
}

apr_status_t upload_add_files(sal_upload_t *up, sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    batch_t *b = apr_palloc(p, sizeof(*b));
    apr_status_t rv;

    b->db = db;
    b->n = b->bytes = 0;
    apr_pool_create(&b->p, p);
    rv = upload_each(up, add_file, b, err);
    if (rv == APR_SUCCESS) {
        rv = flush(up, b, err);
    }
    apr_pool_destroy(b->p);
    return rv;
}
