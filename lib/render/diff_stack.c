/*
 * Two stacks, aligned by names of functions.
 */
#include "render/diff_private.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "render/format.h"
#include "render/report_private.h"

enum { FOLD_FROM = 3 }; /* equal runtime frames in a row, from which they are one */

/* A function of a stack: a frame, or one that was inlined into it. */
typedef struct {
    apr_int64_t number;
    const char *key, *text, *module, *source;
    bool inlined, runtime, nosym;
} unit_t;

static const char *source_of(const json_t *what, const sal_vcs_t *vcs, apr_pool_t *p)
{
    const char *file = sal_json_str(what, "file");
    const json_t *line = json_object_get(what, "line");
    sal_vcs_source_t at;

    if (!file || !*file) {
        return NULL;
    }
    sal_vcs_source(&at, vcs, file, json_integer_value(line), NULL, p);
    return json_is_integer(line) ? apr_psprintf(p, "%s:%" APR_INT64_T_FMT, at.text,
                                                (apr_int64_t)json_integer_value(line))
                                 : at.text;
}

static void add_unit(apr_array_header_t *out, const json_t *what, apr_int64_t number, bool inlined,
                     const sal_vcs_t *vcs)
{
    apr_pool_t *p = out->pool;
    const char *function = sal_json_str(what, "function"), *module = sal_json_str(what, "module");
    unit_t u = { .number = number, .module = module ? module : "", .inlined = inlined };

    u.text = sal_report_cut(sal_format_frame(what, p), p);
    u.key = function && *function ? sal_diff_name(function, p)
            : *u.module           ? apr_pstrcat(p, "@", u.module, NULL)
                                  : u.text;
    u.source = source_of(what, vcs, p);
    u.runtime = sal_report_runtime(function, module);
    u.nosym = json_is_true(json_object_get(what, "missing_symbols"));
    APR_ARRAY_PUSH(out, unit_t) = u;
}

static apr_array_header_t *units(const json_t *thread, const sal_vcs_t *vcs, apr_pool_t *p)
{
    apr_array_header_t *out = apr_array_make(p, 64, sizeof(unit_t));
    size_t i, k;
    json_t *f, *inl;

    json_array_foreach(json_object_get(thread, "frames"), i, f)
    {
        const json_t *number = json_object_get(f, "frame");
        apr_int64_t n = json_is_integer(number) ? json_integer_value(number) : (apr_int64_t)i;

        if (json_object_get(f, "truncated") || !json_is_object(f)) {
            continue;
        }
        json_array_foreach(json_object_get(f, "inlines"), k, inl)
        {
            json_t *as_frame = sal_report_inline_frame(inl, f);

            if (out->nelts < SAL_DIFF_MOST) {
                add_unit(out, as_frame, n, true, vcs);
            }
            json_decref(as_frame);
        }
        if (out->nelts >= SAL_DIFF_MOST) {
            break;
        }
        add_unit(out, f, n, false, vcs);
    }
    return out;
}

/* ---- cells ---- */

static json_t *no_pieces(void)
{
    return json_array();
}

/* All keys are there: a template looks for missing ones further out. */
static json_t *cell(const unit_t *u, const char *other, apr_pool_t *p)
{
    json_t *out;
    apr_size_t from = 0, to, n;

    if (!u) {
        return json_pack("{s:b}", "gap", 1);
    }
    n = to = strlen(u->text);
    out = json_pack("{s:b, s:b, s:s}", "gap", 0, "inlined", u->inlined, "num",
                    apr_psprintf(p, "%" APR_INT64_T_FMT, u->number));
    if (other) {
        apr_size_t m = strlen(other);

        while (from < n && from < m && u->text[from] == other[from]) {
            from++;
        }
        while (from > 0 && (apr_isalnum(u->text[from - 1]) || u->text[from - 1] == '_' ||
                            ((unsigned char)u->text[from - 1] & 0x80))) {
            from--; /* whole words, whole characters */
        }
        while (to > from && m - (n - to) > from && u->text[to - 1] == other[m - (n - to) - 1]) {
            to--;
        }
        while (to < n && (apr_isalnum(u->text[to]) || u->text[to] == '_' ||
                          ((unsigned char)u->text[to] & 0x80))) {
            to++;
        }
    } else {
        from = n;
    }
    json_object_set_new(out, "before", sal_format_pieces(apr_pstrmemdup(p, u->text, from)));
    json_object_set_new(out, "changed",
                        from < to ? sal_format_pieces(apr_pstrmemdup(p, u->text + from, to - from))
                                  : no_pieces());
    json_object_set_new(out, "marked", json_boolean(from < to));
    json_object_set_new(out, "after",
                        to > from && to < n ? sal_format_pieces(u->text + to)
                        : from >= n         ? no_pieces()
                                            : sal_format_pieces(u->text + to));
    json_object_set_new(out, "src", u->source ? sal_format_pieces(u->source) : no_pieces());
    json_object_set_new(out, "module", json_string(u->module));
    json_object_set_new(out, "nosym", json_boolean(u->nosym));
    return out;
}

