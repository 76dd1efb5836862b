/*
 * The annotations of one report. Knows nothing of requests, dumps or the store.
 */
#include "crash/annotations.h"

#include <ctype.h>
#include <iconv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/extra_json.h"
#include "crash/python_text.h"

#define NOTES_MAX 200
#define NOTE_LEN_MAX 400

struct sal_annotations_t {
    json_t *values; /* name -> text */
    json_t *plain;  /* names that came as text parts, after a JSON part */
    json_t *typed;  /* names of JSON values that were no strings -> first byte of the value */
    json_t *notes;
    apr_size_t total, total_max;
    bool had_json, had_plain, said_many;
};

static apr_status_t release(void *data)
{
    sal_annotations_t *a = data;

    json_decref(a->values);
    json_decref(a->plain);
    json_decref(a->typed);
    json_decref(a->notes);
    return APR_SUCCESS;
}

sal_annotations_t *sal_annotations_make(apr_size_t total_max, apr_pool_t *p)
{
    sal_annotations_t *a = apr_pcalloc(p, sizeof(*a));

    a->values = json_object();
    a->plain = json_object();
    a->typed = json_object();
    a->notes = json_array();
    a->total_max = total_max;
    apr_pool_cleanup_register(p, a, release, apr_pool_cleanup_null);
    return a;
}

void sal_annotations_note(sal_annotations_t *a, const char *fmt, ...)
{
    char text[NOTE_LEN_MAX + 1];
    va_list args;

    if (json_array_size(a->notes) >= NOTES_MAX) {
        if (json_array_size(a->notes) == NOTES_MAX) {
            json_array_append_new(a->notes, json_string("more notes were dropped"));
        }
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    sal_utf8_cut(text, sizeof(text) - 1);
    /* A cut name may end in half a character; json_string would then refuse the note. */
    while (text[0] && !sal_utf8_valid(text, strlen(text))) {
        text[strlen(text) - 1] = '\0';
    }
    json_array_append_new(a->notes, json_string(text));
}

/* ---- setting ---- */

static bool fits(sal_annotations_t *a, const char *name, apr_size_t size)
{
    apr_size_t name_len = strlen(name);

    if (json_object_size(a->values) >= SAL_ANNOTATIONS_MAX && !json_object_get(a->values, name)) {
        if (!a->said_many) {
            sal_annotations_note(a, "annotations over %d were dropped", SAL_ANNOTATIONS_MAX);
            a->said_many = true;
        }
        return false;
    }
    if (name_len + size > a->total_max - a->total) {
        sal_annotations_note(a, "extract payload text part exception: body part is too large");
        return false;
    }
    a->total += name_len + size;
    return true;
}

/* False if the value is not UTF-8. */
static bool set_value(sal_annotations_t *a, const char *name, const char *value, apr_size_t size)
{
    json_t *text = json_stringn(value, size);

    if (!text) {
        return false;
    }
    json_object_set_new(a->values, name, text);
    json_object_del(a->typed, name);
    return true;
}

/* ---- text parts ---- */

/* Names go to iconv_open and into notes, so only what charset names are made of. */
static bool charset_name_ok(const char *s)
{
    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        if (!isalnum((unsigned char)*s) && !strchr("-_.:", *s)) {
            return false;
        }
    }
    return true;
}

/* Names that Python's codecs have, and thus Mozilla's collector takes, and iconv has not. */
static const char *iconv_name(const char *charset)
{
    static const char *const names[][2] = { { "latin-1", "ISO-8859-1" },
                                            { "utf_8", "UTF-8" },
                                            { "utf_16", "UTF-16" },
                                            { "u8", "UTF-8" },
                                            { "iso8859_1", "ISO-8859-1" } };

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcasecmp(charset, names[i][0])) {
            return names[i][1];
        }
    }
    return charset;
}

static bool is_utf8_name(const char *charset)
{
    return !strcasecmp(charset, "utf-8") || !strcasecmp(charset, "utf8");
}

/* Converts to UTF-8; *out is malloced. False for an unknown charset or invalid text. */
static bool to_utf8(const char *charset, const char *value, apr_size_t size, char **out,
                    apr_size_t *out_size)
{
    size_t room = size * 4 + 8, in_left = size, out_left = room;
    char *in = (char *)value, *to;
    iconv_t cd;
    bool ok;

    if (!charset_name_ok(charset) || (cd = iconv_open("UTF-8", charset)) == (iconv_t)-1) {
        return false;
    }
    to = *out = malloc(room);
    ok = to && iconv(cd, &in, &in_left, &to, &out_left) != (size_t)-1 &&
         iconv(cd, NULL, NULL, &to, &out_left) != (size_t)-1 && in_left == 0;
    iconv_close(cd);
    if (!ok) {
        free(*out);
        return false;
    }
    *out_size = room - out_left;
    return true;
}

