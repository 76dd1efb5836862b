/*
 * Where the debug information of a program is when it is not in the program: the file the caller
 * names, or what gdb would find: by build id, by .gnu_debuglink with its checksum; and the DWZ
 * file that either of them shares with others.
 *
 * A file found by searching that does not fit is passed over; one that was named must fit. With
 * no_search nothing is opened that the caller did not name.
 */
#include "dumpsyms/dump_private.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

enum { MAX_BUILD_ID = 64, MIN_BUILD_ID = 3 };

static const char *const usual_dirs[] = { "/usr/lib/debug", NULL };

static const char *const *debug_dirs(const sal_dumpsyms_opts_t *opts)
{
    return opts->debug_dirs ? opts->debug_dirs : usual_dirs;
}

static bool has_dwarf(Elf *elf)
{
    GElf_Shdr sh;

    return dump_elf_section(elf, ".debug_info", &sh) != NULL;
}

/* False only if both have a build id and these differ. */
static bool same_build(Elf *a, Elf *b)
{
    uint8_t id_a[MAX_BUILD_ID], id_b[MAX_BUILD_ID];
    size_t n = dump_elf_build_id(a, id_a), m = dump_elf_build_id(b, id_b);

    return !n || !m || (n == m && !memcmp(id_a, id_b, n));
}

static bool has_build_id(Elf *elf, const uint8_t *id, size_t size)
{
    uint8_t own[MAX_BUILD_ID];

    return dump_elf_build_id(elf, own) == size && !memcmp(own, id, size);
}

/* The real folder of a file, "" for the root. */
static const char *folder_of(const char *path, apr_pool_t *p)
{
    char *real = realpath(path, NULL);
    const char *copy = apr_pstrdup(p, real ? real : path), *slash = strrchr(copy, '/');

    free(real);
    return slash ? apr_pstrmemdup(p, copy, (apr_size_t)(slash - copy)) : ".";
}

/* A file that was looked for: NULL if it is not there or no ELF file. */
static dump_image_t *try_open(const char *path, apr_pool_t *p)
{
    dump_image_t *im;

    return dump_image_open(&im, path, p, NULL) == APR_SUCCESS ? im : NULL;
}

/* DIR/.build-id/xx/yyyy.debug */
static dump_image_t *by_build_id(const uint8_t *id, size_t size, const sal_dumpsyms_opts_t *opts,
                                 apr_pool_t *p)
{
    char hex[2 * MAX_BUILD_ID + 1];

    if (size < MIN_BUILD_ID || size > MAX_BUILD_ID) {
        return NULL;
    }
    sal_hex(hex, id, size);
    for (const char *const *dir = debug_dirs(opts); *dir; dir++) {
        dump_image_t *im =
            try_open(apr_psprintf(p, "%s/.build-id/%.2s/%s.debug", *dir, hex, hex + 2), p);

        if (im && has_build_id(im->elf, id, size)) {
            return im;
        }
        if (im) {
            dump_image_close(im);
        }
    }
    return NULL;
}

/* ---- .gnu_debuglink: name, padding to 4, CRC-32 of the file ---- */

static bool read_debuglink(Elf *elf, const char **name, uint32_t *crc, bool big_endian)
{
    GElf_Shdr sh;
    Elf_Data *data = dump_elf_bytes(elf, ".gnu_debuglink", &sh);
    const char *end = data ? memchr(data->d_buf, '\0', data->d_size) : NULL;
    sal_span_t span;

    if (!end || end == data->d_buf || strchr(data->d_buf, '/')) {
        return false;
    }
    *name = data->d_buf;
    span = (sal_span_t){ data->d_buf, data->d_size, big_endian };
    return sal_span_u32(&span, ((size_t)(end - *name) + 4) & ~(size_t)3, crc);
}

/* The checksum is of the file as it is on disk: its private mapping may have been changed. */
static bool has_crc(const char *path, uint32_t want, apr_pool_t *p)
{
    sal_span_t file;
    uLong crc = crc32(0, NULL, 0);
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    if ((rv = sal_file_map(&file, path, scratch, NULL)) == APR_SUCCESS) {
        crc = crc32_z(crc, file.data, file.size);
    }
    apr_pool_destroy(scratch);
    return rv == APR_SUCCESS && crc == want;
}

