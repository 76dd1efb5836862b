/*
 * Normalising a frame's function name: return types, template arguments, parameters and hashes
 * go; what tells functions apart stays. Rules and their quirks: docs/signature.md.
 *
 * Names come from hostile input with tens of thousands of nested brackets: everything here is one
 * pass over the text, and nothing recurses on its depth.
 */
#include "signature/sig_private.h"

static const str_t param_traits = STR("IPC::ParamTraits");

/* ---- the last token ---- */

enum { OPENS = 0x80 };

/* Bytes that top-level tokens depend on: a space, a closer as itself, an opener as OPENS and its
 * closer. */
static const unsigned char role[256] = {
    [' '] = ' ',         [')'] = ')',         ['}'] = '}',          [']'] = ']',
    ['>'] = '>',         ['\''] = '\'',       ['('] = OPENS | ')',  ['{'] = OPENS | '}',
    ['['] = OPENS | ']', ['<'] = OPENS | '>', ['`'] = OPENS | '\'',
};

typedef struct tokens_t {
    str_t s;
    size_t from, to; /* the last token, with those behind it that belong to it */
    bool any;
} tokens_t;

/* A token that is only arguments or a clone mark belongs to the one before it. */
static void add_token(tokens_t *t, size_t from, size_t to)
{
    str_t token = sig_sub(t->s, from, to);

    if (!t->any || (!sig_starts(token, STR("(")) && !sig_starts(token, STR("[clone")))) {
        t->from = from;
    }
    t->to = to;
    t->any = true;
}

/* Top-level spaces separate tokens. The text is not empty, so there is a token. */
static str_t last_token(sig_run_t *r, str_t s)
{
    tokens_t t = { .s = s };
    size_t depth = 0, start = 0;
    unsigned char *open; /* closers we wait for */

    if (!memchr(s.s, ' ', s.n)) {
        return s;
    }
    open = apr_palloc(sig_scratch(r, s.n), s.n);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = role[(unsigned char)s.s[i]];

        if (c == 0) {
            continue;
        }
        if (c & OPENS) {
            open[depth++] = c ^ OPENS;
        } else if (depth) {
            depth -= c == open[depth - 1];
        } else if (c == ' ') {
            add_token(&t, start, i);
            start = i + 1;
        }
    }
    if (start < s.n) {
        add_token(&t, start, s.n);
    }
    return sig_sub(s, t.from, t.to);
}

/* ---- collapsing bracketed slices ---- */

typedef enum {
    COLLAPSE_CPP_ANGLE,
    COLLAPSE_CPP_PAREN,
    COLLAPSE_CLONE,
    COLLAPSE_RUST_ANGLE,
    COLLAPSE_RUST_PAREN
} collapse_t;

typedef struct region_t {
    size_t end;    /* where the outer text ends */
    size_t resume; /* where it goes on after the slice */
} region_t;

typedef struct collapse_run_t {
    str_t s;
    collapse_t kind;
    char open, close;
    bool nested;     /* slices within slices are looked at too, so `match` is there */
    uint32_t *match; /* of an opener: index of its closer, or UINT32_MAX */
    region_t *outer; /* if nested: what we are in */
    bool searched;
    size_t word; /* the next word that keeps a slice, if searched */
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

enum { BLOCK = 32 };

/* Openers and closers among BLOCK bytes; a loop that compilers turn into vector code. */
static void count_block(const char *s, char open, char close, unsigned *openers, unsigned *closers)
{
    unsigned char o = 0, c = 0;

    for (int i = 0; i < BLOCK; i++) {
        o = (unsigned char)(o + (s[i] == open));
        c = (unsigned char)(c + (s[i] == close));
    }
    *openers = o;
    *closers = c;
}

/* Behind the slice that begins with the opener at `at`: at most `end`. */
static size_t slice_end(const collapse_run_t *c, size_t at, size_t end)
{
    size_t depth = 0;

    if (c->nested) {
        return c->match[at] < end ? c->match[at] + (size_t)1 : end;
    }
    for (size_t i = at; i < end;) {
        unsigned openers, closers;

        if (end - i >= BLOCK) {
            count_block(c->s.s + i, c->open, c->close, &openers, &closers);
            if (depth > closers) { /* cannot end in here */
                depth += openers;
                depth -= closers;
                i += BLOCK;
                continue;
            }
        }
        for (size_t stop = end - i >= BLOCK ? i + BLOCK : end; i < stop; i++) {
            if (c->s.s[i] == c->open) {
                depth++;
            } else if (c->s.s[i] == c->close && --depth == 0) {
                return i + 1;
            }
        }
    }
    return end;
}

/* The next " as ", or " in " if that counts too, at or after `from`; SIZE_MAX: none. */
static size_t find_word(const collapse_run_t *c, size_t from)
{
    const char *s = c->s.s + from, *end = c->s.s + c->s.n;

    for (; end - s >= 4 && (s = memchr(s, ' ', (size_t)(end - s) - 3)) != NULL; s++) {
        if (s[3] == ' ' && ((s[1] == 'a' && s[2] == 's') ||
                            (c->kind == COLLAPSE_CPP_ANGLE && s[1] == 'i' && s[2] == 'n'))) {
            return (size_t)(s - c->s.s);
        }
    }
    return SIZE_MAX;
}

/* Slices only ever move forward, so what the last search found is good until it is passed. */
static bool slice_has_word(collapse_run_t *c, size_t from, size_t to)
{
    if (!c->searched || c->word < from) {
        c->word = find_word(c, from);
        c->searched = true;
    }
    return c->word < to && to - c->word >= 4;
}

static bool keep_slice(collapse_run_t *c, str_t before, size_t from, size_t to)
{
    str_t slice = sig_sub(c->s, from, to);

    switch (c->kind) {
    case COLLAPSE_CPP_ANGLE:
        return sig_eq(slice, STR("<name omitted>")) || slice_has_word(c, from, to) ||
               sig_ends(before, STR("operator"));
    case COLLAPSE_RUST_ANGLE:
        return slice_has_word(c, from, to);
    case COLLAPSE_CPP_PAREN:
        return sig_eq(slice, STR("(anonymous namespace)")) || sig_ends(before, STR("operator"));
    default:
        return false;
    }
}

static void collapse_run(collapse_run_t *c)
{
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
            pos = c->outer[--depth].resume;
            end = c->outer[depth].end;
            continue;
        }
        stop = slice_end(c, at, end);
        if (keep_slice(c, before, at, stop)) {
            sig_buf_str(&c->out, sig_sub(c->s, at, stop));
        } else if (c->nested && sig_ends(before, param_traits)) {
            /* the inside is collapsed like a text of its own, less its last character */
            sig_buf_lit(&c->out, "<");
            c->outer[depth++] = (region_t){ end, stop };
            pos = at + 1;
            end = stop - 1;
            continue;
        } else if (c->open == '<') {
            sig_buf_lit(&c->out, "<T>");
        }
        pos = stop;
    }
}

