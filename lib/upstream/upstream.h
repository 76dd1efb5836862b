/*
 * Upstream servers: symbol files of others, pulled through into a cache on disk.
 *
 * A file is asked for by its names (debug file, id, leaf) and nothing else is ever sent. What comes
 * is bounded in time and size, checked to be what was asked for, and renamed into the cache, which
 * has the layout of minidump-stackwalk's (<debug_file>/<DEBUGID>/<leaf>), so that either program
 * may use the other's. One download a file among all processes of the host; the others wait and
 * adopt. What a server does not have is not asked for again for a while, and a server that does not
 * answer is left alone for a while. docs/symbols.md "Upstream servers".
 *
 * Thread rule: an open sal_upstream_t is shared freely by threads; do not carry it over a fork.
 */
#ifndef SAL_UPSTREAM_H
#define SAL_UPSTREAM_H

#include <stdbool.h>
#include "base/conf.h"
#include "base/error.h"

/* How a server names its files. */
typedef enum {
    SAL_UPSTREAM_TECKEN,   /* <debug_file>/<DEBUGID>/<leaf>; of PDB and PE the CAB form (xul.pd_) */
    SAL_UPSTREAM_SYMSTORE, /* the same names, plain form first, then CAB */
    SAL_UPSTREAM_DEBUGINFOD /* buildid/<id>/debuginfo */
} sal_upstream_layout_t;

/* What may be asked for; bits. */
enum sal_upstream_kind {
    SAL_UPSTREAM_SYM = 1,    /* .sym, by debug file and debug id */
    SAL_UPSTREAM_PDB = 2,    /* .pdb, .pd_, by debug file and debug id */
    SAL_UPSTREAM_PE = 4,     /* .dll, .exe, ... and their CAB forms, by code file and code id */
    SAL_UPSTREAM_ELF = 8,    /* by build id, from debuginfod only */
    SAL_UPSTREAM_OTHER = 16, /* any other leaf of the <file>/<id>/<leaf> layout */
    SAL_UPSTREAM_ALL = 31
};

typedef struct sal_upstream_server_t {
    const char *url; /* http or https, without query and final slash */
    sal_upstream_layout_t layout;
    unsigned ask;       /* kinds */
    const char *header; /* "Name: value" for this server and no other (a token), or NULL */
} sal_upstream_server_t;

/*
 * "URL [layout=tecken|symstore|debuginfod] [ask=sym,pdb,pe,elf,other|all] [header-file=FILE]", as
 * in salvage.conf and SymbolsUpstream. Without layout: tecken. Without ask: sym (tecken), pdb and
 * pe (symstore), elf (debuginfod). The first line of FILE is the header. APR_EINVAL says what is
 * wrong.
 */
SAL_API apr_status_t sal_upstream_server_parse(sal_upstream_server_t *out, const char *text,
                                               apr_pool_t *p, sal_error_t *err);

typedef struct sal_upstream_opts_t {
    const sal_upstream_server_t *servers; /* asked in this order */
    int n_servers;
    bool silent;           /* no SAL_UPSTREAM_VIA: of one who serves nobody */
    const char *cache_dir; /* made if missing */
    const char *tmp_dir;   /* of downloads; used if on the cache's file system; NULL: in it */
    apr_uint64_t max_disk; /* bytes of cache_dir; 0: no bound */
    apr_uint64_t max_file; /* bytes of one file, inflated; 0: 4 GiB */
    int connect_seconds;   /* 0: 5 */
    int total_seconds;     /* a file and a server; 0: 300 */
    int stall_seconds;     /* without a byte; 0: 20 */
    int negative_seconds;  /* how long "not there" is believed; 0: an hour; -1: not kept */
    int down_seconds;      /* how long a server that fails is left alone, at first; 0: 30; -1 */
} sal_upstream_opts_t;

typedef struct sal_upstream_t sal_upstream_t;

SAL_API apr_status_t sal_upstream_make(sal_upstream_t **out, const sal_upstream_opts_t *opts,
                                       apr_pool_t *p, sal_error_t *err);

/*
 * Asks, often and from any thread, whether the process is to end: then all waiting ends within a
 * second. Set before first use.
 */
SAL_API void sal_upstream_stops_if(sal_upstream_t *u, bool (*stopping)(void));

/*
 * From salvage.conf: symbols-upstream (list), symbols-upstream-cache (default: `upstream` in
 * symcache), -cache-size, -max-file, -timeout, -connect-timeout, -negative. more: further lines
 * (directives), NULL-terminated or NULL. *out is NULL if no server is named.
 */
SAL_API apr_status_t sal_upstream_from_conf(sal_upstream_t **out, const sal_conf_t *conf,
                                            const char *const *more, apr_pool_t *p,
                                            sal_error_t *err);

/* Is there a server that may be asked for any of these kinds? NULL: no. */
SAL_API bool sal_upstream_asks(const sal_upstream_t *u, unsigned kinds);

/* Kind of a file by its leaf ("xul.pd_": PDB). */
SAL_API unsigned sal_upstream_kind_of(const char *leaf);

/*
 * Requests to upstream servers carry this header, a list of the instances on their way. Whoever
 * pulls on behalf of a request passes the header it came with as `via`: an instance never asks for
 * what it is asked for by itself, and chains are short.
 */
#define SAL_UPSTREAM_VIA "X-Salvage-Via"

typedef struct sal_upstream_want_t {
    unsigned kind;         /* one of enum sal_upstream_kind */
    const char *file;      /* debug file (PE: code file); not for ELF */
    const char *id;        /* debug id (PE: code id, ELF: build id) */
    const char *leaf;      /* NULL: the usual one; ELF: "debuginfo" or "executable" */
    const char *code_file; /* sent along as a query for .sym, as minidump-stackwalk does; or NULL */
    const char *code_id;
    const char *via;    /* see above; NULL: nobody's behalf */
    const char *server; /* URL of the one server to ask; NULL: all in order */
} sal_upstream_want_t;

typedef struct sal_upstream_got_t {
    const char *path; /* absolute, plain bytes (.sym: text with INFO URL at its end) */
    const char *url;  /* where it came from; NULL: it was in the cache */
} sal_upstream_got_t;

/*
 * The file, from the cache or a server. Blocks; every wait is bounded by opts. APR_ENOENT: no
 * server has it (or had it a while ago). APR_EINVAL: such a name or id is never sent. SAL_E_DENIED:
 * the request has been here before (via). Anything else: could not be had now, err says why.
 */
SAL_API apr_status_t sal_upstream_get(sal_upstream_got_t *got, sal_upstream_t *u,
                                      const sal_upstream_want_t *want, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * Debug file and debug id of a module of which only code file and code id are known: servers of
 * tecken layout answer with a redirect to them. Without code_file or code_id file and id are
 * taken for them. Errors as above.
 */
SAL_API apr_status_t sal_upstream_identify(const char **debug_file, const char **debug_id,
                                           sal_upstream_t *u, const sal_upstream_want_t *want,
                                           apr_pool_t *p, sal_error_t *err);

/*
 * Removes files of the cache that were not used for longest until a tenth less than max bytes are
 * left, negative entries that have run out, and what killed downloads left. sal_upstream_get does
 * this itself, now and then after a download.
 */
SAL_API apr_status_t sal_upstream_trim(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err);

/*
 * The same bound for a folder of texts that were made of this host's files (`salvage stackwalk
 * --use-local-debuginfo`): files that were not used for longest go, names ending in .lock stay.
 */
SAL_API apr_status_t sal_local_trim(const char *dir, uint64_t max, apr_pool_t *p, sal_error_t *err);

#endif
