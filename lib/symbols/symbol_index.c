/*
 * The index of build ids on disk. It needs no rows: whoever links a key, by whatever protocol or
 * tool the file came, enters it.
 */
#include "symbols/symbol_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"
#include "symbols/object_id.h"
#include "symbols/symbol_store_private.h"

static const char *const part_names[] = { "executable", "debuginfo", "source" };

bool sal_build_id_valid(const char *id)
{
    size_t n = strlen(id);

    return n >= 4 && n <= SAL_BUILD_ID_HEX && n % 2 == 0 &&
           n == strspn(id, "0123456789abcdefABCDEF");
}

/* Directory of an id, which is hex and has at least 4 digits. */
static const char *id_dir(const char *base, const char *id, apr_pool_t *p)
{
    char *lower = apr_pstrdup(p, id);

    for (char *c = lower; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c);
    }
    return apr_psprintf(p, "%s/buildid/%.2s/%s", base, lower, lower + 2);
}

static bool is_source_leaf(const char *leaf)
{
    size_t n = strlen(leaf);

    return n > 8 && !strcasecmp(leaf + n - 8, ".src.zip");
}

static const char *link_target(const sal_symbol_key_t *key, apr_pool_t *p)
{
    char *id = apr_pstrdup(p, key->debug_id);

    for (char *c = id; *c; c++) {
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 32 : *c);
    }
    return apr_pstrcat(p, "../../../key/", key->debug_file, "/", id, "/", key->leaf, NULL);
}

/* ---- writing ---- */

/* What the file of a key is; format OTHER if it is not there. */
static void identify(sal_object_t *o, const char *path, apr_pool_t *p)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    memset(o, 0, sizeof(*o));
    if (fd >= 0) {
        sal_object_identify(o, fd, p, NULL);
        close(fd);
    }
}

static apr_status_t put_link(const char *dir, sal_build_part_t part, const char *target,
                             const char *root, apr_pool_t *p, sal_error_t *err)
{
    const char *path = apr_pstrcat(p, dir, "/", part_names[part], NULL);
    char *temp = apr_pstrcat(p, root, "/tmp/i-XXXXXX", NULL);
    apr_status_t rv = APR_SUCCESS;
    int fd = mkostemp(temp, O_CLOEXEC);

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot make a file in %s/tmp", root);
    }
    close(fd);
    if (unlink(temp) || symlink(target, temp) || rename(temp, path)) {
        rv = sal_fail_os(err, errno, "cannot link %s", path);
        unlink(temp);
    }
    return rv;
}

/* A file with DWARF beats one with a symbol table alone, whichever came first. */
static bool wants_debuginfo(const sal_object_t *o, const char *dir, apr_pool_t *p)
{
    return o->has_debug ||
           (o->has_symtab && access(apr_pstrcat(p, dir, "/debuginfo", NULL), F_OK) != 0);
}

static apr_status_t enter(sal_symbol_store_t *store, const char *base, const sal_symbol_key_t *key,
                          const sal_object_t *o, bool sync, apr_pool_t *p, sal_error_t *err)
{
    bool source = is_source_leaf(key->leaf);
    const char *dir = id_dir(base, source ? key->debug_id : o->build_id, p);
    const char *target = link_target(key, p);
    apr_status_t rv = sal_dir_make(dir, 0755, sync, p, err);

    if (rv == APR_SUCCESS && source) {
        rv = put_link(dir, SAL_BUILD_SOURCE, target, store->root, p, err);
    } else if (rv == APR_SUCCESS) {
        if (wants_debuginfo(o, dir, p)) {
            rv = put_link(dir, SAL_BUILD_DEBUGINFO, target, store->root, p, err);
        }
        if (rv == APR_SUCCESS && o->has_code && !o->gzipped) {
            rv = put_link(dir, SAL_BUILD_EXECUTABLE, target, store->root, p, err);
        }
    }
    return rv == APR_SUCCESS && sync ? sal_dir_sync(dir, err) : rv;
}

apr_status_t symbol_index_note(sal_symbol_store_t *store, const sal_symbol_key_t *key, bool is_try,
                               bool sync, apr_pool_t *p, sal_error_t *err)
{
    sal_object_t o = { 0 };

    if (sal_symbol_leaf_is_sym(key->leaf) ||
        (is_source_leaf(key->leaf) && strlen(key->debug_id) < 4)) {
        return APR_SUCCESS;
    }
    if (!is_source_leaf(key->leaf)) {
        identify(&o, sal_symbol_store_path(store, key, is_try, p), p);
        if (!sal_build_id_valid(o.build_id)) {
            return APR_SUCCESS;
        }
    }
    return enter(store, symbol_store_base(store, is_try, p), key, &o, sync, p, err);
}

void symbol_index_forget(sal_symbol_store_t *store, const sal_symbol_key_t *key, bool is_try,
                         apr_pool_t *p)
{
    const char *target = link_target(key, p), *dir;
    char there[1024];
    sal_object_t o;

    if (sal_symbol_leaf_is_sym(key->leaf) || is_source_leaf(key->leaf)) {
        return;
    }
    identify(&o, sal_symbol_store_path(store, key, is_try, p), p);
    if (!sal_build_id_valid(o.build_id)) {
        return;
    }
    dir = id_dir(symbol_store_base(store, is_try, p), o.build_id, p);
    for (size_t i = 0; i < sizeof(part_names) / sizeof(part_names[0]); i++) {
        const char *path = apr_pstrcat(p, dir, "/", part_names[i], NULL);
        ssize_t n = readlink(path, there, sizeof(there) - 1);

        if (n > 0 && (size_t)n == strlen(target) && !memcmp(there, target, (size_t)n)) {
            unlink(path);
        }
    }
}

/* ---- finding ---- */

/* ".../key/<file>/<ID>/<leaf>" */
static bool key_of_link(sal_symbol_key_t *key, const char *target, apr_pool_t *p)
{
    static const char head[] = "../../../key/";

    return !strncmp(target, head, sizeof(head) - 1) &&
           sal_symbol_key_parse(key, target + sizeof(head) - 1, strlen(target + sizeof(head) - 1),
                                p);
}

static bool find_part(const char **path, sal_symbol_key_t *key, sal_symbol_store_t *store,
                      const char *id, sal_build_part_t part, bool is_try, apr_pool_t *p)
{
    const char *dir = id_dir(symbol_store_base(store, is_try, p), id, p);
    char target[1024];
    ssize_t n =
        readlink(apr_pstrcat(p, dir, "/", part_names[part], NULL), target, sizeof(target) - 1);
    sal_symbol_key_t own;

    if (n <= 0) {
        return false;
    }
    target[n] = '\0';
    if (!key_of_link(&own, target, p)) {
        return false;
    }
    *path = sal_symbol_store_path(store, &own, is_try, p);
    if (key) {
        *key = own;
    }
    return access(*path, F_OK) == 0;
}

apr_status_t sal_symbol_store_by_build(const char **path, sal_symbol_key_t *key,
                                       sal_symbol_store_t *store, const char *id,
                                       sal_build_part_t part, bool with_try, apr_pool_t *p,
                                       sal_error_t *err)
{
    size_t n = strlen(id);

    if (n < 4 || n > SAL_BUILD_ID_HEX || n != strspn(id, "0123456789abcdefABCDEF") ||
        (!find_part(path, key, store, id, part, false, p) &&
         !(with_try && find_part(path, key, store, id, part, true, p)))) {
        return sal_fail(err, APR_ENOENT, "no %s for build id %.130s", part_names[part], id);
    }
    return APR_SUCCESS;
}
