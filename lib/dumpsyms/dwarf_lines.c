/*
 * The line table of a unit: program to rows, DWARF 2 to 5.
 *
 * Rows are kept in sequences that do not overlap, in order of address, so that the rows of a
 * function are found by bisection. A sequence at address 0 is of a function that the linker left
 * out. The bytes executed are counted over all units: many may name one program.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "dumpsyms/dwarf_private.h"

enum { MAX_PART = 4096 };

typedef struct program_t {
    dw_cur_t c;
    const dw_unit_t *unit; /* with the sizes of this header */
    dw_unit_t sizes;
    const uint8_t *program;
    unsigned min_length, max_ops, line_range, opcode_base;
    int line_base;
    uint8_t lengths[256];
} program_t;

typedef struct state_t {
    uint64_t addr, file, line;
    unsigned op;
    uint32_t first; /* row of this sequence */
    uint64_t last;  /* address of the row before */
} state_t;

/* ---- the table of files ---- */

static void add_dir(dw_worker_t *w, const char *dir)
{
    dw_lines_t *l = &w->lines;

    if (DW_ROOM(l->dir, l->cap_dir, l->dirs)) {
        l->dir[l->dirs++] = dir;
    } else {
        w->failed = true;
    }
}

static void add_source(dw_worker_t *w, uint64_t dir, const char *name)
{
    dw_lines_t *l = &w->lines;
    dw_source_t s = { dir < l->dirs ? l->dir[dir] : NULL, name, UINT32_MAX };

    if (DW_ROOM(l->source, l->cap_source, l->sources)) {
        l->source[l->sources++] = s;
    } else {
        w->failed = true;
    }
}

static const char *next_text(dw_cur_t *c)
{
    const char *text = (const char *)c->p;
    const uint8_t *nul = memchr(c->p, 0, (size_t)(c->end - c->p));

    c->bad = c->bad || nul == NULL;
    c->p = nul == NULL ? c->end : nul + 1;
    return nul == NULL ? "" : text;
}

/* Before version 5 directory 0 is the compilation's, and files count from 1. */
static void old_tables(dw_worker_t *w, program_t *g)
{
    add_dir(w, NULL);
    while (!g->c.bad && !w->failed && g->c.p < g->c.end && *g->c.p != 0) {
        add_dir(w, next_text(&g->c));
    }
    dw_advance(&g->c, 1);
    add_source(w, 0, NULL);
    while (!g->c.bad && !w->failed && g->c.p < g->c.end && *g->c.p != 0) {
        const char *name = next_text(&g->c);
        uint64_t dir = dw_uleb(&g->c);

        dw_uleb(&g->c);
        dw_uleb(&g->c);
        add_source(w, dir, name);
    }
    dw_advance(&g->c, 1);
}

/* One of the two tables of version 5, entries as their format says. */
static void new_table(dw_worker_t *w, program_t *g, bool files)
{
    dw_attr_t format[256];
    unsigned formats = (unsigned)dw_fixed(&g->c, 1);
    uint64_t n;

    for (unsigned i = 0; i < formats; i++) {
        format[i].name = (uint16_t)dw_uleb(&g->c);
        format[i].form = (uint16_t)dw_uleb(&g->c);
        format[i].implicit = 0;
    }
    n = formats > 0 ? dw_uleb(&g->c) : 0;
    for (; n > 0 && !g->c.bad && !w->failed && g->c.p < g->c.end; n--) {
        const char *name = NULL;
        uint64_t dir = 0;

        for (unsigned i = 0; i < formats; i++) {
            dw_value_t v;

            dw_value(&v, &g->c, &g->sizes, &format[i]);
            if (format[i].name == DW_LNCT_path && v.kind == DW_TEXT) {
                name = v.text;
            } else if (format[i].name == DW_LNCT_directory_index && v.kind == DW_CONST) {
                dir = v.u;
            }
        }
        if (files) {
            add_source(w, dir, name);
        } else {
            add_dir(w, name);
        }
    }
}

