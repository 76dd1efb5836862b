/*
 * Microdumps: what Breakpad writes into the system's log where a minidump cannot be kept (Android
 * web views): one thread, its stack, its registers and the modules, as lines of text. They become
 * the same object as a minidump. Format: docs/minidump.md.
 *
 * Logs lose lines and mix those of several processes: lines must carry the tag of the first one,
 * and what is missing costs itself.
 */
#include "minidump/minidump_private.h"

#include <apr_strings.h>
#include <stdlib.h>
#include "base/text.h"

enum { MAX_STACK = 64 << 20, MAX_CONTEXT = 4096, MAX_NAME = 255, /* of a file */ ID_LENGTH = 33 };

static const char begin_mark[] = "-----BEGIN BREAKPAD MICRODUMP-----";
static const char end_mark[] = "-----END BREAKPAD MICRODUMP-----";
static const char log_tag[] = "google-breakpad";

typedef struct piece_t {
    const char *s;
    size_t len;
} piece_t;

typedef struct reader_t {
    sal_minidump_t *md;
    piece_t tag;  /* what stands before each record; empty: records begin their lines */
    piece_t rest; /* lines not yet read */
    uint8_t *stack;
    size_t stack_used, stack_room;
    sal_md_memory_t *chunks;
    size_t n_chunks, max_chunks, max_modules;
    uint64_t stack_start;
} reader_t;

static const struct {
    const char *name;
    sal_cpu_t cpu;
} archs[] = {
    { "arm", SAL_CPU_ARM },         { "arm64", SAL_CPU_ARM64 },   { "aarch64", SAL_CPU_ARM64 },
    { "x86", SAL_CPU_X86 },         { "x86_64", SAL_CPU_AMD64 },  { "mips", SAL_CPU_MIPS },
    { "mips64", SAL_CPU_MIPS64 },   { "riscv32", SAL_CPU_RISCV }, { "riscv", SAL_CPU_RISCV },
    { "riscv64", SAL_CPU_RISCV64 },
};

static const char *find(piece_t in, const char *what, size_t len)
{
    return in.len ? memmem(in.s, in.len, what, len) : NULL;
}

static bool is(piece_t t, const char *word)
{
    return t.len == strlen(word) && memcmp(t.s, word, t.len) == 0;
}

/* Cuts the next line off, without its end. */
static bool next_line(piece_t *rest, piece_t *line)
{
    const char *end;

    if (!rest->len) {
        return false;
    }
    end = memchr(rest->s, '\n', rest->len);
    *line = (piece_t){ rest->s, end ? (size_t)(end - rest->s) : rest->len };
    rest->s += line->len + (end != NULL);
    rest->len -= line->len + (end != NULL);
    if (line->len && line->s[line->len - 1] == '\r') {
        line->len--;
    }
    return true;
}

/* Cuts the next word off; empty at the end. */
static piece_t next_word(piece_t *rest)
{
    piece_t word;

    while (rest->len && *rest->s == ' ') {
        rest->s++;
        rest->len--;
    }
    word = (piece_t){ rest->s, 0 };
    while (word.len < rest->len && rest->s[word.len] != ' ') {
        word.len++;
    }
    rest->s += word.len;
    rest->len -= word.len;
    return word;
}

static bool next_hex(piece_t *rest, uint64_t *v)
{
    piece_t word = next_word(rest);

    return sal_parse_hex(word.s, word.len, v);
}

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* Whole bytes of hex; a log cuts long lines, so what is there counts up to the first other sign. */
static size_t hex_bytes(uint8_t *out, size_t room, piece_t text)
{
    size_t n = 0;

    while (n < room && 2 * n + 1 < text.len) {
        int hi = nibble(text.s[2 * n]), lo = nibble(text.s[2 * n + 1]);

        if (hi < 0 || lo < 0) {
            break;
        }
        out[n++] = (uint8_t)(hi << 4 | lo);
    }
    return n;
}

static const char *text_of(sal_minidump_t *md, piece_t t)
{
    sal_span_t s = { (const uint8_t *)t.s, t.len < MAX_NAME ? t.len : MAX_NAME, false };
    const char *text = md_bytes_text(md, &s);

    return text ? text : "";
}

/*
 * The next record of the dump: its letter, and what follows. False at its end, which may be the
 * begin of another one.
 */
static bool next_record(reader_t *r, char *kind, piece_t *fields)
{
    piece_t line;

    while (next_line(&r->rest, &line)) {
        if (r->tag.len) {
            const char *at = find(line, r->tag.s, r->tag.len);

            if (!at) {
                continue;
            }
            line.len -= (size_t)(at - line.s) + r->tag.len;
            line.s = at + r->tag.len;
        }
        if (find(line, end_mark, sizeof(end_mark) - 1) ||
            find(line, begin_mark, sizeof(begin_mark) - 1)) {
            return false;
        }
        if (line.len >= 2 && line.s[1] == ' ') {
            *kind = line.s[0];
            *fields = (piece_t){ line.s + 2, line.len - 2 };
            return true;
        }
    }
    return false;
}

