/*
 * Checks of a symbol archive. Names come first: a bad archive costs no inflating.
 *
 * Knows zip files and the grammar of keys; nothing of requests, the database or how members are
 * stored. Sources of the texts and limits: docs/symbols.md.
 */
#include "upload/zip.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <zip.h>

#include "base/reader.h"
#include "base/text.h"

enum { IO_CHUNK = 65536, EOCD_SIZE = 22, EOCD_TAIL = 65535 + EOCD_SIZE + 20 };

static const uint64_t ratio_floor = 1 << 20; /* small members may pack as well as they like */

static const char *const default_snippets[] = { "qcom/proprietary", NULL };

const sal_upload_limits_t sal_upload_limits = { .members = 100000,
                                                .member_size = UINT64_C(16) << 30,
                                                .ratio = 1000,
                                                .snippets = default_snippets };

/* An entry of the central directory. */
typedef struct {
    const char *name;
    zip_stat_t st;
    bool unread; /* a directory, or a file that a later entry replaces */
} entry_t;

/* ---- texts ---- */

/* Length of the code point at s, 0 if it is not valid UTF-8. */
static size_t code_point(const char *s, uint32_t *cp)
{
    unsigned char c = (unsigned char)*s;
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

    if (strlen(s) < n || !sal_utf8_valid(s, n)) {
        return 0;
    }
    *cp = n == 1 ? c : c & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        *cp = *cp << 6 | ((unsigned char)s[i] & 0x3f);
    }
    return n;
}

/* The code points beyond ASCII that Python escapes: controls, formats, odd blanks, private use. */
static bool is_unprintable(uint32_t cp)
{
    static const uint32_t ranges[][2] = {
        { 0x7f, 0xa0 },       { 0xad, 0xad },     { 0x600, 0x605 },   { 0x61c, 0x61c },
        { 0x6dd, 0x6dd },     { 0x70f, 0x70f },   { 0x1680, 0x1680 }, { 0x180e, 0x180e },
        { 0x2000, 0x200f },   { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x3000, 0x3000 },
        { 0xe000, 0xf8ff },   { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff },
        { 0xe0000, 0x10ffff }
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (cp >= ranges[i][0] && cp <= ranges[i][1]) {
            return true;
        }
    }
    return cp < 0x20;
}

/* One code point, or one bad byte, as it stands between the quotes. Returns bytes consumed. */
static size_t repr_one(char *out, size_t size, const char *s, char quote)
{
    uint32_t cp = (unsigned char)*s;
    size_t n = code_point(s, &cp);

    if (n && (*s == quote || *s == '\\')) {
        apr_snprintf(out, size, "\\%c", *s);
    } else if (n && (*s == '\n' || *s == '\r' || *s == '\t')) {
        apr_snprintf(out, size, "\\%c", *s == '\n' ? 'n' : *s == '\r' ? 'r' : 't');
    } else if (n && !is_unprintable(cp)) {
        apr_snprintf(out, size, "%.*s", (int)n, s);
    } else {
        apr_snprintf(out, size, cp > 0xffff ? "\\U%08x" : cp > 0xff ? "\\u%04x" : "\\x%02x", cp);
    }
    return n ? n : 1;
}

const char *sal_upload_repr(const char *text, apr_pool_t *p)
{
    char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    char buf[400] = { quote, '\0' }, one[16];
    size_t used = 1;

    while (*text && used < 350) {
        text += repr_one(one, sizeof(one), text, quote);
        apr_cpystrn(buf + used, one, sizeof(buf) - used);
        used += strlen(one);
    }
    buf[used++] = quote;
    return apr_pstrmemdup(p, buf, used);
}

apr_status_t sal_upload_bad_name(const char *name, apr_pool_t *p, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED,
                    "Unrecognized file pattern. Should only be <module>/<hex>/<file> or "
                    "<name>-symbols.txt and nothing else. (First unrecognized pattern was %s)",
                    sal_upload_repr(name, p));
}

