/*
 * Modules of a core: ELF files that were mapped, and what identifies them.
 *
 * The kernel saves the first page of every mapped ELF file, so its build id usually stands in the
 * core. A file on disk is only believed where it does not contradict the core: it may be newer.
 */
#include "core2md_core.h"

#include <elf.h>
#include <fcntl.h>
#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"

enum { MAX_HEADERS = 256, MAX_NOTES = 1 << 20, HASH_SIZE = 16, HASH_OVER = 4096 };

/* ---- ELF headers in memory ---- */

typedef struct image_t {
    uint64_t bias; /* address of the image's address 0 */
    uint64_t end;  /* past its last PT_LOAD */
    const uint8_t *id;
    size_t id_size;
} image_t;

typedef struct phdr_t {
    uint32_t type, flags, align;
    uint64_t vaddr, memsz;
} phdr_t;

static phdr_t read_phdr(const sal_span_t *image, uint64_t at, bool is64)
{
    phdr_t ph = { 0 };
    uint32_t vaddr = 0, memsz = 0;
    uint64_t align = 0;

    sal_span_u32(image, at, &ph.type);
    sal_span_u32(image, at + (is64 ? 4 : 24), &ph.flags);
    if (is64) {
        sal_span_u64(image, at + 16, &ph.vaddr);
        sal_span_u64(image, at + 40, &ph.memsz);
        sal_span_u64(image, at + 48, &align);
        ph.align = (uint32_t)align;
    } else {
        sal_span_u32(image, at + 8, &vaddr);
        sal_span_u32(image, at + 20, &memsz);
        sal_span_u32(image, at + 28, &ph.align);
        ph.vaddr = vaddr;
        ph.memsz = memsz;
    }
    return ph;
}

/* Looks for the build id in notes; namesz, descsz, type, name, desc, each padded. */
static void find_build_id(const sal_span_t *notes, uint32_t align, image_t *out)
{
    uint64_t at = 0, pad = align == 8 ? 7 : 3;
    uint32_t name, desc, type;

    while (sal_span_u32(notes, at, &name) && sal_span_u32(notes, at + 4, &desc) &&
           sal_span_u32(notes, at + 8, &type)) {
        uint64_t desc_at = at + ((12 + (uint64_t)name + pad) & ~pad);

        if (!sal_span_has(notes, desc_at, desc)) {
            return;
        }
        if (type == NT_GNU_BUILD_ID && name == 4 && !memcmp(notes->data + at + 12, "GNU", 4)) {
            out->id = notes->data + desc_at;
            out->id_size = desc;
            return;
        }
        at = (desc_at + desc + pad) & ~pad;
    }
}

/* Program headers of an ELF image in the core's memory. */
typedef struct headers_t {
    sal_span_t image;
    uint64_t at;
    uint16_t count, size; /* count 0: an image of which we learn no more */
    bool is64;
} headers_t;

/* False if there is no ELF image at base. */
static bool read_headers(const core_t *core, uint64_t base, headers_t *h)
{
    uint32_t low = 0;

    *h = (headers_t){ .image = core_memory(core, base), .is64 = core->is64 };
    if (!sal_span_has(&h->image, 0, h->is64 ? 64 : 52) || memcmp(h->image.data, ELFMAG, SELFMAG)) {
        return false;
    }
    if (h->is64) {
        sal_span_u64(&h->image, 32, &h->at);
    } else {
        sal_span_u32(&h->image, 28, &low);
        h->at = low;
    }
    sal_span_u16(&h->image, h->is64 ? 54 : 42, &h->size);
    sal_span_u16(&h->image, h->is64 ? 56 : 44, &h->count);
    h->count = h->count > MAX_HEADERS ? MAX_HEADERS : h->count;
    if (h->size != (h->is64 ? 56 : 32) ||
        !sal_span_has(&h->image, h->at, (uint64_t)h->count * h->size)) {
        h->count = 0;
    }
    return true;
}

static phdr_t header(const headers_t *h, uint16_t i)
{
    return read_phdr(&h->image, h->at + (uint64_t)i * h->size, h->is64);
}

