/*
 * .debug_frame and .eh_frame as STACK CFI records, in order of address.
 *
 * Reads the entries of both sections and writes a record for each: the rules of its first row, then
 * what changes from row to row. Rules that the text cannot express are left out, with two
 * exceptions: a CFA that cannot be expressed is ".undef", since the one before would be wrong, and
 * where DWARF has no caller the return address is 0, which ends a walk.
 *
 * libdw is not used: it finds the row of one address, and asking it for each takes quadratic time.
 */
#include "dumpsyms/cfi_private.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CIE_CODE = 1024, LINE_SIZE = 8192, RULE_SIZE = CFI_TEXT + 32 };

/* One of the two sections. */
typedef struct frames_t {
    const cfi_cpu_t *cpu;
    sal_span_t bytes;
    uint64_t address;      /* of the section */
    uint64_t text, data;   /* bases of encoded addresses */
    unsigned address_size; /* of the file's class */
    bool eh;               /* .eh_frame */
    cfi_cie_t cie;         /* the last one */
    bool have_cie;
} frames_t;

/* An entry that was found: read again when it is written. */
typedef struct fde_at_t {
    uint64_t start, offset;
    int section;
} fde_at_t;

typedef struct fde_list_t {
    fde_at_t *at;
    size_t n, room;
} fde_list_t;

typedef struct fde_t {
    uint64_t start, size, instructions, end;
} fde_t;

/* ---- reading entries ---- */

/* Length and id that begin an entry; in is left after them, its end at the entry's. */
static bool entry_head(cfi_in_t *in, uint64_t *id, uint64_t *id_at, bool *wide)
{
    uint64_t size;

    if (!cfi_u(in, 4, &size)) {
        return false;
    }
    *wide = size == UINT32_MAX;
    if ((*wide && !cfi_u(in, 8, &size)) || size > in->end - in->at) {
        return false;
    }
    in->end = in->at + size;
    *id_at = in->at;
    return size && cfi_u(in, *wide ? 8 : 4, id);
}

/* Address in an encoding of .eh_frame. */
static bool encoded(const frames_t *f, cfi_in_t *in, uint8_t encoding, unsigned address_size,
                    uint64_t *v)
{
    uint64_t at = f->address + in->at;
    int64_t s = 0;
    bool ok;

    switch (encoding & 0x0f) {
    case DW_EH_PE_absptr:
        ok = cfi_u(in, address_size, v);
        break;
    case DW_EH_PE_uleb128:
        ok = cfi_uleb(in, v);
        break;
    case DW_EH_PE_sleb128:
        ok = cfi_sleb(in, &s);
        *v = (uint64_t)s;
        break;
    case DW_EH_PE_udata2:
    case DW_EH_PE_sdata2:
        ok = cfi_u(in, 2, v);
        *v = encoding & DW_EH_PE_signed ? (uint64_t)(int16_t)*v : *v;
        break;
    case DW_EH_PE_udata4:
    case DW_EH_PE_sdata4:
        ok = cfi_u(in, 4, v);
        *v = encoding & DW_EH_PE_signed ? (uint64_t)(int32_t)*v : *v;
        break;
    default:
        ok = (encoding & 0x07) == DW_EH_PE_udata8 && cfi_u(in, 8, v);
    }
    switch (encoding & 0xf0) {
    case DW_EH_PE_absptr:
        break;
    case DW_EH_PE_pcrel:
        *v += at;
        break;
    case DW_EH_PE_textrel:
        *v += f->text;
        break;
    case DW_EH_PE_datarel:
        *v += f->data;
        break;
    default: /* indirect, aligned, relative to the function */
        return false;
    }
    if (address_size == 4) {
        *v = (uint32_t)*v;
    }
    return ok;
}

/* The letters after 'z': R names the encoding of addresses, the others are skipped. */
static bool augmentation(const frames_t *f, cfi_in_t *in, const char *letters, cfi_cie_t *cie)
{
    uint64_t size, end, v;

    if (*letters != 'z') {
        return !*letters;
    }
    cie->augmented = true;
    if (!cfi_uleb(in, &size) || size > in->end - in->at) {
        return false;
    }
    end = in->at + size;
    for (letters++; *letters; letters++) {
        if (*letters == 'R') {
            if (!cfi_u(in, 1, &v)) {
                return false;
            }
            cie->encoding = (uint8_t)v;
        } else if (*letters == 'P') {
            if (!cfi_u(in, 1, &v) ||
                !encoded(f, in, (uint8_t)v & 0x0f, cie->address_size, &(uint64_t){ 0 })) {
                return false;
            }
        } else if (*letters == 'L') {
            in->at++;
        } else if (!strchr("SBG", *letters)) { /* without data: signal frame, keys, tagging */
            break;
        }
    }
    in->at = end;
    return true;
}

