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
#define SCRATCH_MIN 2048

/* ---- notes ---- */

/* "<rule>: " + a + b + c, in p; copied once, as a frame may be long. */
static sal_signature_line_t make_line(sig_run_t *r, str_t a, str_t b, str_t c)
{
    size_t rule = strlen(r->rule), n = rule + 2 + a.n + b.n + c.n;
    char *text = apr_palloc(r->p, n + 1), *to = text;

    to = (char *)memcpy(to, r->rule, rule) + rule;
    to = (char *)memcpy(to, ": ", 2) + 2;
    to = (char *)memcpy(to, a.s, a.n) + a.n;
    to = (char *)memcpy(to, b.s, b.n) + b.n;
    to = (char *)memcpy(to, c.s, c.n) + c.n;
    *to = '\0';
    return (sal_signature_line_t){ text, n };
}

static void add_line(sig_run_t *r, sig_lines_t *lines, sal_signature_line_t line)
{
    if (lines->n == lines->cap) {
        sal_signature_line_t *more = apr_palloc(r->p, (lines->cap * 2 + 8) * sizeof(*more));

        if (lines->n) {
            memcpy(more, lines->line, lines->n * sizeof(*more));
        }
        lines->line = more;
        lines->cap = lines->cap * 2 + 8;
    }
    lines->line[lines->n++] = line;
}

void sig_note(sig_run_t *r, str_t a, str_t b, str_t c)
{
    add_line(r, &r->notes, make_line(r, a, b, c));
}

void sig_debug(sig_run_t *r, str_t a, str_t b, str_t c)
{
    add_line(r, &r->debug, make_line(r, a, b, c));
}

bool sig_failed(sig_run_t *r, const char *why)
{
    r->failure = why;
    return false;
}

json_t *sal_signature_lines_json(const sal_signature_lines_t *lines)
{
    json_t *out = json_array();

    for (size_t i = 0; i < lines->n; i++) {
        json_array_append_new(out, json_stringn_nocheck(lines->line[i].text, lines->line[i].size));
    }
    return out;
}

const char *sal_signature_lines_text(const sal_signature_lines_t *lines, apr_pool_t *p)
{
    buf_t out;

    sig_buf_init(&out, p);
    for (size_t i = 0; i < lines->n; i++) {
        sig_buf_lit(&out, i ? "\n" : "");
        sig_buf_add(&out, lines->line[i].text, lines->line[i].size);
    }
    return sig_buf_done(&out).s;
}

/* ---- data ---- */

static const str_t in_keys[IN_COUNT] = {
    [IN_HANG] = STR("hang"),
    [IN_OOM_SIZE] = STR("oom_allocation_size"),
    [IN_JS_LARGE] = STR("js_large_allocation_failure"),
    [IN_ABORT] = STR("abort_message"),
    [IN_WALKER_STATUS] = STR("mdsw_status_string"),
    [IN_SHUTDOWN] = STR("async_shutdown_timeout"),
    [IN_IPC_ERROR] = STR("ipc_channel_error"),
    [IN_IPC_NAME] = STR("ipc_message_name"),
    [IN_MINIDUMPS] = STR("additional_minidumps"),
    [IN_CRASHING_THREAD] = STR("crashing_thread"),
    [IN_REASON] = STR("reason"),
    [IN_THREADS] = STR("threads"),
    [IN_OS] = STR("os"),
    [IN_JAVA_EXCEPTION] = STR("java_exception"),
    [IN_JAVA_TRACE] = STR("java_stack_trace"),
};

const json_t *sig_member(const json_t *v, const char *key)
{
    return json_is_object(v) ? json_object_get(v, key) : NULL;
}

void sig_members(const json_t **out, const json_t *object, const str_t *key, size_t n)
{
    json_t *o = (json_t *)object; /* is only read */
    size_t found = 0;

    memset(out, 0, n * sizeof(*out));
    for (void *at = json_object_iter(o); at && found < n; at = json_object_iter_next(o, at)) {
        const char *name = json_object_iter_key(at);
        size_t size = json_object_iter_key_len(at);

        for (size_t i = 0; i < n; i++) {
            if (key[i].n == size && memcmp(key[i].s, name, size) == 0) {
                out[i] = json_object_iter_value(at);
                found++;
                break;
            }
        }
    }
}

