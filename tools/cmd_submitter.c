/*
 * salvage submitter: sends copies of reports to other collectors, in the foreground; for hosts
 * without salvaged, or where its exporter is off.
 */
#include "export_cmd.h"

#include <stdio.h>

#define USAGE "submitter [--once] [-c FILE]"
#define KINDS (1 << SAL_EXPORT_STAGE)

static const apr_getopt_option_t options[] = {
    { "once", 'o', 0, "send what is due and end" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static int run(const char *conf, bool once, apr_pool_t *p)
{
    apr_int64_t sent;
    export_cmd_t x;
    sal_error_t err;
    int rc;

    if (export_open(&x, conf, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (sal_exporter_count(x.exporter, KINDS) == 0) {
        return cmd_fail("the configuration has no line `stage-submit URL|SAMPLE`");
    }
    if (sal_exporter_register(x.exporter, x.db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (once) {
        sal_exporter_hurry(x.exporter);
    }
    export_catch_signals(x.exporter);
    rc = export_send(&sent, &x, KINDS, once, p);
    printf("%lld settled\n", (long long)sent);
    return rc == CMD_OK && once && sal_exporter_troubled(x.exporter, KINDS) ? CMD_FAILED : rc;
}

int cmd_submitter(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value, *conf = NULL;
    bool once = false;
    apr_status_t rv;
    int c;

    while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            puts("usage: salvage " USAGE);
            return CMD_OK;
        } else if (c == 'o') {
            once = true;
        } else {
            conf = value;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (os->ind < argc) {
        return cmd_usage(USAGE, "\"%s\" is not an option", os->argv[os->ind]);
    }
    return run(conf, once, p);
}
