/*
 * Frames against the signature lists (list_build.c), and the fixed replacements.
 *
 * Lists come from an operator, symbols from anywhere: every match runs under limits.
 */
#include "signature/sig_private.h"

#include <apr_strings.h>

#define MATCH_LIMIT 2000000
#define MATCH_LIMIT_MIN 4000
#define DEPTH_LIMIT 100000

/* Most runs get by without a regular expression. */
static void need_match(sig_run_t *r)
{
    if (!r->match) {
        r->match = pcre2_match_data_create(4, NULL);
        r->limits = pcre2_match_context_create(NULL);
        r->match_limit = MATCH_LIMIT;
        pcre2_set_match_limit(r->limits, r->match_limit);
        pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    }
}

void sig_match_free(sig_run_t *r)
{
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->limits);
}

/* JIT code has a small stack; what does not fit is matched by the interpreter, which has the heap.
 */
static int match_code(sig_run_t *r, const sig_special_t *special, str_t text)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.s;
    int rc;

    need_match(r);
    rc = special->jit ? pcre2_jit_match(special->code, subject, text.n, 0, 0, r->match, r->limits)
                      : PCRE2_ERROR_JIT_STACKLIMIT;
    return rc == PCRE2_ERROR_JIT_STACKLIMIT
               ? pcre2_match(special->code, subject, text.n, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
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

/* Needles of the list in the first line, which ".*" does not leave. */
static uint64_t needles_in(const sig_list_t *list, str_t text)
{
    const char *newline = memchr(text.s, '\n', text.n);

    return sig_needles_find(&list->needles,
                            newline ? sig_sub(text, 0, (size_t)(newline - text.s)) : text);
}

typedef struct walk_t {
    const sig_list_t *list;
    size_t any, able, able_end;
} walk_t;

/* The next special that could match, in the order of the file; NULL at the end. */
static const sig_special_t *next_special(walk_t *w)
{
    const sig_list_t *list = w->list;
    bool more_any = w->any < list->n_any, more_able = w->able < w->able_end;

    if (more_any && (!more_able || list->any[w->any] < list->able[w->able])) {
        return &list->special[list->any[w->any++]];
    }
    return more_able ? &list->special[list->able[w->able++]] : NULL;
}

/* The first special before entry `best` that matches; or best. */
static size_t match_specials(sig_run_t *r, const sig_list_t *list, str_t text, size_t best)
{
    size_t c = text.n ? (unsigned char)text.s[0] : 256;
    walk_t walk = { list, 0, list->start[c], list->start[text.n ? c + 1 : c] };
    const sig_special_t *special;
    bool searched = false, limited = false;
    uint64_t found = 0;

    while ((special = next_special(&walk)) != NULL && special->entry < best) {
        int rc;

        if (special->needle >= 0) {
            found = searched ? found : needles_in(list, text);
            searched = true;
            if (!(found >> special->needle & 1)) {
                continue;
            }
        }
        rc = special->code ? match_code(r, special, text) : 0;
        if (rc >= 0) {
            return special->entry;
        }
        if (rc != PCRE2_ERROR_NOMATCH && !limited) {
            limit_reached(r, list, text);
            limited = true;
        }
    }
    return best;
}

bool sig_list_match(sig_run_t *r, const sig_list_t *list, str_t text, sig_match_t *by)
{
    size_t entry = sig_prefixes_find(&list->literals, text);

    entry = match_specials(r, list, text, entry);
    *by = (sig_match_t){ entry == SIZE_MAX ? NULL : list, entry };
    return entry != SIZE_MAX;
}

str_t sig_replace(sig_run_t *r, const pcre2_code *code, str_t text, const char *with, bool all)
{
    uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_SUBSTITUTE_EXTENDED |
                       PCRE2_SUBSTITUTE_OVERFLOW_LENGTH | (all ? PCRE2_SUBSTITUTE_GLOBAL : 0);
    PCRE2_SIZE size = text.n + 64;

    need_match(r);
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
