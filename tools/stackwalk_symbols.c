/*
 * salvage stackwalk: where symbols come from, as the command line names it. Knows no dump.
 */
#include "stackwalk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#include "base/file.h"
#include "upstream/pipe.h"

enum { MODULE_LINE = 4096 };

/* Where built symcaches are kept when nobody says so. */
static const char *default_cache(apr_pool_t *p)
{
    const char *dir = getenv("XDG_CACHE_HOME");

    if (dir && *dir == '/') {
        return apr_pstrcat(p, dir, "/salvage/symcache", NULL);
    }
    dir = getenv("HOME");
    if (dir && *dir == '/' && access(dir, W_OK) == 0) {
        return apr_pstrcat(p, dir, "/.cache/salvage/symcache", NULL);
    }
    return apr_psprintf(p, "/tmp/salvage-symcache-%u", (unsigned)getuid());
}

/* In a directory that others may write to, somebody could have left symcaches for us. */
static apr_status_t make_cache(const char *path, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_dir_make(path, 0700, 0, p, err);
    struct stat st;

    if (rv == APR_SUCCESS && (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
                              (st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & S_IWOTH)) {
        return sal_fail(err, APR_EACCES,
                        "%s is not a directory of yours that others cannot write "
                        "to; name another with --symbols-cache",
                        path);
    }
    return rv;
}

/* Plain symbol files named on the command line, found by the id in their MODULE line. */
typedef struct {
    const char *path, *debug_id;
} sym_file_t;

static const char *id_of_file(const char *path, apr_pool_t *p)
{
    char line[MODULE_LINE], *last = NULL, *word = line;
    FILE *f = fopen(path, "r");

    if (!f) {
        return NULL;
    }
    if (!fgets(line, sizeof(line), f)) {
        line[0] = '\0';
    }
    fclose(f);
    for (int i = 0; i < 4; i++) {
        word = apr_strtok(i ? NULL : line, " \t\r\n", &last);
        if (!word || (i == 0 && strcmp(word, "MODULE") != 0)) {
            return NULL;
        }
    }
    return apr_pstrdup(p, word);
}

static apr_status_t find_file(const char **path, const char *debug_file, const char *debug_id,
                              void *baton, apr_pool_t *p, sal_error_t *err)
{
    const apr_array_header_t *files = baton;

    for (int i = 0; i < files->nelts; i++) {
        const sym_file_t *f = &APR_ARRAY_IDX(files, i, sym_file_t);

        if (strcasecmp(f->debug_id, debug_id) == 0) {
            *path = apr_pstrdup(p, f->path);
            return APR_SUCCESS;
        }
    }
    return sal_fail(err, APR_ENOENT, "no symbol file given has id %s of %s", debug_id, debug_file);
}

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

/* ---- servers ---- */

typedef struct {
    const stackwalk_options_t *o;
    const char *cache;
    apr_array_header_t *servers; /* const char *: URLs */
    apr_pool_t *p;
} fetching_t;

static const char **fetch_arguments(const fetching_t *f)
{
    apr_array_header_t *argv = apr_array_make(f->p, 16, sizeof(const char *));

    APR_ARRAY_PUSH(argv, const char *) = "salvage-fetch";
    APR_ARRAY_PUSH(argv, const char *) = "--cache";
    APR_ARRAY_PUSH(argv, const char *) = f->cache;
    if (f->o->tmp) {
        APR_ARRAY_PUSH(argv, const char *) = "--tmp";
        APR_ARRAY_PUSH(argv, const char *) = f->o->tmp;
    }
    APR_ARRAY_PUSH(argv, const char *) = "--timeout";
    APR_ARRAY_PUSH(argv, const char *) =
        apr_psprintf(f->p, "%" APR_INT64_T_FMT, f->o->download_seconds);
    APR_ARRAY_PUSH(argv, const char *) = "--log-level";
    APR_ARRAY_PUSH(argv, const char *) = apr_itoa(f->p, f->o->log_level);
    for (int i = 0; i < f->servers->nelts; i++) {
        APR_ARRAY_PUSH(argv, const char *) = APR_ARRAY_IDX(f->servers, i, const char *);
    }
    APR_ARRAY_PUSH(argv, const char *) = NULL;
    return (const char **)argv->elts;
}

static void become_fetcher(const fetching_t *f, const int questions[2], const int answers[2])
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    dup2(questions[0], STDIN_FILENO);
    dup2(answers[1], STDOUT_FILENO);
    cmd_become("salvage-fetch", fetch_arguments(f));
    _exit(CMD_FAILED);
}

/*
 * The network lives in another program: loading it takes longer than walking most dumps, and most
 * walks need none of it. It ends when we close the pipe.
 */
