/*
 * The page of top crashers.
 */
#include "render/top.h"

#include <math.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"
#include "render/chart.h"
#include "render/format.h"
#include "render/link.h"
#include "triage/bug_info.h"

#define DAY apr_time_from_sec(24 * 3600)

static void put(json_t *o, const char *key, const char *text)
{
    json_object_set_new(o, key, text ? json_string(text) : json_null());
}

/* ---- choices ---- */

static const char *word_of(const char *param, const char *value)
{
    static const char *const words[][3] = {
        { "days", "28", "28 days" },
        { "_report_type", "crash", "Crash" },
        { "_report_type", "hang", "Hang" },
        { "process_type", "parent", "Main" },
        { "process_type", "content", "Content" },
        { "process_type", "gpu", "GPU" },
        { "process_type", "plugin", "Plug-in" },
        { "process_type", "rdd", "RDD" },
        { "process_type", "socket", "Socket" },
        { "process_type", "utility", "Utility" },
        { "process_type", "other", "Other" },
        { "platform", "all", "All" },
        { "platform", "Mac OS X", "macOS" },
        { "_range_type", "report", "Report date" },
        { "_range_type", "build", "Build date" },
        { "_tcbs_mode", "realtime", "Now" },
        { "_tcbs_mode", "byday", "Midnight" },
        { "_installs", "1", "Any" },
        { "_installs", "2", "Two or more" },
    };

    for (apr_size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcmp(words[i][0], param) && !strcmp(words[i][1], value)) {
            return words[i][2];
        }
    }
    return strcmp(value, "any") ? value : "Any";
}

static json_t *seg(const char *label, const char *param, const char *const *order,
                   const sal_top_ask_t *ask, const char *now, apr_pool_t *p)
{
    json_t *links = json_array();

    for (; *order; order++) {
        json_array_append_new(links,
                              json_pack("{s:s, s:s, s:b}", "text", word_of(param, *order), "href",
                                        sal_top_address("/topcrashers/", ask, param, *order, p),
                                        "here", strcmp(*order, now) == 0));
    }
    return json_pack("{s:s, s:o}", "label", label, "links", links);
}

static json_t *segs(const sal_top_ask_t *ask, apr_pool_t *p)
{
    static const char *const days[] = { "1", "3", "7", "14", "28", NULL };
    static const char *const reports[] = { "crash", "hang", "any", NULL };
    static const char *const processes[] = { "parent", "content", "gpu",   "plugin", "rdd",
                                             "socket", "utility", "other", "any",    NULL };
    json_t *out = json_array();

    json_array_append_new(out, seg("Last", "days", days, ask, apr_itoa(p, ask->days), p));
    json_array_append_new(out, seg("Report", "_report_type", reports, ask, ask->report_type, p));
    json_array_append_new(out,
                          seg("Process", "process_type", processes, ask, ask->process_type, p));
    json_array_append_new(
        out, seg("System", "platform", sal_top_values("platform"), ask, ask->platform, p));
    json_array_append_new(out, seg("Range by", "_range_type", sal_top_values("_range_type"), ask,
                                   ask->by_build ? "build" : "report", p));
    json_array_append_new(out, seg("Until", "_tcbs_mode", sal_top_values("_tcbs_mode"), ask,
                                   ask->by_day ? "byday" : "realtime", p));
    json_array_append_new(out, seg("Installs", "_installs", sal_top_values("_installs"), ask,
                                   ask->several ? "2" : "1", p));
    json_array_append_new(out, seg("Show", "_facets_size", sal_top_values("_facets_size"), ask,
                                   apr_itoa(p, ask->size), p));
    return out;
}

/* ---- heads ---- */

