/*
 * /ping/<document id>: one crash ping, and its report; and on a report's page its pings. Fields are
 * those of the API (ping/ping_search.h), which decides about rights.
 */
#include "crashstats/crashstats.h"

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "ping/kin.h"
#include "ping/ping_search.h"
#include "render/format.h"

#define DAY apr_time_from_sec(86400)

enum { DAYS_BACK = 365 };

/* ---- kin ---- */

typedef struct {
    const char *sha256, *not_this;
    apr_time_t around;
    json_t *out;
} kin_t;

static apr_status_t find_kin(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    kin_t *k = baton;

    return sal_kin_of_dump(&k->out, k->sha256, k->not_this, k->around, db, p, err);
}

static void add_texts(json_t *list, apr_pool_t *p)
{
    json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        apr_time_t t = 0;

        if (sal_time_parse(sal_json_str(one, "received"), &t)) {
            json_object_set_new(one, "text", json_string(sal_format_time(t, 0, p)));
        }
    }
}

static json_t *kin_view(kin_t *k, apr_pool_t *p)
{
    add_texts(json_object_get(k->out, "pings"), p);
    add_texts(json_object_get(k->out, "reports"), p);
    return k->out;
}

/* The day that a crash id names. */
static apr_time_t day_of(const char *id, apr_pool_t *p)
{
    apr_time_t t = 0;

    return sal_time_parse(apr_psprintf(p, "20%.2s-%.2s-%.2sT12:00:00Z", id + 30, id + 32, id + 34),
                          &t)
               ? t
               : apr_time_now();
}

json_t *crashstats_kin(crashstats_req_t *q, const char *id, const json_t *processed)
{
    apr_pool_t *p = q->r->pool;
    kin_t k = { .sha256 = sal_json_str(processed, "minidump_sha256_hash"),
                .not_this = id,
                .around = day_of(id, p) };
    sal_error_t err = { 0 };

    if (!k.sha256 || !*k.sha256 || web_with_db(q->r, find_kin, &k, &err) != APR_SUCCESS) {
        return NULL; /* the report is there without them */
    }
    if (!json_array_size(json_object_get(k.out, "pings")) &&
        !json_array_size(json_object_get(k.out, "reports"))) {
        json_decref(k.out);
        return NULL;
    }
    return kin_view(&k, p);
}

/* ---- the page of a ping ---- */

static const struct {
    const char *field, *label;
} shown[] = {
    { "product", "Product" },
    { "version", "Version" },
    { "channel", "Channel" },
    { "build", "Build" },
    { "os", "System" },
    { "os_version", "System version" },
    { "arch", "Architecture" },
    { "process_type", "Process" },
    { "utility_actor", "Utility actor" },
    { "reason", "Reason" },
    { "crash_time", "Crashed" },
    { "app", "Application" },
    { "dialect", "Dialect" },
    { "note", "Note of the processor" },
    { "moz_crash_reason", "Crash reason" }, /* protected: the last */
};
#define SHOWN (sizeof(shown) / sizeof(shown[0]))

static const char *const others[] = { "document_id",          "date",  "signature", "state",
                                      "minidump_sha256_hash", "stack", "day" };

typedef struct {
    crashstats_req_t *q;
    const char *id;
    json_t *ping; /* NULL: there is none */
    kin_t kin;
} ping_t;

static apr_status_t ask(sal_ping_query_t *query, const ping_t *g, sal_error_t *err)
{
    apr_pool_t *p = g->q->r->pool;
    apr_status_t rv = sal_ping_query_filter(query, "document_id", g->id, err);

    if (rv == APR_SUCCESS) {
        rv = sal_ping_query_filter(
            query, "date",
            apr_pstrcat(p, ">=", sal_time_iso(apr_time_now() - DAYS_BACK * DAY, p), NULL), err);
    }
    for (size_t i = 0; rv == APR_SUCCESS && i < SHOWN - !g->q->pii; i++) {
        rv = sal_ping_query_column(query, shown[i].field, err);
    }
    for (size_t i = 0; rv == APR_SUCCESS && i < sizeof(others) / sizeof(others[0]); i++) {
        rv = sal_ping_query_column(query, others[i], err);
    }
    return rv;
}

