/*
 * The central directory: what it does not list was never sent, what it lists must have been read.
 * Either it is read as it arrives, or, of an archive that could not be followed from the front,
 * with libzip from the spooled file.
 */
#include "upload/stream_private.h"

#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "base/text.h"

/* ---- names ---- */

static uint64_t size_limit(uint32_t n)
{
    return (uint64_t)n + 1;
}

static apr_status_t replace(sal_upload_stream_t *s, uint32_t old, sal_upload_entry_t *before,
                            sal_error_t *err)
{
    before->flags |= SAL_UPLOAD_REPLACED;
    return sal_upload_log_put(s->log, old, before, err);
}

apr_status_t sal_upload_list_name(sal_upload_stream_t *s, uint32_t i, sal_upload_entry_t *e,
                                  const char *name, sal_error_t *err)
{
    const uint32_t folder = SAL_UPLOAD_FOLDER;
    sal_upload_entry_t before;
    apr_status_t rv = APR_SUCCESS;
    uint32_t old;

    if (sal_names_find(s->names, name, &old, &before, s->scratch) && old != i) {
        if ((before.flags ^ e->flags) & folder) {
            return sal_upload_bad_name(
                before.flags & folder ? name : apr_pstrmemdup(s->scratch, name, strlen(name) - 1),
                s->scratch, err);
        }
        if (!(e->flags & folder)) {
            rv = before.size == e->size
                     ? replace(s, old, &before, err)
                     : sal_upload_twice(name, e->size, before.size, s->scratch, err);
        }
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_names_set(s->names, name, i, s->scratch);
    e->listed = s->mark.pass;
    e->flags &= ~(uint32_t)SAL_UPLOAD_REPLACED;
    return sal_upload_log_put(s->log, i, e, err);
}

/* ---- as it arrives ---- */

typedef struct {
    uint64_t size, packed, offset;
    uint32_t crc;
    const char *name;
} central_t;

static apr_status_t read_central(central_t *c, sal_upload_stream_t *s, sal_error_t *err)
{
    const unsigned char *h = s->hold;
    size_t name_len = le16(h + 28), extra_len = le16(h + 30);
    uint64_t *wide[] = { &c->size, &c->packed, &c->offset };
    bool present;

    c->crc = le32(h + 16);
    c->packed = le32(h + 20);
    c->size = le32(h + 24);
    c->offset = le32(h + 42);
    c->name = apr_pstrmemdup(s->scratch, (const char *)h + CENTRAL_SIZE, name_len);
    return sal_zip_take_wide(h + CENTRAL_SIZE + name_len, extra_len, wide, 3, &present)
               ? APR_SUCCESS
               : sal_fail(err, SAL_E_MALFORMED, "Corrupt zip64 extra field in %s",
                          sal_upload_repr(c->name, s->scratch));
}

static apr_status_t check_central(const central_t *c, sal_upload_stream_t *s,
                                  const sal_upload_entry_t *e, sal_error_t *err)
{
    const char *name = sal_upload_log_name(s->log, e, s->scratch);

    if (!name) {
        return sal_fail(err, APR_EGENERAL, "cannot read the list of an upload");
    }
    if (e->listed == s->mark.pass) {
        return sal_fail(err, SAL_E_MALFORMED, "Overlapped entries: %s (possible zip bomb)",
                        sal_upload_repr(c->name, s->scratch));
    }
    if (strcmp(name, c->name)) {
        return sal_fail(err, SAL_E_MALFORMED, "File name in directory %s and header %s differ.",
                        sal_upload_repr(c->name, s->scratch), sal_upload_repr(name, s->scratch));
    }
    if ((e->flags & SAL_UPLOAD_FILE) && (c->size != e->size || c->crc != e->crc)) {
        return sal_upload_bad_crc(c->name, s->scratch, err);
    }
    return APR_SUCCESS;
}

apr_status_t sal_upload_central_entry(sal_upload_stream_t *s, sal_error_t *err)
{
    sal_upload_entry_t e;
    central_t c;
    apr_status_t rv = read_central(&c, s, err);
    uint32_t i;

    if (rv == APR_SUCCESS && !s->names) {
        s->names =
            sal_names_make(s->log, (uint32_t)size_limit(sal_upload_log_count(s->log)), s->pool);
    }
    if (rv == APR_SUCCESS && !sal_upload_log_find(s->log, c.offset, &i, &e)) {
        rv = sal_fail(err, SAL_E_MALFORMED, "File is not a zip file");
    }
    if (rv == APR_SUCCESS && (rv = check_central(&c, s, &e, err)) == APR_SUCCESS) {
        if (!(e.flags & SAL_UPLOAD_FILE)) {
            e.size = c.size;
        }
        rv = sal_upload_list_name(s, i, &e, c.name, err);
    }
    s->listed++;
    apr_pool_clear(s->scratch);
    return rv;
}

/* ---- from the spooled archive ---- */

static apr_status_t feed_member(void *baton, const char *data, size_t size, sal_error_t *err)
{
    sal_upload_stream_t *s = baton;
    size_t took;
    apr_status_t rv = sal_upload_stager_feed(s->stager, data, size, &took, err);

    return rv == APR_SUCCESS && took < size ? SAL_E_MALFORMED : rv;
}

static apr_status_t stage_spooled(sal_upload_stream_t *s, sal_upload_zip_t *zip,
                                  const sal_upload_member_t *m, sal_upload_entry_t *e,
                                  sal_error_t *err)
{
    sal_sym_header_t header = { 0 };
    const void *body;
    apr_status_t rv;
    size_t size;

    *e = (sal_upload_entry_t){ .offset = UINT64_MAX, .flags = SAL_UPLOAD_FILE };
    sal_upload_stager_limit(s->stager, m->size, 0);
    if ((rv = sal_upload_stager_begin(s->stager, m->key.leaf, m->deflated, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = sal_upload_zip_pour(zip, m, feed_member, s, s->scratch, err);
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        return sal_upload_bad_crc(m->name, s->scratch, err);
    }
    if (rv != APR_SUCCESS ||
        (rv = sal_upload_stager_end(s->stager, e, &header, s->scratch, err)) != APR_SUCCESS) {
        return rv;
    }
    e->flags |= sal_upload_is_liar(&header, m->name, s->scratch) ? SAL_UPLOAD_LIAR : 0;
    body = sal_upload_stager_body(s->stager, &size);
    if ((rv = sal_upload_log_add(s->log, e, m->name, &header, body, size, err)) != APR_SUCCESS) {
        return rv;
    }
    s->unpacked += e->size;
    return e->size != m->size || e->crc != m->crc ||
                   sal_upload_stager_ended(s->stager) != m->deflated
               ? sal_upload_bad_crc(m->name, s->scratch, err)
               : APR_SUCCESS;
}

/* A member that was staged from the front is not in the file; anything else is. */
static apr_status_t spooled_member(sal_upload_stream_t *s, sal_upload_zip_t *zip,
                                   const sal_upload_member_t *m, sal_error_t *err)
{
    sal_upload_entry_t e;
    apr_status_t rv = APR_SUCCESS;
    uint32_t i;

    if (!sal_names_find(s->names, m->name, &i, &e, s->scratch) || !(e.flags & SAL_UPLOAD_FILE) ||
        e.size != m->size || e.crc != m->crc) {
        i = sal_upload_log_count(s->log);
        rv = stage_spooled(s, zip, m, &e, err);
    }
    if (rv == APR_SUCCESS) {
        e.listed = s->mark.pass;
        rv = sal_upload_log_put(s->log, i, &e, err);
    }
    return rv;
}

static apr_status_t spooled_ignored(sal_upload_stream_t *s, const char *name, sal_error_t *err)
{
    sal_upload_entry_t e = { .offset = UINT64_MAX,
                             .flags = SAL_UPLOAD_IGNORED,
                             .listed = s->mark.pass };

    return sal_upload_log_add(s->log, &e, name, NULL, NULL, 0, err);
}

/* The names of what was staged from the front, to be found by them. */
static void name_staged(sal_upload_stream_t *s, uint32_t more)
{
    uint32_t n = sal_upload_log_count(s->log);
    sal_upload_entry_t e;

    s->names = sal_names_make(s->log, (uint32_t)size_limit(n + more), s->pool);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = sal_upload_log_get(s->log, i, &e, NULL) == APR_SUCCESS
                               ? sal_upload_log_name(s->log, &e, s->scratch)
                               : NULL;

        if (name) {
            sal_names_set(s->names, name, i, s->scratch);
        }
        apr_pool_clear(s->scratch);
    }
}

apr_status_t sal_upload_central_spooled(sal_upload_stream_t *s, sal_error_t *err)
{
    sal_upload_zip_t *zip;
    apr_status_t rv = sal_upload_zip_open(&zip, s->spool, s->opts.limits, s->pool, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    name_staged(s, (uint32_t)zip->members->nelts);
    for (int i = 0; i < zip->members->nelts && rv == APR_SUCCESS; i++) {
        rv = spooled_member(s, zip, &APR_ARRAY_IDX(zip->members, i, sal_upload_member_t), err);
        apr_pool_clear(s->scratch);
    }
    for (int i = 0; i < zip->ignored->nelts && rv == APR_SUCCESS; i++) {
        rv = spooled_ignored(s, APR_ARRAY_IDX(zip->ignored, i, const char *), err);
    }
    return rv;
}
