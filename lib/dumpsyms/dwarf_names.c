/*
 * Names of functions, wherever they stand.
 *
 * A subprogram or an inlined call names its function by reference: abstract origin, then
 * specification, perhaps in another unit or in a DWZ file. A linkage name anywhere on the way is
 * the name. Static functions have none: theirs is put together from the namespaces and classes
 * around the declaration. References may go in circles: only so many are followed.
 */
#include <stdlib.h>
#include <string.h>

#include "dumpsyms/dwarf_private.h"

enum { MAX_SCOPES = 64 };

typedef struct named_t {
    const char *linkage, *name;
    dw_die_t next;
} named_t;

bool dw_wants_scopes(const dw_unit_t *u)
{
    switch (u->lang) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
    case 0x2c: /* C17 */
    case DW_LANG_Mips_Assembler:
        return false;
    default:
        return true;
    }
}

dw_die_t dw_referred(const dw_worker_t *w, const dw_unit_t *u, const dw_value_t *v)
{
    dw_die_t die = { NULL, v->u };

    if (v->kind == DW_REF_ALT) {
        die.unit = u->file->alt != NULL ? dw_unit_at(u->file->alt, v->u) : NULL;
    } else if (v->kind == DW_REF) {
        bool same = v->u >= u->die && v->u < u->end;

        die.unit = same ? u : dw_unit_at(u->file, v->u);
    }
    (void)w;
    return die;
}

/* The DIE's attributes begin at *c. */
static const dw_abbrev_t *die_open(dw_worker_t *w, const dw_die_t *die, dw_cur_t *c,
                                   const dw_abbrevs_t **t)
{
    const dw_span_t *info = &die->unit->file->s[DW_INFO];
    uint64_t code;

    *t = dw_abbrevs_of(w, die->unit);
    if (*t == NULL) {
        return NULL;
    }
    *c = (dw_cur_t){ info->p + die->off, info->p + die->unit->end, die->unit->file->big, false };
    code = dw_uleb(c);
    return c->bad || code == 0 ? NULL : dw_abbrev_find(*t, code);
}

static bool read_named(dw_worker_t *w, const dw_die_t *die, named_t *out)
{
    const dw_abbrevs_t *t;
    dw_cur_t c;
    const dw_abbrev_t *ab = die_open(w, die, &c, &t);
    dw_value_t v;

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; ab != NULL && i < ab->attrs && !c.bad; i++) {
        const dw_attr_t *a = &t->attr[ab->first + i];

        switch (a->name) {
        case DW_AT_linkage_name:
        case DW_AT_MIPS_linkage_name:
            dw_value(&v, &c, die->unit, a);
            out->linkage = v.kind == DW_TEXT ? v.text : NULL;
            break;
        case DW_AT_name:
            dw_value(&v, &c, die->unit, a);
            out->name = v.kind == DW_TEXT ? v.text : NULL;
            break;
        case DW_AT_abstract_origin:
        case DW_AT_specification:
        case DW_AT_extension:
            dw_value(&v, &c, die->unit, a);
            out->next = dw_referred(w, die->unit, &v);
            break;
        default:
            dw_skip(&c, die->unit, a->form);
            break;
        }
    }
    return ab != NULL;
}

/* ---- scopes ---- */

int32_t dw_scope_open(dw_worker_t *w, dw_scopes_t *s, const dw_unit_t *u, uint64_t off,
                      const dw_abbrevs_t *t, const dw_abbrev_t *ab, dw_cur_t *c, int32_t parent)
{
    dw_scope_t scope = { off, u->end, 0, NULL, parent };
    dw_value_t v;

    for (uint32_t i = 0; i < ab->attrs && !c->bad; i++) {
        const dw_attr_t *a = &t->attr[ab->first + i];

        if (a->name == DW_AT_name) {
            dw_value(&v, c, u, a);
            scope.name = v.kind == DW_TEXT ? v.text : NULL;
        } else if (a->name == DW_AT_specification || a->name == DW_AT_extension) {
            dw_value(&v, c, u, a);
            scope.spec = v.kind == DW_REF ? v.u : 0;
        } else {
            dw_skip(c, u, a->form);
        }
    }
    if (scope.name == NULL && scope.spec == 0 && ab->tag == DW_TAG_namespace) {
        scope.name = "(anonymous namespace)";
    }
    if (!DW_ROOM(s->scope, s->cap, s->n)) {
        w->failed = true;
        return -1;
    }
    s->scope[s->n] = scope;
    return (int32_t)s->n++;
}

