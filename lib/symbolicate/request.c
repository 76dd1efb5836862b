/*
 * The body of a request, checked in the order and with the texts that clients know from Eliot.
 * Messages never echo what was sent.
 */
#include "symbolicate/symbolicate.h"

#include <ctype.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include "symbolicate/json_text.h"
#include "symbols/module_id.h"

typedef struct reader_t {
    sal_symbolicate_request_t *req;
    const sal_symbolicate_limits_t *limits;
    apr_hash_t *seen; /* "name/id" -> index + 1 */
    apr_pool_t *p;
} reader_t;

static bool name_is_plain(const char *s)
{
    for (; *s; s++) {
        if (!isalnum((unsigned char)*s) && !strchr("_.+{}@<> ~-", *s)) {
            return false;
        }
    }
    return true;
}

static bool id_is_hex(const char *s)
{
    return s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

static uint32_t module_index(reader_t *rd, const char *name, const char *id, bool plain)
{
    const char *key = apr_pstrcat(rd->p, id, "/", name, NULL);
    uint32_t *index = apr_hash_get(rd->seen, key, APR_HASH_KEY_STRING);
    char canonical[SAL_DEBUG_ID_SIZE];
    sal_symbolicate_module_t *m;

    if (index) {
        return *index;
    }
    index = apr_palloc(rd->p, sizeof(*index));
    *index = (uint32_t)rd->req->modules->nelts;
    apr_hash_set(rd->seen, key, APR_HASH_KEY_STRING, index);
    m = apr_array_push(rd->req->modules);
    memset(m, 0, sizeof(*m));
    m->name = name;
    m->id = id;
    m->plain = plain;
    m->empty = !name[0] || !id[0];
    m->lookable = plain && !m->empty && sal_debug_id_canonical(canonical, id);
    m->shown = name[0] ? name : "<unknown>";
    m->ref.state = SAL_SYM_MISSING;
    m->ref.reason = plain ? "bad debug id" : "the name or id cannot be looked up";
    return *index;
}

/* One item of a memoryMap; NULL or what is wrong with it. */
static const char *read_module(reader_t *rd, const char *item, uint32_t *index)
{
    const char *first = js_first(item);
    const char *second = first ? js_next(first) : NULL;
    const char *name;
    const char *id;
    bool plain;

    if (!second || js_next(second)) {
        return "does not have a debug_filename and debug_id";
    }
    name = js_text(first, rd->p);
    if (!name || (rd->limits->strict_names && !name_is_plain(name))) {
        return "has an invalid debug_filename";
    }
    id = js_text(second, rd->p);
    if (!id || (rd->limits->strict_names && !id_is_hex(id))) {
        return "has an invalid debug_id";
    }
    plain = name_is_plain(name) && id_is_hex(id);
    *index = module_index(rd, name, id, plain);
    return NULL;
}

static const char *read_modules(reader_t *rd, const char *map, sal_symbolicate_job_t *job)
{
    uint32_t n = 0;

    if (!js_is_array(map)) {
        return "modules must be a list";
    }
    for (const char *item = js_first(map); item; item = js_next(item)) {
        if (++n > SAL_SYMBOLICATE_MAX_MODULES) {
            return apr_psprintf(rd->p, "please limit number of modules in a job to <= %d",
                                SAL_SYMBOLICATE_MAX_MODULES);
        }
    }
    job->modules = apr_palloc(rd->p, (n + 1) * sizeof(*job->modules));
    for (const char *item = js_first(map); item; item = js_next(item)) {
        const char *wrong = read_module(rd, item, &job->modules[job->n_modules]);

        if (wrong) {
            return apr_psprintf(rd->p, "module index %u %s", job->n_modules, wrong);
        }
        job->n_modules++;
    }
    return NULL;
}

static const char *read_frame(reader_t *rd, const char *frame, const sal_symbolicate_job_t *job)
{
    const char *first = js_first(frame);
    const char *second = first ? js_next(first) : NULL;
    js_int_t index;
    js_int_t offset;

    if (!second || js_next(second)) {
        return "is not a list of two items";
    }
    if (!js_integer(first, &index)) {
        return "has an invalid module_index";
    }
    if (index.big || (index.negative ? index.magnitude != 1 : index.magnitude >= job->n_modules)) {
        return "has a module_index that isn't in modules";
    }
    if (!js_integer(second, &offset) ||
        (offset.negative && (offset.big || offset.magnitude != 1))) {
        return "has an invalid module_offset";
    }
    if (!index.negative) {
        sal_symbolicate_module_t *m = &APR_ARRAY_IDX(
            rd->req->modules, job->modules[index.magnitude], sal_symbolicate_module_t);

        m->used = true;
        m->n_frames++;
    }
    return NULL;
}

static const char *read_stack(reader_t *rd, const char *stack, unsigned s,
                              const sal_symbolicate_job_t *job)
{
    unsigned f = 0;

    if (!js_is_array(stack)) {
        return apr_psprintf(rd->p, "stack %u is not a list", s);
    }
    for (const char *frame = js_first(stack); frame; frame = js_next(frame), f++) {
        const char *wrong = read_frame(rd, frame, job);

        if (wrong) {
            return apr_psprintf(rd->p, "stack %u frame %u %s", s, f, wrong);
        }
        if (++rd->req->n_frames > SAL_SYMBOLICATE_MAX_FRAMES) {
            return apr_psprintf(rd->p, "please limit number of frames in a request to <= %d",
                                SAL_SYMBOLICATE_MAX_FRAMES);
        }
    }
    return NULL;
}

static const char *read_stacks(reader_t *rd, const char *stacks, sal_symbolicate_job_t *job)
{
    unsigned s = 0;

    if (!js_is_array(stacks)) {
        return "stacks must be a list of lists";
    }
    if (!js_first(stacks)) {
        return "no stacks specified";
    }
    for (const char *stack = js_first(stacks); stack; stack = js_next(stack), s++) {
        const char *wrong = read_stack(rd, stack, s, job);

        if (wrong) {
            return wrong;
        }
    }
    job->stacks = stacks;
    return NULL;
}

static const char *read_job(reader_t *rd, const char *text, int i)
{
    sal_symbolicate_job_t *job = &rd->req->jobs[i];
    const char *stacks;
    const char *map;
    const char *wrong;

    if (!js_is_object(text)) {
        return apr_psprintf(rd->p, "job %d is invalid", i);
    }
    if (!(stacks = js_member(text, "stacks", rd->p))) {
        return apr_psprintf(rd->p, "job %d is invalid: no stacks specified", i);
    }
    if (!(map = js_member(text, "memoryMap", rd->p))) {
        return apr_psprintf(rd->p, "job %d is invalid: no memoryMap specified", i);
    }
    if ((wrong = read_modules(rd, map, job)) != NULL) {
        return apr_psprintf(rd->p, "job %d has invalid modules: %s", i, wrong);
    }
    if ((wrong = read_stacks(rd, stacks, job)) != NULL) {
        return apr_psprintf(rd->p, "job %d has invalid stacks: %s", i, wrong);
    }
    return NULL;
}

static const char *read_jobs(reader_t *rd, const char *jobs)
{
    const char *wrong = NULL;
    int n = 0;

    if (!js_is_array(jobs)) {
        return "job 0 is invalid";
    }
    for (const char *job = js_first(jobs); job; job = js_next(job)) {
        if (++n > rd->limits->max_jobs) {
            return apr_psprintf(rd->p, "please limit number of jobs in a single request to <= %d",
                                rd->limits->max_jobs);
        }
    }
    rd->req->jobs = apr_pcalloc(rd->p, (apr_size_t)(n + 1) * sizeof(*rd->req->jobs));
    rd->req->n_jobs = n;
    n = 0;
    for (const char *job = js_first(jobs); job && !wrong; job = js_next(job)) {
        wrong = read_job(rd, job, n++);
    }
    return wrong;
}

const char *sal_symbolicate_read(sal_symbolicate_request_t *req, const char *body, apr_size_t len,
                                 const sal_symbolicate_limits_t *limits, apr_pool_t *p)
{
    reader_t rd = { req, limits, apr_hash_make(p), p };
    const char *jobs;

    req->modules = apr_array_make(p, 16, sizeof(sal_symbolicate_module_t));
    if (len >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        body += 3;
        len -= 3;
    }
    if (!symbolicate_json_check(body, len)) {
        return "Payload is not valid JSON";
    }
    body = js_space(body);
    jobs = req->version == 5 ? js_member(body, "jobs", p) : NULL;
    if (jobs) {
        return read_jobs(&rd, jobs);
    }
    req->n_jobs = 1;
    req->jobs = apr_pcalloc(p, sizeof(*req->jobs));
    return read_job(&rd, body, 0);
}
