/*
 * The fourteen signature rules in their order, and the run that applies them.
 *
 * A rule that fails leaves a note and what it had changed so far; the next rule runs.
 */
#include "signature/sig_private.h"

#include <apr_strings.h>
#include "base/json.h"

#define SMALL_OOM (256 * 1024)
#define SIGNATURE_MAX 255
#define MATCH_LIMIT 2000000
#define DEPTH_LIMIT 100000

/* ---- notes and data ---- */

static void add_line(sig_run_t *r, json_t *list, str_t a, str_t b, str_t c)
{
    buf_t text;
    str_t line;

    sig_buf_init(&text, r->p);
    sig_buf_lit(&text, r->rule);
    sig_buf_lit(&text, ": ");
    sig_buf_str(&text, a);
    sig_buf_str(&text, b);
    sig_buf_str(&text, c);
    line = sig_buf_done(&text);
    json_array_append_new(list, json_stringn_nocheck(line.s, line.n));
}

void sig_note(sig_run_t *r, str_t a, str_t b, str_t c)
{
    add_line(r, r->notes, a, b, c);
}

void sig_debug(sig_run_t *r, str_t a, str_t b, str_t c)
{
    add_line(r, r->debug, a, b, c);
}

bool sig_failed(sig_run_t *r, const char *why)
{
    r->failure = why;
    return false;
}

const json_t *sig_member(const json_t *v, const char *key)
{
    return json_is_object(v) ? json_object_get(v, key) : NULL;
}

const json_t *sig_get(const sig_run_t *r, const char *key)
{
    return sig_member(r->data, key);
}

int64_t sig_crashing_thread(const sig_run_t *r)
{
    const json_t *v = sig_get(r, "crashing_thread");
    int64_t n = 0;

    if (r->thread_override) {
        return 0;
    }
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_INTEGER:
        return json_integer_value(v);
    case JSON_TRUE:
        return 1;
    case JSON_REAL:
        return json_real_value(v) > -9e15 && json_real_value(v) < 9e15 ? (int64_t)json_real_value(v)
                                                                       : 0;
    case JSON_STRING:
        return sig_pyint(sig_of(v), &n) ? n : 0;
    default:
        return 0;
    }
}

bool sig_find_thread(sig_run_t *r, const json_t **thread)
{
    const json_t *threads = sig_get(r, "threads"), *found = NULL;
    int64_t n = sig_crashing_thread(r);

    *thread = NULL;
    if (json_is_array(threads)) {
        n = n < 0 ? n + (int64_t)json_array_size(threads) : n;
        found = n >= 0 ? json_array_get(threads, (size_t)n) : NULL;
    } else if (json_is_object(threads)) {
        found = json_object_get(threads, apr_psprintf(r->p, "%" APR_INT64_T_FMT, n));
    }
    if (found && !json_is_object(found)) {
        return sig_failed(r, "thread is not an object");
    }
    *thread = found;
    return true;
}

/* A truthy member that must be a text. False: the rule fails; n 0: not set. */
static bool get_text(sig_run_t *r, const char *key, str_t *out)
{
    const json_t *v = sig_get(r, key);

    *out = (str_t){ "", 0 };
    if (!sig_truthy(v)) {
        return true;
    }
    if (!json_is_string(v)) {
        return sig_failed(r, apr_pstrcat(r->p, key, " is not a text", NULL));
    }
    *out = sig_of(v);
    return true;
}

static bool text_is(sig_run_t *r, const char *key, const char *value)
{
    const json_t *v = sig_get(r, key);

    return json_is_string(v) && sig_eq(sig_of(v), (str_t){ value, strlen(value) });
}

static void prepend(sig_run_t *r, str_t prefix)
{
    r->sig = sig_cat(r->p, prefix, r->sig, STR(""));
}

/* ---- the rules ---- */

bool sig_rule_base(sig_run_t *r)
{
    if (sig_truthy(sig_get(r, "java_stack_trace"))) {
        sig_why_tool(r, "JavaSignatureTool");
        sig_debug(r, STR("using JavaSignatureTool"), STR(""), STR(""));
        return sig_java_text(r);
    }
    if (sig_truthy(sig_get(r, "java_exception"))) {
        sig_why_tool(r, "JavaExceptionSignatureTool");
        sig_debug(r, STR("using JavaExceptionSignatureTool"), STR(""), STR(""));
        return sig_java_exception(r);
    }
    sig_why_tool(r, "CSignatureTool");
    sig_debug(r, STR("using CSignatureTool"), STR(""), STR(""));
    return sig_native(r);
}

static bool rule_walker_error(sig_run_t *r)
{
    const json_t *v = sig_get(r, "mdsw_status_string");

    if (sig_starts(r->sig, STR("EMPTY")) && sig_truthy(v)) {
        r->sig = sig_cat(r->p, r->sig, STR("; "), sig_pystr(v, r->p));
    }
    return true;
}