apr_status_t sal_upload_bad_crc(const char *name, apr_pool_t *p, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "Bad CRC-32 for file %s", sal_upload_repr(name, p));
}

apr_status_t sal_upload_bad_feature(const char *name, apr_pool_t *p, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "Unsupported zip feature in %s",
                    sal_upload_repr(name, p));
}

apr_status_t sal_upload_twice(const char *name, uint64_t second, uint64_t first, apr_pool_t *p,
                              sal_error_t *err)
{
    return sal_fail(
        err, SAL_E_MALFORMED,
        "The zipfile buffer contains two files both called %s and they have difference "
        "sizes (%" APR_UINT64_T_FMT " != %" APR_UINT64_T_FMT ")",
        sal_utf8_valid(name, strlen(name)) && strlen(name) < 300 ? name : sal_upload_repr(name, p),
        (apr_uint64_t)second, (apr_uint64_t)first);
}

apr_status_t sal_upload_name_check(const char *archive_name, apr_pool_t *p, sal_error_t *err)
{
    const char *base = sal_basename(archive_name);
    const char *dot = strrchr(base, '.');

    /* As Python's splitext: leading dots do not begin an extension. */
    if (dot && strspn(base, ".") >= (size_t)(dot - base) + 1) {
        dot = NULL;
    }
    if (dot && !strcasecmp(dot, ".zip")) {
        return APR_SUCCESS;
    }
    return sal_fail(err, SAL_E_MALFORMED, "Unrecognized archive file extension \"%.100s\"",
                    sal_utf8_clean(dot ? dot : "", dot ? strlen(dot) : 0, p));
}

/* ---- opening ---- */

/* Entries that one end-of-central-directory record claims, its Zip64 record included. */
static uint64_t claimed(int fd, const sal_span_t *tail, size_t at)
{
    unsigned char head[40];
    sal_span_t record = { head, sizeof(head), false };
    uint16_t n16 = 0;
    uint64_t n = 0, where = 0;
    uint32_t magic = 0;

    sal_span_u16(tail, at + 10, &n16);
    if (at >= 20 && sal_span_u32(tail, at - 20, &magic) && magic == 0x07064b50 &&
        sal_span_u64(tail, at - 12, &where) && where <= INT64_MAX &&
        pread(fd, head, sizeof(head), (off_t)where) == (ssize_t)sizeof(head)) {
        sal_span_u64(&record, 32, &n);
    }
    return n > n16 ? n : n16;
}

/*
 * libzip allocates for as many entries as the archive claims, so the claim is looked at first: the
 * largest of all records in the tail. *n is 0 and the answer false where there is none.
 */
static bool count_entries(uint64_t *n, int fd, uint64_t size, apr_pool_t *p)
{
    size_t want = size < EOCD_TAIL ? (size_t)size : EOCD_TAIL;
    unsigned char *buf = apr_palloc(p, want + 1);
    sal_span_t tail = { buf, want, false };
    bool found = false;
    uint32_t magic;

    *n = 0;
    if (pread(fd, buf, want, (off_t)(size - want)) != (ssize_t)want) {
        return false;
    }
    for (size_t at = 0; at + EOCD_SIZE <= want; at++) {
        if (buf[at] == 'P' && sal_span_u32(&tail, at, &magic) && magic == 0x06054b50) {
            uint64_t c = claimed(fd, &tail, at);

            *n = c > *n ? c : *n;
            found = true;
        }
    }
    return found;
}

static apr_status_t close_zip(void *v)
{
    zip_discard(v);
    return APR_SUCCESS;
}

static apr_status_t zip_failure(zip_error_t *e, sal_error_t *err)
{
    int code = zip_error_code_zip(e);
    apr_status_t rv = SAL_E_MALFORMED;

    if (code == ZIP_ER_MEMORY || code == ZIP_ER_READ) {
        rv = APR_EGENERAL;
    }
    return sal_fail(err, rv, "%s",
                    code == ZIP_ER_NOZIP ? "File is not a zip file" : zip_error_strerror(e));
}

