/*
 * Parts of /siteadmin/. Private to mod_crashstats.
 */
#ifndef MODULES_CRASHSTATS_SITEADMIN_H
#define MODULES_CRASHSTATS_SITEADMIN_H

#include "crashstats/crashstats.h"

/* How this installation is: "sitestatus/", "supersearch-status/", "crash-me-now/"; else DECLINED.
 */
int siteadmin_status(crashstats_req_t *q, const char *rest);

#endif
