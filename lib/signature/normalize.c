/*
 * Normalising a frame's function name: return types, template arguments, parameters and hashes
 * go; what tells functions apart stays. Rules and their quirks: docs/signature.md.
 *
 * Names come from hostile input with tens of thousands of nested brackets: everything here is one
 * pass over the text, and nothing recurses on its depth.
 */
#include "signature/sig_private.h"

static const char closer_of[256] = {
    ['('] = ')', ['{'] = '}', ['['] = ']', ['<'] = '>', ['`'] = '\''
};

typedef struct token_t {
    size_t from, to;
} token_t;

/* The tokens separated by top-level spaces; *n of them. */
static token_t *top_tokens(str_t s, size_t *n, apr_pool_t *p)
{
    token_t *token = apr_palloc(p, (s.n + 2) * sizeof(*token));
    char *open = apr_palloc(p, s.n + 1);
    size_t depth = 0, start = 0;

    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char close = closer_of[(unsigned char)s.s[i]];

        if (close) {
            open[depth++] = close;
        } else if (depth && s.s[i] == open[depth - 1]) {
            depth--;
        } else if (depth == 0 && s.s[i] == ' ') {
            token[(*n)++] = (token_t){ start, i };
            start = i + 1;
        }
    }
    if (start < s.n) {
        token[(*n)++] = (token_t){ start, s.n };
    }
    return token;
}

/* A token that is only arguments or a clone mark belongs to the one before it. s NULL: no token. */
str_t sig_last_token(str_t s, apr_pool_t *p)
{
    size_t n, last;
    token_t *token = top_tokens(s, &n, p);

    if (n == 0) {
        return (str_t){ NULL, 0 };
    }
    for (last = n - 1; last > 0; last--) {
        str_t t = sig_sub(s, token[last].from, token[last].to);

        if (!sig_starts(t, STR("(")) && !sig_starts(t, STR("[clone"))) {
            break;
        }
    }
    return sig_sub(s, token[last].from, token[n - 1].to);
}

/* ---- collapsing bracketed slices ---- */

typedef struct region_t {
    size_t end;    /* where the outer text ends */
    size_t resume; /* where it goes on after the slice */
} region_t;

typedef struct collapse_run_t {
    str_t s;
    collapse_t kind;
    char open, close;
    uint32_t *match;         /* of an opener: index of its closer, or UINT32_MAX */
    size_t next_as, next_in; /* next " as " and " in " from where we are */
    buf_t out;
} collapse_run_t;

static void match_brackets(collapse_run_t *c, apr_pool_t *p)
{
    uint32_t *stack = apr_palloc(p, (c->s.n + 1) * sizeof(*stack));
    size_t depth = 0;

    c->match = apr_palloc(p, (c->s.n + 1) * sizeof(*c->match));
    for (size_t i = 0; i < c->s.n; i++) {
        if (c->s.s[i] == c->open) {
            c->match[i] = UINT32_MAX;
            stack[depth++] = (uint32_t)i;
        } else if (c->s.s[i] == c->close && depth) {
            c->match[stack[--depth]] = (uint32_t)i;
        }
    }
}

/* Does [from, to) hold `what`? `next` remembers the search, which only ever moves forward. */
static bool slice_has(collapse_run_t *c, str_t what, size_t *next, size_t from, size_t to)
{
    if (*next != SIZE_MAX && *next < from) {
        *next = sig_find(c->s, what, from);
    }
    return *next != SIZE_MAX && *next + what.n <= to;
}

static bool keep_slice(collapse_run_t *c, str_t before, size_t from, size_t to)
{
    str_t slice = sig_sub(c->s, from, to);

    switch (c->kind) {
    case COLLAPSE_CPP_ANGLE:
        return sig_eq(slice, STR("<name omitted>")) ||
               slice_has(c, STR(" as "), &c->next_as, from, to) ||
               slice_has(c, STR(" in "), &c->next_in, from, to) ||
               sig_ends(before, STR("operator"));
    case COLLAPSE_RUST_ANGLE:
        return slice_has(c, STR(" as "), &c->next_as, from, to);
    case COLLAPSE_CPP_PAREN:
        return sig_eq(slice, STR("(anonymous namespace)")) || sig_ends(before, STR("operator"));
    default:
        return false;
    }
}

static void collapse_run(collapse_run_t *c, apr_pool_t *p)
{
    bool angle = c->open == '<';
    region_t *stack = angle ? apr_palloc(p, (c->s.n / 17 + 2) * sizeof(*stack)) : NULL;
    size_t depth = 0, pos = 0, end = c->s.n;

    for (;;) {
        const char *hit = pos < end ? memchr(c->s.s + pos, c->open, end - pos) : NULL;
        size_t at = hit ? (size_t)(hit - c->s.s) : end > pos ? end : pos;
        str_t before = sig_sub(c->s, pos, at);
        size_t stop;

        sig_buf_str(&c->out, before);
        if (!hit) {
            if (depth == 0) {
                return;
            }
            sig_buf_lit(&c->out, ">");
            pos = stack[--depth].resume;
            end = stack[depth].end;
            continue;
        }
        stop = c->match[at] < end ? c->match[at] + (size_t)1 : end;
        if (keep_slice(c, before, at, stop)) {
            sig_buf_str(&c->out, sig_sub(c->s, at, stop));
        } else if (c->kind == COLLAPSE_CPP_ANGLE && sig_ends(before, STR("IPC::ParamTraits"))) {
            /* the inside is collapsed like a text of its own, less its last character */
            sig_buf_lit(&c->out, "<");
            stack[depth++] = (region_t){ end, stop };
            pos = at + 1;
            end = stop - 1;
            continue;
        } else if (angle) {
            sig_buf_lit(&c->out, "<T>");
        }
        pos = stop;
    }
}

