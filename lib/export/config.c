/*
 * What salvage.conf says of exports. Every value is checked when it is read; nothing is opened.
 */
#include "export/export_private.h"

#include <string.h>
#include <strings.h>
#include <apr_strings.h>
#include "base/file.h"
#include "base/text.h"
#include "export/stage.h"

#define SECRET_MAX 4096
#define INTERVAL 300
#define BATCH 1000
#define BATCH_MAX 20000
#define TIMEOUT 10
#define ATTEMPTS 15

typedef struct reading_t {
    sal_exporter_t *e;
    const sal_conf_t *conf;
    const char *key, *line; /* for the reader */
    apr_pool_t *p;
    sal_error_t *err;
} reading_t;

static apr_status_t wrong(const reading_t *r, const char *what)
{
    return sal_fail(r->err, APR_EINVAL, "%s \"%.200s\": %s", r->key, r->line, what);
}

/* The first line of a file, which is a secret: it may not be left lying about. */
static apr_status_t read_secret(const char **out, const reading_t *r, const char *path)
{
    char *text;
    apr_size_t size;
    sal_error_t why;

    if (*path != '/') {
        return wrong(r, "the path of a file with a secret must begin with /");
    }
    if (sal_file_read(&text, &size, path, SECRET_MAX, r->p, &why) != APR_SUCCESS) {
        return wrong(r, apr_psprintf(r->p, "%.300s", why.message));
    }
    text[strcspn(text, "\r\n")] = '\0';
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f) {
            return wrong(r, "the secret in the file is not printable ASCII");
        }
    }
    if (!*text) {
        return wrong(r, "the first line of the file is empty");
    }
    *out = text;
    return APR_SUCCESS;
}

static bool is_url(const char *text)
{
    const char *host = !strncasecmp(text, "http://", 7)    ? text + 7
                       : !strncasecmp(text, "https://", 8) ? text + 8
                                                           : "";

    return *host && *host != '/' && !strpbrk(text, " \t\"<>");
}

static dest_t *add(const reading_t *r, sal_export_kind_t kind, const char *name)
{
    dest_t *d = apr_array_push(r->e->dests);

    *d = (dest_t){ .row = { .kind = kind, .name = name, .sample = 100 } };
    return d;
}

static bool is_known(const reading_t *r, sal_export_kind_t kind, const char *name)
{
    for (int i = 0; i < r->e->dests->nelts; i++) {
        const dest_t *d = &APR_ARRAY_IDX(r->e->dests, i, dest_t);

        if (d->row.kind == kind && !strcmp(d->row.name, name)) {
            return true;
        }
    }
    return false;
}

/* Value of "name=value", else NULL. */
static const char *value_of(const char *word, const char *name)
{
    size_t n = strlen(name);

    return !strncmp(word, name, n) && word[n] == '=' ? word + n + 1 : NULL;
}

/* ---- telemetry ---- */

static apr_status_t read_s3(dest_t *d, const reading_t *r, const char *target)
{
    const char *path = sal_conf_get(r->conf, "s3-credentials", NULL), *slash, *both, *blank;
    sal_s3_opts_t *o = &d->s3_opts;
    sal_error_t why = { .message = "" };
    apr_status_t rv;

    slash = strchr(target, '/');
    o->bucket = slash ? apr_pstrmemdup(r->p, target, (apr_size_t)(slash - target)) : target;
    d->prefix = slash && slash[1] ? slash + 1 : "";
    if (*d->prefix && d->prefix[strlen(d->prefix) - 1] != '/') {
        d->prefix = apr_pstrcat(r->p, d->prefix, "/", NULL);
    }
    o->endpoint = sal_conf_get(r->conf, "s3", NULL);
    o->region = sal_conf_get(r->conf, "s3-region", NULL);
    if (!o->endpoint || !path) {
        return wrong(r, "a bucket needs s3 and s3-credentials");
    }
    if ((rv = read_secret(&both, r, path)) != APR_SUCCESS) {
        return rv;
    }
    if (!(blank = strpbrk(both, " \t:"))) {
        return wrong(r, "the first line of the file of s3-credentials must be KEY SECRET");
    }
    o->key = apr_pstrmemdup(r->p, both, (apr_size_t)(blank - both));
    o->secret = blank + 1 + strspn(blank + 1, " \t");
    return sal_s3_check(o, &why) == APR_SUCCESS ? APR_SUCCESS : wrong(r, why.message);
}

static apr_status_t read_form(dest_t *d, const reading_t *r, const char *form)
{
    d->forms = !strcmp(form, "lines")     ? FORM_LINES
               : !strcmp(form, "objects") ? FORM_OBJECTS
               : !strcmp(form, "both")    ? FORM_LINES | FORM_OBJECTS
                                          : 0;
    return d->forms ? APR_SUCCESS : wrong(r, "form is lines, objects or both");
}

static apr_status_t read_telemetry(const reading_t *r, char *line)
{
    char *state, *target = apr_strtok(line, " \t", &state), *word;
    dest_t *d;
    apr_status_t rv;

    if (is_known(r, SAL_EXPORT_TELEMETRY, target)) {
        return wrong(r, "named twice");
    }
    d = add(r, SAL_EXPORT_TELEMETRY, target);
    d->forms = FORM_LINES;
    if (!strncmp(target, "s3://", 5)) {
        rv = read_s3(d, r, target + 5);
    } else {
        d->folder = target;
        rv = *target == '/' ? APR_SUCCESS
                            : wrong(r, "expected a folder, from / on, or s3://BUCKET/PREFIX");
    }
    while (rv == APR_SUCCESS && (word = apr_strtok(NULL, " \t", &state)) != NULL) {
        const char *form = value_of(word, "form");

        rv = form ? read_form(d, r, form) : wrong(r, "only form=lines|objects|both may follow");
    }
    return rv;
}