/* A click on the sorted column turns the order round. */
static json_t *head(const char *text, const char *title, const char *key, const char *class,
                    const sal_top_ask_t *ask, apr_pool_t *p)
{
    const char *down = key ? apr_pstrcat(p, "-", key, NULL) : NULL;
    bool is_down = key && !strcmp(ask->sort, down), is_up = key && !strcmp(ask->sort, key);
    json_t *out = json_object();

    put(out, "text", text);
    put(out, "help", title);
    put(out, "class", class);
    put(out, "sorted", is_down ? "descending" : is_up ? "ascending" : NULL);
    put(out, "href",
        key ? sal_top_address("/topcrashers/", ask, "_sort", is_down ? key : down, p) : NULL);
    return out;
}

static const char *short_platform(const char *name)
{
    return !strcmp(name, "Windows") ? "Win" : !strcmp(name, "Mac OS X") ? "Mac" : name;
}

static bool any_gc(const sal_top_t *top)
{
    for (int i = 0; i < top->n; i++) {
        if (top->rows[i].now.gc) {
            return true;
        }
    }
    return false;
}

static json_t *heads(const sal_top_t *top, const sal_top_ask_t *ask, const sal_top_env_t *env,
                     apr_pool_t *p)
{
    const char *window = apr_psprintf(
        p, "Share of all crashes, in percent points, against %s to %s",
        sal_format_time(top->before_from, 1, p), sal_format_time(top->before_to, 1, p));
    json_t *out = json_array();

    (void)env;
    json_array_append_new(out, head("Count", NULL, "count", "num", ask, p));
    json_array_append_new(out, head("Share", NULL, NULL, "num", ask, p));
    json_array_append_new(out, head("Change", window, "change", "num", ask, p));
    for (int i = 0; i < SAL_BOARD_PLATFORMS && top->platforms[i]; i++) {
        json_array_append_new(
            out, head(short_platform(top->platforms[i]), NULL, NULL, "num wide", ask, p));
    }
    json_array_append_new(
        out, head("Installs", "Distinct times of installation", "installs", "num", ask, p));
    if (any_gc(top)) {
        json_array_append_new(
            out, head("GC", "Crashes during garbage collection", "gc", "num wide", ask, p));
    }
    json_array_append_new(out, head("First seen", NULL, "first", "wide", ask, p));
    return out;
}

/* ---- rows ---- */

json_t *sal_top_delta(const char *kind, const char *text, const char *title)
{
    json_t *out = json_object();

    put(out, "kind", kind);
    put(out, "text", text);
    put(out, "help", title);
    return out;
}

static json_t *moved(const sal_top_row_t *row, apr_pool_t *p)
{
    int by = row->rank_before - row->now.rank;
    const char *places = by == 1 || by == -1 ? "place" : "places";

    if (!row->rank_before) {
        return row->is_new ? sal_top_delta("new", "new", NULL)
                           : sal_top_delta("up", "▲", "not among those of the time before");
    }
    if (by == 0) {
        return sal_top_delta("same", "=", NULL);
    }
    return by > 0 ? sal_top_delta("up", apr_psprintf(p, "▲%d", by),
                                  apr_psprintf(p, "%d %s up", by, places))
                  : sal_top_delta("down", apr_psprintf(p, "▼%d", -by),
                                  apr_psprintf(p, "%d %s down", -by, places));
}

/* Percent points with one digit, two below a tenth. */
static const char *points(double d, apr_pool_t *p)
{
    return fabs(d) < 0.1 ? apr_psprintf(p, "%.2f", fabs(d)) : apr_psprintf(p, "%.1f", fabs(d));
}

static double percent(int64_t n, int64_t total)
{
    return total ? 100.0 * (double)n / (double)total : 0;
}

static json_t *change(double d, bool is_new, const char *title, apr_pool_t *p)
{
    if (is_new) {
        return sal_top_delta("new", "new", title);
    }
    if (fabs(d) < 0.005) {
        return sal_top_delta("", "±0", title);
    }
    return sal_top_delta(d > 0 ? "up" : "down",
                         apr_psprintf(p, "%s %s pp", d > 0 ? "▲" : "▼", points(d, p)), title);
}

