/*
 * Signals as readable data: blocked in every process of the daemon and taken from a descriptor, so
 * that none is lost between a test and a wait.
 */
#include "salvaged.h"

#include <string.h>
#include <unistd.h>
#include <sys/signalfd.h>

static void wanted(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGCHLD);
}

int signals_open(void)
{
    sigset_t set;

    wanted(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int signals_take(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_default(void)
{
    sigset_t none;

    for (int n = 1; n < 32; n++) {
        signal(n, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