/* ---- the header ---- */

static bool read_header(dw_worker_t *w, program_t *g, const dw_unit_t *u)
{
    const dw_span_t *s = &u->addr_file->s[DW_LINE]; /* a split unit's is its skeleton's */
    uint64_t length, header;

    if (u->line >= s->n) {
        return false;
    }
    g->c = (dw_cur_t){ s->p + u->line, s->p + s->n, u->file->big, false };
    g->sizes = *u;
    g->sizes.file = u->addr_file;
    g->sizes.offset_size = 4;
    length = dw_fixed(&g->c, 4);
    if (length == 0xffffffff) {
        g->sizes.offset_size = 8;
        length = dw_fixed(&g->c, 8);
    }
    if (g->c.bad || length > (uint64_t)(g->c.end - g->c.p)) {
        return false;
    }
    g->c.end = g->c.p + length;
    g->sizes.version = (uint16_t)dw_fixed(&g->c, 2);
    if (g->sizes.version < 2 || g->sizes.version > 5) {
        return false;
    }
    if (g->sizes.version >= 5) {
        g->sizes.addr_size = (uint8_t)dw_fixed(&g->c, 1);
        dw_fixed(&g->c, 1);
    }
    header = dw_fixed(&g->c, g->sizes.offset_size);
    if (g->c.bad || header > (uint64_t)(g->c.end - g->c.p)) {
        return false;
    }
    g->program = g->c.p + header;
    g->min_length = (unsigned)dw_fixed(&g->c, 1);
    g->max_ops = g->sizes.version >= 4 ? (unsigned)dw_fixed(&g->c, 1) : 1;
    dw_fixed(&g->c, 1); /* default_is_stmt: every row counts here */
    g->line_base = (int8_t)dw_fixed(&g->c, 1);
    g->line_range = (unsigned)dw_fixed(&g->c, 1);
    g->opcode_base = (unsigned)dw_fixed(&g->c, 1);
    for (unsigned i = 1; i < g->opcode_base; i++) {
        g->lengths[i] = (uint8_t)dw_fixed(&g->c, 1);
    }
    if (g->sizes.version >= 5) {
        new_table(w, g, false);
        new_table(w, g, true);
    } else {
        old_tables(w, g);
    }
    g->c.p = g->program;
    g->c.bad = false;
    return g->line_range > 0 && g->opcode_base > 0 && !w->failed;
}

/* ---- the program ---- */

static void start(state_t *s, const dw_worker_t *w)
{
    memset(s, 0, sizeof(*s));
    s->file = 1;
    s->line = 1;
    s->first = w->lines.rows;
}

/* Of several rows at one address the last counts; a row that goes back does not. */
static void add_row(dw_worker_t *w, state_t *s)
{
    dw_lines_t *l = &w->lines;
    dw_row_t row = { s->addr, (uint32_t)(s->line <= UINT32_MAX ? s->line : 0),
                     (uint32_t)(s->file < UINT32_MAX ? s->file : UINT32_MAX - 1) };

    if (l->rows > s->first && s->addr < l->row[l->rows - 1].addr) {
        return;
    }
    if (l->rows > s->first && s->addr == l->row[l->rows - 1].addr) {
        l->row[l->rows - 1] = row;
    } else if (DW_ROOM(l->row, l->cap_row, l->rows)) {
        l->row[l->rows++] = row;
    } else {
        w->failed = true;
    }
}

static void end_sequence(dw_worker_t *w, state_t *s, bool ended)
{
    dw_lines_t *l = &w->lines;
    dw_seq_t q = { 0, s->addr, s->first, l->rows - s->first, l->seqs };

    while (ended && q.rows > 0 && l->row[l->rows - 1].addr >= q.end) {
        l->rows--; /* a row without a byte: what follows the sequence is not its own */
        q.rows--;
    }
    if (q.rows == 0) {
        return;
    }
    q.start = l->row[s->first].addr;
    if (!ended) {
        q.end = l->row[l->rows - 1].addr + 1; /* damaged: the last row gets a byte */
    }
    if (q.start == 0 || q.start >= q.end) {
        l->rows = s->first;
    } else if (DW_ROOM(l->seq, l->cap_seq, l->seqs)) {
        l->seq[l->seqs++] = q;
    } else {
        w->failed = true;
    }
}