static bool set_decoded(sal_annotations_t *a, const char *name, const char *value, apr_size_t size,
                        const char *charset)
{
    char *text;
    apr_size_t text_size;
    bool ok;

    charset = iconv_name(charset);
    if (is_utf8_name(charset)) {
        return set_value(a, name, value, size);
    }
    if (!to_utf8(charset, value, size, &text, &text_size)) {
        return false;
    }
    ok = set_value(a, name, text, text_size);
    free(text);
    return ok;
}

void sal_annotations_text(sal_annotations_t *a, const char *name, const char *value,
                          apr_size_t size, const char *charset)
{
    apr_size_t name_len = strlen(name);

    if (name_len > SAL_ANNOTATION_NAME_MAX) {
        sal_annotations_note(a, "annotation name over %d bytes dropped: %.60s",
                             SAL_ANNOTATION_NAME_MAX, name);
        return;
    }
    a->had_plain = true;
    if (!fits(a, name, size)) {
        return;
    }
    /* Without JSON all values are of text parts. */
    if (json_object_get(a->had_json ? a->plain : a->values, name)) {
        sal_annotations_note(a, "duplicate annotation: %s", name);
    }
    if (!set_decoded(a, name, value, size, charset)) {
        sal_annotations_note(a, "extract payload text part exception: invalid text or charset: %s",
                             charset_name_ok(charset) ? charset : "?");
        return;
    }
    if (a->had_json) {
        json_object_set_new(a->plain, name, json_true());
    }
    if (memchr(value, '\0', size)) {
        sal_annotations_note(a, "NUL in annotation: %s", name);
    }
}

/* ---- JSON part ---- */

static apr_status_t take_member(void *baton, const char *key, apr_size_t key_len, const char *value,
                                apr_size_t value_len, char kind, bool key_nul)
{
    sal_annotations_t *a = baton;
    char name[SAL_ANNOTATION_NAME_MAX + 1];

    if (key_len == 0 || key_len > SAL_ANNOTATION_NAME_MAX) {
        sal_annotations_note(a, "annotation name of %" APR_SIZE_T_FMT " bytes dropped", key_len);
        return APR_SUCCESS;
    }
    memcpy(name, key, key_len);
    name[key_len] = '\0';
    if (key_nul) {
        sal_annotations_note(a, "NUL in the name of annotation: %s", name);
    }
    if (!value) {
        json_object_del(a->values, name);
        json_object_set_new(a->typed, name, json_integer(kind));
        sal_annotations_note(a, "null annotation dropped: %s", name);
        return APR_SUCCESS;
    }
    if (!fits(a, name, value_len)) {
        return APR_SUCCESS;
    }
    if (memchr(value, '\0', value_len)) {
        sal_annotations_note(a, "NUL in annotation: %s", name);
    }
    if (set_value(a, name, value, value_len) && kind != '"') {
        json_object_set_new(a->typed, name, json_integer(kind));
    }
    return APR_SUCCESS;
}

apr_status_t sal_annotations_json(sal_annotations_t *a, char *text, apr_size_t size, apr_pool_t *p,
                                  sal_error_t *err)
{
    json_object_clear(a->values);
    json_object_clear(a->plain);
    json_object_clear(a->typed);
    a->total = 0;
    a->had_json = true;
    return sal_extra_json_read(text, size, take_member, a, p, err);
}

void sal_annotations_end(sal_annotations_t *a)
{
    if (a->had_json && a->had_plain) {
        sal_annotations_note(a, "includes annotations in both json-encoded extra and formdata "
                                "parts");
    }
}

/* ---- asking ---- */

const char *sal_annotations_get(const sal_annotations_t *a, const char *name)
{
    return sal_json_str(a->values, name);
}

const char *sal_annotations_seen(const sal_annotations_t *a, const char *name, apr_pool_t *p)
{
    const json_t *kind = json_object_get(a->typed, name);

    return kind ? sal_python_text((char)json_integer_value(kind), sal_annotations_get(a, name), p)
                : sal_annotations_get(a, name);
}

apr_size_t sal_annotations_count(const sal_annotations_t *a)
{
    return json_object_size(a->values);
}

bool sal_annotations_had_json(const sal_annotations_t *a)
{
    return a->had_json;
}

json_t *sal_annotations_values(const sal_annotations_t *a)
{
    return a->values;
}

