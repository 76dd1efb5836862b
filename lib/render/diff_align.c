/*
 * Names that stacks are aligned by, and their alignment.
 */
#include "render/diff.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

enum { NAME_BYTES = 4096 };

#define ANONYMOUS "(anonymous namespace)"

/* "operator" as a word at s: the symbols behind it belong to the name. */
static apr_size_t operator_len(const char *s, const char *begin)
{
    apr_size_t n = 8;

    if (strncmp(s, "operator", 8) != 0 || (s > begin && (apr_isalnum(s[-1]) || s[-1] == '_'))) {
        return 0;
    }
    if (strncmp(s + n, "()", 2) == 0) {
        return n + 2;
    }
    while (s[n] && strchr("<>=-+*/%^&|!~[],", s[n])) {
        n++;
    }
    return n;
}

/* "::h0123456789abcdef" at the end, which changes with each build. */
static apr_size_t without_hash(const char *s, apr_size_t n)
{
    if (n < 20 || strncmp(s + n - 19, "::h", 3) != 0) {
        return n;
    }
    for (apr_size_t i = n - 16; i < n; i++) {
        if (!apr_isxdigit(s[i])) {
            return n;
        }
    }
    return n - 19;
}

/* How many bytes at s are copied as they are though they hold brackets. */
static apr_size_t verbatim(const char *s, const char *begin)
{
    apr_size_t n = operator_len(s, begin);

    return n ? n : strncmp(s, ANONYMOUS, strlen(ANONYMOUS)) == 0 ? strlen(ANONYMOUS) : 0;
}

const char *sal_diff_name(const char *function, apr_pool_t *p)
{
    apr_size_t len = strnlen(function, NAME_BYTES), used = 0, i = 0;
    char *text = apr_pstrmemdup(p, function, len), *out = apr_palloc(p, len + 1);
    int depth = 0;

    /* "<T as Trait>::method": what leads is the name, not its arguments */
    while (i == 0 && text[i] == '<') {
        out[used++] = text[i++];
    }
    for (apr_size_t skip; i < len; i += skip) {
        char c = text[i];

        skip = verbatim(text + i, text);
        if (skip && depth == 0) {
            memcpy(out + used, text + i, skip);
            used += skip;
            continue;
        }
        skip = skip ? skip : 1;
        if (c == '<' || c == '(') {
            depth++;
        } else if ((c == '>' || c == ')') && depth > 0) {
            depth--;
        } else if (depth == 0) {
            out[used++] = c;
        }
    }
    while (used > 6 && strncmp(out + used - 6, " const", 6) == 0) {
        used -= 6;
    }
    while (used > 0 && apr_isspace(out[used - 1])) {
        used--;
    }
    used = without_hash(out, used);
    out[used] = '\0';
    return used ? out : text;
}

/* ---- the alignment ---- */

typedef struct {
    const char *const *a, *const *b;
    int na, nb;
    apr_uint16_t *length; /* of the best from (i, j) on; (na + 1) * (nb + 1) */
} table_t;

static apr_uint16_t *at(const table_t *t, int i, int j)
{
    return &t->length[(apr_size_t)i * ((apr_size_t)t->nb + 1) + (apr_size_t)j];
}

static void fill(table_t *t, apr_pool_t *p)
{
    t->length =
        apr_pcalloc(p, sizeof(apr_uint16_t) * ((apr_size_t)t->na + 1) * ((apr_size_t)t->nb + 1));
    for (int i = t->na - 1; i >= 0; i--) {
        for (int j = t->nb - 1; j >= 0; j--) {
            apr_uint16_t down = *at(t, i + 1, j), right = *at(t, i, j + 1);

            *at(t, i, j) = strcmp(t->a[i], t->b[j]) == 0 ? (apr_uint16_t)(*at(t, i + 1, j + 1) + 1)
                           : down >= right               ? down
                                                         : right;
        }
    }
}

sal_diff_pair_t *sal_diff_align(int *n, const char *const *a, int na, const char *const *b, int nb,
                                apr_pool_t *p)
{
    table_t t = { a, b, na < SAL_DIFF_MOST ? na : SAL_DIFF_MOST,
                  nb < SAL_DIFF_MOST ? nb : SAL_DIFF_MOST, NULL };
    sal_diff_pair_t *out = apr_palloc(p, sizeof(*out) * ((apr_size_t)t.na + (apr_size_t)t.nb + 1));
    int i = 0, j = 0;

    fill(&t, p);
    *n = 0;
    while (i < t.na || j < t.nb) {
        if (i < t.na && j < t.nb && strcmp(a[i], b[j]) == 0) {
            out[(*n)++] = (sal_diff_pair_t){ i++, j++ };
        } else if (j == t.nb || (i < t.na && *at(&t, i + 1, j) >= *at(&t, i, j + 1))) {
            out[(*n)++] = (sal_diff_pair_t){ i++, -1 };
        } else {
            out[(*n)++] = (sal_diff_pair_t){ -1, j++ };
        }
    }
    return out;
}