static bool cie_fields(const frames_t *f, cfi_in_t *in, cfi_cie_t *cie)
{
    const char *letters = (const char *)f->bytes.data;
    const char *end;
    uint64_t version, v;

    if (!cfi_u(in, 1, &version) || version < 1 || version == 2 || version > 4 ||
        !(end = memchr(letters + in->at, '\0', in->end - in->at))) {
        return false;
    }
    letters += in->at;
    in->at += (uint64_t)(end - letters) + 1;
    if (version == 4) {
        uint64_t segment;

        if (!cfi_u(in, 1, &v) || (v != 4 && v != 8) || !cfi_u(in, 1, &segment) || segment) {
            return false;
        }
        cie->address_size = (unsigned)v;
    }
    if (!strcmp(letters, "eh")) { /* of old compilers: a pointer */
        in->at += cie->address_size;
        letters += 2;
    }
    return cfi_uleb(in, &cie->code_align) && cfi_sleb(in, &cie->data_align) &&
           (version == 1 ? cfi_u(in, 1, &cie->ra) : cfi_uleb(in, &cie->ra)) &&
           augmentation(f, in, letters, cie);
}

/* Makes f->cie the one at offset. */
static bool read_cie(frames_t *f, uint64_t offset)
{
    cfi_in_t in = { f->bytes, offset, f->bytes.size };
    uint64_t id, id_at;
    cfi_cie_t *cie = &f->cie;
    bool wide;

    if (f->have_cie && cie->offset == offset) {
        return true;
    }
    f->have_cie = false;
    *cie = (cfi_cie_t){ .offset = offset, .address_size = f->address_size };
    if (offset > f->bytes.size || !entry_head(&in, &id, &id_at, &wide) ||
        id != (f->eh  ? 0
               : wide ? UINT64_MAX
                      : UINT32_MAX) ||
        !cie_fields(f, &in, cie) || in.at > in.end || in.end - in.at > MAX_CIE_CODE) {
        return false;
    }
    cie->instructions = in.at;
    cie->instructions_end = in.end;
    f->have_cie = true;
    return true;
}

/* The entry at offset and its CIE. *next: offset after it, 0 if the section cannot be read on. */
static bool read_fde(frames_t *f, uint64_t offset, fde_t *fde, uint64_t *next)
{
    cfi_in_t in = { f->bytes, offset, f->bytes.size };
    uint64_t id = 0, id_at = 0, size;
    bool wide;

    *next = 0;
    if (!entry_head(&in, &id, &id_at, &wide)) {
        *next = in.end == in.at && in.at > offset ? in.at : 0; /* an empty entry ends nothing */
        return false;
    }
    *next = in.end;
    if (f->eh ? !id || id > id_at : id == (wide ? UINT64_MAX : UINT32_MAX)) {
        return false; /* a CIE */
    }
    if (!read_cie(f, f->eh ? id_at - id : id) ||
        !encoded(f, &in, f->cie.encoding, f->cie.address_size, &fde->start) ||
        !encoded(f, &in, f->cie.encoding & 0x0f, f->cie.address_size, &fde->size)) {
        return false;
    }
    if (f->cie.augmented) {
        if (!cfi_uleb(&in, &size) || size > in.end - in.at) {
            return false;
        }
        in.at += size;
    }
    fde->instructions = in.at;
    fde->end = in.end;
    return fde->size && fde->size <= UINT64_MAX - fde->start;
}

static bool keep(fde_list_t *list, fde_at_t at)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 1024;
        fde_at_t *more = realloc(list->at, room * sizeof(*more));

        if (!more) {
            return false;
        }
        list->at = more;
        list->room = room;
    }
    list->at[list->n++] = at;
    return true;
}

/* Code that the linker dropped stands at 0 or at the end of the address space. */
static bool is_code(const fde_t *fde, const dump_elf_t *e)
{
    uint64_t end = e->is64 ? UINT64_MAX : UINT32_MAX;

    return fde->start && fde->start >= e->load_vaddr && fde->start < end - 1;
}

static bool find_fdes(fde_list_t *list, frames_t *f, int section, const dump_elf_t *e)
{
    uint64_t at = 0, next;
    fde_t fde;

    while (at < f->bytes.size) {
        if (read_fde(f, at, &fde, &next) && is_code(&fde, e) &&
            !keep(list, (fde_at_t){ fde.start, at, section })) {
            return false;
        }
        if (!next) {
            break;
        }
        at = next;
    }
    return true;
}

/* ---- writing: lines are put together here, most are short ---- */