/* The ping, then what else is known of its minidump. */
static apr_status_t find_ping(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    ping_t *g = baton;
    sal_ping_query_t *query = sal_ping_query_make(apr_time_now(), g->q->pii, p);
    apr_status_t rv = ask(query, g, err);
    json_t *found = NULL;

    if (rv == APR_SUCCESS) {
        rv = sal_ping_query_run(&found, query, db, p, err);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    g->ping = json_incref(json_array_get(json_object_get(found, "hits"), 0));
    json_decref(found);
    g->kin.sha256 = g->ping ? sal_json_str(g->ping, "minidump_sha256_hash") : NULL;
    if (!g->kin.sha256) {
        return APR_SUCCESS;
    }
    (void)sal_time_parse(sal_json_str(g->ping, "date"), &g->kin.around);
    return find_kin(db, &g->kin, p, err);
}

static json_t *frames_of(const json_t *stack, apr_pool_t *p)
{
    json_t *list = json_array();
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(stack, "frames"), i, one)
    {
        const char *file = sal_json_str(one, "file"), *url;
        const char *mod = sal_json_str(one, "module"), *trust = sal_json_str(one, "trust");
        json_int_t line = json_integer_value(json_object_get(one, "line"));

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "number", apr_psprintf(p, "%d", (int)i),
                            "module", mod ? mod : "", "function", sal_format_frame(one, p),
                            "source", file ? sal_format_source(file, line, &url, p) : "", "trust",
                            trust ? trust : ""));
    }
    return list;
}

static json_t *rows_of(const json_t *ping)
{
    json_t *list = json_array();

    for (size_t i = 0; i < SHOWN; i++) {
        const char *value = sal_json_str(ping, shown[i].field);

        if (value && *value) {
            json_array_append_new(list,
                                  json_pack("{s:s, s:s}", "label", shown[i].label, "value", value));
        }
    }
    return list;
}

static const char *words_of(const char *state)
{
    return !strcmp(state, "signed")     ? "Its stack was walked by the client."
           : !strcmp(state, "left out") ? "It is not in the sample that gets a signature."
           : !strcmp(state, "failed")   ? "It could not be given a signature."
                                        : "It waits for its signature.";
}

/* What else is known of the minidump, without this ping. */
static void add_kin(json_t *data, ping_t *g, apr_pool_t *p)
{
    json_t *kin = kin_view(&g->kin, p), *pings = json_object_get(kin, "pings"), *one;
    size_t i;

    json_array_foreach(pings, i, one)
    {
        if (!strcmp(sal_json_str(one, "document_id"), g->id)) {
            json_array_remove(pings, i--);
        }
    }
    json_object_set_new(
        data, "any_kin",
        json_boolean(json_array_size(pings) || json_array_size(json_object_get(kin, "reports"))));
    json_object_update(data, kin);
    json_decref(kin);
}

static int show(ping_t *g)
{
    apr_pool_t *p = g->q->r->pool;
    const char *signature = sal_json_str(g->ping, "signature");
    const char *date = sal_json_str(g->ping, "date");
    json_t *frames = frames_of(json_object_get(g->ping, "stack"), p), *data;
    apr_time_t received = 0;

    (void)sal_time_parse(date, &received);
    data = json_pack(
        "{s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "title", signature ? signature : "Crash ping",
        "plain_title", 1, "id", g->id, "date", date, "received", sal_format_time(received, 0, p),
        "day", sal_json_str(g->ping, "day"), "state", words_of(sal_json_str(g->ping, "state")));
    if (signature) {
        json_object_set_new(data, "any_signature", json_true());
        json_object_set_new(data, "signature", sal_format_signature(signature));
        json_object_set_new(data, "signature_link",
                            json_string(apr_pstrcat(p, "/search/?signature=%3D",
                                                    sal_format_urlencode(signature, p), NULL)));
    }
    if (g->kin.sha256) {
        json_object_set_new(data, "sha256", json_string(g->kin.sha256));
    }
    if (g->kin.out) {
        add_kin(data, g, p);
    }
    json_object_set_new(data, "any_frames", json_boolean(json_array_size(frames)));
    json_object_set_new(data, "frames", frames);
    json_object_set_new(data, "rows", rows_of(g->ping));
    json_decref(g->ping);
    return crashstats_page(g->q, HTTP_OK, "ping", NULL, data);
}

static bool is_document_id(const char *text)
{
    static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

    for (size_t i = 0; i < sizeof(shape); i++) {
        if (shape[i] == 'h' ? !strchr("0123456789abcdef", text[i]) || !text[i]
                            : text[i] != shape[i]) {
            return false;
        }
    }
    return true;
}

int crashstats_ping(crashstats_req_t *q, const char *rest)
{
    ping_t g = { .q = q, .id = rest, .kin.around = apr_time_now() };
    sal_error_t err = { 0 };

    if (!is_document_id(rest)) {
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                                  "The id of a crash ping is 36 characters: 8-4-4-4-12 hex "
                                  "digits.");
    }
    if (web_with_db(q->r, find_ping, &g, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    if (!g.ping) {
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such crash ping",
                                  "It may have expired, or never have come.");
    }
    return show(&g);
}
