/*
 * A pass, told: each rule with its time, what it set and noted; walks; symbols; the signature.
 */
#include "process_trace.h"

#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "signature_print.h"

#define VALUE_MAX 60

void process_trace_begin(process_trace_t *t, const json_t *previous, apr_pool_t *p)
{
    *t = (process_trace_t){ .p = p, .began = apr_time_now() };
    t->rules = sal_json_own(json_array(), p);
    t->walks = sal_json_own(json_array(), p);
    t->before = sal_json_own(previous ? json_deep_copy(previous) : json_object(), p);
}

/* Set by the pipeline itself before the first rule. */
static bool set_at_start(const char *name)
{
    static const char *const names[] = { "success", "started_datetime", "signature",
                                         "processor_notes", "processor_history" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(names[i], name)) {
            return true;
        }
    }
    return false;
}

/* A value as it is, or what kind of thing it is: the document has all of it. */
static json_t *brief(const json_t *v)
{
    if (json_is_object(v)) {
        return json_sprintf("object of %d", (int)json_object_size(v));
    }
    return json_is_array(v) ? json_sprintf("list of %d", (int)json_array_size(v))
                            : json_incref((json_t *)v);
}

static json_t *changes(const json_t *before, const json_t *after, bool first)
{
    json_t *set = json_object(), *v;
    const char *key;

    json_object_foreach((json_t *)after, key, v)
    {
        const json_t *old = json_object_get(before, key);

        if ((!old || !json_equal(old, v)) && !(first && set_at_start(key))) {
            json_object_set_new(set, key, brief(v));
        }
    }
    return set;
}

static json_t *removals(const json_t *before, const json_t *after)
{
    json_t *gone = json_array(), *v;
    const char *key;

    json_object_foreach((json_t *)before, key, v)
    {
        if (!json_object_get(after, key)) {
            json_array_append_new(gone, json_string(key));
        }
    }
    return gone;
}

void process_trace_rule(const char *rule, apr_interval_time_t took, const char *why,
                        const json_t *doc, const json_t *notes, void *baton)
{
    process_trace_t *t = baton;
    json_t *one =
        json_pack("{s:s, s:I, s:s?, s:o, s:o}", "rule", rule, "microseconds", (json_int_t)took,
                  "failed", why, "set", changes(t->before, doc, json_array_size(t->rules) == 0),
                  "removed", removals(t->before, doc));
    json_t *said = json_array();

    for (; t->notes < json_array_size(notes); t->notes++) {
        json_array_append(said, json_array_get(notes, t->notes));
    }
    json_object_set_new(one, "notes", said);
    json_array_append_new(t->rules, one);
    t->before = sal_json_own(json_deep_copy(doc), t->p);
}

void process_trace_walk(process_trace_t *t, const sal_walk_result_t *walk, apr_interval_time_t took)
{
    const char *status = sal_json_str(walk->doc, "status");

    json_array_append_new(t->walks,
                          json_pack("{s:I, s:s, s:i, s:s, s:i}", "microseconds", (json_int_t)took,
                                    "status", status ? status : "failed", "exit_code",
                                    walk->exit_code, "log", walk->log, "threads",
                                    (int)json_array_size(json_object_get(walk->doc, "threads"))));
}

/* ---- symbols ---- */

/* flag: member of a module that must be true. New reference. */
static json_t *modules_with(const json_t *modules, const char *flag)
{
    json_t *out = json_array(), *m;
    size_t i;

    json_array_foreach(modules, i, m)
    {
        const char *file = sal_json_str(m, "debug_file"), *id = sal_json_str(m, "debug_id");

        if (json_is_true(json_object_get(m, flag))) {
            json_array_append_new(out, json_pack("{s:s, s:s, s:s?}", "debug_file", file ? file : "",
                                                 "debug_id", id ? id : "", "url",
                                                 sal_json_str(m, "symbol_url")));
        }
    }
    return out;
}

static json_t *symbols_of(const json_t *doc)
{
    const json_t *modules = sal_json_path(doc, "json_dump.modules");

    return json_pack("{s:o, s:o, s:o}", "used", modules_with(modules, "loaded_symbols"), "missing",
                     modules_with(modules, "missing_symbols"), "corrupt",
                     modules_with(modules, "corrupt_symbols"));
}

