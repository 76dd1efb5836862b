/*
 * Finding the text of a module's symbols and making its symcache, one builder on a host.
 *
 * The lock is flock on a private descriptor: it excludes threads as well as processes, and the
 * kernel frees it when the builder dies. Whoever gets it looks again before building. Lock files
 * stay: unlinking one would let two builders hold "the" lock.
 */
#include "symbols/supplier_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include <xxhash.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "symbols/symcache_format.h"
#include "symbols/symfile.h"

enum { STALE_TEMP_SECONDS = 3600, TOUCH_SECONDS = 300 };

const char *supply_key_make(supply_key_t *key, const sal_sym_module_t *module, apr_pool_t *p)
{
    const char *debug_id = module->debug_id;
    char canonical[SAL_DEBUG_ID_SIZE];

    *key = (supply_key_t){ .name = module->debug_file ? sal_basename(module->debug_file) : "",
                           .sent_id = debug_id,
                           .code_file = module->code_file,
                           .code_id = module->code_id,
                           .code_path = module->code_path };
    if (!key->name[0] || !debug_id || !debug_id[0]) {
        return "the module has no debug file or no debug id";
    }
    if (strlen(key->name) > SUPPLY_NAME_MAX - 4 || strcmp(key->name, ".") == 0 ||
        strcmp(key->name, "..") == 0) {
        return "the debug file's name cannot be looked up";
    }
    if (sal_debug_id_canonical(canonical, debug_id)) {
        key->id = apr_pstrdup(p, canonical);
        return NULL;
    }
    if (!sal_debug_id_valid(debug_id) || strlen(debug_id) > SUPPLY_ID_MAX - 16) {
        return "bad debug id";
    }
    key->id = apr_pstrdup(p, debug_id);
    for (char *c = (char *)key->id; *c; c++) {
        *c = *c >= 'a' && *c <= 'f' ? (char)(*c - 'a' + 'A') : *c;
    }
    return NULL;
}

/* A file name of any bytes; what no file system or shell minds stays as it is. */
static const char *encode_name(const char *name, apr_pool_t *p)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789._-+@~";
    char *out = apr_palloc(p, 3 * strlen(name) + 1);
    char *to = out;

    for (const char *s = name; *s; s++) {
        if (strchr(plain, *s) && !(s == name && *s == '.')) {
            *to++ = *s;
        } else {
            to += snprintf(to, 4, "%%%02X", (unsigned char)*s);
        }
    }
    *to = '\0';
    if (to - out > 200) { /* too long for a file name: its beginning and a hash */
        snprintf(out + 180, 20, "%%-%016llx", (unsigned long long)XXH3_64bits(name, strlen(name)));
    }
    return out;
}

const char *supply_symcache_path(const supply_place_t *place, const supply_key_t *key,
                                 apr_pool_t *p)
{
    uint64_t h =
        XXH3_64bits_withSeed(key->id, strlen(key->id), XXH3_64bits(key->name, strlen(key->name)));

    return apr_psprintf(p, "%s/v%d/%02x/%s/%s.symx", place->opts.symcache_dir, SYMX_VERSION,
                        (unsigned)(h & 0xff), encode_name(key->name, p), key->id);
}

/* Opens a symcache if it is there and `fits`; the pool holds it then. */
bool supply_open(supply_result_t *out, const char *path, apr_pool_t *map_pool,
                 bool (*fits)(const sal_symcache_t *c, const void *baton), const void *baton)
{
    sal_symcache_t *cache;
    apr_pool_t *trial;

    apr_pool_create(&trial, map_pool);
    if (sal_symcache_open(&cache, path, trial, NULL) != APR_SUCCESS || !fits(cache, baton)) {
        apr_pool_destroy(trial);
        return false;
    }
    out->cache = cache;
    out->stamp = sal_symcache_stamp(cache);
    return true;
}

