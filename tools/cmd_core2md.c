/*
 * salvage core2md CORE: converts a Linux core file into a minidump (salvage-core2md(1)).
 *
 * Command line, order of the work and output; what a core is and what a machine is, its other
 * files know.
 */
#include "cmd.h"
#include "core2md_core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/text.h"

enum {
    STACK_LIMIT = 1 << 20,
    RED_ZONE = 128,     /* bytes below the stack pointer that a leaf may use */
    CODE_AROUND = 128,  /* bytes of code taken on each side of the crash */
    DUMP_REQUESTED = -1 /* code of a dump without a signal */
};

typedef struct options_t {
    const char *core, *exe, *out;
    core_linux_t linux_info;
    uint64_t stack_limit;
    bool partial;
} options_t;

#define USAGE                                                                                      \
    "core2md [--exe FILE] [--proc DIR] [--host DIR] [--stack-limit SIZE] [--partial] [-o OUT] "    \
    "CORE"

enum { OPT_EXE = 256, OPT_PROC, OPT_HOST, OPT_STACK_LIMIT, OPT_PARTIAL };

static const apr_getopt_option_t option_table[] = {
    { "exe", OPT_EXE, 1, "the program, where its path in the core is of no use here" },
    { "proc", OPT_PROC, 1, "/proc/PID of the process, or a copy: thread names, maps ..." },
    { "host", OPT_HOST, 1, "root of the host it ran on (/: this one): kernel, CPUs, release" },
    { "stack-limit", OPT_STACK_LIMIT, 1, "most bytes of one thread's stack; default 1M" },
    { "partial", OPT_PARTIAL, 0, "take a truncated core for what it holds" },
    { "output", 'o', 1, "the minidump; default CORE.dmp, - is standard output" },
    CMD_OPT_HELP,
    CMD_OPT_END,
};

/* ---- threads and memory ---- */

static sal_mdw_loc_t write_memory(sal_mdw_t *w, uint64_t base, const sal_span_t *bytes)
{
    sal_mdw_loc_t loc = sal_mdw_refer(w, bytes->data, bytes->size);

    sal_mdw_memory(w, base, loc);
    return loc;
}

/* From a little below sp to the end of its mapping. */
static sal_span_t stack_of(const core_t *core, uint64_t sp, uint64_t limit, uint64_t *start)
{
    const core_segment_t *s = core_segment_at(core, sp);
    sal_span_t bytes;

    *start = sp;
    if (s) {
        *start = sp - s->start > RED_ZONE ? (sp - RED_ZONE) & ~UINT64_C(15) : s->start;
    }
    bytes = core_memory(core, *start);
    bytes.size = bytes.size < limit ? bytes.size : (size_t)limit;
    return bytes;
}

static sal_mdw_loc_t write_thread(const core_t *core, const options_t *o, const core_thread_t *t,
                                  sal_mdw_t *w)
{
    const sal_cpu_desc_t *cpu = sal_cpu_desc(core_machine_cpu(core->machine));
    sal_mdw_thread_t out = { .id = t->tid };
    sal_span_t stack = stack_of(core, t->regs.value[cpu->sp], o->stack_limit, &out.stack_start);

    out.name = core_thread_name(core, &o->linux_info, t->tid);
    if (stack.size) {
        out.stack = write_memory(w, out.stack_start, &stack);
    }
    out.context = core_thread_context(core->machine, t, w, core->pool);
    sal_mdw_thread(w, &out);
    return out.context;
}

/* Code around the instruction that crashed; the core holds none of an unchanged file mapping. */
static void write_code(const core_t *core, const core_thread_t *t, sal_mdw_t *w)
{
    uint64_t pc = t->regs.value[sal_cpu_desc(core_machine_cpu(core->machine))->pc];
    const core_segment_t *s = core_segment_at(core, pc);
    uint64_t start = pc > CODE_AROUND ? pc - CODE_AROUND : 0;
    sal_span_t bytes, file;

    if (s && start < s->start) {
        start = s->start;
    }
    bytes = core_memory(core, start);
    if (bytes.size <= pc - start) {
        file = core_file_memory(core, start, 2 * CODE_AROUND, core->pool);
        bytes = file.size > bytes.size ? file : bytes;
    }
    bytes.size = bytes.size < 2 * CODE_AROUND ? bytes.size : 2 * CODE_AROUND;
    if (bytes.size) {
        write_memory(w, start, &bytes);
    }
}

static void write_exception(const core_t *core, sal_mdw_loc_t context, sal_mdw_t *w)
{
    sal_mdw_exception_t e = { .thread_id = core->threads[0].tid, .context = context };

    if (!core_signal(core, &e.code, &e.flags, &e.address)) {
        e.code = (uint32_t)DUMP_REQUESTED;
        e.flags = 0;
    }
    sal_mdw_exception(w, &e);
}

