/* The slow and simple reading of .sym text; see sym_oracle.h. */
#include "sym_oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line_t {
    uint64_t start, size;
    long file;
    unsigned line;
} line_t;
typedef struct inline_t {
    uint64_t start, size;
    unsigned depth, call_line;
    long call_file;
    unsigned origin;
    bool dropped;
} inline_t;

typedef struct func_t {
    uint64_t start, size;
    unsigned params;
    bool multiple;
    const char *name;
    line_t *lines;
    size_t n_lines;
    inline_t *inlines;
    size_t n_inlines;
    int *chain; /* per address, ORACLE_MAX_DEPTH indexes into inlines, -1 ends */
} func_t;

typedef struct public_t {
    uint64_t start;
    unsigned params;
    bool multiple;
    const char *name;
} public_t;
typedef struct name_t {
    unsigned number;
    const char *name;
} name_t;

struct oracle_t {
    char *text;
    func_t *funcs;
    public_t *publics;
    name_t *files, *origins;
    size_t n_funcs, n_publics, n_files, n_origins;
    uint64_t *edges;
    size_t n_edges;
};

static void *more(void *array, size_t n, size_t size)
{
    if (n == 0 || (n & (n - 1)) == 0) {
        array = realloc(array, (n ? 2 * n : 1) * size);
        if (!array) {
            abort();
        }
    }
    return array;
}
#define PUSH(array, n)                                                                             \
    ((array) = more((array), (n), sizeof(*(array))), memset(&(array)[n], 0, sizeof(*(array))),     \
     &(array)[(n)++])

static char *skip(char *s)
{
    return s + strspn(s, " \t");
}

static const char *or_unknown(const char *s)
{
    return *s ? s : "<unknown>";
}

static func_t *read_func(oracle_t *o, char *s)
{
    func_t *f = PUSH(o->funcs, o->n_funcs);

    if (s[0] == 'm' && (s[1] == ' ' || s[1] == '\t')) {
        f->multiple = true;
        s = skip(s + 1);
    }
    f->start = strtoull(s, &s, 16);
    f->size = strtoull(s, &s, 16);
    f->params = (unsigned)strtoul(s, &s, 16);
    f->name = or_unknown(skip(s));
    return f;
}

static void read_public(oracle_t *o, char *s)
{
    public_t *p = PUSH(o->publics, o->n_publics);

    if (s[0] == 'm' && (s[1] == ' ' || s[1] == '\t')) {
        p->multiple = true;
        s = skip(s + 1);
    }
    p->start = strtoull(s, &s, 16);
    p->params = (unsigned)strtoul(s, &s, 16);
    p->name = or_unknown(skip(s));
}

static unsigned count_words(const char *s)
{
    unsigned n = 0;

    while (*(s += strspn(s, " \t"))) {
        n++;
        s += strcspn(s, " \t");
    }
    return n;
}

static void read_inline(func_t *f, char *s)
{
    bool has_file = count_words(s) % 2 == 0;
    unsigned depth = (unsigned)strtoul(s, &s, 10);
    unsigned line = (unsigned)strtoul(s, &s, 10);
    long file = has_file ? strtol(s, &s, 10) : -1;
    unsigned origin = (unsigned)strtoul(s, &s, 10);

    while (*(s = skip(s))) {
        inline_t *i = PUSH(f->inlines, f->n_inlines);

        *i = (inline_t){ 0, 0, depth, line, file, origin, false };
        i->start = strtoull(s, &s, 16);
        i->size = strtoull(s, &s, 16);
    }
}

static void read_name(name_t **names, size_t *n, char *s, bool origin)
{
    name_t *name = PUSH(*names, *n);
    char *end;

    name->number = (unsigned)strtoul(s, &s, 10);
    s = skip(s);
    if (origin && (strtol(s, &end, 10), end != s) && (*end == ' ' || *end == '\t')) {
        s = skip(end); /* the old form's file */
    }
    name->name = origin ? or_unknown(s) : s;
}

static void read_line(func_t *f, char *s)
{
    line_t *l = PUSH(f->lines, f->n_lines);

    l->start = strtoull(s, &s, 16);
    l->size = strtoull(s, &s, 16);
    l->line = (unsigned)strtoul(s, &s, 10);
    l->file = strtol(s, &s, 10);
}

