/*
 * JSON values as Python prints them, because Mozilla's throttle rules compare such text: null is
 * None, true is True, containers have single quotes and blanks.
 */
#ifndef SAL_CRASH_PYTHON_TEXT_H
#define SAL_CRASH_PYTHON_TEXT_H

#include "base/error.h"

/* Containers are converted up to here; the text of longer ones ends there. */
#define SAL_PYTHON_TEXT_MAX 65536

/*
 * The text of a JSON value that is no string: kind is its first byte, json its valid, compact JSON
 * text (not needed for null). In p, or json itself where it is the same.
 */
SAL_API const char *sal_python_text(char kind, const char *json, apr_pool_t *p);

#endif
