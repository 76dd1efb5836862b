/*
 * The cards of a report's details: every field of spec and page in its order, how it is written,
 * when it is shown. What a field means and who may see it says the field list; in which search
 * field it is found says the table of the search.
 */
#include "render/report_private.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"
#include "search/fields.h"

const char sal_report_needs_pii[] = "View Personal Identifiable Information";

typedef enum {
    TEXT,    /* as it is */
    CODE,    /* monospace */
    SECONDS, /* and from 60 on in larger units */
    BYTES,   /* and from 1024 on in larger units */
    COUNT,
    PERCENT,
    FLAG,    /* yes or no */
    EPOCH,   /* seconds since 1970 */
    MOMENT,  /* ISO 8601 */
    BLOCK,   /* lines of text; JSON indented */
    LINK,    /* text that leads to a search for it */
    BUILD,   /* with its date and, where it is known, its description */
    CPU,     /* with what is known of processors that fail by themselves */
    PROCESS, /* with what belongs to its kind */
    ADAPTER  /* with a name out of the PCI list */
} show_t;

/* PRESENT: only if the report has it. ALWAYS: else the page says that it has none. */
typedef enum { ALWAYS, PRESENT, FENIX, CONTENT } when_t;

typedef struct {
    const char *label, *path;
    show_t show;
    when_t when;
    bool locked; /* protected, where no field list says */
} row_t;

static const row_t crash_rows[] = {
    { "Crash ID", "uuid", CODE, ALWAYS, false },
    { "Processed", "date_processed", MOMENT, ALWAYS, false },
    { "Reason", "reason", CODE, ALWAYS, false },
    { "Address", "address", CODE, ALWAYS, false },
    { "MOZ_CRASH reason (raw)", "moz_crash_reason_raw", TEXT, PRESENT, true },
    { "MOZ_CRASH reason (sanitized)", "moz_crash_reason", TEXT, PRESENT, false },
    { "Abort message", "abort_message", TEXT, PRESENT, false },
    { "Instruction", "json_dump.crash_info.instruction", CODE, PRESENT, false },
    { "Bit flips, confidence", "possible_bit_flips_max_confidence", PERCENT, PRESENT, false },
    { "Guard page access", "has_guard_page_access", FLAG, PRESENT, true },
    { "Inconsistencies", "crash_inconsistencies", TEXT, PRESENT, false },
    { "Last error", "last_error_value", CODE, PRESENT, false },
    { "Startup crash", "startup_crash", FLAG, PRESENT, false },
    { "Report type", "report_type", TEXT, PRESENT, false },
    { "Threads", "thread_count", COUNT, PRESENT, false },
    { "Mac crash info", "mac_crash_info", BLOCK, PRESENT, false },
    { "PHC kind", "phc_kind", CODE, PRESENT, true },
    { "PHC usable size", "phc_usable_size", BYTES, PRESENT, true },
    { "PHC base address", "phc_base_address", CODE, PRESENT, true },
    { "PHC alloc stack", "phc_alloc_stack", CODE, PRESENT, true },
    { "PHC free stack", "phc_free_stack", CODE, PRESENT, true },
    { "Soft errors", "soft_errors", BLOCK, PRESENT, true },
    { NULL, NULL, TEXT, ALWAYS, false }
};

static const row_t build_rows[] = {
    { "Product", "product", LINK, ALWAYS, false },
    { "Version", "version", LINK, ALWAYS, false },
    { "Channel", "release_channel", LINK, ALWAYS, false },
    { "Build ID", "build", BUILD, ALWAYS, false },
    { "Application build ID", "application_build_id", CODE, FENIX, false },
    { "Android package", "android_packagename", CODE, PRESENT, false },
    { "Vendor", "vendor", TEXT, PRESENT, false },
    { "Distribution", "distribution_id", TEXT, PRESENT, false },
    { "Process type", "process_type", PROCESS, ALWAYS, false },
    { "Remote type", "remote_type", TEXT, CONTENT, true },
    { "Uptime", "uptime", SECONDS, ALWAYS, false },
    { "Last crash", "last_crash", SECONDS, PRESENT, false },
    { "Install age", "install_age", SECONDS, PRESENT, false },
    { "Install time", "install_time", EPOCH, ALWAYS, false },
    { NULL, NULL, TEXT, ALWAYS, false }
};

