/*
 * Signature lists: Socorro's four text files, each compiled into one anchored alternation.
 *
 * Lists come from an operator, symbols that are matched against them from anywhere: every match
 * runs under limits, and a limit that is reached counts as no match.
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

/* Compiles and registers; NULL with PCRE2's message in text. */
static pcre2_code *compile(str_t pattern, uint32_t options, char *text, size_t size, apr_pool_t *p)
{
    int number;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.s, pattern.n,
                                     PCRE2_UTF | PCRE2_UCP | options, &number, &at, NULL);

    if (!code) {
        pcre2_get_error_message(number, (PCRE2_UCHAR *)text, size);
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter runs */
    apr_pool_cleanup_register(p, code, free_code, apr_pool_cleanup_null);
    return code;
}

/* The lines of a file that count, stripped; their index in the file beside them. */
typedef struct lines_t {
    apr_array_header_t *text;  /* str_t */
    apr_array_header_t *index; /* int */
} lines_t;

static void split_lines(lines_t *lines, str_t content)
{
    int index = 0;

    for (size_t from = 0; from < content.n; index++) {
        size_t to = sig_find(content, STR("\n"), from);
        str_t line = sig_strip(sig_sub(content, from, to == SIZE_MAX ? content.n : to));

        if (line.n && line.s[0] != '#') {
            APR_ARRAY_PUSH(lines->text, str_t) = line;
            APR_ARRAY_PUSH(lines->index, int) = index;
        }
        from = to == SIZE_MAX ? content.n : to + 1;
    }
}

static apr_status_t read_list(lines_t *lines, const char *dir, const char *name, apr_pool_t *p,
                              sal_error_t *err)
{
    const char *path = apr_pstrcat(p, dir, "/", name, NULL);
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, LIST_MAX, p, err);

    lines->text = apr_array_make(p, 64, sizeof(str_t));
    lines->index = apr_array_make(p, 64, sizeof(int));
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
    split_lines(lines, (str_t){ text, size });
    if (lines->text->nelts == 0) {
        sal_log(SAL_LOG_WARNING, 9182, "signature list %s is empty; it matches nothing", path);
    }
    return APR_SUCCESS;
}

/* Checks each line alone, so that the error names it, then joins them. */
static apr_status_t compile_list(pcre2_code **out, const char *dir, const char *name, apr_pool_t *p,
                                 sal_error_t *err)
{
    lines_t lines;
    buf_t all;
    char text[200];
    apr_status_t rv = read_list(&lines, dir, name, p, err);

    *out = NULL;
    if (rv != APR_SUCCESS || lines.text->nelts == 0) {
        return rv;
    }
    sig_buf_init(&all, p);
    for (int i = 0; i < lines.text->nelts; i++) {
        str_t line = APR_ARRAY_IDX(lines.text, i, str_t);
        apr_pool_t *scratch;
        bool ok;

        apr_pool_create(&scratch, p);
        ok = compile(line, PCRE2_ANCHORED, text, sizeof(text), scratch) != NULL;
        apr_pool_destroy(scratch);
        if (!ok) {
            return sal_fail(err, SAL_E_MALFORMED, "Regex error: %s in file %s/%s at line %d", text,
                            dir, name, APR_ARRAY_IDX(lines.index, i, int));
        }
        sig_buf_lit(&all, i ? "|(?:" : "(?:");
        sig_buf_str(&all, line);
        sig_buf_lit(&all, ")");
    }
    *out = compile(sig_buf_done(&all), PCRE2_ANCHORED, text, sizeof(text), p);
    return *out ? APR_SUCCESS
                : sal_fail(err, SAL_E_MALFORMED, "Regex error: %s in file %s/%s", text, dir, name);
}

static apr_status_t load_sentinels(sal_siglists_t *lists, apr_pool_t *p, sal_error_t *err)
{
    lines_t lines;
    apr_status_t rv = read_list(&lines, lists->dir, "signature_sentinels.txt", p, err);

    if (rv == APR_SUCCESS) {
        lists->sentinels = (str_t *)lines.text->elts;
        lists->n_sentinels = (size_t)lines.text->nelts;
    }
    return rv;
}

static apr_status_t compile_fixed(pcre2_code **out, const char *pattern, apr_pool_t *p,
                                  sal_error_t *err)
{
    char text[200];

    *out = compile((str_t){ pattern, strlen(pattern) }, 0, text, sizeof(text), p);
    return *out ? APR_SUCCESS : sal_fail(err, APR_EGENERAL, "PCRE2: %s: %s", pattern, text);
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
    if ((rv = load_sentinels(lists, p, err)) != APR_SUCCESS ||
        (rv = compile_list(&lists->irrelevant, dir, "irrelevant_signature_re.txt", p, err)) ||
        (rv = compile_list(&lists->prefix, dir, "prefix_signature_re.txt", p, err)) ||
        (rv = compile_list(&lists->line_numbers, dir, "signatures_with_line_numbers_re.txt", p,
                           err)) ||
        (rv = compile_fixed(&lists->lambda, "::\\$_\\d+::", p, err)) ||
        (rv = compile_fixed(&lists->java_line, "\\.java:\\d+\\)$", p, err)) ||
        (rv = compile_fixed(&lists->lower, "(?s).+", p, err))) {
        return rv;
    }
    *out = lists;
    return APR_SUCCESS;
}

bool sig_list_match(sig_run_t *r, const pcre2_code *list, str_t text)
{
    int rc;

    if (!list) {
        return false;
    }
    rc = pcre2_match(list, (PCRE2_SPTR)text.s, text.n, 0, PCRE2_NO_UTF_CHECK, r->match, r->limits);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
        sig_debug(r, STR("signature list: limit reached; taken as no match"), STR(""), STR(""));
    }
    return rc >= 0;
}

str_t sig_replace(sig_run_t *r, const pcre2_code *code, str_t text, const char *with, bool all)
{
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_SUBSTITUTE_EXTENDED |
                       PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | (all ? PCRE2_SUBSTITUTE_GLOBAL : 0);
    PCRE2_SIZE size = text.n + 64;

    for (int tries = 0; tries < 2; tries++) {
        PCRE2_UCHAR *out = apr_palloc(r->p, size);
        int rc = pcre2_substitute(code, (PCRE2_SPTR)text.s, text.n, 0, options, r->match, r->limits,
                                  (PCRE2_SPTR)with, PCRE2_ZERO_TERMINATED, out, &size);

        if (rc > 0) {
            return (str_t){ (const char *)out, size };
        }
        if (rc != PCRE2_ERROR_NOMEMORY) {
            break;
        }
    }
    return text;
}
