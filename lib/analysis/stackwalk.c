/*
 * The stackwalk document: one report from one minidump. The parts are made by the other files of
 * this room; what they need to know of each other is in sal_analysis_t.
 */
#include "analysis/analysis_private.h"

#include "base/text.h"

enum {
    /* Of all threads: a document is to stay below 64 MB of memory. */
    MAX_TOTAL_FRAMES = 24576, /* 3 inlined calls, 2 threads count as one */
    MOST_FRAMES = 65536,      /* of one thread, for who asks for so many */
    MAX_TOTAL_UNLOADED = 16384,
    MAX_TOTAL_NAMES = 8 << 20 /* bytes, of names over 256 */
};

static int pointer_size(sal_cpu_t cpu)
{
    switch (cpu) {
    case SAL_CPU_X86:
    case SAL_CPU_ARM:
    case SAL_CPU_MIPS:
    case SAL_CPU_PPC:
    case SAL_CPU_SPARC:
    case SAL_CPU_RISCV:
        return 4;
    default:
        return 8;
    }
}

/* The thread that crashed or asked for the dump: the last of that id; -1 if there is none. */
static int requesting_thread(const sal_minidump_t *md)
{
    uint32_t id, dumper = md->breakpad.dump_thread_id;
    bool has_dumper = md->breakpad.present && md->breakpad.validity & 1;

    if (md->exception.present) {
        id = md->exception.thread_id;
    } else if (md->breakpad.present && md->breakpad.validity & 2) {
        id = md->breakpad.requesting_thread_id;
    } else {
        return -1;
    }
    if (has_dumper && dumper == id) {
        return -1; /* it wrote the dump and is not walked */
    }
    for (size_t i = md->n_threads; i-- > 0;) {
        if (md->threads[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

/* ModuleSignatureInfo: {subject: [file, ...]}, or a string with that in it -> {file: subject}. */
static json_t *certificates(const json_t *extra, apr_pool_t *p)
{
    json_t *info = extra ? json_object_get(extra, "ModuleSignatureInfo") : NULL, *out, *files;
    json_t *parsed = NULL, *file;
    const char *subject;
    size_t i;

    if (json_is_string(info)) {
        info = parsed = json_loadb(json_string_value(info), json_string_length(info), 0, NULL);
    }
    if (!json_is_object(info)) {
        json_decref(parsed);
        return NULL;
    }
    out = json_object();
    json_object_foreach(info, subject, files)
    {
        json_array_foreach(files, i, file)
        {
            if (json_is_string(file)) {
                json_object_set_new(out, json_string_value(file), json_string(subject));
            }
        }
    }
    json_decref(parsed);
    return sal_json_own(out, p);
}

/* The crashing thread comes first, so that the bound on frames never costs it. */
static json_t *all_threads(sal_analysis_t *r, json_t **registers)
{
    json_t *out = json_array(), *crashing = NULL;

    if (r->requesting >= 0) {
        crashing = sal_analysis_thread(r, (size_t)r->requesting, registers);
    }
    for (size_t i = 0; i < r->md->n_threads; i++) {
        json_array_append_new(out,
                              (int)i == r->requesting ? crashing : sal_analysis_thread(r, i, NULL));
    }
    return out;
}

static void add_crashing_thread(json_t *doc, const sal_analysis_t *r, json_t *threads,
                                json_t *registers)
{
    json_t *copy;

    if (!registers) {
        return;
    }
    copy = json_deep_copy(json_array_get(threads, (size_t)r->requesting));
    json_object_set_new(json_array_get(json_object_get(copy, "frames"), 0), "registers", registers);
    json_object_set_new(copy, "threads_index", json_integer(r->requesting));
    json_object_set_new(doc, "crashing_thread", copy);
}

static void add_process(json_t *doc, const sal_analysis_t *r)
{
    json_object_set_new(doc, "status", json_string("OK"));
    json_object_set_new(doc, "pid", sal_analysis_pid(r));
    json_object_set_new(doc, "process_uptime", sal_analysis_uptime(r));
    json_object_set_new(doc, "thread_count", json_integer((json_int_t)r->md->n_threads));
    json_object_set_new(doc, "main_module", json_integer(0));
    json_object_set_new(doc, "linux_memory_map_count",
                        r->md->has_linux_maps ? json_integer((json_int_t)r->md->linux_map_count)
                                              : json_null());
    json_object_set_new(doc, "modules_contains_cert_info",
                        json_boolean(r->certs && json_object_size(r->certs)));
    json_object_set_new(doc, "system_info", sal_analysis_system(r));
    json_object_set_new(doc, "lsb_release", sal_analysis_lsb_release(r));
    json_object_set_new(doc, "proc_limits", sal_analysis_limits(r));
    json_object_set_new(doc, "soft_errors", sal_analysis_soft_errors(r));
    json_object_set_new(doc, "mac_boot_args", sal_analysis_mac_boot_args(r));
    json_object_set_new(doc, "mac_crash_info", sal_analysis_mac_crash_info(r));
    json_object_set_new(doc, "handles", sal_analysis_handles(r));
}

/* What a microdump says of the graphics driver. */
static json_t *gpu(const sal_analysis_t *r)
{
    const sal_md_microdump_t *m = &r->md->microdump;

    if (!m->gpu_version) {
        return json_null();
    }
    return json_pack("{s:o,s:o,s:o}", "version", sal_analysis_text(r, m->gpu_version), "vendor",
                     sal_analysis_text(r, m->gpu_vendor), "renderer",
                     sal_analysis_text(r, m->gpu_renderer));
}

static void about_to_fetch(const sal_md_module_t *module, void *baton)
{
    sal_analysis_t *r = baton;

    r->progress.module = sal_basename(module->name);
    r->opts->progress(&r->progress, r->opts->progress_baton);
    r->progress.module = NULL;
}

static json_t *make_document(sal_analysis_t *r)
{
    json_t *doc = json_object(), *registers = NULL, *threads;

    add_process(doc, r);
    json_object_set_new(doc, "crash_info", sal_analysis_crash_info(r));
    threads = all_threads(r, &registers);
    json_object_set_new(doc, "threads", threads);
    add_crashing_thread(doc, r, threads, registers);
    sal_analysis_count_symbols(r); /* now that all symbols were asked for */
    json_object_set_new(doc, "modules", sal_analysis_modules(r));
    json_object_set_new(doc, "unloaded_modules", sal_analysis_unloaded(r));
    if (r->opts->details) {
        json_object_set_new(doc, "gpu", gpu(r));
        json_object_set_new(doc, "unread_streams", sal_analysis_streams(r));
    }
    return doc;
}

/* Frames the document has room for. Those of the crashing thread are in it twice. */
static size_t frames_of(size_t max_frames)
{
    size_t most = max_frames < MOST_FRAMES ? max_frames : MOST_FRAMES;

    return 2 * most > MAX_TOTAL_FRAMES ? 2 * most : MAX_TOTAL_FRAMES;
}

apr_status_t sal_stackwalk(json_t **doc, const sal_minidump_t *md, const sal_stackwalk_opts_t *opts,
                           apr_pool_t *p, sal_error_t *err)
{
    static const sal_stackwalk_opts_t defaults;
    sal_analysis_t r = { .md = md, .opts = opts ? opts : &defaults, .pool = NULL };

    if (!md->has_thread_list) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "MissingThreadList - Error processing dump: "
                        "The thread list stream was not found");
    }
    if (!md->system.present) {
        return sal_fail(err, SAL_E_MALFORMED,
                        "MissingSystemInfo - Error processing dump: "
                        "The system information stream was not found");
    }
    apr_pool_create(&r.pool, p);
    r.cpu = sal_cpu_desc(md->system.cpu);
    r.pointer_size = pointer_size(md->system.cpu);
    r.syms = sal_dump_symbols_make(md, r.opts->supplier, r.pool);
    r.certs = certificates(r.opts->extra, r.pool);
    r.requesting = requesting_thread(md);
    r.room = (frames_of(r.opts->max_frames) - md->n_threads / 2) * SAL_ROOM_FRAME;
    r.unloaded_left = MAX_TOTAL_UNLOADED;
    r.text_left = MAX_TOTAL_NAMES;
    r.progress.threads = md->n_threads;
    if (r.opts->progress) {
        sal_dump_symbols_watch(r.syms, about_to_fetch, &r);
    }
    *doc = make_document(&r);
    apr_pool_destroy(r.pool);
    return APR_SUCCESS;
}

apr_status_t sal_stackwalk_bytes(json_t **doc, sal_span_t dump, const sal_stackwalk_opts_t *opts,
                                 apr_pool_t *p, sal_error_t *err)
{
    sal_minidump_t *md;
    apr_pool_t *scratch;
    apr_status_t rv;

    apr_pool_create(&scratch, p);
    rv = sal_minidump_open(&md, dump, scratch, err);
    if (rv == APR_SUCCESS) {
        rv = sal_stackwalk(doc, md, opts, p, err);
    }
    apr_pool_destroy(scratch);
    return rv;
}
