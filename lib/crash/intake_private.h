/*
 * The inside of an intake: what intake.c and intake_dump.c share. Private to the room.
 */
#ifndef SAL_CRASH_INTAKE_PRIVATE_H
#define SAL_CRASH_INTAKE_PRIVATE_H

#include "crash/envelope.h"
#include "crash/inflate.h"
#include "crash/intake.h"
#include "crash/multipart.h"

#define DUMP_NAME_MAX 30
#define MAIN_DUMP "upload_file_minidump"
#define EVENT_FILE "__sentryevent" /* what remains of "__sentry-event" */
#define EVENT_MAX (256 << 10)
#define SNIFF_MAX (SAL_MULTIPART_BOUNDARY_MAX + 4) /* "--", a boundary, CR LF */

typedef enum {
    PART_NONE,
    PART_DROP, /* read over */
    PART_TEXT,
    PART_JSON,
    PART_SNIFF, /* a dump whose first bytes are still being gathered */
    PART_DUMP,
    PART_NESTED /* a dump that is itself a form: only its minidump is kept */
} kind_t;

struct sal_intake_t {
    sal_crash_store_t *store;
    sal_intake_limits_t limits;
    apr_pool_t *pool;
    apr_time_t now;
    sal_fault_t fault;
    sal_inflate_t *inflate;
    sal_multipart_t *form; /* of these, what the body is; neither: it is a dump */
    sal_envelope_t *envelope;
    sal_annotations_t *annotations;
    sal_crash_writer_t *writer; /* made with the first dump */
    json_t *checksums;          /* dump name -> SHA-256 */
    json_t *numbers;            /* dump name -> number given last to one of the same name */

    kind_t kind;
    char *name; /* of a text part, malloced */
    char charset[64];
    char *text; /* of a text or JSON part, malloced, used for all of them */
    apr_size_t text_size, text_room, text_max;
    bool too_large;

    char dump[DUMP_NAME_MAX + 1];
    apr_uint64_t dump_size;
    char head[SNIFF_MAX]; /* first bytes of a dump */
    apr_size_t head_len;
    char *event; /* the file __sentry-event, malloced */
    apr_size_t event_size;
    sal_multipart_t *nested; /* one a report */
    bool nested_taking, nested_found;
};

/* Remembers whose fault a failure is; returns rv. */
apr_status_t sal_intake_blame(sal_intake_t *in, sal_fault_t fault, apr_status_t rv);
/* The writer, made with the first dump or id. */
apr_status_t sal_intake_need_writer(sal_intake_t *in, sal_error_t *err);

/* ---- intake_dump.c: a file part, from its name to its end ---- */
apr_status_t sal_intake_file_begin(sal_intake_t *in, const char *name, sal_error_t *err);
apr_status_t sal_intake_file_data(sal_intake_t *in, const char *data, apr_size_t size,
                                  sal_error_t *err);
apr_status_t sal_intake_file_end(sal_intake_t *in, sal_error_t *err);

#endif
