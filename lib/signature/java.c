/*
 * Base signatures of Java crashes: from the text of a stack trace, or from a structured exception.
 */
#include "signature/sig_private.h"

#define JAVA_MAX 255

/* ---- text ---- */

static bool is_break(uint32_t c)
{
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

/* The next line, stripped; *i behind its break. False at the end of the text. */
static bool next_line(str_t s, size_t *i, str_t *line)
{
    size_t start = *i;

    if (*i >= s.n) {
        return false;
    }
    while (*i < s.n) {
        size_t at = *i;
        uint32_t c = sig_next(s, i);

        if (is_break(c)) {
            if (c == '\r' && *i < s.n && s.s[*i] == '\n') {
                (*i)++;
            }
            *line = sig_strip(sig_sub(s, start, at));
            return true;
        }
    }
    *line = sig_strip(sig_sub(s, start, s.n));
    return true;
}

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Every "@" + eight hex digits becomes "@<addr>". */
static str_t hide_addresses(str_t s, apr_pool_t *p)
{
    buf_t out;

    sig_buf_init(&out, p);
    for (size_t i = 0; i < s.n; i++) {
        size_t k = 0;

        sig_buf_add(&out, s.s + i, 1);
        if (s.s[i] != '@') {
            continue;
        }
        while (k < 8 && i + 1 + k < s.n && is_lower_hex(s.s[i + 1 + k])) {
            k++;
        }
        if (k == 8) {
            sig_buf_lit(&out, "<addr>");
            i += 8;
        }
    }
    return sig_buf_done(&out);
}

/* a + delimiter + b, without the delimiter if one is empty. */
static str_t join_set(str_t a, str_t delimiter, str_t b, apr_pool_t *p)
{
    return !a.n ? b : !b.n ? a : sig_cat(p, a, delimiter, b);
}

/* "Foo.java:12)" at the end -> "Foo.java)". */
static str_t drop_line_number(sig_run_t *r, str_t method)
{
    if (!sig_has(method, STR(".java:"))) {
        return method;
    }
    return sig_replace(r, r->lists->java_line, method, ".java)", true);
}

static void java_note(sig_run_t *r, str_t text)
{
    sig_note(r, STR("JavaSignatureTool: "), text, STR(""));
}

static void split_first_line(sig_run_t *r, str_t line, str_t *class_name, str_t *description)
{
    size_t colon = sig_find(line, STR(":"), 0);

    if (colon == SIZE_MAX) {
        *class_name = line;
        *description = (str_t){ "", 0 };
        java_note(r, STR("stack trace line 1 is not in the expected format"));
        return;
    }
    *class_name = sig_strip(sig_sub(line, 0, colon));
    *description = sig_strip(hide_addresses(sig_sub(line, colon + 1, line.n), r->p));
}

bool sig_java_text(sig_run_t *r)
{
    const json_t *v = r->in[IN_JAVA_TRACE];
    str_t line = { "", 0 }, class_name, description, method = { "", 0 };
    size_t i = 0;

    if (!json_is_string(v)) {
        r->sig = STR("EMPTY: Java stack trace not in expected format");
        java_note(r, STR("stack trace not in expected format"));
        return true;
    }
    next_line(sig_of(v), &i, &line);
    split_first_line(r, line, &class_name, &description);
    if (!next_line(sig_of(v), &i, &line)) {
        java_note(r, STR("stack trace line 2 is missing"));
    } else if (line.n == 0) {
        java_note(r, STR("stack trace line 2 is empty"));
    } else {
        method = drop_line_number(r, line);
    }
    if (sig_ends(description, STR("<addr>"))) {
        r->sig =
            join_set(join_set(class_name, STR(": "), description, r->p), STR(": "), method, r->p);
    } else {
        r->sig =
            join_set(class_name, STR(": "), join_set(description, STR(" "), method, r->p), r->p);
    }
    if (sig_points(r->sig) > JAVA_MAX) {
        r->sig = sig_cat(r->p, class_name, STR(": "), method);
        java_note(r, STR("dropped Java exception description due to length"));
    }
    return true;
}

/* ---- structured exception ---- */

static bool java_class(sig_run_t *r, str_t *out, const json_t *trace)
{
    const json_t *module = json_object_get(trace, "module");
    const json_t *type = json_object_get(trace, "type");
    str_t name = type ? sig_pystr(type, r->p) : STR("Unknown");

    *out = sig_truthy(module) && (!type || sig_truthy(type))
               ? sig_cat(r->p, sig_pystr(module, r->p), STR("."), name)
               : name;
    return true;
}

static str_t java_frame(sig_run_t *r, const json_t *frame)
{
    const json_t *module = json_object_get(frame, "module");
    const json_t *function = json_object_get(frame, "function");
    const json_t *file = json_object_get(frame, "filename");
    str_t name;

    if (!sig_truthy(module) && !sig_truthy(function)) {
        return STR("unknown");
    }
    name = join_set(sig_truthy(module) ? sig_pystr(module, r->p) : STR(""), STR("."),
                    sig_truthy(function) ? sig_pystr(function, r->p) : STR(""), r->p);
    if (sig_truthy(file)) {
        name =
            sig_cat(r->p, name, STR("("), sig_cat(r->p, sig_pystr(file, r->p), STR(")"), STR("")));
    }
    return name;
}

static const json_t *first_trace(const json_t *exception)
{
    const json_t *values = sig_member(sig_member(exception, "exception"), "values");

    return sig_member(json_array_get(values, 0), "stacktrace");
}

bool sig_java_exception(sig_run_t *r)
{
    const json_t *trace = first_trace(r->in[IN_JAVA_EXCEPTION]);
    const json_t *frames;
    str_t name;

    if (!sig_truthy(trace)) {
        r->sig = STR("EMPTY: Java exception not in expected format");
        sig_note(r, STR("JavaExceptionSignatureTool: value not in expected format"), STR(""),
                 STR(""));
        return true;
    }
    if (!json_is_object(trace)) {
        return sig_failed(r, "stacktrace is not an object");
    }
    frames = json_object_get(trace, "frames");
    if (sig_truthy(frames) && !json_is_array(frames)) {
        return sig_failed(r, "frames is not a list");
    }
    for (size_t i = 0; i < json_array_size(frames); i++) {
        if (!json_is_object(json_array_get(frames, i))) {
            return sig_failed(r, "frame is not an object");
        }
    }
    if (!java_class(r, &name, trace)) {
        return false;
    }
    r->sig = json_array_size(frames)
                 ? sig_cat(r->p, name, STR(": at "), java_frame(r, json_array_get(frames, 0)))
                 : name;
    return true;
}
