/*
 * What every public header of libsalvage starts from: visibility and the APR types.
 *
 * The library is built with hidden visibility; a function is public only if its declaration
 * carries SAL_API. Modules, daemon and tools may call nothing else.
 */
#ifndef SAL_BASE_API_H
#define SAL_BASE_API_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>

#ifdef __cplusplus
#define SAL_EXTERN_C extern "C"
#else
#define SAL_EXTERN_C
#endif

#define SAL_API SAL_EXTERN_C __attribute__((visibility("default")))
#define SAL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#endif
