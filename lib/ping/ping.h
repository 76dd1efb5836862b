/*
 * A crash ping as it comes: its path, its body, what is read out of both (docs/pings.md).
 *
 * Two dialects: Glean's (`<app-id>/crash/<schema version>/<document id>`) and the older telemetry's
 * (`telemetry/<document id>/crash/<app>/<version>/<channel>/<build>`), whose payload has its keys
 * in camel or in snake case. Hostile input: only the shape is judged, every value may be of any
 * type, and what is not understood is kept.
 */
#ifndef SAL_PING_PING_H
#define SAL_PING_PING_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_tables.h>
#include <apr_time.h>
#include "base/error.h"

typedef enum { SAL_PING_GLEAN, SAL_PING_TELEMETRY } sal_ping_dialect_t;

/* Longest path behind the collector's own that is looked at. */
#define SAL_PING_PATH_MAX 1024

typedef struct sal_ping_path_t {
    sal_ping_dialect_t dialect;
    const char *document_id;               /* lower case, 36 characters */
    const char *app;                       /* app id, or the name of the application */
    const char *version, *channel, *build; /* of telemetry; "" in Glean's */
} sal_ping_path_t;

/*
 * path: what follows the collector's own and a '/', unescaped. APR_ENOENT: it is no crash ping's;
 * SAL_E_TOOBIG: over SAL_PING_PATH_MAX.
 */
SAL_API apr_status_t sal_ping_path(sal_ping_path_t *out, const char *path, apr_pool_t *p,
                                   sal_error_t *err);

/* Texts are never NULL and at most 200 bytes; "" is unknown. */
typedef struct sal_ping_t {
    sal_ping_path_t path;
    const char *channel, *version, *build, *os, *os_version, *arch;
    const char *process_type; /* "main" where none is told */
    const char *utility_actor;
    const char *reason;
    const char *dump_sha256; /* 64 lower-case hex digits, or NULL */
    apr_time_t crash_time;   /* 0: unknown */
    json_t *body;            /* an object, without U+0000; owned by the pool */
} sal_ping_t;

/*
 * Reads a body. SAL_E_MALFORMED: not JSON, or not the shape of its dialect; the message holds
 * nothing of its contents.
 */
SAL_API apr_status_t sal_ping_parse(sal_ping_t *out, const sal_ping_path_t *path, const char *text,
                                    apr_size_t size, apr_pool_t *p, sal_error_t *err);

/* Removes members by dotted paths ("client_info.client_id"); NULL-terminated. */
SAL_API void sal_ping_remove(sal_ping_t *ping, const char *const *paths);

/* What of a body identifies a client or its session; removed unless the operator says otherwise. */
SAL_API const char *const *sal_ping_personal(void);

/* The stack trace object of a body, borrowed; NULL if there is none. */
SAL_API const json_t *sal_ping_traces(const json_t *body);

/* The name that reports give a system that telemetry calls otherwise ("Windows": "Windows NT"). */
SAL_API const char *sal_ping_os(const char *name);

#endif