static apr_status_t open_zip(zip_t **out, int fd, apr_pool_t *p, sal_error_t *err)
{
    int copy = dup(fd);
    FILE *f = copy >= 0 ? fdopen(copy, "rb") : NULL;
    zip_source_t *source;
    zip_error_t e;
    apr_status_t rv = APR_SUCCESS;

    if (!f) {
        rv = sal_fail_os(err, errno, "cannot open the archive");
        if (copy >= 0) {
            close(copy);
        }
        return rv;
    }
    zip_error_init(&e);
    source = zip_source_filep_create(f, 0, 0, &e);
    if (!source) {
        fclose(f);
    } else if (!(*out = zip_open_from_source(source, ZIP_RDONLY, &e))) {
        zip_source_free(source);
    }
    if (!source || !*out) {
        rv = zip_failure(&e, err);
    } else {
        apr_pool_cleanup_register(p, *out, close_zip, apr_pool_cleanup_null);
    }
    zip_error_fini(&e);
    return rv;
}

/* ---- the list of members ---- */

static apr_status_t list_entries(apr_array_header_t *list, zip_t *zip, apr_pool_t *p,
                                 sal_error_t *err)
{
    zip_int64_t n = zip_get_num_entries(zip, 0);

    for (zip_int64_t i = 0; i < n; i++) {
        entry_t *e = apr_array_push(list);
        const char *name = zip_get_name(zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        size_t len = name ? strlen(name) : 0;

        zip_stat_init(&e->st);
        if (!name || zip_stat_index(zip, (zip_uint64_t)i, 0, &e->st)) {
            return zip_failure(zip_get_error(zip), err);
        }
        e->unread = len > 0 && name[len - 1] == '/';
        e->name = apr_pstrmemdup(p, name, len);
    }
    return APR_SUCCESS;
}

static apr_status_t check_sizes(const apr_array_header_t *list, uint64_t archive,
                                const sal_upload_limits_t *limits, sal_error_t *err)
{
    uint64_t packed = 0, plain = 0;

    for (int i = 0; i < list->nelts; i++) {
        const zip_stat_t *st = &APR_ARRAY_IDX(list, i, entry_t).st;

        if (st->size > limits->member_size ||
            (st->size > ratio_floor && st->size / limits->ratio > st->comp_size)) {
            return sal_fail(err, SAL_E_TOOBIG, "Archive member too large");
        }
        if (st->comp_size > archive - packed) {
            return sal_fail(err, SAL_E_MALFORMED, "Overlapped entries (possible zip bomb)");
        }
        packed += st->comp_size;
        plain += st->size;
    }
    if (plain > ratio_floor && plain / limits->ratio > archive) {
        return sal_fail(err, SAL_E_TOOBIG, "Archive member too large");
    }
    return APR_SUCCESS;
}

static apr_status_t check_features(const apr_array_header_t *list, apr_pool_t *p, sal_error_t *err)
{
    for (int i = 0; i < list->nelts; i++) {
        const entry_t *e = &APR_ARRAY_IDX(list, i, entry_t);

        if (!e->unread &&
            (e->st.encryption_method != ZIP_EM_NONE ||
             (e->st.comp_method != ZIP_CM_STORE && e->st.comp_method != ZIP_CM_DEFLATE))) {
            return sal_upload_bad_feature(e->name, p, err);
        }
    }
    return APR_SUCCESS;
}

/* Of one name twice with one size the last wins. */
static apr_status_t check_twice(apr_array_header_t *list, apr_pool_t *p, sal_error_t *err)
{
    apr_hash_t *seen = apr_hash_make(p);

    for (int i = 0; i < list->nelts; i++) {
        entry_t *e = &APR_ARRAY_IDX(list, i, entry_t);
        entry_t *old = apr_hash_get(seen, e->name, APR_HASH_KEY_STRING);

        if (old && !e->unread) {
            if (old->st.size != e->st.size) {
                return sal_upload_twice(e->name, e->st.size, old->st.size, p, err);
            }
            old->unread = true;
        }
        apr_hash_set(seen, e->name, APR_HASH_KEY_STRING, e);
    }
    return APR_SUCCESS;
}

static apr_status_t check_snippets(const char *name, const char *const *snippets, sal_error_t *err)
{
    for (const char *const *s = snippets; s && *s; s++) {
        if (strstr(name, *s)) {
            return sal_fail(err, SAL_E_MALFORMED,
                            "Content of archive file contains the snippet '%s' which is not "
                            "allowed",
                            *s);
        }
    }
    return APR_SUCCESS;
}

static apr_status_t check_all_snippets(const apr_array_header_t *list, const char *const *snippets,
                                       sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < list->nelts && rv == APR_SUCCESS; i++) {
        rv = check_snippets(APR_ARRAY_IDX(list, i, entry_t).name, snippets, err);
    }
    return rv;
}

