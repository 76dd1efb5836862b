/*
 * Captured memory (MemoryList, Memory64List) and the map of the address space (MemoryInfoList,
 * LinuxMaps), both as sorted ranges that do not overlap.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include "base/text.h"

enum {
    DESCRIPTOR_SIZE = 16,
    MEMORY_INFO_HEADER = 16,
    MEMORY_INFO_SIZE = 48,
    STATE_COMMIT = 0x1000,
    STATE_FREE = 0x10000,
    TYPE_PRIVATE = 0x20000,
    PAGE_READABLE = 0x02 | 0x04 | 0x20 | 0x40,
    PAGE_WRITABLE = 0x04 | 0x08 | 0x40 | 0x80,
    PAGE_EXECUTABLE = 0x10 | 0x20 | 0x40 | 0x80,
    PAGE_GUARD = 0x100
};

void md_keep_memory(sal_minidump_t *md, const sal_md_memory_t *all, size_t n)
{
    md_range_t *r = md_array(md, n, sizeof(*r));
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        kept += md_range_set(&r[kept], all[i].base, all[i].bytes.size, (uint32_t)i);
    }
    kept = md_ranges_keep(r, kept);
    md->memory = md_array(md, kept, sizeof(*md->memory));
    md->n_memory = kept;
    for (size_t i = 0; i < kept; i++) {
        md->memory[i] = all[r[i].index];
    }
}

/* Regions follow one another in the file from base_rva on; a truncated file ends the list. */
static bool read_memory64(sal_minidump_t *md)
{
    sal_md_memory_t *all;
    sal_span_t s;
    uint64_t count, rva;
    size_t n = 0;

    if (!sal_minidump_stream(md, SAL_STREAM_MEMORY64_LIST, &s) || !sal_span_has(&s, 0, 16)) {
        return false;
    }
    count = md_u64(&s, 0);
    rva = md_u64(&s, 8);
    if (count != (s.size - 16) / DESCRIPTOR_SIZE || (s.size - 16) % DESCRIPTOR_SIZE) {
        md->bad_records++;
        return false;
    }
    count = count > MD_MAX_MEMORY ? MD_MAX_MEMORY : count;
    all = md_array(md, (size_t)count, sizeof(*all));
    for (uint64_t i = 0; i < count; i++, n++) {
        uint64_t size = md_u64(&s, 16 + i * DESCRIPTOR_SIZE + 8);

        all[n].base = md_u64(&s, 16 + i * DESCRIPTOR_SIZE);
        if (!sal_span_sub(&md->file, rva, size, &all[n].bytes)) {
            md->bad_records += (size_t)(count - i);
            break;
        }
        rva += size;
    }
    md_keep_memory(md, all, n);
    return n > 0;
}

static void read_memory32(sal_minidump_t *md)
{
    sal_md_memory_t *all;
    md_list_t list;
    size_t n = 0;

    if (!md_list(md, SAL_STREAM_MEMORY_LIST, DESCRIPTOR_SIZE, MD_MAX_MEMORY, &list)) {
        return;
    }
    all = md_array(md, list.count, sizeof(*all));
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        all[n].base = md_u64(&s, 0);
        if (md_location(md, &s, 8, &all[n].bytes)) {
            n++;
        } else {
            md->bad_records++;
        }
    }
    md_keep_memory(md, all, n);
}

void md_read_memory(sal_minidump_t *md)
{
    if (!read_memory64(md)) {
        read_memory32(md);
    }
}

static void keep_regions(sal_minidump_t *md, const sal_md_region_t *all, size_t n)
{
    md_range_t *r = md_array(md, n, sizeof(*r));
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        kept += md_range_set(&r[kept], all[i].base, all[i].size, (uint32_t)i);
    }
    kept = md_ranges_keep(r, kept);
    md->regions = md_array(md, kept, sizeof(*md->regions));
    md->n_regions = kept;
    for (size_t i = 0; i < kept; i++) {
        md->regions[i] = all[r[i].index];
    }
}

static void set_windows_region(sal_md_region_t *r, const sal_span_t *s)
{
    r->base = md_u64(s, 0);
    r->size = md_u64(s, 24);
    r->state = md_u32(s, 32);
    r->protection = md_u32(s, 36);
    r->type = md_u32(s, 40);
    r->read = r->protection & PAGE_READABLE;
    r->write = r->protection & PAGE_WRITABLE;
    r->exec = r->protection & PAGE_EXECUTABLE;
    r->guard = r->protection & PAGE_GUARD;
    r->is_private = r->type & TYPE_PRIVATE;
    r->committed = r->state & STATE_COMMIT;
    r->free = r->state & STATE_FREE;
}