/* ---- stage ---- */

typedef struct stage_opts_t {
    const char *token;
    int strip;
    bool deferred;
} stage_opts_t;

static apr_status_t read_strip(int *strip, const reading_t *r, const char *list)
{
    char *state, *copy = apr_pstrdup(r->p, list);

    for (char *w = apr_strtok(copy, ",", &state); w; w = apr_strtok(NULL, ",", &state)) {
        if (!strcmp(w, "protected")) {
            *strip |= SAL_STAGE_STRIP_PROTECTED;
        } else if (!strcmp(w, "dumps")) {
            *strip |= SAL_STAGE_STRIP_DUMPS;
        } else {
            return wrong(r, "strip takes protected, dumps or both, a comma between them");
        }
    }
    return APR_SUCCESS;
}

static apr_status_t read_stage_option(stage_opts_t *o, const reading_t *r, const char *word)
{
    const char *value;

    if ((value = value_of(word, "token-file")) != NULL) {
        return read_secret(&o->token, r, value);
    }
    if ((value = value_of(word, "strip")) != NULL) {
        return read_strip(&o->strip, r, value);
    }
    if (!strcmp(word, "deferred")) {
        o->deferred = true;
        return APR_SUCCESS;
    }
    return wrong(r, "options are token-file=FILE, strip=protected,dumps and deferred");
}

static apr_status_t read_stage_dest(const stage_opts_t *o, const reading_t *r, char *text)
{
    char *bar = strrchr(text, '|');
    int64_t sample;
    dest_t *d;

    if (!bar || !sal_parse_int(bar + 1, 0, 100, &sample)) {
        return wrong(r, "expected URL|SAMPLE, SAMPLE from 0 to 100, a comma before the next");
    }
    *bar = '\0';
    if (!is_url(text)) {
        return wrong(r, "the address must begin with http:// or https://");
    }
    if (is_known(r, SAL_EXPORT_STAGE, text)) {
        return wrong(r, "an address is named twice");
    }
    d = add(r, SAL_EXPORT_STAGE, text);
    d->url = text;
    d->row.sample = (int)sample;
    d->row.deferred = o->deferred;
    d->token = o->token;
    d->strip = o->strip;
    return APR_SUCCESS;
}

static apr_status_t read_stage(const reading_t *r, char *line)
{
    char *state, *list = apr_strtok(line, " \t", &state), *word, *text;
    stage_opts_t o = { .strip = 0 };
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && (word = apr_strtok(NULL, " \t", &state)) != NULL) {
        rv = read_stage_option(&o, r, word);
    }
    for (text = apr_strtok(list, ",", &state); text && rv == APR_SUCCESS;
         text = apr_strtok(NULL, ",", &state)) {
        rv = read_stage_dest(&o, r, text);
    }
    return rv;
}

/* ---- web hooks ---- */

static bool is_name(const char *text)
{
    size_t n = strlen(text);

    return n > 0 && n <= 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static apr_status_t read_webhook(const reading_t *r, char *line)
{
    char *state, *name = apr_strtok(line, " \t", &state), *url, *word;
    apr_status_t rv = APR_SUCCESS;
    dest_t *d;

    url = apr_strtok(NULL, " \t", &state);
    if (!is_name(name) || !url || !is_url(url)) {
        return wrong(r, "expected NAME URL [secret-file=FILE]");
    }
    if (is_known(r, SAL_EXPORT_WEBHOOK, name)) {
        return wrong(r, "a name is used twice");
    }
    d = add(r, SAL_EXPORT_WEBHOOK, name);
    d->url = url;
    while (rv == APR_SUCCESS && (word = apr_strtok(NULL, " \t", &state)) != NULL) {
        const char *path = value_of(word, "secret-file");

        rv = path ? read_secret(&d->secret, r, path) : wrong(r, "only secret-file=FILE may follow");
    }
    return rv;
}

/* ---- all of it ---- */

static int in_range(apr_int64_t n, int min, int max)
{
    return n < min ? min : n > max ? max : (int)n;
}

static apr_status_t read_lines(sal_exporter_t *e, const sal_conf_t *conf, const char *key,
                               apr_status_t (*read)(const reading_t *r, char *line),
                               sal_error_t *err)
{
    for (const char *const *line = sal_conf_list(conf, key); *line; line++) {
        reading_t r = { e, conf, key, *line, e->pool, err };
        apr_status_t rv = read(&r, apr_pstrdup(e->pool, *line));

        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    return APR_SUCCESS;
}

apr_status_t export_read_conf(sal_exporter_t *e, const sal_conf_t *conf, sal_error_t *err)
{
    apr_status_t rv;

    e->interval = in_range(sal_conf_int(conf, "telemetry-interval", INTERVAL), 0, 86400);
    e->batch = in_range(sal_conf_int(conf, "telemetry-batch", BATCH), 1, BATCH_MAX);
    e->timeout = in_range(sal_conf_int(conf, "exporter-timeout", TIMEOUT), 1, 600);
    e->attempts = in_range(sal_conf_int(conf, "exporter-attempts", ATTEMPTS), 1, 1000);
    if ((rv = read_lines(e, conf, "telemetry", read_telemetry, err)) != APR_SUCCESS ||
        (rv = read_lines(e, conf, "stage-submit", read_stage, err)) != APR_SUCCESS) {
        return rv;
    }
    return read_lines(e, conf, "webhook", read_webhook, err);
}
