/*
 * Threads of the library inside somebody else's process.
 */
#ifndef SAL_BASE_THREAD_H
#define SAL_BASE_THREAD_H

#include <pthread.h>
#include "base/api.h"

/*
 * pthread_create with every signal blocked in the new thread: signals belong to the host's threads.
 * Returns 0 or an errno. The caller joins the thread or detaches it.
 */
SAL_API int sal_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