/* What the ELF headers at base tell. False if there is no ELF image. */
static bool read_image(const core_t *core, uint64_t base, image_t *out)
{
    uint64_t first = UINT64_MAX;
    headers_t h;

    *out = (image_t){ 0 };
    if (!read_headers(core, base, &h)) {
        return false;
    }
    for (uint16_t i = 0; i < h.count; i++) {
        phdr_t ph = header(&h, i);

        if (ph.type == PT_LOAD) {
            first = ph.vaddr < first ? ph.vaddr : first;
            out->end = ph.vaddr + ph.memsz > out->end ? ph.vaddr + ph.memsz : out->end;
        }
    }
    out->bias = first == UINT64_MAX ? base : base - (first & ~UINT64_C(0xfff));
    out->end += out->bias;
    for (uint16_t i = 0; i < h.count && !out->id_size; i++) {
        phdr_t ph = header(&h, i);
        sal_span_t notes = core_memory(core, out->bias + ph.vaddr);

        if (ph.type == PT_NOTE && ph.memsz < MAX_NOTES) {
            notes.size = notes.size < ph.memsz ? notes.size : (size_t)ph.memsz;
            find_build_id(&notes, ph.align, out);
        }
    }
    return true;
}

/* ---- ELF files on disk ---- */

/* Without a build id, symbol dumpers hash the first page of .text; so do we. */
static bool hash_text(Elf *elf, uint8_t out[HASH_SIZE])
{
    Elf_Scn *section = NULL;
    size_t names;

    if (elf_getshdrstrndx(elf, &names)) {
        return false;
    }
    while ((section = elf_nextscn(elf, section))) {
        GElf_Shdr sh;
        Elf_Data *data;
        const char *name;

        if (!gelf_getshdr(section, &sh) || !(name = elf_strptr(elf, names, sh.sh_name)) ||
            strcmp(name, ".text") || !(data = elf_rawdata(section, NULL)) || !data->d_buf) {
            continue;
        }
        memset(out, 0, HASH_SIZE);
        for (size_t i = 0; i < data->d_size && i < HASH_OVER; i++) {
            out[i % HASH_SIZE] ^= ((const uint8_t *)data->d_buf)[i];
        }
        return true;
    }
    return false;
}

/* Build id of a file, or the hash of its code; in p. Empty if it is no ELF file. */
static sal_span_t file_id(const char *path, apr_pool_t *p)
{
    sal_span_t out = { NULL, 0, false };
    uint8_t hash[HASH_SIZE];
    const void *bits;
    ssize_t size;
    Elf *elf;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return out;
    }
    if ((elf = elf_begin(fd, ELF_C_READ_MMAP, NULL)) && elf_kind(elf) == ELF_K_ELF) {
        if ((size = dwelf_elf_gnu_build_id(elf, &bits)) > 0) {
            out = (sal_span_t){ apr_pmemdup(p, bits, (size_t)size), (size_t)size, false };
        } else if (hash_text(elf, hash)) {
            out = (sal_span_t){ apr_pmemdup(p, hash, sizeof(hash)), sizeof(hash), false };
        }
    }
    elf_end(elf);
    close(fd);
    return out;
}

static bool same_id(const core_module_t *m, const sal_span_t *id)
{
    return m->id_size == id->size && !memcmp(m->id, id->data, id->size);
}

/* ---- the list ---- */

static const char *without_deleted(const char *path, apr_pool_t *p)
{
    static const char mark[] = " (deleted)";
    size_t n = strlen(path);

    if (n > sizeof(mark) && !strcmp(path + n - (sizeof(mark) - 1), mark)) {
        return apr_pstrndup(p, path, n - (sizeof(mark) - 1));
    }
    return path;
}

static bool is_elf_file(const char *path)
{
    char magic[SELFMAG];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool yes = fd >= 0 && read(fd, magic, SELFMAG) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG);

    if (fd >= 0) {
        close(fd);
    }
    return yes;
}

/* The module whose first mapping is files[first]; its mappings end before files[last]. */
static bool make_module(const core_t *core, size_t first, size_t last, core_module_t *m)
{
    const core_file_t *f = &core->files[first];
    uint64_t end = core->files[last - 1].end;
    image_t image;

    if (f->offset != 0) {
        return false;
    }
    *m = (core_module_t){ .base = f->start, .path = without_deleted(f->path, core->pool) };
    if (read_image(core, f->start, &image)) {
        m->id = image.id;
        m->id_size = image.id_size;
        m->from_core = image.id_size > 0;
        end = image.end > end ? image.end : end;
    } else if (core_memory(core, f->start).size || m->path != f->path || !is_elf_file(m->path)) {
        return false; /* mapped data, not code */
    }
    m->size = end - m->base;
    if (!m->id_size && m->path == f->path) {
        sal_span_t id = file_id(m->path, core->pool);

        m->id = id.data;
        m->id_size = id.size;
    }
    return m->size <= UINT32_MAX;
}

