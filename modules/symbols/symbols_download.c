/*
 * GET /symbols/<debug_file>/<debug_id>/<leaf>: from the index on disk, so the database may be away.
 * It is asked only for code ids, where the disk knows no answer.
 */
#include "symbols_private.h"

#include <apr_strings.h>

#include "base/text.h"
#include "symbols/symbol_rows.h"

APLOG_USE_MODULE(symbols);

/* A full debug id is 32 digits and an age; what is shorter may be a code id. */
enum { DEBUG_ID_MIN = 33 };

typedef struct {
    const char *debug_file, *id, *leaf;
    int with_try;
    apr_time_t began;
} wanted_t;

static void cors(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Methods", "GET");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Headers",
                   "accept,accept-encoding,authorization,content-type,dnt,origin,user-agent,"
                   "x-csrftoken,x-requested-with");
}

/* For clients that ask with "Debug: true": how long the lookup took. */
static void debug_time(request_rec *r, const wanted_t *w, int looked)
{
    const char *debug = apr_table_get(r->headers_in, "Debug");

    if (debug && (!strcmp(debug, "1") || !strcasecmp(debug, "true") || !strcasecmp(debug, "yes"))) {
        double seconds = looked ? (double)(apr_time_now() - w->began) / APR_USEC_PER_SEC : 0.0;

        apr_table_setn(r->err_headers_out, "Debug-Time",
                       looked ? apr_psprintf(r->pool, "%.6f", seconds) : "0");
    }
}

static int not_found(request_rec *r, const char *text)
{
    apr_table_setn(r->headers_out, "Cache-Control", "max-age=60");
    return web_reply(r, HTTP_NOT_FOUND, "text/plain; charset=utf-8", text, strlen(text));
}

static int no_route(request_rec *r)
{
    const char *path = sal_utf8_clean(r->uri, strlen(r->uri), r->pool);

    return web_reply_json(r, HTTP_NOT_FOUND,
                          json_pack("{s:s, s:s}", "error", "Not Found", "path", path));
}

/* Does the query string have this name, with or without a value? */
static int has_param(request_rec *r, const char *name)
{
    return r->args && web_param(web_query(r), name) != NULL;
}

/* "[try/]<file>/<id>/<leaf>" below the prefix. */
static int parse_path(wanted_t *w, request_rec *r)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    const char *prefix = dc->prefix ? dc->prefix : SYMBOLS_PREFIX;
    const char *path = r->uri;
    sal_symbol_key_t key;
    size_t n = strlen(prefix);

    if (strncmp(path, prefix, n)) {
        return 0;
    }
    path += n;
    if (!strncmp(path, "try/", 4) &&
        sal_symbol_key_parse(&key, path + 4, strlen(path + 4), r->pool)) {
        w->with_try = 1;
    } else if (!sal_symbol_key_parse(&key, path, strlen(path), r->pool)) {
        return 0;
    }
    w->debug_file = key.debug_file;
    w->id = key.debug_id;
    w->leaf = key.leaf;
    w->with_try = w->with_try || has_param(r, "try");
    return 1;
}

/* A path of the right shape whose id is all zeros: some clients ask, nobody ever has it. */
static int is_null_id(request_rec *r)
{
    const char *leaf = strrchr(r->uri, '/'), *id;

    if (!leaf || leaf == r->uri) {
        return 0;
    }
    for (id = leaf; id > r->uri && id[-1] == '0'; id--) {
        continue;
    }
    return leaf > id && id > r->uri && id[-1] == '/' && leaf[1];
}

/* Kinds that clients may well ask for; other misses are theirs, not ours to note. */
static int is_known_kind(const char *leaf)
{
    static const char *const kinds[] = { ".sym", ".dl_", ".ex_", ".pd_", ".dbg.gz", ".tar.bz2" };
    size_t n = strlen(leaf);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t m = strlen(kinds[i]);

        if (n >= m && !strcmp(leaf + n - m, kinds[i])) {
            return 1;
        }
    }
    return 0;
}

/* ---- code ids ---- */

