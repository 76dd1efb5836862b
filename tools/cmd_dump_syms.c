/*
 * salvage dump-syms: the symbols of ELF files, to a file or into a symbol store
 * (salvage-dump-syms(1)).
 *
 * Command line and output; what symbols are made of, lib/dumpsyms knows. A file appears whole or
 * not at all.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/file.h"
#include "base/text.h"
#include "dumpsyms/dumpsyms.h"
#include "symbols/module_id.h"

#define USAGE                                                                                      \
    "dump-syms [--debug FILE] [--debug-dir DIR]... [--no-search] [--no-inlines] [--no-cfi] "       \
    "[--check-cfi] [--name NAME] [--info TEXT]... [--threads N] [-o FILE | --store DIR] ELF..."

enum {
    OPT_DEBUG = 256,
    OPT_DEBUG_DIR,
    OPT_NO_SEARCH,
    OPT_INLINES,
    OPT_NO_INLINES,
    OPT_NO_CFI,
    OPT_CHECK_CFI,
    OPT_NAME,
    OPT_INFO,
    OPT_LIMIT
};

static const apr_getopt_option_t option_table[] = {
    { "debug", OPT_DEBUG, 1, "the separate debug file; default: found as gdb finds it" },
    { "debug-dir", OPT_DEBUG_DIR, 1, "look for debug files here instead of /usr/lib/debug" },
    { "no-search", OPT_NO_SEARCH, 0, "use no file but those named here" },
    { "inlines", OPT_INLINES, 0, "inlined calls (this is the default)" },
    { "no-inlines", OPT_NO_INLINES, 0, "lines of whole functions only" },
    { "no-cfi", OPT_NO_CFI, 0, "no STACK CFI records" },
    { "check-cfi", OPT_CHECK_CFI, 0, "fail if there are no STACK CFI records" },
    { "name", OPT_NAME, 1, "name of the module; default: its SONAME or file name" },
    { "info", OPT_INFO, 1, "adds a line INFO TEXT" },
    { "limit", OPT_LIMIT, 1, "most bytes of symbols, e.g. 2G; default: no limit" },
    { "threads", 'j', 1, "threads; default: one for each CPU" },
    { "output", 'o', 1, "where the symbols go; - is standard output, the default" },
    { "store", 's', 1, "write DIR/NAME/ID/NAME.sym, and print its path" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

typedef struct request_t {
    sal_dumpsyms_opts_t opts;
    apr_array_header_t *debug_dirs, *info; /* of const char * */
    const char *out, *store;
    bool check_cfi;
} request_t;

/* ---- a file that appears when it is whole ---- */

typedef struct aside_t {
    FILE *f;
    const char *path; /* of the temporary file */
} aside_t;

static apr_status_t aside_open(aside_t *a, const char *near, apr_pool_t *p, sal_error_t *err)
{
    int fd;

    a->path = apr_psprintf(p, "%s.%ld.tmp", near, (long)getpid());
    fd = open(a->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return sal_fail_os(err, errno, "%s", a->path);
    }
    if (!(a->f = fdopen(fd, "w"))) {
        close(fd);
        unlink(a->path);
        return sal_fail(err, APR_ENOMEM, "%s: no memory for a stream", a->path);
    }
    return APR_SUCCESS;
}

/* Renames it if all went well, and removes it otherwise. */
static apr_status_t aside_close(aside_t *a, apr_status_t rv, const char *path, sal_error_t *err)
{
    if (fclose(a->f) && rv == APR_SUCCESS) {
        rv = sal_fail_os(err, errno, "%s", a->path);
    }
    if (rv == APR_SUCCESS && rename(a->path, path)) {
        rv = sal_fail_os(err, errno, "%s", path);
    }
    if (rv != APR_SUCCESS) {
        unlink(a->path);
    }
    return rv;
}

/* ---- one input ---- */

static apr_status_t dump(FILE *out, sal_dumpsyms_info_t *info, const char *path,
                         const request_t *req, apr_pool_t *p, sal_error_t *err)
{
    apr_status_t rv = sal_dumpsyms_write(out, info, path, &req->opts, p, err);

    if (rv == APR_SUCCESS && req->check_cfi && !info->cfi) {
        return sal_fail(err, APR_NOTFOUND, "%s: No CFI data", path);
    }
    return rv;
}

static apr_status_t dump_to_file(const char *path, const request_t *req, apr_pool_t *p,
                                 sal_error_t *err)
{
    sal_dumpsyms_info_t info;
    aside_t a;
    apr_status_t rv;

    if (!strcmp(req->out, "-")) {
        return dump(stdout, &info, path, req, p, err);
    }
    if ((rv = aside_open(&a, req->out, p, err)) != APR_SUCCESS) {
        return rv;
    }
    rv = dump(a.f, &info, path, req, p, err);
    return aside_close(&a, rv, req->out, err);
}

