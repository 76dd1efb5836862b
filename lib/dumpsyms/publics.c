/*
 * Names of code from the symbol tables: of the program, of its debug file, of .gnu_debugdata; and a
 * name for each section of code that begins without one.
 *
 * Gives one symbol an address, the first in the order of the tables. Which of them are written
 * beside the functions of DWARF the writer decides. Names stay where they are in the mapped file;
 * what its header claims about tables is checked against their bytes.
 */
#include "dumpsyms/dump_private.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

enum { MAX_NAME = 256 * 1024, MAX_SECTION_NAME = 256 };

typedef struct symbols_t {
    dump_public_t *sym;
    size_t n, room;
    const dump_elf_t *e;
} symbols_t;

/* A string table that ends with a NUL, or as much of it as does. */
typedef struct strings_t {
    const char *text;
    size_t size;
} strings_t;

static strings_t read_strings(Elf *elf, size_t index)
{
    Elf_Scn *scn = elf_getscn(elf, index);
    Elf_Data *data = scn ? elf_rawdata(scn, NULL) : NULL;
    const char *last;

    if (!data || !data->d_buf || !data->d_size) {
        return (strings_t){ NULL, 0 };
    }
    last = memrchr(data->d_buf, '\0', data->d_size);
    return (strings_t){ data->d_buf, last ? (size_t)(last - (const char *)data->d_buf) + 1 : 0 };
}

/* NULL: no name, or one that nobody gave a function. */
static const char *name_at(const strings_t *s, uint64_t at)
{
    if (at >= s->size || !s->text[at] || strnlen(s->text + at, MAX_NAME) == MAX_NAME) {
        return NULL;
    }
    return s->text + at;
}

static bool add(symbols_t *s, const dump_public_t *sym)
{
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        dump_public_t *more = realloc(s->sym, room * sizeof(*more));

        if (!more) {
            return false;
        }
        s->sym = more;
        s->room = room;
    }
    s->sym[s->n] = *sym;
    s->sym[s->n].order = (uint32_t)s->n;
    s->n++;
    return true;
}

/* One byte a section: whether it holds code. */
static uint8_t *executable_sections(Elf *elf, size_t *count)
{
    uint8_t *is = NULL;
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;

    if (elf_getshdrnum(elf, count) || !(is = calloc(*count + 1, 1))) {
        return NULL;
    }
    while ((scn = elf_nextscn(elf, scn))) {
        size_t i = elf_ndxscn(scn);

        is[i < *count ? i : *count] = gelf_getshdr(scn, &sh) && (sh.sh_flags & SHF_EXECINSTR);
    }
    return is;
}

/* Functions of Thumb code have bit 0 of their address set. */
static uint64_t code_address(const dump_elf_t *e, uint64_t value)
{
    return e->machine == EM_ARM ? value & ~UINT64_C(1) : value;
}

typedef struct table_t {
    Elf_Data *data, *wide; /* wide: SHT_SYMTAB_SHNDX, or NULL */
    strings_t strings;
    const uint8_t *code;
    size_t sections, symbols;
} table_t;

static bool add_table(symbols_t *s, const table_t *t)
{
    const dump_elf_t *e = s->e;

    for (size_t i = 0; i < t->symbols; i++) {
        dump_public_t sym = { 0 };
        GElf_Sym from;
        Elf32_Word wide = 0;
        size_t section;

        if (!gelf_getsymshndx(t->data, t->wide, (int)i, &from, &wide)) {
            break;
        }
        section = from.st_shndx == SHN_XINDEX ? wide : from.st_shndx;
        if (GELF_ST_TYPE(from.st_info) != STT_FUNC || section == SHN_UNDEF ||
            section >= t->sections || !t->code[section] || from.st_value < e->load_vaddr) {
            continue;
        }
        sym.addr = code_address(e, from.st_value) - e->load_vaddr;
        sym.size = from.st_size;
        sym.name = name_at(&t->strings, from.st_name);
        if (!add(s, &sym)) {
            return false;
        }
    }
    return true;
}

static Elf_Data *wide_sections(Elf *elf, size_t of)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;

    while ((scn = elf_nextscn(elf, scn))) {
        if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_SYMTAB_SHNDX && sh.sh_link == of) {
            return elf_getdata(scn, NULL);
        }
    }
    return NULL;
}

