/*
 * The base signature of a native crash: frames of the crashing thread, normalised, filtered by the
 * lists, joined. Knows frames as JSON objects of crash data and nothing of where they came from.
 */
#include "signature/sig_private.h"

#include <ctype.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define MAX_FRAMES 40

/* ---- one frame ---- */

typedef sig_why_frame_t frame_t;

/* Text of a value that must be a text if it is set at all; n 0 if it is not. */
static bool text_of(sig_run_t *r, str_t *out, const json_t *v, const char *what)
{
    *out = (str_t){ "", 0 };
    if (!sig_truthy(v)) {
        return true;
    }
    if (!json_is_string(v)) {
        return sig_failed(r, apr_pstrcat(r->p, what, " is not a text", NULL));
    }
    *out = sig_of(v);
    return true;
}

/* The path inside a "vcs:root:path:revision", behind a drive letter, or absolute; else empty. */
static str_t source_name(str_t file)
{
    const char *at = file.s, *end = file.s + file.n;
    size_t colon[4], n = 0;

    while (n < 4 && at < end && (at = memchr(at, ':', (size_t)(end - at))) != NULL) {
        colon[n++] = (size_t)(at++ - file.s);
    }
    if (n == 3) {
        return sig_sub(file, colon[1] + 1, colon[2]);
    }
    if (n == 1) {
        return sig_sub(file, colon[0] + 1, file.n);
    }
    return sig_starts(file, STR("/")) ? file : (str_t){ "", 0 };
}

/* Frames of Rust 1.34, whose symbols lost their path. */
static str_t rust_134(sig_run_t *r, str_t source, str_t function)
{
    static const struct {
        str_t source, function, path;
    } lost[] = {
        { STR("src/liballoc/raw_vec.rs"), STR("capacity_overflow"), STR("alloc::raw_vec::") },
        { STR("src/libcore/option.rs"), STR("expect_failed"), STR("core::option::") },
        { STR("src/libcore/panicking.rs"), STR("panic_bounds_check"), STR("core::panicking::") },
        { STR("src/libcore/panicking.rs"), STR("panic_fmt"), STR("core::panicking::") },
        { STR("src/libcore/panicking.rs"), STR("panic"), STR("core::panicking::") },
        { STR("src/libcore/slice/mod.rs"), STR("slice_index_order_fail"), STR("core::slice::") },
        { STR("src/libstd/panicking.rs"), STR("begin_panic_fmt"), STR("std::panicking::") },
        { STR("src/libstd/panicking.rs"), STR("continue_panic_fmt"), STR("std::panicking::") },
        { STR("src/libstd/panicking.rs"), STR("rust_panic_with_hook"), STR("std::panicking::") },
    };

    for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
        if (sig_eq(source, lost[i].source) && sig_eq(function, lost[i].function)) {
            return sig_cat(r->p, lost[i].path, function, STR(""));
        }
    }
    return function;
}

/* "name.c#12": what follows the last separator, a backslash if there is one. */
static str_t file_line(sig_run_t *r, str_t file, const json_t *line)
{
    const char *cut;
    str_t end;

    while (file.n && (file.s[file.n - 1] == '/' || file.s[file.n - 1] == '\\')) {
        file.n--;
    }
    cut = file.n ? memrchr(file.s, '\\', file.n) : NULL;
    cut = cut || !file.n ? cut : memrchr(file.s, '/', file.n);
    if (cut) {
        file = sig_sub(file, (size_t)(cut - file.s) + 1, file.n);
    }
    end = sig_cat(r->p, STR("#"), sig_pystr(line, r->p), STR(""));
    return sig_cat(r->p, file, end, STR(""));
}

