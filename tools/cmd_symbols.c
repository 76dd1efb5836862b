/*
 * salvage symbols: the symbol store from the inside. Imports trees, lists, keeps, deletes and
 * expires files. Works on the store's folder and the database, beside a running httpd.
 */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "base/text.h"
#include "books/filter.h"
#include "upload/import.h"
#include "books/retention.h"

#define WHICH                                                                                      \
    "[--product P] [--version V] [--channel C] [--build B] [--upload ID] [--key TEXT] "            \
    "[--try|--regular] [--older TIME]"
#define USAGE_IMPORT                                                                               \
    "symbols import [--try] [--product P] [--version V] [--channel C] [--user NAME] "              \
    "[--dry-run] [-c FILE] DIR"
#define USAGE_LIST "symbols list " WHICH " [-c FILE]"
#define USAGE_DELETE "symbols delete " WHICH " [--dry-run] [-c FILE]"
#define USAGE_KEEP "symbols keep --until DATE|rules " WHICH " [-c FILE]"
#define USAGE_EXPIRE "symbols expire [--dry-run] [-c FILE]"

typedef struct request_t {
    const char *conf, *user, *until;
    sal_symbols_which_t which;
    bool dry;
    const char **args; /* behind the verb */
    int nargs;
    /* opened */
    sal_conf_t *shared;
    sal_symbol_store_t *store;
    sal_db_t *db;
} request_t;

enum { OPT_REGULAR = 256, OPT_OLDER, OPT_UNTIL };

static const apr_getopt_option_t options[] = {
    { "product", 'p', 1, "files of this product" },
    { "version", 'v', 1, "files of this version" },
    { "channel", 'C', 1, "files of this release channel" },
    { "build", 'b', 1, "files of this build id" },
    { "upload", 'U', 1, "files of this upload" },
    { "key", 'k', 1, "files whose module/id/file holds this text" },
    { "try", 't', 0, "try symbols" },
    { "regular", OPT_REGULAR, 0, "regular symbols" },
    { "older", OPT_OLDER, 1, "files sent longer ago, e.g. 90d" },
    { "user", 'u', 1, "who imports" },
    { "until", OPT_UNTIL, 1, "a date, or `rules`" },
    { "dry-run", 'n', 0, "only say what would be done" },
    CMD_OPT_CONFIG,
    CMD_OPT_HELP,
    CMD_OPT_END,
};

static void print_help(void)
{
    printf("usage: salvage %s\n       salvage %s\n       salvage %s\n       salvage %s\n"
           "       salvage %s\n",
           USAGE_IMPORT, USAGE_LIST, USAGE_DELETE, USAGE_KEEP, USAGE_EXPIRE);
}

/* ---- opening ---- */

/*
 * Run by root, the store's files must still be their owner's, or httpd could not add to them. The
 * sources of an import are read with all rights.
 */
static uid_t owner = (uid_t)-1;

static int become_owner(const char *root)
{
    struct stat st;

    if (geteuid() != 0 || stat(root, &st) || st.st_uid == 0) {
        return CMD_OK;
    }
    if (setegid(st.st_gid) || seteuid(st.st_uid)) {
        return cmd_fail("cannot act as the owner of %s: %s", root, strerror(errno));
    }
    owner = st.st_uid;
    return CMD_OK;
}

