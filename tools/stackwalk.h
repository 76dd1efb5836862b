/*
 * What the files of `salvage stackwalk` share: its options, and the symbols they name.
 */
#ifndef TOOLS_STACKWALK_H
#define TOOLS_STACKWALK_H

#include <stdbool.h>
#include <apr_tables.h>
#include "analysis/stackwalk.h"
#include "cmd.h"
#include "symbols/supplier.h"

typedef struct stackwalk_options_t {
    bool json, human, raw, pretty, brief, help, version;
    bool arguments, no_interactive;
    bool local; /* symbols are made of files of this host, too */
    int64_t local_seconds;
    const char *cyborg; /* JSON goes there, the human form to standard output */
    const char *cache, *output, *extra, *dump;
    apr_array_header_t *symbols; /* const char *: directories, files, URLs, in order */
    apr_array_header_t *urls;    /* const char *: servers that are asked last */
    const char *tmp;             /* of downloads; NULL: in the cache */
    int64_t download_seconds;
    int log_level;
    int64_t max_frames;
} stackwalk_options_t;

enum { STACKWALK_DOWNLOAD_SECONDS = 1000 }; /* as minidump-stackwalk */
enum { STACKWALK_LOCAL_SECONDS = 300 };

#define STACKWALK_USAGE                                                                            \
    "stackwalk [--json | --human | --cyborg FILE | --dump] [--pretty] [--brief]\n"                 \
    "       [--symbols DIR|FILE|URL]... [--symbols-url URL]... [--symbols-cache DIR]\n"            \
    "       [--symbols-tmp DIR] [--symbols-download-timeout-secs N]\n"                             \
    "       [--use-local-debuginfo] [--local-timeout-secs N] [--features NAME]\n"                  \
    "       [--max-frames N] [--evil-json FILE] [--output-file FILE] DUMP [DIR|FILE|URL]..."

/*
 * Reads the command line. Anything but CMD_OK is the code to leave with; the line that says why has
 * been printed. With o->help nothing else is set.
 */
int stackwalk_parse(stackwalk_options_t *o, int argc, const char **argv, apr_pool_t *p);

/* Makes what finds symbols where o->symbols says, in that order. */
apr_status_t stackwalk_supplier(sal_supplier_t **out, const stackwalk_options_t *o, apr_pool_t *p,
                                sal_error_t *err);

/* ---- symbols of this host (stackwalk_local.c) ---- */

/*
 * Lets the supplier make symbols of the files of this host that modules name: texts are kept in a
 * folder of the cache.
 */
void stackwalk_local(sal_supplier_opts_t *opts, const stackwalk_options_t *o, apr_pool_t *p);

/* ---- what it says (stackwalk_progress.c) ---- */

/* Messages of the library go to stderr from now on, in the form of minidump-stackwalk. */
void stackwalk_log_start(stackwalk_options_t *o);

/* off, error, warn, info, debug, trace; false: none of them. */
bool stackwalk_verbose(stackwalk_options_t *o, const char *name);

/* "ERROR WHAT - WHY" (why may be NULL) unless silent; returns CMD_FAILED. */
int stackwalk_fail(const char *what, const char *why);

/* On a terminal, a line that tells how far the walk is; the end wipes it. */
void stackwalk_progress_start(sal_stackwalk_opts_t *opts, const stackwalk_options_t *o);
void stackwalk_progress_end(void);

#endif
