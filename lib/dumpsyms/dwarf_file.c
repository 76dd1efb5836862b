/*
 * Sections and units of a DWARF file.
 *
 * Every offset is checked against its section here, and text sections are cut after their last NUL,
 * so that whatever offset into them is valid is text.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

enum { MAX_UNITS = 1 << 20, MAX_ITEMS = 1 << 28 };

bool dw_room(void **array, uint32_t *cap, uint32_t n, size_t size)
{
    uint32_t more;
    void *p;

    if (n < *cap) {
        return true;
    }
    if (n >= MAX_ITEMS) {
        return false;
    }
    more = *cap < 64 ? 64 : *cap * 2;
    p = realloc(*array, (size_t)more * size);
    if (p == NULL) {
        return false;
    }
    *array = p;
    *cap = more;
    return true;
}

/* ---- sections ---- */

static const char *const section_names[DW_SECTIONS] = {
    ".debug_info", ".debug_abbrev",   ".debug_str",    ".debug_str_offsets", ".debug_addr",
    ".debug_line", ".debug_line_str", ".debug_ranges", ".debug_rnglists",
};

static void cut_after_nul(dw_span_t *s)
{
    while (s->n > 0 && s->p[s->n - 1] != 0) {
        s->n--;
    }
}

bool dw_file_load(dw_file_t *f, const dump_image_t *image, bool split)
{
    static const uint8_t nothing[1];

    memset(f, 0, sizeof(*f));
    f->image = image;
    f->split = split;
    f->big = image->data[EI_DATA] == ELFDATA2MSB;
    for (int i = 0; i < DW_SECTIONS; i++) {
        char name[32];
        GElf_Shdr sh;
        Elf_Data *data;

        snprintf(name, sizeof(name), "%s%s", section_names[i], split ? ".dwo" : "");
        data = dump_elf_bytes(image->elf, name, &sh);
        f->s[i].p = nothing; /* never NULL: places in it are computed */
        if (data != NULL && data->d_buf != NULL) {
            f->s[i].p = data->d_buf;
            f->s[i].n = data->d_size;
        }
    }
    cut_after_nul(&f->s[DW_STR]);
    cut_after_nul(&f->s[DW_LINE_STR]);
    return f->s[DW_INFO].n > 0 && f->s[DW_ABBREV].n > 0;
}

void dw_file_free(dw_file_t *f)
{
    free(f->unit);
    f->unit = NULL;
    f->units = f->cap = 0;
}

const char *dw_text(const dw_file_t *f, enum dw_section s, uint64_t off)
{
    return f != NULL && off < f->s[s].n ? (const char *)f->s[s].p + off : NULL;
}

/* ---- units ---- */

static bool is_number(const dw_value_t *v)
{
    return v->kind == DW_CONST || v->kind == DW_SEC;
}

/* What the unit's own DIE says, as far as others need it; indexed values come after their bases. */
static void root_attributes(dw_unit_t *u, dw_value_t *late, dw_cur_t *c, const dw_abbrevs_t *t,
                            const dw_abbrev_t *ab)
{
    for (uint32_t i = 0; i < ab->attrs && !c->bad; i++) {
        const dw_attr_t *a = &t->attr[ab->first + i];
        const uint8_t *at = c->p;
        dw_value_t v;

        dw_value(&v, c, u, a);
        if (a->name == DW_AT_stmt_list && is_number(&v)) {
            u->line = v.u;
            u->has_line = true;
        } else if (a->name == DW_AT_language && v.kind == DW_CONST) {
            u->lang = (uint16_t)v.u;
        } else if (a->name == DW_AT_str_offsets_base && is_number(&v)) {
            u->str_offsets = v.u;
        } else if ((a->name == DW_AT_addr_base || a->name == DW_AT_GNU_addr_base) &&
                   is_number(&v)) {
            u->addr_base = v.u;
        } else if (a->name == DW_AT_rnglists_base && is_number(&v)) {
            u->rnglists_base = v.u;
        } else if (a->name == DW_AT_GNU_ranges_base && is_number(&v)) {
            u->ranges_base = v.u;
        } else if (a->name == DW_AT_GNU_dwo_id && v.kind == DW_CONST) {
            u->dwo_id = v.u;
            u->has_dwo_id = true;
        } else if (a->name == DW_AT_low_pc) {
            late[0] = v;
        } else if (a->name == DW_AT_comp_dir) {
            late[1].u = (uint64_t)(at - u->file->s[DW_INFO].p);
            late[1].kind = DW_CONST;
            late[2].u = a->form;
        }
    }
}

