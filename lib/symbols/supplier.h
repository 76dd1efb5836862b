/*
 * The process's table of mapped symcaches: one per process, shared by all threads and modules.
 *
 * A module is looked for in the symbol store, in each symbols path (Breakpad layout), and then with
 * upstream servers. What came from a server needs no text once its symcache is built. A module's
 * symcache is built once per module and host, under a file lock (one builder, others wait and
 * adopt), and mapped once per process. What was not found is remembered for a while. An entry in
 * use is never unmapped; idle ones go when the bound in bytes is passed.
 */
#ifndef SAL_SYMBOLS_SUPPLIER_H
#define SAL_SYMBOLS_SUPPLIER_H

#include "symbols/symcache.h"

typedef struct sal_supplier_t sal_supplier_t;

/* Finds the text of a module's symbols; fills an absolute path (plain, gzip or zstd). */
typedef apr_status_t (*sal_sym_find_fn)(const char **path, const char *debug_file,
                                        const char *debug_id, void *baton, apr_pool_t *p,
                                        sal_error_t *err);

/* A module by all the names that are known of it; NULL or "" what is not. */
typedef struct sal_sym_module_t {
    const char *debug_file, *debug_id;
    const char *code_file, *code_id;
    const char *code_path; /* where the code file lay on the host of the crash; never sent */
} sal_sym_module_t;

/*
 * Makes the text of a module's symbols of what lies on this host. Called by several threads at
 * once; may take its time. APR_ENOENT: there is nothing of this build here.
 */
typedef apr_status_t (*sal_sym_make_fn)(const char **path, const sal_sym_module_t *module,
                                        void *baton, apr_pool_t *p, sal_error_t *err);

/*
 * Who asks servers. server is a URL out of paths, or NULL: all that the asker knows of. Both
 * functions are called by several threads at once and may take their time. APR_ENOENT: nobody has
 * it; APR_EINVAL: it cannot be asked for; SAL_E_BUSY: not yet, ask again; else it could not be had
 * now.
 */
typedef struct sal_sym_upstream_t {
    apr_status_t (*get)(const char **path, const char *server, const sal_sym_module_t *module,
                        void *baton, apr_pool_t *p, sal_error_t *err);
    /* Debug file and id of a module of which only the code file and code id are known. */
    apr_status_t (*identify)(const char **debug_file, const char **debug_id, const char *server,
                             const sal_sym_module_t *module, void *baton, apr_pool_t *p,
                             sal_error_t *err);
    void *baton;
} sal_sym_upstream_t;

typedef struct sal_supplier_opts_t {
    const char *symcache_dir; /* built files; made if missing */
    const char *symbol_store; /* directory of mod_symbols' store, or NULL */
    const char *const *paths; /* Breakpad trees, symbol files, and with upstream URLs of
                               * servers, in order; NULL-terminated, or NULL */
    apr_uint64_t max_mapped;  /* bytes; 0: 64 GiB (address space, not memory) */
    int map_idle;             /* seconds after which a map nobody asked for goes, when next
                               * somebody asks for any; 0: not for that */
    apr_uint64_t max_disk;    /* bytes of symcache_dir; 0: no bound */
    int negative_seconds;     /* how long "not found" is believed; 0: 60, without a
                               * find function 2: looking on disk again is cheap */
    sal_sym_find_fn find;     /* extra source, asked after the paths; or NULL */
    void *find_baton;
    const sal_sym_upstream_t *upstream; /* asked for the URLs of paths in their turn; without any,
                                         * asked last; or NULL. Outlives the supplier */
    sal_sym_make_fn make;               /* asked where nobody else has symbols; or NULL */
    void *make_baton;
} sal_supplier_opts_t;

SAL_API apr_status_t sal_supplier_make(sal_supplier_t **out, const sal_supplier_opts_t *opts,
                                       apr_pool_t *p, sal_error_t *err);

/*
 * The process's one supplier: made by the first call (its opts count), given to every later caller.
 * It lives in a pool of its own until the process ends. Thread-safe.
 */
