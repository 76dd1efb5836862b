/*
 * Which format a raw file has, and the ids of PE, PDB and Mach-O files; ELF is in elf_id.c.
 */
#include "symbols/object_id.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <zlib.h>

#include "base/text.h"
#include "symbols/object_private.h"

enum {
    GUNZIP_BYTES = 4 << 20,
    SECTIONS_MAX = 4096,   /* of a PE file */
    DEBUG_DIRS_MAX = 64,   /* entries of a debug directory */
    COMMANDS_MAX = 4096,   /* load commands */
    STREAMS_MAX = 1 << 16, /* of a PDB */
    PATH_LEN = 1024
};

/* A GUID whose first three fields are little endian, as 32 upper-case digits. */
static void put_guid(char out[33], const uint8_t *g)
{
    static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

    for (int i = 0; i < 16; i++) {
        snprintf(out + 2 * i, 3, "%02X", g[order[i]]);
    }
}

void object_upper(char *to, const char *from)
{
    for (; *from; from++) {
        *to++ = (char)toupper((unsigned char)*from);
    }
    *to = '\0';
}

/* ---- PE ---- */

typedef struct {
    sal_span_t file;
    uint64_t sections; /* offset of the table */
    uint16_t count;
} pe_t;

/* File offset of an address relative to the image base. */
static bool pe_offset(const pe_t *pe, uint32_t rva, uint32_t size, uint64_t *offset)
{
    for (uint16_t i = 0; i < pe->count; i++) {
        uint64_t at = pe->sections + UINT64_C(40) * i;
        uint32_t address, raw_size, raw;

        if (!sal_span_u32(&pe->file, at + 12, &address) ||
            !sal_span_u32(&pe->file, at + 16, &raw_size) ||
            !sal_span_u32(&pe->file, at + 20, &raw)) {
            return false;
        }
        if (rva >= address && rva - address < raw_size && size <= raw_size - (rva - address)) {
            *offset = (uint64_t)raw + (rva - address);
            return true;
        }
    }
    return false;
}

/* "RSDS", GUID, age, path of the PDB. */
static void read_codeview(sal_object_t *o, const sal_span_t *file, uint64_t at, uint32_t size,
                          apr_pool_t *p)
{
    sal_span_t cv;
    uint32_t age, len;
    const char *path;

    if (!sal_span_sub(file, at, size, &cv) || size < 25 || memcmp(cv.data, "RSDS", 4) ||
        !sal_span_u32(&cv, 20, &age)) {
        return;
    }
    put_guid(o->debug_id, cv.data + 4);
    snprintf(o->debug_id + 32, sizeof(o->debug_id) - 32, "%X", age);
    len =
        (uint32_t)strnlen((const char *)cv.data + 24, size - 24 < PATH_LEN ? size - 24 : PATH_LEN);
    path = apr_pstrmemdup(p, (const char *)cv.data + 24, len);
    o->debug_file = sal_basename(path);
}

static void read_debug_dirs(sal_object_t *o, const pe_t *pe, uint32_t rva, uint32_t size,
                            apr_pool_t *p)
{
    uint64_t at;

    if (!pe_offset(pe, rva, size, &at)) {
        return;
    }
    for (uint32_t i = 0; i < size / 28 && i < DEBUG_DIRS_MAX; i++, at += 28) {
        uint32_t type, bytes, raw;

        if (sal_span_u32(&pe->file, at + 12, &type) && type == 2 &&
            sal_span_u32(&pe->file, at + 16, &bytes) && sal_span_u32(&pe->file, at + 24, &raw)) {
            read_codeview(o, &pe->file, raw, bytes, p);
            return;
        }
    }
}

static void read_pe(sal_object_t *o, sal_span_t file, apr_pool_t *p)
{
    pe_t pe = { .file = file };
    uint32_t at, magic, stamp, image, dirs, rva, size;
    uint16_t optional_size, optional_magic;
    uint64_t optional, table;

    if (!sal_span_u32(&file, 0x3c, &at) || !sal_span_u32(&file, at, &magic) || magic != 0x4550 ||
        !sal_span_u16(&file, at + UINT64_C(6), &pe.count) || pe.count > SECTIONS_MAX ||
        !sal_span_u32(&file, at + UINT64_C(8), &stamp) ||
        !sal_span_u16(&file, at + UINT64_C(20), &optional_size) ||
        !sal_span_u16(&file, at + UINT64_C(24), &optional_magic) ||
        !sal_span_u32(&file, at + UINT64_C(24) + 56, &image)) {
        return;
    }
    o->format = SAL_OBJECT_PE;
    o->has_code = true;
    snprintf(o->code_id, sizeof(o->code_id), "%08X%x", stamp, image);
    optional = at + UINT64_C(24);
    pe.sections = optional + optional_size;
    table = optional + (optional_magic == 0x20b ? 112 : 96);
    if (sal_span_u32(&file, table - 4, &dirs) && dirs > 6 &&
        sal_span_u32(&file, table + 48, &rva) && sal_span_u32(&file, table + 52, &size) && rva) {
        read_debug_dirs(o, &pe, rva, size, p);
    }
}

