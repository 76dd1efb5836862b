/*
 * A made-up crowd of crashes as COPY text for the search tables: the same arguments give the same
 * bytes. All of a crash follows from its number.
 *
 *   bench_make_crashes columns              the columns of a row, with commas
 *   bench_make_crashes terms                rows of term (id, field, value)
 *   bench_make_crashes rows FROM TO N BEGIN END
 *                                           crashes FROM to TO (not included) of N that lie evenly
 *                                           between two times (seconds since 1970)
 *   bench_make_crashes facts                names that occur, for who asks questions
 *
 * Skewed as a browser's crashes are: 60,000 signatures (the first is 9 % of all), 400 versions,
 * 3,000 modules of which a crash names 15, 5,000 add-ons of which one has 10, 150 annotations of
 * which one sends 40, comments on 5 %, addresses on 20 %; of 156 fields a crash has 64. A
 * signature's crashes look alike: stack, modules, reason follow from it.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "search/fields.h"

enum { SIGNATURES = 60000, VERSIONS = 400, FRAMES = 90000, WORDS = 2000, INSTALLS = 300000 };

/* ---- numbers that follow from numbers ---- */

typedef struct rng_t {
    uint64_t state;
} rng_t;

static uint64_t next(rng_t *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static rng_t rng_for(uint64_t n, uint64_t purpose)
{
    rng_t r = { n * 0xd1342543de82ef95u + purpose * 0xaf251af3b0f025b5u };

    (void)next(&r);
    return r;
}

static uint32_t below(rng_t *r, uint32_t bound)
{
    return (uint32_t)(((next(r) >> 32) * bound) >> 32);
}

static bool percent(rng_t *r, double p)
{
    return (double)(next(r) >> 11) * 0x1p-53 * 100 < p;
}

/* Rank by Zipf's law: the second is half as common as the first. */
static uint32_t zipf(rng_t *r, uint32_t n)
{
    double u = (double)(next(r) >> 11) * 0x1p-53;

    return (uint32_t)exp(u * log((double)n + 0.5)) - 1;
}

/* ---- what fields hold ---- */

/* How often a field is there, and of dictionary fields how many values it has. */
typedef struct spec_t {
    const char *name;
    double percent;
    uint32_t n;
    const char *text; /* printf form of a value; NULL: name and number */
} spec_t;

static const spec_t specs[] = {
    { "signature", 100, SIGNATURES, NULL },
    { "product", 100, 12, "Product%u" },
    { "version", 100, VERSIONS, "%u.0" },
    { "release_channel", 100, 5, "channel%u" },
    { "platform", 100, 4, "Platform%u" },
    { "platform_version", 100, 300, "10.0.%u" },
    { "platform_pretty_version", 100, 40, "Platform %u" },
    { "process_type", 100, 8, "process%u" },
    { "report_type", 100, 2, "type%u" },
    { "cpu_arch", 100, 5, "arch%u" },
    { "cpu_info", 100, 800, "family %u model 1 stepping 2" },
    { "reason", 100, 200, "EXCEPTION_REASON_%u" },
    { "useragent_locale", 90, 100, "l%u" },
    { "vendor", 100, 2, "Vendor%u" },
    { "productid", 100, 12, "{product-%u}" },
    { "submitted_from", 60, 4, NULL },
    { "stackwalk_version", 100, 6, NULL },
    { "cpu_microcode_version", 95, 300, "0x%x" },
    { "adapter_vendor_id", 95, 40, "0x%04x" },
    { "adapter_device_id", 95, 2000, "0x%04x" },
    { "adapter_driver_version", 95, 3000, "31.0.%u.1" },
    { "adapter_subsys_id", 80, 5000, "%08x" },
    { "crashing_thread_name", 80, 300, "Thread %u" },
    { "moz_crash_reason", 30, 3000, "MOZ_RELEASE_ASSERT(condition%u) failed" },
    { "last_error_value", 60, 200, "ERROR_%u" },
    { "distribution_id", 20, 100, NULL },
    { "android_cpu_abi", 8, 4, NULL },
    { "android_manufacturer", 8, 60, NULL },
    { "android_model", 8, 800, NULL },
    { "android_version", 8, 20, "%u" },
    { "abort_message", 1, 500, "abort because of %u" },
    { "proto_signature", 100, FRAMES, NULL },
    { "modules_in_stack", 95, 3000, "library%u.so/%08X" },
    { "addons", 85, 5000, "addon%u@example.com:1.0" },
    { "crash_report_keys", 100, 150, "Annotation%u" },
    { "topmost_filenames", 80, 5000, "src/part/file%u.cpp" },
    { "missing_symbols", 12, 2000, "gone%u.so/0" },
    { "address", 100, 0, NULL },
    { "processor_notes", 100, 0, NULL },
    { "app_notes", 70, 0, NULL },
    { "minidump_sha256_hash", 95, 0, NULL },
    { "glean_client_id", 60, 0, NULL },
    { "user_comments", 5, 0, NULL },
    { "url", 20, 0, NULL },
    { "graphics_critical_error", 8, 0, NULL },
    { "java_stack_trace", 1, 0, NULL },
    { "async_shutdown_timeout", 1, 0, NULL },
    { "build_id", 100, 600, NULL },
    { "install_time", 100, INSTALLS, NULL },
    { "uptime", 100, 0, NULL },
    { "last_crash", 50, 0, NULL },
    { "install_age", 100, 0, NULL },
    { "major_version", 100, 0, NULL },
    { "cpu_count", 100, 64, NULL },
    { "crashing_thread", 100, 40, NULL },
    { "thread_count", 90, 120, NULL },
    { "startup_time", 80, 0, NULL },
    { "oom_allocation_size", 6, 0, NULL },
    { "uptime_ts", 95, 0, NULL },
    { "available_page_file", 95, 0, NULL },
    { "available_physical_memory", 95, 0, NULL },
    { "available_virtual_memory", 95, 0, NULL },
    { "total_page_file", 95, 0, NULL },
    { "total_physical_memory", 95, 0, NULL },
    { "total_virtual_memory", 95, 0, NULL },
    { "system_memory_use_percentage", 90, 100, NULL },
    { "content_sandbox_level", 80, 8, NULL },
    { "dom_ipc_enabled", 80, 0, NULL },
    { "dom_fission_enabled", 80, 0, NULL },
    { "startup_crash", 60, 0, NULL },
    { "is_garbage_collecting", 10, 0, NULL },
    { "safe_mode", 90, 0, NULL },
    { "throttleable", 95, 0, NULL },
    { "em_check_compatibility", 90, 0, NULL },
    { "addons_checked", 95, 0, NULL },
    { "accessibility", 20, 0, NULL },
    { "windows_error_reporting", 6, 0, NULL },
};

typedef struct column_t {
    const sal_search_field_t *f;
    spec_t spec;
    uint32_t first_term; /* id of its first value */
} column_t;

static column_t *columns;
static int ncolumns;

static spec_t spec_of(const sal_search_field_t *f)
{
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        if (strcmp(specs[i].name, f->name) == 0) {
            return specs[i];
        }
    }
    return (spec_t){ f->name,
                     f->store == SAL_STORE_INT    ? 6
                     : f->store == SAL_STORE_BOOL ? 8
                     : f->store == SAL_STORE_TEXT ? 0.5
                                                  : 2,
                     100, NULL };
}

