/*
 * The log sink. One mutable global on purpose: it is set once at start, before threads exist, and
 * only read afterwards. Knows nothing of syslog, journald or httpd; the host's callback does.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 2048

static void to_stderr(void *baton, sal_log_level_t level, const char *line);

static sal_log_fn log_fn = to_stderr;
static void *log_baton;
static sal_log_level_t log_threshold = SAL_LOG_INFO;

static void to_stderr(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    fprintf(stderr, "<%d>%s\n", (int)level, line);
}

void sal_log_sink(sal_log_fn fn, void *baton)
{
    log_fn = fn ? fn : to_stderr;
    log_baton = baton;
}

void sal_log_threshold(sal_log_level_t level)
{
    log_threshold = level;
}

/* One message is one line: a line break in a logged value must not forge a second message. */
static void flatten(char *line)
{
    for (; *line; line++) {
        if ((unsigned char)*line < 0x20 || *line == 0x7f) {
            *line = ' ';
        }
    }
}

void sal_log(sal_log_level_t level, int number, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    int used = 0;
    va_list args;

    if (level > log_threshold) {
        return;
    }
    if (number) {
        used = snprintf(line, sizeof(line), "SAL%04d: ", number);
    }
    va_start(args, fmt);
    vsnprintf(line + used, sizeof(line) - (size_t)used, fmt, args);
    va_end(args);
    flatten(line);
    log_fn(log_baton, level, line);
}
