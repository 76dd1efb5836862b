/*
 * The pipeline on a crash of the crash store.
 */
#include "process/process.h"

#include "base/json.h"

static apr_status_t store_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                               apr_pool_t *p, sal_error_t *err)
{
    return sal_crash_dump(out, baton, name, max, p, err);
}

apr_status_t sal_process_crash(json_t **out, sal_crash_reader_t *crash, const char *ruleset,
                               const json_t *previous, const sal_process_opts_t *opts,
                               apr_pool_t *p, sal_error_t *err)
{
    sal_process_source_t source = { .dump = store_dump, .baton = crash };
    json_t *raw;
    apr_status_t rv = sal_crash_raw(&raw, crash, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    source.raw = raw;
    source.dumps = sal_crash_dump_names(crash);
    return sal_process_source(out, &source, ruleset, previous, opts, p, err);
}

static apr_status_t no_dump(sal_span_t *out, const char *name, apr_uint64_t max, void *baton,
                            apr_pool_t *p, sal_error_t *err)
{
    (void)out, (void)max, (void)baton, (void)p;
    return sal_fail(err, APR_ENOENT, "%s is not read by this ruleset", name);
}

apr_status_t sal_process_stored(json_t **out, const char *ruleset, const json_t *previous,
                                const sal_process_opts_t *opts, apr_pool_t *p, sal_error_t *err)
{
    static const char *const none[] = { NULL };
    const sal_process_source_t source = { .raw = sal_json_own(json_object(), p),
                                          .dumps = none,
                                          .dump = no_dump };

    if (!sal_process_stored_only(ruleset) || !previous) {
        return sal_fail(err, APR_EINVAL, "ruleset %s cannot do without the raw crash", ruleset);
    }
    return sal_process_source(out, &source, ruleset, previous, opts, p, err);
}
