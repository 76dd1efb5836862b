/*
 * Opens what symbols are made of: the program, its debug file, and what identifies it.
 *
 * Knows ELF headers, notes and the dynamic section; no DWARF.
 */
#include "dumpsyms/dump_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/text.h"

enum { MAX_BUILD_ID = 64, GUID_SIZE = 16, HASH_OVER = 4096, MAX_NAME = 255 };

#define NO_AGE "0" /* ELF knows no age: one digit closes the debug id */

/* ---- sections ---- */

Elf_Scn *dump_elf_section(Elf *elf, const char *name, GElf_Shdr *sh)
{
    Elf_Scn *scn = NULL;
    size_t names;

    if (!elf || elf_getshdrstrndx(elf, &names)) {
        return NULL;
    }
    while ((scn = elf_nextscn(elf, scn))) {
        const char *own = gelf_getshdr(scn, sh) ? elf_strptr(elf, names, sh->sh_name) : NULL;

        if (own && sh->sh_type != SHT_NOBITS && !strcmp(own, name)) {
            return scn;
        }
    }
    return NULL;
}

Elf_Data *dump_elf_bytes(Elf *elf, const char *name, GElf_Shdr *sh)
{
    Elf_Scn *scn = dump_elf_section(elf, name, sh);
    Elf_Data *data = scn ? elf_rawdata(scn, NULL) : NULL;

    return data && data->d_buf && data->d_size ? data : NULL;
}

/* ---- build id: a note named "GNU" of type 3 ---- */

static size_t id_in_notes(Elf_Data *notes, uint8_t id[MAX_BUILD_ID])
{
    size_t at = 0, name_at, desc_at;
    GElf_Nhdr note;

    while (notes && notes->d_buf && (at = gelf_getnote(notes, at, &note, &name_at, &desc_at)) > 0) {
        const char *bytes = notes->d_buf;

        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz &&
            note.n_descsz <= MAX_BUILD_ID && !memcmp(bytes + name_at, "GNU", 4)) {
            memcpy(id, bytes + desc_at, note.n_descsz);
            return note.n_descsz;
        }
    }
    return 0;
}

/* Sections first: in a file of debug information alone, program headers lead nowhere. */
size_t dump_elf_build_id(Elf *elf, uint8_t id[MAX_BUILD_ID])
{
    Elf_Scn *scn = NULL;
    size_t n = 0, segments = 0;
    GElf_Shdr sh;
    GElf_Phdr ph;

    while (!n && (scn = elf_nextscn(elf, scn))) {
        if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_NOTE) {
            n = id_in_notes(elf_getdata(scn, NULL), id);
        }
    }
    if (elf_getphdrnum(elf, &segments)) {
        return n;
    }
    for (size_t i = 0; !n && i < segments && gelf_getphdr(elf, (int)i, &ph); i++) {
        if (ph.p_type == PT_NOTE) {
            Elf_Type type = ph.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;

            n = id_in_notes(elf_getdata_rawchunk(elf, (int64_t)ph.p_offset, ph.p_filesz, type), id);
        }
    }
    return n;
}

/* Without a build id: 4096 bytes of .text, folded into 16. */
static void fold_text(Elf *elf, uint8_t guid[GUID_SIZE])
{
    GElf_Shdr sh;
    Elf_Data *text = dump_elf_bytes(elf, ".text", &sh);
    size_t n = text ? text->d_size : 0;

    memset(guid, 0, GUID_SIZE);
    for (size_t i = 0; i < n && i < HASH_OVER; i++) {
        guid[i % GUID_SIZE] ^= ((const uint8_t *)text->d_buf)[i];
    }
}

/* A GUID has three integers first: their bytes are turned round in little-endian files. */
static void guid_order(uint8_t g[GUID_SIZE])
{
    static const uint8_t from[GUID_SIZE] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    uint8_t was[GUID_SIZE];

    memcpy(was, g, GUID_SIZE);
    for (int i = 0; i < GUID_SIZE; i++) {
        g[i] = was[from[i]];
    }
}

static void upper_hex(char *out, const uint8_t *data, size_t size)
{
    sal_hex(out, data, size);
    for (; *out; out++) {
        *out = *out >= 'a' ? (char)(*out - 'a' + 'A') : *out;
    }
}

static void identify(const dump_elf_t *e, sal_dumpsyms_info_t *info)
{
    uint8_t id[MAX_BUILD_ID] = { 0 }, guid[GUID_SIZE];
    size_t n = dump_elf_build_id(e->elf, id);

    if (n) {
        memcpy(guid, id, GUID_SIZE); /* of a short id the rest is 0 */
        upper_hex(info->code_id, id, n);
    } else {
        fold_text(e->elf, guid);
    }
    if (!e->big_endian) {
        guid_order(guid);
    }
    upper_hex(info->debug_id, guid, GUID_SIZE);
    apr_cpystrn(info->debug_id + 2 * GUID_SIZE, NO_AGE, sizeof(NO_AGE));
}

/* ---- machine, addresses, name ---- */

static const struct machine_t {
    GElf_Half machine;
    const char *name32, *name64;
} machines[] = {
    { EM_386, "x86", NULL },         { EM_X86_64, "x86_64", "x86_64" },
    { EM_ARM, "arm", NULL },         { EM_AARCH64, "arm64", "arm64" },
    { EM_MIPS, "mips", "mips64" },   { EM_PPC, "ppc", NULL },
    { EM_PPC64, NULL, "ppc64" },     { EM_S390, "s390", "s390" },
    { EM_SPARC, "sparc", NULL },     { EM_SPARC32PLUS, "sparc", NULL },
    { EM_SPARCV9, NULL, "sparcv9" }, { EM_RISCV, "riscv", "riscv" },
};

