/* A directory of one test, made empty before it and removed after it. */
#ifndef TESTS_UNIT_TEMP_DIR_H
#define TESTS_UNIT_TEMP_DIR_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_pools.h>
#include <apr_strings.h>

static const char *temp_dir;

static inline const char *temp_path(const char *name, apr_pool_t *p)
{
    return apr_pstrcat(p, temp_dir, "/", name, NULL);
}

static inline void temp_make(apr_pool_t *p)
{
    const char *base = getenv("TMPDIR");
    char *path = apr_pstrcat(p, base && *base ? base : "/tmp", "/salvage-test.XXXXXX", NULL);

    temp_dir = mkdtemp(path);
    if (!temp_dir) {
        perror("mkdtemp");
        exit(99);
    }
}

static inline void temp_remove(apr_pool_t *p)
{
    char *command =
        apr_pstrcat(p, "chmod -R u+rwx '", temp_dir, "'; rm -rf '", temp_dir, "'", NULL);

    if (system(command) != 0) {
        perror(command);
    }
}

static inline void temp_write(const char *name, const char *text, apr_pool_t *p)
{
    FILE *f = fopen(temp_path(name, p), "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(name);
        exit(99);
    }
}

#endif
