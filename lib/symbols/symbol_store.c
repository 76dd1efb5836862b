/*
 * The symbol store on disk: finding a file by key, and the order of calls that publishes one.
 *
 * Knows directories and links; nothing of archives, requests or the database. Letter case: the id
 * is stored upper-case, names as they were sent; ROOT/fold turns "any case" into one small
 * directory instead of a scan of all names.
 */
#include "symbols/symbol_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/file.h"
#include "base/text.h"
#include "symbols/module_id.h"
#include "symbols/symbol_store_private.h"

#define DIGEST_MARK "user.salvage.sha256"
#define STALE_SECONDS (24 * 3600)
#define SESSION_SECONDS (8 * 24 * 3600) /* a resumable upload may take a week */

struct sal_symbol_temp_t {
    sal_symbol_store_t *store;
    apr_pool_t *pool;
    const char *path; /* NULL once dropped or committed */
    int fd;
};

apr_status_t sal_symbol_store_open(sal_symbol_store_t **out, const char *root, apr_pool_t *p,
                                   sal_error_t *err)
{
    apr_status_t rv = sal_dir_make(root, 0755, 0, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *out = apr_palloc(p, sizeof(**out));
    (*out)->root = apr_pstrdup(p, root);
    return APR_SUCCESS;
}

const char *symbol_store_base(const sal_symbol_store_t *store, bool is_try, apr_pool_t *p)
{
    return is_try ? apr_pstrcat(p, store->root, "/try", NULL) : store->root;
}

/* ---- names ---- */

static char *ascii_lower(const char *s, apr_pool_t *p)
{
    char *t = apr_pstrdup(p, s);

    for (char *c = t; *c; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    return t;
}

static void upper(char *s)
{
    for (; *s; s++) {
        *s = (char)(*s >= 'a' && *s <= 'z' ? *s - 32 : *s);
    }
}

/* The text itself if it is upper-case already, as it is wherever a key was parsed. */
static const char *ascii_upper(const char *s, apr_pool_t *p)
{
    for (const char *c = s; *c; c++) {
        if (*c >= 'a' && *c <= 'z') {
            char *t = apr_pstrdup(p, s);

            upper(t);
            return t;
        }
    }
    return s;
}

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n > m && strcasecmp(s + n - m, suffix) == 0;
}

bool sal_symbol_leaf_is_sym(const char *leaf)
{
    return ends_with(leaf, ".sym");
}

static bool all_hex(const char *s)
{
    return *s && s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

bool sal_symbol_key_parse(sal_symbol_key_t *out, const char *text, apr_size_t len, apr_pool_t *p)
{
    const char *end = text + len, *a, *b;
    char *id;

    if (len > SAL_SYMBOL_KEY_MAX || !(a = memchr(text, '/', len)) ||
        !(b = memchr(a + 1, '/', (size_t)(end - a - 1)))) {
        return false;
    }
    if (!sal_symbols_name_valid(text, (apr_size_t)(a - text)) ||
        !sal_symbols_name_valid(b + 1, (apr_size_t)(end - b - 1))) {
        return false;
    }
    out->debug_file = apr_pstrmemdup(p, text, (apr_size_t)(a - text));
    id = apr_pstrmemdup(p, a + 1, (apr_size_t)(b - a - 1));
    upper(id);
    out->debug_id = id;
    out->leaf = apr_pstrmemdup(p, b + 1, (apr_size_t)(end - b - 1));
    return b - a - 1 <= 255 && sal_debug_id_valid(id); /* hex, and not all zeros */
}

/*
 * Clients spell the leaf of a .sym differently: some cut ".pdb" (one, or all of a row), some
 * ".exe" or ".dll", some nothing (docs/symbols.md, "Leaf names").
 */
static bool is_sym_spelling(const char *debug_file, const char *leaf)
{
    static const char *const cut[] = { ".pdb", ".exe", ".dll" };
    size_t stem = strlen(leaf), full = strlen(debug_file);

    if (!sal_symbol_leaf_is_sym(leaf)) {
        return false;
    }
    stem -= 4;
    if (stem > full || strncasecmp(leaf, debug_file, stem)) {
        return false;
    }
    if (stem == full) {
        return true;
    }
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        if (!strcasecmp(debug_file + stem, cut[i])) {
            return true;
        }
    }
    while (!strncasecmp(debug_file + stem, ".pdb", 4)) {
        stem += 4;
    }
    return stem == full;
}

/* ---- finding ---- */

/* The best answer so far; newer ones replace it. */
typedef struct {
    const char *path;
    struct timespec dir_time, file_time;
} best_t;

static bool is_file(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && S_ISREG(st->st_mode);
}

static int time_order(const struct timespec *a, const struct timespec *b)
{
    if (a->tv_sec != b->tv_sec) {
        return a->tv_sec < b->tv_sec ? -1 : 1;
    }
    return a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec;
}

/* A link does not touch the blob's mtime, but it does its directory's and the blob's ctime. */
static void consider(best_t *best, const char *path, const struct stat *dir)
{
    struct stat st;
    int order;

    if (!is_file(path, &st)) {
        return;
    }
    order = best->path ? time_order(&dir->st_mtim, &best->dir_time) : 1;
    if (order > 0 || (order == 0 && time_order(&st.st_ctim, &best->file_time) > 0)) {
        *best = (best_t){ path, dir->st_mtim, st.st_ctim };
    }
}

/* What a directory of one debug id holds for this leaf: exact, then any case, then any spelling. */
static void find_leaf(best_t *best, const char *dir, const char *debug_file, const char *leaf,
                      apr_pool_t *p)
{
    bool by_kind = is_sym_spelling(debug_file, leaf);
    best_t folded = { 0 }, kind = { 0 };
    struct stat dst, st;
    struct dirent *e;
    const char *path;
    DIR *d;

    if (stat(dir, &dst) || !S_ISDIR(dst.st_mode)) {
        return;
    }
    path = apr_pstrcat(p, dir, "/", leaf, NULL);
    if (is_file(path, &st)) {
        consider(best, path, &dst);
        return;
    }
    if (!(d = opendir(dir))) {
        return;
    }
    while ((e = readdir(d))) {
        if (!strcasecmp(e->d_name, leaf)) {
            consider(&folded, apr_pstrcat(p, dir, "/", e->d_name, NULL), &dst);
        } else if (by_kind && is_sym_spelling(debug_file, e->d_name)) {
            consider(&kind, apr_pstrcat(p, dir, "/", e->d_name, NULL), &dst);
        }
    }
    closedir(d);
    if (folded.path || kind.path) {
        consider(best, folded.path ? folded.path : kind.path, &dst);
    }
}

static const char *find_in(const char *base, const char *debug_file, const char *id,
                           const char *leaf, apr_pool_t *p)
{
    const char *lower = ascii_lower(debug_file, p), *dir;
    best_t best = { 0 };
    struct dirent *e;
    DIR *d;

    dir = apr_pstrcat(p, base, "/key/", debug_file, "/", id, NULL);
    find_leaf(&best, dir, debug_file, leaf, p);
    if (best.path || !(d = opendir(apr_pstrcat(p, base, "/fold/", lower, NULL)))) {
        return best.path;
    }
    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
            dir = apr_pstrcat(p, base, "/key/", e->d_name, "/", id, NULL);
            find_leaf(&best, dir, e->d_name, leaf, p);
        }
    }
    closedir(d);
    return best.path;
}

