/*
 * The report page's view model: what broke, where, in which build, on which machine; then all the
 * evidence. Stacks are in report_stack.c, tables in report_details.c.
 */
#include "render/report_private.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "render/tree.h"

void sal_report_put(json_t *obj, const char *key, const char *text)
{
    if (text && *text && json_is_object(obj)) {
        json_object_set_new(obj, key, json_string(text));
    }
}

void sal_report_put_list(json_t *obj, const char *key, json_t *list, apr_pool_t *p)
{
    json_object_set_new(obj, apr_pstrcat(p, "any_", key, NULL),
                        json_boolean(json_array_size(list) > 0));
    json_object_set_new(obj, key, list);
}

static const char *text_of(const sal_report_t *r, const char *key)
{
    const char *s = sal_json_str(r->doc, key);

    return s ? s : "";
}

/* A line of the summary: words, then something exact. Nothing is added for no code. */
static void line_code(json_t *list, const char *text, const char *code, const char *after)
{
    if (code && *code) {
        json_t *one = json_object();

        sal_report_put(one, "text", text);
        sal_report_put(one, "code", code);
        sal_report_put(one, "after", after);
        json_array_append_new(list, one);
    }
}

static void line(json_t *list, const char *text)
{
    if (text && *text) {
        json_array_append_new(list, json_pack("{s:s}", "text", text));
    }
}

/* What a stackwalker status means to the reader. */
static const char *status_text(const char *status)
{
    static const struct {
        const char *status, *text;
    } known[] = {
        { "EmptyMinidump", "The minidump is empty: the client sent a file of 0 bytes." },
        { "MissingHeader", "The minidump has no header: it is cut off or not a minidump." },
        { "HeaderMismatch", "The file is not a minidump: its first bytes are not MDMP." },
        { "VersionMismatch", "The minidump is of a version that no writer uses." },
        { "MissingDirectory", "The minidump's stream directory is missing: the file is cut off." },
        { "StreamReadFailure", "A stream of the minidump breaks its format." },
        { "StreamSizeMismatch", "A stream of the minidump has an impossible size." },
        { "StreamNotFound", "A stream of the minidump lies outside the file." },
        { "ModuleReadFailure", "The minidump's list of modules breaks its format." },
        { "MemoryReadFailure", "Memory that the minidump promises is not in it." },
        { "DataError", "The minidump contradicts itself." },
        { "CodeViewReadFailure", "A module's debug record breaks its format." },
        { "MissingSystemInfo", "The minidump does not say which system it is from." },
        { "MissingThreadList", "The minidump has no list of threads." },
        { "MinidumpReadError", "The minidump could not be read." },
        { "FileNotFound", "The minidump is missing from the crash store." },
        { "Panic", "The stackwalker itself failed on this minidump." }
    };

    for (apr_size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(status, known[i].status) == 0) {
            return known[i].text;
        }
    }
    return NULL;
}

/* What follows `label` in its line of the processor's notes, NULL if no line has it. */
static const char *noted(const char *notes, const char *label, apr_pool_t *p)
{
    const char *found = strstr(notes ? notes : "", label);
    const char *end;

    if (!found) {
        return NULL;
    }
    found += strlen(label);
    end = strchr(found, '\n');
    return end ? apr_pstrmemdup(p, found, end - found) : found;
}

const char *sal_report_failure(const json_t *processed, apr_pool_t *p)
{
    const char *status = sal_json_str(processed, "mdsw_status_string");
    const char *text, *note;
    const json_t *success = json_object_get(processed, "success");

    if (json_array_size(sal_json_path(processed, "json_dump.threads")) > 0) {
        return NULL;
    }
    if (json_object_get(processed, "java_stack_trace") ||
        json_object_get(processed, "java_exception")) {
        return NULL;
    }
    note = noted(sal_json_str(processed, "processor_notes"), "MinidumpStackwalkRule: ", p);
    if (status && strcmp(status, "OK") != 0) {
        text = status_text(status);
        if (text) {
            return apr_psprintf(p, "%s (%s)", text, status);
        }
        return apr_psprintf(p, "The stackwalker failed: %s.", note ? note : status);
    }
    if (json_is_false(success)) {
        note = noted(sal_json_str(processed, "processor_notes"), "\nProcessor: ", p);
        return note ? apr_psprintf(p, "The processor gave it up: %s.", note)
                    : "Processing did not end well. The notes below say how far it came.";
    }
    return note ? apr_psprintf(p, "The stackwalker failed: %s.", note)
                : "The report came without a minidump, so there is no stack.";
}

