/*
 * The text of a bug. Its form is that of Crash Stats, which trackers and their bots know.
 */
#include "render/buglink.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/link.h"

enum { TITLE_MAX = 255, LINES_MAX = 10, NAME_MAX_POINTS = 80, JAVA_MAX = 5000, VALUE_MAX = 20000 };

static const char *text_of(const json_t *doc, const char *key)
{
    const char *s = sal_json_str(doc, key);

    return s ? s : "";
}

/* At most max bytes, with dots where something was cut. */
static const char *cut(const char *text, apr_size_t max, const char *dots, apr_pool_t *p)
{
    char *s;

    if (strlen(text) <= max) {
        return text;
    }
    s = apr_pstrdup(p, text);
    sal_utf8_cut(s, max - strlen(dots));
    return apr_pstrcat(p, s, dots, NULL);
}

/* At most n code points. */
static const char *head(const char *text, int n, apr_pool_t *p)
{
    const char *s = text;

    for (; *s; s++) {
        if (((unsigned char)*s & 0xc0) != 0x80 && n-- == 0) {
            break;
        }
    }
    return apr_pstrmemdup(p, text, (apr_size_t)(s - text));
}

/* ---- the description ---- */

typedef struct {
    apr_array_header_t *lines;
    const sal_vcs_t *vcs;
    int frames; /* lines of the stack so far */
} bug_t;

/* A line without blanks at its end. */
static void add(bug_t *b, const char *line)
{
    apr_pool_t *p = b->lines->pool;
    apr_size_t n = strlen(line);

    while (n > 0 && apr_isspace(line[n - 1])) {
        n--;
    }
    APR_ARRAY_PUSH(b->lines, const char *) = apr_pstrcat(p, apr_pstrmemdup(p, line, n), "\n", NULL);
}

