/*
 * debuginfod: programs, debug files, sections and sources by build id.
 *
 *   GET /buildid/<id>/debuginfo | executable | source/<path> | section/<name>
 *   GET /metadata?key=glob|file&value=...
 *
 * Everything but /metadata comes from the index on disk. A path below source/ is taken from the
 * request line: httpd has resolved "..", "//" and "%2F" in r->uri, debuggers mean them.
 */
#include "symbols_private.h"

#include <ctype.h>
#include <stdlib.h>

#include <apr_strings.h>

#include "base/file.h"
#include "base/text.h"
#include "symbols/object_id.h"
#include "symbols/symbol_gzip.h"
#include "symbols/symbol_rows.h"
#include "symbols/symbol_source.h"

APLOG_USE_MODULE(symbols);

enum { METADATA_MAX = 1000 };

typedef struct {
    const char *id, *what, *rest; /* rest: behind "what/", decoded; "" none */
    int with_try;
} query_t;

static int answer(request_rec *r, int rc)
{
    int status = rc == OK ? r->status : rc;

    symbols_count(status == HTTP_OK || status == HTTP_PARTIAL_CONTENT ? SYMBOLS_COUNT_200
                  : status == HTTP_NOT_FOUND                          ? SYMBOLS_COUNT_404
                  : status == HTTP_NOT_ACCEPTABLE                     ? SYMBOLS_COUNT_406
                                                                      : SYMBOLS_COUNT_OTHER);
    return rc;
}

/* ---- the request ---- */

/* Percent-decoded; NULL for a broken escape or a NUL. */
static char *decode(const char *s, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, s), *to = out;

    for (; *s; s++) {
        if (*s != '%') {
            *to++ = *s;
            continue;
        }
        if (!isxdigit((unsigned char)s[1]) || !isxdigit((unsigned char)s[2]) ||
            (s[1] == '0' && s[2] == '0')) {
            return NULL;
        }
        char two[3] = { s[1], s[2], 0 };

        *to++ = (char)strtoul(two, NULL, 16);
        s += 2;
    }
    *to = '\0';
    return out;
}

/* ".../buildid/<id>/<what>[/<rest>]" of the request line. */
static int parse(query_t *q, request_rec *r)
{
    const char *raw = r->unparsed_uri ? r->unparsed_uri : "", *at = strstr(raw, "buildid/"), *end;
    const char *args = strchr(raw, '?');
    char *path;

    if (!at || (args && at > args)) {
        return 0;
    }
    path = apr_pstrmemdup(r->pool, at + 8, args ? (apr_size_t)(args - at - 8) : strlen(at + 8));
    end = strchr(path, '/');
    if (!end) {
        return 0;
    }
    q->id = apr_pstrmemdup(r->pool, path, (apr_size_t)(end - path));
    q->what = end + 1;
    q->rest = "";
    if ((end = strchr(q->what, '/')) != NULL) {
        q->rest = decode(end + 1, r->pool);
        q->what = apr_pstrmemdup(r->pool, q->what, (apr_size_t)(end - q->what));
    }
    q->with_try = r->args && web_param(web_query(r), "try") != NULL;
    return q->rest && sal_build_id_valid(q->id);
}

/* ---- what goes with a file ---- */

static apr_off_t plain_size(request_rec *r, const symbols_open_t *o)
{
    uint64_t size;
    apr_os_file_t fd;

    apr_os_file_get(&fd, o->file);
    if (o->meta.gzip && sal_gzip_size(&size, fd) == APR_SUCCESS) {
        return (apr_off_t)size;
    }
    return r->finfo.size;
}

/* Sets the headers; a client that wants no file of this size gets 406. */
static int check_size(request_rec *r, apr_off_t size, const char *name)
{
    const char *most = apr_table_get(r->headers_in, "X-DEBUGINFOD-MAXSIZE");
    int64_t max;

    apr_table_setn(r->headers_out, "X-DEBUGINFOD-SIZE", apr_off_t_toa(r->pool, size));
    apr_table_setn(r->headers_out, "X-DEBUGINFOD-FILE", name);
    if (most && sal_parse_int(most, 1, INT64_MAX, &max) && size > max) {
        return web_reply_error(r, HTTP_NOT_ACCEPTABLE, "the file has %" APR_OFF_T_FMT " bytes",
                               size);
    }
    return DECLINED;
}

static int open_part(symbols_open_t *o, const char **name, request_rec *r, const query_t *q,
                     sal_build_part_t part)
{
    sal_symbol_key_t key;
    const char *path;

    if (sal_symbol_store_by_build(&path, &key, symbols_conf(r)->store, q->id, part,
                                  q->with_try != 0, r->pool, NULL) != APR_SUCCESS ||
        symbols_open(o, r, path) != APR_SUCCESS) {
        return 0;
    }
    *name = key.leaf;
    return 1;
}

