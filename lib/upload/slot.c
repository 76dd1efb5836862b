/*
 * Slots are empty files in ROOT/lock that are locked while an upload runs: a killed process gives
 * its slots back without anybody's help. Where no such file can be made nothing is counted; what
 * keeps it from being made will stop the upload.
 */
#include "upload/slot.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"

typedef struct {
    int fd;
    const char *path;
} slot_t;

/* Unlinked under the lock: whoever has opened it before finds that it has no name any more. */
static apr_status_t free_slot(void *v)
{
    slot_t *slot = v;

    unlink(slot->path);
    close(slot->fd);
    return APR_SUCCESS;
}

typedef enum { TAKEN, BUSY, IMPOSSIBLE } taking_t;

static taking_t take(slot_t *slot)
{
    struct stat st;

    for (;;) {
        slot->fd = open(slot->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (slot->fd < 0) {
            return IMPOSSIBLE;
        }
        if (flock(slot->fd, LOCK_EX | LOCK_NB)) {
            close(slot->fd);
            return BUSY;
        }
        if (fstat(slot->fd, &st) == 0 && st.st_nlink > 0) {
            return TAKEN;
        }
        close(slot->fd); /* its owner has just removed it */
    }
}

apr_status_t sal_upload_slot(sal_symbol_store_t *store, int64_t token_id, int max, apr_pool_t *p,
                             sal_error_t *err)
{
    const char *dir = apr_pstrcat(p, sal_symbol_store_root(store), "/lock", NULL);

    if (sal_dir_make(dir, 0755, 0, p, NULL) != APR_SUCCESS) {
        return APR_SUCCESS;
    }
    for (int i = 0; i < max; i++) {
        slot_t slot = { -1, apr_psprintf(p, "%s/%" APR_INT64_T_FMT ".%d", dir, token_id, i) };
        taking_t got = take(&slot);

        if (got == TAKEN) {
            apr_pool_cleanup_register(p, apr_pmemdup(p, &slot, sizeof(slot)), free_slot,
                                      apr_pool_cleanup_null);
        }
        if (got != BUSY) {
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, SAL_E_DENIED, "Too many uploads at once (%d), try again later", max);
}
