/*
 * Values of attributes, in all forms of DWARF 2 to 5.
 *
 * What refers to a string or an address table is looked up here, within the bounds of its section.
 * A form of unknown size ends the reading of a unit: nobody can tell where the next value is.
 */
#include <string.h>

#include "dumpsyms/dwarf_private.h"

static uint64_t read_at(const dw_file_t *f, enum dw_section s, uint64_t off, unsigned n, bool *ok)
{
    dw_cur_t c = { f->s[s].p, f->s[s].p + f->s[s].n, f->big, false };
    uint64_t v;

    *ok = off <= f->s[s].n && n <= f->s[s].n - off;
    if (!*ok) {
        return 0;
    }
    c.p += off;
    v = dw_fixed(&c, n);
    return v;
}

/* An entry of a table of fixed entries, without overflow. */
static uint64_t entry_at(const dw_file_t *f, enum dw_section s, uint64_t base, uint64_t index,
                         unsigned size, bool *ok)
{
    if (index > f->s[s].n || base > f->s[s].n) {
        *ok = false;
        return 0;
    }
    return read_at(f, s, base + index * size, size, ok);
}

/* ---- values ---- */

static const char *indexed_text(const dw_unit_t *u, uint64_t index)
{
    bool ok;
    uint64_t off = entry_at(u->file, DW_STR_OFFSETS, u->str_offsets, index, u->offset_size, &ok);

    return ok ? dw_text(u->file, DW_STR, off) : NULL;
}

static const char *inline_text(dw_cur_t *c)
{
    const char *text = (const char *)c->p;
    const uint8_t *nul = memchr(c->p, 0, (size_t)(c->end - c->p));

    if (nul == NULL) {
        c->bad = true;
        c->p = c->end;
        return NULL;
    }
    c->p = nul + 1;
    return text;
}

/* Bytes of a form that has no value for us; false: not such a form. */
static bool block_length(uint64_t *n, dw_cur_t *c, unsigned form)
{
    switch (form) {
    case DW_FORM_block1:
        *n = dw_fixed(c, 1);
        return true;
    case DW_FORM_block2:
        *n = dw_fixed(c, 2);
        return true;
    case DW_FORM_block4:
        *n = dw_fixed(c, 4);
        return true;
    case DW_FORM_block:
    case DW_FORM_exprloc:
        *n = dw_uleb(c);
        return true;
    case DW_FORM_data16:
        *n = 16;
        return true;
    default:
        return false;
    }
}

static void set(dw_value_t *v, enum dw_kind kind, uint64_t u)
{
    v->kind = kind;
    v->u = u;
    v->text = NULL;
}

static void set_text(dw_value_t *v, const char *text)
{
    v->kind = DW_TEXT;
    v->u = 0;
    v->text = text;
}

static bool value_text(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, unsigned form)
{
    switch (form) {
    case DW_FORM_string:
        set_text(v, inline_text(c));
        return true;
    case DW_FORM_strp:
        set_text(v, dw_text(u->file, DW_STR, dw_fixed(c, u->offset_size)));
        return true;
    case DW_FORM_line_strp:
        set_text(v, dw_text(u->file, DW_LINE_STR, dw_fixed(c, u->offset_size)));
        return true;
    case DW_FORM_GNU_strp_alt:
    case DW_FORM_strp_sup:
        set_text(v, dw_text(u->file->alt, DW_STR, dw_fixed(c, u->offset_size)));
        return true;
    case DW_FORM_strx:
    case DW_FORM_GNU_str_index:
        set_text(v, indexed_text(u, dw_uleb(c)));
        return true;
    case DW_FORM_strx1:
    case DW_FORM_strx2:
    case DW_FORM_strx3:
    case DW_FORM_strx4:
        set_text(v, indexed_text(u, dw_fixed(c, form - DW_FORM_strx1 + 1)));
        return true;
    default:
        return false;
    }
}

static bool value_ref(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, unsigned form)
{
    switch (form) {
    case DW_FORM_ref1:
        set(v, DW_REF, u->off + dw_fixed(c, 1));
        return true;
    case DW_FORM_ref2:
        set(v, DW_REF, u->off + dw_fixed(c, 2));
        return true;
    case DW_FORM_ref4:
        set(v, DW_REF, u->off + dw_fixed(c, 4));
        return true;
    case DW_FORM_ref8:
        set(v, DW_REF, u->off + dw_fixed(c, 8));
        return true;
    case DW_FORM_ref_udata:
        set(v, DW_REF, u->off + dw_uleb(c));
        return true;
    case DW_FORM_ref_addr:
        set(v, DW_REF, dw_fixed(c, u->version < 3 ? u->addr_size : u->offset_size));
        return true;
    case DW_FORM_GNU_ref_alt:
        set(v, DW_REF_ALT, dw_fixed(c, u->offset_size));
        return true;
    case DW_FORM_ref_sup4:
        set(v, DW_REF_ALT, dw_fixed(c, 4));
        return true;
    case DW_FORM_ref_sup8:
        set(v, DW_REF_ALT, dw_fixed(c, 8));
        return true;
    case DW_FORM_ref_sig8:
        dw_advance(c, 8);
        return true;
    default:
        return false;
    }
}