static str_t collapse(sig_run_t *r, str_t s, collapse_t kind)
{
    collapse_run_t c = { .s = s, .kind = kind };
    apr_pool_t *p;

    c.open = kind == COLLAPSE_CLONE                                      ? '['
             : kind == COLLAPSE_CPP_ANGLE || kind == COLLAPSE_RUST_ANGLE ? '<'
                                                                         : '(';
    c.close = c.open == '[' ? ']' : c.open == '<' ? '>' : ')';
    if (!memchr(s.s, c.open, s.n) || s.n >= UINT32_MAX) {
        return s;
    }
    p = sig_scratch(r, s.n);
    c.nested = kind == COLLAPSE_CPP_ANGLE && sig_has(s, param_traits);
    if (c.nested) {
        match_brackets(&c, p);
        c.outer = apr_palloc(p, (s.n / param_traits.n + 2) * sizeof(*c.outer));
    }
    sig_buf_reserve(&c.out, s.n + 3, p);
    collapse_run(&c);
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
    char *out;
    size_t n = 0;

    if (!memchr(s.s, ' ', s.n) && !memchr(s.s, ',', s.n)) {
        return s;
    }
    out = apr_palloc(sig_scratch(r, s.n), 2 * s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        char next = i + 1 < s.n ? s.s[i + 1] : '\0';

        if (s.s[i] == ' ' && (next == '*' || next == '&' || next == ',')) {
            continue;
        }
        out[n++] = s.s[i];
        /* a space that goes away (" ," " *") does not count as the one after a comma */
        if (s.s[i] == ',' &&
            (next != ' ' || (i + 2 < s.n && memchr("*&,", s.s[i + 2], 3) != NULL))) {
            out[n++] = ' ';
        }
    }
    return (str_t){ out, n };
}

/* ---- C and C++ ---- */

static str_t strip_qualifiers(str_t s)
{
    static const str_t suffix[] = { STR("const"), STR("const&"), STR("const &"), STR("&&"),
                                    STR("&") };

    if (s.n && s.s[s.n - 1] != 't' && s.s[s.n - 1] != '&') {
        return s;
    }
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

    if (s.n == 0) {
        return sig_failed(r, "function has no name");
    }
    if (memchr(s.s, ' ', s.n) && !sig_has(s, STR("::operator"))) {
        s = last_token(r, s);
    }
    if (memchr(s.s, '`', s.n)) {
        s = replace_all(s, STR("`anonymous namespace'"), STR("(anonymous namespace)"),
                        sig_scratch(r, s.n));
    }
    if (memchr(s.s, '$', s.n) && sig_has(s, STR("::$_"))) {
        s = sig_replace(r, r->lists->lambda, s, "::$$::", true);
    }
    s = collapse(r, s, COLLAPSE_CPP_ANGLE);
    s = collapse(r, s, COLLAPSE_CPP_PAREN);
    if (memchr(s.s, '[', s.n) && sig_has(s, STR("clone .cold"))) {
        s = collapse(r, s, COLLAPSE_CLONE);
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
    str_t s = collapse(r, last_token(r, function), COLLAPSE_RUST_ANGLE);

    s = collapse(r, s, COLLAPSE_RUST_PAREN);
    *out = drop_hash(r, fix_spaces(r, add_line(r, s, line)));
    return true;
}