/* ---- the head ---- */

static const char *crash_address(const sal_report_t *r)
{
    const char *address = text_of(r, "address");

    if (!*address) {
        address = sal_json_str(json_object_get(r->dump, "crash_info"), "address");
    }
    return address ? address : "";
}

static json_t *what(const sal_report_t *r)
{
    const json_t *info = json_object_get(r->dump, "crash_info");
    const char *reason = text_of(r, "reason"), *address = crash_address(r);
    const char *moz = text_of(r, "moz_crash_reason"), *abort = text_of(r, "abort_message");
    const char *failure = sal_report_failure(r->doc, r->p);
    const char *instruction = sal_json_str(info, "instruction");
    const char *kind = sal_json_str(json_object_get(info, "adjusted_address"), "kind");
    json_t *lines = json_array(), *out;

    line_code(lines, "at", address,
              kind && strcmp(kind, "null-pointer") == 0 ? ", near a null pointer" : NULL);
    line(lines, moz);
    line(lines, abort);
    line_code(lines, "executing", instruction, NULL);
    if (!*reason) {
        reason = failure                                          ? "Not analysed"
                 : strcmp(text_of(r, "report_type"), "hang") == 0 ? "Hang"
                 : json_object_get(r->doc, "java_stack_trace")    ? "Java exception"
                                                                  : "No exception";
    }
    out = json_pack("{s:s, s:o, s:o}", "title", "What", "big", sal_format_pieces(reason), "lines",
                    lines);
    return out;
}

/* What is named: a function of a frame, or one that was inlined into it. */
typedef struct {
    const json_t *what; /* has function, file, line */
    const json_t *frame;
    bool inlined;
} top_t;

static bool own(const json_t *what, const json_t *frame)
{
    const char *function = sal_json_str(what, "function");

    return function && !sal_report_runtime(function, sal_json_str(frame, "module"));
}

/* The first function that is not the runtime's, else the first frame. */
static top_t top_of(const json_t *thread)
{
    const json_t *frames = json_object_get(thread, "frames");
    size_t i, k;
    json_t *f, *inl;

    json_array_foreach(frames, i, f)
    {
        json_array_foreach(json_object_get(f, "inlines"), k, inl)
        {
            if (own(inl, f)) {
                return (top_t){ inl, f, true };
            }
        }
        if (own(f, f)) {
            return (top_t){ f, f, false };
        }
    }
    f = json_array_get(frames, 0);
    return (top_t){ f, f, false };
}

/* "cache.cpp:412, frame 0", linked to the source where that is known. */
static void line_source(const sal_report_t *r, json_t *list, const top_t *top)
{
    const char *file = sal_json_str(top->what, "file");
    const char *trust = sal_json_str(top->frame, "trust");
    apr_int64_t number = json_integer_value(json_object_get(top->frame, "frame"));
    apr_int64_t at = json_integer_value(json_object_get(top->what, "line"));
    sal_vcs_source_t source;
    json_t *one;

    if (!file || !*file) {
        line(list, apr_psprintf(r->p, "frame %" APR_INT64_T_FMT ", found by %s", number,
                                trust ? trust : "nothing"));
        return;
    }
    sal_vcs_source(&source, r->in->vcs, file, at, NULL, r->p);
    one = json_object();
    sal_report_put(one, "source",
                   apr_psprintf(r->p, "%s:%" APR_INT64_T_FMT, sal_basename(source.text), at));
    sal_report_put(one, "url", source.url);
    sal_report_put(one, "after",
                   apr_psprintf(r->p, ", %sframe %" APR_INT64_T_FMT,
                                top->inlined ? "inlined into " : "", number));
    json_array_append_new(list, one);
}

