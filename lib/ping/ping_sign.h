/*
 * The signature of a ping: names of its crashing thread's frames from symcaches, then the rules
 * that reports go through.
 */
#ifndef SAL_PING_SIGN_H
#define SAL_PING_SIGN_H

#include "ping/ping.h"
#include "signature/signature.h"
#include "symbols/supplier.h"

typedef struct sal_ping_signed_t {
    const char *signature;       /* never NULL */
    const char *proto_signature; /* NULL if there were no frames */
    json_t *stack;               /* see below; owned by the pool; NULL: the ping has none */
    const char *note;            /* why there is no stack; NULL */
} sal_ping_signed_t;

/*
 * body as stored. os: what was read out of it, in the words of reports. supplier NULL: frames have
 * no names. The stack:
 * { "crash_type", "crashing_thread", "main_module", "frames": [ { "frame", "module", "function",
 *   "file", "line", "offset", "trust", "inlines": [ { "function", "file", "line" } ] } ] }
 * crashing_thread counts in the ping (0 where it is not told); offset is the address as it came; a
 * frame of no module has no other. Paths of modules are cut to their names.
 */
SAL_API void sal_ping_sign(sal_ping_signed_t *out, const json_t *body, const char *os,
                           sal_supplier_t *supplier, const sal_siglists_t *lists, apr_pool_t *p);

#endif
