/*
 * The system the process ran on, and what Linux streams tell of it: text files of /proc and /etc.
 */
#include <apr_strings.h>

#include "analysis/analysis_private.h"
#include "base/text.h"

enum { MAX_LIMITS = 256, MAX_SOFT_ERRORS = 1 << 20 };

json_t *sal_analysis_system(const sal_analysis_t *r)
{
    const sal_md_system_t *s = &r->md->system;
    const char *microcode = s->microcode;
    uint64_t v;

    if (!microcode && r->opts->extra) {
        const char *given =
            json_string_value(json_object_get(r->opts->extra, "CPUMicrocodeVersion"));

        if (given && strncmp(given, "0x", 2) == 0 &&
            sal_parse_hex(given + 2, strlen(given + 2), &v)) {
            microcode = apr_psprintf(r->pool, "0x%" APR_UINT64_T_HEX_FMT, v);
        }
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:i,s:o}", "os", sal_analysis_text(r, s->os_name), "os_ver",
                     sal_analysis_text(r, s->os_version), "cpu_arch",
                     sal_analysis_text(r, s->cpu_name), "cpu_info",
                     sal_analysis_text(r, s->cpu_info), "cpu_count", s->cpu_count,
                     "cpu_microcode_version", sal_analysis_text(r, microcode));
}

typedef struct {
    const char *s;
    size_t len;
} part_t;

static part_t trim(part_t t)
{
    while (t.len && *t.s == ' ') {
        t.s++;
        t.len--;
    }
    while (t.len && t.s[t.len - 1] == ' ') {
        t.len--;
    }
    return t;
}

/* Cuts the next line off *rest. */
static bool next_line(part_t *rest, part_t *line)
{
    const char *end;

    if (!rest->len) {
        return false;
    }
    end = memchr(rest->s, '\n', rest->len);
    line->s = rest->s;
    line->len = end ? (size_t)(end - rest->s) : rest->len;
    rest->len -= line->len + (end ? 1 : 0);
    rest->s += line->len + (end ? 1 : 0);
    return true;
}

/* Splits "key<separator>value", both trimmed, one pair of quotes taken off each. */
static bool split_pair(part_t line, char separator, part_t *key, part_t *value)
{
    const char *at = memchr(line.s, separator, line.len);
    part_t *both[] = { key, value };

    if (!at) {
        return false;
    }
    *key = (part_t){ line.s, (size_t)(at - line.s) };
    *value = (part_t){ at + 1, line.len - key->len - 1 };
    for (int i = 0; i < 2; i++) {
        *both[i] = trim(*both[i]);
        if (both[i]->len >= 2 && both[i]->s[0] == '"' && both[i]->s[both[i]->len - 1] == '"') {
            *both[i] = (part_t){ both[i]->s + 1, both[i]->len - 2 };
        }
    }
    return true;
}

static bool is(part_t t, const char *word)
{
    return t.len == strlen(word) && memcmp(t.s, word, t.len) == 0;
}

static bool stream_text(const sal_analysis_t *r, uint32_t type, part_t *out)
{
    sal_span_t bytes;

    if (!sal_minidump_stream(r->md, type, &bytes)) {
        return false;
    }
    *out = (part_t){ (const char *)bytes.data, bytes.size };
    return true;
}

json_t *sal_analysis_lsb_release(const sal_analysis_t *r)
{
    static const struct {
        const char *ours, *lsb, *os_release;
    } keys[] = { { "id", "DISTRIB_ID", "ID" },
                 { "release", "DISTRIB_RELEASE", "VERSION_ID" },
                 { "codename", "DISTRIB_CODENAME", "VERSION_CODENAME" },
                 { "description", "DISTRIB_DESCRIPTION", "PRETTY_NAME" } };
    part_t rest, line, key, value;
    json_t *out;

    if (!stream_text(r, SAL_STREAM_LINUX_LSB_RELEASE, &rest)) {
        return json_null();
    }
    out =
        json_pack("{s:s,s:s,s:s,s:s}", "id", "", "release", "", "codename", "", "description", "");
    while (next_line(&rest, &line)) {
        if (!split_pair(line, '=', &key, &value)) {
            continue;
        }
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            if (is(key, keys[i].lsb) || is(key, keys[i].os_release)) {
                json_object_set_new(out, keys[i].ours, sal_analysis_text_n(r, value.s, value.len));
            }
        }
    }
    return out;
}