static apr_status_t start_fetcher(int *to, int *from, void *baton, sal_error_t *err)
{
    int questions[2], answers[2];
    pid_t pid;

    if (pipe2(questions, O_CLOEXEC) != 0) {
        return sal_fail_os(err, errno, "pipe");
    }
    if (pipe2(answers, O_CLOEXEC) != 0) {
        close(questions[0]);
        close(questions[1]);
        return sal_fail_os(err, errno, "pipe");
    }
    pid = fork();
    if (pid == 0) {
        become_fetcher(baton, questions, answers);
    }
    close(questions[0]);
    close(answers[1]);
    *to = questions[1];
    *from = answers[0];
    return pid > 0 ? APR_SUCCESS : sal_fail_os(err, errno, "cannot start salvage-fetch");
}

/* ---- all of it ---- */

typedef struct {
    apr_array_header_t *paths;   /* const char *: trees, and with servers URLs and files too */
    apr_array_header_t *files;   /* sym_file_t */
    apr_array_header_t *servers; /* const char * */
    apr_pool_t *p;
} places_t;

static apr_status_t add_server(places_t *s, const char *text, sal_error_t *err)
{
    sal_upstream_server_t server;
    apr_status_t rv = sal_upstream_server_parse(&server, text, s->p, err);

    if (rv == APR_SUCCESS && strpbrk(text, " \t")) {
        rv = sal_fail(err, APR_EINVAL, "\"%s\" is not a URL", text);
    }
    if (rv == APR_SUCCESS) {
        APR_ARRAY_PUSH(s->paths, const char *) = server.url;
        APR_ARRAY_PUSH(s->servers, const char *) = server.url;
    }
    return rv;
}

static apr_status_t add_path(places_t *s, const char *path, sal_error_t *err)
{
    sym_file_t file = { path, NULL };
    apr_finfo_t info;

    if (is_url(path)) {
        return add_server(s, path, err);
    }
    if (apr_stat(&info, path, APR_FINFO_TYPE, s->p) != APR_SUCCESS || info.filetype != APR_REG) {
        APR_ARRAY_PUSH(s->paths, const char *) = path;
        return APR_SUCCESS;
    }
    file.debug_id = id_of_file(path, s->p);
    if (!file.debug_id) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "%s: not a symbol file: its first line is no MODULE record", path);
    }
    APR_ARRAY_PUSH(s->files, sym_file_t) = file;
    APR_ARRAY_PUSH(s->paths, const char *) = path; /* a place in the order */
    return APR_SUCCESS;
}

static apr_status_t read_places(places_t *s, const stackwalk_options_t *o, sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    s->paths = apr_array_make(s->p, 4, sizeof(const char *));
    s->files = apr_array_make(s->p, 4, sizeof(sym_file_t));
    s->servers = apr_array_make(s->p, 4, sizeof(const char *));
    for (int i = 0; i < o->symbols->nelts && rv == APR_SUCCESS; i++) {
        rv = add_path(s, APR_ARRAY_IDX(o->symbols, i, const char *), err);
    }
    for (int i = 0; i < o->urls->nelts && rv == APR_SUCCESS; i++) {
        rv = add_server(s, APR_ARRAY_IDX(o->urls, i, const char *), err);
    }
    APR_ARRAY_PUSH(s->paths, const char *) = NULL;
    return rv;
}

/* Directories are trees in Breakpad layout, files stand for one module each, URLs are servers. */
apr_status_t stackwalk_supplier(sal_supplier_t **out, const stackwalk_options_t *o, apr_pool_t *p,
                                sal_error_t *err)
{
    places_t s = { .p = p };
    sal_supplier_opts_t opts = { .symcache_dir = o->cache ? o->cache : default_cache(p) };
    fetching_t *f = apr_pcalloc(p, sizeof(*f));
    apr_status_t rv = read_places(&s, o, err);

    if (rv != APR_SUCCESS || (rv = make_cache(opts.symcache_dir, p, err)) != APR_SUCCESS) {
        return rv;
    }
    opts.paths = (const char *const *)s.paths->elts;
    if (s.servers->nelts) {
        *f = (fetching_t){ o, opts.symcache_dir, s.servers, p };
        opts.upstream = sal_upstream_pipe_make(-1, -1, start_fetcher, f, p);
    } else if (s.files->nelts) { /* then the order does not matter, and ids are read once */
        opts.find = find_file;
        opts.find_baton = s.files;
    }
    if (o->local) {
        stackwalk_local(&opts, o, p);
    }
    return sal_supplier_make(out, &opts, p, err);
}