/* O: system (L or A), architecture, CPUs, the hardware's own name, version of the system. */
static void read_system(sal_minidump_t *md, piece_t f)
{
    sal_md_system_t *sys = &md->system;
    piece_t os = next_word(&f), arch = next_word(&f);
    uint64_t cpus = 0;

    next_hex(&f, &cpus);
    next_word(&f);
    if (f.len) {
        f.s++;
        f.len--;
    }
    sys->present = true;
    sys->cpu_count = cpus > UINT8_MAX ? UINT8_MAX : (uint8_t)cpus;
    sys->os_version = text_of(md, f);
    if (is(os, "A") || is(os, "L")) {
        sys->os = *os.s == 'A' ? SAL_OS_ANDROID : SAL_OS_LINUX;
        sys->os_name = *os.s == 'A' ? "Android" : "Linux";
        sys->platform = *os.s == 'A' ? 0x8203 : 0x8201;
    } else {
        sys->os_name = text_of(md, os);
    }
    for (size_t i = 0; i < sizeof(archs) / sizeof(archs[0]); i++) {
        if (is(arch, archs[i].name)) {
            sys->cpu = archs[i].cpu;
        }
    }
    sys->cpu_name = sal_cpu_desc(sys->cpu)->name;
}

/* R: signal, its name, the address. */
static void read_reason(sal_minidump_t *md, piece_t f)
{
    uint64_t code;

    if (!next_hex(&f, &code) || code > UINT32_MAX) {
        md->bad_records++;
        return;
    }
    md->exception.code = (uint32_t)code;
    next_word(&f);
    next_hex(&f, &md->exception.address);
}

/* G: version|vendor|renderer. */
static void read_gpu(sal_minidump_t *md, piece_t f)
{
    const char **parts[] = { &md->microdump.gpu_version, &md->microdump.gpu_vendor,
                             &md->microdump.gpu_renderer };

    for (size_t i = 0; i < 3 && f.len; i++) {
        const char *bar = memchr(f.s, '|', f.len);
        piece_t part = { f.s, bar ? (size_t)(bar - f.s) : f.len };

        *parts[i] = text_of(md, part);
        f.s += part.len + (bar != NULL);
        f.len -= part.len + (bar != NULL);
    }
}

static void read_context(sal_minidump_t *md, piece_t f)
{
    uint8_t *raw = apr_palloc(md->pool, MAX_CONTEXT);
    sal_span_t s = { raw, hex_bytes(raw, MAX_CONTEXT, next_word(&f)), false };

    md->exception.context = s;
    md->threads[0].context = s;
}

/* S: address, bytes; the first line has a 0 there, then sp, lowest address, length. */
static void read_stack(reader_t *r, piece_t f)
{
    sal_md_memory_t *last = r->n_chunks ? &r->chunks[r->n_chunks - 1] : NULL;
    uint8_t *to = r->stack + r->stack_used;
    piece_t first = next_word(&f);
    uint64_t address;
    size_t n;

    if (is(first, "0")) {
        next_word(&f);
        next_hex(&f, &r->stack_start);
        return;
    }
    n = sal_parse_hex(first.s, first.len, &address)
            ? hex_bytes(to, r->stack_room - r->stack_used, next_word(&f))
            : 0;
    if (n == 0) {
        r->md->bad_records++;
        return;
    }
    r->stack_used += n;
    if (last && address - last->base == last->bytes.size) {
        last->bytes.size += n;
    } else if (r->n_chunks < r->max_chunks) { /* behind a gap: a line was lost */
        r->chunks[r->n_chunks++] = (sal_md_memory_t){ address, { to, n, false } };
    }
}

/* Upper case, whatever the writer's; ids of zeros only are none. */
static void copy_id(sal_md_module_t *m, piece_t id)
{
    bool zero = true;

    if (id.len < ID_LENGTH || id.len >= sizeof(m->debug_id)) {
        return;
    }
    for (size_t i = 0; i < id.len; i++) {
        int digit = nibble(id.s[i]);

        if (digit < 0) {
            m->debug_id[0] = '\0';
            return;
        }
        zero = zero && digit == 0;
        m->debug_id[i] = "0123456789ABCDEF"[digit];
    }
    m->debug_id[zero ? 0 : id.len] = '\0';
}

/* M: base, offset in the file, size, debug id, name. */
static void read_module(reader_t *r, piece_t f)
{
    sal_minidump_t *md = r->md;
    sal_md_module_t *m = &md->modules[md->n_modules];
    md_range_t unused;
    uint64_t offset, size;
    piece_t id;

    if (md->n_modules >= r->max_modules || !next_hex(&f, &m->base) || !next_hex(&f, &offset) ||
        !next_hex(&f, &size) || size > UINT32_MAX || !md_range_set(&unused, m->base, size, 0)) {
        md->bad_records++;
        return;
    }
    m->size = (uint32_t)size;
    id = next_word(&f);
    m->name = text_of(md, next_word(&f));
    m->debug_file = m->name;
    m->code_id = "";
    copy_id(m, id);
    md->n_modules++;
}

