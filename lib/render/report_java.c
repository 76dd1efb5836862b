/*
 * Exceptions of Java: as a client's structured report tells them, or as text.
 */
#include "render/report_private.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "render/format.h"

enum { EXCEPTIONS_MAX = 50, JAVA_FRAMES_MAX = 1000 };

static json_t *frame_row(const json_t *frame, int number, apr_pool_t *p)
{
    const char *file = sal_json_str(frame, "filename"), *function = sal_json_str(frame, "function");
    const json_t *line = json_object_get(frame, "lineno");
    const json_t *own = json_object_get(frame, "in_app");
    json_t *row = json_pack("{s:i, s:b}", "num", number, "own", json_is_true(own));

    sal_report_put(row, "module", sal_json_str(frame, "module"));
    sal_report_put(row, "function", function ? sal_report_cut(function, p) : NULL);
    sal_report_put(row, "in_app",
                   json_is_boolean(own) ? json_is_true(own) ? "yes" : "no" : "unknown");
    if (file && *file) {
        file = sal_report_cut(file, p);
        sal_report_put(row, "source",
                       json_is_integer(line) ? apr_psprintf(p, "%s:%" APR_INT64_T_FMT, file,
                                                            (apr_int64_t)json_integer_value(line))
                                             : file);
    }
    return row;
}

/* Its name, what it says to those who may read that, its frames. */
static json_t *exception_view(const json_t *value, int *left, apr_pool_t *p)
{
    const json_t *trace = json_object_get(value, "stacktrace");
    const char *module = sal_json_str(trace, "module"), *type = sal_json_str(trace, "type");
    const char *message = sal_json_str(trace, "value");
    json_t *rows = json_array(), *frame, *out;
    size_t i;

    json_array_foreach(json_object_get(trace, "frames"), i, frame)
    {
        if (--*left < 0) {
            break;
        }
        json_array_append_new(rows, frame_row(frame, (int)i, p));
    }
    out = json_pack("{s:b, s:o}", "any_frames", json_array_size(rows) > 0, "frames", rows);
    sal_report_put(out, "name",
                   apr_pstrcat(p, module ? module : "", module && *module ? "." : "",
                               type && *type ? type : "unnamed", NULL));
    sal_report_put(out, "message", message ? sal_report_cut(message, p) : NULL);
    return out;
}

void sal_report_put_java(const sal_report_t *r, json_t *view)
{
    const json_t *values = sal_json_path(r->doc, "java_exception.exception.values");
    const char *raw = sal_json_str(r->doc, "java_stack_trace_raw");
    const char *text = raw ? raw : sal_json_str(r->doc, "java_stack_trace");
    json_t *list = json_array(), *value, *java;
    int left = JAVA_FRAMES_MAX;
    size_t i;

    json_array_foreach(values, i, value)
    {
        if (i < EXCEPTIONS_MAX && json_is_object(value)) {
            json_array_append_new(list, exception_view(value, &left, r->p));
        }
    }
    if (json_array_size(list) == 0 && (!text || !*text)) {
        json_decref(list);
        json_object_set_new(view, "java", json_false());
        return;
    }
    java = json_pack("{s:b}", "raw", raw != NULL);
    sal_report_put_list(java, "exceptions", list, r->p);
    sal_report_put(java, "trace", text && *text ? sal_report_cut(text, r->p) : NULL);
    json_object_set_new(view, "java", java);
}