typedef struct {
    const wanted_t *wanted;
    sal_symbol_store_t *store;
    sal_symbol_key_t found;
} code_lookup_t;

static apr_status_t find_code(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    code_lookup_t *c = baton;

    return sal_symbol_by_code(&c->found, c->wanted->debug_file, c->wanted->id,
                              c->wanted->with_try != 0, c->store, db, p, err);
}

/* A module asked for by code file and code id: a redirect to its debug file and debug id. */
static int redirect_code(request_rec *r, const wanted_t *w, sal_symbol_store_t *store)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    code_lookup_t c = { .wanted = w, .store = store };
    sal_error_t err = { 0 };
    const char *path;
    apr_status_t rv;

    if ((rv = web_with_db(r, find_code, &c, &err)) != APR_SUCCESS) {
        if (!APR_STATUS_IS_ENOENT(rv)) {
            ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2023: no lookup by code id: %s",
                          err.message);
        }
        return DECLINED;
    }
    path = apr_pstrcat(r->pool, dc->prefix ? dc->prefix : SYMBOLS_PREFIX, w->with_try ? "try/" : "",
                       c.found.debug_file, "/", c.found.debug_id, "/", c.found.leaf, NULL);
    path = ap_os_escape_path(r->pool, path, 1);
    apr_table_setn(r->headers_out, "Location",
                   r->args ? apr_pstrcat(r->pool, path, "?", r->args, NULL) : path);
    return web_reply(r, HTTP_MOVED_TEMPORARILY, "text/plain; charset=utf-8", "", 0);
}

/* ---- */

static void note_missing(request_rec *r, const wanted_t *w)
{
    apr_table_t *query = web_query(r);
    const char *code_file = web_param(query, "code_file"), *code_id = web_param(query, "code_id");
    symbols_wanted_t wanted = { w->debug_file, w->id, w->leaf, NULL, NULL };

    if (code_file && sal_utf8_valid(code_file, strlen(code_file))) {
        wanted.code_file = code_file;
    }
    if (code_id && sal_utf8_valid(code_id, strlen(code_id))) {
        wanted.code_id = code_id;
    }
    symbols_missing_note(symbols_missing, &wanted, r->server, r->request_time);
}

static int lookup(request_rec *r, wanted_t *w)
{
    sal_symbol_store_t *store = symbols_conf(r)->store;
    const char *path;
    bool gzipped;
    int rc;

    if (sal_symbol_store_find(&path, &gzipped, store, w->debug_file, w->id, w->leaf,
                              w->with_try != 0, r->pool, NULL) == APR_SUCCESS) {
        debug_time(r, w, 1);
        return symbols_send_file(r, path, strrchr(path, '/') + 1, gzipped);
    }
    if (!is_known_kind(w->leaf)) {
        debug_time(r, w, 0);
        return not_found(r, "Symbol Not Found (and ignored)");
    }
    if (sal_symbol_leaf_is_sym(w->leaf) && strlen(w->id) < DEBUG_ID_MIN &&
        (rc = redirect_code(r, w, store)) != DECLINED) {
        return rc;
    }
    if (!r->header_only) {
        note_missing(r, w);
    }
    debug_time(r, w, 1);
    return not_found(r, "Symbol Not Found");
}

static int other_method(request_rec *r)
{
    const char *method = sal_utf8_clean(r->method, strlen(r->method), r->pool);

    apr_table_setn(r->headers_out, "Allow", "GET, HEAD");
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    return web_reply_error(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed (%s): %s", method,
                           sal_utf8_clean(r->uri, strlen(r->uri), r->pool));
}

int symbols_download(request_rec *r)
{
    wanted_t w = { .began = apr_time_now() };

    cors(r);
    if (r->method_number != M_GET) {
        return other_method(r);
    }
    if (!symbols_conf(r)->store) {
        return web_reply_error(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    if (is_null_id(r)) {
        debug_time(r, &w, 0);
        return not_found(r, "Symbol Not Found (and ignored)");
    }
    return parse_path(&w, r) ? lookup(r, &w) : no_route(r);
}
