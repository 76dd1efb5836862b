/*
 * R19 to R23, R26, R27, R29 to R33, R36, R45: what annotations say about the program that crashed.
 */
#include "process/rule.h"

#include <string.h>
#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"

/* ---- R19 to R22 ---- */

const char *rule_MajorVersionRule(pass_t *pass)
{
    const char *version = rule_raw(pass, "Version");
    int64_t major = 0;

    if (version && !rule_integer(apr_pstrmemdup(pass->p, version, strcspn(version, ".")), &major)) {
        major = 0;
    }
    rule_set_int(pass, "major_version", major);
    return NULL;
}

const char *rule_PluginRule(pass_t *pass)
{
    static const char *const pairs[][2] = { { "PluginFilename", "plugin_filename" },
                                            { "PluginName", "plugin_name" },
                                            { "PluginVersion", "plugin_version" } };
    const char *type = rule_raw(pass, "ProcessType");

    for (size_t i = 0; type && !strcmp(type, "plugin") && i < 3; i++) {
        const char *value = rule_raw(pass, pairs[i][0]);

        rule_set_text(pass, pairs[i][1], value ? value : "");
    }
    return NULL;
}

const char *rule_ProcessTypeRule(pass_t *pass)
{
    const char *type = rule_raw(pass, "ProcessType");

    rule_set_text(pass, "process_type", type && strcmp(type, "main") ? type : "parent");
    return NULL;
}

const char *rule_AccessibilityRule(pass_t *pass)
{
    const char *value = rule_raw(pass, "Accessibility");

    rule_set(pass, "accessibility", json_boolean(value && !strcmp(value, "Active")));
    return NULL;
}

/* ---- R23, R45 ---- */

/* A URL-encoded text; what is no %XX stays, what is no UTF-8 afterwards is replaced. */
static const char *url_decode(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) + 1), *to = out;
    uint64_t byte;

    for (; *text; text++) {
        if (*text == '%' && apr_isxdigit(text[1]) && apr_isxdigit(text[2]) &&
            sal_parse_hex(text + 1, 2, &byte)) {
            *to++ = (char)byte;
            text += 2;
        } else {
            *to++ = *text == '+' ? ' ' : *text;
        }
    }
    return sal_utf8_clean(out, (apr_size_t)(to - out), p);
}

static void add_addon(pass_t *pass, json_t *list, const char *item)
{
    if (!strchr(item, ':')) {
        item = apr_pstrcat(pass->p, item, ":NO_VERSION", NULL);
    }
    json_array_append_new(list, json_string(url_decode(item, pass->p)));
}

const char *rule_AddonsRule(pass_t *pass)
{
    const char *checked = rule_raw(pass, "EMCheckCompatibility");
    const char *addons = rule_raw_set(pass, "Add-ons");
    json_t *list = json_array();

    rule_set(pass, "addons_checked",
             checked ? json_boolean(!strcmp(rule_lower(checked, pass->p), "true")) : json_null());
    while (addons) {
        size_t len = strcspn(addons, ",");

        add_addon(pass, list, apr_pstrmemdup(pass->p, addons, len));
        addons = addons[len] ? addons + len + 1 : NULL;
    }
    rule_set(pass, "addons", list);
    return NULL;
}

const char *rule_ThemePrettyNameRule(pass_t *pass)
{
    size_t n;
    const table_row_t *themes = table_rows(pass->tables, TABLE_THEME, &n);
    json_t *addons = json_object_get(pass->doc, "addons");

    for (size_t i = 0; i < json_array_size(addons); i++) {
        const char *addon = json_string_value(json_array_get(addons, i));

        for (size_t k = 0; addon && k < n; k++) {
            size_t len = strlen(themes[k].key);

            if (!strncmp(addon, themes[k].key, len) && (!addon[len] || addon[len] == ':')) {
                json_array_set_new(
                    addons, i,
                    json_string(apr_pstrcat(pass->p, themes[k].key, " (", themes[k].value, ")",
                                            addon + len, NULL)));
                break;
            }
        }
    }
    return NULL;
}

/* ---- R26, R27 ---- */

/* Decimal, up to 64 bits without a sign. */
static bool address_of(const char *text, uint64_t *address, apr_pool_t *p)
{
    const char *s = rule_trim(text, p);

    s += *s == '+';
    *address = 0;
    for (const char *c = s; *c; c++) {
        if (!apr_isdigit(*c) || __builtin_mul_overflow(*address, 10, address) ||
            __builtin_add_overflow(*address, (uint64_t)(*c - '0'), address)) {
            return false;
        }
    }
    return *s != '\0';
}

const char *rule_PHCRule(pass_t *pass)
{
    const char *kind = rule_raw(pass, "PHCKind"), *text;
    uint64_t address;
    int64_t n;

    if (!kind) {
        return NULL;
    }
    rule_set_text(pass, "phc_kind", kind);
    if ((text = rule_raw(pass, "PHCBaseAddress")) && address_of(text, &address, pass->p)) {
        rule_set_text(pass, "phc_base_address",
                      apr_psprintf(pass->p, "0x%" APR_UINT64_T_HEX_FMT, (apr_uint64_t)address));
    }
    if ((text = rule_raw(pass, "PHCUsableSize")) && rule_integer(text, &n)) {
        rule_set_int(pass, "phc_usable_size", n);
    }
    if ((text = rule_raw(pass, "PHCAllocStack"))) {
        rule_set_text(pass, "phc_alloc_stack", text);
    }
    if ((text = rule_raw(pass, "PHCFreeStack"))) {
        rule_set_text(pass, "phc_free_stack", text);
    }
    return NULL;
}

