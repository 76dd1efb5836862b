/*
 * /siteadmin/sitestatus/: what is deployed, settings without secrets, migrations, tables.
 * /siteadmin/supersearch-status/: partitions of the search tables and the fields.
 * /siteadmin/crash-me-now/: an error that is none, to see that errors are told.
 */
#include "crashstats/siteadmin.h"

#include <ap_mpm.h>
#include <apr_strings.h>
#include <apr_version.h>

#include "admin/site.h"
#include "db/schema.h"
#include "db/token.h"
#include "render/format.h"
#include "search/fields.h"

typedef struct {
    sal_rows_t *rows, *facts;
    bool partitions;
    apr_time_t took;
} look_t;

static apr_status_t look(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    look_t *l = baton;
    apr_time_t began = apr_time_now();
    apr_status_t rv = sal_site_facts(&l->facts, db, p, err);

    l->took = apr_time_now() - began;
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return l->partitions ? sal_site_partitions(&l->rows, db, p, err)
                         : sal_site_sizes(&l->rows, db, p, err);
}

static void pair(json_t *list, const char *name, const char *value)
{
    json_array_append_new(list, json_pack("{s:s, s:s}", "name", name, "value", value));
}

/* Settings that hold no secret; of the others only that they are there. */
static json_t *settings(const sal_conf_t *conf)
{
    static const char *const open[] = {
        "crash-store", "symbol-store", "symcache",     "templates",      "htdocs",     "siglists",
        "sign-in-url", "sign-out-url", "bug-url",      "workers",        "crash-keep", "dump-keep",
        "search-keep", "ledger-keep",  "bugzilla-url", "store-unsafe-fs"
    };
    static const char *const secret[] = { "database", "s3", "webhook", "stage-submit" };
    json_t *out = json_array();

    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        pair(out, open[i], sal_conf_get(conf, open[i], "(not set)"));
    }
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        pair(out, secret[i],
             *sal_conf_list(conf, secret[i]) || sal_conf_get(conf, secret[i], NULL)
                 ? "(set, not shown)"
                 : "(not set)");
    }
    return out;
}

static json_t *versions(const look_t *l, apr_pool_t *p)
{
    json_t *out = json_array();

    pair(out, "Salvage", SALVAGE_VERSION);
    pair(out, "httpd", ap_get_server_description());
    pair(out, "MPM", ap_show_mpm());
    pair(out, "APR", apr_version_string());
    pair(out, "PostgreSQL", sal_rows_text(l->facts, 0, 0));
    pair(out, "Schema of the database", sal_rows_text(l->facts, 0, 5));
    pair(out, "Schema of this build", apr_psprintf(p, "%d", sal_schema_version()));
    pair(out, "Size of the database", sal_format_bytes(sal_rows_int(l->facts, 0, 4), p));
    pair(out, "Jobs that wait or run", sal_format_count(sal_rows_int(l->facts, 0, 1), p));
    pair(out, "Accounts", sal_format_count(sal_rows_int(l->facts, 0, 2), p));
    pair(out, "Terms of the search", sal_format_count(sal_rows_int(l->facts, 0, 3), p));
    pair(out, "These numbers took", apr_psprintf(p, "%.1f ms", (double)l->took / 1000));
    return out;
}

static json_t *sizes(const look_t *l, apr_pool_t *p)
{
    json_t *out = json_array();

    for (int i = 0; i < sal_rows_count(l->rows); i++) {
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:s}", "name", sal_rows_text(l->rows, i, 0),
                                        "rows", sal_format_count(sal_rows_int(l->rows, i, 1), p),
                                        "size", sal_format_bytes(sal_rows_int(l->rows, i, 2), p)));
    }
    return out;
}

static json_t *migrations(int current)
{
    json_t *out = json_array();

    for (const sal_migration_t *m = sal_schema_migrations(); m->number; m++) {
        json_array_append_new(out, json_pack("{s:i, s:s, s:b}", "number", m->number, "name",
                                             m->name, "applied", m->number <= current));
    }
    return out;
}

static int show(crashstats_req_t *q, look_t *l, const char *title)
{
    apr_pool_t *p = q->r->pool;
    sal_error_t err = { 0 };
    json_t *data;

    if (web_with_db(q->r, look, l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    data = json_pack("{s:s, s:b, s:o, s:b, s:[{s:s, s:s}, {s:s, s:s}]}", "title", title,
                     "plain_title", 1, "sizes", sizes(l, p), "partitions", l->partitions, "crumbs",
                     "text", "Administration", "href", "/siteadmin/", "text", title, "href", "");
    json_object_set_new(data, "versions", versions(l, p));
    if (!l->partitions) {
        json_object_set_new(data, "settings", settings(q->conf->shared));
        json_object_set_new(data, "migrations", migrations((int)sal_rows_int(l->facts, 0, 5)));
    }
    return crashstats_page(q, HTTP_OK, "siteadmin-status", NULL, data);
}

int siteadmin_status(crashstats_req_t *q, const char *rest)
{
    bool search = !strcmp(rest, "supersearch-status/");
    look_t l = { .partitions = search };
    int rc;

    if (!search && strcmp(rest, "sitestatus/") && strcmp(rest, "crash-me-now/")) {
        return DECLINED;
    }
    if ((rc = crashstats_require(q, SAL_PERM_ADMIN)) != DECLINED) {
        return rc;
    }
    if (!strcmp(rest, "crash-me-now/")) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r,
                      "SAL4062: an error was asked for at /siteadmin/crash-me-now/ by %s",
                      q->who.user);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return show(q, &l, search ? "Search tables" : "Site status");
}
