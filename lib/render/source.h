/*
 * A source file as numbered lines, with comments, texts and numbers told apart where the file is
 * not large. Lexical only, by what C, C++, Rust, Java and JavaScript have in common: it may be
 * wrong about other languages, never about the text.
 */
#ifndef SAL_RENDER_SOURCE_H
#define SAL_RENDER_SOURCE_H

#include <stdint.h>
#include <jansson.h>
#include "base/error.h"

enum { SAL_SOURCE_PLAIN = 200000, SAL_SOURCE_LINES = 50000 };

/*
 * Puts "lines" into view: {"num", "here", "spans": [{"cls", "text"}]}; "plain": the text was too
 * long to be told apart; "cut": there are more lines. text: valid UTF-8. here: that line, 0: none.
 */
SAL_API void sal_source_view(json_t *view, const char *text, int64_t here, apr_pool_t *p);

#endif
