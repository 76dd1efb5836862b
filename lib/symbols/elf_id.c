/*
 * The little of ELF that a symbol server needs: build id, what the file can be used for, and where
 * a section lies. Reads headers only; DWARF is lib/dumpsyms' business.
 */

#include <string.h>

#include "base/text.h"
#include "symbols/object_private.h"

enum {
    SHT_SYMTAB = 2,
    SHT_NOTE = 7,
    SHT_NOBITS = 8,
    SHF_ALLOC = 2,
    PT_NOTE = 4,
    NT_GNU_BUILD_ID = 3,
    SHN_XINDEX = 0xffff,
    SECTIONS_MAX = 1 << 20,
    NOTES_MAX = 1024,
    TEXT_FOLD = 4096
};

typedef struct {
    sal_span_t file;
    bool is64;
    uint64_t shoff, phoff;
    uint32_t shnum, shstrndx;
    uint16_t shentsize, phentsize, phnum;
    sal_span_t names;
} elf_t;

typedef struct {
    uint32_t name, type;
    uint64_t flags, offset, size, align;
} section_t;

/* A field of the size of an address. */
static bool word(const elf_t *e, uint64_t at32, uint64_t at64, uint64_t *v)
{
    uint32_t v32;

    if (e->is64) {
        return sal_span_u64(&e->file, at64, v);
    }
    if (!sal_span_u32(&e->file, at32, &v32)) {
        return false;
    }
    *v = v32;
    return true;
}

static bool section_at(const elf_t *e, uint32_t i, section_t *s)
{
    uint64_t at = e->shoff + (uint64_t)i * e->shentsize;

    return e->shoff && at >= e->shoff && sal_span_u32(&e->file, at, &s->name) &&
           sal_span_u32(&e->file, at + 4, &s->type) && word(e, at + 8, at + 8, &s->flags) &&
           word(e, at + 16, at + 24, &s->offset) && word(e, at + 20, at + 32, &s->size) &&
           word(e, at + 32, at + 48, &s->align);
}

static const char *section_name(const elf_t *e, const section_t *s)
{
    const char *name;

    if (s->name >= e->names.size) {
        return "";
    }
    name = (const char *)e->names.data + s->name;
    return memchr(name, 0, e->names.size - s->name) ? name : "";
}

/* Files of very many sections keep the counts in the first one. */
static void long_counts(elf_t *e)
{
    section_t first;
    uint32_t link;

    if ((e->shnum == 0 || e->shstrndx == SHN_XINDEX) && section_at(e, 0, &first)) {
        if (e->shnum == 0) {
            e->shnum = first.size > SECTIONS_MAX ? 0 : (uint32_t)first.size;
        }
        if (e->shstrndx == SHN_XINDEX &&
            sal_span_u32(&e->file, e->shoff + (e->is64 ? 40 : 24), &link)) {
            e->shstrndx = link;
        }
    }
}

static bool elf_open(elf_t *e, sal_span_t file)
{
    uint16_t shnum, shstrndx;
    section_t names;
    uint8_t class, data;

    memset(e, 0, sizeof(*e));
    if (file.size < 52 ||
        memcmp(file.data,
               "\x7f"
               "ELF",
               4) ||
        !sal_span_u8(&file, 4, &class) || !sal_span_u8(&file, 5, &data) || class < 1 || class > 2 ||
        data < 1 || data > 2) {
        return false;
    }
    file.swap = data == 2;
    e->file = file;
    e->is64 = class == 2;
    if (!word(e, 28, 32, &e->phoff) || !word(e, 32, 40, &e->shoff) ||
        !sal_span_u16(&file, e->is64 ? 54 : 42, &e->phentsize) ||
        !sal_span_u16(&file, e->is64 ? 56 : 44, &e->phnum) ||
        !sal_span_u16(&file, e->is64 ? 58 : 46, &e->shentsize) ||
        !sal_span_u16(&file, e->is64 ? 60 : 48, &shnum) ||
        !sal_span_u16(&file, e->is64 ? 62 : 50, &shstrndx)) {
        return false;
    }
    if (e->shentsize < (e->is64 ? 64 : 40)) {
        e->shoff = 0;
    }
    e->shnum = shnum;
    e->shstrndx = shstrndx;
    long_counts(e);
    if (section_at(e, e->shstrndx, &names) && names.type != SHT_NOBITS) {
        sal_span_sub(&e->file, names.offset, names.size, &e->names);
    }
    return true;
}

/* ---- build id ---- */

