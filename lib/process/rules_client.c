/*
 * Stacks that the client walked itself and sent in place of a dump (annotation StackTraces): they
 * become a stackwalk document whose frames have the trust "client". Everything in them is a
 * stranger's word: only members we know are taken, of the types they must have, within bounds.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

enum { THREADS_MAX = 4096, FRAMES_MAX = 1024, ALL_FRAMES_MAX = 24576, MODULES_MAX = 4096 };

/* The first of two spellings that is there. */
static const json_t *either(const json_t *v, const char *a, const char *b)
{
    const json_t *found = json_object_get(v, a);

    return found ? found : json_object_get(v, b);
}

static void copy_text(json_t *to, const char *name, const json_t *v)
{
    if (json_is_string(v)) {
        json_object_set(to, name, (json_t *)v);
    } else {
        json_object_set_new(to, name, json_null());
    }
}

static void copy_count(json_t *to, const char *name, const json_t *v)
{
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        json_object_set(to, name, (json_t *)v);
    }
}

/* An address as text (hexadecimal) or integer. */
static bool address_of(const json_t *v, uint64_t *address)
{
    const char *text = json_string_value(v);

    if (json_is_integer(v)) {
        *address = (uint64_t)json_integer_value(v);
        return true;
    }
    if (!text) {
        return false;
    }
    text += rule_starts(text, "0x") ? 2 : 0;
    return sal_parse_hex(text, strlen(text), address);
}

static json_t *hex(uint64_t n, apr_pool_t *p)
{
    return json_string(apr_psprintf(p, "0x%016" APR_UINT64_T_HEX_FMT, (apr_uint64_t)n));
}

/* ---- modules ---- */

static json_t *module_of(const json_t *in, apr_pool_t *p)
{
    static const char *const same[] = { "debug_file", "debug_id", "code_id", "version" };
    json_t *out = json_object();
    uint64_t base, end;

    copy_text(out, "filename", either(in, "filename", "debug_file"));
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        copy_text(out, same[i], json_object_get(in, same[i]));
    }
    if (address_of(either(in, "base_addr", "base_address"), &base)) {
        json_object_set_new(out, "base_addr", hex(base, p));
    }
    if (address_of(either(in, "end_addr", "end_address"), &end)) {
        json_object_set_new(out, "end_addr", hex(end, p));
    }
    return out;
}

static json_t *modules_of(const json_t *in, apr_pool_t *p)
{
    json_t *out = json_array();

    for (size_t i = 0; i < json_array_size(in) && i < MODULES_MAX; i++) {
        json_array_append_new(out, module_of(json_array_get(in, i), p));
    }
    return out;
}

/* The module a frame names or whose index it has; NULL if it has none. */
static const json_t *frame_module(const json_t *frame, const json_t *modules)
{
    const json_t *index = json_object_get(frame, "module_index");

    return json_is_integer(index) && json_integer_value(index) >= 0
               ? json_array_get(modules, (size_t)json_integer_value(index))
               : NULL;
}

/* ---- threads ---- */

static json_t *frame_of(const json_t *in, size_t number, const json_t *modules, apr_pool_t *p)
{
    const json_t *module = frame_module(in, modules);
    json_t *out = json_pack("{s:I,s:s}", "frame", (json_int_t)number, "trust", "client");
    uint64_t at, base;

    copy_text(out, "module",
              module ? json_object_get(module, "filename") : json_object_get(in, "module"));
    copy_text(out, "function", json_object_get(in, "function"));
    copy_text(out, "file", json_object_get(in, "file"));
    copy_count(out, "line", json_object_get(in, "line"));
    if (address_of(either(in, "ip", "offset"), &at)) {
        json_object_set_new(out, "offset", hex(at, p));
        if (address_of(json_object_get(module, "base_addr"), &base) && base <= at) {
            json_object_set_new(out, "module_offset", hex(at - base, p));
        }
    }
    return out;
}

static json_t *thread_of(const json_t *in, const json_t *modules, size_t *room, apr_pool_t *p)
{
    const json_t *frames = json_object_get(in, "frames");
    json_t *out = json_object(), *list = json_array();

    for (size_t i = 0; i < json_array_size(frames) && i<FRAMES_MAX && * room> 0; i++, --*room) {
        json_array_append_new(list, frame_of(json_array_get(frames, i), i, modules, p));
    }
    json_object_set_new(out, "frame_count", json_integer((json_int_t)json_array_size(list)));
    json_object_set_new(out, "frames", list);
    copy_text(out, "thread_name", either(in, "thread_name", "name"));
    copy_text(out, "last_error_value", json_object_get(in, "last_error_value"));
    copy_count(out, "thread_id", json_object_get(in, "thread_id"));
    return out;
}

static json_t *crash_info(const json_t *in)
{
    const json_t *from = json_object_get(in, "crash_info");
    const json_t *index = json_object_get(from, "crashing_thread");
    json_t *out = json_object();

    copy_text(out, "type", json_object_get(from, "type"));
    copy_text(out, "address", json_object_get(from, "address"));
    copy_count(out, "crashing_thread", index ? index : json_object_get(in, "crash_thread"));
    return out;
}

static json_t *document(const json_t *in, apr_pool_t *p)
{
    const json_t *threads = json_object_get(in, "threads"), *index, *crashing;
    json_t *out = json_object(), *list = json_array(), *modules, *copy;
    size_t room = ALL_FRAMES_MAX;

    modules = modules_of(json_object_get(in, "modules"), p);
    for (size_t i = 0; i < json_array_size(threads) && i < THREADS_MAX; i++) {
        json_array_append_new(list, thread_of(json_array_get(threads, i), modules, &room, p));
    }
    json_object_set_new(out, "status", json_string("OK"));
    json_object_set_new(out, "thread_count", json_integer((json_int_t)json_array_size(list)));
    json_object_set_new(out, "threads", list);
    json_object_set_new(out, "modules", modules);
    copy_count(out, "main_module", json_object_get(in, "main_module"));
    json_object_set_new(out, "crash_info", crash_info(in));
    index = sal_json_path(out, "crash_info.crashing_thread");
    crashing = index ? json_array_get(list, (size_t)json_integer_value(index)) : NULL;
    if (crashing) {
        copy = json_deep_copy(crashing);
        json_object_set(copy, "threads_index", (json_t *)index);
        json_object_set_new(out, "crashing_thread", copy);
    }
    return out;
}

void rule_client_stacks(pass_t *pass)
{
    const json_t *in = json_object_get(pass->raw, "StackTraces");
    const char *text = rule_raw_set(pass, "StackTraces");
    json_t *parsed = NULL;

    if (!in || (json_is_string(in) && !text)) {
        return;
    }
    if (text && sal_json_parse(&parsed, text, strlen(text), pass->p, NULL) == APR_SUCCESS) {
        in = parsed;
    }
    if (!json_array_size(json_object_get(in, "threads"))) {
        rule_note(pass, "StackTraces: malformed: %s",
                  text && !parsed ? "not valid json" : "no threads");
        return;
    }
    rule_set(pass, "json_dump", document(in, pass->p));
    rule_set_text(pass, "mdsw_status_string", "OK");
    rule_set_text(pass, "stackwalk_version", "client");
    rule_note(pass, "StackTraces: the client's own stacks are used, there is no dump");
}
