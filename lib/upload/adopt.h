/*
 * Members that a broken upload had staged, for the next upload of the same token to take up. A note
 * per member lies in ROOT/stage/<token>/, found by name, size and CRC; it names a temporary file.
 * Private to the room.
 */
#ifndef SAL_UPLOAD_ADOPT_H
#define SAL_UPLOAD_ADOPT_H

#include "symbols/symbol_store.h"
#include "upload/log.h"

typedef struct sal_adopt_t sal_adopt_t;

/* Packed bytes from which on a member is worth a note. */
enum { SAL_ADOPT_MIN = 262144 };

/* NULL where token_id is 0, or the boot cannot be told from others. */
sal_adopt_t *sal_adopt_make(sal_symbol_store_t *store, int64_t token_id, apr_pool_t *p);

/*
 * Looks for a member with the name of `name` and the size, packed, crc and DEFLATED flag of e. If
 * true, e has its digests and a temporary file of its own, and header is made in p.
 */
bool sal_adopt_find(sal_adopt_t *a, const char *name, sal_upload_entry_t *e,
                    sal_sym_header_t *header, apr_pool_t *p);

/* Leaves a note of a staged member. Failing costs a retry the inflating, so nobody is told. */
void sal_adopt_note(sal_adopt_t *a, const char *name, const sal_upload_entry_t *e,
                    const sal_sym_header_t *header, apr_pool_t *p);

/* The member is stored, or refused: nothing to take up any more. */
void sal_adopt_forget(sal_adopt_t *a, const char *name, const sal_upload_entry_t *e, apr_pool_t *p);

#endif
