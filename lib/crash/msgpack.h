/*
 * MessagePack to JSON, for the event file that Sentry's Crashpad sends beside a dump. Only what a
 * document can hold: binary and extension values become null, keys that are not text are dropped.
 */
#ifndef SAL_CRASH_MSGPACK_H
#define SAL_CRASH_MSGPACK_H

#include <jansson.h>
#include "base/error.h"

#define SAL_MSGPACK_DEPTH_MAX 64
#define SAL_MSGPACK_VALUES_MAX 100000

/* A new reference. SAL_E_MALFORMED; SAL_E_TOOBIG: nested too deeply, or too many values. */
SAL_API apr_status_t sal_msgpack_read(json_t **out, const void *data, apr_size_t size,
                                      sal_error_t *err);

#endif
