/*
 * The log sink: one callback per process, set by the program that hosts the library.
 *
 * Messages carry a number SALnnnn (docs/messages.md lists them all; a number is never used
 * twice). Ranges: 1000 collector, 2000 symbols, 3000 symbolicate, 4000 crashstats, 5000 daemon
 * and tools, 9000 library. Crash contents, mail addresses and URLs with queries are never logged.
 */
#ifndef SAL_BASE_LOG_H
#define SAL_BASE_LOG_H

#include "base/api.h"

typedef enum {
    SAL_LOG_ERROR = 3,
    SAL_LOG_WARNING = 4,
    SAL_LOG_NOTICE = 5,
    SAL_LOG_INFO = 6,
    SAL_LOG_DEBUG = 7
} sal_log_level_t; /* syslog's numbers */

typedef void (*sal_log_fn)(void *baton, sal_log_level_t level, const char *line);

/* Set once at start, before threads exist. The default sink writes "<level>line" to stderr. */
SAL_API void sal_log_sink(sal_log_fn fn, void *baton);

/* Messages above this level are dropped before they are formatted. Default SAL_LOG_INFO. */
SAL_API void sal_log_threshold(sal_log_level_t level);

/* number 0 prints no SALnnnn prefix (debug only). */
SAL_API void sal_log(sal_log_level_t level, int number, const char *fmt, ...) SAL_PRINTF(3, 4);

#endif
