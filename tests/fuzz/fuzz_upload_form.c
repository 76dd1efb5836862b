/*
 * Bodies of uploads and names of members. First byte 'k': the rest is a name; what is taken as a
 * key must stay in the store and read back as it was written. Else: a form whose boundary is its
 * first line without the dashes, each file of it read as an archive; the answer must not depend on
 * how the bytes are cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "base/text.h"
#include "crash/multipart.h"
#include "upload/upload.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const sal_upload_limits_t limits = { .members = 200, .member_size = 1 << 20, .ratio = 1000 };

static apr_pool_t *root;
static sal_symbol_store_t *store;
static char dir[] = "/tmp/salvage-fuzz-XXXXXX";

static void remove_dir(void)
{
    rmdir(apr_pstrcat(root, dir, "/tmp", NULL));
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&root, NULL);
    if (!mkdtemp(dir) || sal_symbol_store_open(&store, dir, root, NULL) != APR_SUCCESS) {
        abort();
    }
    atexit(remove_dir);
    return 0;
}

static void must(int truth)
{
    if (!truth) {
        abort();
    }
}

static void try_name(const char *text, size_t size, apr_pool_t *p)
{
    const char *name = apr_pstrmemdup(p, text, size), *again;
    sal_member_kind_t kind;
    sal_symbol_key_t key, second;

    must(sal_upload_repr(name, p) != NULL);
    sal_upload_name_check(name, p, NULL);
    if (sal_upload_member_name(&kind, &key, name, NULL, p, NULL) != APR_SUCCESS ||
        kind != SAL_MEMBER_FILE) {
        return;
    }
    must(*key.debug_file && *key.leaf && *key.debug_id);
    must(!strchr(key.debug_file, '/') && !strchr(key.leaf, '/'));
    must(strcmp(key.debug_file, "..") && strcmp(key.leaf, "..") && strcmp(key.debug_file, ".") &&
         strcmp(key.leaf, "."));
    must(key.debug_id[strspn(key.debug_id, "0123456789ABCDEF")] == '\0');
    must(sal_utf8_valid(name, strlen(name)));
    again = apr_pstrcat(p, key.debug_file, "/", key.debug_id, "/", key.leaf, NULL);
    must(sal_symbol_key_parse(&second, again, strlen(again), p));
    must(!strcmp(second.debug_id, key.debug_id) && !strcmp(second.leaf, key.leaf));
    must(!strncmp(sal_symbol_store_path(store, &key, false, p), dir, strlen(dir)));
}

typedef struct {
    sal_upload_t *up;
    apr_pool_t *pool;
    uint64_t unpacked;
    int files;
} form_t;

static apr_status_t part_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    form_t *f = baton;
    sal_upload_opts_t opts = { .archive_name = "a.zip", .user = "", .limits = &limits };

    apr_pool_clear(f->pool);
    f->up = NULL;
    return part->filename ? sal_upload_begin(&f->up, store, &opts, f->pool, err) : APR_SUCCESS;
}

static apr_status_t part_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    form_t *f = baton;

    return f->up ? sal_upload_feed(f->up, data, size, err) : APR_SUCCESS;
}

static apr_status_t part_end(void *baton, sal_error_t *err)
{
    form_t *f = baton;
    sal_upload_sum_t sum;
    apr_status_t rv = f->up ? sal_upload_end(f->up, err) : APR_SUCCESS;

    if (f->up) {
        sal_upload_sum(f->up, &sum);
        f->unpacked += sum.unpacked;
        f->files++;
    }
    return rv;
}

static apr_status_t read_form(form_t *f, const char *boundary, const char *data, size_t size,
                              size_t step, sal_error_t *err)
{
    static const sal_multipart_events_t events = { .part_begin = part_begin,
                                                   .part_data = part_data,
                                                   .part_end = part_end };
    sal_multipart_t *m;
    apr_pool_t *p;
    apr_status_t rv;

    apr_pool_create(&p, root);
    *f = (form_t){ 0 };
    apr_pool_create(&f->pool, p);
    rv = sal_multipart_make(&m, boundary, 20, &events, f, p, err);
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_multipart_feed(m, data + at, size - at < step ? size - at : step, err);
    }
    rv = rv == APR_SUCCESS ? sal_multipart_finish(m, err) : rv;
    apr_pool_destroy(p);
    return rv;
}

static void try_form(const char *data, size_t size, apr_pool_t *p)
{
    sal_error_t first = { 0 }, second = { 0 };
    size_t line = 0;
    const char *boundary;
    form_t whole, cut;
    apr_status_t rv;

    while (line < size && line < 100 && data[line] != '\r' && data[line]) {
        line++;
    }
    boundary = line > 2 ? apr_pstrmemdup(p, data + 2, line - 2) : "x";
    rv = read_form(&whole, boundary, data, size, size + 1, &first);
    must(read_form(&cut, boundary, data, size, 1 + size % 11, &second) == rv);
    must(!strcmp(first.message, second.message));
    must(rv != APR_SUCCESS || (whole.unpacked == cut.unpacked && whole.files == cut.files));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;

    apr_pool_create(&p, root);
    if (size && data[0] == 'k') {
        try_name((const char *)data + 1, size - 1, p);
    } else {
        try_form((const char *)data, size, p);
    }
    apr_pool_destroy(p);
    return 0;
}
