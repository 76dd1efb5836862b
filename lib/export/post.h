/*
 * One POST to somebody else's server, and whether to try again. Redirects are not followed: what is
 * sent is for the address that was configured.
 *
 * Thread rule: a poster belongs to one thread; do not carry it over a fork.
 */
#ifndef SAL_EXPORT_POST_H
#define SAL_EXPORT_POST_H

#include <stdbool.h>
#include <stdio.h>
#include "base/error.h"

typedef struct sal_poster_t sal_poster_t;

SAL_API sal_poster_t *sal_poster_make(apr_pool_t *p);

typedef struct sal_post_t {
    const char *url, *agent;
    const char *const *headers; /* NULL-terminated */
    FILE *body;                 /* read from its beginning; NULL: data */
    const void *data;
    apr_uint64_t size;
    int timeout; /* seconds: to connect, and of silence */
    /* Asks, often, whether the process is to end. May be NULL. */
    bool (*stopping)(void *baton);
    void *baton;
} sal_post_t;

typedef enum {
    SAL_POST_DONE,    /* 2xx */
    SAL_POST_REFUSED, /* sending it again would not help: other statuses */
    SAL_POST_LATER,   /* 408, 429, 5xx: this one is to be tried again */
    SAL_POST_AWAY,    /* no answer: nobody else's turn either */
    SAL_POST_STOPPED
} sal_post_outcome_t;

typedef struct sal_post_answer_t {
    long status;    /* 0: none */
    char text[300]; /* how the body begins, valid UTF-8, one line */
    char why[400];  /* for the reader, of all but DONE */
} sal_post_answer_t;

SAL_API sal_post_outcome_t sal_post(sal_post_answer_t *answer, sal_poster_t *poster,
                                    const sal_post_t *post);

#endif