static bool is_ignored(const char *name)
{
    static const char list_suffix[] = "-symbols.txt";
    const char *slash = strrchr(name, '/');
    size_t n = strlen(name), m = sizeof(list_suffix) - 1;

    if (!slash && n >= m && !strcasecmp(name + n - m, list_suffix)) {
        return true;
    }
    return !strcmp(slash ? slash + 1 : name, ".DS_Store");
}

/* A path with an empty, "." or ".." part means no good, not even for a file we ignore. */
static bool is_devious(const char *name)
{
    const char *part = name, *end;

    for (;; part = end + 1) {
        size_t n = strcspn(part, "/");

        end = part + n;
        if (n == 0 || n > 255 || (n == 1 && part[0] == '.') ||
            (n == 2 && part[0] == '.' && part[1] == '.')) {
            return true;
        }
        if (!*end) {
            return false;
        }
    }
}

apr_status_t sal_upload_member_name(sal_member_kind_t *kind, sal_symbol_key_t *key,
                                    const char *name, const char *const *snippets, apr_pool_t *p,
                                    sal_error_t *err)
{
    size_t n = strlen(name);
    apr_status_t rv = check_snippets(name, snippets, err);

    *kind = SAL_MEMBER_FOLDER;
    if (rv != APR_SUCCESS || (n > 0 && name[n - 1] == '/')) {
        return rv;
    }
    if (is_devious(name)) {
        return sal_upload_bad_name(name, p, err);
    }
    *kind = is_ignored(name) ? SAL_MEMBER_IGNORED : SAL_MEMBER_FILE;
    if (*kind == SAL_MEMBER_FILE && !sal_symbol_key_parse(key, name, n, p)) {
        return sal_upload_bad_name(name, p, err);
    }
    return APR_SUCCESS;
}

static apr_status_t take_member(sal_upload_zip_t *z, const entry_t *e, apr_pool_t *p,
                                sal_error_t *err)
{
    sal_upload_member_t m = { .name = e->name,
                              .index = e->st.index,
                              .size = e->st.size,
                              .packed = e->st.comp_size,
                              .crc = e->st.crc,
                              .deflated = e->st.comp_method == ZIP_CM_DEFLATE };
    sal_member_kind_t kind;
    apr_status_t rv = sal_upload_member_name(&kind, &m.key, e->name, NULL, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (kind == SAL_MEMBER_IGNORED) {
        APR_ARRAY_PUSH(z->ignored, const char *) = sal_utf8_clean(e->name, strlen(e->name), p);
        return APR_SUCCESS;
    }
    APR_ARRAY_PUSH(z->members, sal_upload_member_t) = m;
    z->unpacked += m.size;
    return APR_SUCCESS;
}

/* Directories are dropped, but none may have the name of a file. */
static apr_status_t take_members(sal_upload_zip_t *z, const apr_array_header_t *list, apr_pool_t *p,
                                 sal_error_t *err)
{
    apr_hash_t *dirs = apr_hash_make(p);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < list->nelts; i++) {
        const entry_t *e = &APR_ARRAY_IDX(list, i, entry_t);
        size_t n = strlen(e->name);

        if (n > 1 && e->name[n - 1] == '/') {
            apr_hash_set(dirs, e->name, (apr_ssize_t)n - 1, e);
        }
    }
    for (int i = 0; i < list->nelts && rv == APR_SUCCESS; i++) {
        const entry_t *e = &APR_ARRAY_IDX(list, i, entry_t);

        if (e->unread) {
            continue;
        }
        rv = apr_hash_get(dirs, e->name, APR_HASH_KEY_STRING) ? sal_upload_bad_name(e->name, p, err)
                                                              : take_member(z, e, p, err);
    }
    return rv;
}

