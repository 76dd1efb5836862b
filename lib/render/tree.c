/*
 * JSON as a tree.
 */
#include "render/tree.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "base/json.h"
#include "base/text.h"
#include "render/format.h"

enum { DEEPEST = 40, VALUE_MAX = 2000 };

typedef struct {
    json_t *steps;
    apr_pool_t *p;
    int left;            /* values that may still be written */
    apr_int64_t skipped; /* members and items that were not */
} tree_t;

static void put(json_t *obj, const char *key, const char *text)
{
    /* whatever is no UTF-8 is no JSON text, and jansson has none of it */
    json_object_set_new(obj, key, json_string(text));
}

static void leaf(tree_t *t, const char *key, const json_t *v)
{
    const char *text = sal_json_text(v, t->p);
    json_t *one = json_object();

    if (strlen(text) > VALUE_MAX) {
        char *s = apr_pstrndup(t->p, text, VALUE_MAX);

        sal_utf8_cut(s, VALUE_MAX - 3);
        text = apr_pstrcat(t->p, s, "\u2026", NULL);
    }
    put(one, "key", key);
    put(one, "value", text);
    json_array_append_new(t->steps, json_pack("{s:o}", "leaf", one));
}

static void open_node(tree_t *t, const char *key, const char *note, bool open)
{
    json_t *one = json_pack("{s:b}", "shown", open);

    put(one, "key", key);
    put(one, "note", note);
    json_array_append_new(t->steps, json_pack("{s:o}", "open", one));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted_keys(const json_t *v, apr_pool_t *p)
{
    size_t n = json_object_size(v), used = 0;
    const char **keys = apr_pcalloc(p, sizeof(*keys) * (n + 1)), *key;
    json_t *member;

    json_object_foreach((json_t *)v, key, member)
    {
        keys[used++] = key;
    }
    qsort(keys, used, sizeof(*keys), by_name);
    return keys;
}

static void walk(tree_t *t, const char *key, const json_t *v, int depth);

static void members(tree_t *t, const json_t *v, int depth)
{
    const char **keys;
    size_t i;
    json_t *item;

    json_array_foreach(v, i, item)
    {
        walk(t, apr_psprintf(t->p, "%d", (int)i), item, depth);
    }
    if (json_is_object(v)) {
        for (keys = sorted_keys(v, t->p); *keys; keys++) {
            walk(t, *keys, json_object_get(v, *keys), depth);
        }
    }
}

static void walk(tree_t *t, const char *key, const json_t *v, int depth)
{
    size_t n = json_is_array(v) ? json_array_size(v) : json_object_size(v);

    if (t->left <= 0 || depth > DEEPEST) {
        t->skipped++;
        return;
    }
    t->left--;
    if ((!json_is_object(v) && !json_is_array(v)) || n == 0) {
        leaf(t, key, v);
        return;
    }
    open_node(t, key,
              apr_psprintf(t->p, "%s %s%s", sal_format_count((apr_int64_t)n, t->p),
                           json_is_array(v) ? "item" : "key", n == 1 ? "" : "s"),
              depth == 0 && n <= 12 && json_array_size(t->steps) == 0);
    members(t, v, depth + 1);
    json_array_append_new(t->steps, json_pack("{s:b}", "close", 1));
}

json_t *sal_tree_view(const json_t *v, int max, apr_pool_t *p)
{
    tree_t t = { json_array(), p, max, 0 };

    if (json_is_object(v) || json_is_array(v)) {
        members(&t, v, 0);
    } else if (v) {
        leaf(&t, "", v);
    }
    if (t.skipped) {
        json_t *more = json_object();

        put(more, "more",
            apr_psprintf(p, "%s more that this page does not show",
                         sal_format_count(t.skipped, p)));
        json_array_append_new(t.steps, more);
    }
    return t.steps;
}
