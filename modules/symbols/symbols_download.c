/*
 * GET /symbols/<debug_file>/<debug_id>/<leaf>: from the index on disk, so the database may be away.
 * It is asked only for code ids, where the disk knows no answer; other servers come last.
 */
#include "symbols_private.h"

#include <apr_strings.h>

#include "base/text.h"
#include "symbols/module_id.h"
#include "symbols/symbol_rows.h"

APLOG_USE_MODULE(symbols);

/* A full debug id is 32 digits and an age; what is shorter may be a code id. */
enum { DEBUG_ID_MIN = 33 };

void symbols_cors(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Origin", "*");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Methods", "GET");
    apr_table_setn(r->err_headers_out, "Access-Control-Allow-Headers",
                   "accept,accept-encoding,authorization,content-type,dnt,origin,user-agent,"
                   "x-csrftoken,x-requested-with");
}

/* For clients that ask with "Debug: true": how long the lookup took. */
static void debug_time(request_rec *r, const symbols_route_t *w, int looked)
{
    const char *debug = apr_table_get(r->headers_in, "Debug");

    if (debug && (!strcmp(debug, "1") || !strcasecmp(debug, "true") || !strcasecmp(debug, "yes"))) {
        double seconds = looked ? (double)(apr_time_now() - w->began) / APR_USEC_PER_SEC : 0.0;

        apr_table_setn(r->err_headers_out, "Debug-Time",
                       looked ? apr_psprintf(r->pool, "%.6f", seconds) : "0");
    }
}

int symbols_not_found(request_rec *r, const char *text)
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

/* ---- what is stored ---- */

/* Where the file itself is, for those who were sent there: <prefix>[try/]v1/<key>. */
static const char *stored_url(request_rec *r, const char *path)
{
    const char *key = path + strlen(path);
    int is_try;

    for (int slashes = 0; slashes < 3; slashes++) {
        while (*--key != '/') {
            continue;
        }
    }
    is_try = key - path >= 8 && !strncmp(key - 8, "/try/key", 8);
    return ap_os_escape_path(
        r->pool, apr_pstrcat(r->pool, symbols_prefix(r), is_try ? "try/v1" : "v1", key, NULL), 1);
}

static int answer_stored(request_rec *r, const symbols_route_t *w, const symbols_open_t *o)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);
    const char *leaf;

    debug_time(r, w, 1);
    symbols_count(SYMBOLS_COUNT_DOWNLOAD);
    if (!w->stored && dc->delivery != SYMBOLS_SENDFILE && dc->delivery != SYMBOLS_STREAM) {
        apr_table_setn(r->headers_out, "Location", stored_url(r, o->path));
        if (!r->header_only) {
            return web_reply(r, HTTP_MOVED_TEMPORARILY, "text/plain; charset=utf-8", "", 0);
        }
    }
    if (!r->header_only) {
        symbols_usage_note(symbols_usage, o->path, r->server);
    }
    leaf = strrchr(o->path, '/') + 1;
    return symbols_send(r, o, leaf, sal_symbol_leaf_is_sym(leaf));
}

/* Opens the file of a key: the exact one, which is one call, or what the store's rules find. */
static int open_key(symbols_open_t *o, request_rec *r, const symbols_route_t *w, const char *id)
{
    sal_symbol_store_t *store = symbols_conf(r)->store;
    sal_symbol_key_t key = { w->file, id, w->leaf };
    const char *path = sal_symbol_store_path(store, &key, false, r->pool);

    if (symbols_open(o, r, path) == APR_SUCCESS) {
        return 1;
    }
    return sal_symbol_store_find(&path, NULL, store, w->file, id, w->leaf, w->with_try != 0,
                                 r->pool, NULL) == APR_SUCCESS &&
           symbols_open(o, r, path) == APR_SUCCESS;
}

static int open_build(symbols_open_t *o, request_rec *r, const symbols_route_t *w, const char *id)
{
    const char *path;

    return sal_symbol_store_by_build(&path, NULL, symbols_conf(r)->store, id, w->part,
                                     w->with_try != 0, r->pool, NULL) == APR_SUCCESS &&
           symbols_open(o, r, path) == APR_SUCCESS;
}

