/*
 * The push parser of zip archives. Records (headers, descriptors, the central directory) are
 * gathered whole; members' bytes go straight to the stager. PKWARE's APPNOTE is the format's
 * source; what is refused, and with which text, docs/symbols.md says.
 */
#include "upload/stream_private.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_strings.h>

enum { FLAG_ENCRYPTED = 1, FLAG_DESCRIPTOR = 8, FLAG_STRONG = 64, FLAG_MASKED = 1 << 13 };
enum { STORED = 0, DEFLATED = 8 };

static const uint64_t ratio_floor = 1 << 20;

static void set_mark(sal_upload_stream_t *s)
{
    s->mark.offset = s->offset;
    s->mark.count = sal_upload_log_count(s->log);
    s->mark.text_size = sal_upload_log_text_size(s->log);
    s->mark.unpacked = s->unpacked;
    memcpy(s->mark.sha_state, &s->sha, sizeof(s->sha));
}

apr_status_t sal_upload_stream_make(sal_upload_stream_t **out, const sal_upload_stream_opts_t *opts,
                                    sal_upload_log_t *log, const sal_upload_mark_t *from,
                                    apr_pool_t *p, sal_error_t *err)
{
    sal_upload_stream_t *s = apr_palloc(p, sizeof(*s));
    apr_status_t rv;

    memset(s, 0, offsetof(sal_upload_stream_t, hold));
    _Static_assert(sizeof(SHA256_CTX) <= sizeof(s->mark.sha_state), "room for a digest's state");
    s->opts = *opts;
    s->log = log;
    s->pool = p;
    s->spool = opts->spool_fd;
    s->spool_given = opts->spool_fd >= 0;
    apr_pool_create(&s->scratch, p);
    rv = sal_upload_stager_make(&s->stager, opts->store, opts->prefix, p, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_upload_stager_keep_small(s->stager);
    s->adopt = sal_adopt_make(opts->store, opts->token_id, p);
    SHA256_Init(&s->sha);
    if (from) {
        s->offset = s->record = from->offset;
        s->unpacked = from->unpacked;
        s->mark.pass = from->pass;
        memcpy(&s->sha, from->sha_state, sizeof(s->sha));
    }
    s->mark.pass++;
    set_mark(s);
    *out = s;
    return APR_SUCCESS;
}

void sal_upload_stream_mark(const sal_upload_stream_t *s, sal_upload_mark_t *out)
{
    *out = s->mark;
}

void sal_upload_stream_totals(sal_upload_stream_t *s, sal_upload_totals_t *out)
{
    SHA256_CTX sha = s->sha;

    *out = (sal_upload_totals_t){ .archive_size = s->offset,
                                  .unpacked = s->unpacked,
                                  .adopted = s->adopted,
                                  .pass = s->mark.pass };
    SHA256_Final(out->sha256, &sha);
}

/* ---- Zip64 ---- */

/* Each value that is all ones is replaced by the next of the Zip64 field; false: one is missing. */
bool sal_zip_take_wide(const unsigned char *extra, size_t size, uint64_t **values, int n,
                       bool *present)
{
    size_t at = 0, len = 0;
    const unsigned char *field = NULL;

    while (!field && size - at >= 4) {
        len = le16(extra + at + 2);
        if (len > size - at - 4) {
            break;
        }
        field = le16(extra + at) == 1 ? extra + at + 4 : NULL;
        at += 4 + len;
    }
    *present = field != NULL;
    for (int i = 0; i < n; i++) {
        if (*values[i] != UINT32_MAX) {
            continue;
        }
        if (!field || len < 8) {
            return !field; /* without the field it may be a size of exactly 4 GiB - 1 */
        }
        *values[i] = le64(field);
        field += 8;
        len -= 8;
    }
    return true;
}

/* ---- spooling ---- */

static apr_status_t spool_bytes(sal_upload_stream_t *s, const void *data, size_t size, uint64_t at,
                                sal_error_t *err)
{
    const char *from = data;

    if (s->spool_given) {
        return APR_SUCCESS;
    }
    while (size) {
        ssize_t n = pwrite(s->spool, from, size, (off_t)at);

        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            return sal_fail_os(err, n ? errno : ENOSPC, "cannot write to the symbol store");
        }
        if (n > 0) {
            from += n;
            at += (uint64_t)n;
            size -= (size_t)n;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t close_spool(void *v)
{
    close((int)(intptr_t)v);
    return APR_SUCCESS;
}

/* From the record in hold on the archive goes to a file, with a hole where the rest was. */
static apr_status_t begin_spool(sal_upload_stream_t *s, sal_error_t *err)
{
    apr_status_t rv;

    if (s->spool < 0) {
        s->spool = sal_symbol_store_spool(s->opts.store, s->pool, err);
        if (s->spool < 0) {
            return err ? err->code : APR_EGENERAL;
        }
        apr_pool_cleanup_register(s->pool, (void *)(intptr_t)s->spool, close_spool,
                                  apr_pool_cleanup_null);
    }
    rv = spool_bytes(s, s->hold, s->held, s->record, err);
    s->held = 0;
    s->state = SPOOL;
    return rv;
}

/* ---- members ---- */

static apr_status_t check_sizes(sal_upload_stream_t *s, sal_error_t *err)
{
    const sal_upload_limits_t *l = s->opts.limits;

    if (s->known && (s->claimed > l->member_size ||
                     (s->claimed > ratio_floor && s->claimed / l->ratio > s->left))) {
        return sal_fail(err, SAL_E_TOOBIG, "Archive member too large");
    }
    if (sal_upload_log_count(s->log) >= l->members) {
        return sal_fail(err, SAL_E_TOOBIG, "Archive has more than %u members",
                        (unsigned)l->members);
    }
    return APR_SUCCESS;
}

static apr_status_t end_member(sal_upload_stream_t *s, sal_error_t *err)
{
    size_t size = 0;
    const void *body = s->staged && (s->entry.flags & SAL_UPLOAD_FILE)
                           ? sal_upload_stager_body(s->stager, &size)
                           : NULL;
    apr_status_t rv = sal_upload_log_add(s->log, &s->entry, s->name, &s->header, body, size, err);

    if (rv == APR_SUCCESS && (s->entry.flags & SAL_UPLOAD_FILE) &&
        !(s->entry.flags & SAL_UPLOAD_ADOPTED)) {
        sal_adopt_note(s->adopt, s->name, &s->entry, &s->header, s->scratch);
    }
    s->unpacked += s->entry.size;
    if (rv == APR_SUCCESS && s->unpacked > ratio_floor &&
        s->unpacked / s->opts.limits->ratio > s->offset) {
        rv = sal_fail(err, SAL_E_TOOBIG, "Archive member too large");
    }
    apr_pool_clear(s->scratch);
    s->state = RECORD;
    s->held = 0;
    s->boundary = true;
    return rv;
}

bool sal_upload_is_liar(const sal_sym_header_t *h, const char *name, apr_pool_t *p)
{
    sal_symbol_key_t key;

    return sal_symbol_leaf_is_sym(name) && sal_symbol_key_parse(&key, name, strlen(name), p) &&
           (!h->debug_id || strcasecmp(h->debug_id, key.debug_id) ||
            strcasecmp(h->debug_file, key.debug_file));
}

/* The bytes of a member that was staged are complete. */
static apr_status_t end_staged(sal_upload_stream_t *s, sal_error_t *err)
{
    apr_status_t rv = sal_upload_stager_end(s->stager, &s->entry, &s->header, s->scratch, err);

    if (rv == APR_SUCCESS && (s->entry.flags & SAL_UPLOAD_FILE) &&
        sal_upload_is_liar(&s->header, s->name, s->scratch)) {
        s->entry.flags |= SAL_UPLOAD_LIAR;
    }
    return rv;
}

static void drop_temp(sal_upload_stream_t *s)
{
    if (*s->entry.temp) {
        sal_symbol_temp_drop(sal_symbol_temp_take(s->opts.store, s->entry.temp, s->scratch));
        s->entry.temp[0] = '\0';
    }
}

/* Drops the file of a member that is read only to find its end. */
static void drop_unwanted(sal_upload_stream_t *s)
{
    if (!(s->entry.flags & SAL_UPLOAD_FILE)) {
        drop_temp(s);
    }
}

/* All bytes of a member of known size were read. */
static apr_status_t end_known(sal_upload_stream_t *s, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (s->staged) {
        bool ended = sal_upload_stager_ended(s->stager);
        bool deflated = (s->entry.flags & SAL_UPLOAD_DEFLATED) != 0;

        rv = end_staged(s, err);
        if (rv == APR_SUCCESS &&
            (s->entry.size != s->claimed || s->entry.crc != s->claimed_crc || ended != deflated)) {
            drop_temp(s);
            rv = sal_upload_bad_crc(s->name, s->scratch, err);
        }
    }
    return rv == APR_SUCCESS ? end_member(s, err) : rv;
}

static apr_status_t begin_bytes(sal_upload_stream_t *s, const char *leaf, bool deflated,
                                sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    s->state = MEMBER;
    s->held = 0;
    s->staged = !s->known;
    if ((s->entry.flags & SAL_UPLOAD_FILE) &&
        !(s->known && sal_adopt_find(s->adopt, s->name, &s->entry, &s->header, s->scratch))) {
        s->staged = true;
    } else if (s->entry.flags & SAL_UPLOAD_ADOPTED) {
        s->adopted += s->entry.packed;
    }
    if (s->staged) {
        sal_upload_stager_limit(s->stager, s->opts.limits->member_size, s->opts.limits->ratio);
        rv = sal_upload_stager_begin(s->stager, leaf, deflated, err);
    }
    return rv == APR_SUCCESS && s->known && s->left == 0 ? end_known(s, err) : rv;
}

/* Name, sizes and flags of a local header, all of it in hold. */
static apr_status_t local_header(sal_upload_stream_t *s, sal_error_t *err)
{
    const unsigned char *h = s->hold;
    size_t name_len = le16(h + 26), extra_len = le16(h + 28);
    uint64_t packed = le32(h + 18), size = le32(h + 22), *wide[] = { &size, &packed };
    unsigned flags = le16(h + 6), method = le16(h + 8);
    sal_symbol_key_t key = { "", "", "" };
    sal_member_kind_t kind;
    apr_status_t rv;

    /* A NUL ends a name as it does for Python: what follows is not part of it. */
    s->name = apr_pstrmemdup(s->scratch, (const char *)h + LOCAL_SIZE, name_len);
    if (!sal_zip_take_wide(h + LOCAL_SIZE + name_len, extra_len, wide, 2, &s->wide)) {
        return sal_fail(err, SAL_E_MALFORMED, "Corrupt zip64 extra field in %s",
                        sal_upload_repr(s->name, s->scratch));
    }
    rv = sal_upload_member_name(&kind, &key, s->name, s->opts.limits->snippets, s->scratch, err);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED)) ||
        (method != STORED && method != DEFLATED)) {
        return sal_upload_bad_feature(s->name, s->scratch, err);
    }
    if ((flags & FLAG_DESCRIPTOR) && method == STORED && kind != SAL_MEMBER_FOLDER) {
        return begin_spool(s, err);
    }
    s->known = !(flags & FLAG_DESCRIPTOR) || method == STORED;
    s->left = packed;
    s->claimed = size;
    s->claimed_crc = le32(h + 14);
    s->header = (sal_sym_header_t){ 0 };
    s->entry = (sal_upload_entry_t){
        .offset = s->record, .size = size, .packed = packed, .crc = s->claimed_crc
    };
    s->entry.flags = kind == SAL_MEMBER_FILE      ? SAL_UPLOAD_FILE
                     : kind == SAL_MEMBER_IGNORED ? SAL_UPLOAD_IGNORED
                                                  : SAL_UPLOAD_FOLDER;
    s->entry.flags |= method == DEFLATED ? SAL_UPLOAD_DEFLATED : 0;
    rv = check_sizes(s, err);
    return rv == APR_SUCCESS ? begin_bytes(s, key.leaf, method == DEFLATED, err) : rv;
}

