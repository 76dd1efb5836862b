/*
 * Where the text of a module's symbols lies: the symbol store, the symbols paths, servers, whoever
 * else the owner of the supplier names. Knows nothing of building.
 */
#include "symbols/supplier_source.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "symbols/symfile.h"

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* DIR/leaf, or compressed beside it. */
static const char *find_leaf(const char *dir, const char *leaf, apr_pool_t *p)
{
    static const char *const endings[] = { "", ".gz", ".zst" };

    for (int i = 0; i < 3; i++) {
        const char *path = apr_pstrcat(p, dir, "/", leaf, endings[i], NULL);

        if (is_file(path)) {
            return path;
        }
    }
    return NULL;
}

static const char *change_case(const char *s, bool up, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, s);

    for (char *c = out; *c; c++) {
        if (up && *c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        } else if (!up && *c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        }
    }
    return out;
}

static const char *find_in_tree(const char *root, const supply_key_t *key, apr_pool_t *p)
{
    const char *ids[] = { key->id, key->sent_id, change_case(key->id, true, p),
                          change_case(key->id, false, p) };
    const char *dir = apr_pstrcat(p, root, "/", key->name, NULL);
    const char *leaf = sal_symbols_leaf(key->name, p);
    struct stat st;

    if (stat(dir, &st) != 0) {
        return NULL;
    }
    for (int i = 0; i < 4; i++) {
        const char *path = find_leaf(apr_pstrcat(p, dir, "/", ids[i], NULL), leaf, p);

        if (path) {
            return path;
        }
    }
    return NULL;
}

typedef struct peek_t {
    const char *id;
    bool same;
} peek_t;

static apr_status_t peek_module(void *baton, const sal_symrec_t *rec)
{
    peek_t *peek = baton;
    char id[SUPPLY_ID_MAX];

    if (rec->kind == SAL_SYMREC_MODULE && rec->id.len < sizeof(id)) {
        memcpy(id, rec->id.s, rec->id.len);
        id[rec->id.len] = '\0';
        peek->same = sal_debug_id_same(id, peek->id);
    }
    return APR_EOF; /* the first record decides */
}

/* A symbols path may name one .sym file; it counts for the module it says it is of. */
static bool file_is_for(const char *path, const supply_key_t *key, apr_pool_t *p)
{
    peek_t peek = { key->id, false };
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        sal_symfile_read_fd(sal_symfile_make(peek_module, &peek, p), fd, path, NULL, NULL);
        close(fd);
    }
    return peek.same;
}

bool supply_is_url(const char *path)
{
    return strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0;
}

static bool lacks(const char *s)
{
    return !s || !*s;
}

bool supply_identify(sal_sym_module_t *module, bool *unreachable, const supply_place_t *place,
                     apr_pool_t *p)
{
    static const char *const all[] = { "", NULL };
    const sal_sym_upstream_t *up = place->opts.upstream;
    const char *const *servers = place->any_url ? place->opts.paths : all;

    if (!up || (!lacks(module->debug_file) && !lacks(module->debug_id)) ||
        lacks(module->code_file) || lacks(module->code_id)) {
        return false;
    }
    for (; *servers; servers++) {
        apr_status_t rv = APR_ENOENT;

        if (!**servers || supply_is_url(*servers)) {
            rv = up->identify(&module->debug_file, &module->debug_id, **servers ? *servers : NULL,
                              module, up->baton, p, NULL);
        }
        if (rv == APR_SUCCESS) {
            return true;
        }
        *unreachable = *unreachable || (rv != APR_ENOENT && rv != APR_EINVAL);
    }
    return false;
}

static bool is_of_server(const sal_symcache_t *c, const void *baton)
{
    const supply_key_t *key = baton;
    sal_symcache_info_t info;

    sal_symcache_info(c, &info);
    return info.url && *info.url && sal_debug_id_same(info.debug_id, key->id);
}

static sal_sym_module_t module_of(const supply_key_t *key)
{
    return (sal_sym_module_t){ key->name, key->id, key->code_file, key->code_id, key->code_path };
}

/* What was fetched once need not be fetched again: not even its text need be there any more. */
static void ask_server(supply_search_t *s, const char *server)
{
    const sal_sym_upstream_t *up = s->place->opts.upstream;
    sal_sym_module_t module = module_of(s->key);
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!s->tried_cache) {
        const char *path = supply_symcache_path(s->place, s->key, s->p);

        s->tried_cache = true;
        s->done = supply_open(s->out, path, s->map_pool, is_of_server, s->key);
        if (s->done) {
            supply_touch(path);
            return;
        }
    }
    if (s->at_hand) {
        s->skipped = true;
        return;
    }
    rv = up->get(&s->path, server, &module, up->baton, s->p, &err);
    if (rv == APR_SUCCESS) {
        s->done = true;
    } else if (rv != APR_ENOENT && rv != APR_EINVAL && !s->reason[0]) {
        apr_cpystrn(s->reason, err.message[0] ? err.message : "no answer", sizeof(s->reason));
    }
    s->out->pending = s->out->pending || rv == SAL_E_BUSY;
}

static void search_path(supply_search_t *s, const char *path)
{
    struct stat st;

    if (s->place->opts.upstream && supply_is_url(path)) {
        if (!s->at_once) {
            ask_server(s, path);
        }
        return;
    }
    if (stat(path, &st) != 0) {
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        s->path = find_in_tree(path, s->key, s->p);
    } else if (S_ISREG(st.st_mode) && file_is_for(path, s->key, s->p)) {
        s->path = path;
    }
    s->done = s->path != NULL;
}

static void search_store(supply_search_t *s)
{
    const char *leaf = sal_symbols_leaf(s->key->name, s->p);
    bool gzipped;

    s->done =
        s->place->store && sal_symbol_store_find(&s->path, &gzipped, s->place->store, s->key->name,
                                                 s->key->id, leaf, true, s->p, NULL) == APR_SUCCESS;
}

/* The text of the module's symbols, or a symcache that needs none; else the reason in out. */
const char *supply_find(supply_search_t *s)
{
    const sal_supplier_opts_t *o = &s->place->opts;
    sal_error_t err = { .message = "not found" };
    apr_status_t rv = APR_ENOENT;

    search_store(s);
    for (const char *const *path = o->paths; !s->done && !s->skipped && path && *path; path++) {
        search_path(s, *path);
    }
    s->skipped = s->skipped || (!s->done && s->at_hand && (o->find || o->make));
    if (!s->done && !s->skipped && o->find) {
        rv = o->find(&s->path, s->key->name, s->key->id, o->find_baton, s->p, &err);
        s->done = rv == APR_SUCCESS;
    }
    if (!s->done && !s->skipped && o->upstream && !s->place->any_url && !s->at_once) {
        ask_server(s, NULL);
    }
    if (!s->done && !s->skipped && o->make) {
        sal_sym_module_t module = module_of(s->key);

        rv = o->make(&s->path, &module, o->make_baton, s->p, &err);
        s->done = rv == APR_SUCCESS;
    }
    if (s->done) {
        return s->path;
    }
    s->out->state = SAL_SYM_MISSING;
    s->out->unreachable = s->reason[0] != '\0';
    apr_cpystrn(s->out->reason,
                s->reason[0]               ? s->reason
                : APR_STATUS_IS_ENOENT(rv) ? "not found"
                                           : err.message,
                sizeof(s->out->reason));
    return NULL;
}