static bool key(char **s, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*s, word, n) == 0 && strchr(" \t", (*s)[n])) {
        *s = skip(*s + n);
        return true;
    }
    return false;
}

oracle_t *oracle_make(const char *text)
{
    oracle_t *o = calloc(1, sizeof(*o));
    bool in_func = false;
    char *next;

    o->text = strdup(text);
    for (char *s = o->text; s; s = next) {
        next = strchr(s, '\n');
        if (next) {
            *next++ = '\0';
        }
        while (*s && s[strlen(s) - 1] == '\r') {
            s[strlen(s) - 1] = '\0';
        }
        if (key(&s, "FUNC")) {
            read_func(o, s);
            in_func = true;
        } else if (key(&s, "PUBLIC")) {
            read_public(o, s);
            in_func = false;
        } else if (key(&s, "FILE")) {
            read_name(&o->files, &o->n_files, s, false);
        } else if (key(&s, "INLINE_ORIGIN")) {
            read_name(&o->origins, &o->n_origins, s, true);
        } else if (in_func && key(&s, "INLINE")) {
            read_inline(&o->funcs[o->n_funcs - 1], s);
        } else if (in_func && *s && strchr("0123456789abcdefABCDEF", *s)) {
            read_line(&o->funcs[o->n_funcs - 1], s);
        }
    }
    return o;
}

void oracle_free(oracle_t *o)
{
    for (size_t i = 0; i < o->n_funcs; i++) {
        free(o->funcs[i].lines);
        free(o->funcs[i].inlines);
        free(o->funcs[i].chain);
    }
    free(o->funcs);
    free(o->publics);
    free(o->files);
    free(o->origins);
    free(o->edges);
    free(o->text);
    free(o);
}

static const char *last_name(const name_t *names, size_t n, long number, const char *none)
{
    for (size_t i = n; number >= 0 && i > 0; i--) {
        if (names[i - 1].number == (unsigned)number) {
            return names[i - 1].name;
        }
    }
    return none;
}

static bool covers(uint64_t start, uint64_t size, uint64_t x)
{
    return x >= start && x - start < size;
}

/* The record of this depth that may take the place at x: the first of the file that waits there. */
static int first_waiting(const func_t *f, unsigned depth, uint64_t x)
{
    for (size_t i = 0; i < f->n_inlines; i++) {
        const inline_t *r = &f->inlines[i];

        if (!r->dropped && r->depth == depth && r->start >= f->start &&
            covers(r->start, r->size, x)) {
            return (int)i;
        }
    }
    return -1;
}

static void drop_waiting(func_t *f, unsigned depth, uint64_t x)
{
    for (size_t i = 0; i < f->n_inlines; i++) {
        if (f->inlines[i].depth == depth && covers(f->inlines[i].start, f->inlines[i].size, x)) {
            f->inlines[i].dropped = true;
        }
    }
}

/*
 * Address by address: who holds a place keeps it to its end, or its parent's; a free place goes to
 * the first that waits for it; who waits without a parent is out for good.
 */
static void make_chains(func_t *f)
{
    int now[ORACLE_MAX_DEPTH];

    f->chain = malloc(sizeof(int) * ORACLE_MAX_DEPTH * f->size);
    memset(now, -1, sizeof(now));
    for (uint64_t x = f->start; x < f->start + f->size; x++) {
        bool parent_changed = false;

        for (unsigned d = 0; d < ORACLE_MAX_DEPTH; d++) {
            bool parent = d == 0 || now[d - 1] >= 0;

            if (now[d] >= 0 && !parent_changed &&
                covers(f->inlines[now[d]].start, f->inlines[now[d]].size, x)) {
                continue;
            }
            parent_changed = true;
            now[d] = parent ? first_waiting(f, d, x) : -1;
            if (!parent) {
                drop_waiting(f, d, x);
            }
        }
        memcpy(f->chain + (x - f->start) * ORACLE_MAX_DEPTH, now, sizeof(now));
    }
}

static const line_t *find_line(const func_t *f, uint64_t x)
{
    const line_t *best = NULL;

    for (size_t i = 0; i < f->n_lines; i++) {
        const line_t *l = &f->lines[i];

        if (l->size > 0 && l->start >= f->start && l->start <= x &&
            (!best || l->start >= best->start)) {
            best = l;
        }
    }
    return best && covers(best->start, best->size, x) ? best : NULL;
}