static bool in_dictionary(const sal_search_field_t *f)
{
    return f->store == SAL_STORE_TERM || f->store == SAL_STORE_TERMS;
}

static void make_columns(void)
{
    const sal_search_field_t *all = sal_search_fields(&ncolumns);
    uint32_t id = 1000;

    columns = calloc((size_t)ncolumns, sizeof(*columns));
    for (int i = 0; columns && i < ncolumns; i++) {
        columns[i] = (column_t){ &all[i], spec_of(&all[i]), id };
        id += in_dictionary(&all[i]) ? columns[i].spec.n : 0;
    }
}

static uint32_t term_id(const char *field, uint32_t n)
{
    for (int i = 0; i < ncolumns; i++) {
        if (strcmp(columns[i].f->name, field) == 0) {
            return columns[i].first_term + n;
        }
    }
    return 0;
}

/* Names of functions: parts that recur, and one that does not. */
static void put_function(uint32_t n)
{
    static const char *const spaces[] = { "mozilla", "js",  "core", "gfx",    "std",
                                          "net",     "dom", "ipc",  "layers", "media" };
    static const char *const classes[] = { "Cache",  "Manager", "Stream", "Compositor", "Runtime",
                                           "Parser", "Channel", "Buffer", "Document",   "Thread",
                                           "Loader", "Surface", "Engine", "Request",    "Worker" };
    static const char *const verbs[] = { "Run",   "Destroy", "Write", "Lookup", "Release", "Update",
                                         "Start", "Finish",  "Read",  "Append", "Dispatch" };
    rng_t r = rng_for(n, 1);

    printf("%s::%s%s::%s%u", spaces[below(&r, 10)], classes[below(&r, 15)], classes[below(&r, 15)],
           verbs[below(&r, 11)], n);
}

