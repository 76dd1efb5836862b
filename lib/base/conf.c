/*
 * salvage.conf. The table of keys below is the only list of what exists; every value is checked
 * while the file is read, so that a mistake is reported with its line and not at first use.
 */
#include "base/conf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <apr_file_info.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "base/file.h"
#include "base/text.h"

#define CONF_BYTES_MAX (1 << 20)
#define FAMILY_SHOWN 1 /* keys that begin alike and are named one by one */
#define LIKELY 6       /* changes that make a wrong key of a right one */

typedef enum { TEXT, TEXTS, PATH, PATHS, ONOFF, COUNT, SIZE, DURATION } kind_t;

typedef struct key_t {
    const char *name;
    kind_t kind;
} conf_key_t;

static const conf_key_t keys[] = {
    { "alert-mail-command", TEXT },
    { "alert-mail-domains", TEXT },
    { "alert-mail-from", TEXT },
    { "audit-domains", TEXTS },
    { "beta-version-products", TEXT },
    { "bug-link", TEXTS },
    { "bug-url", TEXT },
    { "bugzilla-key-file", PATH },
    { "bugzilla-url", TEXT },
    { "build-link", TEXTS },
    { "correlation-days", COUNT },
    { "correlation-signatures", COUNT },
    { "crash-keep", DURATION },
    { "crash-store", PATH },
    { "database", TEXT },
    { "drain", DURATION },
    { "dump-keep", DURATION },
    { "dump-memory", SIZE },
    { "dump-timeout", DURATION },
    { "exporter", ONOFF },
    { "exporter-attempts", COUNT },
    { "exporter-timeout", DURATION },
    { "fields-extra", PATH },
    { "hint-bit-flip", COUNT },
    { "hint-period", DURATION },
    { "hint-places", COUNT },
    { "hint-text-fixed", TEXT },
    { "hint-text-hardware", TEXT },
    { "hint-text-unrelated", TEXT },
    { "hint-window", DURATION },
    { "hints", ONOFF },
    { "htdocs", PATH },
    { "job", TEXTS },
    { "job-keep", DURATION },
    { "job-stuck-leased", DURATION },
    { "job-stuck-ready", DURATION },
    { "keep-first", COUNT },
    { "keep-newest", COUNT },
    { "lease", DURATION },
    { "ledger-keep", DURATION },
    { "metrics-listen", TEXT },
    { "metrics-statsd", TEXT },
    { "pci-ids", PATH },
    { "ping-keep", DURATION },
    { "ping-sample", TEXTS },
    { "process-tables", PATH },
    { "product-version-url", TEXTS },
    { "public-url", TEXT },
    { "reprocess-debounce", DURATION },
    { "reprocess-max-running", COUNT },
    { "reprocess-missing-keep", DURATION },
    { "reprocess-most", COUNT },
    { "reprocess-newest", COUNT },
    { "reprocess-quota", COUNT },
    { "reprocess-rate", COUNT },
    { "reprocess-tries", COUNT },
    { "s3", TEXT },
    { "s3-credentials", PATH },
    { "s3-region", TEXT },
    { "schema", PATH },
    { "search-at-once", COUNT },
    { "search-keep", DURATION },
    { "search-limit", DURATION },
    { "search-limit-anonymous", DURATION },
    { "search-limit-long", DURATION },
    { "search-wait", DURATION },
    { "siglists", PATH },
    { "sign-in-url", TEXT },
    { "sign-out-url", TEXT },
    { "source-link", TEXTS },
    { "stackwalk-memory", SIZE },
    { "stackwalk-timeout", DURATION },
    { "stage-submit", TEXTS },
    { "store-unsafe-fs", ONOFF },
    { "symbol-store", PATH },
    { "symbols-keep", TEXTS },
    { "symbols-path", PATHS },
    { "symbols-upstream", TEXTS },
    { "symbols-upstream-cache", PATH },
    { "symbols-upstream-cache-size", SIZE },
    { "symbols-upstream-connect-timeout", DURATION },
    { "symbols-upstream-max-file", SIZE },
    { "symbols-upstream-negative", DURATION },
    { "symbols-upstream-per-dump", DURATION },
    { "symbols-upstream-timeout", DURATION },
    { "symcache", PATH },
    { "symcache-size", SIZE },
    { "telemetry", TEXTS },
    { "telemetry-batch", COUNT },
    { "telemetry-interval", DURATION },
    { "templates", PATH },
    { "triage-permission", TEXT },
    { "webhook", TEXTS },
    { "workers", COUNT },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

struct sal_conf_t {
    apr_array_header_t *values[KEYS]; /* of const char *; NULL if not set */
};

static int key_index(const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (!strcmp(keys[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

enum { WIDTH = 40 };

/* Levenshtein distance of short names; long ones are far from everything. */
static int distance(const char *a, const char *b)
{
    int row[WIDTH + 1];
    int na = (int)strnlen(a, WIDTH), nb = (int)strnlen(b, WIDTH);

    for (int j = 0; j <= nb; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];

        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[nb];
}

/* "symcache-size" refines "symcache": a list of all keys does without, or it would be cut. */
static int refines(const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        size_t n = strlen(keys[i].name);

        if (!strncmp(name, keys[i].name, n) && name[n] == '-') {
            return 1;
        }
    }
    return 0;
}

/* How many keys begin with the same word; of these, which is this one? */
static int family(size_t index, int *place)
{
    size_t n = strcspn(keys[index].name, "-");
    int count = 0;

    for (size_t i = 0; i < KEYS; i++) {
        if (!refines(keys[i].name) && !strncmp(keys[i].name, keys[index].name, n) &&
            keys[i].name[n] == '-') {
            *place = i == index ? count : *place;
            count++;
        }
    }
    return count;
}

/* A name for the list of all: large families go by their first word. */
static const char *listed(size_t index, apr_pool_t *p)
{
    const char *name = keys[index].name;
    int place = 0;

    if (!strchr(name, '-') || family(index, &place) <= FAMILY_SHOWN) {
        return name;
    }
    return place == 0 ? apr_pstrcat(p, apr_pstrmemdup(p, name, strcspn(name, "-")), "-...", NULL)
                      : NULL;
}

/* All keys, those that are most like it first and by their whole names. */
static void list_all(apr_array_header_t *found, const char *name, apr_pool_t *p)
{
    for (int d = 0; d <= WIDTH; d++) {
        for (size_t i = 0; i < KEYS; i++) {
            const char *shown = distance(name, keys[i].name) != d || refines(keys[i].name) ? NULL
                                : d <= LIKELY ? keys[i].name
                                              : listed(i, p);

            if (shown) {
                APR_ARRAY_PUSH(found, const char *) = shown;
            }
        }
    }
}

/* The keys a mistyped name is closest to; all keys if it is close to none. */
static const char *nearest(const char *name, apr_pool_t *p)
{
    apr_array_header_t *found = apr_array_make(p, KEYS, sizeof(const char *));
    int best = 4;

    for (size_t i = 0; i < KEYS; i++) {
        int d = distance(name, keys[i].name);

        best = d < best ? d : best;
    }
    for (size_t i = 0; i < KEYS && best < 4; i++) {
        if (distance(name, keys[i].name) == best) {
            APR_ARRAY_PUSH(found, const char *) = keys[i].name;
        }
    }
    if (best >= 4) {
        list_all(found, name, p);
    }
    return apr_pstrcat(p, best >= 4 ? "keys are " : "did you mean ",
                       apr_array_pstrcat(p, found, ' '), NULL);
}

static int parse_onoff(const char *s)
{
    if (!strcasecmp(s, "on") || !strcasecmp(s, "yes") || !strcmp(s, "1")) {
        return 1;
    }
    return !strcasecmp(s, "off") || !strcasecmp(s, "no") || !strcmp(s, "0") ? 0 : -1;
}

/* Number behind a value; false if it has none or is out of range. */
static bool number_of(kind_t kind, const char *s, int64_t *v)
{
    uint64_t size;

    switch (kind) {
    case COUNT:
        return sal_parse_int(s, 0, 1000000, v);
    case SIZE:
        if (!sal_parse_size(s, &size) || size > INT64_MAX) {
            return false;
        }
        *v = (int64_t)size;
        return true;
    case DURATION:
        return sal_parse_duration(s, v);
    case ONOFF:
        *v = parse_onoff(s);
        return *v >= 0;
    default:
        return sal_parse_int(s, INT64_MIN, INT64_MAX, v);
    }
}

static const char *expectation(kind_t kind)
{
    switch (kind) {
    case COUNT:
        return "a number from 0 to 1000000";
    case SIZE:
        return "a size such as 20G";
    case DURATION:
        return "a duration such as 30s or 5min";
    default:
        return "on or off";
    }
}

typedef struct reading_t {
    sal_conf_t *conf;
    const char *path, *dir;
    int line;
    apr_pool_t *p;
    sal_error_t *err;
} reading_t;

/* Relative paths are relative to the file, never to where a program happened to be started. */
static apr_status_t absolute(const char **out, const char *value, const reading_t *r)
{
    char *merged;
    apr_status_t rv = apr_filepath_merge(&merged, r->dir, value, APR_FILEPATH_NOTRELATIVE, r->p);

    if (rv != APR_SUCCESS) {
        return sal_fail_os(r->err, APR_EINVAL, "%s line %d: path \"%s\"", r->path, r->line, value);
    }
    *out = merged;
    return APR_SUCCESS;
}

static apr_status_t store(const reading_t *r, int index, const char *value)
{
    kind_t kind = keys[index].kind;
    apr_array_header_t **values = &r->conf->values[index];
    apr_status_t rv;
    int64_t number;

    if (kind == PATH || kind == PATHS) {
        if ((rv = absolute(&value, value, r)) != APR_SUCCESS) {
            return rv;
        }
    } else if (kind != TEXT && kind != TEXTS && !number_of(kind, value, &number)) {
        return sal_fail(r->err, APR_EINVAL, "%s line %d: %s: \"%s\" is not %s", r->path, r->line,
                        keys[index].name, value, expectation(kind));
    }
    if (!*values || (kind != PATHS && kind != TEXTS)) {
        *values = apr_array_make(r->p, 1, sizeof(const char *));
    }
    APR_ARRAY_PUSH(*values, const char *) = value;
    return APR_SUCCESS;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *trim(char *s)
{
    char *end;

    while (is_blank(*s)) {
        s++;
    }
    end = s + strlen(s);
    while (end > s && is_blank(end[-1])) {
        *--end = '\0';
    }
    return s;
}

static apr_status_t read_line(const reading_t *r, char *line)
{
    char *value;
    int index;

    line = trim(line);
    if (!*line || *line == '#') {
        return APR_SUCCESS;
    }
    value = line + strcspn(line, " \t");
    if (*value) {
        *value++ = '\0';
    }
    index = key_index(line);
    if (index < 0) {
        return sal_fail(r->err, APR_EINVAL, "%s line %d: unknown key \"%s\"; %s", r->path, r->line,
                        sal_utf8_clean(line, strnlen(line, 60), r->p), nearest(line, r->p));
    }
    value = trim(value);
    if (!*value) {
        return sal_fail(r->err, APR_EINVAL, "%s line %d: %s has no value", r->path, r->line, line);
    }
    return store(r, index, value);
}

/* Absolute directory of the file itself. */
static apr_status_t dir_of(const char **out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    char *full;
    const char *slash;
    apr_status_t rv = apr_filepath_merge(&full, NULL, path, 0, p);

    if (rv != APR_SUCCESS) {
        return sal_fail_os(err, rv, "path %s", path);
    }
    slash = strrchr(full, '/');
    *out = slash && slash != full ? apr_pstrmemdup(p, full, (apr_size_t)(slash - full)) : "/";
    return APR_SUCCESS;
}

apr_status_t sal_conf_parse(sal_conf_t **out, char *text, apr_size_t size, const char *path,
                            apr_pool_t *p, sal_error_t *err)
{
    reading_t r = { apr_pcalloc(p, sizeof(sal_conf_t)), path, NULL, 0, p, err };
    char *next;
    apr_status_t rv;

    if ((rv = dir_of(&r.dir, path, p, err)) != APR_SUCCESS) {
        return rv;
    }
    if (!sal_utf8_valid(text, size)) {
        return sal_fail(err, APR_EINVAL, "%s is not UTF-8 text", path);
    }
    for (; text; text = next) {
        next = strchr(text, '\n');
        if (next) {
            *next++ = '\0';
        }
        r.line++;
        if ((rv = read_line(&r, text)) != APR_SUCCESS) {
            return rv;
        }
    }
    for (size_t i = 0; i < KEYS; i++) {
        if (r.conf->values[i]) { /* lists end with NULL; it is not counted */
            APR_ARRAY_PUSH(r.conf->values[i], const char *) = NULL;
            r.conf->values[i]->nelts--;
        }
    }
    *out = r.conf;
    return APR_SUCCESS;
}

apr_status_t sal_conf_read(sal_conf_t **out, const char *path, apr_pool_t *p, sal_error_t *err)
{
    char *text;
    apr_size_t size;
    apr_status_t rv = sal_file_read(&text, &size, path, CONF_BYTES_MAX, p, err);

    return rv == APR_SUCCESS ? sal_conf_parse(out, text, size, path, p, err) : rv;
}

static const apr_array_header_t *values_of(const sal_conf_t *conf, const char *key)
{
    int index = key_index(key);

    return index < 0 ? NULL : conf->values[index];
}

const char *sal_conf_get(const sal_conf_t *conf, const char *key, const char *fallback)
{
    const apr_array_header_t *values = values_of(conf, key);

    return values ? APR_ARRAY_IDX(values, values->nelts - 1, const char *) : fallback;
}

const char *const *sal_conf_list(const sal_conf_t *conf, const char *key)
{
    static const char *const none[] = { NULL };
    const apr_array_header_t *values = values_of(conf, key);

    return values ? (const char *const *)values->elts : none;
}

int sal_conf_on(const sal_conf_t *conf, const char *key, int fallback)
{
    const char *value = sal_conf_get(conf, key, NULL);
    int on = value ? parse_onoff(value) : -1;

    return on < 0 ? fallback : on;
}

apr_int64_t sal_conf_int(const sal_conf_t *conf, const char *key, apr_int64_t fallback)
{
    const char *value = sal_conf_get(conf, key, NULL);
    int64_t number;

    return value && number_of(keys[key_index(key)].kind, value, &number) ? number : fallback;
}