/* NULL, or what is wrong with the shape of a trail of breadcrumbs. */
static const char *breadcrumbs_fault(const json_t *list)
{
    static const char *const texts[] = { "category", "level", "message", "timestamp", "type" };

    if (!json_is_array(list)) {
        return "not an array";
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *crumb = json_array_get(list, i), *v;

        if (!json_is_object(crumb)) {
            return "item is not an object";
        }
        if ((v = json_object_get(crumb, "data")) && !json_is_object(v)) {
            return "data is not an object";
        }
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            if ((v = json_object_get(crumb, texts[k])) && !json_is_string(v)) {
                return "a member is not a string";
            }
        }
    }
    return NULL;
}

const char *rule_BreadcrumbsRule(pass_t *pass)
{
    const char *text = rule_raw_set(pass, "Breadcrumbs"), *fault;
    json_t *list;

    if (!text) {
        return NULL;
    }
    if (sal_json_parse(&list, text, strlen(text), pass->p, NULL) != APR_SUCCESS) {
        rule_note(pass, "Breadcrumbs: malformed: not valid json");
        return NULL;
    }
    if (json_is_object(list) && json_object_get(list, "values")) {
        list = json_object_get(list, "values");
    }
    if ((fault = breadcrumbs_fault(list)) != NULL) {
        rule_note(pass, "Breadcrumbs: malformed: %s", fault);
    } else {
        rule_set_ref(pass, "breadcrumbs", list);
    }
    return NULL;
}

/* ---- R29 to R32 ---- */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "dict";
    case JSON_ARRAY:
        return "list";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "float";
    default:
        return "bool";
    }
}

/* What other languages take for false. */
static bool is_nothing(const json_t *v)
{
    return json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

const char *rule_MacBootArgsRule(pass_t *pass)
{
    const json_t *args = rule_dump(pass, "mac_boot_args");
    const char *text = json_string_value(args);

    if (text) {
        text = rule_trim(text, pass->p);
        if (*text) {
            rule_set_text(pass, "mac_boot_args", text);
            rule_set(pass, "has_mac_boot_args", json_true());
        }
    } else if (args && !is_nothing(args)) {
        rule_note(pass, "MacBootArgsRule: mac_boot_args is %s and not str", type_name(args));
    }
    return NULL;
}

const char *rule_MacCrashInfoRule(pass_t *pass)
{
    const json_t *info = rule_dump(pass, "mac_crash_info");

    json_object_del(pass->doc, "mac_crash_info");
    if (json_number_value(json_object_get(info, "num_records")) > 0) {
        rule_set_text(pass, "mac_crash_info", sal_json_python(info, pass->p));
    }
    return NULL;
}

const char *rule_MozCrashReasonRule(pass_t *pass)
{
    size_t n;
    const table_row_t *leaky = table_rows(pass->tables, TABLE_CRASH_REASON, &n);
    const char *reason = rule_raw_set(pass, "MozCrashReason"), *shown = reason;

    for (size_t i = 0; reason && i < n; i++) {
        if (rule_starts(reason, leaky[i].key)) {
            shown = "sanitized--see moz_crash_reason_raw";
        }
    }
    if (reason) {
        rule_set_text(pass, "moz_crash_reason_raw", reason);
        rule_set_text(pass, "moz_crash_reason", shown);
    }
    return NULL;
}

const char *rule_UtilityActorsNameRule(pass_t *pass)
{
    const char *names = rule_raw(pass, "UtilityActorsName");
    json_t *list;

    if (!names) {
        return NULL;
    }
    list = json_array();
    while (names) {
        size_t len = strcspn(names, ",");
        const char *name = rule_trim(apr_pstrmemdup(pass->p, names, len), pass->p);

        if (*name) {
            json_array_append_new(list, json_string(name));
        }
        names = names[len] ? names + len + 1 : NULL;
    }
    rule_set(pass, "utility_actors_name", list);
    return NULL;
}

/* ---- R33 ---- */

static bool watchdog_on_stack(const pass_t *pass)
{
    const json_t *index = rule_dump(pass, "crash_info.crashing_thread");
    int64_t n = json_is_integer(index) ? json_integer_value(index) : 0;
    const json_t *thread = json_array_get(rule_dump(pass, "threads"), n > 0 ? (size_t)n : 0);
    const json_t *frames = json_object_get(thread, "frames");

    for (size_t i = 0; i < json_array_size(frames); i++) {
        const char *function = sal_json_str(json_array_get(frames, i), "function");

        if (function && strstr(function, "RunWatchdog")) {
            return true;
        }
    }
    return false;
}

const char *rule_ReportTypeRule(pass_t *pass)
{
    bool hang = json_object_get(pass->doc, "ipc_channel_error") ||
                json_object_get(pass->doc, "async_shutdown_timeout") || watchdog_on_stack(pass);

    rule_set_text(pass, "report_type", hang ? "hang" : "crash");
    return NULL;
}

/* ---- R36 ---- */

const char *rule_DistributionIdRule(pass_t *pass)
{
    const char *id = rule_raw_set(pass, "DistributionID");
    const char *text = rule_raw(pass, "TelemetryEnvironment");
    const json_t *environment = json_object_get(pass->raw, "TelemetryEnvironment"), *partner;
    json_t *parsed = NULL;

    if (!id) {
        if (text && sal_json_parse(&parsed, text, strlen(text), pass->p, NULL) == APR_SUCCESS) {
            environment = parsed;
        }
        partner = sal_json_path(environment, "partner.distributionId");
        id = partner ? json_string_value(partner) : "unknown";
    }
    if (!id || !*id) {
        id = table_value(pass->tables, TABLE_DISTRIBUTION, "default");
    }
    rule_set_text(pass, "distribution_id", id ? id : "unknown");
    return NULL;
}
