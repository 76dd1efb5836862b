/*
 * Why a signature is what it is: what a run tells about itself, as JSON and as text.
 *
 * {
 *   "lists": DIR, "signature": ..., "proto_signature": ...,
 *   "stacks": [ { "rule", "tool", "thread", "frames": [ {
 *       "index", "inline", "function", "file", "line", "module", "offset", (as they came)
 *       "how", "normalized", "decision",
 *       "by": { "list", "line", "expression" }, "line_number_by": the same } ] } ],
 *   "rules": [ { "rule", "changed", "before", "after", "notes" } ]
 * }
 *
 * Lines count from 1 here, as editors do. The base rule runs twice if the watchdog rule applies,
 * hence `stacks`. Knows the run's state and changes nothing of the result.
 */
#include "signature/sig_private.h"

#include <apr_strings.h>
#include "base/text.h"

static json_t *text_json(str_t s)
{
    return json_stringn_nocheck(s.s, s.n);
}

/* Where an operator finds the entry; NULL if no list decided. */
static json_t *match_json(const sig_match_t *by)
{
    json_t *out;

    if (!by->list) {
        return NULL;
    }
    out = json_pack("{s:s}", "list", by->list->file);
    json_object_set_new(out, "line", json_integer(by->list->index[by->entry] + 1));
    json_object_set_new(out, "expression", text_json(by->list->entry[by->entry]));
    return out;
}

static json_t *array_in(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);

    if (!v) {
        v = json_array();
        json_object_set_new(object, key, v);
    }
    return v;
}

void sig_why_tool(sig_run_t *r, const char *tool)
{
    json_t *stack;

    if (!r->why) {
        return;
    }
    stack = json_pack("{s:s, s:s, s:I, s:[]}", "rule",
                      r->thread_override ? "SignatureRunWatchDog" : r->rule, "tool", tool, "thread",
                      (json_int_t)sig_crashing_thread(r), "frames");
    r->why_frames = json_object_get(stack, "frames");
    json_array_append_new(array_in(r->why, "stacks"), stack);
}

void sig_why_frame(sig_run_t *r, const sig_why_frame_t *f)
{
    const struct {
        const char *key;
        const json_t *value;
    } raw[] = { { "function", f->function },
                { "file", f->file },
                { "line", f->line },
                { "module", f->module },
                { "offset", f->offset } };
    json_t *out;

    if (!r->why_frames) {
        return;
    }
    out = json_pack("{s:I, s:b}", "index", (json_int_t)json_array_size(r->why_frames), "inline",
                    f->is_inline);
    for (size_t i = 0; i < sizeof(raw) / sizeof(raw[0]); i++) {
        if (raw[i].value && !json_is_null(raw[i].value)) {
            json_object_set_new(out, raw[i].key, json_incref((json_t *)raw[i].value));
        }
    }
    json_object_set_new(out, "how", json_string(f->how));
    json_object_set_new(out, "normalized", text_json(f->text));
    json_object_set_new(out, "decision", json_string("not reached"));
    if (r->line_match.list) {
        json_object_set_new(out, "line_number_by", match_json(&r->line_match));
    }
    json_array_append_new(r->why_frames, out);
}

void sig_why_decision(sig_run_t *r, int frame, const char *decision, const sig_match_t *by)
{
    json_t *f = r->why_frames ? json_array_get(r->why_frames, (size_t)frame) : NULL;
    json_t *match;

    if (!f) {
        return;
    }
    json_object_set_new(f, "decision", json_string(decision));
    if ((match = match_json(by)) != NULL) {
        json_object_set_new(f, "by", match);
    }
}

void sig_why_rule(sig_run_t *r, str_t before, size_t notes_before)
{
    bool changed = !sig_eq(before, r->sig);
    json_t *rule, *notes;

    rule = json_pack("{s:s, s:b}", "rule", r->rule, "changed", changed);
    if (changed) {
        json_object_set_new(rule, "before", text_json(before));
        json_object_set_new(rule, "after", text_json(r->sig));
    }
    notes = json_array();
    for (size_t i = notes_before; i < r->notes.n; i++) {
        json_array_append_new(notes,
                              text_json((str_t){ r->notes.line[i].text, r->notes.line[i].size }));
    }
    json_object_set_new(rule, "notes", notes);
    json_array_append_new(array_in(r->why, "rules"), rule);
    r->why_frames = NULL;
}