static void late_attributes(dw_unit_t *u, const dw_value_t *late)
{
    const dw_span_t *info = &u->file->s[DW_INFO];

    if (late[0].kind != DW_NONE && !dw_address(&u->low_pc, u, &late[0])) {
        u->low_pc = 0;
    }
    if (late[1].kind != DW_NONE) {
        dw_cur_t c = { info->p + late[1].u, info->p + u->end, u->file->big, false };
        dw_attr_t a = { DW_AT_comp_dir, (uint16_t)late[2].u, 0 };
        dw_value_t v;

        dw_value(&v, &c, u, &a);
        u->dir = v.kind == DW_TEXT ? v.text : NULL;
    }
}

/* The first DIE; *t is room for its abbreviation. */
static bool read_root(dw_unit_t *u, dw_abbrevs_t *t, uint64_t *work)
{
    const dw_span_t *info = &u->file->s[DW_INFO];
    dw_cur_t c = { info->p + u->die, info->p + u->end, u->file->big, false };
    dw_value_t late[3] = { { DW_NONE, 0, NULL }, { DW_NONE, 0, NULL }, { DW_NONE, 0, NULL } };
    const dw_abbrev_t *ab;
    uint64_t code = dw_uleb(&c);

    if (c.bad || code == 0 || !dw_abbrevs_read(t, u->file, u->abbrev, code, work)) {
        return false;
    }
    ab = dw_abbrev_find(t, code);
    if (ab == NULL || (ab->tag != DW_TAG_compile_unit && ab->tag != DW_TAG_partial_unit &&
                       ab->tag != DW_TAG_skeleton_unit)) {
        return false;
    }
    u->partial = ab->tag == DW_TAG_partial_unit;
    root_attributes(u, late, &c, t, ab);
    late_attributes(u, late);
    return !c.bad;
}

/* Defaults where no base is given: version 5 tables begin with a header, split ones have no base.
 */
static void set_bases(dw_unit_t *u)
{
    uint64_t header = u->version >= 5 ? (u->offset_size == 8 ? 16 : 8) : 0;

    u->addr_file = u->file;
    u->str_offsets = header;
    u->addr_base = header;
    u->rnglists_base = u->version >= 5 ? header + 4 : 0;
}

static bool version_ok(unsigned version)
{
    return version >= 2 && version <= 5;
}

/* A unit's header; *kept: it is one to read. False: the rest of the section cannot be read. */
static bool read_header(dw_unit_t *u, dw_cur_t *c, const dw_file_t *f, bool *kept)
{
    uint64_t length = dw_fixed(c, 4), type = DW_UT_compile;

    u->offset_size = 4;
    if (length == 0xffffffff) {
        length = dw_fixed(c, 8);
        u->offset_size = 8;
    }
    if (c->bad || length > (uint64_t)(c->end - c->p)) {
        return false;
    }
    u->file = f;
    u->end = (uint64_t)(c->p - f->s[DW_INFO].p) + length;
    u->version = (uint16_t)dw_fixed(c, 2);
    if (u->version >= 5) {
        type = dw_fixed(c, 1);
        u->addr_size = (uint8_t)dw_fixed(c, 1);
        u->abbrev = dw_fixed(c, u->offset_size);
    } else {
        u->abbrev = dw_fixed(c, u->offset_size);
        u->addr_size = (uint8_t)dw_fixed(c, 1);
    }
    if (type == DW_UT_skeleton || type == DW_UT_split_compile) {
        u->dwo_id = dw_fixed(c, 8);
        u->has_dwo_id = true;
    }
    u->die = (uint64_t)(c->p - f->s[DW_INFO].p);
    *kept = version_ok(u->version) && type != DW_UT_type && type != DW_UT_split_type &&
            (u->addr_size == 2 || u->addr_size == 4 || u->addr_size == 8) && u->die < u->end;
    c->p = f->s[DW_INFO].p + u->end;
    c->bad = false;
    return true;
}

