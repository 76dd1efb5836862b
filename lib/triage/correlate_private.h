/*
 * What the files of correlations share.
 *
 * correlate.c        which products and channels, storing
 * correlate_load.c   crashes of one of them as lists of items
 * correlate_find.c   the items of a signature that tell it from the others
 * correlate_read.c   what was found
 */
#ifndef SAL_TRIAGE_CORRELATE_PRIVATE_H
#define SAL_TRIAGE_CORRELATE_PRIVATE_H

#include <stdbool.h>
#include <apr_tables.h>
#include "triage/correlate.h"

enum {
    CORRELATE_CRASHES = 100000, /* of a product and channel; more are sampled */
    CORRELATE_CHANNELS = 50,    /* products and channels */
    CORRELATE_GROUP = 10,       /* crashes that a signature must have */
    CORRELATE_SUPPORT = 5,      /* crashes of it that must have the item... */
    CORRELATE_SHARE = 10,       /* ...and percent of them */
    CORRELATE_LOW = 5,          /* percent points that the difference surely is */
    CORRELATE_PAIRED = 24,      /* items of a signature that are tried in pairs */
    CORRELATE_RESULTS = 50      /* single items, and as many pairs, that are kept */
};

/* "platform_pretty_version" = "Windows 10". */
typedef struct item_t {
    const char *name, *value; /* value NULL: true */
} item_t;

typedef struct crash_t {
    int signature; /* term */
    int n;
    const int *items; /* ascending, each once */
} crash_t;

typedef struct crashes_t {
    apr_array_header_t *items; /* of item_t */
    apr_array_header_t *list;  /* of crash_t */
    double share;              /* of those in the window */
    apr_pool_t *pool;
} crashes_t;

typedef struct channel_t {
    int product, channel; /* terms */
    const char *product_name, *channel_name;
    int64_t total;
    const char *from; /* day */
    int days;
} channel_t;

apr_status_t correlate_load(crashes_t *out, const channel_t *channel, sal_db_t *db, apr_pool_t *p,
                            sal_error_t *err);

/* How often each item is there. */
int *correlate_count(const crash_t *list, int n, int items, apr_pool_t *p);

/* JSON list of what tells crashes first..first+n-1 (of one signature) from all; new reference. */
json_t *correlate_find(const crashes_t *all, const int *reference, int first, int n, apr_pool_t *p);

#endif