/* ---- a signature: what its crashes have in common ---- */

enum { DEPTH = 14 };

static int stack_of(uint32_t signature, uint32_t variant, uint32_t frames[DEPTH])
{
    rng_t top = rng_for(signature, 2), below_it = rng_for(signature * 8 + variant, 3);
    int n = 6 + (int)below(&below_it, DEPTH - 6);

    for (int i = 0; i < n; i++) {
        frames[i] = i < 3 ? below(&top, FRAMES) : zipf(&below_it, FRAMES);
    }
    return n;
}

static void put_signature(uint32_t n)
{
    uint32_t frames[DEPTH];

    (void)stack_of(n, 0, frames);
    put_function(frames[0]);
    if (n % 3) {
        fputs(" | ", stdout);
        put_function(frames[1]);
    }
    printf("%s", n % 50 == 7 ? " | OOM" : "");
}

/* ---- terms ---- */

static void put_value(const column_t *c, uint32_t n)
{
    char text[200];

    if (strcmp(c->f->name, "signature") == 0) {
        put_signature(n);
        printf(" %u", n); /* two stacks may begin alike */
    } else if (strcmp(c->f->name, "proto_signature") == 0) {
        put_function(n);
    } else if (c->spec.text) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), c->spec.text, n, n * 2654435761u);
#pragma GCC diagnostic pop
        fputs(text, stdout);
    } else {
        printf("%s-%u", c->f->name, n);
    }
}

static void put_terms(void)
{
    for (int i = 0; i < ncolumns; i++) {
        for (uint32_t n = 0; in_dictionary(columns[i].f) && n < columns[i].spec.n; n++) {
            printf("%u\t%d\t", columns[i].first_term + n, columns[i].f->number);
            put_value(&columns[i], n);
            putchar('\n');
        }
    }
}

/* ---- a crash ---- */

typedef struct crash_t {
    uint64_t n;
    rng_t r;
    double date; /* seconds */
    uint32_t signature, version, product, install;
} crash_t;

static void put_words(rng_t *r, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t w = zipf(r, WORDS);

        printf("%s%c%c%cword%u", i ? " " : "", 'a' + w % 26, 'a' + w / 26 % 26, 'a' + w / 676 % 26,
               w);
    }
}

