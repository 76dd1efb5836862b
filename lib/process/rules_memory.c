/*
 * R25, R46: the gzipped memory report a product may attach, and the measures taken from it.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_strings.h>
#include <zlib.h>
#include "base/json.h"

#define REPORT "memory_report"
#define REPORT_MAX 20971520
#define REPORT_DEPTH 64
#define COMPRESSED_MAX (64 << 20)

/* ---- R25 ---- */

/* Inflates gzip; at most REPORT_MAX bytes. NULL: *why says what is wrong. */
static char *gunzip(sal_span_t in, size_t *size, const char **why, apr_pool_t *p)
{
    z_stream z = { .next_in = (Bytef *)in.data, .avail_in = (uInt)in.size };
    size_t cap = 64 * 1024;
    char *out = apr_palloc(p, cap);
    int rc = Z_OK;

    *why = "cannot start zlib";
    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        return NULL;
    }
    while (rc == Z_OK && z.total_out <= REPORT_MAX) {
        if (z.total_out == cap) {
            char *more = apr_palloc(p, cap * 2);

            memcpy(more, out, cap);
            out = more;
            cap *= 2;
        }
        z.next_out = (Bytef *)out + z.total_out;
        z.avail_out = (uInt)(cap - z.total_out);
        rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_BUF_ERROR || (rc == Z_OK && z.avail_in == 0 && z.avail_out)) {
            rc = Z_DATA_ERROR; /* it ends before its end */
        }
    }
    *size = z.total_out;
    *why = rc == Z_STREAM_END ? NULL : z.msg ? apr_pstrdup(p, z.msg) : "truncated data";
    inflateEnd(&z);
    return *why && *size <= REPORT_MAX ? NULL : out;
}

static void report_error(pass_t *pass, const char *text)
{
    rule_set_text(pass, "memory_report_error", text);
    rule_note(pass, "%s", text);
}

static bool has_report(const pass_t *pass)
{
    for (const char *const *name = pass->source->dumps; *name; name++) {
        if (!strcmp(*name, REPORT)) {
            return true;
        }
    }
    return false;
}

/* What a client put in place of a report, or NULL. */
static const char *said_error(const json_t *report, apr_pool_t *p)
{
    const json_t *error = json_object_get(report, "ERROR");
    bool nothing = !error || json_is_null(error) || json_is_false(error) ||
                   (json_is_string(error) && !json_string_length(error)) ||
                   (json_is_number(error) && json_number_value(error) == 0) ||
                   ((json_is_object(error) || json_is_array(error)) && !json_object_size(error) &&
                    !json_array_size(error));

    if (nothing) {
        return NULL;
    }
    return json_is_string(error) ? json_string_value(error) : sal_json_text(error, p);
}

const char *rule_OutOfMemoryBinaryRule(pass_t *pass)
{
    sal_error_t err = { .message = "" };
    const char *why;
    sal_span_t packed;
    json_t *report;
    const char *said;
    size_t size;
    char *text;

    if (pass->opts->safe_mode || !has_report(pass)) {
        return NULL;
    }
    if (pass->source->dump(&packed, REPORT, COMPRESSED_MAX, pass->source->baton, pass->p, &err)) {
        report_error(pass, "error in gzip for " REPORT ": unreadable");
        return NULL;
    }
    text = gunzip(packed, &size, &why, pass->p);
    if (!text) {
        report_error(pass, apr_psprintf(pass->p, "error in gzip for " REPORT ": %s", why));
    } else if (size > REPORT_MAX) {
        report_error(pass, apr_psprintf(pass->p,
                                        "Uncompressed memory info too large "
                                        "%" APR_SIZE_T_FMT " (max: %d)",
                                        size, REPORT_MAX));
    } else if (sal_json_parse(&report, text, size, pass->p, &err) != APR_SUCCESS) {
        report_error(pass, apr_psprintf(pass->p, "error in json for " REPORT ": %s", err.message));
    } else if (!json_is_object(report) || rule_deep(report, REPORT_DEPTH)) {
        report_error(pass,
                     apr_psprintf(pass->p, "error in json for " REPORT ": %s",
                                  json_is_object(report) ? "nested too deep" : "not an object"));
    } else if ((said = said_error(report, pass->p)) != NULL) {
        rule_set_text(pass, "memory_report_error", said); /* the client could not make one */
    } else {
        rule_set_ref(pass, REPORT, report);
    }
    return NULL;
}

/* ---- R46 ---- */

