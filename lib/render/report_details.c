/*
 * Details, modules, annotations, extensions and debug of a report.
 */
#include "render/report_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"

static const char needs_pii[] = "View Personal Identifiable Information";

typedef enum { TEXT, CODE, SECONDS, BYTES, FLAG, PERCENT, INDEX, LIST, JSON, EPOCH } show_t;

/* A row of a card: what it is called, which field, how it is written, in which search field. */
typedef struct {
    const char *label, *path, *help, *search;
    show_t show;
    bool locked; /* protected: named even to those who may not see it */
} row_t;

static const row_t crash_rows[] = {
    { "Reason", "reason", "The exception or signal", "reason", CODE, false },
    { "Address", "address", "Faulting address", "address", CODE, false },
    { "MOZ_CRASH reason", "moz_crash_reason", "What the program said when it gave up, sanitised",
      "moz_crash_reason", TEXT, false },
    { "MOZ_CRASH reason, raw", "moz_crash_reason_raw", "As it was sent", "moz_crash_reason_raw",
      TEXT, true },
    { "Abort message", "abort_message", NULL, "abort_message", TEXT, false },
    { "Instruction", "json_dump.crash_info.instruction", NULL, NULL, CODE, false },
    { "Bit flips", "possible_bit_flips_max_confidence", "Highest confidence of a possible bit flip",
      "possible_bit_flips_max_confidence", PERCENT, false },
    { "Guard page", "has_guard_page_access", "The crash touched a guard page",
      "has_guard_page_access", FLAG, true },
    { "Inconsistencies", "crash_inconsistencies", "What does not fit together in the dump",
      "crash_inconsistencies", LIST, false },
    { "Last error", "last_error_value", "Windows' last error of the thread", "last_error_value",
      CODE, false },
    { "Startup crash", "startup_crash", "Before start-up had finished", "startup_crash", FLAG,
      false },
    { "Report type", "report_type", "crash or hang", "report_type", TEXT, false },
    { "OOM allocation", "oom_allocation_size", "Size that could not be allocated",
      "oom_allocation_size", BYTES, false },
    { "Mac crash info", "mac_crash_info", NULL, "mac_crash_info", JSON, false },
    { "Soft errors", "soft_errors", "What the dump writer could not do", "soft_errors", JSON,
      true },
    { NULL, NULL, NULL, NULL, TEXT, false }
};

static const row_t build_rows[] = {
    { "Product", "product", NULL, "product", TEXT, false },
    { "Version", "version", NULL, "version", TEXT, false },
    { "Channel", "release_channel", NULL, "release_channel", TEXT, false },
    { "Build ID", "build", "YYYYMMDDhhmmss", "build_id", CODE, false },
    { "Application build ID", "application_build_id", NULL, "application_build_id", CODE, false },
    { "Vendor", "vendor", NULL, "vendor", TEXT, false },
    { "Distribution", "distribution_id", NULL, "distribution_id", TEXT, false },
    { "Package", "android_packagename", NULL, "android_packagename", CODE, false },
    { "Process", "process_type", NULL, "process_type", TEXT, false },
    { "Remote type", "remote_type", "Kind of content process; may carry an origin", "remote_type",
      TEXT, true },
    { "Uptime", "uptime", "Seconds from start to crash", "uptime", SECONDS, false },
    { "Install time", "install_time", NULL, "install_time", EPOCH, false },
    { "Install age", "install_age", "Seconds from installation to crash", "install_age", SECONDS,
      false },
    { "Last crash", "last_crash", "Seconds since the crash before this one", "last_crash", SECONDS,
      false },
    { NULL, NULL, NULL, NULL, TEXT, false }
};