static void advance(const program_t *g, state_t *s, uint64_t ops)
{
    if (g->max_ops <= 1) {
        s->addr += ops * g->min_length;
        return;
    }
    ops += s->op;
    s->addr += ops / g->max_ops * g->min_length;
    s->op = (unsigned)(ops % g->max_ops);
}

static void extended(dw_worker_t *w, program_t *g, state_t *s)
{
    uint64_t length = dw_uleb(&g->c);
    const uint8_t *end;
    unsigned op;

    if (g->c.bad || length == 0 || length > (uint64_t)(g->c.end - g->c.p)) {
        g->c.bad = g->c.bad || length != 0;
        return;
    }
    end = g->c.p + length;
    op = (unsigned)dw_fixed(&g->c, 1);
    if (op == DW_LNE_end_sequence) {
        end_sequence(w, s, true);
        start(s, w);
    } else if (op == DW_LNE_set_address && length <= 9) {
        s->addr = dw_fixed(&g->c, (unsigned)length - 1);
        s->op = 0;
    } else if (op == DW_LNE_define_file && g->sizes.version < 5) {
        const char *name = next_text(&g->c);

        add_source(w, dw_uleb(&g->c), name);
    }
    g->c.p = end;
}

static void standard(dw_worker_t *w, program_t *g, state_t *s, unsigned op)
{
    switch (op) {
    case DW_LNS_copy:
        add_row(w, s);
        break;
    case DW_LNS_advance_pc:
        advance(g, s, dw_uleb(&g->c));
        break;
    case DW_LNS_advance_line:
        s->line += (uint64_t)dw_sleb(&g->c);
        break;
    case DW_LNS_set_file:
        s->file = dw_uleb(&g->c);
        break;
    case DW_LNS_const_add_pc:
        advance(g, s, (255 - g->opcode_base) / g->line_range);
        break;
    case DW_LNS_fixed_advance_pc:
        s->addr += dw_fixed(&g->c, 2);
        s->op = 0;
        break;
    default:
        for (unsigned i = 0; i < g->lengths[op]; i++) {
            dw_uleb(&g->c);
        }
        break;
    }
}

static void run(dw_worker_t *w, program_t *g)
{
    state_t s;

    start(&s, w);
    while (g->c.p < g->c.end && !g->c.bad && !w->failed) {
        unsigned op = *g->c.p++;

        if (op >= g->opcode_base) {
            op -= g->opcode_base;
            advance(g, &s, op / g->line_range);
            s.line += (uint64_t)(int64_t)(g->line_base + (int)(op % g->line_range));
            add_row(w, &s);
        } else if (op == 0) {
            extended(w, g, &s);
        } else {
            standard(w, g, &s, op);
        }
    }
    end_sequence(w, &s, false);
}

/* ---- the table ---- */

static int by_start(const void *a, const void *b)
{
    const dw_seq_t *x = a, *y = b;

    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Where two overlap (identical functions folded into one), the first keeps the addresses. */
static void make_apart(dw_lines_t *l)
{
    uint64_t end = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->seqs; i++) {
        dw_seq_t q = l->seq[i];

        if (q.end <= end) {
            continue;
        }
        while (q.rows > 1 && l->row[q.row + 1].addr <= end) {
            q.row++;
            q.rows--;
        }
        q.start = q.start < end ? end : q.start;
        end = q.end;
        l->seq[n++] = q;
    }
    l->seqs = n;
}

