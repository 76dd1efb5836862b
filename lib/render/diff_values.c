/*
 * Fields, annotations and modules that differ between two reports.
 */
#include "render/diff_private.h"

#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/report_private.h"

enum { LEAVES_MAX = 20000, ROWS_MAX = 300, DEEPEST = 12, ITEMS_MAX = 40, SHOWN_BYTES = 600 };

/* ---- values by their paths ---- */

typedef struct {
    const char *path;
    const json_t *v[2];
    bool annotation;
} value_t;

typedef struct {
    apr_hash_t *by_path; /* -> value_t */
    apr_array_header_t *list;
    int side, left;
    bool annotation;
    apr_pool_t *p;
} values_t;

/* What differs between any two reports, or stands on the page some other way. */
static bool passed_over(const char *name)
{
    static const char *const names[] = {
        "client_crash_date", "collector_metadata", "completed_datetime", "crash_id",
        "crash_report_keys", "crash_time", "date_processed", "java_stack_trace",
        "java_stack_trace_raw", "json_dump", "additional_dumps", "mdsw_stderr", "memory_report",
        "metadata", "minidump_sha256_hash", "missing_symbols", "modules_in_stack",
        "processor_history", "processor_notes", "proto_signature", "signature_debug",
        "stackwalk_version", "started_datetime", "startup_time", "submitted_timestamp",
        "topmost_filenames", "upload_file_minidump_browser", "uptime_ts", "uuid",
        /* annotations that a field holds in another form */
        "Add-ons", "Breadcrumbs", "CrashTime", "InstallTime", "JavaException", "JavaStackTrace",
        "ModuleSignatureInfo", "SecondsSinceLastCrash", "StackTraces", "StartupTime",
        "TelemetryEnvironment", "UptimeTS", "MinidumpSha256Hash"
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void note(values_t *t, const char *path, const json_t *v)
{
    value_t *known = apr_hash_get(t->by_path, path, APR_HASH_KEY_STRING);

    if (--t->left < 0) {
        return;
    }
    if (!known) {
        known = apr_pcalloc(t->p, sizeof *known);
        known->path = path;
        known->annotation = t->annotation;
        apr_hash_set(t->by_path, path, APR_HASH_KEY_STRING, known);
        APR_ARRAY_PUSH(t->list, value_t *) = known;
    }
    known->v[t->side] = v;
}

static void flatten(values_t *t, const char *prefix, const json_t *v, int depth)
{
    const char *key;
    json_t *member;

    json_object_foreach((json_t *)v, key, member)
    {
        const char *path = *prefix ? apr_pstrcat(t->p, prefix, ".", key, NULL) : key;

        if (t->left <= 0) {
            return;
        }
        if (depth == 0 && passed_over(key)) {
            continue;
        }
        if (json_is_object(member) && depth < DEEPEST && json_object_size(member) > 0) {
            flatten(t, path, member, depth + 1);
        } else if (!json_is_null(member)) {
            note(t, path, member);
        }
    }
}

/* Annotations that are copied into a field are compared there. */
static apr_hash_t *copied(const sal_fields_t *fields, apr_pool_t *p)
{
    apr_hash_t *out = apr_hash_make(p);

    for (size_t i = 0; fields && i < fields->n; i++) {
        if (fields->field[i].source) {
            apr_hash_set(out, fields->field[i].source, APR_HASH_KEY_STRING, "");
        }
    }
    return out;
}

static void note_annotations(values_t *t, const json_t *annotations, apr_hash_t *skip)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)annotations, key, v)
    {
        if (!apr_hash_get(skip, key, APR_HASH_KEY_STRING) && !passed_over(key) &&
            strcmp(key, "version") != 0 && !apr_hash_get(t->by_path, key, APR_HASH_KEY_STRING)) {
            note(t, key, v);
        } else if (t->side == 1) {
            value_t *known = apr_hash_get(t->by_path, key, APR_HASH_KEY_STRING);

            if (known && known->annotation) {
                known->v[1] = v;
            }
        }
    }
}

/* ---- lists as sets ---- */

static bool texts_only(const json_t *v)
{
    size_t i;
    json_t *item;

    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item)) {
            return false;
        }
    }
    return json_is_array(v);
}

