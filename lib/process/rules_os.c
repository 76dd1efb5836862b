/*
 * R34, R35, R37 to R39, R41: processor and operating system, from the dump or from annotations.
 */
#include "process/rule.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* ---- R34, R35 ---- */

/* A member of system_info; a JSON null is passed through. */
static void copy_system(pass_t *pass, const char *field, const char *member, json_t *fallback)
{
    const json_t *dump = json_object_get(pass->doc, "json_dump");
    const json_t *v = json_object_get(json_object_get(dump, "system_info"), member);

    if (v) {
        rule_set_ref(pass, field, v);
        json_decref(fallback);
    } else {
        rule_set(pass, field, fallback);
    }
}

const char *rule_CPUInfoRule(pass_t *pass)
{
    const json_t *microcode = rule_dump(pass, "system_info.cpu_microcode_version");

    copy_system(pass, "cpu_info", "cpu_info", json_string("unknown"));
    copy_system(pass, "cpu_count", "cpu_count", json_integer(0));
    if (!json_is_integer(json_object_get(pass->doc, "cpu_count"))) {
        rule_set_int(pass, "cpu_count", 0);
    }
    copy_system(pass, "cpu_arch", "cpu_arch", json_string("unknown"));
    if (microcode) {
        rule_set_ref(pass, "cpu_microcode_version", microcode);
    }
    return NULL;
}

const char *rule_AndroidCPUInfoRule(pass_t *pass)
{
    const char *arch = rule_text(pass, "cpu_arch"), *abi = rule_raw(pass, "Android_CPU_ABI");
    const char *known;

    if (!arch || strcmp(arch, "unknown") || !abi) {
        return NULL;
    }
    known = table_value(pass->tables, TABLE_ANDROID_ABI, abi);
    rule_set_text(pass, "cpu_arch", known ? known : abi);
    return NULL;
}

/* ---- R37 to R39 ---- */

const char *rule_OSInfoRule(pass_t *pass)
{
    const char *name = json_string_value(rule_dump(pass, "system_info.os"));
    const char *version = json_string_value(rule_dump(pass, "system_info.os_ver"));

    name = name ? rule_trim(name, pass->p) : "";
    rule_set_text(pass, "os_name", *name ? name : "Unknown");
    rule_set_text(pass, "os_version", version ? rule_trim(version, pass->p) : "");
    return NULL;
}

const char *rule_AndroidOSInfoRule(pass_t *pass)
{
    const char *name = rule_lower(rule_text(pass, "os_name"), pass->p), *first;
    const char *version = rule_raw(pass, "Android_Version");
    int64_t n;

    if ((strcmp(name, "unknown") && strcmp(name, "android")) || !version) {
        return NULL;
    }
    rule_set_text(pass, "os_name", "Android");
    first = apr_pstrmemdup(pass->p, version, strcspn(version, " "));
    if (rule_integer(first, &n)) {
        rule_set_text(pass, "os_version", first);
    }
    return NULL;
}

static bool may_be_null(const pass_t *pass, const char *field)
{
    const sal_field_t *f = sal_fields_find(pass->fields, field);

    return f && f->nullable && json_object_get(pass->doc, field);
}

/* Reports without a dump say in annotations what the dump would have said. */
const char *rule_PlatformInfoRule(pass_t *pass)
{
    static const struct {
        const char *field, *annotation, *sentinel;
    } from[] = { { "cpu_arch", "CPUArchitecture", "unknown" },
                 { "cpu_info", "CPUInfo", "unknown" },
                 { "os_name", "OS", "Unknown" },
                 { "os_version", "OSVersion", "" } };

    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        const char *now = rule_text(pass, from[i].field);
        const char *said = rule_raw(pass, from[i].annotation);

        if (now && *now && strcmp(now, from[i].sentinel)) {
            continue;
        }
        said = said ? rule_trim(said, pass->p) : "";
        if (*said) {
            rule_set_text(pass, from[i].field, said);
        } else if (!now && !may_be_null(pass, from[i].field)) {
            rule_set_text(pass, from[i].field, from[i].sentinel);
        }
    }
    return NULL;
}

