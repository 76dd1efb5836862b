/*
 * Patterns of searches: Lucene's syntax to the server's, and texts to patterns of words. Beyond not
 * crashing: what is refused says why; what is written is anchored, bounded, and closes what it
 * opens.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/text.h"
#include "search/regex.h"
#include "search/words.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *root;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return apr_pool_create(&root, NULL);
}

/* Parentheses and brackets that are no literals stand in pairs. */
static void check_pairs(const char *s)
{
    int depth = 0;

    for (; *s; s++) {
        if (*s == '\\') {
            s++;
        } else if (*s == '[') {
            for (s++; *s != ']'; s++) {
                s += *s == '\\';
                if (!*s) {
                    abort();
                }
            }
        } else if (*s == '(' || *s == ')') {
            depth += *s == '(' ? 1 : -1;
        }
        if (depth < 0) {
            abort();
        }
    }
    if (depth != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *p;
    sal_error_t err = { 0 };
    const char *text, *out = NULL;

    apr_pool_create(&p, root);
    text = sal_utf8_clean((const char *)data, size, p);
    if (sal_regex_translate(&out, text, p, &err) == APR_SUCCESS) {
        apr_size_t n = strlen(out);

        if (strncmp(out, "^(?:", 4) != 0 || strcmp(out + n - 2, ")$") != 0 ||
            n > 12 * SAL_REGEX_MAX) {
            abort();
        }
        check_pairs(out);
    } else if (!err.message[0]) {
        abort();
    }
    if (sal_words_pattern(&out, text, p, &err) == APR_SUCCESS && out) {
        check_pairs(out);
    }
    apr_pool_destroy(p);
    return 0;
}
