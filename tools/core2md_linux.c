/*
 * What Linux tells: system, memory map, thread names, command line.
 *
 * The core alone gives a map and the first 80 bytes of the command line. A process directory of
 * /proc (or a copy) gives the rest; the host's own files are read only when the caller says that
 * the core is of this host.
 */
#include "core2md_core.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>
#include <apr_strings.h>
#include "base/text.h"

enum { MAX_TEXT_FILE = 4 << 20, PLATFORM_LINUX = 0x8201 };

/* ---- files of /proc and /etc ---- */

/*
 * Content of a text file, cut at MAX_TEXT_FILE, NUL-terminated; NULL if it cannot be read. Files
 * of /proc say that they are empty, so reading goes on until there is no more.
 */
static char *read_text(const char *path, size_t *size, apr_pool_t *p)
{
    size_t room = 4096;
    char *text = apr_palloc(p, room);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 0;

    *size = 0;
    while (fd >= 0 && *size < MAX_TEXT_FILE && (n = read(fd, text + *size, room - *size - 1)) > 0) {
        *size += (size_t)n;
        if (*size == room - 1) {
            char *more = apr_palloc(p, room *= 2);

            memcpy(more, text, *size);
            text = more;
        }
    }
    text[*size] = '\0';
    if (fd >= 0) {
        close(fd);
    }
    return fd < 0 || n < 0 ? NULL : text;
}

/* Content of a file as a stream, if it can be read and is not empty. */
static bool write_file(sal_mdw_t *w, uint32_t type, const char *path, apr_pool_t *p)
{
    size_t size;
    char *text = read_text(path, &size, p);

    if (!text || !size) {
        return false;
    }
    sal_mdw_stream(w, type, sal_mdw_refer(w, text, size));
    return true;
}

static bool write_proc(const core_t *core, const core_linux_t *opts, sal_mdw_t *w, uint32_t type,
                       const char *name)
{
    return opts->proc &&
           write_file(w, type, apr_pstrcat(core->pool, opts->proc, "/", name, NULL), core->pool);
}

const char *core_thread_name(const core_t *core, const core_linux_t *opts, uint32_t tid)
{
    size_t size;
    char *text = NULL;

    if (opts->proc) {
        text = read_text(apr_psprintf(core->pool, "%s/task/%u/comm", opts->proc, tid), &size,
                         core->pool);
    }
    if (text) {
        return sal_utf8_clean(text, strcspn(text, "\n"), core->pool);
    }
    return tid == core_process_id(core) ? core_process_name(core) : NULL;
}

/* ---- the memory map ---- */

static const core_file_t *file_at(const core_t *core, uint64_t address)
{
    size_t lo = 0, hi = core->n_files;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const core_file_t *f = &core->files[mid];

        if (address < f->start) {
            hi = mid;
        } else if (address >= f->end) {
            lo = mid + 1;
        } else {
            return f;
        }
    }
    return NULL;
}

/* Mappings that have a name without being a file; looked up once, not for each segment. */
typedef struct landmarks_t {
    uint64_t vdso, sp; /* of the main thread; 0: unknown */
} landmarks_t;

static landmarks_t find_landmarks(const core_t *core)
{
    landmarks_t out = { .vdso = core_auxv(core, AT_SYSINFO_EHDR) };
    uint32_t pid = core_process_id(core);
    int sp = sal_cpu_desc(core_machine_cpu(core->machine))->sp;

    for (size_t i = 0; i < core->n_threads && !out.sp; i++) {
        out.sp = core->threads[i].tid == pid ? core->threads[i].regs.value[sp] : 0;
    }
    return out;
}

/* As the kernel writes it: the path stands in column 74. */
static void write_map_line(sal_mdw_record_t *r, apr_pool_t *p, uint64_t start, uint64_t end,
                           const char *perms, uint64_t offset, const char *name)
{
    const char *line = apr_psprintf(p, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " 00:00 0 ",
                                    start, end, perms, offset);

    line = *name ? apr_psprintf(p, "%-72s %s\n", line, name) : apr_pstrcat(p, line, "\n", NULL);
    sal_mdw_put(r, line, strlen(line));
}

static void write_segment_line(const core_t *core, sal_mdw_record_t *r, const core_segment_t *s,
                               const landmarks_t *marks)
{
    const core_file_t *f = file_at(core, s->start);
    char perms[5] = "---p";
    const char *name = "";

    perms[0] = s->read ? 'r' : '-';
    perms[1] = s->write ? 'w' : '-';
    perms[2] = s->exec ? 'x' : '-';
    if (f) {
        name = sal_utf8_clean(f->path, strlen(f->path), core->pool);
    } else if (s->start == marks->vdso) {
        name = "[vdso]";
    } else if (marks->sp && marks->sp - s->start < s->size) {
        name = "[stack]";
    }
    write_map_line(r, core->pool, s->start, s->start + s->size, perms,
                   f ? f->offset + (s->start - f->start) : 0, name);
}

/* A mapping that the core left out; the file's program headers tell how it was mapped. */
static void write_file_line(const core_t *core, sal_mdw_record_t *r, const core_file_t *f)
{
    char perms[5];

    core_file_perms(core, f->start, perms);
    write_map_line(r, core->pool, f->start, f->end, perms, f->offset,
                   sal_utf8_clean(f->path, strlen(f->path), core->pool));
}