/* ---- R41 ---- */

/* "MAJOR.MINOR" at the start, and ".BUILD" if it is there (else 0). */
static bool version_of(int64_t number[3], const char *text)
{
    char *end;

    number[2] = 0;
    if (!text || !apr_isdigit(*text)) {
        return false;
    }
    number[0] = strtoll(text, &end, 10);
    if (*end != '.' || !apr_isdigit(end[1])) {
        return false;
    }
    number[1] = strtoll(end + 1, &end, 10);
    if (*end == '.' && apr_isdigit(end[1])) {
        number[2] = strtoll(end + 1, NULL, 10);
    }
    return true;
}

/* Of the lines for a version that with the highest build that is not above it. */
static const char *windows_name(const pass_t *pass, const char *name, const char *version)
{
    size_t n;
    const table_row_t *row = table_rows(pass->tables, TABLE_WINDOWS, &n), *best = NULL;
    const char *other = table_value(pass->tables, TABLE_WINDOWS, "other");
    int64_t v[3];

    if (!version_of(v, version)) {
        return name;
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t *at = row[i].number;

        if (at[0] == v[0] && at[1] == v[1] && at[2] <= v[2] && strcmp(row[i].key, "other") &&
            (!best || at[2] > best->number[2])) {
            best = &row[i];
        }
    }
    return best ? best->value : other ? other : name;
}

/* The name with the version's numbers in place of MAJOR and MINOR. */
static const char *fill_in(const char *name, const int64_t v[3], apr_pool_t *p)
{
    const char *out = "";

    while (*name) {
        bool major = rule_starts(name, "MAJOR"), minor = rule_starts(name, "MINOR");

        if (major || minor) {
            out = apr_psprintf(p, "%s%" APR_INT64_T_FMT, out, (apr_int64_t)v[minor]);
            name += strlen("MAJOR");
        } else {
            out = apr_psprintf(p, "%s%c", out, *name++);
        }
    }
    return out;
}

static const char *mac_name(const pass_t *pass, const char *name, const char *version)
{
    size_t n;
    const table_row_t *row = table_rows(pass->tables, TABLE_MACOS, &n);
    const char *other = table_value(pass->tables, TABLE_MACOS, "other");
    int64_t v[3];

    if (!version_of(v, version)) {
        return name;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t major = row[i].number[0];

        if (strcmp(row[i].key, "other") && (v[0] == major || (row[i].later && v[0] > major))) {
            return fill_in(row[i].value, v, pass->p);
        }
    }
    return other ? other : name;
}

static const char *linux_name(const pass_t *pass)
{
    const char *text = json_string_value(rule_dump(pass, "lsb_release.description"));

    if (text && *text) {
        return text;
    }
    text = rule_raw(pass, "LinuxLSBDescription");
    text = text ? rule_trim(text, pass->p) : "";
    return *text ? text : "Linux";
}

const char *rule_OSPrettyVersionRule(pass_t *pass)
{
    const char *name = rule_text(pass, "os_name"), *version = rule_text(pass, "os_version");
    const char *pretty = name ? name : "Unknown";

    if (rule_starts(name, "Windows")) {
        pretty = windows_name(pass, name, version);
    } else if (name && !strcmp(name, "Mac OS X")) {
        pretty = mac_name(pass, name, version);
    } else if (name && !strcmp(name, "Linux")) {
        pretty = linux_name(pass);
    } else if (name && !strcmp(name, "Android")) {
        pretty = version && *version ? apr_pstrcat(pass->p, "Android ", version, NULL) : "Android";
    }
    rule_set_text(pass, "os_pretty_version", pretty);
    return NULL;
}
