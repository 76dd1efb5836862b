/*
 * The pipeline: rulesets, notes, history, and the document of a crash that cannot be processed.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include <apr_time.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/crash_id.h"

#define NOT_PROCESSED "EMPTY: crash failed to process"

static const rule_t default_rules[] = {
#define RULE(name) { #name, rule_##name },
#include "process/rules.def"
#undef RULE
};

static const rule_t signature_rules[] = {
    { "SignatureGeneratorRule", rule_SignatureGeneratorRule },
};

static const struct ruleset {
    const char *name;
    const rule_t *rules;
    size_t n;
    bool overlay; /* starts from the whole former document */
} rulesets[] = {
    { "default", default_rules, sizeof(default_rules) / sizeof(default_rules[0]), false },
    { "regenerate_signature", signature_rules, 1, true },
};

static const struct ruleset *find_ruleset(const char *name)
{
    for (size_t i = 0; i < sizeof(rulesets) / sizeof(rulesets[0]); i++) {
        if (!strcmp(rulesets[i].name, name)) {
            return &rulesets[i];
        }
    }
    return NULL;
}

bool sal_process_ruleset(const char *name)
{
    return find_ruleset(name) != NULL;
}

bool sal_process_stored_only(const char *ruleset)
{
    const struct ruleset *set = find_ruleset(ruleset);

    return set && set->overlay;
}

static apr_time_t whole_seconds(apr_time_t t)
{
    return t - t % APR_USEC_PER_SEC;
}

/* "YYYY-MM-DD HH:MM:SS.ffffff+00:00" */
static const char *note_time(apr_time_t t, apr_pool_t *p)
{
    apr_time_exp_t e;

    apr_time_exp_gmt(&e, t);
    return apr_psprintf(p, "%04d-%02d-%02d %02d:%02d:%02d.%06d+00:00", e.tm_year + 1900,
                        e.tm_mon + 1, e.tm_mday, e.tm_hour, e.tm_min, e.tm_sec, e.tm_usec);
}

static const char *host_name(const sal_process_opts_t *opts)
{
    return opts->host ? opts->host : "unknown";
}

static const char *joined(const json_t *lines, apr_pool_t *p)
{
    const char *out = "";

    for (size_t i = 0; i < json_array_size(lines); i++) {
        out = apr_pstrcat(p, out, i ? "\n" : "", json_string_value(json_array_get(lines, i)), NULL);
    }
    return out;
}

/* The document a pass starts from. */
static json_t *first_document(const struct ruleset *set, const json_t *previous)
{
    json_t *notes = json_object_get(previous, "processor_notes"), *doc, *kept;
    const json_t *history = json_object_get(previous, "processor_history");

    if (set->overlay && json_is_object(previous)) {
        return json_deep_copy(previous);
    }
    doc = json_object();
    kept = json_array();
    if (json_is_string(notes)) {
        json_object_set(doc, "processor_notes", notes);
    }
    for (size_t i = 0; i < json_array_size(history); i++) {
        if (json_is_string(json_array_get(history, i))) {
            json_array_append(kept, json_array_get(history, i));
        }
    }
    json_object_set_new(doc, "processor_history", kept);
    return doc;
}

/* Names in a raw crash may hold U+0000 (R1), which json_deep_copy would cut. */
static json_t *copy_raw(const json_t *raw, apr_pool_t *p)
{
    json_t *out = sal_json_own(json_object(), p);

    for (void *at = json_object_iter((json_t *)raw); at;
         at = json_object_iter_next((json_t *)raw, at)) {
        json_object_setn_new_nocheck(out, json_object_iter_key(at), json_object_iter_key_len(at),
                                     json_deep_copy(json_object_iter_value(at)));
    }
    return out;
}

static void begin(pass_t *pass)
{
    apr_time_t now = pass->opts->now;

    rule_set(pass, "success", json_false());
    rule_set_text(pass, "started_datetime", sal_time_iso(whole_seconds(now), pass->p));
    rule_note(pass, ">>> Start processing: %s (%s)", note_time(now, pass->p),
              host_name(pass->opts));
    rule_set_text(pass, "signature", NOT_PROCESSED);
}

