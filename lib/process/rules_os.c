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
    copy_system(pass, "cpu_arch", "cpu_arch", json_string("unknown"));
    if (microcode) {
        rule_set_ref(pass, "cpu_microcode_version", microcode);
    }
    return NULL;
}

const char *rule_AndroidCPUInfoRule(pass_t *pass)
{
    static const char *const names[][2] = { { "armeabi-v7a", "arm" },
                                            { "arm64-v8a", "arm64" },
                                            { "x86_64", "amd64" } };
    const char *arch = rule_text(pass, "cpu_arch"), *abi = rule_raw(pass, "Android_CPU_ABI");

    if (!arch || strcmp(arch, "unknown") || !abi) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(abi, names[i][0])) {
            abi = names[i][1];
        }
    }
    rule_set_text(pass, "cpu_arch", abi);
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
        } else if (!now) {
            rule_set_text(pass, from[i].field, from[i].sentinel);
        }
    }
    return NULL;
}

/* ---- R41 ---- */

/* "MAJOR.MINOR" at the start; *rest behind it. */
static bool version_pair(const char *text, int64_t *major, int64_t *minor, const char **rest)
{
    char *end;

    if (!text || !apr_isdigit(*text)) {
        return false;
    }
    *major = strtoll(text, &end, 10);
    if (*end != '.' || !apr_isdigit(end[1])) {
        return false;
    }
    *minor = strtoll(end + 1, &end, 10);
    *rest = end;
    return true;
}

static const char *windows_name(const char *name, const char *version)
{
    static const struct {
        int64_t major, minor;
        const char *name;
    } known[] = {
        { 3, 5, "Windows NT" },          { 4, 0, "Windows NT" },    { 4, 1, "Windows 98" },
        { 4, 9, "Windows Me" },          { 5, 0, "Windows 2000" },  { 5, 1, "Windows XP" },
        { 5, 2, "Windows Server 2003" }, { 6, 0, "Windows Vista" }, { 6, 1, "Windows 7" },
        { 6, 2, "Windows 8" },           { 6, 3, "Windows 8.1" },   { 10, 0, "Windows 10" },
    };
    int64_t major, minor;
    const char *rest;

    if (!version_pair(version, &major, &minor, &rest)) {
        return name;
    }
    if (major == 10 && minor == 0 && *rest == '.' && strtoll(rest + 1, NULL, 10) >= 21996) {
        return "Windows 11";
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].major == major && known[i].minor == minor) {
            return known[i].name;
        }
    }
    return "Windows Unknown";
}

static const char *mac_name(const char *name, const char *version, apr_pool_t *p)
{
    int64_t major, minor;
    const char *rest;

    if (!version_pair(version, &major, &minor, &rest)) {
        return name;
    }
    if (major >= 11) {
        return apr_psprintf(p, "macOS %" APR_INT64_T_FMT, major);
    }
    return major == 10 ? apr_psprintf(p, "OS X 10.%" APR_INT64_T_FMT, minor) : "OS X Unknown";
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
        pretty = windows_name(name, version);
    } else if (name && !strcmp(name, "Mac OS X")) {
        pretty = mac_name(name, version, pass->p);
    } else if (name && !strcmp(name, "Linux")) {
        pretty = linux_name(pass);
    } else if (name && !strcmp(name, "Android")) {
        pretty = version && *version ? apr_pstrcat(pass->p, "Android ", version, NULL) : "Android";
    }
    rule_set_text(pass, "os_pretty_version", pretty);
    return NULL;
}
