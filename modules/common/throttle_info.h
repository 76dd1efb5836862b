/*
 * The throttle rules of the collector, for pages. The collector registers the function; who wants
 * it retrieves it, and has NULL where no collector is loaded.
 */
#ifndef MODULES_COMMON_THROTTLE_INFO_H
#define MODULES_COMMON_THROTTLE_INFO_H

#include <apr_optional.h>
#include "common/web.h"

/*
 * A new array with an object for each place that takes reports, places with equal rules once:
 *   server, path       strings; path is that of the <Location> or the pattern of a <LocationMatch>
 *   fallback           "ACCEPT", ...: what becomes of a report that no rule decides
 *   products           "any", "listed" or the path of a file
 *   rules              in their order: name, result, percent (a number), otherwise, expr, file,
 *                      line, count (decisions since httpd was started)
 *   unmatched          decisions where no rule did
 */
APR_DECLARE_OPTIONAL_FN(json_t *, salvage_throttle_places, (void));

#endif
