/*
 * salvage stackwalk: where symbols come from, as the command line names it. Knows no dump.
 */
#include "stackwalk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#include "base/file.h"

enum { MODULE_LINE = 4096 };

/* Where built symcaches are kept when nobody says so. */
static const char *default_cache(apr_pool_t *p)
{
    const char *dir = getenv("XDG_CACHE_HOME");

    if (dir && *dir == '/') {
        return apr_pstrcat(p, dir, "/salvage/symcache", NULL);
    }
    dir = getenv("HOME");
    if (dir && *dir == '/' && access(dir, W_OK) == 0) {
        return apr_pstrcat(p, dir, "/.cache/salvage/symcache", NULL);
    }
    return apr_psprintf(p, "/tmp/salvage-symcache-%u", (unsigned)getuid());
}

/* In a directory that others may write to, somebody could have left symcaches for us. */
static apr_status_t make_cache(const char *path, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_dir_make(path, 0700, 0, p, err);
    struct stat st;

    if (rv == APR_SUCCESS && (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
                              (st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & S_IWOTH)) {
        return sal_fail(err, APR_EACCES,
                        "%s is not a directory of yours that others cannot write "
                        "to; name another with --symbols-cache",
                        path);
    }
    return rv;
}

/* Plain symbol files named on the command line, found by the id in their MODULE line. */
typedef struct {
    const char *path, *debug_id;
} sym_file_t;

static const char *id_of_file(const char *path, apr_pool_t *p)
{
    char line[MODULE_LINE], *last = NULL, *word = line;
    FILE *f = fopen(path, "r");

    if (!f) {
        return NULL;
    }
    if (!fgets(line, sizeof(line), f)) {
        line[0] = '\0';
    }
    fclose(f);
    for (int i = 0; i < 4; i++) {
        word = apr_strtok(i ? NULL : line, " \t\r\n", &last);
        if (!word || (i == 0 && strcmp(word, "MODULE") != 0)) {
            return NULL;
        }
    }
    return apr_pstrdup(p, word);
}

static apr_status_t find_file(const char **path, const char *debug_file, const char *debug_id,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    const apr_array_header_t *files = baton;

    for (int i = 0; i < files->nelts; i++) {
        const sym_file_t *f = &APR_ARRAY_IDX(files, i, sym_file_t);

        if (strcasecmp(f->debug_id, debug_id) == 0) {
            *path = apr_pstrdup(p, f->path);
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_ENOENT, "no symbol file given has id %s of %s", debug_id, debug_file);
}

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

/* Directories are trees in Breakpad layout, files stand for one module each. */
apr_status_t stackwalk_supplier(sal_supplier_t **out, const stackwalk_options_t *o, apr_pool_t *p,
                                sal_error_t *err)
{
    apr_array_header_t *trees = apr_array_make(p, 4, sizeof(const char *));
    apr_array_header_t *files = apr_array_make(p, 4, sizeof(sym_file_t));
    sal_supplier_opts_t opts = { .symcache_dir = o->cache ? o->cache : default_cache(p) };
    apr_finfo_t info;
    apr_status_t rv;

    for (int i = 0; i < o->symbols->nelts; i++) {
        const char *path = APR_ARRAY_IDX(o->symbols, i, const char *);
        sym_file_t file = { path, NULL };

        if (is_url(path)) {
            cmd_give_way(CMD_SERVER); /* which can fetch them; there it returns */
            return sal_fail(err, SAL_E_UNSUPPORTED,
                            "%s: symbols are not fetched from servers yet; "
                            "download them and name the directory",
                            path);
        }
        if (apr_stat(&info, path, APR_FINFO_TYPE, p) == APR_SUCCESS && info.filetype == APR_REG) {
            file.debug_id = id_of_file(path, p);
            if (!file.debug_id) {
                return sal_fail(err, SAL_E_MALFORMED,
                                "%s: not a symbol file: its first line is "
                                "no MODULE record",
                                path);
            }
            APR_ARRAY_PUSH(files, sym_file_t) = file;
        } else {
            APR_ARRAY_PUSH(trees, const char *) = path;
        }
    }
    APR_ARRAY_PUSH(trees, const char *) = NULL;
    opts.paths = (const char *const *)trees->elts;
    opts.find = files->nelts ? find_file : NULL;
    opts.find_baton = files;
    rv = make_cache(opts.symcache_dir, p, err);
    return rv == APR_SUCCESS ? sal_supplier_make(out, &opts, p, err) : rv;
}