/* The items of one that the other does not have, joined; NULL if there are none. */
static const char *only_in(const json_t *one, const json_t *other, apr_pool_t *p)
{
    apr_hash_t *has = apr_hash_make(p);
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(const char *));
    size_t i;
    json_t *item;

    json_array_foreach(other, i, item)
    {
        apr_hash_set(has, json_string_value(item), APR_HASH_KEY_STRING, "");
    }
    json_array_foreach(one, i, item)
    {
        const char *s = json_string_value(item);

        if (!apr_hash_get(has, s, APR_HASH_KEY_STRING) && out->nelts < ITEMS_MAX) {
            APR_ARRAY_PUSH(out, const char *) = apr_pstrcat(p, out->nelts ? ", " : "", s, NULL);
        }
    }
    return out->nelts ? apr_array_pstrcat(p, out, 0) : NULL;
}

/* The two texts to show; false if there is no difference. */
static bool differ(const value_t *v, const char **a, const char **b, apr_pool_t *p)
{
    if (texts_only(v->v[0]) && texts_only(v->v[1])) {
        *a = only_in(v->v[0], v->v[1], p);
        *b = only_in(v->v[1], v->v[0], p);
        return *a || *b;
    }
    if (v->v[0] && v->v[1] && json_equal(v->v[0], v->v[1])) {
        return false;
    }
    *a = v->v[0] ? sal_report_plain(v->v[0], p) : NULL;
    *b = v->v[1] ? sal_report_plain(v->v[1], p) : NULL;
    return true;
}

/* ---- rows ---- */

static void put_side(json_t *row, const char *key, const char *text, const char *none,
                     apr_pool_t *p)
{
    json_t *out = json_object();
    char *s = text ? apr_pstrdup(p, text) : NULL;

    if (s && strlen(s) > SHOWN_BYTES) {
        sal_utf8_cut(s, SHOWN_BYTES);
        s = apr_pstrcat(p, s, "\u2026", NULL);
    }
    json_object_set_new(out, "text", s && *s ? sal_format_pieces(s) : json_array());
    json_object_set_new(out, "none", json_string(s && *s ? "" : s ? "empty" : none));
    json_object_set_new(row, key, out);
}

static bool is_locked(const sal_diff_in_t *in, const value_t *v, apr_pool_t *p)
{
    const char *dot = strchr(v->path, '.');
    const char *top = dot ? apr_pstrmemdup(p, v->path, dot - v->path) : v->path;
    const sal_field_t *field = in->fields ? sal_fields_find(in->fields, top) : NULL;

    if (v->annotation) {
        return json_object_get(in->side[0].locked, v->path) ||
               json_object_get(in->side[1].locked, v->path);
    }
    return field ? !field->is_public : in->fields != NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp((*(const value_t *const *)a)->path, (*(const value_t *const *)b)->path);
}

static void collect(values_t *t, const sal_diff_in_t *in)
{
    apr_hash_t *skip = copied(in->fields, t->p);

    for (t->side = 0; t->side < 2; t->side++) {
        t->left = LEAVES_MAX;
        t->annotation = false;
        flatten(t, "", in->side[t->side].processed, 0);
    }
    t->annotation = true;
    for (t->side = 0; t->side < 2; t->side++) {
        t->left = LEAVES_MAX;
        note_annotations(t, in->side[t->side].annotations, skip);
        note_annotations(t, in->side[t->side].locked, skip);
    }
    qsort(t->list->elts, (size_t)t->list->nelts, sizeof(value_t *), by_path);
}

int sal_diff_put_fields(const sal_diff_in_t *in, json_t *view, apr_pool_t *p)
{
    values_t t = { .by_path = apr_hash_make(p),
                   .list = apr_array_make(p, 128, sizeof(value_t *)),
                   .p = p };
    json_t *rows = json_array();
    int differing = 0;

    collect(&t, in);
    for (int i = 0; i < t.list->nelts; i++) {
        const value_t *v = APR_ARRAY_IDX(t.list, i, value_t *);
        const char *a = NULL, *b = NULL;
        json_t *row;

        if (!differ(v, &a, &b, p) || ++differing > ROWS_MAX) {
            continue;
        }
        row = json_pack("{s:b, s:b}", "annotation", v->annotation, "locked", is_locked(in, v, p));
        json_object_set_new(row, "name", sal_format_pieces(v->path));
        put_side(row, "a", a, "not there", p);
        put_side(row, "b", b, "not there", p);
        json_array_append_new(rows, row);
    }
    sal_report_put_list(view, "fields", rows, p);
    sal_report_put(view, "same_fields", sal_format_count(t.list->nelts - differing, p));
    if (differing > ROWS_MAX) {
        sal_report_put(view, "more_fields", sal_format_count(differing - ROWS_MAX, p));
    }
    return differing;
}