static json_t *where(const sal_report_t *r)
{
    const json_t *thread = sal_report_crashing(r);
    top_t top = top_of(thread);
    const char *name = sal_json_str(thread, "thread_name");
    apr_size_t n = json_array_size(json_object_get(r->dump, "threads"));
    json_t *lines = json_array();

    if (top.what) {
        line_source(r, lines, &top);
    }
    if (thread) {
        line(lines, apr_psprintf(r->p, "Thread %d%s%s of %d%s", r->crashing < 0 ? 0 : r->crashing,
                                 name && *name ? " " : "", name ? name : "", (int)n,
                                 r->crashing < 0 ? ", since none is known to have crashed" : ""));
    }
    return json_pack("{s:s, s:o, s:b, s:o}", "title", "Where", "big",
                     sal_format_pieces(top.what ? sal_format_frame(top.what, r->p) : "Unknown"),
                     "mono", top.what != NULL, "lines", lines);
}

static json_t *build(const sal_report_t *r)
{
    const char *id = text_of(r, "build"), *date = sal_format_build_date(id, r->p);
    const char *process = text_of(r, "process_type");
    const json_t *uptime = json_object_get(r->doc, "uptime");
    const char *big = apr_pstrcat(r->p, text_of(r, "product"), " ", text_of(r, "version"), " ",
                                  text_of(r, "release_channel"), NULL);
    json_t *lines = json_array();

    if (*id) {
        line_code(lines, date ? apr_pstrcat(r->p, date, ",", NULL) : NULL, id, NULL);
    }
    if (*process) {
        line(lines,
             apr_psprintf(r->p, "%s process%s%s", process, json_is_integer(uptime) ? ", up " : "",
                          json_is_integer(uptime)
                              ? sal_format_duration(json_integer_value(uptime), r->p)
                              : ""));
    }
    return json_pack("{s:s, s:o, s:o}", "title", "Build", "big",
                     sal_format_pieces(*text_of(r, "product") ? big : "Unknown product"), "lines",
                     lines);
}

static json_t *machine(const sal_report_t *r)
{
    const char *os = text_of(r, "os_pretty_version"), *arch = text_of(r, "cpu_arch");
    const char *cpu = text_of(r, "cpu_info");
    const json_t *count = json_object_get(r->doc, "cpu_count");
    const json_t *used = json_object_get(r->doc, "system_memory_use_percentage");
    const json_t *avail = json_object_get(r->doc, "available_physical_memory");
    json_t *lines = json_array();

    line(lines, strcmp(text_of(r, "os_version"), os) == 0 ? NULL : text_of(r, "os_version"));
    if (*cpu && strcmp(cpu, "unknown") != 0) {
        line(lines, cpu);
    }
    if (json_integer_value(count) > 0) {
        line(lines, apr_psprintf(r->p, "%" APR_INT64_T_FMT " processor%s",
                                 (apr_int64_t)json_integer_value(count),
                                 (apr_int64_t)json_integer_value(count) == 1 ? "" : "s"));
    }
    if (json_is_integer(used)) {
        line(lines, apr_psprintf(r->p, "RAM %" APR_INT64_T_FMT " %% in use%s%s%s",
                                 (apr_int64_t)json_integer_value(used), avail ? ", " : "",
                                 avail ? sal_format_bytes(json_integer_value(avail), r->p) : "",
                                 avail ? " free" : ""));
    }
    if (*arch && strcmp(arch, "unknown") != 0) {
        os = apr_pstrcat(r->p, *os ? os : text_of(r, "os_name"), ", ", arch, NULL);
    }
    return json_pack("{s:s, s:o, s:o}", "title", "Machine", "big",
                     sal_format_pieces(*os ? os : "Unknown system"), "lines", lines);
}

static json_t *notes(const sal_report_t *r)
{
    json_t *out = json_array();
    const json_t *flips = json_object_get(r->doc, "possible_bit_flips_max_confidence");
    const json_t *odd = json_object_get(r->doc, "crash_inconsistencies");
    const char *failure = sal_report_failure(r->doc, r->p);

    if (failure) {
        json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "kind", "crash", "bold",
                                             "This report has no stack.", "text", failure));
    }
    if (json_integer_value(flips) > 0) {
        json_array_append_new(
            out,
            json_pack("{s:s, s:o, s:s}", "kind", "warn", "bold",
                      json_sprintf("Hardware is possible: %d %% confidence.",
                                   (int)json_integer_value(flips)),
                      "text",
                      "One flipped bit would explain the crash address. The details say which."));
    }
    if (json_array_size(odd) > 0) {
        json_array_append_new(
            out,
            json_pack(
                "{s:s, s:s, s:s}", "kind", "warn", "bold", "The report contradicts itself.", "text",
                "What the CPU reported does not fit the instruction it stopped at: see Details."));
    }
    return out;
}

