/*
 * ModuleList and UnloadedModuleList, and what identifies a module: debug id, code id, version.
 *
 * A module whose name or debug record is unreadable stays, without the part that is bad: a report
 * must not lose all its modules to one bad entry.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include <stdio.h>
#include "base/text.h"

enum {
    MODULE_SIZE = 108,
    UNLOADED_SIZE = 24,
    CV_PDB70 = 0x53445352, /* "RSDS" */
    CV_PDB20 = 0x3031424e, /* "NB10" */
    CV_ELF = 0x4270454c,   /* "LEpB" */
};

static const uint32_t version_magic = 0xfeef04bd, version_struct = 0x00010000;

static const char *timestamp_id(const sal_minidump_t *md, uint32_t timestamp, uint32_t size)
{
    return apr_psprintf(md->pool, "%08x%x", timestamp, size);
}

static bool all_zero(const sal_span_t *s)
{
    for (size_t i = 0; i < s->size; i++) {
        if (s->data[i]) {
            return false;
        }
    }
    return true;
}

/* A GUID whose first three fields are numbers in the dump's byte order. */
static void guid_hex(char out[33], const sal_span_t *s, uint64_t at)
{
    snprintf(out, 33, "%08X%04X%04X", md_u32(s, at), md_u16(s, at + 4), md_u16(s, at + 6));
    for (uint64_t i = 0; i < 8; i++) {
        uint8_t byte = 0;

        sal_span_u8(s, at + 8 + i, &byte);
        snprintf(out + 16 + 2 * i, 3, "%02X", byte);
    }
}

static bool os_is_apple(const sal_minidump_t *md)
{
    return md->system.os == SAL_OS_MACOS || md->system.os == SAL_OS_IOS;
}

static bool pdb70(sal_minidump_t *md, sal_md_module_t *m, const sal_span_t *cv)
{
    sal_span_t name, guid;
    char hex[33];

    if (!sal_span_sub(cv, 24, cv->size < 24 ? 0 : cv->size - 24, &name) ||
        !sal_span_sub(cv, 4, 16, &guid)) {
        return false;
    }
    guid_hex(hex, &guid, 0);
    m->debug_file = md_bytes_text(md, &name);
    if (!all_zero(&guid)) {
        snprintf(m->debug_id, sizeof(m->debug_id), "%s%x", hex, md_u32(cv, 20));
    }
    if (os_is_apple(md)) {
        char *id = apr_pstrdup(md->pool, hex);

        for (char *c = id; *c; c++) {
            *c = *c >= 'A' && *c <= 'F' ? (char)(*c + 32) : *c;
        }
        m->code_id = id;
    } else {
        m->code_id = timestamp_id(md, m->timestamp, m->size);
    }
    return true;
}

static bool pdb20(sal_minidump_t *md, sal_md_module_t *m, const sal_span_t *cv)
{
    sal_span_t name;

    if (!sal_span_sub(cv, 16, cv->size < 16 ? 0 : cv->size - 16, &name)) {
        return false;
    }
    m->debug_file = md_bytes_text(md, &name);
    snprintf(m->debug_id, sizeof(m->debug_id), "%08X%x", md_u32(cv, 8), md_u32(cv, 12));
    m->code_id = timestamp_id(md, m->timestamp, m->size);
    return true;
}

static bool elf_build_id(sal_minidump_t *md, sal_md_module_t *m, const sal_span_t *cv)
{
    uint8_t first[16] = { 0 };
    sal_span_t id, guid = { first, sizeof(first), cv->swap };
    char *hex;

    if (!sal_span_sub(cv, 4, cv->size - 4, &id)) {
        return false;
    }
    m->debug_file = m->name;
    if (all_zero(&id)) {
        return true;
    }
    hex = apr_palloc(md->pool, 2 * id.size + 1);
    sal_hex(hex, id.data, id.size);
    m->code_id = hex;
    memcpy(first, id.data, id.size < sizeof(first) ? id.size : sizeof(first));
    if (!all_zero(&guid)) {
        guid_hex(m->debug_id, &guid, 0);
        memcpy(m->debug_id + 32, "0", 2);
    }
    return true;
}

