/*
 * What housekeeping does with the crash store: days and documents listed, dumps taken out of
 * containers, notes on days. Knows nothing of why something goes.
 */
#include "crash/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"

#define NOTE_BYTES_MAX ((apr_size_t)64 << 20)

/* ---- days ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

apr_status_t sal_crash_days(const char *const **out, sal_crash_store_t *store, bool processed,
                            apr_pool_t *p, sal_error_t *err)
{
    apr_array_header_t *days = apr_array_make(p, 256, sizeof(const char *));
    DIR *dir = sal_crash_open_list(store->root_fd, processed ? "processed" : "crash");
    struct dirent *e;

    if (!dir && errno != ENOENT) {
        return sal_fail_os(err, errno, "%s/%s", store->fs.root, processed ? "processed" : "crash");
    }
    while (dir && (e = readdir(dir)) != NULL) {
        if (sal_crash_is_day(e->d_name)) {
            APR_ARRAY_PUSH(days, const char *) = apr_pstrdup(p, e->d_name);
        }
    }
    if (dir) {
        closedir(dir);
    }
    qsort(days->elts, (size_t)days->nelts, sizeof(const char *), by_name);
    APR_ARRAY_PUSH(days, const char *) = NULL;
    *out = (const char *const *)days->elts;
    return APR_SUCCESS;
}

static const char *note_path(sal_crash_store_t *store, const char *day, const char *name,
                             apr_pool_t *p)
{
    return apr_pstrcat(p, store->fs.root, "/crash/", day, "/.", name, NULL);
}

apr_status_t sal_crash_day_note(const char **text, sal_crash_store_t *store, const char *day,
                                const char *name, apr_pool_t *p, sal_error_t *err)
{
    apr_size_t size;
    char *content;
    apr_status_t rv;

    *text = NULL;
    if (!sal_crash_is_day(day)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is not a day", day);
    }
    rv = sal_file_read(&content, &size, note_path(store, day, name, p), NOTE_BYTES_MAX, p, err);
    *text = rv == APR_SUCCESS ? content : NULL;
    return APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv) ? APR_SUCCESS : rv;
}

apr_status_t sal_crash_set_day_note(sal_crash_store_t *store, const char *day, const char *name,
                                    const char *text, sal_error_t *err)
{
    apr_pool_t *tmp;
    apr_status_t rv;

    if (!sal_crash_is_day(day)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is not a day", day);
    }
    apr_pool_create(&tmp, NULL);
    rv = sal_file_publish(note_path(store, day, name, tmp), text, strlen(text), 0640, tmp, err);
    apr_pool_destroy(tmp);
    return APR_STATUS_IS_ENOENT(rv) ? APR_SUCCESS : rv; /* the day has gone */
}

/* ---- dumps ---- */

static apr_status_t store_again(sal_crash_store_t *store, const char *id, const json_t *raw,
                                apr_pool_t *p, sal_error_t *err)
{
    sal_crash_writer_t *w;
    apr_status_t rv = sal_crash_begin(&w, store, apr_time_now(), p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_crash_allow_overwrite(w);
    return sal_crash_commit(w, id, raw, err);
}

apr_status_t sal_crash_drop_dumps(int *dropped, sal_crash_store_t *store, const char *id,
                                  apr_pool_t *p, sal_error_t *err)
{
    sal_crash_reader_t *r;
    apr_pool_t *tmp;
    json_t *raw;
    apr_status_t rv;

    *dropped = 0;
    apr_pool_create(&tmp, p);
    rv = sal_crash_open(&r, store, id, tmp, err);
    if (rv == APR_SUCCESS && sal_crash_dump_names(r)[0] &&
        (rv = sal_crash_raw(&raw, r, err)) == APR_SUCCESS) {
        rv = store_again(store, id, raw, tmp, err);
        *dropped = rv == APR_SUCCESS;
    }
    apr_pool_destroy(tmp);
    return rv;
}

/* ---- documents ---- */

bool sal_processed_exists(sal_crash_store_t *store, const char *key)
{
    return !strncmp(key, "processed/", 10) && faccessat(store->root_fd, key, F_OK, 0) == 0;
}

typedef struct listing_t {
    sal_crash_id_fn fn;
    void *baton;
    apr_time_t before, since;
} listing_t;

static apr_status_t list_documents(sal_crash_store_t *store, const char *path, const listing_t *l,
                                   sal_error_t *err)
{
    DIR *dir = sal_crash_open_list(store->root_fd, path);
    char key[300];
    struct dirent *e;
    struct stat st;
    apr_status_t rv = APR_SUCCESS;

    if (!dir) {
        return errno == ENOENT ? APR_SUCCESS : sal_fail_os(err, errno, "%s", path);
    }
    if (fstat(dirfd(dir), &st) == 0 && apr_time_from_sec(st.st_mtime) < l->since) {
        closedir(dir);
        return APR_SUCCESS;
    }
    while (rv == APR_SUCCESS && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.' || strlen(e->d_name) > 200 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
            apr_time_from_sec(st.st_mtime) >= l->before) {
            continue;
        }
        snprintf(key, sizeof(key), "%s/%s", path, e->d_name);
        rv = l->fn(l->baton, key, err);
    }
    closedir(dir);
    return rv;
}

apr_status_t sal_processed_list_day(sal_crash_store_t *store, const char *day, apr_time_t before,
                                    apr_time_t since, sal_crash_id_fn fn, void *baton,
                                    sal_error_t *err)
{
    listing_t l = { fn, baton, before, since };
    apr_status_t rv = APR_SUCCESS;
    char path[32];

    if (!sal_crash_is_day(day)) {
        return sal_fail(err, APR_EINVAL, "\"%.20s\" is not a day", day);
    }
    for (unsigned xx = 0; xx < 256 && rv == APR_SUCCESS; xx++) {
        snprintf(path, sizeof(path), "processed/%.8s/%02x", day, xx);
        rv = list_documents(store, path, &l, err);
    }
    return rv;
}
