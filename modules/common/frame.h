/*
 * What stands around every page: messages of the administrators, menus of products and versions.
 * Tables of the periodic jobs and of the administration are read; nothing is computed.
 */
#ifndef MODULES_COMMON_FRAME_H
#define MODULES_COMMON_FRAME_H

#include "common/page.h"

/*
 * Adds "messages" and "frame" to a page's data. A database that is away leaves the menus out.
 */
void web_frame_put(const web_page_t *page, json_t *data);

/*
 * A message as pieces: {"text": ...}, and {"text": "bug 123", "href": ...} where tracker is the
 * address of bugs with %d for the number, or NULL. A new reference.
 */
json_t *web_frame_pieces(const char *message, const char *tracker, apr_pool_t *p);

#endif