/* Looks through one run of notes. */
static bool note_id(sal_object_t *o, const elf_t *e, uint64_t offset, uint64_t size, uint64_t align)
{
    sal_span_t notes;
    uint64_t at = 0, pad = align == 8 ? 7 : 3;

    if (!sal_span_sub(&e->file, offset, size, &notes)) {
        return false;
    }
    for (int i = 0; i < NOTES_MAX; i++) {
        uint32_t name, desc, type;
        uint64_t body;

        if (!sal_span_u32(&notes, at, &name) || !sal_span_u32(&notes, at + 4, &desc) ||
            !sal_span_u32(&notes, at + 8, &type)) {
            return false;
        }
        body = (at + 12 + name + pad) & ~pad;
        if (type == NT_GNU_BUILD_ID && name == 4 && sal_span_has(&notes, at + 12, 4) &&
            !memcmp(notes.data + at + 12, "GNU", 4) && desc > 0 && desc <= SAL_BUILD_ID_HEX / 2 &&
            sal_span_has(&notes, body, desc)) {
            sal_hex(o->build_id, notes.data + body, desc);
            sal_debug_id_of_build_id(o->debug_id, notes.data + body, desc);
            object_upper(o->code_id, o->build_id);
            return true;
        }
        at = (body + desc + pad) & ~pad;
    }
    return false;
}

static bool segment_id(sal_object_t *o, const elf_t *e)
{
    for (uint16_t i = 0; i < e->phnum; i++) {
        uint64_t at = e->phoff + (uint64_t)i * e->phentsize, offset, size, align;
        uint32_t type;

        if (!sal_span_u32(&e->file, at, &type)) {
            return false;
        }
        if (type == PT_NOTE && word(e, at + 4, at + 8, &offset) &&
            word(e, at + 16, at + 32, &size) && word(e, at + 28, at + 48, &align) &&
            note_id(o, e, offset, size, align)) {
            return true;
        }
    }
    return false;
}

/* Without a build id: the beginning of the code, folded into 16 bytes. */
static void fold_text(sal_object_t *o, const elf_t *e, const section_t *s)
{
    sal_span_t text;
    uint8_t id[16] = { 0 };

    if (s->type == SHT_NOBITS ||
        !sal_span_sub(&e->file, s->offset, s->size < TEXT_FOLD ? s->size : TEXT_FOLD, &text)) {
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        id[i % 16] ^= text.data[i];
    }
    sal_debug_id_of_build_id(o->debug_id, id, sizeof(id));
}

/* ---- what the file is good for ---- */

static bool is_dwarf(const char *name)
{
    return !strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info") ||
           !strcmp(name, ".debug_line") || !strcmp(name, ".zdebug_line");
}

static void look_at_sections(sal_object_t *o, const elf_t *e)
{
    section_t s, text = { .type = SHT_NOBITS };

    for (uint32_t i = 1; i < e->shnum && section_at(e, i, &s); i++) {
        const char *name = section_name(e, &s);

        if (s.type == SHT_NOTE && !*o->build_id) {
            note_id(o, e, s.offset, s.size, s.align);
        }
        if (s.type == SHT_NOBITS || s.size == 0) {
            continue;
        }
        o->has_code = o->has_code || ((s.flags & SHF_ALLOC) && s.type != SHT_NOTE);
        o->has_debug = o->has_debug || is_dwarf(name);
        o->has_symtab = o->has_symtab || s.type == SHT_SYMTAB;
        if (!strcmp(name, ".text")) {
            text = s;
        }
    }
    if (!*o->build_id && !segment_id(o, e)) {
        fold_text(o, e, &text);
    }
}

void object_read_elf(sal_object_t *o, sal_span_t file, bool whole)
{
    elf_t e;

    if (!elf_open(&e, file)) {
        return;
    }
    o->format = SAL_OBJECT_ELF;
    if (whole) {
        look_at_sections(o, &e);
    } else {
        /* The section table is at the end, out of reach: who packs a file packs debug files. */
        segment_id(o, &e);
        o->has_debug = true;
    }
}

bool object_elf_tables(object_tables_t *out, sal_span_t file)
{
    section_t names;
    elf_t e;

    *out = (object_tables_t){ 0, 0, 0 };
    if (!elf_open(&e, file) || !e.shoff) {
        return false;
    }
    out->sections = e.shoff;
    if (section_at(&e, e.shstrndx, &names) && names.type != SHT_NOBITS &&
        sal_span_has(&e.file, names.offset, names.size)) {
        out->names = names.offset;
        out->names_size = names.size;
    }
    return true;
}

apr_status_t sal_elf_section(uint64_t *offset, uint64_t *size, sal_span_t elf, const char *name,
                             sal_error_t *err)
{
    section_t s;
    elf_t e;

    if (!elf_open(&e, elf)) {
        return sal_fail(err, SAL_E_MALFORMED, "this is no ELF file");
    }
    for (uint32_t i = 1; i < e.shnum && section_at(&e, i, &s); i++) {
        if (s.type != SHT_NOBITS && !strcmp(section_name(&e, &s), name)) {
            if (!sal_span_has(&e.file, s.offset, s.size)) {
                return sal_fail(err, SAL_E_MALFORMED, "section %s lies outside the file", name);
            }
            *offset = s.offset;
            *size = s.size;
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_ENOENT, "there is no section %s", name);
}
