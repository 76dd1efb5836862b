/*
 * From the first byte of an upload to files in the store; the rows are upload_rows.c's.
 */
#include "upload/upload_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"
#include "base/text.h"

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

/* ---- beginning and ending ---- */

apr_status_t upload_each(sal_upload_t *up, upload_each_fn fn, void *baton, sal_error_t *err)
{
    uint32_t n = sal_upload_log_count(up->log);
    apr_status_t rv = APR_SUCCESS;
    sal_upload_entry_t e;
    apr_pool_t *p;

    apr_pool_create(&p, up->pool);
    for (uint32_t i = 0; i < n && rv == APR_SUCCESS; i++) {
        rv = sal_upload_log_get(up->log, i, &e, err);
        if (rv == APR_SUCCESS && upload_counts(up, &e)) {
            rv = fn(up, i, &e, baton, p, err);
            apr_pool_clear(p);
        }
    }
    apr_pool_destroy(p);
    return rv;
}

/*
 * Temporary files go, but for those that a retry may adopt: of a connection that broke, or of a
 * failure of ours.
 */
static apr_status_t clean_up(void *v)
{
    upload_clean(v);
    return APR_SUCCESS;
}

void upload_clean(sal_upload_t *up)
{
    uint32_t n = sal_upload_log_count(up->log);
    bool keep = !up->refused && !up->finished;
    sal_upload_entry_t e;
    apr_pool_t *p;

    if (up->cleaned || (up->lasting && keep)) {
        return;
    }
    up->cleaned = true;
    apr_pool_create(&p, NULL);
    for (uint32_t i = 0; i < n; i++) {
        if (sal_upload_log_get(up->log, i, &e, NULL) != APR_SUCCESS) {
            break;
        }
        if (!keep && e.packed >= SAL_ADOPT_MIN) {
            sal_adopt_forget(up->adopt, sal_upload_log_name(up->log, &e, p), &e, p);
        }
        if (*e.temp && !(keep && up->adopt && e.packed >= SAL_ADOPT_MIN)) {
            sal_symbol_temp_take(up->store, e.temp, p); /* dropped with the pool */
        }
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
}

static apr_status_t make_upload(sal_upload_t **out, sal_symbol_store_t *store,
                                const sal_upload_opts_t *opts, sal_upload_log_t *log, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_upload_t *up = apr_pcalloc(p, sizeof(*up));
    apr_status_t rv = APR_SUCCESS;

    up->opts = *opts;
    up->store = store;
    up->pool = p;
    up->pass = 1;
    up->id = opts->id;
    up->log = log;
    if (!log) {
        int entries = sal_symbol_store_spool(store, p, err);
        int texts = entries >= 0 ? sal_symbol_store_spool(store, p, err) : -1;

        if (texts < 0) {
            if (entries >= 0) {
                close(entries);
            }
            return err && err->code ? err->code : APR_EGENERAL;
        }
        rv = sal_upload_log_open(&up->log, entries, texts, 0, 0, p, err);
    }
    if (rv == APR_SUCCESS) {
        apr_pool_pre_cleanup_register(p, up, clean_up);
        *out = up;
    }
    return rv;
}

static apr_status_t open_stream(sal_upload_t *up, const sal_upload_mark_t *from, int spool_fd,
                                sal_error_t *err)
{
    sal_upload_stream_opts_t so = { .store = up->store,
                                    .limits = up->opts.limits,
                                    .token_id = up->opts.token_id,
                                    .spool_fd = spool_fd,
                                    .prefix = up->lasting ? 's' : 'w' };
    apr_status_t rv = sal_upload_name_check(up->opts.archive_name, up->pool, err);

    return rv == APR_SUCCESS
               ? sal_upload_stream_make(&up->stream, &so, up->log, from, up->pool, err)
               : rv;
}

apr_status_t sal_upload_begin(sal_upload_t **out, sal_symbol_store_t *store,
                              const sal_upload_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = make_upload(out, store, opts, NULL, p, err);

    if (rv != APR_SUCCESS || !*opts->archive_name) {
        return rv;
    }
    (*out)->adopt = sal_adopt_make(store, opts->token_id, p);
    return open_stream(*out, NULL, -1, err);
}

apr_status_t sal_upload_resume(sal_upload_t **out, sal_symbol_store_t *store,
                               const sal_upload_opts_t *opts, sal_upload_log_t *log,
                               const sal_upload_mark_t *from, int spool_fd, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_upload_opts_t own = *opts;
    apr_status_t rv;

    own.token_id = 0; /* it has its own way of going on */
    rv = make_upload(out, store, &own, log, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    (*out)->lasting = true;
    rv = open_stream(*out, from, spool_fd, err);
    (*out)->opts.token_id = opts->token_id;
    return rv;
}

apr_status_t sal_upload_feed(sal_upload_t *up, const char *data, size_t size, sal_error_t *err)
{
    return sal_upload_stream_feed(up->stream, data, size, err);
}

void sal_upload_mark(const sal_upload_t *up, sal_upload_mark_t *out)
{
    sal_upload_stream_mark(up->stream, out);
}

apr_status_t sal_upload_end(sal_upload_t *up, sal_error_t *err)
{
    apr_status_t rv = sal_upload_stream_finish(up->stream, err);

    sal_upload_stream_totals(up->stream, &up->totals);
    up->pass = up->totals.pass;
    return rv;
}

void sal_upload_set_try(sal_upload_t *up, bool is_try)
{
    up->opts.is_try = is_try;
}

void sal_upload_set_release(sal_upload_t *up, const char *product, const char *version)
{
    up->opts.product = product;
    up->opts.version = version;
}

void sal_upload_refuse(sal_upload_t *up)
{
    up->refused = true;
}

void sal_upload_sum(const sal_upload_t *up, sal_upload_sum_t *out)
{
    *out = (sal_upload_sum_t){ .id = up->id,
                               .files = up->files,
                               .skipped = up->skipped,
                               .ignored = up->ignored,
                               .archive_size = up->totals.archive_size,
                               .unpacked = up->totals.unpacked,
                               .adopted = up->totals.adopted };
}

/* ---- making it visible ---- */

/* Above this many files the whole file system is synced twice instead of each file and folder. */
enum { BULK = 32 };

static const char *blob_name(const sal_upload_entry_t *e, apr_pool_t *p)
{
    char *sha = apr_palloc(p, SAL_SHA256_HEX + 1);

    sal_hex(sha, e->stored_sha256, sizeof(e->stored_sha256));
    return sha;
}

/* A small file that the store lacks gets its temporary file only now. */
static apr_status_t write_small(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, apr_pool_t *p,
                                sal_error_t *err)
{
    const char *body = sal_upload_log_body(up->log, e, p);
    sal_symbol_temp_t *temp;
    apr_status_t rv;

    if (!body) {
        return sal_fail(err, APR_EGENERAL, "the list of an upload is damaged");
    }
    rv = sal_symbol_temp_begin_as(&temp, up->store, up->lasting ? 's' : 'w', p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((rv = sal_fd_write_all(sal_symbol_temp_fd(temp), body, e->body_len)) != APR_SUCCESS) {
        return sal_fail_os(err, rv, "cannot write to the symbol store");
    }
    e->body_len = 0;
    apr_cpystrn(e->temp, sal_symbol_temp_release(temp, p), sizeof(e->temp));
    if ((rv = sal_upload_log_put(up->log, i, e, err)) != APR_SUCCESS) {
        sal_symbol_temp_drop(sal_symbol_temp_take(up->store, e->temp, p));
    }
    return rv;
}

static apr_status_t seal(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *sync,
                         apr_pool_t *p, sal_error_t *err)
{
    sal_symbol_temp_t *temp;
    apr_status_t rv;

    if (e->flags & SAL_UPLOAD_SKIPPED) {
        return APR_SUCCESS;
    }
    if (e->body_len && (rv = write_small(up, i, e, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!*e->temp) {
        return APR_SUCCESS;
    }
    temp = sal_symbol_temp_take(up->store, e->temp, p);
    rv = sal_symbol_temp_seal(temp, blob_name(e, p), *(bool *)sync, err);
    sal_symbol_temp_release(temp, p);
    return rv;
}

static apr_status_t show(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *sync,
                         apr_pool_t *p, sal_error_t *err)
{
    sal_symbol_temp_t *temp;
    sal_symbol_key_t key;
    const char *sha = blob_name(e, p), *name = sal_upload_log_name(up->log, e, p);
    bool synced = *(bool *)sync;
    apr_status_t rv;

    if ((e->flags & SAL_UPLOAD_SKIPPED) || !*e->temp) {
        return APR_SUCCESS;
    }
    if (!name || !sal_symbol_key_parse(&key, name, strlen(name), p)) {
        return sal_fail(err, APR_EGENERAL, "the list of an upload is damaged");
    }
    temp = sal_symbol_temp_take(up->store, e->temp, p);
    rv = sal_symbol_temp_commit(temp, sha, synced, p, err);
    if (rv != APR_SUCCESS) {
        sal_symbol_temp_release(temp, p);
        return rv;
    }
    rv = sal_symbol_store_link(up->store, &key, up->opts.is_try, sha, synced, p, err);
    e->temp[0] = '\0';
    return rv == APR_SUCCESS ? sal_upload_log_put(up->log, i, e, err) : rv;
}

static apr_status_t refuse_liar(sal_upload_t *up, uint32_t i, sal_upload_entry_t *e, void *baton,
                                apr_pool_t *p, sal_error_t *err)
{
    const char *name = sal_upload_log_name(up->log, e, p);

    (void)i;
    (void)baton;
    return e->flags & SAL_UPLOAD_LIAR
               ? sal_fail(err, SAL_E_MALFORMED, "header does not match key: %.300s",
                          name ? name : "")
               : APR_SUCCESS;
}

apr_status_t sal_upload_publish(sal_upload_t *up, sal_error_t *err)
{
    bool bulk = up->files > BULK, sync = !bulk;
    apr_status_t rv = APR_SUCCESS;

    if (up->opts.strict) {
        rv = upload_each(up, refuse_liar, NULL, err);
    }
    if (rv == APR_SUCCESS) {
        rv = upload_each(up, seal, &sync, err);
    }
    if (rv == APR_SUCCESS && bulk) {
        rv = sal_symbol_store_sync(up->store, err);
    }
    if (rv == APR_SUCCESS) {
        rv = upload_each(up, show, &sync, err);
    }
    if (rv == APR_SUCCESS && bulk) {
        rv = sal_symbol_store_sync(up->store, err);
    }
    up->completed = apr_time_now();
    if (APR_STATUS_IS_ENOENT(rv)) { /* whoever deletes was quicker, between two steps of ours */
        return sal_fail(err, SAL_E_BUSY,
                        "a file of the archive was being deleted; send the archive again");
    }
    return rv;
}