static void add_vdso(core_t *core, apr_array_header_t *modules)
{
    uint64_t base = core_auxv(core, AT_SYSINFO_EHDR);
    const core_segment_t *s = base ? core_segment_at(core, base) : NULL;
    image_t image;

    if (s && s->start == base && s->size <= UINT32_MAX && read_image(core, base, &image)) {
        APR_ARRAY_PUSH(modules, core_module_t) = (core_module_t){ .base = base,
                                                                  .size = s->size,
                                                                  .path = "linux-gate.so",
                                                                  .id = image.id,
                                                                  .id_size = image.id_size,
                                                                  .from_core = image.id_size > 0 };
    }
}

/* The program is the module that holds the entry point. It goes first. */
static bool program_first(core_t *core)
{
    uint64_t entry = core_auxv(core, AT_ENTRY);

    for (size_t i = 0; i < core->n_modules; i++) {
        core_module_t m = core->modules[i];

        if (entry - m.base < m.size) {
            memmove(core->modules + 1, core->modules, i * sizeof(m));
            core->modules[0] = m;
            return true;
        }
    }
    return false;
}

static apr_status_t use_exe(core_t *core, const char *exe, sal_error_t *err)
{
    sal_span_t id = file_id(exe, core->pool);
    core_module_t *m = core->modules;

    if (!id.size) {
        return sal_fail(err, SAL_E_MALFORMED, "%s: cannot be read, or is no ELF file", exe);
    }
    if (!program_first(core)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "%s: the core does not tell where the program was "
                        "mapped, so %s is of no use",
                        core->path, exe);
    }
    if (m->from_core && !same_id(m, &id)) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "%s: the core is of another build of the program: "
                        "the build ids differ (%s)",
                        exe, m->path);
    }
    m->id = id.data;
    m->id_size = id.size;
    m->path = exe;
    return APR_SUCCESS;
}

apr_status_t core_find_modules(core_t *core, const char *exe, sal_error_t *err)
{
    apr_array_header_t *modules = apr_array_make(core->pool, 32, sizeof(core_module_t));
    core_module_t m;

    for (size_t first = 0, last; first < core->n_files; first = last) {
        for (last = first + 1; last < core->n_files && core->files[last].offset != 0 &&
                               !strcmp(core->files[last].path, core->files[first].path);
             last++) {
        }
        if (make_module(core, first, last, &m)) {
            APR_ARRAY_PUSH(modules, core_module_t) = m;
        }
    }
    add_vdso(core, modules);
    core->modules = (core_module_t *)modules->elts;
    core->n_modules = (size_t)modules->nelts;
    if (exe) {
        return use_exe(core, exe, err);
    }
    program_first(core);
    return APR_SUCCESS;
}

/* ---- code that the core left out ---- */

static const core_module_t *module_at(const core_t *core, uint64_t address)
{
    for (size_t i = 0; i < core->n_modules; i++) {
        if (address - core->modules[i].base < core->modules[i].size) {
            return &core->modules[i];
        }
    }
    return NULL;
}

sal_span_t core_file_memory(const core_t *core, uint64_t address, size_t size, apr_pool_t *p)
{
    const core_module_t *m = module_at(core, address);
    sal_span_t none = { NULL, 0, false }, id, file, out;

    if (!m || !m->id_size) {
        return none;
    }
    id = file_id(m->path, p);
    if (!same_id(m, &id) || sal_file_map(&file, m->path, p, NULL) != APR_SUCCESS) {
        return none;
    }
    for (size_t i = 0; i < core->n_files; i++) {
        const core_file_t *f = &core->files[i];

        if (address >= f->start && address < f->end) {
            uint64_t room = f->end - address;

            if (sal_span_sub(&file, f->offset + (address - f->start), size < room ? size : room,
                             &out)) {
                return out;
            }
        }
    }
    return none;
}

void core_file_perms(const core_t *core, uint64_t address, char perms[5])
{
    const core_module_t *m = module_at(core, address);
    image_t image;
    headers_t h;

    memcpy(perms, "---p", 5);
    if (!m || !read_image(core, m->base, &image) || !read_headers(core, m->base, &h)) {
        return;
    }
    for (uint16_t i = 0; i < h.count; i++) {
        phdr_t ph = header(&h, i);
        uint64_t start = (image.bias + ph.vaddr) & ~UINT64_C(0xfff);

        if (ph.type == PT_LOAD && address - start < ph.memsz + (ph.vaddr & 0xfff)) {
            perms[0] = ph.flags & PF_R ? 'r' : '-';
            perms[1] = ph.flags & PF_W ? 'w' : '-';
            perms[2] = ph.flags & PF_X ? 'x' : '-';
            return;
        }
    }
}
