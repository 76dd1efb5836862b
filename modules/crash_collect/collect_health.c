/*
 * Dockerflow's endpoints: /__lbheartbeat__ (this process answers), /__heartbeat__ (what it depends
 * on works, really tried), /__version__.
 */
#include "collect_private.h"

#include <apr_strings.h>
#include "base/file.h"
#include "base/json.h"

APLOG_USE_MODULE(crash_collect);

#define VERSION_MAX 65536

static void add_error(json_t *errors, const char *name, const char *message)
{
    json_array_append_new(errors, json_pack("{s:s, s:s}", "name", name, "msg", message));
}

static apr_status_t select_one(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    (void)baton;
    return sal_db_run_text(db, "SELECT 1", NULL, 0, NULL, p, err);
}

static void check_store(request_rec *r, json_t *errors)
{
    collect_site_t *site = collect_server(r->server)->site;
    sal_error_t err;

    if (!site || !site->store) {
        add_error(errors, "store", "not open");
    } else if (sal_crash_store_admit(site->store, &err) != APR_SUCCESS ||
               sal_crash_store_probe(site->store, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL1013: heartbeat: %s", err.message);
        add_error(errors, "store", "takes no crashes");
    }
}

static void check_database(request_rec *r, json_t *errors)
{
    sal_error_t err;

    if (web_with_db(r, select_one, NULL, &err) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "SAL1014: heartbeat: %s", err.message);
        add_error(errors, "database", "does not answer");
    }
}

static int reply_json_text(request_rec *r, int status, const char *text)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    return web_reply(r, status, "application/json; charset=utf-8", text, strlen(text));
}

static int heartbeat(request_rec *r)
{
    json_t *errors = json_array();
    int status;
    const char *text;

    check_store(r, errors);
    check_database(r, errors);
    status = json_array_size(errors) ? HTTP_SERVICE_UNAVAILABLE : HTTP_OK;
    text = sal_json_python(sal_json_own(json_pack("{s:o}", "errors", errors), r->pool), r->pool);
    return reply_json_text(r, status, text);
}

/* The file of the deployment as it is, or what this build knows of itself. */
static int version(request_rec *r)
{
    const char *path = collect_dir(r)->version_file;
    char *text;
    apr_size_t size;
    json_t *doc;

    if (path) {
        if (sal_file_read(&text, &size, path, VERSION_MAX, r->pool, NULL) != APR_SUCCESS) {
            return reply_json_text(r, HTTP_OK, "{}");
        }
        return reply_json_text(r, HTTP_OK, text);
    }
    doc = json_pack("{s:s, s:s, s:s, s:s}", "source", "", "version", SALVAGE_VERSION, "commit", "",
                    "build", "");
    return reply_json_text(r, HTTP_OK, sal_json_python(sal_json_own(doc, r->pool), r->pool));
}

int collect_health_handler(request_rec *r)
{
    const char *leaf;
    int rc;

    if (!r->handler || strcmp(r->handler, "crash-health")) {
        return DECLINED;
    }
    if ((rc = web_allow(r, "GET, HEAD")) != OK) {
        return rc;
    }
    leaf = strrchr(r->uri, '/');
    leaf = leaf ? leaf + 1 : r->uri;
    if (!strcmp(leaf, "__lbheartbeat__")) {
        return reply_json_text(r, HTTP_OK, "");
    }
    if (!strcmp(leaf, "__heartbeat__")) {
        return heartbeat(r);
    }
    return strcmp(leaf, "__version__") ? HTTP_NOT_FOUND : version(r);
}
