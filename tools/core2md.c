/*
 * salvage core2md CORE: converts a Linux core file into a minidump (salvage-core2md(1)).
 *
 * Command line, order of the work and output; what a core is and what a machine is, its other
 * files know.
 */
#include "core2md.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/text.h"

enum {
    STACK_LIMIT = 1 << 20,
    RED_ZONE = 128,               /* bytes below the stack pointer that a leaf may use */
    CODE_AROUND = 128,            /* bytes of code taken on each side of the crash */
    DUMP_REQUESTED = -1           /* code of a dump without a signal */
};

typedef struct options_t {
    const char *core, *exe, *out;
    core_linux_t linux_info;
    uint64_t stack_limit;
    bool partial;
} options_t;

static const char usage_text[] =
    "usage: salvage core2md [--exe FILE] [--proc DIR] [--host DIR]\n"
    "                       [--stack-limit SIZE] [--partial] [-o OUT.dmp] CORE\n";

static const char help_text[] =
    "  --exe FILE          the program, where its path in the core is of no use here\n"
    "  --proc DIR          /proc/PID of the crashed process, or a copy: thread names, maps ...\n"
    "  --host DIR          root of the host it ran on (/ is this one): kernel, CPUs, release\n"
    "  --stack-limit SIZE  most bytes of one thread's stack (default 1M)\n"
    "  --partial           take a truncated core for what it holds\n"
    "  -o, --output OUT    the minidump (default: CORE.dmp; - is standard output)\n";

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
    sal_span_t bytes;

    if (s && start < s->start) {
        start = s->start;
    }
    bytes = core_memory(core, start);
    if (!bytes.size) {
        bytes = core_file_memory(core, start, 2 * CODE_AROUND, core->pool);
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

    if ((rv = core_open(&core, o->core, o->partial, p, err)) != APR_SUCCESS
        || (rv = core_find_modules(core, o->exe, err)) != APR_SUCCESS) {
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

static int usage(const char *what, const char *arg)
{
    if (what) {
        fprintf(stderr, "salvage core2md: %s%s%s\n", what, arg ? ": " : "", arg ? arg : "");
    }
    fputs(usage_text, stderr);
    return 2;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, options_t *o, apr_pool_t *p)
{
    static const struct option longs[] = {
        { "exe", required_argument, NULL, 'e' },    { "proc", required_argument, NULL, 'p' },
        { "host", required_argument, NULL, 'h' },        { "stack-limit", required_argument, NULL, 's' },
        { "partial", no_argument, NULL, 'P' },      { "output", required_argument, NULL, 'o' },
        { "help", no_argument, NULL, '?' + 256 },   { NULL, 0, NULL, 0 },
    };
    int c;

    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "o:", longs, NULL)) != -1) {
        switch (c) {
        case 'e':
            o->exe = optarg;
            break;
        case 'p':
            o->linux_info.proc = optarg;
            break;
        case 'h':
            o->linux_info.host = optarg;
            break;
        case 's':
            if (!sal_parse_size(optarg, &o->stack_limit) || o->stack_limit < 4096) {
                return usage("--stack-limit is not a size of 4k or more", optarg);
            }
            break;
        case 'P':
            o->partial = true;
            break;
        case 'o':
            o->out = optarg;
            break;
        case '?' + 256:
            printf("%s%s", usage_text, help_text);
            return 0;
        default:
            return usage("unknown option, or one without its value", argv[optind - 1]);
        }
    }
    if (optind + 1 != argc) {
        return usage("one core file is needed", NULL);
    }
    o->core = argv[optind];
    o->out = o->out ? o->out : apr_pstrcat(p, o->core, ".dmp", NULL);
    return -1;
}

int core2md_main(int argc, char **argv)
{
    options_t o = { .stack_limit = STACK_LIMIT };
    sal_error_t err = { 0 };
    apr_pool_t *p;
    int rc;

    if (apr_pool_create(&p, NULL) != APR_SUCCESS) {
        fputs("salvage core2md: out of memory\n", stderr);
        return 1;
    }
    rc = parse(argc, argv, &o, p);
    if (rc < 0) {
        rc = 0;
        if (convert(&o, p, &err) != APR_SUCCESS) {
            fprintf(stderr, "salvage core2md: %s\n", err.message);
            rc = 1;
        }
    }
    apr_pool_destroy(p);
    return rc;
}