static bool read_cv(sal_minidump_t *md, sal_md_module_t *m, const sal_span_t *cv)
{
    uint32_t kind;

    if (cv->size > MD_MAX_CV_RECORD || !sal_span_u32(cv, 0, &kind)) {
        return false;
    }
    switch (kind) {
    case CV_PDB70:
        return pdb70(md, m, cv);
    case CV_PDB20:
        return pdb20(md, m, cv);
    case CV_ELF:
        return elf_build_id(md, m, cv);
    default: /* NB09, NB11 ...: symbols inside the image, nothing to look up */
        return true;
    }
}

static void read_debug(sal_minidump_t *md, sal_md_module_t *m, const sal_span_t *s)
{
    sal_span_t cv;

    bool none = md_u32(s, 76) == 0;

    m->code_id = "";
    if (none || !md_location(md, s, 76, &cv) || !read_cv(md, m, &cv)) {
        md->bad_records += !none;
        if (md->system.os == SAL_OS_WINDOWS) { /* the image's header alone identifies it there */
            m->code_id = timestamp_id(md, m->timestamp, m->size);
        }
    }
}

static const char *read_version(const sal_minidump_t *md, const sal_span_t *s)
{
    uint32_t hi = md_u32(s, 32), lo = md_u32(s, 36);

    if (md_u32(s, 24) != version_magic || md_u32(s, 28) != version_struct) {
        return NULL;
    }
    if (md->system.os == SAL_OS_WINDOWS || os_is_apple(md)) {
        return apr_psprintf(md->pool, "%u.%u.%u.%u", hi >> 16, hi & 0xffff, lo >> 16, lo & 0xffff);
    }
    return apr_psprintf(md->pool, "%u.%u.%u.%u", hi, lo, md_u32(s, 40), md_u32(s, 44));
}

static bool read_module(sal_minidump_t *md, const sal_span_t *s, sal_md_module_t *m)
{
    md_range_t unused;

    m->base = md_u64(s, 0);
    m->size = md_u32(s, 8);
    if (!md_range_set(&unused, m->base, m->size, 0)) {
        md->bad_records++;
        return false;
    }
    m->checksum = md_u32(s, 12);
    m->timestamp = md_u32(s, 16);
    if (!(m->name = md_utf16_at(md, md_u32(s, 20)))) {
        md->bad_records++;
        m->name = "";
    }
    m->version = read_version(md, s);
    read_debug(md, m, s);
    return true;
}

static void order_modules(sal_minidump_t *md)
{
    md_range_t *r = md_array(md, md->n_modules, sizeof(*r));
    size_t n = 0;

    for (size_t i = 0; i < md->n_modules; i++) {
        n += md_range_set(&r[n], md->modules[i].base, md->modules[i].size, (uint32_t)i);
    }
    n = md_ranges_keep(r, n);
    md->module_order = md_array(md, n, sizeof(*md->module_order));
    md->n_module_order = n;
    for (size_t i = 0; i < n; i++) {
        md->module_order[i] = r[i].index;
    }
}

void md_read_modules(sal_minidump_t *md)
{
    md_list_t list;

    if (!md_list(md, SAL_STREAM_MODULE_LIST, MODULE_SIZE, MD_MAX_MODULES, &list)) {
        return;
    }
    md->modules = md_array(md, list.count, sizeof(*md->modules));
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);
        sal_md_module_t *m = &md->modules[md->n_modules];

        memset(m, 0, sizeof(*m));
        md->n_modules += read_module(md, &s, m);
    }
    order_modules(md);
}

static bool read_unloaded(sal_minidump_t *md, const sal_span_t *s, sal_md_unloaded_t *u)
{
    md_range_t unused;

    u->base = md_u64(s, 0);
    u->size = md_u32(s, 8);
    u->checksum = md_u32(s, 12);
    u->timestamp = md_u32(s, 16);
    u->name = md_utf16_at(md, md_u32(s, 20));
    if (!u->name || !md_range_set(&unused, u->base, u->size, 0)) {
        md->bad_records++;
        return false;
    }
    u->code_id = timestamp_id(md, u->timestamp, u->size);
    return true;
}

void md_read_unloaded(sal_minidump_t *md)
{
    md_list_t list;

    if (!md_list_ext(md, SAL_STREAM_UNLOADED_MODULE_LIST, 12, UNLOADED_SIZE, MD_MAX_UNLOADED,
                     &list)) {
        return;
    }
    md->unloaded = md_array(md, list.count, sizeof(*md->unloaded));
    for (uint32_t i = 0; i < list.count; i++) {
        sal_span_t s = md_entry(&list, i);

        md->n_unloaded += read_unloaded(md, &s, &md->unloaded[md->n_unloaded]);
    }
}
