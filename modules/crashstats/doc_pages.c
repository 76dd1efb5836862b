/*
 * /documentation/: help, and the reference of fields, which is made of the field lists that
 * processing, search and redaction go by themselves, so that it cannot differ from them.
 */
#include "crashstats/search.h"

#include <apr_strings.h>

#include "render/format.h"

enum { DEPTH = 12, SAMPLES = 5, SAMPLE_MAX = 200 };

/* ---- field lists ---- */

/* A field by its name; through definitions that it refers to. NULL: there is none. */
static const sal_field_t *resolve(const sal_fields_t *list, const char *name, int depth,
                                  apr_pool_t *p)
{
    const sal_field_t *f = sal_fields_find(list, name);
    char *prefix = apr_pstrdup(p, name);

    for (apr_size_t i = strlen(name); !f && i > 1 && depth < DEPTH; i--) {
        if (name[i] == '.' || name[i] == '[') {
            const sal_field_t *owner;

            prefix[i] = '\0';
            owner = sal_fields_find(list, prefix);
            if (owner && owner->ref) {
                return resolve(list, apr_pstrcat(p, owner->ref, name + i, NULL), depth + 1, p);
            }
        }
    }
    return f;
}

/* "a/b/[]" of a path as "a.b[]"; NULL for what is no name. */
static const char *name_of(const char *path, apr_pool_t *p)
{
    char *rest = apr_pstrdup(p, path), *state;
    const char *out = "";

    if (strlen(path) > 500 || strchr(path, '@')) {
        return NULL;
    }
    for (char *one = apr_strtok(rest, "/", &state); one; one = apr_strtok(NULL, "/", &state)) {
        out = apr_pstrcat(p, out, *out && strcmp(one, "[]") ? "." : "", one, NULL);
    }
    return *out ? out : NULL;
}

/* The page of a field. */
static const char *link_of(const char *dataset, const char *name, apr_pool_t *p)
{
    const char *out =
        apr_pstrcat(p, "/documentation/datadictionary/dataset/", dataset, "/field/", NULL);

    for (const char *at = name; *at;) {
        apr_size_t n = strcspn(at, ".[");

        out = apr_pstrcat(p, out, sal_format_urlencode(apr_pstrndup(p, at, n), p), NULL);
        at += n;
        for (; strncmp(at, "[]", 2) == 0; at += 2) {
            out = apr_pstrcat(p, out, "/[]", NULL);
        }
        if (*at) {
            out = apr_pstrcat(p, out, "/", NULL);
            at += *at == '.';
        }
        if (n == 0 && *at == '[') {
            break;
        }
    }
    return out;
}

static const char *type_text(const sal_field_t *f, apr_pool_t *p)
{
    const char *out = "";

    for (int t = 0; t <= SAL_FIELD_ANY; t++) {
        if (f->types & 1u << t) {
            out = apr_pstrcat(p, out, *out ? " or " : "", sal_field_type_name((sal_field_type_t)t),
                              NULL);
        }
    }
    return apr_pstrcat(p, *out ? out : sal_field_type_name(f->type), f->nullable ? " or null" : "",
                       NULL);
}

static const sal_fields_t *dataset(const crashstats_req_t *q, const char *name)
{
    return strcmp(name, "annotation") == 0  ? q->conf->data->raw
           : strcmp(name, "processed") == 0 ? q->conf->data->processed
                                            : NULL;
}

/* ---- pages of text ---- */

static int text_page(crashstats_req_t *q, const char *template, const char *title, json_t *data)
{
    json_object_set_new(data, "title", json_string(title));
    json_object_set_new(data, "plain_title", json_true());
    return crashstats_page(q, HTTP_OK, template, NULL, data);
}

int crashstats_documentation(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return text_page(q, "documentation", "Documentation", json_object());
}

int crashstats_doc_examples(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return text_page(q, "doc-examples", "Examples of searches", json_object());
}