apr_status_t sal_upload_zip_open(sal_upload_zip_t **out, int fd, const sal_upload_limits_t *limits,
                                 apr_pool_t *p, sal_error_t *err)
{
    sal_upload_zip_t *z = apr_pcalloc(p, sizeof(*z));
    apr_array_header_t *list;
    apr_status_t rv;
    struct stat st;
    zip_t *zip = NULL;
    uint64_t n;

    if (fstat(fd, &st)) {
        return sal_fail_os(err, errno, "cannot read the archive");
    }
    if (!count_entries(&n, fd, (uint64_t)st.st_size, p)) {
        return sal_fail(err, SAL_E_MALFORMED, "File is not a zip file");
    }
    if (n > limits->members) {
        return sal_fail(err, SAL_E_TOOBIG, "Archive has more than %u members",
                        (unsigned)limits->members);
    }
    if ((rv = open_zip(&zip, fd, p, err)) != APR_SUCCESS) {
        return rv;
    }
    z->zip = zip;
    z->members = apr_array_make(p, 64, sizeof(sal_upload_member_t));
    z->ignored = apr_array_make(p, 4, sizeof(const char *));
    list = apr_array_make(p, 64, sizeof(entry_t));
    if ((rv = list_entries(list, zip, p, err)) != APR_SUCCESS ||
        (rv = check_sizes(list, (uint64_t)st.st_size, limits, err)) != APR_SUCCESS ||
        (rv = check_features(list, p, err)) != APR_SUCCESS ||
        (rv = check_twice(list, p, err)) != APR_SUCCESS ||
        (rv = check_all_snippets(list, limits->snippets, err)) != APR_SUCCESS ||
        (rv = take_members(z, list, p, err)) != APR_SUCCESS) {
        return rv;
    }
    *out = z;
    return APR_SUCCESS;
}

/* ---- reading a member ---- */

apr_status_t sal_upload_zip_pour(sal_upload_zip_t *zip, const sal_upload_member_t *member,
                                 sal_upload_sink_fn sink, void *baton, apr_pool_t *p,
                                 sal_error_t *err)
{
    zip_file_t *f = zip_fopen_index(zip->zip, member->index, ZIP_FL_COMPRESSED);
    apr_status_t rv = APR_SUCCESS;
    char *in = apr_palloc(p, IO_CHUNK);
    zip_int64_t n = 0;

    if (!f) {
        return zip_failure(zip_get_error(zip->zip), err);
    }
    while (rv == APR_SUCCESS && (n = zip_fread(f, in, IO_CHUNK)) > 0) {
        rv = sink(baton, in, (size_t)n, err);
    }
    if (rv == APR_SUCCESS && n < 0) {
        /* libzip checks what it can itself; to the client it is one and the same. */
        rv = zip_failure(zip_file_get_error(f), err) == SAL_E_MALFORMED
                 ? sal_upload_bad_crc(member->name, p, err)
                 : APR_EGENERAL;
    }
    zip_fclose(f);
    return rv;
}