/* Everything that this store can answer with a file. */
static int try_stored(request_rec *r, const symbols_route_t *w)
{
    const char *padded = NULL;
    symbols_open_t o;
    int rc;

    if (w->kind == SYMBOLS_ROUTE_BUILD) {
        return open_build(&o, r, w, w->id) ? answer_stored(r, w, &o) : DECLINED;
    }
    if (open_key(&o, r, w, w->id)) {
        return answer_stored(r, w, &o);
    }
    if (w->stored || sal_symbol_leaf_is_sym(w->leaf)) {
        return DECLINED;
    }
    if ((padded = symbols_padded_id(w->id, r->pool)) && open_key(&o, r, w, padded)) {
        return answer_stored(r, w, &o);
    }
    rc = symbols_unpacked(r, w, w->id);
    return rc == DECLINED && padded ? symbols_unpacked(r, w, padded) : rc;
}

/* ---- code ids ---- */

typedef struct {
    const symbols_route_t *wanted;
    const char *id;
    sal_symbol_store_t *store;
    sal_symbol_key_t found;
} code_lookup_t;

static apr_status_t find_code(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    code_lookup_t *c = baton;

    return sal_symbol_by_code(&c->found, c->wanted->file, c->id, c->wanted->with_try != 0, c->store,
                              db, p, err);
}

/* A build id says which debug id it stands for: no table is needed. */
static int find_build_code(code_lookup_t *c, request_rec *r)
{
    const char *id = sal_debug_id_of_hex(c->id, r->pool), *path;
    const char *leaf = sal_symbols_leaf(c->wanted->file, r->pool);

    if (!id || sal_symbol_store_find(&path, NULL, c->store, c->wanted->file, id, leaf,
                                     c->wanted->with_try != 0, r->pool, NULL) != APR_SUCCESS) {
        return 0;
    }
    c->found = (sal_symbol_key_t){ c->wanted->file, id, strrchr(path, '/') + 1 };
    return 1;
}

static int find_code_id(code_lookup_t *c, request_rec *r)
{
    sal_error_t err = { 0 };
    const char *padded = symbols_padded_id(c->wanted->id, r->pool);
    apr_status_t rv;

    c->id = c->wanted->id;
    if (find_build_code(c, r)) {
        return 1;
    }
    if (strlen(c->id) >= DEBUG_ID_MIN && strlen(c->id) % 2) {
        return 0;
    }
    rv = web_with_db(r, find_code, c, &err);
    if (APR_STATUS_IS_ENOENT(rv) && padded) {
        c->id = padded;
        rv = web_with_db(r, find_code, c, &err);
    }
    if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "SAL2023: no lookup by code id: %s",
                      err.message);
    }
    return rv == APR_SUCCESS;
}

/* Path only, and unescaped in its last three parts as far as a URL allows: clients take it apart.
 */
static int redirect_to(request_rec *r, const symbols_route_t *w, const sal_symbol_key_t *key)
{
    const char *path = apr_pstrcat(r->pool, symbols_prefix(r), w->with_try ? "try/" : "",
                                   key->debug_file, "/", key->debug_id, "/", key->leaf, NULL);

    path = ap_os_escape_path(r->pool, path, 1);
    apr_table_setn(r->headers_out, "Location",
                   r->args ? apr_pstrcat(r->pool, path, "?", r->args, NULL) : path);
    return web_reply(r, HTTP_MOVED_TEMPORARILY, "text/plain; charset=utf-8", "", 0);
}

/* A module asked for by code file and code id: a redirect to its debug file and debug id. */
static int redirect_code(request_rec *r, const symbols_route_t *w)
{
    code_lookup_t c = { .wanted = w, .store = symbols_conf(r)->store };
    size_t n = strlen(w->id);

    if (!sal_symbol_leaf_is_sym(w->leaf) || (n >= DEBUG_ID_MIN && n % 2)) {
        return DECLINED;
    }
    return find_code_id(&c, r) ? redirect_to(r, w, &c.found) : DECLINED;
}

/* ---- other servers ---- */

static const char *param(request_rec *r, const char *name)
{
    const char *value = r->args ? web_param(web_query(r), name) : NULL;

    return value && *value && sal_utf8_valid(value, strlen(value)) ? value : NULL;
}

static int answer_upstream(request_rec *r, const symbols_route_t *w, sal_upstream_want_t *want)
{
    sal_upstream_got_t got;
    sal_error_t err = { 0 };
    symbols_open_t o;
    apr_status_t rv;

    want->via = apr_table_get(r->headers_in, SAL_UPSTREAM_VIA);
    rv = sal_upstream_get(&got, symbols_conf(r)->upstream, want, r->pool, &err);
    if (rv != APR_SUCCESS || symbols_open(&o, r, got.path) != APR_SUCCESS) {
        if (rv != APR_SUCCESS && !APR_STATUS_IS_ENOENT(rv) && rv != APR_EINVAL) {
            symbols_no_upstream(r, &err);
        }
        return DECLINED;
    }
    debug_time(r, w, 1);
    symbols_count(SYMBOLS_COUNT_UPSTREAM);
    return symbols_send(r, &o, w->leaf, 0);
}

