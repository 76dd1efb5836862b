/*
 * salvage stackwalk --use-local-debuginfo: symbols of modules that nobody else has, made of the
 * files of this host that the dump names.
 *
 * A path of a dump is hostile input: nothing but a regular file with the module's own id is looked
 * into, and that by another program (`salvage dump-syms`), which has what reads DWARF and is killed
 * when its time is up. Texts are kept in CACHE/.salvage/local in Breakpad layout, each made once by
 * one process; its lock file stays, as unlinking one would let two processes hold "the" lock.
 */
#include "stackwalk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "symbols/object_id.h"
#include "upstream/upstream.h"

#define DEBUG_ROOT "/usr/lib/debug"
#define TEXT_LIMIT "4G"

/* What failed is tried again after this long, or when the files have changed. */
enum { FAILED_SECONDS = 3600, LOCK_INTERVAL = 20000, MAX_PLACES = 6 };

/* Of the texts; held once a walk, after the first one that was made. */
static const uint64_t texts_max = UINT64_C(20) << 30;

typedef struct {
    const char *dir; /* of the texts */
    apr_interval_time_t left;
    bool talks; /* messages of the other program are for the reader */
    bool trimmed;
} local_t;

/* What is known of one module. */
typedef struct {
    const sal_sym_module_t *module;
    const char *dir, *text, *failed; /* where its text is kept; who failed leaves the last */
    const char *places[MAX_PLACES];  /* where its code or its debug information may be */
    int n_places;
    const char *source, *debug; /* those of the module's build; debug may be NULL */
} wanted_t;

/* ---- what there is on this host ---- */

static void add_place(wanted_t *w, const char *path)
{
    for (int i = 0; i < w->n_places; i++) {
        if (!strcmp(w->places[i], path)) {
            return;
        }
    }
    w->places[w->n_places++] = path;
}

/* The code file, the debug file beside it, and where gdb would look; dump-syms finds others. */
static void add_places(wanted_t *w, apr_pool_t *p)
{
    const sal_sym_module_t *m = w->module;
    const char *name = sal_basename(m->code_path);
    const char *dir = apr_pstrmemdup(p, m->code_path, (apr_size_t)(name - m->code_path));

    add_place(w, m->code_path);
    add_place(w, apr_pstrcat(p, dir, m->debug_file, NULL));
    add_place(w, apr_pstrcat(p, m->code_path, ".debug", NULL));
    add_place(w, apr_pstrcat(p, dir, ".debug/", name, ".debug", NULL));
    add_place(w, apr_pstrcat(p, DEBUG_ROOT, dir, name, ".debug", NULL));
    if (m->code_id && strlen(m->code_id) > 2 &&
        strspn(m->code_id, "0123456789abcdefABCDEF") == strlen(m->code_id)) {
        char *hex = apr_pstrdup(p, m->code_id);

        for (char *c = hex; *c; c++) {
            *c = *c >= 'A' && *c <= 'F' ? (char)(*c - 'A' + 'a') : *c;
        }
        add_place(w, apr_psprintf(p, DEBUG_ROOT "/.build-id/%.2s/%s.debug", hex, hex + 2));
    }
}

/* Not even opening a pipe or a device may hold us up. */
static bool is_of_module(sal_object_t *o, const char *path, const sal_sym_module_t *m,
                         apr_pool_t *p)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool same = false;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        sal_object_identify(o, fd, p, NULL) == APR_SUCCESS) {
        same = o->format == SAL_OBJECT_ELF && !o->gzipped &&
               sal_debug_id_same(o->debug_id, m->debug_id) &&
               (!m->code_id || !*m->code_id || !*o->code_id || !strcasecmp(o->code_id, m->code_id));
    }
    if (fd >= 0) {
        close(fd);
    }
    return same;
}