typedef struct line_t {
    char text[LINE_SIZE];
    size_t n;
} line_t;

static void put_text(line_t *line, const char *text)
{
    size_t n = strlen(text);

    if (n < LINE_SIZE - line->n) {
        memcpy(line->text + line->n, text, n);
        line->n += n;
    }
}

static void put_number(line_t *line, uint64_t v, unsigned base)
{
    char digits[24];
    int at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    put_text(line, digits + at);
}

static void put_signed(line_t *line, int64_t v)
{
    if (v < 0) {
        put_text(line, "-");
    }
    put_number(line, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10);
}

typedef struct writer_t {
    FILE *out;
    const frames_t *frames;
    int ra; /* column, or CFI_NONE */
    uint64_t load;
    line_t line;
    cfi_state_t last; /* what was written: only changes are */
    bool changed;
} writer_t;

static void put_cfa(writer_t *w, const cfi_state_t *now)
{
    const cfi_cpu_t *cpu = w->frames->cpu;
    int column = now->cfa_kind == CFI_REGISTER ? cfi_column(cpu, now->cfa_reg) : CFI_NONE;
    uint64_t block = (uint64_t)now->cfa_value;
    char text[CFI_TEXT];

    if (now->cfa_kind == w->last.cfa_kind && now->cfa_reg == w->last.cfa_reg &&
        now->cfa_value == w->last.cfa_value) {
        return;
    }
    w->changed = true;
    w->last.cfa_kind = now->cfa_kind;
    w->last.cfa_reg = now->cfa_reg;
    w->last.cfa_value = now->cfa_value;
    put_text(&w->line, " .cfa: ");
    if (column != CFI_NONE) {
        put_text(&w->line, cpu->names[column]);
        put_text(&w->line, " ");
        put_signed(&w->line, now->cfa_value);
        put_text(&w->line, " +");
    } else if (now->cfa_kind == CFI_EXPR &&
               cfi_postfix(text, cpu, w->frames->bytes, block, false)) {
        put_text(&w->line, text);
    } else {
        put_text(&w->line, ".undef");
    }
}

/* A rule that came before is gone: the register is its own again, as the return address is where
 * it has a register. */
static bool put_unspecified(writer_t *w, int column)
{
    const cfi_cpu_t *cpu = w->frames->cpu;

    put_text(&w->line, cpu->names[column]);
    return column == w->ra ? cpu->ra_in_column : w->last.kind[column] != CFI_UNSPECIFIED;
}

/* The expression of a rule; false: there is none to write. */
static bool put_rule(writer_t *w, const cfi_state_t *now, int column)
{
    const cfi_cpu_t *cpu = w->frames->cpu;
    int64_t value = now->value[column];
    cfi_kind_t kind = now->kind[column];
    char text[CFI_TEXT];
    int from;

    switch (kind) {
    case CFI_OFFSET:
    case CFI_VAL_OFFSET:
        put_text(&w->line, ".cfa ");
        put_signed(&w->line, value);
        put_text(&w->line, kind == CFI_OFFSET ? " + ^" : " +");
        return true;
    case CFI_REGISTER:
        from = cfi_column(cpu, (uint64_t)value);
        put_text(&w->line, from == CFI_NONE ? "" : cpu->names[from]);
        return from != CFI_NONE;
    case CFI_EXPR:
    case CFI_VAL_EXPR:
        if (!cfi_postfix(text, cpu, w->frames->bytes, (uint64_t)value, true)) {
            return false;
        }
        put_text(&w->line, text);
        put_text(&w->line, kind == CFI_EXPR ? " ^" : "");
        return true;
    case CFI_UNDEFINED:
        put_text(&w->line, "0");
        return column == w->ra;
    case CFI_SAME:
        put_text(&w->line, cpu->names[column]);
        return true;
    default:
        return put_unspecified(w, column);
    }
}

static void put_column(writer_t *w, const cfi_state_t *now, int column, bool first)
{
    size_t before = w->line.n;
    bool implied = first && column == w->ra && w->frames->cpu->ra_in_column;

    if (now->kind[column] == w->last.kind[column] && now->value[column] == w->last.value[column] &&
        !implied) {
        return;
    }
    put_text(&w->line, " ");
    put_text(&w->line, column == w->ra ? ".ra" : w->frames->cpu->names[column]);
    put_text(&w->line, ": ");
    if (!put_rule(w, now, column)) {
        w->line.n = before;
        return;
    }
    w->changed = true;
    w->last.kind[column] = now->kind[column];
    w->last.value[column] = now->value[column];
}

