/*
 * Taking in one report. What each part of the form becomes stands in docs/collector.md.
 */
#include "crash/intake.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/json.h"
#include "crash/envelope.h"
#include "crash/inflate.h"
#include "crash/msgpack.h"
#include "crash/multipart.h"
#include "crash/sentry.h"

#define DUMP_NAME_MAX 30
#define MAIN_DUMP "upload_file_minidump"
#define EVENT_FILE "__sentryevent" /* what remains of "__sentry-event" */
#define EVENT_MAX (256 << 10)
#define SNIFF_MAX (SAL_MULTIPART_BOUNDARY_MAX + 4) /* "--", a boundary, CR LF */

typedef enum {
    PART_NONE,
    PART_DROP, /* read over */
    PART_TEXT,
    PART_JSON,
    PART_SNIFF, /* a dump whose first bytes are still being gathered */
    PART_DUMP,
    PART_NESTED /* a dump that is itself a form: only its minidump is kept */
} kind_t;

struct sal_intake_t {
    sal_crash_store_t *store;
    sal_intake_limits_t limits;
    apr_pool_t *pool;
    apr_time_t now;
    sal_fault_t fault;
    sal_inflate_t *inflate;
    sal_multipart_t *form; /* of these, what the body is; neither: it is a dump */
    sal_envelope_t *envelope;
    sal_annotations_t *annotations;
    sal_crash_writer_t *writer; /* made with the first dump */
    json_t *checksums;          /* dump name -> SHA-256 */
    json_t *numbers;            /* dump name -> number given last to one of the same name */

    kind_t kind;
    char *name; /* of a text part, malloced */
    char charset[64];
    char *text; /* of a text or JSON part, malloced, used for all of them */
    apr_size_t text_size, text_room, text_max;
    bool too_large;

    char dump[DUMP_NAME_MAX + 1];
    apr_uint64_t dump_size;
    char head[SNIFF_MAX]; /* first bytes of a dump */
    apr_size_t head_len;
    char *event; /* the file __sentry-event, malloced */
    apr_size_t event_size;
    sal_multipart_t *nested; /* one a report */
    bool nested_taking, nested_found;
};

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

static apr_status_t at_fault(sal_intake_t *in, sal_fault_t fault, apr_status_t rv)
{
    in->fault = fault;
    return rv;
}

/* A failure of the store, or of its limits. */
static apr_status_t store_failed(sal_intake_t *in, apr_status_t rv)
{
    return at_fault(in, rv == SAL_E_TOOBIG ? SAL_FAULT_TOO_LARGE : SAL_FAULT_STORE, rv);
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
            return sal_fail(err, at_fault(in, SAL_FAULT_STORE, APR_ENOMEM), "no memory for text");
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
        return sal_fail(err, at_fault(in, SAL_FAULT_TOO_LARGE, SAL_E_TOOBIG),
                        "JSON part over %" APR_SIZE_T_FMT " bytes", in->limits.json);
    }
    apr_pool_create(&tmp, in->pool);
    rv = sal_annotations_json(in->annotations, in->text ? in->text : (char *)"", in->text_size, tmp,
                              err);
    apr_pool_destroy(tmp);
    if (rv != APR_SUCCESS) {
        at_fault(in, rv == SAL_E_UNSUPPORTED ? SAL_FAULT_JSON_VALUE : SAL_FAULT_JSON, rv);
    }
    return rv;
}

/* ---- dumps ---- */