static int open_source(void *baton, const char *path)
{
    int fd;

    (void)baton;
    if (owner == (uid_t)-1) {
        return open(path, O_RDONLY | O_CLOEXEC);
    }
    if (seteuid(0)) {
        return -1;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (seteuid(owner)) {
        return -1;
    }
    return fd;
}

static int open_all(request_t *req, apr_pool_t *p)
{
    const char *root;
    sal_error_t err;

    if (!(req->shared = cmd_conf(req->conf, p)) || !(req->db = cmd_db_open(req->conf, p))) {
        return CMD_FAILED;
    }
    root = sal_conf_get(req->shared, "symbol-store", NULL);
    if (!root) {
        return cmd_fail("the configuration has no line `symbol-store DIRECTORY`");
    }
    if (sal_symbol_store_open(&req->store, root, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    return become_owner(root);
}

/* ---- import ---- */

static void say_failed(void *baton, const char *path, const sal_error_t *err)
{
    (void)baton;
    fprintf(stderr, "salvage symbols: %s: %s\n", path, err->message);
}

static void say_tree(const sal_import_tree_t *tree)
{
    for (int i = 0; i < tree->files->nelts; i++) {
        const sal_import_file_t *f = &APR_ARRAY_IDX(tree->files, i, sal_import_file_t);

        printf("%s\t%s\n", f->key, f->path);
    }
}

static void say_strange(const sal_import_tree_t *tree)
{
    for (int i = 0; i < tree->strange->nelts; i++) {
        fprintf(stderr, "salvage symbols: %s: not a symbol file's place, left out\n",
                APR_ARRAY_IDX(tree->strange, i, const char *));
    }
}

static int import(request_t *req, apr_pool_t *p)
{
    sal_import_opts_t opts = { .user = req->user ? req->user : "salvage",
                               .is_try = req->which.kind == 1,
                               .product = req->which.product,
                               .version = req->which.version,
                               .channel = req->which.channel,
                               .open_file = open_source,
                               .failed = say_failed };
    sal_import_tree_t tree;
    sal_import_sum_t sum;
    sal_error_t err;

    if (req->nargs != 1) {
        return cmd_usage(USAGE_IMPORT, "name the folder to import");
    }
    if (sal_import_scan(&tree, req->args[0], p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    say_strange(&tree);
    if (req->dry) {
        say_tree(&tree);
        return CMD_OK;
    }
    if (tree.files->nelts == 0) {
        return cmd_fail("%s holds no symbol files (module/id/file)", req->args[0]);
    }
    if (open_all(req, p) != CMD_OK) {
        return CMD_FAILED;
    }
    opts.name = req->args[0];
    if (sal_import_run(&sum, &tree, &opts, req->store, req->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("upload %lld: %lld files stored, %lld were there, %lld failed\n", (long long)sum.upload,
           (long long)sum.stored, (long long)sum.skipped, (long long)sum.failed);
    return sum.failed ? CMD_FAILED : CMD_OK;
}

/* ---- list, delete, expire, keep ---- */

static const char *day(apr_time_t t, apr_pool_t *p)
{
    return t ? apr_pstrmemdup(p, sal_time_iso(t, p), 10) : "-";
}

static const char *word(const char *s)
{
    return *s ? s : "-";
}

static apr_status_t say_file(void *baton, const sal_symbols_found_t *f)
{
    apr_pool_t *p;

    apr_pool_create(&p, baton);
    printf("%lld\t%s\t%s\t%s\t%lld\t%lld\t%s\t%s\t%s\t%s\t%lld\n", (long long)f->id,
           f->is_try ? "try" : "regular", f->current ? "current" : "replaced", f->key,
           (long long)f->size, (long long)f->stored, day(f->created, p), word(f->product),
           word(f->version), word(f->channel), (long long)f->hits);
    apr_pool_destroy(p);
    return ferror(stdout) ? APR_EGENERAL : APR_SUCCESS;
}

#define HEAD "id\tkind\tstate\tkey\tsize\tstored\tsent\tproduct\tversion\tchannel\tdownloads"

static int list(request_t *req, apr_pool_t *p)
{
    sal_error_t err;

    if (req->nargs) {
        return cmd_usage(USAGE_LIST, "\"%s\" is not an option", req->args[0]);
    }
    if (open_all(req, p) != CMD_OK) {
        return CMD_FAILED;
    }
    puts(HEAD);
    return sal_symbols_list(&req->which, say_file, p, req->db, p, &err) == APR_SUCCESS
               ? CMD_OK
               : cmd_fail_err(&err);
}

static int say_gone(const request_t *req, const sal_symbols_gone_t *gone)
{
    if (req->dry) {
        printf("%lld files of %lld bytes would be deleted\n", (long long)gone->files,
               (long long)gone->stored);
    } else {
        printf("%lld files deleted, %lld bytes freed\n", (long long)gone->files,
               (long long)gone->freed);
    }
    return CMD_OK;
}

static bool names_something(const sal_symbols_which_t *w)
{
    return w->product || w->version || w->channel || w->build || w->upload || w->key || w->older;
}

static int delete_files(request_t *req, apr_pool_t *p)
{
    sal_symbols_gone_t gone;
    sal_error_t err;

    if (req->nargs) {
        return cmd_usage(USAGE_DELETE, "\"%s\" is not an option", req->args[0]);
    }
    if (!names_something(&req->which)) {
        return cmd_usage(USAGE_DELETE, "say which files, e.g. --product P --version V");
    }
    if (open_all(req, p) != CMD_OK) {
        return CMD_FAILED;
    }
    return sal_symbols_delete(&gone, &req->which, req->dry, req->dry ? say_file : NULL, p,
                              req->store, req->db, p, &err) == APR_SUCCESS
               ? say_gone(req, &gone)
               : cmd_fail_err(&err);
}

static int expire(request_t *req, apr_pool_t *p)
{
    apr_array_header_t *rules;
    sal_symbols_gone_t gone, loose = { 0 };
    sal_error_t err;

    if (req->nargs) {
        return cmd_usage(USAGE_EXPIRE, "\"%s\" is not an option", req->args[0]);
    }
    if (open_all(req, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (sal_keep_rules(&rules, req->shared, p, &err) != APR_SUCCESS ||
        sal_symbols_expire(&gone, rules, req->dry, req->dry ? say_file : NULL, p, req->store,
                           req->db, p, &err) != APR_SUCCESS ||
        (!req->dry && sal_symbols_tidy(&loose, req->store, req->db, p, &err) != APR_SUCCESS)) {
        return cmd_fail_err(&err);
    }
    gone.freed += loose.freed;
    return say_gone(req, &gone);
}

static int keep(request_t *req, apr_pool_t *p)
{
    apr_array_header_t *conds;
    apr_time_t until = 0;
    sal_error_t err;
    int64_t n;

    if (req->nargs || !req->until || !names_something(&req->which)) {
        return cmd_usage(USAGE_KEEP, "say which files, and until when");
    }
    if (strcmp(req->until, "rules")) {
        if (sal_books_dates(&conds, req->until, apr_time_now(), p, &err) != APR_SUCCESS ||
            conds->nelts < 1 || APR_ARRAY_IDX(conds, 0, sal_books_cond_t).null) {
            return cmd_usage(USAGE_KEEP, "--until \"%s\" is not a date", req->until);
        }
        until = APR_ARRAY_IDX(conds, 0, sal_books_cond_t).value;
    }
    if (open_all(req, p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (sal_symbols_keep(&n, &req->which, until, req->db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%lld files\n", (long long)n);
    return CMD_OK;
}

/* ---- options ---- */

static int take_number(request_t *req, int c, const char *value)
{
    if (c == 'U') {
        return sal_parse_int(value, 1, INT64_MAX, &req->which.upload)
                   ? CMD_OK
                   : cmd_usage(USAGE_LIST, "--upload \"%s\" is not a number", value);
    }
    return sal_parse_duration(value, &req->which.older) && req->which.older > 0
               ? CMD_OK
               : cmd_usage(USAGE_LIST, "--older \"%s\" is not a time such as 90d", value);
}

static int take_option(request_t *req, int c, const char *value)
{
    switch (c) {
    case 'p':
        req->which.product = value;
        break;
    case 'v':
        req->which.version = value;
        break;
    case 'C':
        req->which.channel = value;
        break;
    case 'b':
        req->which.build = value;
        break;
    case 'k':
        req->which.key = value;
        break;
    case 't':
    case OPT_REGULAR:
        req->which.kind = c == 't';
        break;
    case 'u':
        req->user = value;
        break;
    case OPT_UNTIL:
        req->until = value;
        break;
    case 'n':
        req->dry = true;
        break;
    case 'c':
        req->conf = value;
        break;
    default:
        return take_number(req, c, value);
    }
    return CMD_OK;
}

static int dispatch(const char *verb, request_t *req, apr_pool_t *p)
{
    static const struct {
        const char *name;
        int (*run)(request_t *req, apr_pool_t *p);
    } verbs[] = { { "import", import },
                  { "list", list },
                  { "delete", delete_files },
                  { "keep", keep },
                  { "expire", expire } };

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!strcmp(verb, verbs[i].name)) {
            return verbs[i].run(req, p);
        }
    }
    return cmd_usage("symbols import|list|delete|keep|expire ...",
                     "say import, list, delete, keep or expire");
}

int cmd_symbols(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    request_t req = { .which = { .kind = -1 } };
    const char *value;
    apr_status_t rv;
    int c, code = CMD_OK;

    while (code == CMD_OK && (rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) {
        if (c == 'h') {
            print_help();
            return CMD_OK;
        }
        code = take_option(&req, c, value);
    }
    if (code != CMD_OK || rv != APR_EOF) {
        return CMD_USAGE;
    }
    req.args = os->argv + os->ind + 1;
    req.nargs = argc - os->ind - 1;
    return dispatch(os->ind < argc ? os->argv[os->ind] : "", &req, p);
}
