/*
 * The database connection of one process: it may go away at any time and for any length of time.
 * An outage is logged once when it begins and once when it ends.
 */
#include "salvaged.h"

#include <apr_general.h>
#include "base/log.h"

#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 30000

sal_db_t *link_get(link_t *link, apr_pool_t *parent)
{
    sal_error_t err;

    if (link->db) {
        return link->db;
    }
    apr_pool_create(&link->pool, parent);
    if (sal_db_connect(&link->db, link->conninfo, link->pool, &err) != APR_SUCCESS) {
        apr_pool_destroy(link->pool);
        link->db = NULL;
        link_failed(link, &err);
        return NULL;
    }
    return link->db;
}

void link_failed(link_t *link, const sal_error_t *err)
{
    if (!link->complained) {
        sal_log(SAL_LOG_WARNING, 5010, "the database cannot be used, trying again: %s",
                err->message);
        link->complained = true;
    }
    link->failures++;
    if (link->db && PQstatus(sal_db_conn(link->db)) != CONNECTION_OK) {
        apr_pool_destroy(link->pool);
        link->db = NULL;
    }
}

void link_worked(link_t *link)
{
    if (link->complained) {
        sal_log(SAL_LOG_NOTICE, 5011, "the database is back");
    }
    link->complained = false;
    link->failures = 0;
}

int link_pause_ms(const link_t *link)
{
    unsigned char noise = 0;
    int ms = PAUSE_MIN_MS;

    for (int i = 1; i < link->failures && ms < PAUSE_MAX_MS; i++) {
        ms *= 2;
    }
    ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
    apr_generate_random_bytes(&noise, 1);
    return ms - ms / 4 + ms / 2 * noise / 255;
}
