/*
 * What the parts of the report's view model share.
 */
#ifndef SAL_RENDER_REPORT_PRIVATE_H
#define SAL_RENDER_REPORT_PRIVATE_H

#include "render/report.h"

enum {
    SAL_REPORT_MAX_FRAMES = 6000, /* rows of all threads together; the API has the rest */
    SAL_REPORT_MAX_MODULES = 3000,
    SAL_REPORT_MAX_TREE = 3000,  /* values of the client's environment */
    SAL_REPORT_MAX_VALUE = 10000 /* bytes of an annotation's value */
};

typedef struct sal_report_t {
    const sal_report_in_t *in;
    const json_t *doc;  /* processed crash */
    const json_t *dump; /* its json_dump, {} if there is none */
    apr_pool_t *p;
    int crashing; /* index of the crashing thread, -1 if unknown */
    int frames_left;
    struct apr_hash_t *modules; /* of the dump by file name: json_t */
    struct apr_hash_t *builds;  /* module -> build id whose sources are here, "" if none are */
} sal_report_t;

/* {"num", "name", "frames", "groups": [...]} of one thread, with row ids t<index>f<n>. */
json_t *sal_report_thread(sal_report_t *r, const json_t *thread, int index, bool hit);

/* The crashing thread's object, and the others. NULL if there is none. */
const json_t *sal_report_crashing(const sal_report_t *r);
json_t *sal_report_threads(sal_report_t *r);

/* report_details.c: cards of the details section. */
json_t *sal_report_cards(const sal_report_t *r);

/* report_tables.c: the tables below it. */
json_t *sal_report_modules(const sal_report_t *r);
const char *sal_report_missing(const json_t *module, apr_pool_t *p);
json_t *sal_report_unloaded(const sal_report_t *r, bool *any_signer);
json_t *sal_report_annotations(const json_t *annotations, apr_pool_t *p);
json_t *sal_report_addons(const sal_report_t *r);
json_t *sal_report_breadcrumbs(const sal_report_t *r);

/* report_java.c: {"exceptions": [...]}, text and how it was redacted. */
void sal_report_put_java(const sal_report_t *r, json_t *view);

/* report_debug.c: links of raw data; how it was processed. */
json_t *sal_report_raw_links(const sal_report_t *r);
json_t *sal_report_debug(const sal_report_t *r);

/* report_why.c: why this signature, its bugs, what its crashes have in common. */
void sal_report_put_why(const sal_report_t *r, json_t *view);
void sal_report_put_bugs(const sal_report_t *r, json_t *view);
void sal_report_put_correlations(const sal_report_t *r, json_t *view);

/* The thread that the page shows first: the crashing one, else thread 0; NULL if there is none. */
const json_t *sal_report_first_thread(const json_t *processed, int *index);

/* Fills r->modules. */
void sal_report_know_modules(sal_report_t *r);

/* A frame as its inlined functions see it: their own names, the frame's module. New reference. */
json_t *sal_report_inline_frame(const json_t *inl, const json_t *frame);

/* Text of any value, numbers and truth included; objects as JSON; not longer than a page bears. */
const char *sal_report_plain(const json_t *v, apr_pool_t *p);
const char *sal_report_cut(const char *text, apr_pool_t *p);

extern const char sal_report_needs_pii[];

/* True for frames of the language or system runtime, which the page folds. */
bool sal_report_runtime(const char *function, const char *module);

/* obj[key] = text, unless text is NULL or empty. */
void sal_report_put(json_t *obj, const char *key, const char *text);

/* obj[key] = list, and obj[any_key] says whether it has something; takes the reference. */
void sal_report_put_list(json_t *obj, const char *key, json_t *list, apr_pool_t *p);

#endif
