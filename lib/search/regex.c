/*
 * Lucene's regular expressions to PostgreSQL's.
 *
 *   . ? + * {n} {n,} {n,m} | ( ) [ ] [^ ] "literal" \x @
 *
 * There are no anchors: ^ and $ are literals. What Lucene adds optionally, ~ & < > #, is refused as
 * too complex; \ takes the next character as it is. Concatenation and alternation are read by
 * descent; the depth is bounded.
 */
#include "search/regex.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <apr_strings.h>
#include <apr_tables.h>

typedef enum {
    NODE_EMPTY,
    NODE_LITERAL, /* text, as it is */
    NODE_ANY,     /* one character */
    NODE_STRING,  /* any characters, none as well */
    NODE_CLASS,   /* text: ready, with its brackets */
    NODE_THEN,    /* a, b */
    NODE_OR,      /* a, b */
    NODE_REPEAT   /* a, min..max; max -1: no bound */
} node_kind_t;

typedef struct node_t {
    node_kind_t kind;
    const char *text;
    struct node_t *a, *b;
    int min, max;
} node_t;

typedef struct {
    const char *s; /* what is left */
    apr_pool_t *p;
    int nodes, depth;
    const char *wrong; /* NULL, or what to tell the user */
} parser_t;

static const char too_complex[] =
    "Search query is too complex to execute. Simplify the search pattern and try again.";
static const char not_valid[] = "The pattern is not a valid regular expression: %s";

static node_t *fail(parser_t *x, const char *wrong)
{
    if (!x->wrong) {
        x->wrong = wrong;
    }
    x->s = "";
    return NULL;
}

static node_t *make(parser_t *x, node_kind_t kind)
{
    node_t *n;

    if (++x->nodes > SAL_REGEX_MAX_NODES) {
        return fail(x, too_complex);
    }
    n = apr_pcalloc(x->p, sizeof *n);
    n->kind = kind;
    return n;
}

static node_t *make_text(parser_t *x, node_kind_t kind, const char *text)
{
    node_t *n = make(x, kind);

    if (n) {
        n->text = text;
    }
    return n;
}

static node_t *make_two(parser_t *x, node_kind_t kind, node_t *a, node_t *b)
{
    node_t *n = a && b ? make(x, kind) : NULL;

    if (n) {
        n->a = a;
        n->b = b;
    }
    return n;
}

/* Bytes of the UTF-8 character at s. */
static apr_size_t character(const char *s)
{
    apr_size_t n = 1;

    while (((unsigned char)s[n] & 0xc0) == 0x80) {
        n++;
    }
    return n;
}

static const char *take_character(parser_t *x)
{
    apr_size_t n = character(x->s);
    const char *one = apr_pstrmemdup(x->p, x->s, n);

    x->s += n;
    return one;
}

/* ---- characters ---- */

/* A character of a bracket expression; NULL at its end. Escaped ones are themselves. */
static const char *class_character(parser_t *x)
{
    if (*x->s == '\\' && x->s[1]) {
        x->s++;
    } else if (*x->s == ']' || !*x->s || *x->s == '\\') {
        return NULL;
    }
    return take_character(x);
}

/* As it stands in the server's brackets: a backslash keeps all that is special there. */
static const char *class_text(parser_t *x, const char *one)
{
    return strchr("\\]^-[", *one) ? apr_pstrcat(x->p, "\\", one, NULL) : one;
}

static node_t *parse_class(parser_t *x)
{
    const char *text = "[", *low, *high;
    bool any = false;

    x->s++;
    if (*x->s == '^') {
        text = "[^";
        x->s++;
    }
    while ((low = class_character(x)) != NULL) {
        any = true;
        text = apr_pstrcat(x->p, text, class_text(x, low), NULL);
        if (*x->s == '-' && x->s[1] && x->s[1] != ']') {
            x->s++;
            high = class_character(x);
            /* bytes of UTF-8 are in the order of their characters */
            if (!high || strcmp(low, high) > 0) {
                return fail(x, "a range in [ ] that ends before it begins");
            }
            text = apr_pstrcat(x->p, text, "-", class_text(x, high), NULL);
        }
    }
    if (*x->s != ']' || !any) {
        return fail(x, any ? "[ without ]" : "nothing in [ ]");
    }
    x->s++;
    return make_text(x, NODE_CLASS, apr_pstrcat(x->p, text, "]", NULL));
}