static const char *cpu_of(const dump_elf_t *e)
{
    for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
        if (machines[i].machine == e->machine) {
            return e->is64 ? machines[i].name64 : machines[i].name32;
        }
    }
    return NULL;
}

static uint64_t lowest_load(Elf *elf)
{
    uint64_t lowest = UINT64_MAX;
    size_t n = 0;
    GElf_Phdr ph;

    if (elf_getphdrnum(elf, &n)) {
        return 0;
    }
    for (size_t i = 0; i < n && gelf_getphdr(elf, (int)i, &ph); i++) {
        if (ph.p_type == PT_LOAD && ph.p_vaddr < lowest) {
            lowest = ph.p_vaddr;
        }
    }
    return lowest == UINT64_MAX ? 0 : lowest;
}

static bool one_line(const char *text)
{
    const char *c = text;

    while ((unsigned char)*c >= ' ' && *c != 0x7f) {
        c++;
    }
    return *text && !*c && sal_utf8_valid(text, strlen(text));
}

/* It stands in a line and names a file. */
static bool name_ok(const char *name)
{
    return one_line(name) && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && strlen(name) <= MAX_NAME;
}

static const char *soname(Elf *elf)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;
    GElf_Dyn dyn;

    while ((scn = elf_nextscn(elf, scn))) {
        Elf_Data *data =
            gelf_getshdr(scn, &sh) && sh.sh_type == SHT_DYNAMIC ? elf_getdata(scn, NULL) : NULL;

        for (int i = 0; data && gelf_getdyn(data, i, &dyn) && dyn.d_tag != DT_NULL; i++) {
            if (dyn.d_tag == DT_SONAME) {
                return elf_strptr(elf, sh.sh_link, dyn.d_un.d_val);
            }
        }
    }
    return NULL;
}

static apr_status_t name_module(dump_elf_t *e, const sal_dumpsyms_opts_t *opts, apr_pool_t *p,
                                sal_error_t *err)
{
    const char *own = soname(e->elf);

    if (opts->name && !name_ok(opts->name)) {
        return sal_fail(err, APR_EINVAL, "\"%s\" cannot name a module", opts->name);
    }
    if (!own || !name_ok(own)) {
        own = sal_basename(e->path);
    }
    e->name = apr_pstrdup(p, opts->name ? opts->name : name_ok(own) ? own : "unnamed");
    return APR_SUCCESS;
}

static apr_status_t read_header(dump_elf_t *e, sal_dumpsyms_info_t *info, sal_error_t *err)
{
    const char *cpu;
    GElf_Ehdr eh;

    if (!gelf_getehdr(e->elf, &eh)) {
        return sal_fail(err, APR_EINVAL, "%s: its ELF header is damaged", e->path);
    }
    e->machine = eh.e_machine;
    e->is64 = eh.e_ident[EI_CLASS] == ELFCLASS64;
    e->big_endian = eh.e_ident[EI_DATA] == ELFDATA2MSB;
    if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN) {
        return sal_fail(err, APR_EINVAL,
                        "%s is neither a program nor a shared library (ELF type %d)", e->path,
                        eh.e_type);
    }
    if (!(cpu = cpu_of(e))) {
        return sal_fail(err, APR_EINVAL, "%s: ELF machine %d is not known here", e->path,
                        eh.e_machine);
    }
    apr_cpystrn(info->os, "Linux", sizeof(info->os));
    apr_cpystrn(info->cpu, cpu, sizeof(info->cpu));
    return APR_SUCCESS;
}

/* ---- opening ---- */

static void open_mini(dump_elf_t *e, apr_pool_t *p)
{
    GElf_Shdr sh;
    Elf_Data *data = dump_elf_bytes(e->elf, ".gnu_debugdata", &sh);
    dump_image_t *im = data ? dump_image_xz(data->d_buf, data->d_size, e->path, p) : NULL;

    e->mini = im ? im->elf : NULL;
}

apr_status_t dump_elf_open(dump_elf_t *e, sal_dumpsyms_info_t *info, const char *path,
                           const sal_dumpsyms_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv;

    elf_version(EV_CURRENT);
    memset(e, 0, sizeof(*e));
    memset(info, 0, sizeof(*info));
    e->path = apr_pstrdup(p, path);
    for (const char *const *extra = opts->extra_info; extra && *extra; extra++) {
        if (!one_line(*extra)) {
            return sal_fail(err, APR_EINVAL, "the text of an INFO line is empty or not one line");
        }
    }
    if ((rv = dump_image_open(&e->image, path, p, err)) != APR_SUCCESS) {
        return rv;
    }
    e->elf = e->image->elf;
    if ((rv = read_header(e, info, err)) != APR_SUCCESS ||
        (rv = name_module(e, opts, p, err)) != APR_SUCCESS) {
        return rv;
    }
    e->load_vaddr = lowest_load(e->elf);
    info->name = e->name;
    identify(e, info);
    open_mini(e, p);
    return dump_elf_find_debug(e, opts, p, err);
}

void dump_header_write(FILE *out, const sal_dumpsyms_info_t *info, const sal_dumpsyms_opts_t *opts)
{
    const char *const *extra = opts->extra_info;

    fprintf(out, "MODULE %s %s %s %s\n", info->os, info->cpu, info->debug_id, info->name);
    if (*info->code_id) {
        fprintf(out, "INFO CODE_ID %s\n", info->code_id);
    }
    for (; extra && *extra; extra++) {
        fprintf(out, "INFO %s\n", *extra);
    }
}
