/*
 * Those who have upstream servers and answer for them: through a pipe, or in their own process.
 */
#include "symbols/upstream_pipe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

enum { FIELDS = 6 };

/* ---- in this process ---- */

static sal_upstream_want_t want_of(const char *server, const sal_sym_module_t *m)
{
    return (sal_upstream_want_t){ .kind = SAL_UPSTREAM_SYM,
                                  .file = m->debug_file,
                                  .id = m->debug_id,
                                  .code_file = m->code_file,
                                  .code_id = m->code_id,
                                  .server = server };
}

static apr_status_t get(const char **path, const char *server, const sal_sym_module_t *module,
                        void *baton, apr_pool_t *p, sal_error_t *err)
{
    sal_upstream_want_t want = want_of(server, module);
    sal_upstream_got_t got;
    apr_status_t rv = sal_upstream_get(&got, baton, &want, p, err);

    *path = rv == APR_SUCCESS ? got.path : NULL;
    return rv;
}

static apr_status_t identify(const char **debug_file, const char **debug_id, const char *server,
                             const sal_sym_module_t *module, void *baton, apr_pool_t *p,
                             sal_error_t *err)
{
    sal_upstream_want_t want = want_of(server, module);

    return sal_upstream_identify(debug_file, debug_id, baton, &want, p, err);
}

const sal_sym_upstream_t *sal_upstream_source(sal_upstream_t *u, apr_pool_t *p)
{
    sal_sym_upstream_t *source = apr_palloc(p, sizeof(*source));

    *source = (sal_sym_upstream_t){ get, identify, u };
    return source;
}

/* ---- through a pipe ---- */

/* A reason, in one line and without tabs. */
static const char *one_line(const char *text, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, *text ? text : "no reason");

    for (char *s = out; *s; s++) {
        *s = (unsigned char)*s < ' ' ? ' ' : *s;
    }
    return out;
}

static const char *answer(sal_upstream_t *u, char *line, apr_pool_t *p)
{
    char *field[FIELDS];
    const char *path, *debug_file, *debug_id;
    sal_sym_module_t module;
    sal_error_t err = { .message = "" };
    apr_status_t rv;
    bool sym;

    if (!sal_upstream_question_ok(line, strlen(line), true)) {
        return "fail\tnot a question";
    }
    for (int i = 0; i < FIELDS; i++) {
        field[i] = line;
        line += strcspn(line, "\t");
        *line++ = '\0';
    }
    sym = !strcmp(field[0], "sym");
    module = (sal_sym_module_t){ field[2], field[3], field[4], field[5] };
    rv = sym ? get(&path, *field[1] ? field[1] : NULL, &module, u, p, &err)
             : identify(&debug_file, &debug_id, *field[1] ? field[1] : NULL, &module, u, p, &err);
    if (rv == APR_SUCCESS) {
        return sym ? apr_pstrcat(p, "ok\t", path, NULL)
                   : apr_pstrcat(p, "ok\t", debug_file, "\t", debug_id, NULL);
    }
    return apr_pstrcat(p, rv == APR_ENOENT || rv == APR_EINVAL ? "none\t" : "fail\t",
                       one_line(err.message, p), NULL);
}

/* Bytes of the next line, LF included, once it is in the buffer; 0: no more are to come. */
static size_t next_line(char *buf, size_t *have, int from)
{
    while (true) {
        char *end = memchr(buf, '\n', *have);
        ssize_t n;

        if (end) {
            return (size_t)(end + 1 - buf);
        }
        if (*have == SAL_UPSTREAM_QUESTION_MAX) {
            return 0;
        }
        n = read(from, buf + *have, SAL_UPSTREAM_QUESTION_MAX - *have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return 0;
        }
        *have += (size_t)n;
    }
}

void sal_upstream_serve(sal_upstream_t *u, int from, int to, apr_pool_t *p)
{
    char *buf = apr_palloc(p, SAL_UPSTREAM_QUESTION_MAX);
    size_t have = 0, n;
    apr_pool_t *scratch;
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&scratch, p);
    while (rv == APR_SUCCESS && (n = next_line(buf, &have, from)) > 0) {
        const char *text;

        buf[n - 1] = '\0';
        text = apr_pstrcat(scratch, answer(u, apr_pstrdup(scratch, buf), scratch), "\n", NULL);
        rv = sal_fd_write_all(to, text, strlen(text));
        memmove(buf, buf + n, have - n);
        have -= n;
        apr_pool_clear(scratch);
    }
    apr_pool_destroy(scratch);
}