int crashstats_doc_api(crashstats_req_t *q, const char *rest)
{
    json_t *data = json_pack("{s:s}", "url", ap_construct_url(q->r->pool, "", q->r));

    (void)rest;
    return text_page(q, "doc-api", "Searching by API", data);
}

int crashstats_doc_whatsnew(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return text_page(q, "doc-whatsnew", "What is new", json_object());
}

int crashstats_doc_memory(crashstats_req_t *q, const char *rest)
{
    (void)rest;
    return web_redirect(q->r, HTTP_MOVED_PERMANENTLY, "/documentation/protected_data_access/");
}

/* ---- search fields ---- */

static const char *match_text(const sal_search_field_t *f)
{
    static const char *const texts[] = { "exact text", "text",  "list of texts",
                                         "number",     "truth", "date" };

    return f->type == SAL_TYPE_ENUM && f->match == SAL_MATCH_KEYWORD ? "choice" : texts[f->match];
}

static json_t *search_field(crashstats_req_t *q, const sal_search_field_t *f)
{
    apr_pool_t *p = q->r->pool;
    const sal_field_t *field = resolve(q->conf->data->processed, f->source, 0, p);
    const sal_ask_op_t *op = sal_ask_ops(f);
    const char *ops = "";

    for (; op->code; op++) {
        if (*op->code != '!' || strcmp(op->code, "!__null__") == 0) {
            ops = apr_pstrcat(p, ops, *ops ? ", " : "", op->words, NULL);
        }
    }
    return json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s}", "name", f->name, "kind", match_text(f),
                     "ops", ops, "locked", f->is_protected, "meaning",
                     field && strcmp(field->meaning, "-") ? field->meaning : "", "source",
                     f->source, "link", field ? link_of("processed", f->source, p) : "");
}

int crashstats_doc_search(crashstats_req_t *q, const char *rest)
{
    json_t *list = json_array();
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    (void)rest;
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, search_field(q, &f[i]));
    }
    return text_page(q, "doc-supersearch", "Super Search",
                     json_pack("{s:i, s:o}", "n", n, "fields", list));
}

/* ---- rights ---- */

static json_t *protected_of(const sal_fields_t *list, const char *name, apr_pool_t *p)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->n; i++) {
        const sal_field_t *f = &list->field[i];

        if (!f->is_public && *f->name != '@' && !strchr(f->name, '.') && !strchr(f->name, '[')) {
            json_array_append_new(
                out, json_pack("{s:s, s:s}", "name", f->name, "link", link_of(name, f->name, p)));
        }
    }
    return out;
}

int crashstats_doc_protected(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;

    (void)rest;
    return text_page(q, "doc-protected", "Protected data",
                     json_pack("{s:o, s:o, s:b, s:b}", "annotations",
                               protected_of(q->conf->data->raw, "annotation", p), "processed",
                               protected_of(q->conf->data->processed, "processed", p), "pii",
                               q->pii, "rawdump", q->rawdump));
}

/* ---- the data dictionary ---- */

static json_t *row_of(const sal_field_t *f, const char *shown, const char *link, apr_pool_t *p)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:s}", "name", shown, "link", link, "type",
                     type_text(f, p), "locked", !f->is_public, "meaning",
                     strcmp(f->meaning, "-") ? f->meaning : "");
}

static json_t *rows_of(const sal_fields_t *list, const char *name, apr_pool_t *p)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->n; i++) {
        const sal_field_t *f = &list->field[i];

        if (*f->name != '@' && !strchr(f->name, '.') && !strchr(f->name, '[')) {
            json_array_append_new(out, row_of(f, f->name, link_of(name, f->name, p), p));
        }
    }
    return out;
}

