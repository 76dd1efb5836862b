/*
 * R28: Java stack traces. Messages and nested causes may hold anything a user typed: the public
 * text keeps the class and the frames of the outermost exception.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>

#define FRAME "\tat "

/* The line at *at without its break; *at moves to the next one, NULL after the last. */
static const char *take_line(const char **at, apr_pool_t *p)
{
    size_t len = strcspn(*at, "\r\n");
    const char *line = apr_pstrmemdup(p, *at, len);

    *at += len;
    *at += **at == '\r';
    *at += **at == '\n';
    *at = **at ? *at : NULL;
    return line;
}

static bool is_blank(const char *line, apr_pool_t *p)
{
    return !*rule_trim(line, p);
}

static bool is_nested(const char *line, apr_pool_t *p)
{
    line = rule_trim(line, p);
    return rule_starts(line, "Suppressed:") || rule_starts(line, "Caused by:");
}

/* The public text, or NULL if the trace is malformed. */
static const char *public_trace(const char *text, apr_pool_t *p)
{
    const char *out = NULL;
    bool in_frames = false;

    while (text) {
        const char *line = take_line(&text, p);

        if (is_blank(line, p)) {
            continue;
        }
        if (!out) {
            /* class: message */
            out = rule_trim(apr_pstrmemdup(p, line, strcspn(line, ":")), p);
            continue;
        }
        if (!in_frames && !rule_starts(line, FRAME)) {
            continue; /* the message goes on */
        }
        if (in_frames && is_nested(line, p)) {
            break;
        }
        in_frames = true;
        if (*line != '\t') {
            return NULL;
        }
        out = apr_pstrcat(p, out, "\n", line, NULL);
    }
    return in_frames ? out : apr_pstrcat(p, out ? out : "", "\n", NULL);
}

const char *rule_JavaStackTraceRule(pass_t *pass)
{
    const char *raw = rule_raw_set(pass, "JavaStackTrace"), *shown;

    if (!raw) {
        return NULL;
    }
    rule_set_text(pass, "java_stack_trace_raw", raw);
    shown = public_trace(raw, pass->p);
    if (!shown) {
        rule_note(pass, "JavaStackTrace: malformed JavaStackTrace");
    }
    rule_set_text(pass, "java_stack_trace", shown ? shown : "malformed");
    return NULL;
}
