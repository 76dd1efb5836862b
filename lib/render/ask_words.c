/*
 * The question of the search page in words: chips, the sentence, lines of the form, guesses.
 */
#include "render/ask.h"

#include <string.h>

#include <apr_strings.h>

#include "base/json.h"

static const char *const simple_fields[] = { "product", "version", "platform", "process_type",
                                             NULL };

const char *const *sal_ask_simple_fields(void)
{
    return simple_fields;
}

static bool usable(const sal_ask_t *ask, const sal_search_field_t *f)
{
    return !f->is_protected || ask->pii;
}

/* A condition of this ask, or false: another parameter. Dates have an input of their own. */
static bool condition(sal_ask_term_t *t, const sal_ask_t *ask, int i)
{
    const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);
    const sal_search_field_t *f = sal_search_field(one->name);

    if (!f || f->match == SAL_MATCH_DATE || !*one->value) {
        return false;
    }
    sal_ask_split(t, f, one->value, ask->p);
    return true;
}

/* ---- chips ---- */

/* One chip: an operator's value, or all bare values of one sign, which are one set. */
typedef struct chip_t {
    const sal_search_field_t *field;
    const sal_ask_op_t *op;
    bool negated, ranged, bare;
    apr_array_header_t *values; /* const char * */
    apr_array_header_t *from;   /* int: their places in the ask */
} chip_t;

static chip_t *chip_for(apr_array_header_t *chips, const sal_ask_term_t *t, apr_pool_t *p)
{
    chip_t *chip;

    for (int i = 0; t->bare && i < chips->nelts; i++) {
        chip = &APR_ARRAY_IDX(chips, i, chip_t);
        if (chip->field == t->field && chip->bare && chip->negated == t->negated) {
            return chip;
        }
    }
    chip = apr_array_push(chips);
    *chip = (chip_t){ .field = t->field,
                      .op = t->op,
                      .negated = t->negated,
                      .ranged = t->ranged,
                      .bare = t->bare,
                      .values = apr_array_make(p, 2, sizeof(const char *)),
                      .from = apr_array_make(p, 2, sizeof(int)) };
    return chip;
}

/* In the order in which values of a field are combined: operators, negated sets, sets. */
static int rank(const chip_t *c, bool and)
{
    return and? c->negated : !c->bare ? 0 : c->negated ? 1 : 2;
}

static bool all_negations_hold(const sal_ask_t *ask)
{
    const char *neg = sal_ask_value(ask, "_neg");

    return neg && strcmp(neg, "and") == 0;
}

/* All chips: fields in the order of their first values, each field's in the order of its fold. */
static apr_array_header_t *chips_of(const sal_ask_t *ask)
{
    apr_array_header_t *met = apr_array_make(ask->p, 8, sizeof(chip_t));
    apr_array_header_t *out = apr_array_make(ask->p, 8, sizeof(chip_t));
    bool and = all_negations_hold(ask);
    sal_ask_term_t t;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        if (condition(&t, ask, i)) {
            chip_t *chip = chip_for(met, &t, ask->p);

            APR_ARRAY_PUSH(chip->values, const char *) = t.value;
            APR_ARRAY_PUSH(chip->from, int) = i;
        }
    }
    for (int i = 0; i < met->nelts; i++) {
        const sal_search_field_t *f = APR_ARRAY_IDX(met, i, chip_t).field;
        bool done = false;

        for (int k = 0; k < i && !done; k++) {
            done = APR_ARRAY_IDX(met, k, chip_t).field == f;
        }
        for (int r = 0; r < 3 && !done; r++) {
            for (int k = i; k < met->nelts; k++) {
                const chip_t *c = &APR_ARRAY_IDX(met, k, chip_t);

                if (c->field == f && rank(c, and) == r) {
                    APR_ARRAY_PUSH(out, chip_t) = *c;
                }
            }
        }
    }
    return out;
}

/* The word between a chip and what stands before it in its field. */
static const char *join_of(const sal_ask_t *ask, const chip_t *c)
{
    return c->ranged || (c->negated && all_negations_hold(ask)) ? "and" : "or";
}

static sal_ask_t *without_chip(const sal_ask_t *ask, const chip_t *c)
{
    sal_ask_t *out = sal_ask_make(ask->pii, ask->p);

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);
        bool dropped = false;

        for (int k = 0; k < c->from->nelts && !dropped; k++) {
            dropped = APR_ARRAY_IDX(c->from, k, int) == i;
        }
        if (!dropped) {
            sal_ask_add(out, one->name, one->value);
        }
    }
    return sal_ask_first_page(out);
}

/* A set that is ruled out is ruled out as a whole: "is not a or b". */
static json_t *values_of(const chip_t *c)
{
    json_t *out = json_array();

    for (int i = 0; i < c->values->nelts && c->op->valued; i++) {
        json_t *one = json_pack("{s:s}", "value", APR_ARRAY_IDX(c->values, i, const char *));

        if (i) {
            json_object_set_new(one, "sep", json_string("or"));
        }
        json_array_append_new(out, one);
    }
    return out;
}

