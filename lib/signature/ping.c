/*
 * From a crash ping to crash data: finds the parts under the names that senders use, looks up the
 * frames of the crashing thread. Hostile input: every value may be of any type.
 */
#include "signature/ping.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "signature/sig_private.h"

enum { MAX_PING_FRAMES = 100, MAX_MODULES = 10000 };

/* ---- where things are ---- */

/* Where a ping keeps its values, in the order they are asked. */
typedef struct ping_t {
    const json_t *metrics;  /* Glean: by type, then "category.name" */
    const json_t *plain[4]; /* objects with plain names; NULL where there is none */
    const json_t *client;   /* Glean's client_info, or telemetry's environment.system */
} ping_t;

static const json_t *first_of(const json_t *v, const char *a, const char *b)
{
    const json_t *found = sig_member(v, a);

    return found ? found : sig_member(v, b);
}

static void find_parts(ping_t *ping, const json_t *body)
{
    const json_t *payload = sig_member(body, "payload");

    payload = payload ? payload : body;
    ping->metrics = sig_member(body, "metrics");
    ping->plain[0] = payload;
    ping->plain[1] = sig_member(payload, "metadata");
    ping->plain[2] = sig_member(body, "annotations");
    ping->client = sig_member(body, "client_info");
}

static const json_t *metric(const ping_t *ping, const char *name)
{
    static const char *const types[] = { "object", "string", "quantity", "boolean" };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const json_t *v = sig_member(sig_member(ping->metrics, types[i]), name);

        if (v) {
            return v;
        }
    }
    return NULL;
}

/* A value by its metric, its name in snake case or camel case, or its annotation. */
typedef struct name_t {
    const char *snake, *camel, *annotation, *metric;
} name_t;

static const json_t *value_of(const ping_t *ping, const name_t *name)
{
    const json_t *v = name->metric ? metric(ping, name->metric) : NULL;

    for (size_t i = 0; !v && i < sizeof(ping->plain) / sizeof(ping->plain[0]); i++) {
        v = first_of(ping->plain[i], name->snake, name->camel);
        v = v ? v : sig_member(ping->plain[i], name->annotation);
    }
    return v;
}

/* ---- numbers ---- */

/* "0x1f" or a number. */
static bool address_of(const json_t *v, uint64_t *out)
{
    const char *text = json_string_value(v);
    char *end;

    if (json_is_integer(v)) {
        *out = (uint64_t)json_integer_value(v);
        return true;
    }
    if (!text || !*text) {
        return false;
    }
    *out = strtoull(text, &end, 16);
    return *end == '\0';
}

/* ---- frames ---- */

typedef struct walk_t {
    const json_t *modules;
    sal_supplier_t *supplier;
    sal_sym_ref_t *ref; /* of each module, once looked for */
    bool *looked;
    size_t n_modules;
    apr_pool_t *p;
} walk_t;

/* Symbol files hold any bytes. */
static json_t *sym_text(const walk_t *w, sal_str_t s)
{
    return s.len ? json_string(sal_utf8_clean(s.s, s.len, w->p)) : json_null();
}

static const sal_symcache_t *cache_of(walk_t *w, size_t i)
{
    const json_t *m = json_array_get(w->modules, i);
    const char *file = json_string_value(sig_member(m, "debug_file"));
    const char *id = json_string_value(sig_member(m, "debug_id"));

    if (!w->supplier || !file || !id) {
        return NULL;
    }
    if (!w->looked[i]) {
        sal_supplier_get(&w->ref[i], w->supplier, file, id, w->p);
        w->looked[i] = true;
    }
    return w->ref[i].cache;
}

static void add_symbol(const walk_t *w, json_t *frame, const sal_symcache_t *cache, uint64_t offset)
{
    sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_sym_hit_t hit;
    json_t *list;

    if (!sal_symcache_lookup(cache, offset, &hit, inlines, SAL_SYM_MAX_INLINES)) {
        return;
    }
    json_object_set_new(frame, "function", sym_text(w, hit.outer.function));
    json_object_set_new(frame, "file", sym_text(w, hit.outer.file));
    json_object_set_new(frame, "line", hit.outer.line ? json_integer(hit.outer.line) : json_null());
    list = json_array();
    for (uint32_t i = 0; i < hit.n_inlines && i < SAL_SYM_MAX_INLINES; i++) {
        json_t *one = json_object();

        json_object_set_new(one, "function", sym_text(w, inlines[i].function));
        json_object_set_new(one, "file", sym_text(w, inlines[i].file));
        json_object_set_new(one, "line",
                            inlines[i].line ? json_integer(inlines[i].line) : json_null());
        json_array_append_new(list, one);
    }
    json_object_set_new(frame, "inlines", list);
}

