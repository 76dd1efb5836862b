/*
 * R13 to R18, R42 to R44, R47, R48: what is read out of the stackwalk document. Its members may be
 * null, missing or of another type: a reader then finds nothing.
 */
#include "process/rule.h"

#include <stdlib.h>
#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/json.h"

#define FRAMES_MAX 500
#define FRAMES_FIRST 250
#define FRAMES_LAST 249
#define SOFT_ERRORS_MAX 4096

/* ---- R13 ---- */

static const char *module_label(const json_t *module)
{
    const char *name = sal_json_str(module, "filename");

    name = name ? name : sal_json_str(module, "debug_file");
    return name ? name : "unknown";
}

/* Host of a URL in lower case, "" if it has none or one with a password. */
static const char *host_of(const char *url, apr_pool_t *p)
{
    const char *host = strstr(url, "://");
    size_t len = host ? strcspn(host + 3, "/?#") : 0;

    if (!host || memchr(host + 3, '@', len)) {
        return "";
    }
    return rule_lower(apr_pstrmemdup(p, host + 3, strcspn(host + 3, ":/?#")), p);
}

/* "own", "as-is", or NULL for a host that nobody named; its subdomains are meant, too. */
static const char *host_use(const pass_t *pass, const char *host)
{
    size_t n, len = strlen(host);
    const table_row_t *row = table_rows(pass->tables, TABLE_SYMBOL_HOST, &n);

    for (size_t i = 0; i < n; i++) {
        size_t tail = strlen(row[i].key);

        if (len >= tail && !strcmp(host + len - tail, row[i].key) &&
            (len == tail || host[len - tail - 1] == '.')) {
            return row[i].value;
        }
    }
    return NULL;
}

const char *rule_ModuleURLRewriteRule(pass_t *pass)
{
    const json_t *modules = rule_dump(pass, "modules");

    for (size_t i = 0; i < json_array_size(modules); i++) {
        json_t *module = json_array_get(modules, i);
        const char *url = sal_json_str(module, "symbol_url"), *use;

        if (!url || !*url) {
            continue;
        }
        use = host_use(pass, host_of(url, pass->p));
        if (use && !strcmp(use, "own")) {
            json_object_set_new(module, "symbol_url", json_stringn(url, strcspn(url, "?")));
        } else if (!use) {
            /* other hosts are the operator's own: their names are nobody's business */
            rule_note(pass, "Redacting symbol url for module %s", module_label(module));
            json_object_set_new(module, "symbol_url", json_null());
        }
    }
    return NULL;
}

/* ---- R14 ---- */

/* The address a reader wants: that of the null page, or the one the program meant. */
static const char *crash_address(const pass_t *pass)
{
    const char *address = json_string_value(rule_dump(pass, "crash_info.address"));
    const char *kind = json_string_value(rule_dump(pass, "crash_info.adjusted_address.kind"));
    const char *meant = json_string_value(rule_dump(pass, "crash_info.adjusted_address.address"));

    if (kind && !strcmp(kind, "null-pointer")) {
        return address && strlen(address) == 18 ? "0x0000000000000000" : "0x00000000";
    }
    return kind && !strcmp(kind, "non-canonical") && meant ? meant : address;
}

const char *rule_CrashingThreadInfoRule(pass_t *pass)
{
    const json_t *dump = json_object_get(pass->doc, "json_dump");
    const json_t *crash = sal_json_path(dump, "crash_info");
    const json_t *index = rule_dump(pass, "crash_info.crashing_thread");
    const json_t *type = json_is_object(crash) ? json_object_get(crash, "type") : NULL;
    const json_t *last = rule_dump(pass, "crashing_thread.last_error_value");

    if (!dump || json_is_null(dump)) {
        return NULL;
    }
    rule_set_ref(pass, "crashing_thread", index);
    if (!index) {
        rule_note(pass, "mdsw did not identify the crashing thread");
    }
    rule_set_ref(pass, "crashing_thread_name", rule_dump(pass, "crashing_thread.thread_name"));
    if (type) {
        rule_set_ref(pass, "reason", type);
    } else {
        rule_set_text(pass, "reason", "");
    }
    rule_set_text(pass, "address", crash_address(pass));
    if (json_is_string(last)) {
        rule_set_ref(pass, "last_error_value", last);
    }
    return NULL;
}

/* ---- R15 ---- */

static const char *thousands(size_t n, apr_pool_t *p)
{
    const char *text = apr_psprintf(p, "%" APR_SIZE_T_FMT, n), *out = "";

    while (strlen(text) > 3) {
        size_t head = (strlen(text) - 1) / 3 * 3;

        head = strlen(text) - head;
        out = apr_pstrcat(p, out, apr_pstrmemdup(p, text, head), ",", NULL);
        text += head;
    }
    return apr_pstrcat(p, out, text, NULL);
}

