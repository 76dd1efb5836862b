/*
 * How each sender of crash reports speaks, for `salvage submit`.
 */
#include "submit.h"

#include <ctype.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/text.h"
#include "cmd.h"

#define FORM .shape = SUBMIT_FORM
#define WINDOWS_FOLDER "C:\\Users\\Public\\AppData\\Local\\Crashes\\"

/* The first is the default. */
static const submit_dialect_t dialects[] = {
    { "plain", "fields under the names given", "/submit", "salvage-submit",
      "------------------********************************", FORM },
    { "breakpad-linux", "Breakpad's minidump_upload", "/submit", "Breakpad/1.0 (Linux)",
      "------------------------****************", FORM, .names = NAME_GOOGLE },
    { "breakpad-windows", "Breakpad's crash_report_sender", "/submit", "Breakpad/1.0 (Windows)",
      "---------------------------****************", FORM, .names = NAME_GOOGLE, .tight = true,
      .folder = WINDOWS_FOLDER },
    { "breakpad-mac", "Breakpad's HTTPMultipartUpload", "/submit",
      "CrashReportSender/1 CFNetwork/1410.0.3 Darwin/22.6.0",
      "---------------------------****************", FORM, .names = NAME_GOOGLE, .tight = true,
      .gap = true, .escaped = true, .query = true, .filename = "minidump.dmp" },
    { "crashpad", "Crashpad's handler", "/submit", "Crashpad/1.0 libcurl/7.88.1 Linux/6.1 (x86_64)",
      "---MultipartBoundary-********************************---", FORM, .names = NAME_GOOGLE,
      .gzip = true, .chunked = true, .untyped = true, .query = true, .filename = "GUID" },
    { "electron", "Electron's crashReporter", "/submit",
      "Electron/28.1.0 libcurl/8.4.0 Linux/6.1 (x86_64)",
      "---MultipartBoundary-********************************---", FORM, .names = NAME_ELECTRON,
      .gzip = true, .chunked = true, .untyped = true, .query = true, .filename = "GUID" },
    { "firefox", "Firefox's crash reporter", "/submit", "crashreporter/1.0.0",
      "------------------------****************", .shape = SUBMIT_FORM_JSON },
    { "sentry", "Sentry's minidump endpoint", "/api/1/minidump/", "sentry.native/0.7.6",
      "********************************", FORM, .names = NAME_SENTRY },
    { "sentry-envelope", "Sentry's envelope endpoint", "/api/1/envelope/", "sentry.native/0.7.6",
      "*", .shape = SUBMIT_ENVELOPE, .names = NAME_SENTRY },
    { "mini-breakpad", "Breakpad to a mini-breakpad-server", "/post", "Breakpad/1.0 (Linux)",
      "------------------------****************", FORM, .names = NAME_GOOGLE },
};
#define N_DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

const submit_dialect_t *submit_find_dialect(const char *name)
{
    for (size_t i = 0; i < N_DIALECTS; i++) {
        if (!name || !strcmp(dialects[i].name, name)) {
            return &dialects[i];
        }
    }
    return NULL;
}

const char *submit_dialect_names(apr_pool_t *p)
{
    const char *all = dialects[0].name;

    for (size_t i = 1; i < N_DIALECTS; i++) {
        all = apr_pstrcat(p, all, ", ", dialects[i].name, NULL);
    }
    return all;
}

int submit_make_names(submit_t *s)
{
    unsigned char random[32];
    char hex[65];
    const char *digit = hex;

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return cmd_fail("no random numbers");
    }
    sal_hex(hex, random, sizeof(random));
    snprintf(s->guid, sizeof(s->guid), "%.8s-%.4s-4%.3s-a%.3s-%.12s", hex + 32, hex + 40, hex + 44,
             hex + 47, hex + 50);
    apr_cpystrn(s->boundary, s->dialect->boundary, sizeof(s->boundary));
    for (char *c = s->boundary; *c; c++) {
        if (*c == '*') {
            *c = *digit++;
        }
    }
    return CMD_OK;
}

/* ---- names ---- */

const char *submit_value(const submit_t *s, const char *name)
{
    for (int i = s->annotations->nelts; i-- > 0;) {
        const submit_pair_t *a = &APR_ARRAY_IDX(s->annotations, i, submit_pair_t);

        if (!strcmp(a->name, name)) {
            return a->value;
        }
    }
    return NULL;
}

static void add(apr_array_header_t *fields, const char *name, const char *value)
{
    if (value) {
        APR_ARRAY_PUSH(fields, submit_pair_t) = (submit_pair_t){ name, value };
    }
}

/* Google's names for Socorro's; NULL for those that stay. */
static const char *google_name(const char *name, bool electron)
{
    static const char *const names[][3] = {
        { "ProductName", "prod", "_productName" },  { "Version", "ver", "_version" },
        { "Comments", "comments", "comments" },     { "Email", "email", "email" },
        { "ProcessType", "ptype", "process_type" }, { "ReleaseChannel", "channel", "channel" }
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i][0])) {
            return names[i][electron ? 2 : 1];
        }
    }
    return NULL;
}

/* The event that Sentry's clients send: what has no place of its own in it becomes a tag. */
static const char *sentry_event(const submit_t *s)
{
    const char *product = submit_value(s, "ProductName"), *version = submit_value(s, "Version");
    json_t *event = json_object(), *tags = json_object();
    char *text, *copy;

    json_object_set_new(event, "platform", json_string("native"));
    json_object_set_new(event, "level", json_string("fatal"));
    if (version) {
        json_object_set_new(event, "release",
                            json_string(apr_pstrcat(s->pool, product ? product : "",
                                                    product ? "@" : "", version, NULL)));
    }
    for (int i = 0; i < s->annotations->nelts; i++) {
        const submit_pair_t *a = &APR_ARRAY_IDX(s->annotations, i, submit_pair_t);

        if (!strcmp(a->name, "ReleaseChannel")) {
            json_object_set_new(event, "environment", json_string(a->value));
        } else if (strcmp(a->name, "ProductName") && strcmp(a->name, "Version")) {
            json_object_set_new(tags, a->name, json_string(a->value));
        }
    }
    json_object_set_new(event, "tags", tags);
    text = json_dumps(event, JSON_COMPACT);
    copy = apr_pstrdup(s->pool, text);
    free(text);
    json_decref(event);
    return copy;
}

apr_array_header_t *submit_fields(const submit_t *s)
{
    apr_array_header_t *fields = apr_array_make(s->pool, 8, sizeof(submit_pair_t));
    submit_names_t names = s->dialect->names;

    if (names == NAME_SENTRY) {
        add(fields, "sentry", sentry_event(s));
        return fields;
    }
    for (int i = 0; i < s->annotations->nelts; i++) {
        const submit_pair_t *a = &APR_ARRAY_IDX(s->annotations, i, submit_pair_t);
        const char *name =
            names == NAME_AS_IS ? NULL : google_name(a->name, names == NAME_ELECTRON);

        add(fields, name ? name : a->name, a->value);
    }
    if (names == NAME_ELECTRON) {
        add(fields, "prod", "Electron");
        add(fields, "ver", "28.1.0");
    }
    if (s->dialect->query) {
        add(fields, "guid", s->guid);
    }
    return fields;
}

const char *submit_escape(const char *text, apr_pool_t *p)
{
    char *out = apr_palloc(p, strlen(text) * 3 + 1), *to = out;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-_.~", c)) {
            *to++ = (char)c;
        } else {
            to += snprintf(to, 4, "%%%02X", c);
        }
    }
    *to = '\0';
    return out;
}
