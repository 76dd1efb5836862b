/*
 * Asking upstream servers through a pipe: for programs that shall not load a network library, and
 * for those that may not have sockets. The asker writes a line, the other end answers with one:
 *
 *   sym TAB server TAB debug_file TAB debug_id TAB code_file TAB code_id
 *   id  TAB server TAB            TAB          TAB code_file TAB code_id
 *
 *   ok   TAB path                       (sym)
 *   ok   TAB debug_file TAB debug_id    (id)
 *   none TAB reason                     nobody has it
 *   fail TAB reason                     it could not be had now
 *
 * server is the URL of one of those that the other end knows, or empty for all of them. Names hold
 * no control characters; a line that does is not sent.
 */
#ifndef SAL_UPSTREAM_PIPE_H
#define SAL_UPSTREAM_PIPE_H

#include <stdbool.h>
#include "symbols/supplier.h"
#include "upstream/upstream.h"

enum { SAL_UPSTREAM_QUESTION_MAX = 4096, SAL_UPSTREAM_ANSWER_MAX = 8192 };

/*
 * The asker's end. start is called before the first question and opens the pipes; it may be NULL if
 * they are given. Whatever fails on the way is an answer `fail`. Thread-safe: one asks at a time.
 */
typedef apr_status_t (*sal_upstream_start_fn)(int *to, int *from, void *baton, sal_error_t *err);
SAL_API const sal_sym_upstream_t *sal_upstream_pipe_make(int to, int from,
                                                         sal_upstream_start_fn start, void *baton,
                                                         apr_pool_t *p);

/*
 * Is this a question, of names and nothing else (line without LF)? What a process may send on
 * behalf of one that it does not trust. with_server: one that names a server passes too.
 */
SAL_API bool sal_upstream_question_ok(const char *line, apr_size_t len, bool with_server);

/* The other end: answers questions until there are no more. */
SAL_API void sal_upstream_serve(sal_upstream_t *u, int from, int to, apr_pool_t *p);

/*
 * Asks in this process: what a supplier in httpd is given. A caller waits at most this long (in
 * seconds; 0: as long as it takes) and is told SAL_E_BUSY then; the download goes on in a thread of
 * its own, a bounded number of them at a time, and whoever asks later finds the file. Lives in p,
 * whose end stops what is under way; u must outlive it.
 */
SAL_API const sal_sym_upstream_t *sal_upstream_source(sal_upstream_t *u, int wait_seconds,
                                                      apr_pool_t *p);

#endif
