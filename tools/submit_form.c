/*
 * Bodies of crash reports, in a temporary file: a dump may be large, and is sent more than once.
 */
#include "submit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <apr_strings.h>
#include <jansson.h>

#include "base/text.h"
#include "cmd.h"
#include "export/form.h"

static void put_fields(FILE *f, const submit_t *s)
{
    const apr_array_header_t *fields = submit_fields(s);

    for (int i = 0; i < fields->nelts; i++) {
        const submit_pair_t *a = &APR_ARRAY_IDX(fields, i, submit_pair_t);
        bool escaped = s->dialect->escaped;

        sal_form_part(f, s->boundary, escaped ? submit_escape(a->name, s->pool) : a->name, NULL,
                      NULL);
        fprintf(f, "%s\r\n", a->value);
    }
}

static void put_json(FILE *f, const submit_t *s)
{
    json_t *extra = json_object();

    for (int i = 0; i < s->annotations->nelts; i++) {
        const submit_pair_t *a = &APR_ARRAY_IDX(s->annotations, i, submit_pair_t);

        json_object_set_new(extra, a->name, json_string(a->value));
    }
    sal_form_part(f, s->boundary, "extra", "extra.json", "application/json");
    json_dumpf(extra, f, 0);
    fputs("\r\n", f);
    json_decref(extra);
}

/* The name that this sender gives the file at path; quotes would end it too early. */
static const char *file_name(const submit_t *s, const char *path)
{
    const submit_dialect_t *d = s->dialect;
    char *name;

    if (d->filename) {
        return strcmp(d->filename, "GUID") ? d->filename
                                           : apr_pstrcat(s->pool, s->guid, ".dmp", NULL);
    }
    name = apr_pstrcat(s->pool, d->folder ? d->folder : "", sal_basename(path), NULL);
    for (char *c = name; *c; c++) {
        if (*c == '"' || (unsigned char)*c < 0x20) {
            *c = '_';
        }
    }
    return sal_utf8_valid(name, strlen(name)) ? name : "crash.dmp";
}

static int copy_file(FILE *f, const char *path)
{
    char piece[65536];
    size_t n;
    FILE *in = fopen(path, "rb");

    if (!in) {
        return cmd_fail("%s: %s", path, strerror(errno));
    }
    while ((n = fread(piece, 1, sizeof(piece), in)) > 0) {
        fwrite(piece, 1, n, f);
    }
    n = (size_t)ferror(in);
    fclose(in);
    return n ? cmd_fail("%s: cannot be read", path) : CMD_OK;
}

static int put_file(FILE *f, const submit_t *s, const submit_pair_t *file)
{
    sal_form_part(f, s->boundary, file->name, file_name(s, file->value),
                  s->dialect->untyped ? NULL : "application/octet-stream");
    if (copy_file(f, file->value) != CMD_OK) {
        return CMD_FAILED;
    }
    fputs(s->dialect->tight ? "" : "\r\n", f);
    return CMD_OK;
}

static int put_form(FILE *f, const submit_t *s)
{
    (s->shape == SUBMIT_FORM_JSON ? put_json : put_fields)(f, s);
    for (int i = 0; i < s->dumps->nelts; i++) {
        if (put_file(f, s, &APR_ARRAY_IDX(s->dumps, i, submit_pair_t)) != CMD_OK) {
            return CMD_FAILED;
        }
    }
    fputs(s->dialect->gap ? "\r\n" : "", f);
    sal_form_end(f, s->boundary);
    return CMD_OK;
}

static int put_envelope(FILE *f, const submit_t *s)
{
    const char *event = APR_ARRAY_IDX(submit_fields(s), 0, submit_pair_t).value;

    fprintf(f, "{}\n{\"type\":\"event\",\"length\":%zu}\n%s\n", strlen(event), event);
    for (int i = 0; i < s->dumps->nelts; i++) {
        const submit_pair_t *d = &APR_ARRAY_IDX(s->dumps, i, submit_pair_t);
        bool main_dump = !strcmp(d->name, SUBMIT_MAIN_DUMP);
        struct stat st;
        json_t *head;

        if (stat(d->value, &st) != 0) {
            return cmd_fail("%s: %s", d->value, strerror(errno));
        }
        head = json_pack("{s:s, s:I, s:s}", "type", "attachment", "length", (json_int_t)st.st_size,
                         "filename", main_dump ? file_name(s, d->value) : d->name);
        if (main_dump) {
            json_object_set_new(head, "attachment_type", json_string("event.minidump"));
        }
        json_dumpf(head, f, JSON_COMPACT);
        json_decref(head);
        fputc('\n', f);
        if (copy_file(f, d->value) != CMD_OK) {
            return CMD_FAILED;
        }
        fputc('\n', f);
    }
    return CMD_OK;
}

FILE *submit_body(const submit_t *s)
{
    FILE *f = tmpfile(), *packed;

    if (!f) {
        cmd_fail("no temporary file: %s", strerror(errno));
        return NULL;
    }
    if ((s->shape == SUBMIT_ENVELOPE ? put_envelope : put_form)(f, s) != CMD_OK) {
        fclose(f);
        return NULL;
    }
    if (s->gzip) {
        packed = sal_form_gzip(f);
        fclose(f);
        f = packed;
    }
    if (!f || fflush(f) != 0 || ferror(f)) {
        cmd_fail("no room for the body in the temporary directory");
        return NULL;
    }
    return f;
}