static json_t *limit_value(part_t t)
{
    uint64_t v = 0;

    if (is(t, "unlimited")) {
        return json_string("unlimited");
    }
    for (size_t i = 0; i < t.len; i++) {
        unsigned digit = (unsigned)(t.s[i] - '0');

        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return json_integer(0);
        }
        v = v * 10 + digit;
    }
    return sal_analysis_u64(v);
}

/* Columns are at least two blanks apart; names hold single ones. */
static unsigned split_columns(part_t line, part_t *out, unsigned max)
{
    unsigned n = 0;
    size_t start = 0, i = 0;

    while (i <= line.len && n < max) {
        bool gap = i + 1 < line.len && line.s[i] == ' ' && line.s[i + 1] == ' ';

        if (gap || i == line.len) {
            part_t piece = trim((part_t){ line.s + start, i - start });

            if (piece.len) {
                out[n++] = piece;
            }
            start = i + 2;
            i += 2;
        } else {
            i++;
        }
    }
    return n;
}

json_t *sal_analysis_limits(const sal_analysis_t *r)
{
    part_t rest, line, column[8];
    json_t *limits;
    bool header = true;

    if (!stream_text(r, SAL_STREAM_MOZ_LINUX_LIMITS, &rest)) {
        return json_null();
    }
    limits = json_array();
    while (next_line(&rest, &line) && json_array_size(limits) < MAX_LIMITS) {
        unsigned n = split_columns(line, column, 8);

        if (n && header) {
            header = false;
        } else if (n >= 3) {
            part_t unit = n > 3 ? column[3] : (part_t){ "n/a", 3 };

            json_array_append_new(
                limits, json_pack("{s:o,s:o,s:o,s:o}", "name",
                                  sal_analysis_text_n(r, column[0].s, column[0].len), "soft",
                                  limit_value(column[1]), "hard", limit_value(column[2]), "unit",
                                  sal_analysis_text_n(r, unit.s, unit.len)));
        }
    }
    return json_pack("{s:o}", "limits", limits);
}

json_t *sal_analysis_handles(const sal_analysis_t *r)
{
    json_t *out;

    if (!r->md->has_handles) {
        return json_null();
    }
    out = json_array();
    for (size_t i = 0; i < r->md->n_handles; i++) {
        const sal_md_handle_t *h = &r->md->handles[i];

        json_array_append_new(out, json_pack("{s:o,s:o,s:o}", "handle", sal_analysis_u64(h->handle),
                                             "type_name", sal_analysis_text(r, h->type_name),
                                             "object_name", sal_analysis_text(r, h->object_name)));
    }
    return out;
}

json_t *sal_analysis_pid(const sal_analysis_t *r)
{
    return r->md->misc.has_pid ? json_integer(r->md->misc.pid) : json_null();
}

json_t *sal_analysis_uptime(const sal_analysis_t *r)
{
    uint32_t start = r->md->misc.create_time, now = r->md->time_date_stamp;

    if (!r->md->misc.has_times) {
        return json_null();
    }
    return json_integer(now > start ? now - start : 0);
}

json_t *sal_analysis_soft_errors(const sal_analysis_t *r)
{
    sal_span_t bytes;
    json_t *v = NULL;

    if (sal_minidump_stream(r->md, SAL_STREAM_MOZ_SOFT_ERRORS, &bytes) &&
        bytes.size <= MAX_SOFT_ERRORS) {
        v = json_loadb((const char *)bytes.data, bytes.size, JSON_DECODE_ANY, NULL);
    }
    return v ? v : json_null();
}
