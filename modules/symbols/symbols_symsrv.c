/*
 * What Microsoft's debuggers need beyond Tecken: marker files of a store, plain files out of the
 * cabinets they were stored as, ids that were written without their leading zero.
 */
#include "symbols_private.h"

#include <apr_strings.h>

#include "symbols/cab.h"

APLOG_USE_MODULE(symbols);

/* index2.txt says that the store has two tiers, pingme.txt that it is one. Content is not read. */
int symbols_marker(request_rec *r, const symbols_route_t *w)
{
    const symbols_dir_conf_t *dc = ap_get_module_config(r->per_dir_config, &symbols_module);

    if (w->kind == SYMBOLS_ROUTE_INDEX2 && dc->two_tier != 1) {
        return symbols_not_found(r, "Symbol Not Found (and ignored)");
    }
    return web_reply(r, HTTP_OK, "text/plain; charset=utf-8", "", 0);
}

/* ---- cabinets ---- */

/* Name of the packed form of a leaf: its last character becomes "_". NULL if it is packed. */
static const char *packed_leaf(const char *leaf, apr_pool_t *p)
{
    size_t n = strlen(leaf);
    char *packed;

    if (n < 3 || leaf[n - 1] == '_' || leaf[n - 1] == '.' || !strchr(leaf, '.')) {
        return NULL;
    }
    packed = apr_pstrdup(p, leaf);
    packed[n - 1] = '_';
    return packed;
}

static int send_cab(request_rec *r, const symbols_open_t *o, const char *leaf)
{
    apr_os_file_t fd;
    sal_cab_t *cab;
    sal_error_t err = { 0 };
    symbols_pipe_t pipe;
    int rc;

    apr_os_file_get(&fd, o->file);
    if (sal_cab_open(&cab, fd, r->pool, &err) != APR_SUCCESS) {
        if (err.code != SAL_E_UNSUPPORTED) {
            symbols_damaged(r, o->path);
        }
        return DECLINED;
    }
    symbols_describe(r, o, leaf, SYMBOLS_FORM_UNPACKED);
    ap_set_content_length(r, (apr_off_t)sal_cab_size(cab));
    if ((rc = ap_meets_conditions(r)) != OK) {
        return rc;
    }
    apr_table_unset(r->headers_in, "Range");
    symbols_pipe_begin(&pipe, r);
    return symbols_pipe_end(&pipe,
                            r->header_only ||
                                sal_cab_unpack(cab, symbols_pipe_piece, &pipe, NULL) == APR_SUCCESS,
                            r->filename);
}

int symbols_unpacked(request_rec *r, const symbols_route_t *w, const char *id)
{
    const char *leaf = packed_leaf(w->leaf, r->pool), *path;
    symbols_open_t o;

    if (!leaf || sal_symbol_leaf_is_sym(w->leaf) ||
        sal_symbol_store_find(&path, NULL, symbols_conf(r)->store, w->file, id, leaf,
                              w->with_try != 0, r->pool, NULL) != APR_SUCCESS ||
        symbols_open(&o, r, path) != APR_SUCCESS) {
        return DECLINED;
    }
    if (!o.meta.cab) {
        return DECLINED;
    }
    return send_cab(r, &o, w->leaf);
}

/*
 * A time stamp below 0x10000000 has a leading zero, which some clients leave out. Only ids of
 * programs begin with a time stamp; they are shorter than those of debug files.
 */
const char *symbols_padded_id(const char *id, apr_pool_t *p)
{
    size_t n = strlen(id);

    return n >= 9 && n <= 15 ? apr_pstrcat(p, "0", id, NULL) : NULL;
}