/* The hex digits of a text as Python's int(text, 16) reads them; false if it would refuse. */
static bool hex_digits(buf_t *out, str_t s)
{
    size_t i = 0;
    bool digit = false;

    s = sig_strip(s);
    if (s.n && (s.s[0] == '+' || s.s[0] == '-')) {
        if (s.s[i++] == '-') {
            sig_buf_lit(out, "-");
        }
    }
    sig_buf_lit(out, "0x");
    if (i + 1 < s.n && s.s[i] == '0' && (s.s[i + 1] | 0x20) == 'x') {
        i += 2;
        i += i < s.n && s.s[i] == '_';
    }
    for (size_t start = out->n; i < s.n; i++) {
        char c = (char)apr_tolower(s.s[i]);

        if (c == '_' && digit) {
            digit = false;
            continue;
        }
        if (!apr_isxdigit(c)) {
            return false;
        }
        digit = true;
        if (c != '0' || out->n > start) {
            sig_buf_add(out, &c, 1);
        }
    }
    if (digit && out->s[out->n - 1] == 'x') {
        sig_buf_lit(out, "0");
    }
    return digit;
}

static str_t offset_text(sig_run_t *r, const json_t *offset)
{
    buf_t hex;
    str_t value;

    sig_buf_init(&hex, r->p);
    if (json_is_string(offset) && hex_digits(&hex, sig_of(offset))) {
        value = sig_buf_done(&hex);
        return sig_cat(r->p, STR("@"), sig_eq(value, STR("-0x0")) ? STR("0x0") : value, STR(""));
    }
    return sig_cat(r->p, STR("@"), sig_pystr(offset, r->p), STR(""));
}

static bool unloaded_text(sig_run_t *r, str_t *out, const json_t *list)
{
    const json_t *first = json_array_get(list, 0);

    if (!json_is_object(first)) {
        return sig_failed(r, "unloaded_modules is not a list of objects");
    }
    *out = sig_cat(r->p, STR("(unloaded "), sig_pystr(json_object_get(first, "module"), r->p),
                   STR(")"));
    return true;
}

static str_t lower(sig_run_t *r, str_t s)
{
    char *out;

    if (!sig_printable(s)) {
        return sig_replace(r, r->lists->lower, s, "\\L$0", false);
    }
    out = apr_palloc(r->p, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        out[i] = (char)apr_tolower(s.s[i]);
    }
    return (str_t){ out, s.n };
}

static bool module_text(sig_run_t *r, str_t *out, const json_t *v)
{
    const json_t *os = r->in[IN_OS];

    if (!text_of(r, out, v, "module")) {
        return false;
    }
    if (out->n && json_is_string(os) && sig_eq(sig_of(os), STR("Windows NT"))) {
        *out = lower(r, *out);
    }
    while (out->n && (out->s[0] == '[' || out->s[0] == ']')) {
        *out = sig_sub(*out, 1, out->n);
    }
    while (out->n && (out->s[out->n - 1] == '[' || out->s[out->n - 1] == ']')) {
        out->n--;
    }
    return true;
}

/* Sets f->text, and f->how to the way that led there. */
static bool normalize_frame(sig_run_t *r, frame_t *f)
{
    str_t function, file, source;

    f->text = (str_t){ "", 0 };
    f->how = "nothing";
    if (!text_of(r, &file, f->file, "file") || !text_of(r, &function, f->function, "function")) {
        return false;
    }
    source = source_name(file);
    if (function.n && sig_ends(source, STR(".rs"))) {
        f->how = "Rust function";
        function = rust_134(r, source, function);
        return sig_normalize_rust(r, &f->text, function, f->line);
    }
    if (function.n) {
        f->how = "C/C++ function";
        return sig_normalize_cpp(r, &f->text, function, f->line);
    }
    if (file.n && sig_truthy(f->line)) {
        f->how = "file and line";
        f->text = file_line(r, file, f->line);
        return true;
    }
    if (sig_truthy(f->module)) {
        f->how = "module";
        return module_text(r, &f->text, f->module);
    }
    if (sig_truthy(f->unloaded)) {
        f->how = "unloaded module";
        return unloaded_text(r, &f->text, f->unloaded);
    }
    if (sig_truthy(f->offset)) {
        f->how = "offset";
        f->text = offset_text(r, f->offset);
    }
    return true;
}

/* ---- the list of frames ---- */

typedef struct frames_t {
    str_t frame[MAX_FRAMES];
    int n;
} frames_t;

