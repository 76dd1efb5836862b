/*
 * Lines of source, in spans.
 */
#include "render/source.h"

#include <stdbool.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

/* What goes on from one line to the next. */
typedef enum { CODE, COMMENT, TEXT } state_t;

typedef struct {
    state_t state;
    char quote; /* of a text that goes on */
    json_t *spans;
} line_t;

static void add(line_t *l, const char *cls, const char *from, apr_size_t n)
{
    json_t *one;

    if (n) {
        one = json_pack("{s:s}", "cls", cls);
        json_object_set_new(one, "text", json_stringn(from, n));
        json_array_append_new(l->spans, one);
    }
}

/* The end of a comment or text that begins at i, or the end of the line. */
static apr_size_t comment_end(line_t *l, const char *s, apr_size_t i, apr_size_t n)
{
    for (; i < n; i++) {
        if (s[i] == '*' && i + 1 < n && s[i + 1] == '/') {
            l->state = CODE;
            return i + 2;
        }
    }
    return n;
}

static apr_size_t text_end(line_t *l, const char *s, apr_size_t i, apr_size_t n)
{
    for (; i < n; i++) {
        if (s[i] == '\\') {
            if (i + 1 == n) {
                return n; /* goes on in the next line */
            }
            i++;
        } else if (s[i] == l->quote) {
            l->state = CODE;
            return i + 1;
        }
    }
    l->state = CODE; /* an apostrophe, or a text without its end */
    return n;
}

static bool word(char c)
{
    return apr_isalnum(c) || c == '_' || ((unsigned char)c & 0x80);
}

/* What begins at i: its class, and where it ends. */
static apr_size_t token(line_t *l, const char **cls, const char *s, apr_size_t i, apr_size_t n)
{
    apr_size_t end = i;

    if (s[i] == '/' && i + 1 < n && (s[i + 1] == '/' || s[i + 1] == '*')) {
        *cls = "c";
        if (s[i + 1] == '/') {
            return n;
        }
        l->state = COMMENT;
        return comment_end(l, s, i + 2, n);
    }
    if (s[i] == '"' || (s[i] == '\'' && i + 2 < n && (s[i + 1] == '\\' || s[i + 2] == '\''))) {
        *cls = "s";
        l->state = TEXT;
        l->quote = s[i];
        return text_end(l, s, i + 1, n);
    }
    *cls = apr_isdigit(s[i]) ? "d" : "";
    if (!word(s[i])) {
        return i + 1;
    }
    while (end < n && (word(s[end]) || (**cls == 'd' && s[end] == '.'))) {
        end++;
    }
    return end;
}

static void spans(line_t *l, const char *s, apr_size_t n)
{
    apr_size_t from = 0, i = 0;

    if (l->state != CODE) {
        const char *cls = l->state == COMMENT ? "c" : "s";

        i = l->state == COMMENT ? comment_end(l, s, 0, n) : text_end(l, s, 0, n);
        add(l, cls, s, i);
        from = i;
    }
    while (i < n) {
        const char *cls;
        apr_size_t end = token(l, &cls, s, i, n);

        if (*cls) {
            add(l, "", s + from, i - from);
            add(l, cls, s + i, end - i);
            from = end;
        }
        i = end;
    }
    add(l, "", s + from, n - from);
}

void sal_source_view(json_t *view, const char *text, int64_t here, apr_pool_t *p)
{
    bool plain = strlen(text) > SAL_SOURCE_PLAIN;
    json_t *lines = json_array();
    line_t l = { .state = CODE };
    int number = 0;

    (void)p;
    while (*text && number < SAL_SOURCE_LINES) {
        apr_size_t n = strcspn(text, "\n"), shown = n;

        if (shown && text[shown - 1] == '\r') {
            shown--;
        }
        l.spans = json_array();
        if (plain) {
            add(&l, "", text, shown);
        } else {
            spans(&l, text, shown);
        }
        number++;
        json_array_append_new(lines, json_pack("{s:i, s:b, s:o}", "num", number, "here",
                                               number == here, "spans", l.spans));
        text += n + (text[n] != '\0');
    }
    json_object_set_new(view, "lines", lines);
    json_object_set_new(view, "any_lines", json_boolean(number > 0));
    json_object_set_new(view, "plain", json_boolean(plain));
    json_object_set_new(view, "cut", json_boolean(*text != '\0'));
}
