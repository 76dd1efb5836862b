/*
 * What the pages of reports share: documents reduced to what the reader may see, and what the
 * operator says of sources, bugs and builds.
 */
#ifndef MODULES_CRASHSTATS_REPORT_H
#define MODULES_CRASHSTATS_REPORT_H

#include "crashstats/crashstats.h"
#include "render/report.h"
#include "signature/signature.h"
#include "symbols/symbol_store.h"

/* Read once, before the children are made; symbols is each child's own. */
typedef struct crashstats_links_t {
    sal_vcs_t *vcs;
    const sal_bug_template_t *bugs;
    int n_bugs;
    const char *const *builds; /* lines of build-link */
    sal_symbol_store_t *symbols;
} crashstats_links_t;

/* ---- documents (report_docs.c) ---- */

typedef struct crashstats_docs_t {
    const char *id;
    json_t *whole;                   /* the processed crash as it is stored: for no reader */
    json_t *processed, *annotations; /* as the reader may see them */
    json_t *locked;                  /* the protected part of the raw crash, or NULL */
    const char *const *dumps;
} crashstats_docs_t;

/*
 * Reads and reduces the documents of a processed crash. SAL_E_MALFORMED: one of them is broken;
 * nothing may be shown then. The documents live as long as the request.
 */
apr_status_t crashstats_docs_read(crashstats_docs_t *out, crashstats_req_t *q, const char *id,
                                  const char *blob, sal_error_t *err);

/*
 * The same for pages beside the report: finds it by its id. False after a reply, which is in *rc.
 */
bool crashstats_docs_find(crashstats_docs_t *out, crashstats_req_t *q, const char *id, int *rc);

/* 500, logged: nothing of a report that breaks its schema is shown. */
int crashstats_broken(crashstats_req_t *q, const char *id, const sal_error_t *err);

/* 404, with what may have happened. */
int crashstats_no_report(crashstats_req_t *q, const char *id);

/* Notes who saw protected data of a report. */
void crashstats_note_access(crashstats_req_t *q, const char *id);

/* ---- neighbours (report_more.c) ---- */

/* Leads to the next older or newer report of the signature, or to its comparison with this one. */
int crashstats_neighbour(crashstats_req_t *q, const char *id, bool older, bool compare);

/* The newest report of a signature; *id NULL: there is none. */
apr_status_t crashstats_newest(const char **id, crashstats_req_t *q, const char *signature,
                               sal_error_t *err);

/* ---- what stands beside them (report_data.c, report_links.c) ---- */

/* Fills what the report's view may be told beyond its documents; what cannot be had stays out. */
void crashstats_report_data(sal_report_in_t *in, crashstats_req_t *q,
                            const crashstats_docs_t *docs);

/* The build id of a module whose sources are in our store, or NULL. */
const char *crashstats_module_sources(void *baton, const json_t *of);

/* Where a build is described, by build-link, or for products of which builds are known; NULL. */
const char *crashstats_build_url(crashstats_req_t *q, const json_t *processed, bool in_buildhub);

#endif
