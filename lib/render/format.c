/*
 * Formatting for pages. Rules of frames: docs/pages.md.
 */
#include "render/format.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/link.h"
#include "render/vcs.h"

const char *sal_format_count(apr_int64_t n, apr_pool_t *p)
{
    const char *digits = apr_psprintf(p, "%" APR_INT64_T_FMT, n);
    apr_size_t len = strlen(digits), sign = n < 0, used = 0;
    char *out = apr_palloc(p, len + len / 3 + 1);

    for (apr_size_t i = 0; i < len; i++) {
        if (i > sign && (len - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

const char *sal_format_duration(apr_int64_t seconds, apr_pool_t *p)
{
    static const struct {
        apr_int64_t size;
        const char *name;
    } unit[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    const char *sign = seconds < 0 ? "-" : "";
    apr_uint64_t s = seconds < 0 ? 0 - (apr_uint64_t)seconds : (apr_uint64_t)seconds;

    for (int i = 0; i < 3; i++) {
        apr_uint64_t big = s / (apr_uint64_t)unit[i].size;
        apr_uint64_t rest = s % (apr_uint64_t)unit[i].size / (apr_uint64_t)unit[i + 1].size;

        if (big > 0 && rest > 0) {
            return apr_psprintf(p, "%s%" APR_UINT64_T_FMT " %s %" APR_UINT64_T_FMT " %s", sign, big,
                                unit[i].name, rest, unit[i + 1].name);
        }
        if (big > 0) {
            return apr_psprintf(p, "%s%" APR_UINT64_T_FMT " %s", sign, big, unit[i].name);
        }
    }
    return apr_psprintf(p, "%s%" APR_UINT64_T_FMT " s", sign, s);
}

const char *sal_format_bytes(apr_int64_t bytes, apr_pool_t *p)
{
    static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
    double v = (double)bytes;
    int i = 0;

    while ((v >= 999.5 || v <= -999.5) && i < 6) {
        v /= 1000;
        i++;
    }
    if (i == 0) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT " B", bytes);
    }
    return apr_psprintf(p, v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, unit[i]);
}

const char *sal_format_time(apr_time_t t, int brief, apr_pool_t *p)
{
    apr_time_exp_t x;

    if (apr_time_exp_gmt(&x, t) != APR_SUCCESS) {
        return "";
    }
    if (brief) {
        return apr_psprintf(p, "%04d-%02d-%02d %02d:%02d", x.tm_year + 1900, x.tm_mon + 1,
                            x.tm_mday, x.tm_hour, x.tm_min);
    }
    return apr_psprintf(p, "%04d-%02d-%02d %02d:%02d:%02d", x.tm_year + 1900, x.tm_mon + 1,
                        x.tm_mday, x.tm_hour, x.tm_min, x.tm_sec);
}

const char *sal_format_datetime(apr_time_t t, apr_pool_t *p)
{
    char *s = apr_pstrdup(p, sal_format_time(t, 0, p));

    if (strlen(s) == 19) {
        s[10] = 'T';
        return apr_pstrcat(p, s, "Z", NULL);
    }
    return s;
}

const char *sal_format_short_id(const char *id, apr_pool_t *p)
{
    if (strlen(id) != 36) {
        return id;
    }
    return apr_psprintf(p, "%.13s\u2026%s", id, id + 30);
}

const char *sal_format_build_date(const char *build, apr_pool_t *p)
{
    static const char *const month[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    int64_t v;
    int y, m, d;

    if (!build || strlen(build) < 8 || strlen(build) > 14 ||
        !sal_parse_int(build, 0, INT64_MAX, &v) ||
        !sal_parse_int(apr_pstrmemdup(p, build, 8), 19700101, 29991231, &v)) {
        return NULL;
    }
    y = (int)(v / 10000);
    m = (int)(v / 100 % 100);
    d = (int)(v % 100);
    if (m < 1 || m > 12 || d < 1 || d > 31) {
        return NULL;
    }
    return apr_psprintf(p, "%d %s %d", d, month[m - 1], y);
}

const char *sal_format_function(const char *function, apr_pool_t *p)
{
    apr_size_t len = strlen(function), used = 0;
    char *out = apr_palloc(p, len * 2 + 1);

    for (apr_size_t i = 0; i < len; i++) {
        char c = function[i];

        if (c == '*' || c == '&' || c == ',') {
            while (used > 0 && apr_isspace(out[used - 1])) {
                used--;
            }
        }
        out[used++] = c;
        if (c == ',' && function[i + 1] && !apr_isspace(function[i + 1])) {
            out[used++] = ' ';
        }
    }
    out[used] = '\0';
    return out;
}

/* "0x00001c4f20" -> "0x1c4f20". */
static const char *strip_zeros(const char *hex, apr_pool_t *p)
{
    const char *s = hex;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        s += 2;
    }
    while (s[0] == '0' && s[1]) {
        s++;
    }
    return apr_pstrcat(p, "0x", s, NULL);
}

static const char *unloaded_text(const json_t *frame, apr_pool_t *p)
{
    const json_t *first = json_array_get(json_object_get(frame, "unloaded_modules"), 0);
    const char *module = sal_json_str(first, "module");
    const char *offset = json_string_value(json_array_get(json_object_get(first, "offsets"), 0));

    if (!module) {
        return NULL;
    }
    return apr_psprintf(p, "(unloaded %s@%s)", module, offset ? strip_zeros(offset, p) : "0x0");
}

const char *sal_format_frame(const json_t *frame, apr_pool_t *p)
{
    const char *function = sal_json_str(frame, "function");
    const char *file = sal_json_str(frame, "file");
    const char *module = sal_json_str(frame, "module");
    const char *module_offset = sal_json_str(frame, "module_offset");
    const char *offset = sal_json_str(frame, "offset");
    const json_t *line = json_object_get(frame, "line");
    const char *unloaded;

    if (function && *function) {
        return sal_format_function(function, p);
    }
    if (file && *file && json_is_integer(line)) {
        return apr_psprintf(p, "%s#%" APR_INT64_T_FMT, sal_format_source(file, 0, NULL, p),
                            (apr_int64_t)json_integer_value(line));
    }
    if (module && *module && module_offset) {
        return apr_psprintf(p, "%s@%s", module, strip_zeros(module_offset, p));
    }
    unloaded = unloaded_text(frame, p);
    if (unloaded) {
        return unloaded;
    }
    return apr_pstrcat(p, "@", offset ? strip_zeros(offset, p) : "0x0", NULL);
}

const char *sal_format_urlencode(const char *text, apr_pool_t *p)
{
    return sal_link_encode(text, SAL_LINK_PART, p);
}

const char *sal_format_source(const char *file, apr_int64_t line, const char **url, apr_pool_t *p)
{
    sal_vcs_source_t at;

    sal_vcs_source(&at, NULL, file, line, NULL, p);
    if (url) {
        *url = at.url;
    }
    return at.text;
}

/* A line may break after this byte. */
static int breakable(const char *s, apr_size_t i, apr_size_t since)
{
    if (s[i] == ':' && i > 0 && s[i - 1] == ':') {
        return 1;
    }
    if (s[i] == '/' || s[i] == '\\') {
        return 1;
    }
    return (s[i] == '.' || s[i] == '_') && since >= 8;
}

json_t *sal_format_pieces(const char *text)
{
    json_t *out = json_array();
    apr_size_t from = 0, len = strlen(text);

    if (len > 24) {
        for (apr_size_t i = 0; i + 1 < len; i++) {
            if (breakable(text, i, i - from)) {
                json_array_append_new(out, json_stringn(text + from, i + 1 - from));
                from = i + 1;
            }
        }
    }
    if (from < len) {
        json_array_append_new(out, json_stringn(text + from, len - from));
    }
    return out;
}

json_t *sal_format_signature(const char *signature)
{
    json_t *out = json_array();
    const char *bar;
    int first = 1;

    while (signature && *signature) {
        bar = strstr(signature, " | ");
        apr_size_t len = bar ? (apr_size_t)(bar - signature) : strlen(signature);
        json_t *text = json_stringn(signature, len);

        json_array_append_new(out,
                              json_pack("{s:o, s:b}", "parts",
                                        sal_format_pieces(json_string_value(text)), "bar", !first));
        json_decref(text);
        first = 0;
        signature = bar ? bar + 3 : NULL;
    }
    return out;
}
