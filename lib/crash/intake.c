/*
 * Taking in one report. What each part of the form becomes stands in docs/collector.md.
 */
#include "crash/intake_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/json.h"
#include "crash/msgpack.h"
#include "crash/sentry.h"

static apr_status_t release(void *data)
{
    sal_intake_t *in = data;

    free(in->name);
    free(in->text);
    free(in->event);
    json_decref(in->checksums);
    json_decref(in->numbers);
    return APR_SUCCESS;
}

/* ---- text and JSON parts ---- */

static apr_status_t gather(sal_intake_t *in, const char *data, apr_size_t size, sal_error_t *err)
{
    if (size > in->text_max - in->text_size) {
        in->too_large = true; /* the rest of the part is read over */
        return APR_SUCCESS;
    }
    if (in->text_size + size > in->text_room) {
        apr_size_t room = (in->text_size + size) * 2;
        char *grown = realloc(in->text, room);

        if (!grown) {
            return sal_fail(err, sal_intake_blame(in, SAL_FAULT_STORE, APR_ENOMEM),
                            "no memory for text");
        }
        in->text = grown;
        in->text_room = room;
    }
    memcpy(in->text + in->text_size, data, size);
    in->text_size += size;
    return APR_SUCCESS;
}

/* Values known to be long; all others are bounded more tightly. */
static bool is_long(const char *name)
{
    static const char *const names[] = { "TelemetryEnvironment", "ModuleSignatureInfo",
                                         "StackTraces", "BlockedDllList" };

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

static void end_text(sal_intake_t *in)
{
    if (in->too_large) {
        sal_annotations_note(in->annotations,
                             "extract payload text part exception: body part is too large");
        return;
    }
    sal_annotations_text(in->annotations, in->name, in->text ? in->text : "", in->text_size,
                         in->charset);
}

static apr_status_t end_json(sal_intake_t *in, sal_error_t *err)
{
    apr_pool_t *tmp;
    apr_status_t rv;

    if (in->too_large) {
        return sal_fail(err, sal_intake_blame(in, SAL_FAULT_TOO_LARGE, SAL_E_TOOBIG),
                        "JSON part over %" APR_SIZE_T_FMT " bytes", in->limits.json);
    }
    apr_pool_create(&tmp, in->pool);
    rv = sal_annotations_json(in->annotations, in->text ? in->text : (char *)"", in->text_size, tmp,
                              err);
    apr_pool_destroy(tmp);
    if (rv != APR_SUCCESS) {
        sal_intake_blame(in, rv == SAL_E_UNSUPPORTED ? SAL_FAULT_JSON_VALUE : SAL_FAULT_JSON, rv);
    }
    return rv;
}

/* ---- parts ---- */

static bool starts_with(const char *s, const char *prefix)
{
    return !strncasecmp(s, prefix, strlen(prefix));
}

static bool is_text_plain(const char *type)
{
    return starts_with(type, "text/plain") &&
           (!type[10] || type[10] == ';' || isspace((unsigned char)type[10]));
}

static apr_status_t begin_text(sal_intake_t *in, const sal_part_t *part, kind_t kind,
                               apr_size_t max)
{
    in->kind = kind;
    in->text_max = max;
    in->text_size = 0;
    in->too_large = false;
    free(in->name);
    in->name = strdup(part->name);
    apr_cpystrn(in->charset, part->charset, sizeof(in->charset));
    return APR_SUCCESS;
}

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    sal_intake_t *in = baton;

    if (part->nul) {
        sal_annotations_note(in->annotations, "NUL in a part's name");
    }
    if (!part->name || !*part->name) {
        in->kind = PART_DROP;
        sal_annotations_note(in->annotations, "part without name dropped");
        return APR_SUCCESS;
    }
    if (starts_with(part->type, "application/json")) {
        return begin_text(in, part, PART_JSON, in->limits.json);
    }
    if (is_text_plain(part->type) && (!part->filename || !*part->filename)) {
        return begin_text(in, part, PART_TEXT,
                          is_long(part->name) ? in->limits.long_annotation : in->limits.annotation);
    }
    if (strcmp(part->type, "application/octet-stream")) {
        sal_annotations_note(in->annotations, "unknown content type: %.200s %.150s", part->name,
                             part->type);
    }
    return sal_intake_file_begin(in, part->name, err);
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sal_intake_t *in = baton;

    if (in->kind == PART_TEXT || in->kind == PART_JSON) {
        return in->too_large ? APR_SUCCESS : gather(in, data, size, err);
    }
    return sal_intake_file_data(in, data, size, err);
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    sal_intake_t *in = baton;
    apr_status_t rv = APR_SUCCESS;

    if (in->kind == PART_TEXT) {
        end_text(in);
    } else if (in->kind == PART_JSON) {
        rv = end_json(in, err);
    } else {
        rv = sal_intake_file_end(in, err);
    }
    in->kind = PART_NONE;
    return rv;
}

static void lax_delimiter(void *baton)
{
    sal_annotations_note(((sal_intake_t *)baton)->annotations, "delimiter without line break");
}

static const sal_multipart_events_t form_events = { part_begin, part_data, part_end,
                                                    lax_delimiter };

/* ---- the report ---- */

static apr_status_t feed_body(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sal_intake_t *in = baton;

    if (in->form) {
        return sal_multipart_feed(in->form, data, size, err);
    }
    return in->envelope ? sal_envelope_feed(in->envelope, data, size, err)
                        : part_data(in, data, size, err);
}