static bool value_address(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, unsigned form)
{
    switch (form) {
    case DW_FORM_addr:
        set(v, DW_ADDR, dw_fixed(c, u->addr_size));
        return true;
    case DW_FORM_addrx:
    case DW_FORM_GNU_addr_index:
        set(v, DW_ADDRX, dw_uleb(c));
        return true;
    case DW_FORM_addrx1:
    case DW_FORM_addrx2:
    case DW_FORM_addrx3:
    case DW_FORM_addrx4:
        set(v, DW_ADDRX, dw_fixed(c, form - DW_FORM_addrx1 + 1));
        return true;
    default:
        return false;
    }
}

static bool value_number(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, const dw_attr_t *a,
                         unsigned form)
{
    switch (form) {
    case DW_FORM_data1:
    case DW_FORM_flag:
        set(v, DW_CONST, dw_fixed(c, 1));
        return true;
    case DW_FORM_data2:
        set(v, DW_CONST, dw_fixed(c, 2));
        return true;
    case DW_FORM_data4:
        set(v, DW_CONST, dw_fixed(c, 4));
        return true;
    case DW_FORM_data8:
        set(v, DW_CONST, dw_fixed(c, 8));
        return true;
    case DW_FORM_udata:
    case DW_FORM_loclistx:
        set(v, DW_CONST, dw_uleb(c));
        return true;
    case DW_FORM_sdata:
        set(v, DW_CONST, (uint64_t)dw_sleb(c));
        return true;
    case DW_FORM_implicit_const:
        set(v, DW_CONST, (uint64_t)a->implicit);
        return true;
    case DW_FORM_flag_present:
        set(v, DW_CONST, 1);
        return true;
    case DW_FORM_sec_offset:
        set(v, DW_SEC, dw_fixed(c, u->offset_size));
        return true;
    case DW_FORM_rnglistx:
        set(v, DW_RNGX, dw_uleb(c));
        return true;
    default:
        return false;
    }
}

void dw_value(dw_value_t *v, dw_cur_t *c, const dw_unit_t *u, const dw_attr_t *a)
{
    unsigned form = a->form;
    uint64_t n;

    set(v, DW_NONE, 0);
    if (form == DW_FORM_indirect) {
        uint64_t real = dw_uleb(c);

        form = real < 0x10000 && real != DW_FORM_indirect && real != DW_FORM_implicit_const
                   ? (unsigned)real
                   : 0;
    }
    if (value_number(v, c, u, a, form) || value_ref(v, c, u, form) || value_text(v, c, u, form) ||
        value_address(v, c, u, form)) {
        return;
    }
    if (block_length(&n, c, form)) {
        dw_advance(c, n);
        return;
    }
    c->bad = true; /* of unknown size: the rest of the unit cannot be read */
}

void dw_skip(dw_cur_t *c, const dw_unit_t *u, unsigned form)
{
    dw_attr_t a = { 0, (uint16_t)form, 0 };
    dw_value_t v;

    switch (form) {
    case DW_FORM_udata:
    case DW_FORM_sdata:
    case DW_FORM_strx:
    case DW_FORM_addrx:
    case DW_FORM_GNU_str_index:
        dw_uleb(c);
        break;
    case DW_FORM_strx1:
        dw_advance(c, 1);
        break;
    case DW_FORM_strx2:
        dw_advance(c, 2);
        break;
    case DW_FORM_exprloc:
        dw_advance(c, dw_uleb(c));
        break;
    default:
        dw_value(&v, c, u, &a);
        break;
    }
}

void dw_skip_die(dw_cur_t *c, const dw_unit_t *u, const dw_abbrevs_t *t, const dw_abbrev_t *ab)
{
    if (!ab->variable) {
        dw_advance(c, (uint64_t)ab->fixed + (uint64_t)ab->addrs * u->addr_size +
                          (uint64_t)ab->offsets * u->offset_size);
        return;
    }
    for (uint32_t i = 0; i < ab->attrs; i++) {
        dw_skip(c, u, t->attr[ab->first + i].form);
    }
}

bool dw_address(uint64_t *out, const dw_unit_t *u, const dw_value_t *v)
{
    bool ok = v->kind == DW_ADDR;

    *out = v->u;
    if (v->kind == DW_ADDRX) {
        *out = entry_at(u->addr_file, DW_ADDRS, u->addr_base, v->u, u->addr_size, &ok);
    }
    return ok;
}
