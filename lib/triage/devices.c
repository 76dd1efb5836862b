/*
 * Looking up names of graphics devices.
 */
#include "triage/devices.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/text.h"

/* "0x10DE", "10de" -> "0x10de"; NULL for what is no such number. */
static const char *key_of(const char *id, apr_pool_t *p)
{
    uint64_t v;

    if (id[0] == '0' && (id[1] == 'x' || id[1] == 'X')) {
        id += 2;
    }
    return sal_parse_hex(id, strlen(id), &v) && v <= 0xffff ? apr_psprintf(p, "0x%04x", (unsigned)v)
                                                            : NULL;
}

apr_status_t sal_device_names(sal_device_names_t *out, const char *vendor, const char *device,
                              sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *vendor_key = key_of(vendor, p), *device_key = key_of(device, p);
    sal_rows_t *rows;
    apr_status_t rv;

    *out = (sal_device_names_t){ "", "" };
    if (!vendor_key) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(db, &sal_s_triage_device_names, &rows, p, err, SAL_V_TEXT(vendor_key),
                     SAL_V_TEXT(device_key ? device_key : ""));
    for (int i = 0; rv == APR_SUCCESS && i < sal_rows_count(rows); i++) {
        out->vendor = sal_rows_text(rows, i, 1);
        if (device_key && strcmp(sal_rows_text(rows, i, 0), device_key) == 0) {
            out->device = sal_rows_text(rows, i, 2);
        }
    }
    return rv;
}