static json_t *chip_json(const sal_ask_t *ask, const chip_t *c, bool first)
{
    bool locked = !usable(ask, c->field);
    json_t *one = json_pack("{s:s, s:s, s:b, s:b, s:s}", "field", c->field->name, "words",
                            c->op->words, "not", c->negated && strcmp(c->op->code, "!__null__"),
                            "locked", locked, "drop", sal_ask_query(without_chip(ask, c)));

    json_object_set_new(one, "values", locked ? json_array() : values_of(c));
    if (!first) {
        json_object_set_new(one, "join", json_string(join_of(ask, c)));
    }
    return one;
}

json_t *sal_ask_groups(const sal_ask_t *ask)
{
    apr_array_header_t *chips = chips_of(ask);
    json_t *out = json_array(), *list = NULL;
    const sal_search_field_t *field = NULL;

    for (int i = 0; i < chips->nelts; i++) {
        const chip_t *c = &APR_ARRAY_IDX(chips, i, chip_t);
        bool first = c->field != field;

        if (first) {
            field = c->field;
            list = json_array();
            json_array_append_new(out, json_pack("{s:s, s:b, s:o}", "field", field->name, "locked",
                                                 !usable(ask, field), "chips", list));
        }
        json_array_append_new(list, chip_json(ask, c, first));
        json_object_set_new(json_array_get(out, json_array_size(out) - 1), "many",
                            json_boolean(json_array_size(list) > 1));
    }
    return out;
}

/* ---- the sentence ---- */

static const char *chip_words(const chip_t *c, apr_pool_t *p)
{
    const char *out = apr_pstrcat(p, c->field->name, " ", c->op->words, NULL);

    for (int i = 0; i < c->values->nelts && c->op->valued; i++) {
        out =
            apr_pstrcat(p, out, i ? " or " : " ", APR_ARRAY_IDX(c->values, i, const char *), NULL);
    }
    return out;
}

const char *sal_ask_sentence(const sal_ask_t *ask)
{
    apr_array_header_t *chips = chips_of(ask);
    const char *out = "", *inner = "";
    int n = 0;

    for (int i = 0; i < chips->nelts; i++) {
        const chip_t *c = &APR_ARRAY_IDX(chips, i, chip_t);
        bool last = i + 1 == chips->nelts || APR_ARRAY_IDX(chips, i + 1, chip_t).field != c->field;

        if (usable(ask, c->field)) {
            const char *words = chip_words(c, ask->p);

            /* the fold goes from the left: what came before is one thing */
            inner = n == 0 ? words
                    : n == 1
                        ? apr_pstrcat(ask->p, inner, " ", join_of(ask, c), " ", words, NULL)
                        : apr_pstrcat(ask->p, "(", inner, ") ", join_of(ask, c), " ", words, NULL);
            n++;
        }
        if (last && n) {
            out = apr_pstrcat(ask->p, out, *out ? " and " : "", n > 1 ? "(" : "", inner,
                              n > 1 ? ")" : "", NULL);
            n = 0;
        }
    }
    return out;
}

sal_ask_t *sal_ask_relaxed(const sal_ask_t *ask, int chip, const char **words, sal_ask_term_t *term)
{
    apr_array_header_t *chips = chips_of(ask);
    int at = 0;

    for (int i = 0; i < chips->nelts; i++) {
        const chip_t *c = &APR_ARRAY_IDX(chips, i, chip_t);

        if (usable(ask, c->field) && at++ == chip) {
            *words = chip_words(c, ask->p);
            *term = (sal_ask_term_t){ .field = c->field,
                                      .op = c->op,
                                      .negated = c->negated,
                                      .ranged = c->ranged,
                                      .bare = c->bare,
                                      .value = APR_ARRAY_IDX(c->values, 0, const char *) };
            return without_chip(ask, c);
        }
    }
    return NULL;
}

/* ---- the form ---- */

static bool is_simple(const sal_ask_term_t *t)
{
    const char *const *name = simple_fields;

    while (*name && strcmp(*name, t->field->name) != 0) {
        name++;
    }
    return *name && t->bare && !t->negated && !strchr(t->value, ',');
}

const char *sal_ask_simple(const sal_ask_t *ask, const char *field)
{
    const char *out = "";
    sal_ask_term_t t;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        if (condition(&t, ask, i) && strcmp(t.field->name, field) == 0 && is_simple(&t)) {
            out = apr_pstrcat(ask->p, out, *out ? ", " : "", t.value, NULL);
        }
    }
    return out;
}

static json_t *line_json(const sal_ask_term_t *t, int number)
{
    const sal_ask_op_t *op = sal_ask_ops(t->field);
    json_t *ops = json_array();
    bool offered = false, valued = false;

    for (; op->code; op++) {
        bool here = strcmp(op->code, t->op->code) == 0;

        offered = offered || here;
        valued = valued || op->valued;
        json_array_append_new(ops, json_pack("{s:s, s:s, s:b}", "code", op->code, "words",
                                             op->words, "selected", here));
    }
    if (!offered) {
        json_array_append_new(ops, json_pack("{s:s, s:s, s:b}", "code", t->op->code, "words",
                                             t->op->words, "selected", 1));
    }
    return json_pack("{s:i, s:s, s:s, s:b, s:o}", "number", number, "field", t->field->name,
                     "value", t->value, "valued", valued, "ops", ops);
}

