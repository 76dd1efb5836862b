/*
 * Any bytes as an ELF file: its symbols or an error, within bounds of time and memory. What is
 * written must be lines of text of the known kinds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <apr_general.h>
#include "dumpsyms/dumpsyms.h"

enum { MAX_OUTPUT = 4 << 20 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return apr_initialize();
}

static void check_text(const char *text, size_t size)
{
    static const char *const kinds[] = { "MODULE ", "INFO ",   "FILE ",   "INLINE_ORIGIN ",
                                         "FUNC ",   "INLINE ", "PUBLIC ", "STACK CFI " };
    const char *end = text + size;

    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        int known = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f');

        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            known |= !strncmp(text, kinds[i], strlen(kinds[i]));
        }
        if (!eol || !known || memchr(text, '\0', (size_t)(eol - text))) {
            abort();
        }
        text = eol + 1;
    }
}

static void dump(const char *path, apr_pool_t *p)
{
    sal_dumpsyms_opts_t opts = { .no_search = true, .threads = 1, .max_output = MAX_OUTPUT };
    sal_dumpsyms_info_t info;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out) {
        if (sal_dumpsyms_write(out, &info, path, &opts, p, NULL) == APR_SUCCESS) {
            fclose(out);
            check_text(text, size);
        } else {
            fclose(out);
        }
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("elf", MFD_CLOEXEC);
    char path[32];
    apr_pool_t *p;

    if (fd < 0) {
        return 0;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    apr_pool_create(&p, NULL);
    if (write(fd, data, size) == (ssize_t)size) {
        dump(path, p);
    }
    apr_pool_destroy(p);
    close(fd);
    return 0;
}
