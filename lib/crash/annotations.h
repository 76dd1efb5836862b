/*
 * The annotations of one report while it comes in, and the notes about what was odd.
 *
 * Values are text. They come from text parts and from one JSON part, which replaces what came
 * before it. Ends as the raw crash document.
 */
#ifndef SAL_CRASH_ANNOTATIONS_H
#define SAL_CRASH_ANNOTATIONS_H

#include <stdbool.h>
#include <jansson.h>
#include <apr_time.h>
#include "base/error.h"

#define SAL_ANNOTATION_NAME_MAX 255

typedef struct sal_annotations_t sal_annotations_t;

#define SAL_ANNOTATIONS_MAX 4096 /* names in a report; as many as a form has parts */

/* total_max bounds names and values together; what is over it is dropped with a note. */
SAL_API sal_annotations_t *sal_annotations_make(apr_size_t total_max, apr_pool_t *p);

/*
 * A text part: decoded from charset to UTF-8. What cannot be kept (unknown charset, invalid text,
 * a name over 255 bytes) is dropped with a note.
 */
SAL_API void sal_annotations_text(sal_annotations_t *a, const char *name, const char *value,
                                  apr_size_t size, const char *charset);

/* A JSON part: replaces all annotations. Errors as sal_extra_json_read; text may be changed. */
SAL_API apr_status_t sal_annotations_json(sal_annotations_t *a, char *text, apr_size_t size,
                                          apr_pool_t *p, sal_error_t *err);

/* Adds a line to collector_notes; the number of notes and their length are bounded. */
SAL_API void sal_annotations_note(sal_annotations_t *a, const char *fmt, ...) SAL_PRINTF(2, 3);

/* Value or NULL; valid until the annotation is set again. */
SAL_API const char *sal_annotations_get(const sal_annotations_t *a, const char *name);
/*
 * The value as throttle rules see it, NULL if absent. That of a text part or a JSON string is the
 * value; other JSON values are what Mozilla's throttler makes of them (crash/python_text.h), and a
 * null, which is not stored, is there. In p where it had to be made.
 */
SAL_API const char *sal_annotations_seen(const sal_annotations_t *a, const char *name,
                                         apr_pool_t *p);
SAL_API apr_size_t sal_annotations_count(const sal_annotations_t *a);
SAL_API bool sal_annotations_had_json(const sal_annotations_t *a);
/* All of them, name -> text; borrowed, not to be changed, valid until one is set or dropped. */
SAL_API json_t *sal_annotations_values(const sal_annotations_t *a);

/* Sets one where it is absent; false if it was there, or value is NULL or no UTF-8. */
SAL_API bool sal_annotations_fill(sal_annotations_t *a, const char *name, const char *value);
/* Takes one away, without a note. */
SAL_API void sal_annotations_drop(sal_annotations_t *a, const char *name);

/* Notes that both kinds of fields were seen, if they were. Call at the end of the form. */
SAL_API void sal_annotations_end(sal_annotations_t *a);

/* First value of a query parameter or NULL. */
typedef const char *(*sal_query_fn)(void *baton, const char *name);

/*
 * Copies Google's and Electron's field names to Socorro's where those are absent, then the
 * parameters product/prod and version/ver of the query. query may be NULL.
 */
SAL_API void sal_annotations_map_dialect(sal_annotations_t *a, sal_query_fn query, void *baton);

/* Removes annotations by exact name, each with a note. NULL-terminated. */
SAL_API void sal_annotations_remove(sal_annotations_t *a, const char *const *names);

typedef struct sal_raw_meta_t {
    apr_time_t submitted;
    bool compressed;
    apr_off_t payload_size; /* on the wire */
    const char *user_agent; /* NULL if the header was absent */
    const char *throttle_rule;
    bool overwrite;         /* a stored crash of the same id is replaced */
    const char *address;    /* of the client, already cut; NULL: not to be kept */
    const char *client;     /* keyed hash of its id (lib/hint); NULL: unknown */
    json_t *dump_checksums; /* name -> SHA-256, borrowed */
} sal_raw_meta_t;

/* The raw crash document for crash id; a new reference. The client cannot forge our keys. */
SAL_API json_t *sal_annotations_raw(const sal_annotations_t *a, const char *id,
                                    const sal_raw_meta_t *meta, apr_pool_t *p);

#endif
