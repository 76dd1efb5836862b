/*
 * What the files of mod_symbols share: configuration, handlers, the queue of missing symbols.
 */
#ifndef MODULES_SYMBOLS_SYMBOLS_PRIVATE_H
#define MODULES_SYMBOLS_SYMBOLS_PRIVATE_H

#include "common/web.h"
#include "render/template.h"
#include "symbols/symbol_index.h"
#include "symbols/symbol_store.h"
#include "upload/upload.h"
#include "upstream/upstream.h"

extern module AP_MODULE_DECLARE_DATA symbols_module;

typedef struct symbols_conf_t { /* of a server; constant once children run */
    sal_conf_t *shared;
    apr_int64_t max_upload;       /* bytes of a request body; 0: unset */
    apr_array_header_t *snippets; /* const char *; NULL: unset */
    sal_symbol_store_t *store;    /* NULL: not configured, or could not be opened */
    /* uploads; 0, -1 and NULL: unset */
    apr_int64_t uploads_per_token;
    int strict_header;                 /* a .sym must match its key */
    apr_array_header_t *fetch_domains; /* const char *: hosts that may be fetched from */
    int fetch_any, fetch_private;      /* any host and scheme; private addresses too */
    const char *fetch_ca;              /* file of the authorities that sign for them */
    sal_templates_t *templates;        /* parsed once, before the children are made */
    apr_array_header_t *upstreams;     /* const char *, a line each; NULL: unset */
    sal_upstream_t *upstream;          /* NULL: no other servers are asked */
} symbols_conf_t;

typedef struct symbols_dir_conf_t {
    const char *prefix; /* of download URLs, with both slashes; NULL: unset */
    int always_gzip;    /* -1: unset */
    int two_tier;       /* -1: unset */
    int delivery;       /* symbols_delivery_t; -1: unset */
} symbols_dir_conf_t;

/* How a stored file is answered with: a redirect to <prefix>v1/<key>, or at once. */
typedef enum { SYMBOLS_REDIRECT, SYMBOLS_STREAM, SYMBOLS_SENDFILE } symbols_delivery_t;

#define SYMBOLS_MAX_UPLOAD (INT64_C(8) << 30)
#define SYMBOLS_UPLOADS_PER_TOKEN 8
#define SYMBOLS_PREFIX "/symbols/"

const symbols_conf_t *symbols_conf(request_rec *r);

/* Handlers of `symbols-upload` and `symbols-download`. */
int symbols_upload(request_rec *r);
int symbols_upload_v2(request_rec *r);
int symbols_auth_info(request_rec *r);
int symbols_session(request_rec *r);
int symbols_session_list(request_rec *r);
int symbols_tus(request_rec *r);
int symbols_symupload(request_rec *r);
int symbols_download(request_rec *r);
int symbols_debuginfod(request_rec *r);

/* ---- what is asked for: symbols_route.c ---- */

typedef enum {
    SYMBOLS_ROUTE_KEY,    /* file, id, leaf */
    SYMBOLS_ROUTE_BUILD,  /* id is a build id, of this part */
    SYMBOLS_ROUTE_INDEX2, /* index2.txt */
    SYMBOLS_ROUTE_PING    /* pingme.txt */
} symbols_route_kind_t;

typedef struct symbols_route_t {
    symbols_route_kind_t kind;
    const char *file, *id, *leaf;
    sal_build_part_t part;
    int with_try;
    int stored; /* the target of a redirect: the file itself is wanted */
    apr_time_t began;
} symbols_route_t;

/* False if the path is no route; `began` is the caller's. */
int symbols_route(symbols_route_t *w, request_rec *r);

/* What stands before a key in download URLs here, with both slashes. */
const char *symbols_prefix(request_rec *r);

/* ---- stored files ---- */

/* What is the same for all requests of a stored content: symbols_meta.c. */
typedef struct symbols_meta_t {
    char digest[SAL_SHA256_HEX + 1]; /* "" if the file system keeps none */
    int gzip, cab;                   /* by the first bytes */
} symbols_meta_t;

typedef struct symbols_metas_t symbols_metas_t;
symbols_metas_t *symbols_metas_make(apr_pool_t *p);
void symbols_meta_get(symbols_meta_t *out, symbols_metas_t *m, int fd, const apr_finfo_t *f);

/* An open file; what becomes of its name does not change what is sent. */
typedef struct symbols_open_t {
    apr_file_t *file;
    const char *path;
    symbols_meta_t meta;
} symbols_open_t;

/* Opens it and fills r->finfo and r->filename. ENOENT is not logged, all else is. */
apr_status_t symbols_open(symbols_open_t *o, request_rec *r, const char *path);

/* Does the request take gzip, and rather than plain bytes? */
int symbols_takes_gzip(request_rec *r);

/* In which form the stored bytes are sent. */
typedef enum {
    SYMBOLS_FORM_STORED,   /* as they are */
    SYMBOLS_FORM_GZIP,     /* as they are, as Content-Encoding: gzip */
    SYMBOLS_FORM_INFLATED, /* inflated while they are sent */
    SYMBOLS_FORM_UNPACKED  /* out of a cabinet */
} symbols_form_t;