static apr_status_t need_writer(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv;

    if (in->writer) {
        return APR_SUCCESS;
    }
    rv = sal_crash_begin(&in->writer, in->store, in->now, in->pool, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

static bool is_reserved(const char *name)
{
    static const char *const names[] = { "", "dump", "dump_names", "processed_crash", "raw_crash" };

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* 2, 3, ... for each further dump of a name. */
static int next_number(sal_intake_t *in, const char *base)
{
    int n = (int)json_integer_value(json_object_get(in->numbers, base)) + 1;

    n = n < 2 ? 2 : n;
    json_object_set_new(in->numbers, base, json_integer(n));
    return n;
}

/* The storage name of a dump in in->dump: sanitised, not reserved, not taken. */
static apr_status_t name_dump(sal_intake_t *in, const char *name, sal_error_t *err)
{
    char base[DUMP_NAME_MAX + 1];
    apr_size_t n = 0;

    for (; *name && n < DUMP_NAME_MAX; name++) {
        if (isalnum((unsigned char)*name) || *name == '_') {
            base[n++] = *name;
        }
    }
    base[n] = '\0';
    if (is_reserved(base)) {
        return sal_fail(err, at_fault(in, SAL_FAULT_DUMP_NAME, SAL_E_MALFORMED),
                        "a dump cannot be named \"%s\"", base);
    }
    apr_cpystrn(in->dump, base, sizeof(in->dump));
    while (json_object_get(in->checksums, in->dump)) {
        char suffix[16];
        /* Counted on, not from the start: a form of one name 4096 times must stay cheap. */
        int len = snprintf(suffix, sizeof(suffix), "_%d", next_number(in, base));

        snprintf(in->dump, sizeof(in->dump), "%.*s%s", DUMP_NAME_MAX - len, base, suffix);
    }
    if (strcmp(in->dump, base)) {
        sal_annotations_note(in->annotations, "duplicate dump %s stored as %s", base, in->dump);
    }
    return APR_SUCCESS;
}

static apr_status_t begin_dump(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv = need_writer(in, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    in->kind = PART_DUMP;
    in->dump_size = 0;
    rv = sal_crash_dump_begin(in->writer, in->dump, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

/* Over the limit: fatal for the main dump, a side file is dropped. */
static apr_status_t dump_too_large(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv;

    if (!strcmp(in->dump, MAIN_DUMP)) {
        return sal_fail(err, at_fault(in, SAL_FAULT_TOO_LARGE, SAL_E_TOOBIG),
                        "dump over %" APR_UINT64_T_FMT " bytes", in->limits.dump);
    }
    sal_annotations_note(in->annotations, "dump over %" APR_UINT64_T_FMT " bytes dropped: %s",
                         in->limits.dump, in->dump);
    in->kind = PART_DROP;
    rv = sal_crash_dump_drop(in->writer, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

/* Sentry's Crashpad sends what the report is of in a file; a small one is remembered. */
static void keep_event(sal_intake_t *in, const char *data, apr_size_t size)
{
    char *grown;

    if (strcmp(in->dump, EVENT_FILE) || in->event_size + size > EVENT_MAX) {
        return;
    }
    grown = realloc(in->event, in->event_size + size + 1);
    if (grown) {
        memcpy(grown + in->event_size, data, size);
        in->event = grown;
        in->event_size += size;
    }
}

static apr_status_t dump_data(sal_intake_t *in, const char *data, apr_size_t size, sal_error_t *err)
{
    apr_status_t rv;

    if (in->dump_size < 4) { /* the magic may have been cut from its head by a nested form */
        for (apr_size_t i = 0; i < size && in->dump_size + i < 4; i++) {
            in->head[in->dump_size + i] = data[i];
        }
        in->head_len = (apr_size_t)in->dump_size + size < 4 ? (apr_size_t)in->dump_size + size : 4;
    }
    keep_event(in, data, size);
    in->dump_size += size;
    if (in->dump_size > in->limits.dump) {
        return dump_too_large(in, err);
    }
    rv = sal_crash_dump_data(in->writer, data, size, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

static void note_magic(sal_intake_t *in)
{
    const char *head = in->head;

    if (strncmp(in->dump, MAIN_DUMP, strlen(MAIN_DUMP))) {
        return; /* a log, a memory report: anything goes */
    }
    if (in->head_len >= 4 && (!memcmp(head, "MDMP", 4) || !memcmp(head, "PMDM", 4))) {
        return;
    }
    if (in->head_len >= 2 && !memcmp(head, "\x1f\x8b", 2)) {
        sal_annotations_note(in->annotations, "dump compressed with gzip: %s", in->dump);
    } else if (in->head_len >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4)) {
        sal_annotations_note(in->annotations, "dump compressed with zstd: %s", in->dump);
    } else {
        sal_annotations_note(in->annotations, "dump without minidump magic: %s", in->dump);
    }
}

static apr_status_t end_dump(sal_intake_t *in, sal_error_t *err)
{
    char sha[65];
    apr_status_t rv = sal_crash_dump_end(in->writer, sha, NULL, err);

    if (rv != APR_SUCCESS) {
        return store_failed(in, rv);
    }
    json_object_set_new(in->checksums, in->dump, json_string(sha));
    note_magic(in);
    return APR_SUCCESS;
}

/* ---- a form inside a dump: an old Linux SDK wraps its upload twice ---- */

static apr_status_t nested_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    sal_intake_t *in = baton;

    (void)err;
    in->nested_taking = !in->nested_found && part->name && !strcmp(part->name, MAIN_DUMP);
    in->nested_found |= in->nested_taking;
    return APR_SUCCESS;
}

static apr_status_t nested_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sal_intake_t *in = baton;

    /* A dump that went over its limit is PART_DROP by now. */
    return in->nested_taking && in->kind == PART_NESTED ? dump_data(in, data, size, err)
                                                        : APR_SUCCESS;
}

static apr_status_t nested_end(void *baton, sal_error_t *err)
{
    (void)err;
    ((sal_intake_t *)baton)->nested_taking = false;
    return APR_SUCCESS;
}

static const sal_multipart_events_t nested_events = { nested_begin, nested_data, nested_end, NULL };

/* The boundary if [head, head+len) is a first delimiter line, in out. */
static bool is_delimiter_line(const char *head, apr_size_t len, char *out)
{
    apr_size_t n = 0;

    for (const char *s = head + 2; s < head + len && *s != '\r'; s++) {
        if (!isalnum((unsigned char)*s) && !strchr("'()+_,-./:=?", *s)) {
            return false;
        }
        out[n++] = *s;
    }
    out[n] = '\0';
    return n > 0 && n <= SAL_MULTIPART_BOUNDARY_MAX && n + 4 == len && head[len - 1] == '\n';
}

static apr_status_t begin_nested(sal_intake_t *in, const char *boundary, sal_error_t *err)
{
    apr_status_t rv =
        sal_multipart_make(&in->nested, boundary, 64, &nested_events, in, in->pool, err);

    if (rv == APR_SUCCESS) {
        rv = begin_dump(in, err);
    }
    in->kind = PART_NESTED;
    sal_annotations_note(in->annotations, "dump is itself a form, its minidump taken: %s",
                         in->dump);
    return rv;
}

static apr_status_t feed_nested(sal_intake_t *in, const char *data, apr_size_t size)
{
    sal_error_t why;
    apr_status_t rv = sal_multipart_feed(in->nested, data, size, &why);

    /* A broken inner form ends the dump where it breaks; only our own failures count. */
    return in->fault == SAL_FAULT_NONE ? APR_SUCCESS : rv;
}

/* ---- the first bytes of a dump decide what it is ---- */

/* What was gathered in head goes where it belongs; the part is PART_DUMP or PART_NESTED then. */
static apr_status_t decide(sal_intake_t *in, sal_error_t *err)
{
    char boundary[SNIFF_MAX + 1], head[SNIFF_MAX];
    apr_size_t len = in->head_len;
    apr_status_t rv;

    memcpy(head, in->head, len);
    in->head_len = 0;
    if (!in->nested && len >= 4 && is_delimiter_line(head, len, boundary)) {
        rv = begin_nested(in, boundary, err);
        return rv == APR_SUCCESS ? feed_nested(in, head, len) : rv;
    }
    rv = begin_dump(in, err);
    return rv == APR_SUCCESS && len ? dump_data(in, head, len, err) : rv;
}

/* Takes bytes until it is clear whether the dump begins with a delimiter line. */
static apr_status_t sniff(sal_intake_t *in, const char **data, apr_size_t *size, sal_error_t *err)
{
    while (*size && in->head_len < SNIFF_MAX) {
        char c = *(*data)++;

        *size -= 1;
        in->head[in->head_len++] = c;
        if ((in->head_len <= 2 && c != '-') || c == '\n') {
            return decide(in, err);
        }
    }
    return in->head_len == SNIFF_MAX ? decide(in, err) : APR_SUCCESS;
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
    in->kind = PART_SNIFF;
    in->head_len = 0;
    return name_dump(in, part->name, err);
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sal_intake_t *in = baton;
    apr_status_t rv = APR_SUCCESS;

    if (in->kind == PART_SNIFF) {
        rv = sniff(in, &data, &size, err);
    }
    if (rv != APR_SUCCESS || !size) {
        return rv;
    }
    switch (in->kind) {
    case PART_TEXT:
    case PART_JSON:
        return in->too_large ? APR_SUCCESS : gather(in, data, size, err);
    case PART_DUMP:
        return dump_data(in, data, size, err);
    case PART_NESTED:
        return feed_nested(in, data, size);
    default:
        return APR_SUCCESS;
    }
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    sal_intake_t *in = baton;
    apr_status_t rv = APR_SUCCESS;

    if (in->kind == PART_SNIFF) {
        rv = decide(in, err);
    }
    if (rv == APR_SUCCESS) {
        switch (in->kind) {
        case PART_TEXT:
            end_text(in);
            break;
        case PART_JSON:
            rv = end_json(in, err);
            break;
        case PART_DUMP:
        case PART_NESTED:
            rv = end_dump(in, err);
            break;
        default:
            break;
        }
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
    return need_writer(in, err) == APR_SUCCESS ? sal_crash_proposed_id(in->writer) : NULL;
}

apr_status_t sal_intake_commit(sal_intake_t *in, const char *id, sal_raw_meta_t *meta,
                               sal_error_t *err)
{
    apr_status_t rv = need_writer(in, err);
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