static void print_symbols(const json_t *doc, apr_pool_t *p)
{
    json_t *all = sal_json_own(symbols_of(doc), p), *list, *m;
    const char *kind;
    size_t i;

    puts("symbols");
    json_object_foreach(all, kind, list)
    {
        json_array_foreach(list, i, m)
        {
            const char *url = sal_json_str(m, "url");

            printf("  %-8s %s/%s%s%s\n", kind, sal_json_str(m, "debug_file"),
                   sal_json_str(m, "debug_id"), url ? " " : "", url ? url : "");
        }
    }
}

/* ---- for people ---- */

/* " name=value" of what a rule set; long texts are cut. */
static const char *set_text(const json_t *set, apr_pool_t *p)
{
    const char *out = "", *key;
    json_t *v;

    json_object_foreach((json_t *)set, key, v)
    {
        char *text = json_dumps(v, JSON_ENCODE_ANY);
        bool cut = text && strlen(text) > VALUE_MAX;

        out = apr_psprintf(p, "%s%s%s=%.*s%s", out, *out ? ", " : "", key, VALUE_MAX,
                           text ? text : "?", cut ? "..." : "");
        free(text);
    }
    return *out ? out : "-";
}

static void print_rules(const process_trace_t *t)
{
    json_t *r, *n;
    size_t i, k;

    puts("rules, milliseconds, what they set");
    json_array_foreach(t->rules, i, r)
    {
        const char *why = sal_json_str(r, "failed");

        printf("  %-32s %9.3f  %s\n", sal_json_str(r, "rule"),
               (double)json_integer_value(json_object_get(r, "microseconds")) / 1000.0,
               set_text(json_object_get(r, "set"), t->p));
        if (why) {
            printf("    failed: %s\n", why);
        }
        json_array_foreach(json_object_get(r, "removed"), k, n)
        {
            printf("    removed: %s\n", json_string_value(n));
        }
        json_array_foreach(json_object_get(r, "notes"), k, n)
        {
            printf("    note: %s\n", json_string_value(n));
        }
    }
}

static void print_walks(const process_trace_t *t)
{
    json_t *w;
    size_t i;

    puts("walks, milliseconds");
    json_array_foreach(t->walks, i, w)
    {
        const char *log = sal_json_str(w, "log");

        printf("  %d %9.3f  %s, %d threads\n", (int)i + 1,
               (double)json_integer_value(json_object_get(w, "microseconds")) / 1000.0,
               sal_json_str(w, "status"), (int)json_integer_value(json_object_get(w, "threads")));
        if (log && *log) {
            printf("    %s\n", log);
        }
    }
}

void process_trace_print(const process_trace_t *t)
{
    const print_style_t style = { .format = PRINT_TEXT, .verbose = true, .explain = true };
    json_t *data = sal_json_own(sal_crash_data_of(t->doc), t->p);
    sal_signature_t sig;
    json_t *why = sal_json_own(sal_signature_explain(&sig, data, t->lists, t->p), t->p);
    const print_record_t record = { .sig = &sig, .why = why };

    printf("crash %s\nruleset %s\n", t->what, t->ruleset);
    print_rules(t);
    print_walks(t);
    print_symbols(t->doc, t->p);
    puts("signature");
    print_begin(&style);
    print_record(&style, &record, t->p);
    printf("total %.3f ms", (double)t->took / 1000.0);
    if (t->pass) {
        printf(", pass %d%s", t->pass, t->written ? ", stored" : ", not stored");
    }
    putchar('\n');
}

/* ---- for programs ---- */

bool process_trace_json(const process_trace_t *t)
{
    json_t *data = sal_json_own(sal_crash_data_of(t->doc), t->p);
    sal_signature_t sig;
    json_t *why = sal_signature_explain(&sig, data, t->lists, t->p);
    json_t *all = json_pack("{s:s, s:s, s:I, s:i, s:b, s:O, s:O, s:o, s:o, s:O}", "crash", t->what,
                            "ruleset", t->ruleset, "microseconds", (json_int_t)t->took, "pass",
                            t->pass, "written", t->written, "rules", t->rules, "walks", t->walks,
                            "symbols", symbols_of(t->doc), "signature", why, "processed", t->doc);
    bool ok = all && json_dumpf(all, stdout, JSON_COMPACT) == 0 && putchar('\n') == '\n';

    json_decref(all);
    return ok;
}
