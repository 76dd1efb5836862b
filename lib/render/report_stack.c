/*
 * Threads of a report: rows of frames, runtime frames folded, equal stacks merged.
 */
#include "render/report_private.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>
#include <apr_hash.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/vcs.h"

enum { FOLD_FROM = 4 }; /* runtime frames in a row, from which they fold */

bool sal_report_runtime(const char *function, const char *module)
{
    static const char *const modules[] = { "ntdll.dll",
                                           "kernel32.dll",
                                           "kernelbase.dll",
                                           "ucrtbase.dll",
                                           "msvcp140.dll",
                                           "vcruntime140.dll",
                                           "vcruntime140_1.dll",
                                           "user32.dll",
                                           "win32u.dll",
                                           "msvcrt.dll",
                                           "libc.so.6",
                                           "libpthread.so.0",
                                           "libstdc++.so.6",
                                           "libgcc_s.so.1",
                                           "libm.so.6",
                                           "ld-linux-x86-64.so.2",
                                           "linux-gate.so",
                                           "libc.so",
                                           "libart.so",
                                           "libsystem_kernel.dylib",
                                           "libsystem_pthread.dylib",
                                           "libsystem_c.dylib",
                                           "libdyld.dylib",
                                           "dyld",
                                           "libc++.1.dylib",
                                           "libc++abi.dylib" };
    static const char *const prefixes[] = { "std::",  "core::",      "alloc::", "__libc_", "_start",
                                            "__cxa_", "__gnu_cxx::", "__scrt_", "_Unwind_" };

    for (apr_size_t i = 0; module && i < sizeof modules / sizeof modules[0]; i++) {
        if (strcasecmp(module, modules[i]) == 0) {
            return true;
        }
    }
    for (apr_size_t i = 0; function && i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(function, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *trust_of(const char *trust)
{
    static const struct {
        const char *trust, *cls, *word;
    } known[] = { { "context", "t4", "context" },
                  { "cfi", "t3", "cfi" },
                  { "frame_pointer", "t2", "frame ptr" },
                  { "cfi_scan", "t2", "cfi scan" },
                  { "scan", "t1", "scan" },
                  { "inlined", "in0", "inlined" },
                  { "prewalked", "t3", "prewalked" } };

    for (apr_size_t i = 0; trust && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(trust, known[i].trust) == 0) {
            return json_pack("{s:s, s:s}", "cls", known[i].cls, "word", known[i].word);
        }
    }
    return json_pack("{s:s, s:s}", "cls", "t1", "word", trust && *trust ? trust : "none");
}

void sal_report_know_modules(sal_report_t *r)
{
    json_t *module;
    size_t i;

    r->modules = apr_hash_make(r->p);
    r->builds = apr_hash_make(r->p);
    json_array_foreach(json_object_get(r->dump, "modules"), i, module)
    {
        const char *name = sal_json_str(module, "filename");

        if (name && *name && i < SAL_REPORT_MAX_MODULES) {
            apr_hash_set(r->modules, name, APR_HASH_KEY_STRING, module);
        }
    }
}

/* The build id of a module whose sources are stored here, or NULL. Asked once of each module. */
static const char *build_of(sal_report_t *r, const char *name)
{
    const json_t *module = name ? apr_hash_get(r->modules, name, APR_HASH_KEY_STRING) : NULL;
    const char *known;

    if (!module || !r->in->sources) {
        return NULL;
    }
    known = apr_hash_get(r->builds, name, APR_HASH_KEY_STRING);
    if (!known) {
        known = r->in->sources(r->in->sources_baton, module);
        known = known ? known : "";
        apr_hash_set(r->builds, name, APR_HASH_KEY_STRING, known);
    }
    return *known ? known : NULL;
}

/* "path:line", and where that is shown. */
static const char *source_text(sal_vcs_source_t *at, const sal_vcs_t *vcs, const json_t *frame,
                               const char *build_id, apr_pool_t *p)
{
    const json_t *line = json_object_get(frame, "line");

    sal_vcs_source(at, vcs, sal_json_str(frame, "file"), json_integer_value(line), build_id, p);
    return json_is_integer(line) ? apr_psprintf(p, "%s:%" APR_INT64_T_FMT, at->text,
                                                (apr_int64_t)json_integer_value(line))
                                 : at->text;
}

static json_t *source_of(sal_report_t *r, const json_t *frame)
{
    const char *file = sal_json_str(frame, "file"), *text;
    sal_vcs_source_t at;
    json_t *out;

    if (!file || !*file) {
        return json_false();
    }
    text = source_text(&at, r->in->vcs, frame, build_of(r, sal_json_str(frame, "module")), r->p);
    out = json_pack("{s:o}", "parts", sal_format_pieces(text));
    sal_report_put(out, "url", at.url);
    return out;
}

typedef struct {
    sal_report_t *r;
    int thread;
    bool hit; /* rows of frame 0 are where it crashed */
    json_t *rows;
} rows_t;

/* The classes of a row, in the style sheet's words. */
static const char *row_class(const json_t *frame, bool hit, bool runtime, const char *more,
                             apr_pool_t *p)
{
    const char *file = sal_json_str(frame, "file");
    const char *function = sal_json_str(frame, "function");
    const char *kind = runtime ? " rt" : function && *function && file && *file ? " own" : "";

    if (json_is_true(json_object_get(frame, "missing_symbols"))) {
        kind = apr_pstrcat(p, kind, " nosym", NULL);
    }
    return apr_pstrcat(p, more, hit ? " hit" : "", kind, NULL);
}

/* What to upload for a frame without symbols. */
static void put_missing(const sal_report_t *r, json_t *row, const json_t *frame)
{
    const char *name = sal_json_str(frame, "module");
    const json_t *module = name ? apr_hash_get(r->modules, name, APR_HASH_KEY_STRING) : NULL;

    if (module && json_is_true(json_object_get(frame, "missing_symbols"))) {
        sal_report_put(row, "missing", sal_report_missing(module, r->p));
    }
}

static void add_row(rows_t *rows, const json_t *frame, const char *id, apr_int64_t number,
                    const char *trust, const char *more)
{
    apr_pool_t *p = rows->r->p;
    const char *module = sal_json_str(frame, "module");
    bool runtime = sal_report_runtime(sal_json_str(frame, "function"), module);
    bool hit = rows->hit && number == 0;
    json_t *row =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:b}", "row", id, "cls",
                  row_class(frame, hit, runtime, more, p), "fn",
                  sal_format_pieces(sal_format_frame(frame, p)), "src", source_of(rows->r, frame),
                  "trust", trust_of(trust), "runtime", runtime && !hit, "nosym",
                  json_is_true(json_object_get(frame, "missing_symbols")));

    json_object_set_new(row, "num", json_sprintf("%" APR_INT64_T_FMT, number));
    sal_report_put(row, "module", module);
    put_missing(rows->r, row, frame);
    json_array_append_new(rows->rows, row);
}

