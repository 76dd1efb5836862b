/*
 * Reading an ELF core file: segments, notes, memory. Knows no register and no minidump.
 *
 * The file is mapped, not read; a core may be far larger than memory.
 */
#include "core2md_core.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "base/text.h"

enum { MAX_THREADS = 65536, MAX_FILES = 1 << 20 };

typedef struct reading_t {
    core_t *core;
    Elf *elf;
    size_t n_headers;
    apr_array_header_t *segments, *threads;
    uint64_t missing; /* bytes that program headers promise and the file lacks */
} reading_t;

static apr_status_t malformed(const reading_t *rd, const char *what, sal_error_t *err)
{
    return sal_fail(err, SAL_E_MALFORMED, "%s: %s", rd->core->path, what);
}

/* ---- notes ---- */

/* NT_FILE: count, page size, triples of start, end, page offset; then as many names. */
static bool read_files(reading_t *rd, const sal_span_t *note)
{
    core_t *core = rd->core;
    unsigned width = core->is64 ? 8 : 4;
    uint64_t head[2], at = 2 * width, names;

    for (int i = 0; i < 2; i++) {
        uint32_t narrow = 0;

        head[i] = 0;
        if (!(core->is64 ? sal_span_u64(note, (uint64_t)i * width, &head[i])
                         : sal_span_u32(note, (uint64_t)i * width, &narrow))) {
            return false;
        }
        head[i] = core->is64 ? head[i] : narrow;
    }
    if (head[0] > MAX_FILES || !sal_span_has(note, at, head[0] * 3 * width)) {
        return false;
    }
    names = at + head[0] * 3 * width;
    core->files = apr_pcalloc(core->pool, (head[0] + 1) * sizeof(*core->files));
    for (uint64_t i = 0; i < head[0]; i++, at += 3 * width) {
        core_file_t *f = &core->files[core->n_files];
        const char *name = (const char *)note->data + names, *end;
        uint64_t v[3] = { 0 };

        for (uint64_t k = 0; k < 3; k++) {
            uint32_t narrow = 0;

            if (core->is64) {
                sal_span_u64(note, at + k * width, &v[k]);
            } else {
                sal_span_u32(note, at + k * width, &narrow);
                v[k] = narrow;
            }
        }
        if (names >= note->size || !(end = memchr(name, 0, note->size - names))) {
            return false;
        }
        names += (uint64_t)(end - name) + 1;
        *f = (core_file_t){ v[0], v[1], v[2] * head[1], name };
        core->n_files += v[0] < v[1];
    }
    return true;
}

static void read_note(reading_t *rd, uint32_t type, const sal_span_t *note)
{
    core_t *core = rd->core;
    core_thread_t *last = rd->threads->nelts
                              ? &APR_ARRAY_IDX(rd->threads, rd->threads->nelts - 1, core_thread_t)
                              : NULL;

    switch (type) {
    case NT_PRSTATUS:
        if (rd->threads->nelts < MAX_THREADS) {
            core_thread_t t = { .status = *note };

            if (core_thread_decode(core->machine, &t)) {
                APR_ARRAY_PUSH(rd->threads, core_thread_t) = t;
            }
        }
        break;
    case NT_FPREGSET: /* belongs to the NT_PRSTATUS before it */
        if (last) {
            last->fp = *note;
        }
        break;
    case NT_SIGINFO:
        core->siginfo = core->siginfo.size ? core->siginfo : *note;
        break;
    case NT_PRPSINFO:
        core->psinfo = *note;
        break;
    case NT_AUXV:
        core->auxv = *note;
        break;
    case NT_FILE:
        if (!core->n_files && !read_files(rd, note)) {
            core->n_files = 0;
        }
        break;
    default:
        break;
    }
}

static void read_notes(reading_t *rd, const GElf_Phdr *ph)
{
    Elf_Data *data = elf_getdata_rawchunk(rd->elf, (int64_t)ph->p_offset, ph->p_filesz,
                                          ph->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    size_t at = 0, name, desc;
    GElf_Nhdr nh;

    while (data && (at = gelf_getnote(data, at, &nh, &name, &desc)) > 0) {
        const char *owner = (const char *)data->d_buf + name;
        sal_span_t note = { (const uint8_t *)data->d_buf + desc, nh.n_descsz, false };

        if ((nh.n_namesz == 5 && !memcmp(owner, "CORE", 5)) ||
            (nh.n_namesz == 4 && !memcmp(owner, "CORE", 4))) {
            read_note(rd, nh.n_type, &note);
        }
    }
}

/* ---- segments ---- */

static void read_segment(reading_t *rd, const GElf_Phdr *ph)
{
    const sal_span_t *file = &rd->core->file;
    core_segment_t s = { .start = ph->p_vaddr, .size = ph->p_memsz };
    uint64_t have = ph->p_offset < file->size ? file->size - ph->p_offset : 0;
    uint64_t want = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;

    if (s.size == 0 || s.start + (s.size - 1) < s.start) {
        return;
    }
    if (want > have) {
        rd->missing += want - have;
        want = have;
    }
    if (want) {
        sal_span_sub(file, ph->p_offset, want, &s.bytes);
    }
    s.read = ph->p_flags & PF_R;
    s.write = ph->p_flags & PF_W;
    s.exec = ph->p_flags & PF_X;
    APR_ARRAY_PUSH(rd->segments, core_segment_t) = s;
}

static apr_status_t read_headers(reading_t *rd, bool partial, sal_error_t *err)
{
    bool have_notes = false;
    GElf_Phdr ph;

    for (size_t i = 0; i < rd->n_headers; i++) {
        if (!gelf_getphdr(rd->elf, (int)i, &ph)) {
            return malformed(rd, "truncated core: its program headers are not there", err);
        }
        if (ph.p_type == PT_LOAD) {
            read_segment(rd, &ph);
        } else if (ph.p_type == PT_NOTE) {
            if (!sal_span_has(&rd->core->file, ph.p_offset, ph.p_filesz)) {
                return malformed(rd, "truncated core: its notes (threads, registers) are cut", err);
            }
            have_notes = true;
            read_notes(rd, &ph);
        }
    }
    if (!have_notes || rd->threads->nelts == 0) {
        return malformed(rd, "core without threads: no NT_PRSTATUS note", err);
    }
    if (rd->missing && !partial) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "%s: truncated core: %" PRIu64 " bytes of memory are missing; raise the "
                        "limit on core size, or convert what there is with --partial",
                        rd->core->path, rd->missing);
    }
    return APR_SUCCESS;
}