static node_t *parse_quoted(parser_t *x)
{
    const char *end = strchr(++x->s, '"');
    const char *text;

    if (!end) {
        return fail(x, "\" without its second one");
    }
    text = apr_pstrmemdup(x->p, x->s, (apr_size_t)(end - x->s));
    x->s = end + 1;
    return *text ? make_text(x, NODE_LITERAL, text) : make(x, NODE_EMPTY);
}

static node_t *parse_or(parser_t *x);

static node_t *parse_group(parser_t *x)
{
    node_t *inner;

    x->s++;
    if (++x->depth > SAL_REGEX_MAX_DEPTH) {
        return fail(x, too_complex);
    }
    inner = *x->s == ')' ? make(x, NODE_EMPTY) : parse_or(x);
    if (inner && *x->s != ')') {
        return fail(x, "( without )");
    }
    x->depth--;
    x->s += *x->s == ')';
    return inner;
}

/* What may be part of a run of literals: nothing special, or behind a backslash. */
static apr_size_t literal_at(const char *s)
{
    if (*s == '\\') {
        return s[1] ? 1 + character(s + 1) : 0;
    }
    return *s && !strchr("([\".@~&<>#?*+{)|", *s) ? character(s) : 0;
}

/* As many literals as no repetition takes apart: one node for them all. */
static node_t *parse_literal(parser_t *x)
{
    char *text = apr_palloc(x->p, strlen(x->s) + 1), *o = text;
    apr_size_t n = literal_at(x->s);

    while (n > 0) {
        const char *one = x->s + (*x->s == '\\');

        if (o > text && x->s[n] && strchr("?*+{", x->s[n])) {
            break;
        }
        memcpy(o, one, (apr_size_t)(x->s + n - one));
        o += x->s + n - one;
        x->s += n;
        n = literal_at(x->s);
    }
    *o = '\0';
    return make_text(x, NODE_LITERAL, text);
}

static node_t *parse_atom(parser_t *x)
{
    switch (*x->s) {
    case '\0':
    case '|':
        return fail(x, "nothing where something should be");
    case '(':
        return parse_group(x);
    case '[':
        return parse_class(x);
    case '"':
        return parse_quoted(x);
    case '.':
        x->s++;
        return make(x, NODE_ANY);
    case '@':
        x->s++;
        return make(x, NODE_STRING);
    case '~':
    case '&':
    case '<':
    case '>':
    case '#':
        return fail(x, too_complex);
    case '?':
    case '*':
    case '+':
    case '{':
        return fail(x, "nothing to repeat");
    case ')':
        return fail(x, ") without (");
    case '\\':
        return x->s[1] ? parse_literal(x) : fail(x, "\\ at the end");
    default:
        return parse_literal(x);
    }
}

/* ---- repetition ---- */

static bool take_number(parser_t *x, int *n)
{
    *n = 0;
    if (!isdigit((unsigned char)*x->s)) {
        return false;
    }
    while (isdigit((unsigned char)*x->s)) {
        *n = *n > SAL_REGEX_MAX_REPEAT ? *n : *n * 10 + (*x->s - '0');
        x->s++;
    }
    return true;
}

static bool parse_braces(parser_t *x, int *min, int *max)
{
    x->s++;
    if (!take_number(x, min)) {
        return false;
    }
    *max = *min;
    if (*x->s == ',') {
        x->s++;
        if (!take_number(x, max)) {
            *max = -1;
        }
    }
    if (*x->s != '}') {
        return false;
    }
    x->s++;
    return *max < 0 || *max >= *min;
}

