/*
 * Open addressing; a slot holds half of the hash, so that names are read from the log only where
 * they most likely agree.
 */
#include "upload/names.h"

#include <string.h>

typedef struct {
    uint32_t entry; /* index + 1; 0: empty */
    uint32_t hash;
} slot_t;

struct sal_names_t {
    sal_upload_log_t *log;
    uint32_t mask;
    slot_t *slots;
};

sal_names_t *sal_names_make(sal_upload_log_t *log, uint32_t n, apr_pool_t *p)
{
    sal_names_t *names = apr_pcalloc(p, sizeof(*names));
    uint32_t size = 16;

    while (size / 2 < n && size < UINT32_C(1) << 30) {
        size *= 2;
    }
    names->log = log;
    names->mask = size - 1;
    names->slots = apr_pcalloc(p, size * sizeof(slot_t));
    return names;
}

static size_t bare_length(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && name[n - 1] == '/' ? n - 1 : n;
}

static uint64_t hash_of(const char *name, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++) {
        h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    }
    return h ^ h >> 29;
}

/* The slot of the name, or the empty one where it belongs. */
static slot_t *slot_of(sal_names_t *names, const char *name, sal_upload_entry_t *e,
                       apr_pool_t *scratch)
{
    size_t len = bare_length(name);
    uint64_t h = hash_of(name, len);
    uint32_t half = (uint32_t)(h >> 32);
    sal_upload_entry_t own;

    e = e ? e : &own;
    for (uint32_t at = (uint32_t)h & names->mask;; at = (at + 1) & names->mask) {
        slot_t *s = &names->slots[at];
        const char *other;

        if (!s->entry) {
            return s;
        }
        if (s->hash == half &&
            sal_upload_log_get(names->log, s->entry - 1, e, NULL) == APR_SUCCESS &&
            (other = sal_upload_log_name(names->log, e, scratch)) != NULL &&
            bare_length(other) == len && !memcmp(other, name, len)) {
            return s;
        }
    }
}

bool sal_names_find(sal_names_t *names, const char *name, uint32_t *i, sal_upload_entry_t *e,
                    apr_pool_t *scratch)
{
    slot_t *s = slot_of(names, name, e, scratch);

    *i = s->entry - 1;
    return s->entry != 0;
}

void sal_names_set(sal_names_t *names, const char *name, uint32_t i, apr_pool_t *scratch)
{
    slot_t *s = slot_of(names, name, NULL, scratch);

    s->entry = i + 1;
    s->hash = (uint32_t)(hash_of(name, bare_length(name)) >> 32);
}