static void put_received(const sal_report_t *r, json_t *view)
{
    const char *date = sal_json_str(r->doc, "date_processed");
    apr_time_t t;

    if (date && sal_time_parse(date, &t)) {
        json_object_set_new(view, "received",
                            json_pack("{s:s, s:s}", "datetime", sal_format_datetime(t, r->p),
                                      "text", sal_format_time(t, 0, r->p)));
    }
}

/* The page of the signature, its reports, and the report next to this one. */
static void put_signature_links(const sal_report_t *r, json_t *view, const char *signature,
                                const char *product)
{
    json_t *crumbs = json_array();
    const char *link;

    if (*signature) {
        link = apr_pstrcat(r->p, "/signature/?signature=", sal_format_urlencode(signature, r->p),
                           *product ? "&product=" : "", sal_format_urlencode(product, r->p), NULL);
        json_array_append_new(crumbs, json_pack("{s:s, s:s}", "text", "Signature", "href", link));
        sal_report_put(view, "neighbours", r->in->id);
    }
    json_array_append_new(crumbs, json_pack("{s:s, s:s}", "text", "Report", "href", ""));
    json_object_set_new(view, "crumbs", crumbs);
}

static void put_head(const sal_report_t *r, json_t *view)
{
    const char *signature = text_of(r, "signature"), *product = text_of(r, "product");
    const char *version = text_of(r, "version");
    const char *shown = *signature ? signature : "no signature";

    sal_report_put(view, "title",
                   apr_psprintf(r->p, "[@ %s] - %s %s Crash Report - Report ID: %s", shown, product,
                                version, r->in->id));
    sal_report_put(view, "og_title", apr_psprintf(r->p, "%s [@%s]", r->in->id, shown));
    sal_report_put(view, "description",
                   apr_psprintf(r->p, "In %s %s (%s) %s", product, version,
                                text_of(r, "release_channel"), text_of(r, "build")));
    sal_report_put(view, "id", r->in->id);
    json_object_set_new(view, "signature", sal_format_signature(shown));
    put_signature_links(r, view, signature, product);
    put_received(r, view);
}

/* ---- the sections ---- */

/* "0xe5e5e5e5e5e5e5e5": what allocators and debuggers fill memory with. */
static bool is_fill(const char *value)
{
    const char *s = value[0] == '0' && value[1] == 'x' ? value + 2 : value;
    apr_size_t n = strlen(s);

    if (n < 8 || strncmp(s, "00", 2) == 0 || strncmp(s, "ff", 2) == 0) {
        return false;
    }
    for (apr_size_t i = 2; i < n; i++) {
        if (s[i] != s[i % 2]) {
            return false;
        }
    }
    return n % 2 == 0;
}

static json_t *registers(const sal_report_t *r, int *fills)
{
    const json_t *frame = json_array_get(sal_json_path(r->dump, "crashing_thread.frames"), 0);
    const char *name;
    json_t *value, *out = json_array();

    json_object_foreach(json_object_get(frame, "registers"), name, value)
    {
        if (json_is_string(value) && json_array_size(out) < 256) {
            bool odd = is_fill(json_string_value(value));

            *fills += odd;
            json_array_append_new(
                out, json_pack("{s:s, s:O, s:b}", "name", name, "value", value, "odd", odd));
        }
    }
    return out;
}

