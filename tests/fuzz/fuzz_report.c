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
#include "render/list.h"
#include "render/report.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    json_t *doc;

    apr_pool_create(&p, root);
    if (sal_json_parse(&doc, (const char *)data, size, p, NULL) == APR_SUCCESS) {
        json_t *hits = sal_json_own(json_pack("[O]", doc), p);

        check_values(doc, p);
        check_report(doc, false, p);
        check_report(doc, true, p);
        json_decref(sal_list_rows(hits, p));
    }
    apr_pool_destroy(p);
    return 0;
}
