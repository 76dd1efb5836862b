/*
 * From a module's name and id to an open symcache: where the text of its symbols lies, and the file
 * built from it. Private to the room; knows nothing of the table of maps.
 */
#ifndef SAL_SYMBOLS_SUPPLIER_SOURCE_H
#define SAL_SYMBOLS_SUPPLIER_SOURCE_H

#include <sys/types.h>
#include "symbols/module_id.h"
#include "symbols/supplier.h"
#include "symbols/symbol_store.h"

enum { SUPPLY_NAME_MAX = 255, SUPPLY_ID_MAX = 255 };
#define SUPPLY_PART "part." /* name of a file for a moment, in the folder of symcaches itself */

/* A module as the supplier knows it: safe as path components. */
typedef struct supply_key_t {
    const char *name; /* base name of the debug file */
    const char *id;   /* canonical, or upper-case if of no known form */
    const char *sent_id;
    const char *code_file, *code_id; /* only sent to servers; may be NULL */
    const char *code_path;           /* only for who makes symbols; may be NULL */
} supply_key_t;

/* NULL, or why there can be no symbols for such a module. */
const char *supply_key_make(supply_key_t *key, const sal_sym_module_t *module, apr_pool_t *p);

typedef struct supply_place_t { /* where things are looked for; immutable, shared */
    sal_supplier_opts_t opts;
    sal_symbol_store_t *store; /* NULL: none */
    bool any_url;              /* some path is a server's URL */
    bool in_turn;              /* of builders in threads only so many are at it on a host */
} supply_place_t;

typedef struct supply_result_t {
    sal_sym_state_t state;
    sal_symcache_t *cache; /* in map_pool, if FOUND and it is not what `have` says */
    uint64_t stamp;
    bool unchanged; /* FOUND, and the stamp is the one the caller has */
    bool built;
    bool unreachable; /* MISSING: a server could not answer... */
    bool pending;     /* ...yet */
    char reason[200];
} supply_result_t;

/* One search: what it is for, where it has got to, what came of it. */
typedef struct supply_search_t {
    const supply_place_t *place;
    const supply_key_t *key;
    supply_result_t *out;
    apr_pool_t *map_pool, *p;
    const char *path; /* of the text, once found */
    bool done;        /* path or out->cache is set */
    bool tried_cache; /* a symcache of what a server gave was looked for */
    bool at_once;     /* servers are not asked */
    bool at_hand;     /* the search ends where somebody would have to be asked... */
    bool skipped;     /* ...which is where it ended */
    char reason[200]; /* of a server that could not answer */
} supply_search_t;

/* The text of the module's symbols, or a symcache that needs none; else the reason in out. */
const char *supply_find(supply_search_t *s);

/* Opens a symcache if it is there and `fits`; the pool holds it then. */
bool supply_open(supply_result_t *out, const char *path, apr_pool_t *map_pool,
                 bool (*fits)(const sal_symcache_t *c, const void *baton), const void *baton);

/* Tells whoever clears old symcaches that this one is in use; at most once an hour. */
void supply_touch(const char *path);

/* True for a path that is a server's URL. */
bool supply_is_url(const char *path);

/*
 * Asks the servers for debug file and id of a module that lacks them, if code file and id are
 * known. False if there was nothing to ask or no answer.
 */
bool supply_identify(sal_sym_module_t *module, bool *unreachable, const supply_place_t *place,
                     apr_pool_t *p);

/*
 * The folders between root and the file at path, which begins with root. *shared are the bits that
 * root has for a group which may write there; folders get them too, whatever the umask says.
 */
apr_status_t supply_make_folders(const char *root, const char *path, mode_t *shared, apr_pool_t *p,
                                 sal_error_t *err);

/* Path of a module's symcache. */
const char *supply_symcache_path(const supply_place_t *place, const supply_key_t *key,
                                 apr_pool_t *p);

/*
 * Finds the source, and opens its symcache into map_pool, built if need be. `have` is the stamp of
 * the symcache the caller has mapped, 0 for none. Blocks while another process builds.
 */
void supply_module(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                   uint64_t have, apr_pool_t *map_pool, apr_pool_t *scratch);

/*
 * The same if it takes neither a build nor a question to somebody else; false: it takes more, or
 * who could be asked was not.
 */
bool supply_at_hand(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                    apr_pool_t *map_pool, apr_pool_t *scratch);

/*
 * The same for some addresses only: of a file that is gone when this returns, but for its map. Asks
 * no server; MISSING if the text is not on this host.
 */
void supply_part(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                 const uint64_t *offsets, size_t n, apr_pool_t *map_pool, apr_pool_t *scratch);

#endif
