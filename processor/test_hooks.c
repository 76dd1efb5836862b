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
#include "base/json.h"

static bool asks(const json_t *raw, const char *where, const char *what)
{
    const char *hook = sal_json_str(raw, "SalvageTestHook");
    size_t len = strlen(where);

    return hook && !strncmp(hook, where, len) && hook[len] == '-' && !strcmp(hook + len + 1, what);
}

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
    while (asks(raw, where, "hang")) {
        usleep(10000);
    }
    while (asks(raw, where, "spin")) {
        continue;
    }
}

void test_hook_crash(const char *where, sal_crash_reader_t *crash)
{
    json_t *raw;

    if (sal_crash_raw(&raw, crash, NULL) == APR_SUCCESS) {
        test_hook(where, raw);
    }
}
