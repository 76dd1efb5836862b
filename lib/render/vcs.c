/*
 * Links to source lines. The forms are those of Breakpad symbol files that a build's
 * post-processing has rewritten (docs/report.md).
 */
#include "render/vcs.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/text.h"
#include "render/link.h"

enum { SHA512_HEX = 128 };

#define OURS                                                                                       \
    "/sources/highlight/?url=/buildid/%(build_id)s/source/%(file)s&line=%(line)s#L-%(line)s"

typedef struct {
    const char *vcs, *server, *pattern; /* pattern NULL: no link */
} mapping_t;

struct sal_vcs_t {
    apr_array_header_t *list; /* of mapping_t */
};

static const mapping_t built_in[] = {
    { "hg", "hg.mozilla.org",
      "https://hg.mozilla.org/%(repo)s/file/%(revision)s/%(file)s#l%(line)s" },
    { "git", "github.com", "https://github.com/%(repo)s/blob/%(revision)s/%(file)s#L%(line)s" },
    { "git", "gitlab.com", "https://gitlab.com/%(repo)s/-/blob/%(revision)s/%(file)s#L%(line)s" },
    { "git", "git.mozilla.org",
      "http://git.mozilla.org/?p=%(repo)s;a=blob;f=%(file)s;h=%(revision)s#l%(line)s" },
    { "cvs", "cvs.mozilla.org",
      "http://bonsai.mozilla.org/"
      "cvsblame.cgi?file=%(file)s&rev=%(revision)s&mark=%(line)s#%(line)s" },
    { "s3", "gecko-generated-sources", OURS },
};

static const char *const keys[] = { "repo", "file", "revision", "line", "build_id", NULL };

apr_status_t sal_vcs_make(sal_vcs_t **out, const char *const *lines, apr_pool_t *p,
                          sal_error_t *err)
{
    apr_array_header_t *list = apr_array_make(p, 8, sizeof(mapping_t));

    for (; lines && *lines; lines++) {
        const char *at = *lines, *fault = NULL;
        const char *vcs = sal_link_word(&at, p), *server = sal_link_word(&at, p);
        const char *pattern = *at && !strchr(at, ' ') ? at : NULL;

        if (!vcs || !server || !pattern) {
            fault = "expected \"VCS SERVER TEMPLATE\"";
        } else if (strcmp(pattern, "none") != 0) {
            fault = sal_link_fault(pattern, keys, p);
        }
        if (fault) {
            return sal_fail(err, SAL_E_MALFORMED, "source-link %.200s: %s", *lines, fault);
        }
        APR_ARRAY_PUSH(list, mapping_t) =
            (mapping_t){ vcs, server, strcmp(pattern, "none") ? apr_pstrdup(p, pattern) : NULL };
    }
    *out = apr_palloc(p, sizeof **out);
    (*out)->list = list;
    return APR_SUCCESS;
}

/* The mapping of a server, or NULL; *known: some mapping is of this vcs. */
static const mapping_t *look(const mapping_t *list, int n, const char *vcs, const char *server,
                             bool *known)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].vcs, vcs) == 0) {
            *known = true;
            if (strcmp(list[i].server, server) == 0) {
                return &list[i];
            }
        }
    }
    return NULL;
}

static const mapping_t *find(const sal_vcs_t *own, const char *vcs, const char *server, bool *known)
{
    const mapping_t *found = NULL;

    *known = false;
    if (own) {
        found = look((const mapping_t *)own->list->elts, own->list->nelts, vcs, server, known);
    }
    return found ? found
                 : look(built_in, (int)(sizeof built_in / sizeof built_in[0]), vcs, server, known);
}

/* The four parts of a file's name. False if it is not of this form. */
typedef struct {
    const char *vcs, *server, *repo, *path, *revision;
} parts_t;

static bool split(parts_t *out, const char *file, apr_pool_t *p)
{
    char *vcs = apr_pstrdup(p, file), *root, *path, *revision, *slash;

    if (!(root = strchr(vcs, ':')) || !(path = strchr(root + 1, ':')) ||
        !(revision = strchr(path + 1, ':')) || strchr(revision + 1, ':')) {
        return false;
    }
    *root++ = *path++ = *revision++ = '\0';
    *out = (parts_t){ vcs, root, root, path, revision };
    if ((slash = strchr(root, '/'))) {
        *slash = '\0';
        out->repo = slash + 1;
    }
    return true;
}

/* A path whose first segment is the hash that names a generated file, without it. */
static const char *without_hash(const char *path)
{
    const char *slash = strchr(path, '/');

    return slash && slash - path == SHA512_HEX && strchr(slash + 1, '/') ? slash + 1 : path;
}

static const char *link_to(const char *pattern, const parts_t *parts, int64_t line,
                           const char *build_id, apr_pool_t *p)
{
    const sal_link_value_t values[] = {
        { "repo", parts->repo, SAL_LINK_PATH },
        { "file", parts->path, SAL_LINK_PATH },
        { "revision", parts->revision, SAL_LINK_PART },
        { "line", apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)line), SAL_LINK_PART },
        { "build_id", build_id, SAL_LINK_PART },
        { NULL, NULL, SAL_LINK_PART }
    };

    return sal_link_fill(pattern, values, p);
}

void sal_vcs_source(sal_vcs_source_t *out, const sal_vcs_t *vcs, const char *file, int64_t line,
                    const char *build_id, apr_pool_t *p)
{
    const mapping_t *mapping;
    parts_t parts;
    bool known;

    *out = (sal_vcs_source_t){ .text = file };
    if (!split(&parts, file, p)) {
        parts = (parts_t){ .repo = "", .path = file, .revision = "" };
        out->url = build_id ? link_to(OURS, &parts, line, build_id, p) : NULL;
        return;
    }
    mapping = find(vcs, parts.vcs, parts.server, &known);
    if (mapping) {
        out->text = without_hash(parts.path);
        out->url = mapping->pattern ? link_to(mapping->pattern, &parts, line, build_id, p) : NULL;
    } else if (!known) {
        out->text = sal_basename(parts.path);
    }
    if (!*out->text) {
        out->text = file;
    }
}