static const row_t system_rows[] = {
    { "OS", "os_pretty_version", NULL, "platform_pretty_version", TEXT, false },
    { "OS version", "os_version", NULL, "platform_version", TEXT, false },
    { "Architecture", "cpu_arch", NULL, "cpu_arch", TEXT, false },
    { "CPU", "cpu_info", NULL, "cpu_info", TEXT, false },
    { "CPU count", "cpu_count", NULL, "cpu_count", INDEX, false },
    { "Microcode", "cpu_microcode_version", NULL, "cpu_microcode_version", CODE, false },
    { "Graphics vendor", "adapter_vendor_id", NULL, "adapter_vendor_id", CODE, false },
    { "Graphics device", "adapter_device_id", NULL, "adapter_device_id", CODE, false },
    { "Driver", "adapter_driver_version", NULL, "adapter_driver_version", TEXT, false },
    { "Android", "android_version", NULL, "android_version", TEXT, false },
    { "Manufacturer", "android_manufacturer", NULL, "android_manufacturer", TEXT, false },
    { "Model", "android_model", NULL, "android_model", TEXT, false },
    { "ABI", "android_cpu_abi", NULL, "android_cpu_abi", CODE, false },
    { "Locale", "useragent_locale", NULL, "useragent_locale", TEXT, false },
    { "Accessibility", "accessibility", NULL, "accessibility", FLAG, false },
    { NULL, NULL, NULL, NULL, TEXT, false }
};

static const row_t memory_rows[] = {
    { "Physical, total", "total_physical_memory", NULL, "total_physical_memory", BYTES, false },
    { "Physical, free", "available_physical_memory", NULL, "available_physical_memory", BYTES,
      false },
    { "Page file, free", "available_page_file", NULL, "available_page_file", BYTES, false },
    { "Virtual, total", "total_virtual_memory", NULL, "total_virtual_memory", BYTES, false },
    { "Virtual, free", "available_virtual_memory", NULL, "available_virtual_memory", BYTES, false },
    { "In use", "system_memory_use_percentage", NULL, "system_memory_use_percentage", PERCENT,
      false },
    { "MR: explicit", "memory_measures.explicit", NULL, "memory_explicit", BYTES, false },
    { "MR: resident", "memory_measures.resident", NULL, "memory_resident", BYTES, false },
    { "MR: heap allocated", "memory_measures.heap_allocated", NULL, "memory_heap_allocated", BYTES,
      false },
    { "MR: private", "memory_measures.private", NULL, "memory_private", BYTES, false },
    { "MR: vsize", "memory_measures.vsize", NULL, "memory_vsize", BYTES, false },
    { NULL, NULL, NULL, NULL, TEXT, false }
};

static const row_t user_rows[] = {
    { "Comment", "user_comments", NULL, "user_comments", TEXT, true },
    { "URL", "url", NULL, "url", CODE, true },
    { "App notes", "app_notes", NULL, "app_notes", TEXT, false },
    { "Submitted from", "submitted_from", NULL, "submitted_from", TEXT, false },
    { NULL, NULL, NULL, NULL, TEXT, false }
};

static const char *cut(const char *text, apr_pool_t *p)
{
    char *s;

    if (strlen(text) <= SAL_REPORT_MAX_VALUE) {
        return text;
    }
    s = apr_pstrndup(p, text, SAL_REPORT_MAX_VALUE);
    sal_utf8_cut(s, SAL_REPORT_MAX_VALUE - 3);
    return apr_pstrcat(p, s, "\u2026", NULL);
}

/* Text of any value, numbers and truth included; objects as JSON. */
static const char *plain(const json_t *v, apr_pool_t *p)
{
    if (json_is_string(v)) {
        return cut(json_string_value(v), p);
    }
    if (json_is_integer(v)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(v));
    }
    if (json_is_boolean(v)) {
        return json_is_true(v) ? "true" : "false";
    }
    return cut(sal_json_text(v, p), p);
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
        APR_ARRAY_PUSH(a, const char *) = apr_pstrcat(p, plain(item, p), " ", NULL);
    }
    return apr_array_pstrcat(p, a, 0);
}

static void show_value(json_t *out, const row_t *row, const json_t *v, apr_pool_t *p)
{
    if (json_is_integer(v) && row->show != FLAG) {
        show_number(out, row->show, json_integer_value(v), p);
    } else if (row->show == FLAG) {
        sal_report_put(out, "text", json_is_true(v) ? "Yes" : "No");
    } else if (json_is_array(v)) {
        sal_report_put(out, "text", joined(v, p));
    } else if (row->show == CODE) {
        json_object_set_new(out, "code",
                            json_pack("{s:o}", "pieces", sal_format_pieces(plain(v, p))));
    } else {
        sal_report_put(out, "text", plain(v, p));
    }
}

