/*
 * The answer: frames are looked up as they are written, straight from the maps into the buffer.
 */
#include "symbolicate/symbolicate.h"

#include <stdio.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <jansson.h>
#include "symbolicate/json_text.h"
#include "symbolicate/out.h"

enum { GROUP = 32, FEW_INLINES = 16 };

/* A frame's numbers, as they were sent, and what is known of it. */
typedef struct frame_t {
    const sal_symbolicate_module_t *module; /* NULL: index -1 */
    js_int_t offset;
    bool found;
    sal_sym_hit_t hit;
    sal_sym_frame_t inlines[FEW_INLINES]; /* not all, if there are more */
} frame_t;

typedef struct writer_t {
    sal_symbolicate_request_t *req;
    const sal_symbolicate_style_t *style;
    out_t *out;
    apr_pool_t *p;
    frame_t frames[GROUP];
    sal_sym_look_t looks[GROUP];
    sal_sym_frame_t inlines[SAL_SYM_MAX_INLINES];
} writer_t;

static sal_symbolicate_module_t *module_of(const sal_symbolicate_request_t *req, uint32_t i)
{
    return &APR_ARRAY_IDX(req->modules, i, sal_symbolicate_module_t);
}

/* "true", "false" or "null" of found_modules. */
static const char *found_word(const sal_symbolicate_module_t *m)
{
    if (!m->used || m->empty) {
        return "null";
    }
    return m->ref.state == SAL_SYM_FOUND ? "true" : "false";
}

static void read_frame(writer_t *w, const sal_symbolicate_job_t *job, const char *text, unsigned i)
{
    const char *first = js_first(text);
    frame_t *f = &w->frames[i];
    js_int_t index;

    js_integer(first, &index);
    js_integer(js_next(first), &f->offset);
    f->module = index.negative ? NULL : module_of(w->req, job->modules[index.magnitude]);
    w->looks[i].cache =
        f->module && !f->offset.negative && !f->offset.big ? f->module->ref.cache : NULL;
    w->looks[i].address = f->offset.magnitude;
}

/* The first n frames of the group. */
static void look_up(writer_t *w, unsigned n)
{
    uint32_t max = w->req->version == 4 ? 0 : FEW_INLINES;

    sal_symcache_look(w->looks, n);
    for (unsigned i = 0; i < n; i++) {
        frame_t *f = &w->frames[i];

        if (w->style->extend_lines) {
            sal_symcache_extend(&w->looks[i]);
        }
        f->found = sal_symcache_see(&w->looks[i], &f->hit, f->inlines, max);
        w->req->n_found += f->found;
    }
}

static void write_offset(writer_t *w, const js_int_t *offset)
{
    if (offset->big) {
        apr_pool_t *p;

        apr_pool_create(&p, w->p);
        out_text(w->out, "0x");
        out_text(w->out, js_big_hex(offset->digits, p));
        apr_pool_destroy(p);
        return;
    }
    if (offset->negative) {
        out_text(w->out, "-");
    }
    out_hex(w->out, offset->magnitude);
}

static void write_place(writer_t *w, const sal_sym_frame_t *f)
{
    if (f->file.len == 0) {
        return;
    }
    out_text(w->out, ",\"file\":");
    out_string(w->out, f->file.s, f->file.len);
    if (f->line) {
        out_text(w->out, ",\"line\":");
        out_number(w->out, f->line);
    }
}

static void write_inlines(writer_t *w, const sal_sym_frame_t *inlines, uint32_t n)
{
    out_text(w->out, ",\"inlines\":[");
    for (uint32_t i = 0; i < n; i++) {
        out_text(w->out, i ? ",{\"function\":" : "{\"function\":");
        out_string(w->out, inlines[i].function.s, inlines[i].function.len);
        write_place(w, &inlines[i]);
        out_text(w->out, "}");
    }
    out_text(w->out, "]");
}