static const row_t system_rows[] = {
    { "OS", "os_pretty_version", LINK, ALWAYS, false },
    { "OS version", "os_version", TEXT, ALWAYS, false },
    { "Android version", "android_version", TEXT, PRESENT, false },
    { "Windows Error Reporting", "windows_error_reporting", FLAG, PRESENT, false },
    { "Architecture", "cpu_arch", LINK, ALWAYS, false },
    { "CPU", "cpu_info", CPU, ALWAYS, false },
    { "CPU count", "cpu_count", COUNT, ALWAYS, false },
    { "Microcode", "cpu_microcode_version", CODE, PRESENT, false },
    { "Android manufacturer", "android_manufacturer", TEXT, PRESENT, false },
    { "Android model", "android_model", TEXT, PRESENT, false },
    { "Android CPU ABI", "android_cpu_abi", CODE, PRESENT, false },
    { "Graphics vendor", "adapter_vendor_id", ADAPTER, ALWAYS, false },
    { "Graphics device", "adapter_device_id", ADAPTER, ALWAYS, false },
    { "Graphics driver", "adapter_driver_version", TEXT, PRESENT, false },
    { "Locale", "useragent_locale", TEXT, PRESENT, false },
    { "Accessibility", "accessibility", FLAG, PRESENT, false },
    { "EMCheckCompatibility", "em_check_compatibility", FLAG, ALWAYS, false },
    { NULL, NULL, TEXT, ALWAYS, false }
};

static const row_t memory_rows[] = {
    { "Virtual, total", "total_virtual_memory", BYTES, PRESENT, false },
    { "Virtual, free", "available_virtual_memory", BYTES, PRESENT, false },
    { "Page file, free", "available_page_file", BYTES, PRESENT, false },
    { "Physical, total", "total_physical_memory", BYTES, PRESENT, false },
    { "Physical, free", "available_physical_memory", BYTES, PRESENT, false },
    { "In use", "system_memory_use_percentage", PERCENT, PRESENT, false },
    { "OOM allocation", "oom_allocation_size", BYTES, PRESENT, false },
    { "MR: explicit", "memory_measures.explicit", BYTES, PRESENT, false },
    { "MR: gfx-textures", "memory_measures.gfx_textures", BYTES, PRESENT, false },
    { "MR: ghost-windows", "memory_measures.ghost_windows", COUNT, PRESENT, false },
    { "MR: heap-allocated", "memory_measures.heap_allocated", BYTES, PRESENT, false },
    { "MR: heap-overhead", "memory_measures.heap_overhead", BYTES, PRESENT, false },
    { "MR: heap-unclassified", "memory_measures.heap_unclassified", BYTES, PRESENT, false },
    { "MR: host-object-urls", "memory_measures.host_object_urls", COUNT, PRESENT, false },
    { "MR: images", "memory_measures.images", BYTES, PRESENT, false },
    { "MR: js-main-runtime", "memory_measures.js_main_runtime", BYTES, PRESENT, false },
    { "MR: private", "memory_measures.private", BYTES, PRESENT, false },
    { "MR: resident", "memory_measures.resident", BYTES, PRESENT, false },
    { "MR: resident-unique", "memory_measures.resident_unique", BYTES, PRESENT, false },
    { "MR: system-heap-allocated", "memory_measures.system_heap_allocated", BYTES, PRESENT, false },
    { "MR: top(none)/detached", "memory_measures.top_none_detached", BYTES, PRESENT, false },
    { "MR: vsize", "memory_measures.vsize", BYTES, PRESENT, false },
    { "MR: vsize-max-contiguous", "memory_measures.vsize_max_contiguous", BYTES, PRESENT, false },
    { NULL, NULL, TEXT, ALWAYS, false }
};

static const row_t user_rows[] = { { "Comment", "user_comments", TEXT, PRESENT, true },
                                   { "URL", "url", CODE, PRESENT, true },
                                   { "Submitted from", "submitted_from", TEXT, PRESENT, false },
                                   { "App notes", "app_notes", BLOCK, PRESENT, false },
                                   { NULL, NULL, TEXT, ALWAYS, false } };

/* ---- values ---- */

