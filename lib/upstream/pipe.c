/*
 * The asker's end of the pipe to upstream servers. Links no network library, and needs no system
 * call but read and write.
 */
#include "upstream/pipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"
#include "symbols/module_id.h"

enum { FIELDS = 6, ID_MAX = 128, NAME_BYTES = 255 };

typedef struct asker_t {
    sal_sym_upstream_t functions;
    pthread_mutex_t lock;
    int to, from;
    bool broken; /* the other end is gone */
    sal_upstream_start_fn start;
    void *baton;
} asker_t;

/* ---- questions ---- */

static bool plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool hex_or_empty(const char *s, size_t len)
{
    return len <= ID_MAX && strspn(s, "0123456789abcdefABCDEF-") >= len;
}

static bool name_or_empty(const char *s, size_t len)
{
    return len == 0 || sal_symbols_name_valid(s, len);
}

bool sal_upstream_question_ok(const char *line, apr_size_t len, bool with_server)
{
    const char *field[FIELDS], *s = line, *end = line + len;
    size_t size[FIELDS];
    int n = 0;
    bool sym, id;

    if (len > SAL_UPSTREAM_QUESTION_MAX) {
        return false;
    }
    while (n < FIELDS) {
        const char *tab = memchr(s, '\t', (size_t)(end - s));

        field[n] = s;
        size[n++] = (size_t)((tab ? tab : end) - s);
        if (!tab) {
            break;
        }
        s = tab + 1;
    }
    if (n != FIELDS || field[5] + size[5] != end) {
        return false;
    }
    sym = size[0] == 3 && !memcmp(field[0], "sym", 3);
    id = size[0] == 2 && !memcmp(field[0], "id", 2);
    if ((!sym && !id) || (size[1] && !with_server) || !plain(field[1], size[1])) {
        return false;
    }
    return name_or_empty(field[2], size[2]) && hex_or_empty(field[3], size[3]) &&
           name_or_empty(field[4], size[4]) && hex_or_empty(field[5], size[5]) &&
           (sym ? size[2] && size[3] : size[4] && size[5]);
}

/* A code file's name is sent for the record; one that cannot be is left out. */
static const char *question(const char *what, const char *server, const sal_sym_module_t *m,
                            apr_pool_t *p)
{
    const char *code_file = m->code_file ? sal_basename(m->code_file) : "";
    const char *code_id = m->code_id ? m->code_id : "";
    bool sym = !strcmp(what, "sym");

    if (!name_or_empty(code_file, strlen(code_file))) {
        code_file = "";
    }
    return apr_pstrcat(p, what, "\t", server ? server : "", "\t", sym ? m->debug_file : "", "\t",
                       sym ? m->debug_id : "", "\t", code_file, "\t",
                       hex_or_empty(code_id, strlen(code_id)) ? code_id : "", NULL);
}

/* ---- the exchange ---- */

/* A pipe whose reader is gone shall cost an answer, not the process. */
static bool send_line(int fd, const char *line, apr_pool_t *p)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    const char *text = apr_pstrcat(p, line, "\n", NULL);
    apr_status_t rv;

    sigaction(SIGPIPE, &ignore, &before);
    rv = sal_fd_write_all(fd, text, strlen(text));
    sigaction(SIGPIPE, &before, NULL);
    return rv == APR_SUCCESS;
}

/* One line without its LF; NULL if there is none. Nothing follows an answer. */
static char *read_line(int fd, apr_pool_t *p)
{
    char *line = apr_palloc(p, SAL_UPSTREAM_ANSWER_MAX + 1);
    size_t n = 0;

    while (n < SAL_UPSTREAM_ANSWER_MAX) {
        ssize_t got = read(fd, line + n, SAL_UPSTREAM_ANSWER_MAX - n);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        n += (size_t)got;
        if (line[n - 1] == '\n') {
            line[n - 1] = '\0';
            return line;
        }
    }
    return NULL;
}

static char *exchange(asker_t *a, const char *line, apr_pool_t *p, sal_error_t *err)
{
    char *answer = NULL;

    if (a->broken) {
        return NULL;
    }
    if (a->to < 0 && (!a->start || a->start(&a->to, &a->from, a->baton, err) != APR_SUCCESS)) {
        a->broken = true;
        return NULL;
    }
    if (send_line(a->to, line, p)) {
        answer = read_line(a->from, p);
    }
    a->broken = answer == NULL;
    return answer;
}

/* The answer's fields after the first; the status is that of the first. */
static apr_status_t ask(char **rest, asker_t *a, const char *line, apr_pool_t *p, sal_error_t *err)
{
    sal_error_t why = { .message = "" };
    char *answer;

    if (!sal_upstream_question_ok(line, strlen(line), true)) {
        return sal_fail(err, APR_EINVAL, "such a name is not sent to a server");
    }
    pthread_mutex_lock(&a->lock);
    answer = exchange(a, line, p, &why);
    pthread_mutex_unlock(&a->lock);
    if (!answer) {
        return sal_fail(err, APR_EGENERAL, "download failed: %s",
                        why.message[0] ? why.message : "the program that downloads has ended");
    }
    *rest = strchr(answer, '\t');
    if (!*rest) {
        return sal_fail(err, SAL_E_MALFORMED, "download failed: no answer");
    }
    *(*rest)++ = '\0';
    if (!strcmp(answer, "ok")) {
        return APR_SUCCESS;
    }
    return sal_fail(err, !strcmp(answer, "none") ? APR_ENOENT : APR_EGENERAL, "%s", *rest);
}

static apr_status_t get(const char **path, const char *server, const sal_sym_module_t *module,
                        void *baton, apr_pool_t *p, sal_error_t *err)
{
    char *rest;
    apr_status_t rv = ask(&rest, baton, question("sym", server, module, p), p, err);

    *path = rv == APR_SUCCESS ? rest : NULL;
    return rv;
}

static apr_status_t identify(const char **debug_file, const char **debug_id, const char *server,
                             const sal_sym_module_t *module, void *baton, apr_pool_t *p,
                             sal_error_t *err)
{
    char *rest, *tab;
    apr_status_t rv = ask(&rest, baton, question("id", server, module, p), p, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    tab = strchr(rest, '\t');
    if (!tab) {
        return sal_fail(err, SAL_E_MALFORMED, "download failed: no answer");
    }
    *tab = '\0';
    *debug_file = rest;
    *debug_id = tab + 1;
    return APR_SUCCESS;
}

static apr_status_t asker_free(void *data)
{
    asker_t *a = data;

    if (a->start && a->to >= 0) {
        close(a->to);
        close(a->from);
    }
    pthread_mutex_destroy(&a->lock);
    return APR_SUCCESS;
}

const sal_sym_upstream_t *sal_upstream_pipe_make(int to, int from, sal_upstream_start_fn start,
                                                 void *baton, apr_pool_t *p)
{
    asker_t *a = apr_pcalloc(p, sizeof(*a));

    a->functions = (sal_sym_upstream_t){ get, identify, a };
    a->to = to;
    a->from = from;
    a->start = start;
    a->baton = baton;
    pthread_mutex_init(&a->lock, NULL);
    apr_pool_cleanup_register(p, a, asker_free, apr_pool_cleanup_null);
    return &a->functions;
}
