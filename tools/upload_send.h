/*
 * Sending one archive: with tus where the server speaks it and the archive is large, so that a
 * broken connection goes on where it broke; else as a form of the upload API v1.
 */
#ifndef TOOLS_UPLOAD_SEND_H
#define TOOLS_UPLOAD_SEND_H

#include <stdint.h>
#include <apr_pools.h>

#include "reply.h"

/* Constant once upload_prepare has returned, but for the counters; shared by threads. */
typedef struct upload_request_t {
    const char *server, *token, *product, *version;
    int is_try, has_tus, on_terminal;
    int64_t delay;      /* seconds before the second attempt; later ones wait longer */
    apr_uint64_t total; /* bytes to send, as far as they are known */
    apr_uint64_t sent;  /* under upload_send.c's lock */
    apr_pool_t *pool;
} upload_request_t;

typedef struct upload_reply_t {
    tool_reply_t body;
    long status;
    long retry_after;
    long id, files, skipped; /* told by headers */
    int64_t offset;          /* Upload-Offset, -1: not sent */
    char location[512];
} upload_reply_t;

/* Asks what the server speaks. Call before threads begin. */
void upload_prepare(upload_request_t *req, apr_pool_t *p);

/* CMD_OK with what the server answered, or CMD_FAILED with the reason printed. */
int upload_send(upload_request_t *req, const char *path, const char *name, upload_reply_t *reply,
                apr_pool_t *p);

/* Wipes the line of the progress bar. */
void upload_progress_clear(upload_request_t *req);

#endif