void dw_lines_read(dw_worker_t *w)
{
    const dw_unit_t *u = w->unit;
    dw_lines_t *l = &w->lines;
    program_t g = { 0 };

    if (l->unit != NULL && u->has_line && l->unit->line == u->line && l->unit->has_line &&
        l->unit->addr_file == u->addr_file && l->unit->dir == u->dir) {
        return;
    }
    l->rows = l->seqs = l->dirs = l->sources = 0;
    l->unknown = UINT32_MAX;
    l->unit = u;
    if (!u->has_line || !read_header(w, &g, u)) {
        return;
    }
    if ((uint64_t)(g.c.end - g.c.p) > w->line_work) {
        return;
    }
    w->line_work -= (uint64_t)(g.c.end - g.c.p);
    run(w, &g);
    w->emit_work += 4 * (uint64_t)l->rows;
    if (l->seqs > 1) {
        qsort(l->seq, l->seqs, sizeof(*l->seq), by_start);
    }
    make_apart(l);
}

/* ---- numbers of files ---- */

/* Appends a path's parts, without "." and with ".." taken back. */
static size_t append_parts(char *out, size_t n, const char *path)
{
    bool absolute = n > 0 && out[0] == '/';

    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        if (len == 2 && path[0] == '.' && path[1] == '.') {
            while (n > (size_t)absolute && out[n - 1] != '/') {
                n--;
            }
            n -= n > (size_t)absolute;
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (n > 0 && out[n - 1] != '/') {
                out[n++] = '/';
            }
            memcpy(out + n, path, len);
            n += len;
        }
        path += len + (path[len] == '/');
    }
    return n;
}

/* Latin-1 where it is not UTF-8: old compilers wrote what the file system gave. */
static char *as_utf8(char *path)
{
    size_t len = strlen(path), n = 0;
    char *out = malloc(2 * len + 1);

    for (size_t i = 0; out != NULL && i < len; i++) {
        unsigned char c = (unsigned char)path[i];

        if (c < 0x20 || c == 0x7f) {
            continue;
        }
        if (c < 0x80) {
            out[n++] = (char)c;
        } else {
            out[n++] = (char)(0xc0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 0x3f));
        }
    }
    if (out != NULL) {
        out[n] = '\0';
    }
    free(path);
    return out;
}

static bool needs_cleaning(const char *path)
{
    for (const char *c = path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return true;
        }
    }
    return !sal_utf8_valid(path, strlen(path));
}

/* A folder may be named by any number of files: no more is copied than a path can have. */
static const char *part(const char *s)
{
    return s != NULL && strnlen(s, MAX_PART + 1) <= MAX_PART ? s : "";
}

/* Compilation folder, folder, name: the last absolute one begins. The file system is not asked. */
static uint32_t number_path(dw_worker_t *w, const char *comp, const char *dir, const char *name)
{
    const char *parts[3] = { part(comp), part(dir), part(name) };
    int first = parts[2][0] == '/' ? 2 : parts[1][0] == '/' ? 1 : 0;
    char *path = malloc(3 * (MAX_PART + 1) + 1);
    size_t n = 0;
    uint32_t id;

    if (path == NULL) {
        w->failed = true;
        return 0;
    }
    if (parts[first][0] == '/') {
        path[n++] = '/';
    }
    for (int i = first; i < 3; i++) {
        n = append_parts(path, n, parts[i]);
    }
    path[n] = '\0';
    if (needs_cleaning(path)) {
        path = as_utf8(path);
    }
    id = dw_intern(&w->dw->files, path == NULL || *path == '\0' ? "<unknown>" : path, true, true);
    free(path);
    return id;
}

uint32_t dw_file_number(dw_worker_t *w, uint64_t index)
{
    dw_lines_t *l = &w->lines;
    const char *comp = w->unit->dir;

    if (index < l->sources && l->source[index].name != NULL) {
        dw_source_t *s = &l->source[index];

        if (s->id == UINT32_MAX) {
            s->id = number_path(w, comp, s->dir, s->name);
        }
        return s->id;
    }
    if (l->unknown == UINT32_MAX) {
        l->unknown = number_path(w, comp, NULL, NULL);
    }
    return l->unknown;
}
