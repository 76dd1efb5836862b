/*
 * salvage.conf from arbitrary text: it is refused with a message or every value can be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "base/conf.h"

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

/* What was accepted must be usable: absolute paths, numbers that are no fallback. */
static void use(const sal_conf_t *conf)
{
    static const char *const paths[] = { "crash-store", "symbol-store", "symcache", "siglists" };
    static const char *const numbers[] = { "workers", "lease", "symcache-size", "stackwalk-timeout",
                                           "stackwalk-memory" };
    const char *const *list = sal_conf_list(conf, "symbols-path");

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (*sal_conf_get(conf, paths[i], "/") != '/') {
            abort();
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (sal_conf_get(conf, numbers[i], NULL) && sal_conf_int(conf, numbers[i], -1) < 0) {
            abort();
        }
    }
    for (; *list; list++) {
        if (**list != '/') {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sal_error_t err = { .message = "" };
    sal_conf_t *conf = NULL;
    apr_pool_t *p;

    apr_pool_create(&p, root);
    if (sal_conf_parse(&conf, apr_pstrmemdup(p, (const char *)data, size), size, "/etc/x.conf", p,
                       &err) == APR_SUCCESS) {
        use(conf);
    } else if (!*err.message || strchr(err.message, '\n')) {
        abort();
    }
    apr_pool_destroy(p);
    return 0;
}