static void write_symbol(writer_t *w, unsigned i)
{
    const frame_t *f = &w->frames[i];
    const sal_sym_hit_t *hit = &f->hit;
    const sal_sym_frame_t *inlines = f->inlines;

    out_text(w->out, ",\"function\":");
    out_string(w->out, hit->outer.function.s, hit->outer.function.len);
    out_text(w->out, ",\"function_offset\":\"");
    out_hex(w->out, f->offset.magnitude - hit->function_offset);
    out_text(w->out, "\"");
    if (w->style->extensions && hit->function_size) {
        out_text(w->out, ",\"function_size\":\"");
        out_hex(w->out, hit->function_size);
        out_text(w->out, "\"");
    }
    if (w->style->extensions && hit->is_multiple) {
        out_text(w->out, ",\"multiple\":true");
    }
    write_place(w, &hit->outer);
    if (hit->n_inlines > FEW_INLINES) {
        sal_sym_hit_t again;

        sal_symcache_see(&w->looks[i], &again, w->inlines, SAL_SYM_MAX_INLINES);
        inlines = w->inlines;
    }
    if (hit->n_inlines) {
        write_inlines(w, inlines, hit->n_inlines);
    }
}

/* Frame i of the group, the index-th of its stack. */
static void write_frame(writer_t *w, unsigned i, unsigned index)
{
    const frame_t *f = &w->frames[i];
    const char *shown = f->module ? f->module->shown : "<unknown>";

    out_text(w->out, index ? ",{\"frame\":" : "{\"frame\":");
    out_number(w->out, index);
    out_text(w->out, ",\"module\":");
    out_string(w->out, shown, strlen(shown));
    out_text(w->out, ",\"module_offset\":\"");
    write_offset(w, &f->offset);
    out_text(w->out, "\"");
    if (f->found) {
        write_symbol(w, i);
    }
    out_text(w->out, "}");
}

/* v4 knows the outer function only, as text. */
static void write_frame_v4(writer_t *w, unsigned i, unsigned index)
{
    const frame_t *f = &w->frames[i];
    const char *shown = f->module ? f->module->shown : "<unknown>";

    out_text(w->out, index ? ",\"" : "\"");
    if (f->found) {
        out_inside(w->out, f->hit.outer.function.s, f->hit.outer.function.len);
    } else {
        write_offset(w, &f->offset);
    }
    out_text(w->out, " (in ");
    out_inside(w->out, shown, strlen(shown));
    out_text(w->out, ")\"");
}

/* Groups of frames are looked up at once: that is quicker than one by one. */
static void write_stack(writer_t *w, const sal_symbolicate_job_t *job, const char *stack)
{
    const char *text = js_first(stack);
    unsigned index = 0;

    while (text && !w->out->deaf) {
        unsigned n = 0;

        for (; text && n < GROUP; text = js_next(text)) {
            read_frame(w, job, text, n++);
        }
        look_up(w, n);
        for (unsigned i = 0; i < n; i++, index++) {
            if (w->req->version == 4) {
                write_frame_v4(w, i, index);
            } else {
                write_frame(w, i, index);
            }
        }
    }
}

static void write_stacks(writer_t *w, const sal_symbolicate_job_t *job)
{
    unsigned s = 0;

    out_text(w->out, "[");
    for (const char *stack = js_first(job->stacks); stack; stack = js_next(stack), s++) {
        out_text(w->out, s ? ",[" : "[");
        write_stack(w, job, stack);
        out_text(w->out, "]");
    }
    out_text(w->out, "]");
}

static void write_pair(writer_t *w, const sal_symbolicate_module_t *m)
{
    out_text(w->out, "\"");
    out_inside(w->out, m->name, strlen(m->name));
    out_text(w->out, "/");
    out_inside(w->out, m->id, strlen(m->id));
    out_text(w->out, "\":");
}

/* Calls fn once for each pair of a job, in the order of its memoryMap. */
static void each_pair(writer_t *w, const sal_symbolicate_job_t *job,
                      bool (*fn)(writer_t *w, const sal_symbolicate_module_t *m, bool first))
{
    char *done = apr_pcalloc(w->p, (apr_size_t)w->req->modules->nelts + 1);
    bool first = true;

    for (uint32_t i = 0; i < job->n_modules; i++) {
        if (!done[job->modules[i]]) {
            done[job->modules[i]] = 1;
            first = !fn(w, module_of(w->req, job->modules[i]), first) && first;
        }
    }
}