/* Is every line program of one unit, in their order? */
static bool lines_in_order(const dw_file_t *f)
{
    uint64_t last = 0;
    bool any = false;

    for (uint32_t i = 0; i < f->units; i++) {
        const dw_unit_t *u = &f->unit[i];

        if (u->has_line && any && u->line <= last) {
            return false;
        }
        any = any || u->has_line;
        last = u->has_line ? u->line : last;
    }
    return true;
}

bool dw_text_goes(const dw_file_t *f, const char *text)
{
    const dw_span_t *info = &f->s[DW_INFO];

    return f->info_once && (uintptr_t)text - (uintptr_t)info->p < info->n;
}

bool dw_file_index(dw_file_t *f)
{
    dw_cur_t c = { f->s[DW_INFO].p, f->s[DW_INFO].p + f->s[DW_INFO].n, f->big, false };
    uint64_t work = f->s[DW_INFO].n + 16 * f->s[DW_ABBREV].n + (1 << 20);
    dw_abbrevs_t t = { 0 };
    bool ok = true;

    while (c.p < c.end && f->units < MAX_UNITS) {
        dw_unit_t u = { 0 };
        bool kept;

        u.off = (uint64_t)(c.p - f->s[DW_INFO].p);
        if (!read_header(&u, &c, f, &kept)) {
            break;
        }
        if (!kept) {
            continue;
        }
        set_bases(&u);
        if (read_root(&u, &t, &work)) {
            ok = DW_ROOM(f->unit, f->cap, f->units);
            if (!ok) {
                break;
            }
            f->unit[f->units++] = u;
        }
    }
    dw_abbrevs_free(&t);
    f->line_once = lines_in_order(f);
    f->info_once = !dw_abbrevs_name(f, DW_FORM_ref_addr);
    return ok;
}

const dw_unit_t *dw_unit_at(const dw_file_t *f, uint64_t off)
{
    uint32_t from = 0, to = f->units;

    while (from < to) {
        uint32_t mid = from + (to - from) / 2;

        if (f->unit[mid].end <= off) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from < f->units && off >= f->unit[from].die ? &f->unit[from] : NULL;
}

static int by_dwo_id(const void *a, const void *b)
{
    const dw_unit_t *x = *(const dw_unit_t *const *)a, *y = *(const dw_unit_t *const *)b;

    return x->dwo_id < y->dwo_id ? -1 : x->dwo_id > y->dwo_id;
}

void dw_join_split(dw_file_t *split, const dw_file_t *skeletons)
{
    const dw_unit_t **list = malloc((skeletons->units + 1) * sizeof(*list));
    uint32_t n = 0;

    for (uint32_t i = 0; list != NULL && i < skeletons->units; i++) {
        if (skeletons->unit[i].has_dwo_id) {
            list[n++] = &skeletons->unit[i];
        }
    }
    if (n > 0) {
        qsort(list, n, sizeof(*list), by_dwo_id);
    }
    for (uint32_t i = 0; n > 0 && i < split->units; i++) {
        dw_unit_t *u = &split->unit[i];
        const dw_unit_t *const *found = bsearch(&u, list, n, sizeof(*list), by_dwo_id);

        if (found != NULL && u->has_dwo_id) {
            u->addr_file = (*found)->file;
            u->addr_base = (*found)->addr_base;
            u->ranges_base = (*found)->ranges_base;
            u->low_pc = (*found)->low_pc;
            u->line = (*found)->line;
            u->has_line = (*found)->has_line;
            u->dir = (*found)->dir != NULL ? (*found)->dir : u->dir;
        }
    }
    free(list);
}
