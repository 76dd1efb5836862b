/*
 * What the files of the upstream part share.
 *
 * upstream_server.c one server from text
 * upstream_conf.c   servers and settings from salvage.conf
 * upstream_cache.c  places in the cache folder, what is remembered there, locks, temporary files
 * upstream_trim.c   keeping that folder within its bound
 * upstream_http.c   one GET, bounded; the only file that knows libcurl
 * upstream_names.c  names, ids and URLs
 * upstream_check.c  is a file what was asked for?
 * upstream_open.c   settings and their defaults
 * upstream.c        which server is asked for what, in which order
 * upstream_pipe.c   asks another process by a line protocol
 * upstream_serve.c  its other end
 * upstream_source.c asks in the same process, in threads that callers need not wait for
 */
#ifndef SAL_UPSTREAM_PRIVATE_H
#define SAL_UPSTREAM_PRIVATE_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include "upstream/upstream.h"

enum { UPSTREAM_HASH = 33, UPSTREAM_REASON = 200, UPSTREAM_MAX_REDIRECTS = 5 };

/* Folder beside the modules' in the cache: nothing of minidump-stackwalk's is called so. */
#define UPSTREAM_OWN ".salvage"

struct sal_upstream_t {
    sal_upstream_opts_t opts; /* with the defaults filled in */
    const char *instance;     /* of this cache folder, in hex */
    apr_pool_t *pool;
    pthread_mutex_t lock; /* for what follows */
    void *idle[8];        /* curl handles with their connections */
    int n_idle;
    apr_time_t trimmed;
    bool (*stopping)(void); /* NULL: nobody says */
    volatile bool stop;     /* transfers under way shall end */
};

/* Is all waiting to end? */
static inline bool upstream_ends(const sal_upstream_t *u)
{
    return u->stop || (u->stopping && u->stopping());
}

/* ---- upstream_cache.c: every function is thread-safe; pools are scratch ---- */

/* Path of a file in the cache, whether or not it is there. */
const char *upstream_cache_path(const sal_upstream_t *u, const char *relative, apr_pool_t *p);
/* Makes the folders above a path in the cache. */
apr_status_t upstream_make_folders(const sal_upstream_t *u, const char *path, apr_pool_t *p,
                                   sal_error_t *err);
/* Makes the cache folder if need be and reads or makes up its instance. */
apr_status_t upstream_cache_open(sal_upstream_t *u, apr_pool_t *p, sal_error_t *err);

/* What is remembered until a time: of a server alone (relative NULL), or of a file of a server. */
typedef struct upstream_memory_t {
    time_t until;
    int count; /* failures in a row that led to it; 0: simply not there */
    char reason[UPSTREAM_REASON];
} upstream_memory_t;
/* True if there is one that has not run out. out->count is filled from one that has, too. */
bool upstream_recall(upstream_memory_t *out, const sal_upstream_t *u, const char *server,
                     const char *relative, apr_pool_t *p);
void upstream_remember(const sal_upstream_t *u, const char *server, const char *relative,
                       const upstream_memory_t *m, apr_pool_t *p);
void upstream_forget(const sal_upstream_t *u, const char *server, const char *relative,
                     apr_pool_t *p);

/* The lock of a file among all processes of the host; -1 with err if it is not had in time. */
int upstream_lock(const sal_upstream_t *u, const char *relative, apr_time_t deadline, apr_pool_t *p,
                  sal_error_t *err);

/* A new file to download into; unlinked by the caller unless it was published. */
apr_status_t upstream_temp(int *fd, const char **path, const sal_upstream_t *u, apr_pool_t *p,
                           sal_error_t *err);
apr_status_t upstream_publish(const sal_upstream_t *u, const char *temp, const char *path,
                              apr_pool_t *p, sal_error_t *err);

/* ---- upstream_names.c ---- */

/* Letters upper-case up to this many, lower-case after. */
char *upstream_cased(const char *s, size_t upper, apr_pool_t *p);
/* May the name be sent, and be a name in the cache? */
bool upstream_name_ok(const char *s);
/* Checks names and id, fills in the usual leaf and form of the id. APR_EINVAL. */
apr_status_t upstream_normalise(sal_upstream_want_t *out, const sal_upstream_want_t *want,
                                apr_pool_t *p, sal_error_t *err);
/* With query, its code file and id are appended if it has them. */
const char *upstream_url_of(const sal_upstream_server_t *server, const char *file, const char *id,
                            const char *leaf, const sal_upstream_want_t *query, apr_pool_t *p);
const char *upstream_url_for(const sal_upstream_server_t *server, const sal_upstream_want_t *want,
                             const char *leaf, apr_pool_t *p);
/* ".../<debug_file>/<debug_id>/<leaf>" of a redirect. */
bool upstream_take_identity(const char **debug_file, const char **debug_id, const char *location,
                            apr_pool_t *p);
/* Leaf of the symbols of a code file: that of xul.dll is xul.sym. */
const char *upstream_code_leaf(const char *code_file, apr_pool_t *p);

/* ---- upstream_http.c ---- */

typedef enum {
    FETCH_OK,
    FETCH_REDIRECT, /* only if redirects are not followed */
    FETCH_MISSING,  /* 404, 410 */
    FETCH_REFUSED,  /* another 4xx: it will not be different in a moment */
    FETCH_BUSY,     /* 429, 5xx */
    FETCH_DEAD,     /* no connection, or nothing comes */
    FETCH_BROKEN,   /* cut off, damaged; may be better next time */
    FETCH_UNUSABLE  /* too large, of a form we do not read */
} fetch_outcome_t;

typedef struct fetch_t {
    const char *url;
    const sal_upstream_server_t *server;
    const char *via;     /* value of our header */
    bool follow;         /* redirects */
    bool inflate;        /* gzip or zstd is inflated even if no header says so */
    int fd;              /* body of a 2xx answer goes there; -1: nowhere */
    apr_time_t deadline; /* of it all */
    /* out */
    const char *location; /* REDIRECT */
    int retry_after;      /* BUSY: seconds, 0 if not said */
    uint64_t size;
    char reason[UPSTREAM_REASON];
} fetch_t;
fetch_outcome_t upstream_fetch(sal_upstream_t *u, fetch_t *f, apr_pool_t *p);
void upstream_http_init(void);
void upstream_http_close(sal_upstream_t *u);

/* ---- upstream_check.c ---- */

/* NULL if the file is what was wanted, else why not. Leaves the offset anywhere. */
const char *upstream_check(int fd, uint64_t size, const sal_upstream_want_t *want, apr_pool_t *p);

/* Writes the file that the cabinet holds, at most max bytes. */
apr_status_t upstream_unpack(int out, uint64_t *size, int cabinet, uint64_t max, apr_pool_t *p,
                             sal_error_t *err);

#endif
