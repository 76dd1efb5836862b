/*
 * Where the raw data of a report are, and how it was processed.
 */
#include "render/report_private.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"

/* SHA-256 of nothing: a client that was cut off sends a file of 0 bytes. */
#define SHA256_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum { HISTORY_MAX = 20 };

/* ---- raw data ---- */

/* What the collector noted of the dumps, for those who may see it. */
static const json_t *checksums(const sal_report_t *r)
{
    const json_t *sums = sal_json_path(r->in->protected_annotations, "metadata.dump_checksums");

    return json_object_size(sums) ? sums
                                  : sal_json_path(r->doc, "collector_metadata.dump_checksums");
}

static json_t *dump_row(const sal_report_t *r, const char *name, bool stored)
{
    const char *sum = sal_json_str(checksums(r), name);
    json_t *row = json_pack("{s:b, s:b}", "locked", !r->in->rawdump, "gone", !stored);

    sal_report_put(row, "name", name);
    sal_report_put(row, "link",
                   apr_pstrcat(r->p, "/api/RawCrash/?crash_id=", r->in->id,
                               "&format=raw&name=", sal_format_urlencode(name, r->p), NULL));
    sal_report_put(row, "sha256", sum);
    if (sum && strcmp(sum, SHA256_OF_NOTHING) == 0) {
        json_object_set_new(row, "empty", json_true());
    }
    return row;
}

static bool is_stored(const sal_report_t *r, const char *name)
{
    for (int i = 0; r->in->dumps && r->in->dumps[i]; i++) {
        if (strcmp(r->in->dumps[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* The dumps that are stored, then those that were received and are not stored any more. */
json_t *sal_report_raw_links(const sal_report_t *r)
{
    json_t *out = json_array(), *sum;
    const char *name;

    for (int i = 0; r->in->dumps && r->in->dumps[i]; i++) {
        json_array_append_new(out, dump_row(r, r->in->dumps[i], true));
    }
    json_object_foreach((json_t *)checksums(r), name, sum)
    {
        if (!is_stored(r, name) && json_array_size(out) < 100) {
            json_array_append_new(out, dump_row(r, name, false));
        }
    }
    return out;
}

/* ---- how it was processed ---- */

static void row(json_t *list, const char *label, const char *value, bool block)
{
    if (value && *value) {
        json_t *one = json_pack("{s:s, s:b}", "label", label, "block", block);

        sal_report_put(one, "value", value);
        json_array_append_new(list, one);
    }
}

static const char *pretty(const json_t *v, apr_pool_t *p)
{
    char *text = v ? json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    const char *out = text ? sal_report_cut(apr_pstrdup(p, text), p) : NULL;

    free(text);
    return out;
}

/* A time of the document; 0 if it has none. */
static apr_time_t moment(const sal_report_t *r, const char *key)
{
    const char *text = sal_json_str(r->doc, key);
    apr_time_t t = 0;

    return text && sal_time_parse(text, &t) ? t : 0;
}

/* "12.004 s", or larger units from a minute on. */
static const char *span(apr_time_t from, apr_time_t to, apr_pool_t *p)
{
    apr_time_t t = to - from;

    if (t < 0 || apr_time_sec(t) >= 60) {
        return sal_format_duration(apr_time_sec(t), p);
    }
    return apr_psprintf(p, "%.3f s", (double)t / APR_USEC_PER_SEC);
}

static void step(const sal_report_t *r, json_t *list, const char *label, const char *key,
                 apr_time_t before, const char *after_what)
{
    apr_time_t t = moment(r, key);
    json_t *one;

    if (!t) {
        row(list, label, sal_json_str(r->doc, key), false);
        return;
    }
    one = json_pack("{s:s, s:b}", "label", label, "block", 0);
    sal_report_put(
        one, "value",
        apr_psprintf(r->p, "%s.%03d", sal_format_time(t, 0, r->p), (int)(apr_time_usec(t) / 1000)));
    if (before) {
        sal_report_put(one, "soft", apr_pstrcat(r->p, span(before, t, r->p), after_what, NULL));
    }
    json_array_append_new(list, one);
}

static void timeline(const sal_report_t *r, json_t *list)
{
    step(r, list, "Collected", "submitted_timestamp", 0, "");
    step(r, list, "Processing began", "started_datetime", moment(r, "submitted_timestamp"),
         " after it was collected");
    step(r, list, "Processing ended", "completed_datetime", moment(r, "started_datetime"),
         " of processing");
}

static void stackwalker(const sal_report_t *r, json_t *list)
{
    row(list, "Stackwalker", sal_json_str(r->doc, "stackwalk_version"), false);
    row(list, "Stackwalker status", sal_json_str(r->doc, "mdsw_status_string"), false);
}

/* Notes of earlier passes, newest first. */
static const char *history(const sal_report_t *r)
{
    apr_array_header_t *all = apr_array_make(r->p, 8, sizeof(const char *));
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(r->doc, "processor_history"), i, one)
    {
        if (i < HISTORY_MAX) {
            APR_ARRAY_PUSH(all, const char *) =
                apr_pstrcat(r->p, i ? "\n\n" : "", sal_report_plain(one, r->p), NULL);
        }
    }
    return sal_report_cut(apr_array_pstrcat(r->p, all, 0), r->p);
}

static void put_locked(const sal_report_t *r, json_t *locked)
{
    const json_t *code = json_object_get(r->doc, "mdsw_return_code");
    const char *log = sal_json_str(r->doc, "mdsw_stderr");
    const char *rules = sal_json_str(r->doc, "signature_debug"), *name;
    json_t *sum;

    row(locked, "Return code", code ? sal_report_plain(code, r->p) : NULL, false);
    row(locked, "Stackwalker log", log ? sal_report_cut(log, r->p) : NULL, true);
    row(locked, "Signature rules", rules ? sal_report_cut(rules, r->p) : NULL, true);
    json_object_foreach((json_t *)checksums(r), name, sum)
    {
        const char *text = json_is_string(sum) ? json_string_value(sum) : "";

        row(locked, name,
            strcmp(text, SHA256_OF_NOTHING) == 0 ? SHA256_OF_NOTHING " (empty minidump)" : text,
            false);
    }
    row(locked, "Collector", pretty(json_object_get(r->doc, "collector_metadata"), r->p), true);
}

json_t *sal_report_debug(const sal_report_t *r)
{
    json_t *open = json_array(), *locked = json_array();
    const json_t *past = json_object_get(r->doc, "processor_history");
    const char *notes = sal_json_str(r->doc, "processor_notes");
    bool may = r->in->pii && r->in->rawdump;

    timeline(r, open);
    row(open, "Times processed", sal_format_count((apr_int64_t)json_array_size(past) + 1, r->p),
        false);
    stackwalker(r, open);
    row(open, "Notes", notes ? sal_report_cut(notes, r->p) : NULL, true);
    row(open, "Earlier notes", history(r), true);
    if (may) {
        put_locked(r, locked);
    }
    return json_pack("{s:o, s:b, s:o, s:b}", "open", open, "any_locked",
                     json_array_size(locked) > 0, "locked", locked, "hidden", !may);
}