str_t sig_collapse(str_t s, collapse_t kind, apr_pool_t *p)
{
    collapse_run_t c = { .s = s, .kind = kind };

    c.open = kind == COLLAPSE_CLONE                                      ? '['
             : kind == COLLAPSE_CPP_ANGLE || kind == COLLAPSE_RUST_ANGLE ? '<'
                                                                         : '(';
    c.close = c.open == '[' ? ']' : c.open == '<' ? '>' : ')';
    if (!memchr(s.s, c.open, s.n) || s.n >= UINT32_MAX) {
        return s;
    }
    sig_buf_init(&c.out, p);
    match_brackets(&c, p);
    c.next_as = sig_find(s, STR(" as "), 0);
    c.next_in = sig_find(s, STR(" in "), 0);
    collapse_run(&c, p);
    return sig_buf_done(&c.out);
}

/* ---- the steps both languages share ---- */

static str_t add_line(sig_run_t *r, str_t s, const json_t *line)
{
    if (!sig_list_match(r, &r->lists->line_numbers, s, &r->line_match)) {
        return s;
    }
    return sig_cat(r->p, s, STR(":"), sig_pystr(line, r->p));
}

/* No space before * & and , and one after each comma. */
static str_t fix_spaces(sig_run_t *r, str_t s)
{
    buf_t out;

    if (!memchr(s.s, ' ', s.n) && !memchr(s.s, ',', s.n)) {
        return s;
    }
    sig_buf_init(&out, r->p);
    for (size_t i = 0; i < s.n; i++) {
        char next = i + 1 < s.n ? s.s[i + 1] : '\0';

        if (s.s[i] == ' ' && (next == '*' || next == '&' || next == ',')) {
            continue;
        }
        sig_buf_add(&out, s.s + i, 1);
        /* a space that goes away (" ," " *") does not count as the one after a comma */
        if (s.s[i] == ',' &&
            (next != ' ' || (i + 2 < s.n && memchr("*&,", s.s[i + 2], 3) != NULL))) {
            sig_buf_lit(&out, " ");
        }
    }
    return sig_buf_done(&out);
}

/* ---- C and C++ ---- */

static str_t strip_qualifiers(str_t s)
{
    static const str_t suffix[] = { STR("const"), STR("const&"), STR("const &"), STR("&&"),
                                    STR("&") };

    for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
        if (sig_ends(s, suffix[i])) {
            s = sig_strip(sig_sub(s, 0, s.n - suffix[i].n));
        }
    }
    return s;
}

static str_t replace_all(str_t s, str_t what, str_t with, apr_pool_t *p)
{
    buf_t out;
    size_t from = 0, at = sig_find(s, what, 0);

    if (at == SIZE_MAX) {
        return s;
    }
    sig_buf_init(&out, p);
    for (; at != SIZE_MAX; at = sig_find(s, what, from)) {
        sig_buf_str(&out, sig_sub(s, from, at));
        sig_buf_str(&out, with);
        from = at + what.n;
    }
    sig_buf_str(&out, sig_sub(s, from, s.n));
    return sig_buf_done(&out);
}

bool sig_normalize_cpp(sig_run_t *r, str_t *out, str_t function, const json_t *line)
{
    str_t s = strip_qualifiers(function);

    if (!sig_has(s, STR("::operator"))) {
        s = sig_last_token(s, r->scratch);
        if (!s.s) {
            return sig_failed(r, "function has no name");
        }
    }
    s = replace_all(s, STR("`anonymous namespace'"), STR("(anonymous namespace)"), r->scratch);
    if (sig_has(s, STR("::$_"))) {
        s = sig_replace(r, r->lists->lambda, s, "::$$::", true);
    }
    s = sig_collapse(s, COLLAPSE_CPP_ANGLE, r->scratch);
    s = sig_collapse(s, COLLAPSE_CPP_PAREN, r->scratch);
    if (sig_has(s, STR("clone .cold"))) {
        s = sig_collapse(s, COLLAPSE_CLONE, r->scratch);
    }
    *out = fix_spaces(r, add_line(r, s, line));
    return true;
}

/* ---- Rust ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* One trailing "::h" + hex digits, at the end or before a final newline. */
static str_t drop_hash(sig_run_t *r, str_t s)
{
    bool newline = s.n && s.s[s.n - 1] == '\n';
    size_t end = s.n - newline, i = end;

    while (i > 0 && is_hex(s.s[i - 1])) {
        i--;
    }
    if (i == end || i < 3 || memcmp(s.s + i - 3, "::h", 3) != 0) {
        return s;
    }
    return sig_cat(r->p, sig_sub(s, 0, i - 3), newline ? STR("\n") : STR(""), STR(""));
}

bool sig_normalize_rust(sig_run_t *r, str_t *out, str_t function, const json_t *line)
{
    str_t s = sig_last_token(function, r->scratch);

    if (!s.s) {
        return sig_failed(r, "function has no name");
    }
    s = sig_collapse(s, COLLAPSE_RUST_ANGLE, r->scratch);
    s = sig_collapse(s, COLLAPSE_RUST_PAREN, r->scratch);
    *out = drop_hash(r, fix_spaces(r, add_line(r, s, line)));
    return true;
}
