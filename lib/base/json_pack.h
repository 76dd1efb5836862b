/*
 * JSON values as bytes, for two processes of one program on one host: written and read several
 * times as fast as text. The reader trusts nothing: its writer may have been taken over.
 *
 * A value is a tag and what belongs to it: n t f (null, true, false); i and d with 8 bytes, as the
 * host has them; s with a length and UTF-8; a with a count and values; o with a count and, each, a
 * key and a value. Lengths and counts are LEB128. A key is a number: that of a key before, or, one
 * past the last, a new one that follows with its length.
 */
#ifndef SAL_BASE_JSON_PACK_H
#define SAL_BASE_JSON_PACK_H

#include <jansson.h>
#include "base/error.h"

/* *out is malloc'd; APR_ENOMEM, or SAL_E_TOOBIG for more than SAL_JSON_PACK_DEPTH levels. */
SAL_API apr_status_t sal_json_pack(void **out, apr_size_t *size, const json_t *v);

enum { SAL_JSON_PACK_DEPTH = 256, SAL_JSON_PACK_VALUES = 8 << 20 };

/* *out is a new reference; SAL_E_MALFORMED, also for what is over the bounds. */
SAL_API apr_status_t sal_json_unpack(json_t **out, const void *data, apr_size_t size,
                                     sal_error_t *err);

#endif