static void frame(const oracle_t *o, oracle_frame_t *out, const char *function, long file,
                  unsigned line)
{
    out->function = function;
    out->file = last_name(o->files, o->n_files, file, "");
    out->line = line;
}

static void ask_func(oracle_t *o, func_t *f, uint64_t x, oracle_hit_t *hit)
{
    const line_t *l = find_line(f, x);
    const int *chain;
    unsigned n = 0;

    if (!f->chain) {
        make_chains(f);
    }
    chain = f->chain + (x - f->start) * ORACLE_MAX_DEPTH;
    *hit = (oracle_hit_t){ .found = true,
                           .multiple = f->multiple,
                           .start = f->start,
                           .size = f->size,
                           .params = f->params };
    while (n < ORACLE_MAX_DEPTH && chain[n] >= 0) {
        n++;
    }
    hit->n_inlines = n;
    /* Depth d's function, at the place where depth d+1 is called, or at the line. */
    for (unsigned d = 0; d <= n; d++) {
        const inline_t *self = d > 0 ? &f->inlines[chain[d - 1]] : NULL;
        const inline_t *callee = d < n ? &f->inlines[chain[d]] : NULL;
        oracle_frame_t *out = d == 0 ? &hit->outer : &hit->inlines[n - d];

        frame(o, out,
              self ? last_name(o->origins, o->n_origins, self->origin, "<unknown>") : f->name,
              callee ? callee->call_file
              : l    ? l->file
                     : -1,
              callee ? callee->call_line
              : l    ? l->line
                     : 0);
    }
}

static void ask_public(const oracle_t *o, uint64_t x, oracle_hit_t *hit)
{
    const public_t *best = NULL;
    size_t at_zero = 0;

    for (size_t i = 0; i < o->n_publics; i++) {
        at_zero += o->publics[i].start == 0;
    }
    for (size_t i = 0; i < o->n_publics; i++) {
        const public_t *p = &o->publics[i];

        if (p->start <= x && (!best || p->start > best->start) && (p->start > 0 || at_zero == 1)) {
            best = p;
        }
    }
    for (size_t i = 0; best && i < o->n_funcs; i++) {
        if (o->funcs[i].size > 0 && o->funcs[i].start >= best->start && o->funcs[i].start <= x) {
            best = NULL;
        }
    }
    if (best) {
        *hit = (oracle_hit_t){ .found = true,
                               .is_public = true,
                               .multiple = best->multiple,
                               .start = best->start,
                               .params = best->params };
        frame(o, &hit->outer, best->name, -1, 0);
    }
}

void oracle_ask(oracle_t *o, uint64_t x, oracle_hit_t *hit)
{
    func_t *best = NULL;

    memset(hit, 0, sizeof(*hit));
    for (size_t i = 0; i < o->n_funcs; i++) {
        func_t *f = &o->funcs[i];

        if (covers(f->start, f->size, x) && (!best || f->start > best->start)) {
            best = f;
        }
    }
    if (best) {
        ask_func(o, best, x, hit);
    } else {
        ask_public(o, x, hit);
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void edge(oracle_t *o, uint64_t x)
{
    *PUSH(o->edges, o->n_edges) = x;
    *PUSH(o->edges, o->n_edges) = x ? x - 1 : 0;
}

const uint64_t *oracle_edges(oracle_t *o, size_t *n)
{
    edge(o, 0);
    for (size_t i = 0; i < o->n_publics; i++) {
        edge(o, o->publics[i].start);
    }
    for (size_t i = 0; i < o->n_funcs; i++) {
        const func_t *f = &o->funcs[i];

        edge(o, f->start);
        edge(o, f->start + f->size);
        for (size_t k = 0; k < f->n_lines; k++) {
            edge(o, f->lines[k].start);
            edge(o, f->lines[k].start + f->lines[k].size);
        }
        for (size_t k = 0; k < f->n_inlines; k++) {
            edge(o, f->inlines[k].start);
            edge(o, f->inlines[k].start + f->inlines[k].size);
        }
    }
    qsort(o->edges, o->n_edges, sizeof(*o->edges), by_value);
    *n = o->n_edges;
    return o->edges;
}
