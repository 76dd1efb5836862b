/*
 * Only in the daemon that tests run (salvaged_hooked): a crash may ask, by the annotation
 * SalvageTestHook, to be one that hangs or kills the process that handles it.
 */
#include "salvaged.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <apr_strings.h>
#include "base/json.h"

static bool asks(const json_t *raw, const char *where, const char *what)
{
    const char *hook = sal_json_str(raw, "SalvageTestHook");
    size_t len = strlen(where);

    return hook && !strncmp(hook, where, len) && hook[len] == '-' && !strcmp(hook + len + 1, what);
}

/* What the crash that this worker is at asks for: "step-NAME". */
static char wanted_step[64];

void test_hook(const char *where, const json_t *raw)
{
    if (asks(raw, where, "kill")) {
        tgkill(getpid(), gettid(), SIGKILL); /* kill() is not for walkers */
    }
    if (asks(raw, where, "fault")) {
        *(volatile int *)(uintptr_t)where[0] = 1; /* the first page is never mapped */
    }
    if (asks(raw, where, "socket") && socket(AF_INET, SOCK_STREAM, 0) >= 0) {
        tgkill(getpid(), gettid(), SIGKILL); /* the cage has a hole */
    }
    if (asks(raw, where, "orphan")) { /* takes its parent along */
        kill(getppid(), SIGKILL);
        tgkill(getpid(), gettid(), SIGKILL);
    }
    while (asks(raw, where, "hang")) {
        usleep(10000);
    }
    while (asks(raw, where, "spin")) {
        continue;
    }
}

bool test_hook_alone(const json_t *raw)
{
    const char *hook = sal_json_str(raw, "SalvageTestHook");

    return hook && !strncmp(hook, "uncaged-", 8);
}

void test_hook_crash(const char *where, sal_crash_reader_t *crash)
{
    json_t *raw;

    wanted_step[0] = '\0';
    if (sal_crash_raw(&raw, crash, NULL) == APR_SUCCESS) {
        const char *hook = sal_json_str(raw, "SalvageTestHook");

        if (hook && !strncmp(hook, "step-", 5)) {
            apr_cpystrn(wanted_step, hook + 5, sizeof(wanted_step));
        }
        test_hook(where, raw);
    }
}

/* Only at the first attempt, so that the next one shows what the death left behind. */
void test_hook_step(const char *step, int attempts)
{
    if (attempts == 1 && !strcmp(step, wanted_step)) {
        tgkill(getpid(), gettid(), SIGKILL);
    }
}