static node_t *parse_repeat(parser_t *x)
{
    node_t *n = parse_atom(x);

    while (n && *x->s && strchr("?*+{", *x->s)) {
        node_t *one = make(x, NODE_REPEAT);
        int min = *x->s == '+', max = *x->s == '?' ? 1 : -1;

        if (!one) {
            return NULL;
        }
        if (*x->s == '{') {
            if (!parse_braces(x, &min, &max)) {
                return fail(x, "{ } that is no number of times");
            }
        } else {
            x->s++;
        }
        if (min > SAL_REGEX_MAX_REPEAT || max > SAL_REGEX_MAX_REPEAT) {
            return fail(x, too_complex);
        }
        one->a = n;
        one->min = min;
        one->max = max;
        n = one;
    }
    return n;
}

static node_t *parse_then(parser_t *x)
{
    node_t *n = parse_repeat(x);

    while (n && *x->s && *x->s != '|' && *x->s != ')') {
        n = make_two(x, NODE_THEN, n, parse_repeat(x));
    }
    return n;
}

static node_t *parse_or(parser_t *x)
{
    node_t *n = parse_then(x);

    while (n && *x->s == '|') {
        x->s++;
        n = make_two(x, NODE_OR, n, parse_then(x));
    }
    return n;
}

/* ---- writing ---- */

static void write_node(apr_array_header_t *out, const node_t *n, apr_pool_t *p);

static void put(apr_array_header_t *out, const char *text)
{
    APR_ARRAY_PUSH(out, const char *) = text;
}

static void write_literal(apr_array_header_t *out, const char *text, apr_pool_t *p)
{
    char *escaped = apr_palloc(p, strlen(text) * 2 + 1), *o = escaped;

    for (; *text; text++) {
        /* a backslash before punctuation is that character, before a letter it is not */
        if (ispunct((unsigned char)*text) && (unsigned char)*text < 0x80) {
            *o++ = '\\';
        }
        *o++ = *text;
    }
    *o = '\0';
    put(out, escaped);
}

static void write_repeat(apr_array_header_t *out, const node_t *n, apr_pool_t *p)
{
    put(out, "(?:");
    write_node(out, n->a, p);
    if (n->max == 1 && n->min == 0) {
        put(out, ")?");
    } else if (n->max < 0) {
        put(out, n->min == 0 ? ")*" : n->min == 1 ? ")+" : apr_psprintf(p, "){%d,}", n->min));
    } else {
        put(out, apr_psprintf(p, "){%d,%d}", n->min, n->max));
    }
}

static void write_node(apr_array_header_t *out, const node_t *n, apr_pool_t *p)
{
    switch (n->kind) {
    case NODE_EMPTY:
        put(out, "(?:)");
        break;
    case NODE_LITERAL:
        write_literal(out, n->text, p);
        break;
    case NODE_ANY:
        put(out, ".");
        break;
    case NODE_STRING:
        put(out, ".*");
        break;
    case NODE_CLASS:
        put(out, n->text);
        break;
    case NODE_THEN:
        write_node(out, n->a, p);
        write_node(out, n->b, p);
        break;
    case NODE_OR:
        put(out, "(?:");
        write_node(out, n->a, p);
        put(out, "|");
        write_node(out, n->b, p);
        put(out, ")");
        break;
    case NODE_REPEAT:
        write_repeat(out, n, p);
        break;
    }
}

apr_status_t sal_regex_translate(const char **out, const char *text, apr_pool_t *p,
                                 sal_error_t *err)
{
    parser_t x = { .s = text, .p = p };
    apr_array_header_t *pieces = apr_array_make(p, 64, sizeof(const char *));
    node_t *n;

    if (strlen(text) > SAL_REGEX_MAX) {
        return sal_fail(err, SAL_E_MALFORMED, "%s", too_complex);
    }
    n = *text ? parse_or(&x) : make(&x, NODE_EMPTY);
    if (n && *x.s) {
        n = fail(&x, ") without (");
    }
    if (!n) {
        return x.wrong == too_complex ? sal_fail(err, SAL_E_MALFORMED, "%s", too_complex)
                                      : sal_fail(err, SAL_E_MALFORMED, not_valid, x.wrong);
    }
    put(pieces, "^(?:");
    write_node(pieces, n, p);
    put(pieces, ")$");
    *out = apr_array_pstrcat(p, pieces, 0);
    return APR_SUCCESS;
}