static void put_text(const char *name, crash_t *c)
{
    rng_t *r = &c->r;

    if (strcmp(name, "address") == 0) {
        percent(r, 8) ? printf("0x%08x", zipf(r, 40)) : printf("0x%016" PRIx64, next(r) >> 16);
    } else if (strcmp(name, "minidump_sha256_hash") == 0) {
        printf("%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, next(r), next(r), next(r),
               next(r));
    } else if (strcmp(name, "glean_client_id") == 0) {
        printf("%08x-0000-4000-8000-%012" PRIx64, c->install, next(r) >> 16);
    } else if (strcmp(name, "url") == 0) {
        printf("https://www.site%u.example/", zipf(r, 20000));
        put_words(r, 2);
    } else if (strcmp(name, "java_stack_trace") == 0) {
        put_words(r, 60);
    } else {
        put_words(r, strcmp(name, "user_comments") == 0 ? 8 : 12);
    }
}

/* Distinct elements, in order of the list. */
static void put_list(const column_t *col, rng_t *r, uint32_t n, uint32_t base)
{
    uint32_t seen[64], k = 0;

    putchar('{');
    for (uint32_t tries = 0; k < n && tries < 4 * n; tries++) {
        uint32_t id = col->first_term + (zipf(r, col->spec.n) + base) % col->spec.n, i = 0;

        while (i < k && seen[i] != id) {
            i++;
        }
        if (i == k) {
            printf("%s%u", k ? "," : "", id);
            seen[k++] = id;
        }
    }
    putchar('}');
}

static void put_terms_of(const column_t *col, crash_t *c)
{
    rng_t like = rng_for(c->signature, (uint64_t)col->f->number + 100);
    const char *name = col->f->name;
    uint32_t frames[DEPTH];

    if (strcmp(name, "proto_signature") == 0) {
        int n = stack_of(c->signature, zipf(&c->r, 8), frames);

        for (int i = 0; i < n; i++) {
            printf("%c%u", i ? ',' : '{', col->first_term + frames[i]);
        }
        putchar('}');
    } else if (strcmp(name, "modules_in_stack") == 0) {
        put_list(col, &like, 10 + below(&like, 10), 0);
    } else if (strcmp(name, "addons") == 0) {
        put_list(col, &c->r, 3 + below(&c->r, 14), 0);
    } else if (strcmp(name, "crash_report_keys") == 0) {
        put_list(col, &c->r, 30 + below(&c->r, 20), 0);
    } else {
        put_list(col, &like, 1 + below(&like, 3), 0);
    }
}

static uint32_t term_of(const column_t *col, crash_t *c)
{
    rng_t like = rng_for(c->signature, (uint64_t)col->f->number + 100);
    const char *name = col->f->name;

    return strcmp(name, "signature") == 0                                   ? c->signature
           : strcmp(name, "version") == 0                                   ? c->version
           : strcmp(name, "product") == 0 || strcmp(name, "productid") == 0 ? c->product
           : strcmp(name, "reason") == 0 || strcmp(name, "moz_crash_reason") == 0
               ? zipf(&like, col->spec.n)
               : zipf(&c->r, col->spec.n);
}

static int64_t number_of(const column_t *col, crash_t *c)
{
    const char *name = col->f->name;
    uint64_t build;

    if (strcmp(name, "build_id") == 0) {
        build = c->version * 3 / 2 + zipf(&c->r, 4);
        return INT64_C(20260101000000) + (int64_t)(build % 12) * 100000000 +
               (int64_t)(build % 28) * 1000000 + (int64_t)(build % 240000);
    }
    return strcmp(name, "install_time") == 0    ? INT64_C(1700000000) + c->install * 97
           : strcmp(name, "major_version") == 0 ? (int64_t)c->version
           : strcmp(name, "uptime") == 0 || strcmp(name, "last_crash") == 0
               ? (int64_t)zipf(&c->r, 600000)
           : col->f->bits > 31 && !col->spec.n
               ? (int64_t)(next(&c->r) >> (28 + below(&c->r, 16)))
               : (int64_t)zipf(&c->r, col->spec.n ? col->spec.n : 30000);
}