/* Notes of this pass become the notes; those of the last pass go to the front of the history. */
static void end(pass_t *pass)
{
    json_t *history = json_object_get(pass->doc, "processor_history");
    json_t *last = json_object_get(pass->doc, "processor_notes");

    history = json_is_array(history) ? json_incref(history) : json_array();
    if (json_string_length(last)) {
        json_array_insert(history, 0, last);
    }
    rule_set(pass, "processor_history", history);
    rule_set_text(pass, "processor_notes", joined(pass->notes, pass->p));
    rule_set_text(pass, "completed_datetime", sal_time_iso(whole_seconds(apr_time_now()), pass->p));
}

/*
 * A document holds what the field list names and nothing else, whatever a walker that was taken
 * over may have written.
 */
static void conform(pass_t *pass)
{
    size_t n = sal_fields_conform(pass->fields, pass->doc, pass->p);

    if (n) {
        rule_note(pass,
                  "Processor: left out %" APR_SIZE_T_FMT " values that the schema does not know",
                  n);
        rule_metric(pass, SAL_METRIC_COUNT, "schema.left_out", "", (int64_t)n);
    }
}

static void run_rules(pass_t *pass, const struct ruleset *set)
{
    for (size_t i = 0; i < set->n && pass->fatal == APR_SUCCESS; i++) {
        apr_time_t start = apr_time_now();
        const char *why = set->rules[i].run(pass);
        apr_interval_time_t took = apr_time_now() - start;

        rule_metric(pass, SAL_METRIC_TIMING, "rule.act.timing",
                    apr_pstrcat(pass->p, "rule:", set->rules[i].name, NULL), took);
        if (why) {
            rule_note(pass, "ruleset '%s' rule 'process.%s' failed: %s", set->name,
                      set->rules[i].name, why);
        }
        if (pass->opts->rule) {
            pass->opts->rule(set->rules[i].name, took, why, pass->doc, pass->notes,
                             pass->opts->rule_baton);
        }
    }
}

apr_status_t sal_process_source(json_t **out, const sal_process_source_t *source,
                                const char *ruleset, const json_t *previous,
                                const sal_process_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    const struct ruleset *set = find_ruleset(ruleset);
    pass_t pass = { .p = p, .source = source, .opts = opts, .previous = previous, .err = err };
    apr_time_t start = apr_time_now();
    sal_process_tables_t *tables = NULL;
    apr_status_t rv;

    *out = NULL;
    if (!set) {
        return sal_fail(err, APR_EINVAL, "no ruleset: %s", ruleset);
    }
    if (!json_is_object(source->raw)) {
        return sal_fail(err, SAL_E_MALFORMED, "the raw crash is not a JSON object");
    }
    pass.fields = opts->fields ? opts->fields : sal_fields_processed(p);
    pass.tables = opts->tables;
    if (!pass.tables && (rv = sal_process_tables_load(&tables, NULL, p, err)) != APR_SUCCESS) {
        return rv;
    }
    pass.tables = pass.tables ? pass.tables : tables;
    pass.raw = copy_raw(source->raw, p);
    pass.notes = sal_json_own(json_array(), p);
    pass.doc = first_document(set, previous);
    begin(&pass);
    run_rules(&pass, set);
    if (pass.fatal != APR_SUCCESS) {
        json_decref(pass.doc);
        return pass.fatal;
    }
    rule_set(&pass, "success", json_true());
    conform(&pass);
    end(&pass);
    rule_metric(&pass, SAL_METRIC_TIMING, "process_crash",
                apr_pstrcat(p, "ruleset:", ruleset, NULL), apr_time_now() - start);
    *out = pass.doc;
    return APR_SUCCESS;
}

json_t *sal_process_stub(const char *crash_id, const char *reason, apr_time_t submitted,
                         const sal_process_opts_t *opts, apr_pool_t *p)
{
    const char *start = sal_time_iso(whole_seconds(opts->now), p), *date;
    char day[9];

    if (submitted) {
        date = sal_time_iso(submitted, p);
    } else {
        sal_crash_id_day(day, crash_id);
        date = apr_psprintf(p, "%.4s-%.2s-%.2sT00:00:00+00:00", day, day + 4, day + 6);
    }
    return json_pack("{s:s,s:s,s:b,s:s,s:s,s:s,s:s,s:s,s:s,s:[]}", "crash_id", crash_id, "uuid",
                     crash_id, "success", 0, "signature", NOT_PROCESSED, "date_processed", date,
                     "submitted_timestamp", date, "started_datetime", start, "completed_datetime",
                     start, "processor_notes",
                     apr_psprintf(p, ">>> Start processing: %s (%s)\nProcessor: %s",
                                  note_time(opts->now, p), host_name(opts), reason),
                     "processor_history");
}