void sal_top_tag(json_t *list, const char *kind, const char *text, const char *title)
{
    json_t *tag = json_object();

    put(tag, "kind", kind);
    put(tag, "text", text);
    put(tag, "help", title);
    json_array_append_new(list, tag);
}

void sal_top_day_tags(json_t *list, const int64_t days[SAL_BOARD_DAYS], apr_pool_t *p)
{
    double rise = sal_top_rise(days);
    int gap = sal_top_gap(days);

    if (rise > 0) {
        sal_top_tag(list, "crash", apr_psprintf(p, "rising ×%.1f", rise),
                    "the last seven days against the seven before");
    }
    if (gap) {
        sal_top_tag(list, "warn", apr_psprintf(p, "back after %d days", gap), NULL);
    }
}

static void state_tag(json_t *list, const sal_state_t *s, apr_pool_t *p)
{
    if (s->kind == SAL_STATE_REGRESSED) {
        sal_top_tag(list, "crash", apr_psprintf(p, "came back in %s", s->regressed_version),
                    apr_psprintf(p, "fixed in %s, then seen again", s->version));
    } else if (s->kind == SAL_STATE_FIXED) {
        sal_top_tag(list, "ok", apr_psprintf(p, "fixed in %s", s->version), NULL);
    } else if (s->kind == SAL_STATE_IGNORED) {
        sal_top_tag(list, "plain",
                    s->until ? apr_psprintf(p, "ignored until %s", sal_chart_day(s->until, p))
                             : "ignored",
                    NULL);
    }
}

/* A page of other versions says nothing of it. */
static bool is_asked(const char *version, const sal_top_ask_t *ask)
{
    for (int i = 0; ask->versions && ask->versions[i]; i++) {
        apr_size_t len = strlen(ask->versions[i]);

        if (!strcmp(version, ask->versions[i]) ||
            (ask->versions[i][len - 1] == 'b' && !strncmp(version, ask->versions[i], len))) {
            return true;
        }
    }
    return !ask->versions || !ask->versions[0];
}

/* Startup: all, most within a minute, or some; in words, since a picture alone says nothing. */
static json_t *tags_of(const sal_top_row_t *row, const sal_top_ask_t *ask, apr_pool_t *p)
{
    const sal_board_count_t *c = &row->now;
    json_t *list = json_array();

    state_tag(list, &row->state, p);
    if (c->startup && c->startup == c->n) {
        sal_top_tag(list, "crash", "startup", "all of them while the program starts");
    } else if (c->startup) {
        sal_top_tag(list, "warn", "partly startup",
                    apr_psprintf(p, "%s of them while the program starts",
                                 sal_format_count(c->startup, p)));
    }
    if (2 * c->early > c->n) {
        sal_top_tag(list, "warn", "first minute",
                    apr_psprintf(p, "%s of them within a minute of the start",
                                 sal_format_count(c->early, p)));
    }
    if (row->new_in && is_asked(row->new_in, ask)) {
        sal_top_tag(list, "accent", apr_psprintf(p, "new in %s", row->new_in), NULL);
    }
    sal_top_day_tags(list, row->days, p);
    if (c->plugin && strcmp(ask->process_type, "plugin")) {
        sal_top_tag(list, "plain", "plug-in", NULL);
    }
    if (row->installs == 1 && c->n > 1) {
        sal_top_tag(list, "plain", "one install", "all from the same installation");
    }
    return list;
}

