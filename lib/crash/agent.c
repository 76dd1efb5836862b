/*
 * Families of clients, told by what their User-Agent begins with or contains.
 */
#include "crash/agent.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>

static const struct {
    const char *mark;
    const char *family;
    int inside; /* it may stand anywhere; else at the beginning */
} families[] = {
    /* The order matters: Crashpad names its host program first. */
    { "sentry", "sentry", 1 },
    { "Crashpad/", "crashpad", 1 },
    { "crashreporter/", "firefox", 0 },
    { "Breakpad/", "breakpad", 1 },
    { "Electron/", "electron", 1 },
    { "stage-submitter/", "stage-submitter", 0 },
    { "Glean/", "glean", 1 },
    { "salvage", "salvage", 0 },
    { "curl/", "curl", 0 },
    { "Wget/", "wget", 0 },
    { "python-requests/", "python", 0 },
    { "Python", "python", 0 },
    { "Go-http-client/", "go", 0 },
    { "okhttp/", "okhttp", 0 },
    { "Dalvik/", "android", 0 },
    { "CFNetwork/", "apple", 1 },
    { "Firefox/", "firefox", 1 },
    { "Chrome/", "chrome", 1 },
    { "Mozilla/", "browser", 0 },
};

const char *sal_agent_family(const char *user_agent)
{
    if (!user_agent || !*user_agent) {
        return "none";
    }
    for (apr_size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const char *mark = families[i].mark;

        if (families[i].inside ? strcasestr(user_agent, mark) != NULL
                               : !strncasecmp(user_agent, mark, strlen(mark))) {
            return families[i].family;
        }
    }
    return "other";
}
