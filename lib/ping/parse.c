/*
 * Bodies of crash pings. Each value has several names; the annotation of the crash is asked before
 * what the client says of itself now, since it may have been updated in between.
 */
#include "ping/ping.h"

#include <ctype.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"

enum { TEXT_MAX = 200, MAX_DEPTH = 64 };

/* ---- members ---- */

/* No dots: names of metrics hold them. */
static const json_t *member(const json_t *v, const char *name)
{
    return json_is_object(v) ? json_object_get(v, name) : NULL;
}

static const json_t *either(const json_t *v, const char *a, const char *b)
{
    const json_t *found = member(v, a);

    return found ? found : member(v, b);
}

static const json_t *metric(const json_t *body, const char *type, const char *name)
{
    return member(member(member(body, "metrics"), type), name);
}

/* A copy of a text, cut; NULL if it is none or empty. Control characters become blanks. */
static const char *text_of(const json_t *v, apr_pool_t *p)
{
    const char *s = json_string_value(v);
    char *out;

    if (!s || !*s) {
        return NULL;
    }
    out = apr_pstrndup(p, s, TEXT_MAX);
    sal_utf8_cut(out, TEXT_MAX);
    if (!sal_utf8_valid(out, strlen(out))) { /* the cut went through a character */
        out = apr_pstrdup(p, sal_utf8_clean(out, strlen(out), p));
    }
    for (char *c = out; *c; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
    }
    return out;
}

static const char *first(const char *a, const char *b)
{
    return a ? a : b ? b : "";
}

/* ---- values ---- */

static const char *sha256_of(const json_t *v, apr_pool_t *p)
{
    const char *s = json_string_value(v);
    char *out;

    if (!s || strlen(s) != 64 || strspn(s, "0123456789abcdefABCDEF") != 64) {
        return NULL;
    }
    out = apr_pstrdup(p, s);
    for (char *c = out; *c; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return out;
}

static bool digits(const char **s, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*s)++) {
        if (!isdigit((unsigned char)**s)) {
            return false;
        }
        *out = *out * 10 + (**s - '0');
    }
    return true;
}

/* "Z", "+01:00", or nothing; in seconds. */
static bool zone_of(const char *s, int *offset)
{
    int hours, minutes, sign = *s == '-' ? -1 : 1;

    *offset = 0;
    if (!*s || !strcmp(s, "Z")) {
        return true;
    }
    if (*s != '+' && *s != '-') {
        return false;
    }
    s++;
    if (!digits(&s, 2, &hours)) {
        return false;
    }
    s += *s == ':';
    if (!digits(&s, 2, &minutes) || *s || hours > 23 || minutes > 59) {
        return false;
    }
    *offset = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* ISO 8601, of which clients leave out what they round away: a date alone will do. */
static apr_time_t time_of(const json_t *v)
{
    const char *s = json_string_value(v);
    apr_time_exp_t t = { 0 };
    apr_time_t out;
    int year;

    if (!s || !digits(&s, 4, &year) || *s++ != '-' || !digits(&s, 2, &t.tm_mon) || *s++ != '-' ||
        !digits(&s, 2, &t.tm_mday) || year < 1970 || year > 9999 || t.tm_mon < 1 || t.tm_mon > 12 ||
        t.tm_mday < 1 || t.tm_mday > 31) {
        return 0;
    }
    t.tm_year = year - 1900;
    t.tm_mon--;
    if (*s == 'T' || *s == ' ') {
        s++;
        if (!digits(&s, 2, &t.tm_hour) || (*s == ':' && (s++, !digits(&s, 2, &t.tm_min))) ||
            (*s == ':' && (s++, !digits(&s, 2, &t.tm_sec)))) {
            return 0;
        }
        if (*s == '.') {
            s += 1 + strspn(s + 1, "0123456789");
        }
    }
    if (t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60 || !zone_of(s, &t.tm_gmtoff)) {
        return 0;
    }
    return apr_time_exp_gmt_get(&out, &t) == APR_SUCCESS ? out : 0;
}

/* The first of a list, or of a text with commas. */
static const char *first_actor(const json_t *v, apr_pool_t *p)
{
    const char *text = text_of(json_is_array(v) ? json_array_get(v, 0) : v, p);
    char *comma, *out;

    if (!text) {
        return "";
    }
    out = apr_pstrdup(p, text);
    comma = strchr(out, ',');
    if (comma) {
        *comma = '\0';
    }
    return out;
}

const char *sal_ping_os(const char *name)
{
    static const char *const names[][2] = { { "Windows", "Windows NT" },
                                            { "Windows_NT", "Windows NT" },
                                            { "WINNT", "Windows NT" },
                                            { "Darwin", "Mac OS X" },
                                            { "macOS", "Mac OS X" } };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i][0])) {
            return names[i][1];
        }
    }
    return name;
}