static json_t *bugs_of(const sal_top_row_t *row, const sal_top_env_t *env, apr_pool_t *p)
{
    json_t *list = json_array();

    for (int i = 0; i < row->n_bugs; i++) {
        const sal_top_bug_t *b = &row->bugs[i];
        const char *number = apr_psprintf(p, "%" APR_INT64_T_FMT, b->id);
        const char *href = sal_link_bug(env->bug_url, number, p);
        bool shut = !sal_bug_is_open(b->status);
        const char *state =
            *b->status ? apr_pstrcat(p, b->status, *b->resolution ? " " : "", b->resolution, NULL)
                       : "";
        json_t *bug = json_object();

        put(bug, "id", number);
        put(bug, "href", href ? href : "");
        json_object_set_new(bug, "shut", json_boolean(shut));
        put(bug, "state", *state ? state : NULL);
        put(bug, "help",
            *b->summary ? apr_pstrcat(p, *state ? state : "", *state ? ": " : "", b->summary, NULL)
                        : NULL);
        json_array_append_new(list, bug);
    }
    return list;
}

const char *sal_top_signature_link(const char *signature, const sal_top_ask_t *ask,
                                   const char *version, const sal_top_env_t *env, apr_pool_t *p)
{
    const char *out = apr_pstrcat(p, "/signature/?signature=", sal_format_urlencode(signature, p),
                                  "&product=", sal_format_urlencode(ask->product, p), NULL);

    for (int i = 0; !version && ask->versions && ask->versions[i]; i++) {
        out = apr_pstrcat(p, out, "&version=", sal_format_urlencode(ask->versions[i], p), NULL);
    }
    if (version) {
        out = apr_pstrcat(p, out, "&version=", sal_format_urlencode(version, p), NULL);
    }
    if (strcmp(ask->process_type, "any") && strcmp(ask->process_type, "other")) {
        out = apr_pstrcat(p, out, "&process_type=", ask->process_type, NULL);
    }
    return apr_pstrcat(
        p, out,
        "&date=", sal_format_urlencode(apr_pstrcat(p, ">=", sal_time_iso(env->from, p), NULL), p),
        "&date=", sal_format_urlencode(apr_pstrcat(p, "<", sal_time_iso(env->to, p), NULL), p),
        NULL);
}

static json_t *platforms_of(const sal_top_t *top, const sal_top_row_t *row, apr_pool_t *p)
{
    json_t *list = json_array();

    for (int i = 0; i < SAL_BOARD_PLATFORMS && top->platforms[i]; i++) {
        int64_t n = row->now.platforms[i];

        json_array_append_new(list,
                              json_pack("{s:s, s:b}", "n", sal_format_count(n, p), "none", n == 0));
    }
    return list;
}

/* The last day with a crash, if that is some time ago; NULL: it still crashes. */
static const char *last_of(const sal_top_row_t *row, const sal_top_env_t *env, apr_pool_t *p)
{
    int back = 0;

    while (back < SAL_BOARD_DAYS && row->days[SAL_BOARD_DAYS - 1 - back] == 0) {
        back++;
    }
    return back < 2 || back >= SAL_BOARD_DAYS ? NULL : sal_chart_day(env->now - back * DAY, p);
}

static json_t *row_of(const sal_top_t *top, const sal_top_row_t *row, const sal_top_ask_t *ask,
                      const sal_top_env_t *env, bool gc, apr_pool_t *p)
{
    double d = percent(row->now.n, top->total) - percent(row->before, top->before);
    const char *was = apr_psprintf(p, "%s before", sal_format_count(row->before, p));
    json_t *out = json_object(), *tags = tags_of(row, ask, p), *bugs = bugs_of(row, env, p);

    put(out, "rank", apr_itoa(p, row->now.rank));
    json_object_set_new(out, "move", moved(row, p));
    json_object_set_new(out, "signature", sal_format_signature(row->now.signature));
    put(out, "link", sal_top_signature_link(row->now.signature, ask, NULL, env, p));
    json_object_set_new(out, "any_tags", json_boolean(json_array_size(tags) > 0));
    json_object_set_new(out, "tags", tags);
    json_object_set_new(out, "spark", sal_chart_spark(row->days, SAL_BOARD_DAYS, p));
    put(out, "count", sal_format_count(row->now.n, p));
    put(out, "share", sal_chart_percent(row->now.n, top->total, 2, p));
    json_object_set_new(out, "change", change(d, row->is_new && !row->before, was, p));
    json_object_set_new(out, "platforms", platforms_of(top, row, p));
    put(out, "installs", sal_format_count(row->installs, p));
    put(out, "gc", gc ? sal_format_count(row->now.gc, p) : NULL);
    put(out, "first", row->first ? apr_pstrndup(p, sal_format_time(row->first, 1, p), 10) : "–");
    put(out, "last", last_of(row, env, p));
    json_object_set_new(out, "any_bugs", json_boolean(json_array_size(bugs) > 0));
    json_object_set_new(out, "bugs", bugs);
    return out;
}

