/*
 * Crash signatures: crash data in, signature and notes out, by Socorro's algorithm and lists.
 *
 * Crash data is the flat JSON object of docs/signature.md; a missing member counts as null. All
 * limits count code points. Text may hold NUL until the last rules have run, so texts come with
 * their length.
 */
#ifndef SAL_SIGNATURE_SIGNATURE_H
#define SAL_SIGNATURE_SIGNATURE_H

#include <jansson.h>
#include "base/error.h"

typedef struct sal_siglists_t sal_siglists_t;

/*
 * Loads irrelevant, prefix, sentinel and line-number lists of a directory. Shared by threads.
 * A missing or empty file matches nothing (and is logged); a line that is no regular expression
 * is SAL_E_MALFORMED with the file and the line's index. APR_ENOENT: no such directory.
 */
SAL_API apr_status_t sal_siglists_load(sal_siglists_t **out, const char *dir, apr_pool_t *p,
                                       sal_error_t *err);

typedef struct sal_signature_line_t {
    const char *text; /* NUL-terminated; may hold NUL too */
    apr_size_t size;
} sal_signature_line_t;

typedef struct sal_signature_lines_t {
    const sal_signature_line_t *line;
    apr_size_t n;
} sal_signature_lines_t;

typedef struct sal_signature_t {
    const char *signature;       /* never NULL; printable ASCII, at most 255 characters */
    const char *proto_signature; /* NULL if not set; may be megabytes, may hold NUL */
    apr_size_t proto_size;       /* bytes of proto_signature */
    sal_signature_lines_t notes, debug;
} sal_signature_t;

/* Lines as a JSON array of strings: a new reference. */
SAL_API json_t *sal_signature_lines_json(const sal_signature_lines_t *lines);
/* Lines joined by line feeds, in p; never NULL. */
SAL_API const char *sal_signature_lines_text(const sal_signature_lines_t *lines, apr_pool_t *p);

/* Crash data of a processed crash, as Socorro's convert_to_crash_data makes it. New reference. */
SAL_API json_t *sal_crash_data_of(const json_t *processed);

/* Never fails: a rule that fails leaves a note. Texts live in p. */
SAL_API void sal_signature_make(sal_signature_t *out, const json_t *crash_data,
                                const sal_siglists_t *lists, apr_pool_t *p);

/*
 * The same, and why it is so: each frame as it came and normalised, the list, file, line and
 * expression that decided about it, and what each rule changed (docs/signature.md, "Explain").
 * A new reference.
 */
SAL_API json_t *sal_signature_explain(sal_signature_t *out, const json_t *crash_data,
                                      const sal_siglists_t *lists, apr_pool_t *p);

/* An explanation as lines of text for a terminal, in p. */
SAL_API const char *sal_signature_explain_text(const json_t *why, apr_pool_t *p);

#endif