json_t *sal_ask_lines(const sal_ask_t *ask, const char *add)
{
    const sal_search_field_t *more = add ? sal_search_field(add) : NULL;
    json_t *out = json_array();
    sal_ask_term_t t;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        if (condition(&t, ask, i) && usable(ask, t.field) && !is_simple(&t)) {
            json_array_append_new(out, line_json(&t, (int)json_array_size(out) + 1));
        }
    }
    if (more && more->match != SAL_MATCH_DATE && usable(ask, more)) {
        t = (sal_ask_term_t){ .field = more, .op = sal_ask_ops(more), .value = "" };
        if (t.op->valued && t.op[2].code && strcmp(t.op[2].code, "=") == 0 &&
            more->match == SAL_MATCH_TEXT) {
            t.op += 4; /* contains: what is wanted most often of texts */
        }
        json_array_append_new(out, line_json(&t, (int)json_array_size(out) + 1));
    }
    return out;
}

/* ---- names ---- */

/* Edits between two short words: a letter more, less, other, or two exchanged. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    int rows[3][MOST + 1], la = (int)strlen(a), lb = (int)strlen(b);

    if (la > MOST || lb > MOST) {
        return MOST;
    }
    for (int j = 0; j <= lb; j++) {
        rows[0][j] = j;
    }
    for (int i = 1; i <= la; i++) {
        int *now = rows[i % 3], *last = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];

        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);

            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                older[j - 2] + 1 < best) {
                best = older[j - 2] + 1;
            }
            now[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *sal_ask_guess(const char *name)
{
    const char *best = NULL, *longer = NULL;
    int n, least, len = (int)strlen(name), beginnings = 0;
    const sal_search_field_t *f = sal_search_fields(&n);

    if (strlen(name) > 40) {
        return NULL;
    }
    least = len < 4 ? 2 : len / 3 + 1; /* beyond a third it is another word */
    for (int i = 0; i < n; i++) {
        int d = distance(name, f[i].name);

        if (d < least) {
            least = d;
            best = f[i].name;
        }
        if (len >= 4 && strncmp(f[i].name, name, (size_t)len) == 0) {
            longer = f[i].name;
            beginnings++;
        }
    }
    return best ? best : beginnings == 1 ? longer : NULL;
}

json_t *sal_ask_unknown(const sal_ask_t *ask)
{
    json_t *out = json_array();

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_ask_pair_t *one = &APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t);
        const char *guess;
        json_t *item;

        if (!*one->name || *one->name == '_' || strcmp(one->name, "page") == 0 ||
            sal_search_field(one->name)) {
            continue;
        }
        item = json_pack("{s:s}", "name", one->name);
        if ((guess = sal_ask_guess(one->name))) {
            sal_ask_t *mended = sal_ask_make(ask->pii, ask->p);

            for (int k = 0; k < ask->pairs->nelts; k++) {
                const sal_ask_pair_t *x = &APR_ARRAY_IDX(ask->pairs, k, sal_ask_pair_t);

                sal_ask_add(mended, k == i ? guess : x->name, x->value);
            }
            json_object_set_new(item, "guess", json_string(guess));
            json_object_set_new(item, "link",
                                json_string(sal_ask_query(sal_ask_first_page(mended))));
        }
        json_array_append_new(out, item);
    }
    return out;
}

/* ---- rights ---- */

/* The field that a parameter is about: its name, or what columns, facets and sorts name. */
static const sal_search_field_t *about(const sal_ask_pair_t *one)
{
    static const char *const lists[] = { "_columns", "_facets", "_sort", NULL };
    const sal_search_field_t *f = sal_search_field(one->name);
    const char *value = one->value;

    for (const char *const *name = lists; !f && *name; name++) {
        if (strcmp(one->name, *name) == 0) {
            value += *value == '-';
            value += strncmp(value, "_cardinality.", 13) == 0 ? 13 : 0;
            value += strncmp(value, "_histogram.", 11) == 0 ? 11 : 0;
            f = sal_search_field(value);
        }
    }
    return f;
}

json_t *sal_ask_locked(const sal_ask_t *ask)
{
    json_t *out = json_array(), *each;
    size_t k;

    for (int i = 0; i < ask->pairs->nelts; i++) {
        const sal_search_field_t *f = about(&APR_ARRAY_IDX(ask->pairs, i, sal_ask_pair_t));
        bool there = !f || usable(ask, f);

        json_array_foreach(out, k, each)
        {
            there = there || strcmp(sal_json_str(each, "field"), f->name) == 0;
        }
        if (!there) {
            json_array_append_new(out, json_pack("{s:s}", "field", f->name));
        }
    }
    return out;
}