static apr_status_t step_member(sal_upload_stream_t *s, const char *data, size_t size, size_t *took,
                                sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (s->known && size > s->left) {
        size = (size_t)s->left;
    }
    *took = size;
    if (s->staged) {
        rv = sal_upload_stager_feed(s->stager, data, size, took, err);
        if (rv == APR_SUCCESS && s->known && sal_upload_stager_size(s->stager) > s->claimed) {
            rv = SAL_E_MALFORMED;
        }
        if (rv == SAL_E_MALFORMED || (rv == APR_SUCCESS && s->known && *took < size)) {
            return sal_upload_bad_crc(s->name, s->scratch, err);
        }
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!s->known) {
        s->state = sal_upload_stager_ended(s->stager) ? DESCRIPTOR : MEMBER;
        s->held = 0;
        return APR_SUCCESS;
    }
    s->left -= *took;
    return s->left ? APR_SUCCESS : end_known(s, err);
}

/* ---- the data descriptor: the length of what is in hold, or 0 if more bytes must tell ---- */

static size_t descriptor_size(const sal_upload_stream_t *s)
{
    uint64_t packed = sal_upload_stager_packed(s->stager), size = sal_upload_stager_size(s->stager);
    size_t head = s->held >= 4 && le32(s->hold) == SIG_DESCRIPTOR ? 8 : 4;
    uint32_t next;

    if (s->held < head + 8) {
        return 0;
    }
    /* Behind the packed size stands its upper half, or the unpacked size. */
    next = le32(s->hold + head + 4);
    if ((uint32_t)(packed >> 32) == (uint32_t)size) {
        return head + (s->wide ? 16 : 8);
    }
    return head + (next == (uint32_t)size ? 8 : 16);
}