static json_t *card(const sal_report_t *r, const char *title, const row_t *rows)
{
    json_t *list = json_array();

    for (const row_t *row = rows; row->label; row++) {
        const json_t *v = sal_json_path(r->doc, row->path);
        bool hidden = row->locked && !r->in->pii;
        json_t *out;

        if (!hidden && (!v || json_is_null(v) || (json_is_string(v) && !json_string_length(v)) ||
                        (json_is_array(v) && json_array_size(v) == 0))) {
            continue;
        }
        out = json_pack("{s:s, s:b}", "label", row->label, "locked", row->locked);
        if (hidden) {
            sal_report_put(out, "needs", needs_pii);
        } else {
            show_value(out, row, v, r->p);
        }
        if (row->help) {
            sal_report_put(
                out, "help",
                apr_psprintf(r->p, "%s. Search: %s", row->help, row->search ? row->search : "N/A"));
        }
        json_array_append_new(list, out);
    }
    return json_pack("{s:s, s:b, s:o}", "title", title, "any", json_array_size(list) > 0, "rows",
                     list);
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

        if (json_is_true(json_object_get(c, "any"))) {
            json_array_append(out, c);
        }
        json_decref(c);
    }
    return out;
}

/* ---- modules ---- */

static const char *safe_url(const json_t *module)
{
    const char *url = sal_json_str(module, "symbol_url");

    return url && (strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) ? url
                                                                                        : NULL;
}

json_t *sal_report_modules(const sal_report_t *r)
{
    json_t *out = json_array(), *m;
    size_t i;

    json_array_foreach(json_object_get(r->dump, "modules"), i, m)
    {
        const char *name = sal_json_str(m, "filename");
        json_t *row;

        if (i == SAL_REPORT_MAX_MODULES) {
            break;
        }
        row = json_pack("{s:s, s:b, s:b, s:b}", "name", name && *name ? name : "unnamed", "lacking",
                        json_is_true(json_object_get(m, "missing_symbols")), "loaded",
                        json_is_true(json_object_get(m, "loaded_symbols")), "corrupt",
                        json_is_true(json_object_get(m, "corrupt_symbols")));
        sal_report_put(row, "version", sal_json_str(m, "version"));
        sal_report_put(row, "debug_id", sal_json_str(m, "debug_id"));
        sal_report_put(row, "debug_file", sal_json_str(m, "debug_file"));
        sal_report_put(row, "base", sal_json_str(m, "base_addr"));
        sal_report_put(row, "signer", sal_json_str(m, "cert_subject"));
        sal_report_put(row, "url", safe_url(m));
        json_array_append_new(out, row);
    }
    return out;
}

json_t *sal_report_unloaded(const sal_report_t *r)
{
    json_t *out = json_array(), *m;
    size_t i;

    json_array_foreach(json_object_get(r->dump, "unloaded_modules"), i, m)
    {
        const char *name = sal_json_str(m, "filename");
        json_t *row;

        if (i == SAL_REPORT_MAX_MODULES) {
            break;
        }
        row = json_pack("{s:s}", "name", name && *name ? name : "unnamed");
        sal_report_put(row, "code_id", sal_json_str(m, "code_id"));
        sal_report_put(row, "signer", sal_json_str(m, "cert_subject"));
        json_array_append_new(out, row);
    }
    return out;
}

/* ---- annotations ---- */

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int c = strcasecmp(x, y);

    return c ? c : strcmp(x, y);
}

static bool collectors_own(const char *key)
{
    return strcmp(key, "metadata") == 0 || strcmp(key, "uuid") == 0 ||
           strcmp(key, "submitted_timestamp") == 0 || strcmp(key, "version") == 0;
}

