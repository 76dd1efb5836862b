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

enum { STALE_TEMP_SECONDS = 3600, TOUCH_SECONDS = 3600 };

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

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* DIR/leaf, or compressed beside it. */
static const char *find_leaf(const char *dir, const char *leaf, apr_pool_t *p)
{
    static const char *const endings[] = { "", ".gz", ".zst" };

    for (int i = 0; i < 3; i++) {
        const char *path = apr_pstrcat(p, dir, "/", leaf, endings[i], NULL);

        if (is_file(path)) {
            return path;
        }
    }
    return NULL;
}

static const char *change_case(const char *s, bool up, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, s);

    for (char *c = out; *c; c++) {
        if (up && *c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        } else if (!up && *c >= 'A' && *c <= 'Z') {
            *c = (char)(*c - 'A' + 'a');
        }
    }
    return out;
}

static const char *find_in_tree(const char *root, const supply_key_t *key, apr_pool_t *p)
{
    const char *ids[] = { key->id, key->sent_id, change_case(key->id, true, p),
                          change_case(key->id, false, p) };
    const char *dir = apr_pstrcat(p, root, "/", key->name, NULL);
    const char *leaf = sal_symbols_leaf(key->name, p);
    struct stat st;

    if (stat(dir, &st) != 0) {
        return NULL;
    }
    for (int i = 0; i < 4; i++) {
        const char *path = find_leaf(apr_pstrcat(p, dir, "/", ids[i], NULL), leaf, p);

        if (path) {
            return path;
        }
    }
    return NULL;
}

typedef struct peek_t {
    const char *id;
    bool same;
} peek_t;

static apr_status_t peek_module(void *baton, const sal_symrec_t *rec)
{
    peek_t *peek = baton;
    char id[SUPPLY_ID_MAX];

    if (rec->kind == SAL_SYMREC_MODULE && rec->id.len < sizeof(id)) {
        memcpy(id, rec->id.s, rec->id.len);
        id[rec->id.len] = '\0';
        peek->same = sal_debug_id_same(id, peek->id);
    }
    return APR_EOF; /* the first record decides */
}

/* A symbols path may name one .sym file; it counts for the module it says it is of. */
static bool file_is_for(const char *path, const supply_key_t *key, apr_pool_t *p)
{
    peek_t peek = { key->id, false };
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        sal_symfile_read_fd(sal_symfile_make(peek_module, &peek, p), fd, path, NULL, NULL);
        close(fd);
    }
    return peek.same;
}

bool supply_is_url(const char *path)
{
    return strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0;
}

static bool lacks(const char *s)
{
    return !s || !*s;
}

bool supply_identify(sal_sym_module_t *module, bool *unreachable, const supply_place_t *place,
                     apr_pool_t *p)
{
    static const char *const all[] = { "", NULL };
    const sal_sym_upstream_t *up = place->opts.upstream;
    const char *const *servers = place->any_url ? place->opts.paths : all;

    if (!up || (!lacks(module->debug_file) && !lacks(module->debug_id)) ||
        lacks(module->code_file) || lacks(module->code_id)) {
        return false;
    }
    for (; *servers; servers++) {
        apr_status_t rv = APR_ENOENT;

        if (!**servers || supply_is_url(*servers)) {
            rv = up->identify(&module->debug_file, &module->debug_id, **servers ? *servers : NULL,
                              module, up->baton, p, NULL);
        }
        if (rv == APR_SUCCESS) {
            return true;
        }
        *unreachable = *unreachable || (rv != APR_ENOENT && rv != APR_EINVAL);
    }
    return false;
}

/* One search: what it is for, where it has got to, what came of it. */
typedef struct search_t {
    const supply_place_t *place;
    const supply_key_t *key;
    supply_result_t *out;
    apr_pool_t *map_pool, *p;
    const char *path; /* of the text, once found */
    bool done;        /* path or out->cache is set */
    bool tried_cache; /* a symcache of what a server gave was looked for */
    bool at_once;     /* servers are not asked */
    char reason[200]; /* of a server that could not answer */
} search_t;

/* Opens a symcache if it is there and `fits`; the pool holds it then. */
static bool open_symcache(supply_result_t *out, const char *path, apr_pool_t *map_pool,
                          bool (*fits)(const sal_symcache_t *c, const void *baton),
                          const void *baton)
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

static bool is_of_server(const sal_symcache_t *c, const void *baton)
{
    const supply_key_t *key = baton;
    sal_symcache_info_t info;

    sal_symcache_info(c, &info);
    return info.url && *info.url && sal_debug_id_same(info.debug_id, key->id);
}

/* Tells whoever clears old symcaches that this one is in use; at most once an hour. */
static void touch(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && st.st_mtime < time(NULL) - TOUCH_SECONDS) {
        (void)!utimensat(AT_FDCWD, path, NULL, 0);
    }
}

static sal_sym_module_t module_of(const supply_key_t *key)
{
    return (sal_sym_module_t){ key->name, key->id, key->code_file, key->code_id, key->code_path };
}

