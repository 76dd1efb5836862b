/*
 * /report/index/<id>: one crash, in whatever state it is.
 */
#include "crashstats/report.h"

#include <pthread.h>

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"
#include "queue/queue.h"
#include "render/format.h"
#include "search/lookup.h"

enum { RAISE_SECONDS = 60, REMEMBERED = 256 };

/* Ids that this child raised lately: a page that asks again every few seconds raises once. */
static struct {
    pthread_mutex_t lock;
    char id[REMEMBERED][SAL_CRASH_ID_LEN + 1];
    apr_time_t when[REMEMBERED];
    int next;
} raised = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool may_raise(const char *id, apr_time_t now)
{
    bool may = true;

    pthread_mutex_lock(&raised.lock);
    for (int i = 0; i < REMEMBERED; i++) {
        if (strcmp(raised.id[i], id) == 0 &&
            now - raised.when[i] < apr_time_from_sec(RAISE_SECONDS)) {
            may = false;
        }
    }
    if (may) {
        apr_cpystrn(raised.id[raised.next], id, sizeof raised.id[0]);
        raised.when[raised.next] = now;
        raised.next = (raised.next + 1) % REMEMBERED;
    }
    pthread_mutex_unlock(&raised.lock);
    return may;
}

typedef struct {
    const char *id;
    bool raw;       /* the crash is in the store */
    bool set_aside; /* by the throttle rules, until now */
    sal_lookup_t found;
} lookup_t;

/*
 * A crash that waits goes to the front. One that a worker holds, or that was given up, does not:
 * a second job would do the work twice, or for nothing.
 */
static apr_status_t look_up(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    lookup_t *l = baton;
    apr_status_t rv = sal_lookup_crash(&l->found, l->id, db, p, err);

    if (rv != APR_SUCCESS || l->found.blob || !l->raw || l->found.busy || l->found.dead ||
        (l->found.queued && l->found.lane == SAL_LANE_PRIORITY) ||
        !may_raise(l->id, apr_time_now())) {
        return rv;
    }
    l->set_aside = l->found.deferred;
    rv = sal_queue_put(db, l->id, "default", SAL_LANE_PRIORITY, 1, p, err);
    if (rv == APR_SUCCESS) {
        rv = sal_lookup_crash(&l->found, l->id, db, p, err);
    }
    return rv;
}

/* Where it stands, in words. */
static const char *pending_state(const lookup_t *l, apr_pool_t *p)
{
    if (l->found.busy) {
        return "A worker is on it now.";
    }
    if (l->set_aside) {
        return "It was set aside by the throttle rules. Since you ask for it, it is processed now.";
    }
    if (!l->found.queued) {
        return "It is on its way into the queue.";
    }
    if (l->found.ahead == 0) {
        return "It was put in front and is the next in the queue.";
    }
    return apr_psprintf(p, "It was put in front: number %s of %s that wait.",
                        sal_format_count(l->found.ahead + 1, p),
                        sal_format_count(l->found.waiting, p));
}

/* How far it has come, in percent of the bar. */
static int pending_share(const lookup_t *l)
{
    if (l->found.busy) {
        return 80;
    }
    if (!l->found.queued || l->found.waiting <= 0) {
        return 15;
    }
    return 65 - (int)(45 * l->found.ahead / (l->found.waiting + 1));
}

static int pending(crashstats_req_t *q, const lookup_t *l)
{
    apr_pool_t *p = q->r->pool;
    json_t *data = json_pack("{s:s, s:b, s:s, s:s, s:i, s:i}", "title", "Report is being processed",
                             "plain_title", 1, "id", l->id, "state", pending_state(l, p), "refresh",
                             5, "share", pending_share(l));

    if (l->found.enqueued) {
        json_object_set_new(data, "queued",
                            json_pack("{s:s, s:s}", "datetime",
                                      sal_format_datetime(l->found.enqueued, p), "text",
                                      sal_format_time(l->found.enqueued, 0, p)));
    }
    apr_table_setn(q->r->headers_out, "Cache-Control", "no-store");
    if (l->found.last_error && *l->found.last_error) {
        json_object_set_new(data, "last_error",
                            json_string("An attempt failed; it is tried again."));
    }
    return crashstats_page(q, HTTP_OK, "pending", NULL, data);
}

static int given_up(crashstats_req_t *q, const lookup_t *l)
{
    const char *reason = *l->found.last_error ? l->found.last_error : "no reason was recorded";

    return crashstats_message(q, HTTP_OK, "This report could not be processed",
                              apr_psprintf(q->r->pool,
                                           "The processor gave it up: %s. The raw crash %s is kept "
                                           "and can be processed again.",
                                           reason, l->id));
}

static int show(crashstats_req_t *q, const crashstats_docs_t *docs)
{
    sal_report_in_t in = { .id = docs->id,
                           .processed = docs->processed,
                           .annotations = docs->annotations,
                           .protected_annotations = docs->locked,
                           .dumps = docs->dumps,
                           .pii = q->pii,
                           .rawdump = q->rawdump };
    json_t *view;

    crashstats_report_data(&in, q, docs);
    view = sal_report_view(&in, q->r->pool);
    json_object_set_new(view, "reprocess", crashstats_reprocess_view(q, docs->id));
    json_object_set_new(view, "kin", crashstats_kin(q, docs->id, docs->processed));
    crashstats_note_access(q, docs->id);
    q->product = sal_json_str(docs->processed, "product");
    q->version = sal_json_str(docs->processed, "version");
    return crashstats_page(q, HTTP_OK, "report", NULL, view);
}

static int report_of(crashstats_req_t *q, const char *id, const char *blob)
{
    crashstats_docs_t docs;
    sal_error_t err = { 0 };

    return crashstats_docs_read(&docs, q, id, blob, &err) == APR_SUCCESS
               ? show(q, &docs)
               : crashstats_broken(q, id, &err);
}

int crashstats_report(crashstats_req_t *q, const char *rest)
{
    request_rec *r = q->r;
    lookup_t l = { .id = rest };
    sal_error_t err = { 0 };

    switch (crashstats_id(rest)) {
    case CRASHSTATS_ID_NONE:
        return crashstats_message(q, HTTP_NOT_FOUND, "There is no such page",
                                  "A crash ID is 36 characters: 8-4-4-4-12 hex digits.");
    case CRASHSTATS_ID_BAD_DATE:
        return crashstats_message(q, HTTP_BAD_REQUEST, "Invalid crash ID",
                                  "The last six digits of a crash ID are its date: year, month, "
                                  "day.");
    case CRASHSTATS_ID_PREFIXED:
        return web_redirect(r, HTTP_MOVED_TEMPORARILY,
                            apr_pstrcat(r->pool, "/report/index/", rest + 3, NULL));
    default:
        break;
    }
    if (!q->conf->store) {
        (void)sal_fail(&err, SAL_E_SICK, "the crash store is not open");
        return crashstats_sick(q, &err);
    }
    l.raw = sal_crash_exists(q->conf->store, rest);
    if (web_with_db(r, look_up, &l, &err) != APR_SUCCESS) {
        return crashstats_sick(q, &err);
    }
    if (l.found.blob) {
        return report_of(q, rest, l.found.blob);
    }
    if (!l.raw) {
        return crashstats_no_report(q, rest);
    }
    return l.found.dead ? given_up(q, &l) : pending(q, &l);
}
