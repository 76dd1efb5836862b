/*
 * Where files of telemetry go: a folder or a bucket. Either way a file is whole or not there.
 */
#include "export/export_private.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <apr_strings.h>

struct target_file_t {
    dest_t *d;
    sal_blob_writer_t *blob; /* of a folder */
    FILE *f;                 /* of a bucket: it is sent when it is known to be whole */
    apr_pool_t *p;
};

static apr_status_t close_file(void *baton)
{
    fclose(baton);
    return APR_SUCCESS;
}

/* Once a process, when it is first needed: a configuration is also read by who sends nothing. */
static apr_status_t open_dest(sal_exporter_t *e, dest_t *d, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (d->folder && !d->store) {
        rv = sal_store_open(&d->store, d->folder, e->pool, err);
    } else if (!d->folder && !d->s3) {
        rv = sal_s3_make(&d->s3, &d->s3_opts, e->pool, err);
        if (rv == APR_SUCCESS && e->stopping) {
            sal_s3_stops_if(d->s3, e->stopping, e->baton);
        }
    }
    return rv;
}

apr_status_t target_begin(target_file_t **out, sal_exporter_t *e, dest_t *d, apr_pool_t *p,
                          sal_error_t *err)
{
    target_file_t *t = apr_pcalloc(p, sizeof(*t));
    apr_status_t rv = open_dest(e, d, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    t->d = d;
    t->p = p;
    *out = t;
    if (d->folder) {
        return sal_blob_begin(&t->blob, d->store, p, err);
    }
    if (!(t->f = tmpfile())) {
        return sal_fail_os(err, errno, "a file for %s in the temporary directory", d->row.name);
    }
    apr_pool_cleanup_register(p, t->f, close_file, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

apr_status_t target_write(target_file_t *t, const void *data, apr_size_t size, sal_error_t *err)
{
    if (t->blob) {
        return sal_blob_write(t->blob, data, size, err);
    }
    if (fwrite(data, 1, size, t->f) != size) {
        return sal_fail(err, APR_ENOSPC, "no room for an export in the temporary directory");
    }
    return APR_SUCCESS;
}

apr_status_t target_commit(target_file_t *t, const char *key, const char *content_type,
                           const char *const *headers, sal_error_t *err)
{
    if (t->blob) {
        return sal_blob_commit(t->blob, key, err);
    }
    if (fflush(t->f) != 0) {
        return sal_fail(err, APR_ENOSPC, "no room for an export in the temporary directory");
    }
    return sal_s3_put_fd(t->d->s3, apr_pstrcat(t->p, t->d->prefix, key, NULL), fileno(t->f),
                         content_type, headers, err);
}

apr_status_t target_put(sal_exporter_t *e, dest_t *d, const char *key, const void *data,
                        apr_size_t size, const char *content_type, const char *const *headers,
                        apr_pool_t *p, sal_error_t *err)
{
    target_file_t *t;
    apr_status_t rv = open_dest(e, d, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (d->s3) {
        return sal_s3_put(d->s3, apr_pstrcat(p, d->prefix, key, NULL), data, size, content_type,
                          headers, err);
    }
    if ((rv = target_begin(&t, e, d, p, err)) != APR_SUCCESS ||
        (rv = target_write(t, data, size, err)) != APR_SUCCESS) {
        return rv;
    }
    return target_commit(t, key, content_type, headers, err);
}