static bool add_frame(sig_run_t *r, frames_t *list, frame_t *f)
{
    bool ok;

    r->line_match = (sig_match_t){ NULL, 0 };
    ok = normalize_frame(r, f);
    if (ok) {
        if (r->scratch) { /* maybe a slice of memory that ends here */
            f->text = sig_cat(r->p, f->text, STR(""), STR(""));
        }
        list->frame[list->n++] = f->text;
        if (r->why) {
            sig_why_frame(r, f);
        }
    }
    if (r->scratch) {
        apr_pool_clear(r->scratch);
    }
    return ok;
}

/* As frame_t has them; an inlined function has the first three. */
enum { F_FUNCTION, F_FILE, F_LINE, F_INLINE_COUNT, F_MODULE = F_INLINE_COUNT };
enum { F_OFFSET = F_MODULE + 1, F_UNLOADED, F_INLINES, F_COUNT };
static const str_t frame_keys[F_COUNT] = {
    [F_FUNCTION] = STR("function"),
    [F_FILE] = STR("file"),
    [F_LINE] = STR("line"),
    [F_MODULE] = STR("module"),
    [F_OFFSET] = STR("offset"),
    [F_INLINES] = STR("inlines"),
    [F_UNLOADED] = STR("unloaded_modules"),
};

static bool add_inlines(sig_run_t *r, frames_t *list, const json_t **outer)
{
    const json_t *inlines = outer[F_INLINES];

    if (!sig_truthy(inlines)) {
        return true;
    }
    if (!json_is_array(inlines)) {
        return sig_failed(r, "inlines is not a list");
    }
    for (size_t i = 0; i < json_array_size(inlines) && list->n < MAX_FRAMES; i++) {
        const json_t *one = json_array_get(inlines, i), *v[F_INLINE_COUNT];
        frame_t f = { .module = outer[F_MODULE], .offset = outer[F_OFFSET], .is_inline = true };

        if (!json_is_object(one)) {
            return sig_failed(r, "inline is not an object");
        }
        sig_members(v, one, frame_keys, F_INLINE_COUNT);
        f.function = v[F_FUNCTION];
        f.file = v[F_FILE];
        f.line = v[F_LINE];
        if (!add_frame(r, list, &f)) {
            return false;
        }
    }
    return true;
}

static bool collect_frames(sig_run_t *r, frames_t *list, const json_t *frames)
{
    for (size_t i = 0; i < json_array_size(frames) && list->n < MAX_FRAMES; i++) {
        const json_t *one = json_array_get(frames, i), *v[F_COUNT];
        frame_t f = { .is_inline = false };

        if (!json_is_object(one)) {
            return sig_failed(r, "frame is not an object");
        }
        sig_members(v, one, frame_keys, F_COUNT);
        if (!add_inlines(r, list, v)) {
            return false;
        }
        f.function = v[F_FUNCTION];
        f.file = v[F_FILE];
        f.line = v[F_LINE];
        f.module = v[F_MODULE];
        f.offset = v[F_OFFSET];
        f.unloaded = v[F_UNLOADED];
        if (list->n < MAX_FRAMES && !add_frame(r, list, &f)) {
            return false;
        }
    }
    return true;
}

static bool thread_frames(sig_run_t *r, const json_t **frames)
{
    const json_t *v;

    *frames = NULL;
    sig_find_thread(r);
    if (r->thread && !json_is_object(r->thread)) {
        return sig_failed(r, "thread is not an object");
    }
    v = r->of_thread[THREAD_FRAMES];
    if (!v || json_is_array(v) || (!sig_truthy(v) && (json_is_object(v) || json_is_string(v)))) {
        *frames = json_is_array(v) ? v : NULL;
        return true;
    }
    return sig_failed(r, "frames is not a list of objects");
}

/* A lone frame may go on as a slice of the input. */
static str_t join(const frames_t *list, bool copy, apr_pool_t *p)
{
    buf_t out;
    size_t n = 0;

    if (list->n == 1 && !copy) {
        return list->frame[0];
    }
    for (int i = 0; i < list->n; i++) {
        n += list->frame[i].n + 3;
    }
    sig_buf_reserve(&out, n + 1, p);
    for (int i = 0; i < list->n; i++) {
        sig_buf_add(&out, " | ", i ? 3 : 0);
        sig_buf_str(&out, list->frame[i]);
    }
    return sig_buf_done(&out);
}

/* ---- from the list to the signature ---- */

