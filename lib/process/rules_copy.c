/*
 * R1 to R11: cleaning the raw crash, generic copying by the field list, identity.
 */
#include "process/rule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"

#define KEY_MAX 100
#define NOTE_VALUE_MAX 20

/* ---- R1, R2 ---- */

static json_t *without_nul(const char *s, size_t len, apr_pool_t *p)
{
    char *out = apr_palloc(p, len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (s[i]) {
            out[n++] = s[i];
        }
    }
    return json_stringn_nocheck(out, n);
}

/* U+0000 goes from names and values; PostgreSQL could not store it. */
const char *rule_DeNullRule(pass_t *pass)
{
    json_t *clean = json_object();
    bool any = false;

    for (void *at = json_object_iter(pass->raw); at; at = json_object_iter_next(pass->raw, at)) {
        const char *key = json_object_iter_key(at);
        size_t len = json_object_iter_key_len(at);
        json_t *value = json_object_iter_value(at), *name = without_nul(key, len, pass->p);

        any = any || json_string_length(name) != len;
        if (json_is_string(value) &&
            memchr(json_string_value(value), 0, json_string_length(value))) {
            any = true;
            json_object_set_new(
                clean, json_string_value(name),
                without_nul(json_string_value(value), json_string_length(value), pass->p));
        } else {
            json_object_set(clean, json_string_value(name), value);
        }
        json_decref(name);
    }
    json_object_clear(pass->raw);
    json_object_update(pass->raw, clean);
    json_decref(clean);
    if (any) {
        rule_count(pass, "denullrule.has_nulls", "");
    }
    return NULL;
}

const char *rule_DeNoneRule(pass_t *pass)
{
    const char *key;
    json_t *value;
    bool any = false;
    void *next;

    json_object_foreach_safe(pass->raw, next, key, value)
    {
        if (json_is_null(value)) {
            json_object_del(pass->raw, key);
            any = true;
        }
    }
    if (any) {
        rule_count(pass, "denonerule.had_nones", "");
    }
    return NULL;
}

/* ---- R3 ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Adds a name if it is valid; false if it was dropped or cut. */
static bool add_key(pass_t *pass, apr_array_header_t *keys, const char *name)
{
    size_t len = strlen(name);

    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c > 126 || (!apr_isalnum(*c) && *c != '_' && *c != '-')) {
            return false;
        }
    }
    if (len == 0) {
        return false;
    }
    APR_ARRAY_PUSH(keys, const char *) =
        apr_pstrmemdup(pass->p, name, len > KEY_MAX ? KEY_MAX : len);
    return len <= KEY_MAX;
}

const char *rule_CrashReportKeysRule(pass_t *pass)
{
    apr_array_header_t *keys = apr_array_make(pass->p, 64, sizeof(const char *));
    json_t *out = json_array(), *value;
    const char *key, *last = "";
    bool good = true;

    json_object_foreach(pass->raw, key, value)
    {
        good = add_key(pass, keys, key) && good;
    }
    for (const char *const *name = pass->source->dumps; *name; name++) {
        good = add_key(pass, keys, *name) && good;
    }
    qsort(keys->elts, (size_t)keys->nelts, sizeof(const char *), by_text);
    for (int i = 0; i < keys->nelts; i++) {
        const char *name = APR_ARRAY_IDX(keys, i, const char *);

        if (strcmp(name, last)) {
            json_array_append_new(out, json_string(name));
        }
        last = name;
    }
    rule_set(pass, "crash_report_keys", out);
    if (!good) {
        rule_note(pass, "invalidkeys: Crash report contains invalid keys");
    }
    return NULL;
}

/* ---- R4, R5 ---- */

const char *rule_CollectorMetadataRule(pass_t *pass)
{
    json_t *metadata = json_object_get(pass->raw, "metadata");

    rule_set(pass, "collector_metadata", metadata ? json_deep_copy(metadata) : json_object());
    return NULL;
}

