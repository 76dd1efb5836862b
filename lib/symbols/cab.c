/*
 * libmspack behind a descriptor for input and a sink for output: it sees no file names.
 */
#include "symbols/cab.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifdef HAVE_MSPACK_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <mspack.h>

/* Our mspack_file: the cabinet for reading, or the sink. */
typedef struct {
    sal_cab_t *cab;
    off_t at;
    bool writing;
} port_t;

struct sal_cab_t {
    struct mspack_system system; /* first: libmspack hands it back */
    struct mscab_decompressor *unpacker;
    struct mscabd_cabinet *cabinet;
    int fd;
    off_t size;
    sal_cab_sink_fn sink;
    void *baton;
    uint64_t left;
    apr_status_t sink_status;
};

static struct mspack_file *port_open(struct mspack_system *self, const char *name, int mode)
{
    port_t *port;

    (void)name;
    if (mode != MSPACK_SYS_OPEN_READ && mode != MSPACK_SYS_OPEN_WRITE) {
        return NULL;
    }
    port = calloc(1, sizeof(*port));
    if (port) {
        port->cab = (sal_cab_t *)self;
        port->writing = mode == MSPACK_SYS_OPEN_WRITE;
    }
    return (struct mspack_file *)port;
}

static void port_close(struct mspack_file *file)
{
    free(file);
}

static int port_read(struct mspack_file *file, void *buffer, int bytes)
{
    port_t *port = (port_t *)file;
    ssize_t n;

    if (bytes < 0 || port->writing) {
        return -1;
    }
    do {
        n = pread(port->cab->fd, buffer, (size_t)bytes, port->at);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        port->at += n;
    }
    return (int)n;
}

static int port_write(struct mspack_file *file, void *buffer, int bytes)
{
    port_t *port = (port_t *)file;
    sal_cab_t *cab = port->cab;

    if (bytes < 0 || !port->writing || (uint64_t)bytes > cab->left) {
        return -1;
    }
    cab->left -= (uint64_t)bytes;
    port->at += bytes;
    cab->sink_status = cab->sink(cab->baton, buffer, (apr_size_t)bytes);
    return cab->sink_status == APR_SUCCESS ? bytes : -1;
}

static int port_seek(struct mspack_file *file, off_t offset, int mode)
{
    port_t *port = (port_t *)file;
    off_t base = mode == MSPACK_SYS_SEEK_START ? 0
                 : mode == MSPACK_SYS_SEEK_CUR ? port->at
                                               : port->cab->size;

    if (port->writing || __builtin_add_overflow(base, offset, &base) || base < 0) {
        return -1;
    }
    port->at = base;
    return 0;
}

static off_t port_tell(struct mspack_file *file)
{
    return ((port_t *)file)->at;
}

static void quiet(struct mspack_file *file, const char *format, ...)
{
    (void)file;
    (void)format;
}

static void *port_alloc(struct mspack_system *self, size_t bytes)
{
    (void)self;
    return malloc(bytes);
}

static void copy_bytes(void *src, void *dest, size_t bytes)
{
    memcpy(dest, src, bytes);
}

static apr_status_t close_cab(void *v)
{
    sal_cab_t *cab = v;

    if (cab->cabinet) {
        cab->unpacker->close(cab->unpacker, cab->cabinet);
    }
    if (cab->unpacker) {
        mspack_destroy_cab_decompressor(cab->unpacker);
    }
    return APR_SUCCESS;
}

apr_status_t sal_cab_open(sal_cab_t **out, int fd, apr_pool_t *p, sal_error_t *err)
{
    sal_cab_t *cab = apr_pcalloc(p, sizeof(*cab));
    struct stat st;
    int method;

    if (fstat(fd, &st)) {
        return sal_fail_os(err, errno, "cannot look at a cabinet");
    }
    cab->fd = fd;
    cab->size = st.st_size;
    cab->system =
        (struct mspack_system){ port_open, port_close, port_read, port_write, port_seek, port_tell,
                                quiet,     port_alloc, free,      copy_bytes, NULL };
    apr_pool_cleanup_register(p, cab, close_cab, apr_pool_cleanup_null);
    cab->unpacker = mspack_create_cab_decompressor(&cab->system);
    if (!cab->unpacker) {
        return sal_fail(err, APR_ENOMEM, "no memory to unpack a cabinet");
    }
    cab->cabinet = cab->unpacker->open(cab->unpacker, "in");
    if (!cab->cabinet || !cab->cabinet->files || !cab->cabinet->files->folder) {
        return sal_fail(err, SAL_E_MALFORMED, "no cabinet, or one without a file");
    }
    method = MSCABD_COMP_METHOD(cab->cabinet->files->folder->comp_type);
    if (method != MSCAB_COMP_NONE && method != MSCAB_COMP_MSZIP && method != MSCAB_COMP_LZX) {
        return sal_fail(err, SAL_E_UNSUPPORTED, "the cabinet is packed by method %d", method);
    }
    *out = cab;
    return APR_SUCCESS;
}

uint64_t sal_cab_size(const sal_cab_t *cab)
{
    return cab->cabinet->files->length;
}

apr_status_t sal_cab_unpack(sal_cab_t *cab, sal_cab_sink_fn sink, void *baton, sal_error_t *err)
{
    int rc;

    cab->sink = sink;
    cab->baton = baton;
    cab->left = sal_cab_size(cab);
    cab->sink_status = APR_SUCCESS;
    rc = cab->unpacker->extract(cab->unpacker, cab->cabinet->files, "out");
    if (cab->sink_status != APR_SUCCESS) {
        return sal_fail(err, cab->sink_status, "the unpacked file could not be passed on");
    }
    if (rc != MSPACK_ERR_OK || cab->left != 0) {
        return sal_fail(err, SAL_E_MALFORMED, "the cabinet is damaged (%d)", rc);
    }
    return APR_SUCCESS;
}

#else

apr_status_t sal_cab_open(sal_cab_t **out, int fd, apr_pool_t *p, sal_error_t *err)
{
    (void)out;
    (void)fd;
    (void)p;
    return sal_fail(err, SAL_E_UNSUPPORTED, "this build unpacks no cabinets (libmspack)");
}

uint64_t sal_cab_size(const sal_cab_t *cab)
{
    (void)cab;
    return 0;
}

apr_status_t sal_cab_unpack(sal_cab_t *cab, sal_cab_sink_fn sink, void *baton, sal_error_t *err)
{
    (void)cab;
    (void)sink;
    (void)baton;
    return sal_fail(err, SAL_E_UNSUPPORTED, "this build unpacks no cabinets (libmspack)");
}

#endif
