/*
 * Signature lists: reads Socorro's four text files.
 */
#include "signature/sig_private.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define LIST_MAX (4 * 1024 * 1024)

static apr_status_t free_code(void *code)
{
    pcre2_code_free(code);
    return APR_SUCCESS;
}

pcre2_code *sig_compile(str_t pattern, uint32_t options, char *why, size_t size, apr_pool_t *p)
{
    int number;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.s, pattern.n,
                                     PCRE2_UTF | PCRE2_UCP | options, &number, &at, NULL);

    if (!code) {
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, size);
        return NULL;
    }
    apr_pool_cleanup_register(p, code, free_code, apr_pool_cleanup_null);
    return code;
}

bool sig_compile_jit(pcre2_code *code)
{
    size_t size = 0;

    return pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0 &&
           pcre2_pattern_info(code, PCRE2_INFO_JITSIZE, &size) == 0 && size > 0;
}

/* Entries of a file: its lines that count, stripped. */
static void split_lines(sig_list_t *list, str_t content, apr_pool_t *p)
{
    apr_array_header_t *entry = apr_array_make(p, 64, sizeof(str_t));
    apr_array_header_t *index = apr_array_make(p, 64, sizeof(int));
    int number = 0;

    for (size_t from = 0; from < content.n; number++) {
        size_t to = sig_find(content, STR("\n"), from);
        str_t line = sig_strip(sig_sub(content, from, to == SIZE_MAX ? content.n : to));

        if (line.n && line.s[0] != '#') {
            APR_ARRAY_PUSH(entry, str_t) = line;
            APR_ARRAY_PUSH(index, int) = number;
        }
        from = to == SIZE_MAX ? content.n : to + 1;
    }
    list->entry = (str_t *)entry->elts;
    list->index = (int *)index->elts;
    list->n = (size_t)entry->nelts;
}

static apr_status_t read_list(sig_list_t *list, const char *dir, const char *name, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *path = apr_pstrcat(p, dir, "/", name, NULL);
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, LIST_MAX, p, err);

    list->file = name;
    if (APR_STATUS_IS_ENOENT(rv)) {
        sal_log(SAL_LOG_WARNING, 9181, "signature list %s is missing; it matches nothing", path);
        return APR_SUCCESS;
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (!sal_utf8_valid(text, size)) {
        return sal_fail(err, SAL_E_MALFORMED, "signature list %s is not UTF-8", path);
    }
    split_lines(list, (str_t){ text, size }, p);
    if (list->n == 0) {
        sal_log(SAL_LOG_WARNING, 9182, "signature list %s is empty; it matches nothing", path);
    }
    return APR_SUCCESS;
}

static apr_status_t regex_list(sig_list_t *list, const char *dir, const char *name, apr_pool_t *p,
                               sal_error_t *err)
{
    apr_status_t rv = read_list(list, dir, name, p, err);

    return rv ? rv : sig_list_build(list, dir, p, err);
}

/* Sentinels are frames as they are. */
static apr_status_t literal_list(sig_list_t *list, const char *dir, const char *name, apr_pool_t *p,
                                 sal_error_t *err)
{
    apr_status_t rv = read_list(list, dir, name, p, err);
    literal_t *literal = apr_pcalloc(p, (list->n + 1) * sizeof(*literal));

    for (size_t i = 0; i < list->n; i++) {
        literal[i] = (literal_t){ .text = list->entry[i], .id = i };
    }
    sig_prefixes_build(&list->literals, literal, list->n);
    return rv;
}

static apr_status_t compile_fixed(pcre2_code **out, const char *pattern, apr_pool_t *p,
                                  sal_error_t *err)
{
    char text[200];

    *out = sig_compile((str_t){ pattern, strlen(pattern) }, 0, text, sizeof(text), p);
    if (!*out) {
        return sal_fail(err, APR_EGENERAL, "PCRE2: %s: %s", pattern, text);
    }
    sig_compile_jit(*out);
    return APR_SUCCESS;
}

apr_status_t sal_siglists_load(sal_siglists_t **out, const char *dir, apr_pool_t *p,
                               sal_error_t *err)
{
    sal_siglists_t *lists = apr_pcalloc(p, sizeof(*lists));
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, dir, APR_FINFO_TYPE, p);

    if (rv != APR_SUCCESS || info.filetype != APR_DIR) {
        return sal_fail_os(err, rv ? rv : APR_ENOTDIR, "signature lists: directory %s", dir);
    }
    lists->dir = apr_pstrdup(p, dir);
    lists->debug_from = sig_cat(p, STR("SignatureGenerationRule: using signature lists from "),
                                (str_t){ dir, strlen(dir) }, STR(""));
    sig_rule_marks(lists);
    if ((rv = literal_list(&lists->sentinels, dir, "signature_sentinels.txt", p, err)) ||
        (rv = regex_list(&lists->irrelevant, dir, "irrelevant_signature_re.txt", p, err)) ||
        (rv = regex_list(&lists->prefix, dir, "prefix_signature_re.txt", p, err)) ||
        (rv = regex_list(&lists->line_numbers, dir, "signatures_with_line_numbers_re.txt", p,
                         err)) ||
        (rv = compile_fixed(&lists->lambda, "::\\$_\\d+::", p, err)) ||
        (rv = compile_fixed(&lists->java_line, "\\.java:\\d+\\)$", p, err)) ||
        (rv = compile_fixed(&lists->lower, "(?s).+", p, err))) {
        return rv;
    }
    *out = lists;
    return APR_SUCCESS;
}