/* Type, encoding, tag, times: everything that a condition may ask for. */
void symbols_describe(request_rec *r, const symbols_open_t *o, const char *leaf,
                      symbols_form_t form);

/* Answers with the file, or what the request's conditions ask for instead. gzip_of: its stored
 * form is gzip of what `leaf` names. */
int symbols_send(request_rec *r, const symbols_open_t *o, const char *leaf, int gzip_of);

/* Some of its bytes; of a packed file some of what it holds. */
int symbols_send_part(request_rec *r, const symbols_open_t *o, apr_off_t offset, apr_off_t size);

/*
 * What is made while it is sent: pieces go out as they come; `whole` false at the end cuts the
 * connection, and blames the stored file at path unless the client has gone. Returns OK.
 */
typedef struct symbols_pipe_t {
    request_rec *r;
    apr_bucket_brigade *bb;
} symbols_pipe_t;
void symbols_pipe_begin(symbols_pipe_t *pipe, request_rec *r);
apr_status_t symbols_pipe_piece(void *pipe, const void *data, apr_size_t size);
int symbols_pipe_end(symbols_pipe_t *pipe, int whole, const char *path);

/* The status is out: only a cut connection tells the client that what it got is not whole. */
void symbols_cut(request_rec *r, apr_bucket_brigade *bb);

/* To the log: a stored file that breaks its format; other servers that could not be asked. */
void symbols_damaged(request_rec *r, const char *path);
void symbols_no_upstream(request_rec *r, const sal_error_t *err);

/* 404 with a text, believed for a minute. */
int symbols_not_found(request_rec *r, const char *text);

/* Headers for scripts in browsers. */
void symbols_cors(request_rec *r);

/* The answer to a method that is none of ours; DECLINED to GET and HEAD. */
int symbols_method(request_rec *r, const char *allow);

/* ---- Microsoft's symbol stores: symbols_symsrv.c ---- */
int symbols_marker(request_rec *r, const symbols_route_t *w);
/* The plain form of what is stored as a cabinet; DECLINED if there is none. */
int symbols_unpacked(request_rec *r, const symbols_route_t *w, const char *id);
/* The id with the leading zero of its time stamp, or NULL. */
const char *symbols_padded_id(const char *id, apr_pool_t *p);

/* Name of a metric as debuginfod has it; a child's count goes to all children's. */
typedef enum {
    SYMBOLS_COUNT_DOWNLOAD,
    SYMBOLS_COUNT_MISS,
    SYMBOLS_COUNT_DEBUGINFO,
    SYMBOLS_COUNT_EXECUTABLE,
    SYMBOLS_COUNT_SOURCE,
    SYMBOLS_COUNT_SECTION,
    SYMBOLS_COUNT_METADATA,
    SYMBOLS_COUNT_UPSTREAM,
    SYMBOLS_COUNT_200,
    SYMBOLS_COUNT_404,
    SYMBOLS_COUNT_406,
    SYMBOLS_COUNT_OTHER,
    SYMBOLS_COUNTS
} symbols_count_t;
void symbols_counts_make(apr_pool_t *p, server_rec *s);
void symbols_count(symbols_count_t what);
void symbols_metrics_hook(void);
int symbols_metrics(request_rec *r);

/*
 * A connection for work of no request, of the database that salvage.conf names: symbols_flush.c.
 * SAL_E_NODB: there is none. Called by one thread at a time.
 */
apr_status_t symbols_with_server_db(server_rec *s, web_db_fn fn, void *baton, apr_pool_t *p,
                                    sal_error_t *err);
/* A child that ends cuts it. */
void symbols_flush_hooks(void);

/* ---- missing symbols: symbols_missing.c ---- */

typedef struct symbols_missing_t symbols_missing_t;

/* What a download asked for in vain; texts are borrowed, NULL is "". */
typedef struct symbols_wanted_t {
    const char *debug_file, *debug_id, *leaf, *code_file, *code_id;
} symbols_wanted_t;

symbols_missing_t *symbols_missing_make(apr_pool_t *p);

/* Never blocks on anything but a short lock; drops what does not fit. */
void symbols_missing_note(symbols_missing_t *m, const symbols_wanted_t *wanted, server_rec *s,
                          apr_time_t now);

/* Writes what was noted; keeps it where the database is away. Called by one thread at a time. */
void symbols_missing_flush(symbols_missing_t *m, apr_pool_t *p);

/* The queue of this child; NULL before child_init. */
extern symbols_missing_t *symbols_missing;
extern symbols_metas_t *symbols_metas;

/* ---- usage of files: symbols_usage.c ---- */

typedef struct symbols_usage_t symbols_usage_t;

symbols_usage_t *symbols_usage_make(apr_pool_t *p);

/* A download of the stored file at path, as sal_symbol_store_find gave it. A short lock. */
void symbols_usage_note(symbols_usage_t *u, const char *path, server_rec *s);

/* Writes what was counted. Called by one thread at a time. */
void symbols_usage_flush(symbols_usage_t *u, apr_pool_t *p);

/* The counters of this child; NULL before child_init. */
extern symbols_usage_t *symbols_usage;

/* ---- lists, tokens and pages: symbols_api.c, symbols_pages.c ---- */

int symbols_api(request_rec *r);
int symbols_pages(request_rec *r);

#endif
