/*
 * Any bytes as the body of a symbolication request: refused with a title, or read; and what was
 * read keeps the promises that the answer is written by.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include "symbolicate/json_text.h"
#include "symbolicate/symbolicate.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return apr_initialize();
}

static void check_frame(const sal_symbolicate_job_t *job, const char *frame, apr_pool_t *p)
{
    const char *first = js_first(frame);
    js_int_t index;
    js_int_t offset;

    if (!js_integer(first, &index) || !js_integer(js_next(first), &offset) ||
        (index.negative ? index.magnitude != 1 : index.magnitude >= job->n_modules)) {
        abort();
    }
    if (offset.big && strspn(js_big_hex(offset.digits, p), "0123456789abcdef") < 17) {
        abort();
    }
}

static void check(const sal_symbolicate_request_t *req, apr_pool_t *p)
{
    for (int j = 0; j < req->n_jobs; j++) {
        const sal_symbolicate_job_t *job = &req->jobs[j];

        for (uint32_t i = 0; i < job->n_modules; i++) {
            if (job->modules[i] >= (uint32_t)req->modules->nelts) {
                abort();
            }
        }
        for (const char *stack = js_first(job->stacks); stack; stack = js_next(stack)) {
            for (const char *frame = js_first(stack); frame; frame = js_next(frame)) {
                check_frame(job, frame, p);
            }
        }
    }
}

static bool count(void *baton, const char *data, apr_size_t size, bool whole)
{
    (void)data, (void)whole;
    *(size_t *)baton += size;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *body = malloc(size + 1);
    apr_pool_t *p;

    if (!body) {
        return 0;
    }
    memcpy(body, data, size);
    body[size] = '\0';
    apr_pool_create(&p, NULL);
    for (int way = 0; way < 4; way++) {
        sal_symbolicate_request_t req = { .version = 4 + way % 2 };
        sal_symbolicate_limits_t limits = { 10, way >= 2 };
        sal_symbolicate_style_t style = { way < 2, way == 1, 0, 0 };
        size_t size_of_answer = 0;

        if (!sal_symbolicate_read(&req, body, size, &limits, p)) {
            check(&req, p);
            sal_symbolicate_write(&req, &style, count, &size_of_answer, p);
            if (!size_of_answer) {
                abort();
            }
        }
    }
    apr_pool_destroy(p);
    free(body);
    return 0;
}