static void write_modules(const core_t *core, sal_mdw_t *w)
{
    for (size_t i = 0; i < core->n_modules; i++) {
        const core_module_t *m = &core->modules[i];
        sal_mdw_module_t out = { .base = m->base, .size = (uint32_t)m->size, .name = m->path };

        if (m->id_size) {
            out.cv = sal_mdw_cv_elf(w, m->id, m->id_size);
        }
        sal_mdw_module(w, &out);
    }
}

static void fill(const core_t *core, const options_t *o, sal_mdw_t *w)
{
    sal_mdw_loc_t context = { 0, 0 };

    core_write_linux(core, &o->linux_info, w);
    for (size_t i = 0; i < core->n_threads; i++) {
        sal_mdw_loc_t loc = write_thread(core, o, &core->threads[i], w);

        context = i == 0 ? loc : context;
    }
    write_code(core, &core->threads[0], w);
    write_exception(core, context, w);
    write_modules(core, w);
    if (core_process_id(core)) {
        sal_mdw_misc(w, core_process_id(core), 0);
    }
}

/* ---- output ---- */

static apr_status_t write_file(const sal_mdw_t *w, const char *path, apr_pool_t *p,
                               sal_error_t *err)
{
    const char *aside = apr_psprintf(p, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    apr_status_t rv;

    if (fd < 0) {
        return sal_fail_os(err, errno, "%s", aside);
    }
    rv = sal_mdw_write(w, fd, err);
    if (close(fd) && rv == APR_SUCCESS) {
        rv = sal_fail_os(err, errno, "%s", aside);
    }
    if (rv == APR_SUCCESS && rename(aside, path)) {
        rv = sal_fail_os(err, errno, "%s", path);
    }
    if (rv != APR_SUCCESS) {
        unlink(aside);
    }
    return rv;
}

static apr_status_t convert(const options_t *o, apr_pool_t *p, sal_error_t *err)
{
    struct stat st = { 0 };
    core_t *core;
    sal_mdw_t *w;
    apr_status_t rv;

    if ((rv = core_open(&core, o->core, o->partial, p, err)) != APR_SUCCESS ||
        (rv = core_find_modules(core, o->exe, err)) != APR_SUCCESS) {
        return rv;
    }
    w = sal_mdw_make(false, p);
    fill(core, o, w);
    stat(o->core, &st);
    if ((rv = sal_mdw_finish(w, (uint32_t)st.st_mtime, 0, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!strcmp(o->out, "-")) {
        return sal_mdw_write(w, STDOUT_FILENO, err);
    }
    return write_file(w, o->out, p, err);
}

/* ---- command line ---- */

static void print_help(void)
{
    printf("usage: salvage %s\n\nConverts a Linux core file into a minidump.\n\n", USAGE);
    for (const apr_getopt_option_t *o = option_table; o->name; o++) {
        printf("  --%-12s %s\n", o->name, o->description);
    }
}

/* -1: go on; else the exit code. */
static int take_option(options_t *o, int c, const char *value)
{
    switch (c) {
    case OPT_EXE:
        o->exe = value;
        return -1;
    case OPT_PROC:
        o->linux_info.proc = value;
        return -1;
    case OPT_HOST:
        o->linux_info.host = value;
        return -1;
    case OPT_STACK_LIMIT:
        if (!sal_parse_size(value, &o->stack_limit) || o->stack_limit < 4096) {
            return cmd_usage(USAGE, "--stack-limit %s is not a size of 4k or more", value);
        }
        return -1;
    case OPT_PARTIAL:
        o->partial = true;
        return -1;
    case 'o':
        o->out = value;
        return -1;
    default:
        print_help();
        return CMD_OK;
    }
}

int cmd_core2md(int argc, const char **argv, apr_pool_t *p)
{
    apr_getopt_t *os = cmd_options(argc, argv, p);
    options_t o = { .stack_limit = STACK_LIMIT };
    const char *value;
    apr_status_t rv;
    sal_error_t err;
    int c, code;

    while ((rv = apr_getopt_long(os, option_table, &c, &value)) == APR_SUCCESS) {
        if ((code = take_option(&o, c, value)) >= 0) {
            return code;
        }
    }
    if (rv != APR_EOF) {
        return CMD_USAGE;
    }
    if (os->ind + 1 != argc) {
        return cmd_usage(USAGE, "name one core file");
    }
    o.core = os->argv[os->ind];
    o.out = o.out ? o.out : apr_pstrcat(p, o.core, ".dmp", NULL);
    return convert(&o, p, &err) == APR_SUCCESS ? CMD_OK : cmd_fail_err(&err);
}
