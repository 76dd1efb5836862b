/*
 * Pings become crash data (signature/ping.h), that becomes a signature; what was found of the
 * frames is kept. Hostile input: runs in the daemon's cage.
 */
#include "ping/ping_sign.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "signature/ping.h"

/* ---- the stack that is kept ---- */

static void copy(json_t *to, const json_t *from, const char *name)
{
    json_t *v = json_is_object(from) ? json_object_get(from, name) : NULL;

    if (v && !json_is_null(v)) {
        json_object_set(to, name, v);
    }
}

/* A text as PostgreSQL can hold it. */
static json_t *plain(const char *s, size_t n, apr_pool_t *p)
{
    return json_string(sal_utf8_clean(s, n, p));
}

static json_t *module_name(const json_t *v, apr_pool_t *p)
{
    const char *s = json_string_value(v);

    s = s ? sal_basename(s) : NULL;
    return s && *s ? plain(s, strlen(s), p) : NULL;
}

/* in: as signed; raw: as the ping has it. */
static json_t *frame_of(const json_t *in, const json_t *raw, size_t number, apr_pool_t *p)
{
    json_t *out = json_object(), *module = module_name(json_object_get(in, "module"), p);

    json_object_set_new(out, "frame", json_integer((json_int_t)number));
    if (module) {
        json_object_set_new(out, "module", module);
    }
    copy(out, in, "function");
    copy(out, in, "file");
    copy(out, in, "line");
    copy(out, in, "offset");
    if (json_is_string(json_object_get(raw, "trust"))) {
        copy(out, raw, "trust");
    }
    if (json_array_size(json_object_get(in, "inlines"))) {
        copy(out, in, "inlines");
    }
    return out;
}

static const json_t *first_of(const json_t *v, const char *a, const char *b)
{
    const json_t *found = json_is_object(v) ? json_object_get(v, a) : NULL;

    return found ? found : json_is_object(v) ? json_object_get(v, b) : NULL;
}

/* Missing is 0: there are clients that misspell the key. */
static size_t crashing_thread(const json_t *traces)
{
    const json_t *info = json_object_get(traces, "crash_info");
    const json_t *v = first_of(info, "crashing_thread", "crash_thread");

    v = v ? v : json_object_get(traces, "crash_thread");
    return json_is_integer(v) && json_integer_value(v) > 0 ? (size_t)json_integer_value(v) : 0;
}

static json_t *main_module(const json_t *traces, apr_pool_t *p)
{
    const json_t *index = json_object_get(traces, "main_module"), *m;

    if (!json_is_integer(index) || json_integer_value(index) < 0) {
        return NULL;
    }
    m = json_array_get(json_object_get(traces, "modules"), (size_t)json_integer_value(index));
    return module_name(first_of(m, "filename", "debug_file"), p);
}

static json_t *stack_of(const json_t *data, const json_t *traces, apr_pool_t *p)
{
    const json_t *frames = sal_json_path(data, "threads.0.frames"), *type, *one;
    size_t thread = crashing_thread(traces), i;
    const json_t *threads = json_object_get(traces, "threads");
    const json_t *raw = json_object_get(json_array_get(threads, thread), "frames");
    json_t *out = json_object(), *list = json_array(), *module = main_module(traces, p);

    type = json_object_get(data, "reason");
    if (json_is_string(type)) {
        json_object_set(out, "crash_type", (json_t *)type);
    }
    json_object_set_new(out, "crashing_thread", json_integer((json_int_t)thread));
    if (module) {
        json_object_set_new(out, "main_module", module);
    }
    json_array_foreach(frames, i, one)
    {
        json_array_append_new(list, frame_of(one, json_array_get(raw, i), i, p));
    }
    json_object_set_new(out, "frames", list);
    return out;
}

/* ---- signing ---- */

/* Module names, not paths: users' names stand in paths, and reports have names. */
static void cut_modules(json_t *data, apr_pool_t *p)
{
    json_t *frames = sal_json_path(data, "threads.0.frames"), *one;
    size_t i;

    json_array_foreach(frames, i, one)
    {
        json_t *name = module_name(json_object_get(one, "module"), p);

        if (name) {
            json_object_set_new(one, "module", name);
        }
    }
}

void sal_ping_sign(sal_ping_signed_t *out, const json_t *body, const char *os,
                   sal_supplier_t *supplier, const sal_siglists_t *lists, apr_pool_t *p)
{
    const json_t *traces = sal_ping_traces(body);
    sal_error_t err = { .message = "" };
    sal_signature_t sig;
    json_t *data = NULL;

    *out = (sal_ping_signed_t){ .note = NULL };
    if (sal_ping_crash_data(&data, body, supplier, p, &err) != APR_SUCCESS) {
        data = json_object();
        out->note = "neither a stack nor a Java exception";
    }
    sal_json_own(data, p);
    if (*os) {
        json_object_set_new(data, "os", json_string(os));
    }
    cut_modules(data, p);
    sal_signature_make(&sig, data, lists, p);
    out->signature = sig.signature;
    if (!*sig.signature) { /* frames without anything in them */
        out->signature = "EMPTY: no frame data available";
        out->note = "its frames are of no use";
    }
    if (sig.proto_signature) {
        out->proto_signature = sal_utf8_clean(sig.proto_signature, sig.proto_size, p);
    }
    if (traces) {
        out->stack = sal_json_own(stack_of(data, traces, p), p);
    }
}