int64_t sig_crashing_thread(const sig_run_t *r)
{
    const json_t *v = r->in[IN_CRASHING_THREAD];
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

void sig_find_thread(sig_run_t *r)
{
    static const str_t keys[THREAD_COUNT] = {
        [THREAD_FRAMES] = STR("frames"), [THREAD_LAST_ERROR] = STR("last_error_value")
    };
    const json_t *threads = r->in[IN_THREADS], *found = NULL;
    int64_t n;

    if (r->has_thread) {
        return;
    }
    n = sig_crashing_thread(r);
    if (json_is_array(threads)) {
        n = n < 0 ? n + (int64_t)json_array_size(threads) : n;
        found = n >= 0 ? json_array_get(threads, (size_t)n) : NULL;
    } else if (json_is_object(threads)) {
        found = json_object_get(threads, apr_psprintf(r->p, "%" APR_INT64_T_FMT, n));
    }
    r->thread = found;
    sig_members(r->of_thread, found, keys, THREAD_COUNT);
    r->has_thread = true;
}

apr_pool_t *sig_scratch(sig_run_t *r, size_t n)
{
    if (n <= SCRATCH_MIN) {
        return r->p;
    }
    if (!r->scratch) {
        apr_pool_create(&r->scratch, r->p);
    }
    return r->scratch;
}

/* A truthy member that must be a text. False: the rule fails; n 0: not set. */
static bool get_text(sig_run_t *r, sig_in_t which, str_t *out)
{
    const json_t *v = r->in[which];

    *out = (str_t){ "", 0 };
    if (!sig_truthy(v)) {
        return true;
    }
    if (!json_is_string(v)) {
        return sig_failed(r, apr_pstrcat(r->p, in_keys[which].s, " is not a text", NULL));
    }
    *out = sig_of(v);
    return true;
}

static bool text_is(const json_t *v, str_t value)
{
    return json_is_string(v) && sig_eq(sig_of(v), value);
}

static void prepend(sig_run_t *r, str_t prefix)
{
    r->sig = sig_cat(r->p, prefix, r->sig, STR(""));
}

/* ---- the rules ---- */

static void use_tool(sig_run_t *r, const char *name)
{
    if (r->why) {
        sig_why_tool(r, name);
    }
    sig_debug(r, STR("using "), (str_t){ name, strlen(name) }, STR(""));
}

bool sig_rule_base(sig_run_t *r)
{
    if (sig_truthy(r->in[IN_JAVA_TRACE])) {
        use_tool(r, "JavaSignatureTool");
        return sig_java_text(r);
    }
    if (sig_truthy(r->in[IN_JAVA_EXCEPTION])) {
        use_tool(r, "JavaExceptionSignatureTool");
        return sig_java_exception(r);
    }
    use_tool(r, "CSignatureTool");
    return sig_native(r);
}

static bool rule_walker_error(sig_run_t *r)
{
    const json_t *v = r->in[IN_WALKER_STATUS];

    if (sig_starts(r->sig, STR("EMPTY")) && sig_truthy(v)) {
        r->sig = sig_cat(r->p, r->sig, STR("; "), sig_pystr(v, r->p));
    }
    return true;
}

static bool rule_bad_hardware(sig_run_t *r)
{
    str_t reason;

    if (!get_text(r, IN_REASON, &reason)) {
        return false;
    }
    if (sig_has(reason, STR("STATUS_DEVICE_DATA_ERROR"))) {
        prepend(r, STR("bad hardware | "));
    }
    return true;
}

void sig_rule_marks(sal_siglists_t *lists)
{
    static const str_t mark[] = { STR("NS_ABORT_OOM"), STR("mozalloc_handle_oom"),
                                  STR("CrashAtUnhandlableOOM"), STR("AutoEnterOOMUnsafeRegion"),
                                  STR("alloc::oom::oom") };

    lists->oom.n = sizeof(mark) / sizeof(mark[0]);
    memcpy(lists->oom.needle, mark, sizeof(mark));
    sig_needles_build(&lists->oom);
    lists->watchdog.n = 1;
    lists->watchdog.needle[0] = STR("RunWatchdog");
    sig_needles_build(&lists->watchdog);
}

static bool is_oom(sig_run_t *r, bool *oom)
{
    const json_t *last;

    *oom = sig_truthy(r->in[IN_OOM_SIZE]);
    if (*oom || r->sig.n == 0) {
        return true;
    }
    if (sig_needles_find(&r->lists->oom, r->sig)) {
        *oom = true;
        return true;
    }
    sig_find_thread(r);
    if (sig_truthy(r->thread) && !json_is_object(r->thread)) {
        return sig_failed(r, "thread is not an object");
    }
    last = r->of_thread[THREAD_LAST_ERROR];
    *oom = text_is(last, STR("ERROR_COMMITMENT_LIMIT")) ||
           text_is(last, STR("ERROR_NOT_ENOUGH_MEMORY")) ||
           text_is(r->in[IN_REASON], STR("STATUS_FATAL_MEMORY_EXHAUSTION")) ||
           text_is(r->in[IN_REASON], STR("STATUS_NO_MEMORY")) ||
           text_is(r->in[IN_JS_LARGE], STR("Reporting"));
    return true;
}

static bool oom_size(sig_run_t *r, int64_t *size)
{
    const json_t *v = r->in[IN_OOM_SIZE];

    if (json_is_string(v)) {
        return sig_pyint(sig_of(v), size) || sig_failed(r, "oom_allocation_size is not a number");
    }
    if (json_is_real(v)) {
        double d = json_real_value(v);

        *size = d >= 9e18 ? INT64_MAX : d <= -9e18 ? INT64_MIN : (int64_t)d;
        return true;
    }
    *size = json_is_integer(v) ? json_integer_value(v) : json_is_true(v);
    return true;
}

static bool rule_oom(sig_run_t *r)
{
    const json_t *v = r->in[IN_OOM_SIZE];
    int64_t size;
    bool oom;

    if (!is_oom(r, &oom)) {
        return false;
    }
    if (!oom) {
        return true;
    }
    if (text_is(r->in[IN_JS_LARGE], STR("Reporting"))) {
        prepend(r, STR("OOM | large | "));
        return true;
    }
    if (!v || json_is_null(v) || json_is_array(v) || json_is_object(v)) {
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

    if (!sig_needles_find(&r->lists->watchdog, r->sig)) {
        return true;
    }
    r->rule = "SignatureGenerationRule";
    r->thread_override = true;
    r->has_thread = false;
    ok = sig_rule_base(r);
    r->thread_override = false;
    r->has_thread = false;
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
    const json_t *v = r->in[IN_MINIDUMPS];

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

    if (!get_text(r, IN_IPC_ERROR, &error)) {
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
    const json_t *v = r->in[IN_IPC_NAME];

    if (sig_truthy(v)) {
        r->sig = sig_cat(r->p, r->sig, STR(" | IPC_Message_Name="), sig_pystr(v, r->p));
    }
    return true;
}

static bool rule_stack_overflow(sig_run_t *r)
{
    if (text_is(r->in[IN_REASON], STR("EXCEPTION_STACK_OVERFLOW"))) {
        prepend(r, STR("stackoverflow | "));
    }
    return true;
}

static bool rule_hung_process(sig_run_t *r)
{
    const json_t *v = r->in[IN_HANG];

    if (v && !json_is_null(v)) {
        prepend(r, sig_cat(r->p, STR("hang: "), sig_pystr(v, r->p), STR(" | ")));
    }
    return true;
}

static bool rule_printable(sig_run_t *r)
{
    str_t s = sig_strip(r->sig);

    if (!sig_printable(s)) {
        char *out = apr_palloc(r->p, s.n + 1);
        size_t n = 0;

        for (size_t i = 0; i < s.n; i++) {
            out[n] = s.s[i];
            n += s.s[i] >= ' ' && s.s[i] <= '~';
        }
        s = (str_t){ out, n };
    }
    if (s.n != r->sig.n) {
        sig_note(r, STR("unprintable characters removed"), STR(""), STR(""));
    }
    r->sig = s;
    return true;
}

/* Where the second of two spaces stands; s.n if there are no two. */
static size_t double_space(str_t s)
{
    const char *at = s.s, *end = s.s + s.n;

    while (at < end && (at = memchr(at, ' ', (size_t)(end - at))) != NULL) {
        if (++at < end && *at == ' ') {
            return (size_t)(at - s.s);
        }
    }
    return s.n;
}

/* Only printable ASCII is left here, so a blank is a space. */
static bool rule_whitespace(sig_run_t *r)
{
    str_t s = sig_strip(r->sig);
    size_t n = double_space(s);
    char *out;

    r->sig = s;
    if (n == s.n) {
        return true;
    }
    out = apr_pstrmemdup(r->p, s.s, s.n);
    for (size_t i = n; i < s.n; i++) {
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

static void run_rules(sig_run_t *r)
{
    const str_t from = r->lists->debug_from;

    add_line(r, &r->debug, (sal_signature_line_t){ from.s, from.n });
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        str_t before = r->sig;
        size_t notes = r->notes.n;

        r->rule = rules[i].name;
        r->failure = NULL;
        if (!rules[i].run(r)) {
            sig_note(r, STR("Rule failed: "), (str_t){ r->failure, strlen(r->failure) }, STR(""));
        }
        if (r->why) {
            sig_why_rule(r, before, notes);
        }
    }
}

static void make(sig_run_t *r, sal_signature_t *out, const json_t *crash_data)
{
    sig_members(r->in, crash_data, in_keys, IN_COUNT);
    run_rules(r);
    sig_match_free(r);
    if (r->scratch) {
        apr_pool_destroy(r->scratch);
    }
    *out = (sal_signature_t){ .signature = apr_pstrmemdup(r->p, r->sig.s, r->sig.n),
                              .proto_signature = r->has_proto ? r->proto.s : NULL,
                              .proto_size = r->has_proto ? r->proto.n : 0,
                              .notes = { r->notes.line, r->notes.n },
                              .debug = { r->debug.line, r->debug.n } };
}

void sal_signature_make(sal_signature_t *out, const json_t *crash_data, const sal_siglists_t *lists,
                        apr_pool_t *p)
{
    sig_run_t r = { .p = p, .lists = lists, .sig = STR("") };

    make(&r, out, crash_data);
}

json_t *sal_signature_explain(sal_signature_t *out, const json_t *crash_data,
                              const sal_siglists_t *lists, apr_pool_t *p)
{
    sig_run_t r = { .p = p, .lists = lists, .sig = STR(""), .why = json_object() };

    make(&r, out, crash_data);
    return sig_why_done(&r, out);
}
