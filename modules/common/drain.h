/*
 * Reading and forgetting what a refused client still sends, within bounds.
 */
#ifndef MODULES_COMMON_DRAIN_H
#define MODULES_COMMON_DRAIN_H

#include <httpd.h>

/* A refused upload is read this far, so that its client sees the answer and not a reset. */
#define WEB_DRAIN_MAX ((apr_off_t)64 << 20)

/*
 * Reads the rest of the body, at most max bytes; the connection is closed after the answer if there
 * is more. A client that waits for "100 Continue" is not told to send. Call before the answer.
 */
void web_drain(request_rec *r, apr_off_t max);

#endif