bool sal_annotations_fill(sal_annotations_t *a, const char *name, const char *value)
{
    return value && !json_object_get(a->values, name) && set_value(a, name, value, strlen(value));
}

void sal_annotations_drop(sal_annotations_t *a, const char *name)
{
    json_object_del(a->values, name);
}

/* ---- dialects ---- */

typedef struct mapping_t {
    const char *from, *to, *dialect;
} mapping_t;

/* In this order: Electron's own names beat those of its engine. */
static const mapping_t mappings[] = {
    { "_productName", "ProductName", "electron" },
    { "_version", "Version", "electron" },
    { "prod", "ProductName", "google" },
    { "ver", "Version", "google" },
    { "comments", "Comments", "google" },
    { "comments_", "Comments", "google" },
    { "email", "Email", "google" },
    { "ptype", "ProcessType", "google" },
    { "process_type", "ProcessType", "google" },
    { "channel", "ReleaseChannel", "google" },
};

/* ptime is the uptime in milliseconds, UptimeTS in seconds. */
static bool map_ptime(sal_annotations_t *a)
{
    const char *text = sal_annotations_get(a, "ptime");
    char seconds[32];
    int64_t ms;

    if (!text || !sal_parse_int(text, 0, INT64_MAX, &ms)) {
        return false;
    }
    snprintf(seconds, sizeof(seconds), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
    return sal_annotations_fill(a, "UptimeTS", seconds);
}

/*
 * Copies a value without line breaks at its end: Breakpad on macOS puts one before the end marker,
 * and it falls to the last value.
 */
static bool copy_value(sal_annotations_t *a, const mapping_t *m)
{
    json_t *v = json_object_get(a->values, m->from);
    const char *text = json_string_value(v);
    apr_size_t len = json_string_length(v);

    if (!v || json_object_get(a->values, m->to)) {
        return false;
    }
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r')) {
        len--;
    }
    return set_value(a, m->to, text, len);
}

static bool from_query(sal_annotations_t *a, const char *to, const char *first, const char *second,
                       sal_query_fn query, void *baton)
{
    const char *value = query(baton, first);

    if (!value || !*value) {
        value = query(baton, second);
    }
    return value && *value && sal_annotations_fill(a, to, value);
}

void sal_annotations_map_dialect(sal_annotations_t *a, sal_query_fn query, void *baton)
{
    bool google, electron = false;

    google = map_ptime(a);
    for (apr_size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++) {
        if (copy_value(a, &mappings[i])) {
            google |= mappings[i].dialect[0] == 'g';
            electron |= mappings[i].dialect[0] == 'e';
        }
    }
    if (google) {
        sal_annotations_note(a, "dialect: google");
    }
    if (electron) {
        sal_annotations_note(a, "dialect: electron");
    }
    if (query) {
        bool used = from_query(a, "ProductName", "product", "prod", query, baton);

        used |= from_query(a, "Version", "version", "ver", query, baton);
        if (used) {
            sal_annotations_note(a, "dialect: query");
        }
    }
}

void sal_annotations_remove(sal_annotations_t *a, const char *const *names)
{
    for (; *names; names++) {
        json_object_del(a->typed, *names);
        if (json_object_del(a->values, *names) == 0) {
            sal_annotations_note(a, "Removed %s from raw crash.", *names);
        }
    }
}

/* ---- the raw crash document ---- */

json_t *sal_annotations_raw(const sal_annotations_t *a, const char *id, const sal_raw_meta_t *meta,
                            apr_pool_t *p)
{
    json_t *raw = json_copy(a->values), *m = json_object();
    const char *agent = meta->user_agent;

    json_object_set_new(m, "payload", json_string(a->had_json ? "json" : "multipart"));
    json_object_set_new(m, "payload_compressed", json_string(meta->compressed ? "1" : "0"));
    json_object_set_new(m, "payload_size", json_integer(meta->payload_size));
    json_object_set(m, "collector_notes", a->notes);
    json_object_set(m, "dump_checksums", meta->dump_checksums);
    json_object_set_new(m, "user_agent",
                        json_string(agent ? sal_utf8_clean(agent, strlen(agent), p) : "None"));
    json_object_set_new(m, "throttle_rule", json_string(meta->throttle_rule));
    if (meta->address) {
        json_object_set_new(m, "address", json_string(meta->address));
    }
    if (meta->client) {
        json_object_set_new(m, "client", json_string(meta->client));
    }
    json_object_set_new(raw, "uuid", json_string(id));
    json_object_set_new(raw, "submitted_timestamp", json_string(sal_time_iso(meta->submitted, p)));
    json_object_set_new(raw, "version", json_integer(2));
    json_object_set_new(raw, "metadata", m);
    return raw;
}
