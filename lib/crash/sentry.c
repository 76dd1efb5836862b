/*
 * Sentry's dialect. The event's text is the client's: it is read within bounds, and what cannot be
 * read stays as it came, with a note.
 */
#include "crash/sentry.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"
#include "base/text.h"

#define CHUNK "sentry__"
#define KEY "sentry["
#define KEY_DEPTH_MAX 8
#define CHUNKS_MAX 4096

typedef struct chunk_t {
    int64_t n;
    const char *text;
} chunk_t;

/* ---- gathering ---- */

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const chunk_t *)a)->n, y = ((const chunk_t *)b)->n;

    return (x > y) - (x < y);
}

static void take_text(json_t *event, sal_annotations_t *a, const char *text, apr_pool_t *p)
{
    apr_size_t len = strlen(text);
    json_t *v;

    if (len > SAL_SENTRY_EVENT_MAX || sal_json_parse(&v, text, len, p, NULL) != APR_SUCCESS ||
        !json_is_object(v)) {
        sal_annotations_note(a, "sentry event cannot be read");
        return;
    }
    json_object_update(event, v);
}

/* The numbered pieces, in order, as one text; NULL if there are none. */
static const char *join_chunks(sal_annotations_t *a, apr_array_header_t *used, apr_pool_t *p)
{
    apr_array_header_t *chunks = apr_array_make(p, 4, sizeof(chunk_t));
    apr_array_header_t *texts;
    const char *name;
    json_t *v;

    json_object_foreach(sal_annotations_values(a), name, v)
    {
        int64_t n;

        if (!strncmp(name, CHUNK, strlen(CHUNK)) && chunks->nelts < CHUNKS_MAX &&
            sal_parse_int(name + strlen(CHUNK), 0, INT32_MAX, &n)) {
            APR_ARRAY_PUSH(chunks, chunk_t) = (chunk_t){ n, json_string_value(v) };
            APR_ARRAY_PUSH(used, const char *) = apr_pstrdup(p, name);
        }
    }
    if (!chunks->nelts) {
        return NULL;
    }
    qsort(chunks->elts, (size_t)chunks->nelts, sizeof(chunk_t), by_number);
    texts = apr_array_make(p, chunks->nelts, sizeof(const char *));
    for (int i = 0; i < chunks->nelts; i++) {
        APR_ARRAY_PUSH(texts, const char *) = APR_ARRAY_IDX(chunks, i, chunk_t).text;
    }
    return apr_array_pstrcat(p, texts, 0);
}

/* Sets the member that "[a][b]" names. */
static void set_member(json_t *event, const char *path, json_t *value, apr_pool_t *p)
{
    for (int depth = 0; depth < KEY_DEPTH_MAX && *path == '['; depth++) {
        const char *end = strchr(path, ']');
        const char *key;
        json_t *next;

        if (!end || end == path + 1) {
            return;
        }
        key = apr_pstrmemdup(p, path + 1, (apr_size_t)(end - path - 1));
        path = end + 1;
        if (!*path) {
            json_object_set(event, key, value);
            return;
        }
        next = json_object_get(event, key);
        if (!json_is_object(next)) {
            next = json_object();
            json_object_set_new(event, key, next);
        }
        event = next;
    }
}

static void take_members(json_t *event, sal_annotations_t *a, apr_array_header_t *used,
                         apr_pool_t *p)
{
    const char *name;
    json_t *v;

    json_object_foreach(sal_annotations_values(a), name, v)
    {
        if (!strncmp(name, KEY, strlen(KEY))) {
            set_member(event, name + strlen(KEY) - 1, v, p);
            APR_ARRAY_PUSH(used, const char *) = apr_pstrdup(p, name);
        }
    }
}

static json_t *gather(sal_annotations_t *a, const json_t *file, apr_pool_t *p)
{
    json_t *event = sal_json_own(file ? json_deep_copy(file) : json_object(), p);
    apr_array_header_t *used = apr_array_make(p, 8, sizeof(const char *));
    const char *text = sal_annotations_get(a, "sentry"), *chunks;

    if (text) {
        take_text(event, a, text, p);
    }
    if ((chunks = join_chunks(a, used, p)) != NULL) {
        take_text(event, a, chunks, p);
    }
    take_members(event, a, used, p);
    if (!json_object_size(event)) {
        return event; /* nothing, or nothing that can be read: it stays as it came */
    }
    for (int i = 0; i < used->nelts; i++) {
        sal_annotations_drop(a, APR_ARRAY_IDX(used, i, const char *));
    }
    return event;
}

/* ---- what it says ---- */

/* The parts of "product@version+build". */
static void map_release(sal_annotations_t *a, const char *release, apr_pool_t *p)
{
    const char *at = strchr(release, '@'), *version = at ? at + 1 : release;
    const char *plus = strchr(version, '+');

    if (at > release) {
        sal_annotations_fill(a, "ProductName",
                             apr_pstrmemdup(p, release, (apr_size_t)(at - release)));
    }
    if (plus > version) {
        sal_annotations_fill(a, "BuildID", plus + 1);
        version = apr_pstrmemdup(p, version, (apr_size_t)(plus - version));
    }
    sal_annotations_fill(a, "Version", version);
}

/* 32 hex digits, with or without dashes, as a UUID; NULL if it is none. */
static const char *as_uuid(const char *id, apr_pool_t *p)
{
    char hex[33];
    int n = 0;

    for (; id && *id; id++) {
        if (*id == '-') {
            continue;
        }
        if (n == 32 || !isxdigit((unsigned char)*id)) {
            return NULL;
        }
        hex[n++] = (char)tolower((unsigned char)*id);
    }
    return n == 32 ? apr_psprintf(p, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                                  hex + 20)
                   : NULL;
}

static void map_members(sal_annotations_t *a, const json_t *event, apr_pool_t *p)
{
    const char *release = sal_json_str(event, "release"), *text;

    if ((text = sal_json_str(event, "dist")) != NULL) {
        sal_annotations_fill(a, "BuildID", text);
    }
    if (release && *release) {
        map_release(a, release, p);
    }
    if ((text = sal_json_str(event, "environment")) != NULL) {
        sal_annotations_fill(a, "ReleaseChannel", text);
    }
}

void sal_sentry_map(const char **event_id, sal_annotations_t *a, const json_t *file,
                    const char *project, apr_pool_t *p)
{
    json_t *event = gather(a, file, p);

    *event_id = as_uuid(sal_json_str(event, "event_id"), p);
    if (json_object_size(event)) {
        if (json_object_del(event, "user") == 0) {
            sal_annotations_note(a, "Removed user from sentry event.");
        }
        map_members(a, event, p);
        sal_annotations_drop(a, "sentry");
        sal_annotations_fill(a, "sentry", sal_json_text(event, p));
    }
    if (*event_id) {
        sal_annotations_fill(a, "SentryEventId", *event_id);
    }
    if (project && *project) {
        sal_annotations_fill(a, "ProductName", project);
    }
    sal_annotations_note(a, "dialect: sentry");
}