/* A fence that the text cannot close: one backtick more than it has in a row. */
static void fenced(bug_t *b, const char *text)
{
    apr_pool_t *p = b->lines->pool;
    apr_size_t longest = 2, run = 0;
    char *fence;

    for (const char *s = text; *s; s++) {
        run = *s == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    longest = longest > 60 ? 60 : longest;
    fence = apr_pcalloc(p, longest + 2);
    memset(fence, '`', longest + 1);
    add(b, fence);
    while (*text) {
        apr_size_t n = strcspn(text, "\n");

        add(b, apr_pstrmemdup(p, text, n));
        text += n + (text[n] != '\0');
    }
    add(b, fence);
}

/* One line of a stack; what has neither file nor module leaves its place empty. */
static const char *frame_line(bug_t *b, int64_t number, const json_t *what, const json_t *frame)
{
    apr_pool_t *p = b->lines->pool;
    const char *file = text_of(what, "file"), *source = "";
    const json_t *line = json_object_get(what, "line");
    sal_vcs_source_t at;

    if (*file) {
        sal_vcs_source(&at, b->vcs, file, json_integer_value(line), NULL, p);
        source = json_is_integer(line) ? apr_psprintf(p, "%s:%" APR_INT64_T_FMT, at.text,
                                                      (apr_int64_t)json_integer_value(line))
                                       : at.text;
    }
    return apr_psprintf(p, "%-2" APR_INT64_T_FMT " %s  %s  %s", (apr_int64_t)number,
                        text_of(frame, "module"),
                        head(sal_format_frame(what, p), NAME_MAX_POINTS, p), source);
}

static void take(bug_t *b, const char **out, const char *line)
{
    apr_pool_t *p = b->lines->pool;
    apr_size_t n = strlen(line);

    while (n > 0 && apr_isspace(line[n - 1])) {
        n--;
    }
    *out = apr_pstrcat(p, *out, apr_pstrmemdup(p, line, n), "\n", NULL);
    b->frames++;
}

static const char *native_lines(bug_t *b, const json_t *frames)
{
    const char *out = "";
    json_t *frame, *inl;
    size_t i, k;

    json_array_foreach(frames, i, frame)
    {
        const json_t *number = json_object_get(frame, "frame");
        int64_t n = json_is_integer(number) ? json_integer_value(number) : (int64_t)i;

        if (json_object_get(frame, "truncated")) {
            continue;
        }
        json_array_foreach(json_object_get(frame, "inlines"), k, inl)
        {
            if (b->frames < LINES_MAX) {
                take(b, &out, frame_line(b, n, inl, frame));
            }
        }
        if (b->frames < LINES_MAX) {
            take(b, &out, frame_line(b, n, frame, frame));
        }
    }
    return out;
}

static const char *java_lines(bug_t *b, const json_t *frames)
{
    apr_pool_t *p = b->lines->pool;
    const char *out = "";
    json_t *f;
    size_t i;

    json_array_foreach(frames, i, f)
    {
        const json_t *line = json_object_get(f, "lineno");

        if (b->frames == LINES_MAX) {
            break;
        }
        take(b, &out,
             apr_psprintf(
                 p, "%-2d %s  %s  %s%s", (int)i, text_of(f, "module"),
                 head(text_of(f, "function"), NAME_MAX_POINTS, p), text_of(f, "filename"),
                 json_is_integer(line)
                     ? apr_psprintf(p, ":%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(line))
                     : ""));
    }
    return out;
}

static void stack(bug_t *b, const char *lines)
{
    apr_pool_t *p = b->lines->pool;

    add(b, b->frames == 1 ? "Top 1 frame:" : apr_psprintf(p, "Top %d frames:", b->frames));
    fenced(b, lines);
}

/* The stack of what crashed, of thread 0 if that is not known, or what there is of Java. */
static void add_stack(bug_t *b, const json_t *doc)
{
    const json_t *dump = json_object_get(doc, "json_dump");
    const json_t *crashing = json_object_get(doc, "crashing_thread");
    bool known = json_is_integer(crashing) && json_integer_value(crashing) >= 0;
    const json_t *thread = json_array_get(json_object_get(dump, "threads"),
                                          known ? (size_t)json_integer_value(crashing) : 0);
    const json_t *values = sal_json_path(doc, "java_exception.exception.values");
    const char *java = text_of(doc, "java_stack_trace"), *lines;

    if (!json_array_size(json_object_get(thread, "frames"))) {
        thread = known ? json_object_get(dump, "crashing_thread") : NULL;
    }
    lines = native_lines(b, json_object_get(thread, "frames"));
    if (*lines) {
        if (!known) {
            add(b, "No crashing thread identified; using thread 0.");
            add(b, "");
        }
        stack(b, lines);
        return;
    }
    lines = java_lines(b, sal_json_path(json_array_get(values, 0), "stacktrace.frames"));
    if (*lines) {
        stack(b, lines);
    } else if (*java) {
        add(b, "Java stack trace:");
        fenced(b, cut(java, JAVA_MAX, "", b->lines->pool));
    } else {
        add(b, "No stack.");
    }
}

static const char *description(const json_t *doc, const char *url, const sal_vcs_t *vcs,
                               apr_pool_t *p)
{
    bug_t b = { .lines = apr_array_make(p, 32, sizeof(const char *)), .vcs = vcs };
    const char *moz = text_of(doc, "moz_crash_reason"), *reason = text_of(doc, "reason");

    add(&b, apr_pstrcat(p, "Crash report: ", url, NULL));
    add(&b, "");
    if (*moz || *reason) {
        add(&b, *moz ? "MOZ_CRASH Reason:" : "Reason:");
        fenced(&b, cut(*moz ? moz : reason, VALUE_MAX, "...", p));
        add(&b, "");
    }
    add_stack(&b, doc);
    return apr_array_pstrcat(p, b.lines, 0);
}

/* ---- the values ---- */

/* A tracker's names of systems are fewer than ours. */
static const char *op_sys(const json_t *doc, apr_pool_t *p)
{
    const char *os = text_of(doc, "os_pretty_version");

    if (!*os) {
        os = text_of(doc, "os_name");
    }
    if (strncmp(os, "OS X ", 5) == 0 || strncmp(os, "macOS ", 6) == 0) {
        return "macOS";
    }
    if (strcmp(os, "Windows 8.1") == 0) {
        return "Windows 8";
    }
    if (strcmp(os, "Windows Unknown") == 0 || strcmp(os, "Windows 2000") == 0) {
        return "Windows";
    }
    return cut(os, 200, "", p);
}

void sal_bug_text(sal_bug_text_t *out, const json_t *processed, const char *url,
                  const sal_vcs_t *vcs, apr_pool_t *p)
{
    const char *signature = cut(text_of(processed, "signature"), VALUE_MAX, "...", p);

    out->signature = apr_pstrcat(p, "[@ ", signature, "]", NULL);
    out->title = cut(apr_pstrcat(p, "Crash in ", out->signature, NULL), TITLE_MAX, "...", p);
    out->bug_type = "defect";
    out->op_sys = op_sys(processed, p);
    out->rep_platform = cut(text_of(processed, "cpu_arch"), 200, "", p);
    out->description = description(processed, url, vcs, p);
}

/* ---- links ---- */

static const char *const keys[] = { "bug_type",    "op_sys", "rep_platform", "signature", "title",
                                    "description", NULL };

apr_status_t sal_bug_template(sal_bug_template_t *out, const char *line, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *at = line, *fault;
    const char *product = sal_link_word(&at, p), *pattern = sal_link_word(&at, p);

    if (!product || !pattern || !*at) {
        return sal_fail(err, SAL_E_MALFORMED, "bug-link %.200s: expected \"PRODUCT TEMPLATE TEXT\"",
                        line);
    }
    if ((fault = sal_link_fault(pattern, keys, p))) {
        return sal_fail(err, SAL_E_MALFORMED, "bug-link %.200s: %s", line, fault);
    }
    *out = (sal_bug_template_t){ product, pattern, apr_pstrdup(p, at) };
    for (char *s = (char *)product; *s; s++) {
        *s = *s == '+' ? ' ' : *s;
    }
    return APR_SUCCESS;
}

const char *sal_bug_link(const char *pattern, const sal_bug_text_t *bug, apr_pool_t *p)
{
    const sal_link_value_t values[] = { { "bug_type", bug->bug_type, SAL_LINK_FORM },
                                        { "op_sys", bug->op_sys, SAL_LINK_FORM },
                                        { "rep_platform", bug->rep_platform, SAL_LINK_FORM },
                                        { "signature", bug->signature, SAL_LINK_FORM },
                                        { "title", bug->title, SAL_LINK_FORM },
                                        { "description", bug->description, SAL_LINK_FORM },
                                        { NULL, NULL, SAL_LINK_PART } };

    return sal_link_fill(pattern, values, p);
}

json_t *sal_bug_links(const sal_bug_template_t *list, int n, const char *product,
                      const sal_bug_text_t *bug, apr_pool_t *p)
{
    json_t *out = json_array();

    for (int all = 0; all < 2; all++) {
        for (int i = 0; i < n; i++) {
            const char *url;

            if (strcmp(list[i].product, all ? "*" : product) == 0 &&
                (url = sal_bug_link(list[i].pattern, bug, p))) {
                json_array_append_new(out,
                                      json_pack("{s:s, s:s}", "text", list[i].text, "url", url));
            }
        }
    }
    return out;
}
