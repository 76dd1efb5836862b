/*
 * What who runs children shares: pipes, the fork, watching the output, the end. child.c has them,
 * kept.c and child_run use them.
 */
#ifndef PROCESSOR_CHILD_H
#define PROCESSOR_CHILD_H

#include "salvaged.h"

/* A child while its output is awaited. */
typedef struct watch_t {
    const walk_t *walk;
    pid_t pid;
    int fd;
    bool framed; /* the output is over when it is as long as it says; else at the end of the file */
    relay_t relay;
    size_t cap;
    child_end_t *end;
} watch_t;

/* Pipes: result, questions, answers of the child, requests to it; -1 what there is not. */
enum { CHILD_PIPES = 4 };

typedef struct pipes_t {
    int ours[CHILD_PIPES], childs[CHILD_PIPES];
} pipes_t;

apr_status_t child_pipes(pipes_t *pipes, bool questions, bool requests, sal_error_t *err);
void child_close(const int fds[CHILD_PIPES]);
/*
 * Forks; in the child, with signals as they are by default and a parent whose death it does not
 * survive, the answer is 0. -1 with err.
 */
pid_t child_fork(sal_error_t *err);
/* Reads until the end, the time limit, or the tick's word. */
void child_watch(watch_t *w);
/* True if what ended the watch was not the child's own end. */
bool child_failed(const child_end_t *end);
/* Waits for the end and notes it; a child that does not end is killed, with kill_now at once. */
void child_reap(watch_t *w, bool kill_now);

#endif