/* Tells whoever clears old symcaches that this one is in use; at most every five minutes. */
void supply_touch(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_mtime < time(NULL) - TOUCH_SECONDS) {
        (void)!utimensat(AT_FDCWD, path, NULL, 0);
    }
}

static bool has_stamp(const sal_symcache_t *c, const void *baton)
{
    return sal_symcache_stamp(c) == *(const uint64_t *)baton;
}

/* Opens the symcache if it is there and was made from this state of the source. */
static bool adopt(supply_result_t *out, const char *path, uint64_t stamp, apr_pool_t *map_pool)
{
    return supply_open(out, path, map_pool, has_stamp, &stamp);
}

/* What a builder that was killed left behind; its rename never came. */
static void remove_stale_temps(const char *path, apr_pool_t *p)
{
    const char *slash = strrchr(path, '/');
    const char *dir = apr_pstrmemdup(p, path, (apr_size_t)(slash - path));
    size_t len = strlen(slash + 1);
    DIR *d = opendir(dir);
    struct dirent *e;
    struct stat st;

    while (d && (e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, slash + 1, len) == 0 && strncmp(e->d_name + len, ".tmp.", 5) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtime < time(NULL) - STALE_TEMP_SECONDS) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d) {
        closedir(d);
    }
}

/*
 * Makes one folder. Where an operator lets a group write symcaches (httpd and the daemon may be two
 * users), what is below is for the group too, whatever the umask says.
 */
static apr_status_t make_folder(const char *path, mode_t shared, sal_error_t *err)
{
    int fd;

    if (mkdir(path, 0755) != 0) {
        return errno == EEXIST ? APR_SUCCESS : sal_fail_os(err, errno, "cannot make %s", path);
    }
    fd = shared ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)!fchmod(fd, 0755 | shared);
        close(fd);
    }
    return APR_SUCCESS;
}

apr_status_t supply_make_folders(const char *root, const char *path, mode_t *shared, apr_pool_t *p,
                                 sal_error_t *err)
{
    char *copy = apr_pstrdup(p, path);
    apr_status_t rv = APR_SUCCESS;
    struct stat st;

    *shared = stat(root, &st) == 0 ? st.st_mode & (S_IWGRP | S_ISGID) : 0;
    for (char *s = strchr(copy + strlen(root) + 1, '/'); s && rv == APR_SUCCESS;
         s = strchr(s + 1, '/')) {
        *s = '\0';
        rv = make_folder(copy, *shared & S_IWGRP ? *shared : 0, err);
        *s = '/';
    }
    return rv;
}

static apr_status_t lock_file(int *fd, const char *root, const char *path, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *name = apr_pstrcat(p, path, ".lock", NULL);
    mode_t shared;
    apr_status_t rv = supply_make_folders(root, path, &shared, p, err);
    int code;

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", name);
    }
    if (shared & S_IWGRP) {
        (void)!fchmod(*fd, 0664); /* its maker's only; then it is so already */
    }
    do {
        code = flock(*fd, LOCK_EX);
    } while (code != 0 && errno == EINTR);
    if (code != 0) {
        rv = errno;
        close(*fd);
        return sal_fail_os(err, rv, "cannot lock %s", name);
    }
    return APR_SUCCESS;
}

static void failed(supply_result_t *out, const sal_error_t *err, const char *source)
{
    out->state = SAL_SYM_CORRUPT;
    apr_cpystrn(out->reason, err->message, sizeof(out->reason));
    sal_log(SAL_LOG_WARNING, 2051, "no symcache for %s: %s", source, err->message);
}

/*
 * The folder of symcaches cannot be written, or is full: this process builds for itself, into a
 * file without a name. Worse than sharing, better than bare frames.
 */
