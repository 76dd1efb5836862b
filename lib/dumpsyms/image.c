/*
 * An ELF file in memory as libelf is to see it: mapped privately, compressed sections inflated once
 * for all threads.
 *
 * The file comes first, inflated sections follow; section headers are changed in the private
 * mapping, so the file itself stays as it is. What a damaged header claims is checked here; a
 * section that cannot be inflated counts as absent.
 */
#include "dumpsyms/dump_private.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <apr_strings.h>
#include "base/reader.h"

#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

enum {
    MAX_CHANGES = 64,    /* sections of one file that are compressed or damaged */
    ZDEBUG_HEADER = 12,  /* "ZLIB", 8 bytes of size, big endian */
    PAGE = 4096,         /* alignment of what is added */
    MAX_RATIO = 64,      /* inflated against the whole file: real ones are below 10 */
    MAX_EXTRA_MB = 64,   /* and this much beyond it, for small files */
    MAX_CHUNK = 1 << 30, /* zlib counts in 32 bits */
    LZMA_MEMORY_MB = 128 /* for the dictionary; usual ones are 8 MB */
};

/* A section whose header is to change: inflated, or counted as absent. */
typedef struct packed_t {
    uint64_t header, name_at;  /* of the section, of its name; in the file */
    uint64_t in, in_size;      /* compressed bytes, in the file */
    uint64_t out, size, align; /* inflated, in the image */
    uint32_t method, sh_name;
    bool absent;
} packed_t;

/* ---- inflating, each into exactly size bytes ---- */

static bool inflate_zlib(char *out, uint64_t size, const char *in, uint64_t in_size)
{
    z_stream z = { 0 };
    int rc = Z_OK;

    if (inflateInit(&z) != Z_OK) {
        return false;
    }
    z.next_in = (Bytef *)in;
    z.next_out = (Bytef *)out;
    while (rc == Z_OK && size) {
        uInt give = in_size < MAX_CHUNK ? (uInt)in_size : MAX_CHUNK;
        uInt room = size < MAX_CHUNK ? (uInt)size : MAX_CHUNK;

        z.avail_in = give;
        z.avail_out = room;
        rc = inflate(&z, Z_NO_FLUSH); /* without progress: Z_BUF_ERROR */
        in_size -= give - z.avail_in;
        size -= room - z.avail_out;
    }
    inflateEnd(&z);
    return size == 0;
}

static bool inflate_section(dump_image_t *im, const packed_t *s)
{
    char *out = im->data + s->out;
    const char *in = im->data + s->in;
    uint64_t from = (s->in + PAGE - 1) / PAGE * PAGE, to = (s->in + s->in_size) / PAGE * PAGE;
    bool ok;

    if (s->method == ELFCOMPRESS_ZSTD) {
        ok = ZSTD_decompress(out, s->size, in, s->in_size) == s->size;
    } else {
        ok = inflate_zlib(out, s->size, in, s->in_size);
    }
    if (from < to) {
        madvise(im->data + from, to - from, MADV_DONTNEED); /* nobody reads that again */
    }
    return ok;
}

/* ---- finding what to inflate ---- */

/* Of what may be compressed, only this is ever read. Locations of variables alone can be a third of
 * a debug file. */
static bool is_read(const char *name)
{
    static const char *const read[] = { "info", "abbrev",   "str",    "str_offsets", "addr",
                                        "line", "line_str", "ranges", "rnglists",    "frame" };
    const char *part = strstr(name, "debug_");
    size_t len = part ? strcspn(part += strlen("debug_"), ".") : 0;

    for (size_t i = 0; part && i < sizeof(read) / sizeof(read[0]); i++) {
        if (strlen(read[i]) == len && memcmp(read[i], part, len) == 0) {
            return true;
        }
    }
    return !part;
}

