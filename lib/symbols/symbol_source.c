/*
 * Source bundles, by libzip. The bundle may be hostile: its manifest is bounded, and so is a file.
 */
#include "symbols/symbol_source.h"

#include <string.h>

#include <apr_strings.h>
#include <jansson.h>
#include <zip.h>

#include "base/json.h"

#define MANIFEST_MAX (UINT64_C(64) << 20)
#define SOURCE_MAX (UINT64_C(1) << 30)

enum { CHUNK = 65536 };

struct sal_source_t {
    zip_t *zip;
    zip_uint64_t index;
    uint64_t size;
    const char *name, *bundle;
};

static apr_status_t close_zip(void *v)
{
    zip_discard(v);
    return APR_SUCCESS;
}

const char *sal_path_resolve(const char *path, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(path) + 2), *to = out;

    while (*path) {
        size_t n;

        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (n == 2 && !strncmp(path, "..", 2)) {
            while (to > out && *--to != '/') {
                continue;
            }
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            *to++ = '/';
            memcpy(to, path, n);
            to += n;
        }
        path += n;
    }
    *to = '\0';
    return out;
}

/* A member's content as JSON; NULL if there is none, or no JSON. */
static json_t *read_manifest(zip_t *zip, apr_pool_t *p)
{
    zip_stat_t st;
    zip_file_t *f;
    json_t *manifest = NULL;
    char *text;

    if (zip_stat(zip, "manifest.json", 0, &st) || !(st.valid & ZIP_STAT_SIZE) ||
        st.size > MANIFEST_MAX || !(f = zip_fopen(zip, "manifest.json", 0))) {
        return NULL;
    }
    text = apr_palloc(p, st.size + 1);
    if (zip_fread(f, text, st.size) == (zip_int64_t)st.size) {
        manifest = json_loadb(text, st.size, 0, NULL);
    }
    zip_fclose(f);
    return manifest;
}

static zip_int64_t by_manifest(zip_t *zip, json_t *manifest, const char *path)
{
    json_t *files = json_object_get(manifest, "files"), *entry;
    const char *member;

    json_object_foreach(files, member, entry)
    {
        const char *named = sal_json_str(entry, "path");

        if (named && !strcmp(named, path)) {
            return zip_name_locate(zip, member, 0);
        }
    }
    return -1;
}

static zip_int64_t by_name(zip_t *zip, const char *path, apr_pool_t *p)
{
    const char *relative = path + strspn(path, "/");
    zip_int64_t i = zip_name_locate(zip, relative, 0);

    return i >= 0 ? i : zip_name_locate(zip, apr_pstrcat(p, "files/", relative, NULL), 0);
}

static zip_int64_t locate(zip_t *zip, const char *path, apr_pool_t *p)
{
    const char *resolved = sal_path_resolve(path, p);
    json_t *manifest = read_manifest(zip, p);
    zip_int64_t i = -1;

    if (manifest) {
        i = by_manifest(zip, manifest, path);
        i = i >= 0 ? i : by_manifest(zip, manifest, resolved);
        json_decref(manifest);
    }
    i = i >= 0 ? i : by_name(zip, path, p);
    return i >= 0 ? i : by_name(zip, resolved, p);
}

apr_status_t sal_source_open(sal_source_t **out, const char *bundle, const char *path,
                             apr_pool_t *p, sal_error_t *err)
{
    sal_source_t *s = apr_pcalloc(p, sizeof(*s));
    zip_int64_t i;
    zip_stat_t st;

    s->name = path[0] == '/' ? path : apr_pstrcat(p, "/", path, NULL);
    s->bundle = bundle;
    s->zip = zip_open(bundle, ZIP_RDONLY, NULL);
    if (!s->zip) {
        return sal_fail(err, SAL_E_MALFORMED, "this is no zip");
    }
    apr_pool_cleanup_register(p, s->zip, close_zip, apr_pool_cleanup_null);
    i = locate(s->zip, s->name, p);
    if (i < 0 || zip_stat_index(s->zip, (zip_uint64_t)i, 0, &st) || !(st.valid & ZIP_STAT_SIZE)) {
        return sal_fail(err, APR_ENOENT, "the bundle has no %.300s", s->name);
    }
    if (st.size > SOURCE_MAX) {
        return sal_fail(err, SAL_E_TOOBIG, "%.300s is larger than 1 GiB", s->name);
    }
    s->index = (zip_uint64_t)i;
    s->size = st.size;
    *out = s;
    return APR_SUCCESS;
}

uint64_t sal_source_size(const sal_source_t *s)
{
    return s->size;
}

const char *sal_source_name(const sal_source_t *s)
{
    return s->name;
}

apr_status_t sal_source_read(sal_source_t *s,
                             apr_status_t (*sink)(void *, const void *, apr_size_t), void *baton,
                             sal_error_t *err)
{
    zip_file_t *f = zip_fopen_index(s->zip, s->index, 0);
    char buf[CHUNK];
    uint64_t left = s->size;
    apr_status_t rv = APR_SUCCESS;
    zip_int64_t n = 0;

    if (!f) {
        return sal_fail(err, SAL_E_MALFORMED, "%.300s cannot be unpacked", s->name);
    }
    while (left > 0 && rv == APR_SUCCESS) {
        n = zip_fread(f, buf, left < CHUNK ? left : CHUNK);
        if (n <= 0) {
            break;
        }
        left -= (uint64_t)n;
        rv = sink(baton, buf, (apr_size_t)n);
    }
    zip_fclose(f);
    if (rv != APR_SUCCESS) {
        return sal_fail(err, rv, "the file could not be passed on");
    }
    return left ? sal_fail(err, SAL_E_MALFORMED, "%.300s is damaged", s->name) : APR_SUCCESS;
}