typedef struct level_t {
    int32_t scope, own;
} level_t;

static bool push(dw_worker_t *w, level_t **levels, uint32_t *cap, uint32_t n, int32_t own)
{
    level_t l = { own >= 0 ? own : n > 0 ? (*levels)[n - 1].scope : -1, own };

    if (!dw_room((void **)levels, cap, n, sizeof(**levels))) {
        w->failed = true;
        return false;
    }
    (*levels)[n] = l;
    return true;
}

void dw_scopes_read(dw_worker_t *w, dw_scopes_t *s, const dw_unit_t *u)
{
    const dw_span_t *info = &u->file->s[DW_INFO];
    dw_cur_t c = { info->p + u->die, info->p + u->end, u->file->big, false };
    const dw_abbrevs_t *t = dw_abbrevs_of(w, u);
    level_t *levels = NULL;
    uint32_t depth = 0, cap = 0;

    s->unit = u;
    s->n = 0;
    if (t == NULL || u->end - u->off > w->name_work) {
        return;
    }
    w->name_work -= u->end - u->off;
    while (c.p < c.end && !c.bad && !w->failed) {
        uint64_t off = (uint64_t)(c.p - info->p), code = dw_uleb(&c);
        const dw_abbrev_t *ab = code != 0 ? dw_abbrev_find(t, code) : NULL;
        int32_t own = -1;

        if (code == 0) {
            if (depth > 0 && levels[--depth].own >= 0) {
                s->scope[levels[depth].own].end = off;
            }
            continue;
        }
        if (ab == NULL) {
            break;
        }
        if (ab->role == DW_SCOPE) {
            own = dw_scope_open(w, s, u, off, t, ab, &c, depth > 0 ? levels[depth - 1].scope : -1);
        } else {
            dw_skip_die(&c, u, t, ab);
        }
        if (ab->children && push(w, &levels, &cap, depth, own)) {
            depth++;
        }
    }
    free(levels);
}

static dw_scopes_t *scopes_of(dw_worker_t *w, const dw_unit_t *u)
{
    dw_scopes_t *s = &w->other_scopes[(u - u->file->unit) % DW_CACHED];

    if (u == w->scopes.unit) {
        return &w->scopes;
    }
    if (s->unit != u) {
        dw_scopes_read(w, s, u);
    }
    return s;
}