static void read_record(reader_t *r, char kind, piece_t fields)
{
    switch (kind) {
    case 'O':
        read_system(r->md, fields);
        break;
    case 'V':
        r->md->microdump.product = text_of(r->md, fields);
        break;
    case 'P':
        r->md->microdump.process_type = text_of(r->md, fields);
        break;
    case 'R':
        read_reason(r->md, fields);
        break;
    case 'G':
        read_gpu(r->md, fields);
        break;
    case 'C':
        read_context(r->md, fields);
        break;
    case 'S':
        read_stack(r, fields);
        break;
    case 'M':
        read_module(r, fields);
        break;
    default: /* H is statistics of the address space; newer writers may add more */
        break;
    }
}

/*
 * Where modules overlap, a look-up finds the one that ends first: Android's packed relocations make
 * a module seem to begin inside the one before it.
 */
static int by_end(const void *a, const void *b)
{
    const md_range_t *x = a, *y = b;

    if (x->last != y->last) {
        return x->last < y->last ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static void order_modules(sal_minidump_t *md)
{
    md_range_t *r = md_array(md, md->n_modules, sizeof(*r));

    md->module_order = md_array(md, md->n_modules, sizeof(*md->module_order));
    for (size_t i = 0; i < md->n_modules; i++) {
        md_range_set(&r[i], md->modules[i].base, md->modules[i].size, (uint32_t)i);
    }
    qsort(r, md->n_modules, sizeof(*r), by_end);
    for (size_t i = 0; i < md->n_modules; i++) {
        if (i == 0 || r[i].last != r[i - 1].last) {
            md->module_order[md->n_module_order++] = r[i].index;
        }
    }
}

/* What the records will need, so that they are stored once. */
static void make_room(reader_t *r)
{
    reader_t scan = *r;
    piece_t fields;
    char kind;

    while (next_record(&scan, &kind, &fields)) {
        if (kind == 'S') {
            r->stack_room += fields.len / 2;
            r->max_chunks++;
        } else if (kind == 'M') {
            r->max_modules++;
        }
    }
    r->stack_room = r->stack_room < MAX_STACK ? r->stack_room : MAX_STACK;
    r->max_chunks = r->max_chunks < MD_MAX_THREADS ? r->max_chunks : MD_MAX_THREADS;
    r->max_modules = r->max_modules < MD_MAX_MODULES ? r->max_modules : MD_MAX_MODULES;
    r->stack = apr_palloc(r->md->pool, r->stack_room + 1);
    r->chunks = md_array(r->md, r->max_chunks, sizeof(*r->chunks));
    r->md->modules = md_array(r->md, r->max_modules + 1, sizeof(*r->md->modules));
}

/* The tag, and behind it the process that wrote: "google-breakpad( 3745): ". */
static void read_tag(reader_t *r, piece_t line, const char *mark)
{
    piece_t before = { line.s, (size_t)(mark - line.s) };
    const char *tag = find(before, log_tag, sizeof(log_tag) - 1);
    const char *at;
    int64_t pid;

    if (!tag) {
        return;
    }
    r->tag = (piece_t){ tag, (size_t)(mark - tag) };
    at = memchr(tag, '(', r->tag.len);
    if (at) {
        at += 1 + strspn(at + 1, " "); /* the mark behind the tag ends both runs */
        at = apr_pstrmemdup(r->md->pool, at, strspn(at, "0123456789"));
        if (sal_parse_int(at, 0, UINT32_MAX, &pid)) {
            r->md->misc.has_pid = true;
            r->md->misc.pid = (uint32_t)pid;
        }
    }
}

/* A microdump is written by the thread that crashed, of which the number is not. */
static void set_thread(sal_minidump_t *md)
{
    md->microdump.present = true;
    md->system.csd = "";
    md->system.cpu_name = md->system.os_name = "unknown";
    md->has_thread_list = true;
    md->n_threads = 1;
    md->threads = md_array(md, 1, sizeof(*md->threads));
    md->exception.present = true;
}

bool md_read_microdump(sal_minidump_t *md)
{
    reader_t r = { .md = md, .rest = { (const char *)md->file.data, md->file.size } };
    const char *mark = find(r.rest, begin_mark, sizeof(begin_mark) - 1);
    piece_t line = { mark, 0 }, fields;
    char kind;

    if (!mark) {
        return false;
    }
    while (line.s > r.rest.s && line.s[-1] != '\n') {
        line.s--;
    }
    r.rest.len -= (size_t)(line.s - r.rest.s);
    r.rest.s = line.s;
    next_line(&r.rest, &line);
    read_tag(&r, line, mark);
    set_thread(md);
    make_room(&r);
    while (next_record(&r, &kind, &fields)) {
        read_record(&r, kind, fields);
    }
    order_modules(md);
    md_keep_memory(md, r.chunks, r.n_chunks);
    md->threads[0].stack_start = r.stack_start;
    return true;
}