static bool starts_with_zlib(packed_t *s, const char *data)
{
    uint64_t size = 0;

    if (s->in_size < ZDEBUG_HEADER || memcmp(data, "ZLIB", 4) != 0) {
        return false;
    }
    for (int i = 4; i < ZDEBUG_HEADER; i++) {
        size = size << 8 | (uint8_t)data[i];
    }
    s->size = size;
    s->align = 1;
    s->method = ELFCOMPRESS_ZLIB;
    s->in += ZDEBUG_HEADER;
    s->in_size -= ZDEBUG_HEADER;
    return true;
}

static bool has_compression_header(packed_t *s, Elf_Scn *scn, bool is64)
{
    uint64_t header = is64 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
    GElf_Chdr ch;

    if (s->in_size < header || !gelf_getchdr(scn, &ch)) {
        return false;
    }
    s->size = ch.ch_size;
    s->align = ch.ch_addralign;
    s->method = ch.ch_type;
    s->in += header;
    s->in_size -= header;
    return ch.ch_type == ELFCOMPRESS_ZLIB || ch.ch_type == ELFCOMPRESS_ZSTD;
}

/* Which file it names; debug_file.c opens it, where that is allowed. */
static void take_altlink(dump_image_t *im, const packed_t *s)
{
    const char *link = im->data + s->in;
    const char *end = memchr(link, '\0', s->in_size);

    if (end && end > link) {
        im->altlink = apr_pstrdup(im->pool, link);
        im->alt_id_size = s->in_size - (uint64_t)(end + 1 - link);
        im->alt_id = apr_pmemdup(im->pool, end + 1, im->alt_id_size);
    }
}

/* Does the header of this section change? Then s says how. */
static bool changes(packed_t *s, dump_image_t *im, Elf_Scn *scn, const GElf_Shdr *sh,
                    const char *name)
{
    bool is64 = im->data[EI_CLASS] == ELFCLASS64, zdebug = !strncmp(name, ".zdebug_", 8);

    if (sh->sh_type == SHT_NOBITS) {
        return false;
    }
    if (sh->sh_offset > im->size || sh->sh_size > im->size - sh->sh_offset) {
        s->absent = true;
        return true;
    }
    s->in = sh->sh_offset;
    s->in_size = sh->sh_size;
    s->sh_name = sh->sh_name;
    if (!strcmp(name, ".gnu_debugaltlink")) {
        take_altlink(im, s);
        s->absent = true;
    } else if (((sh->sh_flags & SHF_COMPRESSED) || zdebug) && !is_read(name)) {
        s->absent = true;
    } else if (sh->sh_flags & SHF_COMPRESSED) {
        s->absent = !has_compression_header(s, scn, is64);
    } else if (zdebug) {
        s->absent = !starts_with_zlib(s, im->data + s->in);
    } else {
        return false;
    }
    s->name_at = zdebug ? s->name_at : 0;
    return true;
}

