/*
 * Finding the heads in .sym text without looking at the lines between them. Private to the room.
 */
#ifndef SYMBOLS_SYMFILE_SKIM_H
#define SYMBOLS_SYMFILE_SKIM_H

#include <stdbool.h>

/*
 * The start of the next line that may be a head (MODULE, INFO, FILE, INLINE_ORIGIN, FUNC, PUBLIC);
 * none is passed over. *inside: data is in the midst of a line that is none; so it is at the end,
 * if the result is `end` and *inside is true.
 */
const char *symfile_next_head(const char *data, const char *end, bool *inside);

#endif
