/*
 * Signature lists: Socorro's four text files, each compiled into one anchored alternation.
 *
 * Lists come from an operator, symbols that are matched against them from anywhere: every match
 * runs under limits, and a limit that is reached counts as no match.
 */
#include "signature/sig_private.h"

#include <stdlib.h>
#include <apr_file_info.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define LIST_MAX (4 * 1024 * 1024)
#define MATCH_LIMIT_MIN 4000

static apr_status_t free_code(void *code)
{
    pcre2_code_free(code);
    return APR_SUCCESS;
}

static pcre2_code *compile_only(str_t pattern, uint32_t options, char *why, size_t size)
{
    int number;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.s, pattern.n,
                                     PCRE2_UTF | PCRE2_UCP | options, &number, &at, NULL);

    if (!code) {
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, size);
    }
    return code;
}

/* For machine code too, and for as long as p; NULL with PCRE2's message in why. */
static pcre2_code *compile(str_t pattern, uint32_t options, char *why, size_t size, apr_pool_t *p)
{
    pcre2_code *code = compile_only(pattern, options, why, size);

    if (code) {
        pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter runs */
        apr_pool_cleanup_register(p, code, free_code, apr_pool_cleanup_null);
    }
    return code;
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

/* Checks an entry alone, so that an error can name its line. */
static bool compiles(str_t entry, char *why, size_t size)
{
    pcre2_code *code = compile_only(entry, PCRE2_ANCHORED, why, size);

    pcre2_code_free(code);
    return code != NULL;
}

/* One alternation; behind each entry a mark with its number, so that a match tells which it was. */
static apr_status_t compile_list(sig_list_t *list, const char *dir, const char *name, apr_pool_t *p,
                                 sal_error_t *err)
{
    buf_t all;
    char why[200];
    size_t jit = 0;
    apr_status_t rv = read_list(list, dir, name, p, err);

    if (rv != APR_SUCCESS || list->n == 0) {
        return rv;
    }
    sig_buf_init(&all, p);
    for (size_t i = 0; i < list->n; i++) {
        if (!compiles(list->entry[i], why, sizeof(why))) {
            return sal_fail(err, SAL_E_MALFORMED, "Regex error: %s in file %s/%s at line %d", why,
                            dir, name, list->index[i]);
        }
        sig_buf_lit(&all, i ? "|(?:" : "(?:");
        sig_buf_str(&all, list->entry[i]);
        sig_buf_lit(&all, apr_psprintf(p, ")(*:%d)", (int)i));
    }
    list->code = compile(sig_buf_done(&all), PCRE2_ANCHORED, why, sizeof(why), p);
    list->jit = list->code && pcre2_pattern_info(list->code, PCRE2_INFO_JITSIZE, &jit) == 0 && jit;
    return list->code
               ? APR_SUCCESS
               : sal_fail(err, SAL_E_MALFORMED, "Regex error: %s in file %s/%s", why, dir, name);
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
    if ((rv = read_list(&lists->sentinels, dir, "signature_sentinels.txt", p, err)) ||
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

/* JIT code has a small stack; what does not fit is matched by the interpreter, which has the heap.
 */
static int match_list(sig_run_t *r, const sig_list_t *list, str_t text)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.s;
    int rc = list->jit ? pcre2_jit_match(list->code, subject, text.n, 0, 0, r->match, r->limits)
                       : PCRE2_ERROR_JIT_STACKLIMIT;

    return rc == PCRE2_ERROR_JIT_STACKLIMIT
               ? pcre2_match(list->code, subject, text.n, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             r->match, r->limits)
               : rc;
}

static void limit_reached(sig_run_t *r, const sig_list_t *list, str_t text)
{
    const char *what = apr_psprintf(
        r->p, "signature list %s: limit reached on a frame of %" APR_SIZE_T_FMT " bytes; ",
        list->file, (apr_size_t)text.n);

    sig_note(r, (str_t){ what, strlen(what) }, STR("taken as no match"), STR(""));
    if (r->match_limit > MATCH_LIMIT_MIN) {
        r->match_limit /= 8;
        pcre2_set_match_limit(r->limits, r->match_limit);
    }
}

/* The entry of a mark; SIZE_MAX if it is none of ours. */
static size_t entry_of(const sig_list_t *list, PCRE2_SPTR mark)
{
    char *end;
    unsigned long n = mark ? strtoul((const char *)mark, &end, 10) : 0;

    return mark && end != (const char *)mark && !*end && n < list->n ? n : SIZE_MAX;
}

bool sig_list_match(sig_run_t *r, const sig_list_t *list, str_t text, sig_match_t *by)
{
    int rc;

    *by = (sig_match_t){ NULL, SIZE_MAX };
    if (!list->code) {
        return false;
    }
    rc = match_list(r, list, text);
    if (rc >= 0) {
        *by = (sig_match_t){ list, entry_of(list, pcre2_get_mark(r->match)) };
    } else if (rc != PCRE2_ERROR_NOMATCH) {
        limit_reached(r, list, text);
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
