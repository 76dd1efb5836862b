/*
 * The push parser of .sym text: bytes -> lines -> records. Knows no file and no index.
 */
#include "symbols/symfile.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "symbols/symfile_skim.h"

enum { KEPT_RANGES = 16 };

typedef struct range_t {
    uint64_t address, size;
} range_t;

struct sal_symfile_t {
    sal_symrec_fn fn;
    sal_symline_fn line_fn; /* instead of fn: lines as they are */
    void *baton;
    char *carry; /* a line that is not all there yet */
    size_t carry_len, carry_size;
    range_t ranges[KEPT_RANGES]; /* of the INLINE line being read, if there are not more */
    size_t n_ranges;
    bool overlong; /* dropping the rest of a line over the limit */
    bool skim;     /* only heads are wanted */
    bool inside;   /* skimming, and in the midst of a line that is not wanted */
    sal_symfile_stats_t stats;
};

/* What is left of the line being parsed. */
typedef struct cursor_t {
    const char *p, *end;
} cursor_t;

/* Digit values; 0xff is none. Filled by the compiler: lookups are the hottest thing here. */
static const uint8_t digit_of[256] = {
#define X16                                                                                        \
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
    X16,  X16,  X16,  0,    1,    2,   3,   4,   5,   6,   7,    8,    9,    0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 10,   11,  12,  13,  14,  15,  0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, X16,  0xff, 10,  11,  12,  13,  14,  15,   0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, X16,  X16, X16, X16, X16, X16, X16,  X16,  X16
#undef X16
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool at_end(const cursor_t *c)
{
    return c->p == c->end;
}

/* A field must be followed by a blank or the end; the blanks are eaten. */
static bool field_end(cursor_t *c)
{
    if (at_end(c)) {
        return true;
    }
    if (!is_blank(*c->p)) {
        return false;
    }
    while (c->p < c->end && is_blank(*c->p)) {
        c->p++;
    }
    return true;
}

static bool take_hex(cursor_t *c, int max_digits, uint64_t *v)
{
    uint64_t x = 0;
    int n = 0;

    while (c->p < c->end && digit_of[(uint8_t)*c->p] != 0xff) {
        if (++n > max_digits) {
            return false;
        }
        x = x << 4 | digit_of[(uint8_t)*c->p++];
    }
    *v = x;
    return n > 0 && field_end(c);
}

static bool take_hex32(cursor_t *c, uint32_t *v)
{
    uint64_t x;

    if (!take_hex(c, 8, &x)) {
        return false;
    }
    *v = (uint32_t)x;
    return true;
}

static bool take_dec(cursor_t *c, uint32_t *v)
{
    uint64_t x = 0;
    int n = 0;

    while (c->p < c->end && digit_of[(uint8_t)*c->p] < 10) {
        if (++n > 10) {
            return false;
        }
        x = x * 10 + digit_of[(uint8_t)*c->p++];
    }
    *v = (uint32_t)x;
    return n > 0 && x < UINT32_MAX && field_end(c);
}

/* A decimal that some writers make negative; such a value becomes `negative`. */
static bool take_signed(cursor_t *c, uint32_t negative, uint32_t *v)
{
    if (at_end(c) || *c->p != '-') {
        return take_dec(c, v);
    }
    c->p++;
    if (!take_dec(c, v)) {
        return false;
    }
    *v = negative;
    return true;
}

static bool take_word(cursor_t *c, sal_symtext_t *out)
{
    const char *start = c->p;

    while (c->p < c->end && !is_blank(*c->p)) {
        c->p++;
    }
    *out = (sal_symtext_t){ start, (size_t)(c->p - start) };
    return out->len > 0 && field_end(c);
}

static sal_symtext_t rest(const cursor_t *c)
{
    return (sal_symtext_t){ c->p, (size_t)(c->end - c->p) };
}

/* The keyword as a whole field; blanks after it are eaten. */
static bool take_key(cursor_t *c, const char *key, size_t len)
{
    if ((size_t)(c->end - c->p) < len || memcmp(c->p, key, len) != 0 ||
        (c->p + len < c->end && !is_blank(c->p[len]))) {
        return false;
    }
    c->p += len;
    return field_end(c);
}
#define KEY(c, text) take_key((c), (text), sizeof(text) - 1)

static bool parse_module(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_MODULE;
    if (!take_word(c, &r->os) || !take_word(c, &r->arch) || !take_word(c, &r->id)) {
        return false;
    }
    r->text = rest(c);
    return true;
}

static bool parse_info(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_INFO;
    if (!take_word(c, &r->id)) {
        r->id = rest(c);
    }
    r->text = rest(c);
    return true;
}

static bool parse_file(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_FILE;
    if (!take_dec(c, &r->number)) {
        return false;
    }
    r->text = rest(c);
    return r->text.len > 0;
}

/* The old form has a file number (or -1) before the name. */
static void drop_old_file(cursor_t *c)
{
    cursor_t probe = *c;
    uint32_t unused;

    if (take_signed(&probe, 0, &unused) && !at_end(&probe)) {
        *c = probe;
    }
}

static bool parse_origin(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_ORIGIN;
    if (!take_dec(c, &r->number)) {
        return false;
    }
    drop_old_file(c);
    r->text = rest(c);
    return true; /* nameless ones exist: no reason to lose the library */
}

static void take_multiple(cursor_t *c, sal_symrec_t *r)
{
    r->multiple = KEY(c, "m");
}

static bool parse_func(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_FUNC;
    take_multiple(c, r);
    if (!take_hex(c, 16, &r->address) || !take_hex(c, 16, &r->size) || !take_hex32(c, &r->params)) {
        return false;
    }
    r->text = rest(c);
    return true;
}

static bool parse_public(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_PUBLIC;
    take_multiple(c, r);
    if (!take_hex(c, 16, &r->address) || !take_hex32(c, &r->params)) {
        return false;
    }
    r->text = rest(c);
    return true;
}

static bool parse_line(cursor_t *c, sal_symrec_t *r)
{
    r->kind = SAL_SYMREC_LINE;
    return take_hex(c, 16, &r->address) && take_hex(c, 16, &r->size) &&
           take_signed(c, 0, &r->line) && take_signed(c, SAL_SYM_NO_FILE, &r->file) && at_end(c);
}

static size_t count_fields(cursor_t c)
{
    size_t n = 0;
    bool blank = true;

    for (; c.p < c.end; c.p++) {
        n += blank && !is_blank(*c.p);
        blank = is_blank(*c.p);
    }
    return n;
}

static bool take_range(cursor_t *c, range_t *range)
{
    return take_hex(c, 16, &range->address) && !at_end(c) && take_hex(c, 16, &range->size);
}

/* All ranges must be good before the first is handed on; few of them need not be read again. */
static bool parse_inline(sal_symfile_t *f, cursor_t *c, sal_symrec_t *r)
{
    size_t fields = count_fields(*c);
    bool old_form = fields % 2 == 1;
    cursor_t probe;

    r->kind = SAL_SYMREC_INLINE;
    r->file = SAL_SYM_NO_FILE;
    if (fields < (old_form ? 5u : 6u) || !take_dec(c, &r->depth) || !take_signed(c, 0, &r->line) ||
        (!old_form && !take_signed(c, SAL_SYM_NO_FILE, &r->file)) || !take_dec(c, &r->number)) {
        return false;
    }
    probe = *c;
    for (f->n_ranges = 0; !at_end(&probe); f->n_ranges++) {
        if (!take_range(&probe, &f->ranges[f->n_ranges < KEPT_RANGES ? f->n_ranges : 0])) {
            return false;
        }
    }
    return true;
}

static apr_status_t emit_inline(sal_symfile_t *f, cursor_t *c, sal_symrec_t *r)
{
    bool kept = f->n_ranges <= KEPT_RANGES;
    apr_status_t rv = APR_SUCCESS;

    for (size_t i = 0; i < f->n_ranges && rv == APR_SUCCESS; i++) {
        range_t range;

        if (kept) {
            range = f->ranges[i];
        } else if (!take_range(c, &range)) {
            break;
        }
        r->address = range.address;
        r->size = range.size;
        rv = f->fn(f->baton, r);
    }
    return rv;
}

static bool parse_cfi(cursor_t *c, sal_symrec_t *r)
{
    if (KEY(c, "INIT")) {
        r->kind = SAL_SYMREC_CFI_INIT;
        if (!take_hex(c, 16, &r->address) || !take_hex(c, 16, &r->size)) {
            return false;
        }
    } else {
        r->kind = SAL_SYMREC_CFI_DELTA;
        if (!take_hex(c, 16, &r->address)) {
            return false;
        }
    }
    r->text = rest(c);
    return r->text.len > 0;
}

static bool parse_win(cursor_t *c, sal_symrec_t *r)
{
    uint64_t type;
    uint32_t code;
    uint32_t has_program;

    r->kind = SAL_SYMREC_WIN;
    if (!take_hex(c, 1, &type) || !take_hex(c, 16, &r->address) || !take_hex32(c, &code) ||
        !take_hex32(c, &r->prologue) || !take_hex32(c, &r->epilogue) ||
        !take_hex32(c, &r->params) || !take_hex32(c, &r->saved) || !take_hex32(c, &r->locals) ||
        !take_hex32(c, &r->max_stack) || !take_hex32(c, &has_program)) {
        return false;
    }
    r->win_type = (uint32_t)type;
    r->size = code;
    r->has_program = has_program != 0;
    r->text = rest(c);
    return true;
}

static bool parse_stack(cursor_t *c, sal_symrec_t *r)
{
    if (KEY(c, "CFI")) {
        return parse_cfi(c, r);
    }
    return KEY(c, "WIN") && parse_win(c, r);
}

/*
 * A line record starts with a hex digit, so the words that do too (FUNC, FILE) are tried first;
 * everything else is told by its first byte.
 */
static bool parse_record(sal_symfile_t *f, cursor_t *c, sal_symrec_t *r)
{
    switch (*c->p) {
    case 'F':
        return KEY(c, "FUNC")   ? parse_func(c, r)
               : KEY(c, "FILE") ? parse_file(c, r)
                                : parse_line(c, r);
    case 'I':
        return KEY(c, "INLINE")          ? parse_inline(f, c, r)
               : KEY(c, "INLINE_ORIGIN") ? parse_origin(c, r)
                                         : KEY(c, "INFO") && parse_info(c, r);
    case 'P':
        return KEY(c, "PUBLIC") && parse_public(c, r);
    case 'S':
        return KEY(c, "STACK") && parse_stack(c, r);
    case 'M':
        return KEY(c, "MODULE") && parse_module(c, r);
    default:
        return parse_line(c, r);
    }
}

static apr_status_t bad_line(sal_symfile_t *f, const char *line, size_t len)
{
    sal_symrec_t r = { .kind = SAL_SYMREC_BAD };
    uint64_t n = f->stats.skipped++;

    if (n < SAL_SYMFILE_SAMPLES) {
        size_t keep =
            len < sizeof(f->stats.samples[n].text) - 1 ? len : sizeof(f->stats.samples[n].text) - 1;

        f->stats.samples[n].line = f->stats.lines;
        for (size_t i = 0; i < keep; i++) {
            f->stats.samples[n].text[i] = line[i] >= 0x20 && line[i] < 0x7f ? line[i] : '?';
        }
        f->stats.samples[n].text[keep] = '\0';
    }
    r.text = (sal_symtext_t){ line, len };
    return f->fn ? f->fn(f->baton, &r) : APR_SUCCESS;
}

/* A record of another kind than the commonest. */
static apr_status_t one_record(sal_symfile_t *f, cursor_t c)
{
    sal_symrec_t r = { .kind = SAL_SYMREC_BAD };
    const char *line = c.p;
    size_t len = (size_t)(c.end - c.p);

    if (len > SAL_SYMFILE_MAX_LINE || !parse_record(f, &c, &r)) {
        return bad_line(f, line, len);
    }
    return r.kind == SAL_SYMREC_INLINE ? emit_inline(f, &c, &r) : f->fn(f->baton, &r);
}

static apr_status_t one_line(sal_symfile_t *f, const char *line, size_t len)
{
    sal_symrec_t r = { .kind = SAL_SYMREC_LINE };
    cursor_t c;

    f->stats.lines++;
    while (len > 0 && line[len - 1] == '\r') {
        len--;
    }
    if (len == 0) {
        return APR_SUCCESS;
    }
    if (f->line_fn) {
        return f->line_fn(f->baton, line, len);
    }
    c = (cursor_t){ line, line + len };
    if (digit_of[(uint8_t)*line] < 16 && *line != 'F' && len < 80 && parse_line(&c, &r)) {
        return f->fn(f->baton, &r);
    }
    return one_record(f, (cursor_t){ line, line + len });
}

static apr_status_t free_carry(void *data)
{
    sal_symfile_t *f = data;

    free(f->carry);
    f->carry = NULL;
    return APR_SUCCESS;
}

sal_symfile_t *sal_symfile_make(sal_symrec_fn fn, void *baton, apr_pool_t *p)
{
    sal_symfile_t *f = apr_pcalloc(p, sizeof(*f));

    f->fn = fn;
    f->baton = baton;
    apr_pool_cleanup_register(p, f, free_carry, apr_pool_cleanup_null);
    return f;
}

sal_symfile_t *sal_symfile_make_lines(sal_symline_fn fn, void *baton, apr_pool_t *p)
{
    sal_symfile_t *f = sal_symfile_make(NULL, baton, p);

    f->line_fn = fn;
    return f;
}

/* Keeps part of a line; beyond the limit only the first bytes stay, as the sample. */
static apr_status_t keep(sal_symfile_t *f, const char *data, size_t size)
{
    if (f->overlong || size == 0) {
        return APR_SUCCESS;
    }
    if (f->carry_len + size > SAL_SYMFILE_MAX_LINE + 1) {
        size = SAL_SYMFILE_MAX_LINE + 1 - f->carry_len;
        f->overlong = true;
    }
    if (f->carry_len + size > f->carry_size) {
        size_t want = f->carry_size ? f->carry_size * 2 : 4096;
        char *grown;

        while (want < f->carry_len + size) {
            want *= 2;
        }
        grown = realloc(f->carry, want);
        if (!grown) {
            return APR_ENOMEM;
        }
        f->carry = grown;
        f->carry_size = want;
    }
    memcpy(f->carry + f->carry_len, data, size);
    f->carry_len += size;
    return APR_SUCCESS;
}

static apr_status_t flush_carry(sal_symfile_t *f)
{
    apr_status_t rv;

    if (f->overlong) {
        f->stats.lines++;
        rv = bad_line(f, f->carry, f->carry_len);
    } else {
        rv = one_line(f, f->carry, f->carry_len);
    }
    f->carry_len = 0;
    f->overlong = false;
    return rv;
}

void sal_symfile_skim(sal_symfile_t *f, bool on)
{
    f->skim = on;
}

apr_status_t sal_symfile_line(sal_symfile_t *f, const char *line, size_t len)
{
    f->stats.bytes += len + 1;
    return one_line(f, line, len);
}

apr_status_t sal_symfile_feed(sal_symfile_t *f, const char *data, size_t size)
{
    const char *end = data + size;
    apr_status_t rv = APR_SUCCESS;

    f->stats.bytes += size;
    while (rv == APR_SUCCESS && data < end) {
        const char *lf;

        if ((f->skim || f->inside) && f->carry_len == 0) {
            data = symfile_next_head(data, end, &f->inside);
            if (data == end) {
                break;
            }
        }
        lf = memchr(data, '\n', (size_t)(end - data));
        if (!lf) {
            return keep(f, data, (size_t)(end - data));
        }
        if (f->carry_len == 0) {
            rv = one_line(f, data, (size_t)(lf - data));
        } else {
            rv = keep(f, data, (size_t)(lf - data));
            rv = rv == APR_SUCCESS ? flush_carry(f) : rv;
        }
        data = lf + 1;
    }
    return rv;
}

apr_status_t sal_symfile_finish(sal_symfile_t *f, sal_symfile_stats_t *stats)
{
    apr_status_t rv = f->carry_len > 0 ? flush_carry(f) : APR_SUCCESS;

    if (stats) {
        *stats = f->stats;
    }
    return rv;
}