/* A .sym is stored as gzip, but one put into the tree by hand may be plain. */
static bool has_gzip_magic(const char *path)
{
    unsigned char head[2] = { 0, 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool yes;

    if (fd < 0) {
        return false;
    }
    yes = read(fd, head, 2) == 2 && head[0] == 0x1f && head[1] == 0x8b;
    close(fd);
    return yes;
}

apr_status_t sal_symbol_store_find(const char **path, bool *gzipped, sal_symbol_store_t *store,
                                   const char *debug_file, const char *debug_id, const char *leaf,
                                   bool with_try, apr_pool_t *p, sal_error_t *err)
{
    const char *found = NULL;

    if (sal_symbols_name_valid(debug_file, strlen(debug_file)) &&
        sal_symbols_name_valid(leaf, strlen(leaf)) && all_hex(debug_id) &&
        strlen(debug_id) <= 255 && sal_debug_id_valid(debug_id)) {
        const char *id = ascii_upper(debug_id, p);

        found = find_in(store->root, debug_file, id, leaf, p);
        if (!found && with_try) {
            found = find_in(apr_pstrcat(p, store->root, "/try", NULL), debug_file, id, leaf, p);
        }
    }
    if (!found) {
        return sal_fail(err, APR_ENOENT, "no symbols for %s/%s/%s", debug_file, debug_id, leaf);
    }
    *path = found;
    if (gzipped) {
        *gzipped = sal_symbol_leaf_is_sym(found) && has_gzip_magic(found);
    }
    return APR_SUCCESS;
}

const char *sal_symbol_store_path(const sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                  bool is_try, apr_pool_t *p)
{
    return apr_pstrcat(p, store->root, is_try ? "/try/key/" : "/key/", key->debug_file, "/",
                       ascii_upper(key->debug_id, p), "/", key->leaf, NULL);
}

/* ---- writing ---- */

static apr_status_t drop_cleanup(void *v)
{
    sal_symbol_temp_drop(v);
    return APR_SUCCESS;
}

static int open_temp(char **path, sal_symbol_store_t *store, char prefix, apr_pool_t *p,
                     sal_error_t *err)
{
    const char *dir = apr_pstrcat(p, store->root, "/tmp", NULL);
    int fd;

    if (sal_dir_make(dir, 0755, 0, p, err) != APR_SUCCESS) {
        return -1;
    }
    *path = apr_psprintf(p, "%s/%c-XXXXXX", dir, prefix);
    fd = mkostemp(*path, O_CLOEXEC);
    if (fd < 0) {
        sal_fail_os(err, errno, "cannot make a file in %s", dir);
    }
    return fd;
}

apr_status_t sal_symbol_temp_begin_as(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                      char prefix, apr_pool_t *p, sal_error_t *err)
{
    sal_symbol_temp_t *t = apr_pcalloc(p, sizeof(*t));
    sal_error_t why = { 0 };
    char *path;

    t->store = store;
    t->pool = p;
    t->fd = open_temp(&path, store, prefix, p, &why);
    if (t->fd < 0) {
        return sal_fail(err, why.code, "%s", why.message);
    }
    t->path = path;
    apr_pool_cleanup_register(p, t, drop_cleanup, apr_pool_cleanup_null);
    *out = t;
    return APR_SUCCESS;
}

apr_status_t sal_symbol_temp_begin(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                   apr_pool_t *p, sal_error_t *err)
{
    return sal_symbol_temp_begin_as(out, store, 'w', p, err);
}

const char *sal_symbol_temp_release(sal_symbol_temp_t *temp, apr_pool_t *p)
{
    const char *name = temp->path ? apr_pstrdup(p, strrchr(temp->path, '/') + 1) : "";

    sal_symbol_temp_close(temp);
    temp->path = NULL;
    apr_pool_cleanup_kill(temp->pool, temp, drop_cleanup);
    return name;
}

sal_symbol_temp_t *sal_symbol_temp_take(sal_symbol_store_t *store, const char *name, apr_pool_t *p)
{
    sal_symbol_temp_t *t = apr_pcalloc(p, sizeof(*t));

    t->store = store;
    t->pool = p;
    t->fd = -1;
    t->path = apr_pstrcat(p, store->root, "/tmp/", name, NULL);
    apr_pool_cleanup_register(p, t, drop_cleanup, apr_pool_cleanup_null);
    return t;
}

apr_status_t sal_symbol_temp_link(sal_symbol_temp_t **out, sal_symbol_store_t *store,
                                  const char *name, apr_pool_t *p, sal_error_t *err)
{
    const char *old = apr_pstrcat(p, store->root, "/tmp/", name, NULL);
    apr_status_t rv = sal_symbol_temp_begin_as(out, store, *name, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    sal_symbol_temp_close(*out);
    /* The name was ours for the making of it; nobody else can be given it in between and keep it.
     */
    if (unlink((*out)->path) || link(old, (*out)->path)) {
        rv = sal_fail_os(err, errno, "cannot link %s", old);
        (*out)->path = NULL;
    }
    return rv;
}

const char *sal_symbol_store_root(const sal_symbol_store_t *store)
{
    return store->root;
}

int sal_symbol_temp_fd(const sal_symbol_temp_t *temp)
{
    return temp->fd;
}

void sal_symbol_temp_close(sal_symbol_temp_t *temp)
{
    if (temp->fd >= 0) {
        close(temp->fd);
        temp->fd = -1;
    }
}

void sal_symbol_temp_drop(sal_symbol_temp_t *temp)
{
    sal_symbol_temp_close(temp);
    if (temp->path) {
        unlink(temp->path);
        temp->path = NULL;
    }
}

int sal_symbol_store_spool(sal_symbol_store_t *store, apr_pool_t *p, sal_error_t *err)
{
    char *path;
    int fd = open_temp(&path, store, 'w', p, err);

    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

static const char *blob_dir(const sal_symbol_store_t *store, const char *sha256, apr_pool_t *p)
{
    return apr_psprintf(p, "%s/blob/%.2s/%.2s", store->root, sha256, sha256 + 2);
}

/* Digest mark, mode and fsync of the bytes; the descriptor may have been given back before. */
apr_status_t sal_symbol_temp_seal(sal_symbol_temp_t *temp, const char *sha256, bool sync,
                                  sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (temp->fd < 0) {
        temp->fd = open(temp->path, O_RDWR | O_CLOEXEC);
    }
    if (temp->fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", temp->path);
    }
    /* Only a shortcut for the ETag, so a file system without attributes is no failure. */
    if (fsetxattr(temp->fd, DIGEST_MARK, sha256, SAL_SHA256_HEX, 0)) {
        errno = 0;
    }
    if (fchmod(temp->fd, 0644) || (sync && fsync(temp->fd))) {
        rv = sal_fail_os(err, errno, "cannot write %s to disk", temp->path);
    }
    sal_symbol_temp_close(temp);
    return rv;
}

apr_status_t sal_symbol_temp_commit(sal_symbol_temp_t *temp, const char *sha256, bool sync,
                                    apr_pool_t *p, sal_error_t *err)
{
    const char *dir = blob_dir(temp->store, sha256, p);
    const char *blob = apr_pstrcat(p, dir, "/", sha256, NULL);
    apr_status_t rv = sal_dir_make(dir, 0755, sync, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (renameat2(AT_FDCWD, temp->path, AT_FDCWD, blob, RENAME_NOREPLACE) == 0) {
        temp->path = NULL; /* one step instead of a link and an end to the old name */
    } else if (link(temp->path, blob)) {
        /* Retention leaves alone what was touched lately (symbol_store_drop.c). */
        if (errno != EEXIST ||
            (utimensat(AT_FDCWD, blob, NULL, 0) && link(temp->path, blob) && errno != EEXIST)) {
            return sal_fail_os(err, errno, "cannot link %s", blob);
        }
    }
    sal_symbol_temp_drop(temp);
    /* Also when it was there: another upload may have linked it a moment ago and not synced yet. */
    return sync ? sal_dir_sync(dir, err) : APR_SUCCESS;
}

/* Before the first key of a name appears; a noted name without keys is harmless. */
static apr_status_t note_fold(const char *base, const char *debug_file, bool sync, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *dir = apr_pstrcat(p, base, "/fold/", ascii_lower(debug_file, p), NULL);
    const char *path = apr_pstrcat(p, dir, "/", debug_file, NULL);
    apr_status_t rv;
    int fd;

    if (access(path, F_OK) == 0) {
        return APR_SUCCESS;
    }
    if ((rv = sal_dir_make(dir, 0755, sync, p, err)) != APR_SUCCESS) {
        return rv;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot make %s", path);
    }
    close(fd);
    return sync ? sal_dir_sync(dir, err) : APR_SUCCESS;
}

/* A new link, renamed over the old one. rename(2) of two links to one file does nothing at all. */
static apr_status_t swap_link(const char *blob, const char *target, const char *root, apr_pool_t *p,
                              sal_error_t *err)
{
    char *temp = apr_pstrcat(p, root, "/tmp/l-XXXXXX", NULL);
    int fd = mkostemp(temp, O_CLOEXEC);
    apr_status_t rv = APR_SUCCESS;

    if (fd < 0) {
        return sal_fail_os(err, errno, "cannot make a file in %s/tmp", root);
    }
    close(fd);
    if (unlink(temp) || link(blob, temp) || rename(temp, target)) {
        rv = sal_fail_os(err, errno, "cannot link %s", target);
    }
    unlink(temp);
    return rv;
}

apr_status_t sal_symbol_store_link(sal_symbol_store_t *store, const sal_symbol_key_t *key,
                                   bool is_try, const char *sha256, bool sync, apr_pool_t *p,
                                   sal_error_t *err)
{
    const char *base = symbol_store_base(store, is_try, p);
    const char *target = sal_symbol_store_path(store, key, is_try, p);
    const char *dir = apr_pstrmemdup(p, target, (apr_size_t)(strrchr(target, '/') - target));
    const char *blob = apr_pstrcat(p, blob_dir(store, sha256, p), "/", sha256, NULL);
    apr_status_t rv;

    if ((rv = note_fold(base, key->debug_file, sync, p, err)) != APR_SUCCESS ||
        (rv = sal_dir_make(dir, 0755, sync, p, err)) != APR_SUCCESS ||
        (rv = sal_dir_make(apr_pstrcat(p, store->root, "/tmp", NULL), 0755, 0, p, err)) !=
            APR_SUCCESS) {
        return rv;
    }
    symbol_index_forget(store, key, is_try, p);
    rv = swap_link(blob, target, store->root, p, err);
    if (APR_STATUS_IS_ENOENT(rv)) { /* retention has just removed the empty directory */
        rv = sal_dir_make(dir, 0755, sync, p, err);
        rv = rv == APR_SUCCESS ? swap_link(blob, target, store->root, p, err) : rv;
    }
    if (rv != APR_SUCCESS ||
        (rv = symbol_index_note(store, key, is_try, sync, p, err)) != APR_SUCCESS) {
        return rv;
    }
    return sync ? sal_dir_sync(dir, err) : APR_SUCCESS;
}

apr_status_t sal_symbol_store_sync(sal_symbol_store_t *store, sal_error_t *err)
{
    int fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    apr_status_t rv = APR_SUCCESS;

    if (fd < 0 || syncfs(fd)) {
        rv = sal_fail_os(err, errno, "cannot write %s to disk", store->root);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rv;
}

bool sal_symbol_store_digest(char out[SAL_SHA256_HEX + 1], int fd)
{
    ssize_t n = fgetxattr(fd, DIGEST_MARK, out, SAL_SHA256_HEX);

    if (n != SAL_SHA256_HEX) {
        return false;
    }
    out[SAL_SHA256_HEX] = '\0';
    return strspn(out, "0123456789abcdef") == SAL_SHA256_HEX;
}

int sal_symbol_store_sweep(sal_symbol_store_t *store, apr_pool_t *p)
{
    const char *dir = apr_pstrcat(p, store->root, "/tmp", NULL);
    time_t now = time(NULL);
    struct dirent *e;
    struct stat st;
    int n = 0;
    DIR *d = opendir(dir);

    if (!d) {
        return 0;
    }
    while ((e = readdir(d))) {
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_mtime < now - (*e->d_name == 's' ? SESSION_SECONDS : STALE_SECONDS) &&
            unlinkat(dirfd(d), e->d_name, 0) == 0) {
            n++;
        }
    }
    closedir(d);
    return n;
}
