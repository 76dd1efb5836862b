/*
 * Sentry's dialect: the event that goes with a minidump, in whichever of its four forms, and what
 * of it Salvage knows under other names.
 */
#ifndef SAL_CRASH_SENTRY_H
#define SAL_CRASH_SENTRY_H

#include "crash/annotations.h"

#define SAL_SENTRY_EVENT_MAX (1 << 20) /* bytes of an event that are read at most */

/*
 * Puts together the annotations `sentry`, `sentry__1`, `sentry__2`... (pieces of one text) and
 * `sentry[release]` and the like, over `event` (from the file __sentry-event; may be NULL), into
 * one annotation `sentry`, without what it says of the user. Then, where those are absent: release
 * -> ProductName and Version, environment -> ReleaseChannel, dist -> BuildID, event_id ->
 * SentryEventId, and project, the path's, -> ProductName.
 *
 * *event_id is the event's id as a UUID in p, NULL if it has none.
 */
SAL_API void sal_sentry_map(const char **event_id, sal_annotations_t *a, const json_t *event,
                            const char *project, apr_pool_t *p);

#endif
