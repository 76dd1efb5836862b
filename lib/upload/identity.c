/*
 * Identities: of binaries by object_id.h, of a .sym by its MODULE line.
 */
#include "upload/identity.h"

#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <zlib.h>

#include "symbols/object_id.h"

enum { IN_SIZE = 65536 };

/* The first bytes of the text, whatever they are packed in. Returns how many. */
static size_t unpack_head(char *out, size_t room, const unsigned char *in, size_t size,
                          sal_packed_t packed)
{
    bool zlib = packed == SAL_PACKED_ZLIB && size >= 2 && (in[0] & 15) == 8 &&
                (in[0] << 8 | in[1]) % 31 == 0;
    z_stream z = { .next_in = (unsigned char *)(uintptr_t)in, .avail_in = (uInt)size };

    if (packed == SAL_PACKED_NOT) {
        room = size < room ? size : room;
        memcpy(out, in, room);
        return room;
    }
    if (inflateInit2(&z, packed == SAL_PACKED_GZIP ? MAX_WBITS + 16
                         : zlib                    ? MAX_WBITS
                                                   : -MAX_WBITS) != Z_OK) {
        return 0;
    }
    z.next_out = (unsigned char *)out;
    z.avail_out = (uInt)room;
    inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    return room - z.avail_out;
}

static apr_status_t read_symbols(sal_identity_t *out, int fd, sal_packed_t packed, apr_pool_t *p,
                                 sal_error_t *err)
{
    unsigned char *in = apr_palloc(p, IN_SIZE);
    char *text = apr_palloc(p, SAL_SYM_HEADER_BYTES);
    ssize_t n = pread(fd, in, IN_SIZE, 0);
    sal_sym_header_t h;

    sal_sym_header_read(
        &h, text, unpack_head(text, SAL_SYM_HEADER_BYTES, in, n > 0 ? (size_t)n : 0, packed), p);
    if (!h.debug_id || !*h.debug_id || !*h.debug_file) {
        return sal_fail(err, SAL_E_MALFORMED, "the symbol file has no MODULE line");
    }
    out->debug_file = h.debug_file;
    out->debug_id = h.debug_id;
    out->code_id = *h.code_id ? h.code_id : NULL;
    return APR_SUCCESS;
}

apr_status_t sal_identity_read(sal_identity_t *out, int fd, sal_packed_t packed, bool symbols,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_object_t *object = apr_palloc(p, sizeof(*object));
    apr_status_t rv;

    *out = (sal_identity_t){ .kind = "sym" };
    if (symbols) {
        return read_symbols(out, fd, packed, p, err);
    }
    if ((rv = sal_object_identify(object, fd, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!*object->debug_id) {
        return sal_fail(err, SAL_E_MALFORMED, "the file has no debug id that we can read");
    }
    out->kind = sal_object_kind(object);
    out->debug_id = object->debug_id;
    out->code_id = *object->code_id ? object->code_id : NULL;
    return APR_SUCCESS;
}