enum measure {
    EXPLICIT,
    GFX_TEXTURES,
    GHOST_WINDOWS,
    HEAP_ALLOCATED,
    HEAP_OVERHEAD,
    HEAP_UNCLASSIFIED,
    HOST_OBJECT_URLS,
    IMAGES,
    JS_MAIN_RUNTIME,
    PRIVATE,
    RESIDENT,
    RESIDENT_UNIQUE,
    SYSTEM_HEAP_ALLOCATED,
    TOP_NONE_DETACHED,
    VSIZE,
    VSIZE_MAX_CONTIGUOUS,
    MEASURES
};

static const struct {
    const char *name, *path; /* path: a report of exactly that name, or NULL */
} measures[MEASURES] = {
    { "explicit", NULL },
    { "gfx_textures", "gfx-textures" },
    { "ghost_windows", "ghost-windows" },
    { "heap_allocated", "heap-allocated" },
    { "heap_overhead", NULL },
    { "heap_unclassified", NULL },
    { "host_object_urls", "host-object-urls" },
    { "images", NULL },
    { "js_main_runtime", NULL },
    { "private", "private" },
    { "resident", "resident" },
    { "resident_unique", "resident-unique" },
    { "system_heap_allocated", "system-heap-allocated" },
    { "top_none_detached", NULL },
    { "vsize", "vsize" },
    { "vsize_max_contiguous", "vsize-max-contiguous" },
};

typedef struct sums_t {
    int64_t of[MEASURES];
    int64_t explicit_heap, explicit_nonheap;
    bool any;
} sums_t;

/* Hostile numbers may wrap; they are only shown. */
static void add(int64_t *sum, int64_t n)
{
    *sum = (int64_t)((uint64_t)*sum + (uint64_t)n);
}

static bool add_explicit(sums_t *s, const char *path, int64_t kind, int64_t units, int64_t amount)
{
    if (units != 0 || (kind != 0 && kind != 1)) {
        return false;
    }
    add(kind == 1 ? &s->explicit_heap : &s->explicit_nonheap, amount);
    if (rule_starts(path, "explicit/images/")) {
        add(&s->of[IMAGES], amount);
    } else if (strstr(path, "top(none)/detached")) {
        add(&s->of[TOP_NONE_DETACHED], amount);
    } else if (rule_starts(path, "explicit/heap-overhead/")) {
        add(&s->of[HEAP_OVERHEAD], amount);
    }
    return true;
}

static bool add_report(sums_t *s, const json_t *report, const char *mark)
{
    const char *process = sal_json_str(report, "process"), *path = sal_json_str(report, "path");
    const json_t *kind = json_object_get(report, "kind"), *units = json_object_get(report, "units");
    const json_t *amount = json_object_get(report, "amount");

    if (!process || !strstr(process, mark)) {
        return process != NULL;
    }
    if (!path || !json_is_integer(kind) || !json_is_integer(units) || !json_is_integer(amount)) {
        return false;
    }
    s->any = true;
    if (rule_starts(path, "explicit/")) {
        return add_explicit(s, path, json_integer_value(kind), json_integer_value(units),
                            json_integer_value(amount));
    }
    if (rule_starts(path, "js-main-runtime/")) {
        add(&s->of[JS_MAIN_RUNTIME], json_integer_value(amount));
    }
    for (int i = 0; i < MEASURES; i++) {
        if (measures[i].path && !strcmp(path, measures[i].path)) {
            add(&s->of[i], json_integer_value(amount));
        }
    }
    return true;
}

const char *rule_MemoryReportExtraction(pass_t *pass)
{
    const json_t *pid = rule_dump(pass, "pid"), *report = json_object_get(pass->doc, REPORT);
    const json_t *reports = json_object_get(report, "reports");
    sums_t s = { .any = false };
    const char *mark;
    json_t *out;

    if (!json_is_integer(pid) || !json_object_get(report, "version") || !json_is_array(reports) ||
        !json_object_get(report, "hasMozMallocUsableSize")) {
        return NULL;
    }
    mark =
        apr_psprintf(pass->p, "(pid %" APR_INT64_T_FMT ")", (apr_int64_t)json_integer_value(pid));
    for (size_t i = 0; i < json_array_size(reports); i++) {
        if (!add_report(&s, json_array_get(reports, i), mark)) {
            return NULL;
        }
    }
    if (!s.any) {
        return NULL;
    }
    s.of[HEAP_UNCLASSIFIED] = s.of[HEAP_ALLOCATED];
    add(&s.of[HEAP_UNCLASSIFIED], (int64_t) - (uint64_t)s.explicit_heap);
    s.of[EXPLICIT] = s.of[HEAP_ALLOCATED];
    add(&s.of[EXPLICIT], s.explicit_nonheap);
    out = json_object();
    for (int i = 0; i < MEASURES; i++) {
        json_object_set_new(out, measures[i].name, json_integer(s.of[i]));
    }
    rule_set(pass, "memory_measures", out);
    return NULL;
}
