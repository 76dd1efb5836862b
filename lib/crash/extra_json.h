/*
 * The annotations of a JSON part ("extra.json"): one object, read member by member.
 *
 * Our own strict reader, because values must come out as the client wrote them (a 64-bit address
 * or a product's build number must not go through a double), and because depth and digits are
 * bounded here. A BOM is accepted; surrogates, lone or in UTF-8 form, become U+FFFD.
 */
#ifndef SAL_CRASH_EXTRA_JSON_H
#define SAL_CRASH_EXTRA_JSON_H

#include <stdbool.h>
#include "base/error.h"

#define SAL_EXTRA_DEPTH_MAX 64

/*
 * A member: strings are decoded (they may hold NULs), other scalars are their JSON text,
 * containers are compact JSON text, null is value == NULL. kind: first byte of the value as it was
 * written, '"' for a string. key_nul: NULs were removed from the key. Valid until the callback
 * returns.
 */
typedef apr_status_t (*sal_extra_member_fn)(void *baton, const char *key, apr_size_t key_len,
                                            const char *value, apr_size_t value_len, char kind,
                                            bool key_nul);

/*
 * Reads [text, text+size), which it may change. SAL_E_MALFORMED: no JSON; SAL_E_UNSUPPORTED: JSON,
 * but no object. Members are reported only if the whole text is good.
 */
SAL_API apr_status_t sal_extra_json_read(char *text, apr_size_t size, sal_extra_member_fn member,
                                         void *baton, apr_pool_t *p, sal_error_t *err);

#endif
