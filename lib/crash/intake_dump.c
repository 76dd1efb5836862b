/*
 * Files of a report: named, looked into, streamed into the container. What a file is decides itself
 * with its first bytes: a dump, or a form that an old SDK has wrapped around its own.
 */
#include "crash/intake_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <apr_strings.h>

apr_status_t sal_intake_blame(sal_intake_t *in, sal_fault_t fault, apr_status_t rv)
{
    in->fault = fault;
    return rv;
}

/* A failure of the store, or of its limits. */
static apr_status_t store_failed(sal_intake_t *in, apr_status_t rv)
{
    return sal_intake_blame(in, rv == SAL_E_TOOBIG ? SAL_FAULT_TOO_LARGE : SAL_FAULT_STORE, rv);
}

apr_status_t sal_intake_need_writer(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv;

    if (in->writer) {
        return APR_SUCCESS;
    }
    rv = sal_crash_begin(&in->writer, in->store, in->now, in->pool, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

static bool is_reserved(const char *name)
{
    static const char *const names[] = { "", "dump", "dump_names", "processed_crash", "raw_crash" };

    for (apr_size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!strcmp(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* 2, 3, ... for each further dump of a name. */
static int next_number(sal_intake_t *in, const char *base)
{
    int n = (int)json_integer_value(json_object_get(in->numbers, base)) + 1;

    n = n < 2 ? 2 : n;
    json_object_set_new(in->numbers, base, json_integer(n));
    return n;
}

/* The storage name of a dump in in->dump: sanitised, not reserved, not taken. */
static apr_status_t name_dump(sal_intake_t *in, const char *name, sal_error_t *err)
{
    char base[DUMP_NAME_MAX + 1];
    apr_size_t n = 0;

    for (; *name && n < DUMP_NAME_MAX; name++) {
        if (isalnum((unsigned char)*name) || *name == '_') {
            base[n++] = *name;
        }
    }
    base[n] = '\0';
    if (is_reserved(base)) {
        return sal_fail(err, sal_intake_blame(in, SAL_FAULT_DUMP_NAME, SAL_E_MALFORMED),
                        "a dump cannot be named \"%s\"", base);
    }
    apr_cpystrn(in->dump, base, sizeof(in->dump));
    while (json_object_get(in->checksums, in->dump)) {
        char suffix[16];
        /* Counted on, not from the start: a form of one name 4096 times must stay cheap. */
        int len = snprintf(suffix, sizeof(suffix), "_%d", next_number(in, base));

        snprintf(in->dump, sizeof(in->dump), "%.*s%s", DUMP_NAME_MAX - len, base, suffix);
    }
    if (strcmp(in->dump, base)) {
        sal_annotations_note(in->annotations, "duplicate dump %s stored as %s", base, in->dump);
    }
    return APR_SUCCESS;
}

static apr_status_t begin_dump(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv = sal_intake_need_writer(in, err);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    in->kind = PART_DUMP;
    in->dump_size = 0;
    rv = sal_crash_dump_begin(in->writer, in->dump, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

/* Over the limit: fatal for the main dump, a side file is dropped. */
static apr_status_t dump_too_large(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv;

    if (!strcmp(in->dump, MAIN_DUMP)) {
        return sal_fail(err, sal_intake_blame(in, SAL_FAULT_TOO_LARGE, SAL_E_TOOBIG),
                        "dump over %" APR_UINT64_T_FMT " bytes", in->limits.dump);
    }
    sal_annotations_note(in->annotations, "dump over %" APR_UINT64_T_FMT " bytes dropped: %s",
                         in->limits.dump, in->dump);
    in->kind = PART_DROP;
    rv = sal_crash_dump_drop(in->writer, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

/* Sentry's Crashpad sends what the report is of in a file; a small one is remembered. */
static void keep_event(sal_intake_t *in, const char *data, apr_size_t size)
{
    char *grown;

    if (strcmp(in->dump, EVENT_FILE) || in->event_size + size > EVENT_MAX) {
        return;
    }
    grown = realloc(in->event, in->event_size + size + 1);
    if (grown) {
        memcpy(grown + in->event_size, data, size);
        in->event = grown;
        in->event_size += size;
    }
}

static apr_status_t dump_data(sal_intake_t *in, const char *data, apr_size_t size, sal_error_t *err)
{
    apr_status_t rv;

    if (in->dump_size < 4) { /* the magic may have been cut from its head by a nested form */
        for (apr_size_t i = 0; i < size && in->dump_size + i < 4; i++) {
            in->head[in->dump_size + i] = data[i];
        }
        in->head_len = (apr_size_t)in->dump_size + size < 4 ? (apr_size_t)in->dump_size + size : 4;
    }
    keep_event(in, data, size);
    in->dump_size += size;
    if (in->dump_size > in->limits.dump) {
        return dump_too_large(in, err);
    }
    rv = sal_crash_dump_data(in->writer, data, size, err);
    return rv == APR_SUCCESS ? rv : store_failed(in, rv);
}

static void note_magic(sal_intake_t *in)
{
    const char *head = in->head;

    if (strncmp(in->dump, MAIN_DUMP, strlen(MAIN_DUMP))) {
        return; /* a log, a memory report: anything goes */
    }
    if (in->head_len >= 4 && (!memcmp(head, "MDMP", 4) || !memcmp(head, "PMDM", 4))) {
        return;
    }
    if (in->head_len >= 2 && !memcmp(head, "\x1f\x8b", 2)) {
        sal_annotations_note(in->annotations, "dump compressed with gzip: %s", in->dump);
    } else if (in->head_len >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4)) {
        sal_annotations_note(in->annotations, "dump compressed with zstd: %s", in->dump);
    } else {
        sal_annotations_note(in->annotations, "dump without minidump magic: %s", in->dump);
    }
}

static apr_status_t end_dump(sal_intake_t *in, sal_error_t *err)
{
    char sha[65];
    apr_status_t rv = sal_crash_dump_end(in->writer, sha, NULL, err);

    if (rv != APR_SUCCESS) {
        return store_failed(in, rv);
    }
    json_object_set_new(in->checksums, in->dump, json_string(sha));
    note_magic(in);
    return APR_SUCCESS;
}

/* ---- a form inside a dump: an old Linux SDK wraps its upload twice ---- */

static apr_status_t nested_begin(void *baton, const sal_part_t *part, sal_error_t *err)
{
    sal_intake_t *in = baton;

    (void)err;
    in->nested_taking = !in->nested_found && part->name && !strcmp(part->name, MAIN_DUMP);
    in->nested_found |= in->nested_taking;
    return APR_SUCCESS;
}

static apr_status_t nested_data(void *baton, const char *data, apr_size_t size, sal_error_t *err)
{
    sal_intake_t *in = baton;

    /* A dump that went over its limit is PART_DROP by now. */
    return in->nested_taking && in->kind == PART_NESTED ? dump_data(in, data, size, err)
                                                        : APR_SUCCESS;
}

static apr_status_t nested_end(void *baton, sal_error_t *err)
{
    (void)err;
    ((sal_intake_t *)baton)->nested_taking = false;
    return APR_SUCCESS;
}

static const sal_multipart_events_t nested_events = { nested_begin, nested_data, nested_end, NULL };

/* The boundary if [head, head+len) is a first delimiter line, in out. */
static bool is_delimiter_line(const char *head, apr_size_t len, char *out)
{
    apr_size_t n = 0;

    for (const char *s = head + 2; s < head + len && *s != '\r'; s++) {
        if (!isalnum((unsigned char)*s) && !strchr("'()+_,-./:=?", *s)) {
            return false;
        }
        out[n++] = *s;
    }
    out[n] = '\0';
    return n > 0 && n <= SAL_MULTIPART_BOUNDARY_MAX && n + 4 == len && head[len - 1] == '\n';
}

static apr_status_t begin_nested(sal_intake_t *in, const char *boundary, sal_error_t *err)
{
    apr_status_t rv =
        sal_multipart_make(&in->nested, boundary, 64, &nested_events, in, in->pool, err);

    if (rv == APR_SUCCESS) {
        rv = begin_dump(in, err);
    }
    in->kind = PART_NESTED;
    sal_annotations_note(in->annotations, "dump is itself a form, its minidump taken: %s",
                         in->dump);
    return rv;
}

static apr_status_t feed_nested(sal_intake_t *in, const char *data, apr_size_t size)
{
    sal_error_t why;
    apr_status_t rv = sal_multipart_feed(in->nested, data, size, &why);

    /* A broken inner form ends the dump where it breaks; only our own failures count. */
    return in->fault == SAL_FAULT_NONE ? APR_SUCCESS : rv;
}

/* ---- the first bytes of a dump decide what it is ---- */

/* What was gathered in head goes where it belongs; the part is PART_DUMP or PART_NESTED then. */
static apr_status_t decide(sal_intake_t *in, sal_error_t *err)
{
    char boundary[SNIFF_MAX + 1], head[SNIFF_MAX];
    apr_size_t len = in->head_len;
    apr_status_t rv;

    memcpy(head, in->head, len);
    in->head_len = 0;
    if (!in->nested && len >= 4 && is_delimiter_line(head, len, boundary)) {
        rv = begin_nested(in, boundary, err);
        return rv == APR_SUCCESS ? feed_nested(in, head, len) : rv;
    }
    rv = begin_dump(in, err);
    return rv == APR_SUCCESS && len ? dump_data(in, head, len, err) : rv;
}

/* Takes bytes until it is clear whether the dump begins with a delimiter line. */
static apr_status_t sniff(sal_intake_t *in, const char **data, apr_size_t *size, sal_error_t *err)
{
    while (*size && in->head_len < SNIFF_MAX) {
        char c = *(*data)++;

        *size -= 1;
        in->head[in->head_len++] = c;
        if ((in->head_len <= 2 && c != '-') || c == '\n') {
            return decide(in, err);
        }
    }
    return in->head_len == SNIFF_MAX ? decide(in, err) : APR_SUCCESS;
}

/* ---- a file part ---- */

apr_status_t sal_intake_file_begin(sal_intake_t *in, const char *name, sal_error_t *err)
{
    in->kind = PART_SNIFF;
    in->head_len = 0;
    return name_dump(in, name, err);
}

apr_status_t sal_intake_file_data(sal_intake_t *in, const char *data, apr_size_t size,
                                  sal_error_t *err)
{
    apr_status_t rv = APR_SUCCESS;

    if (in->kind == PART_SNIFF) {
        rv = sniff(in, &data, &size, err);
    }
    if (rv != APR_SUCCESS || !size) {
        return rv;
    }
    switch (in->kind) {
    case PART_DUMP:
        return dump_data(in, data, size, err);
    case PART_NESTED:
        return feed_nested(in, data, size);
    default:
        return APR_SUCCESS;
    }
}

apr_status_t sal_intake_file_end(sal_intake_t *in, sal_error_t *err)
{
    apr_status_t rv = in->kind == PART_SNIFF ? decide(in, err) : APR_SUCCESS;

    if (rv == APR_SUCCESS && (in->kind == PART_DUMP || in->kind == PART_NESTED)) {
        rv = end_dump(in, err);
    }
    return rv;
}