/* Segments, and the mapped files among them that the core has no segment of. */
static void write_maps(const core_t *core, sal_mdw_t *w)
{
    sal_mdw_record_t *r = sal_mdw_record(w);
    landmarks_t marks = find_landmarks(core);
    size_t file = 0;

    for (size_t i = 0; i <= core->n_segments; i++) {
        uint64_t next = i < core->n_segments ? core->segments[i].start : UINT64_MAX;

        for (; file < core->n_files && core->files[file].start < next; file++) {
            const core_file_t *f = &core->files[file];

            if (!core_segment_at(core, f->start)) {
                write_file_line(core, r, f);
            }
        }
        if (i < core->n_segments) {
            write_segment_line(core, r, &core->segments[i], &marks);
        }
    }
    sal_mdw_stream(w, SAL_STREAM_LINUX_MAPS, sal_mdw_end(r));
}

/* ---- the system ---- */

/* Number behind `key : ` of /proc/cpuinfo's first processor; 0 if it is not there. */
static uint32_t cpuinfo_number(const char *text, const char *key)
{
    size_t n = strlen(key);
    int64_t v;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        char digits[24] = "";
        const char *at;

        line += *line == '\n';
        if (strncmp(line, key, n) || (line[n] != '\t' && line[n] != ' ' && line[n] != ':')) {
            continue;
        }
        at = line + n + strspn(line + n, "\t :");
        apr_cpystrn(digits, at,
                    strspn(at, "0123456789") + 1 < sizeof(digits) ? strspn(at, "0123456789") + 1
                                                                  : sizeof(digits));
        return sal_parse_int(digits, 0, UINT32_MAX, &v) ? (uint32_t)v : 0;
    }
    return 0;
}

static uint8_t count_cpus(const char *text)
{
    unsigned n = 0;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        n += !strncmp(line, "processor", 9);
    }
    return n < 255 ? (uint8_t)n : 255;
}

/* First line of a file below the host's root; "" if it cannot be read. */
static const char *host_line(const core_t *core, const core_linux_t *opts, const char *name)
{
    const char *path = apr_pstrcat(core->pool, opts->host, "/", name, NULL);
    size_t size;
    char *text = read_text(path, &size, core->pool);

    return !text ? "" : sal_utf8_clean(text, strcspn(text, "\n"), core->pool);
}

/* What `uname -srvm` says there; readers take version and build out of it. */
static const char *host_uname(const core_t *core, const core_linux_t *opts)
{
    const char *system = host_line(core, opts, "proc/sys/kernel/ostype");

    if (!*system) {
        return "";
    }
    return apr_pstrcat(core->pool, system, " ", host_line(core, opts, "proc/sys/kernel/osrelease"),
                       " ", host_line(core, opts, "proc/sys/kernel/version"), " ",
                       core_machine_uname(core->machine), NULL);
}

static void describe_host(const core_t *core, const core_linux_t *opts, sal_mdw_system_t *s)
{
    const char *cpuinfo = apr_pstrcat(core->pool, opts->host, "/proc/cpuinfo", NULL);
    size_t size;
    char *text = read_text(cpuinfo, &size, core->pool);

    s->csd = host_uname(core, opts);
    if (!text) {
        return;
    }
    s->cpu_count = count_cpus(text);
    s->level = (uint16_t)cpuinfo_number(text, "cpu family");
    s->revision = (uint16_t)(cpuinfo_number(text, "model") << 8 | cpuinfo_number(text, "stepping"));
    if (core_machine_cpu(core->machine) == SAL_CPU_ARM) {
        s->level = (uint16_t)cpuinfo_number(text, "CPU architecture");
    }
}

static void write_host_files(const core_t *core, const core_linux_t *opts, sal_mdw_t *w)
{
    static const char *const releases[] = { "/etc/lsb-release", "/etc/os-release" };

    write_file(w, SAL_STREAM_LINUX_CPU_INFO,
               apr_pstrcat(core->pool, opts->host, "/proc/cpuinfo", NULL), core->pool);
    for (int i = 0; i < 2; i++) {
        if (write_file(w, SAL_STREAM_LINUX_LSB_RELEASE,
                       apr_pstrcat(core->pool, opts->host, releases[i], NULL), core->pool)) {
            return;
        }
    }
}

static void write_args(const core_t *core, sal_mdw_t *w)
{
    const char *args = core_process_args(core);

    if (args && *args) {
        sal_mdw_stream(w, SAL_STREAM_LINUX_CMD_LINE, sal_mdw_copy(w, args, strlen(args)));
    }
}

void core_write_linux(const core_t *core, const core_linux_t *opts, sal_mdw_t *w)
{
    sal_mdw_system_t s = { .arch = core_machine_arch(core->machine), .platform = PLATFORM_LINUX };

    if (opts->host) {
        describe_host(core, opts, &s);
        write_host_files(core, opts, w);
    }
    sal_mdw_system(w, &s);
    if (!write_proc(core, opts, w, SAL_STREAM_LINUX_MAPS, "maps")) {
        write_maps(core, w);
    }
    if (!write_proc(core, opts, w, SAL_STREAM_LINUX_CMD_LINE, "cmdline")) {
        write_args(core, w);
    }
    write_proc(core, opts, w, SAL_STREAM_LINUX_PROC_STATUS, "status");
    write_proc(core, opts, w, SAL_STREAM_MOZ_LINUX_LIMITS, "limits");
    if (core->auxv.size) {
        sal_mdw_stream(w, SAL_STREAM_LINUX_AUXV,
                       sal_mdw_refer(w, core->auxv.data, core->auxv.size));
    }
}
