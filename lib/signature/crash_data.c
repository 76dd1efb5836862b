/*
 * Crash data of a processed crash: the members that signature rules read, under their own names.
 */
#include "signature/sig_private.h"

#include "base/json.h"

/* The member itself, or a fresh null. */
static json_t *copy_of(const json_t *v)
{
    return v ? json_incref((json_t *)v) : json_null();
}

static json_t *integer_of(const json_t *v)
{
    int64_t n;

    if (json_is_integer(v)) {
        return json_incref((json_t *)v);
    }
    if (json_is_real(v) && json_real_value(v) > -9e15 && json_real_value(v) < 9e15) {
        return json_integer((json_int_t)json_real_value(v));
    }
    if (json_is_boolean(v)) {
        return json_integer(json_is_true(v));
    }
    return json_is_string(v) && sig_pyint(sig_of(v), &n) ? json_integer(n) : json_null();
}

static void add_walk(json_t *out, const json_t *dump)
{
    const json_t *crash = sig_member(dump, "crash_info");

    json_object_set_new(out, "crashing_thread", copy_of(sig_member(crash, "crashing_thread")));
    json_object_set_new(out, "reason", copy_of(sig_member(crash, "type")));
    json_object_set_new(out, "threads", copy_of(sig_member(dump, "threads")));
    json_object_set_new(out, "os", copy_of(sig_member(sig_member(dump, "system_info"), "os")));
}

json_t *sal_crash_data_of(const json_t *processed)
{
    static const char *const same[] = { "hang",
                                        "js_large_allocation_failure",
                                        "abort_message",
                                        "mdsw_status_string",
                                        "async_shutdown_timeout",
                                        "ipc_channel_error",
                                        "ipc_message_name" };
    static const char *const java[] = { "java_exception", "java_stack_trace" };
    const json_t *v;
    json_t *out = json_object();

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        json_object_set_new(out, same[i], copy_of(sig_member(processed, same[i])));
    }
    json_object_set_new(out, "oom_allocation_size",
                        integer_of(sig_member(processed, "oom_allocation_size")));
    v = sig_member(processed, "additional_minidumps");
    json_object_set_new(out, "additional_minidumps", v ? copy_of(v) : json_array());
    v = sig_member(processed, "signature");
    json_object_set_new(out, "original_signature", v ? copy_of(v) : json_string(""));
    if ((v = sig_member(processed, "json_dump")) != NULL) {
        add_walk(out, v);
    }
    for (size_t i = 0; i < sizeof(java) / sizeof(java[0]); i++) {
        if ((v = sig_member(processed, java[i])) != NULL) {
            json_object_set_new(out, java[i], copy_of(v));
        }
    }
    return out;
}
