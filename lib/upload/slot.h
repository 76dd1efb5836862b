/*
 * How many uploads of one token may run at once, among all processes that share a store.
 */
#ifndef SAL_UPLOAD_SLOT_H
#define SAL_UPLOAD_SLOT_H

#include <stdint.h>
#include "symbols/symbol_store.h"

/*
 * Takes one of max slots until the pool ends (or the process: slots are file locks).
 * SAL_E_DENIED if all are taken.
 */
SAL_API apr_status_t sal_upload_slot(sal_symbol_store_t *store, int64_t token_id, int max,
                                     apr_pool_t *p, sal_error_t *err);

#endif
