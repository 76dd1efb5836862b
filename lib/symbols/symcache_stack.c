/*
 * STACK records of a .sym: CFI and WIN, as the unwinder wants to find them. What wins where records
 * overlap follows the walkers of the field; docs/symcache.md, section 4.
 */
#include "symbols/symcache_build.h"

#include <string.h>

apr_status_t symx_on_cfi_init(symx_build_t *b, const sal_symrec_t *r)
{
    symx_cfi_t *cfi;
    uint32_t rules;

    b->cfi_open = false;
    b->cfi_skip = r->size == 0 || r->address >= SYMX_TOP;
    if (b->cfi_skip) {
        return APR_SUCCESS;
    }
    rules = symx_string(b, r->text.s, r->text.len);
    cfi = rules == SYMX_NONE ? NULL : symx_push(&b->cfi);
    if (!cfi) {
        return APR_ENOMEM;
    }
    *cfi = (symx_cfi_t){ (uint32_t)r->address,
                         (uint32_t)(symx_end(r->address, r->size) - r->address - 1) + 1, rules,
                         (uint32_t)b->deltas.count, 0 };
    if (cfi->size == 0) {
        cfi->size = UINT32_MAX; /* all of 4 GiB */
    }
    b->cfi_open = true;
    return APR_SUCCESS;
}

apr_status_t symx_on_cfi_delta(symx_build_t *b, const sal_symrec_t *r)
{
    symx_delta_t *delta;
    uint32_t rules;

    if (!b->cfi_open) {
        b->stray += b->cfi_skip ? 0 : 1;
        return APR_SUCCESS;
    }
    if (r->address >= SYMX_TOP) {
        return APR_SUCCESS;
    }
    rules = symx_string(b, r->text.s, r->text.len);
    delta = rules == SYMX_NONE ? NULL : symx_push(&b->deltas);
    if (!delta) {
        return APR_ENOMEM;
    }
    *delta = (symx_delta_t){ (uint32_t)r->address, rules };
    SYMX_AT(b->cfi, symx_cfi_t, b->cfi.count - 1)->n_deltas++;
    return APR_SUCCESS;
}

/* How a record meets the one before it: false drops it. docs/symcache.md, section 4. */
static bool win_fits(symx_vec_t *v, uint64_t start, uint64_t end)
{
    symx_win_t *last = v->count ? SYMX_AT(*v, symx_win_t, v->count - 1) : NULL;
    uint64_t last_end;

    if (!last) {
        return true;
    }
    last_end = (uint64_t)last->start + last->size;
    if (last->start >= end || start >= last_end) {
        return true;
    }
    if (start > last->start) {
        last->size = (uint32_t)(start - last->start);
        return true;
    }
    return start == last->start && end == last_end;
}

apr_status_t symx_on_win(symx_build_t *b, const sal_symrec_t *r)
{
    bool fpo = r->win_type == 0;
    symx_vec_t *v = fpo ? &b->fpo : &b->win;
    symx_win_t *win;
    uint32_t program = SYMX_NONE;
    uint64_t end;

    if ((r->win_type != 4 && !fpo) || r->has_program == fpo || r->size == 0 ||
        r->address >= SYMX_TOP) {
        return APR_SUCCESS;
    }
    end = symx_end(r->address, r->size);
    if (!win_fits(v, r->address, end)) {
        return APR_SUCCESS;
    }
    if (!fpo && (program = symx_string(b, r->text.s, r->text.len)) == SYMX_NONE) {
        return APR_ENOMEM;
    }
    win = symx_push(v);
    if (!win) {
        return APR_ENOMEM;
    }
    *win = (symx_win_t){ (uint32_t)r->address,
                         (uint32_t)(end - r->address),
                         r->prologue,
                         r->epilogue,
                         r->params,
                         r->saved,
                         r->locals,
                         r->max_stack,
                         program,
                         fpo ? 0 : SYMX_WIN_PROGRAM };
    if (fpo && r->text.len == 1 && r->text.s[0] == '1') {
        win->flags |= SYMX_WIN_BASE_POINTER;
    }
    return APR_SUCCESS;
}

static int by_cfi(const void *va, const void *vb, void *unused)
{
    const symx_cfi_t *a = va;
    const symx_cfi_t *b = vb;

    (void)unused;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->size < b->size ? -1 : a->size > b->size;
}

static int by_win(const void *va, const void *vb, void *unused)
{
    const symx_win_t *a = va;
    const symx_win_t *b = vb;

    (void)unused;
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    return a->size < b->size ? -1 : a->size > b->size;
}

/* By address, then by text. */
static int by_delta(const void *va, const void *vb, void *build)
{
    const symx_build_t *b = build;
    const symx_delta_t *x = va;
    const symx_delta_t *y = vb;
    const symx_str_t *sx = SYMX_AT(b->strs, symx_str_t, x->rules);
    const symx_str_t *sy = SYMX_AT(b->strs, symx_str_t, y->rules);
    int order;

    if (x->address != y->address) {
        return x->address < y->address ? -1 : 1;
    }
    order = memcmp((char *)b->bytes.data + sx->offset, (char *)b->bytes.data + sy->offset,
                   sx->len < sy->len ? sx->len : sy->len);
    return order ? order : (sx->len < sy->len ? -1 : sx->len > sy->len);
}

/* Drops every record that starts at or below the end of the one kept before it. */
static void drop_overlaps(symx_vec_t *v)
{
    char *data = v->data;
    size_t n = 0;
    uint64_t end = 0;

    for (size_t i = 0; i < v->count; i++) {
        uint32_t range[2]; /* every record starts with start and size */

        memcpy(range, data + i * v->element, sizeof(range));
        if (n > 0 && range[0] < end) {
            continue;
        }
        end = (uint64_t)range[0] + range[1];
        memmove(data + n++ * v->element, data + i * v->element, v->element);
    }
    v->count = n;
}

bool symx_settle_stack(symx_build_t *b)
{
    for (size_t i = 0; i < b->cfi.count; i++) {
        const symx_cfi_t *cfi = SYMX_AT(b->cfi, symx_cfi_t, i);
        symx_vec_t part = { NULL, cfi->n_deltas, cfi->n_deltas, sizeof(symx_delta_t) };

        if (cfi->n_deltas < 2) {
            continue;
        }
        part.data = SYMX_AT(b->deltas, symx_delta_t, cfi->first_delta);
        if (!symx_sort(&part, by_delta, b)) {
            return false;
        }
    }
    if (!symx_sort(&b->cfi, by_cfi, NULL) || !symx_sort(&b->win, by_win, NULL) ||
        !symx_sort(&b->fpo, by_win, NULL)) {
        return false;
    }
    drop_overlaps(&b->cfi);
    drop_overlaps(&b->win);
    drop_overlaps(&b->fpo);
    return true;
}
