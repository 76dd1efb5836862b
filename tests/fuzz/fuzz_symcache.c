/*
 * Any bytes as a symcache: refused, or every question gets an answer without a fault. The header's
 * checksum is mended first, or nothing would ever get past it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <xxhash.h>
#include "symbols/symcache.h"
#include "symbols/symcache_format.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return apr_initialize();
}

static void mend(uint8_t *data, size_t size)
{
    symx_header_t h;

    if (size < sizeof(h)) {
        return;
    }
    memcpy(&h, data, sizeof(h));
    memcpy(h.magic, SYMX_MAGIC, 4);
    h.version = htole32(SYMX_VERSION);
    h.total = htole64(size);
    h.checksum = 0;
    h.checksum = htole64(XXH64(&h, sizeof(h), 0));
    memcpy(data, &h, sizeof(h));
}

static volatile unsigned sink;

static void eat(sal_str_t s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        sink += (unsigned char)s.s[i];
    }
}

static void ask(const sal_symcache_t *c, uint64_t address)
{
    static sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
    sal_sym_hit_t hit;
    sal_cfi_t cfi;
    sal_win_t win;
    sal_sym_look_t looks[2] = { { .cache = c, .address = address }, { .cache = c } };

    if (sal_symcache_lookup(c, address, &hit, inlines, SAL_SYM_MAX_INLINES)) {
        eat(hit.outer.function);
        eat(hit.outer.file);
        for (uint32_t i = 0; i < hit.n_inlines; i++) {
            eat(inlines[i].function);
            eat(inlines[i].file);
        }
    }
    sink += sal_symcache_line_base(c, address);
    sal_symcache_look(looks, 2);
    sal_symcache_extend(&looks[0]);
    for (int i = 0; i < 2; i++) {
        if (sal_symcache_see(&looks[i], &hit, inlines, 2)) {
            eat(hit.outer.function);
            eat(hit.outer.file);
        }
    }
    if (sal_symcache_cfi(c, address, &cfi)) {
        eat(cfi.init);
        for (uint32_t i = 0; i < cfi.n_deltas && i < 64; i++) {
            eat(sal_symcache_cfi_delta(c, &cfi, i));
        }
    }
    if (sal_symcache_win(c, address, address & 1, &win)) {
        eat(win.program);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    sal_symcache_info_t info;
    sal_symcache_t *c;
    apr_pool_t *p;

    if (!copy) {
        return 0;
    }
    memcpy(copy, data, size);
    mend(copy, size);
    apr_pool_create(&p, NULL);
    if (sal_symcache_open_mem(&c, (sal_span_t){ copy, size, false }, p, NULL) == APR_SUCCESS) {
        sal_symcache_info(c, &info);
        sink += (unsigned)(strlen(info.debug_file) + strlen(info.url));
        for (uint64_t x = 0; x < 0x3400; x += 0x1d) {
            ask(c, x);
        }
        ask(c, UINT32_MAX);
        ask(c, UINT64_MAX);
    }
    apr_pool_destroy(p);
    free(copy);
    return 0;
}
