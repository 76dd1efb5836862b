/*
 * Crash pings: a stack as modules and addresses, and a few annotations, without a dump. Becomes
 * crash data, so that pings and reports get their signatures from the same rules.
 *
 * Read are the body of a Glean crash ping (`metrics`), the older telemetry payload (`payload`, or
 * its content alone), and the plain form of docs/signature.md, "Pings"; names in camel or snake
 * case. Sources: Firefox's crash ping, crash.stack_traces.
 */
#ifndef SAL_SIGNATURE_PING_H
#define SAL_SIGNATURE_PING_H

#include <jansson.h>
#include "base/error.h"
#include "symbols/supplier.h"

/*
 * Crash data of a ping, a new reference. Frames of the crashing thread are looked up in the
 * supplier's symcaches; supplier NULL: none are, and modules name the frames. SAL_E_MALFORMED:
 * neither a stack nor a Java exception is in it. At most 100 frames are looked up: signatures
 * read 40.
 */
SAL_API apr_status_t sal_ping_crash_data(json_t **out, const json_t *ping, sal_supplier_t *supplier,
                                         apr_pool_t *p, sal_error_t *err);

#endif
