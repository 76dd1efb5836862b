/*
 * The settings of mod_symbolicate, shared by its files.
 */
#ifndef MODULES_SYMBOLICATE_PRIVATE_H
#define MODULES_SYMBOLICATE_PRIVATE_H

#include "common/web.h"
#include "render/template.h"
#include "symbolicate_admit.h"

extern module AP_MODULE_DECLARE_DATA symbolicate_module;

#define SYMBOLICATE_MOST_PLACES 65536

typedef struct symbolicate_server_t {
    sal_conf_t *shared;            /* salvage.conf */
    apr_array_header_t *upstreams; /* const char *: lines of SymbolsUpstream; NULL: none here */
    symbolicate_limits_t limits;   /* -1: not set */
    apr_int64_t map_idle;          /* seconds; -1: not set */
    sal_templates_t *templates;    /* NULL: there is no page */
} symbolicate_server_t;

typedef struct symbolicate_dir_t {
    const char *base;               /* of the <Location>, no trailing slash */
    apr_int64_t max_body, max_jobs; /* -1: not set */
    apr_int64_t build_wait;         /* seconds; -1: not set */
    int strict_names, extensions;   /* -1: not set */
    int extend_lines;               /* -1: not set */
} symbolicate_dir_t;

void *symbolicate_make_server(apr_pool_t *p, server_rec *s);
void *symbolicate_merge_server(apr_pool_t *p, void *base, void *over);
void *symbolicate_make_dir(apr_pool_t *p, char *path);
void *symbolicate_merge_dir(apr_pool_t *p, void *base, void *over);

extern const command_rec symbolicate_commands[];

#endif
