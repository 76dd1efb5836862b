/*
 * Crash data and the signatures it must give. Our own vectors (tests/data/signature, a case for
 * each row of docs/signature.md) and the reference vectors, made by Socorro's code with its own
 * lists: those are not part of this project; the test looks for them in $SALVAGE_SHARED, else
 * beside the source tree, and says so when they are not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "signature/signature.h"

typedef struct state_t {
    apr_pool_t *pool;
    const char *shared, *srcdir;
} state_t;

/* The rest of these notes is the reference interpreter's wording. */
static const char *const free_wording[] = { "Rule failed: ",
                                            "Error parsing AsyncShutdownTimeout: " };

static bool same_note(const char *ours, const char *theirs)
{
    for (size_t i = 0; i < sizeof(free_wording) / sizeof(free_wording[0]); i++) {
        const char *at = strstr(theirs, free_wording[i]);

        if (at) {
            return strncmp(ours, theirs, (size_t)(at - theirs) + strlen(free_wording[i])) == 0;
        }
    }
    return strcmp(ours, theirs) == 0;
}

static bool same_notes(const sal_signature_lines_t *ours, const json_t *theirs)
{
    if (ours->n != json_array_size(theirs)) {
        return false;
    }
    for (size_t i = 0; i < ours->n; i++) {
        if (!same_note(ours->line[i].text, json_string_value(json_array_get(theirs, i)))) {
            return false;
        }
    }
    return true;
}

static bool same_proto(const sal_signature_t *got, const json_t *want)
{
    if (!json_is_string(want)) {
        return got->proto_signature == NULL;
    }
    return got->proto_signature && got->proto_size == json_string_length(want) &&
           memcmp(got->proto_signature, json_string_value(want), got->proto_size) == 0;
}

static bool run_vector(const json_t *vector, const sal_siglists_t *lists, apr_pool_t *p)
{
    const json_t *want = json_object_get(vector, "expected");
    const char *signature = json_string_value(json_object_get(want, "signature"));
    sal_signature_t got;

    sal_signature_make(&got, json_object_get(vector, "crash_data"), lists, p);
    if (strcmp(got.signature, signature) == 0 &&
        same_notes(&got.notes, json_object_get(want, "notes")) &&
        same_proto(&got, json_object_get(want, "proto_signature"))) {
        return true;
    }
    fprintf(stderr, "%s:\n  want %.300s\n  got  %.300s\n  proto %.300s\n  notes %.400s\n",
            json_string_value(json_object_get(vector, "name")), signature, got.signature,
            got.proto_signature ? got.proto_signature : "(not set)",
            sal_signature_lines_text(&got.notes, p));
    return false;
}

/* Runs every vector of a file, and says how many were right. */
static void run_file(FILE *in, const sal_siglists_t *lists, apr_pool_t *p)
{
    char *line = NULL;
    size_t size = 0;
    int total = 0, good = 0;

    while (getline(&line, &size, in) > 0) {
        json_t *vector = json_loads(line, JSON_ALLOW_NUL, NULL);
        apr_pool_t *scratch;

        assert_non_null(vector);
        apr_pool_create(&scratch, p);
        total++;
        good += run_vector(vector, lists, scratch);
        apr_pool_destroy(scratch);
        json_decref(vector);
    }
    free(line);
    fclose(in);
    printf("%d of %d vectors\n", good, total);
    assert_true(total > 0);
    assert_int_equal(good, total);
}

static void test_reference_vectors(void **data)
{
    state_t *state = *data;
    FILE *in =
        fopen(apr_pstrcat(state->pool, state->shared, "/data/signature/vectors.jsonl", NULL), "r");
    sal_siglists_t *lists;
    sal_error_t err;

    if (!in) {
        fprintf(stderr, "SKIPPED: no reference vectors below %s (set SALVAGE_SHARED)\n",
                state->shared);
        skip();
    }
    assert_int_equal(
        sal_siglists_load(&lists,
                          apr_pstrcat(state->pool, state->shared, "/data/siglists-socorro", NULL),
                          state->pool, &err),
        APR_SUCCESS);
    run_file(in, lists, state->pool);
}

static void test_own_vectors(void **data)
{
    state_t *state = *data;
    const char *dir = apr_pstrcat(state->pool, state->srcdir, "/tests/data/signature", NULL);
    FILE *in = fopen(apr_pstrcat(state->pool, dir, "/vectors.jsonl", NULL), "r");
    sal_siglists_t *lists;
    sal_error_t err;

    assert_non_null(in);
    assert_int_equal(
        sal_siglists_load(&lists, apr_pstrcat(state->pool, dir, "/lists", NULL), state->pool, &err),
        APR_SUCCESS);
    run_file(in, lists, state->pool);
}

static int setup(void **data)
{
    static state_t state;
    const char *srcdir = getenv("srcdir");

    apr_initialize();
    apr_pool_create(&state.pool, NULL);
    state.srcdir = srcdir ? srcdir : ".";
    state.shared = getenv("SALVAGE_SHARED");
    if (!state.shared) {
        state.shared = apr_pstrcat(state.pool, state.srcdir, "/../shared", NULL);
    }
    *data = &state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_vectors),
        cmocka_unit_test(test_reference_vectors),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
