/*
 * Abbreviations: what the DIEs of a unit look like, and how to step over those of no interest.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

void dw_abbrevs_free(dw_abbrevs_t *t)
{
    free(t->ab);
    free(t->attr);
    memset(t, 0, sizeof(*t));
}

/* Scopes give names to what is in them; leaves have nothing in them that could have code. */
static enum dw_role role_of(unsigned tag)
{
    switch (tag) {
    case DW_TAG_subprogram:
        return DW_FUNC;
    case DW_TAG_inlined_subroutine:
        return DW_INLINE;
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_interface_type:
        return DW_SCOPE;
    case DW_TAG_enumeration_type:
    case DW_TAG_array_type:
    case DW_TAG_subroutine_type:
    case DW_TAG_call_site:
    case DW_TAG_GNU_call_site:
    case DW_TAG_variant_part:
        return DW_LEAF;
    default:
        return DW_PLAIN;
    }
}

/* Bytes of a form where they do not depend on the value; false: they do. */
static bool constant_size(dw_abbrev_t *ab, unsigned form)
{
    switch (form) {
    case DW_FORM_flag_present:
    case DW_FORM_implicit_const:
        return true;
    case DW_FORM_data1:
    case DW_FORM_flag:
    case DW_FORM_ref1:
    case DW_FORM_strx1:
    case DW_FORM_addrx1:
        ab->fixed += 1;
        return true;
    case DW_FORM_data2:
    case DW_FORM_ref2:
    case DW_FORM_strx2:
    case DW_FORM_addrx2:
        ab->fixed += 2;
        return true;
    case DW_FORM_strx3:
    case DW_FORM_addrx3:
        ab->fixed += 3;
        return true;
    case DW_FORM_data4:
    case DW_FORM_ref4:
    case DW_FORM_strx4:
    case DW_FORM_addrx4:
    case DW_FORM_ref_sup4:
        ab->fixed += 4;
        return true;
    case DW_FORM_data8:
    case DW_FORM_ref8:
    case DW_FORM_ref_sig8:
    case DW_FORM_ref_sup8:
        ab->fixed += 8;
        return true;
    case DW_FORM_data16:
        ab->fixed += 16;
        return true;
    case DW_FORM_addr:
        ab->addrs++;
        return true;
    case DW_FORM_strp:
    case DW_FORM_line_strp:
    case DW_FORM_sec_offset:
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_strp_sup:
    case DW_FORM_GNU_ref_alt:
        ab->offsets++;
        return true;
    default:
        return false;
    }
}

/* Attributes up to the pair of zeros. */
static bool read_attributes(dw_abbrevs_t *t, dw_abbrev_t *ab, dw_cur_t *c)
{
    for (;;) {
        uint64_t name = dw_uleb(c), form = dw_uleb(c);
        dw_attr_t a = { 0, 0, 0 };

        if (form == DW_FORM_implicit_const) {
            a.implicit = dw_sleb(c);
        }
        if (c->bad || name > UINT16_MAX || form > UINT16_MAX) {
            return false;
        }
        if (name == 0 && form == 0) {
            return true;
        }
        if (!DW_ROOM(t->attr, t->cap_attr, t->n_attr)) {
            return false;
        }
        a.name = (uint16_t)name;
        a.form = (uint16_t)form;
        t->attr[t->n_attr++] = a;
        ab->attrs++;
        ab->sibling = ab->sibling || a.name == DW_AT_sibling;
        if (ab->attrs > 128 || !constant_size(ab, a.form)) {
            ab->variable = true; /* beyond 128 the counters could overflow */
        }
    }
}

static int by_code(const void *a, const void *b)
{
    const dw_abbrev_t *x = a, *y = b;

    return x->code < y->code ? -1 : x->code > y->code;
}

bool dw_abbrevs_read(dw_abbrevs_t *t, const dw_file_t *f, uint64_t off, uint64_t until,
                     uint64_t *work)
{
    const dw_span_t *s = &f->s[DW_ABBREV];
    dw_cur_t c = { s->p, s->p + s->n, f->big, false };
    const uint8_t *start;
    uint64_t code = UINT64_MAX; /* the one before */

    t->file = NULL;
    t->n = t->n_attr = 0;
    t->dense = true;
    if (off >= s->n) {
        return false;
    }
    start = c.p += off;
    if ((uint64_t)(c.end - c.p) > *work) {
        c.end = c.p + *work;
    }
    while (!c.bad && code != until && (code = dw_uleb(&c)) != 0) {
        dw_abbrev_t ab = { .code = (uint32_t)code, .first = t->n_attr };
        uint64_t tag = dw_uleb(&c);

        ab.children = dw_fixed(&c, 1) != 0;
        if (code > UINT32_MAX || tag > UINT16_MAX || !read_attributes(t, &ab, &c) ||
            !DW_ROOM(t->ab, t->cap, t->n)) {
            break; /* what was read before the damage counts */
        }
        ab.tag = (uint16_t)tag;
        ab.role = role_of(ab.tag);
        t->dense = t->dense && ab.code == t->n + 1;
        t->ab[t->n++] = ab;
    }
    *work -= (uint64_t)(c.p - start);
    if (!t->dense) {
        qsort(t->ab, t->n, sizeof(*t->ab), by_code);
    }
    t->file = f;
    t->off = off;
    return t->n > 0;
}

bool dw_abbrevs_name(const dw_file_t *f, unsigned form)
{
    const dw_span_t *s = &f->s[DW_ABBREV];
    dw_cur_t c = { s->p, s->p + s->n, f->big, false };

    while (c.p < c.end && !c.bad) {
        uint64_t name, value = 0;

        if (dw_uleb(&c) == 0) {
            continue; /* the end of a table, or room between two */
        }
        dw_uleb(&c);
        dw_advance(&c, 1);
        do {
            name = dw_uleb(&c);
            value = dw_uleb(&c);
            if (value == DW_FORM_implicit_const) {
                dw_sleb(&c);
            }
            if (value == form || value == DW_FORM_indirect) {
                return true;
            }
        } while ((name != 0 || value != 0) && !c.bad);
    }
    return c.bad;
}

const dw_abbrev_t *dw_abbrev_find(const dw_abbrevs_t *t, uint64_t code)
{
    dw_abbrev_t key = { .code = (uint32_t)code };

    if (t->dense) {
        return code - 1 < t->n ? &t->ab[code - 1] : NULL;
    }
    return code > UINT32_MAX ? NULL : bsearch(&key, t->ab, t->n, sizeof(*t->ab), by_code);
}

const dw_abbrevs_t *dw_abbrevs_of(dw_worker_t *w, const dw_unit_t *u)
{
    dw_abbrevs_t *t = &w->other[(u->abbrev ^ u->abbrev >> 7) % DW_CACHED];

    if (w->own.file == u->file && w->own.off == u->abbrev) {
        return &w->own;
    }
    if (u == w->unit) {
        t = &w->own;
    }
    if (t->file == u->file && t->off == u->abbrev) {
        return t;
    }
    return dw_abbrevs_read(t, u->file, u->abbrev, 0, &w->abbrev_work) ? t : NULL;
}
