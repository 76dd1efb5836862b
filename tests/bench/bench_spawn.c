/*
 * What finished processes cost, start included: commands in turn, from a process so small that
 * starting one costs nothing of its own.
 *
 *   bench_spawn ROUNDS LIST COMMAND ARG... [--- COMMAND ARG...]...
 *
 * Each line of the file LIST is the last argument of every command once a round. A line a command:
 * "best_ms cpu_ms peak_kib": the sum over the lines of LIST of the shortest wall time, the same of
 * the least processor time, and the largest resident set of any run. Output of the commands is
 * lost.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { COMMANDS = 4, ARGUMENTS = 32, LINES = 4096 };

typedef struct command_t {
    char *argv[ARGUMENTS + 2];
    int argc;
    double wall[LINES], cpu[LINES]; /* the least so far; 0: none */
    long peak;
} command_t;

extern char **environ;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void keep_least(double *least, double v)
{
    *least = *least == 0 || v < *least ? v : *least;
}

static void run(command_t *c, int line, char *last, const posix_spawn_file_actions_t *actions)
{
    struct rusage usage;
    double start;
    int status;
    pid_t pid;

    c->argv[c->argc] = last;
    c->argv[c->argc + 1] = NULL;
    start = now();
    if (posix_spawnp(&pid, c->argv[0], actions, NULL, c->argv, environ) != 0 ||
        wait4(pid, &status, 0, &usage) != pid) {
        fprintf(stderr, "bench_spawn: %s cannot be started\n", c->argv[0]);
        exit(1);
    }
    keep_least(&c->wall[line], now() - start);
    keep_least(&c->cpu[line], seconds(usage.ru_utime) + seconds(usage.ru_stime));
    c->peak = usage.ru_maxrss > c->peak ? usage.ru_maxrss : c->peak;
}

static int read_list(const char *path, char **lines)
{
    static char text[LINES * 256];
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    char *save = NULL;
    int count = 0;

    if (f) {
        fclose(f);
    }
    text[n] = '\0';
    for (char *s = strtok_r(text, "\n", &save); s && count < LINES;
         s = strtok_r(NULL, "\n", &save)) {
        lines[count++] = s;
    }
    return count;
}

static int read_commands(command_t *commands, int argc, char **argv)
{
    int n = 0;

    for (int i = 0; i < argc && n < COMMANDS; i++) {
        if (strcmp(argv[i], "---") == 0) {
            n++;
        } else if (commands[n].argc < ARGUMENTS) {
            commands[n].argv[commands[n].argc++] = argv[i];
        }
    }
    return n + 1;
}

int main(int argc, char **argv)
{
    static command_t commands[COMMANDS + 1];
    static char *lines[LINES];
    posix_spawn_file_actions_t actions;
    int n, n_lines;

    if (argc < 4) {
        fprintf(stderr, "usage: bench_spawn ROUNDS LIST COMMAND ARG... [--- COMMAND ARG...]...\n");
        return 2;
    }
    n_lines = read_list(argv[2], lines);
    n = read_commands(commands, argc - 3, argv + 3);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    for (long round = strtol(argv[1], NULL, 10); round > 0; round--) {
        for (int line = 0; line < n_lines; line++) {
            for (int i = 0; i < n; i++) {
                run(&commands[i], line, lines[line], &actions);
            }
        }
    }
    for (int i = 0; i < n; i++) {
        double wall = 0, cpu = 0;

        for (int line = 0; line < n_lines; line++) {
            wall += commands[i].wall[line];
            cpu += commands[i].cpu[line];
        }
        printf("%.3f %.3f %ld\n", wall * 1e3, cpu * 1e3, commands[i].peak);
    }
    return 0;
}
