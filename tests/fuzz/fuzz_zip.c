/*
 * A hostile archive, read as it arrives. Held: the same answer however it is cut into pieces; what
 * is accepted has names that stay in the store; nothing of what is refused is left on the disk.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "upload/upload.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that an input that asks for much is refused and not waited for. */
static const sal_upload_limits_t limits = { .members = 200, .member_size = 1 << 20, .ratio = 1000 };

static apr_pool_t *root;
static sal_symbol_store_t *store;
static char dir[] = "/tmp/salvage-fuzz-XXXXXX";

static void remove_dir(void)
{
    apr_pool_t *p;

    apr_pool_create(&p, root);
    rmdir(apr_pstrcat(p, dir, "/tmp", NULL));
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

static void must_be_empty(apr_pool_t *p)
{
    DIR *d = opendir(apr_pstrcat(p, dir, "/tmp", NULL));
    struct dirent *e;

    while (d && (e = readdir(d))) {
        must(*e->d_name == '.');
    }
    if (d) {
        closedir(d);
    }
}

static apr_status_t run(const uint8_t *data, size_t size, size_t step, sal_upload_sum_t *sum,
                        sal_error_t *err)
{
    sal_upload_opts_t opts = { .archive_name = "a.zip", .user = "", .limits = &limits };
    apr_status_t rv;
    sal_upload_t *up;
    apr_pool_t *p;

    apr_pool_create(&p, root);
    must(sal_upload_begin(&up, store, &opts, p, err) == APR_SUCCESS);
    rv = APR_SUCCESS;
    for (size_t at = 0; rv == APR_SUCCESS && at < size; at += step) {
        rv = sal_upload_feed(up, (const char *)data + at, size - at < step ? size - at : step, err);
    }
    rv = rv == APR_SUCCESS ? sal_upload_end(up, err) : rv;
    sal_upload_sum(up, sum);
    must(rv != APR_SUCCESS || sum->archive_size == size);
    apr_pool_destroy(p);
    apr_pool_create(&p, root);
    must_be_empty(p);
    apr_pool_destroy(p);
    return rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_upload_sum_t whole, cut;
    sal_error_t first = { 0 }, second = { 0 };
    apr_status_t rv = run(data, size, size + 1, &whole, &first);

    must(run(data, size, 1 + size % 13, &cut, &second) == rv);
    must(!strcmp(first.message, second.message));
    must(rv != APR_SUCCESS || whole.unpacked == cut.unpacked);
    return 0;
}
