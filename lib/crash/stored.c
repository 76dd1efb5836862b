/*
 * Listing the store: containers and documents of a folder, put together by crash.
 */
#include "crash/stored.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "crash/store_private.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* ---- days ---- */

static apr_status_t days_of(apr_hash_t *days, const char *root, const char *room, apr_pool_t *p,
                            sal_error_t *err)
{
    const char *path = apr_pstrcat(p, root, "/", room, NULL);
    DIR *dir = opendir(path);
    struct dirent *e;

    if (!dir) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "%s", path);
    }
    while ((e = readdir(dir)) != NULL) {
        if (sal_crash_is_day(e->d_name)) {
            const char *day = apr_pstrdup(p, e->d_name);

            apr_hash_set(days, day, APR_HASH_KEY_STRING, day);
        }
    }
    closedir(dir);
    return APR_SUCCESS;
}

apr_status_t sal_stored_days(apr_array_header_t **out, sal_crash_store_t *store, apr_pool_t *p,
                             sal_error_t *err)
{
    apr_hash_t *days = apr_hash_make(p);
    const char *root = sal_crash_store_root(store);
    apr_status_t rv = days_of(days, root, "crash", p, err);

    if (rv == APR_SUCCESS) {
        rv = days_of(days, root, "processed", p, err);
    }
    *out = apr_array_make(p, (int)apr_hash_count(days) + 1, sizeof(const char *));
    for (apr_hash_index_t *i = apr_hash_first(p, days); i; i = apr_hash_next(i)) {
        APR_ARRAY_PUSH(*out, const char *) = apr_hash_this_val(i);
    }
    qsort((*out)->elts, (size_t)(*out)->nelts, sizeof(const char *), by_text);
    return rv;
}

/* ---- folders ---- */

/* A name of a file: ID.zip, or ID.JOB.FENCE.json.zst. */
typedef struct name_t {
    char id[SAL_CRASH_ID_LEN + 1];
    const char *key; /* NULL: a container */
    int64_t job, fence;
} name_t;

static bool read_container(name_t *n, const char *file)
{
    apr_cpystrn(n->id, file, sizeof(n->id));
    n->key = NULL;
    return strlen(file) == SAL_CRASH_ID_LEN + 4 && !strcmp(file + SAL_CRASH_ID_LEN, ".zip") &&
           sal_crash_id_valid(n->id);
}

static bool read_document(name_t *n, const char *part, const char *file, apr_pool_t *p)
{
    char *job, *fence, *rest;

    apr_cpystrn(n->id, file, sizeof(n->id));
    if (strlen(file) < SAL_CRASH_ID_LEN + 5 || file[SAL_CRASH_ID_LEN] != '.' ||
        !sal_crash_id_valid(n->id)) {
        return false;
    }
    job = apr_pstrdup(p, file + SAL_CRASH_ID_LEN + 1);
    if (!(fence = strchr(job, '.')) || !(rest = strchr(fence + 1, '.')) ||
        strcmp(rest, ".json.zst") != 0) {
        return false;
    }
    *fence++ = *rest = '\0';
    n->key = apr_pstrcat(p, "processed/", part, "/", file, NULL);
    return sal_parse_int(job, 0, INT64_MAX, &n->job) &&
           sal_parse_int(fence, 0, INT64_MAX, &n->fence);
}

/* only: an id, or NULL for all of the folder. */
static apr_status_t read_names(apr_array_header_t *names, sal_crash_store_t *store,
                               const char *room, const char *part, const char *only, apr_pool_t *p,
                               sal_error_t *err)
{
    bool documents = !strcmp(room, "processed");
    const char *path = apr_pstrcat(p, sal_crash_store_root(store), "/", room, "/", part, NULL);
    DIR *dir = opendir(path);
    apr_status_t rv = APR_SUCCESS;
    struct dirent *e;
    name_t n = { .job = 0 };

    if (!dir) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "%s", path);
    }
    while ((errno = 0, e = readdir(dir)) != NULL) {
        if (only && strncmp(e->d_name, only, SAL_CRASH_ID_LEN) != 0) {
            continue;
        }
        if (documents ? read_document(&n, part, e->d_name, p) : read_container(&n, e->d_name)) {
            APR_ARRAY_PUSH(names, name_t) = n;
        }
    }
    if (errno) {
        rv = sal_fail_os(err, errno, "%s", path);
    }
    closedir(dir);
    return rv;
}