/* ---- modules ---- */

typedef struct {
    const char *name;
    const json_t *m[2];
} module_t;

static void note_modules(apr_hash_t *by_name, apr_array_header_t *list, const json_t *processed,
                         int side)
{
    json_t *m;
    size_t i;

    json_array_foreach(sal_json_path(processed, "json_dump.modules"), i, m)
    {
        const char *name = sal_json_str(m, "filename");
        module_t *known;

        if (!name || !*name || i >= SAL_REPORT_MAX_MODULES) {
            continue;
        }
        known = apr_hash_get(by_name, name, APR_HASH_KEY_STRING);
        if (!known) {
            known = apr_pcalloc(list->pool, sizeof *known);
            known->name = name;
            apr_hash_set(by_name, name, APR_HASH_KEY_STRING, known);
            APR_ARRAY_PUSH(list, module_t *) = known;
        }
        known->m[side] = known->m[side] ? known->m[side] : m;
    }
}

static const char *text_of(const json_t *m, const char *key)
{
    const char *s = sal_json_str(m, key);

    return s ? s : "";
}

/* What tells the two apart: the version, or the build where that is the same. */
static bool module_differs(const module_t *m, const char **a, const char **b, apr_pool_t *p)
{
    const char *keys[] = { "version", "debug_id" };

    *a = *b = NULL;
    if (!m->m[0] || !m->m[1]) {
        const json_t *there = m->m[0] ? m->m[0] : m->m[1];
        const char *version = text_of(there, "version");

        *(m->m[0] ? a : b) =
            *version ? version : apr_pstrcat(p, "loaded ", text_of(there, "debug_id"), NULL);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        if (strcmp(text_of(m->m[0], keys[i]), text_of(m->m[1], keys[i])) != 0) {
            *a = text_of(m->m[0], keys[i]);
            *b = text_of(m->m[1], keys[i]);
            return true;
        }
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    const char *x = (*(const module_t *const *)a)->name, *y = (*(const module_t *const *)b)->name;

    return strcmp(x, y);
}

int sal_diff_put_modules(const sal_diff_in_t *in, json_t *view, apr_pool_t *p)
{
    apr_hash_t *names = apr_hash_make(p);
    apr_array_header_t *list = apr_array_make(p, 128, sizeof(module_t *));
    json_t *rows = json_array();
    int differing = 0;

    note_modules(names, list, in->side[0].processed, 0);
    note_modules(names, list, in->side[1].processed, 1);
    qsort(list->elts, (size_t)list->nelts, sizeof(module_t *), by_name);
    for (int i = 0; i < list->nelts; i++) {
        const module_t *m = APR_ARRAY_IDX(list, i, module_t *);
        const char *a, *b;
        json_t *row;

        if (!module_differs(m, &a, &b, p) || ++differing > ROWS_MAX) {
            continue;
        }
        row = json_pack("{s:b}", "lacking",
                        json_is_true(json_object_get(m->m[0], "missing_symbols")) ||
                            json_is_true(json_object_get(m->m[1], "missing_symbols")));
        json_object_set_new(row, "name", json_string(m->name));
        put_side(row, "a", a, "not loaded", p);
        put_side(row, "b", b, "not loaded", p);
        json_array_append_new(rows, row);
    }
    sal_report_put_list(view, "modules", rows, p);
    sal_report_put(view, "same_modules", sal_format_count(list->nelts - differing, p));
    if (differing > ROWS_MAX) {
        sal_report_put(view, "more_modules", sal_format_count(differing - ROWS_MAX, p));
    }
    return differing;
}