json_t *sal_report_annotations(const json_t *annotations, apr_pool_t *p)
{
    json_t *out = json_array(), *v;
    apr_array_header_t *keys = apr_array_make(p, 64, sizeof(const char *));
    const char *key;

    json_object_foreach((json_t *)annotations, key, v)
    {
        if (!collectors_own(key)) {
            APR_ARRAY_PUSH(keys, const char *) = key;
        }
    }
    qsort(keys->elts, (size_t)keys->nelts, sizeof(const char *), by_name);
    for (int i = 0; i < keys->nelts; i++) {
        json_t *row = json_object();

        key = APR_ARRAY_IDX(keys, i, const char *);
        sal_report_put(row, "key", key);
        sal_report_put(row, "value", plain(json_object_get(annotations, key), p));
        json_array_append_new(out, row);
    }
    return out;
}

json_t *sal_report_addons(const sal_report_t *r)
{
    json_t *out = json_array(), *item;
    size_t i;

    json_array_foreach(json_object_get(r->doc, "addons"), i, item)
    {
        const char *s = json_string_value(item), *colon = s ? strrchr(s, ':') : NULL;
        json_t *row;

        if (!s || i == 500) {
            continue;
        }
        row = json_object();
        sal_report_put(row, "id", colon ? apr_pstrmemdup(r->p, s, colon - s) : s);
        sal_report_put(row, "version",
                       colon && strcmp(colon, ":NO_VERSION") != 0 ? colon + 1 : NULL);
        json_array_append_new(out, row);
    }
    return out;
}

/* The last ten of the trail; a document without view_pii has none. */
json_t *sal_report_breadcrumbs(const sal_report_t *r)
{
    const json_t *all = json_object_get(r->doc, "breadcrumbs");
    size_t n = json_array_size(all);
    json_t *out = json_array();

    for (size_t i = n > 10 ? n - 10 : 0; i < n; i++) {
        const json_t *one = json_array_get(all, i);
        const json_t *data = json_object_get(one, "data");
        const char *message = sal_json_str(one, "message");
        json_t *row = json_object();

        sal_report_put(row, "when", sal_json_str(one, "timestamp"));
        sal_report_put(row, "category", sal_json_str(one, "category"));
        sal_report_put(row, "level", sal_json_str(one, "level"));
        sal_report_put(row, "message", message ? cut(message, r->p) : NULL);
        if (!message && data) {
            sal_report_put(row, "message", plain(data, r->p));
        }
        json_array_append_new(out, row);
    }
    return out;
}

/* ---- debug ---- */

static void debug_row(json_t *list, const char *label, const char *value, bool block)
{
    if (value && *value) {
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b}", "label", label, "value", value, "block", block));
    }
}

static const char *pretty(const json_t *v, apr_pool_t *p)
{
    char *text = v ? json_dumps(v, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    const char *out = text ? cut(apr_pstrdup(p, text), p) : NULL;

    free(text);
    return out;
}

json_t *sal_report_debug(const sal_report_t *r)
{
    json_t *open = json_array(), *locked = json_array();
    const json_t *history = json_object_get(r->doc, "processor_history");
    const json_t *code = json_object_get(r->doc, "mdsw_return_code");

    debug_row(open, "Processing began", sal_json_str(r->doc, "started_datetime"), false);
    debug_row(open, "Processing ended", sal_json_str(r->doc, "completed_datetime"), false);
    debug_row(open, "Times processed",
              sal_format_count((apr_int64_t)json_array_size(history) + 1, r->p), false);
    debug_row(open, "Stackwalker", sal_json_str(r->doc, "stackwalk_version"), false);
    debug_row(open, "Stackwalker status", sal_json_str(r->doc, "mdsw_status_string"), false);
    debug_row(open, "Notes", sal_json_str(r->doc, "processor_notes"), true);
    if (r->in->pii && r->in->rawdump) {
        debug_row(locked, "Return code", code ? plain(code, r->p) : NULL, false);
        debug_row(locked, "Stackwalker log", sal_json_str(r->doc, "mdsw_stderr"), true);
        debug_row(locked, "Signature rules", sal_json_str(r->doc, "signature_debug"), true);
        debug_row(locked, "Collector", pretty(json_object_get(r->doc, "collector_metadata"), r->p),
                  true);
    }
    return json_pack("{s:o, s:b, s:o, s:b}", "open", open, "any_locked",
                     json_array_size(locked) > 0, "locked", locked, "hidden",
                     !(r->in->pii && r->in->rawdump));
}
