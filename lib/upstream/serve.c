/*
 * The other end of the pipe: those who have upstream servers and answer for them.
 */
#include "upstream/pipe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"

enum { FIELDS = 6 };

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
    const char *debug_file, *debug_id;
    sal_upstream_want_t want = { .kind = SAL_UPSTREAM_SYM };
    sal_upstream_got_t got;
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
    want.server = *field[1] ? field[1] : NULL;
    want.file = field[2];
    want.id = field[3];
    want.code_file = field[4];
    want.code_id = field[5];
    rv = sym ? sal_upstream_get(&got, u, &want, p, &err)
             : sal_upstream_identify(&debug_file, &debug_id, u, &want, p, &err);
    if (rv == APR_SUCCESS) {
        return sym ? apr_pstrcat(p, "ok\t", got.path, NULL)
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
