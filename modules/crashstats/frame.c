/*
 * Pages in their frame (common/page.h), messages, and the reduction of documents.
 */
#include "crashstats/crashstats.h"

#include <ctype.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "base/json.h"

json_t *crashstats_processed(crashstats_req_t *q, const json_t *doc)
{
    return q->pii ? json_incref((json_t *)doc) : sal_fields_public(q->conf->data->processed, doc);
}

json_t *crashstats_raw(crashstats_req_t *q, const json_t *raw)
{
    return q->pii ? json_incref((json_t *)raw) : sal_fields_public(q->conf->data->raw, raw);
}

json_t *crashstats_raw_protected(crashstats_req_t *q, const json_t *raw)
{
    json_t *open, *out, *value;
    const char *key;

    if (!q->pii) {
        return NULL;
    }
    open = sal_fields_public(q->conf->data->raw, raw);
    out = json_object();
    json_object_foreach((json_t *)raw, key, value)
    {
        if (!json_object_get(open, key)) {
            json_object_set(out, key, value);
        }
    }
    json_decref(open);
    return out;
}

/* 8-4-4-4-12 lower-case hex, then a real date in the last six. */
crashstats_id_t crashstats_id(const char *text)
{
    int prefixed = strncmp(text, "bp-", 3) == 0;
    const char *id = text + (prefixed ? 3 : 0);
    apr_time_exp_t x = { 0 }, back;
    apr_time_t t;

    if (strlen(id) != 36) {
        return CRASHSTATS_ID_NONE;
    }
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = isdigit((unsigned char)id[i]) || (id[i] >= 'a' && id[i] <= 'f');

        if (dash ? id[i] != '-' : !hex) {
            return CRASHSTATS_ID_NONE;
        }
    }
    for (int i = 30; i < 36; i++) {
        if (!isdigit((unsigned char)id[i])) {
            return CRASHSTATS_ID_BAD_DATE;
        }
    }
    x.tm_year = 100 + (id[30] - '0') * 10 + id[31] - '0';
    x.tm_mon = (id[32] - '0') * 10 + id[33] - '0' - 1;
    x.tm_mday = (id[34] - '0') * 10 + id[35] - '0';
    if (x.tm_mon < 0 || x.tm_mon > 11 || x.tm_mday < 1 ||
        apr_time_exp_gmt_get(&t, &x) != APR_SUCCESS || apr_time_exp_gmt(&back, t) != APR_SUCCESS ||
        back.tm_mday != x.tm_mday || back.tm_mon != x.tm_mon) {
        return CRASHSTATS_ID_BAD_DATE;
    }
    return prefixed ? CRASHSTATS_ID_PREFIXED : CRASHSTATS_ID_OK;
}

/* A plain value: a condition of the search with an operator is no name. */
static const char *plain_param(crashstats_req_t *q, const char *name)
{
    const char *value = web_param(q->query, name);

    return value && *value && !strchr("!=~^$@<>_", *value) && strlen(value) <= 255 ? value : NULL;
}

static web_page_t frame_of(crashstats_req_t *q, const char *place)
{
    const char *product = q->product ? q->product : plain_param(q, "product");

    return (web_page_t){ .r = q->r,
                         .templates = q->conf->templates,
                         .shared = q->conf->shared,
                         .user = q->who.user,
                         .permissions = q->who.permissions,
                         .place = place,
                         .product = product,
                         .version = q->version ? q->version
                                    : product  ? plain_param(q, "version")
                                               : NULL,
                         .report = q->report,
                         .secret = q->pii };
}

int crashstats_page(crashstats_req_t *q, int status, const char *name, const char *place,
                    json_t *data)
{
    const web_page_t page = frame_of(q, place);

    return web_page(&page, status, name, data);
}

int crashstats_message(crashstats_req_t *q, int status, const char *title, const char *text)
{
    const web_page_t page = frame_of(q, NULL);

    return web_problem(&page, status, title, text);
}

int crashstats_sick(crashstats_req_t *q, const sal_error_t *err)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, q->r, "SAL4005: %s", err->message);
    apr_table_setn(q->r->err_headers_out, "Retry-After", "10");
    return crashstats_message(q, HTTP_SERVICE_UNAVAILABLE, "The database does not answer",
                              "Crash reports are still accepted and kept. Try again soon.");
}