static json_t *row(const char *cls, const char *op, const char *label, json_t *a, json_t *b)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "cls", cls, "op", op, "label",
                     label, "differs_a", strcmp(cls, "same") != 0 && strcmp(cls, "add") != 0,
                     "differs_b", strcmp(cls, "same") != 0 && strcmp(cls, "del") != 0, "folded", 0,
                     "a", a, "b", b);
}

static bool same(const unit_t *a, const unit_t *b)
{
    return strcmp(a->text, b->text) == 0 && strcmp(a->module, b->module) == 0 &&
           a->inlined == b->inlined;
}

/* "3-5" of units that stand for one row. */
static json_t *range(const unit_t *first, const unit_t *last, int n, apr_pool_t *p)
{
    json_t *out = json_pack("{s:b, s:b, s:b, s:b, s:[], s:[], s:[], s:s}", "gap", 0, "inlined", 0,
                            "marked", 0, "nosym", 0, "changed", "after", "src", "module", "");

    json_object_set_new(out, "num",
                        json_string(apr_psprintf(p, "%" APR_INT64_T_FMT "\u2013%" APR_INT64_T_FMT,
                                                 first->number, last->number)));
    json_object_set_new(out, "before",
                        json_pack("[s]", apr_psprintf(p, "%d runtime frames, the same", n)));
    return out;
}

typedef struct {
    const unit_t *a, *b;
    const sal_diff_pair_t *pair;
    int n, equal;
    json_t *rows;
    apr_pool_t *p;
} rows_t;

static bool foldable(const rows_t *t, int i)
{
    const sal_diff_pair_t *x = &t->pair[i];

    return i < t->n && x->a >= 0 && x->b >= 0 && same(&t->a[x->a], &t->b[x->b]) &&
           t->a[x->a].runtime;
}

static void add_pair(rows_t *t, const sal_diff_pair_t *x)
{
    const unit_t *a = x->a >= 0 ? &t->a[x->a] : NULL, *b = x->b >= 0 ? &t->b[x->b] : NULL;
    json_t *one;

    if (!b) {
        one = row("del", "\u2212", "only in A", cell(a, NULL, t->p), cell(NULL, NULL, t->p));
    } else if (!a) {
        one = row("add", "+", "only in B", cell(NULL, NULL, t->p), cell(b, NULL, t->p));
    } else if (same(a, b)) {
        t->equal++;
        one = row("same", "=", "same", cell(a, NULL, t->p), cell(b, NULL, t->p));
    } else {
        one = row("chg", "\u2260", "differs", cell(a, b->text, t->p), cell(b, a->text, t->p));
    }
    json_array_append_new(t->rows, one);
}

static void add_rows(rows_t *t)
{
    for (int i = 0, end; i < t->n; i = end) {
        for (end = i; foldable(t, end); end++) {
        }
        if (end - i >= FOLD_FROM) {
            const sal_diff_pair_t *first = &t->pair[i], *last = &t->pair[end - 1];

            t->equal += end - i;
            json_array_append_new(t->rows,
                                  row("same", "=", "same",
                                      range(&t->a[first->a], &t->a[last->a], end - i, t->p),
                                      range(&t->b[first->b], &t->b[last->b], end - i, t->p)));
            continue;
        }
        end = end > i ? end : i + 1;
        for (int k = i; k < end; k++) {
            add_pair(t, &t->pair[k]);
        }
    }
}

static const char **keys_of(const apr_array_header_t *list, apr_pool_t *p)
{
    const char **out = apr_pcalloc(p, sizeof(*out) * ((apr_size_t)list->nelts + 1));

    for (int i = 0; i < list->nelts; i++) {
        out[i] = APR_ARRAY_IDX(list, i, unit_t).key;
    }
    return out;
}

static const char *thread_title(const json_t *thread, int index, apr_pool_t *p)
{
    const char *name = sal_json_str(thread, "thread_name");

    if (!thread) {
        return "no stack";
    }
    return apr_psprintf(p, "thread %d%s%s", index < 0 ? 0 : index, name && *name ? " " : "",
                        name ? sal_report_cut(name, p) : "");
}

void sal_diff_put_stacks(const sal_diff_in_t *in, json_t *view, apr_pool_t *p)
{
    apr_array_header_t *list[2];
    rows_t t = { .rows = json_array(), .p = p };
    int most;

    for (int i = 0; i < 2; i++) {
        int index;
        const json_t *thread = sal_report_first_thread(in->side[i].processed, &index);

        list[i] = units(thread, in->vcs, p);
        sal_report_put(view, i ? "thread_b" : "thread_a", thread_title(thread, index, p));
    }
    t.a = (const unit_t *)list[0]->elts;
    t.b = (const unit_t *)list[1]->elts;
    t.pair = sal_diff_align(&t.n, keys_of(list[0], p), list[0]->nelts, keys_of(list[1], p),
                            list[1]->nelts, p);
    add_rows(&t);
    most = list[0]->nelts > list[1]->nelts ? list[0]->nelts : list[1]->nelts;
    sal_report_put_list(view, "rows", t.rows, p);
    sal_report_put(
        view, "frames_text",
        most ? apr_psprintf(p, "%d of %d frames the same after normalising", t.equal, most)
             : "neither has a stack");
    json_object_set_new(
        view, "cut",
        json_boolean(list[0]->nelts >= SAL_DIFF_MOST || list[1]->nelts >= SAL_DIFF_MOST));
}