/* The stackwalker reads it as JSON text. */
const char *rule_ConvertModuleSignatureInfoRule(pass_t *pass)
{
    json_t *info = json_object_get(pass->raw, "ModuleSignatureInfo");

    if (info && !json_is_string(info)) {
        json_object_set_new(pass->raw, "ModuleSignatureInfo",
                            json_string(sal_json_text(info, pass->p)));
    }
    return NULL;
}

/* ---- R6: generic copying ---- */

static void copy_boolean(pass_t *pass, const sal_field_t *f, const json_t *v)
{
    const char *text = json_is_string(v)    ? rule_lower(json_string_value(v), pass->p)
                       : json_is_boolean(v) ? (json_is_true(v) ? "true" : "false")
                                            : sal_json_text(v, pass->p);

    if (!strcmp(text, "1") || !strcmp(text, "true")) {
        rule_set(pass, f->name, json_true());
    } else if (!strcmp(text, "0") || !strcmp(text, "false")) {
        rule_set(pass, f->name, json_false());
    } else {
        /* notes are public: a short part of a public annotation, nothing else */
        rule_note(pass, "%s has non-boolean value %s", f->source,
                  f->is_public ? rule_shown(text, NOTE_VALUE_MAX, pass->p) : "\xe2\x80\xa6");
    }
}

static void copy_integer(pass_t *pass, const sal_field_t *f, const json_t *v)
{
    int64_t n;

    if (json_is_integer(v)) {
        rule_set_int(pass, f->name, json_integer_value(v));
    } else if (json_is_boolean(v)) {
        rule_set_int(pass, f->name, json_is_true(v));
    } else if (json_is_real(v) && fabs(json_real_value(v)) < 9e18) {
        rule_set_int(pass, f->name, (int64_t)json_real_value(v));
    } else if (json_is_string(v) && rule_integer(json_string_value(v), &n)) {
        rule_set_int(pass, f->name, n);
    } else {
        rule_note(pass, "%s has a non-int value", f->source);
    }
}

static bool number_text(const char *text, apr_pool_t *p, double *d)
{
    const char *s = rule_trim(text, p);
    char *end;

    /* strtod would also read hex, nan and inf, which are no JSON numbers */
    if (!*s || s[strspn(s, "+-0123456789.eE")]) {
        return false;
    }
    *d = strtod(s, &end);
    return !*end && isfinite(*d);
}

static void copy_number(pass_t *pass, const sal_field_t *f, const json_t *v)
{
    double d;

    if (json_is_number(v)) {
        rule_set(pass, f->name, json_real(json_number_value(v)));
    } else if (json_is_boolean(v)) {
        rule_set(pass, f->name, json_real(json_is_true(v)));
    } else if (json_is_string(v) && number_text(json_string_value(v), pass->p, &d)) {
        rule_set(pass, f->name, json_real(d));
    } else {
        rule_note(pass, "%s has a non-float value", f->source);
    }
}

/* Length without white space at the end, as Unicode has it. */
static size_t without_blanks(const char *text, size_t len)
{
    static const char *const wide[] = { "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80",
                                        "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
                                        "\xe2\x81\x9f", "\xe3\x80\x80" };
    size_t was;

    do {
        was = len;
        while (len &&
               (apr_isspace(text[len - 1]) || (text[len - 1] >= 0x1c && text[len - 1] < ' '))) {
            len--;
        }
        for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
            size_t n = strlen(wide[i]);

            len -= len >= n && !memcmp(text + len - n, wide[i], n) ? n : 0;
        }
        /* U+2000 to U+200A */
        if (len >= 3 && !memcmp(text + len - 3, "\xe2\x80", 2) &&
            (unsigned char)text[len - 1] >= 0x80 && (unsigned char)text[len - 1] <= 0x8a) {
            len -= 3;
        }
    } while (len != was);
    return len;
}

static void copy_string(pass_t *pass, const sal_field_t *f, const json_t *v)
{
    const char *text = json_string_value(v);

    if (text) {
        rule_set(pass, f->name, json_stringn(text, without_blanks(text, json_string_length(v))));
    } else {
        rule_note(pass, "%s has a non-string value", f->source);
    }
}