json_t *sal_report_inline_frame(const json_t *inl, const json_t *frame)
{
    json_t *f = json_object();

    json_object_set(f, "function", json_object_get(inl, "function"));
    json_object_set(f, "file", json_object_get(inl, "file"));
    json_object_set(f, "line", json_object_get(inl, "line"));
    json_object_set(f, "module", json_object_get(frame, "module"));
    json_object_set(f, "module_offset", json_object_get(frame, "module_offset"));
    return f;
}

static void add_frame(rows_t *rows, const json_t *frame, size_t at)
{
    apr_pool_t *p = rows->r->p;
    const json_t *number = json_object_get(frame, "frame");
    apr_int64_t n = json_is_integer(number) ? json_integer_value(number) : (apr_int64_t)at;
    const json_t *inlines = json_object_get(frame, "inlines");
    const char *message = sal_json_str(json_object_get(frame, "truncated"), "msg");
    size_t i;
    json_t *inl;

    if (message) {
        json_array_append_new(rows->rows, json_pack("{s:s}", "stop", message));
        return;
    }
    json_array_foreach(inlines, i, inl)
    {
        json_t *f = sal_report_inline_frame(inl, frame);

        add_row(rows, f, apr_psprintf(p, "t%df%" APR_INT64_T_FMT "i%d", rows->thread, n, (int)i), n,
                "inlined", i == 0 ? "inl first" : "inl");
        json_decref(f);
    }
    add_row(rows, frame, apr_psprintf(p, "t%df%" APR_INT64_T_FMT, rows->thread, n), n,
            sal_json_str(frame, "trust"), json_array_size(inlines) ? "phys" : "");
}