/* The module of a frame: by its index, else by address; SIZE_MAX. */
static size_t module_of(const walk_t *w, const json_t *frame, uint64_t ip)
{
    const json_t *index = sig_member(frame, "module_index");

    if (json_is_integer(index) && json_integer_value(index) >= 0 &&
        (uint64_t)json_integer_value(index) < w->n_modules) {
        return (size_t)json_integer_value(index);
    }
    for (size_t i = 0; i < w->n_modules; i++) {
        const json_t *m = json_array_get(w->modules, i);
        uint64_t base, end;

        if (address_of(first_of(m, "base_addr", "base_address"), &base) &&
            address_of(first_of(m, "end_addr", "end_address"), &end) && ip >= base && ip < end) {
            return i;
        }
    }
    return SIZE_MAX;
}

static json_t *frame_json(walk_t *w, const json_t *in)
{
    json_t *out = json_object();
    const json_t *m, *name;
    const sal_symcache_t *cache;
    uint64_t ip, base = 0;
    size_t i;

    if (!address_of(sig_member(in, "ip"), &ip)) {
        return out;
    }
    json_object_set_new(
        out, "offset",
        json_string(apr_psprintf(w->p, "0x%" APR_UINT64_T_HEX_FMT, (apr_uint64_t)ip)));
    i = module_of(w, in, ip);
    if (i == SIZE_MAX) {
        return out;
    }
    m = json_array_get(w->modules, i);
    name = first_of(m, "filename", "debug_file");
    if (json_is_string(name)) {
        json_object_set_new(out, "module", json_incref((json_t *)name));
    }
    if (address_of(first_of(m, "base_addr", "base_address"), &base) && ip >= base &&
        (cache = cache_of(w, i)) != NULL) {
        add_symbol(w, out, cache, ip - base);
    }
    return out;
}

static json_t *frames_json(const json_t *frames, const json_t *modules, sal_supplier_t *supplier,
                           apr_pool_t *p)
{
    size_t n = json_array_size(modules);
    walk_t w = { .modules = modules, .supplier = supplier, .p = p };
    json_t *out = json_array();

    w.n_modules = n < MAX_MODULES ? n : MAX_MODULES;
    w.ref = apr_pcalloc(p, (w.n_modules + 1) * sizeof(*w.ref));
    w.looked = apr_pcalloc(p, w.n_modules + 1);
    for (size_t i = 0; i < json_array_size(frames) && i < MAX_PING_FRAMES; i++) {
        json_array_append_new(out, frame_json(&w, json_array_get(frames, i)));
    }
    for (size_t i = 0; i < w.n_modules; i++) {
        if (w.looked[i]) {
            sal_supplier_release(supplier, &w.ref[i]);
        }
    }
    return out;
}

/* ---- the parts of crash data ---- */

/* Only the crashing thread is looked up; the others stand for their place in the list. */
static void add_stack(json_t *out, const json_t *traces, sal_supplier_t *supplier, apr_pool_t *p)
{
    const json_t *info = sig_member(traces, "crash_info");
    const json_t *thread = sig_member(info, "crashing_thread");
    const json_t *reason = sig_member(info, "type");
    const json_t *threads = sig_member(traces, "threads");
    json_t *list = json_array();
    size_t crashing;

    thread = thread ? thread : sig_member(traces, "crash_thread");
    reason = reason ? reason : sig_member(traces, "crash_type");
    crashing = json_is_integer(thread) && json_integer_value(thread) > 0
                   ? (size_t)json_integer_value(thread)
                   : 0;
    if (crashing < json_array_size(threads)) {
        const json_t *frames = sig_member(json_array_get(threads, crashing), "frames");

        json_array_append_new(
            list, json_pack("{s:o}", "frames",
                            frames_json(frames, sig_member(traces, "modules"), supplier, p)));
    }
    json_object_set_new(out, "crashing_thread", json_integer(0));
    json_object_set_new(out, "threads", list);
    json_object_set_new(out, "reason", reason ? json_incref((json_t *)reason) : json_null());
}

/* The names of systems in telemetry, and in reports. */
static const char *os_of(const json_t *v)
{
    const char *name = json_string_value(v);

    if (!name) {
        return NULL;
    }
    if (!strcmp(name, "Windows") || !strcmp(name, "Windows_NT") || !strcmp(name, "WINNT")) {
        return "Windows NT";
    }
    return !strcmp(name, "Darwin") || !strcmp(name, "macOS") ? "Mac OS X" : name;
}