static bool write_found(writer_t *w, const sal_symbolicate_module_t *m, bool first)
{
    out_text(w->out, first ? "" : ",");
    write_pair(w, m);
    out_text(w->out, found_word(m));
    return true;
}

static bool failed(const sal_symbolicate_module_t *m)
{
    return m->used && !m->empty && m->ref.state != SAL_SYM_FOUND;
}

static const char *error_code(const sal_symbolicate_module_t *m)
{
    if (!m->lookable) {
        return m->plain ? "bad_debug_id" : "bad_name";
    }
    if (m->ref.pending) {
        return "pending";
    }
    if (m->ref.unreachable) {
        return "download_failed";
    }
    return m->ref.state == SAL_SYM_CORRUPT ? "malformed" : "not_found";
}

/* Names of files and servers are for the log, not for whoever asks. */
static const char *error_text(const sal_symbolicate_module_t *m)
{
    if (m->ref.state == SAL_SYM_CORRUPT) {
        return "the symbols cannot be used";
    }
    if (m->ref.pending) {
        return "the symbols are being prepared; ask again in a while";
    }
    if (m->ref.unreachable) {
        return "a server that may have the symbols could not answer";
    }
    return m->ref.reason ? m->ref.reason : "";
}

static bool write_error(writer_t *w, const sal_symbolicate_module_t *m, bool first)
{
    const char *reason = error_text(m);

    if (!failed(m)) {
        return false;
    }
    out_text(w->out, first ? "" : ",");
    write_pair(w, m);
    out_text(w->out, "[{\"name\":\"");
    out_text(w->out, error_code(m));
    out_text(w->out, "\",\"message\":");
    out_string(w->out, reason, strlen(reason));
    out_text(w->out, "}]");
    return true;
}

static bool any_failed(const writer_t *w, const sal_symbolicate_job_t *job)
{
    for (uint32_t i = 0; i < job->n_modules; i++) {
        if (failed(module_of(w->req, job->modules[i]))) {
            return true;
        }
    }
    return false;
}

static void write_job(writer_t *w, const sal_symbolicate_job_t *job)
{
    out_text(w->out, "{\"stacks\":");
    write_stacks(w, job);
    out_text(w->out, ",\"found_modules\":{");
    each_pair(w, job, write_found);
    out_text(w->out, "}");
    if (w->style->extensions && any_failed(w, job)) {
        out_text(w->out, ",\"module_errors\":{");
        each_pair(w, job, write_error);
        out_text(w->out, "}");
    }
    out_text(w->out, "}");
}

static void write_v4(writer_t *w)
{
    const sal_symbolicate_job_t *job = &w->req->jobs[0];

    out_text(w->out, "{\"symbolicatedStacks\":");
    write_stacks(w, job);
    out_text(w->out, ",\"knownModules\":[");
    for (uint32_t i = 0; i < job->n_modules; i++) {
        out_text(w->out, i ? "," : "");
        out_text(w->out, found_word(module_of(w->req, job->modules[i])));
    }
    out_text(w->out, "]}");
}

/* ---- the Debug header's part ---- */

typedef struct tally_t {
    uint64_t count, hits, parts, bytes, ranges, modules;
    apr_time_t lookup, parse;
    json_t *parse_per_module, *stacks_per_module;
} tally_t;

static double seconds(apr_time_t t)
{
    return (double)t / APR_USEC_PER_SEC;
}

static const char *pair_text(writer_t *w, const sal_symbolicate_module_t *m)
{
    return apr_pstrcat(w->p, m->name, "/", m->id, NULL);
}

static void tally_module(writer_t *w, const sal_symbolicate_module_t *m, tally_t *t)
{
    sal_symcache_info_t info;

    if (!m->used || !m->lookable) {
        return;
    }
    t->count++;
    t->lookup += m->ref.elapsed > m->ref.parsing ? m->ref.elapsed - m->ref.parsing : 0;
    t->parse += m->ref.parsing;
    if (m->ref.state == SAL_SYM_FOUND) {
        t->hits += !m->ref.built && !m->ref.part;
        t->parts += m->ref.part;
        sal_symcache_info(m->ref.cache, &info);
        t->bytes += info.file_size;
        t->ranges += info.ranges;
    }
    if (m->ref.built) {
        json_object_set_new(t->parse_per_module, pair_text(w, m),
                            json_real(seconds(m->ref.parsing)));
    }
}

