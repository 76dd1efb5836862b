/*
 * Crash data of any shape must give a signature: printable, at most 255 characters, in linear time.
 * A first byte of 'f' takes the rest as the name of one function instead of as JSON. One of 'l'
 * takes it as a signature list and, as its last line, a frame: the list, sorted for quick matching,
 * must find the entry that PCRE2 finds first when it is asked about each in turn.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/text.h"
#include "signature/ping.h"
#include "signature/sig_private.h"

static sal_siglists_t *lists;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* Compiled patterns are referred to from pool memory, where the leak checker does not look. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void silent(void *baton, sal_log_level_t level, const char *line)
{
    (void)baton, (void)level, (void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *srcdir = getenv("srcdir");
    apr_pool_t *pool;

    (void)argc, (void)argv;
    apr_initialize();
    apr_pool_create(&pool, NULL);
    sal_log_sink(silent, NULL);
    if (sal_siglists_load(&lists, apr_pstrcat(pool, srcdir ? srcdir : ".", "/conf/siglists", NULL),
                          pool, NULL) != APR_SUCCESS &&
        sal_siglists_load(&lists, "/", pool, NULL) != APR_SUCCESS) {
        abort();
    }
    return 0;
}

static json_t *crash_data(const uint8_t *data, size_t size, apr_pool_t *p)
{
    if (size && data[0] == 'f') {
        const char *name = sal_utf8_clean((const char *)data + 1, size - 1, p);

        return json_pack("{s:[{s:[{s:s,s:s},{s:s}]}]}", "threads", "frames", "function", name,
                         "file", "/a/b.rs", "function", name);
    }
    return json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
}

static void explain(const json_t *data, apr_pool_t *p)
{
    sal_signature_t out;
    json_t *why = sal_signature_explain(&out, data, lists, p);

    if (strcmp(json_string_value(json_object_get(why, "signature")), out.signature) ||
        !*sal_signature_explain_text(why, p)) {
        abort();
    }
    json_decref(why);
}

/* The first entry that matches, asked alone; SIZE_MAX: none. False: a limit was reached. */
static bool plain_match(size_t *found, const sig_list_t *list, str_t text, apr_pool_t *p)
{
    pcre2_match_data *match = pcre2_match_data_create(4, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    char why[200];
    int rc = PCRE2_ERROR_NOMATCH;

    pcre2_set_match_limit(limits, 20000);
    for (*found = 0; *found < list->n && rc == PCRE2_ERROR_NOMATCH; *found += rc < 0) {
        str_t group = sig_cat(p, STR("(?:"), list->entry[*found], STR(")"));
        pcre2_code *code = sig_compile(group, PCRE2_ANCHORED, why, sizeof(why), p);

        rc = pcre2_match(code, (PCRE2_SPTR)text.s, text.n, 0, 0, match, limits);
    }
    *found = *found == list->n ? SIZE_MAX : *found;
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    return rc >= 0 || rc == PCRE2_ERROR_NOMATCH;
}

/* Lines of the text are entries, the last is the frame. */
static str_t split(sig_list_t *list, const char *text, apr_pool_t *p)
{
    size_t n = strlen(text);

    list->entry = apr_palloc(p, (n + 1) * sizeof(*list->entry));
    list->index = apr_pcalloc(p, (n + 1) * sizeof(*list->index));
    for (;;) {
        const char *end = strchr(text, '\n');

        if (!end) {
            return (str_t){ text, strlen(text) };
        }
        if (end > text) {
            list->entry[list->n++] = (str_t){ text, (size_t)(end - text) };
        }
        text = end + 1;
    }
}

static void match_list(const char *text, apr_pool_t *p)
{
    sig_list_t list = { .file = "list" };
    sig_run_t r = { .p = p, .rule = "fuzz" };
    str_t frame = split(&list, text, p);
    sig_match_t by;
    size_t found;

    if (sig_list_build(&list, "", p, NULL) != APR_SUCCESS) {
        return;
    }
    if (sig_list_match(&r, &list, frame, &by) != (by.list != NULL)) {
        abort();
    }
    if (plain_match(&found, &list, frame, p) && r.notes.n == 0 && found != by.entry) {
        abort();
    }
    sig_match_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    sal_signature_t out;
    json_t *in, *converted;

    apr_pool_create(&p, NULL);
    if (size && data[0] == 'l') {
        match_list(sal_utf8_clean((const char *)data + 1, size - 1, p), p);
    } else if ((in = crash_data(data, size, p)) != NULL) {
        sal_signature_make(&out, in, lists, p);
        for (const char *s = out.signature; *s; s++) {
            if (*s < ' ' || *s > '~') {
                abort();
            }
        }
        if (strlen(out.signature) > 255) {
            abort();
        }
        converted = sal_crash_data_of(in);
        explain(converted, p);
        json_decref(converted);
        if (sal_ping_crash_data(&converted, in, NULL, p, NULL) == APR_SUCCESS) {
            explain(converted, p);
            json_decref(converted);
        }
        json_decref(in);
    }
    apr_pool_destroy(p);
    return 0;
}
