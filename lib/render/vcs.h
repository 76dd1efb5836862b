/*
 * From a frame's source file to a link: "vcs:server/repository:path:revision" by templates of the
 * operator (`source-link VCS SERVER TEMPLATE`), then by those that are built in.
 *
 * Immutable once made, shared by threads. Knows no store: who knows that a module's sources are
 * stored passes its build id, which a template may ask for.
 */
#ifndef SAL_RENDER_VCS_H
#define SAL_RENDER_VCS_H

#include <stdint.h>
#include "base/error.h"

typedef struct sal_vcs_t sal_vcs_t;

/*
 * lines: "VCS SERVER TEMPLATE", NULL-terminated; they stand before the ones built in. Keys of a
 * template: repo, file, revision, line, build_id. TEMPLATE "none": no link for that server.
 * SAL_E_MALFORMED quotes the line.
 */
SAL_API apr_status_t sal_vcs_make(sal_vcs_t **out, const char *const *lines, apr_pool_t *p,
                                  sal_error_t *err);

typedef struct sal_vcs_source_t {
    const char *text; /* of the file, for people; never NULL */
    const char *url;  /* NULL: none */
} sal_vcs_source_t;

/*
 * text: the path (without a first segment of 128 characters where there are more behind it); of a
 * vcs that no template knows its basename; of a server that none knows, and of what is not of this
 * form, the file as it is. vcs NULL: the built-in templates alone. build_id: of the module, if its
 * sources are stored here: then what has no other link leads there. NULL: they are not.
 */
SAL_API void sal_vcs_source(sal_vcs_source_t *out, const sal_vcs_t *vcs, const char *file,
                            int64_t line, const char *build_id, apr_pool_t *p);

#endif
