/*
 * Errors: a status for the program and a message for the reader.
 *
 * Functions that can fail return apr_status_t. APR's codes are used where they fit (APR_ENOENT,
 * APR_EINVAL, APR_ENOSPC, APR_TIMEUP, APR_EOF); the rest is below. Details go into a sal_error_t
 * that the caller owns, usually on its stack; it may be NULL where nobody will read it.
 * Never log and return: the outermost layer logs once.
 */
#ifndef SAL_BASE_ERROR_H
#define SAL_BASE_ERROR_H

#include "base/api.h"

enum sal_status {
    SAL_E_MALFORMED = APR_OS_START_USERERR + 9000, /* input breaks its format */
    SAL_E_TOOBIG,                                  /* input is over a limit of ours */
    SAL_E_UNSUPPORTED,                             /* valid, but nothing we handle */
    SAL_E_EXISTS,                                  /* already there, nothing was changed */
    SAL_E_NODB,                                    /* no database connection; try later */
    SAL_E_DB,                                      /* the database refused a statement */
    SAL_E_FENCED,                                  /* lease lost: another worker owns the job */
    SAL_E_SICK,                                    /* a store that lost a write; refuses more */
    SAL_E_DENIED,                                  /* token or right is missing */
    SAL_E_BUSY                                     /* under way; ask again in a while */
};

typedef struct sal_error_t {
    apr_status_t code;   /* what the failing function returned */
    apr_uint64_t offset; /* byte offset in the input where known, else 0 */
    char sqlstate[6];    /* of a database error, else "" */
    char message[500];   /* one line: what was wrong with which input, what to do */
} sal_error_t;

/* Fills err (if not NULL) and returns code, so that a caller writes `return sal_fail(...)`. */
SAL_API apr_status_t sal_fail(sal_error_t *err, apr_status_t code, const char *fmt, ...)
    SAL_PRINTF(3, 4);

/* As sal_fail, with the byte offset of the fault in the input. */
SAL_API apr_status_t sal_fail_at(sal_error_t *err, apr_status_t code, apr_uint64_t offset,
                                 const char *fmt, ...) SAL_PRINTF(4, 5);

/* As sal_fail, with ": " and the system's text for code (an errno or APR status) appended. */
SAL_API apr_status_t sal_fail_os(sal_error_t *err, apr_status_t code, const char *fmt, ...)
    SAL_PRINTF(3, 4);

/* Short text of a status, ours or APR's; buf is filled and returned. */
SAL_API const char *sal_strstatus(apr_status_t code, char *buf, apr_size_t size);

#endif
