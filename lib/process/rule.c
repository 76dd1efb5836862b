/*
 * Helpers of the rules: annotations in, fields out, the few notions of text they share.
 */
#include "process/rule.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

void rule_note(pass_t *pass, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    json_array_append_new(pass->notes, json_string(apr_pvsprintf(pass->p, fmt, args)));
    va_end(args);
}

void rule_metric(const pass_t *pass, sal_metric_kind_t kind, const char *name, const char *label,
                 int64_t value)
{
    if (pass->opts->metric) {
        pass->opts->metric(kind, name, label, value, pass->opts->metric_baton);
    }
}

void rule_count(const pass_t *pass, const char *name, const char *label)
{
    rule_metric(pass, SAL_METRIC_COUNT, name, label, 1);
}

const char *rule_raw(const pass_t *pass, const char *name)
{
    return sal_json_str(pass->raw, name);
}

const char *rule_raw_set(const pass_t *pass, const char *name)
{
    const char *text = rule_raw(pass, name);

    return text && *text ? text : NULL;
}

const char *rule_text(const pass_t *pass, const char *name)
{
    return sal_json_str(pass->doc, name);
}

const json_t *rule_dump(const pass_t *pass, const char *path)
{
    const json_t *dump = json_object_get(pass->doc, "json_dump");
    const json_t *v = dump ? sal_json_path(dump, path) : NULL;

    return json_is_null(v) ? NULL : v;
}

void rule_set(pass_t *pass, const char *name, json_t *value)
{
    json_object_set_new(pass->doc, name, value);
}

void rule_set_text(pass_t *pass, const char *name, const char *value)
{
    rule_set(pass, name, value ? json_string(value) : json_null());
}

void rule_set_int(pass_t *pass, const char *name, int64_t value)
{
    rule_set(pass, name, json_integer(value));
}

void rule_set_ref(pass_t *pass, const char *name, const json_t *v)
{
    if (v) {
        json_object_set(pass->doc, name, (json_t *)v);
    } else {
        rule_set(pass, name, json_null());
    }
}

bool rule_integer(const char *text, int64_t *v)
{
    const char *end;
    char digits[32];
    size_t len;

    while (apr_isspace(*text)) {
        text++;
    }
    end = text + strlen(text);
    while (end > text && apr_isspace(end[-1])) {
        end--;
    }
    if (*text == '+' && apr_isdigit(text[1])) {
        text++;
    }
    len = (size_t)(end - text);
    if (len == 0 || len >= sizeof(digits)) {
        return false;
    }
    apr_cpystrn(digits, text, len + 1);
    return sal_parse_int(digits, INT64_MIN, INT64_MAX, v);
}

const char *rule_shown(const char *text, size_t max, apr_pool_t *p)
{
    char *out = apr_palloc(p, max + 1);
    size_t n = 0;

    for (const char *c = text; *c && n < max; c++) {
        if (*c >= ' ' && *c <= '~') {
            out[n++] = *c;
        }
    }
    out[n] = '\0';
    return out;
}

bool rule_deep(const json_t *v, int levels)
{
    const char *key;
    json_t *member;
    size_t i;

    if (levels == 0) {
        return true;
    }
    json_object_foreach((json_t *)v, key, member)
    {
        if (rule_deep(member, levels - 1)) {
            return true;
        }
    }
    json_array_foreach(v, i, member)
    {
        if (rule_deep(member, levels - 1)) {
            return true;
        }
    }
    return false;
}

const char *rule_trim(const char *text, apr_pool_t *p)
{
    const char *end;

    while (apr_isspace(*text)) {
        text++;
    }
    end = text + strlen(text);
    while (end > text && apr_isspace(end[-1])) {
        end--;
    }
    return apr_pstrmemdup(p, text, (apr_size_t)(end - text));
}

const char *rule_lower(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, text);

    for (char *c = out; *c; c++) {
        *c = (char)apr_tolower(*c);
    }
    return out;
}

bool rule_starts(const char *text, const char *with)
{
    return text && strncmp(text, with, strlen(with)) == 0;
}

const json_t *rule_crashing_frames(const pass_t *pass)
{
    const json_t *index = rule_dump(pass, "crash_info.crashing_thread");
    const json_t *threads = rule_dump(pass, "threads"), *frames;

    if (!json_is_integer(index) || json_integer_value(index) < 0) {
        return NULL;
    }
    frames = json_object_get(json_array_get(threads, (size_t)json_integer_value(index)), "frames");
    return json_is_array(frames) ? frames : NULL;
}