/* The middle of a very long stack goes; *was is its length before. */
static bool truncate_stack(const pass_t *pass, json_t *thread, size_t *was)
{
    const json_t *frames = json_object_get(thread, "frames");
    apr_pool_t *p = pass->p;
    json_t *kept, *mark;

    *was = json_array_size(frames);
    if (*was <= FRAMES_MAX) {
        return false;
    }
    rule_metric(pass, SAL_METRIC_GAUGE, "truncatestackrule.stack_size", "", (int64_t)*was);
    rule_count(pass, "truncatestackrule.truncated", "");
    kept = json_array();
    for (size_t i = 0; i < FRAMES_FIRST; i++) {
        json_array_append(kept, json_array_get(frames, i));
    }
    mark = json_pack("{s:{s:s}}", "truncated", "msg",
                     apr_pstrcat(p, thousands(*was - FRAMES_MAX, p), " frames truncated", NULL));
    json_array_append_new(kept, mark);
    for (size_t i = *was - FRAMES_LAST; i < *was; i++) {
        json_array_append(kept, json_array_get(frames, i));
    }
    json_object_set_new(thread, "frames", kept);
    json_object_set_new(thread, "truncated", json_true());
    return true;
}

static void truncate_dump(pass_t *pass, const json_t *dump, const char *path)
{
    json_t *crashing = json_object_get(dump, "crashing_thread");
    const json_t *threads = json_object_get(dump, "threads");
    size_t was;

    if (truncate_stack(pass, crashing, &was)) {
        rule_note(pass,
                  "TruncateStacksRule: truncated %s.crashing_thread.frames: "
                  "%" APR_SIZE_T_FMT " -> %d",
                  path, was, FRAMES_MAX);
    }
    for (size_t i = 0; i < json_array_size(threads); i++) {
        if (truncate_stack(pass, json_array_get(threads, i), &was)) {
            rule_note(pass,
                      "TruncateStacksRule: truncated %s.threads[%" APR_SIZE_T_FMT
                      "].frames: %" APR_SIZE_T_FMT " > %d",
                      path, i, was, FRAMES_MAX);
        }
    }
}

const char *rule_TruncateStacksRule(pass_t *pass)
{
    const json_t *others = json_object_get(pass->doc, "additional_dumps");
    const char *key;
    json_t *value;

    truncate_dump(pass, json_object_get(pass->doc, "json_dump"), "json_dump");
    json_object_foreach(pass->doc, key, value)
    {
        const json_t *dump = json_object_get(value, "json_dump");

        if (dump) {
            truncate_dump(pass, dump, apr_pstrcat(pass->p, key, ".json_dump", NULL));
        }
    }
    json_object_foreach((json_t *)others, key, value)
    {
        truncate_dump(pass, json_object_get(value, "json_dump"),
                      apr_pstrcat(pass->p, key, ".json_dump", NULL));
    }
    return NULL;
}

/* ---- R16 to R18 ---- */

const char *rule_PossibleBitFlipsRule(pass_t *pass)
{
    const json_t *flips = rule_dump(pass, "crash_info.possible_bit_flips");
    double best = 0;

    for (size_t i = 0; i < json_array_size(flips); i++) {
        double c = json_number_value(json_object_get(json_array_get(flips, i), "confidence"));

        best = c > best ? c : best;
    }
    if (json_array_size(flips)) {
        rule_set_int(pass, "possible_bit_flips_max_confidence",
                     best < 1e6 ? (int64_t)(best * 100) : 100);
    }
    return NULL;
}

const char *rule_CrashInconsistenciesRule(pass_t *pass)
{
    const json_t *dump = json_object_get(pass->doc, "json_dump");

    if (dump && !json_is_null(dump)) {
        rule_set_ref(pass, "crash_inconsistencies",
                     rule_dump(pass, "crash_info.crash_inconsistencies"));
    }
    return NULL;
}

const char *rule_HasGuardPageAccessRule(pass_t *pass)
{
    const json_t *accesses = rule_dump(pass, "crash_info.memory_accesses");

    for (size_t i = 0; i < json_array_size(accesses); i++) {
        if (json_is_true(json_object_get(json_array_get(accesses, i), "is_likely_guard_page"))) {
            rule_set(pass, "has_guard_page_access", json_true());
        }
    }
    return NULL;
}

/* ---- R42 ---- */

static const json_t *source_of(const json_t *frame)
{
    const json_t *file = json_object_get(frame, "file");

    return json_string_length(file) ? file : NULL;
}