SAL_API apr_status_t sal_supplier_shared(sal_supplier_t **out, const sal_supplier_opts_t *opts,
                                         sal_error_t *err);

typedef enum { SAL_SYM_FOUND, SAL_SYM_MISSING, SAL_SYM_CORRUPT } sal_sym_state_t;

typedef struct sal_sym_ref_t {
    const sal_symcache_t *cache; /* NULL unless state is SAL_SYM_FOUND */
    sal_sym_state_t state;
    const char *reason;          /* of CORRUPT and MISSING, for the reader */
    void *entry;                 /* opaque */
    bool built;                  /* the symcache was built for this call, or in a thread since the
                                  * one before: told once */
    bool part;                   /* of sal_supplier_get_part: made for this call */
    apr_interval_time_t parsing; /* of built and part: how long that took */
    bool unreachable;            /* MISSING, but a server that may have it could not answer... */
    bool pending;                /* ...yet: the download or the build is under way */
    const char *debug_file;      /* those that a server gave a module which had none; */
    const char *debug_id;        /* else NULL; in the pool of the call */
    apr_interval_time_t elapsed; /* of this call, waiting for builders included */
} sal_sym_ref_t;

/*
 * Takes a reference; give it back with sal_supplier_release, else the mapping stays. Waits for a
 * builder if there is one. Thread-safe.
 */
SAL_API void sal_supplier_get(sal_sym_ref_t *ref, sal_supplier_t *s, const char *debug_file,
                              const char *debug_id, apr_pool_t *p);
/* The same for a module of which more is known: code file and id help to ask servers. */
SAL_API void sal_supplier_get_module(sal_sym_ref_t *ref, sal_supplier_t *s,
                                     const sal_sym_module_t *module, apr_pool_t *p);

/*
 * The same, waiting until a time and no longer. What takes more (a build, a download) goes on in a
 * thread of the supplier, and ref says pending until a later call finds it done. At most half the
 * processors build at once. For processes that live on: a supplier that ends waits for its threads.
 */
SAL_API void sal_supplier_get_until(sal_sym_ref_t *ref, sal_supplier_t *s,
                                    const sal_sym_module_t *module, apr_time_t until,
                                    apr_pool_t *p);

/*
 * For a pending module and few addresses: a symcache that answers for these and no others, from
 * one pass over the text (sal_symcache_build_part). offsets are sorted, without duplicates. Asks no
 * server: a text that is not on this host leaves ref as it was.
 */
SAL_API void sal_supplier_get_part(sal_sym_ref_t *ref, sal_supplier_t *s,
                                   const sal_sym_module_t *module, const uint64_t *offsets,
                                   size_t n, apr_pool_t *p);
SAL_API void sal_supplier_release(sal_supplier_t *s, sal_sym_ref_t *ref);

/*
 * Believes nothing that was found or missed so far: the next call for a module looks at its source
 * again. What is mapped and has not changed since stays mapped. For who walks dumps one after the
 * other and wants each to see the symbols of its time.
 */
SAL_API void sal_supplier_recheck(sal_supplier_t *s);

/*
 * Removes the symcaches of a folder that were not used for longest, until a tenth less than max
 * bytes are left; those of the last ten minutes stay. Returns at once if another process is at it.
 * The supplier does this itself, now and then after a build, if max_disk is set.
 */
SAL_API apr_status_t sal_symcaches_trim(const char *dir, apr_uint64_t max, apr_pool_t *p,
                                        sal_error_t *err);

/* What the table did and holds. lookups: calls of get; hits: no source was looked at. */
typedef struct sal_supplier_stats_t {
    apr_uint64_t lookups, hits, waits, builds, evictions;
    apr_uint64_t mapped_bytes;
    apr_uint32_t entries;
} sal_supplier_stats_t;
SAL_API void sal_supplier_stats(sal_supplier_t *s, sal_supplier_stats_t *out);

#endif