/* The innermost scope around an offset, or -1. */
static int32_t scope_around(const dw_scopes_t *s, uint64_t off)
{
    uint32_t from = 0, to = s->n;
    int32_t at;

    while (from < to) {
        uint32_t mid = from + (to - from) / 2;

        if (s->scope[mid].off < off) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    at = (int32_t)from - 1;
    while (at >= 0 && s->scope[at].end <= off) {
        at = s->scope[at].parent;
    }
    return at;
}

/* ---- putting together ---- */

/* Names of the scopes around a DIE, innermost first; a class defined outside its scope is looked
 * for where it was declared. */
static uint32_t collect(dw_worker_t *w, dw_die_t die, const char **names)
{
    uint32_t n = 0, hops = 0;
    dw_scopes_t *s = scopes_of(w, die.unit);
    int32_t at = scope_around(s, die.off);

    while (at >= 0 && n < MAX_SCOPES) {
        const dw_scope_t *scope = &s->scope[at];

        if (scope->name == NULL && scope->spec != 0 && hops++ < DW_MAX_HOPS) {
            dw_value_t v = { DW_REF, scope->spec, NULL };
            named_t named;

            die = dw_referred(w, s->unit, &v);
            if (die.unit == NULL || !read_named(w, &die, &named)) {
                break;
            }
            if (named.name != NULL) {
                names[n++] = named.name;
            }
            s = scopes_of(w, die.unit);
            at = scope_around(s, die.off);
            continue;
        }
        if (scope->name != NULL) {
            names[n++] = scope->name;
        }
        at = scope->parent;
    }
    return n;
}

static char *qualified(const char **names, uint32_t n, const char *name)
{
    size_t size = strlen(name) + 1;
    char *text, *to;

    for (uint32_t i = 0; i < n; i++) {
        size += strlen(names[i]) + 2;
    }
    text = to = malloc(size);
    if (text == NULL) {
        return NULL;
    }
    while (n-- > 0) {
        size_t len = strlen(names[n]);

        memcpy(to, names[n], len);
        memcpy(to + len, "::", 2);
        to += len + 2;
    }
    memcpy(to, name, strlen(name) + 1);
    return text;
}

void dw_name(dw_worker_t *w, dw_die_t die, dump_name_t *out, char **temp)
{
    const char *names[MAX_SCOPES];
    dw_die_t named_by = { NULL, 0 };
    named_t d;
    uint32_t n;

    *temp = NULL;
    out->text = NULL;
    out->plain = true;
    for (int hop = 0; hop < DW_MAX_HOPS && die.unit != NULL && read_named(w, &die, &d); hop++) {
        if (d.linkage != NULL) {
            out->text = d.linkage;
            out->plain = false;
            break;
        }
        if (d.name != NULL) {
            out->text = d.name;
            named_by = die;
        }
        die = d.next;
    }
    if (out->text == NULL || !out->plain || !dw_wants_scopes(named_by.unit)) {
        return;
    }
    n = collect(w, named_by, names);
    if (n > 0) {
        *temp = qualified(names, n, out->text);
        out->text = *temp != NULL ? *temp : out->text;
    }
}

/* ---- numbers of origins ---- */

static uint32_t place_of(const dw_known_t *known, uint32_t cap, const dw_die_t *die, uint32_t epoch)
{
    uint64_t h = (die->off + (uint64_t)die->unit->file->split) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t at = (uint32_t)(h >> 32) & (cap - 1);

    while (known[at].epoch == epoch && (known[at].die != die->off || known[at].unit != die->unit)) {
        at = (at + 1) & (cap - 1);
    }
    return at;
}

static bool grow_known(dw_worker_t *w)
{
    uint32_t cap = w->cap_known == 0 ? 1024 : w->cap_known * 2;
    dw_known_t *known = calloc(cap, sizeof(*known));

    if (known == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < w->cap_known; i++) {
        if (w->known[i].epoch == w->epoch) {
            dw_die_t die = { w->known[i].unit, w->known[i].die };

            known[place_of(known, cap, &die, w->epoch)] = w->known[i];
        }
    }
    free(w->known);
    w->known = known;
    w->cap_known = cap;
    return true;
}

static uint32_t number_of(dw_worker_t *w, dw_die_t die)
{
    dump_name_t name;
    char *temp;
    uint32_t id;
    size_t cost;

    dw_name(w, die, &name, &temp);
    cost = name.text != NULL ? strlen(name.text) : 0;
    if (name.text == NULL || cost > w->name_work) {
        name.text = "<name omitted>";
        name.plain = true;
        cost = 0;
    }
    w->name_work -= cost;
    id = dw_intern(&w->dw->origins, name.text, name.plain,
                   name.text == temp || dw_text_goes(&w->dw->main, name.text));
    free(temp);
    return id;
}

uint32_t dw_origin(dw_worker_t *w, dw_die_t die)
{
    dw_known_t *k;

    if (w->n_known >= w->cap_known / 2 && !grow_known(w)) {
        w->failed = true;
        return 0;
    }
    k = &w->known[place_of(w->known, w->cap_known, &die, w->epoch)];
    if (k->epoch != w->epoch) {
        *k = (dw_known_t){ die.unit, die.off, number_of(w, die), w->epoch };
        w->n_known++;
    }
    return k->id;
}
