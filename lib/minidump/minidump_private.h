/*
 * What the files of this room share: locations, lists, text and address maps of a minidump.
 *
 * Each md_read_* decodes one family of streams into the object and never fails the dump; what it
 * could not read it leaves empty and counts in bad_records. Formats: docs/minidump.md.
 */
#ifndef SAL_MINIDUMP_PRIVATE_H
#define SAL_MINIDUMP_PRIVATE_H

#include "minidump/minidump.h"

/* Limits on what a hostile dump can make us do; the counts are cut, not refused. */
enum {
    MD_MAX_STREAMS = 128,
    MD_MAX_THREADS = 16384,
    MD_MAX_MODULES = 2048,
    MD_MAX_UNLOADED = 2048,
    MD_MAX_MEMORY = 1 << 20,
    MD_MAX_REGIONS = 1 << 20,
    MD_MAX_HANDLES = 1 << 16,
    MD_MAX_PAIRS = 1 << 16,     /* Crashpad annotations of a dump: modules may share them */
    MD_MAX_CV_RECORD = 32768,   /* bytes */
    MD_MAX_STRING = 65534,      /* bytes of one string: Windows' longest path */
    MD_MAX_TEXT = 12 << 20,     /* bytes of all strings of a dump: records may share one */
    MD_MAX_LOOKED_AT = 64 << 20 /* bytes that may be looked at to make them */
};

/* Entries of a list stream: `count` records of `size` bytes from `at` in `bytes`. */
typedef struct md_list_t {
    sal_span_t bytes;
    uint64_t at;
    uint32_t count, size;
} md_list_t;

/* An address range with the index of what lies there. */
typedef struct md_range_t {
    uint64_t first, last; /* inclusive, so that the top of the address space fits */
    uint32_t index;
} md_range_t;

/* Bytes of the location descriptor at `at` of s; false if it points out of the file. */
bool md_location(const sal_minidump_t *md, const sal_span_t *s, uint64_t at, sal_span_t *out);

/*
 * A plain list (count, entries; 4 bytes of padding are allowed). More than max entries are cut.
 * False if the stream is absent or its size does not fit its count.
 */
bool md_list(sal_minidump_t *md, uint32_t type, uint32_t entry_size, uint32_t max, md_list_t *out);

/* A list with its own header: header size, entry size, count. Both sizes are checked. */
bool md_list_ext(sal_minidump_t *md, uint32_t type, uint32_t header_size, uint32_t entry_size,
                 uint32_t max, md_list_t *out);

/* Entry i of a list; md_list has checked that all are there. */
sal_span_t md_entry(const md_list_t *list, uint32_t i);

/* Sorts and drops what is empty, overflows or overlaps an earlier one; returns how many are left.
 */
size_t md_ranges_keep(md_range_t *r, size_t n);

/* Fills r from base and size; false (and nothing filled) if size is 0 or the end overflows. */
bool md_range_set(md_range_t *r, uint64_t base, uint64_t size, uint32_t index);

/* Length-prefixed UTF-16 at an offset of the file, as UTF-8; NULL if it is not text. */
const char *md_utf16_at(sal_minidump_t *md, uint64_t rva);

/* Fixed array of units code units, cut at the first 0; NULL if it is not text. */
const char *md_utf16_fixed(sal_minidump_t *md, const sal_span_t *s, uint64_t at, uint32_t units);

/* Length-prefixed UTF-8 at an offset; with terminated a NUL must follow it. NULL if invalid. */
const char *md_utf8_at(sal_minidump_t *md, uint64_t rva, bool terminated);

/* Bytes up to the first NUL, bad UTF-8 replaced; NULL if over a limit. */
const char *md_bytes_text(sal_minidump_t *md, const sal_span_t *s);

/* One "key SEP value" line of Linux text, blanks and one pair of quotes trimmed. */
typedef struct md_line_t {
    const char *key, *value;
    size_t key_len, value_len;
} md_line_t;

/* Next line with a separator from *pos on; false at the end. */
bool md_next_line(const sal_span_t *text, char sep, size_t *pos, md_line_t *out);

/* Loads that are known to lie in the record: 0 if they do not. */
uint16_t md_u16(const sal_span_t *s, uint64_t at);
uint32_t md_u32(const sal_span_t *s, uint64_t at);
uint64_t md_u64(const sal_span_t *s, uint64_t at);

/* Zeroed array in the dump's pool. */
void *md_array(sal_minidump_t *md, size_t n, size_t size);

/* Makes md's memory of what can be found by address among all. */
void md_keep_memory(sal_minidump_t *md, const sal_md_memory_t *all, size_t n);

/* Fills the whole object from a text with a microdump in it; false if there is none. */
bool md_read_microdump(sal_minidump_t *md);

void md_read_system(sal_minidump_t *md);
void md_read_threads(sal_minidump_t *md);
void md_read_modules(sal_minidump_t *md);
void md_read_unloaded(sal_minidump_t *md);
void md_read_memory(sal_minidump_t *md);
void md_read_regions(sal_minidump_t *md);
void md_read_exception(sal_minidump_t *md);
void md_read_misc(sal_minidump_t *md);
void md_read_handles(sal_minidump_t *md);
void md_read_crashpad(sal_minidump_t *md);

#endif
