/*
 * Counted UTF-8 text for the signature room: slices, a growing buffer, and the few notions of text
 * that Socorro inherits from Python (blanks, truth, int(), str()). Knows nothing of signatures.
 */
#ifndef SAL_SIGNATURE_SIG_TEXT_H
#define SAL_SIGNATURE_SIG_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <jansson.h>
#include <apr_pools.h>

/* Bytes we do not own; valid UTF-8 (jansson made it), NUL included. */
typedef struct str_t {
    const char *s;
    size_t n;
} str_t;

#define STR(lit) ((str_t){ (lit), sizeof(lit) - 1 })

typedef struct buf_t {
    char *s;
    size_t n, cap;
    apr_pool_t *p;
} buf_t;

void sig_buf_init(buf_t *b, apr_pool_t *p);
/* With room for n bytes. */
void sig_buf_reserve(buf_t *b, size_t n, apr_pool_t *p);
void sig_buf_add(buf_t *b, const char *s, size_t n);
void sig_buf_str(buf_t *b, str_t v);
void sig_buf_lit(buf_t *b, const char *s);
/* The content, NUL-terminated. */
str_t sig_buf_done(buf_t *b);
/* a + b + c in p; any may be empty. */
str_t sig_cat(apr_pool_t *p, str_t a, str_t b, str_t c);

bool sig_eq(str_t a, str_t b);
bool sig_starts(str_t s, str_t with);
bool sig_ends(str_t s, str_t with);
/* Offset of the first occurrence at or after `from`, or SIZE_MAX. */
size_t sig_find(str_t s, str_t what, size_t from);
bool sig_has(str_t s, str_t what);
str_t sig_sub(str_t s, size_t from, size_t to);

/* Code point at *i, which moves on. */
uint32_t sig_next(str_t s, size_t *i);
bool sig_is_blank(uint32_t c);
/* Without Unicode blanks at both ends. */
str_t sig_strip(str_t s);
/* Only U+0020 to U+007E. */
bool sig_printable(str_t s);
size_t sig_points(str_t s);
/* The first n code points. */
str_t sig_head(str_t s, size_t n);

/* Python's notions. */
bool sig_truthy(const json_t *v);
str_t sig_of(const json_t *v);                   /* of a JSON string */
str_t sig_pystr(const json_t *v, apr_pool_t *p); /* str(v) */
/* int(text): blanks, sign, digits with single '_' between; clamped to 64 bits. */
bool sig_pyint(str_t s, int64_t *v);

#endif
