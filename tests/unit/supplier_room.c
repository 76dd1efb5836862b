/* What the tests of the supplier share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/log.h"
#include "supplier_room.h"

static apr_pool_t *pool;
static char dir[] = "/tmp/test_supplier.XXXXXX";

const char *in_dir(const char *name)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

/* DIR/tree/NAME/ID/leaf with functions named after `tag`, about `functions` of them. */
const char *put_symbols(const char *name, const char *id, const char *tag, int functions)
{
    const char *folder = apr_psprintf(pool, "%s/tree/%s/%s", dir, name, id);
    const char *path = apr_psprintf(pool, "%s/%s.sym", folder, name);
    FILE *f;

    assert_int_equal(sal_dir_make(folder, 0755, 0, pool, NULL), APR_SUCCESS);
    f = fopen(apr_pstrcat(pool, path, ".new", NULL), "w");
    assert_non_null(f);
    fprintf(f, "MODULE Linux x86_64 %s %s\nFILE 0 a.c\n", id, name);
    for (int i = 0; i < functions; i++) {
        fprintf(f, "FUNC %x 10 0 %s_%d\n%x 8 %d 0\n%x 8 %d 0\n", 0x1000 + i * 16, tag, i,
                0x1000 + i * 16, i + 1, 0x1008 + i * 16, i + 2);
    }
    fclose(f);
    assert_int_equal(rename(apr_pstrcat(pool, path, ".new", NULL), path), 0);
    return path;
}

sal_supplier_t *make(const char *symcache, apr_uint64_t max_mapped, apr_pool_t *p)
{
    const char **paths = apr_pcalloc(p, 2 * sizeof(*paths));
    sal_supplier_opts_t opts = {
        .symcache_dir = symcache, .paths = paths, .max_mapped = max_mapped, .negative_seconds = 1
    };
    sal_supplier_t *s;
    sal_error_t err;

    paths[0] = in_dir("tree");
    if (sal_supplier_make(&s, &opts, p, &err) != APR_SUCCESS) {
        fail_msg("%s", err.message);
    }
    return s;
}

/* Name of the function at 0x1000, or "" without symbols. */
const char *first_function(const sal_sym_ref_t *ref)
{
    sal_sym_hit_t hit;

    if (!ref->cache || !sal_symcache_lookup(ref->cache, 0x1000, &hit, NULL, 0)) {
        return "";
    }
    return apr_pstrmemdup(pool, hit.outer.function.s, hit.outer.function.len);
}

size_t count_files(const char *pattern)
{
    glob_t g = { 0 };
    size_t n = glob(apr_pstrcat(pool, dir, "/", pattern, NULL), 0, NULL, &g) == 0 ? g.gl_pathc : 0;

    globfree(&g);
    return n;
}

apr_pool_t *room_open(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_threshold(SAL_LOG_ERROR);
    return mkdtemp(dir) ? pool : NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int room_close(void)
{
    apr_pool_destroy(pool);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