/* ---- Glean ---- */

static bool glean_shape(const json_t *body)
{
    const json_t *metrics = member(body, "metrics"), *one;
    const char *type;

    if (!json_is_object(member(body, "ping_info")) ||
        !json_is_object(member(body, "client_info")) || (metrics && !json_is_object(metrics))) {
        return false;
    }
    json_object_foreach((json_t *)metrics, type, one)
    {
        if (!json_is_object(one)) {
            return false;
        }
    }
    return true;
}

static const char *glean_text(const json_t *body, const char *name, const char *client,
                              apr_pool_t *p)
{
    const char *mine = name ? text_of(metric(body, "string", name), p) : NULL;

    return first(mine, text_of(member(member(body, "client_info"), client), p));
}

static void read_glean(sal_ping_t *ping, apr_pool_t *p)
{
    const json_t *b = ping->body;
    const char *process = text_of(metric(b, "string", "crash.process_type"), p);

    ping->channel = glean_text(b, "crash.app_channel", "app_channel", p);
    ping->version = glean_text(b, "crash.app_display_version", "app_display_version", p);
    ping->build = glean_text(b, "crash.app_build", "app_build", p);
    ping->os = sal_ping_os(glean_text(b, NULL, "os", p));
    ping->os_version = glean_text(b, NULL, "os_version", p);
    ping->arch = glean_text(b, NULL, "architecture", p);
    ping->process_type = process ? process : "main";
    ping->utility_actor = first_actor(metric(b, "string_list", "crash.utility_actors_name"), p);
    ping->reason = first(text_of(member(member(b, "ping_info"), "reason"), p), NULL);
    ping->dump_sha256 = sha256_of(metric(b, "string", "crash.minidump_sha256_hash"), p);
    ping->crash_time = time_of(metric(b, "datetime", "crash.time"));
}

/* ---- telemetry ---- */

/* Importers keep the payload alone, too. */
static const json_t *payload_of(const json_t *body)
{
    const json_t *payload = member(body, "payload");

    return payload ? payload : body;
}

static bool telemetry_shape(const json_t *body)
{
    const json_t *type = member(body, "type"), *payload = payload_of(body);
    const json_t *metadata = member(payload, "metadata");
    const json_t *traces = either(payload, "stackTraces", "stack_traces");

    if (!json_is_object(payload) || (metadata && !json_is_object(metadata)) ||
        (type && (!json_is_string(type) || strcmp(json_string_value(type), "crash")))) {
        return false;
    }
    /* of an object that is only a payload, something must be known */
    return payload != body || metadata || traces || either(body, "crashDate", "crash_date");
}

static const char *annotation(const json_t *payload, const char *name, const char *snake,
                              apr_pool_t *p)
{
    return text_of(either(member(payload, "metadata"), name, snake), p);
}

static void read_telemetry(sal_ping_t *ping, apr_pool_t *p)
{
    const json_t *b = ping->body, *payload = payload_of(b);
    const json_t *system = member(member(b, "environment"), "system");
    const json_t *application = member(b, "application");
    const json_t *when = either(payload, "crashTime", "crash_time");
    const char *process = text_of(either(payload, "processType", "process_type"), p);

    ping->channel =
        first(annotation(payload, "ReleaseChannel", "release_channel", p), ping->path.channel);
    ping->version = first(annotation(payload, "Version", "version", p), ping->path.version);
    ping->build = first(annotation(payload, "BuildID", "build_id", p), ping->path.build);
    ping->os = sal_ping_os(
        first(text_of(member(member(system, "os"), "name"), p), text_of(member(payload, "os"), p)));
    ping->os_version = first(text_of(member(member(system, "os"), "version"), p), NULL);
    ping->arch = first(text_of(member(application, "architecture"), p), NULL);
    if (!process) {
        process = annotation(payload, "ProcessType", "process_type", p);
    }
    ping->process_type = process ? process : "main";
    ping->utility_actor = first_actor(
        either(member(payload, "metadata"), "UtilityActorsName", "utility_actors_name"), p);
    ping->reason = "crash";
    ping->dump_sha256 = sha256_of(either(payload, "minidumpSha256Hash", "minidump_sha256_hash"), p);
    ping->crash_time = time_of(when ? when : either(payload, "crashDate", "crash_date"));
}

