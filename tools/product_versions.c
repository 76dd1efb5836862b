/*
 * salvage product versions: which build is which version, and which versions crashes come from.
 */
#include "product_versions.h"

#include <stdio.h>
#include <string.h>
#include "input.h"
#include "triage/versions.h"

static int print(const sal_rows_t *rows, const char *heading, int columns)
{
    puts(heading);
    for (int i = 0; i < sal_rows_count(rows); i++) {
        for (int c = 0; c < columns; c++) {
            printf("%s%s", sal_rows_text(rows, i, c), c + 1 < columns ? "\t" : "\n");
        }
    }
    return CMD_OK;
}

static int import(const char **args, sal_db_t *db, apr_pool_t *p)
{
    sal_product_version_t *list;
    sal_error_t err;
    int64_t added;
    char *text;
    size_t size;
    int n;

    if (tool_read_file(&text, &size, args[0], p) != CMD_OK) {
        return CMD_FAILED;
    }
    if (sal_versions_read(&list, &n, text, size, p, &err) != APR_SUCCESS ||
        sal_versions_put(&added, list, n, db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    printf("%d builds, %lld new\n", n, (long long)added);
    return CMD_OK;
}

static int list(const char **args, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    return sal_versions_list(&rows, args[0], db, p, &err) == APR_SUCCESS
               ? print(rows, "product\tchannel\tmajor\trelease\tversion\tbuild\turl", 7)
               : cmd_fail_err(&err);
}

static int seen(const char **args, sal_db_t *db, apr_pool_t *p)
{
    sal_rows_t *rows;
    sal_error_t err;

    return sal_versions_seen(&rows, args[0], db, p, &err) == APR_SUCCESS
               ? print(rows, "product\tversion\tchannel\tbuild\tfirst\tlast\tcrashes", 7)
               : cmd_fail_err(&err);
}

static int lookup(const char **args, sal_db_t *db, apr_pool_t *p)
{
    const char **versions;
    sal_error_t err;

    if (sal_version_lookup(&versions, args[0], args[1], args[2], db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    if (!*versions) {
        return cmd_fail("nothing is known of this build");
    }
    for (; *versions; versions++) {
        puts(*versions);
    }
    return CMD_OK;
}

static int active(const char **args, sal_db_t *db, apr_pool_t *p)
{
    const char **featured;
    sal_rows_t *rows;
    sal_error_t err;

    if (sal_versions_active(&rows, args[0], db, p, &err) != APR_SUCCESS ||
        sal_versions_featured(&featured, args[0], db, p, &err) != APR_SUCCESS) {
        return cmd_fail_err(&err);
    }
    puts("version\tcrashes\tfeatured");
    for (int i = 0; i < sal_rows_count(rows); i++) {
        const char **f = featured;

        while (*f && strcmp(*f, sal_rows_text(rows, i, 0))) {
            f++;
        }
        printf("%s\t%s\t%s\n", sal_rows_text(rows, i, 0), sal_rows_text(rows, i, 1),
               *f ? "yes" : "");
    }
    return CMD_OK;
}

static const struct {
    const char *name;
    int min, max;
    int (*run)(const char **args, sal_db_t *db, apr_pool_t *p);
} verbs[] = { { "import", 1, 1, import },
              { "list", 0, 1, list },
              { "lookup", 3, 3, lookup },
              { "seen", 0, 1, seen },
              { "active", 1, 1, active } };

int product_versions(const char **args, int n, const char *conf, apr_pool_t *p)
{
    for (apr_size_t i = 0; n && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const char *given[4] = { NULL };
        sal_db_t *db;

        if (strcmp(args[0], verbs[i].name) || n - 1 < verbs[i].min || n - 1 > verbs[i].max) {
            continue;
        }
        for (int k = 1; k < n; k++) {
            given[k - 1] = args[k];
        }
        db = cmd_db_open(conf, p);
        return db ? verbs[i].run(given, db, p) : CMD_FAILED;
    }
    return cmd_usage(USAGE_VERSIONS, "say import, list, lookup, seen or active");
}
