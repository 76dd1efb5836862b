/*
 * A server's answer in memory, up to a bound, and what every request of the tools has in common.
 */
#ifndef TOOLS_REPLY_H
#define TOOLS_REPLY_H

#include <stddef.h>
#include <curl/curl.h>

typedef struct tool_reply_t {
    char *data; /* malloc'd, NUL-terminated; NULL: nothing came */
    size_t size;
    size_t most; /* more than this ends the transfer; set it before */
    int cut;     /* 1: more than that is dropped instead */
} tool_reply_t;

/* Sets url, user agent, timeouts (silent_seconds: how long the server may say nothing), and where
 * the body goes. Only http and https; redirects are not followed. */
void tool_request(CURL *curl, const char *url, const char *agent, long silent_seconds,
                  tool_reply_t *reply);

/* Frees the body; ready for the next one. */
void tool_reply_clear(tool_reply_t *reply);

/* The body, "" if there is none. */
const char *tool_reply_text(const tool_reply_t *reply);

#endif
