/*
 * The cage of the walker, wall by wall: each case runs in a child that has been caged, tries what
 * it must not, and says by its exit code whether it was refused. What it may do must still work.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "salvaged.h"

enum { MEMORY = 64 << 20, CPU_SECONDS = 1 };

typedef bool (*trial_fn)(void);

/* Wait status of a child that was caged and then tried; 0: it says that all was well. */
static int caged(trial_fn trial)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        if (!sandbox_limits(MEMORY, CPU_SECONDS) || !sandbox_system_calls()) {
            _exit(99);
        }
        _exit(trial() ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void holds(trial_fn trial)
{
    assert_int_equal(caged(trial), 0);
}

/* ---- what must go on working ---- */

static bool does_its_work(void)
{
    char path[] = "/tmp/salvage-cage-XXXXXX";
    int fd = mkstemp(path);
    char *small = malloc(1 << 20);
    void *map;
    bool ok;

    if (fd < 0 || !small) {
        return false;
    }
    memset(small, 1, 1 << 20);
    ok = write(fd, small, 4096) == 4096 && fsync(fd) == 0;
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    ok = ok && map != MAP_FAILED && *(char *)map == 1;
    unlink(path);
    return ok;
}

static void test_work_goes_on(void **state)
{
    (void)state;
    holds(does_its_work);
}

/* ---- rlimits ---- */

static bool memory_ends(void)
{
    char *volatile block = malloc(2 * (size_t)MEMORY); /* or the compiler knows that it succeeds */

    return !block && errno == ENOMEM;
}

static bool memory_ends_in_pieces(void)
{
    size_t total = 0;

    while (total < 4 * (size_t)MEMORY) {
        char *block = malloc(1 << 20);

        if (!block) {
            return total <= (size_t)MEMORY + (8 << 20);
        }
        memset(block, 1, 1 << 20);
        total += 1 << 20;
    }
    return false;
}

static bool files_end(void)
{
    for (int i = 0; i < 300; i++) {
        if (open("/dev/null", O_RDONLY) < 0) {
            return errno == EMFILE && i <= 256;
        }
    }
    return false;
}

static bool cannot_raise(void)
{
    struct rlimit more = { 1024, 1024 };

    return setrlimit(RLIMIT_NOFILE, &more) != 0 && errno == EPERM;
}

static bool spins(void)
{
    volatile unsigned turns = 0;

    while (turns < UINT32_MAX) { /* more than a second, by far */
        turns++;
    }
    return false;
}

static void test_limits(void **state)
{
    int status;

    (void)state;
    holds(memory_ends);
    holds(memory_ends_in_pieces);
    holds(files_end);
    holds(cannot_raise);
    status = caged(spins);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU);
}

/* ---- system calls ---- */

static bool no_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM &&
           socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM;
}

static bool no_program(void)
{
    char name[] = "/bin/true", *argv[] = { name, NULL };

    return execv(name, argv) < 0 && errno == EPERM;
}

static bool no_child(void)
{
    return syscall(SYS_fork) < 0 && errno == EPERM && syscall(SYS_vfork) < 0 && errno == EPERM &&
           syscall(SYS_clone, 0, NULL, NULL, NULL, 0) < 0 && errno == EPERM;
}

static bool no_signal(void)
{
    return kill(getppid(), 0) < 0 && errno == EPERM &&
           syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == EPERM;
}

static bool no_look_into_others(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 && errno == EPERM &&
           syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) < 0 && errno == EPERM;
}

static bool no_privilege(void)
{
    return syscall(SYS_setuid, 0) < 0 && errno == EPERM &&
           syscall(SYS_mount, NULL, NULL, NULL, 0, NULL) < 0 && errno == EPERM &&
           syscall(SYS_chmod, "/tmp", 0777) < 0 && errno == EPERM &&
           syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM &&
           syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EPERM;
}

static bool no_way_out(void)
{
    return syscall(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) < 0 && errno == EPERM &&
           syscall(SYS_seccomp, 0, 0, NULL) < 0 && errno == EPERM;
}

static void test_system_calls(void **state)
{
    (void)state;
    holds(no_socket);
    holds(no_program);
    holds(no_child);
    holds(no_signal);
    holds(no_look_into_others);
    holds(no_privilege);
    holds(no_way_out);
}

static bool dies_by_abort(void)
{
    abort();
}

static void test_abort_still_works(void **state)
{
    int status = caged(dies_by_abort);

    (void)state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static bool has_limits(void)
{
    struct rlimit core, file;

    return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 &&
           getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur != RLIM_INFINITY;
}

/* The filter forbids even to read them: looked at before it is there. */
static void test_set_before_the_filter(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        bool ok = sandbox_limits(MEMORY, CPU_SECONDS) && has_limits() &&
                  prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;

        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_goes_on),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_system_calls),          cmocka_unit_test(test_abort_still_works),
        cmocka_unit_test(test_set_before_the_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