/* The name and id are known when all is written: the temporary file stands in the store's root. */
static apr_status_t dump_to_store(const char *path, const request_t *req, apr_pool_t *p,
                                  sal_error_t *err)
{
    sal_dumpsyms_info_t info;
    const char *dir = NULL, *file = NULL;
    aside_t a;
    apr_status_t rv;

    if ((rv = sal_dir_make(req->store, 0777, 0, p, err)) != APR_SUCCESS ||
        (rv = aside_open(&a, apr_pstrcat(p, req->store, "/dump-syms", NULL), p, err)) !=
            APR_SUCCESS) {
        return rv;
    }
    rv = dump(a.f, &info, path, req, p, err);
    if (rv == APR_SUCCESS && !sal_symbols_name_valid(info.name, strlen(info.name))) {
        rv = sal_fail(err, APR_EINVAL,
                      "%s: \"%s\" cannot be a name in a store: give another with "
                      "--name",
                      path, info.name);
    }
    if (rv == APR_SUCCESS) {
        dir = apr_pstrcat(p, req->store, "/", info.name, "/", info.debug_id, NULL);
        file = apr_pstrcat(p, dir, "/", sal_symbols_leaf(info.name, p), NULL);
        rv = sal_dir_make(dir, 0777, 0, p, err);
    }
    rv = aside_close(&a, rv, file, err);
    if (rv == APR_SUCCESS) {
        printf("%s\n", file);
    }
    return rv;
}

/* All inputs are tried; the worst result counts. */
static int dump_all(const request_t *req, const char *const *paths, int n, apr_pool_t *p)
{
    int code = CMD_OK;
    apr_pool_t *one;

    apr_pool_create(&one, p);
    for (int i = 0; i < n; i++) {
        sal_error_t err;
        apr_status_t rv = req->store ? dump_to_store(paths[i], req, one, &err)
                                     : dump_to_file(paths[i], req, one, &err);

        if (rv != APR_SUCCESS) {
            code = cmd_fail_err(&err);
        }
        apr_pool_clear(one);
    }
    return code;
}

/* ---- command line ---- */

static void print_help(void)
{
    printf("usage: salvage %s\n\nWrites the Breakpad symbols of programs and shared libraries.\n\n",
           USAGE);
    for (const apr_getopt_option_t *o = option_table; o->name; o++) {
        printf("  --%-12s %s\n", o->name, o->description);
    }
}

static int take_number(request_t *req, int c, const char *value)
{
    int64_t n;

    if (c == OPT_LIMIT) {
        return sal_parse_size(value, &req->opts.max_output) && req->opts.max_output
                   ? -1
                   : cmd_usage(USAGE, "--limit %s is not a size", value);
    }
    if (!sal_parse_int(value, 1, 64, &n)) {
        return cmd_usage(USAGE, "--threads %s is not a number from 1 to 64", value);
    }
    req->opts.threads = (int)n;
    return -1;
}

/* -1: go on; else the exit code. */
static int take_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case OPT_DEBUG:
        req->opts.debug_path = value;
        break;
    case OPT_DEBUG_DIR:
        APR_ARRAY_PUSH(req->debug_dirs, const char *) = value;
        break;
    case OPT_NO_SEARCH:
        req->opts.no_search = true;
        break;
    case OPT_INLINES:
        req->opts.no_inlines = false;
        break;
    case OPT_NO_INLINES:
        req->opts.no_inlines = true;
        break;
    case OPT_NO_CFI:
        req->opts.no_cfi = true;
        break;
    case OPT_CHECK_CFI:
        req->check_cfi = true;
        break;
    case OPT_NAME:
        req->opts.name = value;
        break;
    case OPT_INFO:
        APR_ARRAY_PUSH(req->info, const char *) = value;
        break;
    case 'o':
        req->out = value;
        break;
    case 's':
        req->store = value;
        break;
    case OPT_LIMIT:
    case 'j':
        return take_number(req, c, value);
    default:
        print_help();
        return CMD_OK;
    }
    return -1;
}

/* NULL-terminated, or NULL for an empty list. */
static const char *const *as_list(apr_array_header_t *a)
{
    int n = a->nelts;

    APR_ARRAY_PUSH(a, const char *) = NULL;
    return n ? (const char *const *)a->elts : NULL;
}

static int check_request(const request_t *req, int inputs)
{
    if (!inputs) {
        return cmd_usage(USAGE, "name an ELF file");
    }
    if (req->out && req->store) {
        return cmd_usage(USAGE, "-o and --store exclude each other");
    }
    if (inputs > 1 && !req->store) {
        return cmd_usage(USAGE, "several files need --store; a program's debug file is given with "
                                "--debug");
    }
    if (inputs > 1 && (req->opts.debug_path || req->opts.name)) {
        return cmd_usage(USAGE, "--debug and --name are for one file");
    }
    if (req->opts.no_cfi && req->check_cfi) {
        return cmd_usage(USAGE, "--no-cfi and --check-cfi exclude each other");
    }
    return -1;
}

int cmd_dump_syms(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .debug_dirs = apr_array_make(p, 2, sizeof(char *)),
                      .info = apr_array_make(p, 2, sizeof(char *)) };
    const char *value;
    apr_status_t rv;
    int c, code;

    while ((rv = apr_getopt_long(os, option_table, &c, &value)) == APR_SUCCESS) {
        if ((code = take_option(&req, c, value)) >= 0) {
            return code;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if ((code = check_request(&req, argc - os->ind)) >= 0) {
        return code;
    }
    req.out = req.out ? req.out : "-";
    req.opts.debug_dirs = as_list(req.debug_dirs);
    req.opts.extra_info = as_list(req.info);
    return dump_all(&req, os->argv + os->ind, argc - os->ind, p);
}
