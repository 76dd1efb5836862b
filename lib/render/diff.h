/*
 * Two reports beside each other: stacks aligned, and of everything else only what differs.
 *
 * The documents must be reduced to what the reader may see. Bounded whatever they hold: so many
 * frames are aligned, so many values compared, so many rows shown.
 */
#ifndef SAL_RENDER_DIFF_H
#define SAL_RENDER_DIFF_H

#include <stdbool.h>
#include <jansson.h>
#include "base/error.h"
#include "process/schema.h"
#include "render/vcs.h"

typedef struct sal_diff_side_t {
    const char *id;
    const json_t *processed;
    const json_t *annotations, *locked; /* of the raw crash; may be NULL */
} sal_diff_side_t;

typedef struct sal_diff_in_t {
    sal_diff_side_t side[2];
    const sal_fields_t *fields; /* which are protected, which are copies of annotations; or NULL */
    const sal_vcs_t *vcs;
    bool pii;
} sal_diff_in_t;

/* New reference: the data of templates/diff.mustache. */
SAL_API json_t *sal_diff_view(const sal_diff_in_t *in, apr_pool_t *p);

/* ---- the parts ---- */

/* What a function is compared by: without template arguments, parameters and hashes of Rust. */
SAL_API const char *sal_diff_name(const char *function, apr_pool_t *p);

typedef struct sal_diff_pair_t {
    int a, b; /* indices; -1: only the other side has it */
} sal_diff_pair_t;

/*
 * A longest common subsequence of two lists of texts, as pairs in order: where both sides have
 * something of their own, a's comes first. Lists longer than SAL_DIFF_MOST are aligned up to there.
 * *n: pairs, at most na + nb.
 */
enum { SAL_DIFF_MOST = 600 };
SAL_API sal_diff_pair_t *sal_diff_align(int *n, const char *const *a, int na, const char *const *b,
                                        int nb, apr_pool_t *p);

#endif
