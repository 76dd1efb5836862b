/*
 * MODULE and INFO lines. Source of the rules: docs/symbols.md, "Header of a .sym".
 *
 * The debug file and the code file run to the end of their line, because names hold blanks.
 */
#include "symbols/sym_header.h"

#include <string.h>

#include <apr_strings.h>

#include "base/text.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts the next word off *s; "" at the end of the line. */
static char *next_word(char **s)
{
    char *word;

    while (is_blank(**s)) {
        (*s)++;
    }
    word = *s;
    while (**s && !is_blank(**s)) {
        (*s)++;
    }
    if (**s) {
        *(*s)++ = '\0';
    }
    return word;
}

/* What is left of the line, blanks trimmed. */
static char *rest(char *s)
{
    size_t n;

    while (is_blank(*s)) {
        s++;
    }
    for (n = strlen(s); n > 0 && is_blank(s[n - 1]); n--) {
        s[n - 1] = '\0';
    }
    return s;
}

static const char *upper(char *s)
{
    for (char *c = s; *c; c++) {
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    }
    return s;
}

static bool module_line(sal_sym_header_t *h, char *s)
{
    h->os = next_word(&s);
    h->arch = next_word(&s);
    h->debug_id = upper(next_word(&s));
    h->debug_file = rest(s);
    return *h->debug_file != '\0';
}

static bool info_line(sal_sym_header_t *h, char *s)
{
    const struct {
        const char *name;
        const char **value;
    } known[] = { { "GENERATOR", &h->generator },
                  { "PRODUCTNAME", &h->product },
                  { "VERSION", &h->version },
                  { "RELEASECHANNEL", &h->channel },
                  { "BUILDID", &h->build } };
    const char *name = next_word(&s);

    if (!strcmp(name, "CODE_ID")) {
        h->code_id = upper(next_word(&s));
        h->code_file = rest(s);
        return *h->code_id != '\0';
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!strcmp(name, known[i].name)) {
            *known[i].value = rest(s);
        }
    }
    return *name != '\0';
}

/* UTF-8 but for a code point that the end of the window cuts in two. */
static bool is_text(const char *s, apr_size_t len)
{
    for (int cut = 0; cut < 4 && (apr_size_t)cut <= len; cut++) {
        if (sal_utf8_valid(s, len - (apr_size_t)cut)) {
            return cut == 0 || len == SAL_SYM_HEADER_BYTES;
        }
    }
    return false;
}

static bool header_line(sal_sym_header_t *h, char *line, bool *more)
{
    char *s = line;
    const char *word = next_word(&s);

    if (!strcmp(word, "MODULE")) {
        return module_line(h, s);
    }
    if (!strcmp(word, "INFO")) {
        return info_line(h, s);
    }
    *more = false;
    return true;
}

void sal_sym_header_read(sal_sym_header_t *out, const char *text, apr_size_t len, apr_pool_t *p)
{
    sal_sym_header_t h = { "", "", "", "", "", "", "", "", "", "", "" };
    bool ok, more = true;
    char *line, *end;

    len = len < SAL_SYM_HEADER_BYTES ? len : SAL_SYM_HEADER_BYTES;
    ok = is_text(text, len);
    line = apr_pstrmemdup(p, text, len);
    while (ok && more && *line) {
        end = line + strcspn(line, "\n");
        /* The last line of a full window may go on beyond it. */
        if (!*end && len == SAL_SYM_HEADER_BYTES) {
            break;
        }
        more = *end != '\0';
        *end = '\0';
        if (end > line && end[-1] == '\r') {
            end[-1] = '\0';
        }
        ok = header_line(&h, line, &more);
        line = end + 1;
    }
    *out = ok ? h : (sal_sym_header_t){ 0 };
}