static const char *fold_label(const json_t *rows, apr_pool_t *p)
{
    const char *names = "", *last = "";
    size_t i;
    json_t *row;
    int shown = 0;

    json_array_foreach(rows, i, row)
    {
        const char *module = sal_json_str(row, "module");

        if (module && strcmp(module, last) != 0 && shown < 4) {
            names = apr_pstrcat(p, names, *names ? ", " : "", module, NULL);
            last = module;
            shown++;
        }
    }
    return apr_psprintf(p, "Show %d runtime frames%s%s%s", (int)json_array_size(rows),
                        *names ? " (" : "", names, *names ? ")" : "");
}

static void close_group(json_t *groups, json_t **rows, bool runtime, apr_pool_t *p)
{
    json_t *group;

    if (json_array_size(*rows) == 0) {
        return;
    }
    group = json_object();
    if (runtime && json_array_size(*rows) >= FOLD_FROM) {
        json_object_set_new(group, "fold", json_string(fold_label(*rows, p)));
    }
    json_object_set_new(group, "rows", *rows);
    json_array_append_new(groups, group);
    *rows = json_array();
}

/* Rows from `from` that belong together: the functions inlined into a frame, and the frame. */
static size_t unit_end(const json_t *all, size_t from, bool *runtime)
{
    size_t n = json_array_size(all), i = from;
    const char *cls;

    *runtime = true;
    do {
        const json_t *row = json_array_get(all, i++);

        *runtime = *runtime && json_is_true(json_object_get(row, "runtime"));
        cls = sal_json_str(row, "cls");
    } while (i < n && cls && strncmp(cls, "inl", 3) == 0);
    return i;
}

/* Runs of runtime frames and of others, each a group (a <tbody>). */
static json_t *grouped(const json_t *all, apr_pool_t *p)
{
    json_t *groups = json_array(), *rows = json_array();
    bool runtime = false, now;

    for (size_t i = 0, end; i < json_array_size(all); i = end) {
        end = unit_end(all, i, &now);
        if (now != runtime) {
            close_group(groups, &rows, runtime, p);
            runtime = now;
        }
        for (size_t k = i; k < end; k++) {
            json_array_append(rows, json_array_get(all, k));
        }
    }
    close_group(groups, &rows, runtime, p);
    json_decref(rows);
    return groups;
}

json_t *sal_report_thread(sal_report_t *r, const json_t *thread, int index, bool hit)
{
    const json_t *frames = json_object_get(thread, "frames");
    rows_t rows = { r, index, hit, json_array() };
    const char *name = sal_json_str(thread, "thread_name");
    json_t *out, *frame;
    size_t i, missing = 0;

    json_array_foreach(frames, i, frame)
    {
        r->frames_left -= 1 + (int)json_array_size(json_object_get(frame, "inlines"));
        if (r->frames_left <= 0) {
            json_array_append_new(
                rows.rows,
                json_pack("{s:s}", "stop",
                          "More frames than this page shows: the processed crash has them all."));
            break;
        }
        missing += json_is_true(json_object_get(frame, "missing_symbols"));
        add_frame(&rows, frame, i);
    }
    if (json_array_size(frames) == 0) {
        json_array_append_new(rows.rows,
                              json_pack("{s:s}", "stop", "No frame was found in this thread."));
    }
    out = json_pack("{s:i, s:o, s:s, s:b}", "num", index, "groups", grouped(rows.rows, r->p),
                    "frames", sal_format_count((apr_int64_t)json_array_size(frames), r->p),
                    "lacking", missing > 0);
    if (json_array_size(frames) == 1) {
        json_object_set_new(out, "one", json_true());
    }
    json_decref(rows.rows);
    sal_report_put(out, "name", name);
    return out;
}

