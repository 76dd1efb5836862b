/*
 * What the parts of the report's view model share.
 */
#ifndef SAL_RENDER_REPORT_PRIVATE_H
#define SAL_RENDER_REPORT_PRIVATE_H

#include "render/report.h"

enum {
    SAL_REPORT_MAX_FRAMES = 6000, /* rows of all threads together; the API has the rest */
    SAL_REPORT_MAX_MODULES = 3000,
    SAL_REPORT_MAX_VALUE = 10000 /* bytes of an annotation's value */
};

typedef struct sal_report_t {
    const sal_report_in_t *in;
    const json_t *doc;  /* processed crash */
    const json_t *dump; /* its json_dump, {} if there is none */
    apr_pool_t *p;
    int crashing; /* index of the crashing thread, -1 if unknown */
    int frames_left;
} sal_report_t;

/* {"num", "name", "frames", "groups": [...]} of one thread, with row ids t<index>f<n>. */
json_t *sal_report_thread(sal_report_t *r, const json_t *thread, int index, bool hit);

/* The crashing thread's object, and the others. NULL if there is none. */
const json_t *sal_report_crashing(const sal_report_t *r);
json_t *sal_report_threads(sal_report_t *r);

/* Cards of the details section; the tables below it. */
json_t *sal_report_cards(const sal_report_t *r);
json_t *sal_report_modules(const sal_report_t *r);
json_t *sal_report_unloaded(const sal_report_t *r);
json_t *sal_report_annotations(const json_t *annotations, apr_pool_t *p);
json_t *sal_report_addons(const sal_report_t *r);
json_t *sal_report_breadcrumbs(const sal_report_t *r);
json_t *sal_report_debug(const sal_report_t *r);

/* The stack as plain text, for copying. */
const char *sal_report_stack_text(const json_t *thread, apr_pool_t *p);

/* True for frames of the language or system runtime, which the page folds. */
bool sal_report_runtime(const char *function, const char *module);

/* obj[key] = text, unless text is NULL or empty. */
void sal_report_put(json_t *obj, const char *key, const char *text);

/* obj[key] = list, and obj[any_key] says whether it has something; takes the reference. */
void sal_report_put_list(json_t *obj, const char *key, json_t *list, apr_pool_t *p);

#endif