static int open_upstream(symbols_open_t *o, const char **name, request_rec *r, const query_t *q,
                         sal_build_part_t part)
{
    sal_upstream_t *up = symbols_conf(r)->upstream;
    sal_upstream_want_t want = { .kind = SAL_UPSTREAM_ELF,
                                 .id = q->id,
                                 .leaf = part == SAL_BUILD_DEBUGINFO ? "debuginfo" : "executable",
                                 .via = apr_table_get(r->headers_in, SAL_UPSTREAM_VIA) };
    sal_upstream_got_t got;
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!up || !sal_upstream_asks(up, SAL_UPSTREAM_ELF)) {
        return 0;
    }
    rv = sal_upstream_get(&got, up, &want, r->pool, &err);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv) && rv != APR_EINVAL) {
        symbols_no_upstream(r, &err);
    }
    if (rv != APR_SUCCESS || symbols_open(o, r, got.path) != APR_SUCCESS) {
        return 0;
    }
    symbols_count(SYMBOLS_COUNT_UPSTREAM);
    *name = sal_basename(got.path);
    return 1;
}

static int send_whole(request_rec *r, const query_t *q, sal_build_part_t part)
{
    symbols_open_t o;
    const char *name;
    int rc;

    if (!open_part(&o, &name, r, q, part) && !open_upstream(&o, &name, r, q, part)) {
        return symbols_not_found(r, "not found");
    }
    rc = check_size(r, plain_size(r, &o), name);
    return rc == DECLINED ? symbols_send(r, &o, name, 1) : rc;
}

/* ---- sections ---- */

static int find_section(apr_off_t *offset, apr_off_t *size, const symbols_open_t *o,
                        const char *name, apr_pool_t *p)
{
    apr_os_file_t fd;
    uint64_t at, n;
    sal_span_t elf;

    apr_os_file_get(&fd, o->file);
    if (o->meta.gzip ? sal_gzip_elf_section(&at, &n, fd, name, NULL) != APR_SUCCESS
                     : sal_file_map(&elf, o->path, p, NULL) != APR_SUCCESS ||
                           sal_elf_section(&at, &n, elf, name, NULL) != APR_SUCCESS) {
        return 0;
    }
    *offset = (apr_off_t)at;
    *size = (apr_off_t)n;
    return 1;
}

/* From the debug file, or from the program where that has nothing under the name. */
static int send_section(request_rec *r, const query_t *q)
{
    static const sal_build_part_t parts[] = { SAL_BUILD_DEBUGINFO, SAL_BUILD_EXECUTABLE };
    apr_off_t offset, size;
    symbols_open_t o;
    const char *name;

    for (int i = 0; i < 4; i++) {
        sal_build_part_t part = parts[i % 2];
        int there = i < 2 ? open_part(&o, &name, r, q, part) : open_upstream(&o, &name, r, q, part);

        if (there && find_section(&offset, &size, &o, q->rest, r->pool)) {
            int rc = check_size(r, size, name);

            return rc == DECLINED ? symbols_send_part(r, &o, offset, size) : rc;
        }
    }
    return symbols_not_found(r, "not found");
}

/* ---- sources ---- */

static const char *source_bundle(request_rec *r, const query_t *q)
{
    sal_symbol_store_t *store = symbols_conf(r)->store;
    const char *path, *debug_id;

    if (sal_symbol_store_by_build(&path, NULL, store, q->id, SAL_BUILD_SOURCE, q->with_try != 0,
                                  r->pool, NULL) == APR_SUCCESS) {
        return path;
    }
    debug_id = sal_debug_id_of_hex(q->id, r->pool);
    return debug_id && sal_symbol_store_by_build(&path, NULL, store, debug_id, SAL_BUILD_SOURCE,
                                                 q->with_try != 0, r->pool, NULL) == APR_SUCCESS
               ? path
               : NULL;
}

static int send_source(request_rec *r, const query_t *q)
{
    const char *bundle = source_bundle(r, q);
    sal_error_t err = { 0 };
    sal_source_t *source;
    symbols_pipe_t pipe;
    symbols_open_t o;
    int rc;

    if (!bundle || symbols_open(&o, r, bundle) != APR_SUCCESS ||
        sal_source_open(&source, bundle, q->rest, r->pool, &err) != APR_SUCCESS) {
        if (err.code && !APR_STATUS_IS_ENOENT(err.code)) {
            ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL2028: source bundle %s: %s", bundle,
                          err.message);
        }
        return symbols_not_found(r, "not found");
    }
    if ((rc = check_size(r, (apr_off_t)sal_source_size(source), sal_source_name(source))) !=
        DECLINED) {
        return rc;
    }
    symbols_describe(r, &o, "", SYMBOLS_FORM_STORED);
    apr_table_unset(r->headers_out, "ETag");
    ap_set_content_length(r, (apr_off_t)sal_source_size(source));
    if ((rc = ap_meets_conditions(r)) != OK) {
        return rc;
    }
    symbols_pipe_begin(&pipe, r);
    return symbols_pipe_end(
        &pipe,
        r->header_only || sal_source_read(source, symbols_pipe_piece, &pipe, &err) == APR_SUCCESS,
        bundle);
}