const json_t *sal_report_first_thread(const json_t *processed, int *index)
{
    const json_t *dump = json_object_get(processed, "json_dump");
    const json_t *crashing = json_object_get(processed, "crashing_thread");
    const json_t *own = json_object_get(dump, "crashing_thread");
    const json_t *threads = json_object_get(dump, "threads"), *thread;

    *index = -1;
    if (!json_is_integer(crashing)) {
        crashing = sal_json_path(dump, "crash_info.crashing_thread");
    }
    if (json_is_integer(crashing) && json_integer_value(crashing) >= 0 &&
        json_integer_value(crashing) < 100000) {
        *index = (int)json_integer_value(crashing);
        thread = json_array_get(threads, (size_t)*index);
        if (json_is_object(thread)) {
            return thread;
        }
    }
    if (json_array_size(json_object_get(own, "frames"))) {
        return own;
    }
    thread = json_array_get(threads, 0);
    return json_is_object(thread) ? thread : NULL;
}

const json_t *sal_report_crashing(const sal_report_t *r)
{
    int index;

    return sal_report_first_thread(r->doc, &index);
}

/* What two threads must share to be shown once: the places of all their frames. */
static const char *stack_key(const json_t *thread, apr_pool_t *p)
{
    const json_t *frames = json_object_get(thread, "frames");
    apr_array_header_t *key = apr_array_make(p, 64, sizeof(const char *));
    size_t i;
    json_t *f;

    json_array_foreach(frames, i, f)
    {
        const char *offset = sal_json_str(f, "offset");

        if (i == 256 || !offset) {
            return NULL;
        }
        APR_ARRAY_PUSH(key, const char *) = offset;
    }
    return key->nelts ? apr_array_pstrcat(p, key, ' ') : NULL;
}

/* The first frame of ours, or else the first, as the line of a closed thread. */
static const char *thread_hint(const json_t *thread, apr_pool_t *p)
{
    const json_t *frames = json_object_get(thread, "frames");
    size_t i;
    json_t *f;

    json_array_foreach(frames, i, f)
    {
        const char *function = sal_json_str(f, "function");

        if (function && !sal_report_runtime(function, sal_json_str(f, "module"))) {
            return sal_format_function(function, p);
        }
    }
    f = json_array_get(frames, 0);
    return f && !json_object_get(f, "truncated") ? sal_format_frame(f, p) : "no frames";
}

/* A thread that has the stack of one that is shown: its number leads there, too. */
static void add_alike(json_t *same, const json_t *thread, int index, apr_pool_t *p)
{
    json_t *twins = json_object_get(same, "twins"), *twin = json_pack("{s:i}", "num", index);
    apr_int64_t n;

    if (!twins) {
        twins = json_array();
        json_object_set_new(same, "twins", twins);
    }
    json_object_set_new(twin, "name", json_false()); /* or the template takes the first thread's */
    sal_report_put(twin, "name", sal_json_str(thread, "thread_name"));
    json_array_append_new(twins, twin);
    n = (apr_int64_t)json_array_size(twins);
    sal_report_put(same, "alike", apr_psprintf(p, "%d threads", (int)n + 1));
    sal_report_put(same, "others", apr_psprintf(p, "and %d with the same stack", (int)n));
}

json_t *sal_report_threads(sal_report_t *r)
{
    json_t *out = json_array(), *thread;
    apr_hash_t *seen = apr_hash_make(r->p);
    const json_t *crashing = sal_report_crashing(r);
    size_t i;

    json_array_foreach(json_object_get(r->dump, "threads"), i, thread)
    {
        const char *key = stack_key(thread, r->p);
        json_t *same = key ? apr_hash_get(seen, key, APR_HASH_KEY_STRING) : NULL;
        json_t *view;

        if (thread == crashing || !json_is_object(thread)) {
            continue;
        }
        if (same) {
            add_alike(same, thread, (int)i, r->p);
            continue;
        }
        view = sal_report_thread(r, thread, (int)i, false);
        json_object_set_new(view, "hint", sal_format_pieces(thread_hint(thread, r->p)));
        json_array_append_new(out, view);
        if (key) {
            apr_hash_set(seen, key, APR_HASH_KEY_STRING, view);
        }
    }
    return out;
}