static void put_row(writer_t *w, const cfi_state_t *now, bool first)
{
    put_cfa(w, now);
    if (w->ra != CFI_NONE) {
        put_column(w, now, w->ra, first);
    }
    for (int column = 0; column < w->frames->cpu->columns; column++) {
        if (column != w->ra) {
            put_column(w, now, column, first);
        }
    }
}

static void write_line(writer_t *w)
{
    put_text(&w->line, "\n");
    fwrite(w->line.text, 1, w->line.n, w->out);
}

/* False: not even the first row can be read. */
static bool write_record(writer_t *w, cfi_run_t *run, const fde_t *fde)
{
    bool first = true;
    uint64_t at;

    memset(&w->last, 0, sizeof(w->last));
    for (; cfi_row(run, &at); first = false) {
        if (run->broken && first) {
            return false;
        }
        w->line.n = 0;
        w->changed = first;
        put_text(&w->line, first ? "STACK CFI INIT " : "STACK CFI ");
        put_number(&w->line, at - w->load, 16);
        if (first) {
            put_text(&w->line, " ");
            put_number(&w->line, fde->size, 16);
        }
        if (run->broken) {
            put_text(&w->line, " .cfa: .undef");
            w->changed = true;
        } else {
            put_row(w, &run->now, first);
        }
        if (w->changed) {
            write_line(w);
        }
    }
    return !first;
}

/* ---- all of it ---- */

static uint64_t section_address(Elf *elf, const char *name)
{
    GElf_Shdr sh;

    return dump_elf_section(elf, name, &sh) ? sh.sh_addr : 0;
}

static void open_frames(frames_t *f, const dump_elf_t *e, bool eh)
{
    const char *name = eh ? ".eh_frame" : ".debug_frame";
    GElf_Shdr sh = { 0 };
    Elf_Data *data = dump_elf_bytes(e->elf, name, &sh);

    if (!data && !eh && e->debug) {
        data = dump_elf_bytes(e->debug, name, &sh);
    }
    *f = (frames_t){ .cpu = cfi_cpu(e->machine), .address_size = e->is64 ? 8 : 4, .eh = eh };
    f->address = sh.sh_addr;
    if (data) {
        f->bytes = (sal_span_t){ data->d_buf, data->d_size, e->big_endian };
        f->text = section_address(e->elf, ".text");
        f->data = section_address(e->elf, ".got");
    }
}

/* By address; of two at one address the section that was read first. */
static int by_start(const void *a, const void *b)
{
    const fde_at_t *x = a, *y = b;

    if (x->start != y->start) {
        return x->start < y->start ? -1 : 1;
    }
    if (x->section != y->section) {
        return x->section - y->section;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static uint32_t write_all(FILE *out, const fde_list_t *list, frames_t *frames, const dump_elf_t *e)
{
    writer_t w = { .out = out, .load = e->load_vaddr };
    const frames_t *run_of = NULL;
    uint64_t cie_of = 0, next;
    uint32_t written = 0;
    cfi_run_t run;
    fde_t fde;

    for (size_t i = 0; i < list->n && !ferror(out); i++) {
        frames_t *f = &frames[list->at[i].section];

        if ((i && list->at[i].start == list->at[i - 1].start) ||
            !read_fde(f, list->at[i].offset, &fde, &next)) {
            continue;
        }
        if (run_of != f || cie_of != f->cie.offset) {
            cfi_begin(&run, f->cpu, &f->cie, f->bytes);
            run_of = f;
            cie_of = f->cie.offset;
        }
        w.frames = f;
        w.ra = cfi_column(f->cpu, f->cie.ra);
        cfi_entry(&run, fde.instructions, fde.end, fde.start, fde.size);
        written += write_record(&w, &run, &fde);
    }
    return written;
}

apr_status_t dump_cfi_write(FILE *out, uint32_t *records, const dump_elf_t *e, apr_pool_t *p,
                            sal_error_t *err)
{
    frames_t frames[2];
    fde_list_t list = { 0 };
    bool ok = true;

    (void)p;
    *records = 0;
    if (!cfi_cpu(e->machine)) {
        return APR_SUCCESS;
    }
    for (int i = 0; ok && i < 2; i++) {
        open_frames(&frames[i], e, i == 1);
        ok = find_fdes(&list, &frames[i], i, e);
    }
    if (ok && list.n) {
        qsort(list.at, list.n, sizeof(*list.at), by_start);
        *records = write_all(out, &list, frames, e);
    }
    free(list.at);
    if (!ok) {
        return sal_fail(err, APR_ENOMEM, "%s: no memory for its call frames", e->path);
    }
    return ferror(out) ? sal_fail_os(err, errno, "symbols of %s", e->path) : APR_SUCCESS;
}