const char *rule_TopMostFilesRule(pass_t *pass)
{
    const json_t *frames = rule_crashing_frames(pass), *file = NULL;

    for (size_t i = 0; !file && i < json_array_size(frames); i++) {
        const json_t *frame = json_array_get(frames, i);
        const json_t *inlines = json_object_get(frame, "inlines");

        for (size_t k = 0; !file && k < json_array_size(inlines); k++) {
            file = source_of(json_array_get(inlines, k));
        }
        file = file ? file : source_of(frame);
    }
    if (file) {
        rule_set_ref(pass, "topmost_filenames", file);
    }
    return NULL;
}

/* ---- R43, R44: lists joined by ';' ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void set_list(pass_t *pass, const char *field, apr_array_header_t *list, bool distinct)
{
    apr_array_header_t *kept = apr_array_make(pass->p, list->nelts, sizeof(const char *));
    const char *last = NULL;

    qsort(list->elts, (size_t)list->nelts, sizeof(const char *), by_text);
    for (int i = 0; i < list->nelts; i++) {
        const char *text = APR_ARRAY_IDX(list, i, const char *);

        if (!distinct || !last || strcmp(text, last)) {
            APR_ARRAY_PUSH(kept, const char *) = text;
        }
        last = text;
    }
    if (kept->nelts) {
        rule_set_text(pass, field, apr_array_pstrcat(pass->p, kept, ';'));
    }
}

static const char *only(const char *text, bool hex, apr_pool_t *p)
{
    char *out = apr_pstrdup(p, text ? text : ""), *to = out;

    for (const char *c = out; *c; c++) {
        if (hex ? apr_isxdigit(*c) : apr_isalnum(*c) || (*c && strchr("_.-", *c))) {
            *to++ = *c;
        }
    }
    *to = '\0';
    return out;
}

static const json_t *module_named(const json_t *modules, const char *name)
{
    for (size_t i = json_array_size(modules); i-- > 0;) {
        const char *file = sal_json_str(json_array_get(modules, i), "filename");

        if (file && !strcmp(file, name)) {
            return json_array_get(modules, i); /* of several the last counts */
        }
    }
    return NULL;
}

const char *rule_ModulesInStackRule(pass_t *pass)
{
    const json_t *frames = rule_crashing_frames(pass), *modules = rule_dump(pass, "modules");
    apr_array_header_t *list = apr_array_make(pass->p, 16, sizeof(const char *));
    const char *last = "";

    for (size_t i = 0; i < json_array_size(frames); i++) {
        const char *name = sal_json_str(json_array_get(frames, i), "module");
        const json_t *module;

        if (!name || !strcmp(name, last) || !(module = module_named(modules, name))) {
            continue;
        }
        last = name;
        APR_ARRAY_PUSH(list, const char *) =
            apr_pstrcat(pass->p, only(name, false, pass->p), "/",
                        only(sal_json_str(module, "debug_id"), true, pass->p), NULL);
    }
    set_list(pass, "modules_in_stack", list, true);
    return NULL;
}

static const char *escape_slash(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 2 + 1), *to = out;

    for (; *text; text++) {
        if (*text == '/') {
            *to++ = '\\';
        }
        *to++ = *text;
    }
    *to = '\0';
    return out;
}

const char *rule_MissingSymbolsRule(pass_t *pass)
{
    const json_t *modules = rule_dump(pass, "modules");
    apr_array_header_t *list = apr_array_make(pass->p, 16, sizeof(const char *));

    for (size_t i = 0; i < json_array_size(modules); i++) {
        const json_t *m = json_array_get(modules, i);
        const char *file = sal_json_str(m, "filename"), *version = sal_json_str(m, "version");
        const char *id = sal_json_str(m, "debug_id");
        const char *code = only(sal_json_str(m, "code_id"), true, pass->p);

        if (!file || !*file || !json_is_true(json_object_get(m, "missing_symbols"))) {
            continue;
        }
        APR_ARRAY_PUSH(list, const char *) =
            apr_pstrcat(pass->p, only(file, false, pass->p), "/",
                        version && *version ? escape_slash(version, pass->p) : "None", "/",
                        id ? only(id, true, pass->p) : "000000000000000000000000000000000",
                        *code ? "/" : "", code, NULL);
    }
    set_list(pass, "missing_symbols", list, false);
    return NULL;
}

/* ---- R47, R48 ---- */

const char *rule_SoftErrorsRule(pass_t *pass)
{
    const json_t *dump = json_object_get(pass->doc, "json_dump");
    const json_t *errors = json_is_object(dump) ? json_object_get(dump, "soft_errors") : NULL;
    const char *text;
    size_t len;

    if (errors) {
        text = sal_json_python(errors, pass->p);
        len = strlen(text);
        rule_set(pass, "soft_errors",
                 json_stringn(text, len > SOFT_ERRORS_MAX ? SOFT_ERRORS_MAX : len));
    }
    return NULL;
}

const char *rule_ThreadCountRule(pass_t *pass)
{
    rule_set_ref(pass, "thread_count", rule_dump(pass, "thread_count"));
    return NULL;
}
