/*
 * A crash as a bug: the title and description that Crash Stats writes, and links that open a
 * tracker's form with them, by templates (`bug-link PRODUCT TEMPLATE TEXT`, or a product's own).
 *
 * Documents must be reduced to their public part whoever asks: a tracker is read by others.
 */
#ifndef SAL_RENDER_BUGLINK_H
#define SAL_RENDER_BUGLINK_H

#include <jansson.h>
#include "base/error.h"
#include "render/vcs.h"

typedef struct sal_bug_text_t {
    const char *title;       /* "Crash in [@ SIG]", at most 255 bytes */
    const char *description; /* Markdown, in lines */
    const char *signature;   /* "[@ SIG]" */
    const char *bug_type, *op_sys, *rep_platform;
} sal_bug_text_t;

/* url: of the report. Everything in p; never fails. */
SAL_API void sal_bug_text(sal_bug_text_t *out, const json_t *processed, const char *url,
                          const sal_vcs_t *vcs, apr_pool_t *p);

/* A link of the page. */
typedef struct sal_bug_template_t {
    const char *product; /* "*": of all */
    const char *pattern; /* keys: bug_type, op_sys, rep_platform, signature, title, description */
    const char *text;
} sal_bug_template_t;

/*
 * Reads a line "PRODUCT TEMPLATE TEXT"; in PRODUCT "+" stands for a blank. SAL_E_MALFORMED quotes
 * the line.
 */
SAL_API apr_status_t sal_bug_template(sal_bug_template_t *out, const char *line, apr_pool_t *p,
                                      sal_error_t *err);

/*
 * The links of a product, {"text", "url"} each, in the order of templates; a new reference. Those
 * of the product itself stand before those of all. A template that makes no safe link is left out.
 */
SAL_API json_t *sal_bug_links(const sal_bug_template_t *list, int n, const char *product,
                              const sal_bug_text_t *bug, apr_pool_t *p);

/* A template of another source (a product's file) filled; NULL if it makes no safe link. */
SAL_API const char *sal_bug_link(const char *pattern, const sal_bug_text_t *bug, apr_pool_t *p);

#endif