static void put_field(const column_t *col, crash_t *c)
{
    switch (col->f->store) {
    case SAL_STORE_TERM:
        printf("%u", col->first_term + term_of(col, c));
        break;
    case SAL_STORE_TERMS:
        put_terms_of(col, c);
        break;
    case SAL_STORE_TEXT:
        put_text(col->f->name, c);
        break;
    case SAL_STORE_DOUBLE:
        printf("%.1f", (double)zipf(&c->r, 600000) / 10);
        break;
    case SAL_STORE_BOOL:
        putchar(percent(&c->r, 30) ? 't' : 'f');
        break;
    default:
        printf("%" PRId64, number_of(col, c));
    }
}

static void put_row(crash_t *c)
{
    time_t seconds = (time_t)c->date;
    struct tm x;
    uint64_t a = next(&c->r), b = next(&c->r);

    gmtime_r(&seconds, &x);
    printf("%04d-%02d-%02d %02d:%02d:%02d+00\t", x.tm_year + 1900, x.tm_mon + 1, x.tm_mday,
           x.tm_hour, x.tm_min, x.tm_sec);
    printf("%08x-%04x-4%03x-8%03x-%06x%02d%02d%02d", (unsigned)(a >> 32),
           (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff), (unsigned)(b >> 40 & 0xfff),
           (unsigned)(b & 0xffffff), x.tm_year % 100, x.tm_mon + 1, x.tm_mday);
    for (int i = 0; i < ncolumns; i++) {
        if (columns[i].f->store == SAL_STORE_TIME || columns[i].f->store == SAL_STORE_UUID) {
            continue;
        }
        putchar('\t');
        if (percent(&c->r, columns[i].spec.percent)) {
            put_field(&columns[i], c);
        } else {
            fputs("\\N", stdout);
        }
    }
    putchar('\n');
}

static void put_rows(uint64_t from, uint64_t to, uint64_t n, double begin, double end)
{
    for (uint64_t i = from; i < to; i++) {
        crash_t c = { .n = i,
                      .r = rng_for(i, 4),
                      .date = floor(begin + (end - begin) * (double)i / (double)n) };

        c.signature = zipf(&c.r, SIGNATURES);
        c.version = zipf(&c.r, VERSIONS);
        c.product = zipf(&c.r, 12);
        c.install = below(&c.r, INSTALLS);
        put_row(&c);
    }
}

/* ---- the rest ---- */

static void put_columns(void)
{
    fputs("date,uuid", stdout);
    for (int i = 0; i < ncolumns; i++) {
        if (columns[i].f->store != SAL_STORE_TIME && columns[i].f->store != SAL_STORE_UUID) {
            printf(",%s", columns[i].f->name);
        }
    }
    putchar('\n');
}

static void put_facts(void)
{
    printf("terms\t%u\nsignature\t",
           term_id("zzz", 0) + columns[ncolumns - 1].first_term + columns[ncolumns - 1].spec.n);
    put_signature(40);
    fputs(" 40\nfragment\tgfx::Cache\nregex\t.*::BufferParser::Write[0-9]+.*\nword\t", stdout);
    printf("aab%s\n", "word");
    puts("module\tlibrary57\nframe\tnet::Stream\nabort\tabort because of 3");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    make_columns();
    if (strcmp(what, "columns") == 0) {
        put_columns();
    } else if (strcmp(what, "terms") == 0) {
        put_terms();
    } else if (strcmp(what, "facts") == 0) {
        put_facts();
    } else if (strcmp(what, "rows") == 0 && argc == 7) {
        put_rows(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10),
                 strtoull(argv[4], NULL, 10), strtod(argv[5], NULL), strtod(argv[6], NULL));
    } else {
        fputs("usage: bench_make_crashes columns|terms|facts|rows FROM TO N BEGIN END\n", stderr);
        return 2;
    }
    free(columns);
    return ferror(stdout) ? 1 : 0;
}
