/*
 * The container: header, directory, streams by type, and look-ups by address.
 *
 * Knows no stream's content; the other files of the room decode those.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>

enum { HEADER_SIZE = 32, DIRECTORY_ENTRY = 12, VERSION = 0xa793 };

static const uint32_t signature = 0x504d444d; /* "MDMP" read little endian */

static apr_status_t open_failed(sal_error_t *err, uint64_t offset, const char *name,
                                const char *text)
{
    return sal_fail_at(err, SAL_E_MALFORMED, offset, "%s - Error reading dump: %s", name, text);
}

static apr_status_t read_header(sal_minidump_t *md, sal_error_t *err)
{
    uint32_t magic;

    if (!sal_span_has(&md->file, 0, HEADER_SIZE)) {
        return open_failed(err, md->file.size, "MissingHeader",
                           "Missing minidump header (empty minidump?)");
    }
    md->file.swap = false;
    magic = md_u32(&md->file, 0);
    if (magic == __builtin_bswap32(signature)) {
        md->file.swap = true;
    } else if (magic != signature) {
        return open_failed(err, 0, "HeaderMismatch", "Header mismatch");
    }
    if ((md_u32(&md->file, 4) & 0xffff) != VERSION) {
        return open_failed(err, 4, "VersionMismatch", "Minidump version mismatch");
    }
    md->n_streams = md_u32(&md->file, 8);
    md->directory_rva = md_u32(&md->file, 12);
    md->time_date_stamp = md_u32(&md->file, 20);
    md->flags = md_u64(&md->file, 24);
    return APR_SUCCESS;
}

static apr_status_t check_directory(sal_minidump_t *md, sal_error_t *err)
{
    if (!sal_span_has(&md->file, md->directory_rva, (uint64_t)md->n_streams * DIRECTORY_ENTRY)) {
        return open_failed(err, md->directory_rva, "MissingDirectory",
                           "Missing stream directory (heavily truncated minidump?)");
    }
    if (md->n_streams > MD_MAX_STREAMS) {
        return sal_fail_at(err, SAL_E_TOOBIG, 8,
                           "MissingDirectory - Error reading dump: %u streams, at most %d are read",
                           md->n_streams, MD_MAX_STREAMS);
    }
    return APR_SUCCESS;
}

static bool is_binary(const sal_span_t *file)
{
    uint32_t magic;

    return !sal_span_u32(file, 0, &magic) || magic == signature ||
           magic == __builtin_bswap32(signature);
}

apr_status_t sal_minidump_open(sal_minidump_t **out, sal_span_t bytes, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_minidump_t *md = apr_pcalloc(p, sizeof(*md));
    apr_status_t rv;

    md->file = bytes;
    md->pool = p;
    if (!is_binary(&bytes) && md_read_microdump(md)) {
        *out = md;
        return APR_SUCCESS;
    }
    if ((rv = read_header(md, err)) != APR_SUCCESS ||
        (rv = check_directory(md, err)) != APR_SUCCESS) {
        return rv;
    }
    md_read_system(md); /* first: modules and contexts depend on it */
    md_read_threads(md);
    md_read_modules(md);
    md_read_unloaded(md);
    md_read_memory(md);
    md_read_regions(md);
    md_read_exception(md);
    md_read_misc(md);
    md_read_handles(md);
    md_read_crashpad(md);
    *out = md;
    return APR_SUCCESS;
}

bool sal_minidump_stream(const sal_minidump_t *md, uint32_t type, sal_span_t *out)
{
    for (uint32_t i = md->n_streams; i-- > 0;) { /* the last of a type counts */
        uint64_t at = md->directory_rva + (uint64_t)i * DIRECTORY_ENTRY;

        if (md_u32(&md->file, at) == type) {
            return md_location(md, &md->file, at + 4, out);
        }
    }
    return false;
}

const sal_md_module_t *sal_minidump_module_at(const sal_minidump_t *md, uint64_t address)
{
    size_t lo = 0, hi = md->n_module_order;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const sal_md_module_t *m = &md->modules[md->module_order[mid]];

        if (m->base + (m->size - 1) < address) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo < md->n_module_order) { /* the first that does not end before it */
        const sal_md_module_t *m = &md->modules[md->module_order[lo]];

        return address >= m->base ? m : NULL;
    }
    return NULL;
}

const sal_md_memory_t *sal_minidump_memory_at(const sal_minidump_t *md, uint64_t address)
{
    size_t lo = 0, hi = md->n_memory;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const sal_md_memory_t *m = &md->memory[mid];

        if (address < m->base) {
            hi = mid;
        } else if (address - m->base >= m->bytes.size) {
            lo = mid + 1;
        } else {
            return m;
        }
    }
    return NULL;
}

const sal_md_region_t *sal_minidump_region_at(const sal_minidump_t *md, uint64_t address)
{
    size_t lo = 0, hi = md->n_regions;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const sal_md_region_t *r = &md->regions[mid];

        if (address < r->base) {
            hi = mid;
        } else if (address - r->base >= r->size) {
            lo = mid + 1;
        } else {
            return r;
        }
    }
    return NULL;
}