/* ---- the page ---- */

static void put_time(json_t *o, const char *key, apr_time_t t, apr_pool_t *p)
{
    json_object_set_new(o, key,
                        json_pack("{s:s, s:s}", "iso", sal_format_datetime(t, p), "text",
                                  sal_format_time(t, 1, p)));
}

static const char *versions_text(const sal_top_ask_t *ask, apr_pool_t *p)
{
    const char *out = NULL;

    for (int i = 0; ask->versions && ask->versions[i]; i++) {
        out = out ? apr_pstrcat(p, out, ", ", ask->versions[i], NULL) : ask->versions[i];
    }
    return out ? out : "all versions";
}

static void put_actions(json_t *out, const sal_top_ask_t *ask, const sal_top_env_t *env,
                        apr_pool_t *p)
{
    const char *version =
        ask->versions && ask->versions[0] && !ask->versions[1] ? ask->versions[0] : NULL;
    sal_top_ask_t all = *ask;
    const char *link;

    all.versions = NULL;
    put(out, "csv", sal_top_address("/topcrashers/", ask, "format", "csv", p));
    put(out, "json", sal_top_address("/topcrashers/", ask, "format", "json", p));
    put(out, "before", version ? env->before : NULL);
    if (version && env->before) {
        link = sal_top_address("/topcrashers/compare/", &all, "b", version, p);
        put(out, "compare",
            apr_pstrcat(p, link, "&a=", sal_format_urlencode(env->before, p), NULL));
        put(out, "regressions", sal_top_address("/topcrashers/regressions/", ask, NULL, NULL, p));
    }
}

json_t *sal_top_view(const sal_top_t *top, const sal_top_ask_t *ask, const sal_top_env_t *env,
                     apr_pool_t *p)
{
    json_t *out = json_object(), *rows = json_array();
    bool gc = any_gc(top);

    for (int i = 0; i < top->n; i++) {
        json_array_append_new(rows, row_of(top, &top->rows[i], ask, env, gc, p));
    }
    put(out, "product", ask->product);
    put(out, "versions", versions_text(ask, p));
    put_time(out, "from", env->from, p);
    put_time(out, "to", env->to, p);
    put_time(out, "before_from", top->before_from, p);
    put_time(out, "before_to", top->before_to, p);
    put(out, "total", sal_format_count(top->total, p));
    json_object_set_new(out, "single", json_boolean(top->total == 1));
    put(out, "installs_all", sal_format_count(top->installs, p));
    json_object_set_new(out, "single_install", json_boolean(top->installs == 1));
    put(out, "shown", sal_format_count(top->n, p));
    put(out, "shown_crashes", sal_format_count(top->shown, p));
    put(out, "shown_share", sal_chart_percent(top->shown, top->total, 1, p));
    put(out, "signatures", sal_format_count(top->signatures, p));
    json_object_set_new(out, "segs", segs(ask, p));
    json_object_set_new(out, "heads", heads(top, ask, env, p));
    json_object_set_new(out, "any_rows", json_boolean(top->n > 0));
    json_object_set_new(out, "any_crashes", json_boolean(top->total > 0));
    json_object_set_new(out, "rows", rows);
    put_actions(out, ask, env, p);
    return out;
}