const char *sal_report_cut(const char *text, apr_pool_t *p)
{
    char *s;

    if (strlen(text) <= SAL_REPORT_MAX_VALUE) {
        return text;
    }
    s = apr_pstrndup(p, text, SAL_REPORT_MAX_VALUE);
    sal_utf8_cut(s, SAL_REPORT_MAX_VALUE - 3);
    return apr_pstrcat(p, s, "\u2026", NULL);
}

static const char *joined(const json_t *list, apr_pool_t *p)
{
    apr_array_header_t *a = apr_array_make(p, 8, sizeof(const char *));
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
    {
        if (i == 50) {
            break;
        }
        APR_ARRAY_PUSH(a, const char *) =
            apr_pstrcat(p, i ? ", " : "", sal_report_plain(item, p), NULL);
    }
    return sal_report_cut(apr_array_pstrcat(p, a, 0), p);
}

const char *sal_report_plain(const json_t *v, apr_pool_t *p)
{
    if (json_is_string(v)) {
        return sal_report_cut(json_string_value(v), p);
    }
    if (json_is_integer(v)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(v));
    }
    if (json_is_boolean(v)) {
        return json_is_true(v) ? "true" : "false";
    }
    return sal_report_cut(sal_json_text(v, p), p);
}

static void show_number(json_t *out, show_t show, apr_int64_t v, apr_pool_t *p)
{
    if (show == SECONDS) {
        sal_report_put(out, "text", apr_pstrcat(p, sal_format_count(v, p), " s", NULL));
        sal_report_put(out, "soft", v > 60 || v < -60 ? sal_format_duration(v, p) : NULL);
    } else if (show == BYTES) {
        sal_report_put(out, "text", apr_pstrcat(p, sal_format_count(v, p), " B", NULL));
        sal_report_put(out, "soft", v > 1024 ? sal_format_bytes(v, p) : NULL);
    } else if (show == PERCENT) {
        sal_report_put(out, "text", apr_psprintf(p, "%" APR_INT64_T_FMT " %%", v));
        if (v >= 0 && v <= 100) {
            json_object_set_new(out, "meter", json_integer(v));
        }
    } else if (show == EPOCH && v > 0 && v < INT64_C(253402300800)) {
        sal_report_put(out, "text", sal_format_time(apr_time_from_sec(v), 0, p));
        sal_report_put(out, "soft", apr_psprintf(p, "%" APR_INT64_T_FMT, v));
    } else {
        sal_report_put(out, "text", sal_format_count(v, p));
    }
}

static void show_code(json_t *out, const json_t *v, apr_pool_t *p)
{
    json_object_set_new(out, "code",
                        json_pack("{s:o}", "pieces", sal_format_pieces(sal_report_plain(v, p))));
}