static bool count_stacks(writer_t *w, const sal_symbolicate_module_t *m, json_t *per_module)
{
    const char *key = pair_text(w, m);
    json_t *old = json_object_get(per_module, key);

    if (!m->used || m->empty) {
        return false;
    }
    json_object_set_new(per_module, key, json_integer(json_integer_value(old) + 1));
    return true;
}

static void tally_jobs(writer_t *w, tally_t *t)
{
    for (int j = 0; j < w->req->n_jobs; j++) {
        const sal_symbolicate_job_t *job = &w->req->jobs[j];
        apr_hash_t *done = apr_hash_make(w->p);

        t->modules += job->n_modules;
        for (uint32_t i = 0; i < job->n_modules; i++) {
            if (!apr_hash_get(done, &job->modules[i], sizeof(uint32_t))) {
                apr_hash_set(done, &job->modules[i], sizeof(uint32_t), "");
                count_stacks(w, module_of(w->req, job->modules[i]), t->stacks_per_module);
            }
        }
    }
}

static json_t *debug_object(writer_t *w, tally_t *t)
{
    json_t *cache =
        json_pack("{s:I,s:f}", "count", (json_int_t)t->count, "time", seconds(t->lookup));
    json_t *parse = json_pack("{s:f}", "time", seconds(t->parse));

    if (t->hits) {
        json_object_set_new(cache, "hits", json_integer((json_int_t)t->hits));
    }
    if (json_object_size(t->parse_per_module)) {
        json_object_set(parse, "time_per_module", t->parse_per_module);
    }
    return json_pack("{s:f,s:o,s:{s:i,s:i,s:f},s:o,s:{s:f},s:{s:I,s:O},s:{s:s,s:I,s:I,s:I},s:f}",
                     "time", seconds(apr_time_now() - w->style->begun), "cache_lookups", cache,
                     "downloads", "count", 0, "size", 0, "time", 0.0, "parse_sym", parse,
                     "save_symcache", "time", 0.0, "modules", "count", (json_int_t)t->modules,
                     "stacks_per_module", t->stacks_per_module, "index", "format", "symx1", "bytes",
                     (json_int_t)t->bytes, "ranges", (json_int_t)t->ranges, "parts",
                     (json_int_t)t->parts, "wait_time", seconds(t->lookup));
}

static void write_debug(writer_t *w)
{
    tally_t t = { .parse_per_module = json_object(), .stacks_per_module = json_object() };
    json_t *debug;
    char *text;

    for (int i = 0; i < w->req->modules->nelts; i++) {
        tally_module(w, module_of(w->req, (uint32_t)i), &t);
    }
    tally_jobs(w, &t);
    debug = debug_object(w, &t);
    text = json_dumps(debug, JSON_COMPACT);
    out_text(w->out, ",\"debug\":");
    out_text(w->out, text ? text : "null");
    free(text);
    json_decref(debug);
    json_decref(t.parse_per_module);
    json_decref(t.stacks_per_module);
}

static void write_v5(writer_t *w)
{
    out_text(w->out, "{\"results\":[");
    for (int i = 0; i < w->req->n_jobs; i++) {
        out_text(w->out, i ? "," : "");
        write_job(w, &w->req->jobs[i]);
    }
    out_text(w->out, "]");
    if (w->style->debug) {
        write_debug(w);
    }
    out_text(w->out, "}");
}

void sal_symbolicate_write(sal_symbolicate_request_t *req, const sal_symbolicate_style_t *style,
                           sal_symbolicate_sink_t sink, void *baton, apr_pool_t *p)
{
    writer_t *w = apr_palloc(p, sizeof(*w));

    w->req = req;
    w->style = style;
    w->out = out_make(sink, baton, p);
    w->p = p;
    if (req->version == 4) {
        write_v4(w);
    } else {
        write_v5(w);
    }
    out_finish(w->out);
}
