/*
 * Results of `salvage signature` as JSON, text, CSV (RFC 4180) and Markdown. Knows no network and
 * makes no signature.
 */
#include "signature_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

bool print_format_of(print_format_t *out, const char *name)
{
    static const char *const names[] = { "json", "text", "csv", "markdown" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i])) {
            *out = (print_format_t)i;
            return true;
        }
    }
    return false;
}

static bool same(const print_record_t *r)
{
    return r->old && !strcmp(r->old, r->sig->signature);
}

static const char *true_false(bool yes)
{
    return yes ? "True" : "False";
}

/* ---- JSON ---- */

static void print_json(const print_style_t *style, const print_record_t *r)
{
    const char *proto = r->sig->proto_signature ? r->sig->proto_signature : "";
    json_t *out = json_object();

    if (r->crash_id) {
        json_object_set_new(out, "crash_id", json_string(r->crash_id));
        json_object_set_new(out, "original", r->old ? json_string(r->old) : json_null());
        json_object_set_new(out, "same", json_boolean(same(r)));
    }
    json_object_set_new(out, "signature", json_string(r->sig->signature));
    json_object_set_new(out, "proto_signature", json_stringn_nocheck(proto, r->sig->proto_size));
    json_object_set_new(out, "notes", sal_signature_lines_json(&r->sig->notes));
    if (style->verbose) {
        json_object_set_new(out, "debug", sal_signature_lines_json(&r->sig->debug));
    }
    if (style->explain) {
        json_object_set(out, "why", (json_t *)r->why);
    }
    json_dumpf(out, stdout, style->lines ? JSON_COMPACT : JSON_INDENT(2));
    putchar('\n');
    json_decref(out);
}

/* ---- text ---- */

static void print_lines(const char *before, const sal_signature_lines_t *lines)
{
    for (size_t i = 0; i < lines->n; i++) {
        printf("%s%s\n", before, lines->line[i].text);
    }
}

static void print_block(const char *label, const sal_signature_lines_t *lines)
{
    if (lines->n) {
        printf("%-10s(%d)\n", label, (int)lines->n);
        print_lines("          ", lines);
    }
}

/* The frames of the base rule's last run: normalised, none left out. */
static void print_extra(const print_record_t *r)
{
    const json_t *stacks = json_object_get(r->why, "stacks");
    size_t n = json_array_size(stacks);
    const json_t *frames = json_object_get(json_array_get(stacks, n ? n - 1 : 0), "frames");

    puts("Extra:\n          normalized_frames:");
    for (size_t i = 0; i < json_array_size(frames); i++) {
        const json_t *text = json_object_get(json_array_get(frames, i), "normalized");

        printf("          - %s\n", json_string_value(text));
    }
    printf("          proto_signature: %s\n", r->sig->proto_signature);
}

static void print_text_record(const print_style_t *style, const print_record_t *r)
{
    printf("Crash id: %s\nOriginal: %s\nNew:      %s\nSame?:    %s\n", r->crash_id,
           r->old ? r->old : "", r->sig->signature, true_false(same(r)));
    print_block("Notes:", &r->sig->notes);
    if (style->verbose) {
        print_block("Debug:", &r->sig->debug);
        if (r->sig->proto_signature) {
            print_extra(r);
        }
    }
}

static void print_text(const print_style_t *style, const print_record_t *r)
{
    if (r->crash_id) {
        print_text_record(style, r);
        return;
    }
    printf("signature: %s\nproto: %s\n", r->sig->signature,
           r->sig->proto_signature ? r->sig->proto_signature : "");
    print_lines("note: ", &r->sig->notes);
    if (style->verbose) {
        print_lines("debug: ", &r->sig->debug);
    }
}

/* ---- CSV ---- */

static void print_quoted(const char *s, const char *after)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"') {
            putchar('"');
        }
        putchar(*s);
    }
    printf("\"%s", after);
}

static void print_csv(const print_record_t *r)
{
    json_t *list = sal_signature_lines_json(&r->sig->notes);
    char *notes = json_dumps(list, JSON_COMPACT);

    print_quoted(r->crash_id ? r->crash_id : "", ",");
    print_quoted(r->old ? r->old : "", ",");
    print_quoted(r->sig->signature, ",");
    print_quoted(true_false(same(r)), ",");
    print_quoted(notes ? notes : "[]", "\r\n");
    free(notes);
    json_decref(list);
}

/* ---- Markdown ---- */

static const char *escaped(const char *s, apr_pool_t *p)
{
    char *out = apr_palloc(p, 2 * strlen(s) + 1), *at = out;

    for (; *s; s++) {
        if (*s == '`') {
            *at++ = '\\';
        }
        *at++ = *s;
    }
    *at = '\0';
    return out;
}

static void print_list(const char *label, const sal_signature_lines_t *lines)
{
    printf("**%s:** (%d)\n\n", label, (int)lines->n);
    print_lines("* ", lines);
}

static void print_markdown(const print_style_t *style, const print_record_t *r, apr_pool_t *p)
{
    const char *id = r->crash_id ? r->crash_id : "";

    if (style->server) {
        printf("**Crash id:** [%s](%s/report/index/%s)\n", id, style->server, id);
    } else {
        printf("**Crash id:** %s\n", id);
    }
    printf("**Original:** `%s`\n**New:** `%s`\n**Same?:** %s\n", escaped(r->old ? r->old : "", p),
           escaped(r->sig->signature, p), true_false(same(r)));
    print_list("Notes", &r->sig->notes);
    if (r->sig->notes.n) {
        putchar('\n');
    }
    if (style->verbose) {
        print_list("Debug", &r->sig->debug);
    }
}

/* ---- whichever ---- */

void print_begin(const print_style_t *style)
{
    if (style->format == PRINT_CSV) {
        fputs("\"crashid\",\"old\",\"new\",\"same?\",\"notes\"\r\n", stdout);
    }
}

void print_record(const print_style_t *style, const print_record_t *r, apr_pool_t *p)
{
    switch (style->format) {
    case PRINT_JSON:
        print_json(style, r);
        return;
    case PRINT_CSV:
        print_csv(r);
        return;
    case PRINT_MARKDOWN:
        print_markdown(style, r, p);
        break;
    case PRINT_TEXT:
        print_text(style, r);
        break;
    }
    if (style->explain) {
        fputs(sal_signature_explain_text(r->why, p), stdout);
    }
}