/* The first of them that is of the module's build, and one with DWARF if that has none. */
static bool find_source(wanted_t *w, apr_pool_t *p)
{
    bool has_debug = false;
    sal_object_t object;
    struct stat st;

    w->source = w->debug = NULL;
    for (int i = 0; i < w->n_places && !has_debug; i++) {
        const char *path = w->places[i];

        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
            !is_of_module(&object, path, w->module, p)) {
            continue;
        }
        has_debug = object.has_debug;
        if (!w->source) {
            w->source = path;
        } else if (has_debug) {
            w->debug = path;
        }
    }
    return w->source != NULL;
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Is the file there, and of no less age than any that it could be made of? */
static bool is_current(const wanted_t *w, const char *made, struct stat *made_st)
{
    struct stat st;

    if (stat(made, made_st) != 0) {
        return false;
    }
    for (int i = 0; i < w->n_places; i++) {
        if (stat(w->places[i], &st) == 0 && later(&st.st_ctim, &made_st->st_mtim)) {
            return false;
        }
    }
    return true;
}

static bool failed_lately(const wanted_t *w)
{
    struct stat st;

    return is_current(w, w->failed, &st) && time(NULL) - st.st_mtime < FAILED_SECONDS;
}

/* ---- the other program ---- */

static const char **dumper_arguments(const wanted_t *w, apr_pool_t *p)
{
    const char *argv[] = { "salvage", "dump-syms", "--limit", TEXT_LIMIT, "--name", NULL,
                           "-o",      NULL,        NULL,      NULL,       NULL,     NULL };

    argv[5] = w->module->debug_file;
    argv[7] = w->text;
    argv[8] = w->source; /* absolute: no option */
    if (w->debug) {
        argv[9] = "--debug";
        argv[10] = w->debug;
    }
    return apr_pmemdup(p, argv, sizeof(argv));
}

static void become_dumper(const local_t *l, const char **argv, unsigned seconds)
{
    struct rlimit none = { 0, 0 };
    sigset_t empty;
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(seconds); /* goes on after exec */
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (!l->talks) {
        dup2(null, STDERR_FILENO);
    }
    cmd_become(CMD_TOOLS, argv);
    _exit(CMD_FAILED);
}

/* Exit code of the other program; -1: it was killed, or could not be started. */
static int run_dumper(const local_t *l, const wanted_t *w, apr_pool_t *p)
{
    const char **argv = dumper_arguments(w, p);
    unsigned seconds = (unsigned)((l->left + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    int status;
    pid_t pid;

    fflush(stderr);
    pid = fork();
    if (pid == 0) {
        become_dumper(l, argv, seconds);
    }
    if (pid < 0) {
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What programs left that were killed; under the lock nobody else's. */
static void remove_leftovers(const wanted_t *w)
{
    const char *leaf = sal_basename(w->text);
    size_t len = strlen(leaf);
    DIR *d = opendir(w->dir);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name);

        if (n > len + 4 && !strncmp(e->d_name, leaf, len) && e->d_name[len] == '.' &&
            !strcmp(e->d_name + n - 4, ".tmp")) {
            unlinkat(dirfd(d), e->d_name, 0);
        }
    }
    if (d) {
        closedir(d);
    }
}

/* Not much of it is remembered: that it failed, and when. */
static void remember_failure(const wanted_t *w)
{
    int fd = open(w->failed, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0) {
        (void)!futimens(fd, NULL);
        close(fd);
    }
}

static apr_status_t make_text(local_t *l, wanted_t *w, apr_pool_t *p, sal_error_t *err)
{
    bool whole_time = l->left >= apr_time_from_sec(STACKWALK_LOCAL_SECONDS);
    struct stat st;
    int code;

    /* Another process may have been at it while we waited. */
    if (is_current(w, w->text, &st)) {
        return APR_SUCCESS;
    }
    if (failed_lately(w) || !find_source(w, p)) {
        return sal_fail(err, APR_ENOENT, "not found");
    }
    remove_leftovers(w);
    code = run_dumper(l, w, p);
    if (code == CMD_OK && stat(w->text, &st) == 0) {
        unlink(w->failed);
        return APR_SUCCESS;
    }
    remove_leftovers(w);
    if (code >= 0 || whole_time) { /* else it might do with more time */
        remember_failure(w);
    }
    sal_log(SAL_LOG_WARNING, 5080, "no symbols of %s: %s", w->source,
            code >= 0 ? "salvage dump-syms has none"
                      : "salvage dump-syms was killed, or its time was up");
    return sal_fail(err, APR_ENOENT, "no symbols of %s", w->source);
}

/* ---- one process at a time ---- */

static apr_status_t lock_text(int *fd, const wanted_t *w, apr_time_t until, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *path = apr_pstrcat(p, w->text, ".lock", NULL);
    apr_status_t rv = sal_dir_make(w->dir, 0700, 0, p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return sal_fail_os(err, errno, "cannot open %s", path);
    }
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || apr_time_now() >= until) {
            close(*fd);
            return sal_fail(err, APR_ENOENT, "somebody else makes the symbols and takes long");
        }
        usleep(LOCK_INTERVAL);
    }
    return APR_SUCCESS;
}