int crashstats_doc_dictionary(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    json_t *annotations = rows_of(q->conf->data->raw, "annotation", p);
    json_t *processed = rows_of(q->conf->data->processed, "processed", p);

    (void)rest;
    return text_page(q, "doc-dictionary", "Data dictionary",
                     json_pack("{s:i, s:i, s:o, s:o}", "n_annotations",
                               (int)json_array_size(annotations), "n_processed",
                               (int)json_array_size(processed), "annotations", annotations,
                               "processed", processed));
}

/* ---- one field ---- */

typedef struct one_t {
    crashstats_req_t *q;
    const char *set, *name;
    const sal_fields_t *list;
    const sal_field_t *field;
    const sal_search_field_t *search; /* the field that searches it, or NULL */
    json_t *result;
} one_t;

static const sal_search_field_t *search_of(const char *source)
{
    int n;
    const sal_search_field_t *f = sal_search_fields(&n);

    for (int i = 0; i < n; i++) {
        if (strcmp(f[i].source, source) == 0) {
            return &f[i];
        }
    }
    return NULL;
}

/* The field of the processed crash that an annotation is copied into, or NULL. */
static const sal_field_t *copy_of(const sal_fields_t *processed, const char *annotation)
{
    for (size_t i = 0; i < processed->n; i++) {
        const sal_field_t *f = &processed->field[i];

        if (f->source && strcmp(f->source, annotation) == 0 && *f->name != '@') {
            return f;
        }
    }
    return NULL;
}

static void put_link(json_t *data, const char *key, const char *name, const char *link)
{
    json_object_set_new(data, key, json_pack("{s:s, s:s}", "name", name, "link", link));
}

/* Between the annotation, the field, and the search. */
static void put_kin(one_t *x, json_t *data)
{
    apr_pool_t *p = x->q->r->pool;
    const sal_field_t *copy;

    if (strcmp(x->set, "annotation") == 0) {
        copy = copy_of(x->q->conf->data->processed, x->name);
        if (copy) {
            put_link(data, "copied_to", copy->name, link_of("processed", copy->name, p));
            x->search = search_of(copy->name);
        }
    } else {
        x->search = search_of(x->name);
        if (x->field->source) {
            put_link(data, "copied_from", x->field->source,
                     link_of("annotation", x->field->source, p));
        }
    }
    if (x->search) {
        put_link(data, "search", x->search->name,
                 apr_pstrcat(p, "/search/?_facets=", x->search->name, "&", x->search->name,
                             "=%21__null__", NULL));
    }
}

static bool child_name(const char *name, const char *prefix, apr_size_t len)
{
    const char *rest = name + len;

    if (strncmp(name, prefix, len) != 0 || (*rest != '.' && *rest != '[')) {
        return false;
    }
    rest += *rest == '[' ? 2 : 1;
    return *rest && *(rest - 1) == ']' ? false
           : *rest == '/'              ? true
                                       : !strchr(rest, '.') && !strchr(rest, '[');
}

static void put_members(const one_t *x, json_t *data)
{
    apr_pool_t *p = x->q->r->pool;
    const char *prefix = x->field->ref ? x->field->ref : x->field->name;
    apr_size_t len = strlen(prefix);
    json_t *out = json_array();

    for (size_t i = 0; i < x->list->n; i++) {
        const sal_field_t *f = &x->list->field[i];

        if (child_name(f->name, prefix, len)) {
            const char *full = apr_pstrcat(p, x->name, f->name + len, NULL);
            const char *link = strchr(full, '/') ? "" : link_of(x->set, full, p);

            json_array_append_new(out, row_of(f, full, link, p));
        }
    }
    json_object_set_new(data, "any_members", json_boolean(json_array_size(out) > 0));
    json_object_set_new(data, "members", out);
}

