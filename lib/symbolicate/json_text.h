/*
 * JSON read in place: one check of the whole text, then cursors over it. A request of sixty
 * thousand frames costs no tree.
 *
 * All functions but symbolicate_json_check take text that passed it; they cannot run off its end.
 */
#ifndef SYMBOLICATE_JSON_TEXT_H
#define SYMBOLICATE_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <apr_pools.h>

/* RFC 8259, UTF-8, nested at most 64 deep, integers of at most 4300 digits; text ends in NUL. */
bool symbolicate_json_check(const char *text, apr_size_t len);

/* Next byte that is not white space. */
const char *js_space(const char *p);

/* Behind the value at p. */
const char *js_skip(const char *p);

/*
 * Elements of an array: p = js_first(array); p; p = js_next(p). NULL at the end, or if `array`
 * is no array.
 */
const char *js_first(const char *array);
const char *js_next(const char *p);
bool js_is_array(const char *p);

/* Value of a member of an object, of several the last; NULL if none, or if it is no object. */
const char *js_member(const char *object, const char *key, apr_pool_t *p);
bool js_is_object(const char *p);

/* String at p in UTF-8; half surrogates and NUL become U+FFFD. NULL if it is no string. */
const char *js_text(const char *p, apr_pool_t *pool);

/* An integer: JSON's, without fraction or exponent. */
typedef struct js_int_t {
    bool negative; /* never for 0 */
    bool big;      /* magnitude over 64 bits: read its digits */
    uint64_t magnitude;
    const char *digits;
} js_int_t;
bool js_integer(const char *p, js_int_t *v);

/* Lower-case hex of a decimal of any length, no prefix. */
const char *js_big_hex(const char *digits, apr_pool_t *pool);

#endif
