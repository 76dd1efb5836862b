/*
 * Requests of the tools; see reply.h.
 */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT_SECONDS = 30 };

static size_t take(char *data, size_t size, size_t n, void *baton)
{
    tool_reply_t *reply = baton;
    size_t came = size * n, left = reply->most - reply->size;
    char *grown;

    if (came > left && !reply->cut) {
        return CURL_WRITEFUNC_ERROR;
    }
    size = came < left ? came : left;
    grown = realloc(reply->data, reply->size + size + 1);
    if (!grown) {
        return CURL_WRITEFUNC_ERROR;
    }
    reply->data = grown;
    memcpy(grown + reply->size, data, size);
    reply->size += size;
    grown[reply->size] = '\0';
    return came;
}

void tool_request(CURL *curl, const char *url, const char *agent, long silent_seconds,
                  tool_reply_t *reply)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, silent_seconds);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
}

void tool_reply_clear(tool_reply_t *reply)
{
    free(reply->data);
    reply->data = NULL;
    reply->size = 0;
}

const char *tool_reply_text(const tool_reply_t *reply)
{
    return reply->data ? reply->data : "";
}