/* The first table of that type in the file: there is but one. */
static bool read_table(symbols_t *s, Elf *elf, GElf_Word type)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;
    table_t t = { 0 };
    uint8_t *code;
    size_t entry;
    bool ok;

    while ((scn = elf_nextscn(elf, scn)) && (!gelf_getshdr(scn, &sh) || sh.sh_type != type)) {
    }
    if (!scn || !(t.data = elf_getdata(scn, NULL)) || !t.data->d_buf) {
        return true;
    }
    entry = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
    t.symbols = entry ? t.data->d_size / entry : 0;
    t.symbols = t.symbols < INT32_MAX ? t.symbols : INT32_MAX;
    t.wide = wide_sections(elf, elf_ndxscn(scn));
    t.strings = read_strings(elf, sh.sh_link);
    t.code = code = executable_sections(elf, &t.sections);
    ok = code && add_table(s, &t);
    free(code);
    return ok;
}

/* Full tables before the dynamic one, whose names carry no versions but are fewer. */
static bool read_tables(symbols_t *s, const dump_elf_t *e)
{
    Elf *debug = e->debug != e->elf ? e->debug : NULL;

    return read_table(s, e->elf, SHT_SYMTAB) && (!debug || read_table(s, debug, SHT_SYMTAB)) &&
           read_table(s, e->elf, SHT_DYNSYM) && (!e->mini || read_table(s, e->mini, SHT_SYMTAB));
}

/* ---- sections that begin without a symbol ---- */

static bool read_sections(symbols_t *s, apr_pool_t *p)
{
    const char *file =
        sal_utf8_clean(sal_basename(s->e->path), strlen(sal_basename(s->e->path)), p);
    Elf_Scn *scn = NULL;
    size_t names;
    GElf_Shdr sh;

    if (elf_getshdrstrndx(s->e->elf, &names)) {
        return true;
    }
    while ((scn = elf_nextscn(s->e->elf, scn))) {
        dump_public_t sym = { .synthetic = true };
        const char *name;

        if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_EXECINSTR) ||
            sh.sh_addr < s->e->load_vaddr) {
            continue;
        }
        name = elf_strptr(s->e->elf, names, sh.sh_name);
        name =
            name && *name && strnlen(name, MAX_SECTION_NAME) < MAX_SECTION_NAME ? name : "unknown";
        sym.addr = sh.sh_addr - s->e->load_vaddr;
        sym.name = apr_psprintf(p, "<%s ELF section in %s>", name, file);
        if (!add(s, &sym)) {
            return false;
        }
    }
    return true;
}

/* ---- one an address ---- */

static int by_address(const void *a, const void *b)
{
    const dump_public_t *x = a, *y = b;

    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* "m" is for other names, not for the same one in another table. Versions ("@GLIBC_2.2") do not
 * make another name. */
static bool other_name(const dump_public_t *a, const dump_public_t *b)
{
    const char *x = a->name ? a->name : "", *y = b->name ? b->name : "";
    size_t n = strcspn(x, "@");

    return !b->synthetic && (strcspn(y, "@") != n || memcmp(x, y, n) != 0);
}

static size_t one_an_address(dump_public_t *sym, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (kept && sym[kept - 1].addr == sym[i].addr) {
            sym[kept - 1].multiple |= other_name(&sym[kept - 1], &sym[i]);
        } else {
            sym[kept++] = sym[i];
        }
    }
    return kept;
}

static apr_status_t free_symbols(void *sym)
{
    free(sym);
    return APR_SUCCESS;
}

apr_status_t dump_publics_read(dump_publics_t *out, const dump_elf_t *e, apr_pool_t *p,
                               sal_error_t *err)
{
    symbols_t s = { .e = e };
    bool ok = read_tables(&s, e) && read_sections(&s, p);

    if (!ok || s.n > INT32_MAX) {
        free(s.sym);
        return sal_fail(err, APR_ENOMEM, "%s: no memory for its symbol table", e->path);
    }
    if (s.n) {
        qsort(s.sym, s.n, sizeof(*s.sym), by_address);
    }
    out->sym = s.sym;
    out->n = (uint32_t)one_an_address(s.sym, s.n);
    apr_pool_cleanup_register(p, s.sym, free_symbols, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

const dump_public_t *dump_public_at(const dump_publics_t *s, uint64_t addr)
{
    uint32_t low = 0, high = s->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (s->sym[mid].addr < addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < s->n && s->sym[low].addr == addr && !s->sym[low].synthetic ? &s->sym[low] : NULL;
}
