/*
 * Crash data of any shape must give a signature: printable, at most 255 characters, in linear time.
 * A first byte of 'f' takes the rest as the name of one function instead of as JSON.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/log.h"
#include "base/text.h"
#include "signature/ping.h"
#include "signature/signature.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    sal_signature_t out;
    json_t *in, *converted;

    apr_pool_create(&p, NULL);
    if ((in = crash_data(data, size, p)) != NULL) {
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
