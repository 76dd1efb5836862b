/*
 * A processed crash as a stranger may have shaped it: its search values, its report, its list row.
 * Beyond not crashing: values are valid UTF-8 within their limits, and a report stays bounded.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/json.h"
#include "base/text.h"
#include "render/buglink.h"
#include "render/diff.h"
#include "render/report.h"
#include "render/source.h"
#include "render/tree.h"
#include "search/values.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return apr_pool_create(&root, NULL);
}

static void check_values(const json_t *doc, apr_pool_t *p)
{
    sal_values_t *v;

    if (sal_values_collect(&v, doc, p, NULL) != APR_SUCCESS) {
        return;
    }
    for (int i = 0; i < v->n; i++) {
        const sal_value_t *x = &v->value[i];

        if (x->n > SAL_VALUE_MAX_LIST) {
            abort();
        }
        for (int k = 0; k < x->n; k++) {
            apr_size_t len = strlen(x->text[k]);

            if (!sal_utf8_valid(x->text[k], len) ||
                (x->field->store != SAL_STORE_TEXT && len > SAL_VALUE_MAX_TERM)) {
                abort();
            }
        }
    }
}

static size_t rows_of(const json_t *threads)
{
    size_t n = 0, i, k;
    json_t *thread, *group;

    json_array_foreach(threads, i, thread)
    {
        json_array_foreach(json_object_get(thread, "groups"), k, group)
        {
            n += json_array_size(json_object_get(group, "rows"));
        }
    }
    return n;
}

static void check_report(const json_t *doc, bool pii, apr_pool_t *p)
{
    sal_report_in_t in = { .id = "00000000-0000-4000-8000-000000261122",
                           .processed = doc,
                           .annotations = doc,
                           .protected_annotations = pii ? doc : NULL,
                           .pii = pii,
                           .rawdump = pii };
    json_t *view = sal_report_view(&in, p);

    if (!json_is_object(view) || rows_of(json_object_get(view, "threads")) > 20000) {
        abort();
    }
    json_decref(view);
}

/* Texts for others: bounded, valid, and a fence that is opened is closed. */
static void check_texts(const json_t *doc, apr_pool_t *p)
{
    sal_bug_text_t bug;
    const char *stack = sal_report_stack_plain(doc, NULL, p);
    const char *marked = sal_report_stack_markdown(doc, NULL, p);

    sal_bug_text(&bug, doc, "https://h/report/index/x", NULL, p);
    if (strlen(bug.title) > 255 || !sal_utf8_valid(bug.title, strlen(bug.title)) ||
        !sal_utf8_valid(bug.description, strlen(bug.description)) ||
        !sal_utf8_valid(stack, strlen(stack)) || !sal_utf8_valid(marked, strlen(marked))) {
        abort();
    }
}

/* Compared with itself a report has nothing that differs. */
static void check_diff(const json_t *doc, apr_pool_t *p)
{
    sal_diff_in_t in = { .side = { { .id = "a", .processed = doc, .annotations = doc },
                                   { .id = "b", .processed = doc, .annotations = doc } } };
    json_t *view = sal_diff_view(&in, p), *row;
    size_t i;

    if (json_array_size(json_object_get(view, "fields")) ||
        json_array_size(json_object_get(view, "modules"))) {
        abort();
    }
    json_array_foreach(json_object_get(view, "rows"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "cls")), "same") != 0) {
            abort();
        }
    }
    json_decref(view);
    in.side[1].processed = json_array_get(doc, 0);
    json_decref(sal_diff_view(&in, p));
}

static void check_source(const uint8_t *data, size_t size, apr_pool_t *p)
{
    json_t *view = json_object();

    sal_source_view(view, sal_utf8_clean((const char *)data, size, p), 1, p);
    json_decref(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    json_t *doc;

    apr_pool_create(&p, root);
    if (sal_json_parse(&doc, (const char *)data, size, p, NULL) == APR_SUCCESS) {
        check_values(doc, p);
        check_report(doc, false, p);
        check_report(doc, true, p);
        check_texts(doc, p);
        check_diff(doc, p);
        json_decref(sal_tree_view(doc, 1000, p));
    }
    check_source(data, size, p);
    apr_pool_destroy(p);
    return 0;
}