static apr_status_t finish_body(sal_intake_t *in, sal_error_t *err)
{
    if (in->form) {
        return sal_multipart_finish(in->form, err);
    }
    return in->envelope ? sal_envelope_finish(in->envelope, err) : part_end(in, err);
}

static apr_status_t make(sal_intake_t **out, sal_crash_store_t *store, bool gzip, apr_time_t now,
                         const sal_intake_limits_t *limits, apr_pool_t *p, sal_error_t *err)
{
    sal_intake_t *in = apr_pcalloc(p, sizeof(*in));

    in->store = store;
    in->limits = *limits;
    in->pool = p;
    in->now = now;
    in->annotations = sal_annotations_make(limits->total, p);
    in->checksums = json_object();
    in->numbers = json_object();
    apr_pool_cleanup_register(p, in, release, apr_pool_cleanup_null);
    *out = in;
    return gzip ? sal_inflate_make(&in->inflate, limits->inflated, feed_body, in, p, err)
                : APR_SUCCESS;
}

apr_status_t sal_intake_make(sal_intake_t **out, sal_crash_store_t *store, const char *boundary,
                             bool gzip, apr_time_t now, const sal_intake_limits_t *limits,
                             apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = make(out, store, gzip, now, limits, p, err);

    return rv == APR_SUCCESS ? sal_multipart_make(&(*out)->form, boundary, limits->parts,
                                                  &form_events, *out, p, err)
                             : rv;
}

apr_status_t sal_intake_make_other(sal_intake_t **out, sal_crash_store_t *store, sal_body_t body,
                                   bool gzip, apr_time_t now, const sal_intake_limits_t *limits,
                                   apr_pool_t *p, sal_error_t *err)
{
    static const sal_part_t whole = { MAIN_DUMP, NULL, "application/octet-stream", "utf-8", false };
    apr_status_t rv = make(out, store, gzip, now, limits, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (body == SAL_BODY_ENVELOPE) {
        return sal_envelope_make(&(*out)->envelope, limits->parts, &form_events, *out, p, err);
    }
    return part_begin(*out, &whole, err);
}

bool sal_intake_inflated(const sal_intake_t *in, apr_uint64_t *size, apr_interval_time_t *time)
{
    if (!in->inflate) {
        return false;
    }
    *size = sal_inflate_spent(in->inflate, time);
    return true;
}

/* Names the fault of a failure that no part has claimed. */
static apr_status_t classify(sal_intake_t *in, apr_status_t rv)
{
    if (rv != APR_SUCCESS && in->fault == SAL_FAULT_NONE) {
        if (in->inflate && sal_inflate_broken(in->inflate)) {
            in->fault = SAL_FAULT_BAD_GZIP;
        } else {
            in->fault = rv == SAL_E_TOOBIG ? SAL_FAULT_TOO_LARGE : SAL_FAULT_STRUCTURE;
        }
    }
    return rv;
}

apr_status_t sal_intake_feed(sal_intake_t *in, const char *data, apr_size_t size, sal_error_t *err)
{
    return classify(in, in->inflate ? sal_inflate_feed(in->inflate, data, size, err)
                                    : feed_body(in, data, size, err));
}

apr_status_t sal_intake_finish(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv = in->inflate ? sal_inflate_finish(in->inflate, err) : APR_SUCCESS;

    if (rv == APR_SUCCESS) {
        rv = finish_body(in, err);
    }
    if (rv != APR_SUCCESS) {
        return classify(in, rv);
    }
    sal_annotations_end(in->annotations);
    if (in->form && sal_annotations_count(in->annotations) == 0) {
        in->fault = SAL_FAULT_NO_ANNOTATIONS;
        return sal_fail(err, SAL_E_MALFORMED, "the form has no annotations");
    }
    return APR_SUCCESS;
}

sal_fault_t sal_intake_fault(const sal_intake_t *in)
{
    return in->fault;
}

sal_annotations_t *sal_intake_annotations(sal_intake_t *in)
{
    return in->annotations;
}

bool sal_intake_has_dump(const sal_intake_t *in, const char *name)
{
    return json_object_get(in->checksums, name) != NULL;
}

void sal_intake_map_sentry(const char **event_id, sal_intake_t *in, const char *project)
{
    json_t *event = NULL;

    if (in->event && sal_msgpack_read(&event, in->event, in->event_size, NULL) != APR_SUCCESS) {
        sal_annotations_note(in->annotations, "__sentry-event cannot be read");
    }
    sal_sentry_map(event_id, in->annotations, json_is_object(event) ? event : NULL, project,
                   in->pool);
    json_decref(event);
}

const char *sal_intake_id(sal_intake_t *in, sal_error_t *err)
{
    return sal_intake_need_writer(in, err) == APR_SUCCESS ? sal_crash_proposed_id(in->writer)
                                                          : NULL;
}

apr_status_t sal_intake_commit(sal_intake_t *in, const char *id, sal_raw_meta_t *meta,
                               sal_error_t *err)
{
    apr_status_t rv = sal_intake_need_writer(in, err);
    json_t *raw;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (meta->overwrite) {
        sal_crash_allow_overwrite(in->writer);
    }
    meta->dump_checksums = in->checksums;
    meta->submitted = in->now;
    raw = sal_annotations_raw(in->annotations, id, meta, in->pool);
    rv = sal_crash_commit(in->writer, id, raw, err);
    json_decref(raw);
    return rv;
}
