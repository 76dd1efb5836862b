/*
 * The walker's cage. A walker reads hostile bytes: it gets no new privileges, no sockets, no
 * programs, a bounded amount of everything. What it may do with files is what building a symcache
 * needs; which files, the daemon's user and the unit file decide.
 */
#include "salvaged.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Mapped symbol files count as address space but cost no memory. */
#define MAPPED_MAX (UINT64_C(64) << 30)
#define FILE_MAX (UINT64_C(16) << 30)
#define FILES_MAX 256

static bool limit(int what, rlim_t value)
{
    struct rlimit now;

    if (getrlimit(what, &now) != 0) {
        return false;
    }
    if (now.rlim_max != RLIM_INFINITY && value > now.rlim_max) {
        value = now.rlim_max;
    }
    return setrlimit(what, &(struct rlimit){ value, value }) == 0;
}

/* Bytes of private memory this process has already (the dump among them). */
static uint64_t used_now(void)
{
    unsigned long pages[6] = { 0 };
    FILE *f = fopen("/proc/self/statm", "re");

    if (f) {
        if (fscanf(f, "%lu %lu %lu %lu %lu %lu", &pages[0], &pages[1], &pages[2], &pages[3],
                   &pages[4], &pages[5]) != 6) {
            pages[5] = 0;
        }
        fclose(f);
    }
    return (uint64_t)pages[5] * 4096;
}

static bool limit_memory(apr_uint64_t memory)
{
    uint64_t used = used_now();

#ifdef __SANITIZE_ADDRESS__ /* its shadow counts for terabytes */
    used = UINT64_C(1) << 62;
#endif
    return limit(RLIMIT_DATA, used + memory) && limit(RLIMIT_AS, used + memory + MAPPED_MAX);
}

bool sandbox_limits(apr_uint64_t memory, int cpu_seconds)
{
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, (rlim_t)cpu_seconds) &&
           limit_memory(memory) && limit(RLIMIT_FSIZE, FILE_MAX) &&
           limit(RLIMIT_NOFILE, FILES_MAX) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* clang-format off */
static const int allowed[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect),
    SCMP_SYS(madvise), SCMP_SYS(msync), SCMP_SYS(membarrier),
    /* files: symbols are read, a symcache is written aside and renamed under a lock */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(lseek),
    SCMP_SYS(fstat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
    SCMP_SYS(getcwd), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(umask),
    SCMP_SYS(fchmod), SCMP_SYS(utimensat), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    /* time, threads' own business, randomness */
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(futex), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getrandom),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getrlimit), SCMP_SYS(getrusage),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    /* ending */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group),
#ifdef __SANITIZE_ADDRESS__
    SCMP_SYS(sigaltstack), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
#endif
};
/* clang-format on */

/* What is not listed fails with EPERM: a library that probes falls back instead of dying. */
bool sandbox_system_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (rc == -EDOM || rc == -EEXIST) {
            rc = 0; /* not a call of this architecture */
        }
    }
    if (rc == 0) { /* abort() signals itself, and nobody else */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    }
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    if (filter) {
        seccomp_release(filter);
    }
    errno = -rc;
    return rc == 0;
}
