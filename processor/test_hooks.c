/*
 * Only in the daemon that tests run (salvaged_hooked): a crash may ask, by the annotation
 * SalvageTestHook, to be one that hangs or kills the process that handles it.
 */
#include "salvaged.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
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

/* What crashes that this worker has not stored yet ask for: "step-NAME". */
static struct {
    char id[40], step[64];
} wanted[64];
static unsigned seen;

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

bool test_hook_batch(void)
{
    return getenv("SALVAGE_TEST_BATCH") != NULL;
}

void test_hook_crash(const char *where, const char *id, sal_crash_reader_t *crash)
{
    unsigned at = seen++ % (sizeof(wanted) / sizeof(wanted[0]));
    json_t *raw;

    wanted[at].id[0] = '\0';
    if (sal_crash_raw(&raw, crash, NULL) == APR_SUCCESS) {
        const char *hook = sal_json_str(raw, "SalvageTestHook");

        if (hook && !strncmp(hook, "step-", 5)) {
            apr_cpystrn(wanted[at].id, id, sizeof(wanted[at].id));
            apr_cpystrn(wanted[at].step, hook + 5, sizeof(wanted[at].step));
        }
        test_hook(where, raw);
    }
}

/* Only at the first attempt, so that the next one shows what the death left behind. */
void test_hook_step(const char *step, const char *id, int attempts)
{
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (attempts == 1 && !strcmp(id, wanted[i].id) && !strcmp(step, wanted[i].step)) {
            tgkill(getpid(), gettid(), SIGKILL);
        }
    }
}