static void copy_object(pass_t *pass, const sal_field_t *f, const json_t *v)
{
    json_t *parsed = NULL;

    if (json_is_string(v) &&
        sal_json_parse(&parsed, json_string_value(v), json_string_length(v), pass->p, NULL)) {
        rule_note(pass, "%s value is malformed json", f->source);
        return;
    }
    v = parsed ? parsed : v;
    if (json_is_null(v) || sal_fields_check_value(pass->fields, f->name, v, pass->p)) {
        rule_note(pass, "%s value is malformed %s", f->source, f->name);
        return;
    }
    rule_set_ref(pass, f->name, v);
}

static void copy_field(pass_t *pass, const sal_field_t *f)
{
    const json_t *v = json_object_get(pass->raw, f->source);

    if (!v) {
        if (f->initial) {
            rule_set(pass, f->name, json_loads(f->initial, JSON_DECODE_ANY, NULL));
        }
        return;
    }
    switch (f->type) {
    case SAL_FIELD_BOOLEAN:
        copy_boolean(pass, f, v);
        break;
    case SAL_FIELD_INTEGER:
        copy_integer(pass, f, v);
        break;
    case SAL_FIELD_NUMBER:
        copy_number(pass, f, v);
        break;
    case SAL_FIELD_STRING:
        copy_string(pass, f, v);
        break;
    default:
        copy_object(pass, f, v);
    }
}

const char *rule_CopyFromRawCrashRule(pass_t *pass)
{
    for (size_t i = 0; i < pass->fields->n; i++) {
        if (pass->fields->field[i].source) {
            copy_field(pass, &pass->fields->field[i]);
        }
    }
    return NULL;
}

/* ---- R7 to R11 ---- */

const char *rule_FenixVersionRewriteRule(pass_t *pass)
{
    const char *product = rule_text(pass, "product"), *version = rule_text(pass, "version");

    if (product && !strcmp(product, "Fenix") && rule_starts(version, "Nightly ")) {
        rule_note(pass, "Changed version from '%s' to 0.0a1", version);
        rule_set_text(pass, "version", "0.0a1");
    }
    return NULL;
}

const char *rule_ESRVersionRewrite(pass_t *pass)
{
    const char *channel = rule_text(pass, "release_channel"), *version = rule_text(pass, "version");
    size_t len = version ? strlen(version) : 0;

    if (!channel || strcmp(channel, "esr")) {
        return NULL;
    }
    if (!version) {
        rule_note(pass, "'version' missing from esr release processed_crash");
    } else if (len < 3 || strcmp(version + len - 3, "esr")) {
        rule_set_text(pass, "version", apr_pstrcat(pass->p, version, "esr", NULL));
    }
    return NULL;
}

const char *rule_SubmittedFromRule(pass_t *pass)
{
    const json_t *infobar = json_object_get(pass->raw, "SubmittedFromInfobar");
    const char *text = json_string_value(infobar);
    const char *from = rule_raw(pass, "SubmittedFrom");
    bool is;

    if (infobar) {
        is = json_is_true(infobar) ||
             (json_is_number(infobar) && json_number_value(infobar) == 1) ||
             (text && (!strcmp(text, "1") || !strcmp(text, "true")));
        from = is ? "Infobar" : "Unknown";
    } else {
        from = from ? from : "Unknown";
        is = !strcmp(from, "Infobar");
    }
    rule_set_text(pass, "submitted_from", from);
    rule_set(pass, "submitted_from_infobar", json_boolean(is));
    return NULL;
}

const char *rule_IdentifierRule(pass_t *pass)
{
    const char *id = rule_raw(pass, "uuid");

    if (id) {
        rule_set_text(pass, "crash_id", id);
        rule_set_text(pass, "uuid", id);
    }
    return NULL;
}

const char *rule_MinidumpSha256HashRule(pass_t *pass)
{
    const char *hash =
        json_string_value(sal_json_path(pass->raw, "metadata.dump_checksums.upload_file_minidump"));

    rule_set_text(pass, "minidump_sha256_hash", hash ? hash : "");
    return NULL;
}
