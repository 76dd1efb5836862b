/*
 * The names of an archive's members, by hash: which entry of the log had this name last. Eight
 * bytes a slot, so that 100000 names cost 2 MiB. Private to the room.
 */
#ifndef SAL_UPLOAD_NAMES_H
#define SAL_UPLOAD_NAMES_H

#include "upload/log.h"

typedef struct sal_names_t sal_names_t;

/* For at most n names. */
sal_names_t *sal_names_make(sal_upload_log_t *log, uint32_t n, apr_pool_t *p);

/* The entry with this name (a final slash is no part of it) before, or false; *e may be NULL. */
bool sal_names_find(sal_names_t *names, const char *name, uint32_t *i, sal_upload_entry_t *e,
                    apr_pool_t *scratch);

/* Notes that entry i has this name now. */
void sal_names_set(sal_names_t *names, const char *name, uint32_t i, apr_pool_t *scratch);

#endif