/* ---- metadata ---- */

typedef struct {
    const char *pattern;
    json_t *results;
    int complete;
} metadata_t;

static apr_status_t find_names(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    metadata_t *m = baton;
    sal_rows_t *rows;
    apr_status_t rv = sal_symbol_build_names(&rows, m->pattern, METADATA_MAX + 1, db, p, err);

    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows) && i < METADATA_MAX; i++) {
        const char *kind = sal_rows_text(rows, i, 0);

        json_array_append_new(
            m->results,
            json_pack("{s:s, s:s, s:s}", "type", strcmp(kind, "elf") ? "debuginfo" : "executable",
                      "buildid", sal_rows_text(rows, i, 1), "file", sal_rows_text(rows, i, 2)));
    }
    m->complete = rv == APR_SUCCESS && sal_rows_count(rows) <= METADATA_MAX;
    return rv;
}

/*
 * A regular expression for the last part of a name or glob: files are kept without their folders.
 * In a glob "*" and "?" are what they are in a shell; everything else means itself.
 */
static const char *name_pattern(const char *value, int glob, apr_pool_t *p)
{
    const char *base = strrchr(value, '/');
    char *out, *to;

    base = base ? base + 1 : value;
    to = out = apr_palloc(p, 2 * strlen(base) + 3);
    *to++ = '^';
    for (; *base; base++) {
        if (glob && *base == '*') {
            *to++ = '.';
            *to++ = '*';
        } else if (glob && *base == '?') {
            *to++ = '.';
        } else {
            if (strchr("\\^$.[]|()*+?{}", *base)) {
                *to++ = '\\';
            }
            *to++ = *base;
        }
    }
    *to++ = '$';
    *to = '\0';
    return out;
}

static int send_metadata(request_rec *r)
{
    apr_table_t *query = web_query(r);
    const char *key = web_param(query, "key"), *value = web_param(query, "value");
    metadata_t m = { .results = json_array() };
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!key || (strcmp(key, "glob") && strcmp(key, "file")) || !value || !*value ||
        !sal_utf8_valid(value, strlen(value))) {
        json_decref(m.results);
        return web_reply_error(r, HTTP_BAD_REQUEST, "wanted: key=glob or key=file, and a value");
    }
    m.pattern = name_pattern(value, *key == 'g', r->pool);
    rv = web_with_db(r, find_names, &m, &err);
    if (rv != APR_SUCCESS) {
        json_decref(m.results);
        return web_reply_error(r, web_status_of(rv), "%s", err.message);
    }
    return web_reply_json(r, HTTP_OK,
                          json_pack("{s:o, s:b}", "results", m.results, "complete", m.complete));
}

/* ---- which it is ---- */

static int route(request_rec *r)
{
    size_t n = strlen(r->uri);
    query_t q;

    if (n >= 9 && !strcmp(r->uri + n - 9, "/metadata")) {
        symbols_count(SYMBOLS_COUNT_METADATA);
        return send_metadata(r);
    }
    if (!parse(&q, r)) {
        return symbols_not_found(r, "not found");
    }
    if (!strcmp(q.what, "debuginfo") && !*q.rest) {
        symbols_count(SYMBOLS_COUNT_DEBUGINFO);
        return send_whole(r, &q, SAL_BUILD_DEBUGINFO);
    }
    if (!strcmp(q.what, "executable") && !*q.rest) {
        symbols_count(SYMBOLS_COUNT_EXECUTABLE);
        return send_whole(r, &q, SAL_BUILD_EXECUTABLE);
    }
    if (!strcmp(q.what, "section") && *q.rest) {
        symbols_count(SYMBOLS_COUNT_SECTION);
        return send_section(r, &q);
    }
    if (!strcmp(q.what, "source") && *q.rest) {
        symbols_count(SYMBOLS_COUNT_SOURCE);
        return send_source(r, &q);
    }
    return symbols_not_found(r, "not found");
}

int symbols_debuginfod(request_rec *r)
{
    int rc = symbols_method(r, "GET, HEAD");

    if (rc != DECLINED) {
        return rc;
    }
    if (!symbols_conf(r)->store) {
        return web_reply_error(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    return answer(r, route(r));
}