static int try_upstream(request_rec *r, const symbols_route_t *w)
{
    sal_upstream_t *up = symbols_conf(r)->upstream;
    sal_upstream_want_t want = { .file = w->file,
                                 .id = w->id,
                                 .leaf = w->leaf,
                                 .code_file = param(r, "code_file"),
                                 .code_id = param(r, "code_id") };
    sal_symbol_key_t key = { 0 };

    if (!up) {
        return DECLINED;
    }
    if (w->kind == SYMBOLS_ROUTE_BUILD) {
        want.kind = SAL_UPSTREAM_ELF;
        want.leaf = w->part == SAL_BUILD_DEBUGINFO ? "debuginfo" : "executable";
    } else {
        want.kind = sal_upstream_kind_of(w->leaf);
    }
    if (!sal_upstream_asks(up, want.kind)) {
        return DECLINED;
    }
    if (want.kind == SAL_UPSTREAM_SYM && strlen(w->id) < DEBUG_ID_MIN) {
        want.via = apr_table_get(r->headers_in, SAL_UPSTREAM_VIA);
        if (sal_upstream_identify(&key.debug_file, &key.debug_id, up, &want, r->pool, NULL) !=
            APR_SUCCESS) {
            return DECLINED;
        }
        key.leaf = sal_symbols_leaf(key.debug_file, r->pool);
        return redirect_to(r, w, &key);
    }
    return answer_upstream(r, w, &want);
}

/* ---- */

static void note_missing(request_rec *r, const symbols_route_t *w)
{
    symbols_wanted_t wanted = { w->file, w->id, w->leaf, param(r, "code_file"),
                                param(r, "code_id") };

    symbols_missing_note(symbols_missing, &wanted, r->server, r->request_time);
}

static int lookup(request_rec *r, symbols_route_t *w)
{
    int rc = try_stored(r, w);

    if (rc != DECLINED) {
        return rc;
    }
    if (w->kind == SYMBOLS_ROUTE_KEY && !w->stored && (rc = redirect_code(r, w)) != DECLINED) {
        return rc;
    }
    if (!w->stored && strcasecmp(w->leaf, "file.ptr") && (rc = try_upstream(r, w)) != DECLINED) {
        return rc;
    }
    symbols_count(SYMBOLS_COUNT_MISS);
    if (w->kind == SYMBOLS_ROUTE_KEY && !is_known_kind(w->leaf)) {
        debug_time(r, w, 0);
        return symbols_not_found(r, "Symbol Not Found (and ignored)");
    }
    if (!r->header_only && w->kind == SYMBOLS_ROUTE_KEY) {
        note_missing(r, w);
    }
    debug_time(r, w, 1);
    return symbols_not_found(r, "Symbol Not Found");
}

int symbols_method(request_rec *r, const char *allow)
{
    const char *method;

    if (r->method_number == M_GET) { /* HEAD as well */
        return DECLINED;
    }
    method = sal_utf8_clean(r->method, strlen(r->method), r->pool);
    apr_table_setn(r->headers_out, "Allow", allow);
    if (r->method_number == M_OPTIONS) {
        r->status = HTTP_NO_CONTENT;
        return OK;
    }
    return web_reply_error(r, HTTP_METHOD_NOT_ALLOWED, "Method Not Allowed (%s): %s", method,
                           sal_utf8_clean(r->uri, strlen(r->uri), r->pool));
}

int symbols_download(request_rec *r)
{
    symbols_route_t w = { .began = apr_time_now() };
    int rc;

    symbols_cors(r);
    if ((rc = symbols_method(r, "GET, HEAD")) != DECLINED) {
        return rc;
    }
    if (!symbols_conf(r)->store) {
        return web_reply_error(r, HTTP_SERVICE_UNAVAILABLE, "The symbol store is not available");
    }
    if (is_null_id(r)) {
        debug_time(r, &w, 0);
        return symbols_not_found(r, "Symbol Not Found (and ignored)");
    }
    if (!symbols_route(&w, r)) {
        return no_route(r);
    }
    return w.kind == SYMBOLS_ROUTE_INDEX2 || w.kind == SYMBOLS_ROUTE_PING ? symbols_marker(r, &w)
                                                                          : lookup(r, &w);
}
