/*
 * What the files of mod_symbols share: configuration, handlers, the queue of missing symbols.
 */
#ifndef MODULES_SYMBOLS_SYMBOLS_PRIVATE_H
#define MODULES_SYMBOLS_SYMBOLS_PRIVATE_H

#include "common/web.h"
#include "render/template.h"
#include "symbols/symbol_store.h"
#include "symbols/upload.h"

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
    sal_templates_t *templates;   /* parsed once, before the children are made */
} symbols_conf_t;

typedef struct symbols_dir_conf_t {
    const char *prefix; /* of download URLs, with both slashes; NULL: unset */
    int always_gzip;    /* -1: unset */
} symbols_dir_conf_t;

#define SYMBOLS_MAX_UPLOAD (INT64_C(8) << 30)
#define SYMBOLS_UPLOADS_PER_TOKEN 8
#define SYMBOLS_PREFIX "/symbols/"

const symbols_conf_t *symbols_conf(request_rec *r);

/* Handlers of `symbols-upload` and `symbols-download`. */
int symbols_upload(request_rec *r);
int symbols_download(request_rec *r);

/* Answers with a stored file, or what the request's conditions ask for instead. */
int symbols_send_file(request_rec *r, const char *path, const char *leaf, int gzipped);

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
