/*
 * From the text of dumped symbols to a stored .sym and its row.
 *
 * The file becomes visible inside the transaction that writes its row and ends the job, under a
 * lock on the module, so that two workers with one half each cannot undo each other's work.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/file.h"
#include "base/text.h"
#include "symbols/sym_header.h"
#include "symbols/symbol_jobs.h"

enum { CHUNK = 65536, DEFLATE_LEVEL = 6 };

/* A text on its way into the store. */
typedef struct {
    const sal_symbol_job_t *job;
    const sal_symbol_sources_t *sources;
    sal_symbol_store_t *store;
    sal_symbol_temp_t *temp;
    sal_sym_header_t header;
    uint64_t size, stored_size;
    unsigned char md5[16], sha256[32], stored[32];
    const char *names[2]; /* of the module; the second may be NULL */
} made_t;

/* ---- packing ---- */

typedef struct {
    made_t *made;
    EVP_MD_CTX *md5, *sha, *stored;
    z_stream z;
    unsigned char in[CHUNK], out[CHUNK];
} packer_t;

static apr_status_t deflate_some(packer_t *k, int flush, sal_error_t *err)
{
    do {
        size_t n;
        apr_status_t rv;

        k->z.next_out = k->out;
        k->z.avail_out = CHUNK;
        deflate(&k->z, flush);
        n = CHUNK - k->z.avail_out;
        if ((rv = sal_fd_write_all(sal_symbol_temp_fd(k->made->temp), k->out, n)) != APR_SUCCESS) {
            return sal_fail_os(err, rv, "cannot write to the symbol store");
        }
        EVP_DigestUpdate(k->stored, k->out, n);
        k->made->stored_size += n;
    } while (k->z.avail_out == 0);
    return APR_SUCCESS;
}

static apr_status_t pack_all(packer_t *k, int fd, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    ssize_t n;

    while (rv == APR_SUCCESS && (n = pread(fd, k->in, CHUNK, (off_t)k->made->size)) > 0) {
        k->made->size += (uint64_t)n;
        EVP_DigestUpdate(k->md5, k->in, (size_t)n);
        EVP_DigestUpdate(k->sha, k->in, (size_t)n);
        k->z.next_in = k->in;
        k->z.avail_in = (uInt)n;
        rv = deflate_some(k, Z_NO_FLUSH, err);
    }
    if (rv == APR_SUCCESS && n < 0) {
        return sal_fail_os(err, errno, "cannot read the dumped symbols");
    }
    return rv == APR_SUCCESS ? deflate_some(k, Z_FINISH, err) : rv;
}

static apr_status_t pack(made_t *m, int fd, apr_pool_t *p, sal_error_t *err)
{
    packer_t *k = apr_pcalloc(p, sizeof(*k));
    apr_status_t rv = APR_ENOMEM;

    k->made = m;
    k->md5 = EVP_MD_CTX_new();
    k->sha = EVP_MD_CTX_new();
    k->stored = EVP_MD_CTX_new();
    if (k->md5 && k->sha && k->stored && EVP_DigestInit_ex(k->md5, EVP_md5(), NULL) &&
        EVP_DigestInit_ex(k->sha, EVP_sha256(), NULL) &&
        EVP_DigestInit_ex(k->stored, EVP_sha256(), NULL) &&
        deflateInit2(&k->z, DEFLATE_LEVEL, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) ==
            Z_OK) {
        rv = pack_all(k, fd, err);
        deflateEnd(&k->z);
        EVP_DigestFinal_ex(k->md5, m->md5, NULL);
        EVP_DigestFinal_ex(k->sha, m->sha256, NULL);
        EVP_DigestFinal_ex(k->stored, m->stored, NULL);
    } else {
        sal_fail(err, rv, "no memory to compress");
    }
    EVP_MD_CTX_free(k->md5);
    EVP_MD_CTX_free(k->sha);
    EVP_MD_CTX_free(k->stored);
    return rv;
}

static apr_status_t read_header(made_t *m, int fd, apr_pool_t *p, sal_error_t *err)
{
    char *head = apr_palloc(p, SAL_SYM_HEADER_BYTES);
    ssize_t n = pread(fd, head, SAL_SYM_HEADER_BYTES, 0);
    const char *program = m->sources->program_file;

    if (n < 0) {
        return sal_fail_os(err, errno, "cannot read the dumped symbols");
    }
    sal_sym_header_read(&m->header, head, (apr_size_t)n, p);
    if (!m->header.debug_id || !m->header.debug_file || !*m->header.debug_id ||
        !sal_debug_id_valid(m->header.debug_id) ||
        !sal_symbols_name_valid(m->header.debug_file, strlen(m->header.debug_file))) {
        return sal_fail(err, SAL_E_MALFORMED, "the dumped symbols name no module");
    }
    m->names[0] = m->header.debug_file;
    if (program && strcmp(program, m->header.debug_file)) {
        m->names[1] = program;
    }
    return APR_SUCCESS;
}

/* ---- what is there ---- */

typedef struct {
    bool there, uploaded;
    const char *made_from;
} known_t;

