/*
 * Sets of literals; see literals.h.
 */
#include "signature/literals.h"

#include <stdlib.h>

/* ---- at the start ---- */

static int by_bytes(str_t a, str_t b)
{
    int order = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);

    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_text(const void *a, const void *b)
{
    const literal_t *x = a, *y = b;
    int order = by_bytes(x->text, y->text);

    return order ? order : x->id < y->id ? -1 : x->id > y->id;
}

void sig_prefixes_build(sig_prefixes_t *set, literal_t *literal, size_t n)
{
    size_t i = 0;

    *set = (sig_prefixes_t){ .literal = literal, .n = n };
    if (n) {
        qsort(literal, n, sizeof(*literal), by_text);
    }
    for (size_t c = 0; c < 256; c++) {
        set->first[c] = i;
        while (i < n && (unsigned char)literal[i].text.s[0] == c) {
            i++;
        }
    }
    set->first[256] = n;
    for (i = 0; i < n; i++) {
        size_t above = i ? i - 1 : SIZE_MAX;

        while (above != SIZE_MAX && !sig_starts(literal[i].text, literal[above].text)) {
            above = literal[above].above;
        }
        literal[i].above = above;
        literal[i].least = above != SIZE_MAX && literal[above].least < literal[i].id
                               ? literal[above].least
                               : literal[i].id;
    }
}

/* The last literal that sorts not behind text, or SIZE_MAX. */
static size_t not_behind(const sig_prefixes_t *set, str_t text)
{
    size_t c = text.n ? (unsigned char)text.s[0] : 0;
    size_t low = set->first[c], high = text.n ? set->first[c + 1] : low, start = low;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (by_bytes(set->literal[mid].text, text) <= 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > start ? low - 1 : SIZE_MAX;
}

/* What text begins with sorts before it, and nothing sorts between that does not begin so too:
 * hence the way up from the neighbour meets every literal that counts. */
size_t sig_prefixes_find(const sig_prefixes_t *set, str_t text)
{
    size_t i = not_behind(set, text);

    while (i != SIZE_MAX && !sig_starts(text, set->literal[i].text)) {
        i = set->literal[i].above;
    }
    return i != SIZE_MAX ? set->literal[i].least : SIZE_MAX;
}

size_t sig_prefixes_equal(const sig_prefixes_t *set, str_t text)
{
    size_t i = not_behind(set, text), id = SIZE_MAX;

    for (; i != SIZE_MAX && sig_eq(set->literal[i].text, text); i = i ? i - 1 : SIZE_MAX) {
        id = set->literal[i].id;
    }
    return id;
}

/* ---- anywhere ---- */

static size_t pair_hash(const char *s)
{
    return ((unsigned char)s[0] * 64u + (unsigned char)s[1]) % NEEDLE_HASH;
}

void sig_needles_build(sig_needles_t *set)
{
    set->window = SIZE_MAX;
    for (size_t i = 0; i < set->n; i++) {
        set->window = set->needle[i].n < set->window ? set->needle[i].n : set->window;
    }
    set->window = set->window > 255 ? 255 : set->window; /* a shift is a byte */
    memset(set->shift, (int)set->window - 1, sizeof(set->shift));
    for (size_t i = 0; i < set->n; i++) {
        for (size_t end = 1; end < set->window; end++) {
            unsigned char *shift = &set->shift[pair_hash(set->needle[i].s + end - 1)];
            size_t left = set->window - 1 - end;

            *shift = left < *shift ? (unsigned char)left : *shift;
        }
    }
}

/* Needles that stand at the start of s. */
static uint64_t here(const sig_needles_t *set, str_t s, uint64_t found)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->needle[i].s[0] == s.s[0] && !(found >> i & 1) && sig_starts(s, set->needle[i])) {
            found |= (uint64_t)1 << i;
        }
    }
    return found;
}

static size_t shift_at(const sig_needles_t *set, str_t text, size_t end)
{
    return set->shift[pair_hash(text.s + end - 1)];
}

/* Over what holds nothing of any needle, four windows at a time: the next place does not have to
 * wait for what the one before it tells. */
static size_t skip(const sig_needles_t *set, str_t text, size_t end)
{
    size_t most = set->window - 1;

    while (end + 3 * most < text.n && shift_at(set, text, end) + shift_at(set, text, end + most) +
                                              shift_at(set, text, end + 2 * most) +
                                              shift_at(set, text, end + 3 * most) ==
                                          4 * most) {
        end += 4 * most;
    }
    return end;
}

uint64_t sig_needles_find(const sig_needles_t *set, str_t text)
{
    uint64_t found = 0;

    if (!set->n) {
        return 0;
    }
    for (size_t end = set->window - 1; (end = skip(set, text, end)) < text.n;) {
        size_t shift = shift_at(set, text, end);

        if (shift == 0) {
            found = here(set, sig_sub(text, end + 1 - set->window, text.n), found);
            shift = 1;
        }
        end += shift;
    }
    return found;
}