/* By id; of one crash the container first, then documents, the newest job and lease first. */
static int by_crash(const void *a, const void *b)
{
    const name_t *x = a, *y = b;
    int order = strcmp(x->id, y->id);

    if (order || !x->key || !y->key) {
        return order ? order : !y->key - !x->key;
    }
    if (x->job != y->job) {
        return x->job < y->job ? 1 : -1;
    }
    return x->fence < y->fence ? 1 : x->fence > y->fence ? -1 : 0;
}

static void put_together(apr_array_header_t *out, const apr_array_header_t *names, apr_pool_t *p)
{
    const name_t *all = (const name_t *)names->elts;

    for (int i = 0, end; i < names->nelts; i = end) {
        sal_stored_t *crash = apr_array_push(out);
        int n = 0;

        for (end = i; end < names->nelts && !strcmp(all[end].id, all[i].id);) {
            end++;
        }
        crash->id = apr_pstrdup(p, all[i].id);
        crash->container = !all[i].key;
        crash->last_job = 0;
        crash->docs = apr_pcalloc(p, (apr_size_t)(end - i + 1) * sizeof(*crash->docs));
        for (int k = i; k < end; k++) {
            if (all[k].key) {
                crash->docs[n++] = all[k].key;
                crash->last_job = all[k].job > crash->last_job ? all[k].job : crash->last_job;
            }
        }
    }
}

static apr_status_t read_part(apr_array_header_t **out, sal_crash_store_t *store, const char *part,
                              const char *only, apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *names = apr_array_make(p, 64, sizeof(name_t));
    apr_status_t rv = read_names(names, store, "crash", part, only, p, err);

    if (rv == APR_SUCCESS) {
        rv = read_names(names, store, "processed", part, only, p, err);
    }
    qsort(names->elts, (size_t)names->nelts, sizeof(name_t), by_crash);
    *out = apr_array_make(p, names->nelts + 1, sizeof(sal_stored_t));
    put_together(*out, names, p);
    return rv;
}

apr_status_t sal_stored_part(apr_array_header_t **out, sal_crash_store_t *store, const char *part,
                             apr_pool_t *p, sal_error_t *err)
{
    return read_part(out, store, part, NULL, p, err);
}

bool sal_stored_find(sal_stored_t *out, sal_crash_store_t *store, const char *id, apr_pool_t *p)
{
    apr_array_header_t *found;
    char dir[12];

    sal_crash_dir_of(dir, id);
    if (read_part(&found, store, dir, id, p, NULL) != APR_SUCCESS || found->nelts == 0) {
        return false;
    }
    *out = APR_ARRAY_IDX(found, 0, sal_stored_t);
    return true;
}

/* ---- documents ---- */

int sal_stored_passes(const json_t *doc)
{
    return (int)json_array_size(json_object_get(doc, "processor_history")) + 1;
}

static bool is_newer(const json_t *a, const json_t *b)
{
    const char *x = sal_json_str(a, "completed_datetime"),
               *y = sal_json_str(b, "completed_datetime");
    int passes = sal_stored_passes(a) - sal_stored_passes(b);

    return passes ? passes > 0 : x && y && strcmp(x, y) > 0;
}

apr_status_t sal_stored_document(json_t **doc, const char **key, int *damaged,
                                 const sal_stored_t *crash, sal_crash_store_t *store, apr_pool_t *p,
                                 sal_error_t *err)
{
    *doc = NULL;
    for (const char **k = crash->docs; *k; k++) {
        json_t *one;
        apr_status_t rv = sal_processed_get(&one, store, *k, p, err);

        if (rv == APR_SUCCESS && json_is_object(one)) {
            if (!*doc || is_newer(one, *doc)) {
                *doc = one;
                *key = *k;
            }
        } else if (rv != APR_SUCCESS && rv != SAL_E_MALFORMED && !APR_STATUS_IS_ENOENT(rv)) {
            return rv;
        } else if (damaged) {
            ++*damaged;
        }
    }
    return *doc ? APR_SUCCESS
                : sal_fail(err, APR_ENOENT, "crash %s: no document that can be read", crash->id);
}