/* Index of the first frame that is a sentinel, 0 if there is none. */
static int after_sentinel(sig_run_t *r, const frames_t *list)
{
    for (int i = 0; i < list->n; i++) {
        str_t frame = list->frame[i];
        sig_match_t by = { &r->lists->sentinels,
                           sig_prefixes_equal(&r->lists->sentinels.literals, frame) };
        const char *index;

        if (by.entry == SIZE_MAX) {
            continue;
        }
        index = apr_psprintf(r->p, "\" index %d", i);
        sig_debug(r, STR("CSignatureTool: sentinel; starting at \""), frame,
                  (str_t){ index, strlen(index) });
        for (int above = 0; r->why && above < i; above++) {
            sig_why_decision(r, above, "above the sentinel", &by);
        }
        return i;
    }
    return 0;
}

/* Frames of a library without symbols: several of the same one in a row count once. */
static bool is_bare_library(str_t frame)
{
    str_t tail = sig_sub(frame, frame.n > 4 ? frame.n - 4 : 0, frame.n);
    char low[5] = "";

    if (sig_starts(frame, STR("(unloaded"))) {
        return false;
    }
    for (size_t i = 0; i < tail.n; i++) {
        low[i] = (char)apr_tolower(tail.s[i]);
    }
    return strcmp(low, ".dll") == 0 || (tail.n >= 3 && strcmp(low + tail.n - 3, ".so") == 0) ||
           sig_eq(frame, STR("XUL")) || sig_eq(frame, STR("<name omitted>")) ||
           sig_starts(frame, STR("<unknown in"));
}

/* What becomes of a frame: "taken" ones join the signature, the last of them ends it. */
static const char *decide(sig_run_t *r, const frames_t *taken, str_t frame, sig_match_t *by)
{
    *by = (sig_match_t){ NULL, 0 };
    if (frame.n == 0) {
        return "empty";
    }
    if (sig_list_match(r, &r->lists->irrelevant, frame, by)) {
        return "irrelevant";
    }
    if (taken->n && sig_eq(frame, taken->frame[taken->n - 1]) && is_bare_library(frame)) {
        return "repeated";
    }
    return sig_list_match(r, &r->lists->prefix, frame, by) ? "prefix" : "stop";
}

static void take_frames(sig_run_t *r, frames_t *taken, const frames_t *list, int i)
{
    for (; i < list->n; i++) {
        str_t frame = list->frame[i];
        sig_match_t by;
        const char *decision = decide(r, taken, frame, &by);

        if (r->why) {
            sig_why_decision(r, i, decision, &by);
        }
        switch (decision[0]) {
        case 'e':
            sig_debug(r, STR("CSignatureTool: empty string; ignoring: \"\""), STR(""), STR(""));
            break;
        case 'i':
            sig_debug(r, STR("CSignatureTool: irrelevant; ignoring: \""), frame, STR("\""));
            break;
        case 'p':
            taken->frame[taken->n++] = frame;
            sig_debug(r, STR("CSignatureTool: prefix; continue iterating: \""), frame, STR("\""));
            break;
        case 's':
            taken->frame[taken->n++] = frame;
            sig_debug(r, STR("CSignatureTool: not a prefix; stop: \""), frame, STR("\""));
            return;
        default:
            break;
        }
    }
}

bool sig_native(sig_run_t *r)
{
    frames_t list, taken;
    const json_t *frames;
    int start;
    str_t sig;

    list.n = taken.n = 0;
    if (!thread_frames(r, &frames) || !collect_frames(r, &list, frames)) {
        return false;
    }
    if (list.n) {
        r->proto = join(&list, true, r->p);
        r->has_proto = true;
    }
    start = after_sentinel(r, &list);
    take_frames(r, &taken, &list, start);
    sig = join(&taken, false, r->p);
    if (sig.n == 0) {
        const char *number = apr_psprintf(r->p, "%" APR_INT64_T_FMT, sig_crashing_thread(r));

        sig_note(r, STR("CSignatureTool: no frame data for crashing thread ("),
                 (str_t){ number, strlen(number) }, STR(")"));
        sig = list.n ? list.frame[start] : STR("EMPTY: no frame data available");
    }
    if (sig.n) {
        r->sig = sig;
    }
    return true;
}
