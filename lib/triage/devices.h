/*
 * Names of graphics devices: table graphics_device, which the job that reads the list of PCI ids
 * fills.
 */
#ifndef SAL_TRIAGE_DEVICES_H
#define SAL_TRIAGE_DEVICES_H

#include "db/db.h"

typedef struct sal_device_names_t {
    const char *vendor, *device; /* "" if not known */
} sal_device_names_t;

/* vendor, device: ids as clients send them, "0x10DE"; what is no such id has no name. */
SAL_API apr_status_t sal_device_names(sal_device_names_t *out, const char *vendor,
                                      const char *device, sal_db_t *db, apr_pool_t *p,
                                      sal_error_t *err);

#endif
