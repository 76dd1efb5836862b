/*
 * Only in the daemon that tests run (salvaged_hooked): a crash may ask, by the annotation
 * SalvageTestHook, to be one that hangs or kills the process that handles it.
 */
#include "salvaged.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>
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
        kill(getpid(), SIGKILL);
    }
    if (asks(raw, where, "abort")) {
        kill(getpid(), SIGSEGV);
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
