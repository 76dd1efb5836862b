/*
 * Finding symbol files. A path that ends in <debug_file>/<debug_id>/<leaf> is its own key; any
 * other .sym is asked for its MODULE line.
 */
#include "symbol_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"
#include "symbols/module_id.h"
#include "symbols/sym_header.h"
#include "symbols/symbol_store.h"
#include "upload/upload.h"

enum { DEPTH_MAX = 32 };

symbol_files_t *symbol_files_make(apr_pool_t *p)
{
    symbol_files_t *set = apr_pcalloc(p, sizeof(*set));

    set->files = apr_array_make(p, 64, sizeof(symbol_file_t));
    set->seen = apr_hash_make(p);
    set->archives = apr_array_make(p, 4, sizeof(const char *));
    return set;
}

static int ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n > m && !strcasecmp(s + n - m, suffix);
}

/* The last three parts of a path if they are a key of a kind that we know; else NULL. */
static const char *key_of_path(const char *path, apr_pool_t *p)
{
    const char *start = path + strlen(path);
    sal_symbol_key_t key;
    int slashes = 0;

    while (start > path && (start[-1] != '/' || ++slashes < 3)) {
        start--;
    }
    if (!sal_symbol_key_parse(&key, start, strlen(start), p) ||
        !strcmp(sal_upload_kind(key.leaf), "other")) {
        return NULL;
    }
    return start;
}

static const char *key_of_module(const char *path, apr_pool_t *p, sal_error_t *err)
{
    char *head = apr_palloc(p, SAL_SYM_HEADER_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    sal_sym_header_t h;
    sal_symbol_key_t key;
    const char *text;
    ssize_t n;

    if (fd < 0) {
        sal_fail_os(err, errno, "%s", path);
        return NULL;
    }
    n = read(fd, head, SAL_SYM_HEADER_BYTES);
    close(fd);
    sal_sym_header_read(&h, head, n > 0 ? (apr_size_t)n : 0, p);
    text = !h.debug_file ? ""
                         : apr_pstrcat(p, h.debug_file, "/", h.debug_id, "/",
                                       sal_symbols_leaf(h.debug_file, p), NULL);
    if (!sal_symbol_key_parse(&key, text, strlen(text), p)) {
        sal_fail(err, SAL_E_MALFORMED, "%s: no usable MODULE line; is it a Breakpad .sym file?",
                 path);
        return NULL;
    }
    return text;
}

static void add_file(symbol_files_t *set, const char *path, const char *key, const struct stat *st)
{
    const int *known = apr_hash_get(set->seen, key, APR_HASH_KEY_STRING);
    int *at;

    if (known) { /* named twice: the later path stands */
        APR_ARRAY_IDX(set->files, *known, symbol_file_t).path = path;
        return;
    }
    at = apr_palloc(set->files->pool, sizeof(*at));
    *at = set->files->nelts;
    apr_hash_set(set->seen, key, APR_HASH_KEY_STRING, at);
    APR_ARRAY_PUSH(set->files, symbol_file_t) =
        (symbol_file_t){ path, key, (apr_uint64_t)st->st_size };
}

/* named: the user named this very file, so passing it over in silence would be wrong. */
static apr_status_t add_regular(symbol_files_t *set, const char *path, const struct stat *st,
                                int named, apr_pool_t *p, sal_error_t *err)
{
    const char *key = key_of_path(path, p);

    if (ends_with(path, ".zip") && !key) {
        if (named) {
            APR_ARRAY_PUSH(set->archives, const char *) = path;
        } else {
            set->passed_over++;
        }
        return APR_SUCCESS;
    }
    if (!key && !sal_symbol_leaf_is_sym(path)) {
        set->passed_over++;
        return named ? sal_fail(err, SAL_E_UNSUPPORTED,
                                "%s: neither a directory, a .sym nor a "
                                ".zip",
                                path)
                     : APR_SUCCESS;
    }
    if (!key && !(key = key_of_module(path, p, err))) {
        return err->code;
    }
    add_file(set, path, key, st);
    return APR_SUCCESS;
}

static apr_status_t add_tree(symbol_files_t *set, const char *path, int depth, apr_pool_t *p,
                             sal_error_t *err);

static apr_status_t add_any(symbol_files_t *set, const char *path, int depth, apr_pool_t *p,
                            sal_error_t *err)
{
    struct stat st;

    /* Links inside a tree to directories could lead round in circles. */
    if (depth ? lstat(path, &st) : stat(path, &st)) {
        return sal_fail_os(err, errno, "%s", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return add_tree(set, path, depth + 1, p, err);
    }
    if (S_ISLNK(st.st_mode) && (stat(path, &st) || !S_ISREG(st.st_mode))) {
        return APR_SUCCESS;
    }
    return S_ISREG(st.st_mode) ? add_regular(set, path, &st, depth == 0, p, err) : APR_SUCCESS;
}

static apr_status_t add_tree(symbol_files_t *set, const char *path, int depth, apr_pool_t *p,
                             sal_error_t *err)
{
    struct dirent **names;
    apr_status_t rv = APR_SUCCESS;
    int n;

    if (depth > DEPTH_MAX) {
        return sal_fail(err, SAL_E_TOOBIG, "%s: more than %d directories deep", path, DEPTH_MAX);
    }
    n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        return sal_fail_os(err, errno, "%s", path);
    }
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;

        if (rv == APR_SUCCESS && strcmp(name, ".") && strcmp(name, "..")) {
            rv = add_any(set, apr_pstrcat(p, path, "/", name, NULL), depth, p, err);
        }
        free(names[i]);
    }
    free(names);
    return rv;
}

apr_status_t symbol_files_add(symbol_files_t *set, const char *path, apr_pool_t *p,
                              sal_error_t *err)
{
    char *trimmed = apr_pstrdup(p, path);
    char *end = trimmed + strlen(trimmed);

    while (end > trimmed + 1 && end[-1] == '/') {
        *--end = '\0';
    }
    return add_any(set, trimmed, 0, p, err);
}