static apr_status_t end_described(sal_upload_stream_t *s, size_t n, sal_error_t *err)
{
    const unsigned char *d = s->hold + (le32(s->hold) == SIG_DESCRIPTOR ? 4 : 0);
    bool wide = s->hold + n - d == 20;
    uint64_t packed = wide ? le64(d + 4) : le32(d + 4), size = wide ? le64(d + 12) : le32(d + 8);
    uint32_t crc = le32(d);
    apr_status_t rv = end_staged(s, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (crc != s->entry.crc || (wide ? s->entry.packed : (uint32_t)s->entry.packed) != packed ||
        (wide ? s->entry.size : (uint32_t)s->entry.size) != size) {
        drop_temp(s);
        return sal_upload_bad_crc(s->name, s->scratch, err);
    }
    drop_unwanted(s);
    return end_member(s, err);
}

static apr_status_t step_descriptor(sal_upload_stream_t *s, const char *data, size_t size,
                                    size_t *took, sal_error_t *err)
{
    size_t n = 0;

    for (*took = 0; *took < size && !(n && s->held == n);) {
        s->hold[s->held++] = (unsigned char)data[(*took)++];
        n = descriptor_size(s);
    }
    if (!n || s->held < n) {
        return APR_SUCCESS;
    }
    return end_described(s, n, err);
}

/* ---- records ---- */

/* Bytes of the record in hold as far as they can be told; 0: it is no record we know. */
static size_t record_size(const sal_upload_stream_t *s)
{
    const unsigned char *h = s->hold;
    size_t more = s->held;
    uint64_t size;

    if (more < 4) {
        return 4;
    }
    switch (le32(h)) {
    case SIG_LOCAL:
        return more < LOCAL_SIZE ? LOCAL_SIZE : LOCAL_SIZE + (size_t)le16(h + 26) + le16(h + 28);
    case SIG_CENTRAL:
        return more < CENTRAL_SIZE
                   ? CENTRAL_SIZE
                   : CENTRAL_SIZE + (size_t)le16(h + 28) + le16(h + 30) + le16(h + 32);
    case SIG_END64:
        size = more < 12 ? 0 : le64(h + 4);
        return more < 12 ? 12 : size < END64_SIZE - 12 || size > END64_MAX ? 0 : (size_t)size + 12;
    case SIG_LOCATOR:
        return LOCATOR_SIZE;
    case SIG_END:
        return more < END_SIZE ? END_SIZE : END_SIZE + (size_t)le16(h + 20);
    default:
        return 0;
    }
}

static apr_status_t end_record(sal_upload_stream_t *s, sal_error_t *err)
{
    /* Of more entries than 65535 the record holds the rest of a division, or all ones. */
    uint16_t claimed = le16(s->hold + 10);

    if (claimed != UINT16_MAX && claimed != (uint16_t)s->listed) {
        return sal_fail(err, SAL_E_MALFORMED, "File is not a zip file");
    }
    s->state = ENDED;
    return APR_SUCCESS;
}

static apr_status_t take_record(sal_upload_stream_t *s, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    switch (le32(s->hold)) {
    case SIG_LOCAL:
        /* Members after the directory are no part of what it lists. */
        return s->names ? begin_spool(s, err) : local_header(s, err);
    case SIG_CENTRAL:
        rv = sal_upload_central_entry(s, err);
        break;
    case SIG_END:
        rv = end_record(s, err);
        break;
    default:
        break;
    }
    s->held = 0;
    return rv;
}

static apr_status_t step_record(sal_upload_stream_t *s, const char *data, size_t size, size_t *took,
                                sal_error_t *err)
{
    size_t want;

    if (s->held == 0) {
        s->record = s->offset;
    }
    for (*took = 0; (want = record_size(s)) > s->held;) {
        size_t n = want - s->held;

        n = size - *took < n ? size - *took : n;
        if (n == 0) {
            return APR_SUCCESS;
        }
        memcpy(s->hold + s->held, data + *took, n);
        s->held += n;
        *took += n;
    }
    return want ? take_record(s, err) : begin_spool(s, err);
}

apr_status_t sal_upload_stream_feed(sal_upload_stream_t *s, const char *data, size_t size,
                                    sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    while (size && rv == APR_SUCCESS && s->state != BROKEN) {
        size_t took = size;

        if (s->state == RECORD) {
            rv = step_record(s, data, size, &took, err);
        } else if (s->state == MEMBER) {
            rv = step_member(s, data, size, &took, err);
        } else if (s->state == DESCRIPTOR) {
            rv = step_descriptor(s, data, size, &took, err);
        } else if (s->state == SPOOL) {
            rv = spool_bytes(s, data, size, s->offset, err);
        }
        SHA256_Update(&s->sha, data, took);
        s->offset += took;
        data += took;
        size -= took;
        if (s->boundary) {
            s->boundary = false;
            set_mark(s);
        }
    }
    if (rv != APR_SUCCESS) {
        s->state = BROKEN;
        s->broken = rv;
    }
    return s->state == BROKEN && rv == APR_SUCCESS
               ? sal_fail(err, s->broken, "the archive was given up earlier")
               : rv;
}

apr_status_t sal_upload_stream_finish(sal_upload_stream_t *s, sal_error_t *err)
{
    if (s->state == SPOOL) {
        return sal_upload_central_spooled(s, err);
    }
    return s->state == ENDED ? APR_SUCCESS
                             : sal_fail(err, SAL_E_MALFORMED, "File is not a zip file");
}
