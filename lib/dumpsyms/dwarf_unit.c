/*
 * The DIEs of a unit, once from front to back: functions with code, and the calls inlined in them.
 *
 * Nothing is kept of a DIE but what leads to output. Depth is a counter and a growing array, so
 * that nesting costs memory and not stack. References are followed after the walk, when the scopes
 * of the unit are known.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

enum { MAX_DEPTH = 1 << 16 };

/* ---- attributes ---- */

typedef struct attrs_t {
    dw_pcs_t pcs;
    dw_value_t origin, call_file, call_line;
    uint64_t sibling; /* 0: none */
} attrs_t;

static void read_attrs(attrs_t *out, dw_cur_t *c, const dw_unit_t *u, const dw_abbrevs_t *t,
                       const dw_abbrev_t *ab)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < ab->attrs && !c->bad; i++) {
        const dw_attr_t *a = &t->attr[ab->first + i];

        switch (a->name) {
        case DW_AT_low_pc:
            dw_value(&out->pcs.low, c, u, a);
            break;
        case DW_AT_high_pc:
            dw_value(&out->pcs.high, c, u, a);
            break;
        case DW_AT_ranges:
            dw_value(&out->pcs.ranges, c, u, a);
            break;
        case DW_AT_abstract_origin:
            dw_value(&out->origin, c, u, a);
            break;
        case DW_AT_call_file:
            dw_value(&out->call_file, c, u, a);
            break;
        case DW_AT_call_line:
            dw_value(&out->call_line, c, u, a);
            break;
        default:
            dw_skip(c, u, a->form);
            break;
        }
    }
}

static uint64_t read_sibling(dw_cur_t *c, const dw_unit_t *u, const dw_abbrevs_t *t,
                             const dw_abbrev_t *ab)
{
    uint64_t sibling = 0;

    for (uint32_t i = 0; i < ab->attrs && !c->bad; i++) {
        const dw_attr_t *a = &t->attr[ab->first + i];
        dw_value_t v;

        if (a->name == DW_AT_sibling) {
            dw_value(&v, c, u, a);
            sibling = v.kind == DW_REF ? v.u : 0;
        } else {
            dw_skip(c, u, a->form);
        }
    }
    return sibling;
}

/* ---- functions and inlined calls ---- */

