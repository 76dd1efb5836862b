/*
 * salvage stackwalk: what it says while it works and when it fails. A line on a terminal that is
 * rewritten in place, and log lines in the form of minidump-stackwalk.
 */
#include "stackwalk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"

enum {
    PATIENCE = 200 * 1000, /* microseconds: who is done by then needs no line */
    INTERVAL = 100 * 1000,
    LINE = 160,
    NAME = 60 /* most of a module's name */
};

static sal_log_level_t shown = SAL_LOG_ERROR;
static bool silent;

/* The line is made by the walk, in the one of two places that is not shown, and written by a timer:
 * a single step of the walk may take seconds. */
static char lines[2][LINE];
static volatile sig_atomic_t current, line_is_there;

static void clear_line(void)
{
    if (line_is_there) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        line_is_there = 0;
    }
}

static void write_line(int signal)
{
    int saved = errno;
    const char *line = lines[current];

    (void)signal;
    if (*line && write(STDERR_FILENO, line, strlen(line)) > 0) {
        line_is_there = 1;
    }
    errno = saved;
}

static void set_timer(unsigned first, unsigned interval)
{
    struct itimerval when = { { 0, (suseconds_t)interval }, { 0, (suseconds_t)first } };

    setitimer(ITIMER_REAL, &when, NULL);
}

/* Level right-aligned to five columns, no time, no colour. */
static void log_line(void *baton, sal_log_level_t level, const char *line)
{
    const char *name = level <= SAL_LOG_ERROR     ? "ERROR"
                       : level == SAL_LOG_WARNING ? "WARN"
                       : level <= SAL_LOG_INFO    ? "INFO"
                                                  : "DEBUG";

    (void)baton;
    if (!silent && level <= shown) {
        clear_line();
        fprintf(stderr, "%5s %s\n", name, line);
    }
}

bool stackwalk_verbose(stackwalk_options_t *o, const char *name)
{
    static const struct {
        const char *name;
        sal_log_level_t level;
    } levels[] = { { "off", SAL_LOG_ERROR },    { "error", SAL_LOG_ERROR },
                   { "warn", SAL_LOG_WARNING }, { "info", SAL_LOG_INFO },
                   { "debug", SAL_LOG_DEBUG },  { "trace", SAL_LOG_DEBUG } };

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i].name, name) == 0) {
            silent = i == 0;
            shown = levels[i].level;
            o->log_level = shown;
            sal_log_threshold(shown);
            return true;
        }
    }
    return false;
}

void stackwalk_log_start(stackwalk_options_t *o)
{
    sal_log_sink(log_line, NULL);
    stackwalk_verbose(o, "error");
}

int stackwalk_fail(const char *what, const char *why)
{
    if (!silent) {
        clear_line();
        fprintf(stderr, "ERROR %s%s%s\n", what, why ? " - " : "", why ? why : "");
    }
    return CMD_FAILED;
}

/* The name comes from the dump: nothing in it may steer the terminal. */
static void append_name(char *line, size_t at, const char *name)
{
    for (size_t i = 0; name[i] && i < NAME && at + 1 < LINE; i++) {
        unsigned char c = (unsigned char)name[i];

        line[at++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    line[at] = '\0';
}

static void make_line(const sal_stackwalk_progress_t *at, void *baton)
{
    sig_atomic_t other = !current;
    int len =
        snprintf(lines[other], LINE, "\r\033[K%zu of %zu threads, %zu frames%s", at->threads_done,
                 at->threads, at->frames, at->module ? "; symbols of " : "");

    (void)baton;
    if (at->module && len > 0 && len < LINE) {
        append_name(lines[other], (size_t)len, at->module);
    }
    current = other;
}

void stackwalk_progress_start(sal_stackwalk_opts_t *opts, const stackwalk_options_t *o)
{
    struct sigaction action = { .sa_handler = write_line, .sa_flags = SA_RESTART };

    if (!o->no_interactive && !silent && isatty(STDERR_FILENO) &&
        sigaction(SIGALRM, &action, NULL) == 0) {
        opts->progress = make_line;
        set_timer(PATIENCE, INTERVAL);
    }
}

void stackwalk_progress_end(void)
{
    set_timer(0, 0);
    clear_line();
}
