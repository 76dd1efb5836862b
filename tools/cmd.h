/*
 * What the subcommands of `salvage` share. A subcommand is `int cmd_NAME(argc, argv, p)` in
 * tools/cmd_NAME.c with a row in tools/commands.def; argv[0] is its name ("db"), the rest are its
 * arguments. It returns one of the codes below; a failure has printed one line on stderr that says
 * what failed and what to do.
 */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include <apr_getopt.h>
#include <apr_pools.h>

#include "base/conf.h"
#include "base/error.h"
#include "db/db.h"

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

#define QUICK(name, help) int cmd_##name(int argc, const char **argv, apr_pool_t *p);
#define EVERY QUICK
#define LOCAL QUICK
#define BOTH QUICK
#define SERVER QUICK
#include "commands.def"
#undef QUICK
#undef EVERY
#undef BOTH
#undef LOCAL
#undef SERVER

/* The programs that `salvage` gives way to. */
#define CMD_TOOLS "salvage-tools"
#define CMD_SERVER "salvage-server"

/*
 * Gives way to another program, which does the whole command from the start: for a command of EVERY
 * that meets what this program cannot do. Returns CMD_FAILED, after saying so, if it cannot be
 * started; in that program itself it does nothing and returns CMD_OK.
 */
int cmd_give_way(const char *program);

/* Prints "salvage NAME: text" and returns CMD_FAILED. */
int cmd_fail(const char *fmt, ...) SAL_PRINTF(1, 2);

/* The same with the message of err. */
int cmd_fail_err(const sal_error_t *err);

/* Prints "salvage NAME: text" and the usage line, returns CMD_USAGE. usage: "db migrate [-c F]". */
int cmd_usage(const char *usage, const char *fmt, ...) SAL_PRINTF(2, 3);

/*
 * Options of a subcommand, which may stand between its arguments. Unknown ones are reported by
 * apr_getopt_long itself, in our form: return CMD_USAGE then.
 *
 *     while ((rv = apr_getopt_long(os, options, &c, &value)) == APR_SUCCESS) ...
 *     if (rv != APR_EOF) return CMD_USAGE;
 *     the remaining arguments are os->argv[os->ind] to os->argv[argc - 1]
 */
apr_getopt_t *cmd_options(int argc, const char **argv, apr_pool_t *p);

/* Options that every subcommand with a configuration has; put them into your table. */
#define CMD_OPT_CONFIG                                                                             \
    {                                                                                              \
        "config", 'c', 1, "configuration file"                                                     \
    }
#define CMD_OPT_HELP                                                                               \
    {                                                                                              \
        "help", 'h', 0, "this text"                                                                \
    }
#define CMD_OPT_END                                                                                \
    {                                                                                              \
        NULL, 0, 0, NULL                                                                           \
    }

/*
 * salvage.conf: path if given, else `salvage -c FILE`, else $SALVAGE_CONF, else
 * /etc/salvage/salvage.conf. NULL after printing why it cannot be read.
 */
sal_conf_t *cmd_conf(const char *path, apr_pool_t *p);

/*
 * Becomes a program of PKGLIBEXECDIR, or in a build tree the one beside this. Returns only if that
 * cannot be started (errno).
 */
void cmd_become(const char *program, const char **argv);

/* SERVER only: the database of the configuration. NULL after printing why there is none. */
sal_db_t *cmd_db_open(const char *conf_path, apr_pool_t *p);

#endif