json_t *sig_why_done(sig_run_t *r, const sal_signature_t *sig)
{
    json_object_set_new(r->why, "lists", json_string(r->lists->dir));
    json_object_set_new(r->why, "signature", json_string(sig->signature));
    json_object_set_new(
        r->why, "proto_signature",
        json_stringn_nocheck(sig->proto_signature ? sig->proto_signature : "", sig->proto_size));
    array_in(r->why, "stacks");
    return r->why;
}

/* ---- as text ---- */

static str_t member_text(const json_t *v, const char *key, apr_pool_t *p)
{
    const json_t *m = json_object_get(v, key);

    return json_is_string(m) ? sig_of(m) : m ? sig_pystr(m, p) : STR("");
}

static void add_member(buf_t *out, const char *before, const json_t *v, const char *key,
                       const char *after)
{
    sig_buf_lit(out, before);
    sig_buf_str(out, member_text(v, key, out->p));
    sig_buf_lit(out, after);
}

static void add_match(buf_t *out, const char *before, const json_t *by)
{
    if (by) {
        add_member(out, before, by, "list", ":");
        add_member(out, "", by, "line", "  ");
        add_member(out, "", by, "expression", "\n");
    }
}

static void add_frame_text(buf_t *out, const json_t *f)
{
    const json_t *function = json_object_get(f, "function");

    sig_buf_lit(out, apr_psprintf(out->p, "  %2d %-18s ",
                                  (int)json_integer_value(json_object_get(f, "index")),
                                  member_text(f, "decision", out->p).s));
    add_member(out, "", f, "normalized",
               json_is_true(json_object_get(f, "inline")) ? " (inline)\n" : "\n");
    if (function && !json_equal(function, json_object_get(f, "normalized"))) {
        add_member(out, "         from ", f, "how", ": ");
        add_member(out, "", f, "function", "\n");
    }
    add_match(out, "         by ", json_object_get(f, "by"));
    add_match(out, "         line number by ", json_object_get(f, "line_number_by"));
}

static void add_rule_text(buf_t *out, const json_t *rule)
{
    const json_t *notes = json_object_get(rule, "notes");

    if (!json_is_true(json_object_get(rule, "changed")) && !json_array_size(notes)) {
        return;
    }
    add_member(out, "  ", rule, "rule", "\n");
    if (json_is_true(json_object_get(rule, "changed"))) {
        add_member(out, "    -> ", rule, "after", "\n");
    }
    for (size_t i = 0; i < json_array_size(notes); i++) {
        sig_buf_lit(out, "    note ");
        sig_buf_str(out, sig_of(json_array_get(notes, i)));
        sig_buf_lit(out, "\n");
    }
}

const char *sal_signature_explain_text(const json_t *why, apr_pool_t *p)
{
    const json_t *stacks = json_object_get(why, "stacks"), *rules = json_object_get(why, "rules");
    buf_t out;

    sig_buf_init(&out, p);
    add_member(&out, "signature: ", why, "signature", "\n");
    add_member(&out, "lists:     ", why, "lists", "\n");
    for (size_t i = 0; i < json_array_size(stacks); i++) {
        const json_t *stack = json_array_get(stacks, i);
        const json_t *frames = json_object_get(stack, "frames");

        add_member(&out, "stack of ", stack, "rule", ", ");
        add_member(&out, "thread ", stack, "thread", ", ");
        add_member(&out, "", stack, "tool", ":\n");
        for (size_t k = 0; k < json_array_size(frames); k++) {
            add_frame_text(&out, json_array_get(frames, k));
        }
    }
    sig_buf_lit(&out, "rules that changed or noted something:\n");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        add_rule_text(&out, json_array_get(rules, i));
    }
    return sig_buf_done(&out).s;
}