static int by_start(const void *a, const void *b)
{
    const dw_range_t *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* The function of w->range, or -1 if it has no code. Its ranges are put in order and apart. */
static int32_t add_function(dw_worker_t *w, uint64_t die)
{
    dw_fn_t fn = { die, w->franges, 0 };
    uint64_t end = 0;

    if (w->ranges > 1) {
        qsort(w->range, w->ranges, sizeof(*w->range), by_start);
    }
    for (uint32_t i = 0; i < w->ranges; i++) {
        dw_range_t r = w->range[i];

        if (i > 0 && r.start < end) {
            continue;
        }
        if (!DW_ROOM(w->frange, w->cap_frange, w->franges)) {
            w->failed = true;
            return -1;
        }
        w->frange[w->franges++] = r;
        fn.ranges++;
        end = r.end;
    }
    if (fn.ranges == 0) {
        return -1;
    }
    if (!DW_ROOM(w->fn, w->cap_fn, w->fns)) {
        w->failed = true;
        return -1;
    }
    w->fn[w->fns] = fn;
    return (int32_t)w->fns++;
}

/* The range of the function that begins last at or before addr, if it covers it; else -1. */
static int64_t range_of(const dw_worker_t *w, const dw_fn_t *fn, uint64_t addr)
{
    uint32_t from = fn->range, to = fn->range + fn->ranges;

    while (from < to) {
        uint32_t mid = from + (to - from) / 2;

        if (w->frange[mid].start <= addr) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from > fn->range && w->frange[from - 1].end > addr ? (int64_t)from - 1 : -1;
}

static uint32_t number(const dw_value_t *v, uint32_t otherwise)
{
    return v->kind == DW_CONST && v->u < UINT32_MAX ? (uint32_t)v->u : otherwise;
}

static void add_inlined(dw_worker_t *w, const dw_frame_t *frame, uint64_t die, const attrs_t *a)
{
    const dw_fn_t *fn = &w->fn[frame->fn];

    for (uint32_t i = 0; i < w->ranges; i++) {
        int64_t at = range_of(w, fn, w->range[i].start);
        dw_inl_t inl = { .start = w->range[i].start,
                         .end = w->range[i].end,
                         .die = a->origin.kind != DW_NONE ? a->origin.u : die,
                         .in_alt = a->origin.kind == DW_REF_ALT,
                         .frange = (uint32_t)at,
                         .depth = frame->depth,
                         .order = w->inls,
                         .call_file = number(&a->call_file, UINT32_MAX),
                         .call_line = number(&a->call_line, 0) };

        if (at < 0) {
            continue;
        }
        if (!DW_ROOM(w->inl, w->cap_inl, w->inls)) {
            w->failed = true;
            return;
        }
        w->inl[w->inls++] = inl;
    }
}

/* ---- the walk ---- */

/* What the children of a DIE stand in. */
static dw_frame_t enter(dw_worker_t *w, const dw_abbrevs_t *t, const dw_abbrev_t *ab, dw_cur_t *c,
                        uint64_t off, dw_frame_t frame)
{
    const dw_unit_t *u = w->unit;
    attrs_t a;

    frame.own_scope = -1;
    switch (ab->role) {
    case DW_FUNC:
        read_attrs(&a, c, u, t, ab);
        dw_ranges(w, u, &a.pcs);
        frame.fn = add_function(w, off);
        frame.depth = 0;
        break;
    case DW_INLINE:
        if (frame.fn < 0 || !w->dw->inlines) {
            dw_skip_die(c, u, t, ab);
            frame.fn = -1;
            break;
        }
        read_attrs(&a, c, u, t, ab);
        dw_ranges(w, u, &a.pcs);
        if (w->ranges == 0) {
            frame.fn = -1; /* left out by the linker: what is in it, too */
            break;
        }
        add_inlined(w, &frame, off, &a);
        frame.depth++;
        break;
    case DW_SCOPE:
        if (!dw_wants_scopes(u)) {
            dw_skip_die(c, u, t, ab);
            break;
        }
        frame.own_scope = dw_scope_open(w, &w->scopes, u, off, t, ab, c, frame.scope);
        frame.scope = frame.own_scope >= 0 ? frame.own_scope : frame.scope;
        break;
    default:
        dw_skip_die(c, u, t, ab);
        break;
    }
    return frame;
}

static void leave(dw_worker_t *w, const dw_frame_t *frame, uint64_t off)
{
    if (frame->own_scope >= 0) {
        w->scopes.scope[frame->own_scope].end = off;
    }
}

/* Steps over a DIE that has nothing for us, with its children if it says where they end. */
static bool step_over(dw_worker_t *w, const dw_abbrevs_t *t, const dw_abbrev_t *ab, dw_cur_t *c)
{
    const uint8_t *info = w->unit->file->s[DW_INFO].p;
    uint64_t sibling;

    if (ab->role != DW_LEAF || !ab->children || !ab->sibling) {
        return false;
    }
    sibling = read_sibling(c, w->unit, t, ab);
    if (sibling <= (uint64_t)(c->p - info) || sibling >= w->unit->end) {
        c->bad = true; /* there is no telling where the next one is */
        return true;
    }
    c->p = info + sibling;
    return true;
}

static void walk(dw_worker_t *w, const dw_abbrevs_t *t)
{
    const dw_unit_t *u = w->unit;
    const dw_span_t *info = &u->file->s[DW_INFO];
    dw_cur_t c = { info->p + u->die, info->p + u->end, u->file->big, false };
    uint32_t depth = 0;

    while (c.p < c.end && !c.bad && !w->failed && depth < MAX_DEPTH) {
        uint64_t off = (uint64_t)(c.p - info->p), code = dw_uleb(&c);
        const dw_abbrev_t *ab;
        dw_frame_t frame = { -1, 0, -1, -1 };

        if (code == 0) {
            if (depth > 0) {
                leave(w, &w->frame[--depth], off);
            }
            continue;
        }
        ab = dw_abbrev_find(t, code);
        if (ab == NULL) {
            break;
        }
        if (step_over(w, t, ab, &c)) {
            continue;
        }
        if (depth > 0) {
            frame = w->frame[depth - 1];
        }
        frame = enter(w, t, ab, &c, off, frame);
        if (ab->children) {
            if (!DW_ROOM(w->frame, w->cap_frame, depth)) {
                w->failed = true;
                break;
            }
            w->frame[depth++] = frame;
        }
    }
}

/* ---- output ---- */

static int by_range(const void *a, const void *b)
{
    const dw_inl_t *x = a, *y = b;

    if (x->frange != y->frange) {
        return x->frange < y->frange ? -1 : 1;
    }
    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static void name_function(dw_worker_t *w, const dw_fn_t *fn, dump_name_t *name)
{
    const dump_public_t *known = NULL;
    dw_die_t die = { w->unit, fn->die };
    char *temp;

    if (w->dw->names != NULL) {
        known = dump_public_at(w->dw->names, w->frange[fn->range].start - w->dw->load);
    }
    if (known != NULL) {
        name->text = known->name;
        name->plain = false;
        return;
    }
    dw_name(w, die, name, &temp);
    if (name->text != NULL && (temp != NULL || dw_text_goes(&w->dw->main, name->text))) {
        name->text = dw_intern_copy(&w->dw->origins, name->text);
    }
    free(temp);
}

static void put_range(dw_worker_t *w, uint32_t at, const dump_name_t *name, dw_inl_t *inl,
                      uint32_t inls, uint32_t unit)
{
    const dw_range_t *r = &w->frange[at];
    dw_func_out_t out = { .body = w->bytes.n, .unit = unit, .order = at };

    if (r->start == w->dw->load) {
        return; /* relative address 0 is the ELF header */
    }
    out.f.addr = r->start - w->dw->load;
    out.f.size = r->end - r->start;
    out.f.name = *name;
    dw_body(w, r, inl, inls);
    out.f.body_size = (uint32_t)(w->bytes.n - out.body);
    if (w->bytes.failed || w->bytes.n - out.body > UINT32_MAX ||
        !DW_ROOM(w->out, w->cap_out, w->outs)) {
        w->failed = true;
        return;
    }
    w->out[w->outs++] = out;
}

static void put_functions(dw_worker_t *w, uint32_t unit)
{
    uint32_t inl = 0;

    if (w->inls > 1) {
        qsort(w->inl, w->inls, sizeof(*w->inl), by_range);
    }
    for (uint32_t i = 0; i < w->fns && !w->failed; i++) {
        const dw_fn_t *fn = &w->fn[i];
        dump_name_t name;

        name_function(w, fn, &name);
        for (uint32_t r = fn->range; r < fn->range + fn->ranges && !w->failed; r++) {
            uint32_t first;

            while (inl < w->inls && w->inl[inl].frange < r) {
                inl++;
            }
            first = inl;
            while (inl < w->inls && w->inl[inl].frange == r) {
                inl++;
            }
            put_range(w, r, &name, inl > first ? &w->inl[first] : NULL, inl - first, unit);
        }
    }
}

void dw_unit_read(dw_worker_t *w, const dw_unit_t *u, uint32_t order)
{
    const dw_abbrevs_t *t;

    w->unit = u;
    w->epoch++;
    w->n_known = 0;
    w->fns = w->franges = w->inls = 0;
    w->scopes.n = 0;
    w->scopes.unit = u;
    t = dw_abbrevs_of(w, u);
    if (t == NULL) {
        return;
    }
    walk(w, t);
    if (w->fns == 0) {
        return;
    }
    dw_lines_read(w);
    put_functions(w, order);
}