/* ---- for copying ---- */

enum { TEXT_LINES = 200 };

typedef struct {
    apr_array_header_t *lines;
    const sal_vcs_t *vcs;
} text_t;

static void text_line(text_t *t, int number, const json_t *frame, bool inlined)
{
    apr_pool_t *p = t->lines->pool;
    const char *module = sal_json_str(frame, "module"), *file = sal_json_str(frame, "file");
    const char *line =
        apr_psprintf(p, "%2d  %s  %s", number, module ? module : "?", sal_format_frame(frame, p));
    sal_vcs_source_t at;

    if (file && *file) {
        line = apr_pstrcat(p, line, "  ", source_text(&at, t->vcs, frame, NULL, p), NULL);
    }
    APR_ARRAY_PUSH(t->lines, const char *) =
        apr_pstrcat(p, line, inlined ? "  (inlined)\n" : "\n", NULL);
}

typedef void (*line_fn)(text_t *t, int number, const json_t *frame, bool inlined);

/* Calls fn for each function of the stack, those that were inlined among them. */
static const char *walk(const json_t *processed, const sal_vcs_t *vcs, line_fn fn, apr_pool_t *p)
{
    text_t t = { apr_array_make(p, 64, sizeof(const char *)), vcs };
    int index;
    const json_t *thread = sal_report_first_thread(processed, &index);
    size_t i, k;
    json_t *f, *inl;

    json_array_foreach(json_object_get(thread, "frames"), i, f)
    {
        json_array_foreach(json_object_get(f, "inlines"), k, inl)
        {
            json_t *as_frame = sal_report_inline_frame(inl, f);

            if (t.lines->nelts < TEXT_LINES) {
                fn(&t, (int)i, as_frame, true);
            }
            json_decref(as_frame);
        }
        if (t.lines->nelts >= TEXT_LINES) {
            break;
        }
        if (!json_object_get(f, "truncated")) {
            fn(&t, (int)i, f, false);
        }
    }
    return apr_array_pstrcat(p, t.lines, 0);
}

const char *sal_report_stack_plain(const json_t *processed, const sal_vcs_t *vcs, apr_pool_t *p)
{
    return walk(processed, vcs, text_line, p);
}

/* A cell of a table: what would end it is escaped, and what would begin markup stands in code. */
static const char *cell(const char *text, apr_pool_t *p)
{
    apr_size_t n = strlen(text);
    char *out = apr_palloc(p, n * 2 + 5), *o = out;

    if (!n) {
        return "";
    }
    n = n > 400 ? 400 : n;
    *o++ = '`';
    for (apr_size_t i = 0; i < n; i++) {
        if (text[i] == '|') {
            *o++ = '\\';
        }
        *o++ = text[i] == '`' || (unsigned char)text[i] < ' ' ? '\'' : text[i];
    }
    *o++ = '`';
    *o = '\0';
    return sal_utf8_clean(out, (apr_size_t)(o - out), p);
}

static void markdown_line(text_t *t, int number, const json_t *frame, bool inlined)
{
    apr_pool_t *p = t->lines->pool;
    const char *module = sal_json_str(frame, "module"), *file = sal_json_str(frame, "file");
    const char *source = "", *text;
    sal_vcs_source_t at;

    if (file && *file) {
        text = cell(source_text(&at, t->vcs, frame, NULL, p), p);
        source =
            at.url && at.url[0] != '/' ? apr_pstrcat(p, "[", text, "](", at.url, ")", NULL) : text;
    }
    APR_ARRAY_PUSH(t->lines, const char *) =
        apr_psprintf(p, "| %d%s | %s | %s | %s |\n", number, inlined ? " (inlined)" : "",
                     cell(module ? module : "", p), cell(sal_format_frame(frame, p), p), source);
}

const char *sal_report_stack_markdown(const json_t *processed, const sal_vcs_t *vcs, apr_pool_t *p)
{
    const char *rows = walk(processed, vcs, markdown_line, p);

    return *rows ? apr_pstrcat(p,
                               "| # | Module | Function | Source |\n"
                               "| --- | --- | --- | --- |\n",
                               rows, NULL)
                 : "";
}
