/*
 * salvage: one command, a file per subcommand. Finds the subcommand and gives it its arguments;
 * what a subcommand does is in tools/cmd_NAME.c, the list of all in tools/commands.def.
 *
 * Compiled three times: as `salvage`, with SALVAGE_TOOLS as `salvage-tools`, with SALVAGE_SERVER as
 * `salvage-server`. Which command stands where is in the list; `salvage` starts the others.
 */
#include "config.h"
#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/log.h"

#define DEFAULT_CONF "/etc/salvage/salvage.conf"

typedef struct command_t {
    const char *name;
    const char *help;
    int (*run)(int argc, const char **argv, apr_pool_t *p); /* NULL: stands in the other program */
    const char *program;
} command_t;

#define HERE(name, help) { #name, help, cmd_##name, NULL },
#define EVERY HERE
#ifdef SALVAGE_TOOLS
#define THIS_PROGRAM CMD_TOOLS
#define LOCAL HERE
#else
#define LOCAL(name, help) { #name, help, NULL, CMD_TOOLS },
#endif
#ifdef SALVAGE_SERVER
#define THIS_PROGRAM CMD_SERVER
#define SERVER HERE
#else
#define SERVER(name, help) { #name, help, NULL, CMD_SERVER },
#endif
#ifdef THIS_PROGRAM
#define QUICK(name, help) { #name, help, NULL, "salvage" },
#define BOTH HERE
#else
#define THIS_PROGRAM "salvage"
#define QUICK HERE
#define BOTH LOCAL
#endif
static const command_t commands[] = {
#include "commands.def"
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *running = ""; /* the subcommand, for messages */
static const char *global_conf;  /* `salvage -c FILE ...` */
static const char **all_args;    /* of this process */

/* ---- what subcommands share ---- */

static void say(const char *fmt, va_list args)
{
    fprintf(stderr, "salvage%s%s: ", *running ? " " : "", running);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
}

int cmd_fail(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    return CMD_FAILED;
}

int cmd_fail_err(const sal_error_t *err)
{
    return cmd_fail("%s", err->message);
}

int cmd_usage(const char *usage, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    fprintf(stderr, "usage: salvage %s\n", usage);
    return CMD_USAGE;
}

static void option_error(void *arg, const char *fmt, ...)
{
    va_list args;

    (void)arg;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
}

apr_getopt_t *cmd_options(int argc, const char **argv, apr_pool_t *p)
{
    const char **copy = apr_pmemdup(p, argv, ((apr_size_t)argc + 1) * sizeof(*argv));
    apr_getopt_t *os;

    copy[0] = apr_pstrcat(p, "salvage ", argv[0], NULL); /* what its messages start with */
    apr_getopt_init(&os, p, argc, copy);
    os->interleave = 1;
    os->errfn = option_error;
    return os;
}

sal_conf_t *cmd_conf(const char *path, apr_pool_t *p)
{
    sal_conf_t *conf;
    sal_error_t err;

    path = path ? path : global_conf;
    path = path ? path : getenv("SALVAGE_CONF");
    path = path && *path ? path : DEFAULT_CONF;
    if (sal_conf_read(&conf, path, p, &err) != APR_SUCCESS) {
        cmd_fail("%s; name the configuration with -c FILE or $SALVAGE_CONF", err.message);
        return NULL;
    }
    return conf;
}

/* The installed program, or in a build tree the one beside us. */
void cmd_become(const char *program, const char **argv)
{
    char path[4096];
    ssize_t n;
    char *slash;

    snprintf(path, sizeof(path), PKGLIBEXECDIR "/%s", program);
    execv(path, (char **)argv);
    n = readlink("/proc/self/exe", path, sizeof(path) - strlen(program) - 2);
    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash) {
        snprintf(slash, sizeof(path) - (size_t)(slash - path), "/%s", program);
        execv(path, (char **)argv);
    }
}

int cmd_give_way(const char *program)
{
    if (strcmp(program, THIS_PROGRAM) == 0) {
        return CMD_OK;
    }
    fflush(stderr);
    cmd_become(program, all_args);
    return cmd_fail(PKGLIBEXECDIR "/%s cannot be started (%s): install Salvage again", program,
                    strerror(errno));
}

/* ---- the dispatcher ---- */

static void log_line(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton;
    (void)level;
    fprintf(stderr, "salvage%s%s: %s\n", *running ? " " : "", running, line);
}

/* Names are C identifiers in the table and have dashes for users. */
static int same_name(const char *row, const char *typed)
{
    for (; *row && *typed; row++, typed++) {
        if (*row != *typed && !(*row == '_' && *typed == '-')) {
            return 0;
        }
    }
    return !*row && !*typed;
}

static const command_t *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (same_name(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_help(FILE *out)
{
    fputs("usage: salvage [-c FILE] COMMAND [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        char name[32];

        apr_cpystrn(name, commands[i].name, sizeof(name));
        for (char *c = name; *c; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        fprintf(out, "  %-16s %s\n", name, commands[i].help);
    }
    fputs("\n`salvage COMMAND --help` and `man salvage-COMMAND` say more.\n", out);
}

/* Output that could not be written (full disk, closed pipe) is a failure too. */
static int finish(int code)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == CMD_OK) {
        return cmd_fail("cannot write to standard output");
    }
    return code;
}

static int run(int argc, const char **argv, apr_pool_t *p)
{
    const command_t *command;

    all_args = argv;
    if (argc > 2 && (!strcmp(argv[1], "-c") || !strcmp(argv[1], "--config"))) {
        global_conf = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc < 2) {
        print_help(stderr);
        return CMD_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return CMD_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        puts(PACKAGE_NAME " " PACKAGE_VERSION);
        return CMD_OK;
    }
    command = find(argv[1]);
    if (!command) {
        return cmd_usage("[-c FILE] COMMAND [ARGUMENT...]",
                         "there is no command \"%s\"; `salvage --help` lists them", argv[1]);
    }
    running = argv[1];
    if (!command->run) {
        if (strcmp(THIS_PROGRAM, "salvage") != 0) {
            return cmd_fail("not a subcommand of this program: run `salvage %s`", argv[1]);
        }
        return cmd_give_way(command->program);
    }
    return command->run(argc - 1, argv + 1, p);
}

int main(int argc, const char *const *argv, const char *const *env)
{
    apr_pool_t *p;
    int code;

    if (apr_app_initialize(&argc, &argv, &env) != APR_SUCCESS ||
        apr_pool_create(&p, NULL) != APR_SUCCESS) {
        return cmd_fail("out of memory");
    }
    sal_log_sink(log_line, NULL);
    code = finish(run(argc, (const char **)argv, p));
    apr_pool_destroy(p);
    apr_terminate();
    return code;
}