static bool rule_bad_hardware(sig_run_t *r)
{
    str_t reason;

    if (!get_text(r, "reason", &reason)) {
        return false;
    }
    if (sig_has(reason, STR("STATUS_DEVICE_DATA_ERROR"))) {
        prepend(r, STR("bad hardware | "));
    }
    return true;
}

static bool oom_in_signature(const sig_run_t *r)
{
    static const str_t mark[] = { STR("NS_ABORT_OOM"), STR("mozalloc_handle_oom"),
                                  STR("CrashAtUnhandlableOOM"), STR("AutoEnterOOMUnsafeRegion"),
                                  STR("alloc::oom::oom") };

    for (size_t i = 0; i < sizeof(mark) / sizeof(mark[0]); i++) {
        if (sig_has(r->sig, mark[i])) {
            return true;
        }
    }
    return false;
}

static bool is_oom(sig_run_t *r, bool *oom)
{
    const json_t *thread, *last;

    *oom = sig_truthy(sig_get(r, "oom_allocation_size"));
    if (*oom || r->sig.n == 0) {
        return true;
    }
    if (oom_in_signature(r)) {
        *oom = true;
        return true;
    }
    if (!sig_find_thread(r, &thread)) {
        return false;
    }
    last = sig_member(thread, "last_error_value");
    *oom = (json_is_string(last) && (sig_eq(sig_of(last), STR("ERROR_COMMITMENT_LIMIT")) ||
                                     sig_eq(sig_of(last), STR("ERROR_NOT_ENOUGH_MEMORY")))) ||
           text_is(r, "reason", "STATUS_FATAL_MEMORY_EXHAUSTION") ||
           text_is(r, "reason", "STATUS_NO_MEMORY") ||
           text_is(r, "js_large_allocation_failure", "Reporting");
    return true;
}

static bool oom_size(sig_run_t *r, int64_t *size)
{
    const json_t *v = sig_get(r, "oom_allocation_size");

    if (json_is_string(v)) {
        return sig_pyint(sig_of(v), size) || sig_failed(r, "oom_allocation_size is not a number");
    }
    if (json_is_real(v)) {
        double d = json_real_value(v);

        *size = d >= 9e18 ? INT64_MAX : d <= -9e18 ? INT64_MIN : (int64_t)d;
        return true;
    }
    if (!json_is_integer(v) && !json_is_boolean(v)) {
        return sig_failed(r, "oom_allocation_size is not a number");
    }
    *size = json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
    return true;
}

static bool rule_oom(sig_run_t *r)
{
    const json_t *v = sig_get(r, "oom_allocation_size");
    int64_t size;
    bool oom;

    if (!is_oom(r, &oom)) {
        return false;
    }
    if (!oom) {
        return true;
    }
    if (text_is(r, "js_large_allocation_failure", "Reporting")) {
        prepend(r, STR("OOM | large | "));
        return true;
    }
    if (!v || json_is_null(v)) {
        prepend(r, STR("OOM | unknown | "));
        return true;
    }
    if (!oom_size(r, &size)) {
        return false;
    }
    if (size <= SMALL_OOM) {
        r->sig = STR("OOM | small");
    } else {
        prepend(r, STR("OOM | large | "));
    }
    return true;
}

static bool rule_watchdog(sig_run_t *r)
{
    const char *name = r->rule;
    bool ok;

    if (!sig_has(r->sig, STR("RunWatchdog"))) {
        return true;
    }
    r->rule = "SignatureGenerationRule";
    r->thread_override = 1;
    ok = sig_rule_base(r);
    r->thread_override = 0;
    r->rule = name;
    if (ok) {
        prepend(r, STR("shutdownhang | "));
    }
    return ok;
}

/* Has `additional_minidumps` the browser's dump: a member of the list, or part of the text. */
static bool browser_dump(const sig_run_t *r)
{
    static const str_t name = STR("upload_file_minidump_browser");
    const json_t *v = sig_get(r, "additional_minidumps");

    if (json_is_string(v)) {
        return sig_has(sig_of(v), name);
    }
    if (json_is_object(v)) {
        return json_object_get(v, name.s) != NULL;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);

        if (json_is_string(one) && sig_eq(sig_of(one), name)) {
            return true;
        }
    }
    return false;
}

static bool rule_ipc_channel(sig_run_t *r)
{
    str_t error;

    if (!get_text(r, "ipc_channel_error", &error)) {
        return false;
    }
    if (error.n) {
        r->sig =
            sig_cat(r->p, browser_dump(r) ? STR("IPCError-browser | ") : STR("IPCError-content | "),
                    sig_head(error, 100), STR(""));
        sig_note(r, STR("IPC Channel Error stomped on signature"), STR(""), STR(""));
    }
    return true;
}

static bool rule_ipc_message(sig_run_t *r)
{
    const json_t *v = sig_get(r, "ipc_message_name");

    if (sig_truthy(v)) {
        r->sig = sig_cat(r->p, r->sig, STR(" | IPC_Message_Name="), sig_pystr(v, r->p));
    }
    return true;
}

