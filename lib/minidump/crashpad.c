/*
 * CrashpadInfo: annotations of the process and of its modules.
 */
#include "minidump/minidump_private.h"

#include <stdio.h>

enum {
    CRASHPAD_SIZE = 52,
    MODULE_LINK_SIZE = 12,
    MODULE_INFO_SIZE = 28,
    OBJECT_SIZE = 12,
    OBJECT_STRING = 1
};

/* Entries behind a u32 count, within the dump's share; false if there is not what it says. */
static bool counted(sal_minidump_t *md, const sal_span_t *s, uint32_t entry_size, uint32_t *n)
{
    if (s->size == 0) { /* nothing recorded */
        return false;
    }
    if (!sal_span_u32(s, 0, n) || !sal_span_has(s, 4, (uint64_t)*n * entry_size) ||
        *n > MD_MAX_PAIRS - md->pairs_used) {
        md->bad_records++;
        return false;
    }
    md->pairs_used += *n;
    return true;
}

static void guid_text(char out[37], const sal_span_t *s, uint64_t at)
{
    uint8_t b[8] = { 0 };

    for (int i = 0; i < 8; i++) {
        sal_span_u8(s, at + 8 + (uint64_t)i, &b[i]);
    }
    snprintf(out, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", md_u32(s, at),
             md_u16(s, at + 4), md_u16(s, at + 6), b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]);
}

static const sal_md_pair_t *read_pairs(sal_minidump_t *md, const sal_span_t *s, size_t *n)
{
    sal_md_pair_t *pairs;
    uint32_t count;

    *n = 0;
    if (!counted(md, s, 8, &count)) {
        return NULL;
    }
    pairs = md_array(md, count, sizeof(*pairs));
    for (uint32_t i = 0; i < count; i++) {
        sal_md_pair_t pair;

        pair.key = md_utf8_at(md, md_u32(s, 4 + (uint64_t)i * 8), true);
        pair.value = md_utf8_at(md, md_u32(s, 8 + (uint64_t)i * 8), true);
        if (pair.key && pair.value) {
            pairs[(*n)++] = pair;
        } else {
            md->bad_records++;
        }
    }
    return pairs;
}

static const char **read_list(sal_minidump_t *md, const sal_span_t *s, size_t *n)
{
    const char **list;
    uint32_t count;

    *n = 0;
    if (!counted(md, s, 4, &count)) {
        return NULL;
    }
    list = md_array(md, count, sizeof(*list));
    for (uint32_t i = 0; i < count; i++) {
        if ((list[*n] = md_utf8_at(md, md_u32(s, 4 + (uint64_t)i * 4), true))) {
            (*n)++;
        } else {
            md->bad_records++;
        }
    }
    return list;
}

static const sal_md_pair_t *read_objects(sal_minidump_t *md, const sal_span_t *s, size_t *n)
{
    sal_md_pair_t *pairs;
    uint32_t count;

    *n = 0;
    if (!counted(md, s, OBJECT_SIZE, &count)) {
        return NULL;
    }
    pairs = md_array(md, count, sizeof(*pairs));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = 4 + (uint64_t)i * OBJECT_SIZE;
        sal_md_pair_t pair;

        if (md_u16(s, at + 4) != OBJECT_STRING) {
            continue; /* a product's own binary type, or an unset annotation */
        }
        pair.key = md_utf8_at(md, md_u32(s, at), true);
        pair.value = md_utf8_at(md, md_u32(s, at + 8), false);
        if (pair.key && pair.value) {
            pairs[(*n)++] = pair;
        } else {
            md->bad_records++;
        }
    }
    return pairs;
}

static sal_span_t location_or_empty(const sal_minidump_t *md, const sal_span_t *s, uint64_t at)
{
    sal_span_t out = { NULL, 0, s->swap };

    if (md_u32(s, at) == 0 || !md_location(md, s, at, &out)) {
        out = (sal_span_t){ NULL, 0, s->swap };
    }
    return out;
}

static bool read_module(sal_minidump_t *md, const sal_span_t *links, uint64_t at,
                        struct sal_md_crashpad_module *m)
{
    sal_span_t info, part;

    m->index = md_u32(links, at);
    if (!md_location(md, links, at + 4, &info) || !sal_span_has(&info, 0, MODULE_INFO_SIZE) ||
        md_u32(&info, 0) == 0) {
        md->bad_records++;
        return false;
    }
    m->version = md_u32(&info, 0);
    part = location_or_empty(md, &info, 4);
    m->list = read_list(md, &part, &m->n_list);
    part = location_or_empty(md, &info, 12);
    m->simple = read_pairs(md, &part, &m->n_simple);
    part = location_or_empty(md, &info, 20);
    m->objects = read_objects(md, &part, &m->n_objects);
    return true;
}

static void read_crashpad_modules(sal_minidump_t *md, const sal_span_t *links)
{
    struct sal_md_crashpad_module *modules;
    uint32_t count;

    if (!counted(md, links, MODULE_LINK_SIZE, &count)) {
        return;
    }
    count = count > MD_MAX_MODULES ? MD_MAX_MODULES : count;
    modules = md_array(md, count, sizeof(*modules));
    for (uint32_t i = 0; i < count; i++) {
        struct sal_md_crashpad_module *m = &modules[md->crashpad.n_modules];

        md->crashpad.n_modules += read_module(md, links, 4 + (uint64_t)i * MODULE_LINK_SIZE, m);
    }
    md->crashpad.modules = modules;
}

void md_read_crashpad(sal_minidump_t *md)
{
    sal_md_crashpad_t *c = &md->crashpad;
    sal_span_t s, part;

    if (!sal_minidump_stream(md, SAL_STREAM_CRASHPAD_INFO, &s) ||
        !sal_span_has(&s, 0, CRASHPAD_SIZE) || md_u32(&s, 0) == 0) {
        return;
    }
    c->present = true;
    c->version = md_u32(&s, 0);
    guid_text(c->report_id, &s, 4);
    guid_text(c->client_id, &s, 20);
    part = location_or_empty(md, &s, 36);
    c->simple = read_pairs(md, &part, &c->n_simple);
    part = location_or_empty(md, &s, 44);
    read_crashpad_modules(md, &part);
}