static apr_status_t make_locked(local_t *l, wanted_t *w, apr_pool_t *p, sal_error_t *err)
{
    apr_time_t begun = apr_time_now();
    apr_time_t until = begun + l->left;
    apr_status_t rv;
    int fd;

    if (l->left <= 0) {
        return sal_fail(err, APR_ENOENT, "no time is left to make symbols");
    }
    rv = lock_text(&fd, w, until, p, err);
    if (rv == APR_SUCCESS) {
        l->left = until - apr_time_now();
        rv = l->left > 0 ? make_text(l, w, p, err) : APR_ENOENT;
        close(fd);
    }
    l->left = until - apr_time_now();
    return rv;
}

/* Notes the use of a text, which keeps it; whoever makes one holds the folder to its bound. */
static void touch(local_t *l, const char *text, bool made, apr_pool_t *p)
{
    const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };

    utimensat(AT_FDCWD, text, now, 0);
    if (made && !l->trimmed) {
        l->trimmed = true;
        sal_local_trim(l->dir, texts_max, p, NULL);
    }
}

/* A text that was made stays good when its file is gone: the id says so. */
static apr_status_t local_symbols(const char **path, const sal_sym_module_t *module, void *baton,
                                  apr_pool_t *p, sal_error_t *err)
{
    local_t *l = baton;
    wanted_t w = { .module = module };
    apr_status_t rv = APR_SUCCESS;
    struct stat st;
    bool there;

    if (!module->code_path || *module->code_path != '/' ||
        !sal_symbols_name_valid(module->debug_file, strlen(module->debug_file)) ||
        !sal_symbols_name_valid(module->debug_id, strlen(module->debug_id))) {
        return sal_fail(err, APR_ENOENT, "not found");
    }
    w.dir = apr_pstrcat(p, l->dir, "/", module->debug_file, "/", module->debug_id, NULL);
    w.text = apr_pstrcat(p, w.dir, "/", sal_symbols_leaf(module->debug_file, p), NULL);
    w.failed = apr_pstrcat(p, w.text, ".failed", NULL);
    add_places(&w, p);
    there = stat(w.text, &st) == 0;
    if (!there || !is_current(&w, w.text, &st)) {
        rv = find_source(&w, p) ? make_locked(l, &w, p, err)
                                : sal_fail(err, APR_ENOENT, "not found");
    }
    *path = rv == APR_SUCCESS || there ? w.text : NULL;
    if (*path) {
        touch(l, w.text, !there, p);
    }
    return *path ? APR_SUCCESS : rv;
}

void stackwalk_local(sal_supplier_opts_t *opts, const stackwalk_options_t *o, apr_pool_t *p)
{
    local_t *l = apr_pcalloc(p, sizeof(*l));

    l->dir = apr_pstrcat(p, opts->symcache_dir, "/.salvage/local", NULL);
    l->left = apr_time_from_sec(o->local_seconds);
    l->talks = o->log_level >= SAL_LOG_WARNING;
    opts->make = local_symbols;
    opts->make_baton = l;
}
