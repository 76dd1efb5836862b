/*
 * What exports make of strangers' bytes. First byte: 't' a stored document that is reduced to
 * telemetry (only members of the schema, each of its type), 'w' a name of a form, else the answer
 * of an S3 server.
 */
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>
#include "base/json.h"
#include "base/text.h"
#include "export/form.h"
#include "export/telemetry.h"
#include "store/s3_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static apr_pool_t *global;
static sal_telemetry_t *telemetry;
static sal_fields_t *fields;
static json_t *schema;

static void must(int good)
{
    if (!good) {
        abort();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    apr_initialize();
    apr_pool_create(&global, NULL);
    telemetry = sal_telemetry_builtin(global);
    fields = sal_fields_processed(global);
    schema = sal_telemetry_schema(telemetry, fields);
    return 0;
}

static const char *type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_NULL:
        return "null";
    default:
        return "boolean";
    }
}

static void check(const json_t *v, const json_t *s)
{
    const json_t *types = json_object_get(s, "type");
    const char *type = type_of(v), *key;
    json_t *member;
    bool fits = json_is_string(types) && !strcmp(json_string_value(types), type);

    for (size_t i = 0; i < json_array_size(types); i++) {
        fits = fits || !strcmp(json_string_value(json_array_get(types, i)), type);
    }
    must(fits);
    json_object_foreach((json_t *)v, key, member)
    {
        const json_t *sub = json_object_get(json_object_get(s, "properties"), key);

        must(sub != NULL);
        check(member, sub);
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        check(json_array_get(v, i), json_object_get(s, "items"));
    }
}

static void reduce(const char *text, size_t size, apr_pool_t *p)
{
    json_t *doc, *out;

    if (sal_json_parse(&doc, text, size, p, NULL) != APR_SUCCESS || !json_is_object(doc)) {
        return;
    }
    json_object_set_new(doc, "uuid", json_string("u"));
    out = sal_telemetry_reduce(telemetry, fields, doc, NULL);
    must(out != NULL);
    check(out, schema);
    json_decref(out);
}

static void words(const char *text, size_t size, apr_pool_t *p)
{
    const char *word = sal_form_word(sal_utf8_clean(text, size, p), p);

    for (; *word; word++) {
        must((unsigned char)*word >= 0x20 && (unsigned char)*word < 0x7f && *word != '"');
    }
}

static void answers(const char *text, size_t size, apr_pool_t *p)
{
    const char *at = text, *value;

    while ((value = s3_xml(&at, text + size, "Key", p)) != NULL) {
        must(at > text && at <= text + size && strlen(value) <= size);
    }
    at = text;
    s3_xml(&at, text + size, "Code", p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    const char *text;

    if (size == 0) {
        return 0;
    }
    apr_pool_create(&p, global);
    text = apr_pstrmemdup(p, (const char *)data + 1, size - 1);
    if (data[0] == 't') {
        reduce(text, size - 1, p);
    } else if (data[0] == 'w') {
        words(text, size - 1, p);
    } else {
        answers(text, size - 1, p);
    }
    apr_pool_destroy(p);
    return 0;
}