/* { throwables: [ { type_name, stack: [ { class_name, method_name, file, line } ] } ] } in the form
 * of reports. A value in that form already passes. */
static json_t *java_exception(const json_t *v)
{
    const json_t *thrown = json_array_get(sig_member(v, "throwables"), 0), *one;
    const char *type = json_string_value(sig_member(thrown, "type_name"));
    const char *dot = type ? strrchr(type, '.') : NULL;
    json_t *frames, *value;
    size_t i;

    if (!thrown) {
        return json_incref((json_t *)v);
    }
    frames = json_array();
    json_array_foreach(sig_member(thrown, "stack"), i, one)
    {
        json_array_append_new(
            frames, json_pack("{s:O*, s:O*, s:O*, s:O*}", "module", sig_member(one, "class_name"),
                              "function", sig_member(one, "method_name"), "filename",
                              sig_member(one, "file"), "lineno", sig_member(one, "line")));
    }
    value = json_pack("{s:o}", "frames", frames);
    if (dot) {
        json_object_set_new(value, "module", json_stringn(type, (size_t)(dot - type)));
    }
    if (type) {
        json_object_set_new(value, "type", json_string(dot ? dot + 1 : type));
    }
    return json_pack("{s:{s:[{s:o}]}}", "exception", "values", "stacktrace", value);
}

/* The timeout is a text of JSON in reports, an object in Glean pings, its conditions a text. */
static json_t *shutdown_timeout(const json_t *v)
{
    const char *conditions = json_string_value(sig_member(v, "conditions"));
    json_t *copy, *parsed, *out;
    char *text;

    if (!json_is_object(v)) {
        return json_incref((json_t *)v);
    }
    copy = json_copy((json_t *)v);
    parsed = conditions ? json_loads(conditions, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
    if (parsed) {
        json_object_set_new(copy, "conditions", parsed);
    }
    text = json_dumps(copy, JSON_COMPACT);
    out = text ? json_string(text) : json_null();
    free(text);
    json_decref(copy);
    return out;
}

static void add_annotations(json_t *out, const ping_t *ping)
{
    static const name_t names[] = {
        { "hang", "hang", "Hang", "crash.hang" },
        { "oom_allocation_size", "oomAllocationSize", "OOMAllocationSize",
          "memory.oom_allocation_size" },
        { "js_large_allocation_failure", "jsLargeAllocationFailure", "JSLargeAllocationFailure",
          "memory.js_large_allocation_failure" },
        { "abort_message", "abortMessage", "AbortMessage", NULL },
        { "ipc_channel_error", "ipcChannelError", "ipc_channel_error", "crash.ipc_channel_error" },
        { "ipc_message_name", "ipcMessageName", "IPCMessageName", NULL },
        { "moz_crash_reason", "mozCrashReason", "MozCrashReason", "crash.moz_crash_reason" },
    };
    static const name_t timeout = { "async_shutdown_timeout", "asyncShutdownTimeout",
                                    "AsyncShutdownTimeout", "crash.async_shutdown_timeout" };
    const json_t *v;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((v = value_of(ping, &names[i])) != NULL) {
            json_object_set_new(out, names[i].snake, json_incref((json_t *)v));
        }
    }
    if ((v = value_of(ping, &timeout)) != NULL) {
        json_object_set_new(out, timeout.snake, shutdown_timeout(v));
    }
}

apr_status_t sal_ping_crash_data(json_t **out, const json_t *body, sal_supplier_t *supplier,
                                 apr_pool_t *p, sal_error_t *err)
{
    static const name_t stack = { "stack_traces", "stackTraces", "StackTraces",
                                  "crash.stack_traces" };
    static const name_t java = { "java_exception", "javaException", "JavaException",
                                 "crash.java_exception" };
    static const name_t os = { "os", "os", "OS", NULL };
    ping_t ping = { NULL };
    const json_t *traces, *exception;
    const char *name;

    find_parts(&ping, body);
    traces = value_of(&ping, &stack);
    exception = value_of(&ping, &java);
    if (!json_is_object(traces) && !json_is_object(exception)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "crash ping: neither stack_traces nor java_exception is an object");
    }
    *out = json_object();
    name = os_of(sig_member(ping.client, "os"));
    name = name ? name : os_of(value_of(&ping, &os));
    json_object_set_new(*out, "os", name ? json_string(name) : json_null());
    if (json_is_object(traces)) {
        add_stack(*out, traces, supplier, p);
    }
    if (json_is_object(exception)) {
        json_object_set_new(*out, "java_exception", java_exception(exception));
    }
    add_annotations(*out, &ping);
    return APR_SUCCESS;
}