static apr_status_t look(known_t *out, const char *name, const char *id, bool is_try, sal_db_t *db,
                         apr_pool_t *p, sal_error_t *err)
{
    sal_rows_t *rows;
    apr_status_t rv =
        sal_db_exec(db, &sal_s_symbol_made_known, &rows, p, err, SAL_V_TEXT(id), SAL_V_TEXT(name),
                    SAL_V_TEXT(sal_symbols_leaf(name, p)), SAL_V_BOOL(is_try));

    *out = (known_t){ .made_from = "" };
    if (rv == APR_SUCCESS && sal_rows_count(rows) > 0) {
        out->there = true;
        out->uploaded = strcmp(sal_rows_text(rows, 0, 0), "dump-syms") != 0;
        out->made_from = sal_rows_text(rows, 0, 1);
    }
    return rv;
}

apr_status_t sal_symbol_made_known(bool *yes, const sal_symbol_job_t *job,
                                   const sal_symbol_sources_t *sources, sal_db_t *db, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *name =
        sources->program ? sources->program_file : sal_symbol_module_name(sources->debug_file, p);
    known_t known;
    apr_status_t rv = look(&known, name, sources->object.debug_id, job->is_try, db, p, err);

    *yes = rv == APR_SUCCESS && known.there &&
           (known.uploaded ||
            (sources->digests[0] != ' ' && !strcmp(known.made_from, sources->digests)));
    return rv;
}

/* ---- making it visible ---- */

static apr_status_t publish_name(made_t *m, const char *name, const char *sha, sal_db_t *db,
                                 apr_pool_t *p, sal_error_t *err)
{
    const sal_sym_header_t *h = &m->header;
    sal_symbol_key_t key = { name, h->debug_id, sal_symbols_leaf(name, p) };
    known_t known;
    apr_status_t rv = look(&known, name, h->debug_id, m->job->is_try, db, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (known.uploaded) {
        return SAL_E_EXISTS;
    }
    rv = sal_symbol_store_link(m->store, &key, m->job->is_try, sha, true, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return sal_db_exec(db, &sal_s_symbol_made_add, NULL, p, err, SAL_V_INT(m->job->file_id),
                       SAL_V_TEXT(name), SAL_V_TEXT(h->debug_id), SAL_V_TEXT(key.leaf),
                       SAL_V_BOOL(known.there), SAL_V_INT((int64_t)m->size),
                       SAL_V_INT((int64_t)m->stored_size), SAL_V_BYTEA(m->md5, sizeof(m->md5)),
                       SAL_V_BYTEA(m->sha256, sizeof(m->sha256)),
                       SAL_V_BYTEA(m->stored, sizeof(m->stored)), SAL_V_TEXT(h->debug_file),
                       SAL_V_TEXT(h->debug_id), SAL_V_TEXT(h->code_id), SAL_V_TEXT(h->generator),
                       SAL_V_TEXT(h->os), SAL_V_TEXT(h->arch), SAL_V_TEXT(m->sources->digests));
}

static bool same_path(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Has the other half come, or a half been replaced, since the sources were looked at? */
static apr_status_t still_the_sources(const made_t *m, apr_pool_t *p, sal_error_t *err)
{
    sal_symbol_sources_t now;
    apr_status_t rv = sal_symbol_job_sources(&now, m->job, m->store, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    return same_path(now.program, m->sources->program) && same_path(now.debug, m->sources->debug) &&
                   !strcmp(now.digests, m->sources->digests)
               ? APR_SUCCESS
               : APR_EAGAIN;
}

static apr_status_t publish_all(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    made_t *m = baton;
    char sha[SAL_SHA256_HEX + 1];
    apr_status_t rv =
        sal_db_exec(db, &sal_s_symbol_made_lock, NULL, p, err, SAL_V_TEXT(m->header.debug_id));
    bool any = false;

    if (rv != APR_SUCCESS || (rv = still_the_sources(m, p, err)) != APR_SUCCESS) {
        return rv;
    }
    sal_hex(sha, m->stored, sizeof(m->stored));
    for (int i = 0; i < 2 && m->names[i]; i++) {
        rv = publish_name(m, m->names[i], sha, db, p, err);
        if (rv != APR_SUCCESS && rv != SAL_E_EXISTS) {
            return rv;
        }
        any = any || rv == APR_SUCCESS;
    }
    rv = sal_symbol_job_done(m->job, db, p, err);
    return rv == APR_SUCCESS && !any ? SAL_E_EXISTS : rv;
}

apr_status_t sal_symbol_made_publish(int fd, const sal_symbol_job_t *job,
                                     const sal_symbol_sources_t *sources, sal_symbol_store_t *store,
                                     sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    made_t m = { .job = job, .sources = sources, .store = store };
    char sha[SAL_SHA256_HEX + 1];
    apr_status_t rv;

    if ((rv = read_header(&m, fd, p, err)) != APR_SUCCESS ||
        (rv = sal_symbol_temp_begin(&m.temp, store, p, err)) != APR_SUCCESS ||
        (rv = pack(&m, fd, p, err)) != APR_SUCCESS) {
        return rv;
    }
    sal_hex(sha, m.stored, sizeof(m.stored));
    if ((rv = sal_symbol_temp_seal(m.temp, sha, true, err)) != APR_SUCCESS ||
        (rv = sal_symbol_temp_commit(m.temp, sha, true, p, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = sal_db_txn(db, publish_all, &m, p, err);
    if (rv == SAL_E_EXISTS) { /* nothing of the transaction was kept, the end of the job included */
        rv = sal_symbol_job_done(job, db, p, err);
        return rv == APR_SUCCESS ? SAL_E_EXISTS : rv;
    }
    return rv;
}