/* Text in lines; text that is JSON, or JSON itself, indented. */
static void show_block(json_t *out, const json_t *v, apr_pool_t *p)
{
    const char *text = json_is_string(v) ? json_string_value(v) : NULL;
    sal_error_t ignored;
    json_t *parsed = (json_t *)v;
    char *indented = NULL;

    if (!text || ((*text == '{' || *text == '[') &&
                  sal_json_parse(&parsed, text, strlen(text), p, &ignored) == APR_SUCCESS)) {
        indented = json_dumps(parsed, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
        text = indented ? apr_pstrdup(p, indented) : "";
        free(indented);
    }
    sal_report_put(out, "block", sal_report_cut(text, p));
}

static const char *field_link(const char *field, const char *value, apr_pool_t *p)
{
    return apr_pstrcat(p, "/search/?", field, "=%3D", sal_format_urlencode(value, p), NULL);
}

/* The field that searches this path; NULL if none does. */
static const sal_search_field_t *search_field(const char *path)
{
    int n;
    const sal_search_field_t *all = sal_search_fields(&n);

    for (int i = 0; i < n; i++) {
        if (all[i].source && strcmp(all[i].source, path) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

static void show_link(json_t *out, const row_t *row, const json_t *v, apr_pool_t *p)
{
    const sal_search_field_t *field = search_field(row->path);
    const char *text = sal_report_plain(v, p);

    sal_report_put(out, field ? "link_text" : "text", text);
    sal_report_put(out, "link", field ? field_link(field->name, text, p) : NULL);
}

static void show_build(const sal_report_t *r, json_t *out, const json_t *v)
{
    show_code(out, v, r->p);
    sal_report_put(out, "soft", sal_format_build_date(sal_report_plain(v, r->p), r->p));
    if (r->in->build_link) {
        sal_report_put(out, "more_text", "build info");
        sal_report_put(out, "more", r->in->build_link);
    }
}

/* Early chips of AMD's family 20 crash where nothing is wrong with the program. */
static void show_cpu(const sal_report_t *r, json_t *out, const json_t *v)
{
    const char *text = sal_report_plain(v, r->p), *model = strstr(text, "family 20 model ");
    char digit = model ? model[strlen("family 20 model ")] : '\0';
    char after = digit ? model[strlen("family 20 model ") + 1] : '\0';

    sal_report_put(out, "text", text);
    if (strstr(text, "AMD") && (digit == '1' || digit == '2') && !(after >= '0' && after <= '9')) {
        sal_report_put(out, "warn",
                       "AMD family 20 model 1 and 2: known to crash at places that are not at "
                       "fault");
    }
}

static void show_process(const sal_report_t *r, json_t *out, const json_t *v)
{
    const char *type = json_string_length(v) ? json_string_value(v) : "parent";

    sal_report_put(out, "text", sal_report_cut(type, r->p));
    if (strcmp(type, "plugin") == 0) {
        static const char *const keys[] = { "plugin_name", "plugin_version", "plugin_filename" };
        const char *soft = "";

        for (int i = 0; i < 3; i++) {
            const char *s = sal_json_str(r->doc, keys[i]);

            soft = s && *s ? apr_pstrcat(r->p, soft, *soft ? ", " : "", s, NULL) : soft;
        }
        sal_report_put(out, "soft", sal_report_cut(soft, r->p));
    }
}

static void show_adapter(const sal_report_t *r, json_t *out, const row_t *row, const json_t *v)
{
    const char *name =
        strcmp(row->path, "adapter_vendor_id") == 0 ? r->in->gpu_vendor : r->in->gpu_device;

    if (name && *name) {
        sal_report_put(out, "text", name);
        sal_report_put(out, "soft", sal_report_plain(v, r->p));
    } else {
        show_code(out, v, r->p);
    }
}

static void show_moment(json_t *out, const json_t *v, apr_pool_t *p)
{
    apr_time_t t;

    sal_report_put(out, "text",
                   json_is_string(v) && sal_time_parse(json_string_value(v), &t)
                       ? sal_format_time(t, 0, p)
                       : sal_report_plain(v, p));
}

static void show_value(const sal_report_t *r, json_t *out, const row_t *row, const json_t *v)
{
    apr_pool_t *p = r->p;

    if (row->show == FLAG) {
        sal_report_put(out, "text",
                       json_is_boolean(v) ? json_is_true(v) ? "Yes" : "No"
                                          : sal_report_plain(v, p));
    } else if (row->show == BUILD) {
        show_build(r, out, v);
    } else if (row->show == BLOCK) {
        show_block(out, v, p);
    } else if (row->show == PROCESS) {
        show_process(r, out, v);
    } else if (row->show == MOMENT) {
        show_moment(out, v, p);
    } else if (json_is_integer(v)) {
        show_number(out, row->show, json_integer_value(v), p);
    } else if (json_is_array(v)) {
        sal_report_put(out, "text", joined(v, p));
    } else if (row->show == CODE) {
        show_code(out, v, p);
    } else if (row->show == CPU) {
        show_cpu(r, out, v);
    } else if (row->show == ADAPTER) {
        show_adapter(r, out, row, v);
    } else if (row->show == LINK) {
        show_link(out, row, v, p);
    } else {
        sal_report_put(out, "text", sal_report_plain(v, p));
    }
}

/* ---- rows ---- */

static bool is_empty(const json_t *v)
{
    return !v || json_is_null(v) || (json_is_string(v) && !json_string_length(v)) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

static bool is(const sal_report_t *r, const char *key, const char *value)
{
    const char *s = sal_json_str(r->doc, key);

    return s && strcmp(s, value) == 0;
}

/* Whether this report has such a row at all. */
static bool applies(const sal_report_t *r, const row_t *row)
{
    switch (row->when) {
    case FENIX:
        return is(r, "product", "Fenix");
    case CONTENT:
        return is(r, "process_type", "content");
    default:
        return true;
    }
}

static const sal_field_t *field_of(const sal_report_t *r, const row_t *row)
{
    return r->in->fields ? sal_fields_find(r->in->fields, row->path) : NULL;
}

static bool locked(const sal_report_t *r, const row_t *row)
{
    const sal_field_t *field = field_of(r, row);

    return field ? !field->is_public : row->locked;
}

/* What the field is, and under which name it is searched. */
static const char *help(const sal_report_t *r, const row_t *row)
{
    const sal_field_t *field = field_of(r, row);
    const sal_search_field_t *search = search_field(row->path);
    const char *meaning =
        field && field->meaning && strcmp(field->meaning, "-") ? field->meaning : "";

    return apr_pstrcat(r->p, meaning, *meaning ? ". " : "",
                       "Search: ", search ? search->name : "N/A", NULL);
}

static json_t *row_view(const sal_report_t *r, const row_t *row, const json_t *v)
{
    json_t *out = json_pack("{s:s, s:b}", "label", row->label, "locked", locked(r, row));

    sal_report_put(out, "help", help(r, row));
    if (!is_empty(v) || row->show == PROCESS) {
        show_value(r, out, row, v);
    } else {
        sal_report_put(out, "none", row->when == CONTENT ? "web" : "not in this report");
    }
    return out;
}

/* The names of what the reader may not see, whether or not the report has it. */
static void add_hidden(const sal_report_t *r, json_t *list, const char *names)
{
    json_t *out = json_pack("{s:s, s:b}", "label", "Protected", "locked", 1);

    sal_report_put(out, "text", apr_pstrcat(r->p, names, ":", NULL));
    sal_report_put(out, "needs", sal_report_needs_pii);
    json_array_append_new(list, out);
}

static json_t *card(const sal_report_t *r, const char *title, const row_t *rows)
{
    json_t *list = json_array();
    const char *hidden = "";

    for (const row_t *row = rows; row->label; row++) {
        const json_t *v = sal_json_path(r->doc, row->path);

        if (!applies(r, row)) {
            continue;
        }
        if (locked(r, row) && !r->in->pii) {
            hidden = apr_pstrcat(r->p, hidden, *hidden ? ", " : "", row->label, NULL);
        } else if (row->when != PRESENT || !is_empty(v)) {
            json_array_append_new(list, row_view(r, row, v));
        }
    }
    if (*hidden) {
        add_hidden(r, list, hidden);
    }
    return json_pack("{s:s, s:b, s:o}", "title", title, "any", json_array_size(list) > 0, "rows",
                     list);
}

/* The signature leads to the others that have it. */
static void add_signature(const sal_report_t *r, json_t *card)
{
    const char *signature = sal_json_str(r->doc, "signature");
    json_t *row = json_pack("{s:s, s:s, s:b, s:o}", "label", "Signature", "help",
                            "What crashes are grouped by. Search: signature", "locked", 0,
                            "sig_parts", sal_format_signature(signature ? signature : ""));
    const char *encoded = sal_format_urlencode(signature ? signature : "", r->p);
    const char *product = sal_json_str(r->doc, "product");

    if (signature && *signature) {
        sal_report_put(row, "more_reports",
                       apr_pstrcat(r->p, "/signature/?signature=", encoded,
                                   product && *product ? "&product=" : "",
                                   product ? sal_format_urlencode(product, r->p) : "", NULL));
        sal_report_put(row, "search", field_link("signature", signature, r->p));
    } else {
        sal_report_put(row, "none", "none");
    }
    json_array_insert_new(json_object_get(card, "rows"), 0, row);
}

json_t *sal_report_cards(const sal_report_t *r)
{
    static const struct {
        const char *title;
        const row_t *rows;
    } all[] = { { "Crash", crash_rows },
                { "Build", build_rows },
                { "System", system_rows },
                { "Memory", memory_rows },
                { "From the user", user_rows } };
    json_t *out = json_array();

    for (apr_size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        json_t *c = card(r, all[i].title, all[i].rows);

        if (i == 0) {
            add_signature(r, c);
        }
        if (json_is_true(json_object_get(c, "any"))) {
            json_array_append(out, c);
        }
        json_decref(c);
    }
    return out;
}