static bool read_memory_info(sal_minidump_t *md)
{
    sal_md_region_t *all;
    md_list_t list;

    if (!md_list_ext(md, SAL_STREAM_MEMORY_INFO_LIST, MEMORY_INFO_HEADER, MEMORY_INFO_SIZE,
                     MD_MAX_REGIONS, &list)) {
        return false;
    }
    all = md_array(md, list.count, sizeof(*all));
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        set_windows_region(&all[i], &s);
    }
    keep_regions(md, all, list.count);
    return true;
}

/* The next word of a maps line: blanks before it are skipped, *s moves behind it. */
static sal_span_t next_word(const char **s, const char *end)
{
    sal_span_t word = { NULL, 0, false };

    while (*s < end && **s == ' ') {
        (*s)++;
    }
    word.data = (const uint8_t *)*s;
    while (*s < end && **s != ' ') {
        (*s)++;
    }
    word.size = (size_t)((const uint8_t *)*s - word.data);
    return word;
}

static bool hex_pair(const sal_span_t *w, char sep, uint64_t *a, uint64_t *b)
{
    const char *text = (const char *)w->data, *at = w->size ? memchr(text, sep, w->size) : NULL;

    return at && sal_parse_hex(text, (size_t)(at - text), a) &&
           sal_parse_hex(at + 1, w->size - (size_t)(at - text) - 1, b);
}

static bool is_decimal(const sal_span_t *w)
{
    for (size_t i = 0; i < w->size; i++) {
        if (w->data[i] < '0' || w->data[i] > '9') {
            return false;
        }
    }
    return w->size > 0 && w->size <= 20;
}

/* start-end perms offset dev inode path; the end is exclusive. */
static bool parse_map_line(sal_minidump_t *md, const char *line, size_t len, sal_md_region_t *r)
{
    const char *at = line, *end = line + len;
    sal_span_t range = next_word(&at, end), perms = next_word(&at, end);
    sal_span_t offset = next_word(&at, end), dev = next_word(&at, end);
    sal_span_t inode = next_word(&at, end), path;
    uint64_t last, a, b;

    if (!hex_pair(&range, '-', &r->base, &last) || perms.size == 0 ||
        !sal_parse_hex((const char *)offset.data, offset.size, &a) ||
        !hex_pair(&dev, ':', &a, &b) || !is_decimal(&inode)) {
        return false;
    }
    r->size = last > r->base ? last - r->base : 0; /* counted, and looked up by nobody */
    r->read = memchr(perms.data, 'r', perms.size) != NULL;
    r->write = memchr(perms.data, 'w', perms.size) != NULL;
    r->exec = memchr(perms.data, 'x', perms.size) != NULL;
    r->is_private = memchr(perms.data, 'p', perms.size) != NULL;
    r->committed = true;
    while (at < end && *at == ' ') {
        at++;
    }
    path = (sal_span_t){ (const uint8_t *)at, (size_t)(end - at), false };
    r->name = path.size ? md_bytes_text(md, &path) : NULL;
    return true;
}

static size_t count_lines(const sal_span_t *text)
{
    size_t n = 1;

    for (size_t i = 0; i < text->size; i++) {
        n += text->data[i] == '\n';
    }
    return n < MD_MAX_REGIONS ? n : MD_MAX_REGIONS;
}

/* Regions of the maps text, in its order; false if a line is not what the kernel writes. */
static bool parse_maps(sal_minidump_t *md, const sal_span_t *text, sal_md_region_t *all, size_t max,
                       size_t *n)
{
    size_t pos = 0;

    for (*n = 0; pos < text->size && *n < max;) {
        const char *line = (const char *)text->data + pos;
        const char *end = memchr(line, '\n', text->size - pos);
        size_t len = end ? (size_t)(end - line) : text->size - pos;

        pos += len + (end != NULL);
        if (len == 0 || line[0] == '\0') { /* some writers end the text with NULs */
            continue;
        }
        if (!parse_map_line(md, line, len, &all[(*n)++])) {
            return false;
        }
    }
    return true;
}

static void read_linux_maps(sal_minidump_t *md, bool use)
{
    sal_md_region_t *all;
    sal_span_t text;
    size_t n, max;

    if (!sal_minidump_stream(md, SAL_STREAM_LINUX_MAPS, &text)) {
        return;
    }
    max = count_lines(&text);
    all = md_array(md, max, sizeof(*all));
    if (!parse_maps(md, &text, all, max, &n)) {
        md->bad_records++;
        return;
    }
    md->has_linux_maps = true;
    md->linux_map_count = n;
    if (use) {
        md->regions_are_linux = true;
        keep_regions(md, all, n);
    }
}

void md_read_regions(sal_minidump_t *md)
{
    /* Windows' list answers questions about memory when both are there; the count is Linux's */
    bool have = read_memory_info(md);

    read_linux_maps(md, !have);
}
