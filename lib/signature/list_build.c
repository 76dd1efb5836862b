/*
 * A signature list made quick to match: literals in one sorted set, each other entry compiled by
 * itself and tried only where its first byte, or a text that it cannot do without, lets it match.
 *
 * What an entry needs is never guessed: PCRE2 tells its first bytes; a literal run is read here,
 * and given up at the first character that could mean anything else.
 */
#include "signature/sig_private.h"

#include <apr_strings.h>
#include <apr_tables.h>

enum { RUN_MIN = 3, FEW_BYTES = 16 };

/* ---- literal runs ---- */

static bool counts_behind(str_t s, size_t i)
{
    return i < s.n && s.s[i] && strchr("0123456789, \t", s.s[i]) != NULL;
}

/* Does a quantifier stand at i? An open brace that counts nothing is itself. */
static bool quantified(str_t s, size_t i)
{
    return i < s.n && s.s[i] &&
           (strchr("?*+", s.s[i]) || (s.s[i] == '{' && counts_behind(s, i + 1)));
}

/* Where the text of the literal at i begins, and where it ends; false if there is none. */
static bool literal_at(str_t s, size_t i, size_t *from, size_t *to)
{
    *from = i;
    if (s.s[i] == '\\') {
        if (i + 1 == s.n || !strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", s.s[i + 1])) {
            return false;
        }
        *from = i + 1;
    } else if (s.s[i] && (strchr("^$.[|()?*+", s.s[i]) || quantified(s, i))) {
        return false;
    }
    *to = *from;
    sig_next(s, to);
    return s.s[*from] && !quantified(s, *to);
}

/* The literal characters from i on, in p; *end is where they stop. */
static str_t literal_run(str_t s, size_t i, size_t *end, apr_pool_t *p)
{
    char *run = apr_palloc(p, s.n + 1);
    size_t n = 0, from, to;

    for (; i < s.n && literal_at(s, i, &from, &to); i = to) {
        memcpy(run + n, s.s + from, to - from);
        n += to - from;
    }
    *end = i;
    return (str_t){ run, n };
}

/* ---- specials ---- */

/* A group that changes options or holds a verb may mean anything. */
static bool opaque(str_t entry)
{
    return sig_has(entry, STR("(?")) || sig_has(entry, STR("(*"));
}

/* ".*TEXT...": the needle, and whether nothing follows it. */
static void set_needle(sig_list_t *list, sig_special_t *special, bool *all, apr_pool_t *p)
{
    str_t entry = list->entry[special->entry], run;
    sig_needles_t *set = &list->needles;
    size_t end;

    special->needle = -1;
    *all = false;
    if (!sig_starts(entry, STR(".*")) || opaque(entry) || memchr(entry.s, '|', entry.n) ||
        set->n == NEEDLES_MAX) {
        return;
    }
    run = literal_run(entry, 2, &end, p);
    if (run.n >= RUN_MIN) {
        special->needle = (int)set->n;
        set->needle[set->n++] = run;
        *all = end == entry.n;
    }
}

/* The bytes that a match of code can begin with; how many. 0: it does not say. */
static size_t first_bytes(const pcre2_code *code, unsigned char *byte)
{
    const uint8_t *map = NULL;
    uint32_t type = 0, unit = 0;
    size_t n = 0;

    pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODETYPE, &type);
    if (type == 1) {
        pcre2_pattern_info(code, PCRE2_INFO_FIRSTCODEUNIT, &unit);
        byte[0] = (unsigned char)unit;
        return 1;
    }
    pcre2_pattern_info(code, PCRE2_INFO_FIRSTBITMAP, &map);
    for (int c = 0; map && c < 256; c++) {
        if (map[c / 8] >> (c % 8) & 1) {
            if (n == FEW_BYTES) {
                return 0;
            }
            byte[n++] = (unsigned char)c;
        }
    }
    return n;
}