/* All sections that change, each with its place after the file; *extra: bytes for them. */
static size_t find_changes(packed_t *list, uint64_t *extra, dump_image_t *im)
{
    uint64_t first = (im->size + PAGE - 1) & ~(uint64_t)(PAGE - 1), at = first;
    uint64_t most = im->size * MAX_RATIO + ((uint64_t)MAX_EXTRA_MB << 20);
    GElf_Ehdr eh;
    GElf_Shdr names, sh;
    size_t n = 0, index;
    Elf_Scn *scn = NULL;

    *extra = 0;
    if (!gelf_getehdr(im->elf, &eh) || elf_getshdrstrndx(im->elf, &index) ||
        !gelf_getshdr(elf_getscn(im->elf, index), &names)) {
        return 0;
    }
    while (n < MAX_CHANGES && (scn = elf_nextscn(im->elf, scn))) {
        const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(im->elf, index, sh.sh_name) : NULL;
        packed_t s = { .header = eh.e_shoff + (uint64_t)elf_ndxscn(scn) * eh.e_shentsize };

        s.name_at = names.sh_offset + sh.sh_name;
        if (!name || !changes(&s, im, scn, &sh, name)) {
            continue;
        }
        s.absent = s.absent || s.size > most - (at - first);
        if (!s.absent) {
            s.out = at;
            at += (s.size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        }
        list[n++] = s;
    }
    *extra = at - first;
    return n;
}

/* ---- changing section headers ---- */

enum { SH_NAME, SH_TYPE, SH_FLAGS, SH_ADDR, SH_OFFSET, SH_SIZE, SH_LINK, SH_INFO, SH_ALIGN };

static void set_field(dump_image_t *im, const packed_t *s, int field, uint64_t value)
{
    static const uint8_t at64[] = { 0, 4, 8, 16, 24, 32, 40, 44, 48 };
    bool is64 = im->data[EI_CLASS] == ELFCLASS64, big = im->data[EI_DATA] == ELFDATA2MSB;
    bool wide = is64 && field > SH_TYPE; /* SH_LINK and SH_INFO are not, nor are they changed */
    uint64_t at = s->header + (is64 ? at64[field] : (uint64_t)field * 4);
    uint64_t bytes = wide ? 8 : 4;

    if (at > im->size || bytes > im->size - at) {
        return;
    }
    for (uint64_t i = 0; i < bytes; i++) {
        im->data[at + (big ? bytes - 1 - i : i)] = (char)(value >> (8 * i));
    }
}

static void change(dump_image_t *im, const packed_t *s)
{
    if (s->absent || !inflate_section(im, s)) {
        set_field(im, s, SH_TYPE, SHT_NOBITS);
        return;
    }
    set_field(im, s, SH_FLAGS, 0);
    set_field(im, s, SH_OFFSET, s->out);
    set_field(im, s, SH_SIZE, s->size);
    set_field(im, s, SH_ALIGN, s->align ? s->align : 1);
    if (s->name_at && s->name_at + 1 < im->size) {
        /* ".zdebug_info": the name begins one byte later, and its 'z' becomes the dot */
        im->data[s->name_at + 1] = '.';
        set_field(im, s, SH_NAME, s->sh_name + 1);
    }
}

/* ---- the image ---- */

static apr_status_t image_end(void *data)
{
    dump_image_t *im = data;

    elf_end(im->elf);
    im->elf = NULL;
    if (im->data) {
        munmap(im->data, im->size);
        im->data = NULL;
    }
    return APR_SUCCESS;
}

/* Maps the file, and extra bytes of zeros from the page after it. */
static apr_status_t map_file(dump_image_t *im, int fd, uint64_t size, uint64_t extra)
{
    uint64_t first = (size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    int prot = PROT_READ | PROT_WRITE, how = MAP_PRIVATE | MAP_NORESERVE;
    char *base = mmap(NULL, first + extra, prot, how | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED) {
        return errno;
    }
    im->data = base;
    im->file_size = size;
    im->size = extra ? first + extra : size;
    return mmap(base, size, prot, how | MAP_FIXED, fd, 0) == MAP_FAILED ? errno : APR_SUCCESS;
}

static bool is_section_table(const sal_span_t *file, bool is64)
{
    uint32_t at32 = 0;
    uint64_t at64 = 0;

    if (is64) {
        return sal_span_u64(file, offsetof(Elf64_Ehdr, e_shoff), &at64) && at64;
    }
    return sal_span_u32(file, offsetof(Elf32_Ehdr, e_shoff), &at32) && at32;
}

/* Sections that e_shnum cannot count are counted by the first section's size; no program has so
 * many, and libelf would make room for all of them. */
static bool few_sections(const dump_image_t *im, uint64_t size)
{
    const unsigned char *ident = (const unsigned char *)im->data;
    bool is64 = ident[EI_CLASS] == ELFCLASS64;
    sal_span_t file = { ident, size, ident[EI_DATA] == ELFDATA2MSB };
    uint16_t count = 0;

    return sal_span_u16(&file, is64 ? offsetof(Elf64_Ehdr, e_shnum) : offsetof(Elf32_Ehdr, e_shnum),
                        &count) &&
           (count || !is_section_table(&file, is64));
}

/* Section names that do not end make libelf look for their end again and again. */
static void end_section_names(dump_image_t *im, uint64_t size)
{
    size_t index;
    GElf_Shdr sh;

    if (!elf_getshdrstrndx(im->elf, &index) && gelf_getshdr(elf_getscn(im->elf, index), &sh) &&
        sh.sh_type != SHT_NOBITS && sh.sh_size && sh.sh_offset < size &&
        sh.sh_size <= size - sh.sh_offset && im->data[sh.sh_offset + sh.sh_size - 1]) {
        im->data[sh.sh_offset + sh.sh_size - 1] = '\0';
    }
}

/* APR_EINVAL: the first size bytes are no ELF file. */
static apr_status_t open_elf(dump_image_t *im, uint64_t size)
{
    if (size < EI_NIDENT || memcmp(im->data, ELFMAG, SELFMAG) != 0 || !few_sections(im, size)) {
        return APR_EINVAL;
    }
    im->elf = elf_memory(im->data, size);
    if (!im->elf || elf_kind(im->elf) != ELF_K_ELF) {
        return APR_EINVAL;
    }
    end_section_names(im, size);
    return APR_SUCCESS;
}

static apr_status_t map_and_inflate(dump_image_t *im, int fd, uint64_t size)
{
    packed_t list[MAX_CHANGES];
    uint64_t extra;
    apr_status_t rv = map_file(im, fd, size, 0);
    size_t n;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if ((rv = open_elf(im, size)) != APR_SUCCESS) {
        return rv;
    }
    if (!(n = find_changes(list, &extra, im))) {
        return APR_SUCCESS;
    }
    image_end(im);
    if ((rv = map_file(im, fd, size, extra)) != APR_SUCCESS) {
        return rv;
    }
    for (size_t i = 0; i < n; i++) {
        change(im, &list[i]);
    }
    return open_elf(im, im->size);
}

static dump_image_t *image_make(const char *path, apr_pool_t *p)
{
    dump_image_t *im = apr_pcalloc(p, sizeof(*im));

    im->path = apr_pstrdup(p, path);
    im->pool = p;
    apr_pool_cleanup_register(p, im, image_end, apr_pool_cleanup_null);
    return im;
}

apr_status_t dump_image_open(dump_image_t **out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    apr_status_t rv;

    if (fd < 0) {
        return sal_fail_os(err, errno, "%s", path);
    }
    *out = image_make(path, p);
    if (fstat(fd, &st)) {
        rv = errno;
    } else if (!S_ISREG(st.st_mode) || st.st_size < EI_NIDENT) {
        rv = APR_EINVAL;
    } else {
        rv = map_and_inflate(*out, fd, (uint64_t)st.st_size);
    }
    close(fd);
    if (rv == APR_SUCCESS) {
        return rv;
    }
    dump_image_close(*out);
    *out = NULL;
    return rv == APR_EINVAL ? sal_fail(err, rv, "%s is not an ELF file", path)
                            : sal_fail_os(err, rv, "%s", path);
}

void dump_image_close(dump_image_t *im)
{
    apr_pool_cleanup_run(im->pool, im, image_end);
}

/* ---- .gnu_debugdata ---- */

static bool inflate_xz(char *out, uint64_t size, uint64_t *used, const void *in, uint64_t in_size)
{
    uint64_t memory = (uint64_t)LZMA_MEMORY_MB << 20;
    size_t in_at = 0, out_at = 0;
    lzma_ret rc = lzma_stream_buffer_decode(&memory, 0, NULL, in, &in_at, in_size, (uint8_t *)out,
                                            &out_at, size);

    *used = out_at;
    return rc == LZMA_OK;
}

dump_image_t *dump_image_xz(const void *data, uint64_t size, const char *path, apr_pool_t *p)
{
    dump_image_t *im = image_make(path, p);
    uint64_t room = size * MAX_RATIO + PAGE, used;
    char *base = mmap(NULL, room, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED) {
        return NULL;
    }
    im->data = base;
    im->size = room;
    if (!inflate_xz(base, room, &used, data, size) || open_elf(im, used) != APR_SUCCESS) {
        dump_image_close(im);
        return NULL;
    }
    return im;
}
