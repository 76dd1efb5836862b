/*
 * What the five modules share: shared configuration, request bodies, replies, database borrowing.
 *
 * This is the only place where library status becomes HTTP status. Linked into each module, so
 * nothing here is global: process-wide objects live in libsalvage.
 */
#ifndef MODULES_COMMON_WEB_H
#define MODULES_COMMON_WEB_H

#include <stdbool.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <jansson.h>

/* We build with hidden visibility, and httpd must find the module record. */
#undef AP_MODULE_DECLARE_DATA
#define AP_MODULE_DECLARE_DATA __attribute__((visibility("default")))

#include "base/conf.h"
#include "base/error.h"
#include "db/db.h"

/* ---- configuration ---- */

/*
 * `SalvageConfig FILE` is declared by every module (httpd calls them all); each keeps the parsed
 * file in its own server config through this setter's worker.
 */
const char *web_read_shared_conf(cmd_parms *cmd, const char *arg, sal_conf_t **out);

/* NULL, or the message that httpd -t prints: directive, value, what was expected. */
const char *web_arg_size(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                         apr_int64_t *out);
const char *web_arg_duration(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                             apr_int64_t *seconds);
const char *web_arg_int(cmd_parms *cmd, const char *arg, apr_int64_t min, apr_int64_t max,
                        apr_int64_t *out);

/* Sends the library's log lines to the error log. Call from child_init and post_config. */
void web_log_to(server_rec *s);

/*
 * Makes a store's root directory if it is missing and gives it to httpd's run user, so that the
 * children can write what post_config, as root, has made. Call from post_config.
 */
apr_status_t web_make_store_root(const char *path, apr_pool_t *p, sal_error_t *err);

/* True during the rehearsal pass of start-up, in which post_config must do nothing. */
int web_is_rehearsal(void);

/*
 * A root pool with an allocator of its own, for a thread or an object that takes turns under a
 * lock: pools of httpd may be used by the thread they belong to alone. NULL without memory.
 */
apr_pool_t *web_own_pool(void);

/* True once this process has been told to end: whoever waits for others shall stop waiting. */
bool web_is_stopping(void);

/* ---- requests ---- */

/* OK, or after setting Allow: 405 / the answer to OPTIONS is the caller's. allow: "GET, HEAD". */
int web_allow(request_rec *r, const char *allow);

/*
 * URLs of handlers that name no files below the DocumentRoot, which should not cost a stat for each
 * directory: hooks for translate_name and map_to_storage, both to run before core.c. The first
 * takes requests whose section has a handler that begins with prefix. <Directory> sections and
 * .htaccess do not apply to them.
 */
int web_name_no_file(request_rec *r, const char *prefix);
int web_names_no_file(request_rec *r);

/* Takes mod_deflate out of the way of a body that the handler inflates itself, under its own caps.
 */
void web_body_keep_packed(request_rec *r);

/*
 * Reads the body in pieces of at most 8000 bytes and hands each to sink; stops at max bytes + 1
 * with HTTP_REQUEST_ENTITY_TOO_LARGE. *total counts what was read. Returns OK or an HTTP status; a
 * sink that returns anything but APR_SUCCESS ends the pump and its value goes to *sink_status.
 */
typedef apr_status_t (*web_sink_fn)(void *baton, const char *data, apr_size_t size);
int web_body_pump(request_rec *r, apr_off_t max, web_sink_fn sink, void *baton, apr_off_t *total,
                  apr_status_t *sink_status);

/* The whole body as text in r->pool, at most max bytes. */
int web_body_text(request_rec *r, apr_off_t max, char **out, apr_size_t *size);

/* Decoded query or form parameters: first value or NULL; all values as an array of const char *. */
const char *web_param(apr_table_t *params, const char *name);
apr_array_header_t *web_param_all(apr_table_t *params, const char *name, apr_pool_t *p);
apr_table_t *web_query(request_rec *r); /* repeated keys are kept */
/* The urlencoded body; read once a request, so that later calls get the same whatever their max. */
apr_table_t *web_form(request_rec *r, apr_size_t max);
const char *web_form_text(request_rec *r, apr_size_t max); /* the same as it came; "" if none */
apr_table_t *web_pairs(const char *text, apr_pool_t *p);   /* of text such as theirs */

/* Decoding drops NULs: whether one stood in a value of this name. */
bool web_pair_has_nul(const char *text, const char *name, apr_pool_t *p);

/* Whether the body is said to be of this media type, whatever its parameters. */
bool web_type_is(request_rec *r, const char *wanted);

/* ---- clients ---- */

enum { WEB_CLIENT_KEY = 8 };

/*
 * What counts as one client: an IPv4 address, or the /64 that an IPv6 host may choose from. Returns
 * the bytes written to key. The address is the one that mod_remoteip found, never a header's.
 */
apr_size_t web_client_key(const request_rec *r, unsigned char key[WEB_CLIENT_KEY]);

/* ---- replies; each returns OK with r->status set ---- */

int web_reply(request_rec *r, int status, const char *type, const char *body, apr_size_t size);
int web_reply_json(request_rec *r, int status, json_t *steals);
/* {"error": text} */
int web_reply_error(request_rec *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* HTTP status for a library status: ENOENT 404, TOOBIG 413, NODB/SICK 503, MALFORMED 400, ... */
int web_status_of(apr_status_t rv);

/* ---- database ---- */

/*
 * Borrows a pooled connection of mod_dbd for one unit of work and gives it back. SAL_E_NODB if
 * mod_dbd is not configured or has none; mod_dbd has logged why.
 */
typedef apr_status_t (*web_db_fn)(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err);
apr_status_t web_with_db(request_rec *r, web_db_fn fn, void *baton, sal_error_t *err);

/* ---- tokens ---- */

/*
 * The token that mod_auth_crash_token found on this request, or NULL. Passed through r->notes and
 * r->user, so that modules need not know each other: notes "crash-token-id",
 * "crash-token-permissions" (decimal bits), "crash-token-user-id".
 */
typedef struct web_identity_t {
    const char *user; /* r->user, NULL for anonymous */
    int by_token;
    apr_int64_t token_id;
    apr_int64_t user_id; /* 0 if unknown to the database */
    int permissions;     /* enum sal_permission bits */
} web_identity_t;
void web_identity(request_rec *r, web_identity_t *out);

/* Where web_person (common/person.h) keeps what it has found for this request. */
#define WEB_PERSON_NOTE "salvage-person-id"
#define WEB_PERSON_PERMISSIONS_NOTE "salvage-person-permissions"

/* What mod_auth_crash_token tells web_person: the groups of the sign-in, a line each, and that the
 * person is in no other. */
#define WEB_CLAIM_NOTE "salvage-claim"
#define WEB_CLAIM_EXACT_NOTE "salvage-claim-exact"
/* Pages show nothing of this installation to who has not signed in. */
#define WEB_CLOSED_NOTE "salvage-closed"

#endif