static dump_image_t *try_link(const dump_elf_t *e, const char *path, uint32_t crc, apr_pool_t *p)
{
    dump_image_t *im = has_crc(path, crc, p) ? try_open(path, p) : NULL;

    if (im && (!same_build(e->elf, im->elf) || !has_dwarf(im->elf))) {
        dump_image_close(im);
        return NULL;
    }
    return im;
}

/* Beside the program, in .debug beside it, and under each root at the program's own path. */
static dump_image_t *by_debuglink(const dump_elf_t *e, const sal_dumpsyms_opts_t *opts,
                                  apr_pool_t *p)
{
    const char *dir = folder_of(e->path, p), *name;
    dump_image_t *im;
    uint32_t crc;

    if (!read_debuglink(e->elf, &name, &crc, e->big_endian)) {
        return NULL;
    }
    if ((im = try_link(e, apr_pstrcat(p, dir, "/", name, NULL), crc, p)) ||
        (im = try_link(e, apr_pstrcat(p, dir, "/.debug/", name, NULL), crc, p))) {
        return im;
    }
    for (const char *const *root = debug_dirs(opts); *root; root++) {
        if ((im = try_link(e, apr_pstrcat(p, *root, dir, "/", name, NULL), crc, p))) {
            return im;
        }
    }
    return NULL;
}

/* ---- the DWZ file of a debug file: a path, absolute or relative to it, and a build id ---- */

static dump_image_t *find_alt(const dump_image_t *of, const sal_dumpsyms_opts_t *opts,
                              apr_pool_t *p)
{
    const char *path = of->altlink;
    dump_image_t *im;

    if (!path) {
        return NULL;
    }
    if ((im = by_build_id(of->alt_id, of->alt_id_size, opts, p))) {
        return im;
    }
    if (*path != '/') {
        path = apr_pstrcat(p, folder_of(of->path, p), "/", path, NULL);
    }
    im = try_open(path, p);
    if (im && !has_build_id(im->elf, of->alt_id, of->alt_id_size)) {
        dump_image_close(im);
        return NULL;
    }
    return im;
}

/* ---- all together ---- */

static apr_status_t open_named(dump_elf_t *e, const char *path, apr_pool_t *p, sal_error_t *err)
{
    dump_image_t *im;
    GElf_Ehdr eh;
    apr_status_t rv = dump_image_open(&im, path, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!gelf_getehdr(im->elf, &eh) || eh.e_machine != e->machine ||
        (gelf_getclass(im->elf) == ELFCLASS64) != e->is64) {
        return sal_fail(err, APR_EINVAL, "%s is for another machine than %s", path, e->path);
    }
    if (!same_build(e->elf, im->elf)) {
        return sal_fail(err, APR_EINVAL, "%s is of another build than %s: their build ids differ",
                        path, e->path);
    }
    e->debug_image = im;
    return APR_SUCCESS;
}

static dump_image_t *search(const dump_elf_t *e, const sal_dumpsyms_opts_t *opts, apr_pool_t *p)
{
    uint8_t id[MAX_BUILD_ID];
    size_t size = dump_elf_build_id(e->elf, id);
    dump_image_t *im = by_build_id(id, size, opts, p);

    return im ? im : by_debuglink(e, opts, p);
}

apr_status_t dump_elf_find_debug(dump_elf_t *e, const sal_dumpsyms_opts_t *opts, apr_pool_t *p,
                                 sal_error_t *err)
{
    if (opts->debug_path) {
        apr_status_t rv = open_named(e, opts->debug_path, p, err);

        if (rv != APR_SUCCESS) {
            return rv;
        }
    } else if (has_dwarf(e->elf)) {
        e->debug_image = e->image;
    } else if (!opts->no_search) {
        e->debug_image = search(e, opts, p);
    }
    e->debug = e->debug_image ? e->debug_image->elf : NULL;
    if (e->debug && !opts->no_search) {
        e->alt_image = find_alt(e->debug_image, opts, p);
    }
    return APR_SUCCESS;
}
