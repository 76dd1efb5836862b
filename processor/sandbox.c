/*
 * The walker's cage. A walker reads hostile bytes: it gets no new privileges, no sockets, no
 * programs, a bounded amount of everything. What it may do with files is what building a symcache
 * needs; which files, the daemon's user and the unit file decide.
 */
#include "salvaged.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
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

/*
 * The kernel's program for the list, made once in the worker: making it costs more than most walks.
 * The one thing in it that differs between processes, the own pid, stands as a number that nothing
 * else in it is.
 */
#define ANY_PID 0x3ffff7edU

static struct sock_fprog program;
static struct sock_filter *own_pid; /* the instruction that compares with it */

/* A negative errno of libseccomp, or 0. */
static int add_rules(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list */

    for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        if (rc == -EDOM || rc == -EEXIST) {
            rc = 0; /* not a call of this architecture */
        }
    }
    if (rc == 0) { /* abort() signals itself, and nobody else */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, ANY_PID));
    }
    return rc;
}

/* libseccomp writes programs to descriptors only. */
static int read_program(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    size_t n = size > 0 ? (size_t)size / sizeof(struct sock_filter) : 0;
    struct sock_filter *code = n && n <= BPF_MAXINSNS ? malloc((size_t)size) : NULL;
    int found = 0;

    if (!code || pread(fd, code, (size_t)size, 0) != size) {
        free(code);
        return -EIO;
    }
    for (size_t i = 0; i < n; i++) {
        if (code[i].k == ANY_PID) {
            own_pid = &code[i];
            found++;
        }
    }
    if (found != 1 || BPF_CLASS(own_pid->code) != BPF_JMP || BPF_OP(own_pid->code) != BPF_JEQ) {
        free(code);
        return -EPROTO;
    }
    program = (struct sock_fprog){ (unsigned short)n, code };
    return 0;
}

bool sandbox_prepare(void)
{
    scmp_filter_ctx filter;
    int rc = -ENOMEM, fd;

    if (program.filter) {
        return true;
    }
    fd = memfd_create("filter", MFD_CLOEXEC);
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM)); /* a library that probes falls back */
    if (filter && fd >= 0 && (rc = add_rules(filter)) == 0 &&
        (rc = seccomp_export_bpf(filter, fd)) == 0) {
        rc = read_program(fd);
    }
    if (filter) {
        seccomp_release(filter);
    }
    if (fd >= 0) {
        close(fd);
    }
    errno = -rc;
    return rc == 0;
}

/* What is not listed fails with EPERM instead of killing. */
bool sandbox_system_calls(void)
{
    if (!sandbox_prepare()) {
        return false;
    }
    own_pid->k = (__u32)getpid();
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
