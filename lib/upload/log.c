/*
 * Entries of fixed size in one file, texts in another. Reads and writes go straight to the files:
 * the page cache is the memory.
 */
#include "upload/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

struct sal_upload_log_t {
    int entries, texts;
    uint32_t count;
    uint32_t cursor; /* the entry that was found last: the next is asked for next */
    uint64_t text_size;
    apr_pool_t *scratch;
};

static apr_status_t close_log(void *v)
{
    sal_upload_log_t *log = v;

    close(log->entries);
    close(log->texts);
    return APR_SUCCESS;
}

apr_status_t sal_upload_log_open(sal_upload_log_t **out, int entries_fd, int texts_fd,
                                 uint32_t count, uint64_t text_size, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_upload_log_t *log = apr_pcalloc(p, sizeof(*log));

    log->entries = entries_fd;
    log->texts = texts_fd;
    log->count = count;
    log->text_size = text_size;
    apr_pool_create(&log->scratch, p);
    apr_pool_cleanup_register(p, log, close_log, apr_pool_cleanup_null);
    if (ftruncate(entries_fd, (off_t)(count * sizeof(sal_upload_entry_t))) ||
        ftruncate(texts_fd, (off_t)text_size)) {
        return sal_fail_os(err, errno, "cannot cut the list of an upload");
    }
    *out = log;
    return APR_SUCCESS;
}

uint32_t sal_upload_log_count(const sal_upload_log_t *log)
{
    return log->count;
}

uint64_t sal_upload_log_text_size(const sal_upload_log_t *log)
{
    return log->text_size;
}

static apr_status_t write_at(int fd, const void *data, size_t size, uint64_t at, sal_error_t *err)
{
    const char *from = data;

    while (size) {
        ssize_t n = pwrite(fd, from, size, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return sal_fail_os(err, n ? errno : ENOSPC, "cannot write to the symbol store");
        }
        from += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return APR_SUCCESS;
}

static apr_status_t put_text(sal_upload_log_t *log, const char *text, size_t size, sal_error_t *err)
{
    apr_status_t rv = write_at(log->texts, text, size, log->text_size, err);

    log->text_size += rv == APR_SUCCESS ? size : 0;
    return rv;
}

apr_status_t sal_upload_log_add(sal_upload_log_t *log, sal_upload_entry_t *e, const char *name,
                                const sal_sym_header_t *header, const void *body,
                                apr_size_t body_len, sal_error_t *err)
{
    apr_size_t header_len = 0;
    const char *packed = sal_upload_header_pack(header, &header_len, log->scratch);
    apr_status_t rv;

    e->texts = log->text_size;
    e->name_len = (uint32_t)strlen(name);
    e->header_len = (uint32_t)header_len;
    e->body_len = (uint32_t)body_len;
    if ((rv = put_text(log, name, e->name_len, err)) == APR_SUCCESS &&
        (rv = put_text(log, packed, header_len, err)) == APR_SUCCESS &&
        (rv = put_text(log, body, body_len, err)) == APR_SUCCESS &&
        (rv = sal_upload_log_put(log, log->count, e, err)) == APR_SUCCESS) {
        log->count++;
    }
    apr_pool_clear(log->scratch);
    return rv;
}

apr_status_t sal_upload_log_get(sal_upload_log_t *log, uint32_t i, sal_upload_entry_t *e,
                                sal_error_t *err)
{
    ssize_t n = pread(log->entries, e, sizeof(*e), (off_t)(i * sizeof(*e)));

    return n == (ssize_t)sizeof(*e)
               ? APR_SUCCESS
               : sal_fail_os(err, n < 0 ? errno : EIO, "cannot read the list of an upload");
}

apr_status_t sal_upload_log_put(sal_upload_log_t *log, uint32_t i, const sal_upload_entry_t *e,
                                sal_error_t *err)
{
    return write_at(log->entries, e, sizeof(*e), i * sizeof(*e), err);
}

bool sal_upload_log_find(sal_upload_log_t *log, uint64_t offset, uint32_t *i, sal_upload_entry_t *e)
{
    uint32_t low = 0, high = log->count, mid = log->cursor;

    while (low < high) {
        if (mid < low || mid >= high) {
            mid = low + (high - low) / 2;
        }
        if (sal_upload_log_get(log, mid, e, NULL) != APR_SUCCESS) {
            return false;
        }
        if (e->offset == offset) {
            *i = mid;
            log->cursor = mid + 1;
            return true;
        }
        if (e->offset < offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
        mid = low + (high - low) / 2;
    }
    return false;
}

static char *text_at(sal_upload_log_t *log, uint64_t at, size_t size, apr_pool_t *p)
{
    char *text = apr_palloc(p, size + 1);

    if (pread(log->texts, text, size, (off_t)at) != (ssize_t)size) {
        return NULL;
    }
    text[size] = '\0';
    return text;
}

const char *sal_upload_log_name(sal_upload_log_t *log, const sal_upload_entry_t *e, apr_pool_t *p)
{
    return text_at(log, e->texts, e->name_len, p);
}

void sal_upload_log_header(sal_upload_log_t *log, const sal_upload_entry_t *e,
                           sal_sym_header_t *out, apr_pool_t *p)
{
    const char *data = text_at(log, e->texts + e->name_len, e->header_len, p);

    sal_upload_header_unpack(out, data, data ? e->header_len : 0, p);
}

const char *sal_upload_log_body(sal_upload_log_t *log, const sal_upload_entry_t *e, apr_pool_t *p)
{
    return text_at(log, e->texts + e->name_len + e->header_len, e->body_len, p);
}

/* ---- the header of a .sym as bytes ---- */

enum { HEADER_TEXTS = sizeof(sal_sym_header_t) / sizeof(const char *) };

const char *sal_upload_header_pack(const sal_sym_header_t *h, apr_size_t *size, apr_pool_t *p)
{
    const char *const *texts = (const char *const *)h;
    char *data, *to;

    *size = 0;
    for (int i = 0; i < HEADER_TEXTS; i++) {
        if (!h || !texts[i]) {
            *size = 0;
            return "";
        }
        *size += strlen(texts[i]) + 1;
    }
    to = data = apr_palloc(p, *size);
    for (int i = 0; i < HEADER_TEXTS; i++) {
        size_t n = strlen(texts[i]) + 1;

        memcpy(to, texts[i], n);
        to += n;
    }
    return data;
}

void sal_upload_header_unpack(sal_sym_header_t *h, const char *data, apr_size_t size, apr_pool_t *p)
{
    const char **texts = (const char **)h;
    const char *end = data + size;

    *h = (sal_sym_header_t){ 0 };
    if (!size || end[-1]) {
        return;
    }
    for (int i = 0; i < HEADER_TEXTS; i++) {
        texts[i] = data < end ? apr_pstrdup(p, data) : "";
        data += data < end ? strlen(data) + 1 : 0;
    }
}