/* ---- PDB ---- */

typedef struct {
    sal_span_t file;
    uint32_t block, dir_bytes, map; /* map: block with the numbers of the directory's blocks */
} msf_t;

/* A word of the stream directory, which lies scattered over blocks. */
static bool dir_word(const msf_t *m, uint64_t index, uint32_t *v)
{
    uint64_t byte = index * 4;
    uint32_t block;

    return byte + 4 <= m->dir_bytes &&
           sal_span_u32(&m->file, (uint64_t)m->map * m->block + byte / m->block * 4, &block) &&
           sal_span_u32(&m->file, (uint64_t)block * m->block + byte % m->block, v);
}

/* The first block of a stream. */
static bool stream_start(const msf_t *m, uint32_t wanted, uint32_t need, uint64_t *at)
{
    uint32_t streams, size, block;
    uint64_t before = 0;

    if (!dir_word(m, 0, &streams) || wanted >= streams || streams > STREAMS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        if (!dir_word(m, 1 + i, &size)) {
            return false;
        }
        before += size == UINT32_MAX ? 0 : ((uint64_t)size + m->block - 1) / m->block;
    }
    if (!dir_word(m, UINT64_C(1) + wanted, &size) || size == UINT32_MAX || size < need ||
        !dir_word(m, UINT64_C(1) + streams + before, &block)) {
        return false;
    }
    *at = (uint64_t)block * m->block;
    return true;
}

static void read_pdb(sal_object_t *o, sal_span_t file)
{
    msf_t m = { .file = file };
    uint64_t info, dbi;
    uint32_t age;

    if (!sal_span_u32(&file, 32, &m.block) || !sal_span_u32(&file, 44, &m.dir_bytes) ||
        !sal_span_u32(&file, 52, &m.map) || m.block < 512 || m.block > 65536 ||
        (m.block & (m.block - 1))) {
        return;
    }
    o->format = SAL_OBJECT_PDB;
    o->has_debug = true;
    if (!stream_start(&m, 1, 28, &info) || !sal_span_u32(&file, info + 8, &age) ||
        !sal_span_has(&file, info, 28)) {
        return;
    }
    /* The age that the executable names is the one of the debug information stream. */
    if (stream_start(&m, 3, 12, &dbi)) {
        sal_span_u32(&file, dbi + 8, &age);
    }
    put_guid(o->debug_id, file.data + info + 12);
    snprintf(o->debug_id + 32, sizeof(o->debug_id) - 32, "%X", age);
}

/* ECMA-335 metadata with a "#Pdb" stream: GUID and time stamp, no age. */
static void read_portable_pdb(sal_object_t *o, sal_span_t file)
{
    uint32_t version, offset;
    uint16_t streams;
    uint64_t at;

    if (!sal_span_u32(&file, 12, &version) || version > 255 ||
        !sal_span_u16(&file, UINT64_C(16) + version + 2, &streams)) {
        return;
    }
    at = UINT64_C(20) + version;
    for (uint16_t i = 0; i < streams && i < 64 && sal_span_u32(&file, at, &offset); i++) {
        size_t name = at + 8 < file.size
                          ? strnlen((const char *)file.data + at + 8,
                                    file.size - at - 8 < 32 ? file.size - at - 8 : 32)
                          : 0;

        if (name == 4 && !memcmp(file.data + at + 8, "#Pdb", 4) &&
            sal_span_has(&file, offset, 20)) {
            o->format = SAL_OBJECT_PDB;
            o->has_debug = true;
            put_guid(o->debug_id, file.data + offset);
            memcpy(o->debug_id + 32, "FFFFFFFF", 9);
            return;
        }
        at += 8 + (name + 4) / 4 * 4;
    }
}

/* ---- Mach-O ---- */

static void read_macho(sal_object_t *o, sal_span_t file, bool is64)
{
    uint32_t type, count, cmd, size;
    uint64_t at = is64 ? 32 : 28;

    if (!sal_span_u32(&file, 12, &type) || !sal_span_u32(&file, 16, &count)) {
        return;
    }
    o->format = SAL_OBJECT_MACHO;
    o->has_debug = type == 10; /* MH_DSYM */
    o->has_code = !o->has_debug;
    for (uint32_t i = 0; i < count && i < COMMANDS_MAX; i++, at += size) {
        if (!sal_span_u32(&file, at, &cmd) || !sal_span_u32(&file, at + 4, &size) || size < 8) {
            return;
        }
        if (cmd == 0x1b && sal_span_has(&file, at, 24)) { /* LC_UUID */
            sal_hex(o->build_id, file.data + at + 8, 16);
            object_upper(o->code_id, o->build_id);
            snprintf(o->debug_id, sizeof(o->debug_id), "%.32s0", o->code_id);
            return;
        }
    }
}

