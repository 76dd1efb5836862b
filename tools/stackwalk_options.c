/*
 * salvage stackwalk: its command line. Options are those of minidump-stackwalk where both have
 * them.
 */
#include "stackwalk.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum {
    OPT_JSON = 256,
    OPT_HUMAN,
    OPT_CYBORG,
    OPT_DUMP,
    OPT_PRETTY,
    OPT_BRIEF,
    OPT_SYMBOLS,
    OPT_URL,
    OPT_TMP,
    OPT_DOWNLOAD_SECONDS,
    OPT_CACHE,
    OPT_LOCAL,
    OPT_LOCAL_SECONDS,
    OPT_FEATURES,
    OPT_MAX_FRAMES,
    OPT_EXTRA,
    OPT_OUTPUT,
    OPT_LOG_FILE,
    OPT_VERBOSE,
    OPT_ARGUMENTS,
    OPT_NO_INTERACTIVE,
    OPT_VERSION,
    OPT_IGNORED
};

static const apr_getopt_option_t known_options[] = {
    { "json", OPT_JSON, 0, "JSON, for programs" },
    { "human", OPT_HUMAN, 0, "text, for people: the default" },
    { "cyborg", OPT_CYBORG, 1, "text on standard output, JSON to this file" },
    { "dump", OPT_DUMP, 0, "the raw contents of the minidump" },
    { "pretty", OPT_PRETTY, 0, "JSON with line breaks" },
    { "brief", OPT_BRIEF, 0, "text of the crashing thread only" },
    { "symbols", OPT_SYMBOLS, 1, "directory in Breakpad layout, symbol file, or URL of a server" },
    { "symbols-path", OPT_SYMBOLS, 1, "the same" },
    { "symbols-url", OPT_URL, 1, "URL of a server that is asked after everything else" },
    { "symbols-cache", OPT_CACHE, 1, "where symbols of servers and built symcaches are kept" },
    { "symbols-tmp", OPT_TMP, 1, "where downloads are made" },
    { "symbols-download-timeout-secs", OPT_DOWNLOAD_SECONDS, 1, "longest download of a file" },
    { "use-local-debuginfo", OPT_LOCAL, 0, "make symbols of files of this host that are named" },
    { "local-timeout-secs", OPT_LOCAL_SECONDS, 1, "longest time for that, of a walk" },
    { "features", OPT_FEATURES, 1,
      "stable-basic, stable-all, or unstable-all: --recover-function-args" },
    { "recover-function-args", OPT_ARGUMENTS, 0, "guess arguments of x86 functions, in text" },
    { "max-frames", OPT_MAX_FRAMES, 1, "most frames of a thread" },
    { "evil-json", OPT_EXTRA, 1, "annotations of the crash, a JSON object" },
    { "output-file", OPT_OUTPUT, 1, "instead of standard output" },
    { "log-file", OPT_LOG_FILE, 1, "instead of standard error" },
    { "verbose", OPT_VERBOSE, 1, "off, error, warn, info, debug, trace" },
    { "no-interactive", OPT_NO_INTERACTIVE, 0, "no line that shows how far it is" },
    { "version", OPT_VERSION, 0, "the version of Salvage" },
    /* of minidump-stackwalk; they change nothing here */
    { "no-color", OPT_IGNORED, 0, "accepted, no effect" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* Those of minidump-stackwalk: all but the guesses of unstable-all are always on. */
static bool take_feature(stackwalk_options_t *o, const char *name)
{
    o->arguments = o->arguments || !strcmp(name, "unstable-all");
    return !strcmp(name, "stable-basic") || !strcmp(name, "stable-all") ||
           !strcmp(name, "unstable-all");
}

static bool take_option(stackwalk_options_t *o, int option, const char *value)
{
    switch (option) {
    case OPT_JSON:
        o->json = true;
        return true;
    case OPT_HUMAN:
        o->human = true;
        return true;
    case OPT_CYBORG:
        o->cyborg = value;
        return true;
    case OPT_DUMP:
        o->raw = true;
        return true;
    case OPT_PRETTY:
        o->pretty = true;
        return true;
    case OPT_BRIEF:
        o->brief = true;
        return true;
    case OPT_SYMBOLS:
        APR_ARRAY_PUSH(o->symbols, const char *) = value;
        return true;
    case OPT_URL:
        APR_ARRAY_PUSH(o->urls, const char *) = value;
        return true;
    case OPT_TMP:
        o->tmp = value;
        return true;
    case OPT_DOWNLOAD_SECONDS:
        return sal_parse_int(value, 1, 86400, &o->download_seconds);
    case OPT_CACHE:
        o->cache = value;
        return true;
    case OPT_LOCAL:
        o->local = true;
        return true;
    case OPT_LOCAL_SECONDS:
        return sal_parse_int(value, 1, 86400, &o->local_seconds);
    case OPT_FEATURES:
        return take_feature(o, value);
    case OPT_ARGUMENTS:
        o->arguments = true;
        return true;
    case OPT_NO_INTERACTIVE:
        o->no_interactive = true;
        return true;
    case OPT_VERSION:
        o->version = true;
        return true;
    case OPT_MAX_FRAMES:
        return sal_parse_int(value, 1, 1 << 20, &o->max_frames);
    case OPT_EXTRA:
        o->extra = value;
        return true;
    case OPT_OUTPUT:
        o->output = value;
        return true;
    case OPT_LOG_FILE:
        return freopen(value, "w", stderr) != NULL;
    case OPT_VERBOSE:
        return stackwalk_verbose(o, value);
    case OPT_IGNORED:
        return true;
    default:
        return false;
    }
}

int stackwalk_parse(stackwalk_options_t *o, int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    const char *value;
    apr_status_t rv;
    int option;

    memset(o, 0, sizeof(*o));
    stackwalk_log_start(o);
    o->symbols = apr_array_make(p, 4, sizeof(const char *));
    o->urls = apr_array_make(p, 4, sizeof(const char *));
    o->download_seconds = STACKWALK_DOWNLOAD_SECONDS;
    o->local_seconds = STACKWALK_LOCAL_SECONDS;
    while ((rv = apr_getopt_long(os, known_options, &option, &value)) == APR_SUCCESS) {
        if (option == 'h') {
            o->help = true;
        } else if (!take_option(o, option, value)) {
            return cmd_usage(STACKWALK_USAGE, "\"%s\" is not a value of that option", value);
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (o->help || o->version) {
        return CMD_OK;
    }
    if (os->ind >= argc) {
        return cmd_usage(STACKWALK_USAGE, "name the minidump");
    }
    if (o->json + o->human + o->raw + (o->cyborg != NULL) > 1) {
        return cmd_usage(STACKWALK_USAGE,
                         "one form at a time: --json, --human, --cyborg or --dump");
    }
    o->dump = os->argv[os->ind];
    for (int i = os->ind + 1; i < argc; i++) {
        APR_ARRAY_PUSH(o->symbols, const char *) = os->argv[i];
    }
    return CMD_OK;
}
