/*
 * What salvage.conf says of sources, bugs and builds; which sources are in our own store.
 */
#include "crashstats/report.h"

#include <apr_strings.h>

#include "base/json.h"
#include "render/link.h"
#include "symbols/module_id.h"
#include "symbols/symbol_index.h"

#define BUILDHUB "https://buildhub.moz.tools/?q=%(build_id)s"

static const char *const build_keys[] = { "product", "version", "channel", "build_id", NULL };

static apr_status_t read_bugs(crashstats_links_t *links, const sal_conf_t *conf, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *const *lines = sal_conf_list(conf, "bug-link");
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(sal_bug_template_t));

    for (; *lines; lines++) {
        apr_status_t rv =
            sal_bug_template((sal_bug_template_t *)apr_array_push(list), *lines, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    links->bugs = (const sal_bug_template_t *)list->elts;
    links->n_bugs = list->nelts;
    return APR_SUCCESS;
}

static apr_status_t check_builds(crashstats_links_t *links, const sal_conf_t *conf, apr_pool_t *p,
                                 sal_error_t *err)
{
    links->builds = sal_conf_list(conf, "build-link");
    for (const char *const *line = links->builds; *line; line++) {
        const char *at = *line, *fault = "expected \"PRODUCT TEMPLATE\"";

        if (sal_link_word(&at, p) && *at) {
            fault = sal_link_fault(at, build_keys, p);
        }
        if (fault) {
            return sal_fail(err, SAL_E_MALFORMED, "build-link %.200s: %s", *line, fault);
        }
    }
    return APR_SUCCESS;
}

apr_status_t crashstats_links_read(crashstats_links_t **out, const sal_conf_t *conf, apr_pool_t *p,
                                   sal_error_t *err)
{
    crashstats_links_t *links = apr_pcalloc(p, sizeof *links);
    apr_status_t rv = sal_vcs_make(&links->vcs, sal_conf_list(conf, "source-link"), p, err);

    if (rv == APR_SUCCESS) {
        rv = read_bugs(links, conf, p, err);
    }
    if (rv == APR_SUCCESS) {
        rv = check_builds(links, conf, p, err);
    }
    *out = links;
    return rv;
}

void crashstats_links_child(crashstats_links_t *links, const sal_conf_t *conf, server_rec *s,
                            apr_pool_t *p)
{
    const char *root = sal_conf_get(conf, "symbol-store", NULL);
    sal_error_t err = { 0 };

    if (root && sal_symbol_store_open(&links->symbols, root, p, &err) != APR_SUCCESS) {
        links->symbols = NULL;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "SAL4190: reports do not link to stored sources: %s", err.message);
    }
}

/* ---- sources ---- */

static bool has_bundle(crashstats_req_t *q, const char *id)
{
    const char *path;

    return id && sal_build_id_valid(id) &&
           sal_symbol_store_by_build(&path, NULL, q->conf->links->symbols, id, SAL_BUILD_SOURCE,
                                     false, q->r->pool, NULL) == APR_SUCCESS;
}

/* A bundle is stored under a build id or under a debug id; the module may tell either. */
const char *crashstats_module_sources(void *baton, const json_t *of)
{
    crashstats_req_t *q = baton;
    const char *code = sal_json_str(of, "code_id"), *debug = sal_json_str(of, "debug_id");
    const char *as_debug;

    if (!q->conf->links->symbols) {
        return NULL;
    }
    if (has_bundle(q, code)) {
        return code;
    }
    if (has_bundle(q, debug)) {
        return debug;
    }
    as_debug = code && sal_build_id_valid(code) ? sal_debug_id_of_hex(code, q->r->pool) : NULL;
    return has_bundle(q, as_debug) ? as_debug : NULL;
}

/* ---- bugs and builds ---- */

const char *crashstats_bug_pattern(crashstats_req_t *q)
{
    const char *pattern = sal_conf_get(q->conf->shared, "bug-url", NULL);
    const char *rest = sal_conf_get(q->conf->shared, "bugzilla-url", NULL), *end;
    apr_pool_t *p = q->r->pool;

    return pattern || !rest || !(end = strstr(rest, "/rest"))
               ? pattern
               : apr_pstrcat(p, apr_pstrmemdup(p, rest, (apr_size_t)(end - rest)),
                             "/show_bug.cgi?id=%d", NULL);
}

const char *crashstats_bug_url(crashstats_req_t *q, apr_int64_t id)
{
    apr_pool_t *p = q->r->pool;

    return sal_link_bug(crashstats_bug_pattern(q), apr_psprintf(p, "%" APR_INT64_T_FMT, id), p);
}

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = sal_json_str(doc, key);

    return s && *s ? s : NULL;
}

const char *crashstats_build_url(crashstats_req_t *q, const json_t *processed, bool in_buildhub)
{
    const sal_link_value_t values[] = { { "product", text_of(processed, "product"), SAL_LINK_PART },
                                        { "version", text_of(processed, "version"), SAL_LINK_PART },
                                        { "channel", text_of(processed, "release_channel"),
                                          SAL_LINK_PART },
                                        { "build_id", text_of(processed, "build"), SAL_LINK_PART },
                                        { NULL, NULL, SAL_LINK_PART } };
    const char *product = values[0].value ? values[0].value : "";
    apr_pool_t *p = q->r->pool;

    for (const char *const *line = q->conf->links->builds; *line; line++) {
        const char *at = *line, *name = sal_link_word(&at, p);

        if (strcmp(name, "*") == 0 || strcmp(name, product) == 0) {
            return sal_link_fill(at, values, p);
        }
    }
    return in_buildhub ? sal_link_fill(BUILDHUB, values, p) : NULL;
}