/* What was fetched once need not be fetched again: not even its text need be there any more. */
static void ask_server(search_t *s, const char *server)
{
    const sal_sym_upstream_t *up = s->place->opts.upstream;
    sal_sym_module_t module = module_of(s->key);
    sal_error_t err = { 0 };
    apr_status_t rv;

    if (!s->tried_cache) {
        const char *path = supply_symcache_path(s->place, s->key, s->p);

        s->tried_cache = true;
        s->done = open_symcache(s->out, path, s->map_pool, is_of_server, s->key);
        if (s->done) {
            touch(path);
            return;
        }
    }
    rv = up->get(&s->path, server, &module, up->baton, s->p, &err);
    if (rv == APR_SUCCESS) {
        s->done = true;
    } else if (rv != APR_ENOENT && rv != APR_EINVAL && !s->reason[0]) {
        apr_cpystrn(s->reason, err.message[0] ? err.message : "no answer", sizeof(s->reason));
    }
    s->out->pending = s->out->pending || rv == SAL_E_BUSY;
}

static void search_path(search_t *s, const char *path)
{
    struct stat st;

    if (s->place->opts.upstream && supply_is_url(path)) {
        if (!s->at_once) {
            ask_server(s, path);
        }
        return;
    }
    if (stat(path, &st) != 0) {
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        s->path = find_in_tree(path, s->key, s->p);
    } else if (S_ISREG(st.st_mode) && file_is_for(path, s->key, s->p)) {
        s->path = path;
    }
    s->done = s->path != NULL;
}

static void search_store(search_t *s)
{
    const char *leaf = sal_symbols_leaf(s->key->name, s->p);
    bool gzipped;

    s->done =
        s->place->store && sal_symbol_store_find(&s->path, &gzipped, s->place->store, s->key->name,
                                                 s->key->id, leaf, true, s->p, NULL) == APR_SUCCESS;
}

/* The text of the module's symbols, or a symcache that needs none; else the reason in out. */
static const char *find_source(search_t *s)
{
    const sal_supplier_opts_t *o = &s->place->opts;
    sal_error_t err = { .message = "not found" };
    apr_status_t rv = APR_ENOENT;

    search_store(s);
    for (const char *const *path = o->paths; !s->done && path && *path; path++) {
        search_path(s, *path);
    }
    if (!s->done && o->find) {
        rv = o->find(&s->path, s->key->name, s->key->id, o->find_baton, s->p, &err);
        s->done = rv == APR_SUCCESS;
    }
    if (!s->done && o->upstream && !s->place->any_url && !s->at_once) {
        ask_server(s, NULL);
    }
    if (!s->done && o->make) {
        sal_sym_module_t module = module_of(s->key);

        rv = o->make(&s->path, &module, o->make_baton, s->p, &err);
        s->done = rv == APR_SUCCESS;
    }
    if (s->done) {
        return s->path;
    }
    s->out->state = SAL_SYM_MISSING;
    s->out->unreachable = s->reason[0] != '\0';
    apr_cpystrn(s->out->reason,
                s->reason[0]               ? s->reason
                : APR_STATUS_IS_ENOENT(rv) ? "not found"
                                           : err.message,
                sizeof(s->out->reason));
    return NULL;
}

static bool has_stamp(const sal_symcache_t *c, const void *baton)
{
    return sal_symcache_stamp(c) == *(const uint64_t *)baton;
}

/* Opens the symcache if it is there and was made from this state of the source. */
static bool adopt(supply_result_t *out, const char *path, uint64_t stamp, apr_pool_t *map_pool)
{
    return open_symcache(out, path, map_pool, has_stamp, &stamp);
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

static void build(supply_result_t *out, const supply_place_t *place, const char *path,
                  const char *source, apr_pool_t *map_pool, apr_pool_t *scratch)
{
    sal_error_t err = { 0 };
    int fd;

    if (lock_file(&fd, place->opts.symcache_dir, path, scratch, &err) != APR_SUCCESS) {
        build_aside(out, source, &err, map_pool, scratch);
        return;
    }
    build_locked(out, path, source, map_pool, scratch);
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
    search_t search = {
        .place = place, .key = key, .out = out, .map_pool = map_pool, .p = scratch
    };
    const char *source;
    struct stat st;
    uint64_t stamp;

    memset(out, 0, sizeof(*out));
    out->state = SAL_SYM_FOUND;
    source = find_source(&search);
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
        touch(path);
    } else {
        build(out, place, path, source, map_pool, scratch);
    }
    if (out->state == SAL_SYM_FOUND) {
        check_identity(out, key);
    }
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
    search_t search = {
        .place = place, .key = key, .out = out, .map_pool = map_pool, .p = scratch, .at_once = true
    };
    const char *path =
        apr_psprintf(scratch, "%s/" SUPPLY_PART "%d.%u", place->opts.symcache_dir, (int)getpid(),
                     __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
    const char *source;
    sal_error_t err = { 0 };

    memset(out, 0, sizeof(*out));
    out->state = SAL_SYM_FOUND;
    source = find_source(&search);
    if (settled_without_text(out, 0)) {
        return;
    }
    if (sal_symcache_build_part(path, source, offsets, n, scratch, &err) != APR_SUCCESS ||
        !open_symcache(out, path, map_pool, fits_any, NULL)) {
        out->state = SAL_SYM_CORRUPT;
        apr_cpystrn(out->reason, err.message, sizeof(out->reason));
    }
    unlink(path);
    if (out->state == SAL_SYM_FOUND) {
        check_identity(out, key);
    }
}