typedef struct building_t {
    sig_list_t *list;
    apr_array_header_t *literal, *special, *any;
    apr_array_header_t *able[256]; /* NULL: none yet */
    apr_pool_t *p, *scratch;
    char why[200];
} building_t;

static void file_special(building_t *b, const pcre2_code *shape, str_t entry)
{
    unsigned char byte[FEW_BYTES];
    size_t n = shape && !opaque(entry) ? first_bytes(shape, byte) : 0;
    uint32_t at = (uint32_t)b->special->nelts - 1;

    if (n == 0) {
        APR_ARRAY_PUSH(b->any, uint32_t) = at;
    }
    for (size_t i = 0; i < n; i++) {
        if (!b->able[byte[i]]) {
            b->able[byte[i]] = apr_array_make(b->scratch, 8, sizeof(uint32_t));
        }
        APR_ARRAY_PUSH(b->able[byte[i]], uint32_t) = at;
    }
}

/* The entry alone must compile, as Socorro demands, and in a group of its own, as it is used. */
static bool add_special(building_t *b, size_t i)
{
    str_t entry = b->list->entry[i];
    pcre2_code *shape = sig_compile(entry, 0, b->why, sizeof(b->why), b->scratch);
    sig_special_t *special = apr_array_push(b->special);
    bool all;

    *special = (sig_special_t){ .entry = i };
    if (!shape) {
        return false;
    }
    set_needle(b->list, special, &all, b->p);
    if (!all) {
        special->code = sig_compile(sig_cat(b->scratch, STR("(?:"), entry, STR(")")),
                                    PCRE2_ANCHORED, b->why, sizeof(b->why), b->p);
        if (!special->code) {
            return false;
        }
        special->jit = sig_compile_jit(special->code);
    }
    file_special(b, shape, entry);
    return true;
}

static bool add_entry(building_t *b, size_t i)
{
    size_t end;
    str_t run = literal_run(b->list->entry[i], 0, &end, b->p);

    if (end == b->list->entry[i].n) {
        APR_ARRAY_PUSH(b->literal, literal_t) = (literal_t){ .text = run, .id = i };
        return true;
    }
    return add_special(b, i);
}

static void finish(building_t *b)
{
    sig_list_t *list = b->list;
    size_t n = 0;

    list->special = (sig_special_t *)b->special->elts;
    list->any = (uint32_t *)b->any->elts;
    list->n_any = (size_t)b->any->nelts;
    list->able =
        apr_palloc(b->p, ((size_t)b->special->nelts * FEW_BYTES + 1) * sizeof(*list->able));
    for (int c = 0; c < 256; c++) {
        list->start[c] = n;
        for (int k = 0; b->able[c] && k < b->able[c]->nelts; k++) {
            list->able[n++] = APR_ARRAY_IDX(b->able[c], k, uint32_t);
        }
    }
    list->start[256] = n;
    sig_needles_build(&list->needles);
    sig_prefixes_build(&list->literals, (literal_t *)b->literal->elts, (size_t)b->literal->nelts);
}

apr_status_t sig_list_build(sig_list_t *list, const char *dir, apr_pool_t *p, sal_error_t *err)
{
    building_t b = { .list = list, .p = p };
    apr_status_t rv = APR_SUCCESS;

    apr_pool_create(&b.scratch, p);
    b.literal = apr_array_make(p, 64, sizeof(literal_t));
    b.special = apr_array_make(p, 16, sizeof(sig_special_t));
    b.any = apr_array_make(p, 16, sizeof(uint32_t));
    for (size_t i = 0; i < list->n && rv == APR_SUCCESS; i++) {
        if (!add_entry(&b, i)) {
            rv = sal_fail(err, SAL_E_MALFORMED, "Regex error: %s in file %s/%s at line %d", b.why,
                          dir, list->file, list->index[i]);
        }
    }
    if (rv == APR_SUCCESS) {
        finish(&b);
    }
    apr_pool_destroy(b.scratch);
    return rv;
}
