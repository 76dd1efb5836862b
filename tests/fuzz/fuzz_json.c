/*
 * Text that comes from clients: JSON in and out, UTF-8, times, numbers. Beyond not crashing: what
 * is written reads back as the same value, cleaned text is valid, a time survives its text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return apr_pool_create(&root, NULL);
}

static void same_again(const json_t *v, const char *text, apr_pool_t *p)
{
    json_t *back;

    if (sal_json_parse(&back, text, strlen(text), p, NULL) != APR_SUCCESS || !json_equal(v, back)) {
        abort();
    }
}

static void try_json(const char *text, size_t size, apr_pool_t *p)
{
    const char *python;
    json_t *v;

    if (sal_json_parse(&v, text, size, p, NULL) != APR_SUCCESS) {
        return;
    }
    same_again(v, sal_json_text(v, p), p);
    python = sal_json_python(v, p);
    same_again(v, python, p);
    for (; *python; python++) {
        if (*python < 0x20 || *python > 0x7e) {
            abort();
        }
    }
    sal_json_path(v, "a.0.b");
}

static void try_text(const char *text, size_t size, apr_pool_t *p)
{
    char *clean = apr_pstrdup(p, sal_utf8_clean(text, size, p));
    size_t len = strlen(clean), cut = len / 2;

    if (!sal_utf8_valid(clean, len) ||
        (sal_utf8_valid(text, size) && (len != size || memcmp(clean, text, size) != 0))) {
        abort();
    }
    sal_utf8_cut(clean, cut);
    if (strlen(clean) > cut || !sal_utf8_valid(clean, strlen(clean))) {
        abort();
    }
    sal_basename(clean);
}

static void try_values(const char *text, apr_pool_t *p)
{
    apr_time_t t, again;
    int64_t i;
    uint64_t u;

    if (sal_time_parse(text, &t) &&
        (!sal_time_parse(sal_time_iso(t, p), &again)
         /* a zone may carry a time past year 1 or 9999, where texts end */
         || (again != t && t > INT64_C(-62135596800000000) && t < INT64_C(253402300800000000)))) {
        abort();
    }
    if (sal_parse_int(text, -5, 5, &i) && (i < -5 || i > 5)) {
        abort();
    }
    if (sal_parse_duration(text, &i) && i < 0) {
        abort();
    }
    sal_parse_size(text, &u);
    sal_parse_hex(text, strlen(text), &u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    const char *text;

    apr_pool_create(&p, root);
    text = apr_pstrmemdup(p, (const char *)data, size);
    try_json(text, size, p);
    try_text(text, size, p);
    try_values(text, p);
    apr_pool_destroy(p);
    return 0;
}
