/*
 * salvaged: the processor daemon. Reads its options and hands over to the supervisor.
 */
#include "config.h"
#include "salvaged.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_time.h>
#include "base/log.h"
#include "base/text.h"

#define DEFAULT_CONF "/etc/salvage/salvage.conf"
#define USAGE "usage: salvaged [-c FILE] [--workers N] [--once] [--foreground]\n"

enum { OPT_WORKERS = 256, OPT_ONCE, OPT_FOREGROUND, OPT_VERSION };

typedef struct arguments_t {
    const char *conf;
    int workers;
    bool once;
} arguments_t;

static const apr_getopt_option_t options[] = {
    { "config", 'c', 1, "configuration file" },
    { "workers", OPT_WORKERS, 1, "how many crashes at once" },
    { "once", OPT_ONCE, 0, "drain the queue and end" },
    { "foreground", OPT_FOREGROUND, 0, "the default: the service manager keeps us" },
    { "help", 'h', 0, "this text" },
    { "version", OPT_VERSION, 0, "the version" },
    { NULL, 0, 0, NULL },
};

/* journald reads the level from a prefix and adds the rest; a file wants it in words. */
static void log_line(void *baton, sal_log_level_t level, const char *line)
{
    static const char *const names[] = { "emerg", "alert",  "crit", "error",
                                         "warn",  "notice", "info", "debug" };
    apr_time_exp_t t;

    if (baton) {
        fprintf(stderr, "<%d>%s\n", (int)level, line);
        return;
    }
    apr_time_exp_gmt(&t, apr_time_now());
    fprintf(stderr, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ [salvaged:%s] [pid %ld] %s\n",
            t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
            t.tm_usec / 1000, names[level & 7], (long)getpid(), line);
}

/* -1: go on; else the exit code. */
static int read_arguments(arguments_t *out, int argc, const char *const *argv, apr_pool_t *p)
{
    const char *value;
    apr_getopt_t *os;
    apr_status_t rv;
    int64_t n;
    int c;

    apr_getopt_init(&os, p, argc, argv);
    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'c') {
            out->conf = value;
        } else if (c == OPT_ONCE) {
            out->once = true;
        } else if (c == OPT_WORKERS) {
            if (!sal_parse_int(value, 1, 256, &n)) {
                fprintf(stderr, "salvaged: --workers takes a number from 1 to 256, not %s\n" USAGE,
                        value);
                return EXIT_USAGE;
            }
            out->workers = (int)n;
        } else if (c == OPT_VERSION) {
            puts("salvaged " PACKAGE_VERSION);
            return EXIT_DONE;
        } else if (c == 'h') {
            fputs(USAGE, stdout);
            return EXIT_DONE;
        }
    }
    if (rv != APR_EOF || os->ind < argc) {
        fputs(USAGE, stderr);
        return EXIT_USAGE;
    }
    return -1;
}

int main(int argc, const char *const *argv)
{
    arguments_t args = { .conf = getenv("SALVAGE_CONF") };
    sal_error_t err;
    settings_t *settings;
    apr_pool_t *p;
    int code;

    apr_initialize();
    apr_pool_create(&p, NULL);
    if ((code = read_arguments(&args, argc, argv, p)) >= 0) {
        return code;
    }
    sal_log_sink(log_line, getenv("JOURNAL_STREAM"));
    args.conf = args.conf && *args.conf ? args.conf : DEFAULT_CONF;
    if (settings_read(&settings, args.conf, args.workers, p, &err) != APR_SUCCESS) {
        sal_log(SAL_LOG_ERROR, 5003, "cannot start: %s", err.message);
        return EXIT_FAILED;
    }
    settings->once = args.once;
    return supervisor_run(args.conf, args.workers, settings);
}