static void put_stack(sal_report_t *r, json_t *view)
{
    const json_t *thread = sal_report_crashing(r);
    json_t *stack;
    int fills = 0;

    if (!thread) {
        return;
    }
    stack = sal_report_thread(r, thread, r->crashing < 0 ? 0 : r->crashing, r->crashing >= 0);
    json_object_set_new(stack, "certain", json_boolean(r->crashing >= 0));
    sal_report_put_list(stack, "registers", registers(r, &fills), r->p);
    sal_report_put(
        stack, "fills",
        fills == 0 ? NULL
        : fills == 1
            ? "1 holds one byte repeated, as freed memory does"
            : apr_psprintf(r->p, "%d hold one byte repeated, as freed memory does", fills));
    json_object_set_new(stack, "registers_locked", json_boolean(!r->in->pii));
    sal_report_put(stack, "text", sal_report_stack_plain(r->doc, r->in->vcs, r->p));
    sal_report_put(stack, "markdown", sal_report_stack_markdown(r->doc, r->in->vcs, r->p));
    json_object_set_new(view, "stack", stack);
}

static void put_count(json_t *view, const char *key, apr_size_t n, apr_pool_t *p)
{
    json_object_set_new(view, key, json_string(sal_format_count((apr_int64_t)n, p)));
}

static bool has_signer(const json_t *modules)
{
    size_t i;
    json_t *m;

    json_array_foreach(modules, i, m)
    {
        if (json_object_get(m, "signer")) {
            return true;
        }
    }
    return false;
}

static void put_environment(const sal_report_t *r, json_t *view)
{
    sal_report_put_list(
        view, "environment",
        sal_tree_view(json_object_get(r->doc, "telemetry_environment"), SAL_REPORT_MAX_TREE, r->p),
        r->p);
}

static void put_sections(sal_report_t *r, json_t *view)
{
    json_t *annotations, *locked, *modules = sal_report_modules(r);
    bool signer = has_signer(modules);

    put_stack(r, view);
    sal_report_put_list(view, "threads", sal_report_threads(r), r->p);
    put_count(view, "thread_count", json_array_size(json_object_get(r->dump, "threads")), r->p);
    json_object_set_new(view, "cards", sal_report_cards(r));
    put_count(view, "module_count", json_array_size(json_object_get(r->dump, "modules")), r->p);
    sal_report_put_list(view, "modules", modules, r->p);
    sal_report_put_list(view, "unloaded", sal_report_unloaded(r, &signer), r->p);
    put_count(view, "unloaded_count", json_array_size(json_object_get(r->dump, "unloaded_modules")),
              r->p);
    json_object_set_new(view, "any_signer", json_boolean(signer));
    annotations = sal_report_annotations(r->in->annotations, r->p);
    locked = sal_report_annotations(r->in->protected_annotations, r->p);
    put_count(view, "annotation_count", json_array_size(annotations) + json_array_size(locked),
              r->p);
    put_count(view, "public_count", json_array_size(annotations), r->p);
    put_count(view, "protected_count", json_array_size(locked), r->p);
    json_object_set_new(view, "annotations", annotations);
    json_object_set_new(view, "protected_annotations", locked);
    sal_report_put_list(view, "addons", sal_report_addons(r), r->p);
    put_count(view, "addon_count", json_array_size(json_object_get(view, "addons")), r->p);
    sal_report_put_list(view, "breadcrumbs", sal_report_breadcrumbs(r), r->p);
    sal_report_put_java(r, view);
    sal_report_put_why(r, view);
    sal_report_put_bugs(r, view);
    sal_report_put_correlations(r, view);
    put_environment(r, view);
    sal_report_put_list(view, "dumps", sal_report_raw_links(r), r->p);
    json_object_set_new(view, "debug", sal_report_debug(r));
}

json_t *sal_report_view(const sal_report_in_t *in, apr_pool_t *p)
{
    sal_report_t r = {
        .in = in, .doc = in->processed, .p = p, .frames_left = SAL_REPORT_MAX_FRAMES, .crashing = -1
    };
    json_t *view = json_object();

    r.dump = json_object_get(in->processed, "json_dump");
    if (!json_is_object(r.dump)) {
        r.dump = sal_json_own(json_object(), p);
    }
    (void)sal_report_first_thread(in->processed, &r.crashing);
    sal_report_know_modules(&r);
    put_head(&r, view);
    json_object_set_new(view, "brief",
                        json_pack("[o, o, o, o]", what(&r), where(&r), build(&r), machine(&r)));
    json_object_set_new(view, "notes", notes(&r));
    json_object_set_new(view, "pii", json_boolean(in->pii));
    json_object_set_new(view, "rawdump", json_boolean(in->rawdump));
    put_sections(&r, view);
    return view;
}
