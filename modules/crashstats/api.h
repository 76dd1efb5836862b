/*
 * The public API from the inside: what an endpoint is, how it reads its parameters and how it
 * answers. The table stands in api_table.c, the order of checks in api.c (docs/api.md).
 */
#ifndef MODULES_CRASHSTATS_API_H
#define MODULES_CRASHSTATS_API_H

#include "crashstats/crashstats.h"

typedef enum {
    API_STRING,
    API_LIST,
    API_INT,
    API_TEXT
} api_kind_t; /* TEXT: on the page, an area */

typedef struct api_param_t {
    const char *name; /* NULL ends a list */
    api_kind_t kind;
    bool required;
    const char *initial; /* what stands for it where it is not given, for the page */
    const char *meaning;
} api_param_t;

enum {
    API_CACHED = 1 << 0, /* readers may keep the answer for five minutes */
    API_OPEN = 1 << 1,   /* any origin may read it, asked or not */
    API_BODY = 1 << 2,   /* takes a JSON body, not a form */
    API_SEARCH = 1 << 3, /* takes the parameters of Super Search besides */
    API_STORE = 1 << 4,  /* needs the crash store */
};

typedef struct api_call_t api_call_t;

typedef struct api_endpoint_t {
    const char *name, *group; /* group: heading of the page's list */
    const char *methods;      /* "GET", "POST", "GET, POST" */
    int needs;                /* a permission, or 0 */
    int flags;
    crashstats_bucket_t bucket;
    int (*serve)(api_call_t *c);
    const api_param_t *params;
    const char *answers, *right, *result; /* for the page; right "": none is needed */
} api_endpoint_t;

/* All of them by name, and their number; NULL if there is none of this name. */
extern const api_endpoint_t api_endpoints[];
extern const int api_endpoints_n;
const api_endpoint_t *api_find(const char *name);

/* A request for an endpoint that has passed the checks of its table row. */
struct api_call_t {
    crashstats_req_t *q;
    const api_endpoint_t *endpoint;
    apr_table_t *given; /* parameters as they came, decoded */
    const char *source; /* the text that they came in */
};

/* ---- parameters (api_params.c) ---- */

/* Errors by name ({"crash_id": ["This field is required."]}), NULL if there are none. */
json_t *api_check(api_call_t *c);

/* The last value without blanks around it; "" if there is none. */
const char *api_string(const api_call_t *c, const char *name);
/* All values as they came, const char *. */
apr_array_header_t *api_list(const api_call_t *c, const char *name);

/* "10", "-3", "4.0": the number as text, which may be of any length; NULL if it is none. */
const char *api_whole(const char *text, apr_pool_t *p);

/* ---- answers (api.c); each returns OK ---- */

int api_bad_argument(api_call_t *c, const char *text); /* "Bad value for parameter(s) 'text'" */
int api_bad_request(api_call_t *c, const char *message);
int api_not_found(api_call_t *c, const char *crash_id);
/* The errors (stolen) of parameters. */
int api_param_errors(api_call_t *c, json_t *errors);

/* Runs an endpoint with all its checks; what is answered goes to q->answer if that is set. */
int api_serve(crashstats_req_t *q, const api_endpoint_t *e, apr_table_t *given, const char *source,
              const char *method);

/* The page (api_page.c). */
int api_page(crashstats_req_t *q);

/* ---- endpoints ---- */

int api_bugs(api_call_t *c);
int api_crash_signature(api_call_t *c);
int api_crash_verify(api_call_t *c);
int api_missing_processed(api_call_t *c);
int api_no_op(api_call_t *c);
int api_ping_gaps(api_call_t *c);
int api_pings(api_call_t *c);
int api_processed_crash(api_call_t *c);
int api_raw_crash(api_call_t *c);
int api_reprocessing(api_call_t *c);
int api_signature_first_date(api_call_t *c);
int api_signatures_by_bugs(api_call_t *c);
int api_super_search(api_call_t *c);
int api_super_search_fields(api_call_t *c);
int api_super_search_unredacted(api_call_t *c);
int api_version_string(api_call_t *c);

/* What is wrong with the parameters of Super Search goes into errors (api_search.c). */
void api_search_check(const api_call_t *c, json_t *errors);

#endif
