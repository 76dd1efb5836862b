/*
 * Crash pings: a path on the first line, a body behind it. Beyond not crashing: what was taken is
 * text that the database can hold, removing is complete, and signing answers with a signature.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "ping/ping_sign.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;
static sal_siglists_t *lists;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    if (apr_pool_create(&root, NULL) != APR_SUCCESS) {
        return 1;
    }
    /* no lists: each is logged as empty, once */
    return sal_siglists_load(&lists, "/", root, NULL);
}

static void check_text(const char *s)
{
    if (!s || strlen(s) > 203 || !sal_utf8_valid(s, strlen(s))) {
        abort();
    }
}

static void check(const sal_ping_t *g, apr_pool_t *p)
{
    const char *const texts[] = { g->channel,   g->version,      g->build,         g->os,
                                  g->arch,      g->process_type, g->utility_actor, g->reason,
                                  g->os_version };
    const char *body = sal_json_text(g->body, p);

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_text(texts[i]);
    }
    if (!body || strstr(body, "\\u0000") || !sal_utf8_valid(body, strlen(body))) {
        /* a text may hold a backslash before "u0000": then both are there twice */
        if (!body || !strstr(body, "\\\\u0000")) {
            abort();
        }
    }
    if (g->dump_sha256 && strlen(g->dump_sha256) != 64) {
        abort();
    }
}

static void sign(sal_ping_t *g, apr_pool_t *p)
{
    sal_ping_signed_t sig;

    sal_ping_remove(g, sal_ping_personal());
    if (sal_json_path(g->body, "client_info.client_id") || sal_json_path(g->body, "clientId") ||
        sal_json_path(g->body, "payload.sessionId")) {
        abort();
    }
    sal_ping_sign(&sig, g->body, g->os, NULL, lists, p);
    if (!sig.signature || !*sig.signature ||
        (sal_ping_traces(g->body) != NULL) != (sig.stack != NULL)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *eol = size ? memchr(data, '\n', size) : NULL;
    sal_ping_path_t path;
    sal_ping_t ping;
    apr_pool_t *p;

    if (!eol) {
        return 0;
    }
    apr_pool_create(&p, root);
    if (sal_ping_path(&path, apr_pstrmemdup(p, (const char *)data, (size_t)(eol - data)), p,
                      NULL) == APR_SUCCESS &&
        sal_ping_parse(&ping, &path, (const char *)eol + 1, size - (size_t)(eol + 1 - data), p,
                       NULL) == APR_SUCCESS) {
        check(&ping, p);
        sign(&ping, p);
    }
    apr_pool_destroy(p);
    return 0;
}