/* ---- the body ---- */

/* PostgreSQL's text and jsonb hold no U+0000. NULL: there is none in it. */
static json_t *without_nul(const json_t *v, apr_pool_t *p)
{
    const char *s = json_string_value(v);
    size_t n = json_string_length(v), k = 0;
    char *copy;

    if (!s || !memchr(s, '\0', n)) {
        return NULL;
    }
    copy = apr_palloc(p, n);
    for (size_t i = 0; i < n; i++) {
        if (s[i]) {
            copy[k++] = s[i];
        }
    }
    return json_stringn(copy, k);
}

/* False: nested too deep. */
static bool clean(json_t *v, int depth, apr_pool_t *p)
{
    json_t *one, *better;
    const char *key;
    void *next;
    size_t i;

    if (depth > MAX_DEPTH) {
        return false;
    }
    json_object_foreach_safe(v, next, key, one)
    {
        if ((better = without_nul(one, p)) != NULL) {
            json_object_set_new(v, key, better);
        } else if (!clean(one, depth + 1, p)) {
            return false;
        }
    }
    json_array_foreach(v, i, one)
    {
        if ((better = without_nul(one, p)) != NULL) {
            json_array_set_new(v, i, better);
        } else if (!clean(one, depth + 1, p)) {
            return false;
        }
    }
    return true;
}

apr_status_t sal_ping_parse(sal_ping_t *out, const sal_ping_path_t *path, const char *text,
                            apr_size_t size, apr_pool_t *p, sal_error_t *err)
{
    bool glean = path->dialect == SAL_PING_GLEAN;
    sal_error_t why = { .message = "" };
    apr_status_t rv;

    *out = (sal_ping_t){ .path = *path };
    rv = sal_json_parse(&out->body, text, size, p, &why);
    if (rv != APR_SUCCESS) { /* the parser's text may quote the body */
        return sal_fail_at(err, rv, why.offset, "the body is not JSON");
    }
    if (!json_is_object(out->body)) {
        return sal_fail(err, SAL_E_MALFORMED, "the body is no object");
    }
    if (!clean(out->body, 1, p)) {
        return sal_fail(err, SAL_E_MALFORMED, "the body is nested deeper than %d", MAX_DEPTH);
    }
    if (glean ? !glean_shape(out->body) : !telemetry_shape(out->body)) {
        return sal_fail(err, SAL_E_MALFORMED, "the body has not the shape of a %s crash ping",
                        glean ? "Glean" : "telemetry");
    }
    if (glean) {
        read_glean(out, p);
    } else {
        read_telemetry(out, p);
    }
    return APR_SUCCESS;
}

/* ---- what is taken out ---- */

const char *const *sal_ping_personal(void)
{
    static const char *const paths[] = { "client_info.client_id",
                                         "client_info.session_id",
                                         "clientId",
                                         "client_id",
                                         "profileGroupId",
                                         "payload.sessionId",
                                         "payload.session_id",
                                         "payload.metadata.TelemetryClientId",
                                         "payload.metadata.TelemetrySessionId",
                                         "payload.metadata.TelemetryServerURL",
                                         "payload.metadata.Email",
                                         NULL };

    return paths;
}

void sal_ping_remove(sal_ping_t *ping, const char *const *paths)
{
    for (; *paths; paths++) {
        json_t *at = ping->body;
        const char *name = *paths, *dot;

        while (at && (dot = strchr(name, '.')) != NULL) {
            at = json_is_object(at) ? json_object_getn(at, name, (size_t)(dot - name)) : NULL;
            name = dot + 1;
        }
        if (json_is_object(at)) {
            json_object_del(at, name);
        }
    }
}

/* ---- the stack ---- */

const json_t *sal_ping_traces(const json_t *body)
{
    const json_t *payload = payload_of(body), *v;

    v = metric(body, "object", "crash.stack_traces");
    v = v ? v : either(payload, "stackTraces", "stack_traces");
    v = v ? v : either(member(payload, "metadata"), "StackTraces", "stack_traces");
    return json_is_object(v) ? v : NULL;
}
