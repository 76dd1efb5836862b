/*
 * Lines and inlined calls of a function in little room, between reading DWARF and writing text.
 *
 * A line table of millions of rows is kept whole until it is written in order of address; as
 * variable-length differences a row takes four to five bytes instead of sixteen. What is unpacked
 * was packed by this process: the bounds are checked all the same.
 *
 *   sites { depth call_line call_file origin ranges { start-difference size }* }*
 *   lines { address-difference line-difference file }*
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dump_private.h"

void dump_buf_add(dump_buf_t *b, const void *data, size_t n)
{
    if (b->failed || n == 0) {
        return;
    }
    if (b->size - b->n < n) {
        size_t size = b->size < 4096 ? 4096 : b->size * 2;
        uint8_t *p;

        while (size - b->n < n) {
            size *= 2;
        }
        p = realloc(b->p, size);
        if (p == NULL) {
            b->failed = true;
            return;
        }
        b->p = p;
        b->size = size;
    }
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put(dump_buf_t *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v != 0);
    dump_buf_add(b, bytes, n);
}

static void put_signed(dump_buf_t *b, int64_t v)
{
    put(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static uint64_t get(dump_unpack_t *u)
{
    uint64_t v = 0;
    unsigned shift = 0;

    while (u->p < u->end && shift < 64) {
        uint8_t byte = *u->p++;

        v |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (byte < 0x80) {
            break;
        }
    }
    return v;
}

static int64_t get_signed(dump_unpack_t *u)
{
    uint64_t v = get(u);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static bool same_site(const dump_site_t *a, const dump_site_t *b)
{
    return a->origin == b->origin && a->depth == b->depth && a->call_line == b->call_line &&
           a->call_file == b->call_file;
}

static uint32_t run_of(const dump_site_t *site, uint32_t n)
{
    uint32_t i = 1;

    while (i < n && same_site(&site[0], &site[i])) {
        i++;
    }
    return i;
}

void dump_pack(dump_buf_t *out, uint64_t base, const dump_site_t *site, uint32_t sites,
               const dump_line_t *line, uint32_t lines)
{
    uint32_t records = 0, prev_line = 0;
    uint64_t addr = base;

    for (uint32_t i = 0; i < sites; i += run_of(site + i, sites - i)) {
        records++;
    }
    put(out, records);
    for (uint32_t i = 0; i < sites;) {
        uint32_t n = run_of(site + i, sites - i);

        put(out, site[i].depth);
        put(out, site[i].call_line);
        put(out, site[i].call_file);
        put(out, site[i].origin);
        put(out, n);
        for (; n > 0; n--, i++) {
            put_signed(out, (int64_t)(site[i].addr - addr));
            put(out, site[i].size);
            addr = site[i].addr;
        }
    }
    put(out, lines);
    addr = base;
    for (uint32_t i = 0; i < lines; i++) {
        put(out, line[i].addr - addr);
        put_signed(out, (int64_t)line[i].line - (int64_t)prev_line);
        put(out, line[i].file);
        addr = line[i].addr;
        prev_line = line[i].line;
    }
}

void dump_unpack_start(dump_unpack_t *u, const dump_func_t *f)
{
    memset(u, 0, sizeof(*u));
    u->p = f->body;
    u->end = f->body + f->body_size;
    u->addr = f->addr;
    u->site.addr = f->addr;
    u->sites = (uint32_t)get(u);
    if (u->sites == 0) {
        u->lines = (uint32_t)get(u);
    }
}

bool dump_unpack_site(dump_unpack_t *u, dump_site_t *site, bool *first)
{
    if (u->sites == 0 || u->p == u->end) {
        return false;
    }
    *first = u->ranges == 0;
    if (u->ranges == 0) {
        u->site.depth = (uint32_t)get(u);
        u->site.call_line = (uint32_t)get(u);
        u->site.call_file = (uint32_t)get(u);
        u->site.origin = (uint32_t)get(u);
        u->ranges = (uint32_t)get(u);
    }
    u->site.addr += (uint64_t)get_signed(u);
    u->site.size = get(u);
    *site = u->site;
    if (--u->ranges == 0 && --u->sites == 0) {
        u->lines = (uint32_t)get(u);
    }
    return true;
}

bool dump_unpack_line(dump_unpack_t *u, dump_line_t *line)
{
    if (u->lines == 0 || u->p == u->end) {
        return false;
    }
    u->lines--;
    u->addr += get(u);
    u->line = (uint32_t)((int64_t)u->line + get_signed(u));
    line->addr = u->addr;
    line->line = u->line;
    line->file = (uint32_t)get(u);
    return true;
}
