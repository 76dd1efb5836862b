/*
 * A hostile archive: its list of members, then every member through both sinks. Held: no member
 * that is accepted has a name that leaves the store, or gives more bytes than its limit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "symbols/upload_zip.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that an input that asks for much is refused and not waited for. */
static const sal_upload_limits_t limits = { .members = 200, .member_size = 1 << 20, .ratio = 1000 };

static apr_pool_t *root;

typedef struct {
    uint64_t plain;
} sink_t;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    apr_pool_create(&root, NULL);
    return 0;
}

static apr_status_t take_plain(void *baton, const void *data, apr_size_t size, sal_error_t *err)
{
    sink_t *s = baton;

    (void)data;
    (void)err;
    s->plain += size;
    if (s->plain > limits.member_size) {
        abort();
    }
    return APR_SUCCESS;
}

static apr_status_t take_packed(void *baton, const void *data, apr_size_t size, sal_error_t *err)
{
    (void)baton;
    (void)data;
    (void)size;
    (void)err;
    return APR_SUCCESS;
}

static void check_member(const sal_upload_member_t *m)
{
    if (!*m->key.debug_file || !*m->key.debug_id || !*m->key.leaf || strchr(m->key.leaf, '/') ||
        strchr(m->key.debug_file, '/') || !strcmp(m->key.leaf, "..") ||
        !strcmp(m->key.debug_file, "..") || m->size > limits.member_size) {
        abort();
    }
}

static void read_all(sal_upload_zip_t *zip, apr_pool_t *p)
{
    sal_error_t err;

    for (int i = 0; i < zip->members->nelts; i++) {
        const sal_upload_member_t *m = &APR_ARRAY_IDX(zip->members, i, sal_upload_member_t);
        sink_t s = { 0 };

        check_member(m);
        if (sal_upload_zip_read(zip, m, m->deflated ? take_packed : NULL, take_plain, &s, p,
                                &err) == APR_SUCCESS &&
            s.plain != m->size) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    sal_upload_zip_t *zip;
    sal_error_t err;
    apr_pool_t *p;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    apr_pool_create(&p, root);
    if (sal_upload_zip_open(&zip, fd, &limits, p, &err) == APR_SUCCESS) {
        read_all(zip, p);
    }
    apr_pool_destroy(p);
    close(fd);
    return 0;
}