/* Of a universal file the first architecture counts. */
static void read_fat(sal_object_t *o, sal_span_t file)
{
    uint32_t count, offset, size, magic;
    sal_span_t slice;

    file.swap = true;
    if (!sal_span_u32(&file, 4, &count) || count == 0 || count > 32 || /* Java classes have more */
        !sal_span_u32(&file, 16, &offset) || !sal_span_u32(&file, 20, &size) ||
        !sal_span_sub(&file, offset, size, &slice) || !sal_span_u32(&slice, 0, &magic)) {
        return;
    }
    if (magic == 0xcffaedfe || magic == 0xcefaedfe) {
        slice.swap = false;
        read_macho(o, slice, magic == 0xcffaedfe);
    }
}

/* ---- which it is ---- */

void sal_object_read(sal_object_t *out, sal_span_t bytes, bool whole, apr_pool_t *p)
{
    static const char msf[] = "Microsoft C/C++ MSF 7.00\r\n\x1a"
                              "DS";
    uint32_t magic;

    memset(out, 0, sizeof(*out));
    bytes.swap = false;
    if (!sal_span_u32(&bytes, 0, &magic)) {
        return;
    }
    if (magic == 0x464c457f) {
        object_read_elf(out, bytes, whole);
    } else if ((magic & 0xffff) == 0x5a4d) {
        read_pe(out, bytes, p);
    } else if (magic == 0xfeedfacf || magic == 0xfeedface) {
        read_macho(out, bytes, magic == 0xfeedfacf);
    } else if (magic == 0xbebafeca) {
        read_fat(out, bytes);
    } else if (magic == 0x424a5342) {
        read_portable_pdb(out, bytes);
    } else if (bytes.size >= 56 && !memcmp(bytes.data, msf, sizeof(msf) - 1)) {
        read_pdb(out, bytes);
    }
}

/* The beginning of what a gzip file holds. */
static apr_status_t read_gzipped(sal_object_t *out, sal_span_t file, apr_pool_t *p,
                                 sal_error_t *err)
{
    z_stream z = { 0 };
    sal_span_t bytes;
    uint8_t *buf = malloc(GUNZIP_BYTES);
    int rc;

    if (!buf || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
        free(buf);
        return sal_fail(err, APR_ENOMEM, "no memory to inflate");
    }
    z.next_in = (unsigned char *)(uintptr_t)file.data;
    z.avail_in = file.size < GUNZIP_BYTES ? (uInt)file.size : GUNZIP_BYTES;
    z.next_out = buf;
    z.avail_out = GUNZIP_BYTES;
    rc = inflate(&z, Z_SYNC_FLUSH);
    bytes = (sal_span_t){ buf, GUNZIP_BYTES - z.avail_out, false };
    sal_object_read(out, bytes, rc == Z_STREAM_END, p);
    out->gzipped = out->format != SAL_OBJECT_OTHER;
    inflateEnd(&z);
    free(buf);
    return APR_SUCCESS;
}

apr_status_t sal_object_identify(sal_object_t *out, int fd, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;
    sal_span_t file;
    struct stat st;
    void *map;

    memset(out, 0, sizeof(*out));
    if (fstat(fd, &st)) {
        return sal_fail_os(err, errno, "cannot look at a file");
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        return APR_SUCCESS;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        return sal_fail_os(err, errno, "cannot map a file of %lld bytes", (long long)st.st_size);
    }
    file = (sal_span_t){ map, (size_t)st.st_size, false };
    if (file.size > 18 && file.data[0] == 0x1f && file.data[1] == 0x8b) {
        rv = read_gzipped(out, file, p, err);
    } else {
        sal_object_read(out, file, true, p);
    }
    munmap(map, (size_t)st.st_size);
    return rv;
}

const char *sal_object_kind(const sal_object_t *o)
{
    switch (o->format) {
    case SAL_OBJECT_ELF:
        return o->has_code ? "elf" : "elf_debug";
    case SAL_OBJECT_PE:
        return "pe";
    case SAL_OBJECT_PDB:
        return "pdb";
    case SAL_OBJECT_MACHO:
        return o->has_debug ? "dsym" : "macho";
    default:
        return NULL;
    }
}