static void build_aside(supply_result_t *out, const char *source, const sal_error_t *why,
                        apr_pool_t *map_pool, apr_pool_t *scratch)
{
    const char *tmp = getenv("TMPDIR");
    char *path = apr_pstrcat(scratch, tmp && *tmp ? tmp : "/tmp", "/salvage-symcache.XXXXXX", NULL);
    sal_error_t err = *why;
    int fd = mkostemp(path, O_CLOEXEC);
    apr_status_t rv = APR_EGENERAL;

    if (fd >= 0) {
        close(fd);
        rv = sal_symcache_build(path, source, scratch, &err);
        rv = rv == APR_SUCCESS ? sal_symcache_open(&out->cache, path, map_pool, &err) : rv;
        unlink(path);
    }
    if (rv != APR_SUCCESS) {
        failed(out, &err, source);
        return;
    }
    out->built = true;
    out->stamp = sal_symcache_stamp(out->cache);
    sal_log(SAL_LOG_WARNING, 2053, "symcache of %s is not shared: %s", source, why->message);
}

static void build_locked(supply_result_t *out, const char *path, const char *source,
                         apr_pool_t *map_pool, apr_pool_t *scratch)
{
    sal_error_t err = { 0 };
    struct stat st;
    apr_status_t rv;

    /* The source may have been replaced, and the symcache made, while we waited for the lock. */
    if (stat(source, &st) != 0) {
        out->state = SAL_SYM_MISSING;
        apr_cpystrn(out->reason, "not found", sizeof(out->reason));
        return;
    }
    if (adopt(out, path, sal_symcache_stamp_of(&st), map_pool)) {
        return;
    }
    remove_stale_temps(path, scratch);
    rv = sal_symcache_build(path, source, scratch, &err);
    if (rv == APR_SUCCESS) {
        out->built = true;
        rv = sal_symcache_open(&out->cache, path, map_pool, &err);
    }
    if (rv == SAL_E_MALFORMED || rv == SAL_E_TOOBIG) {
        failed(out, &err, source);
    } else if (rv != APR_SUCCESS) {
        build_aside(out, source, &err, map_pool, scratch);
    } else {
        out->stamp = sal_symcache_stamp(out->cache);
    }
}

static int open_turn(const supply_place_t *place, long i, apr_pool_t *p)
{
    const char *name = apr_psprintf(p, "%s/build.%ld.lock", place->opts.symcache_dir, i);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct stat st;

    if (fd >= 0 && stat(place->opts.symcache_dir, &st) == 0 && st.st_mode & S_IWGRP) {
        (void)!fchmod(fd, 0664); /* its maker's only; then it is so already */
    }
    return fd;
}

/*
 * Of the threads of all processes at most half as many build as there are processors; a descriptor
 * that keeps the turn, or -1. Who gets a turn already has the lock of its symcache, so nobody waits
 * for one with a turn in hand.
 */
static int take_turn(const supply_place_t *place, apr_pool_t *p)
{
    static unsigned next;
    long turns = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    int fd;

    turns = turns > 1 ? turns : 1;
    for (long i = 0; i < turns; i++) {
        fd = open_turn(place, i, p);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
            return fd;
        }
        close(fd);
    }
    fd = open_turn(place, __atomic_add_fetch(&next, 1, __ATOMIC_RELAXED) % turns, p);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static void build(supply_result_t *out, const supply_place_t *place, const char *path,
                  const char *source, apr_pool_t *map_pool, apr_pool_t *scratch)
{
    sal_error_t err = { 0 };
    int fd, turn;

    if (lock_file(&fd, place->opts.symcache_dir, path, scratch, &err) != APR_SUCCESS) {
        build_aside(out, source, &err, map_pool, scratch);
        return;
    }
    turn = place->in_turn ? take_turn(place, scratch) : -1;
    build_locked(out, path, source, map_pool, scratch);
    if (turn >= 0) {
        close(turn);
    }
    close(fd);
}

static void check_identity(supply_result_t *out, const supply_key_t *key)
{
    sal_symcache_info_t info;

    sal_symcache_info(out->cache, &info);
    if (!sal_debug_id_same(info.debug_id, key->id)) {
        out->state = SAL_SYM_CORRUPT;
        snprintf(out->reason, sizeof(out->reason), "the symbols are those of %.60s", info.debug_id);
    }
}

