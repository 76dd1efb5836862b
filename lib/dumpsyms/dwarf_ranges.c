/*
 * Address ranges of a DIE: low and high pc, .debug_ranges (DWARF 3, 4), .debug_rnglists (5).
 *
 * Left out: what a linker eliminated (address 0, or all ones and all ones but one) and what is
 * empty or turned around. One list may be named by any number of DIEs: the entries read are
 * counted.
 */
#include "dumpsyms/dwarf_private.h"

static uint64_t all_ones(const dw_unit_t *u)
{
    return u->addr_size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * u->addr_size)) - 1;
}

static void add(dw_worker_t *w, const dw_unit_t *u, uint64_t start, uint64_t end)
{
    if (start == 0 || start >= end || start >= all_ones(u) - 1 || start < w->dw->load) {
        return;
    }
    if (!DW_ROOM(w->range, w->cap_range, w->ranges)) {
        w->failed = true;
        return;
    }
    w->range[w->ranges].start = start;
    w->range[w->ranges].end = end;
    w->ranges++;
}

static bool one_more(dw_worker_t *w, const dw_cur_t *c)
{
    if (c->bad || w->failed || w->range_work == 0) {
        return false;
    }
    w->range_work--;
    return true;
}

static dw_cur_t cursor_at(const dw_file_t *f, enum dw_section s, uint64_t off)
{
    dw_cur_t c = { f->s[s].p, f->s[s].p + f->s[s].n, f->big, off > f->s[s].n };

    c.p = c.bad ? c.end : c.p + off;
    return c;
}

/* Pairs relative to a base that starts as the unit's low pc; ended by a pair of zeros. */
static void old_list(dw_worker_t *w, const dw_unit_t *u, uint64_t off)
{
    dw_cur_t c = cursor_at(u->addr_file, DW_RANGES, off);
    uint64_t base = u->low_pc, ones = all_ones(u);

    while (one_more(w, &c)) {
        uint64_t start = dw_fixed(&c, u->addr_size), end = dw_fixed(&c, u->addr_size);

        if (c.bad || (start == 0 && end == 0)) {
            break;
        }
        if (start == ones) {
            base = end;
        } else if (base != ones && base != ones - 1) {
            add(w, u, (base + start) & ones, (base + end) & ones);
        }
    }
}

static uint64_t indexed(const dw_unit_t *u, dw_cur_t *c)
{
    dw_value_t v = { DW_ADDRX, 0, NULL };
    uint64_t addr;

    v.u = dw_uleb(c);
    return dw_address(&addr, u, &v) ? addr : 0;
}

/* An entry with both ends in it. */
static void whole_entry(dw_worker_t *w, const dw_unit_t *u, dw_cur_t *c, unsigned kind)
{
    bool by_index = kind == DW_RLE_startx_endx || kind == DW_RLE_startx_length;
    uint64_t start = by_index ? indexed(u, c) : dw_fixed(c, u->addr_size), end;

    if (kind == DW_RLE_startx_endx) {
        end = indexed(u, c);
    } else if (kind == DW_RLE_start_end) {
        end = dw_fixed(c, u->addr_size);
    } else {
        uint64_t length = dw_uleb(c);

        end = length > UINT64_MAX - start ? start : start + length;
    }
    if (!c->bad) {
        add(w, u, start, end);
    }
}

static void new_list(dw_worker_t *w, const dw_unit_t *u, uint64_t off)
{
    dw_cur_t c = cursor_at(u->file, DW_RNGLISTS, off);
    uint64_t base = u->low_pc, start, end;

    while (one_more(w, &c)) {
        unsigned kind = (unsigned)dw_fixed(&c, 1);

        switch (kind) {
        case DW_RLE_end_of_list:
            return;
        case DW_RLE_base_addressx:
            base = indexed(u, &c);
            break;
        case DW_RLE_base_address:
            base = dw_fixed(&c, u->addr_size);
            break;
        case DW_RLE_offset_pair:
            start = dw_uleb(&c);
            end = dw_uleb(&c);
            if (!c.bad && base < all_ones(u) - 1) {
                add(w, u, base + start, base + end);
            }
            break;
        case DW_RLE_startx_endx:
        case DW_RLE_startx_length:
        case DW_RLE_start_end:
        case DW_RLE_start_length:
            whole_entry(w, u, &c, kind);
            break;
        default:
            return;
        }
    }
}

static void list(dw_worker_t *w, const dw_unit_t *u, const dw_value_t *v)
{
    uint64_t off = v->u;

    if (v->kind == DW_RNGX) {
        dw_cur_t c = cursor_at(u->file, DW_RNGLISTS, u->rnglists_base);

        if (v->u > u->file->s[DW_RNGLISTS].n) {
            return;
        }
        dw_advance(&c, v->u * u->offset_size);
        off = u->rnglists_base + dw_fixed(&c, u->offset_size);
        if (c.bad) {
            return;
        }
    }
    if (u->version >= 5) {
        new_list(w, u, off);
    } else {
        old_list(w, u, u->ranges_base + off);
    }
}

void dw_ranges(dw_worker_t *w, const dw_unit_t *u, const dw_pcs_t *pcs)
{
    uint64_t low, high;

    w->ranges = 0;
    if (pcs->ranges.kind == DW_CONST || pcs->ranges.kind == DW_SEC || pcs->ranges.kind == DW_RNGX) {
        list(w, u, &pcs->ranges);
    }
    if (w->ranges > 0 || !dw_address(&low, u, &pcs->low)) {
        return;
    }
    if (pcs->high.kind == DW_CONST) {
        high = pcs->high.u > UINT64_MAX - low ? low : low + pcs->high.u;
    } else if (!dw_address(&high, u, &pcs->high)) {
        return;
    }
    add(w, u, low, high);
}