static int by_start(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b; /* `start` is the first member of segments and files */

    return *x < *y ? -1 : *x > *y;
}

static void keep(reading_t *rd)
{
    core_t *core = rd->core;

    core->segments = (core_segment_t *)rd->segments->elts;
    core->n_segments = (size_t)rd->segments->nelts;
    core->threads = (core_thread_t *)rd->threads->elts;
    core->n_threads = (size_t)rd->threads->nelts;
    qsort(core->segments, core->n_segments, sizeof(*core->segments), by_start);
    if (core->n_files) {
        qsort(core->files, core->n_files, sizeof(*core->files), by_start);
    }
}

static apr_status_t read_core(reading_t *rd, bool partial, sal_error_t *err)
{
    core_t *core = rd->core;
    GElf_Ehdr eh;
    apr_status_t rv;

    if (elf_kind(rd->elf) != ELF_K_ELF || !gelf_getehdr(rd->elf, &eh)) {
        return malformed(rd, "not an ELF file", err);
    }
    if (eh.e_type != ET_CORE) {
        return malformed(rd, "an ELF file, but no core file", err);
    }
    core->is64 = eh.e_ident[EI_CLASS] == ELFCLASS64;
    core->machine =
        eh.e_ident[EI_DATA] == ELFDATA2LSB ? core_machine_find(eh.e_machine, core->is64) : NULL;
    if (!core->machine) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "%s: core of ELF machine %u (%d bit); known are %s",
                        core->path, eh.e_machine, core->is64 ? 64 : 32, core_machine_supported());
    }
    if (elf_getphdrnum(rd->elf, &rd->n_headers)) {
        return malformed(rd, "truncated core: its program headers are not there", err);
    }
    if ((rv = read_headers(rd, partial, err)) == APR_SUCCESS) {
        keep(rd);
    }
    return rv;
}

static apr_status_t close_elf(void *elf)
{
    elf_end(elf);
    return APR_SUCCESS;
}

apr_status_t core_open(core_t **out, const char *path, bool partial, apr_pool_t *p,
                       sal_error_t *err)
{
    core_t *core = apr_pcalloc(p, sizeof(*core));
    reading_t rd = { .core = core };
    apr_status_t rv;
    int fd;

    core->pool = p;
    core->path = path;
    if ((rv = sal_file_map(&core->file, path, p, err)) != APR_SUCCESS) {
        return rv;
    }
    elf_version(EV_CURRENT);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
        return sal_fail_os(err, errno, "%s", path);
    }
    rd.elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (rd.elf) {
        elf_cntl(rd.elf, ELF_C_FDDONE); /* all is mapped: the descriptor is not needed any more */
        apr_pool_cleanup_register(p, rd.elf, close_elf, apr_pool_cleanup_null);
    }
    close(fd);
    if (!rd.elf) {
        return malformed(&rd, "not an ELF file", err);
    }
    rd.segments = apr_array_make(p, 64, sizeof(core_segment_t));
    rd.threads = apr_array_make(p, 16, sizeof(core_thread_t));
    if ((rv = read_core(&rd, partial, err)) == APR_SUCCESS) {
        *out = core;
    }
    return rv;
}

/* ---- look-ups ---- */

const core_segment_t *core_segment_at(const core_t *core, uint64_t address)
{
    size_t lo = 0, hi = core->n_segments;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const core_segment_t *s = &core->segments[mid];

        if (address < s->start) {
            hi = mid;
        } else if (address - s->start >= s->size) {
            lo = mid + 1;
        } else {
            return s;
        }
    }
    return NULL;
}

sal_span_t core_memory(const core_t *core, uint64_t address)
{
    const core_segment_t *s = core_segment_at(core, address);
    sal_span_t out = { NULL, 0, false };

    if (s && address - s->start < s->bytes.size) {
        sal_span_sub(&s->bytes, address - s->start, s->bytes.size - (address - s->start), &out);
    }
    return out;
}

uint64_t core_auxv(const core_t *core, uint64_t type)
{
    unsigned width = core->is64 ? 8 : 4;

    for (uint64_t at = 0; sal_span_has(&core->auxv, at, 2 * width); at += 2 * width) {
        uint64_t key = 0, value = 0;
        uint32_t narrow = 0;

        if (core->is64) {
            sal_span_u64(&core->auxv, at, &key);
            sal_span_u64(&core->auxv, at + width, &value);
        } else {
            sal_span_u32(&core->auxv, at, &narrow);
            key = narrow;
            sal_span_u32(&core->auxv, at + width, &narrow);
            value = narrow;
        }
        if (key == type) {
            return value;
        }
    }
    return 0;
}
