/*
 * gzip bodies: the same bytes come out however the stream is cut, and never more than the cap.
 */
#include "fuzz_collect.h"
#include "crash/inflate.h"

#define CAP (1 << 20)

typedef struct sunk_t {
    uint64_t hash;
    apr_uint64_t total;
} sunk_t;

static apr_status_t sink(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sunk_t *s = baton;

    (void)err;
    s->total += size;
    s->hash = mix(s->hash, data, size);
    return APR_SUCCESS;
}

static apr_status_t inflate_in(sunk_t *s, const uint8_t *data, size_t size, bool cut, apr_pool_t *p)
{
    uint64_t state = mix(size, data, size);
    sal_inflate_t *z;
    apr_status_t rv = APR_SUCCESS;

    *s = (sunk_t){ 1, 0 };
    must(sal_inflate_make(&z, CAP, sink, s, p, NULL) == APR_SUCCESS);
    for (size_t at = 0, n; rv == APR_SUCCESS && at < size; at += n) {
        n = cut ? next_cut(&state, size - at) : size;
        rv = sal_inflate_feed(z, (const char *)data + at, n, NULL);
    }
    must(s->total <= CAP);
    return rv == APR_SUCCESS ? sal_inflate_finish(z, NULL) : rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sunk_t whole, cut;
    apr_status_t rv;
    apr_pool_t *p;

    apr_pool_create(&p, NULL);
    rv = inflate_in(&whole, data, size, false, p);
    must(inflate_in(&cut, data, size, true, p) == rv);
    must(rv != APR_SUCCESS || (whole.hash == cut.hash && whole.total == cut.total));
    apr_pool_destroy(p);
    return 0;
}
