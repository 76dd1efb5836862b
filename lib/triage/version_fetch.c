/*
 * The optional fetcher of builds. Knows the shapes of files; the paths of archives only so far as
 * they name version and build.
 */
#include "triage/version_fetch.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "triage/http.h"

enum { SECONDS = 5, FILE_MAX = 32 << 20 };

apr_status_t sal_version_source_parse(sal_version_source_t *out, const char *line, apr_pool_t *p,
                                      sal_error_t *err)
{
    char *last, *text = apr_pstrdup(p, line), *word = apr_strtok(text, " \t", &last);

    *out = (sal_version_source_t){ .url = word };
    if (!word || (strncmp(word, "http://", 7) && strncmp(word, "https://", 8))) {
        return sal_fail(err, APR_EINVAL, "product-version-url: \"%s\" does not begin with a URL",
                        line);
    }
    while ((word = apr_strtok(NULL, " \t", &last)) != NULL) {
        if (!strncmp(word, "product=", 8) && word[8]) {
            out->product = word + 8;
        } else if (!strcmp(word, "final")) {
            out->final = true;
        } else {
            return sal_fail(err, APR_EINVAL,
                            "product-version-url: \"%s\" is neither product=NAME nor final", word);
        }
    }
    return APR_SUCCESS;
}

/* ---- one build ---- */

/* "63.0b7" and "2" of ".../63.0b7-candidates/build2/...". */
static bool place_of(const char **version, const char **build, const char *url, apr_pool_t *p)
{
    const char *mark = strstr(url, "-candidates/build"), *from = mark, *digits;
    size_t n;

    if (!mark) {
        return false;
    }
    while (from > url && from[-1] != '/') {
        from--;
    }
    digits = mark + strlen("-candidates/build");
    n = strspn(digits, "0123456789");
    *version = apr_pstrmemdup(p, from, (apr_size_t)(mark - from));
    *build = apr_pstrmemdup(p, digits, n);
    return **version && n && digits[n] == '/';
}

static const char *one_of(const json_t *file, const char *path, const char *older)
{
    const char *text = json_string_value(sal_json_path(file, path));

    return text ? text : sal_json_str(file, older);
}

/* The product's name with a capital, where nobody said it. */
static const char *product_of(const json_t *file, apr_pool_t *p)
{
    const char *name = json_string_value(sal_json_path(file, "source.product"));
    char *text = name ? apr_pstrdup(p, name) : NULL;

    if (text && !strcmp(text, "devedition")) {
        return "DevEdition";
    }
    if (text) {
        *text = (char)apr_toupper(*text);
    }
    return text;
}

static apr_status_t one_build(sal_product_version_t **out, int *n, const json_t *file,
                              const sal_version_source_t *source, apr_pool_t *p, sal_error_t *err)
{
    const char *channel = one_of(file, "target.channel", "moz_update_channel"), *version, *number;
    sal_product_version_t v = { .product = source->product ? source->product : product_of(file, p),
                                .build = one_of(file, "build.id", "buildid"),
                                .release = one_of(file, "target.version", "moz_app_version"),
                                .url = source->url };

    *n = 0;
    if (!v.product || !v.build || !v.release || !channel) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "neither a table nor a build with product, id, channel and version");
    }
    if (!place_of(&version, &number, source->url, p)) {
        return sal_fail(err, SAL_E_MALFORMED, "the path names no .../VERSION-candidates/buildN/");
    }
    *out = apr_pcalloc(p, 2 * sizeof(**out));
    v.channel = strcmp(channel, "release") ? channel : "beta";
    v.version = apr_pstrcat(p, version, "rc", number, NULL);
    (*out)[(*n)++] = v;
    if (source->final) {
        v.channel = channel;
        v.version = version;
        (*out)[(*n)++] = v;
    }
    return APR_SUCCESS;
}

apr_status_t sal_version_source_read(sal_product_version_t **out, int *n,
                                     const sal_version_source_t *source, const char *text,
                                     size_t len, apr_pool_t *p, sal_error_t *err)
{
    json_t *file;
    apr_status_t rv;

    while (len && apr_isspace(*text)) {
        text++;
        len--;
    }
    if (!len || *text != '{') {
        return sal_versions_read(out, n, text, len, p, err);
    }
    rv = sal_json_parse(&file, text, len, p, err);
    return rv == APR_SUCCESS ? one_build(out, n, file, source, p, err) : rv;
}

/* ---- all of them ---- */

static apr_status_t fetch_one(int64_t *added, const char *line, sal_db_t *db, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_version_source_t source;
    sal_product_version_t *list;
    http_get_t get = { .seconds = SECONDS, .max = FILE_MAX };
    sal_error_t why;
    apr_status_t rv;
    char *body;
    size_t len;
    int n;

    *added = 0;
    if ((rv = sal_version_source_parse(&source, line, p, err)) != APR_SUCCESS) {
        return rv;
    }
    get.url = source.url;
    if ((rv = http_get(&body, &len, &get, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if ((rv = sal_version_source_read(&list, &n, &source, body, len, p, &why)) != APR_SUCCESS) {
        return http_blame(source.url, rv, &why, p, err);
    }
    return sal_versions_put(added, list, n, db, p, err);
}

apr_status_t sal_versions_fetch(int64_t *added, const sal_conf_t *conf, apr_time_t deadline,
                                sal_db_t *db, apr_pool_t *p, sal_error_t *err)
{
    const char *const *line = sal_conf_list(conf, "product-version-url");
    apr_status_t rv, first = APR_SUCCESS;
    apr_pool_t *sub;

    *added = 0;
    apr_pool_create(&sub, p);
    for (; *line && !(deadline && apr_time_now() >= deadline); line++) {
        sal_error_t one;
        int64_t n;

        rv = fetch_one(&n, *line, db, sub, &one);
        *added += n;
        if (rv != APR_SUCCESS && first == APR_SUCCESS) {
            first = rv;
            if (err) {
                *err = one;
            }
        }
        apr_pool_clear(sub);
        if (rv == SAL_E_NODB) {
            break;
        }
    }
    apr_pool_destroy(sub);
    if (*line && first == APR_SUCCESS) {
        return sal_fail(err, APR_TIMEUP, "the time was up before all files were fetched");
    }
    return first;
}
