/*
 * The names of graphics devices, from the list of PCI ids that the distribution keeps (package
 * pci.ids): lines "VVVV  Vendor", below each "<tab>DDDD  Device"; what begins with two tabs or
 * "C " is of no interest.
 */
#include "jobs/cron_private.h"

#include <string.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

#define FILE_MAX ((apr_size_t)64 << 20)
#define PCI_IDS "/usr/share/misc/pci.ids"
#define BATCH 1000
#define NAME_MAX_BYTES 200

typedef struct names_t {
    sal_cron_run_t *run;
    apr_pool_t *tmp; /* of a batch */
    const char *vendor_hex, *vendor;
    const char *column[4][BATCH];
    int n;
} names_t;

static apr_status_t flush(names_t *l, sal_error_t *err)
{
    apr_size_t n = (apr_size_t)l->n;
    sal_rows_t *rows;
    apr_status_t rv;

    if (!n) {
        return APR_SUCCESS;
    }
    rv = sal_db_exec(l->run->db, &sal_s_graphics_put, &rows, l->tmp, err,
                     SAL_V_TEXTS(l->column[0], n), SAL_V_TEXTS(l->column[1], n),
                     SAL_V_TEXTS(l->column[2], n), SAL_V_TEXTS(l->column[3], n));
    l->run->done += rv == APR_SUCCESS ? sal_rows_affected(rows) : 0;
    l->n = 0;
    apr_pool_clear(l->tmp);
    return rv;
}

static apr_status_t add(names_t *l, const char *adapter_hex, const char *adapter, sal_error_t *err)
{
    l->column[0][l->n] = l->vendor_hex;
    l->column[1][l->n] = adapter_hex;
    l->column[2][l->n] = l->vendor;
    l->column[3][l->n++] = adapter;
    return l->n == BATCH ? flush(l, err) : APR_SUCCESS;
}

/* "DDDD  Name" as "0xdddd" and the name; false for another line. */
static bool split(const char **hex, const char **name, char *line, apr_pool_t *p)
{
    uint64_t id;
    char *text;

    if (strlen(line) < 7 || !sal_parse_hex(line, 4, &id) || line[4] != ' ') {
        return false;
    }
    *hex = apr_psprintf(p, "0x%04x", (unsigned)id);
    text = apr_pstrdup(p, sal_utf8_clean(line + 4 + strspn(line + 4, " "),
                                         strlen(line + 4 + strspn(line + 4, " ")), p));
    sal_utf8_cut(text, NAME_MAX_BYTES);
    *name = text;
    return true;
}

static apr_status_t take_line(names_t *l, char *line, sal_error_t *err)
{
    const char *hex, *name;

    if (line[0] == '\t') {
        return l->vendor && line[1] != '\t' && split(&hex, &name, line + 1, l->tmp)
                   ? add(l, hex, name, err)
                   : APR_SUCCESS;
    }
    if (!split(&hex, &name, line, l->run->p)) {
        if (line[0] == 'C') {
            l->vendor = NULL; /* classes begin */
        }
        return APR_SUCCESS;
    }
    l->vendor_hex = hex;
    l->vendor = name;
    return add(l, "", "", err);
}

apr_status_t cron_update_graphics_pci(sal_cron_run_t *run, sal_error_t *err)
{
    const char *path = sal_conf_get(run->env->conf, "pci-ids", NULL);
    names_t *l = apr_pcalloc(run->p, sizeof(*l));
    char *text, *rest, *line;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path ? path : PCI_IDS, FILE_MAX, run->p, err);

    if (APR_STATUS_IS_ENOENT(rv) && !path) {
        run->note = "there is no list of PCI ids on this host (package pci.ids)";
        return APR_SUCCESS;
    }
    l->run = run;
    apr_pool_create(&l->tmp, run->p);
    line = rv == APR_SUCCESS ? apr_strtok(text, "\n", &rest) : NULL;
    for (; line && rv == APR_SUCCESS; line = apr_strtok(NULL, "\n", &rest)) {
        rv = take_line(l, line, err);
    }
    return rv == APR_SUCCESS ? flush(l, err) : rv;
}