/* What a search that found no text has to say; true if that is all. */
static bool settled_without_text(supply_result_t *out, uint64_t have)
{
    if (out->cache || (out->unreachable && have)) { /* a server that fails takes nothing away */
        out->state = SAL_SYM_FOUND;
        out->unchanged = have != 0 && (!out->cache || out->stamp == have);
        out->stamp = out->unchanged ? have : out->stamp;
    }
    return out->cache || out->unchanged || out->state != SAL_SYM_FOUND;
}

void supply_module(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                   uint64_t have, apr_pool_t *map_pool, apr_pool_t *scratch)
{
    const char *path = supply_symcache_path(place, key, scratch);
    supply_search_t search = {
        .place = place, .key = key, .out = out, .map_pool = map_pool, .p = scratch
    };
    const char *source;
    struct stat st;
    uint64_t stamp;

    memset(out, 0, sizeof(*out));
    out->state = SAL_SYM_FOUND;
    source = supply_find(&search);
    if (settled_without_text(out, have)) {
        return;
    }
    if (stat(source, &st) != 0) {
        out->state = SAL_SYM_MISSING;
        apr_cpystrn(out->reason, "not found", sizeof(out->reason));
        return;
    }
    out->stamp = stamp = sal_symcache_stamp_of(&st);
    if (have != 0 && stamp == have) {
        out->unchanged = true;
        return;
    }
    if (adopt(out, path, stamp, map_pool)) {
        supply_touch(path);
    } else {
        build(out, place, path, source, map_pool, scratch);
    }
    if (out->state == SAL_SYM_FOUND) {
        check_identity(out, key);
    }
}

bool supply_at_hand(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                    apr_pool_t *map_pool, apr_pool_t *scratch)
{
    supply_search_t search = {
        .place = place, .key = key, .out = out, .map_pool = map_pool, .p = scratch, .at_hand = true
    };
    const char *path = supply_symcache_path(place, key, scratch);
    const char *source;
    struct stat st;

    memset(out, 0, sizeof(*out));
    out->state = SAL_SYM_FOUND;
    source = supply_find(&search);
    if (search.skipped) {
        return false;
    }
    if (settled_without_text(out, 0)) {
        return true;
    }
    if (stat(source, &st) != 0 || !adopt(out, path, sal_symcache_stamp_of(&st), map_pool)) {
        return false;
    }
    supply_touch(path);
    check_identity(out, key);
    return true;
}

static bool fits_any(const sal_symcache_t *c, const void *baton)
{
    (void)c;
    (void)baton;
    return true;
}

void supply_part(supply_result_t *out, const supply_place_t *place, const supply_key_t *key,
                 const uint64_t *offsets, size_t n, apr_pool_t *map_pool, apr_pool_t *scratch)
{
    static unsigned number;
    supply_search_t search = {
        .place = place, .key = key, .out = out, .map_pool = map_pool, .p = scratch, .at_once = true
    };
    const char *path =
        apr_psprintf(scratch, "%s/" SUPPLY_PART "%d.%u", place->opts.symcache_dir, (int)getpid(),
                     __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
    const char *source;
    sal_error_t err = { 0 };

    memset(out, 0, sizeof(*out));
    out->state = SAL_SYM_FOUND;
    source = supply_find(&search);
    if (settled_without_text(out, 0)) {
        return;
    }
    if (sal_symcache_build_part(path, source, offsets, n, scratch, &err) != APR_SUCCESS ||
        !supply_open(out, path, map_pool, fits_any, NULL)) {
        out->state = SAL_SYM_CORRUPT;
        apr_cpystrn(out->reason, err.message, sizeof(out->reason));
    }
    unlink(path);
    if (out->state == SAL_SYM_FOUND) {
        check_identity(out, key);
    }
}