static bool rule_stack_overflow(sig_run_t *r)
{
    if (text_is(r, "reason", "EXCEPTION_STACK_OVERFLOW")) {
        prepend(r, STR("stackoverflow | "));
    }
    return true;
}

static bool rule_hung_process(sig_run_t *r)
{
    const json_t *v = sig_get(r, "hang");

    if (v && !json_is_null(v)) {
        prepend(r, sig_cat(r->p, STR("hang: "), sig_pystr(v, r->p), STR(" | ")));
    }
    return true;
}

static bool rule_printable(sig_run_t *r)
{
    str_t s = sig_strip(r->sig);
    char *out = apr_palloc(r->p, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        out[n] = s.s[i];
        n += s.s[i] >= ' ' && s.s[i] <= '~';
    }
    if (n != r->sig.n) {
        sig_note(r, STR("unprintable characters removed"), STR(""), STR(""));
    }
    r->sig = (str_t){ out, n };
    return true;
}

/* Only printable ASCII is left here, so a blank is a space. */
static bool rule_whitespace(sig_run_t *r)
{
    str_t s = sig_strip(r->sig);
    char *out = apr_palloc(r->p, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        out[n] = s.s[i];
        n += s.s[i] != ' ' || s.s[i - 1] != ' ';
    }
    r->sig = (str_t){ out, n };
    return true;
}

static bool rule_truncate(sig_run_t *r)
{
    if (r->sig.n > SIGNATURE_MAX) {
        r->sig = sig_cat(r->p, sig_sub(r->sig, 0, SIGNATURE_MAX - 3), STR("..."), STR(""));
        sig_note(r, STR("SigTrunc: signature truncated due to length"), STR(""), STR(""));
    }
    return true;
}

static const struct {
    const char *name;
    bool (*run)(sig_run_t *r);
} rules[] = {
    { "SignatureGenerationRule", sig_rule_base },
    { "StackwalkerErrorSignatureRule", rule_walker_error },
    { "BadHardware", rule_bad_hardware },
    { "OOMSignature", rule_oom },
    { "AbortSignature", sig_rule_abort },
    { "SignatureShutdownTimeout", sig_rule_shutdown_timeout },
    { "SignatureRunWatchDog", rule_watchdog },
    { "SignatureIPCChannelError", rule_ipc_channel },
    { "SignatureIPCMessageName", rule_ipc_message },
    { "StackOverflowSignature", rule_stack_overflow },
    { "HungProcess", rule_hung_process },
    { "SigPrintableCharsOnly", rule_printable },
    { "SigFixWhitespace", rule_whitespace },
    { "SigTruncate", rule_truncate },
};

static apr_status_t free_match(void *data)
{
    sig_run_t *r = data;

    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->limits);
    return APR_SUCCESS;
}

static void start_run(sig_run_t *r, apr_pool_t *p)
{
    r->notes = sal_json_own(json_array(), p);
    r->debug = sal_json_own(json_array(), p);
    r->match = pcre2_match_data_create(4, NULL);
    r->limits = pcre2_match_context_create(NULL);
    r->match_limit = MATCH_LIMIT;
    pcre2_set_match_limit(r->limits, r->match_limit);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    apr_pool_create(&r->scratch, p);
    apr_pool_cleanup_register(p, r, free_match, apr_pool_cleanup_null);
}

static void run_rules(sig_run_t *r)
{
    str_t dir = { r->lists->dir, strlen(r->lists->dir) };

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        str_t before = r->sig;
        size_t notes = json_array_size(r->notes);

        r->rule = rules[i].name;
        r->failure = NULL;
        if (i == 0) {
            sig_debug(r, STR("using signature lists from "), dir, STR(""));
        }
        if (!rules[i].run(r)) {
            sig_note(r, STR("Rule failed: "), (str_t){ r->failure, strlen(r->failure) }, STR(""));
        }
        sig_why_rule(r, before, notes);
    }
}

static sig_run_t *make(sal_signature_t *out, const json_t *crash_data, const sal_siglists_t *lists,
                       json_t *why, apr_pool_t *p)
{
    sig_run_t *r = apr_pcalloc(p, sizeof(*r));

    *r = (sig_run_t){ .p = p, .lists = lists, .data = crash_data, .sig = STR(""), .why = why };
    start_run(r, p);
    run_rules(r);
    out->signature = apr_pstrmemdup(p, r->sig.s, r->sig.n);
    out->proto_signature = r->has_proto ? r->proto.s : NULL;
    out->proto_size = r->has_proto ? r->proto.n : 0;
    out->notes = r->notes;
    out->debug = r->debug;
    return r;
}

void sal_signature_make(sal_signature_t *out, const json_t *crash_data, const sal_siglists_t *lists,
                        apr_pool_t *p)
{
    make(out, crash_data, lists, NULL, p);
}

json_t *sal_signature_explain(sal_signature_t *out, const json_t *crash_data,
                              const sal_siglists_t *lists, apr_pool_t *p)
{
    return sig_why_done(make(out, crash_data, lists, json_object(), p), out);
}