static apr_status_t ask_samples(sal_db_t *db, void *baton, apr_pool_t *p, sal_error_t *err)
{
    one_t *x = baton;
    const sal_super_reader_t reader = { .pii = false, .known = x->q->who.user != NULL };
    sal_super_t *s = sal_super_make(&reader, apr_time_now(), p);

    json_decref(x->result);
    x->result = NULL;
    sal_super_param(s, x->search->name, "!__null__");
    sal_super_param(s, "_facets", x->search->name);
    sal_super_param(s, "_facets", "product");
    sal_super_param(s, "_facets_size", "20");
    sal_super_param(s, "_results_number", "0");
    return sal_super_run(&x->result, s, db, p, err);
}

static json_t *terms_of(const json_t *result, const char *name, int most, apr_pool_t *p)
{
    json_t *out = json_array(), *one;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(result, "facets"), name), i, one)
    {
        const json_t *term = json_object_get(one, "term");
        char *text;

        if ((int)i >= most) {
            break;
        }
        text = json_is_string(term) ? NULL : json_dumps(term, JSON_ENCODE_ANY);
        json_array_append_new(
            out, json_string(apr_pstrndup(p, text ? text : json_string_value(term), SAMPLE_MAX)));
        free(text);
    }
    return out;
}

/* Values of public fields alone: what is protected is not shown as an example either. */
static void put_samples(one_t *x, json_t *data)
{
    apr_pool_t *p = x->q->r->pool;
    sal_error_t err = { 0 };
    json_t *samples, *products;

    if (!x->search || x->search->is_protected || !x->field->is_public ||
        x->search->match == SAL_MATCH_DATE || strcmp(x->search->name, "uuid") == 0 ||
        web_with_db(x->q->r, ask_samples, x, &err) != APR_SUCCESS) {
        return;
    }
    samples = terms_of(x->result, x->search->name, SAMPLES, p);
    products = terms_of(x->result, "product", 20, p);
    json_object_set_new(data, "sampled", json_true());
    json_object_set_new(data, "any_samples", json_boolean(json_array_size(samples) > 0));
    json_object_set_new(data, "samples", samples);
    json_object_set_new(data, "products", products);
    json_decref(x->result);
}

static int plain_404(crashstats_req_t *q, const char *text)
{
    return web_reply(q->r, HTTP_NOT_FOUND, "text/plain; charset=UTF-8", text, strlen(text));
}

static void put_facts(const one_t *x, json_t *data)
{
    const sal_field_t *f = x->field;
    const char *rule = f->rule && strcmp(f->rule, "-") ? f->rule : NULL;

    json_object_set_new(data, "name", json_string(x->name));
    json_object_set_new(data, "set",
                        json_string(strcmp(x->set, "annotation") == 0 ? "Crash annotation"
                                                                      : "Processed crash field"));
    json_object_set_new(data, "type", json_string(type_text(f, x->q->r->pool)));
    json_object_set_new(data, "locked", json_boolean(!f->is_public));
    json_object_set_new(data, "meaning", json_string(strcmp(f->meaning, "-") ? f->meaning : ""));
    if (rule) {
        json_object_set_new(data, "rule", json_string(rule));
    }
    if (f->initial) {
        json_object_set_new(data, "initial", json_string(f->initial));
    }
}

int crashstats_doc_field(crashstats_req_t *q, const char *rest)
{
    apr_pool_t *p = q->r->pool;
    one_t x = { .q = q };
    const char *slash = strchr(rest, '/');
    json_t *data;

    x.set = slash ? apr_pstrndup(p, rest, (apr_size_t)(slash - rest)) : rest;
    x.list = dataset(q, x.set);
    if (!x.list) {
        return plain_404(q, "Dataset not found");
    }
    x.name = slash && strncmp(slash, "/field/", 7) == 0 ? name_of(slash + 7, p) : NULL;
    x.field = x.name ? resolve(x.list, x.name, 0, p) : NULL;
    if (!x.field) {
        return plain_404(q, "Field not found");
    }
    data = json_object();
    put_facts(&x, data);
    put_kin(&x, data);
    put_members(&x, data);
    put_samples(&x, data);
    return text_page(q, "doc-field", x.name, data);
}
