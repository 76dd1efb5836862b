/*
 * Bodies of the stage submitter.
 */
#include "export/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>
#include "base/json.h"
#include "export/form.h"

#define DUMP_MAX (APR_UINT64_C(2) << 30)

/* What the collector had added; uuid stays, so that both sides know the crash by one id. */
static bool of_collector(const char *name)
{
    return !strcmp(name, "metadata") || !strcmp(name, "submitted_timestamp") ||
           !strcmp(name, "version");
}

static bool is_sent(const char *name, int strip, const sal_fields_t *fields)
{
    const sal_field_t *f;

    if (of_collector(name)) {
        return false;
    }
    if (!(strip & SAL_STAGE_STRIP_PROTECTED) || !strcmp(name, "uuid")) {
        return true;
    }
    f = sal_fields_find(fields, name);
    return f && f->is_public;
}

static json_t *annotations(const json_t *raw, int strip, const sal_fields_t *fields, apr_pool_t *p)
{
    json_t *out = json_object(), *value;
    const char *name;

    json_object_foreach((json_t *)raw, name, value)
    {
        if (is_sent(name, strip, fields)) {
            json_object_set(out, name, value);
        }
    }
    return sal_json_own(out, p);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_annotations(FILE *f, const json_t *fields, apr_pool_t *p)
{
    size_t n = json_object_size(fields), i = 0;
    const char **names = apr_palloc(p, (n + 1) * sizeof(*names)), *name;
    json_t *value;

    json_object_foreach((json_t *)fields, name, value)
    {
        names[i++] = name;
    }
    qsort(names, n, sizeof(*names), by_name);
    for (i = 0; i < n; i++) {
        value = json_object_get(fields, names[i]);
        sal_form_part(f, SAL_STAGE_BOUNDARY, sal_form_word(names[i], p), NULL,
                      "text/plain; charset=utf-8");
        if (json_is_string(value)) {
            fwrite(json_string_value(value), 1, json_string_length(value), f);
        } else {
            fputs(sal_json_sorted(value, p), f);
        }
        fputs("\r\n", f);
    }
}

static void put_json(FILE *f, const json_t *fields, apr_pool_t *p)
{
    sal_form_part(f, SAL_STAGE_BOUNDARY, "extra", NULL, "application/json");
    fputs(sal_json_sorted(fields, p), f);
    fputs("\r\n", f);
}

static const char *dump_name(const char *name)
{
    return !*name || !strcmp(name, "dump") ? "upload_file_minidump" : name;
}

static int by_dump_name(const void *a, const void *b)
{
    return strcmp(dump_name(((const sal_stage_dump_t *)a)->name),
                  dump_name(((const sal_stage_dump_t *)b)->name));
}

static void put_dumps(FILE *f, const sal_stage_dump_t *dumps, int n, apr_pool_t *p)
{
    sal_stage_dump_t *sorted;

    if (n == 0) {
        return;
    }
    sorted = apr_pmemdup(p, dumps, sizeof(*dumps) * (apr_size_t)n);
    qsort(sorted, (size_t)n, sizeof(*sorted), by_dump_name);
    for (int i = 0; i < n; i++) {
        sal_form_part(f, SAL_STAGE_BOUNDARY, sal_form_word(dump_name(sorted[i].name), p),
                      "file.dump", "application/octet-stream");
        fwrite(sorted[i].data.data, 1, sorted[i].data.size, f);
        fputs("\r\n", f);
    }
}

/* A header's value: what somebody sent us as one before, unless it could end the line. */
static const char *agent_of(const json_t *metadata, apr_pool_t *p)
{
    const char *agent = sal_json_str(metadata, "user_agent");

    for (const char *c = agent; c && *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return SAL_STAGE_AGENT;
        }
    }
    return agent && *agent ? apr_pstrdup(p, agent) : SAL_STAGE_AGENT;
}

static apr_status_t close_body(void *baton)
{
    fclose(baton);
    return APR_SUCCESS;
}

static apr_status_t no_room(FILE *f, sal_error_t *err)
{
    if (f) {
        fclose(f);
    }
    return sal_fail(err, APR_ENOSPC, "no room for a report in the temporary directory");
}

static apr_status_t finish(sal_stage_report_t *out, FILE *f, apr_pool_t *p, sal_error_t *err)
{
    off_t size;

    if (fflush(f) != 0 || ferror(f)) {
        return no_room(f, err);
    }
    if (out->gzip) {
        FILE *packed = sal_form_gzip(f);

        fclose(f);
        if ((f = packed) == NULL) {
            return no_room(NULL, err);
        }
    }
    if (fseeko(f, 0, SEEK_END) != 0 || (size = ftello(f)) < 0) {
        return no_room(f, err);
    }
    rewind(f);
    out->body = f;
    out->size = (apr_uint64_t)size;
    apr_pool_cleanup_register(p, f, close_body, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

apr_status_t sal_stage_form(sal_stage_report_t *out, const json_t *raw,
                            const sal_stage_dump_t *dumps, int n, int strip,
                            const sal_fields_t *fields, apr_pool_t *p, sal_error_t *err)
{
    const json_t *metadata = json_object_get(raw, "metadata");
    const char *payload = sal_json_str(metadata, "payload");
    const char *packed = sal_json_str(metadata, "payload_compressed");
    json_t *sent = annotations(raw, strip, fields, p);
    FILE *f = tmpfile();

    if (!f) {
        return no_room(NULL, err);
    }
    if (payload && !strcmp(payload, "json")) {
        put_json(f, sent, p);
    } else {
        put_annotations(f, sent, p);
    }
    if (!(strip & SAL_STAGE_STRIP_DUMPS)) {
        put_dumps(f, dumps, n, p);
    }
    sal_form_end(f, SAL_STAGE_BOUNDARY);
    out->gzip = packed && !strcmp(packed, "1");
    out->agent = agent_of(metadata, p);
    return finish(out, f, p, err);
}

apr_status_t sal_stage_report(sal_stage_report_t *out, const char *crash_id, int strip,
                              const sal_fields_t *fields, sal_crash_store_t *store, apr_pool_t *p,
                              sal_error_t *err)
{
    sal_crash_reader_t *reader;
    sal_stage_dump_t *dumps;
    const char *const *names;
    apr_pool_t *tmp;
    json_t *raw;
    apr_status_t rv;
    int n = 0;

    apr_pool_create(&tmp, p);
    rv = sal_crash_open(&reader, store, crash_id, tmp, err);
    if (rv != APR_SUCCESS || (rv = sal_crash_raw(&raw, reader, err)) != APR_SUCCESS) {
        apr_pool_destroy(tmp);
        return rv;
    }
    names = sal_crash_dump_names(reader);
    while (names[n]) {
        n++;
    }
    dumps = apr_pcalloc(tmp, sizeof(*dumps) * (apr_size_t)(n + 1));
    for (int i = 0; i < n && rv == APR_SUCCESS; i++) {
        dumps[i].name = names[i];
        rv = strip & SAL_STAGE_STRIP_DUMPS
                 ? APR_SUCCESS
                 : sal_crash_dump(&dumps[i].data, reader, names[i], DUMP_MAX, tmp, err);
    }
    if (rv == APR_SUCCESS) {
        rv = sal_stage_form(out, raw, dumps, n, strip, fields, p, err);
    }
    apr_pool_destroy(tmp);
    return rv;
}
